/* SPDX-License-Identifier: Apache-2.0 */
/* mount.c - selecting and deselecting directories of the monorepo. */
#include "api/antares/antares.h"
#include "api/classic/git.h"
#include "api/classic/impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/id.h"
#include "core/log.h"
#include "core/path.h"

#include <sys/stat.h>

#define RESET_MS 60000

int classic_begin(struct classic *c)
{
	int64_t deadline = deadline_in_ms(CLASSIC_TIMEOUT_MS);
	ranked_scope(&c->lock);

	while (c->busy && !c->ending && now_ns() < deadline)
		lock_wait(&c->turn, &c->lock, deadline);
	if (c->busy || c->ending)
		return fail(-EAGAIN, "another call is still at work");
	c->busy = true;
	return 0;
}

void classic_end(struct classic *c)
{
	ranked_scope(&c->lock);

	c->busy = false;
	pthread_cond_broadcast(&c->turn);
}

/* -- the workspace ----------------------------------------------------------------- */

static bool is_there(struct classic *c)
{
	struct fs_mount_info info;

	if (fs_find(daemon_fs(c->daemon), c->workspace, &info))
		return false;
	fs_mount_info_done(&info);
	return true;
}

static int need_workspace(struct classic *c)
{
	struct mounts *m = daemon_mounts(c->daemon);
	int64_t deadline = deadline_in_ms(CLASSIC_TIMEOUT_MS);
	cleanup_free char *name = NULL;
	struct fs_mount_request r = {
		.source = c->source, .dir = c->workspace, .transient = true,
		.metadata = FS_METADATA_ONDEMAND, .deadline = deadline,
	};
	struct fs_mount_info info;
	int rc;

	if (is_there(c))
		return 0;
	mounts_wait_settled(m, deadline);
	if (is_there(c))
		return 0;
	name = mounts_workspace(c->source, c->workspace, NULL);
	r.workspace = name;
	daemon_owner(c->daemon, &r);
	rc = mounts_add(m, &r, &info);
	if (rc == -EEXIST) { /* wanted, and its next attempt is far away */
		mounts_remove(m, c->workspace, true);
		rc = mounts_add(m, &r, &info);
	}
	if (!rc)
		fs_mount_info_done(&info);
	return rc;
}

/* -- one directory ----------------------------------------------------------------- */

/* At the revision the workspace shows. */
static char *list_spec(struct classic *c, const char *cl, const char *path)
{
	struct fs_mount_info info;
	cleanup_free char *rev = NULL;

	if (!fs_find(daemon_fs(c->daemon), c->workspace, &info)) {
		rev = xstrndup(info.rev, strcspn(info.rev, "@"));
		fs_mount_info_done(&info);
	}
	return xasprintf("%s@%s%s%s", rev ? rev : "main", cl,
			 *path ? ":/" : "", path);
}

int classic_mount_list(struct classic *c, const struct cwork *w)
{
	size_t n = strlen(w->path), tail = strlen(w->cl) + 1;
	cleanup_free char *of = xstrndup(w->path, n > tail ? n - tail : 0);
	cleanup_free char *dir = classic_dir(c, w->path);
	cleanup_free char *spec = list_spec(c, w->cl, of);
	struct fs_mount_request r = {
		.source = c->source, .rev = spec, .subdir = of, .dir = dir,
		.workspace = w->upper, .state_dir = c->state_dir,
		.metadata = FS_METADATA_ONDEMAND,
		.deadline = deadline_in_ms(CLASSIC_TIMEOUT_MS),
	};
	cleanup_free char *state = xasprintf("%s/%s", c->state_dir, w->upper);
	struct fs_mount_info info;
	int rc;

	if (!access(state, F_OK)) /* it knows where it was */
		r.rev = NULL;
	daemon_owner(c->daemon, &r);
	rc = mounts_add(daemon_mounts(c->daemon), &r, &info);
	if (!rc)
		fs_mount_info_done(&info);
	return rc;
}

