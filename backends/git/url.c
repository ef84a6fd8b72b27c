/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool starts(const char *s, const char *prefix)
{
	return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: out of memory or an encoded NUL. */
static char *decode(const char *s, size_t n)
{
	char *out = malloc(n + 1), *p = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '%' && i + 2 < n && hex(s[i + 1]) >= 0 &&
		    hex(s[i + 2]) >= 0) {
			*p = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
			i += 2;
		} else {
			*p = s[i];
		}
		if (!*p++) {
			free(out);
			return NULL;
		}
	}
	*p = 0;
	return out;
}

static bool bad_bytes(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

char *giturl_origin(const char *url)
{
	const char *host = strstr(url, "://"), *end, *at, *port;
	bool https = starts(url, "https://");
	char *out = NULL;

	if (!host || (!https && !starts(url, "http://")))
		return NULL;
	host += 3;
	end = host + strcspn(host, "/?#");
	at = memrchr(host, '@', (size_t)(end - host));
	if (at)
		host = at + 1;
	/* a colon inside [v6] is not a port */
	port = memrchr(host, ':', (size_t)(end - host));
	if (port && memchr(port, ']', (size_t)(end - port)))
		port = NULL;
	if (host == end || port == host)
		return NULL;
	if (asprintf(&out, "%s://%.*s%s", https ? "https" : "http",
		     (int)(end - host), host,
		     port ? "" : https ? ":443" : ":80") < 0)
		return NULL;
	for (char *p = out; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return out;
}

char *giturl_join(const char *base, const char *location)
{
	const char *host, *end;
	char *out = NULL;

	if (bad_bytes(location))
		return NULL;
	if (starts(location, "http://") || starts(location, "https://"))
		return strdup(location);
	host = strstr(base, "://");
	if (!host || location[0] != '/' || location[1] == '/')
		return NULL;
	host += 3;
	end = host + strcspn(host, "/?#");
	if (asprintf(&out, "%.*s%s", (int)(end - base), base, location) < 0)
		return NULL;
	return out;
}

static int parse_http(const char *url, struct giturl *ret, const char **why)
{
	const char *host = strstr(url, "://") + 3;
	const char *end = host + strcspn(host, "/?#");
	const char *at = memrchr(host, '@', (size_t)(end - host));
	size_t n;

	if (at) {
		const char *colon = memchr(host, ':', (size_t)(at - host));
		const char *stop = colon ? colon : at;

		ret->user = decode(host, (size_t)(stop - host));
		if (colon)
			ret->password = decode(colon + 1,
					       (size_t)(at - colon - 1));
		if (!ret->user || (colon && !ret->password)) {
			*why = "the user part of the address is malformed";
			return -EINVAL;
		}
	}
	if (strpbrk(url, "?#")) {
		*why = "an address with '?' or '#' is not a repository";
		return -EINVAL;
	}
	if (asprintf(&ret->text, "%.*s%s", (int)(host - url), url,
		     at ? at + 1 : host) < 0)
		return -ENOMEM;
	n = strlen(ret->text);
	while (n && ret->text[n - 1] == '/')
		ret->text[--n] = 0;
	ret->origin = giturl_origin(ret->text);
	if (!ret->origin) {
		*why = "the address has no host";
		return -EINVAL;
	}
	return 0;
}

/* git's rule: host:path, where no '/' comes before the first ':' */
static bool is_scp(const char *s)
{
	const char *colon = strchr(s, ':'), *slash = strchr(s, '/');

	if (s[0] == '[') {
		const char *close = strchr(s, ']');

		return close && close[1] == ':' && close[2];
	}
	return colon && colon != s && colon[1] && (!slash || slash > colon);
}

static int parse(const char *url, struct giturl *ret, const char **why)
{
	if (starts(url, "git+"))
		url += 4;
	if (!*url || bad_bytes(url)) {
		*why = "the address is empty or holds control characters";
		return -EINVAL;
	}
	if (starts(url, "http://") || starts(url, "https://")) {
		ret->kind = GITURL_HTTP;
		return parse_http(url, ret, why);
	}
	if (starts(url, "file://")) {
		const char *path = url + 7;

		ret->kind = GITURL_LOCAL;
		if (starts(path, "localhost/"))
			path += 9;
		if (*path != '/') {
			*why = "a file:// address needs an absolute path";
			return -EINVAL;
		}
		ret->text = decode(path, strlen(path));
		return ret->text ? 0 : -EINVAL;
	}
	*why = "the address must not begin with '-'";
	if (*url == '-')
		return -EINVAL; /* would be read as an option by git */
	if (starts(url, "ssh://") || starts(url, "git://")) {
		ret->kind = GITURL_OTHER;
		*why = "the address has no host";
		if (!url[6] || url[6] == '/' || url[6] == '-')
			return -EINVAL;
	} else if (strstr(url, "://") || strstr(url, "::")) {
		*why = "the scheme is not one of https, http, ssh, git, file";
		return -EINVAL;
	} else {
		ret->kind = is_scp(url) ? GITURL_OTHER : GITURL_LOCAL;
	}
	ret->text = strdup(url);
	return ret->text ? 0 : -ENOMEM;
}

int giturl_parse(const char *url, struct giturl *ret, const char **ret_why)
{
	struct giturl u = { 0 };
	int rc;

	*ret_why = "out of memory";
	rc = parse(url, &u, ret_why);
	if (rc < 0) {
		giturl_done(&u);
		return rc;
	}
	*ret = u;
	return 0;
}

void giturl_done(struct giturl *u)
{
	free(u->text);
	free(u->origin);
	free(u->user);
	if (u->password)
		explicit_bzero(u->password, strlen(u->password));
	free(u->password);
	memset(u, 0, sizeof(*u));
}
