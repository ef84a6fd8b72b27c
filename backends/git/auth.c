/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include <scorpio/login.h>

struct gitauth {
	/* from the configuration, immutable */
	char *header, *token, *user, *password;
	bool helper;
	pthread_mutex_t lock;
	/* the last answer of a helper that worked; lock: lock */
	char *helper_origin, *helper_user, *helper_password;
	bool approved; /* lock: lock */
};

static int configure(struct gitsource *s, struct gitauth *a)
{
	const struct scorpio_host *h = s->host;
	const char *file = h->config_string(s->config, "token_file", NULL);
	const char *user = h->config_string(s->config, "username", NULL);

	a->header = scorpio_secret(h->config_string(s->config, "header", NULL));
	a->token = scorpio_secret(h->config_string(s->config, "token", NULL));
	a->helper = h->config_bool(s->config, "credential_helper", 1);
	a->user = scorpio_secret(user && *user ? user : s->url.user);
	a->password = scorpio_secret(s->url.password);
	if (!a->token && file && *file) {
		int rc = scorpio_token_file(h, file, &a->token);

		if (rc < 0)
			return rc;
	}
	if (!scorpio_one_line(a->header) || !scorpio_one_line(a->token) ||
	    !scorpio_one_line(a->user) || !scorpio_one_line(a->password))
		return gitfail(s, -EINVAL, "a credential holds a line break");
	if (a->header && !strchr(a->header, ':'))
		return gitfail(s, -EINVAL, "header: write \"Name: value\"");
	return 0;
}

int gitauth_new(struct gitsource *s, struct gitauth **ret)
{
	struct gitauth *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return gitfail(s, -ENOMEM, "out of memory");
	pthread_mutex_init(&a->lock, NULL);
	rc = configure(s, a);
	if (rc < 0)
		gitauth_free(a);
	else
		*ret = a;
	return rc;
}

