/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faultfs - a disk that fails on demand, for tests: shows directory BACKING at
 * MOUNTPOINT, until file CONTROL says otherwise.
 *
 *	faultfs BACKING MOUNTPOINT CONTROL
 *
 * Each line of CONTROL is "ERROR OPERATIONS [PART]": operations are letters
 * (r read, w write and every change, s sync, m look at names and attributes),
 * and fail with the error if PART is in the path. With i, PART is a path below
 * BACKING, and only reads and writes of the file that has this name now fail,
 * whatever it will be called. Errors: EIO ENOSPC EROFS ENOENT ENODEV. Whenever
 * CONTROL changes, the kernel's pages of everything that was opened are dropped,
 * so that a map of a file sees the fault as well.
 */
#define FUSE_USE_VERSION 314
#include "core/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#define RULES_MAX 16
#define KNOWN_MAX 4096

struct rule {
	int error;
	char ops[8], part[128];
	ino_t file; /* with i */
};

static const char *control;
static int top; /* descriptor of BACKING */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX]; /* lock */
static size_t rule_count;            /* lock */
static char *known[KNOWN_MAX];       /* lock; paths that were opened */
static size_t known_count;           /* lock */

/* -- rules ----------------------------------------------------------------- */

static int error_of(const char *name)
{
	static const struct {
		const char *name;
		int code;
	} errors[] = {
		{ "EIO", EIO },	      { "ENOSPC", ENOSPC }, { "EROFS", EROFS },
		{ "ENOENT", ENOENT }, { "ENODEV", ENODEV },
	};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (!strcmp(errors[i].name, name))
			return errors[i].code;
	return EIO;
}

static void read_rules(void)
{
	cleanup_file FILE *in = fopen(control, "r");
	char line[256], error[16];
	struct stat st;

	lock_scope(&lock);
	rule_count = 0;
	while (in && rule_count < RULES_MAX && fgets(line, sizeof(line), in)) {
		struct rule *r = &rules[rule_count];

		*r = (struct rule){ 0 };
		if (sscanf(line, "%15s %7s %127s", error, r->ops, r->part) < 2)
			continue;
		r->error = error_of(error);
		if (strchr(r->ops, 'i') && !fstatat(top, r->part, &st, 0))
			r->file = st.st_ino;
		rule_count++;
	}
}

static bool applies(const struct rule *r, char op, const char *path, int fd)
{
	struct stat st;

	if (!strchr(r->ops, op))
		return false;
	if (strchr(r->ops, 'i'))
		return fd >= 0 && !fstat(fd, &st) && st.st_ino == r->file;
	return !r->part[0] || strstr(path, r->part);
}

/* 0, or the negative error of operation `op` on path; fd: -1, or of the file. */
static int fault_fd(char op, const char *path, int fd)
{
	lock_scope(&lock);
	for (size_t i = 0; i < rule_count; i++)
		if (applies(&rules[i], op, path, fd))
			return -rules[i].error;
	return 0;
}

static int fault(char op, const char *path)
{
	return fault_fd(op, path, -1);
}

static void remember(const char *path)
{
	lock_scope(&lock);
	for (size_t i = 0; i < known_count; i++)
		if (!strcmp(known[i], path))
			return;
	if (known_count < KNOWN_MAX)
		known[known_count++] = xstrdup(path);
}

static void drop_pages(struct fuse *f)
{
	char *paths[KNOWN_MAX];
	size_t n;

	pthread_mutex_lock(&lock);
	n = known_count;
	memcpy(paths, known, n * sizeof(*paths));
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < n; i++) /* never removed from the list */
		fuse_invalidate_path(f, paths[i]);
}

static bool ending; /* atomic */

static void *watch(void *arg)
{
	struct timespec nap = { 0, 20000000 }, was = { 0 };
	struct stat st;

	while (!__atomic_load_n(&ending, __ATOMIC_RELAXED)) {
		nanosleep(&nap, NULL);
		if (stat(control, &st) ||
		    (st.st_mtim.tv_sec == was.tv_sec &&
		     st.st_mtim.tv_nsec == was.tv_nsec))
			continue;
		was = st.st_mtim;
		read_rules();
		drop_pages(arg);
		printf("%zu rules\n", rule_count);
		fflush(stdout);
	}
	return NULL;
}

static void *on_init(struct fuse_conn_info *c, struct fuse_config *cfg)
{
	(void)c;
	cfg->kernel_cache = 1;
	cfg->use_ino = 1;
	cfg->hard_remove = 1;
	cfg->attr_timeout = cfg->entry_timeout = cfg->negative_timeout = 0;
	return NULL;
}

/* -- the operations -------------------------------------------------------- */

#define CHECK(op, path)                     \
	do {                                \
		int e_ = fault(op, path);   \
		if (e_)                     \
			return e_;          \
	} while (0)

