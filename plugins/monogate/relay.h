/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - answers that another server makes, passed on while they come: their
 * first byte at once, and no more of them in memory than RELAY_WINDOW, however
 * slow the client is. Used on the request's thread.
 */
#ifndef MONOGATE_RELAY_H
#define MONOGATE_RELAY_H

#include "gate.h"

#define RELAY_WINDOW (512u << 10)
#define RELAY_ONCE 1u   /* not idempotent: never sent twice */
#define RELAY_WRITES 2u /* as of gate_writer */

/* Ask `url` what `r` asks, with its body and login, and answer with what comes:
 * status, type and body. Negative: the server could not be asked, and `r` has
 * not been answered. An answer that breaks off breaks the client's off. */
int relay_send(struct gate *g, struct scorpio_request *r, const char *url,
	       unsigned flags);

/* BASE/WHAT with those of the query's `keys` (NULL-ended) that the request has.
 * To be freed; NULL: no memory. */
char *relay_url(struct gate *g, const struct scorpio_request *r,
		const char *base, const char *what, const char *const *keys);
/* Encoded for a path; to be freed. */
char *relay_encode(const char *s);

/* Wait for those that run; no new ones come. */
void relay_finish(struct gate *g);

#endif
