/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather.h - directories as they come from below, kept until it is known which
 * rules hold in them. A directory without .gitattributes that nobody asked for
 * under rules goes on at once: in no context of its own it is what it is.
 *
 * One call, one thread.
 */
#ifndef BACKENDS_LFS_GATHER_H
#define BACKENDS_LFS_GATHER_H

#include "common.h"

struct lfsentry {
	struct scorpio_id id; /* below */
	uint64_t size;
	int64_t mtime_ns;
	uint32_t name, name_len; /* in names */
	uint32_t mode;
	uint8_t kind;
};

struct lfstree {
	struct scorpio_id id; /* below */
	struct lfsentry *entries;
	uint32_t n, cap;
	struct lfsbuf names;
	int64_t attributes, config; /* index of .gitattributes, .lfsconfig; -1 */
	bool poured;		    /* as it is */
	struct lfstree *next;	    /* in its slot */
};

#define LFSGATHER_SLOTS 4096u

struct lfsgather {
	struct scorpio_sink sink; /* for the backend below */
	struct lfs *s;
	const struct scorpio_sink *out;
	bool *stop;
	/* Trees nobody named go on at once if they can; else they are kept
	 * as well, for their place may be one with rules. */
	bool keep;
	bool hold; /* ... and do not go on */
	struct lfstree *slots[LFSGATHER_SLOTS];
	uint32_t n;
	uint64_t bytes; /* about what is kept */
	struct lfstree *open;
	int (*failed)(void *ctx, const struct scorpio_id *below, int error);
	/* Is this one asked for under rules? */
	bool (*under_rules)(void *ctx, const struct scorpio_id *below);
	void *ctx;
};

void lfsgather_init(struct lfsgather *g, struct lfs *s,
		    const struct scorpio_sink *out, bool *stop);
void lfsgather_done(struct lfsgather *g);
struct lfstree *lfsgather_find(struct lfsgather *g,
			       const struct scorpio_id *below);
/* Give it on as it is. */
int lfsgather_pour(struct lfsgather *g, struct lfstree *t);

#endif
