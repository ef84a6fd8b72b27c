/* SPDX-License-Identifier: Apache-2.0 */
/* forward.c - calls that only the Mono server behind can answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay.h"

/* The call with the request's link in it. To be freed. */
static char *what_of(struct gate *g, const struct scorpio_request *r,
		     const char *call)
{
	const char *slot = strstr(call, "{link}");
	char *link, *what;
	int rc;

	if (!slot)
		return strdup(call);
	link = relay_encode(g->http->param(r, "link"));
	rc = link ? asprintf(&what, "%.*s%s%s", (int)(slot - call), call, link,
			     slot + 6) : -1;
	free(link);
	return rc < 0 ? NULL : what;
}

int gate_forward(struct gate *g, struct scorpio_request *r, const char *call)
{
	static const char *const keys[] = { "path", "refs", NULL };
	char base[4200], *what = what_of(g, r, call), *url = NULL;
	int rc = -ENOMEM;

	snprintf(base, sizeof(base), "%.4000s/api/v1", g->origin.at);
	if (what)
		url = relay_url(g, r, base, what, keys);
	if (url)
		rc = relay_send(g, r, url, 0);
	free(what);
	free(url);
	return rc ? gate_error(g, r, rc) : 0;
}
