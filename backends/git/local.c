/* SPDX-License-Identifier: Apache-2.0 */
#include "local.h"

#include "object.h"
#include "repo.h"
#include "resolve.h"

/* -- resolve --------------------------------------------------------------- */

struct lookup {
	struct gitsource *source;
	struct gitrepo *repo;
	struct githandle h;
};

static int get_object(void *ctx, const git_oid *oid, git_odb_object **ret)
{
	struct lookup *l = ctx;

	return gitrepo_read(l->source, l->repo, &l->h, oid, ret);
}

static int name_error(struct lookup *l, int rc, const char *name)
{
	if (rc == GIT_EAMBIGUOUS)
		return gitfail(l->source, -EINVAL, "'%s' is ambiguous: more "
			       "than one object begins so; give more digits",
			       name);
	if (rc == GIT_EINVALIDSPEC)
		return gitfail(l->source, -EINVAL, "'%s' is not a revision",
			       name);
	if (rc == GIT_ENOTFOUND && strcmp(name, "HEAD") == 0)
		return gitfail(l->source, -ENOENT, "the repository has no "
			       "commit yet, or HEAD names a branch that does "
			       "not exist");
	if (rc == GIT_ENOTFOUND)
		return gitfail(l->source, -ENOENT, "no branch, tag or commit "
			       "'%s' in %s", name, gitrepo_dir(l->repo));
	return gitlib_fail(l->source, rc, name);
}

/* A full or short id, or what `git describe` prints ("v1-3-gabc123"). */
static int find_id(struct lookup *l, const char *name, git_oid *ret)
{
	const char *dash = strrchr(name, '-');
	const char *hex = dash && dash[1] == 'g' ? dash + 2 : name;
	size_t n = strlen(hex);
	git_oid prefix;

	if (n < GIT_OID_MINPREFIXLEN || n > GIT_HEX || !githex_all(hex, n) ||
	    git_oid_fromstrn(&prefix, hex, n) < 0)
		return GIT_ENOTFOUND;
	return git_odb_exists_prefix(ret, l->h.odb, &prefix, n);
}

static int find_ref(struct lookup *l, const char *name, git_oid *ret,
		    char **ret_label)
{
	git_reference *ref = NULL, *direct = NULL;
	int rc = git_reference_dwim(&ref, l->h.repo, name);

	if (rc == 0)
		rc = git_reference_resolve(&direct, ref);
	if (rc == 0) {
		*ret = *git_reference_target(direct);
		*ret_label = strdup(git_reference_name(direct));
	}
	git_reference_free(direct);
	git_reference_free(ref);
	return rc;
}

/* "REV~2", "REV^", "REV@{..}": libgit2 knows these, but leaks 20 KiB for each
 * name that does not exist (regexp.c before 1.6), so the name in front is
 * looked up here. */
static int find_relative(struct lookup *l, const git_oid *base,
			 const char *rest, const char *name, git_oid *ret)
{
	git_object *object = NULL;
	auto_free char *spec = NULL;
	int rc;

	/* the reflog belongs to the name, the rest to the commit */
	if (rest[0] == '@')
		spec = strdup(name);
	else if (asprintf(&spec, "%s%s", git_oid_tostr_s(base), rest) < 0)
		spec = NULL;
	if (!spec)
		return -1;
	rc = git_revparse_single(&object, l->h.repo, spec);
	if (rc == 0)
		*ret = *git_object_id(object);
	git_object_free(object);
	return rc;
}

static const char *find_rest(const char *name)
{
	const char *p = name;

	while (*p && *p != '~' && *p != '^' && !(p[0] == '@' && p[1] == '{'))
		p++;
	return p;
}

/* The id a name stands for, and its full reference name if it is one. */
static int find_name(struct lookup *l, const char *name, git_oid *ret,
		     char **ret_label)
{
	const char *rest = find_rest(name);
	auto_free char *base = strndup(rest == name ? "HEAD" : name,
				       rest == name ? 4 : rest - name);
	int rc;

	if (!base)
		return gitfail(l->source, -ENOMEM, "out of memory");
	if (rest == name && *rest != '@')
		return name_error(l, GIT_EINVALIDSPEC, name);
	git_error_clear();
	rc = find_ref(l, base, ret, ret_label);
	if (rc == GIT_ENOTFOUND || rc == GIT_EINVALIDSPEC)
		rc = find_id(l, base, ret);
	if (rc == 0 && *rest) {
		free(*ret_label);
		*ret_label = NULL;
		rc = find_relative(l, ret, rest, name, ret);
	}
	return rc < 0 ? name_error(l, rc, name) : 0;
}

