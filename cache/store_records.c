/* SPDX-License-Identifier: Apache-2.0 */
/* The records of a damaged file that can still be reached. */
#include "cache/store_check.h"

#include <sys/stat.h>

#define RECORD_MAX (64 * MiB)
#define LOOSE_MAX  (1 * MiB) /* a record of which nothing says how long it is */

/* Any root that is one: the other may have been damaged. */
static int find_roots(int fd, struct meta m[2], bool sound[2])
{
	uint8_t page[512];
	uint32_t size;
	struct stat st;

	if (fstat(fd, &st))
		return fail(-errno, "store: fstat: %s", strerror(errno));
	sound[0] = pread(fd, page, sizeof(page), 0) == sizeof(page) &&
		   check_meta(page, (uint64_t)st.st_size, &m[0]);
	size = sound[0] ? m[0].page : (uint32_t)sysconf(_SC_PAGESIZE);
	sound[1] = pread(fd, page, sizeof(page), size) == sizeof(page) &&
		   check_meta(page, (uint64_t)st.st_size, &m[1]) &&
		   m[1].page == size;
	return sound[0] || sound[1]
		       ? 0
		       : fail(-EINVAL, "store: neither root can be read");
}

static int give_record(struct tree *t, const uint8_t *node, const uint8_t *data,
		       uint64_t len, uint64_t overflow)
{
	const struct store_records *x = t->records;
	cleanup_free uint8_t *copy = NULL;
	off_t at = (off_t)(overflow * t->w->m.page + PAGE_HEAD);

	if (overflow) {
		copy = len <= RECORD_MAX ? malloc(len) : NULL;
		if (!copy || pread(t->w->fd, copy, len, at) != (ssize_t)len)
			return check_bad(t->w, overflow, "cannot be read");
		data = copy;
	}
	return x->fn(x->ctx, node + NODE_HEAD, get_u16(node + 6), data, len);
}

static int find_records(struct tree *t, const uint8_t *node,
			const uint8_t *data, uint64_t len, uint64_t overflow)
{
	const struct store_records *x = t->records;
	size_t n = strlen(x->db);
	struct tree sub = { .w = t->w, .leaf = give_record, .records = x };
	struct db d;

	if (get_u16(node + 6) != n || memcmp(node + NODE_HEAD, x->db, n))
		return 0;
	if (!(get_u16(node + 4) & NODE_SUB) || len != DB_LEN || overflow)
		return -EUCLEAN;
	check_db(data, &d);
	sub.db = &d;
	return check_tree(&sub);
}

/* Those that a root leads to and an earlier root did not. */
static int records_of(struct walk *w, const struct meta *m, const struct store_records *x)
{
	struct tree t = { .w = w, .leaf = find_records, .records = x };

	w->m = *m;
	t.db = &w->m.main;
	return check_part(w, check_tree(&t));
}

/* The nodes of a page that no root leads to, if it looks like a leaf. As many as
 * can lie there beside each other. */
static int scan_page(struct tree *t, uint64_t page, const uint8_t *p)
{
	size_t size = t->w->m.page, left;
	uint32_t n = 0;
	int r = check_shape(t, page, p, 0, &n);

	left = size - get_u16(p + 14);
	for (uint32_t i = 0; !r && i < n; i++) {
		uint16_t off = get_u16(p + PAGE_HEAD + 2 * i);

		if (off < get_u16(p + 14) || off > size - NODE_HEAD ||
		    get_u16(p + off + 6) > size - NODE_HEAD - off)
			continue;
		if (check_node_len(p + off) > left)
			continue;
		left -= (size_t)check_node_len(p + off);
		r = check_part(t->w, check_leaf(t, page, p + off, size - off));
	}
	return r;
}

/* What stands in pages of its own, as far as it may reach. */
static int scan_overflow(struct walk *w, const struct store_records *x,
			 uint64_t page, const uint8_t *head)
{
	uint64_t n = get_u32(head + 12);
	size_t len = (size_t)(n * w->m.page - PAGE_HEAD);
	cleanup_free uint8_t *p = NULL;

	if (!n || n > LOOSE_MAX / w->m.page || n > w->pages - page)
		return 0;
	p = xmalloc(len);
	if (pread(w->fd, p, len, (off_t)(page * w->m.page + PAGE_HEAD)) !=
	    (ssize_t)len)
		return 0;
	return x->fn(x->ctx, NULL, 0, p, len);
}

static int scan(struct walk *w, const struct store_records *x)
{
	struct db leaf = { .depth = 1 };
	struct tree t = { .w = w, .db = &leaf, .leaf = give_record,
			  .records = x };
	cleanup_free uint8_t *p = xmalloc(w->m.page);
	int r = 0;

	for (uint64_t i = 2; (!r || r == -EUCLEAN) && i < w->pages; i++) {
		if (w->seen[i / 8] & 1u << i % 8)
			continue;
		r = check_page(w, i, p, w->m.page);
		if (r)
			continue;
		r = (get_u16(p + 10) & ~PG_DIRTY) == PG_OVERFLOW
			    ? scan_overflow(w, x, i, p)
			    : scan_page(&t, i, p);
	}
	return r == -EUCLEAN ? 0 : r;
}

int store_check_records(int fd, const struct store_records *x)
{
	struct walk w = { .fd = fd, .deadline = x->deadline, .stop = x->stop,
			  .lenient = true };
	struct meta m[2];
	bool sound[2];
	int r = find_roots(fd, m, sound), newest;

	if (r)
		return r;
	newest = sound[1] && (!sound[0] || m[1].txnid > m[0].txnid);
	for (int i = 0; i < 2; i++)
		if (sound[i])
			w.pages = MAX(w.pages, m[i].last_page + 1);
	w.seen = calloc(w.pages / 8 + 1, 1);
	if (!w.seen)
		return fail(-ENOMEM, "store: out of memory for the check");
	r = records_of(&w, &m[newest], x);
	if (!r && w.damaged && sound[!newest])
		r = records_of(&w, &m[!newest], x);
	if (!r && w.damaged && x->all)
		r = scan(&w, x);
	free(w.seen);
	return r ? r : w.damaged;
}
