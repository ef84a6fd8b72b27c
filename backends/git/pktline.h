/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pktline.h - git's framing: four hex digits of length, then that many bytes
 * less four. Reading is incremental and strict; writing builds a request in
 * memory. Needs neither the host nor libgit2. One thread per reader.
 */
#ifndef BACKENDS_GIT_PKTLINE_H
#define BACKENDS_GIT_PKTLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PKTLINE_MAX 65520u /* with its length digits, as git limits it */

enum pktline_kind {
	PKTLINE_DATA,  /* may be empty ("0004") */
	PKTLINE_FLUSH, /* 0000 */
	PKTLINE_DELIM, /* 0001 */
	PKTLINE_END,   /* 0002 */
};

/* data is borrowed for the call. Nonzero stops the reader for good. */
typedef int (*pktline_fn)(void *ctx, enum pktline_kind kind,
			  const uint8_t *data, size_t len);

struct pktline_reader {
	pktline_fn fn;
	void *ctx;
	const char *why;  /* after -EBADMSG: a literal */
	uint8_t head[4];
	unsigned have;    /* digits in head */
	size_t want;      /* payload of the packet being read; 0: in the head */
	uint8_t *line;    /* owned; part of a packet that came in pieces */
	size_t len;
};

void pktline_reader_init(struct pktline_reader *r, pktline_fn fn, void *ctx);
void pktline_reader_done(struct pktline_reader *r);
/* 0, -EBADMSG (see why), -ENOMEM, or what fn returned. */
int pktline_feed(struct pktline_reader *r, const void *data, size_t n);
/* True between packets, where an answer may end. */
bool pktline_at_boundary(const struct pktline_reader *r);

struct pktline_buf {
	char *data; /* owned */
	size_t len, cap;
	bool failed; /* out of memory, or a line too long: do not send */
};

/* A line; the newline is added. */
void pktline_add(struct pktline_buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void pktline_mark(struct pktline_buf *b, enum pktline_kind kind);
void pktline_buf_done(struct pktline_buf *b);

#endif
