/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include "answer.h"
#include "remote.h"

#include <strings.h>

#define REDIRECTS_MAX 5
#define PACK_MS (24u * 3600 * 1000)

struct gitbase {
	struct gitauth *auth;
	pthread_mutex_t lock;
	char *url; /* lock: lock */
};

int gitbase_new(struct gitsource *s, struct gitbase **ret)
{
	struct gitbase *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return gitfail(s, -ENOMEM, "out of memory");
	pthread_mutex_init(&b->lock, NULL);
	b->url = strdup(s->url.text);
	rc = b->url ? gitauth_new(s, &b->auth) :
		      gitfail(s, -ENOMEM, "out of memory");
	if (rc < 0)
		gitbase_free(b);
	else
		*ret = b;
	return rc;
}

void gitbase_free(struct gitbase *b)
{
	if (!b)
		return;
	gitauth_free(b->auth);
	pthread_mutex_destroy(&b->lock);
	free(b->url);
	free(b);
}

struct gitauth *gitbase_auth(struct gitbase *b)
{
	return b->auth;
}

char *gitbase_url(struct gitbase *b)
{
	char *url;

	pthread_mutex_lock(&b->lock);
	url = strdup(b->url);
	pthread_mutex_unlock(&b->lock);
	return url;
}

static void set_base(struct gitbase *b, char *url /* takes */)
{
	pthread_mutex_lock(&b->lock);
	free(b->url);
	b->url = url;
	pthread_mutex_unlock(&b->lock);
}

/* -- one exchange ---------------------------------------------------------- */

struct exchange {
	struct githttp *x;
	struct scorpio_http http;
	char *url;      /* owned */
	char *location; /* owned */
	char type[128];
	char text[256]; /* the beginning of an error's body */
	size_t text_len;
};

static int on_header(void *ctx, const char *name, const char *value)
{
	struct exchange *e = ctx;

	if (strcasecmp(name, "content-type") == 0) {
		snprintf(e->type, sizeof(e->type), "%s", value);
		e->type[strcspn(e->type, "; \t")] = 0;
	} else if (strcasecmp(name, "location") == 0) {
		free(e->location);
		e->location = strdup(value);
	}
	return 0;
}

static bool right_type(const struct exchange *e)
{
	return strcasecmp(e->type, e->x->type) == 0;
}

static int on_data(void *ctx, const void *data, uint64_t n)
{
	struct exchange *e = ctx;
	size_t room = sizeof(e->text) - 1 - e->text_len;

	if (e->http.status == 200 && right_type(e)) {
		e->x->received += n;
		return e->x->on_data(e->x->ctx, data, n);
	}
	if (n < room)
		room = (size_t)n;
	memcpy(e->text + e->text_len, data, room);
	e->text_len += room;
	e->text[e->text_len] = 0;
	return 0;
}

static int perform(struct gitsource *s, struct exchange *e,
		   const struct gitauth_use *use)
{
	char type[128], accept[128];
	const char *headers[6] = { "Git-Protocol: version=2", accept };
	unsigned n = 2;

	snprintf(accept, sizeof(accept), "Accept: %s", e->x->type);
	if (e->x->body) {
		snprintf(type, sizeof(type),
			 "Content-Type: application/x-%s-request",
			 e->x->service + 1);
		headers[n++] = type;
	}
	if (use->header)
		headers[n++] = use->header;
	e->text_len = 0;
	e->type[0] = 0;
	free(e->location);
	e->location = NULL;
	memset(&e->http, 0, sizeof(e->http));
	e->http.struct_size = sizeof(e->http);
	e->http.flags = SCORPIO_HTTP_NO_REDIRECT;
	e->http.url = e->url;
	e->http.headers = headers;
	e->http.body = e->x->body;
	e->http.body_len = e->x->body_len;
	e->http.on_header = on_header;
	e->http.on_data = on_data;
	e->http.ctx = e;
	e->http.timeout_ms = e->x->long_answer ? PACK_MS : 0;
	e->http.max_response = e->x->max;
	e->http.user = use->user;
	e->http.password = use->password;
	e->http.bearer = use->bearer;
	s->host->count(s->host, "requests", 1);
	return s->host->http(s->host, &e->http);
}

/* -- what the status means ------------------------------------------------- */

