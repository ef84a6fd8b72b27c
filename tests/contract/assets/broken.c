/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broken.c - a backend that breaks one rule, chosen by -DBREACH=name, for the
 * test that the contract suite notices. Without BREACH it keeps to all.
 */
#include <scorpio/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define none                0
#define slow_open           1
#define leaks_file          2
#define close_null          3
#define bad_root_id         4
#define missing_is_eio      5
#define positive            6
#define entry_outside       7
#define bad_name            8
#define double_name         9
#define bad_mode            10
#define wrong_size          11
#define size_lie            12
#define nested              13
#define unfinished          14
#define swallows_stop       15
#define goes_on             16
#define other_thread        17
#define late                18
#define forgets             19
#define wrong_content       20
#define pours_missing       21
#define changes             22
#define one_spoils_all      23
#define enoent_if_cancelled 24
#define id_tail             25
#define shared_ids          26
#define sizes_unknown       27
#define global_state        28
#define forgets_text        29

#ifndef BREACH
#	define BREACH none
#endif
#define IS(b) (BREACH == (b))

#define FILES 3
static const char *const texts[FILES] = { "one\n", "two two\n", "three\n" };
static const struct scorpio_host *host;
static unsigned counter;
static const struct scorpio_sink *kept_sink;

struct broken {
	int fd;
};

static struct scorpio_id make_id(char what, unsigned n)
{
	struct scorpio_id id;

	memset(&id, 0, sizeof(id));
	id.len = 20;
	memset(id.bytes, what, 20);
	id.bytes[3] = (uint8_t)n;
	if (IS(id_tail) && what == 'f')
		id.bytes[30] = 1;
	if (IS(shared_ids) && what == 'f')
		id.bytes[3] = 0;
	return id;
}

static int same(const struct scorpio_id *a, struct scorpio_id b)
{
	return !memcmp(a, &b, sizeof(b));
}

static int broken_open(const struct scorpio_host *h, const char *url,
		       const struct scorpio_config *config,
		       const struct scorpio_next *next,
		       struct scorpio_instance *info, void **ret_self)
{
	struct broken *me;

	(void)config;
	(void)next;
	if (strncmp(url, "broken+x", 8))
		return h->fail(h, -EINVAL, "broken: only broken+x");
	me = calloc(1, sizeof(*me));
	if (!me)
		return -ENOMEM;
	host = h;
	me->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (IS(slow_open))
		usleep(300000);
	info->flags = SCORPIO_INSTANCE_SIZES_FREE;
	*ret_self = me;
	return 0;
}

static void broken_close(void *self)
{
	struct broken *me = self;

	if (!IS(close_null) && !me)
		return;
	if (!IS(leaks_file))
		close(me->fd);
	if (IS(global_state))
		counter = 1000;
	free(me);
}

static int broken_resolve(void *self, const char *spec,
			  struct scorpio_revision *ret)
{
	(void)self;
	if (IS(global_state) && counter >= 1000)
		return host->fail(host, -EIO, "broken: closed");
	if (IS(enoent_if_cancelled) && host->cancelled(host))
		return -ENOENT;
	if (*spec && (strcmp(spec, "only") != 0 || IS(forgets_text)))
		return host->fail(host, IS(missing_is_eio) ? -EIO : -ENOENT,
				  "broken: no such revision");
	memset(ret, 0, sizeof(*ret));
	ret->root = make_id('r', 0);
	if (IS(bad_root_id))
		ret->root.len = 77;
	ret->kind = SCORPIO_DIR;
	ret->time_ns = SCORPIO_TIME_UNKNOWN;
	memcpy(ret->text, "only", 5);
	return 0;
}

