/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - what operation number i is */
#include "tests/tools/fsrand/fsrand.h"

#define CROWD 250 /* names more than at the start: time to remove some */

static const struct op_kind *find_kind(const char *name)
{
	const struct op_kind *k = path_ops;

	while (strcmp(k->name, name) != 0)
		k++;
	return k;
}

static const struct op_kind *pick_kind(void)
{
	static unsigned total;
	unsigned n;

	if (names_count() > names_start() + CROWD && chance(15))
		return find_kind(chance(25) ? "rmtree" : "unlink");
	if (total == 0)
		for (const struct op_kind *k = path_ops; k->name; k++)
			total += k->weight;
	/* two operations on names for one on a descriptor */
	n = below(total * 3 / 2);
	if (n < total) {
		for (const struct op_kind *k = path_ops; k->name; k++) {
			if (n < k->weight)
				return k;
			n -= k->weight;
		}
	}
	for (;;) {
		for (const struct op_kind *k = slot_ops; k->name; k++)
			if (below(300) < k->weight)
				return k;
	}
}

static int open_slot(const struct side *twin)
{
	int start = (int)below(SLOTS);

	for (int i = 0; i < SLOTS; i++)
		if (twin->fd[(start + i) % SLOTS] >= 0)
			return (start + i) % SLOTS;
	return -1;
}

static off_t pick_offset(void)
{
	unsigned p = below(100);

	if (p < 45)
		return below(70000);
	if (p < 75) { /* around the borders of chunks and pages */
		off_t at = (off_t)below(5) * 65536 + (off_t)below(5) - 2;

		return at < 0 ? 0 : at;
	}
	if (p < 85)
		return (off_t)below(40) * 4096;
	if (p < 99)
		return below(300000);
	return below(4 << 20);
}

static size_t pick_length(void)
{
	unsigned p = below(100);

	return p < 60 ? below(5000) : p < 90 ? below(70000) : below(DATA_SIZE);
}

void plan_op(const struct config *c, unsigned long i, const struct side *twin,
	     struct op *ret)
{
	const struct op_kind *k;
	int slot;

	random_start(c->seed, i);
	do {
		k = pick_kind();
		slot = k->needs & SLOT ? open_slot(twin) : (int)below(SLOTS);
	} while (slot < 0);
	*ret = (struct op){ .kind = k, .slot = slot };
	ret->slot2 = k->needs & SLOT2 ? open_slot(twin) : 0;
	names_pick(k->a, k->needs & ROOT_OK, ret->a);
	names_pick(k->b, false, ret->b);
	ret->flags = below(1u << 20) | 1u * (c->journal != NULL);
	ret->mode = below(01000) | (chance(80) ? 0600 : 0);
	ret->when.tv_sec = below(1000000000);
	ret->when.tv_nsec = below(1000000000);
	ret->data = (unsigned)random_next();
	if (!(k->needs & IO))
		return;
	ret->off = pick_offset();
	ret->off2 = pick_offset();
	ret->len = pick_length();
	random_bytes(op_data, ret->len, ret->data);
}

void describe_op(unsigned long i, const struct op *o, char *buf, size_t size)
{
	size_t n;

	n = (size_t)snprintf(buf, size, "%lu %s", i, o->kind->name);
	if (o->kind->needs & SLOT || strncmp(o->kind->name, "open", 4) == 0)
		n += (size_t)snprintf(buf + n, size - n, " #%d", o->slot);
	if (o->kind->needs & SLOT2)
		n += (size_t)snprintf(buf + n, size - n, " from #%d", o->slot2);
	if (o->kind->a != NONE)
		n += (size_t)snprintf(buf + n, size - n, " '%s'", o->a);
	if (o->kind->b != NONE)
		n += (size_t)snprintf(buf + n, size - n, " '%s'", o->b);
	if (o->kind->needs & IO)
		n += (size_t)snprintf(buf + n, size - n, " at %lld+%zu",
				      (long long)o->off, o->len);
	snprintf(buf + n, size - n, " flags %u mode %o", o->flags, o->mode);
}
