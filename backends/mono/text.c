/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <ctype.h>
#include <strings.h>

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool monohex_decode(const char *s, size_t n, uint8_t *ret)
{
	for (size_t i = 0; i < n; i += 2) {
		int hi = nibble(s[i]), lo = hi < 0 ? -1 : nibble(s[i + 1]);

		if (lo < 0)
			return false;
		ret[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return n % 2 == 0;
}

void monohex_encode(const uint8_t *p, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = digits[p[i] >> 4];
		ret[2 * i + 1] = digits[p[i] & 15];
	}
	ret[2 * n] = 0;
}

static bool plain(unsigned char c)
{
	return c < 0x80 && (isalnum(c) || strchr("-._~/", c)) && c;
}

char *monotext_escape(const char *s, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = malloc(3 * n + 1), *p = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (plain(c)) {
			*p++ = (char)c;
			continue;
		}
		*p++ = '%';
		*p++ = digits[c >> 4];
		*p++ = digits[c & 15];
	}
	*p = 0;
	return out;
}

void monotext_clean(char *out, size_t cap, const void *text, size_t n)
{
	const unsigned char *p = text;
	size_t len = 0;

	for (size_t i = 0; i < n && len + 1 < cap; i++) {
		unsigned char c = p[i];

		if (c < 0x20 || c == 0x7f)
			c = ' ';
		if (c == ' ' && (len == 0 || out[len - 1] == ' '))
			continue;
		out[len++] = (char)c;
	}
	while (len && out[len - 1] == ' ')
		len--;
	out[len] = 0;
}

int monotext_base(const char *url, char **ret, char **ret_shown,
		  const char **why)
{
	size_t n, skip, end, login = 0;
	const char *at;

	if (strncasecmp(url, "mono+", 5) == 0)
		url += 5;
	skip = strncasecmp(url, "http://", 7) == 0    ? 7
	       : strncasecmp(url, "https://", 8) == 0 ? 8
						      : 0;
	*why = "write it as mono+http://HOST:PORT or mono+https://HOST";
	if (!skip || strpbrk(url, "?# \t\r\n") || !url[skip] ||
	    url[skip] == '/' || url[skip] == ':')
		return -EINVAL;
	end = skip + strcspn(url + skip, "/");
	at = memrchr(url + skip, '@', end - skip);
	if (at)
		login = (size_t)(at + 1 - url) - skip;
	if (skip + login == end)
		return -EINVAL;
	for (n = strlen(url); n > end && url[n - 1] == '/'; n--)
		;
	*ret = strndup(url, n);
	*ret_shown = NULL;
	if (!*ret || asprintf(ret_shown, "%.*s%.*s", (int)skip, url,
			      (int)(n - skip - login),
			      url + skip + login) < 0) {
		free(*ret);
		return -ENOMEM;
	}
	return 0;
}
