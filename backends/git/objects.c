/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.c - directories, files and sizes of a server, a batch in a request.
 *
 * One object the server does not have makes it refuse the whole request, so
 * that one is reported as failed and the others are asked for again.
 */
#include "local.h"
#include "object.h"
#include "remote.h"

#define MISSING_MAX 16u          /* requests thrown away for missing objects */
#define LEVELS_BYTES (16u << 20) /* of an answer with levels below */
#define PREFETCH_MB 64           /* of metadata that come in one answer */
#define SIZES_MAX 10000u         /* ids in a request for sizes */

struct job {
	struct gitsource *source;
	const struct scorpio_sink *sink;
	struct gitpour pour;
	git_object_t type; /* of what is wanted */
	git_oid *wants;    /* owned */
	size_t n, cap;
};

static int job_add(struct job *j, const struct scorpio_id *id)
{
	git_oid oid;

	if (!gitid_to_oid(id, &oid))
		return gitpour_failed(&j->pour, id,
				      gitfail(j->source, -EINVAL,
					      "not a git object id"));
	if (j->n == j->cap) {
		size_t cap = j->cap ? 2 * j->cap : 16;
		git_oid *wants = realloc(j->wants, cap * sizeof(*wants));

		if (!wants)
			return gitfail(j->source, -ENOMEM, "out of memory");
		j->wants = wants;
		j->cap = cap;
	}
	j->wants[j->n++] = oid;
	return 0;
}

static int job_missing(void *ctx, const struct scorpio_ref *ref)
{
	return job_add(ctx, &ref->id);
}

static void job_init(struct job *j, struct gitsource *s,
		     const struct scorpio_sink *sink, git_object_t type)
{
	memset(j, 0, sizeof(*j));
	j->source = s;
	j->sink = sink;
	j->pour.source = s;
	j->pour.sink = sink;
	j->type = type;
}

static int job_failed(struct job *j, const git_oid *oid, int code)
{
	struct scorpio_id id = gitid_from_raw(oid->id);

	return gitpour_failed(&j->pour, &id, code);
}

/* From the repository of whole revisions; what is not there becomes wanted. */
static int job_local(struct job *j, struct gitrepo *full,
		     const struct scorpio_ref *refs, uint32_t n)
{
	struct gitlocal_call c = { .source = j->source, .repo = full,
				   .sink = j->sink, .missing = job_missing,
				   .ctx = j };

	return j->type == GIT_OBJECT_TREE ? gitlocal_list(&c, refs, n) :
					    gitlocal_fetch(&c, refs, n);
}

/* Take the missing object out of the wants. */
static int drop_missing(struct job *j, const git_oid *missing)
{
	size_t kept = 0;
	int rc = job_failed(j, missing, gitsource_missing(j->source, missing));

	for (size_t i = 0; i < j->n; i++)
		if (!git_oid_equal(&j->wants[i], missing))
			j->wants[kept++] = j->wants[i];
	if (kept == j->n)
		return gitfail(j->source, -EIO, "the server misses an object "
			       "that was not asked for");
	j->n = kept;
	return rc;
}

static int job_pull(struct job *j, struct gitwant *w, struct gitpack **ret)
{
	for (unsigned i = 0; j->n; i++) {
		int rc;

		w->oids = j->wants;
		w->n = j->n;
		rc = gitremote_pull(j->source, w, ret);
		if (rc != -ESTALE || !w->missing_known || i == MISSING_MAX)
			return rc;
		rc = drop_missing(j, &w->missing);
		if (rc)
			return rc;
	}
	return 0;
}

/* Everything that came, then a word about each that was asked for. */
static int job_pour(struct job *j, struct gitpack *p)
{
	int rc = gitpack_pour(p, &j->pour);

	for (size_t i = 0; i < j->n && rc == 0; i++) {
		git_object_t type;

		if (!gitpack_has(p, &j->wants[i], &type))
			rc = job_failed(j, &j->wants[i],
				gitfail(j->source, -EIO, "the server did not "
					"send object %s",
					git_oid_tostr_s(&j->wants[i])));
		else if (type != j->type)
			rc = job_failed(j, &j->wants[i],
				gitfail(j->source, -EINVAL, "object %s is not "
					"a %s", git_oid_tostr_s(&j->wants[i]),
					git_object_type2string(j->type)));
	}
	return rc;
}

/* A server that has vanished is no proof that a file does not exist. */
static int not_absent(struct gitsource *s, int rc)
{
	return rc == -ENOENT ? gitfail(s, -EIO, "%s: the server has no such "
				       "repository any more, or hides it",
				       s->url.text) : rc;
}

