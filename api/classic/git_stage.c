/* SPDX-License-Identifier: Apache-2.0 */
/* git_stage.c - what is set aside for a commit. */
#include "api/classic/git_impl.h"
#include "backends/lfs/pointer.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/path.h"

#include <dirent.h>
#include <sys/stat.h>

#define STATE_MAX (256 * MiB)
#define CHANGES_MAX 200000u
#define DEPTH_MAX 200

struct change { /* strings owned */
	enum fs_change_kind kind;
	char *path, *from; /* below the selected directory */
	uint32_t mode;
};

struct changes {
	struct change *c;
	size_t n, cap;
	const char *below, *only;
};

/* -- the files ---------------------------------------------------------------------- */

static char *git_dir(struct classic *c, const char *what)
{
	return xasprintf("%s-git/%s", c->state_dir, what);
}

char *gitblob_path(struct classic *c, const char *hex)
{
	cleanup_free char *name = xasprintf("objects/%s", hex);

	return git_dir(c, name);
}

int gitblob_keep(struct classic *c, const void *p, size_t n,
		 char ret_hex[GIT_HEX])
{
	cleanup_free char *dir = git_dir(c, "objects"), *path = NULL;
	int rc;

	git_id("blob", p, n, ret_hex);
	path = gitblob_path(c, ret_hex);
	if (!access(path, F_OK))
		return 0;
	rc = path_make_dirs(dir, 0700);
	return rc ? rc : path_write(path, p, n, 0600, false);
}

/* Nothing is set aside any more: its contents go. */
static void sweep(struct classic *c)
{
	cleanup_free char *dir = git_dir(c, ""), *objects = NULL;
	DIR *d = opendir(dir);
	struct dirent *e;
	bool used = false;

	while (d && (e = readdir(d)))
		used |= strstr(e->d_name, ".json") != NULL;
	if (d)
		closedir(d);
	objects = git_dir(c, "objects");
	if (d && !used)
		path_empty_dir(objects);
}

int gitjob_save(struct gitjob *j)
{
	cleanup_free char *dir = git_dir(j->classic, "");
	cleanup_buf struct buf text = BUF_INIT;
	int rc;

	if (!json_object_size(json_object_get(j->doc, "staged")) &&
	    !json_is_object(json_object_get(j->doc, "commit"))) {
		unlink(j->state);
		sweep(j->classic);
		return 0;
	}
	rc = path_make_dirs(dir, 0700);
	json_print(j->doc, &text);
	return rc ? rc : path_write(j->state, text.data, text.len, 0600, true);
}

static int read_state(struct gitjob *j)
{
	cleanup_free char *text = NULL;
	size_t n;
	int rc;

	if (access(j->state, F_OK)) {
		j->doc = json_pack("{s:{},s:n}", "staged", "commit");
		return 0;
	}
	rc = path_read(j->state, STATE_MAX, &text, &n);
	if (!rc)
		rc = json_parse(text, n, j->state, &j->doc);
	return rc;
}

int gitjob_open(struct classic *c, const char *path, struct gitjob *ret)
{
	struct gitjob j = { .classic = c };
	uint8_t sha[SHA1_LEN];
	char hex[GIT_HEX];
	size_t n, tail;
	int rc = classic_find(c, path, &j.work);

	if (rc)
		return rc;
	n = strlen(j.work.path);
	tail = j.work.cl ? strlen(j.work.cl) + 1 : 0;
	j.mono = xstrndup(j.work.path, n > tail ? n - tail : 0);
	hash_bytes(HASH_SHA1, j.work.path, n, sha);
	hex_encode(sha, sizeof(sha), hex);
	j.state = xasprintf("%s-git/%s.json", c->state_dir, hex);
	j.lfs = (struct gitlfs){ .daemon = c->daemon, .top = j.work.top };
	rc = read_state(&j);
	if (rc)
		gitjob_done(&j);
	else
		*ret = j;
	return rc;
}

void gitjob_done(struct gitjob *j)
{
	gitlfs_done(&j->lfs);
	classic_work_done(&j->work);
	free(j->mono);
	free(j->state);
	json_decref(j->doc);
	memset(j, 0, sizeof(*j));
}

int gitjob_begin(struct classic *c, const char *path, struct gitjob *ret)
{
	int rc = classic_begin(c);

	if (rc)
		return rc;
	rc = gitjob_open(c, path, ret);
	if (rc)
		classic_end(c);
	return rc;
}

void gitjob_end(struct gitjob *j)
{
	struct classic *c = j->classic;

	gitjob_done(j);
	classic_end(c);
}

/* -- what differs ---------------------------------------------------------------------- */

