/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get.h - bring one object: its link is followed, a transfer that breaks is
 * taken up where it ended (Range), a link that expired is asked for anew, and
 * the SHA-256 is computed on the way. Blocking; any thread.
 */
#ifndef BACKENDS_LFS_GET_H
#define BACKENDS_LFS_GET_H

#include "server.h"

struct lfsget {
	struct lfs *s;
	struct lfsaction *a; /* may be asked for anew */
	/* Gets the content in order. Nonzero stops and is returned. */
	int (*data)(void *ctx, const void *p, uint64_t n);
	void *ctx;
	const bool *give_up; /* atomic; may be NULL */
	/* what became of it */
	bool stopped; /* data() said so */
	uint64_t got;
	char why[200]; /* if it failed and no error text was set */
};

/* 0: all of it was given and its hash is right. -EBADMSG: it is wrong; what was
 * given must be thrown away. */
int lfsget_run(struct lfsget *g);

#endif
