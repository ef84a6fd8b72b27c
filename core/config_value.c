/* SPDX-License-Identifier: Apache-2.0 */
/* config_value.c - from text to values. */
#include "core/config_private.h"

#include "core/log.h"
#include "core/path.h"

#include <inttypes.h>
#include <pwd.h>
#include <strings.h>

bool config_is_blank(const char *s)
{
	return !s[strspn(s, " \t\r\n")];
}

bool config_parse_bool(const char *s, bool *ret)
{
	static const char *const yes[] = { "true", "yes", "on", "1" };
	static const char *const no[] = { "false", "no", "off", "0" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcasecmp(s, yes[i]) && strcasecmp(s, no[i]))
			continue;
		*ret = !strcasecmp(s, yes[i]);
		return true;
	}
	return false;
}

struct unit {
	const char *word;
	int64_t factor;
};

/* "1.5GB": up to six digits behind the point. Negative numbers are refused. */
static bool parse_scaled(const char *s, const struct unit *units, size_t n,
			 int64_t *ret)
{
	int64_t whole = 0, part = 0, scale = 1, sum;
	size_t i, digits = strspn(s, "0123456789"), k;

	if (!digits)
		return false;
	for (i = 0; i < digits; i++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, s[i] - '0', &whole))
			return false;
	s += digits;
	if (*s == '.') {
		k = strspn(++s, "0123456789");
		if (!k || k > 6)
			return false;
		for (; k; k--, scale *= 10)
			part = part * 10 + (*s++ - '0');
	}
	s += strspn(s, " ");
	for (i = 0; i < n; i++)
		if (!strcasecmp(s, units[i].word))
			break;
	if (i == n || __builtin_mul_overflow(whole, units[i].factor, &whole) ||
	    __builtin_mul_overflow(part, units[i].factor, &part) ||
	    __builtin_add_overflow(whole, part / scale, &sum))
		return false;
	*ret = sum;
	return true;
}

bool config_parse_size(const char *s, int64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "K", 1ll << 10 },
		{ "KiB", 1ll << 10 },
		{ "KB", 1000 },
		{ "M", 1ll << 20 },
		{ "MiB", 1ll << 20 },
		{ "MB", 1000000 },
		{ "G", 1ll << 30 },
		{ "GiB", 1ll << 30 },
		{ "GB", 1000000000 },
		{ "T", 1ll << 40 },
		{ "TiB", 1ll << 40 },
		{ "TB", 1000000000000ll },
	};

	return parse_scaled(s, units, ARRAY_SIZE(units), ret);
}

bool config_parse_duration(const char *s, const char *unit, int64_t *ret)
{
	const struct unit units[] = {
		{ "", unit && !strcmp(unit, "ms") ? 1 : 1000 },
		{ "ms", 1 },
		{ "s", 1000 },
		{ "sec", 1000 },
		{ "m", 60000 },
		{ "min", 60000 },
		{ "h", 3600000 },
		{ "d", 86400000 },
	};

	return parse_scaled(s, units, ARRAY_SIZE(units), ret);
}

static bool parse_int(const char *s, int64_t *ret)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 10);
	if (errno || end == s || *end)
		return false;
	*ret = v;
	return true;
}

const char *config_env(const struct config_load *l, const char *name)
{
	size_t n = strlen(name);
	const char *const *e;

	if (!l->o->env)
		return getenv(name);
	for (e = l->o->env; *e; e++)
		if (!strncmp(*e, name, n) && (*e)[n] == '=')
			return *e + n + 1;
	return NULL;
}

/* -- paths -- */

static struct passwd *user(struct passwd *pw, char *buf, size_t cap)
{
	struct passwd *found = NULL;

	return getpwuid_r(geteuid(), pw, buf, cap, &found) ? NULL : found;
}

