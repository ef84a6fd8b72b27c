/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_file.c - what a TOML file says. Flat keys first, then sections, so
 * that the section form wins; then [source.NAME], [[mount]] and sections of
 * plugins.
 */
#include "core/config_private.h"

#include "core/json.h"

#include <strings.h>

#define TABLES_MAX 1000

/* -- places -- */

/* "file:line:column" of a JSON pointer */
static const char *place(const struct config_load *l, const char *pointer,
			 char *buf, size_t cap)
{
	int64_t at = json_get_int(l->where, pointer, 1 << 16 | 1);

	snprintf(buf, cap, "%s:%d:%d", l->file, (int)(at >> 16),
		 (int)(at & 0xffff));
	return buf;
}

static unsigned line_of(const struct config_load *l, const char *pointer)
{
	return (unsigned)(json_get_int(l->where, pointer, 1 << 16) >> 16);
}

/* parent + "/" + key, escaped as RFC 6901 wants. Caller frees. */
static char *pointer_to(const char *parent, const char *key)
{
	struct buf b = BUF_INIT;

	buf_printf(&b, "%s/", parent);
	for (; *key; key++) {
		if (*key == '~')
			buf_puts(&b, "~0");
		else if (*key == '/')
			buf_puts(&b, "~1");
		else
			buf_putc(&b, (uint8_t)*key);
	}
	return buf_steal(&b);
}

/* -- suggestions -- */

#define WORD_MAX 40

