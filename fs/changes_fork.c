/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changes_fork.c - the content files of a workspace become another's too. No
 * byte of them is copied: they get a second name. Who of the two writes to one
 * first takes a copy of his own (content.c), which the link count tells, so
 * nothing has to be recorded of it, and a side that goes takes nothing along.
 *
 * What must not happen is a write between the name and the snapshot. So writers
 * wait while the files are linked; names and attributes go on, and the snapshot
 * is of the moment after: it tells of no file that was not linked, since none
 * can come to be meanwhile.
 */
#include "fs/changes_impl.h"

#include "core/clock.h"
#include "core/error.h"
#include "fs/upper.h"
#include "fs/wal.h"

#include <poll.h>

static bool is_upper(const struct cnode *n)
{
	return n->v.content == CONTENT_UPPER;
}

/* lock: edit */
static bool at_rest(const struct changes *c)
{
	for (size_t i = 0; i <= c->mask; i++)
		for (struct cnode *n = c->buckets[i]; n; n = n->next)
			if (n->copying ||
			    __atomic_load_n(&n->writers, __ATOMIC_ACQUIRE))
				return false;
	return true;
}

static void set_frozen(struct changes *c, bool frozen)
{
	pthread_rwlock_wrlock(&c->tree);
	c->frozen = frozen;
	pthread_rwlock_unlock(&c->tree);
	pthread_cond_broadcast(&c->copied);
}

int changes_freeze(struct changes *c, int64_t deadline)
{
	bool rests;

	changes_edit(c);
	set_frozen(c, true);
	while (!(rests = at_rest(c)) && now_ns() < deadline) {
		changes_edit_end(c); /* they need it for their last step */
		poll(NULL, 0, 1);
		changes_edit(c);
	}
	if (!rests)
		set_frozen(c, false);
	changes_edit_end(c);
	return rests ? 0
		     : fail(-EBUSY, "files of the workspace are being written "
			    "to all the time");
}

void changes_thaw(struct changes *c)
{
	changes_edit(c);
	set_frozen(c, false);
	changes_edit_end(c);
}

static uint64_t *list_files(struct changes *c, size_t *ret_n)
{
	uint64_t *list;
	size_t n = 0;

	changes_edit(c);
	list = xcalloc(c->count + 1, sizeof(*list));
	for (size_t i = 0; i <= c->mask; i++)
		for (struct cnode *x = c->buckets[i]; x; x = x->next)
			if (x->nlink && is_upper(x))
				list[n++] = x->v.file;
	changes_edit_end(c);
	*ret_n = n;
	return list;
}

int changes_share(struct changes *c, int to, struct changes_shared *ret_n,
		  struct wal_checkpoint **ret)
{
	size_t n;
	cleanup_free uint64_t *list = list_files(c, &n);
	struct changes_shared sum = { 0 };
	uint64_t size;

	for (size_t i = 0; i < n; i++) {
		int rc = upper_share(c->upper, list[i], to, &size);

		if (rc == -ENOENT)
			continue; /* removed meanwhile, or lost long ago */
		if (rc)
			return rc;
		sum.files++;
		sum.bytes += size;
	}
	changes_edit(c);
	changes_snapshot_copy(c, ret);
	changes_edit_end(c);
	*ret_n = sum;
	return 0;
}
