/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intent.c - requests that must not be done twice.
 *
 * The kernel sends requests again that a daemon died with. Most can be done
 * once more: they say what is to be, with absolute positions. Making, removing
 * and moving names cannot. So before such a request's record goes to the log,
 * the request's number and the record's are noted in the memory that outlives
 * the daemon; the next one looks whether that record is in the log. Numbers of
 * records are used again when the log did not get that far, so their type
 * counts as well: none of these types is written before requests are served.
 */
#include "fs/arena.h"
#include "fs/changes_impl.h"
#include "fs/wal.h"

/* Those of the last step of a request that cannot be done twice. */
static bool matters(uint32_t type)
{
	switch (type) {
	case CHANGE_CREATE:
	case CHANGE_LINK:
	case CHANGE_REMOVE:
	case CHANGE_RENAME:
	case CHANGE_EXCHANGE:
	case CHANGE_XATTR:
	case CHANGE_UNXATTR:
		return true;
	default:
		return false;
	}
}

void intent_note(struct changes *c, uint32_t type)
{
	struct intents *x = c->intents;
	struct intent *i;

	if (!x || !c->unique || !matters(type))
		return;
	i = &x->list[x->at++ % ARENA_INTENTS];
	__atomic_store_n(&i->unique, 0, __ATOMIC_RELEASE);
	i->seq = wal_seq(c->wal) + 1;
	i->type = type;
	__atomic_store_n(&i->unique, c->unique, __ATOMIC_RELEASE);
}

void intent_seen(struct changes *c, uint32_t type, uint64_t seq)
{
	struct intents *x = c->intents;

	if (!x || !seq)
		return;
	if (!c->first_seq)
		c->first_seq = seq;
	if (!matters(type))
		return;
	for (size_t k = 0; k < ARENA_INTENTS; k++)
		if (x->list[k].seq == seq && x->list[k].type == type)
			x->list[k].seq = 0;
}

void intent_settle(struct changes *c)
{
	struct intents *x = c->intents;
	/* what is before the log is in the checkpoint */
	uint64_t first = c->first_seq ? c->first_seq : wal_seq(c->wal) + 1;

	for (size_t k = 0; x && k < ARENA_INTENTS; k++) {
		struct intent *i = &x->list[k];

		if (i->seq && i->seq < first)
			i->seq = 0;
		else if (i->seq)
			i->unique = 0;
	}
}

bool changes_did(struct changes *c, uint64_t unique)
{
	bool did = false;

	if (!c->intents)
		return false;
	changes_edit(c);
	for (size_t k = 0; k < ARENA_INTENTS && !did; k++)
		did = c->intents->list[k].unique == unique;
	changes_edit_end(c);
	return did;
}
