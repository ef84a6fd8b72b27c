/* SPDX-License-Identifier: Apache-2.0 */
/* dirs.c - listing directories, also while they change; inotify */
#include "tests/tools/posix_ops/posix_ops.h"

#include <dirent.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

static void make_files(const char *prefix, int from, int to)
{
	char name[32];

	for (int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		close_ok(open_ok(name, O_WRONLY | O_CREAT | O_EXCL, 0644));
	}
}

static void remove_files(const char *prefix, int from, int to)
{
	char name[32];

	for (int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		OK(unlink(name));
	}
}

/* the number in prefixN, or -1 */
static int number(const char *name, char prefix)
{
	return name[0] == prefix ? atoi(name + 1) : -1;
}

static void list_kinds(void)
{
	static const struct sockaddr_un a = { AF_UNIX, "s" };
	struct dirent *e;
	int seen = 0;
	DIR *d;

	put("r", "");
	OK(mkdir("d", 0755));
	OK(symlink("r", "l"));
	OK(mkfifo("p", 0644));
	OK(bind((int)OK(socket(AF_UNIX, SOCK_STREAM, 0)),
		(const struct sockaddr *)&a, sizeof(a)));
	d = opendir(".");
	CHECK(d);
	while ((e = readdir(d))) {
		struct stat st = stat_ok(e->d_name);

		seen++;
		if (e->d_type != DT_UNKNOWN)
			SAME(e->d_type, IFTODT(st.st_mode));
		/* of .. the number may be another above a mount point */
		if (strcmp(e->d_name, "..") != 0)
			SAME(e->d_ino, st.st_ino);
	}
	SAME(seen, 7);
	closedir(d);
}

static void list_large(void)
{
	enum { N = 10000 };
	static unsigned char seen[N];
	struct dirent *e;
	DIR *d;

	make_files("f", 0, N);
	d = opendir(".");
	CHECK(d);
	while ((e = readdir(d))) {
		int n = number(e->d_name, 'f');

		if (e->d_name[0] == '.')
			continue;
		CHECK(n >= 0 && n < N);
		seen[n]++;
	}
	closedir(d);
	for (int i = 0; i < N; i++)
		SAME(seen[i], 1);
	remove_files("f", 0, N);
	SAME(count_entries("."), 0);
}

/* names come and go during a listing: the others are seen exactly once */
static void list_while_changing(void)
{
	enum { N = 1000 };
	static unsigned char seen[N];
	struct dirent *e;
	int steps = 0;
	DIR *d;

	make_files("k", 0, N);
	make_files("x", 0, N);
	d = opendir(".");
	CHECK(d);
	while ((e = readdir(d))) {
		int n = number(e->d_name, 'k');

		if (n >= 0)
			seen[n]++;
		if (steps < N) {
			remove_files("x", steps, steps + 1);
			make_files("y", steps, steps + 1);
			steps++;
		}
	}
	closedir(d);
	for (int i = 0; i < N; i++)
		if (seen[i] != 1)
			check_fail("k%d was listed %d times", i, seen[i]);
	SAME(count_entries("."), 2 * N);
}

/* rm -r's way: remove what was just listed, until nothing is left */
static void list_and_remove(void)
{
	struct dirent *e;
	DIR *d;

	make_files("f", 0, 3000);
	d = opendir(".");
	CHECK(d);
	while ((e = readdir(d)))
		if (e->d_name[0] == 'f')
			OK(unlink(e->d_name));
	closedir(d);
	SAME(count_entries("."), 0);
}

static void list_seek(void)
{
	enum { N = 500 };
	static char names[N + 2][256];
	static long where[N + 2];
	struct dirent *e;
	int n = 0;
	DIR *d;

	make_files("f", 0, N);
	d = opendir(".");
	CHECK(d);
	for (;;) {
		long at = telldir(d);

		e = readdir(d);
		if (!e)
			break;
		CHECK(n < N + 2);
		where[n] = at;
		snprintf(names[n++], sizeof(names[0]), "%s", e->d_name);
	}
	SAME(n, N + 2);
	for (int i = 0; i < n; i += 7) {
		int k = i * 31 % n;

		seekdir(d, where[k]);
		e = readdir(d);
		CHECK(e && strcmp(e->d_name, names[k]) == 0);
		e = readdir(d);
		CHECK(k + 1 == n ? !e : strcmp(e->d_name, names[k + 1]) == 0);
	}
	/* a rewound stream shows what has happened since */
	put("new", "");
	remove_files("f", 0, 1);
	rewinddir(d);
	n = 0;
	for (bool found = false; (e = readdir(d)) || !found; n++) {
		CHECK(e);
		CHECK(strcmp(e->d_name, "f0") != 0);
		found = found || strcmp(e->d_name, "new") == 0;
	}
	SAME(n, N + 2);
	closedir(d);
}

