/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsrand.h - random operations on two directories in lockstep. Operation i of
 * a seed is made from (seed, i) and from the list of known names, so leaving
 * others out changes it little; that makes a failure small.
 */
#ifndef TESTS_FSRAND_H
#define TESTS_FSRAND_H

#include "core/base.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define SLOTS     12
#define PATH_SIZE 1536
#define DATA_SIZE (256 * 1024)

struct side {
	const char *name;
	char root[PATH_MAX];
	int fd[SLOTS]; /* -1: not open */
	/* A page that was not written back is lost with the daemon: nobody
	 * acknowledged it. */
	bool sync_maps;
};

struct op {
	const struct op_kind *kind;
	char a[PATH_SIZE], b[PATH_SIZE]; /* below the root */
	int slot, slot2;
	off_t off, off2;
	size_t len;
	unsigned flags;
	mode_t mode;
	struct timespec when;
	unsigned data; /* which bytes are written */
};

/* what must be the same on both sides */
struct outcome {
	int err; /* errno; 0: it succeeded */
	long value;
	uint64_t sum; /* of what was read */
};

typedef void (*op_fn)(struct side *, const struct op *, struct outcome *);

enum shape { NONE, FILE_, DIR_, ANY, NEW };
enum effect { NOTHING, ADD_FILE, ADD_DIR, ADD_OTHER, REMOVE, RENAME, EXCHANGE };
enum needs {
	IO = 1,      /* offset and length */
	SLOT = 2,    /* an open descriptor */
	SLOT2 = 4,   /* and a second one */
	ROOT_OK = 8, /* the path may be the root itself */
	PURE = 16,   /* it changes nothing but the descriptor */
};

struct op_kind {
	const char *name;
	unsigned weight;
	enum shape a, b;
	unsigned needs;
	enum effect effect;
	op_fn run;
};

extern const struct op_kind path_ops[], slot_ops[]; /* ended by no name */

struct config {
	const char *target, *twin;
	uint64_t seed;
	unsigned long ops;
	unsigned long stop_at; /* compare and end after this one; 0: never */
	unsigned long check;   /* compare the trees each N operations */
	int procs;
	const char *journal;
	bool journal_sync;
	bool verbose;
	const unsigned char *skip; /* one byte per operation, or NULL */
};

/* snprintf that cuts silently: a path too long fails when it is used */
void print_to(char *buf, size_t size, const char *fmt, ...) PRINTF(3, 4);

/* -- random.c ----------------------------------------------------------------
 */
void random_start(uint64_t seed, uint64_t i);
uint64_t random_next(void);
unsigned below(unsigned n); /* 0 .. n-1 */
bool chance(unsigned percent);
void random_bytes(unsigned char *p, size_t n, unsigned which);
uint64_t sum_bytes(uint64_t sum, const void *p, size_t n);

/* -- names.c: the names that exist, as far as we know
 * -------------------------- */
void names_scan(const char *root);
size_t names_count(void);
size_t names_start(void); /* how many there were at the beginning */
void names_pick(enum shape shape, bool root_ok, char *ret_path);
void names_apply(enum effect effect, const char *a, const char *b);

/* -- ops*.c -------------------------------------------------------------------
 */
extern unsigned char op_data[DATA_SIZE]; /* the bytes of the current one */
const char *full(const struct side *s, const char *path); /* 4 at a time */
bool failed(struct outcome *r, long v);
void touch_map(unsigned char *p, size_t n, struct outcome *r);
/* Write all of the operation's data; at < 0: where the descriptor stands. A
 * target that dies meanwhile has acknowledged a part, which is no result. */
void put_data(int fd, const struct op *o, off_t at, struct outcome *r);

/* -- plan.c -------------------------------------------------------------------
 */
void plan_op(const struct config *c, unsigned long i, const struct side *twin,
	     struct op *ret);
void describe_op(unsigned long i, const struct op *o, char *buf, size_t size);

/* -- compare.c ----------------------------------------------------------------
 */
struct exclude {
	char (*path)[PATH_SIZE]; /* these, what is below them, */
	int n;                   /* and other names of the same files */
};
/* 0 same, 1 they differ (said on stdout). Times before `epoch` were set by
 * somebody and must agree. */
int compare_trees(const char *target, const char *twin, time_t epoch,
		  const struct exclude *x);
int compare_names(const struct side *a, const struct side *b, const char *path);
extern time_t compare_epoch;
/* A name could not be looked at because the target's daemon had gone. */
extern bool compare_saw_gone;

/* -- run.c: 0 ok, 1 mismatch, 2 trouble, 3 the target has gone
 * ----------------- */
int run_sequence(const struct config *c, unsigned long *ret_at);
int run_shared(const struct config *c);
/* The daemon behind it has died, or the mount was taken away. */
bool target_gone(const char *root);
int run_shrink(const struct config *c, unsigned long at);

/* -- journal.c ----------------------------------------------------------------
 */
int journal_open(const struct config *c);
void journal_begin(unsigned long i, const struct op *o,
		   const struct side *twin);
void journal_done(unsigned long i, const struct op *o);
/* After the target came back: what was acknowledged is there. What was in
 * flight may be or not; it is removed from both sides. */
int journal_verify(const struct config *c);

#endif