/* The part of path below top, or NULL. */
static const char *below(const char *path, const char *top)
{
	size_t n = strlen(top);

	if (!n)
		return path;
	if (strncmp(path, top, n) || (path[n] && path[n] != '/'))
		return NULL;
	return path[n] ? path + n + 1 : path + n;
}

static int collect(void *ctx, const struct fs_change *c)
{
	struct changes *l = ctx;
	const char *path = below(c->path, l->below), *from = NULL;

	if (c->from)
		from = below(c->from, l->below);
	if (!path || !*path || (!below(path, l->only) &&
				!(from && below(from, l->only))))
		return 0;
	if (l->n == CHANGES_MAX)
		return -EFBIG;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->c = xrealloc(l->c, l->cap * sizeof(*l->c));
	}
	l->c[l->n++] = (struct change){
		.kind = c->kind, .path = xstrdup(path), .mode = c->mode,
		.from = from ? xstrdup(from) : NULL,
	};
	return 0;
}

static void changes_done(struct changes *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->c[i].path);
		free(l->c[i].from);
	}
	free(l->c);
}

static int changes_of(struct gitjob *j, const char *only, struct changes *l)
{
	*l = (struct changes){ .below = j->work.below, .only = only };
	return fs_changes(daemon_fs(j->classic->daemon), j->work.top,
			  deadline_in_ms(GIT_TIMEOUT_MS), collect, l);
}

/* -- add --------------------------------------------------------------------------------- */

static void set(json_t *staged, const char *path, json_t *v)
{
	cleanup_buf struct buf key = BUF_INIT;

	json_bytes_put(&key, path, strlen(path));
	json_object_set_new(staged, buf_str(&key), v);
}

/* What is kept of a file is told in v. */
static int keep(struct gitjob *j, const char *path, const struct stat *st,
		json_t *v)
{
	cleanup_free char *at = xasprintf("%s/%s", j->work.dir, path);
	cleanup_free char *full = gitjob_path(j, path), *data = NULL;
	char text[160] = "", oid[2 * SHA256_LEN + 1], hex[GIT_HEX];
	bool is_lfs = false;
	struct lfsptr p;
	size_t n;
	int rc = S_ISREG(st->st_mode) ? gitlfs_is(&j->lfs, full, &is_lfs) : 0;

	if (!rc && git_kept_id(daemon_fs(j->classic->daemon), at, is_lfs,
			       hex)) {
		json_object_set_new(v, "oid", json_string(hex));
		json_object_set_new(v, "kept", json_true());
		return 0;
	}
	if (!rc && is_lfs)
		rc = gitlfs_keep(j->classic, at, &p, text);
	if (!rc && *text) {
		hex_encode(p.oid, SHA256_LEN, oid);
		json_object_set_new(v, "lfs", json_pack(
			"{s:s,s:I}", "oid", oid, "size", (json_int_t)p.size));
		rc = gitblob_keep(j->classic, text, strlen(text), hex);
	} else if (!rc) {
		rc = git_read(at, st, &data, &n);
		if (!rc)
			rc = gitblob_keep(j->classic, data, n, hex);
	}
	if (!rc)
		json_object_set_new(v, "oid", json_string(hex));
	return rc;
}

static int stage_file(struct gitjob *j, const char *path, const struct stat *st,
		      bool with_base)
{
	json_t *base, *v = json_pack("{s:s}", "mode",
				     S_ISLNK(st->st_mode)   ? "120000"
				     : st->st_mode & 0100 ? "100755"
							    : "100644");
	int rc = keep(j, path, st, v);

	if (rc) {
		json_decref(v);
		return rc;
	}
	base = with_base ? git_base_of(j, path) : NULL;
	if (base)
		json_object_set_new(v, "base", base);
	set(json_object_get(j->doc, "staged"), path, v);
	return 0;
}

static int stage_any(struct gitjob *j, const char *path, bool with_base,
		     unsigned depth);

static int stage_dir(struct gitjob *j, const char *path, unsigned depth)
{
	cleanup_free char *at = xasprintf("%s/%s", j->work.dir, path);
	DIR *d = opendir(at);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return fail(-errno, "%s: %s", at, strerror(errno));
	while (!rc && (e = readdir(d))) {
		cleanup_free char *sub = xasprintf("%s/%s", path, e->d_name);

		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = stage_any(j, sub, false, depth + 1);
	}
	closedir(d);
	return rc;
}

