/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lfs.c - the table of the lfs layer: files that Git holds as pointers show the
 * content of their Git LFS objects, fetched when it is read.
 *
 * Which files those are is said by .gitattributes alone, so that a listing costs
 * nothing more; what their pointers say is read when a size or the content is
 * wanted. How that fits a store of trees by content: docs/decisions/040-lfs.md.
 */
#include "ctx.h"
#include "fetch.h"
#include "known.h"
#include "list.h"
#include "server.h"

extern const struct scorpio_backend scorpio_lfs_backend;

static void lfs_close(void *self)
{
	struct lfs *s = self;

	if (!s)
		return;
	lfsserver_free(s->server);
	lfsknown_free(s->known);
	lfsctx_free(s->ctx);
	if (s->url)
		explicit_bzero(s->url, strlen(s->url));
	free(s->url);
	free(s->space);
	free(s);
}

static int set_up(struct lfs *s, const char *url, struct scorpio_instance *info)
{
	int rc;

	s->url = strdup(url);
	if (!s->url || asprintf(&s->space, "lfs+%s",
				info->id_space ? info->id_space : "") < 0) {
		s->space = NULL;
		return lfs_nomem(s);
	}
	s->known = lfsknown_new();
	if (!s->known)
		return lfs_nomem(s);
	s->sizes_free = info->flags & SCORPIO_INSTANCE_SIZES_FREE;
	s->mono = !strncmp(url, "mono", 4);
	s->below_max = info->batch_max ? info->batch_max : 1000;
	rc = lfsctx_new(s, &s->ctx);
	return rc ? rc : lfsserver_new(s, &s->server);
}

static int lfs_open(const struct scorpio_host *host, const char *url,
		    const struct scorpio_config *config,
		    const struct scorpio_next *next,
		    struct scorpio_instance *info, void **ret_self)
{
	struct lfs *s;
	int rc;

	if (!next)
		return host->fail(host, -EINVAL,
				  "lfs is a layer: it needs a source below");
	s = calloc(1, sizeof(*s));
	if (!s)
		return host->fail(host, -ENOMEM, "out of memory");
	s->host = host;
	s->config = config;
	s->next = next;
	rc = set_up(s, url, info);
	if (rc) {
		lfs_close(s);
		return rc;
	}
	info->id_space = s->space;
	*ret_self = s;
	return 0;
}

static int lfs_resolve(void *self, const char *spec,
		       struct scorpio_revision *ret)
{
	return lfslist_resolve(self, spec, ret);
}

static int lfs_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		    const struct scorpio_sink *sink)
{
	return lfslist_list(self, refs, n, sink);
}

static int lfs_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	return lfsfetch_fetch(self, refs, n, sink);
}

static int lfs_sizes(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	return lfsfetch_sizes(self, refs, n, sink);
}

static int lfs_prefetch(void *self, const struct scorpio_ref *root,
			uint32_t what, uint32_t depth,
			const struct scorpio_sink *sink)
{
	return lfslist_prefetch(self, root, what, depth, sink);
}

/* Ids below are not ours to compare or to read ranges of. */
static int lfs_read(void *self, const struct scorpio_ref *ref, uint64_t offset,
		    uint64_t length, const struct scorpio_sink *sink)
{
	(void)self;
	(void)ref;
	(void)offset;
	(void)length;
	(void)sink;
	return -ENOTSUP;
}

static int lfs_diff(void *self, const struct scorpio_ref *a,
		    const struct scorpio_ref *b, scorpio_change_fn emit,
		    void *ctx)
{
	(void)self;
	(void)a;
	(void)b;
	(void)emit;
	(void)ctx;
	return -ENOTSUP;
}

static int lfs_watch(void *self, const char *spec,
		     const struct scorpio_id *known, uint32_t timeout_ms)
{
	return lfslist_watch(self, spec, known, timeout_ms);
}

static int64_t lfs_xattr(void *self, const struct scorpio_ref *ref,
			 const char *name, void *buf, uint64_t cap)
{
	return lfsfetch_xattr(self, ref, name, buf, cap);
}

__attribute__((visibility("default")))
const struct scorpio_backend scorpio_lfs_backend = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "lfs",
	.summary = "a layer: Git LFS files with their content",
	.threads = SCORPIO_THREADS_PARALLEL,
	.flags = SCORPIO_BACKEND_LAYER | SCORPIO_BACKEND_VERIFIES,
	.open = lfs_open,
	.close = lfs_close,
	.resolve = lfs_resolve,
	.list = lfs_list,
	.fetch = lfs_fetch,
	.sizes = lfs_sizes,
	.prefetch = lfs_prefetch,
	.read = lfs_read,
	.diff = lfs_diff,
	.watch = lfs_watch,
	.xattr = lfs_xattr,
};
