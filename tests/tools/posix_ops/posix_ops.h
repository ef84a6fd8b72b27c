/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_ops.h - what the conformance checks are written with.
 *
 * A check is a function. It runs in a process of its own whose working
 * directory is fresh, once below the directory under test and once below its
 * native twin. It asserts what POSIX and Linux promise, and tells by see()
 * what it observed where the twin is the measure: both logs must be equal.
 */
#ifndef TESTS_POSIX_OPS_H
#define TESTS_POSIX_OPS_H

#include "core/base.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

enum {
	NEED_ROOT = 1,
	LOWER = 2,      /* works in a prepared tree, see seed.sh */
	LOWER_WIDE = 4, /* which has the directory of 2 000 files as well */
	LOWER_BIG = 8,  /* and the file of 3 MiB */
	HEAVY = 16,     /* many requests: a longer deadline */
};

struct check {
	const char *name;
	void (*run)(void);
	unsigned flags;
	/* why the two logs may differ here; NULL: they may not */
	const char *differs;
};

/* the tables, each ended by an entry without a name */
extern const struct check checks_open[], checks_data[], checks_holes[],
	checks_map[], checks_rename[], checks_names[], checks_special[],
	checks_attr[], checks_times[], checks_xattr[], checks_dirs[],
	checks_procs[], checks_perms[], checks_lower[], checks_lower_names[];

/* -- outcome --------------------------------------------------------------- */

/* End the check as failed or skipped; also from its child processes. */
void check_fail(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));
void check_skip(const char *fmt, ...) PRINTF(1, 2) __attribute__((noreturn));
/* One line of what was observed; compared with the twin's. */
void see(const char *fmt, ...) PRINTF(1, 2);

long ok_at(long r, const char *what, const char *file, int line);
void err_at(long r, int wanted, const char *what, const char *file, int line);
void same_at(long a, long b, const char *what, const char *file, int line);
void see_at(long r, const char *what);

/* the call must succeed; its value */
#define OK(call) ok_at((long)(call), #call, __FILE__, __LINE__)
/* the call must return -1 with this errno */
#define ERR(call, e) err_at((long)(call), e, #call, __FILE__, __LINE__)
/* got, wanted */
#define SAME(a, b) \
	same_at((long)(a), (long)(b), #a " == " #b, __FILE__, __LINE__)
#define CHECK(cond)                                                      \
	((cond) ? (void)0                                                \
		: check_fail("%s:%d: not true: %s", base_name(__FILE__), \
			     __LINE__, #cond))
/* result and errno are logged, whatever they are */
#define SEE(call) see_at((long)(call), #call)

const char *base_name(const char *path);

/* -- helpers; each fails the check itself if it cannot do its work ----------
 */

/* A new file with this text; an existing one is truncated. */
void put(const char *path, const char *text);
/* The file holds exactly this text. */
void has(const char *path, const char *text);
/* A new file of `size` bytes made by pattern(). */
void fill(const char *path, size_t size, unsigned seed);
/* The file holds exactly the first `size` bytes of that pattern. */
void filled(const char *path, size_t size, unsigned seed);
void pattern(void *p, size_t size, unsigned seed);
int open_ok(const char *path, int flags, ...);
void close_ok(int fd);
void write_ok(int fd, const void *p, size_t n);
void pwrite_ok(int fd, const void *p, size_t n, off_t at);
/* read exactly n bytes at an offset */
void pread_ok(int fd, void *p, size_t n, off_t at);
struct stat stat_ok(const char *path); /* lstat */
struct stat fstat_ok(int fd);
bool exists(const char *path);
int count_entries(const char *dir); /* without . and .. */
/* Wait until the file system's clock has moved on. */
void tick(void);
bool newer(struct timespec a, struct timespec b);
bool equal_time(struct timespec a, struct timespec b);
/* The rest runs in a child process, which must succeed. */
void in_child(void (*run)(void));
pid_t child(void (*run)(void));
void join(pid_t pid);
/* The same as user 65534; the check is skipped if we are not root, or if the
 * file system keeps other users out. */
void as_other(void (*run)(void));
#define OTHER 65534

/* A two-way signal between parent and child: pipes, with a deadline. */
struct turn {
	int to_child[2];
	int to_parent[2];
};
void turn_init(struct turn *t);
void turn_done(struct turn *t);
void turn_send(int pipe[2]);
void turn_wait(int pipe[2]);

#endif
