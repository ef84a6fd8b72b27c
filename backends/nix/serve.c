/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include "ahead.h"

#define PIECE (256u * 1024u)
#define REPLAY_MAX 64u
#define REPLAY_BYTES (8u << 20)
#define GAP (128u * 1024u) /* rather transferred than another request */

/* One call: refs of one path are served together. */
struct serving {
	struct nix *n;
	const struct scorpio_ref *refs;
	uint32_t count;
	const struct scorpio_sink *sink;
	struct nixid *ids;
	bool *done;
	uint8_t *buf; /* PIECE bytes */
};

static int fail_one(struct serving *s, uint32_t i, int error)
{
	s->done[i] = true;
	return s->sink->failed(s->sink->ctx, &s->refs[i].id, error);
}

/* The same error for every ref of a path. */
static int fail_path(struct serving *s, const uint8_t hash[NIX_HASH], int error)
{
	int rc = 0;

	for (uint32_t i = 0; i < s->count && !rc; i++)
		if (!s->done[i] && !memcmp(s->ids[i].hash, hash, NIX_HASH))
			rc = fail_one(s, i, error);
	return rc;
}

static int stale(struct serving *s, struct nixpath *p)
{
	return nixfail(s->n, -EBADMSG, p->lied ?
		       "%s: the listing of this path does not describe its "
		       "archive: its names are not to be trusted (see "
		       "nix.listings)" :
		       "%s: it is not the same any more as when it was listed",
		       p->info->base);
}

/* -- trees --------------------------------------------------------------------- */

static struct scorpio_id node_id(const struct nixpath *p, const uint8_t *tag,
				 uint32_t node)
{
	struct nixid x = { .what = NIXID_NODE, .node = node };

	memcpy(x.hash, p->hash, NIX_HASH);
	memcpy(x.tag, tag, NIXID_TAG);
	return nixid_make(&x);
}

static int pour_entry(struct serving *s, struct nixpath *p,
		      const struct nartree *t, const uint8_t *tag,
		      uint32_t node, const char *name, size_t name_len)
{
	const struct nartree_node *x = &t->nodes[node];
	struct scorpio_entry e = {
		.id = node_id(p, tag, node), .name = name,
		.name_len = (uint32_t)name_len, .mode = nartree_mode(x),
		.size = x->kind == SCORPIO_DIR ? 0 : x->size,
		.mtime_ns = 1000000000, .kind = x->kind,
	};

	return s->sink->tree_entry(s->sink->ctx, &e);
}

static int pour_dir(struct serving *s, struct nixpath *p,
		    const struct nartree *t, const uint8_t *tag, uint32_t dir)
{
	struct scorpio_id id = node_id(p, tag, dir);
	int rc = s->sink->tree_begin(s->sink->ctx, &id);

	for (uint32_t i = dir + 1; i < t->nodes[dir].end && !rc;
	     i = t->nodes[i].end)
		rc = pour_entry(s, p, t, tag, i, nartree_name(t, i),
				t->nodes[i].name_len);
	return rc ? rc : s->sink->tree_end(s->sink->ctx);
}

/* The one name of a bucket. */
static int pour_bucket(struct serving *s, struct nixpath *p,
		       const struct nartree *t, const uint8_t *tag)
{
	struct nixid x = { .what = NIXID_BUCKET };
	struct scorpio_id id;
	int rc;

	memcpy(x.hash, p->hash, NIX_HASH);
	id = nixid_make(&x);
	rc = s->sink->tree_begin(s->sink->ctx, &id);
	if (!rc)
		rc = pour_entry(s, p, t, tag, 0, p->info->base,
				strlen(p->info->base));
	return rc ? rc : s->sink->tree_end(s->sink->ctx);
}

static int pour_root(struct serving *s)
{
	struct scorpio_id id = nixid_make(&(struct nixid){ .what = NIXID_ROOT });
	int rc = s->sink->tree_begin(s->sink->ctx, &id);

	return rc ? rc : s->sink->tree_end(s->sink->ctx);
}

/* All trees of a path at once: they came in one piece. */
static int pour_trees(struct serving *s, struct nixpath *p)
{
	const struct nartree *t;
	const uint8_t *tag;
	int rc = nixpath_tree(s->n, p, &t, &tag);

	if (rc)
		return nixrc_stops(rc) ? rc : fail_path(s, p->hash, rc);
	rc = pour_bucket(s, p, t, tag);
	for (uint32_t i = 0; i < t->n && !rc; i++)
		if (t->nodes[i].kind == SCORPIO_DIR)
			rc = pour_dir(s, p, t, tag, i);
	for (uint32_t i = 0; i < s->count && !rc; i++) {
		const struct nixid *x = &s->ids[i];

		if (s->done[i] || memcmp(x->hash, p->hash, NIX_HASH) != 0)
			continue;
		s->done[i] = x->what == NIXID_BUCKET ||
			     (!memcmp(x->tag, tag, NIXID_TAG) &&
			      x->node < t->n &&
			      t->nodes[x->node].kind == SCORPIO_DIR);
		if (!s->done[i])
			rc = fail_one(s, i, stale(s, p));
	}
	return rc;
}

