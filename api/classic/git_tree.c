/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git_tree.c - the trees of a commit: those of the server (/file/tree, which
 * tells modes) with what was changed. Only directories on the way are asked for.
 */
#include "api/classic/git_impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/http.h"
#include "core/path.h"

#define TREE_MAX (64 * MiB)
#define BLOB_MAX (512 * MiB)
#define DEPTH_MAX 200

struct leaf { /* one change */
	char *path; /* as bytes; owned */
	const json_t *value;
};

struct entry {
	char *name; /* owned */
	char mode[8];
	char hex[GIT_HEX];
};

struct gtree {
	struct entry *e;
	size_t n, cap;
};

struct build {
	struct gitjob *job;
	struct pushpack *pack;
};

static void gtree_done(struct gtree *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->e[i].name);
	free(t->e);
}

static struct entry *gtree_find(struct gtree *t, const char *name, size_t n)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strncmp(t->e[i].name, name, n) && !t->e[i].name[n])
			return &t->e[i];
	return NULL;
}

static void gtree_set(struct gtree *t, const char *name, size_t n,
		     const char *mode, const char *hex)
{
	struct entry *e = gtree_find(t, name, n);

	if (!e && t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->e = xrealloc(t->e, t->cap * sizeof(*t->e));
	}
	if (!e) {
		e = &t->e[t->n++];
		e->name = xstrndup(name, n);
	}
	snprintf(e->mode, sizeof(e->mode), "%s", mode);
	snprintf(e->hex, sizeof(e->hex), "%s", hex);
}

static void gtree_drop(struct gtree *t, const char *name, size_t n)
{
	struct entry *e = gtree_find(t, name, n);

	if (!e)
		return;
	free(e->name);
	*e = t->e[--t->n];
}

static bool is_tree(const struct entry *e)
{
	return !strcmp(e->mode, "40000");
}

/* Git's order: a directory as if its name ended in '/'. */
static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	size_t n = strlen(x->name), m = strlen(y->name), k = MIN(n, m);
	int c = memcmp(x->name, y->name, k);

	if (c)
		return c;
	return (k < n ? (uint8_t)x->name[k] : is_tree(x) ? '/' : 0) -
	       (k < m ? (uint8_t)y->name[k] : is_tree(y) ? '/' : 0);
}

static int parse(const struct buf *raw, struct gtree *ret)
{
	const char *p = (const char *)raw->data, *end = p + raw->len;

	while (p < end) {
		const char *sp = memchr(p, ' ', (size_t)(end - p));
		const char *nul = sp ? memchr(sp, 0, (size_t)(end - sp)) : NULL;
		char mode[8], hex[GIT_HEX];

		if (!nul || end - nul <= SHA1_LEN || sp - p > 6)
			return fail(-EBADMSG, "the server's tree is damaged");
		snprintf(mode, sizeof(mode), "%.*s", (int)(sp - p), p);
		hex_encode(nul + 1, SHA1_LEN, hex);
		if (nul > sp + 1) /* old servers have entries without name */
			gtree_set(ret, sp + 1, (size_t)(nul - sp - 1), mode,
				 hex);
		p = nul + 1 + SHA1_LEN;
	}
	return 0;
}

/* What the server has at `rel` of the directory; nothing if it has none. */
static int server_tree(struct build *b, const char *rel, struct gtree *ret)
{
	const char *mono = b->job->mono;
	cleanup_free char *path = xasprintf("/%s%s%s", mono,
					    *mono && *rel ? "/" : "", rel);
	cleanup_free char *escaped = http_escape(path, strlen(path));
	cleanup_free char *base = git_base(b->job->classic);
	cleanup_free char *url = xasprintf("%s/api/v1/file/tree?path=%s", base,
					   escaped);
	cleanup_buf struct buf raw = BUF_INIT;
	int status, rc = git_http(b->job->classic, url, NULL, NULL, &raw,
				  &status);

	if (rc)
		return rc;
	if (status == 404)
		return 0;
	if (status != 200)
		return fail(-EIO, "the server does not give the tree %s (HTTP "
			    "%d)", path, status);
	return parse(&raw, ret);
}

