/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/resized.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/pool.h"
#include "fs/notify.h"
#include "fs/view.h"

#define KERNEL_MS 3000 /* to wait for it; longer only if it is stuck */

struct resized {
	struct pool_task task;
	struct fs *fs;
	uint16_t space;
	struct scorpio_id id;
	void (*done)(void *arg);
	void *arg;
};

struct search {
	struct mount *mount;
	struct store_reader *reader;
	const struct scorpio_id *id;
	struct notices notices;
};

static METRIC(corrected, "scorpio_fs_sizes_corrected_total", METRIC_COUNTER,
	      NULL, "inodes whose size the kernel was told to forget");

static void look_at(void *ctx, const struct node *n)
{
	struct search *s = ctx;
	struct tree_entry e;
	struct scorpio_id id;

	if (n->dir || node_changed(n) ||
	    view_entry(s->mount, s->reader, n, &e))
		return;
	id = view_id(&e);
	if (id_equal(&id, s->id))
		notices_attributes(&s->notices, n->ino);
}

static void correct(struct mount *m, const struct scorpio_id *id)
{
	struct search s = { .mount = m, .id = id };
	struct store_reader r;

	if (store_read_begin(m->store, &r) < 0)
		return;
	s.reader = &r;
	view_lock(m);
	node_each(m->nodes, look_at, &s);
	view_unlock(m);
	store_read_end(&r);
	metric_add(&corrected, (int64_t)s.notices.n);
	if (notify_send(m, &s.notices, deadline_in_ms(KERNEL_MS)))
		log_warn("fs", "%s: %s", m->dir, error_text(-ETIMEDOUT));
	notices_done(&s.notices);
}

/* The live mounts, each to be released; *ret_n of them. */
static struct mount **hold_mounts(struct fs *f, size_t *ret_n)
{
	struct mount **list;
	size_t n = 0;

	lock_scope(&f->lock);
	for (struct mount *m = f->mounts; m; m = m->next)
		n++;
	list = xcalloc(n + 1, sizeof(struct mount *));
	n = 0;
	for (struct mount *m = f->mounts; m; m = m->next) {
		if (m->state != MOUNT_LIVE)
			continue;
		m->users++;
		list[n++] = m;
	}
	*ret_n = n;
	return list;
}

static void run(struct pool_task *t)
{
	struct resized *x = container_of(t, struct resized, task);
	struct mount **list;
	size_t n;

	list = hold_mounts(x->fs, &n);
	for (size_t i = 0; i < n; i++) {
		if (list[i]->space == x->space)
			correct(list[i], &x->id);
		mount_release(list[i]);
	}
	free(list);
	x->done(x->arg);
	free(x);
}

void resized_note(void *ctx, uint16_t space, const struct scorpio_id *id,
		  void (*done)(void *arg), void *arg)
{
	struct resized *x = xcalloc(1, sizeof(*x));
	char hex[ID_HEX_MAX];

	metric_register(&corrected);
	log_warn("fs", "the size of %s was told wrongly: corrected",
		 id_hex(id, hex));
	x->task.run = run;
	x->fs = ctx;
	x->space = space;
	x->id = *id;
	x->done = done;
	x->arg = arg;
	pool_add(x->fs->work, &x->task);
}
