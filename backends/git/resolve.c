/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"

#include "object.h"

#define TAG_DEPTH 16 /* tags of tags of tags... */

void gitrev_done(struct gitrev *r)
{
	free(r->name);
	free(r->path);
	memset(r, 0, sizeof(*r));
}

/* The ':' between revision and path: the first outside of braces. */
static const char *find_colon(const char *s)
{
	unsigned depth = 0;

	for (; *s; s++) {
		if (*s == '{')
			depth++;
		else if (*s == '}' && depth)
			depth--;
		else if (*s == ':' && !depth)
			return s;
	}
	return NULL;
}

static bool cut_suffix(char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	if (n <= k || strcmp(s + n - k, suffix) != 0)
		return false;
	s[n - k] = 0;
	return true;
}

/* Collapse slashes; false for "." and ".." components. In place. */
static bool clean_path(char *path)
{
	char *in = path, *out = path;

	while (*in) {
		size_t n = strcspn(in, "/");

		if ((n == 1 && in[0] == '.') ||
		    (n == 2 && in[0] == '.' && in[1] == '.'))
			return false;
		if (n) {
			if (out != path)
				*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in += n;
		while (*in == '/')
			in++;
	}
	*out = 0;
	return true;
}

static int parse(const struct gitsource *s, const char *spec,
		 struct gitrev *r)
{
	const char *colon = find_colon(spec);
	size_t n = colon ? (size_t)(colon - spec) : strlen(spec);

	r->name = n ? strndup(spec, n) : strdup("HEAD");
	r->path = strdup(colon ? colon + 1 : "");
	if (!r->name || !r->path)
		return gitfail(s, -ENOMEM, "out of memory");
	if (n == 0 && colon)
		return gitfail(s, -EINVAL, "'%s': a revision is missing before "
			       "the ':'", spec);
	if (strlen(spec) > 4096)
		return gitfail(s, -EINVAL, "the revision is too long");
	for (const char *p = r->name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return gitfail(s, -EINVAL, "a revision cannot hold "
				       "control characters");
	if (r->name[0] == '-')
		return gitfail(s, -EINVAL, "'%s': a revision cannot begin "
			       "with '-'", spec);
	if (!clean_path(r->path))
		return gitfail(s, -EINVAL, "'%s': the path cannot hold '.' or "
			       "'..'", spec);
	r->tree = cut_suffix(r->name, "^{tree}");
	while (cut_suffix(r->name, "^{commit}") ||
	       cut_suffix(r->name, "^{}") || cut_suffix(r->name, "^0"))
		;
	if (strcmp(r->name, "@") == 0) {
		free(r->name);
		r->name = strdup("HEAD");
		if (!r->name)
			return gitfail(s, -ENOMEM, "out of memory");
	}
	return 0;
}

int gitrev_parse(const struct gitsource *s, const char *spec,
		 struct gitrev *ret)
{
	struct gitrev r = { 0 };
	int rc = parse(s, spec ? spec : "", &r);

	if (rc < 0)
		gitrev_done(&r);
	else
		*ret = r;
	return rc;
}

bool gitrev_candidate(const char *name, unsigned k, char *buf, size_t cap)
{
	static const char *const rules[GITREV_CANDIDATES] = {
		"%s", "refs/%s", "refs/tags/%s", "refs/heads/%s",
		"refs/remotes/%s", "refs/remotes/%s/HEAD"
	};

	return k < GITREV_CANDIDATES &&
	       snprintf(buf, cap, rules[k], name) < (int)cap;
}

struct peeled {
	git_oid tree, commit; /* commit: zero if a tree was named */
	int64_t time_ns;
};

static int peel(struct gitsource *s, const git_oid *from, gitrev_get_fn get,
		void *ctx, struct peeled *ret)
{
	git_oid oid = *from;
	int64_t seconds;

	memset(ret, 0, sizeof(*ret));
	ret->time_ns = SCORPIO_TIME_UNKNOWN;
	for (int i = 0; i < TAG_DEPTH; i++) {
		auto_odb_object git_odb_object *o = NULL;
		const void *raw;
		size_t len;
		int rc = get(ctx, &oid, &o);

		if (rc < 0)
			return rc;
		raw = git_odb_object_data(o);
		len = git_odb_object_size(o);
		switch (git_odb_object_type(o)) {
		case GIT_OBJECT_TREE:
			ret->tree = oid;
			return 0;
		case GIT_OBJECT_COMMIT:
			rc = gitcommit_parse(raw, len, ret->tree.id, &seconds);
			if (rc < 0)
				return gitfail(s, rc, "commit %s is malformed",
					       git_oid_tostr_s(&oid));
			ret->commit = oid;
			ret->time_ns = seconds * 1000000000;
			return 0;
		case GIT_OBJECT_TAG:
			if (gittag_parse(raw, len, oid.id) < 0)
				return gitfail(s, -EBADMSG, "tag %s is "
					       "malformed",
					       git_oid_tostr_s(&oid));
			break;
		default:
			return gitfail(s, -ENOTDIR, "%s is a file, not a "
				       "revision", git_oid_tostr_s(&oid));
		}
	}
	return gitfail(s, -EINVAL, "tags name tags more than %d deep",
		       TAG_DEPTH);
}

/* One step down: *tree becomes the entry's id. */
static int step(struct gitsource *s, gitrev_get_fn get, void *ctx,
		git_oid *tree, const char *name, size_t n, const char *path)
{
	auto_odb_object git_odb_object *o = NULL;
	struct gittree_entry e;
	int rc = get(ctx, tree, &o);

	if (rc < 0)
		return rc;
	if (git_odb_object_type(o) != GIT_OBJECT_TREE)
		return gitfail(s, -EBADMSG, "object %s is not a tree",
			       git_oid_tostr_s(tree));
	rc = gittree_find(git_odb_object_data(o), git_odb_object_size(o), name,
			  n, &e);
	if (rc < 0)
		return gitfail(s, rc, "tree %s is malformed",
			       git_oid_tostr_s(tree));
	if (rc == 0)
		return gitfail(s, -ENOENT, "there is no '%s' in this revision",
			       path);
	if (e.kind != SCORPIO_DIR)
		return gitfail(s, -ENOTDIR, "'%s' is not a directory in this "
			       "revision", path);
	memcpy(tree->id, e.id, GIT_OID_RAWSZ);
	return 0;
}

static int walk(struct gitsource *s, const char *path, gitrev_get_fn get,
		void *ctx, git_oid *tree)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		int rc = step(s, get, ctx, tree, p, n, path);

		if (rc < 0)
			return rc;
		p += n;
		p += *p == '/';
	}
	return 0;
}

int gitrev_finish(struct gitsource *s, const struct gitrev *rev,
		  const git_oid *oid, const char *label, gitrev_get_fn get,
		  void *ctx, struct scorpio_revision *ret)
{
	struct scorpio_revision out;
	struct peeled p;
	const git_oid *canonical;
	int rc = peel(s, oid, get, ctx, &p);

	if (rc < 0)
		return rc;
	canonical = git_oid_is_zero(&p.commit) || rev->tree ? &p.tree :
							      &p.commit;
	memset(&out, 0, sizeof(out));
	rc = snprintf(out.text, sizeof(out.text), "%s%s%s",
		      git_oid_tostr_s(canonical), *rev->path ? ":" : "",
		      rev->path);
	if (rc >= (int)sizeof(out.text))
		return gitfail(s, -EINVAL, "the path after ':' is longer than "
			       "200 bytes");
	rc = walk(s, rev->path, get, ctx, &p.tree);
	if (rc < 0)
		return rc;
	snprintf(out.label, sizeof(out.label), "%s",
		 label ? label : rev->name);
	out.root = gitid_from_raw(p.tree.id);
	out.time_ns = p.time_ns;
	out.kind = SCORPIO_DIR;
	*ret = out;
	return 0;
}
