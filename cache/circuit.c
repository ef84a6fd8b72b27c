/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/circuit.h"

#include "core/clock.h"

void circuit_init(struct circuit *c)
{
	*c = (struct circuit){
		.min_failures = 4,
		.min_span_ns = 3 * NS_PER_S,
		.probe_ns = 1 * NS_PER_S,
		.probe_max_ns = 15 * NS_PER_S,
	};
}

bool circuit_open(const struct circuit *c)
{
	return c->probe_at != 0;
}

enum circuit_answer circuit_ask(const struct circuit *c, int64_t now)
{
	if (!c->probe_at)
		return CIRCUIT_GO;
	if (c->probing)
		return CIRCUIT_WAIT;
	return now >= c->probe_at ? CIRCUIT_PROBE : CIRCUIT_NO;
}

void circuit_probing(struct circuit *c)
{
	c->probing = true;
}

void circuit_ok(struct circuit *c)
{
	c->failures = 0;
	c->probe_at = 0;
	c->probing = false;
}

bool circuit_failed(struct circuit *c, int64_t now)
{
	if (!c->failures++)
		c->first_failure = now;
	if (c->probe_at) {
		/* failures of calls from before the opening change nothing */
		if (!c->probing)
			return true;
		c->probing = false;
		c->pause_ns = MIN(c->pause_ns * 2, c->probe_max_ns);
	} else if (c->failures >= c->min_failures &&
		   now - c->first_failure >= c->min_span_ns) {
		c->pause_ns = c->probe_ns;
	} else {
		return false;
	}
	c->probe_at = now + c->pause_ns;
	return true;
}

void circuit_neutral(struct circuit *c)
{
	c->probing = false;
}

int64_t circuit_age_s(const struct circuit *c, int64_t now)
{
	return c->failures ? (now - c->first_failure) / NS_PER_S : 0;
}
