/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "text.h"

#include <jansson.h>

#include <scorpio/login.h>

/* -- login ----------------------------------------------------------------- */

struct monoauth {
	const char *file, *header; /* the configuration's; NULL: none */
	pthread_mutex_t lock;
	char *token;    /* lock; read from `file` when first needed */
	bool from_file; /* the token is read from `file` */
};

#define auto_wipe __attribute__((cleanup(scorpio_secret_done)))

static const char *setting(const struct mono *m, const char *key)
{
	const char *s = m->host->config_string(m->config, key, NULL);

	return s && *s ? s : NULL;
}

int monoauth_new(struct mono *m, struct monoauth **ret)
{
	const char *token = setting(m, "token");
	struct monoauth *a;

	if (!scorpio_one_line(token))
		return monofail(m, -EINVAL, "token: it holds a line break");
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->lock, NULL);
	a->file = setting(m, "token_file");
	a->header = setting(m, "header");
	a->from_file = !token && a->file;
	a->token = token ? strdup(token) : NULL;
	*ret = a;
	if (a->header && (!strchr(a->header, ':') ||
			  !scorpio_one_line(a->header)))
		return monofail(m, -EINVAL, "header: write \"Name: value\", "
				"on one line");
	return 0;
}

void monoauth_free(struct monoauth *a)
{
	if (!a)
		return;
	scorpio_secret_done(&a->token);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* A copy of the token to send, NULL if there is none. */
static int current_token(struct mono *m, char **ret)
{
	struct monoauth *a = m->auth;
	char *read = NULL;
	bool need;
	int rc = 0;

	pthread_mutex_lock(&a->lock);
	need = a->from_file && !a->token;
	*ret = a->token ? strdup(a->token) : NULL;
	pthread_mutex_unlock(&a->lock);
	if (need)
		rc = scorpio_token_file(m->host, a->file, &read);
	if (rc < 0 || !read)
		return rc;
	*ret = strdup(read);
	pthread_mutex_lock(&a->lock);
	scorpio_secret_done(&a->token);
	a->token = read;
	pthread_mutex_unlock(&a->lock);
	return 0;
}

/* The server refused `used`: is there another token in the file by now? */
static bool token_changed(struct mono *m, const char *used)
{
	struct monoauth *a = m->auth;
	char *read = NULL;
	bool other;

	if (!a->from_file || !used ||
	    scorpio_token_file(m->host, a->file, &read) < 0)
		return false;
	other = strcmp(read, used) != 0;
	pthread_mutex_lock(&a->lock);
	scorpio_secret_done(&a->token);
	a->token = read;
	pthread_mutex_unlock(&a->lock);
	return other;
}

/* -- addresses ------------------------------------------------------------- */

char *monoreq_url(const struct mono *m, const char *what, const char *path,
		  const char *refs)
{
	auto_free char *p = monotext_escape(path, strlen(path));
	auto_free char *r = refs ? monotext_escape(refs, strlen(refs)) : NULL;
	char *url = NULL;

	if (!p || (refs && !r) ||
	    asprintf(&url, "%s%s?path=%s%s%s", m->api, what, p,
		     r && *r ? "&refs=" : "", r ? r : "") < 0)
		return NULL;
	return url;
}

char *monoreq_blob_url(const struct mono *m, const uint8_t oid[MONO_OID])
{
	char hex[MONO_HEX + 1], *url = NULL;

	monohex_encode(oid, MONO_OID, hex);
	return asprintf(&url, "%s/file/blob/%s", m->api, hex) < 0 ? NULL : url;
}

/* -- exchanges ------------------------------------------------------------- */

static int perform_once(struct mono *m, struct scorpio_http *x,
			const char *header, const char *token)
{
	const char *headers[4] = { 0 };
	unsigned n = 0;

	if (header)
		headers[n++] = header;
	if (m->auth->header)
		headers[n++] = m->auth->header;
	x->struct_size = sizeof(*x);
	x->headers = headers;
	x->bearer = token;
	m->host->count(m->host, "requests", 1);
	return m->host->http(m->host, x);
}

int monoreq_perform(struct mono *m, struct scorpio_http *x, const char *header)
{
	auto_wipe char *token = NULL, *other = NULL;
	int rc = current_token(m, &token);

	if (rc == 0)
		rc = perform_once(m, x, header, token);
	if (rc == 0 && x->status == 401 && token_changed(m, token)) {
		rc = current_token(m, &other);
		if (rc == 0)
			rc = perform_once(m, x, header, other);
	}
	x->headers = NULL;
	x->bearer = NULL;
	return rc;
}

void monoreply_done(struct monoreply *r)
{
	free(r->data);
	memset(r, 0, sizeof(*r));
}

struct collecting {
	struct monoreply *reply;
	struct scorpio_http x;
};

static int collect(void *ctx, const void *data, uint64_t n)
{
	struct collecting *c = ctx;
	struct monoreply *r = c->reply;
	size_t cap = r->cap ? r->cap : 4096;
	char *bigger;

	if (r->status != c->x.status)
		r->len = 0; /* of an answer that was not the last */
	r->status = c->x.status;
	while (cap - r->len < n)
		cap *= 2;
	if (cap != r->cap) {
		bigger = realloc(r->data, cap);
		if (!bigger)
			return -ENOMEM;
		r->data = bigger;
		r->cap = cap;
	}
	memcpy(r->data + r->len, data, n);
	r->len += n;
	return 0;
}

int monoreq_get(struct mono *m, const char *url, uint64_t max,
		struct monoreply *ret)
{
	struct collecting c = { .reply = ret };
	int rc;

	ret->len = 0;
	ret->status = 0;
	c.x.url = url;
	c.x.on_data = collect;
	c.x.ctx = &c;
	c.x.max_response = max;
	rc = monoreq_perform(m, &c.x, NULL);
	if (rc == 0 && ret->status != c.x.status)
		ret->len = 0; /* the last answer had no body */
	ret->status = c.x.status;
	if (rc == 0 && ret->status < 500)
		__atomic_store_n(&m->met, 1, __ATOMIC_RELAXED);
	return rc;
}

/* -- what a status means --------------------------------------------------- */

/* The words of an error's envelope, if there are any. */
static void error_words(char *out, size_t cap, const char *body, size_t len)
{
	json_t *j = body ? json_loadb(body, len, 0, NULL) : NULL;
	const char *s = json_string_value(json_object_get(j, "err_message"));

	out[0] = 0;
	if (s && *s) {
		memcpy(out, ": ", 3);
		monotext_clean(out + 2, cap - 2, s, strlen(s));
	}
	json_decref(j);
}

int monoreq_error(struct mono *m, int status, const char *body, size_t len,
		  const char *what)
{
	const char *at = m->shown;
	char said[200];

	error_words(said, sizeof(said), body, len);
	switch (status) {
	case 401:
		return monofail(m, -EACCES, "%s: the server wants a token, or "
				"refused ours (401); set token or token_file",
				at);
	case 403:
		return monofail(m, -EACCES, "%s: the server forbids %s (403)%s",
				at, what, said);
	case 407:
		return monofail(m, -EACCES, "%s: the proxy asks who we are "
				"(407); see http.proxy", at);
	case 404:
	case 410:
		return monofail(m, -ENOENT, "%s: the server has no %s (%d)%s",
				at, what, status, said);
	case 429:
		return monofail(m, -EAGAIN, "%s: too many requests for the "
				"server (429)", at);
	case 503:
		return monofail(m, -EAGAIN, "%s: the server is not available "
				"now (503)", at);
	default:
		return monofail(m, -EIO, "%s: %s: the server failed with "
				"status %d%s", at, what, status, said);
	}
}
