/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include "url.h"

#include <scorpio/login.h>

#define HEADERS_MAX 40

struct lfsauth {
	/* from the configuration, immutable; own: for the LFS server, src: for
	 * the repository's host */
	char *own_header, *own_token;
	char *src_header, *src_token, *src_user, *src_password;
	char *src_origin; /* of the source's address */
	bool helper;
	pthread_mutex_t lock;
	char *origin, *user, *password; /* lock: of the last helper's answer */
	bool approved;			/* lock */
};

/* -- the configuration --------------------------------------------------------------- */

/* user:password@ of the source's address, decoded where that is simple. */
static void login_of_url(struct lfsauth *a, const char *url)
{
	struct lfsurl u;
	const char *at, *colon;
	size_t n;

	if (!lfsurl_parse(url, &u))
		return;
	at = memrchr(u.authority, '@', u.n_authority);
	if (!at)
		return;
	n = (size_t)(at - u.authority);
	colon = memchr(u.authority, ':', n);
	if (!a->src_user)
		a->src_user = strndup(u.authority,
				      colon ? (size_t)(colon - u.authority) :
					      n);
	if (colon && !memchr(u.authority, '%', n))
		a->src_password =
			strndup(colon + 1, (size_t)(at - colon - 1));
}

static int configure(struct lfs *s, struct lfsauth *a)
{
	const char *file = lfs_setting(s, "lfs.token_file", NULL);
	const char *src_file = lfs_setting(s, "token_file", NULL);
	const char *plus = strstr(s->url, "+http");
	const char *url = plus && plus - s->url < 8 ? plus + 1 : s->url;
	int rc = 0;

	a->own_header = scorpio_secret(lfs_setting(s, "lfs.header", NULL));
	a->src_header = scorpio_secret(lfs_setting(s, "header", NULL));
	a->src_token = scorpio_secret(lfs_setting(s, "token", NULL));
	a->src_user = scorpio_secret(lfs_setting(s, "username", NULL));
	a->helper = s->host->config_bool(s->config, "git.credential_helper", 1);
	a->src_origin = lfsurl_origin(url);
	login_of_url(a, url);
	if (file && *file)
		rc = scorpio_token_file(s->host, file, &a->own_token);
	if (rc == 0 && !a->src_token && src_file && *src_file)
		rc = scorpio_token_file(s->host, src_file, &a->src_token);
	if (rc == 0 &&
	    (!scorpio_one_line(a->own_header) ||
	     !scorpio_one_line(a->own_token) ||
	     !scorpio_one_line(a->src_header) ||
	     !scorpio_one_line(a->src_token) ||
	     !scorpio_one_line(a->src_user)))
		rc = lfsfail(s, -EINVAL, "a credential holds a line break");
	return rc;
}

int lfsauth_new(struct lfs *s, struct lfsauth **ret)
{
	struct lfsauth *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return lfs_nomem(s);
	pthread_mutex_init(&a->lock, NULL);
	rc = configure(s, a);
	if (rc)
		lfsauth_free(a);
	else
		*ret = a;
	return rc;
}

