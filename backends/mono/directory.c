/* SPDX-License-Identifier: Apache-2.0 */
#include "directory.h"

#include "commits.h"
#include "layer.h"
#include "modes.h"
#include "request.h"
#include "text.h"

#include <jansson.h>
#include <openssl/sha.h>
#include <strings.h>

static const uint8_t empty_tree[MONO_OID] = {
	0x4b, 0x82, 0x5d, 0xc6, 0x42, 0xcb, 0x6e, 0xb9, 0xa0, 0x60,
	0xe5, 0x4b, 0xf8, 0xd6, 0x92, 0x88, 0xfb, 0xee, 0x49, 0x04,
};

/* -- requests -------------------------------------------------------------- */

int monodir_raw(struct mono *m, const char *path, struct monolist *ret,
		uint8_t ret_id[MONO_OID], char **ret_body, size_t *ret_len)
{
	auto_free char *url = monoreq_url(m, "/file/tree", path, NULL);
	struct monoreply r = { 0 };
	const char *why;
	int rc;

	*ret_len = 0;
	rc = url ? monoreq_get(m, url, MONO_LIST_MAX, &r) : -ENOMEM;
	if (rc == 0 && r.status != 200 && r.status != 404)
		rc = monoreq_error(m, r.status, r.data, r.len, path);
	if (rc == 0 && r.status == 200 && r.len) {
		monotree_id(r.data, r.len, ret_id);
		rc = monolist_parse_tree(ret, r.data, r.len, &why);
		if (rc == 0)
			*ret_len = r.len;
		else if (rc == -EBADMSG)
			monolog(m, SCORPIO_LOG_WARN, "%s: what it calls the "
				"tree of %s is none: %s", m->shown, path, why);
		if (rc == -EBADMSG)
			rc = 0;
	}
	if (rc == 0 && *ret_len && ret_body) {
		*ret_body = r.data;
		r.data = NULL;
	}
	monoreply_done(&r);
	return rc;
}

/* The server's answer to a request that names a revision it may not know: 404
 * and 400 say so, 500 says anything. */
static bool may_be_unknown(int status, const char *refs)
{
	return *refs && (status == 404 || status == 400 || status == 500);
}

static int ask_json(struct mono *m, const char *what, const char *path,
		    const char *refs, struct monolist *ret)
{
	auto_free char *url = monoreq_url(m, what, path, refs);
	struct monoreply r = { 0 };
	const char *why = "";
	char said[200];
	int rc;

	rc = url ? monoreq_get(m, url, MONO_LIST_MAX, &r) : -ENOMEM;
	if (rc == 0 && r.status != 200) {
		rc = monoreq_error(m, r.status, r.data, r.len, path);
		if (may_be_unknown(r.status, refs))
			rc = -ENOENT;
	} else if (rc == 0) {
		rc = monolist_parse_json(ret, r.data, r.len, said,
					 sizeof(said), &why);
		if (rc == -EREMOTEIO)
			rc = monofail(m, -EIO, "%s: %s: the server says: %s",
				      m->shown, path, said);
		else if (rc < 0)
			rc = monofail(m, rc, "%s: the list of %s is damaged: "
				      "%s", m->shown, path, why);
	}
	monoreply_done(&r);
	return rc;
}

int monodir_json(struct mono *m, const char *path, const char *refs,
		 struct monolist *ret)
{
	return ask_json(m, "/tree/content-hash", path, refs, ret);
}

/* -- ids ------------------------------------------------------------------- */

/* Of the address, the path, and perhaps a name in it. */
static bool place_digest(const struct mono *m, const char *path,
			 const char *name, size_t n, uint8_t ret[MONO_PLACE])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	char *text = NULL;
	int len;

	if (strcmp(path, "/") == 0)
		path = "";
	len = asprintf(&text, "%s%c%s%s%.*s", m->shown, 0, path,
		       name ? "/" : "", (int)n, name ? name : "");
	if (len < 0)
		return false;
	SHA256((uint8_t *)text, (size_t)len, sum);
	free(text);
	memcpy(ret, sum, MONO_PLACE);
	return true;
}

