/* SPDX-License-Identifier: Apache-2.0 */
/* config_show.c - the configuration as text: `config show` and the template. */
#include "core/config_private.h"

#include "core/json.h"
#include "core/log.h"

#include <inttypes.h>
#include <strings.h>

#define HIDDEN "********"

/* -- TOML text -- */

/* A basic string: quotes, backslashes and control characters escaped; bytes
 * that are not UTF-8 cannot be written and become U+FFFD. */
static void put_quoted(struct buf *out, const char *s)
{
	size_t n = strlen(s), i, k;

	buf_putc(out, '"');
	for (i = 0; i < n; i += MAX(k, 1u)) {
		k = utf8_char(s + i, n - i);
		if (s[i] == '"' || s[i] == '\\')
			buf_printf(out, "\\%c", s[i]);
		else if ((uint8_t)s[i] < 0x20 || s[i] == 0x7f)
			buf_printf(out, "\\u%04x", (unsigned)s[i]);
		else if (k)
			buf_put(out, s + i, k);
		else
			buf_puts(out, "\xef\xbf\xbd");
	}
	buf_putc(out, '"');
}

static void put_list(struct buf *out, char *const *items, size_t n)
{
	size_t i;

	buf_putc(out, '[');
	for (i = 0; i < n; i++) {
		if (i)
			buf_puts(out, ", ");
		put_quoted(out, items[i]);
	}
	buf_putc(out, ']');
}

static bool is_bare(const struct config_key *k, const char *text)
{
	return k->type == CONFIG_INT || k->type == CONFIG_BOOL ||
	       (k->type == CONFIG_SIZE && !text[strspn(text, "0123456789")]);
}

