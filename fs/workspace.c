/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/workspace.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/json.h"
#include "core/log.h"
#include "core/path.h"
#include "fs/changes.h"
#include "fs/redirect.h"
#include "fs/times.h"
#include "fs/upper.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#define NAME_MAX_ 128
#define META_MAX (64 * KiB)
#define META_FORMAT 1
#define CLOSING_MS 10000

static bool valid_name(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
			     "xyz0123456789._-");

	return n && n <= NAME_MAX_ && !s[n] && s[0] != '.';
}

/* -- meta ------------------------------------------------------------------------- */

static bool get_id(const json_t *meta, const char *key, struct scorpio_id *ret)
{
	return id_from_hex(json_get_text(meta, key, ""), ret);
}

static int parse_meta(struct workspace *w, const json_t *meta)
{
	if (json_get_int(meta, "format", 0) != META_FORMAT)
		return fail(-EBADMSG, "written by another version");
	w->source = xstrdup(json_get_text(meta, "source", ""));
	w->subdir = xstrdup(json_get_text(meta, "subdir", ""));
	w->rev_spec = xstrdup(json_get_text(meta, "rev_spec", ""));
	snprintf(w->rev.text, sizeof(w->rev.text), "%s",
		 json_get_text(meta, "rev", ""));
	snprintf(w->rev.label, sizeof(w->rev.label), "%s",
		 json_get_text(meta, "label", ""));
	w->rev.kind = SCORPIO_DIR;
	w->rev.time_ns = json_get_int(meta, "rev_time_ns",
				      SCORPIO_TIME_UNKNOWN);
	w->time_ns = json_get_int(meta, "time_ns", 0);
	w->created_ns = json_get_int(meta, "created_ns", 0);
	if (!get_id(meta, "rev_root", &w->rev.root) ||
	    !get_id(meta, "root", &w->root))
		return fail(-EBADMSG, "no valid root");
	return 0;
}

/* -ENOENT: there is none. */
static int read_meta(struct workspace *w)
{
	cleanup_free char *path = xasprintf("%s/meta", w->dir);
	cleanup_free char *text = NULL;
	json_t *meta = NULL;
	size_t len = 0;
	int rc = path_read(path, META_MAX, &text, &len);

	if (!rc)
		rc = json_parse(text, len, "meta", &meta);
	if (!rc)
		rc = parse_meta(w, meta);
	json_decref(meta);
	return rc && rc != -ENOENT ? fail_prefix(rc, "workspace %s", w->dir)
				   : rc;
}

static void set_id(json_t *meta, const char *key, const struct scorpio_id *id)
{
	char hex[ID_HEX_MAX];

	json_object_set_new(meta, key, json_string(id_hex(id, hex)));
}

char *workspace_base(const struct workspace *w, const struct mount *m,
		     const char *rev_spec, const struct scorpio_revision *rev,
		     const struct scorpio_id *root)
{
	struct buf text = BUF_INIT;
	json_t *meta = json_object();

	json_object_set_new(meta, "format", json_integer(META_FORMAT));
	json_object_set_new(meta, "source", json_string(w->source));
	json_object_set_new(meta, "subdir", json_string(m->subdir));
	json_object_set_new(meta, "rev_spec", json_string(rev_spec));
	json_object_set_new(meta, "rev", json_string(rev->text));
	json_object_set_new(meta, "label", json_string(rev->label));
	if (rev->time_ns != SCORPIO_TIME_UNKNOWN)
		json_object_set_new(meta, "rev_time_ns",
				    json_integer(rev->time_ns));
	set_id(meta, "rev_root", &rev->root);
	set_id(meta, "root", root);
	json_object_set_new(meta, "time_ns", json_integer(m->time_ns));
	json_object_set_new(meta, "created_ns", json_integer(m->created_ns));
	json_print_pretty(meta, &text);
	buf_putc(&text, '\n');
	buf_putc(&text, 0);
	json_decref(meta);
	return buf_steal(&text);
}

int workspace_rebased(struct workspace *w, const char *base)
{
	cleanup_free char *path = xasprintf("%s/meta", w->dir);
	int rc = path_write(path, base, strlen(base), 0600, false);

	return rc ? fail_prefix(rc, "workspace %s", w->dir) : 0;
}

static int write_meta(struct workspace *w, const struct mount *m)
{
	cleanup_free char *base = workspace_base(w, m, m->rev_spec, &m->rev,
						 &m->root);

	/* synced at the first fsync: mounting stays quick */
	return workspace_rebased(w, base);
}

