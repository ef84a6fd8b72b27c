/* SPDX-License-Identifier: Apache-2.0 */
/* perms.c - what another user may do; all of it needs root to begin with */
#include "tests/tools/posix_ops/posix_ops.h"

static void files_as_other(void)
{
	ERR(open("secret", O_RDONLY), EACCES);
	ERR(open("secret", O_WRONLY), EACCES);
	has("public", "public");
	ERR(open("public", O_WRONLY), EACCES);
	ERR(open("public", O_RDONLY | O_TRUNC), EACCES);
	ERR(truncate("public", 0), EACCES);
	ERR(chmod("public", 0777), EPERM);
	ERR(chown("public", OTHER, OTHER), EPERM);
	ERR(utimensat(AT_FDCWD, "public", NULL, 0), EACCES);
	ERR(utimensat(AT_FDCWD, "public",
		      (struct timespec[]){ { 1, 1 }, { 2, 2 } }, 0),
	    EPERM);
	OK(access("public", R_OK));
	ERR(access("public", W_OK), EACCES);
	ERR(access("public", X_OK), EACCES);
	OK(access("all", R_OK | W_OK));
	put("all", "by other");
	OK(utimensat(AT_FDCWD, "all", NULL, 0));
	ERR(utimensat(AT_FDCWD, "all",
		      (struct timespec[]){ { 1, 1 }, { 2, 2 } }, 0),
	    EPERM);
}

static void perm_files(void)
{
	put("secret", "secret");
	put("public", "public");
	put("all", "all");
	OK(chmod("secret", 0600));
	OK(chmod("all", 0666));
	OK(chmod(".", 0755));
	as_other(files_as_other);
	has("public", "public");
	has("all", "by other");
}

static void dirs_as_other(void)
{
	ERR(open("new", O_CREAT | O_WRONLY, 0644), EACCES);
	ERR(mkdir("new", 0755), EACCES);
	ERR(symlink("x", "new"), EACCES);
	ERR(mkfifo("new", 0644), EACCES);
	ERR(unlink("f"), EACCES);
	ERR(rename("f", "g"), EACCES);
	ERR(rename("f", "open/f"), EACCES);
	ERR(link("open/mine", "l"), EACCES);
	ERR(rmdir("empty"), EACCES);
	ERR(open("closed/f", O_RDONLY), EACCES);
	ERR(stat("closed/f", &(struct stat){ 0 }), EACCES);
	ERR(open("closed", O_RDONLY), EACCES);
	/* search without read, and read without search */
	has("through/f", "f");
	ERR(open("through", O_RDONLY), EACCES);
	SAME(count_entries("listed"), 1);
	ERR(open("listed/f", O_RDONLY), EACCES);
	put("open/new", "mine");
	SAME(stat_ok("open/new").st_uid, OTHER);
	SAME(stat_ok("open/new").st_gid, OTHER);
	OK(unlink("open/theirs")); /* the directory decides */
	OK(chmod("open/new", 0600));
	ERR(chown("open/new", 0, (gid_t)-1), EPERM);
	ERR(chown("open/new", (uid_t)-1, 0), EPERM);
	OK(mkdir("open/d", 0700));
	put("open/d/f", "x");
}

static void perm_dirs(void)
{
	static const struct {
		const char *name;
		mode_t mode;
	} dirs[] = { { "empty", 0755 },
		     { "closed", 0700 },
		     { "through", 0711 },
		     { "listed", 0744 },
		     { "open", 0777 } };
	char path[32];

	put("f", "f");
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		OK(mkdir(dirs[i].name, 0755));
		snprintf(path, sizeof(path), "%s/f", dirs[i].name);
		if (i > 0)
			put(path, "f");
		OK(chmod(dirs[i].name, dirs[i].mode));
	}
	put("open/theirs", "x");
	put("open/mine", "x");
	OK(chown("open/mine", OTHER, OTHER));
	as_other(dirs_as_other);
	CHECK(!exists("open/theirs"));
	SAME(stat_ok("open/d").st_mode & 07777, 0700);
}

static void sticky_as_other(void)
{
	ERR(unlink("sticky/theirs"), EPERM);
	ERR(rename("sticky/theirs", "sticky/x"), EPERM);
	ERR(rmdir("sticky/dir"), EPERM);
	put("sticky/new", "x");
	ERR(rename("sticky/new", "sticky/theirs"), EPERM);
	ERR(renameat2(AT_FDCWD, "sticky/new", AT_FDCWD, "sticky/theirs",
		      RENAME_EXCHANGE),
	    EPERM);
	OK(rename("sticky/new", "sticky/newer"));
	OK(unlink("sticky/mine"));
	OK(unlink("sticky/newer"));
}

