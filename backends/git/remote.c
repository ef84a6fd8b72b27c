/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"

#include "http.h"
#include "repo.h"

#include <sys/stat.h>

#define KEEP_MAX 64u
#define KEEP_BYTES (8u << 20)
#define LEVELS_FIRST 3u
#define LEVELS_MAX 8u
#define MANY_OBJECTS 8192u
#define FEW_OBJECTS 1024u

/* Filters a server may refuse one by one (uploadpackfilter.*.allow). */
#define FILTER_TREE0 1u   /* tree:0 */
#define FILTER_TREE1 2u   /* tree:1 */
#define FILTER_BLOBS 4u   /* blob:none */
#define FILTER_COMBINE 8u /* combine:... */
#define FILTER_ALL 15u

struct gitremote {
	struct gitbase *base; /* HTTP; else NULL */
	pthread_mutex_t lock; /* of all below */
	bool known;
	bool by_program; /* requests go through `git` */
	bool told_full;
	struct gitcaps caps;
	unsigned filters; /* FILTER_*: not refused so far */
	unsigned levels;
	struct gitrepo *full;
	git_oid commit; /* the last resolved one, or zero */
	git_odb_object *kept[KEEP_MAX]; /* a ring */
	unsigned kept_at;
	size_t kept_bytes;
};

int gitremote_new(struct gitsource *s, struct gitremote **ret)
{
	struct gitremote *r = calloc(1, sizeof(*r));
	int rc = 0;

	if (!r)
		return gitfail(s, -ENOMEM, "out of memory");
	pthread_mutex_init(&r->lock, NULL);
	r->levels = LEVELS_FIRST;
	r->filters = FILTER_ALL;
	if (s->url.kind == GITURL_HTTP)
		rc = gitbase_new(s, &r->base);
	else
		r->by_program = true;
	if (rc < 0)
		gitremote_free(r);
	else
		*ret = r;
	return rc;
}

void gitremote_free(struct gitremote *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < KEEP_MAX; i++)
		git_odb_object_free(r->kept[i]);
	gitrepo_close(r->full);
	gitbase_free(r->base);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

struct gitbase *gitremote_base(struct gitremote *r)
{
	return r->base;
}

/* -- what the server can do ------------------------------------------------ */

static void learn(struct gitremote *r, const struct gitcaps *caps,
		  bool by_program)
{
	pthread_mutex_lock(&r->lock);
	r->known = true;
	r->by_program = by_program;
	r->caps = *caps;
	if (!caps->filter)
		r->filters = 0;
	pthread_mutex_unlock(&r->lock);
}

/* What is hoped of a server that only the git program can reach. */
static const struct gitcaps program_caps = {
	.fetch = true, .ls_refs = true, .filter = true, .shallow = true,
};

static int discover(struct gitsource *s, struct gitcaps *caps)
{
	struct gitremote *r = s->remote;
	int rc;

	if (!r->base) {
		*caps = program_caps;
		learn(r, caps, true);
		return 0;
	}
	rc = gitproto_discover(s, caps);
	if (rc == -EPROTONOSUPPORT ||
	    (rc == 0 && (!caps->shallow || !caps->fetch || !caps->ls_refs))) {
		gitlog(s, SCORPIO_LOG_WARN, "%s does not offer git's protocol "
		       "version 2 as we need it; the git program is used, "
		       "which is slower", s->url.text);
		*caps = program_caps;
		learn(r, caps, true);
		return 0;
	}
	if (rc < 0)
		return rc;
	if (caps->sha256)
		return gitfail(s, -ENOTSUP, "%s is a SHA-256 repository, which "
			       "libgit2 1.5 cannot read", s->url.text);
	learn(r, caps, false);
	return 0;
}

int gitremote_caps(struct gitsource *s, struct gitcaps *ret)
{
	struct gitremote *r = s->remote;
	bool known;

	pthread_mutex_lock(&r->lock);
	known = r->known;
	*ret = r->caps;
	pthread_mutex_unlock(&r->lock);
	return known ? 0 : discover(s, ret);
}

static bool by_program(struct gitremote *r)
{
	bool yes;

	pthread_mutex_lock(&r->lock);
	yes = r->by_program;
	pthread_mutex_unlock(&r->lock);
	return yes;
}

int gitremote_refs(struct gitsource *s, const char *const *prefixes, size_t n,
		   struct gitrefs *ret)
{
	return by_program(s->remote) ? gitcli_refs(s, prefixes, n, ret) :
				       gitproto_refs(s, prefixes, n, ret);
}

