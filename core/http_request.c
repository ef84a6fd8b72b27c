/* SPDX-License-Identifier: Apache-2.0 */
/* http_request.c - what is sent: headers, body, login, route. */
#include "core/http_private.h"

#include "core/error.h"

#define BUFFER_BYTES (128 * 1024l)

static size_t on_read(char *p, size_t size, size_t count, void *ctx)
{
	struct run *r = ctx;
	int64_t n = r->x->read_body(r->x->ctx, p, size * count);

	r->active = now_ns();
	if (n < 0 || n > (int64_t)(size * count)) {
		r->stop = n < 0 ? (int)n : -EINVAL;
		return CURL_READFUNC_ABORT;
	}
	r->body_taken += (uint64_t)n;
	return (size_t)n;
}

static int on_progress(void *ctx, curl_off_t total UNUSED, curl_off_t down,
		       curl_off_t up_total UNUSED, curl_off_t up)
{
	struct run *r = ctx;

	if (up != (curl_off_t)r->sent) {
		r->sent = (uint64_t)up;
		r->active = now_ns();
	}
	(void)down; /* on_body notes it */
	return 0;
}

static bool has_header(const struct scorpio_http *x, const char *name)
{
	const char *const *h;

	for (h = x->headers; h && *h; h++)
		if (http_name_is(*h, strcspn(*h, ":"), name))
			return true;
	return false;
}

/* What may go to another host than the caller meant. */
static bool is_harmless(const char *h)
{
	static const char *const names[] = {
		"accept",	   "accept-language",	"accept-encoding",
		"content-type",	   "content-encoding",	"range",
		"if-match",	   "if-none-match",	"if-modified-since",
		"if-range",	   "git-protocol",	"user-agent",
		"cache-control",   "expect",		"te",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (http_name_is(h, strcspn(h, ":"), names[i]))
			return true;
	return false;
}

static int add_header(struct curl_slist **list, const char *h)
{
	struct curl_slist *n;

	if (strpbrk(h, "\r\n") || !strchr(h, ':') || *h == ':')
		return fail(-EINVAL, "a request header is malformed");
	n = curl_slist_append(*list, h);
	if (!n)
		return fail(-ENOMEM, "out of memory");
	*list = n;
	return 0;
}

/* curl takes "Name;" for a header without a value. */
static int add_callers(struct curl_slist **list, const char *h)
{
	size_t n = strcspn(h, ":");

	if (h[n] && !h[n + 1 + strspn(h + n + 1, " \t")]) {
		cleanup_free char *empty = xasprintf("%.*s;", (int)n, h);
		struct curl_slist *l = curl_slist_append(*list, empty);

		*list = l ? l : *list;
		return l ? 0 : fail(-ENOMEM, "out of memory");
	}
	return add_header(list, h);
}

int http_request_headers(const struct run *r, struct curl_slist **list)
{
	const struct scorpio_http *x = r->x;
	const char *const *h;
	int e = add_header(list, "Expect:");

	for (h = x->headers; !e && h && *h; h++)
		if (r->home || is_harmless(*h))
			e = add_callers(list, *h);
	if (!e && r->has_body && !has_header(x, "content-type"))
		e = add_header(list, "Content-Type:");
	if (!e && x->bearer && r->home) {
		cleanup_free char *a =
			xasprintf("Authorization: Bearer %s", x->bearer);

		e = add_header(list, a);
	}
	if (!e && http_traceparent() && !has_header(x, "traceparent")) {
		cleanup_free char *t =
			xasprintf("traceparent: %s", http_traceparent());

		e = add_header(list, t);
	}
	return e;
}

static void set_body(const struct run *r, CURL *h)
{
	const struct scorpio_http *x = r->x;

	if (!r->has_body) {
		if (!strcmp(r->method, "HEAD"))
			curl_easy_setopt(h, CURLOPT_NOBODY, 1l);
		else if (strcmp(r->method, "GET"))
			curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
		return;
	}
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, r->method);
	if (!x->read_body) {
		curl_easy_setopt(h, CURLOPT_POST, 1l);
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)(x->body ? x->body_len : 0));
		curl_easy_setopt(h, CURLOPT_POSTFIELDS,
				 x->body ? x->body : "");
		return;
	}
	curl_easy_setopt(h, CURLOPT_UPLOAD, 1l);
	curl_easy_setopt(h, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(h, CURLOPT_READDATA, r);
	curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE,
			 x->body_len == SCORPIO_SIZE_UNKNOWN ?
				 (curl_off_t)-1 :
				 (curl_off_t)x->body_len);
	/* a kept connection may be dead, and the stream cannot be rewound */
	curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, 1l);
}

static void set_login(const struct run *r, CURL *h)
{
	const struct scorpio_http *x = r->x;
	bool own = r->home && (x->bearer || has_header(x, "authorization"));
	const char *user = r->home && x->user ? x->user : NULL;
	const char *password = user ? x->password : NULL;

	if (!user && r->home && r->url.user) {
		user = r->url.user;
		password = r->url.password;
	}
	curl_easy_setopt(h, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	if (own || x->flags & SCORPIO_HTTP_NO_LOGIN)
		return;
	if (user) {
		curl_easy_setopt(h, CURLOPT_USERNAME, user);
		curl_easy_setopt(h, CURLOPT_PASSWORD, password ? password : "");
	} else if (!r->unix_path && r->set->netrc[0]) {
		curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
		curl_easy_setopt(h, CURLOPT_NETRC_FILE, r->set->netrc);
	}
}

static void set_route(const struct run *r, CURL *h)
{
	if (r->unix_path) {
		curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, r->unix_path);
		curl_easy_setopt(h, CURLOPT_PROXY, "");
	} else if (http_url_is_loopback(&r->url)) {
		curl_easy_setopt(h, CURLOPT_PROXY, "");
	} else if (r->set->proxy) {
		curl_easy_setopt(h, CURLOPT_PROXY, r->set->proxy);
	}
	curl_easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1l);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)MAX(r->connect_ns / NS_PER_MS, 1));
	curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1l);
	curl_easy_setopt(h, CURLOPT_MAXAGE_CONN, 60l);
	curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (r->set->ca_file)
		curl_easy_setopt(h, CURLOPT_CAINFO, r->set->ca_file);
}

void http_request_options(struct run *r, CURL *h, struct curl_slist *headers)
{
	const struct scorpio_http *x = r->x;

	curl_easy_setopt(h, CURLOPT_URL, r->url.text);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1l);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* a slow name server must not hold us beyond our deadline */
	curl_easy_setopt(h, CURLOPT_QUICK_EXIT, 1l);
#endif
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0l);
	curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(h, CURLOPT_USERAGENT, r->set->user_agent);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, r->errbuf);
	curl_easy_setopt(h, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, answer_on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, answer_on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0l);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, r);
	if (!r->unix_path && !has_header(x, "accept-encoding") &&
	    !has_header(x, "range"))
		curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, "gzip");
	set_body(r, h);
	set_login(r, h);
	set_route(r, h);
}
