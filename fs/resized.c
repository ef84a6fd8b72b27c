/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/resized.h"

#include "core/id.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/pool.h"
#include "fs/notify.h"
#include "fs/view.h"

struct resized {
	struct pool_task task;
	struct fs *fs;
	uint16_t space;
	struct scorpio_id id;
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
		notices_inode(&s->notices, n->ino);
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
	notify_send(m, &s.notices, 0); /* without waiting for the kernel */
	notices_done(&s.notices);
}

static struct mount *next_mount(struct fs *f, struct mount *after)
{
	struct mount *m;

	lock_scope(&f->lock);
	m = after ? after->next : f->mounts;
	while (m && m->state != MOUNT_LIVE)
		m = m->next;
	if (m)
		m->users++;
	return m;
}

static void run(struct pool_task *t)
{
	struct resized *x = container_of(t, struct resized, task);
	struct mount *m, *next;

	for (m = next_mount(x->fs, NULL); m; m = next) {
		if (m->space == x->space)
			correct(m, &x->id);
		next = next_mount(x->fs, m);
		mount_release(m);
	}
	free(x);
}

void resized_note(void *ctx, uint16_t space, const struct scorpio_id *id)
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
	pool_add(x->fs->work, &x->task);
}
