/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - the call context of a thread: how long the work it does now may
 * take, and whether anybody still wants it. Set around every backend call by
 * cache/source.c; asked by the HTTP client, the process runner and backends
 * (through scorpio_host.cancelled).
 */
#ifndef CORE_CALL_H
#define CORE_CALL_H

#include "core/base.h"

struct call {
	int64_t deadline;          /* absolute monotonic ns, or DEADLINE_NONE */
	const bool *cancel;        /* atomic; true = stop; may be NULL */
	int64_t *heard;            /* atomic; see call_listen */
	uint64_t asker;            /* see call_asks */
	struct call *outer;        /* restored by call_leave */
};

/* Make `c` this thread's context (deadline is cut to the outer one's). */
void call_enter(struct call *c, int64_t deadline, const bool *cancel);
void call_leave(struct call *c);
/* Without a context: DEADLINE_NONE and false. */
int64_t call_deadline(void);
bool call_cancelled(void); /* cancelled or deadline passed */
/* After call_enter: note in *heard (atomic) when bytes last came. Else that of
 * the outer context is used. */
void call_listen(struct call *c, int64_t *heard);
/* After call_enter: on whose behalf the work is done, a key for who shares a
 * server with others (struct want). Else that of the outer context; 0: ours. */
void call_asks(struct call *c, uint64_t asker);
uint64_t call_asker(void);
/* Bytes came; told by whoever receives them. Costs reading the clock. */
void call_progress(void);
/* -EINTR or -ETIMEDOUT with a text if call_cancelled(), else 0. */
int call_check(void);

#endif