void lfsauth_free(struct lfsauth *a)
{
	if (!a)
		return;
	scorpio_secret_done(&a->own_header);
	scorpio_secret_done(&a->own_token);
	scorpio_secret_done(&a->src_header);
	scorpio_secret_done(&a->src_token);
	scorpio_secret_done(&a->src_user);
	scorpio_secret_done(&a->src_password);
	scorpio_secret_done(&a->user);
	scorpio_secret_done(&a->password);
	free(a->src_origin);
	free(a->origin);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* -- one login --------------------------------------------------------------------------- */

struct login {
	char *header, *user, *password, *bearer, *origin; /* owned */
	bool given, from_helper;
};

static void login_done(struct login *l)
{
	scorpio_secret_done(&l->header);
	scorpio_secret_done(&l->user);
	scorpio_secret_done(&l->password);
	scorpio_secret_done(&l->bearer);
	free(l->origin);
	memset(l, 0, sizeof(*l));
}

static void from_source(struct lfsauth *a, struct login *l)
{
	if (!a->src_origin || strcmp(a->src_origin, l->origin))
		return;
	l->header = scorpio_secret(a->src_header);
	if (a->src_token && a->src_user) {
		l->user = scorpio_secret(a->src_user);
		l->password = scorpio_secret(a->src_token);
	} else if (a->src_token) {
		l->bearer = scorpio_secret(a->src_token);
	} else if (a->src_password) {
		l->user = strdup(a->src_user ? a->src_user : "");
		l->password = scorpio_secret(a->src_password);
	}
}

static void first_login(struct lfsauth *a, struct login *l)
{
	if (a->own_header || a->own_token) {
		l->header = scorpio_secret(a->own_header);
		l->bearer = scorpio_secret(a->own_token);
	} else {
		from_source(a, l);
	}
	l->given = l->header || l->bearer || l->password;
	if (l->given)
		return;
	pthread_mutex_lock(&a->lock);
	if (a->origin && !strcmp(a->origin, l->origin)) {
		l->user = scorpio_secret(a->user);
		l->password = scorpio_secret(a->password);
		l->given = l->from_helper = l->user && l->password;
	}
	pthread_mutex_unlock(&a->lock);
}

/* -- git credential ------------------------------------------------------------------------ */

static int credential(struct lfs *s, const char *verb, const char *url,
		      const struct login *l, struct scorpio_answer *out)
{
	auto_lfsbuf struct lfsbuf in = { 0 };
	struct lfsurl u;
	int rc;

	if (!lfsurl_parse(url, &u))
		return -EINVAL;
	lfsbuf_printf(&in, "protocol=%s\nhost=%s%s%s\n",
		      u.https ? "https" : "http", u.host,
		      strcmp(u.port, u.https ? "443" : "80") ? ":" : "",
		      strcmp(u.port, u.https ? "443" : "80") ? u.port : "");
	if (*u.path)
		lfsbuf_printf(&in, "path=%s\n", u.path + 1);
	if (l && l->user)
		lfsbuf_printf(&in, "username=%s\npassword=%s\n", l->user,
			      l->password);
	if (in.broken)
		return lfs_nomem(s);
	rc = scorpio_git_credential(s->host, verb, in.p, out);
	scorpio_wipe(in.p, in.n);
	return rc;
}

static void tell(struct lfs *s, const char *verb, const struct login *l)
{
	struct scorpio_answer ignored;

	credential(s, verb, l->origin, l, &ignored);
}

static int ask_helper(struct lfs *s, const char *url, struct login *l)
{
	struct scorpio_answer out;
	char *origin = l->origin;
	int rc = credential(s, "fill", url, NULL, &out);

	if (rc == -EINTR)
		return rc;
	l->origin = NULL;
	login_done(l);
	l->origin = origin;
	if (rc == 0) {
		l->user = scorpio_answer_value(&out, "username");
		l->password = scorpio_answer_value(&out, "password");
	}
	scorpio_wipe(&out, sizeof(out));
	l->given = l->from_helper = l->user && l->password;
	return l->given ? 0 : -EACCES;
}

static void remember(struct lfs *s, struct lfsauth *a, const struct login *l)
{
	bool first;

	if (!l->from_helper)
		return;
	pthread_mutex_lock(&a->lock);
	first = !a->approved || !a->origin || strcmp(a->origin, l->origin);
	if (first) {
		free(a->origin);
		scorpio_secret_done(&a->user);
		scorpio_secret_done(&a->password);
		a->origin = strdup(l->origin);
		a->user = scorpio_secret(l->user);
		a->password = scorpio_secret(l->password);
		a->approved = true;
	}
	pthread_mutex_unlock(&a->lock);
	if (first)
		tell(s, "approve", l);
}

static void forget(struct lfs *s, struct lfsauth *a, const struct login *l)
{
	if (!l->from_helper)
		return;
	tell(s, "reject", l);
	pthread_mutex_lock(&a->lock);
	free(a->origin);
	a->origin = NULL;
	scorpio_secret_done(&a->user);
	scorpio_secret_done(&a->password);
	a->approved = false;
	pthread_mutex_unlock(&a->lock);
}

/* -- requests --------------------------------------------------------------------------------- */

/* Once, with this login; the caller's headers and ours. */
static int send_as(struct lfs *s, struct scorpio_http *x, const struct login *l)
{
	const char *headers[HEADERS_MAX + 2], *const *old = x->headers;
	size_t n = 0;
	int rc;

	while (old && old[n] && n < HEADERS_MAX) {
		headers[n] = old[n];
		n++;
	}
	if (l->header)
		headers[n++] = l->header;
	headers[n] = NULL;
	x->headers = headers;
	x->user = l->user;
	x->password = l->password;
	x->bearer = l->bearer;
	rc = s->host->http(s->host, x);
	x->headers = old;
	x->user = x->password = x->bearer = NULL;
	return rc;
}

int lfsauth_perform(struct lfs *s, struct lfsauth *a, struct scorpio_http *x,
		    const char *server)
{
	struct login l __attribute__((cleanup(login_done))) = { 0 };
	int rc;

	if (!lfsurl_same_place(x->url, server))
		return s->host->http(s->host, x);
	l.origin = lfsurl_origin(server);
	if (!l.origin)
		return lfs_nomem(s);
	first_login(a, &l);
	rc = send_as(s, x, &l);
	if (rc || x->status != 401) {
		if (rc == 0)
			remember(s, a, &l);
		return rc;
	}
	forget(s, a, &l);
	if (!a->helper || (l.given && !l.from_helper) ||
	    ask_helper(s, server, &l))
		return 0; /* the 401 is the answer */
	rc = send_as(s, x, &l);
	if (rc == 0 && x->status != 401)
		remember(s, a, &l);
	else if (rc == 0)
		forget(s, a, &l);
	return rc;
}
