/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - trees that exist only in memory. The reference implementation of a
 * content-addressed source, to be read before writing one, and what tests use.
 *
 *	mem+demo                   a handful of files of every kind; v1 and v2
 *	mem+many?files=N&dirs=D&size=B
 *
 * Further parameters, in the URL or as configuration: delay_ms=N (each call
 * takes so long, like a server far away), remote=1 (not marked local, so that
 * calls are batched), sizes=unknown (list does not tell sizes).
 */
#include "tree.h"

#include <scorpio/backend.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REVISIONS 2
#define MAX_FILES 2000000
#define MAX_BYTES (1ull << 30) /* all content of one instance */
#define TIME_NS   1700000000000000000ll
#define PIECE     (256u * 1024u) /* data handed to the sink at once */

struct mem {
	const struct scorpio_host *host;
	struct mem_params params;
	uint32_t delay_ms;
	bool many, hide_sizes;

	pthread_mutex_t lock;                 /* guards building */
	bool built;                           /* lock */
	struct mem_node *revision[REVISIONS]; /* lock until built */
	struct mem_index index;               /* lock until built */
};

/* -- opening --------------------------------------------------------------- */

/* Copy the value of `key` from the URL's query to buf, or ask the
 * configuration. NULL if neither has it. */
static const char *param(const struct scorpio_host *host, const char *url,
			 const struct scorpio_config *config, const char *key,
			 char *buf, size_t cap)
{
	const char *p = strchr(url, '?');
	size_t len = strlen(key);

	while (p) {
		p++;
		if (!strncmp(p, key, len) && p[len] == '=') {
			p += len + 1;
			snprintf(buf, cap, "%.*s", (int)strcspn(p, "&"), p);
			return buf;
		}
		p = strchr(p, '&');
	}
	return host->config_string(config, key, NULL);
}

static int number(const struct scorpio_host *host, const char *url,
		  const struct scorpio_config *config, const char *key,
		  uint32_t max, uint32_t *ret)
{
	char buf[32], *end;
	const char *text = param(host, url, config, key, buf, sizeof(buf));
	unsigned long long n;

	if (!text)
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n > max)
		return host->fail(host, -EINVAL,
				  "mem: %s=%s is not a number up to %u", key,
				  text, max);
	*ret = (uint32_t)n;
	return 0;
}

static int parse(struct mem *m, const char *url,
		 const struct scorpio_config *config,
		 struct scorpio_instance *info)
{
	const struct scorpio_host *h = m->host;
	const char *name = strchr(url, '+'), *sizes;
	uint32_t remote = 0;
	char buf[32];
	size_t len;
	int r;

	name = name ? name + 1 : "";
	len = strcspn(name, "?");
	m->many = len == 4 && !memcmp(name, "many", 4);
	if (!m->many && !(len == 4 && !memcmp(name, "demo", 4)))
		return h->fail(
			h, -EINVAL,
			"mem: no tree \"%.*s\": use mem+demo or mem+many",
			(int)len, name);
	m->params.files = 1000;
	r = number(h, url, config, "files", MAX_FILES, &m->params.files);
	if (!r)
		r = number(h, url, config, "dirs", 99999, &m->params.dirs);
	if (!r)
		r = number(h, url, config, "size", 1u << 30, &m->params.size);
	if (!r)
		r = number(h, url, config, "delay_ms", 600000, &m->delay_ms);
	if (!r)
		r = number(h, url, config, "remote", 1, &remote);
	if (r < 0)
		return r;
	if ((uint64_t)m->params.files * m->params.size > MAX_BYTES)
		return h->fail(h, -EINVAL, "mem: more than 1 GiB of content");
	sizes = param(h, url, config, "sizes", buf, sizeof(buf));
	m->hide_sizes = sizes && !strcmp(sizes, "unknown");
	if (!remote)
		info->flags |= SCORPIO_INSTANCE_LOCAL;
	if (!m->hide_sizes)
		info->flags |= SCORPIO_INSTANCE_SIZES_FREE;
	return 0;
}

static int mem_open(const struct scorpio_host *host, const char *url,
		    const struct scorpio_config *config,
		    const struct scorpio_next *next,
		    struct scorpio_instance *info, void **ret_self)
{
	struct mem *m = calloc(1, sizeof(*m));
	int r;

	(void)next;
	if (!m)
		return -ENOMEM;
	m->host = host;
	r = parse(m, url, config, info);
	if (r < 0) {
		free(m);
		return r;
	}
	pthread_mutex_init(&m->lock, NULL);
	*ret_self = m;
	return 0;
}