/* -- content ------------------------------------------------------------------- */

/* Where the bytes of a node or part are in the archive. */
struct span {
	struct scorpio_id id;
	uint64_t at, len;
	uint32_t ref; /* which was asked for */
};

static bool span_of(const struct nartree *t, const uint8_t *tag,
		    const struct nixid *x, struct span *ret)
{
	const struct nartree_node *node;
	uint64_t from = (uint64_t)x->part * NIX_PART;

	if (!nixid_of_tree(x, tag) || x->node >= t->n)
		return false;
	node = &t->nodes[x->node];
	if (node->kind == SCORPIO_DIR || from > node->size)
		return false;
	*ret = (struct span){ .at = node->offset + from,
			      .len = node->size - from };
	if (x->what == NIXID_PART && ret->len > NIX_PART)
		ret->len = NIX_PART;
	return true;
}

static int read_archive(struct serving *s, struct nixpath *p, uint64_t at,
			size_t len)
{
	return p->spool ? nixspool_read(s->n, p->spool, at, s->buf, len)
			: nixranges_read(s->n, p->ranges, at, s->buf, len);
}

static int pour_span(struct serving *s, struct nixpath *p,
		     const struct span *x)
{
	const struct scorpio_sink *sink = s->sink;
	int rc = sink->blob_begin(sink->ctx, &x->id, x->len);

	for (uint64_t at = 0; at < x->len && !rc; at += PIECE) {
		size_t part = x->len - at < PIECE ? (size_t)(x->len - at)
						  : PIECE;

		rc = read_archive(s, p, x->at + at, part);
		if (rc)
			return sink->abandon(sink->ctx, rc);
		rc = sink->blob_data(sink->ctx, s->buf, part);
	}
	return rc ? rc : sink->blob_end(sink->ctx);
}

static int pour_file(struct serving *s, struct nixpath *p, uint32_t node)
{
	const struct nartree_node *x = &p->spool->tree->nodes[node];
	struct span span = { .id = node_id(p, p->tag, node), .at = x->offset,
			     .len = x->size };

	return pour_span(s, p, &span);
}

/* What else the archive holds comes along, while somebody waits for this call
 * anyway; the next one goes on. */
static int pour_rest(struct serving *s, struct nixpath *p)
{
	const struct nartree *t = p->spool->tree;
	int rc = 0;

	while (p->poured < t->n && !rc) {
		if (t->nodes[p->poured].kind != SCORPIO_DIR)
			rc = pour_file(s, p, p->poured);
		if (!rc)
			p->poured++;
	}
	return rc;
}

static int by_place(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* What of the path was asked for, in the order of the archive; the rest is told
 * that it is stale. *ret: the caller's. */
static int find_spans(struct serving *s, struct nixpath *p,
		      const struct nartree *t, const uint8_t *tag,
		      struct span **ret, uint32_t *ret_n)
{
	struct span *list = calloc(s->count, sizeof(*list));
	uint32_t n = 0;
	int rc = list ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < s->count && !rc; i++) {
		if (s->done[i] || memcmp(s->ids[i].hash, p->hash, NIX_HASH) != 0)
			continue;
		if (!span_of(t, tag, &s->ids[i], &list[n])) {
			rc = fail_one(s, i, stale(s, p));
			continue;
		}
		list[n].id = s->refs[i].id;
		list[n++].ref = i;
	}
	if (rc) {
		free(list);
		return rc;
	}
	qsort(list, n, sizeof(*list), by_place);
	*ret = list;
	*ret_n = n;
	return 0;
}

/* Spans close to one another are one request. */
static int need_spans(struct serving *s, struct nixpath *p,
		      const struct span *x, uint32_t n)
{
	int rc = 0;

	for (uint32_t i = 0, k; i < n && !rc; i = k) {
		uint64_t end = x[i].at + x[i].len;

		for (k = i + 1; k < n && x[k].at <= end + GAP; k++)
			if (x[k].at + x[k].len > end)
				end = x[k].at + x[k].len;
		rc = nixranges_need(s->n, p->ranges, x[i].at, end - x[i].at,
				    &p->fetched);
	}
	return rc;
}

static int pour_spans(struct serving *s, struct nixpath *p,
		      const struct span *x, uint32_t n)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && !rc; i++) {
		s->done[x[i].ref] = true;
		p->wanted += x[i].len;
		rc = pour_span(s, p, &x[i]);
	}
	return rc;
}

/* Notes what is read; at the first reading, what was read of a path of this name
 * before comes along. */