/* The server gives no single objects: bring the whole revision. */
static int job_whole(struct job *j)
{
	struct gitlocal_call c = { .source = j->source, .sink = j->sink };
	int rc = gitremote_whole(j->source);

	c.repo = gitremote_full(j->source->remote);
	for (size_t i = 0; i < j->n && rc == 0; i++) {
		struct scorpio_ref ref = { .id = gitid_from_raw(
						   j->wants[i].id) };

		rc = j->type == GIT_OBJECT_TREE ? gitlocal_list(&c, &ref, 1) :
						  gitlocal_fetch(&c, &ref, 1);
	}
	return rc;
}

static int job_run(struct job *j, struct gitwant *w)
{
	struct gitpack *p = NULL;
	size_t n = 0;
	int rc = job_pull(j, w, &p);

	if (rc == -EFBIG && w->levels) {
		gitremote_adapt(j->source->remote, w->levels, SIZE_MAX);
		w->levels = 0;
		w->max = 0;
		rc = job_pull(j, w, &p);
	}
	if (rc == GITPULL_NO_OBJECTS)
		return job_whole(j);
	if (rc < 0 || !p)
		return rc;
	gitpack_ids(p, &n);
	if (w->purpose == GITPULL_TREES)
		gitremote_adapt(j->source->remote, w->levels, n);
	rc = job_pour(j, p);
	gitpack_free(p);
	return rc;
}

/* -- list ------------------------------------------------------------------ */

static int list_kept(struct job *j, const struct scorpio_ref *ref, bool *done)
{
	auto_odb_object git_odb_object *o = NULL;
	git_oid oid;

	*done = false;
	if (!gitid_to_oid(&ref->id, &oid))
		return 0;
	o = gitremote_kept(j->source->remote, &oid);
	if (!o || git_odb_object_type(o) != GIT_OBJECT_TREE)
		return 0;
	*done = true;
	return gitpour_object(&j->pour, o, false);
}

int gitremote_list(struct gitsource *s, const struct scorpio_ref *refs,
		   uint32_t n, const struct scorpio_sink *sink)
{
	struct gitrepo *full = gitremote_full(s->remote);
	struct gitwant w = { .purpose = GITPULL_TREES };
	struct job j;
	int rc = 0;

	job_init(&j, s, sink, GIT_OBJECT_TREE);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		bool done;

		rc = list_kept(&j, &refs[i], &done);
		if (rc == 0 && !done)
			rc = full ? job_local(&j, full, &refs[i], 1) :
				    job_add(&j, &refs[i].id);
	}
	w.levels = gitremote_levels(s->remote);
	w.max = w.levels ? LEVELS_BYTES : 0;
	if (rc == 0 && j.n)
		rc = job_run(&j, &w);
	free(j.wants);
	return not_absent(s, rc);
}

/* -- fetch ----------------------------------------------------------------- */

int gitremote_fetch(struct gitsource *s, const struct scorpio_ref *refs,
		    uint32_t n, const struct scorpio_sink *sink)
{
	struct gitrepo *full = gitremote_full(s->remote);
	struct gitwant w = { .purpose = GITPULL_ALL };
	struct job j;
	int rc = 0;

	job_init(&j, s, sink, GIT_OBJECT_BLOB);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		/* all below a directory would come */
		if (refs[i].kind == SCORPIO_DIR ||
		    refs[i].kind == SCORPIO_SUBMODULE)
			rc = gitpour_failed(&j.pour, &refs[i].id,
					    gitfail(s, -EINVAL, "a directory "
						    "has no content"));
		else
			rc = full ? job_local(&j, full, &refs[i], 1) :
				    job_add(&j, &refs[i].id);
	}
	if (rc == 0 && j.n)
		rc = job_run(&j, &w);
	free(j.wants);
	return not_absent(s, rc);
}

/* -- sizes ----------------------------------------------------------------- */

static int on_size(void *ctx, const git_oid *oid, uint64_t size)
{
	struct job *j = ctx;
	struct scorpio_id id = gitid_from_raw(oid->id);

	if (size == SCORPIO_SIZE_UNKNOWN)
		return job_failed(j, oid, gitsource_missing(j->source, oid));
	return j->sink->size(j->sink->ctx, &id, size);
}

static int ask_sizes(struct job *j)
{
	int rc = 0;

	for (size_t i = 0; i < j->n && rc == 0; i += SIZES_MAX) {
		size_t k = j->n - i < SIZES_MAX ? j->n - i : SIZES_MAX;

		rc = gitproto_sizes(j->source, j->wants + i, k, on_size, j);
	}
	return rc;
}