static int stage_any(struct gitjob *j, const char *path, bool with_base,
		     unsigned depth)
{
	cleanup_free char *at = xasprintf("%s/%s", j->work.dir, path);
	struct stat st;

	if (depth > DEPTH_MAX)
		return fail(-EINVAL, "%s is too deep", path);
	if (lstat(at, &st)) /* gone since */
		return errno == ENOENT ? 0 : fail(-errno, "%s: %s", at,
						  strerror(errno));
	if (S_ISDIR(st.st_mode))
		return stage_dir(j, path, depth);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return 0; /* sockets and the like are nobody's content */
	return stage_file(j, path, &st, with_base);
}

static void stage_removed(struct gitjob *j, const char *path, bool with_base)
{
	json_t *base = with_base ? git_base_of(j, path) : NULL;
	json_t *v = json_pack("{s:n}", "oid");

	if (base)
		json_object_set_new(v, "base", base);
	set(json_object_get(j->doc, "staged"), path, v);
}

static int stage(struct gitjob *j, const struct change *c)
{
	if (c->kind == FS_DELETED) {
		stage_removed(j, c->path, true);
		return 0;
	}
	if (c->kind == FS_RENAMED) {
		if (c->from)
			stage_removed(j, c->from, false);
		return stage_any(j, c->path, false, 0);
	}
	if (S_ISDIR(c->mode)) /* what is in it comes by itself */
		return 0;
	return stage_any(j, c->path, true, 0);
}

/* What was staged of it before is out of date. */
static void unstage(struct gitjob *j, const char *only)
{
	json_t *staged = json_object_get(j->doc, "staged"), *v;
	const char *key;
	void *tmp;

	json_object_foreach_safe(staged, tmp, key, v) {
		cleanup_buf struct buf b = BUF_INIT;

		if (!json_bytes_decode(key, &b) || below(buf_str(&b), only))
			json_object_del(staged, key);
	}
}

/* The selected directory a path is in; *ret_rest: the part below. */
static int open_above(struct classic *c, const char *path, struct gitjob *ret,
		      char **ret_rest)
{
	cleanup_free char *at = xstrdup(path + strspn(path, "/"));
	size_t n = strlen(at);
	int rc;

	while (n && at[n - 1] == '/')
		at[--n] = '\0';
	for (;;) {
		char *slash = strrchr(at, '/');

		rc = gitjob_open(c, at, ret);
		if (!rc)
			*ret_rest = xstrdup(below(path + strspn(path, "/"),
						  at));
		if (rc != -ENOENT || !*at)
			return rc == -ENOENT ? fail(rc, "%s is not in a "
						    "mounted directory", path)
					     : rc;
		*(slash ? slash : at) = '\0';
	}
}

int classic_git_add(struct classic *c, const char *path)
{
	cleanup_free char *rest = NULL;
	struct gitjob j;
	struct changes l;
	int rc = classic_begin(c);
	size_t n;

	if (rc)
		return rc;
	rc = open_above(c, path, &j, &rest);
	if (rc)
		goto out;
	for (n = strlen(rest); n && rest[n - 1] == '/';)
		rest[--n] = '\0';
	rc = changes_of(&j, rest, &l);
	if (!rc)
		unstage(&j, rest);
	for (size_t i = 0; !rc && i < l.n; i++)
		rc = stage(&j, &l.c[i]);
	if (!rc)
		rc = gitjob_save(&j);
	changes_done(&l);
	gitjob_done(&j);
out:
	classic_end(c);
	return rc;
}

/* -- commit ------------------------------------------------------------------------------ */

/* What was committed and not pushed yet, and now this. */
static json_t *joined(struct gitjob *j, const char *message, char **ret_text)
{
	json_t *old = json_object_get(j->doc, "commit");
	json_t *entries = json_is_object(old)
		? json_deep_copy(json_object_get(old, "entries"))
		: json_object();
	const char *before = json_get_text(old, "message", "");

	json_object_update(entries, json_object_get(j->doc, "staged"));
	*ret_text = xasprintf("%s%s%s", before, *before ? "\n\n" : "",
			      message);
	return entries;
}

int classic_git_commit(struct classic *c, const char *path,
		       const char *message, json_t **ret)
{
	cleanup_free char *text = NULL;
	struct pushpack *pack = pushpack_new();
	json_t *entries = NULL, *info = NULL;
	char parent[GIT_HEX], id[GIT_HEX];
	struct gitjob j;
	int rc = gitjob_begin(c, path, &j);

	if (rc)
		goto out;
	entries = joined(&j, message, &text);
	if (!json_object_size(json_object_get(j.doc, "staged")))
		rc = fail(-ENODATA, "nothing is staged: add first");
	if (!rc)
		rc = git_main_of(&j, "git-upload-pack", parent);
	if (!rc)
		rc = git_build(&j, entries, text, parent, pack, id, &info);
	if (!rc) {
		json_object_set_new(j.doc, "commit",
				    json_pack("{s:o,s:O}", "message",
					      json_bytes(text, strlen(text)),
					      "entries", entries));
		json_object_set_new(j.doc, "staged", json_object());
		rc = gitjob_save(&j);
	}
	if (!rc)
		*ret = steal(&info);
	json_decref(info);
	json_decref(entries);
	gitjob_end(&j);
out:
	pushpack_free(pack);
	return rc;
}

