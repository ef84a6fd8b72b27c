/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB trusts its file: a wrong page number or offset makes it read wild. So
 * after a machine died with unsynced pages, or damage was met, the structure
 * is walked here first, by pread and with every number checked, which cannot
 * crash whatever the file holds. The layout is that of LMDB 0.9 on 64-bit
 * little-endian machines: two meta pages, then B-trees of branch, leaf and
 * overflow pages.
 */
#include "cache/store_check.h"

#include <fcntl.h>
#include <sys/stat.h>

#define META_MAGIC   0xBEEFC0DEu
#define META_VERSION 1u
#define PG_BRANCH    0x01u
#define PG_META      0x08u
#define NODE_BIG     0x01u
#define DB_INTEGER   0x08u
#define NONE         UINT64_MAX
#define DEPTH_MAX    32u
#define KEY_MAX      511u
#define PAGE_MAX     65536u
#define UNWRITTEN_MAX (64 * MiB)

int check_bad(struct walk *w, uint64_t page, const char *why)
{
	if (w->lenient)
		return -EUCLEAN;
	return fail(-EUCLEAN, "store: page %llu (%s): %s",
		    (unsigned long long)page, w->what, why);
}

int check_part(struct walk *w, int r)
{
	if (r != -EUCLEAN || !w->lenient)
		return r;
	w->damaged++;
	return 0;
}

/* -- meta pages ---------------------------------------------------------- */

void check_db(const uint8_t *p, struct db *ret)
{
	ret->flags = get_u16(p + 4);
	ret->depth = get_u16(p + 6);
	ret->branch = get_u64(p + 8);
	ret->leaf = get_u64(p + 16);
	ret->overflow = get_u64(p + 24);
	ret->entries = get_u64(p + 32);
	ret->root = get_u64(p + 40);
}

bool check_meta(const uint8_t *p, uint64_t file, struct meta *ret)
{
	const uint8_t *m = p + PAGE_HEAD;

	if (!(get_u16(p + 10) & PG_META) || get_u32(m) != META_MAGIC ||
	    get_u32(m + 4) != META_VERSION)
		return false;
	ret->page = get_u32(m + 24);
	check_db(m + 24, &ret->free);
	check_db(m + 24 + DB_LEN, &ret->main);
	ret->last_page = get_u64(m + 24 + 2 * DB_LEN);
	ret->txnid = get_u64(m + 32 + 2 * DB_LEN);
	if (ret->page < 512 || ret->page > PAGE_MAX ||
	    ret->page & (ret->page - 1))
		return false;
	if (ret->last_page < 1 || ret->last_page >= UINT64_MAX / ret->page)
		return false;
	/* a fresh environment has its two meta pages only; pages that were
	 * taken at the end and given back at once are never written */
	return (ret->last_page + 1) * ret->page <= file + UNWRITTEN_MAX &&
	       (ret->free.root == NONE || ret->free.root <= ret->last_page) &&
	       (ret->main.root == NONE || ret->main.root <= ret->last_page);
}

/* Both meta pages must be sound, or LMDB might pick the bad one. */
static int read_metas(struct walk *w, uint64_t txnid)
{
	uint8_t page[4096];
	struct meta m[2];
	struct stat st;
	int use;

	if (fstat(w->fd, &st))
		return fail(-errno, "store: fstat: %s", strerror(errno));
	w->what = "meta";
	if (pread(w->fd, page, 512, 0) != 512)
		return fail(-EINVAL, "store: data.mdb is too short");
	if (get_u32(page + PAGE_HEAD) != META_MAGIC)
		return fail(-EINVAL, "store: data.mdb is not an LMDB file");
	if (!check_meta(page, (uint64_t)st.st_size, &m[0]))
		return check_bad(w, 0, "bad meta page");
	if (pread(w->fd, page, 512, m[0].page) != 512 ||
	    !check_meta(page, (uint64_t)st.st_size, &m[1]) ||
	    m[1].page != m[0].page)
		return check_bad(w, 1, "bad meta page");
	use = m[1].txnid > m[0].txnid;
	if (txnid && m[use].txnid != txnid)
		use = !use;
	if (txnid && m[use].txnid != txnid)
		return fail(-EAGAIN, "store: the snapshot is gone");
	w->m = m[use];
	w->pages = m[use].last_page + 1;
	return 0;
}

