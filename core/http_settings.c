/* SPDX-License-Identifier: Apache-2.0 */
#include "core/http_private.h"

#include "core/config.h"
#include "core/error.h"
#include "core/log.h"

#include <scorpio/version.h>
#include <strings.h>

/* -- settings -- */

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static struct settings *current; /* lock: m */

static char *dup_or_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

/* ~/.netrc if it is there, "" otherwise */
static char *home_netrc(void)
{
	const char *home = getenv("HOME");
	cleanup_free char *path = xasprintf("%s/.netrc", home ? home : "");

	return xstrdup(home && !access(path, R_OK) ? path : "");
}

static struct settings *settings_new(const struct http_settings *s)
{
	struct settings *n = xcalloc(1, sizeof(*n));

	n->refs = 1;
	n->proxy = dup_or_null(s->proxy);
	n->ca_file = dup_or_null(s->ca_file);
	n->netrc = s->netrc ? xstrdup(s->netrc) : home_netrc();
	n->user_agent = xstrdup(s->user_agent ? s->user_agent :
						"scorpio/" SCORPIO_VERSION);
	n->timeout_ms = s->timeout_ms ? s->timeout_ms : 600000;
	n->stall_ms = s->stall_ms ? s->stall_ms : 30000;
	n->connect_ms = s->connect_ms ? s->connect_ms : 10000;
	n->retries = s->retries < 0 ? 3 : s->retries;
	return n;
}

struct settings *settings_get(void)
{
	static const struct http_settings dflt = { .retries = -1 };

	lock_scope(&m);
	if (!current)
		current = settings_new(&dflt);
	__atomic_fetch_add(&current->refs, 1, __ATOMIC_RELAXED);
	return current;
}

void settings_put(struct settings *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	free(s->proxy);
	free(s->ca_file);
	free(s->netrc);
	free(s->user_agent);
	free(s);
}

void http_configure(const struct http_settings *s)
{
	struct settings *n = settings_new(s), *old;

	pthread_mutex_lock(&m);
	old = current;
	current = n;
	pthread_mutex_unlock(&m);
	settings_put(old);
	http_close_idle();
}

static const char *word_or_path(const char *s, const char *automatic)
{
	if (s && !strcmp(s, "none"))
		return "";
	return s && automatic && !strcmp(s, automatic) ? NULL : s;
}

void http_configure_from(const struct config *c)
{
	struct http_settings s = {
		.proxy = word_or_path(config_string(c, "http.proxy"), NULL),
		.ca_file = config_string(c, "http.ca_file"),
		.netrc = word_or_path(config_string(c, "http.netrc"), "auto"),
		.user_agent = config_string(c, "http.user_agent"),
		.timeout_ms = (uint32_t)config_int(c, "fetch.timeout"),
		.stall_ms = (uint32_t)config_int(c, "fetch.stall_timeout"),
		.connect_ms = (uint32_t)config_int(c, "fetch.connect_timeout"),
		.retries = (int)config_int(c, "fetch.retries"),
	};

	http_configure(&s);
}

/* -- URLs -- */

static int part(CURLU *u, CURLUPart what, unsigned flags, char **ret)
{
	char *s = NULL;
	CURLUcode e = curl_url_get(u, what, &s, flags);

	if (e == CURLUE_NO_USER || e == CURLUE_NO_PASSWORD)
		return 0;
	if (e)
		return -EINVAL;
	*ret = xstrdup(s);
	curl_free(s);
	return 0;
}

static int take_parts(CURLU *u, struct http_url *out)
{
	int r = part(u, CURLUPART_SCHEME, 0, &out->scheme);
	char *p;

	if (!r)
		r = part(u, CURLUPART_HOST, 0, &out->host);
	if (!r)
		r = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, &out->port);
	if (!r)
		r = part(u, CURLUPART_USER, CURLU_URLDECODE, &out->user);
	if (!r)
		r = part(u, CURLUPART_PASSWORD, CURLU_URLDECODE,
			 &out->password);
	if (r)
		return r;
	for (p = out->host; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	curl_url_set(u, CURLUPART_USER, NULL, 0);
	curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	return part(u, CURLUPART_URL, 0, &out->text);
}

int http_url_parse(const char *text, const char *base, struct http_url *ret)
{
	struct http_url out = { 0 };
	CURLU *u = curl_url();
	char shown[256];
	CURLUcode e = CURLUE_OK;
	int r = -EINVAL;

	if (!u)
		return fail(-ENOMEM, "out of memory");
	if (base)
		e = curl_url_set(u, CURLUPART_URL, base, 0);
	if (!e)
		e = curl_url_set(u, CURLUPART_URL, text,
				 base ? CURLU_URLENCODE : 0);
	if (!e)
		r = take_parts(u, &out);
	curl_url_cleanup(u);
	if (!r && strcmp(out.scheme, "http") && strcmp(out.scheme, "https"))
		r = -EINVAL;
	if (r) {
		http_url_done(&out);
		return fail(-EINVAL, "\"%s\" is not an http:// or https:// URL",
			    log_redact(text, shown, sizeof(shown)));
	}
	*ret = out;
	return 0;
}

void http_url_done(struct http_url *u)
{
	free(u->text);
	free(u->scheme);
	free(u->host);
	free(u->port);
	free(u->user);
	free(u->password);
	*u = (struct http_url){ 0 };
}

bool http_url_is_loopback(const struct http_url *u)
{
	size_t n = strlen(u->host);

	return !strcmp(u->host, "localhost") || !strcmp(u->host, "[::1]") ||
	       !strncmp(u->host, "127.", 4) ||
	       (n > 10 && !strcmp(u->host + n - 10, ".localhost"));
}

char *http_escape(const char *s, size_t n)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		    c == '_' || c == '~')
			buf_putc(&b, c);
		else
			buf_printf(&b, "%%%02X", c);
	}
	return buf_steal(&b);
}

/* -- trace context -- */

#define TRACE_LEN 55

static __thread char trace[TRACE_LEN + 1];

static bool trace_ok(const char *s)
{
	static const size_t dash[] = { 2, 35, 52 };
	size_t i;

	if (strlen(s) != TRACE_LEN)
		return false;
	for (i = 0; i < TRACE_LEN; i++) {
		bool is_dash = i == dash[0] || i == dash[1] || i == dash[2];

		if (is_dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
			return false;
	}
	return true;
}

void http_set_traceparent(const char *traceparent)
{
	if (traceparent && trace_ok(traceparent))
		memcpy(trace, traceparent, sizeof(trace));
	else
		trace[0] = '\0';
}

const char *http_traceparent(void)
{
	return trace[0] ? trace : NULL;
}
