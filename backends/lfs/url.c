/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t scheme_len(const char *url)
{
	return !strncasecmp(url, "https://", 8) ? 8 :
	       !strncasecmp(url, "http://", 7)	? 7 :
						  0;
}

static bool take_host(struct lfsurl *u, const char *p, size_t n)
{
	const char *end = p + n, *close;

	if (n && *p == '[') {
		close = memchr(p, ']', n);
		if (!close)
			return false;
		p++;
		n = (size_t)(close - p);
		close++;
	} else {
		close = memchr(p, ':', n);
		close = close ? close : end;
		n = (size_t)(close - p);
	}
	if (!n || n >= sizeof(u->host))
		return false;
	for (size_t i = 0; i < n; i++)
		u->host[i] = (char)tolower((uint8_t)p[i]);
	u->host[n] = 0;
	if (close == end || close + 1 == end)
		return snprintf(u->port, sizeof(u->port), "%s",
				u->https ? "443" : "80") > 0;
	n = (size_t)(end - close) - 1;
	if (*close != ':' || n >= sizeof(u->port) ||
	    strspn(close + 1, "0123456789") < n)
		return false;
	memcpy(u->port, close + 1, n);
	u->port[n] = 0;
	return true;
}

bool lfsurl_parse(const char *url, struct lfsurl *ret)
{
	size_t skip = scheme_len(url), n;
	const char *at;

	memset(ret, 0, sizeof(*ret));
	if (!skip || strpbrk(url, " \t\r\n"))
		return false;
	ret->https = skip == 8;
	ret->authority = url + skip;
	ret->n_authority = strcspn(ret->authority, "/?#");
	ret->path = ret->authority + ret->n_authority;
	at = memrchr(ret->authority, '@', ret->n_authority);
	at = at ? at + 1 : ret->authority;
	n = ret->n_authority - (size_t)(at - ret->authority);
	return take_host(ret, at, n);
}

bool lfsurl_same_place(const char *a, const char *b)
{
	struct lfsurl x, y;

	return lfsurl_parse(a, &x) && lfsurl_parse(b, &y) &&
	       x.https == y.https && !strcmp(x.host, y.host) &&
	       !strcmp(x.port, y.port);
}

char *lfsurl_origin(const char *url)
{
	struct lfsurl u;
	char *out = NULL;
	bool six;

	if (!lfsurl_parse(url, &u))
		return NULL;
	six = strchr(u.host, ':');
	if (asprintf(&out, "%s://%s%s%s:%s", u.https ? "https" : "http",
		     six ? "[" : "", u.host, six ? "]" : "", u.port) < 0)
		return NULL;
	return out;
}

/* -- servers that do not know their name ------------------------------------------- */

static bool is_any(const char *host)
{
	struct in6_addr a;
	static const struct in6_addr zero;

	if (!strcmp(host, "0.0.0.0"))
		return true;
	return inet_pton(AF_INET6, host, &a) == 1 &&
	       !memcmp(&a, &zero, sizeof(a));
}

static bool is_this_machine(const char *host)
{
	struct in_addr a;

	if (!strcmp(host, "localhost") || !strcmp(host, "::1"))
		return true;
	return inet_pton(AF_INET, host, &a) == 1 &&
	       ntohl(a.s_addr) >> 24 == 127;
}

char *lfsurl_reachable(const char *href, const char *base)
{
	struct lfsurl h, b;
	char *out = NULL;

	if (!lfsurl_parse(href, &h))
		return NULL;
	if (!lfsurl_parse(base, &b) ||
	    (!is_any(h.host) &&
	     (!is_this_machine(h.host) || is_this_machine(b.host))))
		return strdup(href);
	if (asprintf(&out, "%s://%.*s%s", b.https ? "https" : "http",
		     (int)b.n_authority, b.authority, h.path) < 0)
		return NULL;
	return out;
}

/* -- by convention ----------------------------------------------------------------- */

static bool is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The objects of the repository at a path: a work tree's or a bare one's. */
static int local_objects(const char *path, char **ret)
{
	char *in = NULL;

	if (asprintf(&in, "%s/.git/lfs/objects", path) < 0)
		return -ENOMEM;
	if (!is_dir(in)) {
		free(in);
		in = NULL;
		if (asprintf(&in, "%s/lfs/objects", path) < 0)
			return -ENOMEM;
	}
	*ret = in;
	return 0;
}

static int by_url(const char *url, bool mono, char **ret)
{
	size_t n = strcspn(url, "?#");
	bool has_git;

	while (n && url[n - 1] == '/')
		n--;
	has_git = mono || (n > 4 && !memcmp(url + n - 4, ".git", 4));
	if (asprintf(ret, "%.*s%s/info/lfs", (int)n, url,
		     has_git ? "" : ".git") >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}

/* user@host:path or ssh://user@host:port/path, by git-lfs's guess https. */
static int by_ssh(const char *rest, bool scp, char **ret)
{
	const char *at = strchr(rest, '@');
	size_t n = strcspn(rest, scp ? ":" : "/");
	const char *path = rest + n + (rest[n] != 0);
	auto_free char *url = NULL;

	if (at && at < rest + n) {
		n -= (size_t)(at + 1 - rest);
		rest = at + 1;
	}
	if (!scp && memchr(rest, ':', n))
		n = (size_t)((const char *)memchr(rest, ':', n) - rest);
	if (asprintf(&url, "https://%.*s/%s", (int)n, rest, path) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	return by_url(url, false, ret);
}

int lfsurl_of_source(const char *source, bool mono, char **ret_url,
		     char **ret_dir)
{
	const char *rest = source;

	*ret_url = *ret_dir = NULL;
	if (!strncmp(rest, "git+", 4) || !strncmp(rest, "mono+", 5))
		rest = strchr(rest, '+') + 1;
	if (scheme_len(rest))
		return by_url(rest, mono, ret_url);
	if (!strncmp(rest, "file://", 7))
		return local_objects(rest + 7, ret_dir);
	if (!strncmp(rest, "ssh://", 6))
		return by_ssh(rest + 6, false, ret_url);
	if (strstr(rest, "://"))
		return 0;
	if (*rest != '/' && strchr(rest, ':') && access(rest, F_OK))
		return by_ssh(rest, true, ret_url);
	return *rest == '/' ? local_objects(rest, ret_dir) : 0;
}
