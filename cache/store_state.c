/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file <path>/lock: an flock for "one process per store", and a few lines
 * of text about the process that has or had it:
 *
 *	pid 4711
 *	boot 3f0c...           the boot the process ran in
 *	opened 1700000000      wall clock, seconds
 *	state opening|open|clean
 *	damaged 0|1            it met damage: check the structure next time
 *	unreadable 4096        it died of SIGBUS at this byte of data.mdb
 *
 * "opening" is synced at open, before anything is written to the database: a
 * machine that dies later cannot leave the clean mark of an earlier run.
 */
#include "cache/store_impl.h"

#include "core/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#define TEXT_MAX 512
#define MAYBE_DYING_MS 1000
#define DYING_MS 10000
#define EXITING 4ul /* PF_EXITING of the kernel */

static void boot_id(char out[64])
{
	cleanup_fd int fd =
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, 63);

	out[n < 0 ? 0 : n] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* The rest of the line that starts with "word ", or "". */
static void field(const char *text, const char *word, char *out, size_t cap)
{
	size_t n = strlen(word), len;

	out[0] = '\0';
	while (*text) {
		len = strcspn(text, "\n");
		if (len > n && !memcmp(text, word, n) && text[n] == ' ') {
			len = MIN(len - n - 1, cap - 1);
			memcpy(out, text + n + 1, len);
			out[len] = '\0';
			return;
		}
		text += len + (text[len] == '\n');
	}
}

static void parse(const char *text, struct store_state *ret)
{
	char word[80], boot[64];

	field(text, "state", word, sizeof(word));
	ret->known = word[0];
	ret->clean = !strcmp(word, "clean");
	field(text, "damaged", word, sizeof(word));
	ret->damaged = !strcmp(word, "1");
	field(text, "boot", word, sizeof(word));
	boot_id(boot);
	ret->same_boot = boot[0] && !strcmp(word, boot);
	field(text, "opened", word, sizeof(word));
	field(text, "unreadable", boot, sizeof(boot));
	ret->unreadable = boot[0] ? atoll(boot) : -1;
	ret->seconds = word[0] ? wall_ns() / NS_PER_S - atoll(word) : -1;
	field(text, "state", word, sizeof(word));
	ret->on_disk = ret->same_boot && !strcmp(word, "open");
}

static int busy(const struct store *s, const char *text)
{
	char pid[32];

	field(text, "pid", pid, sizeof(pid));
	return fail(-EBUSY,
		    "store: %s is in use by process %s: stop it, or choose "
		    "another store path",
		    s->path, pid[0] ? pid : "(unknown)");
}

static int open_lock(struct store *s)
{
	char *file = xasprintf("%s/lock", s->path);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int e;

	if (fd < 0 && s->read_only && (errno == EROFS || errno == EACCES))
		fd = open(file, O_RDONLY | O_CLOEXEC);
	e = errno;
	free(file);
	if (fd < 0)
		return fail(-e, "store: cannot open %s/lock: %s", s->path,
			    strerror(e));
	s->lock_fd = fd;
	return 0;
}

/* Is the process that the file names gone, or about to be? */
static bool owner_dies(int fd)
{
	char text[TEXT_MAX + 1], pid[32], path[64];
	cleanup_fd int stat = -1;
	unsigned long flags = 0;
	ssize_t n = pread(fd, text, TEXT_MAX, 0);
	const char *rest;

	text[MAX(n, 0)] = '\0';
	field(text, "pid", pid, sizeof(pid));
	snprintf(path, sizeof(path), "/proc/%d/stat", atoi(pid));
	stat = open(path, O_RDONLY | O_CLOEXEC);
	n = stat < 0 ? -1 : read(stat, text, TEXT_MAX);
	if (n <= 0)
		return true;
	text[n] = '\0';
	rest = strrchr(text, ')');
	return rest && sscanf(rest, ") %*c %*d %*d %*d %*d %*d %lu",
			      &flags) == 1 && flags & EXITING;
}

/* A process that was killed lets go of its files in any order: its mounts may
 * be gone before its lock is, by seconds if the machine is busy. */
