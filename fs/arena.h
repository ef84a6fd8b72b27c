/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - private to fs/: where nodes and what directories have on top live.
 * Chunks of fixed-size objects that never move.
 *
 * A shared arena lives in a memfd, which the keeper holds as well: what the
 * daemon wrote is still there when it was killed, at any instruction, and the
 * next daemon goes on with it (arena_adopt) or, where its addresses are taken,
 * reads it (arena_open) and makes an arena of its own. It costs no memory beyond
 * that of the objects. A memfd's file:
 *
 *	struct arena_head   at 0, whole pages
 *	chunks              as told by head.chunk[]
 *	a copy of the file  at head.undo, while objects are changed together
 *
 * Pointers between objects are those of the process that wrote them; a chunk
 * says where it was mapped. Chunks are mapped where hardly anything else is.
 *
 * Threads: the caller's lock.
 */
#ifndef FS_ARENA_H
#define FS_ARENA_H

#include "core/base.h"

#include <scorpio/types.h>

#define ARENA_FORMAT 2u
#define ARENA_CHUNKS 4096u
#define ARENA_INTENTS 256u

enum arena_kind { ARENA_NODE, ARENA_DIR, ARENA_KINDS };

/* A request that changes names and the record of the log that does it: noted
 * before the record is written. */
struct intent {
	uint64_t unique; /* of the kernel; 0: none */
	uint64_t seq;    /* 0: it is known that the record was written */
	uint64_t type;   /* of the record */
};

struct intents {
	uint64_t at; /* the next to be overwritten */
	struct intent list[ARENA_INTENTS];
};

struct arena_chunk {
	uint64_t self;   /* where it was mapped */
	uint64_t offset; /* in the file */
	uint32_t slots, kind;
};

struct arena_head {
	uint64_t magic;
	uint32_t format;
	uint32_t size[ARENA_KINDS];
	uint32_t chunks; /* atomic */
	uint64_t end;    /* of the last chunk */
	uint64_t undo;   /* atomic; where a copy is that counts; 0 none */
	struct scorpio_id root;     /* tree the objects belong to */
	struct scorpio_id old_root; /* the kernel has not been told of a
				     * switch from it; len 0 none */
	struct intents intents;
	struct arena_chunk chunk[ARENA_CHUNKS];
	/* objects of the last chunk of each kind that were ever taken; 0: not
	 * known (nothing was written here at first) */
	uint32_t used[ARENA_KINDS];
};

struct arena;

/* sizes of the kinds, at least 16. A shared one that cannot be made is one that
 * is not shared. */
struct arena *arena_new(const uint32_t size[ARENA_KINDS], bool shared);
void arena_free(struct arena *a); /* NULL is fine */
/* Of a shared one; else -1. Borrowed. */
int arena_fd(const struct arena *a);
/* NULL if it is not shared. */
struct arena_head *arena_head(struct arena *a);
/* Zeroed. */
void *arena_take(struct arena *a, enum arena_kind kind);
/* Its first 8 bytes are left as they are. */
void arena_give(struct arena *a, enum arena_kind kind, void *p);
/* Memory in use, with what was given back. */
uint64_t arena_bytes(const struct arena *a);
/* Until arena_commit, who reads the file sees the objects of this moment.
 * -ENOMEM: it is not so. */
int arena_begin(struct arena *a);
void arena_commit(struct arena *a);

/* The next object that was ever taken, also if it was given back; NULL: there is
 * no more. at: zero at first. */
struct arena_place {
	uint32_t chunk, slot;
};
void *arena_next(struct arena *a, enum arena_kind kind,
		 struct arena_place *at);

/* The arena another process left in fd, as it is, with all pointers right. That
 * process must be gone. What was given back is not known any more: the caller
 * gives it again. -EBADMSG as arena_open; -EAGAIN: not possible here, nothing
 * was changed. */
int arena_adopt(int fd, const uint32_t size[ARENA_KINDS], struct arena **ret);

/* What another process left. */
struct arena_image {
	uint8_t *map;
	size_t len;
	const struct arena_head *head;
	const struct arena_head *live; /* the same without looking at undo */
	const uint8_t *base; /* offsets of chunks count from here */
	uint32_t hint;       /* where the last one was located */
};
/* -EBADMSG not such a file, or of another format; with a text. */
int arena_open(int fd, const uint32_t size[ARENA_KINDS],
	       struct arena_image *ret);
void arena_close(struct arena_image *i);
/* The chunk and slot a pointer of that process meant. False: none. */
bool arena_locate(struct arena_image *i, uint64_t pointer,
		  enum arena_kind kind, uint32_t *ret_chunk,
		  uint32_t *ret_slot);
static inline const void *arena_slot(const struct arena_image *i,
				     uint32_t chunk, uint32_t slot)
{
	const struct arena_chunk *c = &i->head->chunk[chunk];

	return i->base + c->offset + (size_t)slot * i->head->size[c->kind];
}

#endif