/* -- pulling with the best filter the server takes -------------------------- */

bool gitremote_filters(struct gitremote *r)
{
	bool yes;

	pthread_mutex_lock(&r->lock);
	yes = r->filters != 0;
	pthread_mutex_unlock(&r->lock);
	return yes;
}

/* The best filter for the purpose; 0: none is left. */
static unsigned choose(struct gitremote *r, const struct gitwant *w,
		       char *text, size_t cap)
{
	unsigned have, pick = 0;

	pthread_mutex_lock(&r->lock);
	have = r->filters;
	pthread_mutex_unlock(&r->lock);
	if (w->purpose == GITPULL_HISTORY)
		pick = have & FILTER_TREE0;
	else if (w->purpose == GITPULL_COMMIT && have & FILTER_TREE1)
		pick = FILTER_TREE1;
	else if (w->purpose == GITPULL_TREES && w->levels &&
		 have & FILTER_COMBINE)
		pick = FILTER_COMBINE;
	else if (w->purpose != GITPULL_DEEP && have & FILTER_TREE0)
		pick = FILTER_TREE0;
	else if (have & FILTER_BLOBS)
		pick = FILTER_BLOBS;
	snprintf(text, cap, pick == FILTER_TREE0 ? "tree:0" :
			    pick == FILTER_TREE1 ? "tree:1" :
			    pick == FILTER_BLOBS ? "blob:none" :
						   "combine:blob:none+tree:%u",
		 w->levels);
	return pick;
}

static void refuse_filter(struct gitsource *s, unsigned bit, const char *text)
{
	struct gitremote *r = s->remote;

	pthread_mutex_lock(&r->lock);
	r->filters &= ~bit;
	pthread_mutex_unlock(&r->lock);
	gitlog(s, SCORPIO_LOG_INFO, "%s does not allow the filter %s",
	       s->url.text, text);
}

static int pull_once(struct gitsource *s, struct gitwant *w,
		     struct gitpull *p, struct gitpack **ret)
{
	int rc = by_program(s->remote) ? gitcli_pull(s, p, ret) :
					 gitproto_pull(s, p, ret);

	w->missing = p->missing;
	w->missing_known = p->missing_known;
	return rc;
}

int gitremote_pull(struct gitsource *s, struct gitwant *w,
		   struct gitpack **ret)
{
	struct gitpull p = { .wants = w->oids, .n = w->n, .max = w->max };
	struct gitcaps caps;
	char filter[64];
	int rc = gitremote_caps(s, &caps);

	p.deepen = w->purpose == GITPULL_COMMIT ? 1 : w->deepen;
	w->everything = true;
	if (rc < 0 || w->purpose == GITPULL_ALL)
		return rc < 0 ? rc : pull_once(s, w, &p, ret);
	for (;;) {
		unsigned bit = choose(s->remote, w, filter, sizeof(filter));

		if (!bit && w->purpose == GITPULL_HISTORY)
			return gitfail(s, -ENOTSUP, "%s does not send commits "
				       "without their files, so '~' and '^' "
				       "would bring everything; give the "
				       "commit's id", s->url.text);
		p.filter = bit ? filter : NULL;
		w->everything = !bit;
		rc = pull_once(s, w, &p, ret);
		if (rc != GITPULL_NO_FILTER || !bit)
			return rc;
		refuse_filter(s, bit, filter);
	}
}

/* -- whole revisions ------------------------------------------------------- */

struct gitrepo *gitremote_full(struct gitremote *r)
{
	struct gitrepo *full;

	pthread_mutex_lock(&r->lock);
	full = r->full;
	pthread_mutex_unlock(&r->lock);
	return full;
}

static int make_full(struct gitsource *s, struct gitrepo **ret)
{
	const char *given = s->host->config_string(s->config, "git_dir", NULL);
	const char *scratch = s->host->scratch(s->host);
	auto_free char *path = NULL;
	git_repository *made = NULL;
	int rc;

	if (!scratch)
		return -EIO;
	rc = given && *given ? asprintf(&path, "%s", given) :
			       asprintf(&path, "%s/full.git", scratch);
	if (rc < 0)
		return gitfail(s, -ENOMEM, "out of memory");
	git_error_clear();
	rc = git_repository_init(&made, path, 1);
	if (rc < 0)
		return gitlib_fail(s, rc, path);
	git_repository_free(made);
	return gitrepo_open(s, path, ret);
}