int gitremote_sizes(struct gitsource *s, const struct scorpio_ref *refs,
		    uint32_t n, const struct scorpio_sink *sink)
{
	struct gitrepo *full = gitremote_full(s->remote);
	struct gitlocal_call c = { .source = s, .repo = full, .sink = sink };
	struct gitcaps caps;
	struct job j;
	int rc = gitremote_caps(s, &caps);

	if (rc < 0)
		return not_absent(s, rc);
	job_init(&j, s, sink, GIT_OBJECT_BLOB);
	if (full && !caps.object_info)
		return gitlocal_sizes(&c, refs, n);
	if (!caps.object_info)
		return gitfail(s, -ENOTSUP, "the server does not tell sizes "
			       "(transfer.advertiseObjectInfo is off there)");
	for (uint32_t i = 0; i < n && rc == 0; i++)
		rc = job_add(&j, &refs[i].id);
	if (rc == 0)
		rc = ask_sizes(&j);
	free(j.wants);
	return not_absent(s, rc);
}

/* -- prefetch -------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
	return git_oid_cmp(a, b);
}

static int collect_blobs(void *ctx, const void *raw, size_t len)
{
	struct job *j = ctx;
	struct gittree_reader r;
	struct gittree_entry e;
	int rc = 0;

	gittree_begin(&r, raw, len);
	while (rc == 0 && gittree_next(&r, &e) > 0) {
		struct scorpio_id id = gitid_from_raw(e.id);

		if (e.kind == SCORPIO_FILE || e.kind == SCORPIO_SYMLINK)
			rc = job_add(j, &id);
	}
	return rc;
}

/* The sizes of all blobs that the trees of the pack name, each once. */
static int prefetch_sizes(struct job *j, struct gitpack *p)
{
	size_t kept = 0;
	int rc;

	j->n = 0;
	rc = gitpack_trees(p, collect_blobs, j);
	if (rc < 0)
		return rc;
	if (j->n)
		qsort(j->wants, j->n, sizeof(*j->wants), compare_ids);
	for (size_t i = 0; i < j->n; i++)
		if (!kept || !git_oid_equal(&j->wants[i], &j->wants[kept - 1]))
			j->wants[kept++] = j->wants[i];
	j->n = kept;
	return ask_sizes(j);
}

static int prefetch_pull(struct job *j, struct gitwant *w, bool sizes)
{
	struct gitpack *p = NULL;
	int rc = job_pull(j, w, &p);

	if (rc < 0 || !p)
		return rc;
	rc = job_pour(j, p);
	if (rc == 0 && sizes)
		rc = prefetch_sizes(j, p);
	gitpack_free(p);
	return rc;
}

int gitremote_prefetch(struct gitsource *s, const struct scorpio_ref *root,
		       uint32_t what, uint32_t depth,
		       const struct scorpio_sink *sink)
{
	struct gitrepo *full = gitremote_full(s->remote);
	int64_t limit = s->host->config_int(s->config, "prefetch_mb",
					    PREFETCH_MB);
	bool blobs = what & SCORPIO_PREFETCH_BLOBS;
	struct gitwant w = { .purpose = blobs ? GITPULL_ALL : GITPULL_DEEP };
	struct gitcaps caps;
	struct job j;
	int rc = gitremote_caps(s, &caps);

	if (rc < 0)
		return not_absent(s, rc);
	if (full) {
		struct gitlocal_call c = { .source = s, .repo = full,
					   .sink = sink };

		return gitlocal_prefetch(&c, root, what, depth);
	}
	if (!(what & (SCORPIO_PREFETCH_TREES | SCORPIO_PREFETCH_BLOBS)))
		return gitfail(s, -ENOTSUP, "sizes come with trees only");
	if (blobs && depth)
		return gitfail(s, -ENOTSUP, "files of some levels only");
	if (depth) {
		w.purpose = GITPULL_TREES;
		w.levels = depth < 64 ? depth : 64;
	}
	if (!blobs && limit > 0)
		w.max = (uint64_t)limit << 20;
	job_init(&j, s, sink, GIT_OBJECT_TREE);
	rc = job_add(&j, &root->id);
	if (rc == 0)
		rc = prefetch_pull(&j, &w, what & SCORPIO_PREFETCH_SIZES &&
						   caps.object_info);
	if (rc == -EFBIG)
		rc = gitfail(s, rc, "the directories of this revision take "
			     "more than %lld MiB; they are fetched on demand",
			     (long long)limit);
	free(j.wants);
	return not_absent(s, rc);
}
