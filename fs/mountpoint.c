/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mountpoint.h"

#include "core/error.h"
#include "core/log.h"
#include "core/path.h"
#include "core/spawn.h"
#include "fs/mounter.h"

#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>


struct mounted {
	char type[64];
	char device[32]; /* major:minor */
};

/* mountinfo writes blanks and the like as \ooo */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
					(s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* What is mounted on exactly this directory (the last one wins), asked from
 * the table and not from the mount, which may be dead. */
static bool lookup(const char *dir, struct mounted *ret)
{
	cleanup_file FILE *f = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t cap = 0;
	bool found = false;

	while (f && getline(&line, &cap, f) > 0) {
		char device[32], *point = NULL, type[64];
		char *dash = strstr(line, " - ");

		if (dash && sscanf(dash, " - %63s", type) == 1 &&
		    sscanf(line, "%*d %*d %31s %*s %ms", device, &point) == 2) {
			unescape(point);
			if (!strcmp(point, dir)) {
				found = true;
				snprintf(ret->type, sizeof(ret->type), "%s",
					 type);
				snprintf(ret->device, sizeof(ret->device),
					 "%s", device);
			}
		}
		free(point);
	}
	return found;
}

static int check_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool empty = true;

	if (!d)
		return fail(-errno, "mountpoint %s: %s", dir, strerror(errno));
	while (empty && (e = readdir(d)))
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	closedir(d);
	return empty ? 0
		     : fail(-ENOTEMPTY, "mountpoint %s is not empty", dir);
}

/* A daemon that died left its mount. The kernel may still answer lstat and
 * even reads from what it remembers; statfs always asks the daemon. */
static bool is_dead(const char *dir)
{
	struct statvfs vfs;
	struct mounted m;
	struct stat st;

	if (lstat(dir, &st))
		return errno == ENOTCONN || errno == EIO;
	return lookup(dir, &m) && !strcmp(m.type, "fuse.scorpio") &&
	       statvfs(dir, &vfs) && errno == ENOTCONN;
}

static int clear_dead(const char *dir)
{
	struct mounted m;

	if (!lookup(dir, &m) || strcmp(m.type, "fuse.scorpio"))
		return fail(-EBUSY, "mountpoint %s is a dead mount of another "
			    "program; unmount it first", dir);
	log_warn("fs", "%s: clearing the mount of a daemon that died", dir);
	return mountpoint_detach(dir, true);
}

int mountpoint_prepare(const char *dir, bool *ret_made)
{
	struct mounted m;
	struct stat st;
	int rc;

	*ret_made = false;
	if (dir[0] != '/')
		return fail(-EINVAL, "mountpoint %s is not absolute", dir);
	if (is_dead(dir)) {
		rc = clear_dead(dir);
		if (rc)
			return rc;
	}
	if (lstat(dir, &st)) {
		if (errno != ENOENT)
			return fail(-errno, "mountpoint %s: %s", dir,
				    strerror(errno));
		rc = path_make_dirs(dir, 0755);
		if (rc)
			return fail_prefix(rc, "mountpoint %s", dir);
		*ret_made = true;
		return 0;
	}
	if (!S_ISDIR(st.st_mode))
		return fail(-ENOTDIR, "mountpoint %s is a %s, not a directory",
			    dir, S_ISLNK(st.st_mode) ? "symbolic link"
						     : "file");
	if (lookup(dir, &m))
		return fail(-EBUSY, "something is mounted at %s already (%s)",
			    dir, m.type);
	return check_empty(dir);
}

int mountpoint_busy(const char *dir)
{
	cleanup_free char *who = mountpoint_users(dir);

	return fail(-EBUSY, "%s: in use: %s%s working directory or an open "
		    "file there", dir, who ? who : "a program",
		    who && strchr(who, ',') ? " have their" : " has its");
}

static int run_fusermount(const char *dir, bool lazy, int *ret_status,
			  char *error, size_t cap)
{
	const char *argv[] = { "fusermount3", lazy ? "-uz" : "-u", "--", dir,
			       NULL };
	struct scorpio_spawn x = { .struct_size = sizeof(x), .argv = argv,
				   .timeout_ms = 5000 };
	int rc;

	if (mounter_is_used())
		return mounter_unmount(dir, lazy, ret_status, error, cap);
	rc = spawn_run(&x);
	*ret_status = x.exit_status;
	snprintf(error, cap, "%s", rc ? "" : x.error);
	return rc;
}

static int detach_as_user(const char *dir, bool lazy)
{
	char error[512];
	int status, rc = run_fusermount(dir, lazy, &status, error,
					sizeof(error));

	if (rc)
		return fail_prefix(rc, "fusermount3");
	if (status && strstr(error, "busy"))
		return mountpoint_busy(dir);
	if (status)
		return fail(-EPERM, "%s: %s", dir, error);
	return 0;
}

int mountpoint_detach(const char *dir, bool lazy)
{
	if (geteuid())
		return detach_as_user(dir, lazy);
	if (!umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)))
		return 0;
	if (errno == EINVAL || errno == ENOENT)
		return 0; /* somebody was faster */
	if (errno == EBUSY)
		return mountpoint_busy(dir);
	return fail(-errno, "%s: %s", dir, strerror(errno));
}

static bool write_file(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) > 0)
		return true;
	log_debug("fs", "%s: %s", path, strerror(errno));
	return false;
}

bool mountpoint_abort(const char *dir)
{
	unsigned major, minor;
	char path[128];
	struct mounted m;

	if (!lookup(dir, &m) || strncmp(m.type, "fuse", 4) ||
	    sscanf(m.device, "%u:%u", &major, &minor) != 2)
		return false;
	/* to a FUSE file system the force is the abort, busy or not */
	if (!umount2(dir, MNT_FORCE | UMOUNT_NOFOLLOW) || errno == EBUSY)
		return true;
	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort",
		 major << 20 | minor);
	return write_file(path, "1");
}

void mountpoint_read_ahead(const char *dir, uint64_t bytes)
{
	char path[128], kib[32];
	struct mounted m;

	if (!lookup(dir, &m))
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%s/read_ahead_kb",
		 m.device);
	snprintf(kib, sizeof(kib), "%llu", (unsigned long long)(bytes / KiB));
	write_file(path, kib);
}