int gitremote_keep_pack(struct gitsource *s, struct gitpack *p)
{
	struct gitremote *r = s->remote;
	struct gitrepo *full = gitremote_full(r), *made = NULL;
	auto_free char *objects = NULL;
	bool first;
	int rc = full ? 0 : make_full(s, &made);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&r->lock);
	if (!r->full) {
		r->full = made;
		made = NULL;
	}
	full = r->full;
	first = !r->told_full;
	r->filters = 0;
	r->told_full = true;
	pthread_mutex_unlock(&r->lock);
	gitrepo_close(made); /* another thread was faster */
	if (first)
		gitlog(s, SCORPIO_LOG_WARN, "%s cannot send parts of a "
		       "revision (it knows no filters, or gives no single "
		       "objects), so whole revisions are fetched",
		       s->url.text);
	if (asprintf(&objects, "%s/objects", gitrepo_dir(full)) < 0)
		return gitfail(s, -ENOMEM, "out of memory");
	return gitpack_move(p, objects);
}

void gitremote_set_commit(struct gitremote *r, const git_oid *oid)
{
	pthread_mutex_lock(&r->lock);
	r->commit = *oid;
	pthread_mutex_unlock(&r->lock);
}

int gitremote_whole(struct gitsource *s)
{
	struct gitremote *r = s->remote;
	struct gitwant w = { .purpose = GITPULL_COMMIT, .n = 1 };
	struct gitpack *p;
	git_oid commit;
	int rc;

	pthread_mutex_lock(&r->lock);
	r->filters = 0;
	commit = r->commit;
	pthread_mutex_unlock(&r->lock);
	if (git_oid_is_zero(&commit))
		return gitfail(s, -ESTALE, "%s gives only whole revisions, and "
			       "none was asked for yet; resolve it again",
			       s->url.text);
	w.oids = &commit;
	rc = gitremote_pull(s, &w, &p);
	if (rc < 0)
		return rc;
	rc = gitremote_keep_pack(s, p);
	gitpack_free(p);
	return rc;
}

/* -- kept objects ---------------------------------------------------------- */

static size_t drop_oldest(struct gitremote *r, git_odb_object **old)
{
	size_t n = 0;

	*old = r->kept[r->kept_at];
	r->kept[r->kept_at] = NULL;
	if (*old)
		n = git_odb_object_size(*old);
	return n;
}

void gitremote_keep(struct gitremote *r, git_odb_object *o)
{
	git_odb_object *copy = NULL, *old;
	size_t size = git_odb_object_size(o);

	if (size > KEEP_BYTES / 2 || git_odb_object_dup(&copy, o) < 0)
		return;
	pthread_mutex_lock(&r->lock);
	r->kept_bytes -= drop_oldest(r, &old);
	git_odb_object_free(old);
	r->kept[r->kept_at] = copy;
	r->kept_bytes += size;
	r->kept_at = (r->kept_at + 1) % KEEP_MAX;
	for (unsigned i = 0; r->kept_bytes > KEEP_BYTES && i < KEEP_MAX - 1;
	     i++) {
		unsigned k = (r->kept_at + i) % KEEP_MAX;

		if (!r->kept[k])
			continue;
		r->kept_bytes -= git_odb_object_size(r->kept[k]);
		git_odb_object_free(r->kept[k]);
		r->kept[k] = NULL;
	}
	pthread_mutex_unlock(&r->lock);
}

git_odb_object *gitremote_kept(struct gitremote *r, const git_oid *oid)
{
	git_odb_object *found = NULL;

	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < KEEP_MAX && !found; i++)
		if (r->kept[i] &&
		    git_oid_equal(git_odb_object_id(r->kept[i]), oid) &&
		    git_odb_object_dup(&found, r->kept[i]) < 0)
			found = NULL;
	pthread_mutex_unlock(&r->lock);
	return found;
}

/* -- how far to look ahead ------------------------------------------------- */

unsigned gitremote_levels(struct gitremote *r)
{
	unsigned levels;

	pthread_mutex_lock(&r->lock);
	levels = r->filters & FILTER_COMBINE ? r->levels : 0;
	pthread_mutex_unlock(&r->lock);
	return levels;
}

void gitremote_adapt(struct gitremote *r, unsigned levels, size_t objects)
{
	pthread_mutex_lock(&r->lock);
	if (objects > MANY_OBJECTS && levels <= r->levels)
		r->levels = levels / 2;
	else if (objects < FEW_OBJECTS && levels >= r->levels &&
		 r->levels < LEVELS_MAX)
		r->levels++;
	pthread_mutex_unlock(&r->lock);
}
