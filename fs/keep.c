/* SPDX-License-Identifier: Apache-2.0 */
/* keep.c - telling the keeper about mounts, and reading what it was told. */
#include "fs/keep.h"

#include "core/error.h"
#include "core/id.h"
#include "core/json.h"
#include "core/log.h"
#include "fs/times.h"
#include "fs/workspace.h"

#include <sys/mman.h>

#define TIME_BYTES 16 /* key, time */

/* -- writing ---------------------------------------------------------------------- */

static void put_text(json_t *v, const char *key, const char *s)
{
	if (s)
		json_object_set_new(v, key, json_bytes(s, strlen(s)));
}

static void put_int(json_t *v, const char *key, int64_t n)
{
	json_object_set_new(v, key, json_integer(n));
}

static void put_id(json_t *v, const char *key, const struct scorpio_id *id)
{
	char hex[ID_HEX_MAX];

	json_object_set_new(v, key, json_string(id_hex(id, hex)));
}

static json_t *revision_json(const char *spec,
			     const struct scorpio_revision *rev,
			     const struct scorpio_id *root)
{
	json_t *v = json_object();

	put_text(v, "spec", spec);
	put_text(v, "text", rev->text);
	put_text(v, "label", rev->label);
	put_int(v, "kind", rev->kind);
	put_int(v, "time_ns", rev->time_ns);
	put_id(v, "rev_root", &rev->root);
	put_id(v, "root", root);
	return v;
}

/* Where the workspace is, if that is not below fs_options.state_dir. */
static char *own_state_dir(const struct mount *m)
{
	const struct workspace *w = m->workspace;
	const char *usual = m->fs->options.state_dir;
	cleanup_free char *dir = NULL;

	if (!w)
		return NULL;
	dir = xstrndup(w->dir, strlen(w->dir) - strlen(w->name) - 1);
	return usual && !strcmp(dir, usual) ? NULL : steal(&dir);
}

static json_t *mount_json(const struct mount *m)
{
	const struct workspace *w = m->workspace;
	cleanup_free char *state_dir = own_state_dir(m);
	char init[2 * sizeof(m->init) + 1];
	const struct {
		const char *key, *text;
	} texts[] = {
		{ "id", m->id }, { "source", m->url }, { "subdir", m->subdir },
		{ "dir", m->dir }, { "job", m->job }, { "init", init },
		{ "workspace", w ? w->name : NULL },
		{ "state_dir", state_dir },
	};
	json_t *v = json_pack(
		"{s:i, s:I, s:I, s:b, s:b, s:b, s:b, s:i, s:I, s:I}",
		"format", KEEP_FORMAT, "uid", (json_int_t)m->uid, "gid",
		(json_int_t)m->gid, "read_only", m->read_only, "made_dir",
		m->made_dir, "allow_other", m->allow_other, "named",
		w && w->named, "metadata", (int)m->metadata_wish, "created_ns",
		(json_int_t)m->created_ns, "time_ns", (json_int_t)m->time_ns);

	hex_encode(m->init, m->init_len, init);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		put_text(v, texts[i].key, texts[i].text);
	return v;
}

static void put_time(void *ctx, uint64_t key, int64_t time)
{
	uint64_t pair[2] = { key, (uint64_t)time };

	buf_put(ctx, pair, sizeof(pair));
}

/* A memfd, or -1: there are none. */
static int times_file(const struct mount *m)
{
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_fd int fd = -1;
	int ret;

	if (m->read_only)
		times_each(m->times, put_time, &b);
	if (!b.len)
		return -1;
	fd = memfd_create("scorpio-times", MFD_CLOEXEC);
	if (fd < 0 || write(fd, b.data, b.len) != (ssize_t)b.len)
		return -1;
	ret = fd;
	fd = -1;
	return ret;
}

static void put(struct mount *m, json_t *revision, json_t *other)
{
	cleanup_fd int times = -1;
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_free char *name = xasprintf("%s%s", KEEPER_MOUNT, m->id);
	int fds[KEEPER_FDS] = { m->fd, node_table_fd(m->nodes), -1 };
	json_t *v = mount_json(m);
	int rc;

	json_object_set_new(v, "revision", revision);
	if (other)
		json_object_set_new(v, "other", other);
	times = fds[KEEP_TIMES] = times_file(m);
	buf_put(&text, m->dir, strlen(m->dir));
	buf_putc(&text, '\n');
	json_print(v, &text);
	buf_putc(&text, 0);
	json_decref(v);
	rc = keeper_put(m->fs->keeper, name, fds, times < 0 ? 2 : 3,
			(char *)text.data);
	if (rc)
		log_warn("fs", "%s will not survive the daemon: %s", m->dir,
			 error_text(rc));
}

static bool is_kept(const struct mount *m)
{
	return m->fs->keeper && m->nodes && node_table_fd(m->nodes) >= 0 &&
	       session_can_resend(m);
}

int fs_can_be_replaced(struct fs *f)
{
	lock_scope(&f->lock);

	for (const struct mount *m = f->mounts; m; m = m->next)
		if (m->state == MOUNT_LIVE && !is_kept(m) &&
		    !__atomic_load_n(&m->dead, __ATOMIC_ACQUIRE))
			return fail(-EPERM, "%s would not outlive this "
				    "process%s: unmount it first, or use "
				    "scorpio stop and scorpio serve, which "
				    "mounts it again", m->dir,
				    session_can_resend(m)
					    ? ""
					    : " (the kernel is older than "
					      "Linux 6.9)");
	return 0;
}

void mount_keep(struct mount *m)
{
	if (is_kept(m))
		put(m, revision_json(m->rev_spec, &m->rev, &m->root), NULL);
}

