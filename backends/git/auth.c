/* SPDX-License-Identifier: Apache-2.0 */
#include "auth.h"

#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#define HELPER_MS 30000
#define TOKEN_MAX 4096

struct gitauth {
	/* from the configuration, immutable */
	char *header, *token, *user, *password;
	bool helper;
	pthread_mutex_t lock;
	/* the last answer of a helper that worked; lock: lock */
	char *helper_origin, *helper_user, *helper_password;
	bool approved; /* lock: lock */
};

static void wipe(char **p)
{
	if (*p)
		explicit_bzero(*p, strlen(*p));
	free(*p);
	*p = NULL;
}

static char *copy(const char *s)
{
	return s && *s ? strdup(s) : NULL;
}

static int read_token(struct gitsource *s, const char *path, char **ret)
{
	char buf[TOKEN_MAX + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, TOKEN_MAX);
	int saved = errno;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return gitfail(s, -EACCES, "token_file %s: %s", path,
			       strerror(saved));
	buf[n] = 0;
	buf[strcspn(buf, "\r\n")] = 0;
	*ret = copy(buf);
	explicit_bzero(buf, sizeof(buf));
	if (!*ret)
		return gitfail(s, -EACCES, "token_file %s is empty", path);
	return 0;
}

static bool one_line(const char *s)
{
	return !s || !strpbrk(s, "\r\n");
}

static int configure(struct gitsource *s, struct gitauth *a)
{
	const struct scorpio_host *h = s->host;
	const char *file = h->config_string(s->config, "token_file", NULL);
	const char *user = h->config_string(s->config, "username", NULL);

	a->header = copy(h->config_string(s->config, "header", NULL));
	a->token = copy(h->config_string(s->config, "token", NULL));
	a->helper = h->config_bool(s->config, "credential_helper", 1);
	a->user = copy(user && *user ? user : s->url.user);
	a->password = copy(s->url.password);
	if (!a->token && file && *file) {
		int rc = read_token(s, file, &a->token);

		if (rc < 0)
			return rc;
	}
	if (!one_line(a->header) || !one_line(a->token) || !one_line(a->user) ||
	    !one_line(a->password))
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
	wipe(&a->header);
	wipe(&a->token);
	wipe(&a->user);
	wipe(&a->password);
	wipe(&a->helper_user);
	wipe(&a->helper_password);
	free(a->helper_origin);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void gitauth_release(struct gitauth_use *use)
{
	wipe(&use->user);
	wipe(&use->password);
	wipe(&use->bearer);
	wipe(&use->header);
	free(use->origin);
	memset(use, 0, sizeof(*use));
}

static void use_configured(struct gitauth *a, struct gitauth_use *use)
{
	use->header = copy(a->header);
	if (a->token && a->user) {
		use->user = copy(a->user);
		use->password = copy(a->token);
	} else if (a->token) {
		use->bearer = copy(a->token);
	} else if (a->password) {
		use->user = a->user ? copy(a->user) : strdup("");
		use->password = copy(a->password);
	}
	use->given = use->header || use->bearer || use->password;
}

static void use_remembered(struct gitauth *a, struct gitauth_use *use)
{
	pthread_mutex_lock(&a->lock);
	if (a->helper_origin && strcmp(a->helper_origin, use->origin) == 0) {
		use->user = copy(a->helper_user);
		use->password = copy(a->helper_password);
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

struct answer {
	char text[8192];
	size_t len;
};

static int take(void *ctx, const void *data, uint64_t n)
{
	struct answer *a = ctx;

	if (n > sizeof(a->text) - 1 - a->len)
		return -EFBIG;
	memcpy(a->text + a->len, data, n);
	a->len += n;
	a->text[a->len] = 0;
	return 0;
}

static char *answer_value(const struct answer *a, const char *key)
{
	size_t k = strlen(key);

	for (const char *p = a->text; *p;) {
		size_t n = strcspn(p, "\n");

		if (n > k && memcmp(p, key, k) == 0 && p[k] == '=')
			return strndup(p + k + 1, n - k - 1);
		p += n + (p[n] == '\n');
	}
	return NULL;
}

static int run_credential(struct gitsource *s, const char *verb,
			  const char *input, struct answer *out)
{
	/* no terminal and no window: a daemon cannot ask */
	static const char *const env[] = { "GIT_TERMINAL_PROMPT=0",
					   "GIT_ASKPASS=", "SSH_ASKPASS=",
					   "GCM_INTERACTIVE=never", NULL };
	const char *argv[] = { "git", "credential", verb, NULL };
	struct scorpio_spawn x = { .struct_size = sizeof(x) };
	int rc;

	x.argv = argv;
	x.env = env;
	x.input = input;
	x.input_len = strlen(input);
	x.on_output = take;
	x.ctx = out;
	x.timeout_ms = HELPER_MS;
	rc = s->host->spawn(s->host, &x);
	return rc ? rc : x.exit_status ? -EACCES : 0;
}

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
	struct answer out = { .len = 0 };
	const char *user = s->url.origin &&
			   strcmp(s->url.origin, use->origin) == 0 ?
				   a->user : NULL;
	char *input = describe(url, user, NULL);
	int rc;

	if (!input)
		return gitfail(s, -ENOMEM, "out of memory");
	rc = run_credential(s, "fill", input, &out);
	free(input);
	if (gitrc_stops(rc))
		return rc;
	if (rc == 0) {
		use->user = answer_value(&out, "username");
		use->password = answer_value(&out, "password");
	}
	explicit_bzero(&out, sizeof(out));
	if (!use->user || !use->password)
		return refused_text(s, "the server asks who we are (401)");
	use->given = use->from_helper = true;
	return 0;
}

static void tell_helper(struct gitsource *s, const char *verb,
			const struct gitauth_use *use)
{
	struct answer ignored = { .len = 0 };
	char *input = describe(use->origin, use->user, use->password);

	if (input)
		run_credential(s, verb, input, &ignored);
	wipe(&input);
}

static void forget(struct gitauth *a)
{
	pthread_mutex_lock(&a->lock);
	free(a->helper_origin);
	a->helper_origin = NULL;
	wipe(&a->helper_user);
	wipe(&a->helper_password);
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
		wipe(&a->helper_user);
		wipe(&a->helper_password);
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
	wipe(&pair);
	wipe(&coded);
	return out;
}
