/* SPDX-License-Identifier: Apache-2.0 */
/*
 * circuit.h - whether a server is worth asking. Closed (asking) until several
 * calls in a row failed over some time; then open (not asking) with one probe
 * let through from time to time; closed again at the first success.
 * Not thread-safe: the caller's lock. No allocation.
 */
#ifndef CACHE_CIRCUIT_H
#define CACHE_CIRCUIT_H

#include "core/base.h"

struct circuit {
	/* settings; circuit_init sets the usual ones */
	unsigned min_failures;
	int64_t min_span_ns;  /* between the first and the last of them */
	int64_t probe_ns;     /* pause before the first probe, then doubled */
	int64_t probe_max_ns; /* ... up to this */
	/* state */
	unsigned failures;
	int64_t first_failure; /* start of the outage */
	int64_t probe_at;      /* when the next probe may start; 0 = closed */
	int64_t pause_ns;
	bool probing;
};

enum circuit_answer {
	CIRCUIT_GO,    /* ask */
	CIRCUIT_PROBE, /* one call may try; call circuit_probing */
	CIRCUIT_WAIT,  /* a probe is under way: wait for its result */
	CIRCUIT_NO,    /* fail at once */
};

void circuit_init(struct circuit *c);
bool circuit_open(const struct circuit *c);
enum circuit_answer circuit_ask(const struct circuit *c, int64_t now);
void circuit_probing(struct circuit *c);
/* A call got an answer. */
void circuit_ok(struct circuit *c);
/* A call got none. True if the circuit is open now. */
bool circuit_failed(struct circuit *c, int64_t now);
/* A call ended without telling anything (cancelled). */
void circuit_neutral(struct circuit *c);
/* How long the outage has lasted, in seconds. */
int64_t circuit_age_s(const struct circuit *c, int64_t now);

#endif