/* -- status, reset ----------------------------------------------------------------------- */

static const char *const words[] = {
	[FS_ADDED] = "new file",   [FS_MODIFIED] = "modified",
	[FS_DELETED] = "deleted",  [FS_RENAMED] = "renamed",
	[FS_TYPECHANGE] = "typechange", [FS_MODE] = "mode changed",
};

static void list_set(struct buf *out, const json_t *entries, const char *title)
{
	const char *key;
	json_t *v;

	if (!json_object_size(entries))
		return;
	buf_printf(out, "%s\n", title);
	json_object_foreach((json_t *)(uintptr_t)entries, key, v)
		buf_printf(out, "\t\033[32m%s:   %s\033[0m\n",
			   json_is_null(json_object_get(v, "oid")) ? "deleted" :
			   json_is_null(json_object_get(v, "base"))
				   ? "new file" : "modified", key);
}

/* The same content as staged or committed: nothing more to say. */
static bool is_set(struct gitjob *j, const struct change *c)
{
	json_t *commit = json_object_get(j->doc, "commit"), *v;
	cleanup_free char *full = gitjob_path(j, c->path);
	cleanup_buf struct buf key = BUF_INIT;
	char hex[GIT_HEX];

	json_bytes_put(&key, c->path, strlen(c->path));
	v = json_object_get(json_object_get(j->doc, "staged"), buf_str(&key));
	if (!v)
		v = json_object_get(json_object_get(commit, "entries"),
				    buf_str(&key));
	if (!v)
		return false;
	if (c->kind == FS_DELETED)
		return json_is_null(json_object_get(v, "oid"));
	return !git_now_id(&j->lfs, full, hex) && *hex &&
	       !strcmp(json_get_text(v, "oid", ""), hex);
}

static void list_changes(struct gitjob *j, const struct changes *l,
			 struct buf *out)
{
	bool any = false;

	for (size_t i = 0; i < l->n; i++) {
		const struct change *c = &l->c[i];

		if (S_ISDIR(c->mode) && c->kind != FS_RENAMED)
			continue;
		if (is_set(j, c))
			continue;
		if (!any)
			buf_puts(out, "Changes not staged for commit:\n");
		any = true;
		buf_printf(out, "\t\033[31m%s:   ", words[c->kind]);
		json_bytes_put(out, c->path, strlen(c->path));
		buf_puts(out, "\033[0m\n");
	}
	if (!out->len)
		buf_puts(out, "nothing to commit, working tree clean\n");
}

int classic_git_status(struct classic *c, const char *path,
		       struct classic_work *ret, struct buf *text)
{
	struct gitjob j;
	struct changes l;
	int rc = gitjob_open(c, path, &j);

	if (rc)
		return rc;
	rc = changes_of(&j, "", &l);
	if (!rc) {
		list_set(text, json_object_get(json_object_get(j.doc,
							       "commit"),
					       "entries"),
			 "Commit to be pushed:");
		list_set(text, json_object_get(j.doc, "staged"),
			 "Changes to be committed:");
		list_changes(&j, &l, text);
		*ret = j.work;
		memset(&j.work, 0, sizeof(j.work));
	}
	changes_done(&l);
	gitjob_done(&j);
	return rc;
}

int classic_git_reset(struct classic *c, const char *path)
{
	struct gitjob j;
	int rc = gitjob_begin(c, path, &j);

	if (rc)
		return rc;
	rc = fs_reset(daemon_fs(c->daemon), j.work.top, j.work.below,
		      deadline_in_ms(GIT_TIMEOUT_MS));
	if (rc == -ENOENT)
		rc = 0;
	json_object_set_new(j.doc, "staged", json_object());
	json_object_set_new(j.doc, "commit", json_null());
	if (!rc)
		rc = gitjob_save(&j);
	gitjob_end(&j);
	return rc;
}

void classic_git_forget(struct classic *c, const char *path)
{
	struct gitjob j;

	if (gitjob_open(c, path, &j))
		return;
	unlink(j.state);
	sweep(c);
	gitjob_done(&j);
}
