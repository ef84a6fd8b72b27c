/* SPDX-License-Identifier: Apache-2.0 */
/* range.h - parts of content that never changes, and whether it is known. */
#ifndef MONOGATE_RANGE_H
#define MONOGATE_RANGE_H

#include "gate.h"

#define GATE_TAG_MAX 80

/* The answer where nothing is at the place that was asked for (416). */
int gate_range_refuse(struct gate *g, struct scorpio_request *r,
		      const struct scorpio_range *part);
/* Does the client have what is called `id`? Then it has been answered (304). */
bool gate_known(struct gate *g, struct scorpio_request *r, const char *id,
		int *ret);
const char *gate_tag(char tag[GATE_TAG_MAX], const char *id); /* ETag: "ID" */

#define GATE_RANGE_HEADERS(part, tag, id)                                      \
	{ "Content-Type: application/octet-stream", "Accept-Ranges: bytes",    \
	  "Cache-Control: public, max-age=31536000, immutable",                \
	  gate_tag(tag, id), (part).status == 206 ? (part).line : NULL, NULL }

#endif