static char *user_name(void)
{
	char buf[4096];
	struct passwd pw, *p = user(&pw, buf, sizeof(buf));

	if (p && p->pw_name[0] && !strchr(p->pw_name, '/'))
		return xstrdup(p->pw_name);
	return xasprintf("%u", geteuid());
}

static char *home_dir(const struct config_load *l)
{
	char buf[4096];
	struct passwd pw, *p;
	const char *home = config_env(l, "HOME");

	if (home && home[0] == '/')
		return xstrdup(home);
	p = user(&pw, buf, sizeof(buf));
	if (p && p->pw_dir[0] == '/' && !access(p->pw_dir, W_OK))
		return xstrdup(p->pw_dir);
	return xasprintf("/var/tmp/scorpio-%u", geteuid());
}

/* The machine's cache for root, else the user's own. */
static char *cache_dir(const struct config_load *l)
{
	cleanup_free char *home = NULL;
	const char *xdg = config_env(l, "XDG_CACHE_HOME");

	if (!geteuid())
		return xstrdup("/var/cache/scorpio");
	if (xdg && xdg[0] == '/')
		return xasprintf("%s/scorpio", xdg);
	home = home_dir(l);
	return xasprintf("%s/.cache/scorpio", home);
}

static void put_word(const struct config_load *l, struct buf *b, char which)
{
	cleanup_free char *s = which == 'u' ? user_name() : cache_dir(l);

	buf_puts(b, s);
}

char *config_expand(const struct config_load *l, const char *path)
{
	cleanup_buf struct buf b = BUF_INIT;

	if (path[0] == '~' && (path[1] == '/' || !path[1])) {
		cleanup_free char *home = home_dir(l);

		buf_puts(&b, home);
		path++;
	}
	while (*path) {
		if (!strncmp(path, "<user>", 6)) {
			put_word(l, &b, 'u');
			path += 6;
		} else if (!strncmp(path, "<cache>", 7)) {
			put_word(l, &b, 'c');
			path += 7;
		} else {
			buf_putc(&b, (uint8_t)*path++);
		}
	}
	return path_absolute(buf_str(&b));
}

/* -- conversion -- */

char *config_scalar(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return xstrdup(json_string_value(v));
	case JSON_INTEGER:
		return xasprintf("%" JSON_INTEGER_FORMAT,
				 json_integer_value(v));
	case JSON_REAL:
		return xasprintf("%.15g", json_real_value(v));
	case JSON_TRUE:
		return xstrdup("true");
	case JSON_FALSE:
		return xstrdup("false");
	default:
		return NULL;
	}
}

static char *trimmed(const char *s)
{
	size_t n;

	s += strspn(s, " \t\r\n");
	n = strlen(s);
	while (n && strchr(" \t\r\n", s[n - 1]))
		n--;
	return xstrndup(s, n);
}

static bool one_of(const char *words, const char *s)
{
	size_t n = strlen(s);

	while (words && *words) {
		size_t k = strcspn(words, "|");

		if (k == n && !strncmp(words, s, n))
			return true;
		words += k;
		words += *words == '|';
	}
	return false;
}

static bool in_range(const struct config_key *k, int64_t v, char *reason,
		     size_t cap)
{
	const char *unit = k->type == CONFIG_DURATION ? " ms" : "";

	if (v >= k->min && v <= k->max)
		return true;
	if (k->max == INT64_MAX)
		snprintf(reason, cap, "must be at least %" PRId64 "%s", k->min,
			 unit);
	else
		snprintf(reason, cap,
			 "must be between %" PRId64 " and %" PRId64 "%s",
			 k->min, k->max, unit);
	return false;
}

static bool is_http_url(const char *s)
{
	size_t n = !strncasecmp(s, "http://", 7)  ? 7 :
		   !strncasecmp(s, "https://", 8) ? 8 :
						    0;
	const char *at = n ? memrchr(s + n, '@', strcspn(s + n, "/?#")) : NULL;
	const char *host = at ? at + 1 : s + n;

	return n && *host && !strchr("/?#:", *host) &&
	       !strpbrk(s, " \t\r\n");
}

