/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets: whatever is accepted has no way out of its segments. */
#include "api/http/auth.h"
#include "api/http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct route table[] = {
	{ "GET", "/", NULL, 0 },
	{ "GET", "/api/v1/mounts/{id}", NULL, 0 },
	{ "GET", "/{a}/{b}/{c}/{d}", NULL, 0 },
	{ "GET", "/{*a}/info/{b}", NULL, 0 },
	{ NULL, NULL, NULL, 0 },
};

static void look(const struct target *u)
{
	struct router *r = router_new();
	struct route_match m;
	char allow[64];

	router_add(r, table);
	if (!router_find(r, "GET", u, &m, allow, sizeof(allow))) {
		for (size_t i = 0; i < m.n; i++) {
			if (!*m.value[i])
				abort();
		}
		route_match_done(&m);
	}
	router_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *host = xstrndup((const char *)data, n);
	struct target u;

	auth_host_ok(host, AUTH_LOOPBACK);
	auth_is_json(host);
	free(host);
	if (target_parse((const char *)data, n, &u)) {
		if (u.copy)
			abort();
		return 0;
	}
	for (size_t i = 0; i < u.n; i++) {
		if (!*u.segment[i] || !strcmp(u.segment[i], ".") ||
		    !strcmp(u.segment[i], ".."))
			abort();
	}
	for (size_t i = 0; i < u.queries; i++) {
		if (strlen(u.name[i]) > n || strlen(u.value[i]) > n)
			abort();
	}
	look(&u);
	target_done(&u);
	return 0;
}