/* position cookies stay good while other entries go */
static void list_seek_after_unlink(void)
{
	struct dirent *e;
	long at = 0;
	int rest = 0, again = 0;
	DIR *d;

	make_files("a", 0, 300);
	make_files("b", 0, 300);
	d = opendir(".");
	CHECK(d);
	for (int i = 0; i < 302; i++)
		CHECK(readdir(d));
	at = telldir(d);
	while ((e = readdir(d)))
		rest += number(e->d_name, 'b') >= 0;
	remove_files("a", 0, 300);
	seekdir(d, at);
	while ((e = readdir(d)))
		again += number(e->d_name, 'b') >= 0;
	SAME(again, rest);
	closedir(d);
}

static void list_removed(void)
{
	struct dirent *e;
	char here[16];
	DIR *d;

	OK(mkdir("d", 0755));
	d = opendir("d");
	CHECK(d);
	OK(rmdir("d"));
	while ((errno = 0, e = readdir(d)))
		CHECK(strcmp(e->d_name, ".") == 0 ||
		      strcmp(e->d_name, "..") == 0);
	see("readdir of a removed directory: %d", errno);
	SAME(fstat_ok(dirfd(d)).st_mode & S_IFMT, S_IFDIR);
	ERR(openat(dirfd(d), "x", O_CREAT | O_WRONLY, 0644), ENOENT);
	ERR(mkdirat(dirfd(d), "x", 0755), ENOENT);
	closedir(d);
	OK(mkdir("d", 0755));
	OK(chdir("d"));
	OK(rmdir("../d"));
	CHECK(!getcwd(here, sizeof(here)));
	SAME(errno, ENOENT);
	ERR(open("x", O_CREAT | O_WRONLY, 0644), ENOENT);
	ERR(mkdir("x", 0755), ENOENT);
	ERR(stat("x", &(struct stat){ 0 }), ENOENT);
	OK(stat(".", &(struct stat){ 0 }));
	OK(chdir(".."));
	CHECK(!exists("d"));
}

/* a listing read twice is the same, and follows each change at once */
static void list_fresh(void)
{
	char name[16];

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		SAME(count_entries("."), i);
		SAME(count_entries("."), i);
		put(name, "");
	}
	for (int i = 40; i-- > 0;) {
		snprintf(name, sizeof(name), "f%d", i);
		OK(unlink(name));
		SAME(count_entries("."), i);
	}
}

/* -- inotify
 * ---------------------------------------------------------------------- */

static void expect_event(int fd, uint32_t mask, const char *name)
{
	char buf[sizeof(struct inotify_event) + 256]
		__attribute__((aligned(__alignof__(struct inotify_event))));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	const struct inotify_event *e;

	SAME(poll(&p, 1, 5000), 1);
	/* one event at a time: the buffer holds no second one */
	OK(read(fd, buf, sizeof(struct inotify_event) + 16));
	e = (const struct inotify_event *)buf;
	if (e->mask != mask || strcmp(e->len ? e->name : "", name) != 0)
		check_fail("event %#x '%s', wanted %#x '%s'", e->mask,
			   e->len ? e->name : "", mask, name);
}

static void inotify_events(void)
{
	int fd = (int)OK(inotify_init1(IN_NONBLOCK)), w;

	OK(mkdir("d", 0755));
	OK(inotify_add_watch(fd, "d",
			     IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY |
				     IN_ATTRIB | IN_CLOSE_WRITE));
	w = open_ok("d/f", O_WRONLY | O_CREAT, 0644);
	expect_event(fd, IN_CREATE, "f");
	write_ok(w, "x", 1);
	expect_event(fd, IN_MODIFY, "f");
	close_ok(w);
	expect_event(fd, IN_CLOSE_WRITE, "f");
	OK(chmod("d/f", 0600));
	expect_event(fd, IN_ATTRIB, "f");
	OK(truncate("d/f", 0));
	expect_event(fd, IN_MODIFY, "f");
	OK(rename("d/f", "d/g"));
	expect_event(fd, IN_MOVED_FROM, "f");
	expect_event(fd, IN_MOVED_TO, "g");
	OK(mkdir("d/e", 0755));
	expect_event(fd, IN_CREATE | IN_ISDIR, "e");
	OK(rmdir("d/e"));
	expect_event(fd, IN_DELETE | IN_ISDIR, "e");
	OK(unlink("d/g"));
	expect_event(fd, IN_DELETE, "g");
}

const struct check checks_dirs[] = {
	{ "list_kinds", list_kinds, 0, NULL },
	{ "list_large", list_large, HEAVY, NULL },
	{ "list_while_changing", list_while_changing, HEAVY, NULL },
	{ "list_and_remove", list_and_remove, HEAVY, NULL },
	{ "list_seek", list_seek, 0, NULL },
	{ "list_seek_after_unlink", list_seek_after_unlink, 0, NULL },
	{ "list_removed", list_removed, 0,
	  "a removed directory may list nothing or say so" },
	{ "list_fresh", list_fresh, 0, NULL },
	{ "inotify_events", inotify_events, 0, NULL },
	{ 0 },
};
