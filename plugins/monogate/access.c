/* SPDX-License-Identifier: Apache-2.0 */
/* access.c - the token of those who write. */
#include "gate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int value_of(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Base64 up to its padding; cut at cap. */
static void decode(const char *s, char *ret, size_t cap)
{
	unsigned bits = 0, have = 0;
	size_t n = 0;

	for (int v; (v = value_of(*s)) >= 0 && n + 1 < cap; s++) {
		bits = bits << 6 | (unsigned)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		ret[n++] = (char)(bits >> have & 0xff);
	}
	ret[n] = '\0';
}

/* Looks at all of both, whatever differs. */
static bool equal(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned char differ = n != m;

	for (size_t i = 0; i < n; i++)
		differ |= (unsigned char)(a[i] ^ b[m ? i % m : 0]);
	return !differ;
}

bool gate_pusher(struct gate *g, const struct scorpio_request *r, char *ret_user,
		 size_t cap)
{
	const char *h = g->http->header(r, "Authorization");
	char plain[1024] = "", *colon;
	bool ok = false;

	if (!g->push_token || !h)
		return false;
	if (!strncasecmp(h, "Bearer ", 7)) {
		ok = equal(h + 7, g->push_token);
	} else if (!strncasecmp(h, "Basic ", 6)) {
		decode(h + 6, plain, sizeof(plain));
		colon = strchr(plain, ':');
		ok = colon && equal(colon + 1, g->push_token);
		if (colon)
			*colon = '\0';
	}
	if (ok && cap)
		snprintf(ret_user, cap, "%s", *plain ? plain : "token");
	explicit_bzero(plain, sizeof(plain));
	return ok;
}

const char *gate_login(struct gate *g, const struct scorpio_request *r)
{
	const char *h = g->http->header(r, "Authorization");
	bool ours = g->has_token || (g->origin.kind == GATE_LOCAL &&
				     gate_pusher(g, r, NULL, 0));

	return h && !ours && !strpbrk(h, "\r\n") ? h : NULL;
}

const char *gate_writer(struct gate *g, const struct scorpio_request *r)
{
	const char *login = gate_login(g, r);

	return login || gate_pusher(g, r, NULL, 0) ? login : "";
}

bool gate_may_write_far(struct gate *g, const struct scorpio_request *r)
{
	return !g->has_token || gate_pusher(g, r, NULL, 0);
}
