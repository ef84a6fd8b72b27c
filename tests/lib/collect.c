/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/collect.h"

#include "core/buf.h"
#include "core/path.h"
#include "core/registry.h"
#include "core/spawn.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/stat.h>

/* -- the sink -------------------------------------------------------------- */

static struct collect_object *add(struct collect *c,
				  const struct scorpio_id *id)
{
	struct collect_object *o;

	c->objects = xrealloc(c->objects, (c->n + 1) * sizeof(*c->objects));
	o = &c->objects[c->n++];
	memset(o, 0, sizeof(*o));
	o->id = *id;
	return o;
}

/* NULL: it is time to stop. */
static struct collect_object *begin(struct collect *c,
				    const struct scorpio_id *id)
{
	struct collect_object *o;

	if (c->stop_at && c->n + 1 >= c->stop_at)
		return NULL;
	if (c->open >= 0)
		c->misuse = true;
	o = add(c, id);
	c->open = (long)c->n - 1;
	return o;
}

static struct collect_object *current(struct collect *c)
{
	if (c->open < 0) {
		c->misuse = true;
		abort();
	}
	return &c->objects[c->open];
}

static int on_tree_begin(void *ctx, const struct scorpio_id *id)
{
	struct collect_object *o = begin(ctx, id);

	if (!o)
		return ((struct collect *)ctx)->stop_code;
	o->tree = true;
	return 0;
}

static int on_tree_entry(void *ctx, const struct scorpio_entry *e)
{
	struct collect_object *o = current(ctx);
	size_t n = o->n_entries;

	if ((n & (n - 1)) == 0)
		o->entries = xrealloc(o->entries,
				      (n ? 2 * n : 1) * sizeof(*o->entries));
	o->entries[n].e = *e;
	o->entries[n].e.name = xstrndup(e->name, e->name_len);
	o->n_entries++;
	return 0;
}

static int on_end(void *ctx)
{
	struct collect *c = ctx;
	struct collect_object *o = current(c);

	if (o->blob && o->size != SCORPIO_SIZE_UNKNOWN && o->size != o->len)
		c->misuse = true;
	o->ended = true;
	c->open = -1;
	return 0;
}

static int on_blob_begin(void *ctx, const struct scorpio_id *id,
			 uint64_t size)
{
	struct collect_object *o = begin(ctx, id);

	if (!o)
		return ((struct collect *)ctx)->stop_code;
	o->blob = true;
	o->size = size;
	return 0;
}

static int on_blob_data(void *ctx, const void *data, uint64_t n)
{
	struct collect *c = ctx;
	struct collect_object *o = current(c);

	if (!c->limit || o->len + n <= c->limit) {
		o->data = xrealloc(o->data, o->len + n + 1);
		memcpy(o->data + o->len, data, n);
		o->data[o->len + n] = 0;
	}
	o->len += n;
	return 0;
}

static int on_abandon(void *ctx, int error)
{
	struct collect *c = ctx;

	current(c)->failed = error;
	c->open = -1;
	return 0;
}

static int on_size(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct collect_object *o = add(ctx, id);

	o->has_size = true;
	o->size = size;
	return 0;
}

static int on_failed(void *ctx, const struct scorpio_id *id, int error)
{
	struct collect *c = ctx;

	if (c->open >= 0)
		c->misuse = true;
	add(c, id)->failed = error;
	return 0;
}

void collect_init(struct collect *c)
{
	memset(c, 0, sizeof(*c));
	c->open = -1;
	c->sink = (struct scorpio_sink){
		.struct_size = sizeof(c->sink),
		.ctx = c,
		.tree_begin = on_tree_begin,
		.tree_entry = on_tree_entry,
		.tree_end = on_end,
		.blob_begin = on_blob_begin,
		.blob_data = on_blob_data,
		.blob_end = on_end,
		.abandon = on_abandon,
		.size = on_size,
		.failed = on_failed,
	};
}

void collect_done(struct collect *c)
{
	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; k < c->objects[i].n_entries; k++)
			free((char *)c->objects[i].entries[k].e.name);
		free(c->objects[i].entries);
		free(c->objects[i].data);
	}
	free(c->objects);
	memset(c, 0, sizeof(*c));
}