void mount_keep_switch(struct mount *m, const char *rev_spec,
		       const struct scorpio_revision *rev,
		       const struct scorpio_id *root)
{
	if (is_kept(m))
		put(m, revision_json(rev_spec, rev, root),
		    revision_json(m->rev_spec, &m->rev, &m->root));
}

void mount_unkeep(struct mount *m)
{
	cleanup_free char *name = xasprintf("%s%s", KEEPER_MOUNT, m->id);

	if (m->fs->keeper && m->nodes)
		keeper_drop(m->fs->keeper, name);
}

/* -- reading ----------------------------------------------------------------------- */

static void copy_text(const json_t *v, const char *key, char *out, size_t cap)
{
	cleanup_free char *s = json_get_bytes(v, key);

	snprintf(out, cap, "%s", s ? s : "");
}

static bool get_id(const json_t *v, const char *key, struct scorpio_id *ret)
{
	return id_from_hex(json_get_text(v, key, ""), ret);
}

static int read_revision(struct kept_mount *k, const json_t *v)
{
	k->rev_spec = json_get_bytes(v, "spec");
	copy_text(v, "text", k->rev.text, sizeof(k->rev.text));
	copy_text(v, "label", k->rev.label, sizeof(k->rev.label));
	k->rev.kind = (uint8_t)json_get_int(v, "kind", SCORPIO_DIR);
	k->rev.time_ns = json_get_int(v, "time_ns", SCORPIO_TIME_UNKNOWN);
	if (!k->rev_spec || !get_id(v, "rev_root", &k->rev.root) ||
	    !get_id(v, "root", &k->root))
		return fail(-EBADMSG, "no valid revision");
	return 0;
}

/* Died in the middle of a switch: the table knows which of the two it is. */
static const json_t *which(const struct kept_mount *k, const json_t *doc)
{
	const json_t *other = json_object_get(doc, "other");
	struct scorpio_id tree = node_table_tree(k->nodes), root;

	return other && get_id(other, "root", &root) &&
			       root.len == tree.len &&
			       !memcmp(root.bytes, tree.bytes, tree.len)
		       ? other
		       : json_object_get(doc, "revision");
}

static int read_init(struct kept_mount *k, const json_t *v)
{
	const char *hex = json_get_text(v, "init", "");
	size_t n = strlen(hex) / 2;

	if (n > sizeof(k->init) || n < 16 || !hex_decode(hex, n, k->init))
		return fail(-EBADMSG, "no valid session");
	k->init_len = (uint32_t)n;
	return 0;
}

static int read_mount(struct kept_mount *k, const json_t *v, bool gone)
{
	int rc;

	if (json_get_int(v, "format", 0) != KEEP_FORMAT)
		return fail(-EBADMSG, "its state is of another format (%lld, "
			    "this program reads %d)",
			    (long long)json_get_int(v, "format", 0),
			    KEEP_FORMAT);
	copy_text(v, "id", k->id, sizeof(k->id));
	k->source = json_get_bytes(v, "source");
	k->subdir = json_get_bytes(v, "subdir");
	k->dir = json_get_bytes(v, "dir");
	k->job = json_get_bytes(v, "job");
	k->workspace = json_get_bytes(v, "workspace");
	k->state_dir = json_get_bytes(v, "state_dir");
	k->named = json_get_bool(v, "named", false);
	k->uid = (uint32_t)json_get_int(v, "uid", 0);
	k->gid = (uint32_t)json_get_int(v, "gid", 0);
	k->read_only = json_get_bool(v, "read_only", false);
	k->made_dir = json_get_bool(v, "made_dir", false);
	k->allow_other = json_get_bool(v, "allow_other", false);
	k->metadata = (enum fs_metadata)json_get_int(v, "metadata", 0);
	k->created_ns = json_get_int(v, "created_ns", 0);
	k->time_ns = json_get_int(v, "time_ns", 0);
	if (!k->source || !k->subdir || !k->dir || !*k->id ||
	    (!k->read_only && !k->workspace))
		return fail(-EBADMSG, "its state is incomplete");
	rc = read_init(k, v);
	if (!rc)
		rc = node_table_restore(k->kept->fd[KEEP_NODES], gone,
					&k->nodes);
	return rc ? rc : read_revision(k, which(k, v));
}

int kept_mount_read(struct kept *x, bool gone, struct kept_mount **ret)
{
	struct kept_mount *k = xcalloc(1, sizeof(*k));
	const char *line = strchr(x->text, '\n');
	json_t *doc = NULL;
	int rc;

	k->kept = x;
	rc = line ? json_parse(line + 1, strlen(line + 1), "its state", &doc)
		  : fail(-EBADMSG, "its state is no text of ours");
	if (!rc)
		rc = read_mount(k, doc, gone);
	json_decref(doc);
	if (rc) {
		kept_mount_free(k); /* and x */
		return rc;
	}
	*ret = k;
	return 0;
}

void kept_mount_free(struct kept_mount *k)
{
	if (!k)
		return;
	kept_free(k->kept);
	node_table_free(k->nodes);
	free(k->source);
	free(k->rev_spec);
	free(k->subdir);
	free(k->dir);
	free(k->job);
	free(k->workspace);
	free(k->state_dir);
	free(k);
}

void kept_mount_times(const struct kept_mount *k, struct times *t)
{
	uint64_t pair[2];
	int fd = k->kept->fd[KEEP_TIMES];

	for (off_t at = 0; fd >= 0 && pread(fd, pair, sizeof(pair), at) ==
					      (ssize_t)sizeof(pair);
	     at += TIME_BYTES)
		if (pair[0])
			times_set(t, pair[0], (int64_t)pair[1]);
}
