/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - antares.state_file: TOML, one table [[mounts]] for each mount, with
 * the keys other programs know. Written whole, by rename.
 */
#include "api/antares/impl.h"
#include "api/statefile.h"
#include "core/buf.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/path.h"
#include "core/toml.h"
#include "core/toml_put.h"
#include "fs/mountpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#define STATE_MAX (16 * MiB)
#define STATE_MOUNTS_MAX 10000u

/* -- writing ---------------------------------------------------------------------- */

/* "a b" -> ["a", "b"]; ids need no escapes. */
static void put_chain(struct buf *b, const char *chain)
{
	const char *sep = "";
	size_t n;

	if (!chain)
		return;
	buf_puts(b, "sealed_chain = [");
	for (; *chain; chain += n + (chain[n] == ' '), sep = ", ") {
		n = strcspn(chain, " ");
		buf_printf(b, "%s\"%.*s\"", sep, (int)n, chain);
	}
	buf_puts(b, "]\n");
}

static void put_mount(struct buf *b, const struct amount *m)
{
	buf_puts(b, "\n[[mounts]]\n");
	toml_put(b, "mount_id", m->id);
	toml_put(b, "job_id", m->job);
	toml_put(b, "path", m->path);
	toml_put(b, "cl", m->cl);
	toml_put(b, "cl_path", m->cl ? m->cl_path : NULL);
	toml_put(b, "mountpoint", m->dir);
	toml_put(b, "upper_dir", m->upper);
	toml_put(b, "cl_dir", m->cl_dir);
	toml_put(b, "base_revision", m->base);
	toml_put(b, "revision", m->rev);
	toml_put(b, "pinned_refs", m->pinned ? m->rev : NULL);
	put_chain(b, m->chain);
	buf_printf(b, "created_at_epoch_ms = %lld\n",
		   (long long)m->created_ms);
}

static int write_state(void *ctx)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct antares *a = ctx;

	buf_puts(&b, "# mounts of the Antares API; written by the daemon\n");
	lock_take(&a->lock);
	if (!a->first)
		buf_puts(&b, "mounts = []\n");
	for (const struct amount *m = a->first; m; m = m->next)
		if (!m->unbound &&
		    (m->state != ANTARES_PROVISIONING || m->recovering))
			put_mount(&b, m);
	lock_drop(&a->lock);
	return statefile_write(a->state_file, &b);
}

void antares_save(struct antares *a)
{
	int rc = statefile_save(&a->saving, write_state, a);

	if (rc)
		log_warn("antares", "the record of mounts is not up to date: "
			 "%s", error_text(rc));
}

/* -- reading ---------------------------------------------------------------------- */

static char *text(const json_t *v, const char *key)
{
	const char *s = json_get_text(v, key, NULL);

	return s && *s ? xstrdup(s) : NULL;
}

static char *take_chain(const json_t *v)
{
	struct buf b = BUF_INIT;
	size_t i;
	json_t *id;

	json_array_foreach(json_object_get(v, "sealed_chain"), i, id)
		if (json_is_string(id) && antares_is_id(json_string_value(id)))
			buf_printf(&b, "%s%s", b.len ? " " : "",
				   json_string_value(id));
	return b.len ? buf_steal(&b) : NULL;
}

static bool take(struct antares *a, const json_t *v)
{
	const char *id = json_get_text(v, "mount_id", "");
	const char *dir = json_get_text(v, "mountpoint", "");
	struct amount *m;

	if (!antares_is_id(id) || dir[0] != '/' || amount_by_id(a, id))
		return false;
	m = xcalloc(1, sizeof(*m));
	m->antares = a;
	m->refs = 1;
	memcpy(m->id, id, sizeof(m->id));
	m->job = text(v, "job_id");
	m->path = text(v, "path");
	m->dir = xstrdup(dir);
	m->upper = text(v, "upper_dir");
	m->cl = text(v, "cl");
	m->cl_path = text(v, "cl_path");
	m->cl_dir = text(v, "cl_dir");
	m->base = text(v, "base_revision");
	m->rev = text(v, "revision");
	m->pinned = json_get_text(v, "pinned_refs", NULL);
	m->chain = take_chain(v);
	if (!m->path || m->path[0] != '/')
		m->path = (free(m->path), xstrdup("/"));
	if (!m->cl_path)
		m->cl_path = xstrdup(m->path);
	if (!m->upper)
		m->upper = xasprintf("%s/%s", a->upper_root, id);
	m->own_dir = !strncmp(dir, a->mount_root, strlen(a->mount_root)) &&
		     dir[strlen(a->mount_root)] == '/';
	m->created_ms = json_get_int(v, "created_at_epoch_ms", 0);
	m->seen_ms = m->created_ms;
	m->state = ANTARES_PROVISIONING;
	m->recovering = true;
	m->next = a->first;
	a->first = m;
	return true;
}

static int read_state(struct antares *a)
{
	cleanup_free char *file = NULL;
	json_t *doc = NULL, *where = NULL, *v;
	struct toml_error e = { 0 };
	size_t len, i, strange = 0;
	int rc = path_read(a->state_file, STATE_MAX, &file, &len);

	if (rc)
		return rc;
	rc = toml_read(file, len, &doc, &where, &e);
	if (rc)
		rc = fail(rc, "%s:%u:%u: %s", a->state_file, e.line, e.column,
			  e.reason);
	else if (json_array_size(json_object_get(doc, "mounts")) >
		 STATE_MOUNTS_MAX)
		rc = fail(-EBADMSG, "%s: too many mounts", a->state_file);
	if (!rc)
		json_array_foreach(json_object_get(doc, "mounts"), i, v)
			strange += !take(a, v);
	if (strange)
		log_warn("antares", "%s: %zu entries of another program are "
			 "left out", a->state_file, strange);
	json_decref(doc);
	json_decref(where);
	return rc;
}

