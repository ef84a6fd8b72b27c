/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frozen.c - a plugin of ABI 1.0, compiled against the headers of that time
 * (v1.0/), which must go on loading and working. -DSHAPE chooses what kind of
 * table it has:
 *	0 as of 1.0    1 the required functions only (an older, shorter table)
 *	2 longer than ours, of a later minor (a plugin from the future)
 *	3 of another major   4 struct_size not set   5 a function is missing
 *	6 its plugin description is of another major
 */
#include <scorpio/plugin.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef SHAPE
#	define SHAPE 0
#endif

#if SHAPE == 1
#	define SIZE offsetof(struct scorpio_backend, sizes)
#elif SHAPE == 2
#	define SIZE sizeof(struct future_backend)
#elif SHAPE == 4
#	define SIZE 0
#else
#	define SIZE sizeof(struct scorpio_backend)
#endif

#define ABI_MINOR_UP (SCORPIO_ABI + 9 * (SHAPE == 2))
#define ABI          (SHAPE == 3 ? 2u << 16 : ABI_MINOR_UP)

static struct scorpio_id make_id(char what)
{
	struct scorpio_id id;

	memset(&id, 0, sizeof(id));
	id.len = 8;
	memset(id.bytes, what, 8);
	return id;
}

static int frozen_open(const struct scorpio_host *host, const char *url,
		       const struct scorpio_config *config,
		       const struct scorpio_next *next,
		       struct scorpio_instance *info, void **ret_self)
{
	void *self = malloc(1);

	(void)config;
	(void)next;
	if (!strchr(url, '+') || strcmp(strchr(url, '+'), "+x")) {
		free(self);
		return host->fail(host, -EINVAL, "frozen: write frozen+x");
	}
	info->flags = SCORPIO_INSTANCE_LOCAL | SCORPIO_INSTANCE_SIZES_FREE;
	*ret_self = self;
	return self ? 0 : -ENOMEM;
}

static int frozen_resolve(void *self, const char *spec,
			  struct scorpio_revision *ret)
{
	(void)self;
	/* a later minor knows the rule of 1.4 about the text of an answer */
	if (*spec && (SHAPE != 2 || strcmp(spec, "frozen") != 0))
		return -ENOENT;
	memset(ret, 0, sizeof(*ret));
	ret->root = make_id('r');
	ret->kind = SCORPIO_DIR;
	ret->time_ns = 1000000000;
	memcpy(ret->text, "frozen", 7);
	return 0;
}

static int frozen_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		       const struct scorpio_sink *k)
{
	struct scorpio_id root = make_id('r');
	struct scorpio_entry e;
	uint32_t i;
	int r = 0;

	(void)self;
	memset(&e, 0, sizeof(e));
	e.id = make_id('f');
	e.name = "file";
	e.name_len = 4;
	e.kind = SCORPIO_FILE;
	e.mode = 0644;
	e.size = 4;
	e.mtime_ns = SCORPIO_TIME_UNKNOWN;
	for (i = 0; !r && i < n; i++) {
		if (memcmp(&refs[i].id, &root, sizeof(root))) {
			r = k->failed(k->ctx, &refs[i].id, -ENOENT);
			continue;
		}
		r = k->tree_begin(k->ctx, &root);
		if (!r)
			r = k->tree_entry(k->ctx, &e);
		if (!r)
			r = k->tree_end(k->ctx);
	}
	return r;
}

static int frozen_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
			const struct scorpio_sink *k)
{
	struct scorpio_id file = make_id('f');
	uint32_t i;
	int r = 0;

	(void)self;
	for (i = 0; !r && i < n; i++) {
		if (memcmp(&refs[i].id, &file, sizeof(file))) {
			r = k->failed(k->ctx, &refs[i].id, -ENOENT);
			continue;
		}
		r = k->blob_begin(k->ctx, &file, 4);
		if (!r)
			r = k->blob_data(k->ctx, "ice\n", 4);
		if (!r)
			r = k->blob_end(k->ctx);
	}
	return r;
}

#if SHAPE == 2 || SHAPE == 0
/* in a table as short as SHAPE 1 this must never be seen */
static int frozen_sizes(void *self, const struct scorpio_ref *refs, uint32_t n,
			const struct scorpio_sink *k)
{
	(void)self;
	(void)refs;
	(void)n;
	(void)k;
	return -ENOTSUP;
}
#endif

struct future_backend { /* what a later minor might add at the end */
	struct scorpio_backend b;
	void (*later[8])(void);
};

static void never(void)
{
	abort();
}

static const struct future_backend frozen = {
	.b = {
		.struct_size = SIZE,
		.abi = ABI,
		.name = "frozen",
		.schemes = "frozen",
		.threads = SCORPIO_THREADS_PARALLEL,
		.open = frozen_open,
		.close = free,
		.resolve = frozen_resolve,
		.list = frozen_list,
		.fetch = SHAPE == 5 ? NULL : frozen_fetch,
#if SHAPE == 2 || SHAPE == 0
		.sizes = frozen_sizes,
#elif SHAPE == 1
		/* behind its end: garbage as far as the host is concerned */
		.sizes = (int (*)(void *, const struct scorpio_ref *, uint32_t,
				  const struct scorpio_sink *))never,
		.publish = (int (*)(void *, const void *, void *))never,
#endif
	},
	.later = { never, never, never, never, never, never, never, never },
};

static const struct scorpio_backend *const backends[] = { &frozen.b, NULL };

static const struct {
	struct scorpio_plugin p;
	const void *roles; /* came with 1.1: it has none */
	void (*later[4])(void);
} plugin = {
	.p = {
		.struct_size = SHAPE == 2 ? sizeof(plugin) :
					    sizeof(struct scorpio_plugin),
		.abi = SHAPE == 6 ? 2u << 16 : ABI_MINOR_UP,
		.name = "frozen",
		.version = "1.0",
		.backends = backends,
	},
	.later = { never, never, never, never },
};
SCORPIO_PLUGIN(plugin.p)
