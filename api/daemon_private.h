/* SPDX-License-Identifier: Apache-2.0 */
/* daemon_private.h - shared by daemon.c and daemon_access.c only. */
#ifndef API_DAEMON_PRIVATE_H
#define API_DAEMON_PRIVATE_H

#include "api/daemon.h"
#include "core/lock.h"

struct view { /* what one source sees of the configuration; never freed while
	       * the fs lives */
	struct config_view view;
	struct view *next;
};

struct daemon {
	struct store *store;
	struct fs *fs;
	struct mounts *mounts;
	struct gitwork *gitwork;
	struct antares *antares;
	struct classic *classic;
	struct router *router;
	struct server *server;
	struct roles *roles;
	struct keeper *keeper; /* borrowed; NULL: none */
	int stop_fd, signal_fd;
	int64_t started_wall, started;
	bool restored; /* mounts_restore was called */
	struct config_options reload; /* borrowed members */
	bool can_reload, hangup_ends;
	char **dirs; /* what is mounted when the end begins; owned */

	struct lock lock;
	struct config *config; /* lock; counted */
	struct view *views;    /* lock */
	pthread_cond_t change;
	bool ended; /* lock: the steps of ending are done */
};

#endif
