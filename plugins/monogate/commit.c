/* SPDX-License-Identifier: Apache-2.0 */
/* commit.c - revisions. A source tells a revision's id and time; who made it and
 * why stays in the repository. */
#include "gate.h"

#include <stdio.h>

int gate_latest_commit(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct scorpio_revision rev;
	long long seconds;
	char date[32];
	int rc = gate_resolve(g, g->http->query(r, "refs", ""), &rev);

	if (rc < 0)
		return gate_error(g, r, rc);
	seconds = rev.time_ns == SCORPIO_TIME_UNKNOWN ?
			  0 : rev.time_ns / 1000000000;
	snprintf(date, sizeof(date), "%lld", seconds);
	return gate_json(g, r, 200,
			 json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "oid",
				   rev.text, "date", date, "short_message", "",
				   "author", "", "committer", "", "status",
				   "success"));
}

int gate_status(void *ctx, struct scorpio_request *r)
{
	return gate_json(ctx, r, 200, json_string("http ready"));
}
