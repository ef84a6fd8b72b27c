/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/liar.h"

#include "backends/builtin.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/id.h"
#include "core/path.h"
#include "core/registry.h"

#include <check.h>
#undef fail /* of check.h */

struct liar liar = { .m = PTHREAD_MUTEX_INITIALIZER };
static char dir[] = "/tmp/liar.XXXXXX";
static struct store *store;
static const struct scorpio_host *host;

/* -- content --------------------------------------------------------------- */

int liar_text(unsigned i, char buf[64])
{
	return snprintf(buf, 64, "this is file %u of the liar\n", i);
}

struct scorpio_id liar_file(unsigned i)
{
	uint8_t digest[SHA256_LEN];
	char text[64];
	int n = liar_text(i, text);

	hash_bytes(HASH_SHA256, text, (size_t)n, digest);
	return id_make(digest, sizeof(digest));
}

struct scorpio_id liar_root(void)
{
	return id_make("the root of the liar", 20);
}

/* -- the backend ----------------------------------------------------------- */

static int liar_be_open(const struct scorpio_host *h, const char *url,
			const struct scorpio_config *config,
			const struct scorpio_next *next,
			struct scorpio_instance *info, void **ret_self)
{
	(void)config;
	(void)next;
	if (strstr(url, "refuse"))
		return h->fail(h, -EACCES, "liar: refused");
	host = h;
	if (liar.local)
		info->flags |= SCORPIO_INSTANCE_LOCAL;
	*ret_self = &liar;
	return 0;
}

static void liar_be_close(void *self UNUSED)
{
	lock_scope(&liar.m);
	liar.closed++;
}

/* The start of each call. */
static int enter(uint32_t n, enum lie *ret)
{
	int64_t until;
	int r;

	pthread_mutex_lock(&liar.m);
	liar.calls++;
	liar.refs += n;
	liar.running++;
	liar.most_running = MAX(liar.most_running, liar.running);
	pthread_cond_broadcast(&liar.c);
	while (liar.lie == LIE_HANG && !liar.released)
		cond_wait_until(&liar.c, &liar.m, deadline_in_ms(10));
	until = deadline_in_ms(liar.delay_ms);
	while (liar.delay_ms && now_ns() < until)
		cond_wait_until(&liar.c, &liar.m, until);
	*ret = liar.lie;
	if (liar.lie == LIE_CONTENT_ONCE) {
		*ret = LIE_CONTENT;
		liar.lie = HONEST;
	}
	r = liar.error;
	pthread_mutex_unlock(&liar.m);
	return r ? fail(r, "the server of lies is out") : 0;
}

static int leave(int r)
{
	lock_scope(&liar.m);
	liar.running--;
	return r;
}

static int liar_be_resolve(void *self UNUSED, const char *spec,
			   struct scorpio_revision *ret)
{
	enum lie lie;
	int r = enter(0, &lie);

	if (!r && !strcmp(spec, "none"))
		r = fail(-ENOENT, "liar: no revision \"none\"");
	if (!r && lie == LIE_POSITIVE)
		r = 5;
	if (!r && lie != LIE_SILENT) {
		ret->root = liar_root();
		ret->kind = SCORPIO_DIR;
		ret->time_ns = 17;
		snprintf(ret->text, sizeof(ret->text), "rev-%s", spec);
	}
	return leave(r);
}

static int entry(const struct scorpio_sink *k, unsigned i, const char *name)
{
	struct scorpio_entry e = { .mode = 0644, .kind = SCORPIO_FILE };
	char buf[64];

	snprintf(buf, sizeof(buf), "file%u", i);
	e.id = liar_file(i);
	e.name = name ? name : buf;
	e.name_len = (uint32_t)strlen(e.name);
	e.size = SCORPIO_SIZE_UNKNOWN;
	e.mtime_ns = SCORPIO_TIME_UNKNOWN;
	return k->tree_entry(k->ctx, &e);
}

static int pour_root(const struct scorpio_sink *k, enum lie lie)
{
	struct scorpio_id id = liar_root();
	unsigned i;
	int r = 0;

	if (lie != LIE_ENTRY)
		r = k->tree_begin(k->ctx, &id);
	for (i = 0; !r && i < LIAR_FILES; i++)
		r = entry(k, i, NULL);
	if (!r && lie == LIE_DUPLICATE)
		r = entry(k, 0, NULL);
	if (!r && lie == LIE_DOTDOT)
		r = entry(k, 0, "..");
	return r ? r : k->tree_end(k->ctx);
}

