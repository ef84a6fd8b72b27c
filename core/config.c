/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - loading, precedence and lookup. */
#include "core/config.h"

#include "core/config_private.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/id.h"
#include "core/path.h"
#include "core/toml.h"

#include <stdarg.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>

#define FILE_MAX_BYTES MiB
#define TOKEN_MAX_BYTES (64 * KiB)

/* -- problems -- */

static void add_line(struct buf *b, const char *where, const char *fmt,
		     va_list ap)
{
	cleanup_free char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	buf_printf(b, "%s: %s\n", where, text ? text : fmt);
}

void config_problem(struct config_load *l, const char *where, const char *fmt,
		    ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_line(&l->problems, where, fmt, ap);
	va_end(ap);
	l->problems_len++;
}

void config_warning(struct config_load *l, const char *where, const char *fmt,
		    ...)
{
	va_list ap;

	if (!l->o->warnings)
		return;
	va_start(ap, fmt);
	add_line(l->o->warnings, where, fmt, ap);
	va_end(ap);
}

/* The error text: the first problem, and how many more. */
static int problems_fail(struct config_load *l)
{
	const char *all = buf_str(&l->problems);
	int first = (int)strcspn(all, "\n");

	if (l->o->problems)
		buf_puts(l->o->problems, all);
	if (l->problems_len == 1)
		return fail(-EINVAL, "%.*s", first, all);
	return fail(-EINVAL, "%.*s (and %u more)", first, all,
		    l->problems_len - 1);
}

/* -- setting -- */

void config_set(struct config_load *l, size_t i, const char *text,
		const json_t *list, enum config_origin origin,
		const char *where)
{
	const struct config_key *k = &config_keys[i];
	struct config_value v = { 0 };
	char reason[512];

	if (list ? !json_array_size(list) : config_is_blank(text))
		return;
	if (!config_convert(l, k, text, list, &v, reason, sizeof(reason))) {
		config_value_done(&v);
		if (k->type == CONFIG_SECRET)
			snprintf(reason, sizeof(reason), "not usable");
		config_problem(l, where, "%s: %s", k->name, reason);
		return;
	}
	v.origin = origin;
	v.origin_text = xstrdup(where);
	config_value_done(&l->c->values[i]);
	l->c->values[i] = v;
}

void config_pairs_add(struct config_pairs *p, const char *name,
		      const char *text, const char *origin)
{
	p->v = xrealloc(p->v, (p->n + 1) * sizeof(*p->v));
	p->v[p->n++] = (struct config_pair){ xstrdup(name), xstrdup(text),
					     xstrdup(origin) };
}

const struct config_pair *config_pairs_find(const struct config_pairs *p,
					    const char *name)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (!strcmp(p->v[i].name, name))
			return &p->v[i];
	return NULL;
}

static void pairs_done(struct config_pairs *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].text);
		free(p->v[i].origin);
	}
	free(p->v);
}

static void set_defaults(struct config_load *l)
{
	unsigned before = l->problems_len;
	size_t i;

	for (i = 0; i < config_keys_count; i++)
		if (config_keys[i].dflt)
			config_set(l, i, config_keys[i].dflt, NULL,
				   CONFIG_DEFAULT, "default");
	assert(l->problems_len == before);
	(void)before;
}

/* SCORPIO_<NAME IN UPPER CASE>, dots as underscores */
static const char *upper(const char *name, char *buf, size_t cap)
{
	size_t n = (size_t)snprintf(buf, cap, "SCORPIO_%s", name), i;

	for (i = 0; i < MIN(n, cap - 1); i++)
		if (buf[i] == '.')
			buf[i] = '_';
		else if (buf[i] >= 'a' && buf[i] <= 'z')
			buf[i] = (char)(buf[i] - 'a' + 'A');
	return buf;
}

