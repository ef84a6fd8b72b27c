/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - revisions of a server. A name costs one request for references
 * and one for the commit with its root tree; a full id only the latter. "~n" and
 * "^n" cost one more.
 */
#include "object.h"
#include "remote.h"
#include "repo.h"
#include "resolve.h"

struct lookup {
	struct gitsource *source;
	bool commit_seen; /* from here on only trees are asked for */
};

/* -- from a name to an id --------------------------------------------------- */

static const struct gitref *find_ref(const struct gitrefs *refs,
				     const char *name)
{
	char full[4200];

	for (unsigned k = 0; gitrev_candidate(name, k, full, sizeof(full)); k++)
		for (size_t i = 0; i < refs->n; i++)
			if (strcmp(refs->v[i].name, full) == 0)
				return &refs->v[i];
	return NULL;
}

static int take_ref(struct gitsource *s, const struct gitref *ref,
		    git_oid *ret, char **ret_label)
{
	if (git_oid_is_zero(&ref->oid))
		return gitfail(s, -ENOENT, "%s: the repository has no commit "
			       "yet", s->url.text);
	*ret = git_oid_is_zero(&ref->peeled) ? ref->oid : ref->peeled;
	*ret_label = strdup(ref->symref ? ref->symref : ref->name);
	return *ret_label ? 0 : gitfail(s, -ENOMEM, "out of memory");
}

static bool short_id(const char *name)
{
	size_t n = strlen(name);

	return n >= GIT_OID_MINPREFIXLEN && n < GIT_HEX && githex_all(name, n);
}

/* A short id can be found only among what the server tells: its references. */
static int find_short(struct gitsource *s, const char *name, git_oid *ret,
		      char **ret_label)
{
	struct gitrefs refs = { 0 };
	const struct gitref *found = NULL;
	bool ambiguous = false;
	git_oid prefix;
	size_t n = strlen(name);
	int rc = gitremote_refs(s, NULL, 0, &refs);

	git_oid_fromstrn(&prefix, name, n);
	for (size_t i = 0; rc == 0 && i < refs.n; i++) {
		const struct gitref *r = &refs.v[i];

		if (git_oid_ncmp(&r->oid, &prefix, n) != 0 &&
		    git_oid_ncmp(&r->peeled, &prefix, n) != 0)
			continue;
		ambiguous |= found && !git_oid_equal(&found->oid, &r->oid) &&
			     !git_oid_equal(&found->peeled, &r->oid) &&
			     !git_oid_equal(&found->oid, &r->peeled);
		found = r;
	}
	if (rc == 0 && ambiguous)
		rc = gitfail(s, -EINVAL, "'%s' is ambiguous: more than one "
			     "branch or tag is at an id that begins so", name);
	else if (rc == 0 && !found)
		rc = gitfail(s, -ENOTSUP, "'%s' is no branch or tag, and a "
			     "server can be asked for a short id only if a "
			     "branch or tag is there; give all 40 digits",
			     name);
	else if (rc == 0)
		rc = take_ref(s, found, ret, ret_label);
	gitrefs_done(&refs);
	return rc;
}

static int find_name(struct gitsource *s, const char *name, git_oid *ret,
		     char **ret_label)
{
	char full[GITREV_CANDIDATES][4200];
	const char *prefixes[GITREV_CANDIDATES];
	struct gitrefs refs = { 0 };
	const struct gitref *ref;
	unsigned n = 0;
	int rc;

	/* "main" itself is never a reference, HEAD and refs/... are */
	if (strncmp(name, "refs/", 5) == 0 || strcmp(name, "HEAD") == 0) {
		prefixes[n++] = name;
	} else {
		for (unsigned k = 1; gitrev_candidate(name, k, full[k],
						      sizeof(full[k])); k++)
			prefixes[n++] = full[k];
	}
	rc = gitremote_refs(s, prefixes, n, &refs);
	ref = rc == 0 ? find_ref(&refs, name) : NULL;
	if (ref)
		rc = take_ref(s, ref, ret, ret_label);
	else if (rc == 0 && short_id(name))
		rc = find_short(s, name, ret, ret_label);
	else if (rc == 0 && strcmp(name, "HEAD") == 0)
		rc = gitfail(s, -ENOENT, "%s: the repository has no commit "
			     "yet, or its HEAD names a branch that does not "
			     "exist; name a branch", s->url.text);
	else if (rc == 0)
		rc = gitfail(s, -ENOENT, "%s: no branch or tag '%s'",
			     s->url.text, name);
	gitrefs_done(&refs);
	return rc;
}

static int find_id(struct gitsource *s, const char *name, git_oid *ret,
		   char **ret_label)
{
	struct gitcaps caps;
	int rc;

	if (strstr(name, "@{"))
		return gitfail(s, -ENOTSUP, "'%s': '@{' needs a reflog, which "
			       "a server does not tell; give the commit's id",
			       name);
	if (strpbrk(name, " ?*[\\"))
		return gitfail(s, -EINVAL, "'%s' is not a revision", name);
	if (strlen(name) == GIT_HEX && githex_decode(name, ret->id))
		return 0;
	if (strlen(name) == 64 && githex_all(name, 64))
		return gitfail(s, -ENOTSUP, "SHA-256 repositories are not "
			       "supported by libgit2 1.5");
	rc = gitremote_caps(s, &caps);
	return rc < 0 ? rc : find_name(s, name, ret, ret_label);
}

