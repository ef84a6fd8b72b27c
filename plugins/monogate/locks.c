/* SPDX-License-Identifier: Apache-2.0 */
#include "locks.h"

#include <errno.h>
#include <fcntl.h>
#include <scorpio/host.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_CAP 4300
#define WAIT_MS 10000
#define TICK_MS 5

static int trouble(const struct scorpio_host *h, const char *what)
{
	return h->fail(h, -errno, "%s: %s", what, strerror(errno));
}

/* -- the file --------------------------------------------------------------- */

static int damaged(const struct scorpio_host *h, const char *file)
{
	return h->fail(h, -EIO, "%s is damaged: it is left alone; move it away "
		       "to begin without locks", file);
}

static bool lock_ok(const json_t *v)
{
	const char *id = json_string_value(json_object_get(v, "id"));

	return id && atoll(id) > 0 &&
	       json_string_value(json_object_get(v, "path")) &&
	       json_string_value(json_object_get(v, "locked_at")) &&
	       json_string_value(json_object_get(json_object_get(v, "owner"),
						 "name"));
}

static bool file_ok(const json_t *all)
{
	const json_t *list = json_object_get(all, "locks"), *v;
	size_t i;

	json_array_foreach(list, i, v)
		if (!lock_ok(v))
			return false;
	return json_is_array(list) &&
	       json_is_integer(json_object_get(all, "next"));
}

/* {"next": ID, "locks": [...]} */
static int load(const struct scorpio_host *h, const char *file, json_t **ret)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	json_t *v;

	if (fd < 0 && errno == ENOENT) {
		*ret = json_pack("{s:i,s:[]}", "next", 1, "locks");
		return *ret ? 0 : -ENOMEM;
	}
	if (fd < 0)
		return trouble(h, file);
	v = fstat(fd, &st) || st.st_size > LOCKS_FILE_MAX ?
		    NULL : json_loadfd(fd, 0, NULL);
	close(fd);
	if (!file_ok(v)) {
		json_decref(v);
		return damaged(h, file);
	}
	*ret = v;
	return 0;
}

/* Its name is on the disk, too. */
static int sync_dir(const struct scorpio_host *h, const char *file)
{
	char dir[PATH_CAP];
	int fd, rc;

	snprintf(dir, sizeof(dir), "%s", file);
	*strrchr(dir, '/') = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 || fsync(fd) ? trouble(h, dir) : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int save(const struct scorpio_host *h, const char *file,
		const json_t *all)
{
	char next[PATH_CAP];
	int fd, rc = 0;

	snprintf(next, sizeof(next), "%s.new", file);
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		  0644);
	if (fd < 0)
		return trouble(h, next);
	if (json_dumpfd(all, fd, JSON_COMPACT) || fsync(fd))
		rc = trouble(h, next);
	close(fd);
	if (!rc && rename(next, file))
		rc = trouble(h, file);
	return rc ? rc : sync_dir(h, file);
}

/* Only one at a time changes it, of whatever process. */
static int begin(const struct scorpio_host *h, const char *file, int *ret)
{
	static const struct timespec tick = { .tv_nsec = TICK_MS * 1000000 };
	char path[PATH_CAP];
	int fd;

	snprintf(path, sizeof(path), "%s", file);
	*strrchr(path, '/') = '\0';
	mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s.lock", file);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return trouble(h, path);
	for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB); ms += TICK_MS) {
		if (ms >= WAIT_MS || h->cancelled(h)) {
			close(fd);
			return h->fail(h, -EAGAIN, "others change the locks; "
				       "try again");
		}
		nanosleep(&tick, NULL);
	}
	*ret = fd;
	return 0;
}

/* -- what is done with it -------------------------------------------------- */

static json_t *find_path(const json_t *all, const char *path)
{
	const json_t *list = json_object_get(all, "locks");
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
		if (!strcmp(json_string_value(json_object_get(v, "path")),
			    path))
			return v;
	return NULL;
}

