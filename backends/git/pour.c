/* SPDX-License-Identifier: Apache-2.0 */
#include "pour.h"

#include "object.h"

int gitpour_failed(struct gitpour *p, const struct scorpio_id *id, int code)
{
	if (gitrc_stops(code) || !p->sink->failed)
		return code;
	return p->sink->failed(p->sink->ctx, id, code);
}

static int malformed(struct gitpour *p, const git_oid *oid, const char *why)
{
	struct scorpio_id id = gitid_from_raw(oid->id);
	char hex[GIT_HEX + 1];

	git_oid_tostr(hex, sizeof(hex), oid);
	return gitpour_failed(p, &id,
			      gitfail(p->source, -EBADMSG,
				      "tree %s is damaged: %s", hex, why));
}

/* The whole tree is read once before anything of it is poured. */
static const char *tree_fault(const git_oid *oid, const void *raw, size_t len,
			      bool verify)
{
	struct gittree_reader r;
	struct gittree_entry e;
	git_oid sum;
	int rc;

	if (len > GIT_TREE_MAX)
		return "it is larger than 64 MiB";
	if (verify && (git_odb_hash(&sum, raw, len, GIT_OBJECT_TREE) < 0 ||
		       !git_oid_equal(&sum, oid)))
		return "its content does not match its id";
	gittree_begin(&r, raw, len);
	do
		rc = gittree_next(&r, &e);
	while (rc > 0);
	return rc < 0 ? r.why : NULL;
}

static bool hidden(struct gitpour *p, const git_oid *oid,
		   const struct gittree_entry *e)
{
	const char *why;
	char hex[GIT_HEX + 1];

	if (gittree_forbidden(e->name, e->name_len))
		why = "is called '.git'";
	else if (e->name_len > SCORPIO_NAME_MAX)
		why = "has a name of more than 255 bytes";
	else
		return false;
	git_oid_tostr(hex, sizeof(hex), oid);
	gitlog(p->source, SCORPIO_LOG_WARN,
	       "an entry of tree %s %s and is not shown", hex, why);
	return true;
}

static int pour_entry(struct gitpour *p, const struct gittree_entry *e)
{
	struct scorpio_entry out;

	memset(&out, 0, sizeof(out));
	out.id = gitid_from_raw(e->id);
	out.name = e->name;
	out.name_len = e->name_len;
	out.mode = e->mode;
	out.kind = e->kind;
	out.mtime_ns = SCORPIO_TIME_UNKNOWN;
	out.size = SCORPIO_SIZE_UNKNOWN;
	if (e->kind == SCORPIO_DIR || e->kind == SCORPIO_SUBMODULE)
		out.size = 0;
	else if (p->size_of)
		out.size = p->size_of(p->ctx, e->id);
	return p->sink->tree_entry(p->sink->ctx, &out);
}

int gitpour_tree(struct gitpour *p, const git_oid *oid, const void *raw,
		 size_t len, bool verify)
{
	const struct scorpio_sink *sink = p->sink;
	const char *why = tree_fault(oid, raw, len, verify);
	struct scorpio_id id = gitid_from_raw(oid->id);
	struct gittree_reader r;
	struct gittree_entry e;
	int rc;

	if (why)
		return malformed(p, oid, why);
	rc = sink->tree_begin(sink->ctx, &id);
	if (rc)
		return rc;
	gittree_begin(&r, raw, len);
	while (gittree_next(&r, &e) > 0) {
		if (hidden(p, oid, &e))
			continue;
		rc = pour_entry(p, &e);
		if (rc)
			return rc;
	}
	return sink->tree_end(sink->ctx);
}

int gitpour_blob(struct gitpour *p, const git_oid *oid, const void *data,
		 size_t len)
{
	const struct scorpio_sink *sink = p->sink;
	struct scorpio_id id = gitid_from_raw(oid->id);
	int rc = sink->blob_begin(sink->ctx, &id, len);

	if (rc == 0 && len)
		rc = sink->blob_data(sink->ctx, data, len);
	return rc ? rc : sink->blob_end(sink->ctx);
}

int gitpour_object(struct gitpour *p, git_odb_object *o, bool verify)
{
	const void *data = git_odb_object_data(o);
	size_t len = git_odb_object_size(o);

	switch (git_odb_object_type(o)) {
	case GIT_OBJECT_TREE:
		return gitpour_tree(p, git_odb_object_id(o), data, len, verify);
	case GIT_OBJECT_BLOB:
		return gitpour_blob(p, git_odb_object_id(o), data, len);
	default:
		return 0;
	}
}