struct scorpio_id monodir_import_id(const struct mono *m, const char *path,
				    const char *name, size_t n,
				    const uint8_t token[MONO_OID])
{
	struct scorpio_id id;

	memset(&id, 0, sizeof(id));
	id.len = MONO_IMPORT_ID;
	id.bytes[0] = 'i';
	memcpy(id.bytes + 1, token, MONO_OID);
	if (!place_digest(m, path, name, n, id.bytes + 1 + MONO_OID))
		id.len = 0;
	return id;
}

/* -- one directory --------------------------------------------------------- */

struct asked { /* what list() was asked for */
	struct mono *m;
	const struct scorpio_sink *sink;
	struct scorpio_id id;
	char *path;        /* absolute; owned */
	const uint8_t *id_tree; /* in id: the tree id, or the token */
	bool token;        /* the id is that of an import, or may be */
	struct monolist now; /* what main holds at this path; may be empty */
	int stopped;       /* what the sink returned to stop us */
};

static bool hidden(const struct asked *a, const char *name, uint32_t n)
{
	const char *why;

	if (n == 4 && strncasecmp(name, ".git", 4) == 0)
		why = "called '.git'";
	else if (n > SCORPIO_NAME_MAX)
		why = "with a name of more than 255 bytes";
	else
		return false;
	monolog(a->m, SCORPIO_LOG_WARN, "an entry of %s %s is not shown",
		a->path, why);
	return true;
}

static int pour_entry(struct asked *a, const char *name,
		      const struct monoentry *e, bool imports)
{
	struct scorpio_entry out;

	memset(&out, 0, sizeof(out));
	out.id = monoid_git(e->oid);
	out.name = name;
	out.name_len = e->name_len;
	out.mtime_ns = SCORPIO_TIME_UNKNOWN;
	out.size = e->size;
	out.mode = 0755;
	switch (e->mode & 0170000u) {
	case MONO_MODE_DIR:
		out.kind = SCORPIO_DIR;
		out.size = 0;
		if (imports)
			out.id = monodir_import_id(a->m, a->path, name,
						   e->name_len, e->oid);
		break;
	case MONO_MODE_LINK:
		out.kind = SCORPIO_SYMLINK;
		out.mode = 0777;
		break;
	case MONO_MODE_SUB:
		out.kind = SCORPIO_SUBMODULE;
		out.size = 0;
		break;
	default:
		out.kind = SCORPIO_FILE;
		out.mode = e->mode & 0100 ? 0755 : 0644;
	}
	return out.id.len ? a->sink->tree_entry(a->sink->ctx, &out) : -ENOMEM;
}

/* imports: directories in it may be placeholders of imported repositories */
static int pour(struct asked *a, const struct monolist *l, bool imports)
{
	int rc = a->sink->tree_begin(a->sink->ctx, &a->id);

	for (size_t i = 0; i < l->n && !rc; i++) {
		const char *name = monolist_name(l, &l->e[i]);

		if (!hidden(a, name, l->e[i].name_len))
			rc = pour_entry(a, name, &l->e[i], imports);
	}
	if (!rc)
		rc = a->sink->tree_end(a->sink->ctx);
	a->stopped = rc;
	return rc;
}

/* May directories in the monorepo's own tree at this path be placeholders? */
static bool holds_imports(const struct asked *a)
{
	return a->token || (*a->m->import &&
			    strcmp(a->path, a->m->import) == 0);
}

/* 1: poured. 0: main holds something else, or nothing, at this path. */
static int try_now(struct asked *a)
{
	uint8_t id[MONO_OID];
	size_t len;
	int rc = monodir_raw(a->m, a->path, &a->now, id, NULL, &len);

	if (rc < 0 || !len || memcmp(id, a->id_tree, MONO_OID) != 0)
		return rc;
	rc = pour(a, &a->now, holds_imports(a));
	return rc ? rc : 1;
}

