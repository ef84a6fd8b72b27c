/* SPDX-License-Identifier: Apache-2.0 */
/*
 * small.h - read small blobs from below: .gitattributes, .lfsconfig, and the
 * blobs of files that should be pointers. What comes along on the way is given
 * to the sink as any layer would.
 *
 * Functions that take a sink return what the sink answered if that was not 0;
 * *stop is then set, and nothing more may be done.
 */
#ifndef BACKENDS_LFS_SMALL_H
#define BACKENDS_LFS_SMALL_H

#include "pointer.h"

enum lfsitem_state {
	LFSITEM_ASKED,	 /* nothing came */
	LFSITEM_POINTER, /* ptr tells of what */
	LFSITEM_POURED,	 /* no pointer: its content was given to the sink */
	LFSITEM_FAILED,	 /* error says why */
};

struct lfsitem {
	struct scorpio_id id;	 /* as lfsid_file makes it */
	struct scorpio_id below; /* its blob */
	const char *path;	 /* borrowed; may be NULL */
	uint32_t path_len;
	enum lfsitem_state state;
	int error;
	struct lfsptr ptr;
	uint64_t size; /* of what was poured */
};

/* Which of them are pointers? Sorts them by `below`. Blobs that are not are
 * poured as the content of `id`. The result concerns those still ASKED. */
int lfssmall_pointers(struct lfs *s, struct lfsitem *items, uint32_t n,
		      const struct scorpio_sink *sink, bool *stop);

/* next's fetch (or with `sizes` its sizes), in pieces that it takes. */
int lfssmall_below(struct lfs *s, struct scorpio_ref *refs, uint32_t n,
		   bool sizes, const struct scorpio_sink *sink, bool *stop);

struct lfstext {
	struct scorpio_id id; /* below */
	const char *path;     /* borrowed; may be NULL */
	uint32_t path_len;
	int error;	    /* it could not be had; -EIO and the like */
	struct lfsbuf text; /* owned: lfsbuf_done */
};

#define LFSTEXT_MAX (4u << 20)

/* Their texts, from memory or below. One above LFSTEXT_MAX is empty. */
int lfssmall_texts(struct lfs *s, struct lfstext *texts, uint32_t n,
		   const struct scorpio_sink *sink, bool *stop);

#endif
