/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage.h - a stack of opened backends: a source with layers above it. Calls
 * go to the top; what a layer does not offer goes to the one below; each
 * backend gets only as many calls at once as it bears.
 *
 * Opening and closing: one thread. Calls: any thread, with a call context
 * (core/call.h) whose deadline also limits the wait for a turn.
 */
#ifndef CACHE_STAGE_H
#define CACHE_STAGE_H

#include "core/base.h"

#include <scorpio/backend.h>

struct stage;

struct stage_options {
	const char *name; /* of the source, for logs and metrics */
	const char *url;
	const char *const *layers; /* lowest first, NULL-ended; may be NULL */
	const char *scratch;       /* parent of scratch directories, or NULL */
	const char *(*get)(void *ctx, const char *key); /* configuration */
	/* of the host of each; see registry.h; may be NULL */
	int (*remember)(void *ctx, const char *name, const void *p, size_t n);
	int64_t (*recall)(void *ctx, const char *name, void *buf, size_t cap);
	void *ctx;
};

/* -EINVAL for a URL or layer nobody offers, or what open() returned. */
int stage_open(const struct stage_options *o, struct stage **ret);
void stage_close(struct stage *s); /* no call is in progress; NULL is fine */

/* Of the top of the stack; borrowed. */
const struct scorpio_backend *stage_ops(const struct stage *s);
const struct scorpio_instance *stage_info(const struct stage *s);
/* How many calls the stack bears at once: 1, or many (UINT32_MAX). */
unsigned stage_calls(const struct stage *s);
bool stage_has_sizes(const struct stage *s);
/* Of the source at the bottom. */
const struct scorpio_backend *stage_source_ops(const struct stage *s);
/* Does anyone in the stack want refs with paths? */
bool stage_needs_path(const struct stage *s);
/* The id of the source at the bottom that this one stands for: itself, unless a
 * layer made it. */
struct scorpio_id stage_plain_id(const struct stage *s,
				 const struct scorpio_id *id);
bool stage_made_by_layer(const struct stage *s, const struct scorpio_id *id);
/* What a blob of that id is verified against (SCORPIO_ID_*): ids that a layer
 * made are its own affair, all others are the source's. */
uint32_t stage_id_kind(const struct stage *s, const struct scorpio_id *id);

/* The calls of backend.h; `self` = a struct stage. -ENOTSUP where nobody in
 * the stack offers it. */
extern const struct scorpio_backend stage_calls_table;

#endif
