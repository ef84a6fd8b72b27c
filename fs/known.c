/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/known.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/pool.h"
#include "fs/notify.h"

#define TELL_MS 5000

struct known {
	pthread_mutex_t lock;
	pthread_cond_t told;
	struct scorpio_id *list; /* lock */
	size_t n, cap;           /* lock */
	uint32_t *table;         /* lock; open addressing: place in list + 1 */
	size_t mask;             /* lock */
	struct pool_task task;
	struct mount *mount;
	bool telling, again; /* lock */
};

struct known *known_new(void)
{
	struct known *k = xcalloc(1, sizeof(*k));

	pthread_mutex_init(&k->lock, NULL);
	cond_init(&k->told);
	return k;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	pthread_cond_destroy(&k->told);
	pthread_mutex_destroy(&k->lock);
	free(k->list);
	free(k->table);
	free(k);
}

static uint32_t *slot_of(struct known *k, const struct scorpio_id *id)
{
	size_t i = hash_xxh3(id, sizeof(*id), 0) & k->mask;

	while (k->table[i] &&
	       memcmp(&k->list[k->table[i] - 1], id, sizeof(*id)) != 0)
		i = (i + 1) & k->mask;
	return &k->table[i];
}

/* lock held */
static void grow(struct known *k)
{
	k->cap = k->cap ? 2 * k->cap : 64;
	k->list = xrealloc(k->list, k->cap * sizeof(*k->list));
	k->mask = 4 * k->cap - 1;
	free(k->table);
	k->table = xcalloc(k->mask + 1, sizeof(*k->table));
	for (size_t i = 0; i < k->n; i++)
		*slot_of(k, &k->list[i]) = (uint32_t)i + 1;
}

/* On a thread that answers no requests of the kernel. */
static void tell(struct pool_task *t)
{
	struct known *k = container_of(t, struct known, task);
	struct notices n = { 0 };

	pthread_mutex_lock(&k->lock);
	do {
		k->again = false;
		pthread_mutex_unlock(&k->lock);
		notices_inode(&n, NODE_ROOT);
		notify_send(k->mount, &n, deadline_in_ms(TELL_MS));
		notices_done(&n);
		pthread_mutex_lock(&k->lock);
	} while (k->again);
	k->telling = false;
	pthread_cond_broadcast(&k->told);
	pthread_mutex_unlock(&k->lock);
}

void known_add(struct mount *m, const struct scorpio_id *bucket)
{
	struct known *k = m->known;
	uint32_t *slot;
	bool start;

	lock_scope(&k->lock);
	if (k->n == k->cap)
		grow(k);
	slot = slot_of(k, bucket);
	if (*slot)
		return;
	k->list[k->n] = *bucket;
	*slot = (uint32_t)++k->n;
	start = !k->telling;
	k->telling = k->again = true;
	if (start) {
		k->mount = m;
		k->task.run = tell;
		pool_add(m->fs->work, &k->task);
	}
}

static void add_bucket(void *ctx, const struct node *n)
{
	if (n->dir && n->dir->bucket)
		known_add(ctx, &n->dir->tree);
}

void known_revive(struct mount *m)
{
	if (m->known)
		node_each(m->nodes, add_bucket, m);
}

bool known_at(struct mount *m, uint64_t at, struct scorpio_id *ret)
{
	struct known *k = m->known;

	lock_scope(&k->lock);
	if (at >= k->n)
		return false;
	*ret = k->list[at];
	return true;
}

void known_stop(struct mount *m)
{
	struct known *k = m->known;

	if (!k)
		return;
	lock_scope(&k->lock);
	while (k->telling)
		pthread_cond_wait(&k->told, &k->lock);
}

int known_prepare(struct mount *m, const struct fs_mount_request *r)
{
	uint32_t flags = source_instance_flags(m->source);

	if (flags & SCORPIO_INSTANCE_OWNER_ROOT) {
		m->uid = r->uid < 0 ? 0 : m->uid;
		m->gid = r->gid < 0 ? 0 : m->gid;
	}
	m->open_root = flags & SCORPIO_INSTANCE_OPEN_ROOT;
	if (!m->open_root)
		return 0;
	if (!m->read_only && r->workspace)
		return fail(-ENOTSUP, "%s cannot be listed whole, so no "
			    "workspace can be made of it: mount it read-only",
			    source_url(m->source));
	m->read_only = true;
	return 0;
}
