/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liar.h - for the tests of cache/source.c: a scripted backend "liar+WHAT"
 * with one directory of a few files, which misbehaves as told, and a layer
 * "upper" above it. Also a store in a temporary directory.
 */
#ifndef TESTS_LIB_LIAR_H
#define TESTS_LIB_LIAR_H

#include "cache/source.h"

#define LIAR_FILES 8
#define LIAR_LONG (200 * KiB) /* of its xattr "long" */

enum lie {
	HONEST,
	LIE_CONTENT, /* other bytes than the id says */
	LIE_CONTENT_ONCE,
	LIE_LONG,        /* more bytes than announced */
	LIE_SHORT,       /* fewer */
	LIE_NEST,        /* a blob inside a blob */
	LIE_NO_BEGIN,    /* data without begin */
	LIE_NO_BLOB_END, /* returns in the middle of a blob */
	LIE_POSITIVE,    /* returns 5 */
	LIE_BAD_ID,      /* an id of 200 bytes */
	LIE_THREAD,      /* pours from another thread */
	LIE_ABANDON,     /* gives every blob up */
	LIE_DUPLICATE,   /* a tree with a name twice */
	LIE_DOTDOT,      /* a tree with ".." */
	LIE_ENTRY,       /* entries without a tree */
	LIE_SILENT,      /* pours nothing, returns 0 */
	LIE_EXTRA,       /* pours all files whichever was asked for */
	LIE_HANG,        /* does not return until released */
};

extern struct liar {
	pthread_mutex_t m;
	pthread_cond_t c;
	enum lie lie;                   /* m */
	unsigned calls;                 /* m; list and fetch and sizes */
	unsigned running, most_running; /* m */
	unsigned refs;                  /* m; asked for in all */
	unsigned upper_calls;           /* m */
	unsigned closed;                /* m */
	int error;         /* m; every call, also resolve, fails so */
	unsigned delay_ms; /* m; of every call */
	bool released;     /* m; those that hang go on */
	uint32_t threads;  /* of the table, before liar_setup */
	bool local;        /* likewise */
} liar;

/* A fresh store, registry with the built-in backends and the scripted ones. */
void liar_setup(void);
void liar_teardown(void);
struct store *liar_store(void);
const char *liar_dir(void); /* the temporary directory */
/* "liar+x" opened. */
struct source *liar_open(struct source_options o);
struct scorpio_id liar_file(unsigned i); /* SHA-256 of its content */
struct scorpio_id liar_root(void);
int liar_text(unsigned i, char buf[64]); /* content; its length */
/* source_need of one object within 5 s */
int liar_need(struct source *s, enum want_kind kind,
	      const struct scorpio_id *id);
/* The whole blob from the store, NUL-ended; NULL if it is not there. */
char *liar_read(struct source *s, const struct scorpio_id *id, size_t *ret_len);

#endif
