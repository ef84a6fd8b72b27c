/* SPDX-License-Identifier: Apache-2.0 */
/* attr.c - modes, owners, the numbers stat shows, statfs */
#include "tests/tools/posix_ops/posix_ops.h"

#include <sys/statvfs.h>
#include <sys/vfs.h>

static void chmod_all(void)
{
	int fd;

	put("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	for (mode_t m = 0; m <= 07777; m += 0111) {
		OK(chmod("f", m));
		SAME(stat_ok("f").st_mode, S_IFREG | m);
	}
	OK(chmod("d", 03750));
	SAME(stat_ok("d").st_mode, S_IFDIR | 03750);
	OK(chmod("l", 0600)); /* follows */
	SAME(stat_ok("f").st_mode, S_IFREG | 0600);
	fd = open_ok("f", O_RDONLY);
	OK(fchmod(fd, 0644));
	SAME(stat_ok("f").st_mode, S_IFREG | 0644);
	SAME(fstat_ok(fd).st_mode, S_IFREG | 0644);
	ERR(chmod("none", 0644), ENOENT);
	ERR(chmod("f/x", 0644), ENOTDIR);
	has("f", "x");
}

static void chown_root(void)
{
	int fd;

	put("f", "x");
	OK(symlink("f", "l"));
	OK(mkdir("d", 0755));
	OK(chown("f", 1234, 5678));
	SAME(stat_ok("f").st_uid, 1234);
	SAME(stat_ok("f").st_gid, 5678);
	OK(chown("f", (uid_t)-1, 99));
	SAME(stat_ok("f").st_uid, 1234);
	SAME(stat_ok("f").st_gid, 99);
	OK(chown("l", 7, (gid_t)-1));
	SAME(stat_ok("f").st_uid, 7);
	SAME(stat_ok("l").st_uid, 0);
	OK(lchown("l", 8, 9));
	SAME(stat_ok("l").st_uid, 8);
	SAME(stat_ok("f").st_uid, 7);
	fd = open_ok("d", O_RDONLY);
	OK(fchown(fd, 3, 4));
	SAME(stat_ok("d").st_gid, 4);
	OK(chown("f", 4294967294u, 70000));
	SAME(stat_ok("f").st_uid, 4294967294u);
	SAME(stat_ok("f").st_mode & 07777, 0644);
}

static void suid_cleared(void)
{
	OK(chown("f", OTHER, OTHER));
	OK(chmod("f", 06755));
	OK(chown("f", OTHER, 0));
	/* also for root, on a file that can be executed */
	SAME(stat_ok("f").st_mode & 07777, 0755);
}

static void chown_clears_suid(void)
{
	put("f", "x");
	suid_cleared();
	OK(chmod("f", 06644));
	OK(chown("f", OTHER, 0));
	/* group id without group execute is not a privilege */
	SAME(stat_ok("f").st_mode & 04000, 0);
	OK(mkdir("d", 0755));
	OK(chmod("d", 02755));
	OK(chown("d", OTHER, OTHER));
	SAME(stat_ok("d").st_mode & 07777, 02755);
}

static void write_as_other(void)
{
	int fd = open_ok("f", O_WRONLY);

	write_ok(fd, "y", 1);
	SAME(fstat_ok(fd).st_mode & 07777, 0777);
	fd = open_ok("g", O_WRONLY);
	OK(ftruncate(fd, 0));
	SAME(fstat_ok(fd).st_mode & 07777, 0777);
	close_ok(open_ok("h", O_WRONLY | O_TRUNC));
	SAME(stat_ok("h").st_mode & 07777, 0777);
}

/* whoever writes without privilege takes set-user-id away */
static void write_clears_suid(void)
{
	static const char *const names[] = { "f", "g", "h", "keep" };

	for (int i = 0; i < 4; i++) {
		put(names[i], "x");
		OK(chmod(names[i], 06777));
	}
	as_other(write_as_other);
	{
		int fd = open_ok("keep", O_WRONLY);

		write_ok(fd, "y", 1); /* root keeps it */
	}
	SAME(stat_ok("f").st_mode & 07777, 0777);
	SAME(stat_ok("keep").st_mode & 07777, 06777);
}

/* a directory with set-group-id hands its group and the bit down */
static void setgid_inherit(void)
{
	OK(mkdir("d", 0755));
	OK(chown("d", 0, OTHER));
	OK(chmod("d", 02775));
	put("d/f", "x");
	SAME(stat_ok("d/f").st_gid, OTHER);
	OK(mkdir("d/e", 0755));
	SAME(stat_ok("d/e").st_gid, OTHER);
	SAME(stat_ok("d/e").st_mode & 07777, 02755);
	OK(symlink("x", "d/l"));
	SAME(stat_ok("d/l").st_gid, OTHER);
	OK(mkfifo("d/p", 0644));
	SAME(stat_ok("d/p").st_gid, OTHER);
	/* what is moved in keeps its own */
	put("g", "x");
	OK(rename("g", "d/g"));
	SAME(stat_ok("d/g").st_gid, 0);
	/* and nothing without the bit */
	OK(chmod("d", 0775));
	put("d/h", "x");
	SAME(stat_ok("d/h").st_gid, 0);
}

