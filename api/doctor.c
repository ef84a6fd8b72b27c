/* SPDX-License-Identifier: Apache-2.0 */
#include "api/doctor.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "api/daemon.h"
#include "core/clock.h"
#include "core/confine.h"
#include "core/log.h"
#include "core/path.h"

#define DOCTOR_SLOW_NS NS_PER_S
#define DOCTOR_SLOW_MAX 5 /* told one by one */
#define DOCTOR_FREE_MIN (512 * MiB)

struct doctor {
	doctor_fn fn;
	void *ctx;
};

const char *doctor_word(enum doctor_result r)
{
	static const char *const words[] = { "ok", "warn", "fail" };

	return words[r];
}

static void say(struct doctor *d, const char *name, enum doctor_result r,
		const char *advice, const char *fmt, ...) PRINTF(5, 6);
static void say(struct doctor *d, const char *name, enum doctor_result r,
		const char *advice, const char *fmt, ...)
{
	struct doctor_check c = { name, r, NULL, r ? advice : NULL };
	cleanup_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = xstrdup("?");
	va_end(ap);
	c.text = text;
	d->fn(d->ctx, &c);
}

/* -- the machine ------------------------------------------------------------------ */

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	cleanup_free char *copy = xstrdup(path ? path : "/usr/bin:/bin");
	char *save = NULL;

	for (char *dir = strtok_r(copy, ":", &save); dir;
	     dir = strtok_r(NULL, ":", &save)) {
		cleanup_free char *file = xasprintf("%s/%s", dir, program);

		if (!access(file, X_OK))
			return true;
	}
	return false;
}

static void fuse_device(struct doctor *d)
{
	cleanup_fd int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		say(d, "fuse-device", DOCTOR_OK, NULL, "/dev/fuse opens");
	else if (errno == ENOENT)
		say(d, "fuse-device", DOCTOR_FAIL,
		    "load the module (modprobe fuse); in a container pass "
		    "--device /dev/fuse --cap-add SYS_ADMIN",
		    "/dev/fuse is missing");
	else
		say(d, "fuse-device", DOCTOR_FAIL,
		    "give this user access to /dev/fuse",
		    "/dev/fuse: %s", strerror(errno));
}

static bool file_has_line(const char *file, const char *word)
{
	cleanup_free char *text = NULL;
	size_t n;

	if (path_read(file, 1 * MiB, &text, &n))
		return false;
	for (char *p = text; (p = strstr(p, word)); p++) {
		char *line = p;

		while (line > text && line[-1] != '\n')
			line--;
		if (*line != '#')
			return true;
	}
	return false;
}

static void fuse_kernel(struct doctor *d)
{
	struct utsname u;

	if (uname(&u))
		return;
	if (file_has_line("/proc/filesystems", "fuse"))
		say(d, "fuse-kernel", DOCTOR_OK, NULL, "Linux %s has fuse",
		    u.release);
	else
		say(d, "fuse-kernel", DOCTOR_WARN, "modprobe fuse",
		    "Linux %s does not list fuse (yet)", u.release);
}

static void fuse_helper(struct doctor *d)
{
	bool root = geteuid() == 0;

	if (in_path("fusermount3"))
		say(d, "fusermount3", DOCTOR_OK, NULL, "fusermount3 is there");
	else
		say(d, "fusermount3", root ? DOCTOR_WARN : DOCTOR_FAIL,
		    "install the package fuse3",
		    "fusermount3 is not in PATH%s",
		    root ? " (root can mount without it)" : "");
}

static void fuse_others(struct doctor *d, const struct config *c)
{
	const char *wish = config_string(c, "fs.allow_other");

	if (geteuid() == 0 ||
	    file_has_line("/etc/fuse.conf", "user_allow_other"))
		say(d, "allow-other", DOCTOR_OK, NULL,
		    "mounts can be shown to other users");
	else
		say(d, "allow-other",
		    wish && !strcmp(wish, "true") ? DOCTOR_FAIL : DOCTOR_WARN,
		    "add the line user_allow_other to /etc/fuse.conf if "
		    "others must see the mounts",
		    "only you can look into your mounts");
}

/* The directory or its nearest parent that is there. */
static char *nearest(const char *path)
{
	char *p = xstrdup(path);

	while (strlen(p) > 1 && access(p, F_OK)) {
		char *slash = strrchr(p, '/');

		slash[slash == p] = '\0';
	}
	return p;
}

static void store_disk(struct doctor *d, const struct config *c)
{
	const char *path = config_string(c, "server.store_path");
	cleanup_free char *dir = nearest(path);
	struct statvfs st;
	uint64_t space;

	if (access(dir, W_OK | X_OK)) {
		say(d, "store-path", DOCTOR_FAIL,
		    "set server.store_path to a directory you may write",
		    "%s cannot be written: %s", dir, strerror(errno));
		return;
	}
	if (statvfs(dir, &st))
		return;
	space = (uint64_t)st.f_bavail * st.f_frsize;
	if (space < DOCTOR_FREE_MIN)
		say(d, "store-path", DOCTOR_WARN,
		    "make room, or set server.store_path to another disk",
		    "%s: only %llu MiB free", path,
		    (unsigned long long)(space / MiB));
	else
		say(d, "store-path", DOCTOR_OK, NULL, "%s: %.1f GiB free",
		    path, (double)space / (double)GiB);
}