static void mem_close(void *self)
{
	struct mem *m = self;
	int i;

	if (!m)
		return;
	for (i = 0; i < REVISIONS; i++)
		mem_tree_free(m->revision[i]);
	free(m->index.nodes);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* Trees are made when first asked for: open() must be quick. */
static int build(struct mem *m)
{
	int i, r = 0;

	pthread_mutex_lock(&m->lock);
	for (i = 0; !m->built && !r && i < REVISIONS; i++) {
		if (m->revision[i])
			continue;
		m->revision[i] = m->many ? mem_tree_many(&m->params, i + 1)
					 : mem_tree_demo(i + 1);
		r = m->revision[i] ? mem_index_add(&m->index, m->revision[i])
				   : -ENOMEM;
	}
	if (!m->built && !r) {
		mem_index_sort(&m->index);
		m->built = true;
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* The start of every call: take as long as configured, then be ready. */
static int begin(struct mem *m)
{
	struct timespec slice = { 0, 2000000 };
	uint32_t waited;

	for (waited = 0; waited < m->delay_ms; waited += 2) {
		if (m->host->cancelled(m->host))
			return -EINTR;
		nanosleep(&slice, NULL);
	}
	return build(m);
}

/* -- the calls ------------------------------------------------------------- */

static int mem_resolve(void *self, const char *spec,
		       struct scorpio_revision *ret)
{
	struct mem *m = self;
	int r = begin(m), i = -1;

	if (r < 0)
		return r;
	if (!*spec || !strcmp(spec, "v1"))
		i = 0;
	else if (!strcmp(spec, "v2"))
		i = 1;
	if (i < 0)
		return m->host->fail(m->host, -ENOENT,
				     "mem: no revision \"%s\": there are v1 "
				     "and v2",
				     spec);
	memset(ret, 0, sizeof(*ret));
	ret->root = m->revision[i]->id;
	ret->time_ns = TIME_NS + i * 86400000000000ll;
	ret->kind = SCORPIO_DIR;
	snprintf(ret->text, sizeof(ret->text), "v%d", i + 1);
	snprintf(ret->label, sizeof(ret->label), "v%d", i + 1);
	return 0;
}

static int pour_tree(struct mem *m, const struct mem_node *dir,
		     const struct scorpio_sink *sink)
{
	const struct mem_node *n;
	struct scorpio_entry e;
	int r;

	r = sink->tree_begin(sink->ctx, &dir->id);
	for (n = dir->child; !r && n; n = n->next) {
		memset(&e, 0, sizeof(e));
		e.id = n->id;
		e.name = n->name;
		e.name_len = n->name_len;
		e.kind = n->kind;
		e.mode = n->mode;
		e.size = m->hide_sizes ? SCORPIO_SIZE_UNKNOWN : n->size;
		e.mtime_ns = SCORPIO_TIME_UNKNOWN;
		r = sink->tree_entry(sink->ctx, &e);
	}
	return r ? r : sink->tree_end(sink->ctx);
}

static int pour_blob(const struct mem_node *n, const struct scorpio_sink *sink)
{
	uint64_t at, piece;
	int r = sink->blob_begin(sink->ctx, &n->id, n->size);

	for (at = 0; !r && at < n->size; at += piece) {
		piece = n->size - at < PIECE ? n->size - at : PIECE;
		r = sink->blob_data(sink->ctx, n->data + at, piece);
	}
	return r ? r : sink->blob_end(sink->ctx);
}

static int pour_size(const struct mem_node *n, const struct scorpio_sink *sink)
{
	return sink->size(sink->ctx, &n->id, n->size);
}

static int mem_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		    const struct scorpio_sink *sink)
{
	struct mem *m = self;
	const struct mem_node *node;
	int r = begin(m);
	uint32_t i;

	for (i = 0; !r && i < n; i++) {
		if (m->host->cancelled(m->host))
			return -EINTR;
		node = mem_index_find(&m->index, &refs[i].id);
		if (node && node->kind == SCORPIO_DIR)
			r = pour_tree(m, node, sink);
		else
			r = sink->failed(sink->ctx, &refs[i].id, -ENOENT);
	}
	return r;
}

static int each_blob(struct mem *m, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink,
		     int (*pour)(const struct mem_node *node,
				 const struct scorpio_sink *sink))
{
	const struct mem_node *node;
	int r = begin(m);
	uint32_t i;

	for (i = 0; !r && i < n; i++) {
		if (m->host->cancelled(m->host))
			return -EINTR;
		node = mem_index_find(&m->index, &refs[i].id);
		if (node && node->kind != SCORPIO_DIR)
			r = pour(node, sink);
		else
			r = sink->failed(sink->ctx, &refs[i].id, -ENOENT);
	}
	return r;
}

static int mem_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	return each_blob(self, refs, n, sink, pour_blob);
}

static int mem_sizes(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	return each_blob(self, refs, n, sink, pour_size);
}

static int pour_below(struct mem *m, const struct mem_node *node, uint32_t what,
		      uint32_t depth, const struct scorpio_sink *sink)
{
	const struct mem_node *n;
	int r = 0;

	if (m->host->cancelled(m->host))
		return -EINTR;
	if (node->kind != SCORPIO_DIR) {
		if (what & SCORPIO_PREFETCH_BLOBS)
			return pour_blob(node, sink);
		return what & SCORPIO_PREFETCH_SIZES ? pour_size(node, sink)
						     : 0;
	}
	if (what & SCORPIO_PREFETCH_TREES)
		r = pour_tree(m, node, sink);
	if (depth == 1)
		return r;
	for (n = node->child; !r && n; n = n->next)
		r = pour_below(m, n, what, depth ? depth - 1 : 0, sink);
	return r;
}

static int mem_prefetch(void *self, const struct scorpio_ref *root,
			uint32_t what, uint32_t depth,
			const struct scorpio_sink *sink)
{
	struct mem *m = self;
	const struct mem_node *node;
	int r = begin(m);

	if (r < 0)
		return r;
	node = mem_index_find(&m->index, &root->id);
	return node ? pour_below(m, node, what, depth, sink) : -ENOENT;
}

extern const struct scorpio_backend scorpio_mem_backend;
const struct scorpio_backend scorpio_mem_backend = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "mem",
	.schemes = "mem",
	.summary = "made-up trees in memory, for trying things out",
	.threads = SCORPIO_THREADS_PARALLEL,
	.id_kind = SCORPIO_ID_SHA256,
	.open = mem_open,
	.close = mem_close,
	.resolve = mem_resolve,
	.list = mem_list,
	.fetch = mem_fetch,
	.sizes = mem_sizes,
	.prefetch = mem_prefetch,
};