void antares_load(struct antares *a)
{
	int rc;

	if (access(a->state_file, F_OK))
		return;
	rc = read_state(a);
	if (!rc)
		return;
	statefile_set_aside("antares", a->state_file, rc);
}

/* -- coming back ------------------------------------------------------------------- */

struct comeback {
	struct pool_task task;
	struct amount *m;
};

/* What api/mounts does not bring back by itself (its record is in the store,
 * which may have been removed). */
static void come_back(struct pool_task *t)
{
	struct comeback *c = container_of(t, struct comeback, task);
	struct amount *m = c->m;
	struct antares *a = m->antares;
	cleanup_free char *spec = antares_spec(m->rev, m->cl, m->cl_path);
	cleanup_free char *root = xstrdup(m->upper);
	char *name = strrchr(root, '/');
	struct fs_mount_request r = {
		.source = a->source, .rev = spec, .subdir = m->path + 1,
		.dir = m->dir, .job = m->job, .state_dir = root,
		.metadata = FS_METADATA_ONDEMAND, .allow_other = -1,
		.uid = -1, .gid = -1,
		.deadline = deadline_in_ms(ANTARES_TIMEOUT_MS),
	};
	struct fs_mount_info info;
	struct call call;
	int rc;

	*name = '\0';
	r.workspace = name + 1;
	call_enter(&call, r.deadline, &a->ending);
	rc = mounts_add(daemon_mounts(a->daemon), &r, &info);
	call_leave(&call);
	lock_take(&a->lock);
	if (!rc && m->recovering) {
		m->recovering = false;
		amount_set_rev(m, info.rev);
		amount_state(m, ANTARES_READY, NULL);
	} else if (rc && rc != -EEXIST && m->recovering) {
		m->recovering = false;
		amount_state(m, ANTARES_FAILED, error_text(rc));
	}
	lock_drop(&a->lock);
	if (!rc)
		fs_mount_info_done(&info);
	amount_put(m);
	free(c);
}

/* Of a daemon that died with its keeper. */
static void clear_dead(const char *dir)
{
	struct statvfs st;

	if (statvfs(dir, &st) && errno == ENOTCONN)
		mountpoint_detach(dir, true);
}

void antares_forget_strangers(struct antares *a)
{
	char **dirs;

	if (statefile_is_aside(a->state_file)) {
		log_warn("antares", "what no record names in %s is kept until "
			 "%s.bad is gone: its changes may be somebody's",
			 a->upper_root, a->state_file);
		return;
	}
	dirs = mounts_dirs_in(daemon_mounts(a->daemon), a->upper_root);
	for (char **p = dirs; *p; p++) {
		struct amount *m;
		int rc;

		lock_take(&a->lock);
		for (m = a->first; m && strcmp(m->dir, *p);)
			m = m->next;
		lock_drop(&a->lock);
		if (!m) {
			log_info("antares", "%s was being made, or kept warm, "
				 "when a daemon ended: unmounting it", *p);
			rc = mounts_remove(daemon_mounts(a->daemon), *p, true);
			if (rc)
				log_warn("antares", "%s: %s", *p,
					 error_text(rc));
			clear_dead(*p);
		}
		free(*p);
	}
	free(dirs);
}

/* Kept by a daemon that is gone, and nobody's? */
static bool abandoned(struct antares *a, const char *upper)
{
	cleanup_free char *path = xasprintf("%s/lock", upper);
	cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
		return false;
	for (const struct amount *m = a->first; m; m = m->next)
		if (!strcmp(m->upper, upper))
			return false;
	return true;
}

/* Directories of mounts that were being made, or kept warm, when a daemon
 * died. */
static void sweep(struct antares *a)
{
	DIR *d = opendir(a->upper_root);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup_free char *upper = xasprintf("%s/%s", a->upper_root,
						     e->d_name);
		cleanup_free char *dir = xasprintf("%s/%s", a->mount_root,
						   e->d_name);
		cleanup_free char *cl = xasprintf("%s/%s", a->cl_root,
						  e->d_name);
		bool ours;

		if (!antares_is_id(e->d_name))
			continue;
		lock_take(&a->lock);
		ours = abandoned(a, upper);
		lock_drop(&a->lock);
		if (!ours)
			continue;
		log_info("antares", "removing what is left of mount %s",
			 e->d_name);
		clear_dead(dir);
		antares_clean(dir, upper, cl);
	}
	if (d)
		closedir(d);
}

void antares_recover(struct antares *a)
{
	struct amount **all;
	size_t n = 0, used = 0;

	fs_sweep(a->upper_root);
	if (!statefile_is_aside(a->state_file))
		sweep(a);
	n = antares_count(a);
	all = xcalloc(n + 1, sizeof(struct amount *));
	lock_take(&a->lock);
	for (struct amount *m = a->first; m && used < n; m = m->next) {
		m->refs++;
		all[used++] = m;
	}
	lock_drop(&a->lock);
	for (size_t i = 0; i < used; i++) {
		struct comeback *c = xcalloc(1, sizeof(*c));

		c->m = all[i];
		c->task.run = come_back;
		pool_add(a->pool, &c->task);
	}
	free(all);
}
