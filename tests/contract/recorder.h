/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.h - a sink that writes down what a backend pours and notices every
 * breach of the rules of backend.h. One backend call each.
 */
#ifndef TESTS_CONTRACT_RECORDER_H
#define TESTS_CONTRACT_RECORDER_H

#include "core/buf.h"

#include <scorpio/backend.h>

enum rec_what { REC_TREE, REC_BLOB, REC_SIZE, REC_FAILED };

struct rec_entry {
	struct scorpio_entry e; /* name points to our copy */
	char *name;
};

struct rec_object {
	enum rec_what what;
	struct scorpio_id id;
	int error; /* REC_FAILED, or why it was abandoned */
	bool complete;
	struct rec_entry *entries; /* REC_TREE, as poured */
	uint32_t n, cap;
	struct buf data; /* REC_BLOB: the content */
	uint64_t size;   /* REC_SIZE; announced for REC_BLOB */
};

enum rec_stop {
	REC_GO_ON,
	REC_STOP_BEGIN, /* answer the first begin with stop_value ... */
	REC_STOP_ITEM,  /* ... the first entry or data */
	REC_STOP_END,   /* ... the first end */
	REC_STOP_FAILED /* ... the first failed() */
};

struct recorder {
	struct scorpio_sink sink;
	enum rec_stop stop;
	int stop_value;
	bool stopped;
	struct rec_object *objects;
	uint32_t n, cap;
	bool open; /* the last object is not ended */
	pthread_t owner;
	bool closed;       /* atomic: the call has returned */
	bool alien, late;  /* atomic: called by another thread; too late */
	char problem[256]; /* the first breach, or "" */
};

void recorder_init(struct recorder *r);
/* The call has returned: from now on the sink must be left alone. */
void recorder_close(struct recorder *r);
void recorder_done(struct recorder *r);
/* The completed object of this id, or NULL. */
const struct rec_object *recorder_find(const struct recorder *r,
				       enum rec_what what,
				       const struct scorpio_id *id);
/* How often it was poured completely. */
unsigned recorder_count(const struct recorder *r, enum rec_what what,
			const struct scorpio_id *id);
/* Sort the entries of a tree by name. */
void recorder_sort(struct rec_object *tree);
bool id_is_sane(const struct scorpio_id *id);

#endif
