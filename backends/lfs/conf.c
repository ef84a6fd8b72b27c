/* SPDX-License-Identifier: Apache-2.0 */
#include "conf.h"

#include <ctype.h>
#include <strings.h>

#define VALUE_MAX 8192u

struct parser {
	char section[256]; /* "lfs", or "remote.origin" */
	char *url, *remote_url, *include, *exclude;
};

static const char *blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* [section] or [section "sub"]; what follows it. */
static const char *section(struct parser *x, const char *p, const char *end)
{
	size_t n = 0;
	bool quoted = false;

	for (p++; p < end && (quoted || *p != ']'); p++) {
		if (*p == '"') {
			quoted = !quoted;
			continue;
		}
		if (!quoted && (*p == ' ' || *p == '\t')) {
			if (n && n < sizeof(x->section) - 1 &&
			    x->section[n - 1] != '.')
				x->section[n++] = '.';
			continue;
		}
		if (quoted && *p == '\\' && p + 1 < end)
			p++;
		if (n < sizeof(x->section) - 1)
			x->section[n++] =
				quoted ? *p : (char)tolower((uint8_t)*p);
	}
	x->section[n] = 0;
	return p < end ? p + 1 : end;
}

static char unescape(char c)
{
	return c == 'n' ? '\n' : c == 't' ? '\t' : c;
}

/* The value from behind '=': quotes, escapes, comments. */
static size_t value(const char *p, const char *end, char out[VALUE_MAX])
{
	bool quoted = false;
	size_t n = 0, solid = 0; /* without blanks at the end */

	for (p = blanks(p, end); p < end && n < VALUE_MAX - 1; p++) {
		if (*p == '"') {
			quoted = !quoted;
			solid = n;
			continue;
		}
		if (!quoted && (*p == '#' || *p == ';'))
			break;
		if (*p == '\\' && p + 1 < end)
			out[n++] = unescape(*++p);
		else
			out[n++] = *p;
		if (quoted || !strchr(" \t\r", out[n - 1]))
			solid = n;
	}
	out[solid] = 0;
	return solid;
}

static char **place(struct parser *x, const char *key, size_t n)
{
	static const char url[] = "url", lfsurl[] = "lfsurl";
	static const char inc[] = "fetchinclude", exc[] = "fetchexclude";

	if (!strcmp(x->section, "remote.origin") && n == strlen(lfsurl) &&
	    !strncasecmp(key, lfsurl, n))
		return &x->remote_url;
	if (strcmp(x->section, "lfs"))
		return NULL;
	if (n == strlen(url) && !strncasecmp(key, url, n))
		return &x->url;
	if (n == strlen(inc) && !strncasecmp(key, inc, n))
		return &x->include;
	if (n == strlen(exc) && !strncasecmp(key, exc, n))
		return &x->exclude;
	return NULL;
}

static int setting(struct parser *x, const char *p, const char *end)
{
	const char *key = p;
	char text[VALUE_MAX];
	char **at;
	size_t n;

	while (p < end && (isalnum((uint8_t)*p) || *p == '-'))
		p++;
	n = (size_t)(p - key);
	p = blanks(p, end);
	at = p < end && *p == '=' ? place(x, key, n) : NULL;
	if (!at)
		return 0;
	value(p + 1, end, text);
	free(*at);
	*at = strdup(text);
	return *at ? 0 : -ENOMEM;
}

static bool is_http(const char *url)
{
	return url && (!strncasecmp(url, "http://", 7) ||
		       !strncasecmp(url, "https://", 8));
}

static char *take(char **p)
{
	char *v = *p;

	*p = NULL;
	return v;
}

static int finish(struct parser *x, struct lfsconf *ret, int rc)
{
	memset(ret, 0, sizeof(*ret));
	if (rc == 0) {
		ret->url = is_http(x->url) ? take(&x->url) :
			   is_http(x->remote_url) ? take(&x->remote_url) :
						    NULL;
		ret->include = take(&x->include);
		ret->exclude = take(&x->exclude);
	}
	free(x->url);
	free(x->remote_url);
	free(x->include);
	free(x->exclude);
	return rc;
}

int lfsconf_parse(const char *text, size_t n, struct lfsconf *ret)
{
	const char *p = text, *end = text + n;
	struct parser x = { .url = NULL };
	int rc = 0;

	while (p < end && rc == 0) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;
		const char *q = blanks(p, stop);

		if (q < stop && *q == '[')
			q = blanks(section(&x, q, stop), stop);
		if (q < stop && *q != '#' && *q != ';')
			rc = setting(&x, q, stop);
		p = nl ? nl + 1 : end;
	}
	return finish(&x, ret, rc);
}

void lfsconf_done(struct lfsconf *c)
{
	free(c->url);
	free(c->include);
	free(c->exclude);
	memset(c, 0, sizeof(*c));
}
