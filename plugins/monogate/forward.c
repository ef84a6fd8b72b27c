/* SPDX-License-Identifier: Apache-2.0 */
/* forward.c - calls that only the Mono server behind can answer. */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (64u << 20)

struct answer {
	char *text;
	size_t n;
};

static int take(void *ctx, const void *data, uint64_t n)
{
	struct answer *a = ctx;
	char *more = realloc(a->text, a->n + n);

	if (!more)
		return -ENOMEM;
	a->text = more;
	memcpy(a->text + a->n, data, n);
	a->n += n;
	return 0;
}

static void encode(FILE *f, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || strchr("-._~/", c))
			fputc(c, f);
		else
			fprintf(f, "%%%02X", c);
	}
}

static char *url_of(struct gate *g, const struct scorpio_request *r,
		    const char *call)
{
	static const char *const keys[] = { "path", "refs" };
	const char *link = g->http->param(r, "link");
	const char *slot = strstr(call, "{link}");
	char *url = NULL, mark = '?';
	size_t n;
	FILE *f = open_memstream(&url, &n);

	if (!f)
		return NULL;
	fprintf(f, "%s/api/v1/%.*s", g->origin.at,
		(int)(slot ? slot - call : (ptrdiff_t)strlen(call)), call);
	if (slot) {
		encode(f, link);
		fputs(slot + 6, f);
	}
	for (size_t i = 0; i < 2; i++) {
		const char *value = g->http->query(r, keys[i], NULL);

		if (!value)
			continue;
		fprintf(f, "%c%s=", mark, keys[i]);
		encode(f, value);
		mark = '&';
	}
	return fclose(f) ? NULL : url;
}

int gate_forward(struct gate *g, struct scorpio_request *r, const char *call)
{
	static const char *const json[] = { "Content-Type: application/json",
					    NULL };
	char *url = url_of(g, r, call), login[2100];
	const char *auth = g->has_token ? NULL :
			   g->http->header(r, "Authorization");
	const char *headers[] = { json[0], auth ? login : NULL, NULL };
	struct answer a = { 0 };
	struct scorpio_http h = {
		.struct_size = sizeof(h), .url = url, .headers = headers,
		.on_data = take, .ctx = &a, .timeout_ms = GATE_TIMEOUT_MS,
		.max_response = ANSWER_MAX,
	};
	int rc = url ? 0 : -ENOMEM;

	snprintf(login, sizeof(login), "Authorization: %.2000s",
		 auth ? auth : "");
	if (!strcmp(g->http->method(r), "POST")) {
		h.method = "POST";
		h.body = g->http->body(r, &h.body_len);
	}
	if (!rc)
		rc = g->host->http(g->host, &h);
	rc = rc ? gate_error(g, r, rc) :
		  g->http->reply(r, h.status, json, a.text ? a.text : "", a.n);
	free(a.text);
	free(url);
	return rc;
}