/* True if this variable is set and not blank. */
static bool set_from_env(struct config_load *l, size_t i, const char *name)
{
	const char *text = config_env(l, name);
	char where[160];

	if (!text || config_is_blank(text))
		return false;
	snprintf(where, sizeof(where), "environment %s", name);
	config_set(l, i, text, NULL, CONFIG_ENV, where);
	return true;
}

static bool set_standard_env(struct config_load *l, size_t i)
{
	const struct config_key *k = &config_keys[i];
	char name[128];

	return (k->flat &&
		set_from_env(l, i, upper(k->flat, name, sizeof(name)))) ||
	       set_from_env(l, i, upper(k->name, name, sizeof(name)));
}

/* The names of one key in order; "*" is where the standard ones stand. */
static void set_env(struct config_load *l, size_t i)
{
	const char *p = config_keys[i].env ? config_keys[i].env : "*";
	char name[128];

	while (*p) {
		size_t n = strcspn(p, " ");

		snprintf(name, sizeof(name), "%.*s", (int)n, p);
		if (!strcmp(name, "*") ? set_standard_env(l, i) :
					 set_from_env(l, i, name))
			return;
		p += n;
		p += strspn(p, " ");
	}
}

static void set_overrides(struct config_load *l)
{
	const char *const *o = l->o->overrides;

	for (; o && *o; o++) {
		size_t n = strcspn(*o, "=");
		cleanup_free char *key = xstrndup(*o, n);
		int i = config_find(key);

		if (i < 0 || !(*o)[n])
			config_problem(l, "command line",
				       "%s: no such key; write KEY=VALUE",
				       key);
		else
			config_set(l, (size_t)i, *o + n + 1, NULL, CONFIG_CLI,
				   "command line");
	}
}

/* -- loading -- */

static void parse_text(struct config_load *l, const char *text, size_t n)
{
	struct toml_error e = { 0 };
	char at[512];
	int r = toml_read(text, n, &l->root, &l->where, &e);

	if (!r) {
		config_file_apply(l);
		return;
	}
	snprintf(at, sizeof(at), "%s:%u:%u", l->file, e.line, e.column);
	config_problem(l, at, "%s", e.reason);
}

/* Everything above the file, then the verdict. Takes l->c. */
static int finish(struct config_load *l, struct config **ret)
{
	size_t i;
	int r = 0;

	for (i = 0; i < config_keys_count; i++)
		set_env(l, i);
	set_overrides(l);
	if (l->problems_len)
		r = problems_fail(l);
	if (r)
		config_put(l->c);
	else
		*ret = l->c;
	json_decref(l->root);
	json_decref(l->where);
	buf_done(&l->problems);
	return r;
}

static void begin(struct config_load *l, const struct config_options *o)
{
	*l = (struct config_load){ .o = o };
	l->c = xcalloc(1, sizeof(*l->c));
	l->c->refs = 1;
	l->c->values = xcalloc(config_keys_count, sizeof(*l->c->values));
	set_defaults(l);
}

int config_parse(const char *text, size_t n, const char *name,
		 const struct config_options *o, struct config **ret)
{
	static const struct config_options none;
	struct config_load l;

	begin(&l, o ? o : &none);
	l.file = name;
	parse_text(&l, text, n);
	return finish(&l, ret);
}

/* May a file that nobody named be believed? */
static bool may_trust(struct config_load *l, const char *path)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	if ((st.st_uid == geteuid() || !st.st_uid) && !(st.st_mode & 02))
		return true;
	config_warning(l, path, "not read: it belongs to another user or "
		       "anybody may write to it; name it with -c to use it");
	return false;
}

