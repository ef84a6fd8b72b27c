/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c - the smallest useful backend: "hello+NAME" is a directory with one
 * file, hello.txt, which greets NAME. docs/plugin-guide.md builds it step by
 * step.
 */
#include <scorpio/plugin.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LEN_MAX 32

struct hello { /* one opened source */
	const struct scorpio_host *host;
	char name[NAME_LEN_MAX + 1];
};

/* Ids must name the same content for ever, here and in every other hello
 * source: so everything the content depends on is in them. */
static void make_id(const struct hello *me, char what, struct scorpio_id *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->bytes[0] = (uint8_t)what;
	memcpy(ret->bytes + 1, me->name, strlen(me->name));
	ret->len = (uint8_t)(1 + strlen(me->name));
}

static int is(const struct hello *me, char what, const struct scorpio_id *id)
{
	struct scorpio_id mine;

	make_id(me, what, &mine);
	return !memcmp(&mine, id, sizeof(mine));
}

static int greeting(const struct hello *me, char *buf, size_t cap)
{
	return snprintf(buf, cap, "Hello, %s!\n", me->name);
}

static int hello_open(const struct scorpio_host *host, const char *url,
		      const struct scorpio_config *config,
		      const struct scorpio_next *next,
		      struct scorpio_instance *info, void **ret_self)
{
	const char *name = strchr(url, '+');
	struct hello *me;

	(void)config;
	(void)next;
	name = name ? name + 1 : "";
	if (!*name || strlen(name) > NAME_LEN_MAX)
		return host->fail(host, -EINVAL,
				  "hello: write hello+NAME, with a NAME of at "
				  "most %d characters",
				  NAME_LEN_MAX);
	me = calloc(1, sizeof(*me));
	if (!me)
		return -ENOMEM;
	me->host = host;
	memcpy(me->name, name, strlen(name));
	info->flags = SCORPIO_INSTANCE_LOCAL | SCORPIO_INSTANCE_SIZES_FREE;
	*ret_self = me;
	return 0;
}

static void hello_close(void *self)
{
	free(self);
}

static int hello_resolve(void *self, const char *spec,
			 struct scorpio_revision *ret)
{
	struct hello *me = self;

	memset(ret, 0, sizeof(*ret));
	make_id(me, 'd', &ret->root);
	ret->kind = SCORPIO_DIR;
	ret->time_ns = SCORPIO_TIME_UNKNOWN;
	snprintf(ret->text, sizeof(ret->text), "hello-%s", me->name);
	/* a mount comes back by the text of its revision */
	if (*spec && strcmp(spec, ret->text) != 0)
		return me->host->fail(me->host, -ENOENT,
				      "hello: there is only one revision");
	return 0;
}

static int hello_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		      const struct scorpio_sink *sink)
{
	struct hello *me = self;
	struct scorpio_entry e;
	char text[64];
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < n; i++) {
		if (!is(me, 'd', &refs[i].id)) {
			r = sink->failed(sink->ctx, &refs[i].id, -ENOENT);
			continue;
		}
		memset(&e, 0, sizeof(e));
		make_id(me, 'f', &e.id);
		e.name = "hello.txt";
		e.name_len = 9;
		e.kind = SCORPIO_FILE;
		e.mode = 0644;
		e.size = (uint64_t)greeting(me, text, sizeof(text));
		e.mtime_ns = SCORPIO_TIME_UNKNOWN;
		r = sink->tree_begin(sink->ctx, &refs[i].id);
		if (!r)
			r = sink->tree_entry(sink->ctx, &e);
		if (!r)
			r = sink->tree_end(sink->ctx);
	}
	return r;
}

static int hello_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		       const struct scorpio_sink *sink)
{
	struct hello *me = self;
	char text[64];
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < n; i++) {
		uint64_t len = (uint64_t)greeting(me, text, sizeof(text));

		if (!is(me, 'f', &refs[i].id)) {
			r = sink->failed(sink->ctx, &refs[i].id, -ENOENT);
			continue;
		}
		r = sink->blob_begin(sink->ctx, &refs[i].id, len);
		if (!r)
			r = sink->blob_data(sink->ctx, text, len);
		if (!r)
			r = sink->blob_end(sink->ctx);
	}
	return r;
}

static const struct scorpio_backend hello = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "hello",
	.schemes = "hello",
	.summary = "greets you: hello+NAME",
	.threads = SCORPIO_THREADS_PARALLEL,
	.open = hello_open,
	.close = hello_close,
	.resolve = hello_resolve,
	.list = hello_list,
	.fetch = hello_fetch,
};

static const struct scorpio_backend *const backends[] = { &hello, NULL };

static const struct scorpio_plugin plugin = {
	SCORPIO_PLUGIN_HEAD,
	.name = "hello",
	.version = SCORPIO_VERSION,
	.summary = "the smallest example of a backend",
	.backends = backends,
};
SCORPIO_PLUGIN(plugin)
