/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ancestors.c - REV~n and REV^n on a server: the commits of as many generations
 * as there are steps come in one shallow fetch without trees, then the parents
 * are followed. The last commit itself is not needed for that.
 */
#include "object.h"
#include "remote.h"

#define GENERATIONS_MAX 10000u
#define HISTORY_MAX (256u << 20) /* bytes of commits */
#define TAG_DEPTH 16

struct step {
	unsigned parent, times;
};

static bool number(const char **p, unsigned *ret)
{
	unsigned n = 0;

	if (**p < '0' || **p > '9') {
		*ret = 1;
		return true;
	}
	for (; **p >= '0' && **p <= '9'; ++*p) {
		n = 10 * n + (unsigned)(**p - '0');
		if (n > GENERATIONS_MAX)
			return false;
	}
	*ret = n;
	return true;
}

/* False: malformed, or too far. */
static bool next_step(const char **p, struct step *ret)
{
	static const char *const same[] = { "^{}", "^{commit}" };
	char kind = **p;
	unsigned n;

	*ret = (struct step){ 1, 0 };
	for (unsigned i = 0; i < 2; i++) {
		if (strncmp(*p, same[i], strlen(same[i])) == 0) {
			*p += strlen(same[i]);
			return true;
		}
	}
	++*p;
	if ((kind != '~' && kind != '^') || !number(p, &n))
		return false;
	if (kind == '~')
		ret->times = n;
	else if (n)
		*ret = (struct step){ n, 1 };
	return true;
}

static int count(struct gitsource *s, const char *name, const char *steps,
		 unsigned *ret)
{
	unsigned total = 0;
	struct step step;

	while (*steps) {
		if (!next_step(&steps, &step) ||
		    step.times > GENERATIONS_MAX - total)
			return gitfail(s, -EINVAL, "'%s' is not a revision, or "
				       "goes back further than %u commits",
				       name, GENERATIONS_MAX);
		total += step.times;
	}
	*ret = total;
	return 0;
}

static int read_commit(struct gitsource *s, struct gitpack *p,
		       const char *name, git_oid *at, git_odb_object **ret)
{
	for (unsigned i = 0; i < TAG_DEPTH; i++) {
		git_odb_object *o = NULL;
		int rc = gitpack_read(p, at, &o);
		git_object_t type;

		if (rc == -ESTALE)
			return gitfail(s, -ENOENT, "'%s': the server's history "
				       "ends before", name);
		if (rc < 0)
			return rc;
		type = git_odb_object_type(o);
		if (type == GIT_OBJECT_COMMIT) {
			*ret = o;
			return 0;
		}
		rc = type == GIT_OBJECT_TAG
			     ? gittag_parse(git_odb_object_data(o),
					    git_odb_object_size(o), at->id)
			     : -EBADMSG;
		git_odb_object_free(o);
		if (rc < 0)
			break;
	}
	return gitfail(s, -EINVAL, "'%s': only commits have parents", name);
}

static int go_up(struct gitsource *s, struct gitpack *p, const char *name,
		 unsigned parent, git_oid *at)
{
	auto_odb_object git_odb_object *o = NULL;
	int rc = read_commit(s, p, name, at, &o);

	if (rc < 0)
		return rc;
	rc = gitcommit_parent(git_odb_object_data(o), git_odb_object_size(o),
			      parent, at->id);
	if (rc == -ENOENT)
		return gitfail(s, rc, "'%s': commit %s has no parent %u", name,
			       git_oid_tostr_s(git_odb_object_id(o)), parent);
	return rc < 0 ? gitfail(s, rc, "commit %s is malformed",
				git_oid_tostr_s(at)) : 0;
}

static int follow(struct gitsource *s, struct gitpack *p, const char *name,
		  const char *steps, git_oid *at)
{
	struct step step;
	int rc = 0;

	while (rc == 0 && *steps && next_step(&steps, &step))
		for (unsigned i = 0; rc == 0 && i < step.times; i++)
			rc = go_up(s, p, name, step.parent, at);
	return rc;
}

int gitremote_ancestor(struct gitsource *s, const char *name,
		       const char *steps, git_oid *oid)
{
	git_oid at = *oid;
	struct gitwant w = { .purpose = GITPULL_HISTORY, .oids = &at, .n = 1,
			     .max = HISTORY_MAX };
	struct gitpack *p = NULL;
	int rc = count(s, name, steps, &w.deepen);

	if (rc < 0 || !w.deepen)
		return rc;
	rc = gitremote_pull(s, &w, &p);
	if (rc == 0)
		rc = follow(s, p, name, steps, &at);
	gitpack_free(p);
	if (rc == 0)
		*oid = at;
	return rc;
}
