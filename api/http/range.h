/* SPDX-License-Identifier: Apache-2.0 */
/*
 * range.h - the Range header (RFC 9110, section 14): which bytes of a
 * representation of known size are asked for. Pure; any thread.
 */
#ifndef API_HTTP_RANGE_H
#define API_HTTP_RANGE_H

#include "core/base.h"

#define RANGE_MAX 16u /* parts; more is treated as no range at all */

struct range_part {
	uint64_t offset, length; /* length > 0, within the size */
};

struct range {
	size_t n;
	struct range_part part[RANGE_MAX];
};

/* The header's value (NULL: absent) against `size`. Returns the number of
 * parts; 0 = send everything (absent, another unit, malformed, or too many or
 * overlapping parts, which a server may ignore); -ERANGE = none of the parts
 * can be satisfied: answer 416. Parts are clipped to the size, in the order
 * given; touching and overlapping neighbours are merged. */
int range_parse(const char *value, uint64_t size, struct range *ret);

#endif