/* Does the parent say, at this commit, that the path is this directory? */
static int confirm(struct asked *a, const char *commit)
{
	struct monolist l = { 0 };
	int rc;

	if (strcmp(a->path, "/") == 0)
		return 0;
	rc = ask_json(a->m, "/tree/dir-hash", a->path, commit, &l);
	if (rc == 0)
		rc = l.n == 1 && l.e[0].mode == MONO_MODE_DIR &&
		     memcmp(l.e[0].oid, a->id_tree, MONO_OID) == 0;
	monolist_done(&l);
	return rc;
}

static int pour_unsure(struct asked *a, const struct monolist *l)
{
	monolog(a->m, SCORPIO_LOG_WARN,
		"%s: %s is not on main any more, and the server cannot tell "
		"which of its files are executable or symbolic links",
		a->m->shown, a->path);
	a->m->host->count(a->m->host, "modes_unknown", 1);
	return pour(a, l, holds_imports(a));
}

/* The list at one commit. 1: poured, 0: it is not what was asked for. */
static int settle(struct asked *a, struct monolist *l, const char *commit)
{
	int rc;

	if (!l->n)
		return 0;
	if (monomodes_solve(l, &a->now, a->id_tree)) {
		rc = pour(a, l, holds_imports(a));
	} else if (a->token && monolist_same(l, &a->now)) {
		/* an imported repository: always its default branch */
		rc = pour(a, &a->now, false);
	} else {
		rc = confirm(a, commit);
		if (rc <= 0)
			return rc;
		rc = pour_unsure(a, l);
	}
	return rc ? rc : 1;
}

static int try_commit(struct asked *a, const char *commit)
{
	struct monolist l = { 0 };
	int rc = monodir_json(a->m, a->path, commit, &l);

	if (rc == 0)
		rc = settle(a, &l, commit);
	monolist_done(&l);
	if (rc == 1)
		monocommits_useful(a->m->commits, commit);
	return rc == -ENOENT && !a->stopped ? 0 : rc;
}

static int not_there(struct asked *a, size_t commits)
{
	if (a->token && !a->now.n)
		return monofail(a->m, -EIO, "%s: the server shows nothing at "
				"%s, though its parent holds it; is the "
				"repository imported there still being "
				"received?", a->m->shown, a->path);
	return monofail(a->m, -ESTALE, "%s: the server shows this state of %s "
			"neither on main nor at the %zu revisions in use "
			"here; switch to a revision it still has", a->m->shown,
			a->path, commits);
}

static int try_commits(struct asked *a)
{
	char (*all)[MONO_HEX + 1] = calloc(MONO_COMMITS_MAX, sizeof(*all));
	size_t n, i;
	int rc = 0;

	if (!all)
		return -ENOMEM;
	n = monocommits_all(a->m->commits, all);
	/* none known: then perhaps main, for an imported repository */
	for (i = 0; i < (n ? n : 1) && rc == 0; i++)
		rc = try_commit(a, all[i]);
	free(all);
	return rc ? rc : not_there(a, n);
}

/* The root tree of a commit comes with its resolution. 1: poured. */
static int try_root(struct asked *a)
{
	struct monolist l = { 0 };
	const char *why;
	size_t len;
	char *body;
	int rc;

	if (strcmp(a->path, "/") != 0)
		return 0;
	body = monocommits_root(a->m->commits, a->id_tree, &len);
	if (!body)
		return 0;
	rc = monolist_parse_tree(&l, body, len, &why);
	free(body);
	if (rc == 0)
		rc = pour(a, &l, false);
	monolist_done(&l);
	return rc ? rc : 1;
}

