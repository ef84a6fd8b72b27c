/* SPDX-License-Identifier: Apache-2.0 */
/* ops_path.c - the operations that name a file */
#include "tests/tools/fsrand/fsrand.h"

#include <dirent.h>
#include <ftw.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/xattr.h>

unsigned char op_data[DATA_SIZE];

const char *full(const struct side *s, const char *path)
{
	static char buf[4][PATH_MAX + PATH_SIZE];
	static int turn;
	char *p = buf[turn++ % 4];

	print_to(p, sizeof(buf[0]), "%s%s%s", s->root, *path ? "/" : "", path);
	return p;
}

bool failed(struct outcome *r, long v)
{
	if (v >= 0) {
		r->value = v;
		return false;
	}
	r->err = errno;
	return true;
}

/* Pages of a target that has gone are a SIGBUS. */
static sigjmp_buf bus;
static volatile sig_atomic_t guarded;

static void on_bus(int sig)
{
	if (guarded)
		siglongjmp(bus, 1);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Read and then write n bytes of a mapping. */
void touch_map(unsigned char *p, size_t n, struct outcome *r)
{
	static bool ready;

	if (!ready)
		signal(SIGBUS, on_bus);
	ready = true;
	if (sigsetjmp(bus, 1)) {
		guarded = 0;
		r->err = ECONNABORTED;
		return;
	}
	guarded = 1;
	r->sum = sum_bytes(1, p, n);
	memcpy(p, op_data, n);
	guarded = 0;
}

static int opened(struct side *s, const struct op *o, int flags,
		  struct outcome *r)
{
	int fd = open(full(s, o->a), flags | O_CLOEXEC | O_NONBLOCK, o->mode);

	failed(r, fd);
	r->value = 0;
	return fd;
}

void put_data(int fd, const struct op *o, off_t at, struct outcome *r)
{
	size_t done = 0;

	while (done < o->len) {
		ssize_t n = at < 0 ? write(fd, op_data + done, o->len - done)
				   : pwrite(fd, op_data + done, o->len - done,
					    at + (off_t)done);

		if (failed(r, n) || n == 0)
			break;
		done += (size_t)n;
	}
	r->value = (long)done;
}

static void run_create(struct side *s, const struct op *o, struct outcome *r)
{
	static const int flags[] = { O_EXCL, O_TRUNC, O_APPEND, 0 };
	cleanup_fd int fd =
		opened(s, o, O_WRONLY | O_CREAT | flags[o->flags % 4], r);

	if (fd >= 0)
		put_data(fd, o, -1, r);
}

static void run_write(struct side *s, const struct op *o, struct outcome *r)
{
	cleanup_fd int fd = opened(s, o, O_WRONLY, r);

	if (fd >= 0)
		put_data(fd, o, o->off, r);
}

static void run_append(struct side *s, const struct op *o, struct outcome *r)
{
	cleanup_fd int fd = opened(s, o, O_WRONLY | O_APPEND, r);

	if (fd >= 0)
		put_data(fd, o, -1, r);
}

static void run_read(struct side *s, const struct op *o, struct outcome *r)
{
	static unsigned char buf[DATA_SIZE];
	cleanup_fd int fd = opened(s, o, O_RDONLY, r);

	if (fd < 0 || failed(r, pread(fd, buf, o->len, o->off)))
		return;
	r->sum = sum_bytes(1, buf, (size_t)r->value);
}

static void run_truncate(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, truncate(full(s, o->a), o->off));
}

/* flags & 1: msync; the pages must arrive all the same */
static void run_map(struct side *s, const struct op *o, struct outcome *r)
{
	cleanup_fd int fd = opened(s, o, O_RDWR, r);
	struct stat st;
	size_t n;
	char *p;

	if (fd < 0 || failed(r, fstat(fd, &st)) || st.st_size <= o->off)
		return;
	n = MIN((size_t)(st.st_size - o->off), o->len);
	p = mmap(NULL, (size_t)o->off + n, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fd, 0);
	if (p == MAP_FAILED) {
		r->err = errno;
		return;
	}
	touch_map((unsigned char *)p + o->off, n, r);
	if (!r->err && (o->flags & 1 || s->sync_maps))
		failed(r, msync(p, (size_t)o->off + n, MS_SYNC));
	munmap(p, (size_t)o->off + n);
	r->value = (long)n;
}

