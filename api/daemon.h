/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - the life of the daemon, and what its HTTP handlers ask it for.
 *
 * Up: logging, store (one daemon per store), backends and plugins, filesystem,
 * listeners, then the mounts of last time in the background. Down, on SIGTERM,
 * SIGINT or daemon_stop: HTTP, mounts, store, each with a deadline; a second
 * signal detaches the mounts and leaves at once. SIGHUP: daemon_reload.
 *
 * Must be started after any fork (the store may not cross one) and before other
 * threads, because it blocks the signals it waits for.
 */
#ifndef API_DAEMON_H
#define API_DAEMON_H

#include "api/http/server.h"
#include "api/mounts.h"
#include "core/config.h"

#define EXIT_INTERNAL 1
#define EXIT_CONFIG 2
#define EXIT_MOUNT 3
#define EXIT_BIND 4

struct daemon;
struct antares;
struct classic;
struct gitwork;

struct daemon_options {
	struct config *config; /* counted by the daemon */
	/* how it was loaded, to load it again; borrowed; may be NULL */
	const struct config_options *config_options;
	bool no_restore;    /* forget the mounts of last time */
	bool http_optional; /* a default port that is taken is no error */
	bool http_any_port; /* ... but replaced by a free one */
	bool temporary;     /* nothing is recorded */
	bool hangup_ends;   /* SIGHUP ends instead of reloading */
	bool antares_root;  /* the calls of /antares at the root as well */
	struct keeper *keeper; /* borrowed; what outlives this process, or
				* NULL */
};
struct keeper;

struct daemon_problem { /* why it cannot start; texts are owned */
	int exit_code;
	char *what, *why, *advice;
};
void daemon_problem_done(struct daemon_problem *p);

/* Everything but the loop. On failure nothing is left. */
int daemon_start(const struct daemon_options *o, struct daemon **ret,
		 struct daemon_problem *why);
/* Until told to end; ends everything and frees. Returns the exit code. */
int daemon_run(struct daemon *d);

/* Backends and plugins as the configuration wants them; also for commands that
 * work without a daemon. */
int daemon_register(const struct config *c);
/* Log what differs after a reload, and whether it acts at once. */
void daemon_tell_changes(const struct config *a, const struct config *b);
/* Log level, format and file. */
void daemon_logging(const struct config *c);

/* -- for handlers; any thread ------------------------------------------------- */

/* Counted; config_put. */
struct config *daemon_config(struct daemon *d);
struct store *daemon_store(struct daemon *d);
struct fs *daemon_fs(struct daemon *d);
struct mounts *daemon_mounts(struct daemon *d);
struct gitwork *daemon_gitwork(struct daemon *d);
struct antares *daemon_antares(struct daemon *d);
struct classic *daemon_classic(struct daemon *d);
struct server *daemon_server(struct daemon *d);
struct keeper *daemon_keeper(struct daemon *d); /* may be NULL */
int64_t daemon_started_ns(struct daemon *d); /* wall clock */
int64_t daemon_uptime_ns(struct daemon *d);
/* Whose the files of a mount are, and who may look, by the configuration. */
void daemon_owner(struct daemon *d, struct fs_mount_request *r);
/* End soon. */
void daemon_stop(struct daemon *d);
/* Read the configuration again: log settings, HTTP client, token. What needs a
 * restart is logged. -EINVAL: the new one is bad and the old one stays. */
int daemon_reload(struct daemon *d);
/* Is mounting at start over? */
bool daemon_ready(struct daemon *d);

#endif