static void look_ahead(struct serving *s, struct nixpath *p,
		       const struct span *x, uint32_t n)
{
	const struct nartree *t = p->listed;
	uint32_t nodes[REPLAY_MAX], count;
	uint64_t bytes = 0;

	count = nixprofile_nodes(s->n, p, t, nodes, REPLAY_MAX);
	for (uint32_t i = 0; i < count; i++) {
		const struct nartree_node *node = &t->nodes[nodes[i]];
		uint64_t len = nixahead_bytes(node);

		bytes += len;
		if (bytes > REPLAY_BYTES ||
		    nixranges_need(s->n, p->ranges, node->offset, len,
				   &p->fetched))
			break;
	}
	for (uint32_t i = 0; i < n; i++) {
		nixprofile_note(s->n, p, t, s->ids[x[i].ref].node);
		nixahead_read(s->n, p, t, s->ids[x[i].ref].node);
	}
}

/* Parts of the archive. -ENOTSUP: it has to come whole. */
static int pour_ranged(struct serving *s, struct nixpath *p)
{
	auto_free struct span *x = NULL;
	uint32_t n = 0;
	int rc = find_spans(s, p, p->listed, p->listed_tag, &x, &n);

	if (rc)
		return rc;
	rc = need_spans(s, p, x, n);
	if (!rc)
		look_ahead(s, p, x, n);
	if (rc == -ENOTSUP)
		nixpath_no_ranges(p);
	if (rc)
		return rc == -ENOTSUP || nixrc_stops(rc)
			       ? rc : fail_path(s, p->hash, rc);
	/* complete, and not what was signed: nothing more is given out */
	rc = nixpath_completed(s->n, p);
	if (rc)
		return nixrc_stops(rc) ? rc : fail_path(s, p->hash, rc);
	if (p->lied)
		return fail_path(s, p->hash, stale(s, p));
	return pour_spans(s, p, x, n);
}

static int pour_wanted(struct serving *s, struct nixpath *p)
{
	auto_free struct span *x = NULL;
	uint32_t n = 0;
	int rc = nixpath_ranges(s->n, p);

	if (!rc && p->ranges) {
		rc = pour_ranged(s, p);
		if (rc != -ENOTSUP)
			return rc;
		rc = 0;
	}
	if (!rc)
		rc = nixpath_archive(s->n, p);
	if (rc)
		return nixrc_stops(rc) ? rc : fail_path(s, p->hash, rc);
	rc = find_spans(s, p, p->spool->tree, p->tag, &x, &n);
	for (uint32_t i = 0; i < n && !rc; i++)
		nixahead_read(s->n, p, p->spool->tree, s->ids[x[i].ref].node);
	if (!rc)
		rc = pour_spans(s, p, x, n);
	return rc ? rc : pour_rest(s, p);
}

/* -- calls --------------------------------------------------------------------- */

static int each_path(struct serving *s,
		     int (*pour)(struct serving *s, struct nixpath *p))
{
	int rc = 0;

	for (uint32_t i = 0; i < s->count && !rc; i++) {
		struct nixpath *p;

		if (s->done[i])
			continue;
		rc = nixpath_get(s->n, s->ids[i].hash, &p);
		if (rc)
			return rc;
		rc = pour(s, p);
		nixpath_put(s->n, p);
	}
	return rc;
}

static int prepare(struct serving *s, bool trees)
{
	int rc = 0;

	s->ids = calloc(s->count, sizeof(*s->ids));
	s->done = calloc(s->count, sizeof(*s->done));
	s->buf = malloc(PIECE);
	if (!s->ids || !s->done || !s->buf)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->count && !rc; i++) {
		if (nixid_parse(&s->refs[i].id, &s->ids[i]) &&
		    (s->ids[i].what == NIXID_NODE ||
		     s->ids[i].what == NIXID_PART || trees)) {
			if (s->ids[i].what != NIXID_ROOT)
				continue;
			s->done[i] = true;
			rc = pour_root(s);
			continue;
		}
		rc = fail_one(s, i, nixfail(s->n, -ENOENT, "no such object"));
	}
	return rc;
}

static int serve(struct serving *s, bool trees,
		 int (*pour)(struct serving *s, struct nixpath *p))
{
	int rc = s->count ? prepare(s, trees) : 0;

	if (!rc)
		rc = each_path(s, pour);
	free(s->ids);
	free(s->done);
	free(s->buf);
	return rc;
}

int nixserve_list(struct nix *n, const struct scorpio_ref *refs, uint32_t count,
		  const struct scorpio_sink *sink)
{
	struct serving s = { .n = n, .refs = refs, .count = count,
			     .sink = sink };

	return serve(&s, true, pour_trees);
}

int nixserve_fetch(struct nix *n, const struct scorpio_ref *refs,
		   uint32_t count, const struct scorpio_sink *sink)
{
	struct serving s = { .n = n, .refs = refs, .count = count,
			     .sink = sink };

	return serve(&s, false, pour_wanted);
}