/* A bare key if possible. */
static void put_key(struct buf *out, const char *s)
{
	if (*s && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")])
		buf_puts(out, s);
	else
		put_quoted(out, s);
}

/* The part behind the section. */
static const char *short_name(const struct config_key *k)
{
	const char *dot = strchr(k->name, '.');

	return dot ? dot + 1 : k->name;
}

/* "[section]" when it differs from that of the key before. */
static bool new_section(size_t i, char *buf, size_t cap)
{
	const char *name = config_keys[i].name;
	int n = (int)(short_name(&config_keys[i]) - name);

	snprintf(buf, cap, "%.*s", n ? n - 1 : 0, name);
	return n && (!i || strncmp(config_keys[i - 1].name, name, (size_t)n));
}

/* -- secrets -- */

bool config_name_is_secret(const char *name)
{
	static const char *const words[] = { "token", "password", "secret",
					     "header", "key", "bearer" };
	size_t i, n = strlen(name);

	/* where a secret is, is none */
	if (n > 5 && (!strcmp(name + n - 5, "_file") ||
		      !strcmp(name + n - 5, "_path")))
		return false;
	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

/* A URL that carries a login is shown without it. */
static const char *without_login(const char *text, char *buf, size_t cap)
{
	const char *host = strstr(text, "://");

	if (!host)
		return text;
	host += 3;
	if (!memchr(host, '@', strcspn(host, "/?#")))
		return text;
	return log_redact(text, buf, cap);
}

const char *config_shown(const struct config *c, const char *key, char *buf,
			 size_t cap)
{
	int i = config_find(key);
	const char *text;

	assert(i >= 0);
	text = c->values[i].text;
	if (!text)
		return NULL;
	if (config_keys[i].type == CONFIG_SECRET)
		return HIDDEN;
	return without_login(text, buf, cap);
}

/* -- show -- */

static void show_key(const struct config *c, size_t i, bool origin,
		     struct buf *out)
{
	const struct config_key *k = &config_keys[i];
	const struct config_value *v = &c->values[i];
	char section[64], buf[2048];
	const char *text = config_shown(c, k->name, buf, sizeof(buf));

	if (new_section(i, section, sizeof(section)))
		buf_printf(out, "\n[%s]\n", section);
	if (!text || k->type == CONFIG_SECRET)
		buf_puts(out, "# ");
	buf_printf(out, "%s = ", short_name(k));
	if (!text)
		buf_puts(out, "unset");
	else if (k->type == CONFIG_LIST)
		put_list(out, v->list, v->list_len);
	else if (is_bare(k, text))
		buf_puts(out, text);
	else
		put_quoted(out, text);
	if (origin)
		buf_printf(out, " # %s", config_origin_text(c, k->name));
	buf_putc(out, '\n');
}

static void show_pair(const struct config_pair *p, const char *name,
		      bool origin, struct buf *out)
{
	char buf[2048];

	if (config_name_is_secret(name))
		buf_puts(out, "# ");
	put_key(out, name);
	buf_puts(out, " = ");
	put_quoted(out, config_name_is_secret(name) ?
				HIDDEN :
				without_login(p->text, buf, sizeof(buf)));
	if (origin)
		buf_printf(out, " # %s", p->origin);
	buf_putc(out, '\n');
}

static void show_source(const struct config_source *s, bool origin,
			struct buf *out)
{
	char buf[2048];
	size_t i;

	buf_puts(out, "\n[source.");
	put_key(out, s->name);
	buf_puts(out, "]\n");
	if (s->url) {
		buf_puts(out, "url = ");
		put_quoted(out, without_login(s->url, buf, sizeof(buf)));
		buf_putc(out, '\n');
	}
	for (i = 0; i < s->pairs.n; i++)
		show_pair(&s->pairs.v[i], s->pairs.v[i].name, origin, out);
}

static void show_text(struct buf *out, const char *key, const char *text)
{
	char buf[2048];

	if (!text)
		return;
	buf_printf(out, "%s = ", key);
	put_quoted(out, without_login(text, buf, sizeof(buf)));
	buf_putc(out, '\n');
}

static void show_mount(const struct config_mount *m, struct buf *out)
{
	buf_puts(out, "\n[[mount]]\n");
	show_text(out, "source", m->source);
	show_text(out, "dir", m->dir);
	show_text(out, "rev", m->rev);
	show_text(out, "subdir", m->subdir);
	buf_printf(out, "ro = %s\n", m->ro ? "true" : "false");
}

/* "section.key" pairs of plugins, in file order. */
static void show_extras(const struct config *c, bool origin, struct buf *out)
{
	const char *before = "";
	size_t i;

	for (i = 0; i < c->extras.n; i++) {
		const struct config_pair *p = &c->extras.v[i];
		size_t n = strcspn(p->name, ".");
		cleanup_free char *section = xstrndup(p->name, n);

		if (strncmp(before, p->name, n + 1)) {
			buf_puts(out, "\n[");
			put_key(out, section);
			buf_puts(out, "]\n");
		}
		before = p->name;
		show_pair(p, p->name + n + 1, origin, out);
	}
}

void config_show(const struct config *c, bool origin, struct buf *out)
{
	size_t i;

	if (c->path)
		buf_printf(out, "# read from %s\n", c->path);
	else
		buf_puts(out, "# no configuration file\n");
	for (i = 0; i < config_keys_count; i++)
		show_key(c, i, origin, out);
	show_extras(c, origin, out);
	for (i = 0; i < c->sources_len; i++)
		show_source(&c->sources[i], origin, out);
	for (i = 0; i < c->mounts_len; i++)
		show_mount(&c->mounts[i], out);
}

/* -- template -- */

static const char head[] =
"# scorpio.toml - every key with its default.\n"
"#\n"
"# Remove the \"#\" in front of a key to set it. Precedence: command line,\n"
"# environment, this file, default. Values may be strings (\"3\") or native\n"
"# ones (3); a string of blanks counts as unset. `scorpio config show --origin`\n"
"# tells where each value comes from, `scorpio config validate` checks a file.\n"
"#\n"
"# Files are looked for in this order: -c FILE, $SCORPIO_CONFIG, ./scorpio.toml,\n"
"# $XDG_CONFIG_HOME/scorpio/scorpio.toml, /etc/scorpio/scorpio.toml. From a\n"
"# ./scorpio.toml that nobody named, keys that start programs or plugins are\n"
"# ignored (marked: only from a named file).\n"
"#\n"
"# Paths: \"~/\" is the home directory, <user> the user's name, <cache> is\n"
"# /var/cache/scorpio for root, else $XDG_CACHE_HOME/scorpio or ~/.cache/scorpio.\n"
"# Sizes: 4096, \"64K\", \"20GiB\" (powers of 1024), \"20GB\" (of 1000).\n"
"# Durations: \"500ms\", \"30s\", \"5m\", \"2h\", \"1d\".\n"
"#\n"
"# Keys marked (upstream) are understood so that existing files and images\n"
"# work; they matter only where the Mono source or the Antares API is in use.\n"
"# Such a file may also set them at its top, under the name given with them.\n";

static const char tail[] =
"\n"
"# -- one source -- settings for what lies at or below `url`; every key of the\n"
"# section of its backend may stand here, and others the backend knows\n"
"# [source.example]\n"
"# url = \"https://git.example.org/group\"\n"
"# token_file = \"~/.config/scorpio/example.token\"\n"
"# redirect = \"buck-out, target\"  # build output, on the local disk\n"
"\n"
"# -- a mount made when the daemon starts -- repeat for more\n"
"# [[mount]]\n"
"# source = \"git+https://git.example.org/group/project.git\"\n"
"# dir = \"~/project\"\n"
"# rev = \"main\"\n"
"# subdir = \"\"\n"
"# ro = true            # a plain view; unset: a workspace of git and mono\n";

static const char *type_word(const struct config_key *k)
{
	switch (k->type) {
	case CONFIG_STRING:
		return "text";
	case CONFIG_PATH:
		return "path";
	case CONFIG_URL:
		return "http(s) URL";
	case CONFIG_INT:
		return "number";
	case CONFIG_SIZE:
		return "size";
	case CONFIG_DURATION:
		return "duration";
	case CONFIG_BOOL:
		return "true or false";
	case CONFIG_LIST:
		return "list";
	case CONFIG_SECRET:
		return "secret text";
	case CONFIG_ENUM:
		break;
	}
	return "one of";
}

static void template_limits(const struct config_key *k, struct buf *out)
{
	bool number = k->type == CONFIG_INT || k->type == CONFIG_SIZE ||
		      k->type == CONFIG_DURATION;
	const char *unit = k->type == CONFIG_DURATION ? " ms" :
			   k->type == CONFIG_SIZE     ? " bytes" :
							"";

	if (k->values)
		buf_printf(out, " %s", k->values);
	if (k->unit)
		buf_printf(out, "; a bare number is in %s", k->unit);
	if (number && k->max == INT64_MAX)
		buf_printf(out, "; at least %" PRId64 "%s", k->min, unit);
	else if (number)
		buf_printf(out, "; %" PRId64 " to %" PRId64 "%s", k->min,
			   k->max, unit);
}

static void template_key(size_t i, struct buf *out)
{
	const struct config_key *k = &config_keys[i];
	const char *dflt = k->dflt ? k->dflt : "";

	buf_printf(out, "\n# %s%s%s\n# %s", k->doc,
		   k->flags & CONFIG_UPSTREAM ? " (upstream)" : "",
		   k->flags & CONFIG_UNTRUSTED ? " (only from a named file)" :
						 "", type_word(k));
	template_limits(k, out);
	buf_puts(out, k->dflt ? "" : "; unset by default");
	if (k->flat)
		buf_printf(out, "; at the top of the file: %s", k->flat);
	buf_printf(out, "\n#%s = ", short_name(k));
	if (k->type == CONFIG_LIST)
		buf_puts(out, "[]");
	else if (k->dflt && is_bare(k, dflt))
		buf_puts(out, dflt);
	else
		put_quoted(out, dflt);
	buf_putc(out, '\n');
}

void config_template(struct buf *out)
{
	char section[64];
	size_t i;

	buf_puts(out, head);
	for (i = 0; i < config_keys_count; i++) {
		if (new_section(i, section, sizeof(section)))
			buf_printf(out, "\n[%s]\n", section);
		template_key(i, out);
	}
	buf_puts(out, tail);
}