static void programs(struct doctor *d)
{
	if (in_path("git"))
		say(d, "git", DOCTOR_OK, NULL, "git is there");
	else
		say(d, "git", DOCTOR_WARN, "install the package git",
		    "git is not in PATH: ssh URLs and servers without "
		    "protocol 2 will not work");
}

static void config_state(struct doctor *d, const struct config *c)
{
	const char *path = config_path(c);
	struct stat st;

	if (!path) {
		say(d, "configuration", DOCTOR_OK, NULL,
		    "no file; defaults and environment");
		return;
	}
	if (!stat(path, &st) && (st.st_mode & S_IROTH) &&
	    config_is_set(c, "server.token"))
		say(d, "configuration", DOCTOR_WARN,
		    "chmod 600 it, or use server.token_file",
		    "%s holds a token and others can read it", path);
	else
		say(d, "configuration", DOCTOR_OK, NULL, "%s", path);
}

void doctor_machine(const struct config *c, doctor_fn fn, void *ctx)
{
	struct doctor d = { fn, ctx };

	config_state(&d, c);
	fuse_device(&d);
	fuse_kernel(&d);
	fuse_helper(&d);
	fuse_others(&d, c);
	store_disk(&d, c);
	programs(&d);
}

/* -- the daemon -------------------------------------------------------------------- */

static void missing(void *ctx, const struct mounts_missing *x)
{
	say(ctx, "mount", DOCTOR_FAIL,
	    "repair the cause (it is tried again by itself), or scorpio "
	    "umount it",
	    "%s is not mounted: %s", x->dir, x->why ? x->why : "not tried yet");
}

static int one_mount(void *ctx, const struct fs_mount_info *i)
{
	if (i->stats.circuit_open)
		say(ctx, "source", DOCTOR_FAIL,
		    "check the network and the server",
		    "%s does not answer; what is in the store still works",
		    i->source);
	else if (strcmp(i->state, "mounted"))
		say(ctx, "mount", DOCTOR_WARN, "scorpio umount it",
		    "%s: %s", i->dir, i->state);
	return 0;
}

struct slow {
	struct doctor *doc;
	size_t n;
	int64_t oldest;
};

static char *why_slow(const struct fs_slow *s)
{
	if (s->where == FS_AT_SOURCE)
		return xasprintf("waits for %s%s", s->source,
				 s->unreachable ? ", which does not answer"
						: "");
	if (s->where == FS_AT_QUEUE)
		return xstrdup("waits for a thread");
	return s->waits[0] ? xasprintf("waits for %s", s->waits)
			   : xstrdup("is being worked on");
}

static void slow(void *ctx, const struct fs_slow *s)
{
	static const char *const advice[FS_WHERES] = {
		[FS_AT_SOURCE] = "check the network and the server",
		[FS_AT_QUEUE] = "others are served first: it goes on by itself",
		[FS_AT_WORK] = "check the disks of the store and of the "
			       "workspaces",
		[FS_AT_LOCK] = "check the disks of the store and of the "
			       "workspaces",
	};
	struct slow *x = ctx;
	cleanup_free char *why = why_slow(s);

	x->oldest = MAX(x->oldest, s->age_ns);
	if (++x->n > DOCTOR_SLOW_MAX)
		return;
	say(x->doc, "slow", DOCTOR_WARN, advice[s->where],
	    "%s: %s of inode %llu%s%s by process %u %s, since %.1f s", s->dir,
	    s->op, (unsigned long long)s->ino, s->name ? " " : "",
	    s->name ? s->name : "", s->pid, why, (double)s->age_ns / 1e9);
}

static void slow_requests(struct doctor *doc, struct daemon *d)
{
	struct slow x = { .doc = doc };

	fs_slow(daemon_fs(d), DOCTOR_SLOW_NS, slow, &x);
	if (x.n > DOCTOR_SLOW_MAX)
		say(doc, "slow", DOCTOR_WARN, "see /metrics: "
		    "scorpio_requests_slow",
		    "and %zu more requests, the oldest since %.1f s",
		    x.n - DOCTOR_SLOW_MAX, (double)x.oldest / 1e9);
	else if (!x.n)
		say(doc, "requests", DOCTOR_OK, NULL,
		    "none waits for longer than a second");
}

static void store_health(struct doctor *doc, struct daemon *d)
{
	struct store_stats s;
	bool small;

	if (store_stat(daemon_store(d), &s)) {
		say(doc, "store", DOCTOR_FAIL, "scorpio fsck",
		    "the store does not answer");
		return;
	}
	small = s.used_bytes < GiB;
	if (s.damaged_records)
		say(doc, "store", DOCTOR_WARN,
		    "scorpio fsck; if it happens again check the disk",
		    "%llu damaged records were dropped",
		    (unsigned long long)s.damaged_records);
	else
		say(doc, "store", DOCTOR_OK, NULL,
		    "%.1f %s of %.1f GiB used, nothing damaged",
		    (double)s.used_bytes / (double)(small ? MiB : GiB),
		    small ? "MiB" : "GiB",
		    (double)s.max_bytes / (double)GiB);
}

void doctor_daemon(struct daemon *d, doctor_fn fn, void *ctx)
{
	struct doctor doc = { fn, ctx };

	say(&doc, "daemon", DOCTOR_OK, NULL, "runs as process %d", getpid());
	say(&doc, "confinement", DOCTOR_OK, NULL, "%s", confine_state());
	store_health(&doc, d);
	fs_each(daemon_fs(d), one_mount, &doc);
	mounts_each_missing(daemon_mounts(d), missing, &doc);
	slow_requests(&doc, d);
}