/* The file to read when none is named, or NULL. Caller frees. */
static char *find_file(struct config_load *l)
{
	const char *xdg = config_env(l, "XDG_CONFIG_HOME");
	cleanup_free char *own = NULL;

	if (may_trust(l, "scorpio.toml")) {
		l->chance = true;
		return xstrdup("scorpio.toml");
	}
	own = xdg && xdg[0] == '/' ?
		      xasprintf("%s/scorpio/scorpio.toml", xdg) :
		      config_expand(l, "~/.config/scorpio/scorpio.toml");
	if (!access(own, F_OK))
		return steal(&own);
	if (!access("/etc/scorpio/scorpio.toml", F_OK))
		return xstrdup("/etc/scorpio/scorpio.toml");
	return NULL;
}

static char *choose_file(struct config_load *l)
{
	const char *const *f = l->o->files;
	const char *named = NULL;

	for (; f && *f; f++)
		named = *f;
	if (!named && !l->o->no_default_files) {
		named = config_env(l, "SCORPIO_CONFIG");
		if (named && config_is_blank(named))
			named = NULL;
	}
	if (named)
		return xstrdup(named);
	return l->o->no_default_files ? NULL : find_file(l);
}

int config_load(const struct config_options *o, struct config **ret)
{
	static const struct config_options none;
	cleanup_free char *file = NULL, *text = NULL;
	struct config_load l;
	size_t n;
	int r;

	begin(&l, o ? o : &none);
	file = choose_file(&l);
	if (!file)
		return finish(&l, ret);
	r = path_read(file, FILE_MAX_BYTES, &text, &n);
	if (r) {
		if (l.o->problems)
			buf_printf(l.o->problems, "%s\n", error_text(r));
		config_put(l.c);
		buf_done(&l.problems);
		return fail_prefix(r, "cannot read the configuration");
	}
	l.file = file;
	l.c->path = path_absolute(file);
	parse_text(&l, text, n);
	return finish(&l, ret);
}