/* -- applying ---------------------------------------------------------------------- */

static int check_base(const struct leaf *l, const char *name,
		      const struct entry *now)
{
	const json_t *base = json_object_get(l->value, "base");
	const char *want = json_string_value(base);
	const char *new = json_string_value(json_object_get(l->value, "oid"));

	if (!base || (now && is_tree(now)) ||
	    (now && new && !strcmp(now->hex, new)))
		return 0;
	if (!now && !want)
		return 0;
	if (now && want && !strcmp(now->hex, want))
		return 0;
	return fail(-ESTALE, "%s changed on the server since: mount again, and "
		    "make the change there", name);
}

static int put_blob(struct build *b, const char *hex)
{
	cleanup_free char *path = gitblob_path(b->job->classic, hex);
	cleanup_free char *data = NULL;
	char got[GIT_HEX];
	size_t n;
	int rc = path_read(path, BLOB_MAX, &data, &n);

	if (rc)
		return rc;
	pushpack_add(b->pack, "blob", data, n, got);
	if (strcmp(got, hex))
		return fail(-EBADMSG, "what was staged is damaged: add it "
			    "again");
	return 0;
}

static int put_leaf(struct build *b, struct gtree *t, const struct leaf *l,
		    const char *name)
{
	const char *hex = json_string_value(json_object_get(l->value, "oid"));
	int rc = check_base(l, l->path, gtree_find(t, name, strlen(name)));

	if (rc)
		return rc;
	if (!hex) {
		gtree_drop(t, name, strlen(name));
		return 0;
	}
	gtree_set(t, name, strlen(name),
		 json_get_text(l->value, "mode", "100644"), hex);
	return json_is_true(json_object_get(l->value, "kept"))
		       ? 0
		       : put_blob(b, hex);
}

static int build_dir(struct build *b, const char *rel, bool known,
		     const struct leaf *l, size_t n, size_t skip,
		     unsigned depth, char ret_hex[GIT_HEX], bool *ret_empty);

/* l[0..n) are below name. */
static int put_dir(struct build *b, struct gtree *t, const struct leaf *l,
		   size_t n, size_t skip, size_t len, unsigned depth)
{
	const char *name = l->path + skip;
	struct entry *was = gtree_find(t, name, len);
	cleanup_free char *rel = xstrndup(l->path, skip + len);
	char hex[GIT_HEX];
	bool empty;
	int rc = build_dir(b, rel, was && is_tree(was), l, n, skip + len + 1,
			   depth + 1, hex, &empty);

	if (rc)
		return rc;
	if (!empty)
		gtree_set(t, name, len, "40000", hex);
	else
		gtree_drop(t, name, len);
	return 0;
}

static void write_tree(struct build *b, struct gtree *t, char hex[GIT_HEX])
{
	cleanup_buf struct buf raw = BUF_INIT;
	uint8_t sha[SHA1_LEN];

	qsort(t->e, t->n, sizeof(*t->e), by_name);
	for (size_t i = 0; i < t->n; i++) {
		buf_printf(&raw, "%s %s", t->e[i].mode, t->e[i].name);
		buf_putc(&raw, 0);
		hex_decode(t->e[i].hex, SHA1_LEN, sha);
		buf_put(&raw, sha, sizeof(sha));
	}
	pushpack_add(b->pack, "tree", raw.len ? (const void *)raw.data : "",
		    raw.len, hex);
}