/* The log knows of a later switch, maybe, than meta. */
static int take_base(struct workspace *w, struct mount *m, const char *base)
{
	struct workspace now = { 0 };
	json_t *meta = NULL;
	int rc = json_parse(base, strlen(base), "the log's base", &meta);

	if (!rc)
		rc = parse_meta(&now, meta);
	json_decref(meta);
	if (!rc) {
		m->rev = now.rev;
		m->root = now.root;
		free(m->rev_spec);
		m->rev_spec = xstrdup(now.rev_spec);
		if (strcmp(w->rev.text, now.rev.text))
			rc = workspace_rebased(w, base);
	}
	free(now.source);
	free(now.subdir);
	free(now.rev_spec);
	return rc;
}

/* -- life ---------------------------------------------------------------------------- */

static int take_lock(struct workspace *w)
{
	cleanup_free char *path = xasprintf("%s/lock", w->dir);
	struct stat mine, there;

	w->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (w->lock < 0)
		return fail(-errno, "workspace %s: %s", w->dir,
			    strerror(errno));
	if (flock(w->lock, LOCK_EX | LOCK_NB))
		return fail(errno == EWOULDBLOCK ? -EBUSY : -errno,
			    "workspace %s is mounted already", w->name);
	/* of a workspace that was just removed? */
	if (fstat(w->lock, &mine) || stat(path, &there) ||
	    mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
		return fail(-EBUSY, "workspace %s is being removed", w->name);
	return 0;
}

static char *mounted_at(struct fs *f, const char *name);

/* Make the directory and lock it. One that was just unmounted is still being
 * closed, or removed. */
static int make_and_lock(struct fs *f, struct workspace *w)
{
	int64_t end = deadline_in_ms(CLOSING_MS);

	for (;;) {
		cleanup_free char *at = NULL;
		int rc = path_make_dirs(w->dir, 0700);

		if (!rc)
			rc = take_lock(w);
		if (rc != -EBUSY && rc != -ENOENT)
			return rc;
		base_close(&w->lock);
		at = mounted_at(f, w->name);
		if (*at)
			return fail(-EBUSY, "workspace %s is mounted already, "
				    "at %s", w->name, at);
		if (now_ns() > end)
			return rc;
		poll(NULL, 0, 5);
	}
}

static void workspace_free(struct workspace *w)
{
	if (w->lock >= 0)
		close(w->lock);
	redirect_free(w);
	free(w->name);
	free(w->dir);
	free(w->source);
	free(w->subdir);
	free(w->rev_spec);
	free(w);
}

/* "git+/x" and "/x" are the same. */
static const char *without_kind(const char *source)
{
	return strncmp(source, "git+", 4) ? source : source + 4;
}

static bool same_source(const char *a, const char *b)
{
	return !strcmp(a, b) || !strcmp(without_kind(a), without_kind(b));
}

/* What is asked must be what it was made from. */
static int check_same(const struct workspace *w,
		      const struct fs_mount_request *r, const char *source)
{
	const char *rev = r->rev ? r->rev : "";

	if (!same_source(w->source, source))
		return fail(-EINVAL, "workspace %s is one of %s, not of %s",
			    w->name, w->source, source);
	if (*rev && !r->restored && strcmp(rev, w->rev_spec) &&
	    strcmp(rev, w->rev.text) && strcmp(rev, w->rev.label) &&
	    (strlen(rev) < 7 || strncmp(rev, w->rev.text, strlen(rev))))
		return fail(-EEXIST, "workspace %s holds what was changed at "
			    "%s (%.12s): mount it without a revision and "
			    "switch then, or mount under another name", w->name,
			    *w->rev_spec ? w->rev_spec : "the default",
			    w->rev.text);
	return 0;
}

/* First under a name that is none of a workspace: nobody finds half of it.
 * lock: held; its file goes along */
static int remove_dir(const struct workspace *w)
{
	const char *name = strrchr(w->dir, '/') + 1;
	char id[FS_ID_LEN + 1];
	cleanup_free char *gone = NULL;

	id_uuid(id);
	gone = xasprintf("%.*s" WORKSPACE_GONE "%s", (int)(name - w->dir),
			 w->dir, id);
	if (rename(w->dir, gone))
		return fail(-errno, "%s: %s", w->dir, strerror(errno));
	if (path_empty_dir(gone) || rmdir(gone))
		log_warn("fs", "%s could not be removed: %s", gone,
			 strerror(errno));
	return 0;
}

static void forget_meta(struct workspace *w)
{
	free(steal(&w->source));
	free(steal(&w->subdir));
	free(steal(&w->rev_spec));
	redirect_free(w);
	memset(&w->rev, 0, sizeof(w->rev));
	w->time_ns = w->created_ns = 0;
	w->resumed = false;
}

/* Left by a daemon that was killed, perhaps, and nobody changed anything. */
static bool left_empty(struct fs *f, struct workspace *w)
{
	struct changes_options o = { .dir = w->dir, .root = w->root,
				     .root_mtime = w->time_ns };
	struct changes *c;
	bool nothing;

	if (redirect_load(w, NULL, NULL) || !redirect_empty(w) ||
	    upper_open(w->dir, false, f->fds, &o.upper) ||
	    changes_open(&o, &c))
		return false;
	nothing = changes_untouched(c) &&
		  (!f->options.discard ||
		   f->options.discard(f->options.ctx, w->dir));
	changes_abandon(c);
	return nothing;
}

/* One that nobody named and that holds nothing is no reason to refuse another
 * revision. */
static int begin_again(struct fs *f, struct workspace *w)
{
	int rc = remove_dir(w);

	base_close(&w->lock);
	forget_meta(w);
	return rc ? rc : make_and_lock(f, w);
}

static int again_if_nothing(struct fs *f, struct workspace *w,
			    const char *source)
{
	cleanup_free char *why = xstrdup(error_text(-EEXIST)); /* the refusal's */
	int rc = left_empty(f, w) ? begin_again(f, w)
				     : fail(-EEXIST, "%s", why);

	if (!w->source)
		w->source = xstrdup(source);
	return rc;
}

int workspace_open(struct fs *f, const struct fs_mount_request *r,
		   const char *id, const char *source,
		   struct workspace **ret)
{
	struct workspace *w;
	bool fresh = false;
	int rc;

	if (!r->state_dir && !f->options.state_dir)
		return fail(-ENOTSUP, "this daemon has no place for writable "
			    "workspaces: mount with --ro");
	if (r->workspace && !valid_name(r->workspace))
		return fail(-EINVAL, "%s is no name for a workspace: letters, "
			    "digits, '.', '_', '-', at most %d", r->workspace,
			    NAME_MAX_);
	w = xcalloc(1, sizeof(*w));
	w->lock = -1;
	w->named = r->workspace && !r->transient;
	w->name = xstrdup(r->workspace ? r->workspace : id);
	w->dir = xasprintf("%s/%s", r->state_dir ? r->state_dir
						 : f->options.state_dir,
			   w->name);
	rc = make_and_lock(f, w);
	if (!rc) {
		rc = read_meta(w);
		w->resumed = !rc;
		if (rc == -ENOENT) {
			w->source = xstrdup(source);
			rc = 0;
		} else if (!rc) {
			rc = check_same(w, r, source);
			if (rc == -EEXIST && r->transient)
				rc = again_if_nothing(f, w, source);
		}
	}
	if (!rc) {
		fresh = !w->resumed;
		rc = redirect_load(w, r->redirect, r->redirect_text);
	}
	if (rc) {
		cleanup_free char *why = xstrdup(error_text(rc));

		if (fresh)
			remove_dir(w);
		workspace_free(w);
		return fail(rc, "%s", why);
	}
	*ret = w;
	return 0;
}

static void attach(void *ctx, struct cnode *n, struct node *known)
{
	struct mount *m = ctx;

	node_attach(m->nodes, known, n);
}

static void link_known(void *ctx, struct cnode *n)
{
	struct mount *m = ctx;

	node_table_link(m->nodes, n);
}

int workspace_begin(struct workspace *w, struct mount *m)
{
	struct changes_options o = { .dir = w->dir, .root = m->root,
				     .root_mtime = m->time_ns,
				     .attach = attach, .link = link_known,
				     .intents = node_table_intents(m->nodes),
				     .ctx = m };
	int rc = upper_open(w->dir, !w->resumed, m->fs->fds, &o.upper);

	if (!rc)
		rc = changes_open(&o, &m->changes);
	/* last: a directory without it is one that never came to be */
	if (!rc && !w->resumed)
		rc = write_meta(w, m);
	if (!rc && m->changes->base)
		rc = take_base(w, m, m->changes->base);
	if (!rc) {
		times_free(m->times);
		m->times = m->changes->times;
		m->view = &m->changes->tree;
		node_table_changes(m->nodes, m->changes);
	}
	return rc;
}

static int sync_path(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) ? fail(-errno, "%s: %s", path,
					  strerror(errno))
				   : 0;
}

