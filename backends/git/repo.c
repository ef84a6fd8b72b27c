/* SPDX-License-Identifier: Apache-2.0 */
#include "repo.h"

#include <sys/stat.h>

#define PACK_OBJECTS (32u << 20) /* in one answer of a server */

struct gitrepo {
	char *path; /* the .git directory; immutable */
	pthread_mutex_t lock;
	struct githandle idle[GITREPO_IDLE]; /* lock: lock */
	unsigned n_idle;                     /* lock: lock */
};

static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static int init_result;

/* Process-wide choices; the daemon uses libgit2 nowhere else.
 * - strict hash verification off: every object is hashed once elsewhere, see
 *   docs/decisions/010-git-verification.md;
 * - object cache off: what was read goes to the store and is not read again;
 * - owner validation off: it protects programs that run what a repository's
 *   configuration says, we only read objects and references;
 * - a pack's header cannot make the indexer ask for 32 GiB of memory;
 * - the extensions are harmless to a reader of objects. */
static void init_library(void)
{
	static const char *extensions[] = { "partialclone", "preciousobjects",
					    "worktreeconfig" };

	init_result = git_libgit2_init();
	if (init_result < 0)
		return;
	git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
	git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	git_libgit2_opts(GIT_OPT_SET_EXTENSIONS, extensions,
			 sizeof(extensions) / sizeof(*extensions));
#ifdef HAVE_PACK_MAX_OBJECT_SIZE
	git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECT_SIZE, (size_t)1 << 40);
#endif
	git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)PACK_OBJECTS);
}

int gitlib_init(const struct scorpio_host *host)
{
	pthread_once(&init_once, init_library);
	if (init_result < 0)
		return host->fail(host, -EIO, "libgit2 does not start");
	return 0;
}

int gitlib_fail(const struct gitsource *s, int rc, const char *what)
{
	const git_error *e = git_error_last();
	const char *text = e && e->message ? e->message : "unknown reason";
	int code = -EIO;

	if (rc == GIT_ENOTFOUND)
		code = -ENOENT;
	else if (rc == GIT_EAMBIGUOUS || rc == GIT_EINVALIDSPEC)
		code = -EINVAL;
	else if (rc == GIT_EMISMATCH || (e && e->klass == GIT_ERROR_ZLIB))
		code = -EBADMSG;
	else if (strstr(text, strerror(ENOSPC)))
		code = -ENOSPC;
	else if (strstr(text, strerror(EACCES)))
		code = -EACCES;
	return gitfail(s, code, "%s: %s", what, text);
}

static int open_error(struct gitsource *s, int rc, const char *path)
{
	const git_error *e = git_error_last();
	const char *text = e && e->message ? e->message : "";
	struct stat st;

	if (strstr(text, "objectformat") || strstr(text, "object format"))
		return gitfail(s, -ENOTSUP, "%s is a SHA-256 repository, which "
			       "libgit2 1.5 cannot read; convert it to SHA-1 or "
			       "serve it from another host", path);
	if (strstr(text, "unsupported extension") ||
	    strstr(text, "unsupported repository version"))
		return gitfail(s, -ENOTSUP, "%s: %s", path, text);
	if (rc != GIT_ENOTFOUND)
		return gitlib_fail(s, rc, path);
	if (stat(path, &st) < 0)
		return gitfail(s, errno == EACCES ? -EACCES : -ENOENT,
			       "%s: %s", path, strerror(errno));
	return gitfail(s, -EINVAL, "%s is not a git repository", path);
}

static int64_t packs_changed(git_repository *repo)
{
	auto_free char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%sobjects/pack", git_repository_commondir(repo)) <
	    0)
		path = NULL;
	if (!path || stat(path, &st) < 0)
		return 0;
	return st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec;
}

static int open_handle(struct gitsource *s, const char *path,
		       struct githandle *ret)
{
	struct githandle h = { 0 };
	int rc;

