/* SPDX-License-Identifier: Apache-2.0 */
/* changes_dir.c - the names a changed directory overrides or adds. */
#include "fs/changes_impl.h"

#include "core/hash.h"

#define FIRST_BUCKETS 8

uint32_t cname_hash(const char *name, size_t len)
{
	return (uint32_t)hash_xxh3(name, len, 0);
}

struct cdir *cdir_new(void)
{
	struct cdir *d = xcalloc(1, sizeof(*d));

	d->last_cookie = CHANGES_COOKIE;
	return d;
}

/* Its names are gone already, or nobody needs them any more. */
void cdir_free(struct cdir *d)
{
	if (!d)
		return;
	for (uint32_t i = 0; d->buckets && i <= d->mask; i++) {
		for (struct cname *n = d->buckets[i], *next; n; n = next) {
			next = n->next;
			free(n);
		}
	}
	free(d->buckets);
	free(d->order);
	free(d);
}

static void grow(struct cdir *d)
{
	uint32_t mask = d->buckets ? d->mask * 2 + 1 : FIRST_BUCKETS - 1;
	struct cname **buckets = xcalloc(mask + 1, sizeof(*buckets));

	for (uint32_t i = 0; d->buckets && i <= d->mask; i++) {
		for (struct cname *n = d->buckets[i], *next; n; n = next) {
			next = n->next;
			n->next = buckets[n->hash & mask];
			buckets[n->hash & mask] = n;
		}
	}
	free(d->buckets);
	d->buckets = buckets;
	d->mask = mask;
}

struct cname *changes_name(const struct cnode *dir, const char *name,
			   size_t len)
{
	const struct cdir *d = dir->dir;
	uint32_t hash;

	if (!d->count)
		return NULL;
	hash = cname_hash(name, len);
	for (struct cname *n = d->buckets[hash & d->mask]; n; n = n->next)
		if (n->hash == hash && n->len == len &&
		    !memcmp(n->name, name, len))
			return n;
	return NULL;
}

/* Index of the first place after cookie. */
static uint32_t place_after(const struct cdir *d, uint64_t cookie)
{
	uint32_t low = 0, high = d->order_len;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (d->order[mid].cookie <= cookie)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct cname *changes_next(const struct cnode *dir, uint64_t cookie)
{
	const struct cdir *d = dir->dir;

	for (uint32_t i = place_after(d, cookie); i < d->order_len; i++)
		if (d->order[i].name)
			return d->order[i].name;
	return NULL;
}

/* Throw holes away. Cookies stay what they are. */
static void compact(struct cdir *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->order_len; i++)
		if (d->order[i].name)
			d->order[n++] = d->order[i];
	d->order_len = n;
}

void cname_place(struct cname *name, uint64_t cookie)
{
	struct cdir *d = name->dir->dir;

	if (d->order_len == d->order_cap) {
		compact(d);
		if (d->order_len >= d->order_cap / 2) {
			d->order_cap = d->order_cap ? d->order_cap * 2 : 8;
			d->order = xrealloc(d->order, d->order_cap *
							      sizeof(*d->order));
		}
	}
	name->cookie = cookie;
	d->last_cookie = MAX(d->last_cookie, cookie);
	d->order[d->order_len].cookie = cookie;
	d->order[d->order_len++].name = name;
}

static void unplace(struct cname *name)
{
	struct cdir *d = name->dir->dir;
	uint32_t i = place_after(d, name->cookie - 1);

	assert(i < d->order_len && d->order[i].name == name);
	d->order[i].name = NULL;
	while (d->order_len && !d->order[d->order_len - 1].name)
		d->order_len--;
	name->cookie = 0;
}

void cname_set_lower(struct cname *name, uint8_t lower_kind)
{
	struct cdir *d = name->dir->dir;

	name->lower_kind = lower_kind;
	if (!lower_kind && !name->node)
		cname_drop(name);
	else if (lower_kind && name->cookie)
		unplace(name);
	else if (!lower_kind && !name->cookie)
		cname_place(name, d->last_cookie + 1);
}

struct cname *cname_make(struct cnode *dir, const char *name,
			 uint8_t lower_kind)
{
	size_t len = strlen(name);
	struct cname *n = changes_name(dir, name, len);
	struct cdir *d = dir->dir;

	if (n)
		return n;
	if (!d->buckets || d->count > d->mask)
		grow(d);
	n = xcalloc(1, sizeof(*n) + len + 1);
	n->hash = cname_hash(name, len);
	n->dir = dir;
	n->lower_kind = lower_kind;
	n->len = (uint8_t)len;
	memcpy(n->name, name, len);
	n->next = d->buckets[n->hash & d->mask];
	d->buckets[n->hash & d->mask] = n;
	d->count++;
	d->hidden++;
	return n;
}

static void unlink_from_node(struct cname *name)
{
	struct cname **p = &name->node->links;

	while (*p != name)
		p = &(*p)->next_link;
	*p = name->next_link;
	name->next_link = NULL;
	name->node->nlink--;
}

void cname_set(struct cname *name, struct cnode *node)
{
	struct cdir *d = name->dir->dir;

	if (name->node) {
		unlink_from_node(name);
		d->live--;
	} else {
		d->hidden--;
	}
	name->node = node;
	if (!node) {
		d->hidden++;
		if (name->cookie)
			unplace(name);
		return;
	}
	d->live++;
	name->next_link = node->links;
	node->links = name;
	node->nlink++;
	if (!name->lower_kind && !name->cookie)
		cname_place(name, d->last_cookie + 1);
}

void cname_drop(struct cname *name)
{
	struct cdir *d = name->dir->dir;
	struct cname **p = &d->buckets[name->hash & d->mask];

	assert(!name->node);
	while (*p != name)
		p = &(*p)->next;
	*p = name->next;
	d->count--;
	d->hidden--;
	free(name);
}