struct config *config_get(struct config *c)
{
	if (c)
		__atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

static void free_mounts(struct config *c)
{
	size_t i;

	for (i = 0; i < c->mounts_len; i++) {
		free((char *)c->mounts[i].source);
		free((char *)c->mounts[i].dir);
		free((char *)c->mounts[i].rev);
		free((char *)c->mounts[i].subdir);
	}
	free(c->mounts);
}

void config_put(struct config *c)
{
	size_t i;

	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (i = 0; i < config_keys_count; i++)
		config_value_done(&c->values[i]);
	for (i = 0; i < c->sources_len; i++) {
		free(c->sources[i].name);
		free(c->sources[i].url);
		pairs_done(&c->sources[i].pairs);
	}
	pairs_done(&c->extras);
	free_mounts(c);
	free(c->sources);
	free(c->values);
	free(c->path);
	free(c);
}

/* -- lookup -- */

static const struct config_value *value(const struct config *c, const char *key)
{
	int i = config_find(key);

	assert(i >= 0);
	return &c->values[i];
}

const char *config_path(const struct config *c)
{
	return c->path;
}

const char *config_string(const struct config *c, const char *key)
{
	return value(c, key)->text;
}

int64_t config_int(const struct config *c, const char *key)
{
	const struct config_value *v = value(c, key);

	return v->text ? v->number : -1;
}

bool config_bool(const struct config *c, const char *key)
{
	return value(c, key)->number > 0;
}

size_t config_list(const struct config *c, const char *key,
		   const char *const **ret)
{
	static const char *const none[] = { NULL };
	const struct config_value *v = value(c, key);

	*ret = v->list ? (const char *const *)v->list : none;
	return v->list_len;
}

enum config_origin config_origin(const struct config *c, const char *key)
{
	return value(c, key)->origin;
}

bool config_is_set(const struct config *c, const char *key)
{
	return value(c, key)->origin != CONFIG_DEFAULT;
}

const char *config_origin_text(const struct config *c, const char *key)
{
	const char *s = value(c, key)->origin_text;

	return s ? s : "default";
}

/* -- sources and mounts -- */

const struct config_source *config_source_by_name(const struct config *c,
						  const char *name)
{
	size_t i;

	for (i = 0; i < c->sources_len; i++)
		if (!strcmp(c->sources[i].name, name))
			return &c->sources[i];
	return NULL;
}

/* "git+https://..." without "git+" */
static const char *without_backend(const char *url)
{
	size_t n = strcspn(url, "+:/");

	return url[n] == '+' ? url + n + 1 : url;
}

/* The length of `parent` if it equals or holds `url`, else 0. */
static size_t covers(const char *parent, const char *url)
{
	size_t n;

	if (without_backend(parent) == parent)
		url = without_backend(url);
	n = strlen(parent);
	while (n && parent[n - 1] == '/')
		n--;
	if (!n || strncmp(parent, url, n))
		return 0;
	return !url[n] || url[n] == '/' || !strcmp(url + n, ".git") ? n : 0;
}

const struct config_source *config_source_by_url(const struct config *c,
						 const char *url)
{
	const struct config_source *best = NULL;
	size_t i, n, most = 0;

	for (i = 0; i < c->sources_len; i++) {
		n = c->sources[i].url ? covers(c->sources[i].url, url) : 0;
		if (n > most) {
			most = n;
			best = &c->sources[i];
		}
	}
	return best;
}

const char *config_source_name(const struct config_source *s)
{
	return s->name;
}

const char *config_source_url(const struct config_source *s)
{
	return s->url;
}

void config_source_each(const struct config *c,
			void (*fn)(void *ctx, const struct config_source *s),
			void *ctx)
{
	size_t i;

	for (i = 0; i < c->sources_len; i++)
		fn(ctx, &c->sources[i]);
}

/* "section.key" of the table or of a plugin's section */
static const char *view_full(const struct config *c, const char *name)
{
	const struct config_pair *p;
	int i = config_find(name);

	if (i >= 0)
		return c->values[i].text;
	p = config_pairs_find(&c->extras, name);
	return p ? p->text : NULL;
}

const char *config_view_get(void *view, const char *key)
{
	const struct config_view *v = view;
	const struct config_pair *p =
		v->source ? config_pairs_find(&v->source->pairs, key) : NULL;
	const char *found = p ? p->text : NULL;

	if (!found && v->backend) {
		cleanup_free char *name = xasprintf("%s.%s", v->backend, key);

		found = view_full(v->config, name);
	}
	if (!found && strchr(key, '.'))
		found = view_full(v->config, key);
	return found;
}

size_t config_mounts(const struct config *c, const struct config_mount **ret)
{
	*ret = c->mounts;
	return c->mounts_len;
}

/* -- derived -- */

char *config_socket(const struct config *c)
{
	const char *set = config_string(c, "server.socket");
	const char *store = config_string(c, "server.store_path");
	char hex[2 * SHA256_LEN + 1];
	uint8_t digest[SHA256_LEN];

	if (set)
		return xstrdup(set);
	if (strlen(store) + strlen("/scorpio.sock") <
	    sizeof(((struct sockaddr_un *)0)->sun_path))
		return xasprintf("%s/scorpio.sock", store);
	hash_bytes(HASH_SHA256, store, strlen(store), digest);
	hex_encode(digest, 8, hex);
	return xasprintf("/tmp/scorpio-%u/%s.sock", geteuid(), hex);
}

int config_token(const struct config *c, char **ret)
{
	const char *token = config_string(c, "server.token");
	const char *file = config_string(c, "server.token_file");
	char *text;
	int r;

	if (token || !file) {
		*ret = token ? xstrdup(token) : NULL;
		return 0;
	}
	r = path_read(file, TOKEN_MAX_BYTES, &text, NULL);
	if (r)
		return fail_prefix(r, "server.token_file");
	text[strcspn(text, "\r\n")] = '\0';
	if (config_is_blank(text)) {
		free(text);
		return fail(-EINVAL, "server.token_file: %s is empty", file);
	}
	*ret = text;
	return 0;
}
