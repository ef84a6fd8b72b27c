/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delta.h - private to fs/: what differs between two trees of a source, by id.
 * Equal trees are skipped, so it costs time by what differs only. Trees that
 * are missing are fetched, level by level in batches; no content is.
 *
 * Below an added directory everything is listed as added; below a removed one
 * nothing is. A submodule is an empty directory.
 */
#ifndef FS_DELTA_H
#define FS_DELTA_H

#include "cache/source.h"

struct node;

enum delta_what {
	DELTA_SAME,
	DELTA_ADDED,
	DELTA_REMOVED,
	DELTA_CONTENT, /* other content or permissions, the same kind */
	DELTA_DIR,     /* a directory before and after; see `dir` */
	DELTA_KIND     /* something else now, e.g. a directory */
};

struct delta_entry {
	char *path;    /* from the root of both trees; owned */
	uint32_t name; /* where in path the last name starts */
	uint8_t what;  /* enum delta_what */
	uint8_t old_kind, new_kind; /* SCORPIO_*, 0 none */
	uint16_t new_mode;
	struct scorpio_id new_id;
	uint64_t new_size;
	uint64_t key;          /* node_key of path */
	struct delta_dir *dir; /* of DELTA_DIR, and of new directories */
};

struct delta_dir { /* a directory that differs; its old tree may be none */
	struct delta_dir *next;
	char *path;
	uint64_t key;
	struct scorpio_id old_tree, new_tree;
	uint32_t old_count;
	struct delta_place {
		uint32_t index; /* in the new tree */
		uint8_t what;
		struct delta_dir *dir;
	} *places;           /* by index in the old tree */
	size_t first, count; /* its entries: delta.all[first...] */
	struct node *ghost;  /* while nodes are moved */
};

struct delta {
	struct delta_dir *dirs; /* the first is the root; NULL: no difference */
	struct delta_entry **all;     /* owned, directory by directory */
	struct delta_entry **entries; /* by path */
	size_t n, cap;
	struct delta_dir **last;
	uint64_t changed, added, removed; /* files and links */
};

struct delta_source {
	struct source *source;
	struct store *store;
	uint16_t space;
	const char *prefix; /* of paths for backends that need them; or NULL */
};

/* Blocking. Errors of the source and the store. */
int delta_new(const struct delta_source *s, const struct scorpio_id *old_root,
	      const struct scorpio_id *new_root, int64_t deadline,
	      struct delta **ret);
void delta_free(struct delta *d); /* NULL is fine */
/* NULL: nothing differs at exactly that path. */
struct delta_entry *delta_find(const struct delta *d, const char *path);
/* The directory that differs, "" the root, or NULL. */
struct delta_dir *delta_find_dir(const struct delta *d, const char *path);
/* Is there nothing more at path, or not the directory it is below? */
bool delta_gone(const struct delta *d, const char *path);
static inline bool delta_is_dir(uint8_t kind)
{
	return kind == SCORPIO_DIR || kind == SCORPIO_SUBMODULE;
}

#endif
