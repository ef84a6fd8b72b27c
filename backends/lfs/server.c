/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include "auth.h"
#include "url.h"

#include <jansson.h>
#include <openssl/evp.h>

#define REPLY_MAX (16u << 20)
#define URL_MAX 4096u

struct lfsserver {
	char *fixed;	/* by our configuration; immutable */
	char *derived;	/* of the source's address; immutable */
	char *dir;	/* objects of a local repository; immutable */
	char fact[64];	/* the name under which `said` is remembered */
	struct lfsauth *auth;
	pthread_mutex_t lock;
	char *said;    /* lock: by .lfsconfig; NULL or "" none */
	bool recalled; /* lock: looked for in the store */
	/* lock: the API is below "/info/lfs" of what was configured */
	bool below_info, below_known;
};

/* -- which server ----------------------------------------------------------------- */

static char *trimmed(const char *url)
{
	size_t n = strlen(url);

	while (n && url[n - 1] == '/')
		n--;
	return n ? strndup(url, n) : NULL;
}

/* What stands in upstream's configuration whether or not anybody set it. */
static bool is_default(const char *url)
{
	return !strcmp(url, "http://localhost:8000/lfs");
}

static int choose(struct lfs *s, struct lfsserver *v)
{
	const char *url = lfs_setting(s, "lfs_url", NULL);
	const char *mono = lfs_setting(s, "server.lfs_url", NULL);

	if (!url || !*url)
		url = lfs_setting(s, "lfs.url", NULL);
	if ((!url || !*url) && s->mono && mono && !is_default(mono))
		url = mono;
	if (url && *url) {
		v->fixed = trimmed(url);
		return v->fixed ? 0 : lfs_nomem(s);
	}
	return lfsurl_of_source(s->url, s->mono, &v->derived, &v->dir);
}

static int name_fact(struct lfs *s, struct lfsserver *v)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	char hex[33];

	if (!EVP_Digest(s->url, strlen(s->url), hash, NULL, EVP_sha256(), NULL))
		return lfs_nomem(s);
	lfs_hex(hash, 16, hex);
	snprintf(v->fact, sizeof(v->fact), "lfs/server/%s", hex);
	return 0;
}

int lfsserver_new(struct lfs *s, struct lfsserver **ret)
{
	struct lfsserver *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return lfs_nomem(s);
	pthread_mutex_init(&v->lock, NULL);
	rc = choose(s, v);
	if (rc == 0)
		rc = name_fact(s, v);
	if (rc == 0)
		rc = lfsauth_new(s, &v->auth);
	if (rc)
		lfsserver_free(v);
	else
		*ret = v;
	return rc;
}