static int pour_root(const struct scorpio_sink *k)
{
	static const char *const names[FILES] = { "a", "b", "c" };
	struct scorpio_id root = make_id('r', 0);
	struct scorpio_entry e;
	unsigned i;
	int r = 0;

	if (!IS(entry_outside))
		r = k->tree_begin(k->ctx, &root);
	for (i = 0; i < FILES && (!r || IS(goes_on)); i++) {
		memset(&e, 0, sizeof(e));
		e.id = make_id('f', i);
		e.name = names[IS(double_name) && i == 2 ? 1 : i];
		if (IS(bad_name) && i == 1)
			e.name = "..";
		e.name_len = (uint32_t)strlen(e.name);
		e.kind = SCORPIO_FILE;
		e.mode = IS(bad_mode) ? 0100644 : 0644;
		e.size = strlen(texts[i]) + IS(size_lie);
		if (IS(sizes_unknown))
			e.size = SCORPIO_SIZE_UNKNOWN;
		if (IS(changes) && i == 2)
			e.mode = 0400 + counter++ % 8;
		e.mtime_ns = SCORPIO_TIME_UNKNOWN;
		r = k->tree_entry(k->ctx, &e);
	}
	return r ? r : k->tree_end(k->ctx);
}

static int broken_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		       const struct scorpio_sink *k)
{
	uint32_t i;
	int r = 0;

	(void)self;
	for (i = 0; !r && i < n; i++) {
		if (same(&refs[i].id, make_id('r', 0)))
			r = pour_root(k);
		else if (IS(one_spoils_all))
			return -ENOENT;
		else if (!IS(forgets))
			r = k->failed(k->ctx, &refs[i].id, -ENOENT);
	}
	return IS(swallows_stop) ? 0 : r;
}

static int pour_file(const struct scorpio_sink *k, const struct scorpio_id *id,
		     const char *text)
{
	uint64_t len = strlen(text);
	int r;

	r = k->blob_begin(k->ctx, id, len + IS(wrong_size));
	if (!r && IS(nested))
		r = k->blob_begin(k->ctx, id, len);
	if (!r && IS(wrong_content) && counter++ % 2)
		text = "xxxxxxxxxxxxxxxx";
	if (!r)
		r = k->blob_data(k->ctx, text, len);
	if (r || IS(unfinished))
		return r;
	return k->blob_end(k->ctx);
}

struct job {
	const struct scorpio_sink *sink;
	const struct scorpio_id *id;
	const char *text;
};

static void *elsewhere(void *arg)
{
	struct job *j = arg;

	pour_file(j->sink, j->id, j->text);
	return NULL;
}

static void *afterwards(void *arg)
{
	struct scorpio_id id = make_id('f', 0);

	(void)arg;
	usleep(20000);
	kept_sink->blob_begin(kept_sink->ctx, &id, 1);
	return NULL;
}

static int pour_somehow(const struct scorpio_sink *k,
			const struct scorpio_id *id, const char *text)
{
	struct job j = { k, id, text };
	pthread_t t;

	if (!IS(other_thread))
		return pour_file(k, id, text);
	pthread_create(&t, NULL, elsewhere, &j);
	pthread_join(t, NULL);
	return 0;
}

static int broken_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
			const struct scorpio_sink *k)
{
	uint32_t i;
	unsigned f;
	int r = 0;

	(void)self;
	for (i = 0; !r && i < n; i++) {
		for (f = 0; f < FILES; f++)
			if (same(&refs[i].id, make_id('f', f)))
				break;
		if (f < FILES)
			r = pour_somehow(k, &refs[i].id, texts[f]);
		else if (IS(pours_missing))
			r = pour_file(k, &refs[i].id, "anything");
		else
			r = k->failed(k->ctx, &refs[i].id, -ENOENT);
	}
	return r ? r : IS(positive) ? 3 : 0;
}

static int late_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *k)
{
	pthread_t t;
	int r = broken_list(self, refs, n, k);

	kept_sink = k;
	pthread_create(&t, NULL, afterwards, NULL);
	pthread_detach(t);
	return r;
}

static const struct scorpio_backend broken = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "broken",
	.schemes = "broken",
	.threads = SCORPIO_THREADS_INSTANCE,
	.open = broken_open,
	.close = broken_close,
	.resolve = broken_resolve,
	.list = IS(late) ? late_list : broken_list,
	.fetch = broken_fetch,
};
static const struct scorpio_backend *const backends[] = { &broken, NULL };
static const struct scorpio_plugin plugin = {
	SCORPIO_PLUGIN_HEAD,
	.name = "broken",
	.version = "1",
	.backends = backends,
};
SCORPIO_PLUGIN(plugin)
