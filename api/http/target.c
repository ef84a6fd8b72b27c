/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/target.h"

#include "core/error.h"
#include "core/id.h"

int64_t target_decode(char *s, size_t n, bool plus)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '%') {
			if (i + 2 >= n || !hex_decode(s + i + 1, 1, &c))
				return fail(-EBADMSG, "broken %% escape");
			i += 2;
			if (c == '\0')
				return fail(-EBADMSG, "%%00 in the address");
		} else if (plus && c == '+') {
			c = ' ';
		}
		s[out++] = (char)c;
	}
	return (int64_t)out;
}

static int check_bytes(const char *s, size_t n)
{
	if (n > TARGET_LEN_MAX)
		return fail(-E2BIG, "address longer than %u bytes",
			    TARGET_LEN_MAX);
	if (n == 0 || s[0] != '/')
		return fail(-EBADMSG, "the address must start with '/'");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c <= ' ' || c == 0x7f || c == '\\' || c == '#')
			return fail(-EBADMSG,
				    "byte 0x%02x in the address", c);
	}
	return 0;
}

static int add_segment(struct target *u, char *s, size_t n, bool last)
{
	int64_t len;

	if (n == 0 && last) {
		u->trailing_slash = u->n > 0;
		return 0;
	}
	if (n == 0)
		return fail(-EBADMSG, "empty segment in the address");
	if (u->n == TARGET_SEGMENTS_MAX)
		return fail(-E2BIG, "more than %u segments in the address",
			    TARGET_SEGMENTS_MAX);
	len = target_decode(s, n, false);
	if (len < 0)
		return (int)len;
	s[len] = '\0';
	if (!strcmp(s, ".") || !strcmp(s, ".."))
		return fail(-EPERM, "\"%s\" in the address", s);
	u->segment[u->n++] = s;
	return 0;
}

static int split_path(struct target *u, char *s)
{
	char *end = s + strlen(s);

	s++; /* the leading slash */
	for (;;) {
		char *slash = memchr(s, '/', (size_t)(end - s));
		bool last = !slash;
		int r;

		if (last)
			slash = end;
		r = add_segment(u, s, (size_t)(slash - s), last);
		if (r || last)
			return r;
		s = slash + 1;
	}
}

static int add_query(struct target *u, char *s, size_t n)
{
	char *eq = memchr(s, '=', n);
	char *value = eq ? eq + 1 : s + n;
	int64_t name_len, value_len;

	if (n == 0)
		return 0;
	if (u->queries == TARGET_QUERY_MAX)
		return fail(-E2BIG, "more than %u query members",
			    TARGET_QUERY_MAX);
	name_len = target_decode(s, (size_t)(eq ? eq - s : (ptrdiff_t)n), true);
	if (name_len < 0)
		return (int)name_len;
	value_len = target_decode(value, (size_t)(s + n - value), true);
	if (value_len < 0)
		return (int)value_len;
	value[value_len] = '\0';
	if (eq)
		s[name_len] = '\0';
	u->name[u->queries] = s;
	u->value[u->queries++] = eq ? value : s + name_len;
	return 0;
}

static int split_query(struct target *u, char *s)
{
	for (;;) {
		char *amp = strchr(s, '&');
		size_t n = amp ? (size_t)(amp - s) : strlen(s);
		int r = add_query(u, s, n);

		if (r || !amp)
			return r;
		s = amp + 1;
	}
}

static int parse(struct target *u, const char *target, size_t len)
{
	char *question;
	size_t path_len;
	int r;

	/* two copies in one piece: the raw path, and what is decoded */
	u->copy = xmalloc(2 * len + 2);
	memcpy(u->copy, target, len);
	u->copy[len] = '\0';
	u->path = u->copy + len + 1;
	question = strchr(u->copy, '?');
	path_len = question ? (size_t)(question - u->copy) : len;
	memcpy(u->path, target, path_len);
	u->path[path_len] = '\0';
	u->copy[path_len] = '\0';
	r = split_path(u, u->copy);
	if (r || !question)
		return r;
	return split_query(u, question + 1);
}

int target_parse(const char *target, size_t len, struct target *u)
{
	int r;

	memset(u, 0, sizeof(*u));
	r = check_bytes(target, len);
	if (!r)
		r = parse(u, target, len);
	if (r)
		target_done(u);
	return r;
}

void target_done(struct target *u)
{
	free(u->copy);
	memset(u, 0, sizeof(*u));
}

const char *target_query(const struct target *u, const char *name, const char *dflt)
{
	for (size_t i = 0; i < u->queries; i++) {
		if (!strcmp(u->name[i], name))
			return u->value[i];
	}
	return dflt;
}