static void perm_sticky(void)
{
	OK(mkdir("sticky", 0755));
	OK(chmod("sticky", 01777));
	put("sticky/theirs", "x");
	OK(mkdir("sticky/dir", 0755));
	put("sticky/mine", "x");
	OK(chown("sticky/mine", OTHER, OTHER));
	as_other(sticky_as_other);
	has("sticky/theirs", "x");
}

static void owner_as_other(void)
{
	struct timespec t[2] = { { 7, 7 }, { 8, 8 } };

	OK(chmod("mine", 0400));
	ERR(open("mine", O_WRONLY), EACCES);
	has("mine", "x");
	OK(chmod("mine", 0));
	ERR(open("mine", O_RDONLY), EACCES);
	OK(utimensat(AT_FDCWD, "mine", t, 0));
	SAME(stat_ok("mine").st_mtim.tv_sec, 8);
	OK(chmod("mine", 06755));
	SAME(stat_ok("mine").st_mode & 07777, 06755);
	/* to one's own group, which takes the bits away */
	OK(chown("mine", (uid_t)-1, OTHER));
	SAME(stat_ok("mine").st_mode & 07777, 0755);
	/* not one's group: set-group-id cannot be had */
	OK(chmod("foreign", 02755));
	SAME(stat_ok("foreign").st_mode & 07777, 0755);
}

static void perm_owner(void)
{
	put("mine", "x");
	put("foreign", "x");
	OK(chown("mine", OTHER, OTHER));
	OK(chown("foreign", OTHER, 0));
	as_other(owner_as_other);
}

/* the first class that fits decides, even if it gives less */
static void class_as_other(void)
{
	ERR(open("owner", O_RDONLY), EACCES);
	ERR(open("group", O_RDONLY), EACCES);
	has("world", "x");
}

static void perm_class(void)
{
	put("owner", "x");
	put("group", "x");
	put("world", "x");
	OK(chown("owner", OTHER, 0));
	OK(chmod("owner", 0077));
	OK(chown("group", 0, OTHER));
	OK(chmod("group", 0707));
	OK(chmod("world", 0004));
	as_other(class_as_other);
}

/* permission is decided at open; the descriptor keeps working */
static int kept;

static void kept_as_other(void)
{
	char c;

	SAME(pread(kept, &c, 1, 0), 1);
	pwrite_ok(kept, "y", 1, 0);
	ERR(open("f", O_RDONLY), EACCES);
	OK(ftruncate(kept, 1));
	ERR(fchmod(kept, 0777), EPERM);
}

static void perm_descriptor(void)
{
	put("f", "xx");
	OK(chmod("f", 0600));
	kept = open_ok("f", O_RDWR);
	as_other(kept_as_other);
	has("f", "y");
}

static void changed_as_other(void)
{
	ERR(open("f", O_RDONLY), EACCES);
}

static void opened_as_other(void)
{
	has("f", "x");
}

/* a change of mode is felt at once, in both directions */
static void perm_change(void)
{
	put("f", "x");
	OK(chmod("f", 0600));
	as_other(changed_as_other);
	OK(chmod("f", 0644));
	as_other(opened_as_other);
	OK(chmod("f", 0600));
	as_other(changed_as_other);
	OK(chown("f", OTHER, 0));
	as_other(opened_as_other);
}

/* root is not stopped by modes, but does not execute without an x */
static void perm_root(void)
{
	put("f", "x");
	OK(chmod("f", 0));
	has("f", "x");
	OK(access("f", R_OK | W_OK));
	ERR(access("f", X_OK), EACCES);
	OK(mkdir("d", 0));
	put("d/f", "y");
	SAME(count_entries("d"), 1);
}

const struct check checks_perms[] = {
	{ "perm_files", perm_files, NEED_ROOT, NULL },
	{ "perm_dirs", perm_dirs, NEED_ROOT, NULL },
	{ "perm_sticky", perm_sticky, NEED_ROOT, NULL },
	{ "perm_owner", perm_owner, NEED_ROOT, NULL },
	{ "perm_class", perm_class, NEED_ROOT, NULL },
	{ "perm_descriptor", perm_descriptor, NEED_ROOT, NULL },
	{ "perm_change", perm_change, NEED_ROOT, NULL },
	{ "perm_root", perm_root, NEED_ROOT, NULL },
	{ 0 },
};
