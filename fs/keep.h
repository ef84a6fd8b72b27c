/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep.h - private to fs/: mounts that outlive their daemon, as text the keeper
 * holds beside the descriptors: FUSE session, table of inodes, and of a
 * read-only mount that was switched the times of what differs.
 */
#ifndef FS_KEEP_H
#define FS_KEEP_H

#include "fs/keeper.h"
#include "fs/mount.h"

#define KEEP_FORMAT 1

enum { KEEP_FUSE, KEEP_NODES, KEEP_TIMES };

struct kept_mount {
	struct kept *kept; /* owned; its descriptors are taken one by one */
	char id[FS_ID_LEN + 1];
	char *source, *rev_spec, *subdir, *dir, *job, *workspace;
	char *state_dir; /* as in fs_mount_request; NULL: the usual one */
	struct scorpio_revision rev;
	struct scorpio_id root;
	uint32_t uid, gid;
	bool read_only, made_dir, allow_other, named;
	enum fs_metadata metadata;
	int64_t created_ns, time_ns;
	uint8_t init[104];
	uint32_t init_len;
	struct node_table *nodes; /* restored; taken */
};

/* Takes x. gone: as node_table_restore. -EBADMSG with a text. */
int kept_mount_read(struct kept *x, bool gone, struct kept_mount **ret);
void kept_mount_free(struct kept_mount *k);
/* Times noted for a read-only mount. */
void kept_mount_times(const struct kept_mount *k, struct times *t);

#endif
