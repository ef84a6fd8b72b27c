/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - the process that outlives the daemon, and the daemon's end of the
 * line to it.
 *
 * The keeper (keeper_run) is small: one thread, no libraries, nothing that
 * parses foreign bytes. It starts the daemon, watches it and starts it again
 * when it dies or hangs, and it holds what the daemon asked it to: named
 * entries of descriptors (FUSE sessions, listening sockets, tables of inodes)
 * and a piece of text each. The next daemon gets them all before anything else.
 *
 * The two may be of different versions: the messages are versioned
 * (KEEPER_PROTOCOL), the keeper never looks into an entry but for the first
 * line of its text, the directory of a mount.
 */
#ifndef FS_KEEPER_H
#define FS_KEEPER_H

#include "core/base.h"

#define KEEPER_NAME 64       /* of entries, with NUL: [a-z0-9-] */
#define KEEPER_FDS 3         /* of one entry */
#define KEEPER_TEXT (48 * 1024)
#define KEEPER_MOUNT "mount-" /* entries of mounts begin with it */

/* -- the daemon's end ---------------------------------------------------------- */

struct keeper;

struct kept { /* an entry of before */
	struct kept *next;
	char name[KEEPER_NAME];
	int fd[KEEPER_FDS]; /* -1: none; the taker's */
	char *text;         /* NUL-terminated */
};
void kept_free(struct kept *k); /* closes what is left in fd */

/* If a keeper started this process: *ret and everything it holds. Else *ret is
 * NULL. Blocking, at most some seconds. The environment is cleaned. -EPROTO
 * with a text: it is of another version. */
int keeper_connect(struct keeper **ret);
void keeper_free(struct keeper *k); /* NULL is fine, as in all of these */
int keeper_pid(const struct keeper *k); /* 0 without one */
/* How often the daemon was started again, when the last one that served was
 * seen to be gone (monotonic, 0 if there was none). */
uint64_t keeper_restarts(const struct keeper *k);
int64_t keeper_lost_ns(const struct keeper *k);
/* The one before did not die by itself: somebody sent SIGKILL, or it was
 * replaced on purpose. False if that is not known. */
bool keeper_was_killed(const struct keeper *k);
/* This process shall only say whether it could take over: exit with 0, or with
 * a text on stderr. */
bool keeper_only_asks(const struct keeper *k);

/* Hold these, under this name, instead of what had it. Descriptors are copied.
 * Once it returned 0 the entry survives this process. Any thread. */
int keeper_put(struct keeper *k, const char *name, const int *fds, size_t n,
	       const char *text);
void keeper_drop(struct keeper *k, const char *name);
/* The next entry of before whose name begins so, or NULL; the caller's. */
struct kept *keeper_take(struct keeper *k, const char *prefix);
/* Nobody took these: let go of them. */
void keeper_drop_rest(struct keeper *k);

/* Tell that this process serves, and from now on, as long as alive() says so,
 * that it lives. Starts a thread. */
int keeper_serve(struct keeper *k, bool (*alive)(void *ctx), void *ctx);
/* The daemon ends on purpose: it is not to be started again. alive() is not
 * called any more when this returns. */
void keeper_stopping(struct keeper *k);
/* Pass a line on to the service manager. */
void keeper_tell(struct keeper *k, const char *text);
/* Be replaced by a new process of `program` (NULL: the same path). 0: it will
 * happen in a moment. -EPERM: the new one says (text) that it could not go on
 * from here; nothing has happened. -ENOTCONN: no keeper. Blocking. */
int keeper_replace(struct keeper *k, const char *program, int64_t deadline);

/* -- the keeper ------------------------------------------------------------------ */

struct keeper_options {
	char *const *argv;   /* of the daemon */
	const char *program; /* its path */
	const char *directory; /* it is started in; NULL: this one */
	int64_t hang_ms; /* silent for this long: it is replaced; 0 never */
	int64_t retry_ms; /* between deaths, at first; 0: 100 ms */
	int64_t away_ms; /* nobody served for so long: mounts are given up; 0:
			  * 5 min */
	/* The daemon serves for the first time. May be NULL. */
	void (*ready)(void *ctx);
	void *ctx;
};

/* Until the daemon ended on purpose, or cannot be kept alive. The exit code.
 * Call it with one thread and nothing open that a daemon opens. */
int keeper_run(const struct keeper_options *o);

#endif
