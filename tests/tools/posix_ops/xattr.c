/* SPDX-License-Identifier: Apache-2.0 */
/* xattr.c - extended attributes of the user namespace */
#include "tests/tools/posix_ops/posix_ops.h"

#include <sys/xattr.h>

static bool listed(const char *path, const char *name)
{
	char list[8192];
	ssize_t n = llistxattr(path, list, sizeof(list));

	OK(n);
	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(list + i) + 1)
		if (strcmp(list + i, name) == 0)
			return true;
	return false;
}

static void xattr_basic(void)
{
	char buf[64];
	int fd;

	put("f", "x");
	ERR(getxattr("f", "user.a", buf, sizeof(buf)), ENODATA);
	ERR(removexattr("f", "user.a"), ENODATA);
	OK(setxattr("f", "user.a", "value", 5, 0));
	SAME(getxattr("f", "user.a", buf, sizeof(buf)), 5);
	CHECK(memcmp(buf, "value", 5) == 0);
	OK(setxattr("f", "user.a", "other value", 11, 0));
	SAME(getxattr("f", "user.a", buf, sizeof(buf)), 11);
	OK(setxattr("f", "user.empty", "", 0, 0));
	SAME(getxattr("f", "user.empty", buf, sizeof(buf)), 0);
	CHECK(listed("f", "user.a") && listed("f", "user.empty"));
	fd = open_ok("f", O_RDWR);
	SAME(fgetxattr(fd, "user.a", buf, sizeof(buf)), 11);
	OK(fsetxattr(fd, "user.fd", "\0\1\2", 3, 0));
	SAME(getxattr("f", "user.fd", buf, sizeof(buf)), 3);
	SAME(buf[2], 2);
	OK(fremovexattr(fd, "user.a"));
	ERR(getxattr("f", "user.a", buf, sizeof(buf)), ENODATA);
	CHECK(!listed("f", "user.a"));
	has("f", "x");
}

static void xattr_flags(void)
{
	char buf[8];

	put("f", "x");
	ERR(setxattr("f", "user.a", "1", 1, XATTR_REPLACE), ENODATA);
	OK(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
	ERR(setxattr("f", "user.a", "2", 1, XATTR_CREATE), EEXIST);
	SAME(getxattr("f", "user.a", buf, 8), 1);
	SAME(buf[0], '1');
	OK(setxattr("f", "user.a", "3", 1, XATTR_REPLACE));
	SAME(getxattr("f", "user.a", buf, 8), 1);
	SAME(buf[0], '3');
	ERR(setxattr("f", "user.a", "3", 1, 64), EINVAL);
}

static void xattr_sizes(void)
{
	char value[3000], buf[4000], name[300];
	long n;

	put("f", "x");
	memset(value, 'v', sizeof(value));
	OK(setxattr("f", "user.big", value, 3000, 0));
	SAME(getxattr("f", "user.big", NULL, 0), 3000);
	ERR(getxattr("f", "user.big", buf, 2999), ERANGE);
	SAME(getxattr("f", "user.big", buf, 3000), 3000);
	CHECK(memcmp(buf, value, 3000) == 0);
	n = OK(listxattr("f", NULL, 0));
	CHECK(n >= 9);
	ERR(listxattr("f", buf, (size_t)n - 1), ERANGE);
	SAME(listxattr("f", buf, (size_t)n), n);
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = '\0';
	ERR(setxattr("f", name, "1", 1, 0), ERANGE);
	name[255] = '\0';
	OK(setxattr("f", name, "1", 1, 0));
	SAME(getxattr("f", name, buf, 8), 1);
	{
		cleanup_free char *huge = calloc(1, 70000);

		CHECK(huge);
		ERR(setxattr("f", "user.huge", huge, 65537, 0), E2BIG);
	}
}

static void xattr_kinds(void)
{
	char buf[8];

	OK(mkdir("d", 0755));
	put("f", "x");
	OK(symlink("f", "l"));
	OK(mkfifo("p", 0644));
	OK(setxattr("d", "user.dir", "1", 1, 0));
	SAME(getxattr("d", "user.dir", buf, 8), 1);
	CHECK(listed("d", "user.dir"));
	/* through the link; links and fifos themselves have none */
	OK(setxattr("l", "user.x", "2", 1, 0));
	SAME(getxattr("f", "user.x", buf, 8), 1);
	ERR(lsetxattr("l", "user.x", "2", 1, 0), EPERM);
	ERR(setxattr("p", "user.x", "2", 1, 0), EPERM);
	ERR(getxattr("none", "user.x", buf, 8), ENOENT);
	CHECK(!listed("l", "user.x"));
	SEE(getxattr("f", "security.nothing", buf, 8));
	SEE(getxattr("f", "system.nothing", buf, 8));
	SEE(getxattr("f", "nonsense", buf, 8));
	SEE(setxattr("f", "nonsense.x", "1", 1, 0));
}

/* they belong to the file, whatever its name */
static void xattr_follow(void)
{
	char buf[8];

	put("f", "x");
	OK(setxattr("f", "user.a", "1", 1, 0));
	OK(link("f", "g"));
	OK(rename("f", "h"));
	SAME(getxattr("g", "user.a", buf, 8), 1);
	put("g", "other content");
	OK(chmod("g", 0600));
	SAME(getxattr("h", "user.a", buf, 8), 1);
	/* a new file has none */
	OK(unlink("g"));
	OK(unlink("h"));
	put("f", "x");
	ERR(getxattr("f", "user.a", buf, 8), ENODATA);
	/* nor does a replaced one keep its own */
	OK(setxattr("f", "user.a", "1", 1, 0));
	put("tmp", "y");
	OK(rename("tmp", "f"));
	ERR(getxattr("f", "user.a", buf, 8), ENODATA);
}

static void xattr_many(void)
{
	char name[32], buf[32];

	put("f", "x");
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "user.name%02d", i);
		OK(setxattr("f", name, name, strlen(name), 0));
	}
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "user.name%02d", i);
		CHECK(listed("f", name));
		SAME(getxattr("f", name, buf, 32), 11);
		CHECK(memcmp(buf, name, 11) == 0);
		if (i % 2)
			OK(removexattr("f", name));
	}
	CHECK(listed("f", "user.name00") && !listed("f", "user.name01"));
}

static void other_user(void)
{
	char buf[8];

	SAME(getxattr("f", "user.a", buf, 8), 1);
	ERR(setxattr("f", "user.a", "2", 1, 0), EACCES);
	ERR(removexattr("f", "user.a"), EACCES);
	ERR(getxattr("secret", "user.a", buf, 8), EACCES);
	ERR(setxattr("f", "trusted.a", "2", 1, 0), EPERM);
}

static void xattr_permission(void)
{
	put("f", "x");
	put("secret", "x");
	OK(setxattr("f", "user.a", "1", 1, 0));
	OK(setxattr("secret", "user.a", "1", 1, 0));
	OK(chmod("secret", 0600));
	as_other(other_user);
}

const struct check checks_xattr[] = {
	{ "xattr_basic", xattr_basic, 0, NULL },
	{ "xattr_flags", xattr_flags, 0, NULL },
	{ "xattr_sizes", xattr_sizes, 0, NULL },
	{ "xattr_kinds", xattr_kinds, 0,
	  "names outside the known namespaces reach a FUSE daemon" },
	{ "xattr_follow", xattr_follow, 0, NULL },
	{ "xattr_many", xattr_many, 0, NULL },
	{ "xattr_permission", xattr_permission, NEED_ROOT, NULL },
	{ 0 },
};
