/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.h - the answer to a protocol-v2 fetch: sections, then the pack in
 * side band 1, progress in 2, a fatal message in 3. Needs neither the host nor
 * libgit2. One thread.
 */
#ifndef BACKENDS_GIT_ANSWER_H
#define BACKENDS_GIT_ANSWER_H

#include "pktline.h"

struct gitanswer {
	struct pktline_reader reader;
	/* bytes of the pack, in order; nonzero stops */
	int (*on_pack)(void *ctx, const void *data, size_t n);
	void *ctx;
	int state;
	uint64_t pack_bytes;
	bool refused;     /* the server sent an error: `text` */
	char text[512];   /* of the server, printable, one line */
	const char *why;  /* what is malformed, a literal */
};

void gitanswer_init(struct gitanswer *a,
		    int (*on_pack)(void *ctx, const void *data, size_t n),
		    void *ctx);
void gitanswer_done(struct gitanswer *a);
/* 0; -EREMOTEIO: refused; -EBADMSG: malformed (why); or on_pack's answer. */
int gitanswer_feed(struct gitanswer *a, const void *data, size_t n);
/* After the last byte: 0, or -EIO when the answer is cut short. */
int gitanswer_finish(struct gitanswer *a);

/* Copy a text from outside: printable, one line, cut to fit. */
void gitanswer_text(char *out, size_t cap, const void *text, size_t n);

#endif