static int status_error(struct gitsource *s, const struct exchange *e)
{
	const char *url = s->url.text;
	char said[160] = "", detail[192] = "";

	if (strncasecmp(e->type, "text/plain", 10) == 0)
		gitanswer_text(said, sizeof(said), e->text, e->text_len);
	if (*said)
		snprintf(detail, sizeof(detail), ": %s", said);
	switch (e->http.status) {
	case 403:
		return gitfail(s, -EACCES, "%s: the server forbids access "
			       "(403)%s", url, detail);
	case 407:
		return gitfail(s, -EACCES, "%s: the proxy asks who we are "
			       "(407); see http.proxy", url);
	case 404:
	case 410:
		return gitfail(s, -ENOENT, "%s: the server has no such "
			       "repository, or hides it (%d)", url,
			       e->http.status);
	case 429:
		if (!e->http.retry_after_s)
			return gitfail(s, -EAGAIN, "%s: too many requests for "
				       "the server (429)%s", url, detail);
		return gitfail(s, -EAGAIN, "%s: too many requests for the "
			       "server (429), it asks to wait %u s", url,
			       e->http.retry_after_s);
	case 503:
		return gitfail(s, -EAGAIN, "%s: the server is not available "
			       "now (503)%s", url, detail);
	case 413:
		return gitfail(s, -EFBIG, "%s: the request is too large for "
			       "the server (413)", url);
	default:
		return gitfail(s, -EIO, "%s: the server failed with status "
			       "%d%s", url, e->http.status, detail);
	}
}

/* The repository's URL from where a GET was sent to. */
static char *base_of(const char *url, const char *service)
{
	size_t n = strlen(url), k = strlen(service);

	if (n <= k || strcmp(url + n - k, service) != 0)
		return NULL;
	return strndup(url, n - k);
}

static int follow(struct gitsource *s, struct exchange *e)
{
	auto_free char *base = NULL;
	char *target;

	if (e->x->body)
		return gitfail(s, -EIO, "%s: the server redirects a request "
			       "that cannot be repeated elsewhere (%d)",
			       s->url.text, e->http.status);
	target = e->location ? giturl_join(e->url, e->location) : NULL;
	base = target ? base_of(target, e->x->service) : NULL;
	if (!base) {
		free(target);
		return gitfail(s, -EIO, "%s: the server redirects to something "
			       "that is not a repository (%d)", s->url.text,
			       e->http.status);
	}
	if (strncasecmp(e->url, "https://", 8) == 0 &&
	    strncasecmp(target, "https://", 8) != 0) {
		free(target);
		return gitfail(s, -EACCES, "%s: the server redirects from "
			       "https to plain http, which is not followed",
			       s->url.text);
	}
	free(e->url);
	e->url = target;
	return 0;
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 ||
	       status == 307 || status == 308;
}

static int wrong_type(struct gitsource *s, const struct exchange *e)
{
	if (strcasecmp(e->type, "text/plain") == 0 && !e->x->body)
		return gitfail(s, -ENOTSUP, "%s: only the files of a "
			       "repository are served here (the old \"dumb\" "
			       "protocol); the server needs git http-backend",
			       s->url.text);
	return gitfail(s, -EBADMSG, "%s: the answer is %s, not git's; is this "
		       "the address of a repository?", s->url.text,
		       *e->type ? e->type : "of no type");
}

static int settle(struct gitsource *s, struct exchange *e,
		  struct gitauth_use *use, unsigned *redirects, bool *again)
{
	struct gitauth *auth = gitbase_auth(gitremote_base(s->remote));
	int rc;

	if (e->http.status == 200) {
		gitauth_accepted(s, auth, use);
		return right_type(e) ? 0 : wrong_type(s, e);
	}
	*again = true;
	if (e->http.status == 401)
		return gitauth_refused(s, auth, e->url, use);
	if (!is_redirect(e->http.status))
		return status_error(s, e);
	if (++*redirects > REDIRECTS_MAX)
		return gitfail(s, -EIO, "%s: more than %d redirects",
			       s->url.text, REDIRECTS_MAX);
	rc = follow(s, e);
	if (rc < 0)
		return rc;
	gitauth_release(use);
	return gitauth_first(s, auth, e->url, use);
}

/* A redirect that led to an answer tells where the repository is. */
static void remember_base(struct gitsource *s, struct exchange *e,
			  unsigned redirects)
{
	char *base = redirects ? base_of(e->url, e->x->service) : NULL;

	if (base) {
		gitlog(s, SCORPIO_LOG_DEBUG, "%s redirects to %s",
		       s->url.text, base);
		set_base(gitremote_base(s->remote), base);
	}
}

int githttp_do(struct gitsource *s, struct githttp *x)
{
	struct gitbase *base = gitremote_base(s->remote);
	auto_free char *root = gitbase_url(base);
	struct exchange e = { .x = x };
	struct gitauth_use use = { 0 };
	unsigned redirects = 0;
	bool again = true;
	int rc;

	x->received = 0;
	if (!root || asprintf(&e.url, "%s%s", root, x->service) < 0)
		return gitfail(s, -ENOMEM, "out of memory");
	rc = gitauth_first(s, gitbase_auth(base), e.url, &use);
	while (rc == 0 && again) {
		again = false;
		rc = perform(s, &e, &use);
		if (rc == 0)
			rc = settle(s, &e, &use, &redirects, &again);
	}
	if (rc == 0)
		remember_base(s, &e, redirects);
	gitauth_release(&use);
	free(e.url);
	free(e.location);
	return rc;
}