/* A server that tells modes gives sizes along with them. 1: poured. */
static int try_extras(struct asked *a)
{
	char (*all)[MONO_HEX + 1];
	struct monolist l = { 0 };
	uint8_t id[MONO_OID];
	char *body = NULL;
	size_t len, n;
	int rc;

	if (!__atomic_load_n(&a->m->extras, __ATOMIC_RELAXED) || a->token)
		return 0;
	all = calloc(MONO_COMMITS_MAX, sizeof(*all));
	n = all ? monocommits_all(a->m->commits, all) : 0;
	rc = n ? monodir_json(a->m, a->path, all[0], &l) : 0;
	free(all);
	if (rc == 0 && l.n && (body = monolist_tree(&l, &len, NULL))) {
		monotree_id(body, len, id);
		if (memcmp(id, a->id_tree, MONO_OID) == 0) {
			rc = pour(a, &l, holds_imports(a));
			rc = rc ? rc : 1;
		}
	}
	free(body);
	monolist_done(&l);
	return rc == -ENOENT && !a->stopped ? 0 : rc;
}

static int ask(struct asked *a)
{
	const struct monolist none = { 0 };
	int rc;

	if (memcmp(a->id_tree, empty_tree, MONO_OID) == 0 && !a->token)
		return pour(a, &none, false);
	rc = try_root(a);
	if (rc == 0)
		rc = try_extras(a);
	if (rc == 0)
		rc = try_now(a);
	if (rc == 0)
		rc = try_commits(a);
	return rc > 0 && !a->stopped ? 0 : rc;
}

/* -- list ------------------------------------------------------------------ */

static bool is_text(const char *s)
{
	json_t *j = json_string(s); /* NULL if not UTF-8 */

	json_decref(j);
	return j != NULL;
}

static int understand(struct asked *a, const struct scorpio_ref *ref)
{
	uint8_t place[16];

	if (!ref->path)
		return monofail(a->m, -EINVAL, "mono: a directory without its "
				"path");
	a->path = malloc(ref->path_len + 2u);
	if (!a->path)
		return -ENOMEM;
	a->path[0] = '/';
	memcpy(a->path + 1, ref->path, ref->path_len);
	a->path[ref->path_len + 1] = 0;
	if (!is_text(a->path))
		return monofail(a->m, -EIO, "mono: %s: its name is not UTF-8, "
				"so the server cannot be asked for it",
				a->path);
	a->id = ref->id;
	a->token = ref->id.len == MONO_IMPORT_ID && ref->id.bytes[0] == 'i';
	a->id_tree = a->id.bytes + a->token;
	if (!a->token)
		return ref->id.len == MONO_OID ?
			       0 :
			       monofail(a->m, -EINVAL, "mono: %s: not an id of "
					"a directory", a->path);
	if (!place_digest(a->m, a->path, NULL, 0, place))
		return -ENOMEM;
	return memcmp(place, a->id.bytes + 1 + MONO_OID, MONO_PLACE) == 0 ?
		       0 :
		       monofail(a->m, -ESTALE, "mono: %s: the id is that of "
				"another place or server", a->path);
}

static int list_one(struct mono *m, const struct scorpio_ref *ref,
		    const struct scorpio_sink *sink)
{
	struct asked a = { .m = m, .sink = sink };
	int rc = understand(&a, ref);

	if (rc == 0)
		rc = ask(&a);
	monolist_done(&a.now);
	free(a.path);
	if (!rc || a.stopped || monorc_stops(rc))
		return rc;
	/* never "no such file": the parent says there is one */
	if (rc == -ENOENT)
		rc = -EIO;
	return sink->failed ? sink->failed(sink->ctx, &ref->id, rc) : rc;
}

int monodir_list(struct mono *m, const struct scorpio_ref *refs, uint32_t n,
		 const struct scorpio_sink *sink)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && !rc; i++)
		rc = monolayer_is(&refs[i].id) ?
			     monolayer_list(m, &refs[i], sink) :
			     list_one(m, &refs[i], sink);
	return rc;
}