static const char *rel(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int result(int rc)
{
	return rc < 0 ? -errno : 0;
}

static int on_getattr(const char *path, struct stat *st,
		      struct fuse_file_info *fi)
{
	CHECK('m', path);
	return result(fi ? fstat((int)fi->fh, st)
			 : fstatat(top, rel(path), st, AT_SYMLINK_NOFOLLOW));
}

static int on_readlink(const char *path, char *out, size_t size)
{
	ssize_t n = readlinkat(top, rel(path), out, size - 1);

	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

static int on_readdir(const char *path, void *buf, fuse_fill_dir_t fill,
		      off_t off, struct fuse_file_info *fi,
		      enum fuse_readdir_flags flags)
{
	struct dirent *e;
	DIR *d;
	int fd;

	(void)off;
	(void)fi;
	(void)flags;
	CHECK('m', path);
	fd = openat(top, rel(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return -errno;
	while ((e = readdir(d)))
		fill(buf, e->d_name, NULL, 0, 0);
	closedir(d);
	return 0;
}

static int on_mkdir(const char *path, mode_t mode)
{
	CHECK('w', path);
	return result(mkdirat(top, rel(path), mode));
}

static int on_unlink(const char *path)
{
	CHECK('w', path);
	return result(unlinkat(top, rel(path), 0));
}

static int on_rmdir(const char *path)
{
	CHECK('w', path);
	return result(unlinkat(top, rel(path), AT_REMOVEDIR));
}

static int on_symlink(const char *target, const char *path)
{
	CHECK('w', path);
	return result(symlinkat(target, top, rel(path)));
}

static int on_rename(const char *from, const char *to, unsigned flags)
{
	CHECK('w', to);
	return result(renameat2(top, rel(from), top, rel(to), flags));
}

static int on_link(const char *from, const char *to)
{
	CHECK('w', to);
	return result(linkat(top, rel(from), top, rel(to), 0));
}

static int on_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	(void)fi;
	CHECK('w', path);
	return result(fchmodat(top, rel(path), mode, 0));
}

static int on_chown(const char *path, uid_t u, gid_t g,
		    struct fuse_file_info *fi)
{
	(void)fi;
	CHECK('w', path);
	return result(fchownat(top, rel(path), u, g, AT_SYMLINK_NOFOLLOW));
}

static int on_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	cleanup_fd int fd = -1;

	CHECK('w', path);
	if (fi)
		return result(ftruncate((int)fi->fh, size));
	fd = openat(top, rel(path), O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : result(ftruncate(fd, size));
}

static int on_utimens(const char *path, const struct timespec t[2],
		      struct fuse_file_info *fi)
{
	(void)fi;
	CHECK('w', path);
	return result(utimensat(top, rel(path), t, AT_SYMLINK_NOFOLLOW));
}

static int open_as(const char *path, int flags, mode_t mode,
		   struct fuse_file_info *fi)
{
	int fd = openat(top, rel(path), (flags & ~O_APPEND) | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	remember(path);
	return 0;
}

static int on_open(const char *path, struct fuse_file_info *fi)
{
	CHECK('m', path);
	return open_as(path, fi->flags, 0, fi);
}

static int on_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	CHECK('w', path);
	return open_as(path, fi->flags | O_CREAT, mode, fi);
}

static int on_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	close((int)fi->fh);
	return 0;
}

static int on_read(const char *path, char *buf, size_t size, off_t off,
		   struct fuse_file_info *fi)
{
	ssize_t n;

	n = fault_fd('r', path, (int)fi->fh);
	if (n)
		return (int)n;
	n = pread((int)fi->fh, buf, size, off);
	return n < 0 ? -errno : (int)n;
}

static int on_write(const char *path, const char *buf, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	ssize_t n;

	n = fault_fd('w', path, (int)fi->fh);
	if (n)
		return (int)n;
	n = pwrite((int)fi->fh, buf, size, off);
	return n < 0 ? -errno : (int)n;
}

static int on_fsync(const char *path, int data, struct fuse_file_info *fi)
{
	CHECK('s', path);
	return result(data ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int on_fallocate(const char *path, int mode, off_t off, off_t len,
			struct fuse_file_info *fi)
{
	CHECK('w', path);
	return result(fallocate((int)fi->fh, mode, off, len));
}

static int on_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	return result(fstatvfs(top, st));
}

static const struct fuse_operations operations = {
	.init = on_init,
	.getattr = on_getattr,
	.readlink = on_readlink,
	.readdir = on_readdir,
	.mkdir = on_mkdir,
	.unlink = on_unlink,
	.rmdir = on_rmdir,
	.symlink = on_symlink,
	.rename = on_rename,
	.link = on_link,
	.chmod = on_chmod,
	.chown = on_chown,
	.truncate = on_truncate,
	.utimens = on_utimens,
	.open = on_open,
	.create = on_create,
	.release = on_release,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
	.statfs = on_statfs,
};

/* As fuse_main, but the thread that watches ends before what it uses. */
static int serve(struct fuse *f, const char *mountpoint)
{
	pthread_t t;
	int rc;

	if (fuse_mount(f, mountpoint))
		return 1;
	rc = fuse_set_signal_handlers(fuse_get_session(f)) ||
	     pthread_create(&t, NULL, watch, f);
	if (!rc) {
		rc = fuse_loop_mt(f, NULL);
		__atomic_store_n(&ending, true, __ATOMIC_RELAXED);
		pthread_join(t, NULL);
		fuse_remove_signal_handlers(fuse_get_session(f));
	}
	fuse_unmount(f);
	return rc < 0;
}

int main(int argc, char **argv)
{
	char *options[] = { argv[0], (char *)(uintptr_t)"-o",
			    (char *)(uintptr_t)"fsname=faultfs", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, options);
	struct fuse *f;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: faultfs BACKING MOUNTPOINT CONTROL\n");
		return 2;
	}
	top = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0) {
		perror(argv[1]);
		return 2;
	}
	control = argv[3];
	umask(0);
	f = fuse_new(&args, &operations, sizeof(operations), NULL);
	if (!f)
		return 2;
	rc = serve(f, argv[2]);
	fuse_destroy(f);
	fuse_opt_free_args(&args);
	return rc;
}
