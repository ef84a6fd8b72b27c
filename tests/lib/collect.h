/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect.h - for tests of backends: a sink that keeps what is poured and
 * checks the order of the calls, a host with a scratch directory and settings,
 * and a way to run shell lines. Not thread-safe: one collect per call.
 */
#ifndef TESTS_LIB_COLLECT_H
#define TESTS_LIB_COLLECT_H

#include "core/base.h"

#include <scorpio/backend.h>

struct collect_entry {
	struct scorpio_entry e; /* e.name is owned */
};

struct collect_object {
	struct scorpio_id id;
	bool tree, blob, ended, has_size;
	int failed; /* errno given to failed(), or 0 */
	uint64_t size; /* from blob_begin or size() */
	struct collect_entry *entries;
	size_t n_entries;
	char *data; /* of a blob, NUL-terminated */
	size_t len;
};

struct collect {
	struct scorpio_sink sink;
	struct collect_object *objects;
	size_t n;
	long open;       /* index of the object that was begun, -1 */
	uint64_t limit;  /* nonzero: keep only the length of data beyond it */
	size_t stop_at;  /* nonzero: answer stop_code at that many objects */
	int stop_code;
	bool misuse;     /* calls out of order */
};

void collect_init(struct collect *c);
void collect_done(struct collect *c);
struct collect_object *collect_find(struct collect *c,
				    const struct scorpio_id *id);
const struct scorpio_entry *collect_entry(struct collect_object *o,
					  const char *name);
size_t collect_trees(const struct collect *c);
size_t collect_blobs(const struct collect *c);

/* A backend instance with a host of its own below a temporary directory. */
struct bench {
	char dir[64]; /* temporary, removed at the end */
	struct scorpio_host *host;
	const char *const *settings; /* "key=value", NULL-ended; may be NULL */
	const struct scorpio_backend *b;
	struct scorpio_instance info;
	void *self;
};
/* Makes the directory and the host; self is NULL until bench_open. */
void bench_init(struct bench *k, const struct scorpio_backend *b,
		const char *const *settings);
int bench_open(struct bench *k, const char *url);
void bench_close(struct bench *k); /* the instance only */
void bench_done(struct bench *k);
/* One tree into c; the result of list(). */
int bench_list(struct bench *k, const struct scorpio_id *id,
	       struct collect *c);
int bench_fetch(struct bench *k, const struct scorpio_id *id, uint8_t kind,
		struct collect *c);
/* Number of files and directories left in the scratch directory. */
size_t bench_scratch_files(struct bench *k);

/* Run `bash -euc script` in dir. Output of at most 64 KiB without the last
 * newline, owned by the caller; aborts the test with stderr if it fails. */
char *shell(const char *dir, const char *fmt, ...) PRINTF(2, 3);

#endif
