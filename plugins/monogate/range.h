/* SPDX-License-Identifier: Apache-2.0 */
/* range.h - parts of content that never changes, and whether it is known. */
#ifndef MONOGATE_RANGE_H
#define MONOGATE_RANGE_H

#include "gate.h"

struct gate_range {
	uint64_t from, n;
	int status; /* 200 or 206 */
	char line[96], tag[80];
};

/* What of `size` bytes the request wants: one part, or all of it. false: there
 * is nothing at that place. */
bool gate_range_take(struct gate *g, const struct scorpio_request *r,
		     uint64_t size, struct gate_range *ret);
int gate_range_refuse(struct gate *g, struct scorpio_request *r,
		      uint64_t size); /* 416 */
/* Does the client have what is called `id`? Then it has been answered (304). */
bool gate_known(struct gate *g, struct scorpio_request *r, const char *id,
		int *ret);

#define GATE_RANGE_HEADERS(x, id)                                              \
	{ "Content-Type: application/octet-stream", "Accept-Ranges: bytes",    \
	  "Cache-Control: public, max-age=31536000, immutable",                \
	  gate_tag(&(x), id), (x).status == 206 ? (x).line : NULL, NULL }
const char *gate_tag(struct gate_range *x, const char *id); /* ETag: "ID" */

#endif