int workspace_sync(struct workspace *w)
{
	cleanup_free char *meta = xasprintf("%s/meta", w->dir);
	cleanup_free char *above = xasprintf("%s/..", w->dir);
	int rc;

	if (__atomic_load_n(&w->synced, __ATOMIC_ACQUIRE))
		return 0;
	rc = sync_path(meta);
	if (!rc)
		rc = sync_path(w->dir);
	if (!rc)
		rc = sync_path(above);
	if (!rc)
		__atomic_store_n(&w->synced, true, __ATOMIC_RELEASE);
	return rc;
}

static int workspace_close(struct workspace *w, bool discard)
{
	int rc = 0;

	if (!w)
		return 0;
	if (discard)
		rc = remove_dir(w);
	if (rc)
		log_warn("fs", "workspace %s is not removed: %s", w->name,
			 error_text(rc));
	workspace_free(w);
	return rc;
}

bool workspace_holds_nothing(struct mount *m)
{
	const struct fs_options *o = &m->fs->options;

	return !m->workspace->named && changes_untouched(m->changes) &&
	       redirect_empty(m->workspace) &&
	       (!o->discard || o->discard(o->ctx, m->workspace->dir));
}

void workspace_end(struct mount *m)
{
	/* one that never came to be goes as well */
	bool discard = m->workspace && !m->workspace->resumed;

	if (m->changes) {
		discard = workspace_holds_nothing(m);
		if (discard)
			changes_abandon(m->changes);
		else
			changes_close(m->changes);
	}
	workspace_close(m->workspace, discard);
}