static int take_lock(int fd)
{
	int64_t soon = deadline_in_ms(MAYBE_DYING_MS);
	int64_t end = deadline_in_ms(DYING_MS);
	struct timespec nap = { 0, 10 * NS_PER_MS };

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return -1;
		if (now_ns() >= end || (now_ns() >= soon && !owner_dies(fd))) {
			errno = EWOULDBLOCK;
			return -1;
		}
		nanosleep(&nap, NULL);
	}
	return 0;
}

int store_state_lock(struct store *s, struct store_state *ret)
{
	char text[TEXT_MAX + 1];
	ssize_t n;
	int r = open_lock(s), e;

	if (r)
		return r;
	r = take_lock(s->lock_fd);
	e = errno;
	n = pread(s->lock_fd, text, TEXT_MAX, 0);
	text[n < 0 ? 0 : n] = '\0';
	if (r) {
		close(s->lock_fd);
		s->lock_fd = -1;
		if (e == EWOULDBLOCK)
			return busy(s, text);
		return fail(-e, "store: cannot lock %s/lock: %s", s->path,
			    strerror(e));
	}
	parse(text, ret);
	s->open_on_disk = ret->on_disk;
	return 0;
}

static int write_mark(struct store *s, const char *state, bool damaged,
		      bool sync)
{
	cleanup_buf struct buf b = BUF_INIT;
	char boot[64];
	ssize_t n;

	boot_id(boot);
	buf_printf(&b, "pid %ld\nboot %s\nopened %lld\nstate %s\ndamaged %d\n",
		   (long)getpid(), boot, (long long)(wall_ns() / NS_PER_S),
		   state, damaged);
	n = pwrite(s->lock_fd, b.data, b.len, 0);
	if (n != (ssize_t)b.len || ftruncate(s->lock_fd, n) ||
	    (sync && fdatasync(s->lock_fd))) {
		int e = n < 0 || errno ? errno : ENOSPC;

		return fail(-e, "store: cannot write %s/lock: %s", s->path,
			    strerror(e));
	}
	s->lock_text = b.len;
	return 0;
}

/* The disk must know that the store is open before anything is written to it.
 * Where a process died that had told it ("open", not "opening") it knows, and
 * nobody waits for a disk that may be busy. */
int store_state_mark(struct store *s, bool clean, bool damaged)
{
	int rc = 0;

	if (clean || damaged || !s->open_on_disk)
		rc = write_mark(s, clean ? "clean" : "opening", damaged, true);
	s->open_on_disk = !clean && !rc;
	return rc || clean ? rc : write_mark(s, "open", damaged, false);
}

void store_state_unlock(struct store *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
}

/* Remove what was set aside earlier; the next number. */
static unsigned remove_older(int dir_fd)
{
	static const char prefix[] = "store.damaged-";
	DIR *d = fdopendir(dir_fd);
	struct dirent *e;
	unsigned next = 1;

	if (!d) {
		close(dir_fd);
		return next;
	}
	while ((e = readdir(d))) {
		unsigned n;

		if (strncmp(e->d_name, prefix, sizeof(prefix) - 1))
			continue;
		n = (unsigned)strtoul(e->d_name + sizeof(prefix) - 1, NULL, 10);
		next = MAX(next, n + 1);
		unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	return next;
}

int store_state_set_aside(struct store *s, const char *why)
{
	int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[40];
	int e = 0;

	if (fd < 0)
		return fail(-errno, "store: cannot open %s: %s", s->path,
			    strerror(errno));
	snprintf(name, sizeof(name), "store.damaged-%u", remove_older(dup(fd)));
	if (renameat(fd, "data.mdb", fd, name))
		e = errno;
	unlinkat(fd, "lock.mdb", 0);
	fsync(fd);
	close(fd);
	if (e)
		return fail(-e,
			    "store: cannot set the damaged %s/data.mdb "
			    "aside: %s",
			    s->path, strerror(e));
	free(s->notice);
	free(s->aside);
	s->aside = xasprintf("%s/%s", s->path, name);
	s->notice = xasprintf("the store was damaged (%s): set aside as %s; "
			      "what can still be read of it is taken over, the "
			      "rest is fetched again when it is needed",
			      why, s->aside);
	return 0;
}