static int liar_be_list(void *self UNUSED, const struct scorpio_ref *refs,
			uint32_t n, const struct scorpio_sink *k)
{
	enum lie lie;
	int r = enter(n, &lie);
	uint32_t i;

	for (i = 0; !r && i < n && lie != LIE_SILENT; i++) {
		struct scorpio_id root = liar_root();

		if (!id_equal(&refs[i].id, &root))
			r = k->failed(k->ctx, &refs[i].id, -ENOENT);
		else
			r = pour_root(k, lie);
	}
	return leave(r);
}

static int pour_lie(const struct scorpio_sink *k, const struct scorpio_id *id,
		    const char *text, uint64_t n, enum lie lie)
{
	uint64_t size = n, sent = n;
	int r = 0;

	if (lie == LIE_LONG)
		size = n - 3;
	if (lie == LIE_SHORT)
		sent = n - 3;
	if (lie != LIE_NO_BEGIN)
		r = k->blob_begin(k->ctx, id, size);
	if (!r && lie == LIE_NEST)
		r = k->blob_begin(k->ctx, id, size);
	if (!r)
		r = k->blob_data(k->ctx, text, sent);
	if (r || lie == LIE_NO_BLOB_END)
		return r;
	if (lie == LIE_ABANDON)
		return k->abandon(k->ctx, -EACCES);
	return k->blob_end(k->ctx);
}

static int pour_file(const struct scorpio_sink *k, unsigned i, enum lie lie)
{
	struct scorpio_id id = liar_file(i);
	char text[64];
	int n = liar_text(i, text);

	if (lie == LIE_CONTENT)
		text[0] = 'T';
	if (lie == LIE_BAD_ID)
		id.len = 200;
	return pour_lie(k, &id, text, (uint64_t)n, lie);
}

struct other { /* pours on another thread */
	const struct scorpio_sink *sink;
	unsigned i;
	int result;
};

static void *other_thread(void *arg)
{
	struct other *o = arg;

	o->result = pour_file(o->sink, o->i, HONEST);
	return NULL;
}

static int pour_elsewhere(const struct scorpio_sink *k, unsigned i)
{
	struct other o = { k, i, 0 };
	pthread_t t;

	pthread_create(&t, NULL, other_thread, &o);
	pthread_join(t, NULL);
	return o.result;
}

static int find_file(const struct scorpio_id *id)
{
	unsigned i;

	for (i = 0; i < LIAR_FILES; i++) {
		struct scorpio_id mine = liar_file(i);

		if (id_equal(id, &mine))
			return (int)i;
	}
	return -1;
}

static int pour_all(const struct scorpio_sink *k)
{
	unsigned i;
	int r = 0;

	for (i = 0; !r && i < LIAR_FILES; i++)
		r = pour_file(k, i, HONEST);
	return r;
}

static int liar_be_fetch(void *self UNUSED, const struct scorpio_ref *refs,
			 uint32_t n, const struct scorpio_sink *k)
{
	enum lie lie;
	int r = enter(n, &lie), file;
	uint32_t i;

	if (!r && lie == LIE_EXTRA)
		return leave(pour_all(k));
	for (i = 0; !r && i < n && lie != LIE_SILENT; i++) {
		file = find_file(&refs[i].id);
		if (file < 0)
			r = k->failed(k->ctx, &refs[i].id, -ENOENT);
		else if (lie == LIE_THREAD)
			r = pour_elsewhere(k, (unsigned)file);
		else
			r = pour_file(k, (unsigned)file, lie);
	}
	if (!r && lie == LIE_POSITIVE)
		r = 5;
	return leave(r);
}

static int64_t liar_be_xattr(void *self UNUSED,
			     const struct scorpio_ref *ref UNUSED,
			     const char *name, void *buf, uint64_t cap)
{
	if (!strcmp(name, "long")) {
		memset(buf, 'l', MIN(cap, LIAR_LONG));
		return LIAR_LONG;
	}
	if (strcmp(name, "truth"))
		return fail(-ENODATA, "liar: no such attribute");
	memcpy(buf, "none", MIN(cap, 4u));
	return 4;
}

