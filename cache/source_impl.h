/* SPDX-License-Identifier: Apache-2.0 */
/* source_impl.h - shared by source*.c and pour.c. */
#ifndef CACHE_SOURCE_IMPL_H
#define CACHE_SOURCE_IMPL_H

#include "cache/account.h"
#include "cache/flight.h"
#include "cache/source.h"
#include "cache/stage.h"
#include "core/lock.h"
#include "core/metrics.h"
#include "core/pool.h"

enum source_op { OP_LIST, OP_FETCH, OP_SIZES, OP_PREFETCH, OP_RESOLVE, OPS };

struct source_metrics { /* shared by sources of one name; never freed */
	struct metric *requests[OPS];
	struct metric *objects, *bytes, *failed;
	struct metric *waiting, *running, *circuit; /* gauges */
	struct histogram *wait;
};

struct source {
	uint32_t refs;                /* atomic */
	char *name, *url, *shown_url; /* fixed; shown without secrets */
	struct store *store;
	uint16_t space;
	bool has_space; /* fixed after open */
	bool local, allow_stale;
	struct source_config config;
	struct stage *stage;
	struct flights *flights;
	struct pool *aux; /* resolve and xattr, whose callers wait with a
			   * deadline */
	struct accounts *accounts;
	struct source_metrics metrics;
	uint64_t requests, objects, bytes, failed; /* atomic */

	struct lock lock;
	pthread_cond_t quiet;
	uint32_t landings; /* lock: objects on their way into the store */
	uint32_t asks;     /* lock: calls in aux */
	struct landing *corrections; /* lock to change or follow: pour.c */
	source_resized_fn resized; /* lock */
	void *resized_ctx;         /* lock */
};

void source_count(struct source *s, enum source_op op);
void source_metrics_init(struct source *s);
void source_metrics_done(struct source *s);
/* Tell who asked with source_on_resized; false: nobody did. */
bool source_resized(struct source *s, const struct scorpio_id *id,
		    void (*done)(void *arg), void *arg);
/* On behalf of a waiting landing or ask: by is 1 or -1. */
void source_hold(struct source *s, uint32_t *counter, int by);

#endif