struct collect_object *collect_find(struct collect *c,
				    const struct scorpio_id *id)
{
	for (size_t i = 0; i < c->n; i++)
		if (memcmp(&c->objects[i].id, id, sizeof(*id)) == 0)
			return &c->objects[i];
	return NULL;
}

const struct scorpio_entry *collect_entry(struct collect_object *o,
					  const char *name)
{
	for (size_t i = 0; o && i < o->n_entries; i++)
		if (strcmp(o->entries[i].e.name, name) == 0)
			return &o->entries[i].e;
	return NULL;
}

static size_t count(const struct collect *c, bool trees)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->objects[i].ended &&
		     (trees ? c->objects[i].tree : c->objects[i].blob);
	return n;
}

size_t collect_trees(const struct collect *c)
{
	return count(c, true);
}

size_t collect_blobs(const struct collect *c)
{
	return count(c, false);
}

/* -- an instance ----------------------------------------------------------- */

static const char *setting(void *ctx, const char *key)
{
	struct bench *k = ctx;
	size_t n = strlen(key);

	for (const char *const *s = k->settings; s && *s; s++)
		if (strncmp(*s, key, n) == 0 && (*s)[n] == '=')
			return *s + n + 1;
	return NULL;
}

void bench_init(struct bench *k, const struct scorpio_backend *b,
		const char *const *settings)
{
	struct host_options o = { .name = "test", .get = setting, .ctx = k };

	memset(k, 0, sizeof(*k));
	k->b = b;
	k->settings = settings;
	snprintf(k->dir, sizeof(k->dir), "/tmp/scorpio-unit-XXXXXX");
	if (!mkdtemp(k->dir))
		abort();
	o.scratch_parent = k->dir;
	k->host = host_new(&o);
}

int bench_open(struct bench *k, const char *url)
{
	k->info = (struct scorpio_instance){ .struct_size = sizeof(k->info) };
	return k->b->open(k->host, url, host_config(k->host), NULL, &k->info,
			  &k->self);
}

void bench_close(struct bench *k)
{
	k->b->close(k->self);
	k->self = NULL;
}

void bench_done(struct bench *k)
{
	bench_close(k);
	host_free(k->host);
	free(shell("/", "rm -rf %s", k->dir));
}

int bench_list(struct bench *k, const struct scorpio_id *id,
	       struct collect *c)
{
	struct scorpio_ref ref = { .id = *id, .kind = SCORPIO_DIR };

	return k->b->list(k->self, &ref, 1, &c->sink);
}

int bench_fetch(struct bench *k, const struct scorpio_id *id, uint8_t kind,
		struct collect *c)
{
	struct scorpio_ref ref = { .id = *id, .kind = kind };

	return k->b->fetch(k->self, &ref, 1, &c->sink);
}

size_t bench_scratch_files(struct bench *k)
{
	const char *scratch = k->host->scratch(k->host);
	DIR *d = scratch ? opendir(scratch) : NULL;
	size_t n = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

/* -- shell lines ----------------------------------------------------------- */

static int take_output(void *ctx, const void *data, uint64_t n)
{
	struct buf *b = ctx;

	if (b->len + n < 64 * KiB)
		buf_put(b, data, n);
	return 0;
}

char *shell(const char *dir, const char *fmt, ...)
{
	static const char *const env[] = {
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Tester", "GIT_AUTHOR_EMAIL=t@example.org",
		"GIT_COMMITTER_NAME=Tester", "GIT_COMMITTER_EMAIL=t@example.org",
		"GIT_AUTHOR_DATE=1700000000 +0100",
		"GIT_COMMITTER_DATE=1700000000 +0100", NULL
	};
	const char *argv[] = { "bash", "-euc", NULL, NULL };
	struct scorpio_spawn x = { .struct_size = sizeof(x), .argv = argv,
				   .env = env, .cwd = dir };
	struct buf out = BUF_INIT;
	char *script = NULL;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	if (vasprintf(&script, fmt, ap) < 0)
		abort();
	va_end(ap);
	argv[2] = script;
	x.on_output = take_output;
	x.ctx = &out;
	rc = spawn_run(&x);
	if (rc || x.exit_status) {
		fprintf(stderr, "%s\nfailed (%d, exit %d): %s\n", script, rc,
			x.exit_status, x.error);
		abort();
	}
	free(script);
	if (out.len && out.data[out.len - 1] == '\n')
		out.len--;
	return buf_steal(&out);
}