int gitlocal_resolve(struct gitsource *s, struct gitrepo *r, const char *spec,
		     struct scorpio_revision *ret)
{
	struct lookup l = { .source = s, .repo = r };
	auto_free char *label = NULL;
	struct gitrev rev;
	git_oid oid;
	int rc = gitrev_parse(s, spec, &rev);

	if (rc < 0)
		return rc;
	rc = gitrepo_take(s, r, &l.h);
	if (rc == 0)
		rc = find_name(&l, rev.name, &oid, &label);
	if (rc == 0)
		rc = gitrev_finish(s, &rev, &oid, label, get_object, &l, ret);
	gitrepo_give(r, &l.h);
	gitrev_done(&rev);
	return rc;
}

/* -- list, fetch, sizes ---------------------------------------------------- */

struct call {
	struct gitlocal_call *c;
	struct gitpour pour;
	struct githandle h;
};

static uint64_t blob_size(void *ctx, const uint8_t *id)
{
	struct call *k = ctx;
	git_object_t type;
	git_oid oid;
	size_t size;

	memcpy(oid.id, id, GIT_OID_RAWSZ);
	/* a blob that is not here (partial clone, damage) has no size yet */
	if (git_odb_read_header(&size, &type, k->h.odb, &oid) < 0 ||
	    type != GIT_OBJECT_BLOB)
		return SCORPIO_SIZE_UNKNOWN;
	return size;
}

static int object_failed(struct call *k, const struct scorpio_ref *ref,
			 int code)
{
	if (code == -ESTALE && k->c->missing)
		return k->c->missing(k->c->ctx, ref);
	return gitpour_failed(&k->pour, &ref->id, code);
}

static int wrong_type(struct call *k, const struct scorpio_ref *ref,
		      const git_oid *oid, const char *wanted)
{
	return gitpour_failed(&k->pour, &ref->id,
			      gitfail(k->c->source, -EINVAL,
				      "object %s is not a %s",
				      git_oid_tostr_s(oid), wanted));
}

static int list_one(struct call *k, const struct scorpio_ref *ref,
		    const git_oid *oid)
{
	auto_odb_object git_odb_object *o = NULL;
	int rc = gitrepo_read(k->c->source, k->c->repo, &k->h, oid, &o);

	if (rc < 0)
		return object_failed(k, ref, rc);
	if (git_odb_object_type(o) != GIT_OBJECT_TREE)
		return wrong_type(k, ref, oid, "directory");
	return gitpour_tree(&k->pour, oid, git_odb_object_data(o),
			    git_odb_object_size(o), true);
}

static int fetch_one(struct call *k, const struct scorpio_ref *ref,
		     const git_oid *oid)
{
	struct gitlocal_call *c = k->c;
	auto_odb_object git_odb_object *o = NULL;
	git_object_t type;
	size_t size;
	int rc = gitrepo_header(c->source, c->repo, &k->h, oid, &size, &type);

	if (rc < 0)
		return object_failed(k, ref, rc);
	if (type != GIT_OBJECT_BLOB)
		return wrong_type(k, ref, oid, "file");
	if (size > GIT_WHOLE_MAX)
		return gitlocal_stream(c->source, c->sink,
				       gitrepo_dir(c->repo), oid, size);
	rc = gitrepo_read(c->source, c->repo, &k->h, oid, &o);
	if (rc < 0)
		return object_failed(k, ref, rc);
	return gitpour_blob(&k->pour, oid, git_odb_object_data(o),
			    git_odb_object_size(o));
}

static int size_one(struct call *k, const struct scorpio_ref *ref,
		    const git_oid *oid)
{
	const struct scorpio_sink *sink = k->c->sink;
	git_object_t type;
	size_t size;
	int rc = gitrepo_header(k->c->source, k->c->repo, &k->h, oid, &size,
				&type);

	if (rc < 0)
		return object_failed(k, ref, rc);
	if (type != GIT_OBJECT_BLOB)
		return wrong_type(k, ref, oid, "file");
	return sink->size(sink->ctx, &ref->id, size);
}