void lfsserver_free(struct lfsserver *v)
{
	if (!v)
		return;
	lfsauth_free(v->auth);
	free(v->fixed);
	free(v->derived);
	free(v->dir);
	free(v->said);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

void lfsserver_use(struct lfs *s, const struct lfsconf *c)
{
	struct lfsserver *v = s->server;
	char *url = c->url ? trimmed(c->url) : strdup("");
	bool news;

	if (!url)
		return;
	pthread_mutex_lock(&v->lock);
	news = !v->said || strcmp(v->said, url);
	if (news) {
		free(v->said);
		v->said = strdup(url);
		v->below_known = v->below_info = false;
	}
	v->recalled = true;
	pthread_mutex_unlock(&v->lock);
	if (news && strlen(url) < URL_MAX)
		s->host->remember(s->host, v->fact, *url ? url : "-",
				  *url ? strlen(url) : 1);
	free(url);
}

/* A workspace that was resumed may not list its root again. */
static void recall(struct lfs *s)
{
	struct lfsserver *v = s->server;
	char text[URL_MAX + 1];
	int64_t n;
	bool done;

	pthread_mutex_lock(&v->lock);
	done = v->recalled;
	pthread_mutex_unlock(&v->lock);
	if (done)
		return;
	n = s->host->recall(s->host, v->fact, text, URL_MAX);
	pthread_mutex_lock(&v->lock);
	if (!v->recalled && n > 1 && n <= (int64_t)URL_MAX) {
		text[n] = 0;
		v->said = strdup(text);
	}
	v->recalled = true;
	pthread_mutex_unlock(&v->lock);
}

int lfsserver_url(struct lfs *s, char **ret)
{
	struct lfsserver *v = s->server;

	recall(s);
	pthread_mutex_lock(&v->lock);
	if (v->fixed)
		*ret = strdup(v->fixed);
	else if (v->said && *v->said)
		*ret = strdup(v->said);
	else
		*ret = v->derived ? strdup(v->derived) : strdup("");
	pthread_mutex_unlock(&v->lock);
	if (*ret && **ret)
		return 0;
	if (!*ret)
		return lfs_nomem(s);
	free(*ret);
	*ret = NULL;
	return lfsfail(s, -EREMOTEIO, "no LFS server is known for this source; "
		       "set lfs.url");
}

const char *lfsserver_dir(const struct lfs *s)
{
	return s->server->dir;
}

struct lfsauth *lfsserver_auth(const struct lfs *s)
{
	return s->server->auth;
}

/* -- its API ------------------------------------------------------------------------- */

struct collecting {
	struct lfsreply *reply;
	struct scorpio_http *x;
};

static int collect(void *ctx, const void *data, uint64_t n)
{
	struct collecting *c = ctx;

	if (c->reply->status != c->x->status)
		c->reply->text.n = 0; /* of an answer that was not the last */
	c->reply->status = c->x->status;
	lfsbuf_put(&c->reply->text, data, n);
	return c->reply->text.broken ? -ENOMEM : 0;
}

static int call_at(struct lfs *s, const char *base, const char *url,
		   const char *body, struct lfsreply *ret)
{
	static const char *const headers[] = {
		"Accept: application/vnd.git-lfs+json",
		"Content-Type: application/vnd.git-lfs+json", NULL
	};
	static const char *const get_headers[] = {
		"Accept: application/vnd.git-lfs+json", NULL
	};
	struct scorpio_http x = { .struct_size = sizeof(x) };
	struct collecting c = { ret, &x };
	int rc;

	ret->status = 0;
	ret->text.n = 0;
	x.url = url;
	x.headers = body ? headers : get_headers;
	x.body = body;
	x.body_len = body ? strlen(body) : 0;
	x.on_data = collect;
	x.ctx = &c;
	x.max_response = REPLY_MAX;
	rc = lfsauth_perform(s, s->server->auth, &x, base);
	if (rc == 0 && ret->status != x.status)
		ret->text.n = 0;
	ret->status = x.status;
	ret->retry_after_s = x.retry_after_s;
	s->host->count(s->host, "lfs_api_requests", 1);
	return rc;
}

static bool in_info(const char *url)
{
	size_t n = strlen(url);

	return n >= 9 && !strcmp(url + n - 9, "/info/lfs");
}

/* The API is below the address, or (with upstream's default, which names no
 * route) below its "/info/lfs": found out at the first call. */
int lfsserver_call(struct lfs *s, const char *what, const char *body,
		   struct lfsreply *ret)
{
	struct lfsserver *v = s->server;
	auto_free char *base = NULL, *url = NULL, *other = NULL;
	bool below, known;
	int rc = lfsserver_url(s, &base);

	if (rc)
		return rc;
	pthread_mutex_lock(&v->lock);
	below = v->below_info;
	known = v->below_known || in_info(base);
	pthread_mutex_unlock(&v->lock);
	if (asprintf(&url, "%s%s/%s", base, below ? "/info/lfs" : "", what) < 0 ||
	    asprintf(&other, "%s/info/lfs/%s", base, what) < 0)
		return lfs_nomem(s);
	rc = call_at(s, base, url, body, ret);
	if (rc == 0 && !known && (ret->status == 404 || ret->status == 405)) {
		rc = call_at(s, base, other, body, ret);
		below = true;
	}
	if (rc == 0 && !known && ret->status / 100 == 2) {
		pthread_mutex_lock(&v->lock);
		v->below_known = true;
		v->below_info = below;
		pthread_mutex_unlock(&v->lock);
	}
	return rc;
}

/* {"message": "..."} without what could disturb a terminal. */
static void message(const struct lfsreply *r, char out[256])
{
	json_t *j = r->text.n ? json_loadb(r->text.p, r->text.n, 0, NULL) :
				NULL;
	const char *m = json_string_value(json_object_get(j, "message"));
	size_t n = 0;

	out[0] = 0;
	for (; m && *m && n < 200; m++)
		if ((uint8_t)*m >= 0x20 && *m != 0x7f)
			out[n++] = *m;
	out[n] = 0;
	json_decref(j);
}

static int code_of(int status)
{
	switch (status) {
	case 401:
	case 403:
	case 407:
		return -EACCES;
	case 429:
		return -EAGAIN;
	case 400:
	case 404:
	case 405:
	case 406:
	case 410:
	case 415:
	case 422:
	case 501:
		return -EREMOTEIO;
	default:
		return -EIO;
	}
}

int lfsserver_error(struct lfs *s, const char *what, const struct lfsreply *r)
{
	auto_free char *base = NULL;
	char said[256];
	struct lfsurl u;
	const char *hint = "";

	message(r, said);
	if (lfsserver_url(s, &base) < 0 || !lfsurl_parse(base, &u))
		memset(&u, 0, sizeof(u));
	if (r->status == 401 || r->status == 403)
		hint = "; set lfs.token_file or lfs.header, or add the host to "
		       "~/.netrc or a git credential helper";
	else if (r->status == 404)
		hint = "; is that its address? set lfs.url";
	return lfsfail(s, code_of(r->status),
		       "the LFS server at %s answers %d to %s%s%s%s",
		       *u.host ? u.host : "?", r->status, what,
		       *said ? ": " : "", said, hint);
}