/* Leaves are sorted, and start with `rel` and a slash: `skip` bytes. */
static int build_dir(struct build *b, const char *rel, bool known,
		     const struct leaf *l, size_t n, size_t skip,
		     unsigned depth, char ret_hex[GIT_HEX], bool *ret_empty)
{
	struct gtree t = { 0 };
	int rc = known ? server_tree(b, rel, &t) : 0;
	size_t i = 0, k;

	if (depth > DEPTH_MAX)
		rc = fail(-EINVAL, "%s is too deep", rel);
	for (; !rc && i < n; i = k) {
		const char *name = l[i].path + skip;
		size_t len = strcspn(name, "/");

		for (k = i + 1; k < n && name[len] == '/' &&
				!strncmp(l[k].path + skip, name, len + 1);)
			k++;
		rc = name[len] ? put_dir(b, &t, l + i, k - i, skip, len, depth)
			       : put_leaf(b, &t, &l[i], name);
	}
	if (!rc) {
		*ret_empty = !t.n;
		write_tree(b, &t, ret_hex);
	}
	gtree_done(&t);
	return rc;
}

/* -- the commit ---------------------------------------------------------------------- */

/* "x" before "x/y": first the file goes, then its directory comes. */
static int by_path(const void *a, const void *b)
{
	const struct leaf *x = a, *y = b;
	const unsigned char *p = (const void *)x->path;
	const unsigned char *q = (const void *)y->path;

	while (*p && *p == *q) {
		p++;
		q++;
	}
	return (*p == '/' ? 1 : *p ? *p + 1 : 0) -
	       (*q == '/' ? 1 : *q ? *q + 1 : 0);
}

static size_t collect(const json_t *entries, struct leaf **ret)
{
	size_t n = 0;
	const char *key;
	json_t *v;

	*ret = xcalloc(json_object_size(entries) + 1, sizeof(struct leaf));
	json_object_foreach((json_t *)(uintptr_t)entries, key, v) {
		struct buf b = BUF_INIT;

		if (!json_bytes_decode(key, &b)) {
			buf_done(&b);
			continue;
		}
		(*ret)[n].path = buf_steal(&b);
		(*ret)[n++].value = v;
	}
	qsort(*ret, n, sizeof(struct leaf), by_path);
	return n;
}

static void write_commit(struct build *b, const char *tree, const char *parent,
			 const char *message, char hex[GIT_HEX],
			 json_t **ret_info)
{
	struct config *conf = daemon_config(b->job->classic->daemon);
	const char *name = config_string(conf, "server.git_author");
	const char *mail = config_string(conf, "server.git_email");
	long long now = (long long)(wall_ns() / NS_PER_S);
	cleanup_free char *who = xasprintf("%s <%s> %lld +0000", name, mail,
					   now);
	cleanup_buf struct buf text = BUF_INIT;
	bool first = strspn(parent, "0") == strlen(parent);

	config_put(conf);
	buf_printf(&text, "tree %s\n", tree);
	if (!first)
		buf_printf(&text, "parent %s\n", parent);
	buf_printf(&text, "author %s\ncommitter %s\n\n%s%s", who, who, message,
		   *message && message[strlen(message) - 1] == '\n' ? "" : "\n");
	pushpack_add(b->pack, "commit", text.data, text.len, hex);
	*ret_info = json_pack(
		"{s:s,s:s,s:o,s:o,s:o,s:o}", "id", hex, "tree_id", tree,
		"parent_commit_ids",
		first ? json_array() : json_pack("[s]", parent), "author",
		json_bytes(who, strlen(who)), "committer",
		json_bytes(who, strlen(who)), "message",
		json_bytes(message, strlen(message)));
}

int git_build(struct gitjob *j, const json_t *entries, const char *message,
	      const char *parent, struct pushpack *pack, char ret_hex[GIT_HEX],
	      json_t **ret_info)
{
	struct build b = { .job = j, .pack = pack };
	struct leaf *l = NULL;
	size_t n = collect(entries, &l);
	char tree[GIT_HEX];
	bool empty;
	int rc = build_dir(&b, "", true, l, n, 0, 0, tree, &empty);

	if (!rc)
		write_commit(&b, tree, parent, message, ret_hex, ret_info);
	for (size_t i = 0; i < n; i++)
		free(l[i].path);
	free(l);
	return rc;
}
