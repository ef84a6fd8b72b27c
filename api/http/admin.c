/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c - /health (is the process alive; what /api/fs selected is counted, as
 * upstream does) and /ready (are the mounts there).
 * Public, hence no paths and no names in them. */
#include <scorpio/version.h>

#include "api/classic/classic.h"
#include "api/http/routes.h"
#include "api/http/v1.h"
#include "core/clock.h"

static int get_health(struct request *r)
{
	struct daemon *d = request_ctx(r);
	size_t n = classic_count(daemon_classic(d));

	return reply_json(r, 200,
			  json_pack("{s:s,s:s,s:I,s:I}", "status", "ok",
				    "version", SCORPIO_VERSION, "uptime_secs",
				    (json_int_t)(daemon_uptime_ns(d) / NS_PER_S),
				    "mount_count", (json_int_t)n));
}

static int get_ready(struct request *r)
{
	struct daemon *d = request_ctx(r);
	bool ready = daemon_ready(d);
	size_t missing = mounts_missing(daemon_mounts(d));

	return reply_json(r, ready ? 200 : 503,
			  json_pack("{s:b,s:I}", "ready", ready,
				    "mounts_missing", (json_int_t)missing));
}

const struct route admin_routes[] = {
	{ "GET", "/health", get_health, ROUTE_PUBLIC },
	{ "GET", "/ready", get_ready, ROUTE_PUBLIC },
	{ NULL, NULL, NULL, 0 },
};