static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1], diagonal, above;
	size_t n = strlen(a), m = strlen(b), i, j;

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= m; j++)
		row[j] = (unsigned)j;
	for (i = 1; i <= n; i++) {
		diagonal = row[0];
		row[0] = (unsigned)i;
		for (j = 1; j <= m; j++) {
			above = row[j];
			row[j] = MIN(MIN(above, row[j - 1]) + 1,
				     diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[m];
}

/* The name in this section ("" = top level) most like `key`, or NULL. */
static const char *nearest(const char *section, const char *key)
{
	size_t i, n = strlen(section);
	const char *best = NULL;
	unsigned least = 3, d;

	for (i = 0; i < config_keys_count; i++) {
		const struct config_key *k = &config_keys[i];
		const char *name = NULL;

		if (!n)
			name = k->flat ? k->flat :
			       strchr(k->name, '.') ? NULL : k->name;
		else if (!strncmp(k->name, section, n) && k->name[n] == '.')
			name = k->name + n + 1;
		if (!name)
			continue;
		d = distance(key, name);
		if (d < least) {
			least = d;
			best = name;
		}
	}
	return best;
}

static void unknown_key(struct config_load *l, const char *section,
			const char *key, const char *at, bool fatal)
{
	const char *near = nearest(section, key);
	char hint[100] = "";

	if (near)
		snprintf(hint, sizeof(hint), "; did you mean %s?", near);
	if (fatal)
		config_problem(l, at, "unknown key %s in [%s]%s", key, section,
			       hint);
	else
		config_warning(l, at, "unknown key %s%s%s is ignored%s",
			       section, *section ? "." : "", key, hint);
}

/* -- keys of the table -- */

static const char *kind_of(const json_t *v)
{
	return json_is_object(v) ? "a table" :
	       json_is_array(v)	 ? "a list" :
				   "a date or time";
}

static void apply_key(struct config_load *l, int i, const json_t *v,
		      const char *at)
{
	const struct config_key *k = &config_keys[i];
	cleanup_free char *text = config_scalar(v);
	bool list = json_is_array(v) && k->type == CONFIG_LIST;

	if (l->chance && (k->flags & CONFIG_UNTRUSTED)) {
		config_warning(l, at, "%s is ignored in a file that was only "
			       "found in the working directory; name the file "
			       "with -c to allow it", k->name);
		return;
	}
	if (!text && !list) {
		config_problem(l, at, "%s: %s where one value is expected",
			       k->name, kind_of(v));
		return;
	}
	config_set(l, (size_t)i, text, list ? v : NULL, CONFIG_FILE, at);
}

static void apply_flat(struct config_load *l)
{
	const char *key;
	json_t *v;
	char at[512];

	json_object_foreach (l->root, key, v) {
		cleanup_free char *ptr = pointer_to("", key);
		int i = strchr(key, '.') ? -1 : config_find(key);

		if (json_is_object(v) && i < 0)
			continue; /* a section */
		if (!strcmp(key, "mount") && json_is_array(v))
			continue;
		place(l, ptr, at, sizeof(at));
		if (i < 0)
			unknown_key(l, "", key, at, false);
		else
			apply_key(l, i, v, at);
	}
}

static bool upstream_section(const char *s)
{
	return !strcmp(s, "server") || !strcmp(s, "dicfuse") ||
	       !strcmp(s, "antares") || !strcmp(s, "mst2");
}

static bool known_section(const char *s)
{
	size_t n = strlen(s), i;

	for (i = 0; i < config_keys_count; i++)
		if (!strncmp(config_keys[i].name, s, n) &&
		    config_keys[i].name[n] == '.')
			return true;
	return false;
}

static void apply_section(struct config_load *l, const char *section,
			  const json_t *table)
{
	cleanup_free char *parent = pointer_to("", section);
	const char *key;
	json_t *v;
	char at[512];

	json_object_foreach ((json_t *)table, key, v) {
		cleanup_free char *ptr = pointer_to(parent, key);
		cleanup_free char *name = xasprintf("%s.%s", section, key);
		int i = config_find(name);
		const char *flat = i < 0 ? NULL : config_keys[i].flat;

		place(l, ptr, at, sizeof(at));
		if (i < 0) {
			unknown_key(l, section, key, at,
				    !upstream_section(section));
			continue;
		}
		if (flat && json_object_get(l->root, flat))
			config_warning(l, at, "%s and %s are both set; %s is "
				       "used", name, flat, name);
		apply_key(l, i, v, at);
	}
}

/* -- free tables: of sources and plugins -- */

/* A list of strings as "a,b"; NULL for anything else. */
static char *list_text(const json_t *v)
{
	struct buf b = BUF_INIT;
	const json_t *item;
	size_t i;

	if (!json_is_array(v))
		return NULL;
	json_array_foreach (v, i, item) {
		cleanup_free char *s = config_scalar(item);

		if (!s) {
			buf_done(&b);
			return NULL;
		}
		buf_printf(&b, "%s%s", i ? "," : "", s);
	}
	return buf_steal(&b);
}

/* Names a program or a plugin, as the key of that name in our table does. */
static bool untrusted(const char *key)
{
	size_t i;

	for (i = 0; i < config_keys_count; i++) {
		const char *dot = strchr(config_keys[i].name, '.');

		if ((config_keys[i].flags & CONFIG_UNTRUSTED) && dot &&
		    !strcmp(dot + 1, key))
			return true;
	}
	return false;
}

static void apply_pair(struct config_load *l, struct config_pairs *out,
		       const char *name, const char *key, const json_t *v,
		       const char *at)
{
	cleanup_free char *text = config_scalar(v);

	if (!text)
		text = list_text(v);
	if (!text)
		config_problem(l, at, "%s: %s where a value is expected", key,
			       json_is_array(v) ? "a list of other than values" :
						  kind_of(v));
	else if (l->chance && untrusted(key))
		config_warning(l, at, "%s is ignored in a file that was only "
			       "found in the working directory; name the file "
			       "with -c to allow it", key);
	else if (!config_is_blank(text))
		config_pairs_add(out, name, text, at);
}

static void apply_source(struct config_load *l, const char *name,
			 const json_t *table, const char *parent)
{
	struct config *c = l->c;
	struct config_source *s;
	const char *key;
	json_t *v;
	char at[512];

	c->sources = xrealloc(c->sources,
			      (c->sources_len + 1) * sizeof(*c->sources));
	s = &c->sources[c->sources_len++];
	*s = (struct config_source){ .name = xstrdup(name) };
	json_object_foreach ((json_t *)table, key, v) {
		cleanup_free char *ptr = pointer_to(parent, key);

		place(l, ptr, at, sizeof(at));
		if (strcmp(key, "url"))
			apply_pair(l, &s->pairs, key, key, v, at);
		else if (!json_is_string(v))
			config_problem(l, at, "url is not a string");
		else if (!config_is_blank(json_string_value(v)))
			s->url = xstrdup(json_string_value(v));
	}
}

static void apply_sources(struct config_load *l, const json_t *tables)
{
	const char *name;
	json_t *v;
	char at[512];

	if (json_object_size(tables) > TABLES_MAX) {
		config_problem(l, place(l, "/source", at, sizeof(at)),
			       "more than %d sources", TABLES_MAX);
		return;
	}
	json_object_foreach ((json_t *)tables, name, v) {
		cleanup_free char *ptr = pointer_to("/source", name);

		if (json_is_object(v))
			apply_source(l, name, v, ptr);
		else
			config_problem(l, place(l, ptr, at, sizeof(at)),
				       "source.%s is not a table; write "
				       "[source.NAME]", name);
	}
}

static void apply_plugin_section(struct config_load *l, const char *section,
				 const json_t *table)
{
	cleanup_free char *parent = pointer_to("", section);
	const char *key;
	json_t *v;
	char at[512];

	place(l, parent, at, sizeof(at));
	if (l->chance) {
		config_warning(l, at, "section [%s] is ignored in a file that "
			       "was only found in the working directory",
			       section);
		return;
	}
	config_warning(l, at, "section [%s] is none of the daemon's; kept for "
		       "a backend or plugin of that name", section);
	json_object_foreach ((json_t *)table, key, v) {
		cleanup_free char *ptr = pointer_to(parent, key);
		cleanup_free char *name = xasprintf("%s.%s", section, key);

		place(l, ptr, at, sizeof(at));
		apply_pair(l, &l->c->extras, name, key, v, at);
	}
}

/* -- [[mount]] -- */

static char *mount_text(struct config_load *l, const char *key,
			const json_t *v, const char *at)
{
	if (json_is_string(v))
		return config_is_blank(json_string_value(v)) ?
			       NULL :
			       xstrdup(json_string_value(v));
	config_problem(l, at, "%s is not a string", key);
	return NULL;
}

static void mount_key(struct config_load *l, struct config_mount *m,
		      const char *key, const json_t *v, const char *at)
{
	const char **text = !strcmp(key, "source") ? &m->source :
			    !strcmp(key, "dir")	   ? &m->dir :
			    !strcmp(key, "rev")	   ? &m->rev :
			    !strcmp(key, "subdir") ? &m->subdir :
						     NULL;
	cleanup_free char *scalar = config_scalar(v);

	if (text)
		*text = mount_text(l, key, v, at);
	else if (strcmp(key, "ro"))
		config_problem(l, at, "unknown key %s in [[mount]]; it takes "
			       "source, dir, rev, subdir and ro", key);
	else if (!scalar || !config_parse_bool(scalar, &m->ro))
		config_problem(l, at, "ro is not true or false");
}

static void apply_mount(struct config_load *l, const json_t *table, size_t i)
{
	cleanup_free char *parent = xasprintf("/mount/%zu", i);
	struct config_mount m = { .line = line_of(l, parent) };
	struct config *c = l->c;
	const char *key;
	json_t *v;
	char at[512];

	json_object_foreach ((json_t *)table, key, v) {
		cleanup_free char *ptr = pointer_to(parent, key);

		mount_key(l, &m, key, v, place(l, ptr, at, sizeof(at)));
	}
	place(l, parent, at, sizeof(at));
	if (!m.source)
		config_problem(l, at, "[[mount]] without source");
	if (!m.dir)
		config_problem(l, at, "[[mount]] without dir");
	if (m.dir) {
		char *dir = config_expand(l, m.dir);

		free((char *)m.dir);
		m.dir = dir;
	}
	c->mounts = xrealloc(c->mounts,
			     (c->mounts_len + 1) * sizeof(*c->mounts));
	c->mounts[c->mounts_len++] = m;
}

static void apply_mounts(struct config_load *l, const json_t *list)
{
	const json_t *v;
	char at[512];
	size_t i;

	place(l, "/mount", at, sizeof(at));
	if (json_array_size(list) > TABLES_MAX) {
		config_problem(l, at, "more than %d mounts", TABLES_MAX);
		return;
	}
	json_array_foreach (list, i, v) {
		if (json_is_object(v))
			apply_mount(l, v, i);
		else
			config_problem(l, at, "mount is not a list of tables; "
				       "write [[mount]]");
	}
}

void config_file_apply(struct config_load *l)
{
	const char *key;
	json_t *v;
	char at[512];

	apply_flat(l);
	json_object_foreach (l->root, key, v) {
		if (!strcmp(key, "mount") && json_is_array(v))
			apply_mounts(l, v);
		if (!json_is_object(v) || config_find(key) >= 0)
			continue; /* the second is a problem already noted */
		if (!strcmp(key, "mount"))
			config_problem(l, place(l, "/mount", at, sizeof(at)),
				       "mount is a list: write [[mount]]");
		else if (!strcmp(key, "source"))
			apply_sources(l, v);
		else if (known_section(key))
			apply_section(l, key, v);
		else
			apply_plugin_section(l, key, v);
	}
}
