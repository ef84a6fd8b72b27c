/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suite.h - what the cases of the contract suite share: an opened instance, a
 * walk through its tree, calls with a recorder, and how a case fails.
 */
#ifndef TESTS_CONTRACT_SUITE_H
#define TESTS_CONTRACT_SUITE_H

#include "core/call.h"
#include "tests/contract/recorder.h"

#include <setjmp.h>

#define WALK_TREES  400u   /* trees listed, and ... */
#define WALK_NODES  20000u /* ... entries kept at most */
#define FETCH_BLOBS 200u   /* blobs fetched at most */
#define FETCH_BYTES (64 * MiB)
#define CALL_S      60 /* a call that takes longer failed */

struct node { /* one entry found by the walk */
	struct scorpio_id id;
	char *path;
	uint64_t size;
	uint32_t path_len, mode;
	uint8_t kind;
};

struct suite {
	const struct scorpio_backend *ops;
	const char *url, *rev;
	const char *const *config; /* "key=value", NULL-ended */
	double slow;               /* factor for time limits */

	/* the instance, opened for each case that needs it */
	struct scorpio_host *host;
	struct scorpio_instance info;
	void *self;
	bool opened;
	struct scorpio_revision revision;
	struct node *nodes; /* [0] is the root */
	uint32_t n, cap;
	bool partial; /* the limits cut the walk short */

	jmp_buf out; /* of the running case */
	enum { CASE_OK, CASE_FAILED, CASE_SKIPPED } verdict;
	char reason[512];
};

struct contract_case {
	const char *name;
	const char *rule; /* the sentence of backend.h */
	void (*run)(struct suite *s);
};
extern const struct contract_case cases_life[], cases_list[], cases_fetch[],
	cases_more[]; /* ended by an empty one */

void case_fail(struct suite *s, const char *fmt, ...) PRINTF(2, 3)
	__attribute__((noreturn));
void case_skip(struct suite *s, const char *why) __attribute__((noreturn));
#define require(s, cond, ...)                      \
	do {                                       \
		if (!(cond))                       \
			case_fail(s, __VA_ARGS__); \
	} while (0)

/* Another instance of the same source. 0 or what open() said; the host is the
 * suite's. */
int suite_open(struct suite *s, const char *url, struct scorpio_instance *info,
	       void **ret_self);
/* The suite's own instance, its revision, and a walk; each once. */
void suite_need_open(struct suite *s);
void suite_need_root(struct suite *s);
void suite_need_walk(struct suite *s);
void suite_close(struct suite *s);

struct scorpio_ref suite_ref(const struct node *n);
/* The n-th node of a kind, or NULL. */
const struct node *suite_node(struct suite *s, uint8_t kind, uint32_t nth);
/* Refs of up to max nodes of the kinds (bit 1 << kind); caller frees. */
struct scorpio_ref *suite_refs(struct suite *s, uint32_t kinds, uint32_t max,
			       uint32_t *ret_n);
/* A ref to what does not exist. */
struct scorpio_ref suite_nowhere(struct suite *s, uint8_t kind);

enum suite_op { CALL_LIST, CALL_FETCH, CALL_SIZES };
/* Make the call within CALL_S; a breach of the sink's rules fails the case.
 * rec is initialised here, unless its sink is set up already. */
int suite_call(struct suite *s, enum suite_op op,
	       const struct scorpio_ref *refs, uint32_t n,
	       struct recorder *rec);
/* The checks after any call with a recorder. */
void suite_check_call(struct suite *s, const char *what, int r,
		      const struct recorder *rec);
/* Each ref was poured (as `what`) or failed; returns how many were poured.
 * r: the call's result, which speaks for those not mentioned. */
uint32_t suite_check_answered(struct suite *s, const char *call,
			      const struct scorpio_ref *refs, uint32_t n,
			      enum rec_what what, int r,
			      const struct recorder *rec);

unsigned suite_fds(bool sockets_only);
double suite_ms(int64_t since_ns);
bool same_tree(const struct rec_object *a, const struct rec_object *b);
const char *hex_of(const struct scorpio_id *id); /* one of a few buffers */

#endif