static void run_rename(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, renameat2(AT_FDCWD, full(s, o->a), AT_FDCWD, full(s, o->b),
			    o->flags % 3 == 1 ? RENAME_NOREPLACE : 0));
}

static void run_exchange(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, renameat2(AT_FDCWD, full(s, o->a), AT_FDCWD, full(s, o->b),
			    RENAME_EXCHANGE));
}

static void run_link(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, link(full(s, o->b), full(s, o->a)));
}

static void run_unlink(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, unlink(full(s, o->a)));
}

/* targets never leave the tree: a name, or a path without .. */
static void run_symlink(struct side *s, const struct op *o, struct outcome *r)
{
	char target[PATH_SIZE];

	print_to(target, sizeof(target), "%.*s", (int)(o->flags % 40 + 1),
		 *o->b ? o->b : "x");
	failed(r, symlink(target, full(s, o->a)));
}

static void run_readlink(struct side *s, const struct op *o, struct outcome *r)
{
	char buf[PATH_MAX];

	if (!failed(r, readlink(full(s, o->a), buf, sizeof(buf))))
		r->sum = sum_bytes(1, buf, (size_t)r->value);
}

static void run_mkdir(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, mkdir(full(s, o->a), o->mode | 0700));
}

static void run_rmdir(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, rmdir(full(s, o->a)));
	if (r->err == EEXIST)
		r->err = ENOTEMPTY;
}

static void run_fifo(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, mkfifo(full(s, o->a), o->mode));
}

static int removed(const char *path, const struct stat *st UNUSED,
		   int type UNUSED, struct FTW *w UNUSED)
{
	return remove(path);
}

static void run_rmtree(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, nftw(full(s, o->a), removed, 32, FTW_DEPTH | FTW_PHYS));
}

static void run_chmod(struct side *s, const struct op *o, struct outcome *r)
{
	struct stat st;

	if (failed(r, lstat(full(s, o->a), &st)))
		return;
	failed(r, chmod(full(s, o->a),
			S_ISDIR(st.st_mode) ? o->mode | 0700 : o->mode));
}

static void run_chown(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, lchown(full(s, o->a), o->flags % 3 ? o->flags % 5 : (uid_t)-1,
			 o->flags % 2 ? o->flags % 7 : (gid_t)-1));
}

static void run_utimens(struct side *s, const struct op *o, struct outcome *r)
{
	struct timespec t[2] = { o->when, o->when };

	if (o->flags % 8 == 0)
		t[1].tv_nsec = UTIME_NOW;
	else if (o->flags % 8 == 1)
		t[1].tv_nsec = UTIME_OMIT;
	failed(r, utimensat(AT_FDCWD, full(s, o->a), t,
			    o->flags & 8 ? AT_SYMLINK_NOFOLLOW : 0));
}

static const char *attribute(const struct op *o)
{
	static const char *const list[] = { "user.a", "user.b", "user.long-one",
					    "user.\xc3\xa9" };

	return list[o->flags / 4 % 4];
}

static void run_setxattr(struct side *s, const struct op *o, struct outcome *r)
{
	static const int flags[] = { 0, 0, XATTR_CREATE, XATTR_REPLACE };

	failed(r, lsetxattr(full(s, o->a), attribute(o), op_data, o->len % 600,
			    flags[o->flags % 4]));
}

static void run_getxattr(struct side *s, const struct op *o, struct outcome *r)
{
	char buf[1024];

	if (!failed(r, lgetxattr(full(s, o->a), attribute(o), buf,
				 o->flags & 1 ? sizeof(buf) : 100)))
		r->sum = sum_bytes(1, buf, (size_t)r->value);
}

static void run_removexattr(struct side *s, const struct op *o,
			    struct outcome *r)
{
	failed(r, lremovexattr(full(s, o->a), attribute(o)));
}

static void run_fallocate(struct side *s, const struct op *o, struct outcome *r)
{
	static const int modes[] = { 0,
				     FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE |
					     FALLOC_FL_KEEP_SIZE };
	cleanup_fd int fd = opened(s, o, O_RDWR, r);

	if (fd >= 0)
		failed(r, fallocate(fd, modes[o->flags % 6], o->off,
				    (off_t)o->len + 1));
}