void gitauth_free(struct gitauth *a)
{
	if (!a)
		return;
	scorpio_secret_done(&a->header);
	scorpio_secret_done(&a->token);
	scorpio_secret_done(&a->user);
	scorpio_secret_done(&a->password);
	scorpio_secret_done(&a->helper_user);
	scorpio_secret_done(&a->helper_password);
	free(a->helper_origin);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void gitauth_release(struct gitauth_use *use)
{
	scorpio_secret_done(&use->user);
	scorpio_secret_done(&use->password);
	scorpio_secret_done(&use->bearer);
	scorpio_secret_done(&use->header);
	free(use->origin);
	memset(use, 0, sizeof(*use));
}

static void use_configured(struct gitauth *a, struct gitauth_use *use)
{
	use->header = scorpio_secret(a->header);
	if (a->token && a->user) {
		use->user = scorpio_secret(a->user);
		use->password = scorpio_secret(a->token);
	} else if (a->token) {
		use->bearer = scorpio_secret(a->token);
	} else if (a->password) {
		use->user = strdup(a->user ? a->user : "");
		use->password = scorpio_secret(a->password);
	}
	use->given = use->header || use->bearer || use->password;
}

static void use_remembered(struct gitauth *a, struct gitauth_use *use)
{
	pthread_mutex_lock(&a->lock);
	if (a->helper_origin && strcmp(a->helper_origin, use->origin) == 0) {
		use->user = scorpio_secret(a->helper_user);
		use->password = scorpio_secret(a->helper_password);
		use->given = use->from_helper = use->user && use->password;
	}
	pthread_mutex_unlock(&a->lock);
}

int gitauth_first(struct gitsource *s, struct gitauth *a, const char *url,
		  struct gitauth_use *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->origin = giturl_origin(url);
	if (!ret->origin)
		return gitfail(s, -EINVAL, "not an http address");
	if (s->url.origin && strcmp(s->url.origin, ret->origin) == 0)
		use_configured(a, ret);
	if (!ret->given)
		use_remembered(a, ret);
	return 0;
}

/* -- git credential -------------------------------------------------------- */

/* "protocol=https\nhost=h:port\npath=...\n" and more */
static char *describe(const char *url, const char *user, const char *password)
{
	const char *host = strstr(url, "://") + 3;
	const char *path = host + strcspn(host, "/?");
	size_t n_path = *path == '/' ? strcspn(path + 1, "?") : 0;
	char *out = NULL;

	if (asprintf(&out, "protocol=%.*s\nhost=%.*s\n%s%.*s%s%s%s%s%s%s%s\n",
		     (int)(host - 3 - url), url, (int)(path - host), host,
		     n_path ? "path=" : "", (int)n_path, path + (n_path > 0),
		     n_path ? "\n" : "", user ? "username=" : "",
		     user ? user : "", user ? "\n" : "",
		     password ? "password=" : "", password ? password : "",
		     password ? "\n" : "") < 0)
		return NULL;
	return out;
}

static int refused_text(struct gitsource *s, const char *why)
{
	return gitfail(s, -EACCES, "%s: %s; set token, token_file or header "
		       "for this source, or add the host to ~/.netrc or a git "
		       "credential helper", s->url.text, why);
}

static int fill(struct gitsource *s, struct gitauth *a, const char *url,
		struct gitauth_use *use)
{
	struct scorpio_answer out;
	const char *user = s->url.origin &&
			   strcmp(s->url.origin, use->origin) == 0 ?
				   a->user : NULL;
	char *input = describe(url, user, NULL);
	int rc;

	if (!input)
		return gitfail(s, -ENOMEM, "out of memory");
	rc = scorpio_git_credential(s->host, "fill", input, &out);
	free(input);
	if (gitrc_stops(rc))
		return rc;
	if (rc == 0) {
		use->user = scorpio_answer_value(&out, "username");
		use->password = scorpio_answer_value(&out, "password");
	}
	scorpio_wipe(&out, sizeof(out));
	if (!use->user || !use->password)
		return refused_text(s, "the server asks who we are (401)");
	use->given = use->from_helper = true;
	return 0;
}

static void tell_helper(struct gitsource *s, const char *verb,
			const struct gitauth_use *use)
{
	struct scorpio_answer ignored;
	char *input = describe(use->origin, use->user, use->password);

	if (input)
		scorpio_git_credential(s->host, verb, input, &ignored);
	scorpio_secret_done(&input);
}

static void forget(struct gitauth *a)
{
	pthread_mutex_lock(&a->lock);
	free(a->helper_origin);
	a->helper_origin = NULL;
	scorpio_secret_done(&a->helper_user);
	scorpio_secret_done(&a->helper_password);
	a->approved = false;
	pthread_mutex_unlock(&a->lock);
}

int gitauth_refused(struct gitsource *s, struct gitauth *a, const char *url,
		    struct gitauth_use *use)
{
	bool was_given = use->given;
	char *origin;

	if (use->from_helper) {
		tell_helper(s, "reject", use);
		forget(a);
	}
	if (was_given)
		return refused_text(s, "the server does not take our "
				    "credentials (401)");
	if (!a->helper)
		return refused_text(s, "the server asks who we are (401)");
	origin = use->origin;
	use->origin = NULL;
	gitauth_release(use);
	use->origin = origin;
	return fill(s, a, url, use);
}

void gitauth_accepted(struct gitsource *s, struct gitauth *a,
		      const struct gitauth_use *use)
{
	bool first;

	if (!use->from_helper)
		return;
	pthread_mutex_lock(&a->lock);
	first = !a->approved;
	a->approved = true;
	if (first) {
		free(a->helper_origin);
		scorpio_secret_done(&a->helper_user);
		scorpio_secret_done(&a->helper_password);
		a->helper_origin = strdup(use->origin);
		a->helper_user = strdup(use->user);
		a->helper_password = strdup(use->password);
	}
	pthread_mutex_unlock(&a->lock);
	if (first)
		tell_helper(s, "approve", use);
}

/* -- for the git program --------------------------------------------------- */

static char *base64(const char *text)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
				  "qrstuvwxyz0123456789+/";
	size_t n = strlen(text);
	char *out = malloc(4 * (n / 3) + 5), *p = out;

	for (size_t i = 0; out && i < n; i += 3) {
		unsigned left = n - i < 3 ? (unsigned)(n - i) : 3;
		unsigned v = (unsigned)(uint8_t)text[i] << 16;

		v |= left > 1 ? (unsigned)(uint8_t)text[i + 1] << 8 : 0;
		v |= left > 2 ? (uint8_t)text[i + 2] : 0u;
		*p++ = set[v >> 18];
		*p++ = set[v >> 12 & 63];
		*p++ = left > 1 ? set[v >> 6 & 63] : '=';
		*p++ = left > 2 ? set[v & 63] : '=';
	}
	if (out)
		*p = 0;
	return out;
}

char *gitauth_header(const struct gitauth_use *use)
{
	char *pair = NULL, *coded = NULL, *out = NULL;

	if (use->header)
		return strdup(use->header);
	if (use->bearer) {
		if (asprintf(&out, "Authorization: Bearer %s", use->bearer) < 0)
			out = NULL;
		return out;
	}
	if (!use->password ||
	    asprintf(&pair, "%s:%s", use->user ? use->user : "",
		     use->password) < 0)
		return NULL;
	coded = base64(pair);
	if (coded && asprintf(&out, "Authorization: Basic %s", coded) < 0)
		out = NULL;
	scorpio_secret_done(&pair);
	scorpio_secret_done(&coded);
	return out;
}