/* The same with "~n" and "^n" behind it. Such a commit is at no branch. */
static int find_revision(struct gitsource *s, const char *name, git_oid *ret,
			 char **ret_label)
{
	size_t n = strcspn(name, "~^");
	auto_free char *base = strndup(name, n), *label = NULL;
	int rc;

	if (!base)
		return gitfail(s, -ENOMEM, "out of memory");
	if (!name[n])
		return find_id(s, name, ret, ret_label);
	if (!n)
		return gitfail(s, -EINVAL, "'%s': a revision is missing before "
			       "'%c'", name, *name);
	rc = find_id(s, strcmp(base, "@") == 0 ? "HEAD" : base, ret, &label);
	if (rc < 0)
		return rc;
	rc = gitremote_ancestor(s, name, name + n, ret);
	return rc != -ESTALE ? rc : gitfail(s, -ENOENT, "%s: the server has no "
					    "commit %s", s->url.text, base);
}

/* -- from an id to the tree ------------------------------------------------- */

static int read_full(struct gitsource *s, const git_oid *oid,
		     git_odb_object **ret)
{
	struct gitrepo *full = gitremote_full(s->remote);
	struct githandle h;
	int rc;

	if (!full)
		return -ESTALE;
	rc = gitrepo_take(s, full, &h);
	if (rc < 0)
		return rc;
	rc = gitrepo_read(s, full, &h, oid, ret);
	gitrepo_give(full, &h);
	return rc;
}

/* Is it more than was asked for? Then the server ignored the filter. */
static bool has_blobs(struct gitpack *p)
{
	git_object_t type;
	size_t n;
	const git_oid *ids = gitpack_ids(p, &n);

	for (size_t i = 0; i < n; i++)
		if (gitpack_has(p, &ids[i], &type) && type == GIT_OBJECT_BLOB)
			return true;
	return false;
}

static void keep_objects(struct gitsource *s, struct gitpack *p)
{
	size_t n;
	const git_oid *ids = gitpack_ids(p, &n);

	/* commits come first in a pack, then the root tree */
	for (size_t i = 0; i < n && i < 8; i++) {
		auto_odb_object git_odb_object *o = NULL;

		if (gitpack_read(p, &ids[i], &o) == 0 &&
		    git_odb_object_type(o) != GIT_OBJECT_BLOB)
			gitremote_keep(s->remote, o);
	}
}

static int pull_object(struct lookup *l, const git_oid *oid,
		       git_odb_object **ret)
{
	struct gitsource *s = l->source;
	struct gitwant w = {
		.purpose = l->commit_seen ? GITPULL_TREES : GITPULL_COMMIT,
		.oids = oid, .n = 1,
	};
	struct gitpack *p = NULL;
	int rc = gitremote_pull(s, &w, &p);

	if (rc < 0)
		return rc;
	rc = gitpack_read(p, oid, ret);
	if (rc == 0 && !l->commit_seen && (w.everything || has_blobs(p)))
		rc = gitremote_keep_pack(s, p);
	else if (rc == 0)
		keep_objects(s, p);
	if (rc < 0) {
		git_odb_object_free(*ret);
		*ret = NULL;
	}
	gitpack_free(p);
	return rc;
}

static int get_object(void *ctx, const git_oid *oid, git_odb_object **ret)
{
	struct lookup *l = ctx;
	int rc = 0;

	*ret = gitremote_kept(l->source->remote, oid);
	if (!*ret)
		rc = read_full(l->source, oid, ret);
	if (rc == -ESTALE)
		rc = pull_object(l, oid, ret);
	if (rc == 0 && git_odb_object_type(*ret) == GIT_OBJECT_COMMIT) {
		l->commit_seen = true;
		gitremote_set_commit(l->source->remote, oid);
	}
	return rc;
}

/* A commit that a server does not have is a revision that does not exist. */
static int not_there(struct gitsource *s, int rc, const struct gitrev *rev,
		     bool by_id)
{
	if (rc != -ESTALE || !by_id)
		return rc;
	return gitfail(s, -ENOENT, "%s: the server has no commit %s",
		       s->url.text, rev->name);
}

int gitremote_resolve(struct gitsource *s, const char *spec,
		      struct scorpio_revision *ret)
{
	struct lookup l = { .source = s };
	auto_free char *label = NULL;
	struct gitrev rev;
	git_oid oid;
	int rc = gitrev_parse(s, spec, &rev);

	if (rc < 0)
		return rc;
	rc = find_revision(s, rev.name, &oid, &label);
	if (rc == 0)
		rc = not_there(s, gitrev_finish(s, &rev, &oid, label,
						get_object, &l, ret),
			       &rev, !label);
	gitrev_done(&rev);
	return rc;
}