/* -- pages --------------------------------------------------------------- */

static int mark(struct walk *w, uint64_t page, uint64_t n)
{
	if (page < 2 || page >= w->pages || n > w->pages - page)
		return check_bad(w, page, "outside the file");
	for (uint64_t i = page; i < page + n; i++) {
		if (w->seen[i / 8] & 1u << i % 8)
			return check_bad(w, i, "used twice");
		w->seen[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return 0;
}

int check_page(struct walk *w, uint64_t page, uint8_t *buf, size_t n)
{
	ssize_t got;

	if (w->stop && __atomic_load_n(w->stop, __ATOMIC_RELAXED))
		return -ECANCELED;
	if (now_ns() > w->deadline) /* also where each read is an error */
		return fail(-ETIMEDOUT, "store: the check took too long");
	got = pread(w->fd, buf, n, (off_t)(page * w->m.page));
	if (got != (ssize_t)n)
		return got < 0 ? check_bad(w, page, strerror(errno))
			       : check_bad(w, page, "beyond the end of the file");
	if (get_u64(buf) != page)
		return check_bad(w, page, "carries another number");
	return 0;
}

static int compare(const struct db *db, struct key a, struct key b)
{
	int d;

	if (db->flags & DB_INTEGER) {
		uint64_t x = get_u64(a.p), y = get_u64(b.p);

		return x < y ? -1 : x > y;
	}
	d = memcmp(a.p, b.p, MIN(a.len, b.len));
	return d ? d : a.len < b.len ? -1 : a.len > b.len;
}

static int overflow_of(struct tree *t, const uint8_t *data, uint64_t len,
		       uint64_t *ret)
{
	struct walk *w = t->w;
	uint64_t page = get_u64(data);
	uint64_t n = (PAGE_HEAD + len + w->m.page - 1) / w->m.page;
	uint8_t head[PAGE_HEAD];
	int r = mark(w, page, n);

	if (!r)
		r = check_page(w, page, head, sizeof(head));
	if (r)
		return r;
	if ((get_u16(head + 10) & ~PG_DIRTY) != PG_OVERFLOW ||
	    get_u32(head + 12) != n)
		return check_bad(w, page, "not the overflow page expected");
	t->found.overflow += n;
	*ret = page;
	return 0;
}

static uint64_t data_len(const uint8_t *node)
{
	return get_u16(node) | (uint64_t)get_u16(node + 2) << 16;
}

uint64_t check_node_len(const uint8_t *node)
{
	return NODE_HEAD + (uint64_t)get_u16(node + 6) +
	       (get_u16(node + 4) & NODE_BIG ? 8 : data_len(node));
}

int check_leaf(struct tree *t, uint64_t page, const uint8_t *node,
		     size_t room)
{
	uint16_t flags = get_u16(node + 4), ksize = get_u16(node + 6);
	uint64_t len = data_len(node), overflow = 0;
	const uint8_t *data = node + NODE_HEAD + ksize;
	int r;

	if (flags & ~(NODE_BIG | NODE_SUB))
		return check_bad(t->w, page, "a node with unknown flags");
	if (check_node_len(node) > room)
		return check_bad(t->w, page, "a node reaches outside");
	if (flags & NODE_BIG) {
		r = overflow_of(t, data, len, &overflow);
		if (r)
			return r;
	}
	t->found.entries++;
	return t->leaf ? t->leaf(t, node, data, len, overflow) : 0;
}

int check_shape(struct tree *t, uint64_t page, const uint8_t *p,
		      unsigned level, uint32_t *ret_count)
{
	uint16_t flags = get_u16(p + 10) & (uint16_t)~PG_DIRTY;
	uint16_t lower = get_u16(p + 12), upper = get_u16(p + 14);
	uint16_t want = level + 1 == t->db->depth ? PG_LEAF : PG_BRANCH;
	uint32_t size = t->w->m.page;

	if (flags != want)
		return check_bad(t->w, page, "of the wrong kind");
	if (lower < PAGE_HEAD || lower > upper || upper > size ||
	    (lower - PAGE_HEAD) % 2)
		return check_bad(t->w, page, "bad bounds");
	*ret_count = (lower - PAGE_HEAD) / 2u;
	if (*ret_count < (want == PG_BRANCH ? 2u : 1u))
		return check_bad(t->w, page, "too few nodes");
	return 0;
}

/* The key of node i, checked to lie inside the page, in order after prev. */
static int node_key(struct tree *t, uint64_t page, const uint8_t *p, uint32_t i,
		    bool branch, struct key lo, struct key hi, struct key *prev)
{
	uint32_t size = t->w->m.page;
	uint16_t off = get_u16(p + PAGE_HEAD + 2 * i);
	struct key k;

	if (off < get_u16(p + 14) || off > size - NODE_HEAD || off % 2)
		return check_bad(t->w, page, "a node outside");
	k.len = get_u16(p + off + 6);
	k.p = p + off + NODE_HEAD;
	if (k.len > size - NODE_HEAD - off || k.len > KEY_MAX)
		return check_bad(t->w, page, "a key outside");
	if (branch && !i) {
		*prev = lo;
		return 0;
	}
	if (!k.len || (t->db->flags & DB_INTEGER && k.len != 8))
		return check_bad(t->w, page, "a key of bad length");
	if (prev->p &&
	    (i ? compare(t->db, *prev, k) >= 0 : compare(t->db, *prev, k) > 0))
		return check_bad(t->w, page, "keys out of order");
	if (hi.p && compare(t->db, k, hi) >= 0)
		return check_bad(t->w, page, "a key beyond its parent's");
	*prev = k;
	return 0;
}

static uint64_t child_of(const uint8_t *node)
{
	return get_u16(node) | (uint64_t)get_u16(node + 2) << 16 |
	       (uint64_t)get_u16(node + 4) << 32;
}

static int walk_page(struct tree *t, uint64_t page, unsigned level,
		     struct key lo, struct key hi);

static int walk_nodes(struct tree *t, uint64_t page, const uint8_t *p,
		      unsigned level, struct key lo, struct key hi)
{
	bool branch = level + 1 < t->db->depth;
	uint32_t n = 0, size = t->w->m.page;
	struct key prev = lo;
	int r = check_shape(t, page, p, level, &n);

	/* first all keys, so that a child's upper bound can be trusted */
	for (uint32_t i = 0; !r && i < n; i++)
		r = node_key(t, page, p, i, branch, lo, hi, &prev);
	for (uint32_t i = 0; !r && i < n; i++) {
		uint16_t off = get_u16(p + PAGE_HEAD + 2 * i);
		const uint8_t *node = p + off;
		struct key from = lo, to = hi;

		if (!branch) {
			r = check_part(t->w, check_leaf(t, page, node, size - off));
			continue;
		}
		if (i)
			from = (struct key){ node + NODE_HEAD,
					     get_u16(node + 6) };
		if (i + 1 < n) {
			node = p + get_u16(p + PAGE_HEAD + 2 * (i + 1));
			to = (struct key){ node + NODE_HEAD,
					   get_u16(node + 6) };
		}
		r = check_part(t->w, walk_page(t, child_of(p + off), level + 1, from,
					 to));
	}
	if (branch)
		t->found.branch++;
	else
		t->found.leaf++;
	return r;
}

static int walk_page(struct tree *t, uint64_t page, unsigned level,
		     struct key lo, struct key hi)
{
	cleanup_free uint8_t *p = NULL;
	int r = mark(t->w, page, 1);

	if (r)
		return r;
	p = xmalloc(t->w->m.page);
	r = check_page(t->w, page, p, t->w->m.page);
	return r ? r : walk_nodes(t, page, p, level, lo, hi);
}

int check_tree(struct tree *t)
{
	const struct db *d = t->db;
	struct key none = { 0 };
	int r;

	if (d->root == NONE)
		return d->entries || d->depth
			       ? check_bad(t->w, 0, "an empty tree with entries")
			       : 0;
	if (!d->depth || d->depth > DEPTH_MAX)
		return check_bad(t->w, d->root, "bad depth");
	r = walk_page(t, d->root, 0, none, none);
	if (r || t->w->lenient)
		return r;
	if (t->found.entries != d->entries || t->found.branch != d->branch ||
	    t->found.leaf != d->leaf || t->found.overflow != d->overflow)
		return check_bad(t->w, d->root, "the tree's counts are wrong");
	return 0;
}

/* -- the databases ------------------------------------------------------- */

static int main_leaf(struct tree *t, const uint8_t *node, const uint8_t *data,
		     uint64_t len, uint64_t overflow)
{
	struct walk *w = t->w;
	char name[32];
	struct db d;
	struct tree sub = { .w = w, .db = &d };
	int r;

	if (!(get_u16(node + 4) & NODE_SUB) || len != DB_LEN || overflow)
		return check_bad(w, w->m.main.root, "not a database");
	snprintf(name, sizeof(name), "%.*s", (int)get_u16(node + 6),
		 (const char *)node + NODE_HEAD);
	check_db(data, &d);
	w->what = name;
	r = check_tree(&sub);
	w->what = "main";
	return r;
}

static int free_ids(struct walk *w, const uint8_t *ids, uint64_t len)
{
	uint64_t n = get_u64(ids);
	int r = 0;

	if (n > len / 8 - 1)
		return check_bad(w, w->m.free.root, "a free list of bad length");
	for (uint64_t i = 1; !r && i <= n; i++)
		r = mark(w, get_u64(ids + 8 * i), 1);
	return r;
}

static int free_leaf(struct tree *t, const uint8_t *node, const uint8_t *data,
		     uint64_t len, uint64_t overflow)
{
	struct walk *w = t->w;
	uint8_t *ids;
	ssize_t got;
	int r;

	if (len < 8 || len % 8 || get_u16(node + 6) != 8)
		return check_bad(w, w->m.free.root, "a bad free list");
	if (!overflow)
		return free_ids(w, data, len);
	ids = malloc(len);
	if (!ids)
		return fail(-ENOMEM, "store: out of memory for a free list");
	got = pread(w->fd, ids, len, (off_t)(overflow * w->m.page + PAGE_HEAD));
	r = got == (ssize_t)len ? free_ids(w, ids, len)
				: check_bad(w, overflow, "a short free list");
	free(ids);
	return r;
}

static int walk_free(struct walk *w)
{
	struct tree f = { .w = w, .db = &w->m.free, .leaf = free_leaf };

	w->what = "free";
	w->m.free.flags |= DB_INTEGER; /* the rest of it is the page size */
	return check_tree(&f);
}

/* The free list first: a wrong one does the most harm. */
static int walk_all(struct walk *w)
{
	struct tree t = { .w = w, .db = &w->m.main, .leaf = main_leaf };
	int r = walk_free(w);

	w->what = "main";
	return r ? r : check_tree(&t);
}

static int check(int fd, uint64_t txnid, int64_t deadline,
		 int (*walk)(struct walk *w))
{
	struct walk w = { .fd = fd, .deadline = deadline };
	int r = read_metas(&w, txnid);

	if (r)
		return r;
	w.seen = calloc(w.pages / 8 + 1, 1);
	if (!w.seen)
		return fail(-ENOMEM, "store: out of memory for the check");
	r = walk(&w);
	free(w.seen);
	return r;
}

static int check_file(const char *path, uint64_t txnid, int64_t deadline,
		      int (*walk)(struct walk *w))
{
	cleanup_free char *file = xasprintf("%s/data.mdb", path);
	cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail(-errno, "store: cannot open %s: %s", file,
			    strerror(errno));
	return check(fd, txnid, deadline, walk);
}

int store_check_fd(int fd, uint64_t txnid, int64_t deadline)
{
	return check(fd, txnid, deadline, walk_all);
}

int store_check_file(const char *path, uint64_t txnid, int64_t deadline)
{
	return check_file(path, txnid, deadline, walk_all);
}

int store_check_free(const char *path, int64_t deadline)
{
	return check_file(path, 0, deadline, walk_free);
}