typedef int (*one_fn)(struct call *k, const struct scorpio_ref *ref,
		      const git_oid *oid);

static int each(struct gitlocal_call *c, const struct scorpio_ref *refs,
		uint32_t n, one_fn one)
{
	struct call k = { .c = c };
	git_oid oid;
	int rc;

	k.pour.source = c->source;
	k.pour.sink = c->sink;
	k.pour.size_of = blob_size;
	k.pour.ctx = &k;
	rc = gitrepo_take(c->source, c->repo, &k.h);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		rc = git_check(c->source);
		if (rc)
			break;
		if (gitid_to_oid(&refs[i].id, &oid))
			rc = one(&k, &refs[i], &oid);
		else
			rc = gitpour_failed(&k.pour, &refs[i].id,
					    gitfail(c->source, -EINVAL,
						    "not a git object id"));
	}
	gitrepo_give(c->repo, &k.h);
	return rc;
}

int gitlocal_list(struct gitlocal_call *c, const struct scorpio_ref *refs,
		  uint32_t n)
{
	return each(c, refs, n, list_one);
}

int gitlocal_fetch(struct gitlocal_call *c, const struct scorpio_ref *refs,
		   uint32_t n)
{
	return each(c, refs, n, fetch_one);
}

int gitlocal_sizes(struct gitlocal_call *c, const struct scorpio_ref *refs,
		   uint32_t n)
{
	return each(c, refs, n, size_one);
}

/* -- blobs too large for memory -------------------------------------------- */

struct stream {
	const struct scorpio_sink *sink;
	uint64_t left;
	int result; /* of the sink */
};

static int stream_data(void *ctx, const void *data, uint64_t n)
{
	struct stream *st = ctx;

	st->result = n > st->left ? -EBADMSG :
				    st->sink->blob_data(st->sink->ctx, data, n);
	if (st->result)
		return st->result;
	st->left -= n;
	return 0;
}

static int run_cat_file(struct gitsource *s, const char *gitdir,
			const git_oid *oid, struct stream *st)
{
	char hex[GIT_HEX + 1];
	auto_free char *dir = NULL;
	const char *argv[] = { "git", "-c", "safe.directory=*", NULL,
			       "cat-file", "blob", hex, NULL };
	static const char *const env[] = { "GIT_NO_LAZY_FETCH=1",
					   "GIT_TERMINAL_PROMPT=0", NULL };
	struct scorpio_spawn x = { .struct_size = sizeof(x) };
	int rc;

	git_oid_tostr(hex, sizeof(hex), oid);
	if (asprintf(&dir, "--git-dir=%s", gitdir) < 0)
		return gitfail(s, -ENOMEM, "out of memory");
	argv[3] = dir;
	x.argv = argv;
	x.env = env;
	x.on_output = stream_data;
	x.ctx = st;
	x.timeout_ms = 3600 * 1000; /* the call's own deadline comes first */
	rc = s->host->spawn(s->host, &x);
	if (st->result)
		return st->result;
	if (rc == -ENOENT)
		return gitfail(s, -EIO, "object %s has more than 64 MiB; the "
			       "program 'git' is needed to read it: install it",
			       hex);
	if (rc < 0)
		return rc;
	if (x.exit_status || st->left)
		return gitfail(s, -EIO, "git cat-file %s: %s", hex,
			       *x.error ? x.error : "ended early");
	return 0;
}

int gitlocal_stream(struct gitsource *s, const struct scorpio_sink *sink,
		    const char *gitdir, const git_oid *oid, uint64_t size)
{
	struct stream st = { .sink = sink, .left = size };
	struct scorpio_id id = gitid_from_raw(oid->id);
	int rc = sink->blob_begin(sink->ctx, &id, size);

	if (rc)
		return rc;
	rc = run_cat_file(s, gitdir, oid, &st);
	if (rc == 0)
		return sink->blob_end(sink->ctx);
	if (st.result)
		return st.result; /* the sink asked to stop */
	sink->abandon(sink->ctx, rc);
	if (gitrc_stops(rc) || !sink->failed)
		return rc;
	return sink->failed(sink->ctx, &id, rc);
}