static json_t *make(long long id, const char *path, const char *owner)
{
	time_t now = time(NULL);
	char when[32], number[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(number, sizeof(number), "%lld", id);
	return json_pack("{s:s,s:s,s:s,s:{s:s}}", "id", number, "path", path,
			 "locked_at", when, "owner", "name", owner);
}

struct wish { /* path of locks_add, below and id of locks_drop */
	const char *path, *below, *owner;
	long long id;
};

static int add(const struct scorpio_host *h, json_t *all, const struct wish *w,
	       json_t **ret)
{
	json_t *list = json_object_get(all, "locks");
	json_t *v = find_path(all, w->path);
	long long id = json_integer_value(json_object_get(all, "next"));

	if (v) {
		*ret = json_incref(v);
		return h->fail(h, -EEXIST, "already created lock");
	}
	if (json_array_size(list) >= LOCKS_MAX)
		return h->fail(h, -ENOSPC, "there are %u locks already",
			       LOCKS_MAX);
	v = make(id, w->path, w->owner);
	if (!v || json_array_append(list, v) ||
	    json_object_set_new(all, "next", json_integer(id + 1))) {
		json_decref(v);
		return h->fail(h, -EINVAL, "what is locked, or by whom, is not "
			       "UTF-8");
	}
	*ret = v;
	return 0;
}

static int drop(const struct scorpio_host *h, json_t *all,
		const struct wish *w, json_t **ret)
{
	json_t *list = json_object_get(all, "locks"), *v = NULL;
	const char *whose;
	size_t i;

	json_array_foreach(list, i, v)
		if (atoll(json_string_value(json_object_get(v, "id"))) == w->id &&
		    locks_seen(v, w->below))
			break;
	if (!v || i == json_array_size(list))
		return h->fail(h, -ENOENT, "there is no such lock");
	whose = json_string_value(json_object_get(json_object_get(v, "owner"),
						  "name"));
	if (w->owner && strcmp(w->owner, whose) != 0)
		return h->fail(h, -EACCES, "the lock is %s's: take it away by "
			       "force, or ask them", whose);
	*ret = json_incref(v);
	json_array_remove(list, i);
	return 0;
}

typedef int (*edit_fn)(const struct scorpio_host *h, json_t *all,
		       const struct wish *w, json_t **ret);

/* Read, change and replace; a lock that is told comes with 0 and -EEXIST. */
static int change(const struct scorpio_host *h, const char *file, edit_fn edit,
		  const struct wish *w, json_t **ret)
{
	json_t *all = NULL, *lock = NULL;
	int turn, rc = begin(h, file, &turn);

	if (rc)
		return rc;
	rc = load(h, file, &all);
	if (!rc)
		rc = edit(h, all, w, &lock);
	if (!rc)
		rc = save(h, file, all);
	close(turn);
	json_decref(all);
	if (rc && rc != -EEXIST)
		json_decref(lock);
	else
		*ret = lock;
	return rc;
}

int locks_add(const struct scorpio_host *h, const char *file, const char *path,
	      const char *owner, json_t **ret)
{
	const struct wish w = { .path = path, .owner = owner };

	return change(h, file, add, &w, ret);
}

int locks_drop(const struct scorpio_host *h, const char *file, long long id,
	       const char *below, const char *owner, json_t **ret)
{
	const struct wish w = { .id = id, .below = below, .owner = owner };

	return change(h, file, drop, &w, ret);
}

int locks_read(const struct scorpio_host *h, const char *file, json_t **ret)
{
	json_t *all = NULL;
	int rc = load(h, file, &all);

	if (rc)
		return rc;
	*ret = json_incref(json_object_get(all, "locks"));
	json_decref(all);
	return 0;
}

const char *locks_seen(const json_t *lock, const char *below)
{
	const char *path = json_string_value(json_object_get(lock, "path"));
	size_t n = strlen(below);

	if (!n)
		return path;
	return !strncmp(path, below, n) && path[n] == '/' ? path + n + 1 : NULL;
}