/* Existing, or made; its inode and the hash of its tree. */
static int look(struct classic *c, struct cwork *w)
{
	cleanup_free char *dir = classic_dir(c, w->path);
	struct fs_path_info info;
	struct stat st;
	uint8_t sha[SHA1_LEN];
	char hex[ID_HEX_MAX];
	int rc = fs_path(daemon_fs(c->daemon), dir,
			 deadline_in_ms(CLASSIC_TIMEOUT_MS), &info);

	if (rc && rc != -ENOENT)
		return rc;
	hash_bytes(HASH_SHA1, w->path, strlen(w->path), sha);
	hex_encode(sha, sizeof(sha), hex);
	if (!rc && info.id.len == SHA1_LEN)
		id_hex(&info.id, hex);
	if (!rc)
		fs_path_info_done(&info);
	else if (path_make_dirs(dir, 0755))
		return fail(-EIO, "%s cannot be made", dir);
	if (stat(dir, &st))
		return fail(-errno, "%s: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(-ENOTDIR, "%s is not a directory", w->path);
	w->inode = st.st_ino;
	w->hash = xstrdup(hex);
	return 0;
}

static bool is_above(const char *top, const char *path)
{
	size_t n = strlen(top);

	return !n || (!strncmp(path, top, n) && (!path[n] || path[n] == '/'));
}

static bool in_the_way(struct classic *c, const char *path)
{
	ranked_scope(&c->lock);

	for (const struct cwork *w = c->first; w; w = w->next)
		if (is_above(w->path, path) || is_above(path, w->path))
			return true;
	return false;
}

static int make(struct classic *c, struct cwork *w)
{
	cleanup_free char *dir = NULL;
	char id[FS_ID_LEN + 1];
	bool made;
	int rc;

	if (in_the_way(c, w->path))
		return fail(-EBUSY, CLASSIC_PLEASE_UNMOUNT);
	rc = need_workspace(c);
	if (rc)
		return rc;
	if (!w->cl)
		return look(c, w);
	id_uuid(id);
	w->upper = xstrdup(id);
	dir = classic_dir(c, w->path);
	made = access(dir, F_OK);
	rc = look(c, w); /* of the directory below: a mount's own is 1 */
	if (!rc)
		rc = classic_mount_list(c, w);
	if (rc && made)
		rmdir(dir);
	return rc;
}

/* Remember how it ended. */
static void note(struct classic *c, const char *id, const char *path, int err)
{
	struct ctask *t = xcalloc(1, sizeof(*t)), **at = &c->tasks;
	unsigned n = 0;

	snprintf(t->id, sizeof(t->id), "%s", id);
	if (err)
		t->why = xstrdup(error_text(err));
	else
		t->path = xstrdup(path);
	ranked_scope(&c->lock);
	t->next = c->tasks;
	c->tasks = t;
	while (*at && n++ < CLASSIC_TASKS_MAX)
		at = &(*at)->next;
	for (struct ctask *old; (old = *at);) {
		*at = old->next;
		free(old->path);
		free(old->why);
		free(old);
	}
}

static int understand(const char *path, const char *cl, struct cwork *w)
{
	cleanup_free char *clean = NULL;
	int rc = antares_path(path, &clean);

	if (rc)
		return rc;
	if (cl && (!*cl || strpbrk(cl, "@:/ \t\r\n")))
		return fail(-EINVAL, "\"%s\" is not the link of a change list",
			    cl);
	if (!clean)
		return fail(-EINVAL, "path cannot be empty");
	w->cl = cl ? xstrdup(cl) : NULL;
	w->path = xasprintf("%s%s%s", clean + 1, cl ? "_" : "", cl ? cl : "");
	return 0;
}

int classic_mount(struct classic *c, const char *path, const char *cl,
		  char ret_id[FS_ID_LEN + 1])
{
	struct cwork *w = xcalloc(1, sizeof(*w));
	int rc;

	id_uuid(ret_id);
	rc = understand(path, cl && *cl ? cl : NULL, w);
	if (!rc)
		rc = classic_begin(c);
	if (rc) {
		note(c, ret_id, NULL, rc);
		cwork_free(w);
		return rc;
	}
	rc = make(c, w);
	note(c, ret_id, w->path, rc);
	if (rc) {
		cwork_free(w);
	} else {
		lock_take(&c->lock);
		cwork_add(c, w);
		lock_drop(&c->lock);
		classic_save(c);
	}
	classic_end(c);
	return rc;
}

/* -- and away ------------------------------------------------------------------------ */

static struct cwork *take_out(struct classic *c, const char *path,
			      uint64_t inode)
{
	struct cwork **at = &c->first, *w;
	ranked_scope(&c->lock);

	while (*at && (path ? strcmp((*at)->path, path) : (*at)->inode != inode))
		at = &(*at)->next;
	w = *at;
	if (w)
		*at = w->next;
	return w;
}

static int remove_list(struct classic *c, const struct cwork *w)
{
	cleanup_free char *dir = classic_dir(c, w->path);
	cleanup_free char *state = xasprintf("%s/%s", c->state_dir, w->upper);
	struct mounts *m = daemon_mounts(c->daemon);
	int rc = mounts_remove(m, dir, false);

	if (rc == -EBUSY)
		rc = mounts_remove(m, dir, true);
	if (rc && rc != -ENOENT)
		return rc;
	rmdir(dir);
	if (!access(state, F_OK) && (path_empty_dir(state) || rmdir(state)))
		log_warn("classic", "%s is not removed: %s", state,
			 strerror(errno));
	return 0;
}

/* As if nobody had worked there. */
static int discard(struct classic *c, const struct cwork *w)
{
	int rc = fs_reset(daemon_fs(c->daemon), c->workspace, w->path,
			  deadline_in_ms(RESET_MS));

	return rc == -ENOENT ? 0 : rc;
}

int classic_unmount(struct classic *c, const char *path, uint64_t inode)
{
	cleanup_free char *clean = NULL;
	struct cwork *w;
	int rc = path ? antares_path(path, &clean) : 0;

	if (!rc)
		rc = classic_begin(c);
	if (rc)
		return rc;
	if (path)
		classic_git_forget(c, clean ? clean + 1 : "");
	w = take_out(c, path ? clean ? clean + 1 : "" : NULL, inode);
	if (!w)
		rc = fail(-ENOENT, "%s is not mounted", path ? path
							     : "this inode");
	else
		rc = w->upper ? remove_list(c, w) : discard(c, w);
	if (w && rc) {
		lock_take(&c->lock);
		cwork_add(c, w);
		lock_drop(&c->lock);
	} else {
		cwork_free(w);
	}
	classic_save(c);
	classic_end(c);
	return rc;
}