static void run_copy(struct side *s, const struct op *o, struct outcome *r)
{
	cleanup_fd int in = open(full(s, o->b), O_RDONLY | O_NONBLOCK);
	cleanup_fd int out = opened(s, o, O_WRONLY, r);
	off_t from = o->off2, to = o->off;
	size_t left = o->len;

	if (in < 0 || out < 0) {
		r->err = in < 0 ? 1000 : r->err;
		return;
	}
	while (left > 0) {
		ssize_t n = copy_file_range(in, &from, out, &to, left, 0);

		if (failed(r, n) || n == 0)
			break;
		left -= (size_t)n;
	}
	r->value = (long)(o->len - left);
}

static void run_fsync(struct side *s, const struct op *o, struct outcome *r)
{
	cleanup_fd int fd = opened(s, o, O_RDONLY, r);

	if (fd >= 0)
		failed(r, o->flags & 1 ? fsync(fd) : fdatasync(fd));
}

/* names and kinds, in any order; no name twice would change the sum */
static void run_list(struct side *s, const struct op *o, struct outcome *r)
{
	DIR *d = opendir(full(s, o->a));
	struct dirent *e;

	if (!d) {
		r->err = errno;
		return;
	}
	while ((errno = 0, e = readdir(d))) {
		r->value++;
		r->sum += sum_bytes(e->d_type, e->d_name, strlen(e->d_name));
	}
	r->err = errno;
	closedir(d);
}

/* The path itself is compared after each operation. */
static void run_stat(struct side *s, const struct op *o, struct outcome *r)
{
	struct stat st;

	if (failed(r, stat(full(s, o->a), &st)))
		return;
	r->value = S_ISDIR(st.st_mode) ? 0 : (long)st.st_size;
	r->sum = st.st_mode;
}

const struct op_kind path_ops[] = {
	{ "create", 90, NEW, NONE, IO, ADD_FILE, run_create },
	{ "write", 80, FILE_, NONE, IO, NOTHING, run_write },
	{ "append", 40, FILE_, NONE, IO, NOTHING, run_append },
	{ "read", 50, FILE_, NONE, IO | PURE, NOTHING, run_read },
	{ "truncate", 40, FILE_, NONE, IO, NOTHING, run_truncate },
	{ "map", 40, FILE_, NONE, IO, NOTHING, run_map },
	{ "rename", 60, ANY, NEW, 0, RENAME, run_rename },
	{ "rename-over", 20, ANY, ANY, 0, RENAME, run_rename },
	{ "rename-dir", 20, DIR_, NEW, 0, RENAME, run_rename },
	{ "exchange", 20, ANY, ANY, 0, EXCHANGE, run_exchange },
	{ "link", 30, NEW, FILE_, 0, ADD_FILE, run_link },
	{ "unlink", 60, FILE_, NONE, 0, REMOVE, run_unlink },
	{ "unlink-any", 10, ANY, NONE, 0, REMOVE, run_unlink },
	{ "symlink", 20, NEW, NEW, 0, ADD_OTHER, run_symlink },
	{ "readlink", 5, ANY, NONE, PURE, NOTHING, run_readlink },
	{ "mkdir", 50, NEW, NONE, 0, ADD_DIR, run_mkdir },
	{ "rmdir", 20, DIR_, NONE, 0, REMOVE, run_rmdir },
	{ "rmtree", 6, DIR_, NONE, 0, REMOVE, run_rmtree },
	{ "fifo", 5, NEW, NONE, 0, ADD_OTHER, run_fifo },
	{ "chmod", 20, ANY, NONE, 0, NOTHING, run_chmod },
	{ "chown", 10, ANY, NONE, 0, NOTHING, run_chown },
	{ "utimens", 30, ANY, NONE, 0, NOTHING, run_utimens },
	{ "setxattr", 20, ANY, NONE, IO, NOTHING, run_setxattr },
	{ "getxattr", 10, ANY, NONE, PURE, NOTHING, run_getxattr },
	{ "removexattr", 10, ANY, NONE, 0, NOTHING, run_removexattr },
	{ "fallocate", 30, FILE_, NONE, IO, NOTHING, run_fallocate },
	{ "copy", 25, FILE_, FILE_, IO, NOTHING, run_copy },
	{ "fsync", 10, ANY, NONE, PURE, NOTHING, run_fsync },
	{ "list", 30, DIR_, NONE, ROOT_OK | PURE, NOTHING, run_list },
	{ "stat", 20, ANY, NONE, ROOT_OK | PURE, NOTHING, run_stat },
	{ 0 },
};
