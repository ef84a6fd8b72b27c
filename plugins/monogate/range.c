/* SPDX-License-Identifier: Apache-2.0 */
#include "range.h"

#include <stdio.h>
#include <string.h>

int gate_range_refuse(struct gate *g, struct scorpio_request *r,
		      const struct scorpio_range *part)
{
	const char *const headers[] = { part->line, NULL };

	return g->http->reply(r, part->status, headers, "", 0);
}

const char *gate_tag(char tag[GATE_TAG_MAX], const char *id)
{
	snprintf(tag, GATE_TAG_MAX, "ETag: \"%.70s\"", id);
	return tag;
}

bool gate_known(struct gate *g, struct scorpio_request *r, const char *id,
		int *ret)
{
	const char *h = g->http->header(r, "If-None-Match");
	char tag[GATE_TAG_MAX];
	const char *const headers[] = { gate_tag(tag, id), NULL };

	/* the id with its quotes, in whatever list */
	if (!h || !strstr(h, tag + 6))
		return false;
	*ret = g->http->reply(r, 304, headers, "", 0);
	return true;
}