static void list_add(struct config_value *v, const char *p, size_t n)
{
	v->list = xrealloc(v->list, (v->list_len + 2) * sizeof(*v->list));
	v->list[v->list_len++] = xstrndup(p, n);
	v->list[v->list_len] = NULL;
}

static bool convert_array(const json_t *list, struct config_value *v,
			  char *reason, size_t cap)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		if (!json_is_string(item)) {
			snprintf(reason, cap, "item %zu is not a string", i + 1);
			return false;
		}
		list_add(v, json_string_value(item), json_string_length(item));
	}
	return true;
}

static void convert_commas(const char *s, struct config_value *v)
{
	while (*s) {
		size_t n;

		s += strspn(s, ", \t");
		n = strcspn(s, ", \t");
		if (n)
			list_add(v, s, n);
		s += n;
	}
}

static void join(struct config_value *v)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < v->list_len; i++)
		buf_printf(&b, "%s%s", i ? "," : "", v->list[i]);
	v->text = buf_steal(&b);
}

static bool convert_number(const struct config_key *k, struct config_value *v,
			   char *reason, size_t cap)
{
	bool ok, b;

	switch (k->type) {
	case CONFIG_BOOL:
		ok = config_parse_bool(v->text, &b);
		if (!ok)
			snprintf(reason, cap, "\"%s\" is not true or false",
				 v->text);
		else
			v->number = b;
		return ok;
	case CONFIG_SIZE:
		ok = config_parse_size(v->text, &v->number);
		if (!ok)
			snprintf(reason, cap, "\"%s\" is not a size such as "
				 "20GiB, 512M or 4096", v->text);
		break;
	case CONFIG_DURATION:
		ok = config_parse_duration(v->text, k->unit, &v->number);
		if (!ok)
			snprintf(reason, cap, "\"%s\" is not a duration such as "
				 "500ms, 30s or 5m", v->text);
		break;
	default:
		ok = parse_int(v->text, &v->number);
		if (!ok)
			snprintf(reason, cap, "\"%s\" is not a whole number",
				 v->text);
	}
	return ok && in_range(k, v->number, reason, cap);
}

bool config_convert(const struct config_load *l, const struct config_key *k,
		    const char *text, const json_t *list,
		    struct config_value *v, char *reason, size_t cap)
{
	char shown[256];

	if (k->type == CONFIG_LIST) {
		if (list && !convert_array(list, v, reason, cap))
			return false;
		if (!list)
			convert_commas(text, v);
		join(v);
		return true;
	}
	if (list) {
		snprintf(reason, cap, "a list where one value is expected");
		return false;
	}
	v->text = trimmed(text);
	switch (k->type) {
	case CONFIG_PATH:
		if (!one_of(k->values, v->text)) {
			free(v->text);
			v->text = config_expand(l, text);
		}
		return true;
	case CONFIG_URL:
		if (!is_http_url(v->text))
			snprintf(reason, cap, "\"%s\" is not an http:// or "
				 "https:// URL",
				 log_redact(v->text, shown, sizeof(shown)));
		return is_http_url(v->text);
	case CONFIG_ENUM:
		if (!one_of(k->values, v->text))
			snprintf(reason, cap, "\"%s\" is not one of %s",
				 v->text, k->values);
		return one_of(k->values, v->text);
	case CONFIG_STRING:
	case CONFIG_SECRET:
		free(v->text);
		v->text = xstrdup(text);
		return true;
	default:
		return convert_number(k, v, reason, cap);
	}
}

void config_value_done(struct config_value *v)
{
	size_t i;

	for (i = 0; i < v->list_len; i++)
		free(v->list[i]);
	free(v->list);
	free(v->text);
	free(v->origin_text);
	*v = (struct config_value){ 0 };
}
