/* SPDX-License-Identifier: Apache-2.0 */
/* objects_impl.h - shared by objects.c and objects_read.c only. */
#ifndef FS_OBJECTS_IMPL_H
#define FS_OBJECTS_IMPL_H

#include "fs/mount.h"
#include "fs/objects.h"

#define ID SHA1_LEN
#define MEMO 512 /* objects whose size and sum are remembered */

struct memo {
	uint64_t index; /* + 1; 0: empty */
	uint64_t size;  /* of the content */
	uint32_t adler;
};

struct fs_objects {
	struct source *source; /* counted */
	struct store *store;
	uint16_t space;
	const uint8_t *table;
	uint64_t n;
	char *dir;
	bool made;
	uid_t uid;
	gid_t gid;
	int64_t time_ns, deadline_ms;
	struct fuse_session *session;
	pthread_t thread;
	pthread_mutex_t lock;
	struct memo memo[MEMO]; /* lock */
};

/* Which object has the id at `index` in the table. */
struct scorpio_id objects_id(const struct fs_objects *o, uint64_t index);
/* Size and sum of an object; brings its content. */
int objects_learn(struct fs_objects *o, uint64_t index, struct memo *ret);
/* The same if it is remembered. */
bool objects_recall(struct fs_objects *o, uint64_t index, struct memo *ret);
/* Bytes of a loose object whose content has this size. */
uint64_t objects_file_size(uint64_t size);
/* Bytes [off, off + n) of it; they exist. */
int objects_read(struct fs_objects *o, const struct memo *m, uint64_t off,
		 uint8_t *out, size_t n);

#endif