/* -- the numbers
 * ---------------------------------------------------------------- */

static void same_stat(const char *path)
{
	struct stat a = stat_ok(path), b;
	struct statx x;
	int fd = open_ok(path, O_PATH | O_NOFOLLOW);

	OK(fstat(fd, &b));
	CHECK(memcmp(&a, &b, sizeof(a)) == 0);
	OK(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x));
	SAME(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	SAME(x.stx_ino, a.st_ino);
	SAME(x.stx_size, a.st_size);
	SAME(x.stx_mode, a.st_mode);
	SAME(x.stx_nlink, a.st_nlink);
	SAME(x.stx_uid, a.st_uid);
	SAME(x.stx_blocks, a.st_blocks);
	SAME(x.stx_mtime.tv_sec, a.st_mtim.tv_sec);
	SAME(x.stx_mtime.tv_nsec, a.st_mtim.tv_nsec);
	SAME(x.stx_ctime.tv_nsec, a.st_ctim.tv_nsec);
	OK(statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_ALL, &x));
	SAME(x.stx_ino, a.st_ino);
	SAME(x.stx_size, a.st_size);
	close_ok(fd);
}

static void stat_agrees(void)
{
	fill("f", 12345, 1);
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OK(mkfifo("p", 0644));
	same_stat("f");
	same_stat("d");
	same_stat("l");
	same_stat("p");
	same_stat(".");
	SAME(stat_ok("f").st_dev, stat_ok("d").st_dev);
	CHECK(stat_ok("f").st_blksize >= 512);
	CHECK(stat_ok("f").st_blocks >= 12345 / 512);
}

static void ino_stable(void)
{
	ino_t f, d;
	int fd;

	put("f", "x");
	OK(mkdir("d", 0755));
	f = stat_ok("f").st_ino;
	d = stat_ok("d").st_ino;
	CHECK(f != d && f != 0);
	OK(chmod("f", 0600));
	put("f", "longer text");
	OK(rename("f", "d/g"));
	SAME(stat_ok("d/g").st_ino, f);
	OK(rename("d", "e"));
	SAME(stat_ok("e").st_ino, d);
	SAME(stat_ok("e/g").st_ino, f);
	fd = open_ok("e/g", O_RDWR | O_TRUNC);
	SAME(fstat_ok(fd).st_ino, f);
	/* a new file of an old name is not the old one while that is open */
	OK(unlink("e/g"));
	put("e/g", "new");
	CHECK(stat_ok("e/g").st_ino != f);
}

static void ino_unique(void)
{
	enum { N = 300 };
	static ino_t seen[N];
	char name[16];

	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		if (i % 10 == 0)
			OK(mkdir(name, 0755));
		else
			put(name, "");
		seen[i] = stat_ok(name).st_ino;
	}
	for (int i = 0; i < N; i++)
		for (int j = i + 1; j < N; j++)
			if (seen[i] == seen[j])
				check_fail("f%d and f%d share inode %lu", i, j,
					   (unsigned long)seen[i]);
}

static void blocks_sane(void)
{
	int fd = open_ok("f", O_RDWR | O_CREAT, 0644);

	SAME(fstat_ok(fd).st_blocks, 0);
	OK(ftruncate(fd, 1 << 20));
	CHECK(fstat_ok(fd).st_blocks < 64);
	fill("g", 1 << 20, 1);
	{
		int g = open_ok("g", O_RDONLY);

		OK(fsync(g));
		CHECK(fstat_ok(g).st_blocks >= 2048);
		CHECK(fstat_ok(g).st_blocks < 2500);
	}
}

static void statfs_sane(void)
{
	struct statvfs v;
	struct statfs s;

	put("f", "x");
	OK(statvfs("f", &v));
	OK(statfs(".", &s));
	CHECK(v.f_bsize > 0 && v.f_frsize > 0);
	CHECK(v.f_blocks > 0);
	CHECK(v.f_bfree <= v.f_blocks);
	CHECK(v.f_bavail <= v.f_bfree);
	CHECK(v.f_bavail > 0);
	SAME(v.f_namemax, 255);
	CHECK(!(v.f_flag & ST_RDONLY));
	CHECK(v.f_ffree <= v.f_files);
}

const struct check checks_attr[] = {
	{ "chmod_all", chmod_all, 0, NULL },
	{ "chown_root", chown_root, NEED_ROOT, NULL },
	{ "chown_clears_suid", chown_clears_suid, NEED_ROOT, NULL },
	{ "write_clears_suid", write_clears_suid, NEED_ROOT, NULL },
	{ "setgid_inherit", setgid_inherit, NEED_ROOT, NULL },
	{ "stat_agrees", stat_agrees, 0, NULL },
	{ "ino_stable", ino_stable, 0, NULL },
	{ "ino_unique", ino_unique, 0, NULL },
	{ "blocks_sane", blocks_sane, 0, NULL },
	{ "statfs_sane", statfs_sane, 0, NULL },
	{ 0 },
};