	git_error_clear();
	rc = git_repository_open_ext(&h.repo, path,
				     GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
	if (rc < 0)
		return open_error(s, rc, path);
	h.packs = packs_changed(h.repo);
	rc = git_repository_odb(&h.odb, h.repo);
	if (rc < 0) {
		git_repository_free(h.repo);
		return gitlib_fail(s, rc, path);
	}
	*ret = h;
	return 0;
}

static void close_handle(struct githandle *h)
{
	git_odb_free(h->odb);
	git_repository_free(h->repo);
	memset(h, 0, sizeof(*h));
}

int gitrepo_open(struct gitsource *s, const char *path, struct gitrepo **ret)
{
	struct githandle h;
	struct gitrepo *r;
	auto_free char *dotgit = NULL;
	int rc;

	/* "x" also names "x.git", as for git */
	if (git_repository_open_ext(NULL, path, GIT_REPOSITORY_OPEN_NO_SEARCH,
				    NULL) == GIT_ENOTFOUND &&
	    asprintf(&dotgit, "%s.git", path) > 0 &&
	    git_repository_open_ext(NULL, dotgit,
				    GIT_REPOSITORY_OPEN_NO_SEARCH, NULL) == 0)
		path = dotgit;
	rc = open_handle(s, path, &h);
	if (rc < 0)
		return rc;
	r = calloc(1, sizeof(*r));
	if (r)
		r->path = strdup(git_repository_path(h.repo));
	if (!r || !r->path) {
		free(r);
		close_handle(&h);
		return gitfail(s, -ENOMEM, "out of memory");
	}
	pthread_mutex_init(&r->lock, NULL);
	r->idle[r->n_idle++] = h;
	*ret = r;
	return 0;
}

void gitrepo_close(struct gitrepo *r)
{
	if (!r)
		return;
	while (r->n_idle)
		close_handle(&r->idle[--r->n_idle]);
	pthread_mutex_destroy(&r->lock);
	free(r->path);
	free(r);
}

const char *gitrepo_dir(const struct gitrepo *r)
{
	return r->path;
}

bool gitrepo_is_partial(struct gitsource *s, struct gitrepo *r)
{
	git_config *config = NULL;
	git_buf value = { 0 };
	struct githandle h;
	bool partial = false;

	if (gitrepo_take(s, r, &h) < 0)
		return false;
	if (git_repository_config_snapshot(&config, h.repo) == 0)
		partial = git_config_get_string_buf(&value, config,
					"extensions.partialclone") == 0;
	git_buf_dispose(&value);
	git_config_free(config);
	gitrepo_give(r, &h);
	return partial;
}

int gitrepo_take(struct gitsource *s, struct gitrepo *r,
		 struct githandle *ret)
{
	pthread_mutex_lock(&r->lock);
	if (r->n_idle) {
		*ret = r->idle[--r->n_idle];
		pthread_mutex_unlock(&r->lock);
		return 0;
	}
	pthread_mutex_unlock(&r->lock);
	return open_handle(s, r->path, ret);
}

void gitrepo_give(struct gitrepo *r, struct githandle *h)
{
	if (!h->repo)
		return;
	h->reopened = false;
	pthread_mutex_lock(&r->lock);
	if (r->n_idle < GITREPO_IDLE) {
		r->idle[r->n_idle++] = *h;
		memset(h, 0, sizeof(*h));
	}
	pthread_mutex_unlock(&r->lock);
	if (h->repo)
		close_handle(h);
}

/* Packs may have been replaced since the handle was opened: once per call it
 * is opened afresh. True: try again. */
static bool reopen(struct gitsource *s, struct gitrepo *r, struct githandle *h)
{
	struct githandle fresh;

	if (h->reopened || packs_changed(h->repo) == h->packs ||
	    open_handle(s, r->path, &fresh) < 0)
		return false;
	close_handle(h);
	*h = fresh;
	h->reopened = true;
	return true;
}

static int read_error(struct gitsource *s, int rc, const git_oid *oid)
{
	char hex[GIT_HEX + 1];
	char what[64];

	if (rc == GIT_ENOTFOUND)
		return gitsource_missing(s, oid);
	git_oid_tostr(hex, sizeof(hex), oid);
	snprintf(what, sizeof(what), "object %s", hex);
	rc = gitlib_fail(s, rc, what);
	return rc == -ENOENT ? -EIO : rc;
}

int gitrepo_read(struct gitsource *s, struct gitrepo *r, struct githandle *h,
		 const git_oid *oid, git_odb_object **ret)
{
	int rc = git_odb_read(ret, h->odb, oid);

	if (rc < 0 && reopen(s, r, h))
		rc = git_odb_read(ret, h->odb, oid);
	return rc < 0 ? read_error(s, rc, oid) : 0;
}

int gitrepo_header(struct gitsource *s, struct gitrepo *r,
		   struct githandle *h, const git_oid *oid, size_t *ret_size,
		   git_object_t *ret_type)
{
	int rc = git_odb_read_header(ret_size, ret_type, h->odb, oid);

	if (rc < 0 && reopen(s, r, h))
		rc = git_odb_read_header(ret_size, ret_type, h->odb, oid);
	return rc < 0 ? read_error(s, rc, oid) : 0;
}
