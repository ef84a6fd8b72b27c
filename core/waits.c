/* SPDX-License-Identifier: Apache-2.0 */
#include "core/waits.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>

#define LOCKS_MOST 4 /* that are followed from one to who has it */

/* Calls that take long where a disk, or something that plays one, does. */
static const struct {
	int nr;
	bool fd; /* the first argument is one */
	const char *name;
} calls[] = {
	{ SYS_read, true, "read" },
	{ SYS_pread64, true, "pread" },
	{ SYS_preadv, true, "preadv" },
	{ SYS_write, true, "write" },
	{ SYS_pwrite64, true, "pwrite" },
	{ SYS_writev, true, "writev" },
	{ SYS_pwritev, true, "pwritev" },
	{ SYS_fsync, true, "fsync" },
	{ SYS_fdatasync, true, "fdatasync" },
	{ SYS_sync_file_range, true, "sync_file_range" },
	{ SYS_syncfs, true, "syncfs" },
	{ SYS_ftruncate, true, "ftruncate" },
	{ SYS_fallocate, true, "fallocate" },
	{ SYS_copy_file_range, true, "copy_file_range" },
	{ SYS_lseek, true, "lseek" },
	{ SYS_getdents64, true, "getdents" },
	{ SYS_flock, true, "flock" },
	{ SYS_fcntl, true, "fcntl" },
	{ SYS_ioctl, true, "ioctl" },
	{ SYS_fstat, true, "fstat" },
	{ SYS_fstatfs, true, "fstatfs" },
	{ SYS_close, true, "close" },
	{ SYS_openat, true, "openat" },
	{ SYS_newfstatat, true, "stat" },
	{ SYS_statx, true, "statx" },
	{ SYS_unlinkat, true, "unlinkat" },
	{ SYS_mkdirat, true, "mkdirat" },
	{ SYS_linkat, true, "linkat" },
	{ SYS_symlinkat, true, "symlinkat" },
	{ SYS_renameat2, true, "renameat" },
	{ SYS_fchmodat, true, "fchmodat" },
	{ SYS_utimensat, true, "utimensat" },
#ifdef SYS_open
	{ SYS_open, false, "open" },
	{ SYS_stat, false, "stat" },
	{ SYS_lstat, false, "stat" },
	{ SYS_unlink, false, "unlink" },
	{ SYS_mkdir, false, "mkdir" },
	{ SYS_rmdir, false, "rmdir" },
	{ SYS_rename, false, "rename" },
	{ SYS_poll, false, "poll" },
	{ SYS_epoll_wait, false, "epoll_wait" },
#endif
	{ SYS_ppoll, false, "poll" },
	{ SYS_epoll_pwait, false, "epoll_wait" },
	{ SYS_msync, false, "msync" },
	{ SYS_munmap, false, "munmap" },
	{ SYS_mmap, false, "mmap" },
	{ SYS_wait4, false, "wait" },
	{ SYS_statfs, false, "statfs" },
	{ SYS_mount, false, "mount" },
	{ SYS_umount2, false, "umount" },
};

struct text {
	char *at;
	size_t left;
};

static void PRINTF(2, 3) put(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->at, t->left, fmt, args);
	va_end(args);
	n = MIN(MAX(n, 0), (int)t->left - 1);
	t->at += n;
	t->left -= (size_t)n;
}

/* Of a thread of this process, one line. */
static bool ask(pid_t tid, const char *what, char *buf, size_t cap)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)tid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, cap - 1);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

/* Who has the mutex, as glibc notes in it; 0: nobody known. It may be gone, so
 * it is read as the kernel reads memory: an error, not a signal. */
static pid_t owner_of(uint64_t mutex)
{
	struct { /* the beginning of a mutex */
		int lock;
		unsigned count;
		int owner;
	} m;
	cleanup_fd int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char name[20];

	if (fd < 0 || mutex > INT64_MAX ||
	    pread(fd, &m, sizeof(m), (off_t)mutex) != sizeof(m) || !m.lock ||
	    m.owner <= 0 || !ask(m.owner, "comm", name, sizeof(name)))
		return 0;
	return m.owner;
}

static void put_thread(struct text *t, pid_t tid)
{
	char name[20];

	if (ask(tid, "comm", name, sizeof(name)))
		put(t, "thread %s (%d)", name, (int)tid);
	else
		put(t, "thread %d", (int)tid);
}

static void put_call(struct text *t, long nr, uint64_t first)
{
	char link[40], path[PATH_MAX];
	ssize_t n;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].nr != nr)
			continue;
		put(t, "%s", calls[i].name);
		if (!calls[i].fd)
			return;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", (int)first);
		n = readlink(link, path, sizeof(path) - 1);
		if (n > 0)
			put(t, " of %.*s", (int)n, path);
		return;
	}
	put(t, "system call %ld", nr);
}

/* What tid is in; *ret_owner: who has the lock it waits for. */
static enum waits look(pid_t tid, struct text *t, pid_t *ret_owner)
{
	unsigned long long a[2] = { 0, 0 };
	char line[256];
	long nr;
	int n;

	if (!ask(tid, "syscall", line, sizeof(line)))
		return WAITS_UNKNOWN;
	n = sscanf(line, "%ld %llx %llx", &nr, &a[0], &a[1]);
	if (n < 1)
		return WAITS_NOT; /* "running" */
	if (nr == -1) {
		put(t, "memory that is read from a disk");
		return WAITS_CALL;
	}
	if (nr != SYS_futex || (a[1] & FUTEX_CMD_MASK) != FUTEX_WAIT) {
		if (nr == SYS_futex)
			put(t, "another thread");
		else
			put_call(t, nr, a[0]);
		return WAITS_CALL;
	}
	*ret_owner = owner_of(a[0]);
	put(t, "a lock");
	return WAITS_LOCK;
}

enum waits waits_of(pid_t tid, char *buf, size_t cap)
{
	struct text t = { buf, cap }, before;
	pid_t at = tid, owner = 0;
	enum waits first, is;

	buf[0] = '\0';
	first = is = look(at, &t, &owner);
	for (int i = 0; is == WAITS_LOCK && owner && i < LOCKS_MOST; i++) {
		at = owner;
		owner = 0;
		put(&t, " of ");
		put_thread(&t, at);
		if (at == tid) {
			put(&t, ": a circle");
			break;
		}
		before = t;
		put(&t, ", which waits for ");
		is = look(at, &t, &owner);
		if (is < WAITS_LOCK) {
			t = before;
			put(&t, ", which is at work");
		}
	}
	return first;
}