/* -- the layer ------------------------------------------------------------- */

struct upper {
	const struct scorpio_next *next;
};

static int upper_open(const struct scorpio_host *h, const char *url UNUSED,
		      const struct scorpio_config *config UNUSED,
		      const struct scorpio_next *next,
		      struct scorpio_instance *info, void **ret_self)
{
	struct upper *u;

	if (!next)
		return h->fail(h, -EINVAL, "upper: needs a source below");
	u = xcalloc(1, sizeof(*u));
	u->next = next;
	info->id_space = "upper";
	*ret_self = u;
	return 0;
}

static void count_upper(void)
{
	lock_scope(&liar.m);
	liar.upper_calls++;
}

static int upper_resolve(void *self, const char *spec,
			 struct scorpio_revision *ret)
{
	struct upper *u = self;
	int r = u->next->ops->resolve(u->next->self, spec, ret);

	count_upper();
	if (!r)
		snprintf(ret->label, sizeof(ret->label), "through the layer");
	return r;
}

static int upper_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		      const struct scorpio_sink *sink)
{
	struct upper *u = self;

	count_upper();
	return u->next->ops->list(u->next->self, refs, n, sink);
}

static int upper_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		       const struct scorpio_sink *sink)
{
	struct upper *u = self;

	count_upper();
	return u->next->ops->fetch(u->next->self, refs, n, sink);
}

static struct scorpio_backend liar_backend = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "liar",
	.schemes = "liar",
	.id_kind = SCORPIO_ID_SHA256,
	.open = liar_be_open,
	.close = liar_be_close,
	.resolve = liar_be_resolve,
	.list = liar_be_list,
	.fetch = liar_be_fetch,
	.xattr = liar_be_xattr,
};

static const struct scorpio_backend upper_backend = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "upper",
	.threads = SCORPIO_THREADS_PARALLEL,
	.flags = SCORPIO_BACKEND_LAYER,
	.id_kind = SCORPIO_ID_SHA256,
	.open = upper_open,
	.close = free,
	.resolve = upper_resolve,
	.list = upper_list,
	.fetch = upper_fetch,
};

/* -- for the tests --------------------------------------------------------- */

void liar_setup(void)
{
	struct store_options o = { .max_bytes = 64 * MiB };
	size_t i;

	cond_init(&liar.c);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	o.path = xasprintf("%s/store", dir);
	ck_assert_int_eq(store_open(&o, &store), 0);
	free((char *)o.path);
	for (i = 0; builtin_backends[i]; i++)
		ck_assert_int_eq(registry_add(builtin_backends[i], "test"), 0);
	liar_backend.threads = liar.threads;
	ck_assert_int_eq(registry_add(&liar_backend, "test"), 0);
	ck_assert_int_eq(registry_add(&upper_backend, "test"), 0);
}

void liar_teardown(void)
{
	store_close(store);
	registry_reset();
	path_empty_dir(dir);
	rmdir(dir);
}

struct store *liar_store(void)
{
	return store;
}

const char *liar_dir(void)
{
	return dir;
}

struct source *liar_open(struct source_options o)
{
	struct source *s = NULL;
	int r;

	o.store = store;
	if (!o.url)
		o.url = "liar+x";
	r = source_open(&o, &s);
	ck_assert_msg(!r, "%s", error_text(r));
	return s;
}

int liar_need(struct source *s, enum want_kind kind,
	      const struct scorpio_id *id)
{
	struct scorpio_ref ref = { .id = *id };

	return source_need(s, kind, &ref, WANT_DEMAND, deadline_in_ms(5000));
}

char *liar_read(struct source *s, const struct scorpio_id *id, size_t *ret_len)
{
	struct store_key k = store_key(source_space(s), id);
	struct store_reader r;
	struct blob_info info;
	char *text = NULL;

	ck_assert_int_eq(store_read_begin(source_store(s), &r), 0);
	if (store_blob(&r, &k, &info) == 0 && info.has_content) {
		text = xcalloc(1, info.size + 1);
		*ret_len = info.size;
		ck_assert_int_eq(store_blob_read(&r, &k, 0, text, info.size),
				 (int64_t)info.size);
	}
	store_read_end(&r);
	return text;
}