/* -- those on the disk --------------------------------------------------------------- */

static uint64_t disk_bytes(const char *dir)
{
	cleanup_free char *path = NULL;
	struct dirent *e;
	struct stat st;
	uint64_t sum = 0;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		sum += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode)) {
			free(path);
			path = xasprintf("%s/%s", dir, e->d_name);
			sum += disk_bytes(path);
		}
	}
	if (d)
		closedir(d);
	return sum;
}

static char *mounted_at(struct fs *f, const char *name)
{
	lock_scope(&f->lock);
	for (struct mount *m = f->mounts; m; m = m->next)
		if (m->workspace && !strcmp(m->workspace->name, name))
			return xstrdup(m->dir);
	return xstrdup("");
}

static int tell(struct fs *f, const char *name,
		int (*fn)(void *ctx, const struct fs_workspace *w), void *ctx)
{
	struct workspace *w = xcalloc(1, sizeof(*w));
	cleanup_free char *dir = mounted_at(f, name);
	struct fs_workspace out;
	int rc;

	w->lock = -1;
	w->name = xstrdup(name);
	w->dir = xasprintf("%s/%s", f->options.state_dir, name);
	rc = read_meta(w);
	if (!rc) {
		out = (struct fs_workspace){
			.name = w->name, .source = w->source,
			.subdir = w->subdir, .rev = w->rev.text,
			.state_dir = w->dir, .dir = dir,
			.created_ns = w->created_ns,
			.disk_bytes = disk_bytes(w->dir),
		};
		rc = fn(ctx, &out);
	} else {
		rc = 0; /* not one, or half made */
	}
	workspace_free(w);
	return rc;
}

int fs_workspaces(struct fs *f,
		  int (*fn)(void *ctx, const struct fs_workspace *w),
		  void *ctx)
{
	struct dirent *e;
	DIR *d;
	int rc = 0;

	if (!f->options.state_dir)
		return 0;
	d = opendir(f->options.state_dir);
	if (!d)
		return errno == ENOENT ? 0
				       : fail(-errno, "%s: %s",
					      f->options.state_dir,
					      strerror(errno));
	while (!rc && (e = readdir(d)))
		if (valid_name(e->d_name))
			rc = tell(f, e->d_name, fn, ctx);
	closedir(d);
	return rc;
}

int fs_workspace_remove(struct fs *f, const char *name)
{
	struct workspace *w;
	struct stat st;
	int rc;

	if (!f->options.state_dir || !valid_name(name))
		return fail(-ENOENT, "no workspace %s", name);
	w = xcalloc(1, sizeof(*w));
	w->lock = -1;
	w->name = xstrdup(name);
	w->dir = xasprintf("%s/%s", f->options.state_dir, name);
	rc = lstat(w->dir, &st) ? fail(-ENOENT, "no workspace %s", name)
				: take_lock(w);
	if (rc) {
		workspace_free(w);
		return rc;
	}
	return workspace_close(w, true);
}
