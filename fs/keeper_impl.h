/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_impl.h - private to keeper_main.c, keeper_table.c, keeper_spawn.c. */
#ifndef FS_KEEPER_IMPL_H
#define FS_KEEPER_IMPL_H

#include "fs/keeper_wire.h"

#define KEEPER_ENTRIES 20000u

struct entry {
	struct entry *next;
	char name[KEEPER_NAME];
	int fd[KEEPER_FDS];
	char *text;
};

struct table { /* what is held */
	struct entry *first;
	size_t count;
};

/* keeper_table.c: entries, also at the service manager if there is one. */
void table_put(struct table *t, struct keeper_message *m /* its fds */);
void table_drop(struct table *t, const char *name);
/* Every entry of a mount, and what is at its directory if `unmount`. Returns
 * how many there were. */
size_t table_drop_mounts(struct table *t, bool unmount);
/* Send all of it. -errno */
int table_send(const struct table *t, int sock);
/* What the service manager kept of a keeper that died. */
void table_recall(struct table *t);
void table_done(struct table *t);
/* A line, with a descriptor or -1, to the service manager. */
void manager_tell(const char *text, int fd);

/* keeper_spawn.c */
enum spawn_why {
	SPAWN_FIRST,
	SPAWN_AGAIN, /* everybody waits: before others, until it serves */
	SPAWN_CHECK, /* only to ask it */
};
struct spawned {
	int pid, sock;
	int error; /* what it says on stderr; -1 unless SPAWN_CHECK */
};
int keeper_spawn(const struct keeper_options *o, const char *program,
		 enum spawn_why why, struct spawned *ret);
/* Is a debugger attached? */
bool keeper_is_traced(int pid);

#endif
