/* SPDX-License-Identifier: Apache-2.0 */
/* changes_load.c - from the disk to memory at mount, and back at unmount. */
#include "fs/changes_impl.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/path.h"
#include "fs/times.h"
#include "fs/upper.h"
#include "fs/wal.h"

#include <malloc.h>
#include <sys/random.h>

#define FIRST_BUCKETS 64
#define MANY 4096 /* inodes: worth giving their memory back */

static uint64_t boot_id(void)
{
	cleanup_free char *text = NULL;
	size_t len = 0;

	if (path_read("/proc/sys/kernel/random/boot_id", 256, &text, &len))
		return 0;
	return hash_xxh3(text, len, 0);
}

static uint64_t random_generation(void)
{
	uint64_t g = 0;

	/* positive and exact in a double: clients are written in anything */
	while (!g) {
		if (getrandom(&g, sizeof(g), 0) != sizeof(g))
			abort();
		g &= (1ull << 52) - 1;
	}
	return g;
}

static int load_state(struct changes *c, const struct change *ch)
{
	const uint8_t *p = ch->value;

	if (ch->value_len < 24)
		return fail(-EBADMSG, "the checkpoint's state is malformed");
	c->last_number = ch->ino;
	c->clean = ch->kind;
	c->boot = get_u64(p + 16);
	journal_begin(c->journal, ch->cookie, get_u64(p));
	journal_resume(c->journal, get_u64(p + 8));
	return 0;
}

static int load_journal(struct changes *c, const struct change *ch)
{
	const char *path = ch->value, *from = NULL;
	size_t n = ch->value_len, len;

	if (!n || path[n - 1])
		return fail(-EBADMSG, "a journal entry is malformed");
	len = strlen(path) + 1;
	if (len < n)
		from = path + len;
	journal_add(c->journal, ch->ino, ch->kind, ch->content, xstrdup(path),
		    from ? xstrdup(from) : NULL);
	return 0;
}

static int load_record(void *ctx, uint32_t type, uint64_t seq,
		       const uint8_t *p, size_t n)
{
	struct changes *c = ctx;
	struct change ch;
	struct cnode *was;
	int rc = change_decode(type, p, n, &ch);

	if (rc)
		return rc;
	ch.seq = seq;
	intent_seen(c, type, seq);
	switch (type) {
	case CHANGE_STATE:
		return load_state(c, &ch);
	case CHANGE_JOURNAL:
		return load_journal(c, &ch);
	case CHANGE_BEGIN:
		c->clean = false;
		c->boot = ch.value_len >= 8 ? get_u64(ch.value) : 0;
		if (journal_now(c->journal).generation != ch.cookie)
			journal_begin(c->journal, ch.cookie, seq);
		return 0;
	case CHANGE_PART:
	case CHANGE_SWITCH:
	case CHANGE_BASE:
	case CHANGE_TIMES:
		return switch_replay(c, &ch);
	case CHANGE_ADOPT:
		was = changes_find(c, ch.v.ino);
		if (was && !was->nlink)
			cnode_bury(c, was);
		return change_apply(c, &ch);
	default:
		return change_apply(c, &ch);
	}
}

/* After a power cut what was never synced may be gone. At other times somebody
 * took the file away: that must not look like a change that was never made. */
static void lost(struct changes *c, struct cnode *n)
{
	cleanup_free char *path = changes_path(n, NULL);

	if (c->boot == boot_id()) {
		log_error("fs", "changed content of %s was removed from the "
			  "workspace's directory: it cannot be read until it "
			  "is written anew, or scorpio reset brings back what "
			  "the revision has", path ? path : "a removed file");
		/* the log's size is an old one; of 0 bytes nobody asks */
		n->v.size = MAX(n->v.size, (uint64_t)1);
		return;
	}
	log_warn("fs", "changed content of %s was lost: %s",
		 path ? path : "a removed file",
		 n->v.id.len ? "it is as in the revision again"
			     : "it is empty");
	n->v.content = n->v.id.len ? CONTENT_LOWER : CONTENT_EMPTY;
	n->v.size = n->v.id.len ? SCORPIO_SIZE_UNKNOWN : 0;
	n->v.file = 0;
}

/* The content files know better than the log. */
static void measure(struct changes *c, struct cnode *n)
{
	struct stat st;

	if (upper_stat(c->upper, n->v.file, &st))
		lost(c, n);
	else
		changes_measure(n, &st);
}

struct files {
	uint64_t *list;
	size_t n;
};

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool in_use(void *ctx, uint64_t file)
{
	const struct files *f = ctx;

	return f->n && bsearch(&file, f->list, f->n, sizeof(file), by_number);
}

static void check_files(struct changes *c)
{
	struct files f = { xcalloc(c->count, sizeof(*f.list)), 0 };

	for (size_t i = 0; i <= c->mask; i++) {
		for (struct cnode *n = c->buckets[i]; n; n = n->next) {
			if (n->v.content != CONTENT_UPPER)
				continue;
			measure(c, n);
			if (n->v.content == CONTENT_UPPER)
				f.list[f.n++] = n->v.file;
		}
	}
	qsort(f.list, f.n, sizeof(*f.list), by_number);
	upper_sweep(c->upper, in_use, &f);
	free(f.list);
}

static int begin(struct changes *c, const struct wal_found *found)
{
	uint64_t boot = boot_id(), generation, seq;
	struct change ch = { .type = CHANGE_BEGIN, .value = &boot,
			     .value_len = sizeof(boot), .time = wall_ns() };
	struct buf payload = BUF_INIT;
	/* after a power cut acknowledged changes may be gone */
	bool lost = found->torn_bytes || (!c->clean && c->boot != boot);
	int rc;

	generation = journal_now(c->journal).generation;
	if (found->fresh || !generation || lost)
		generation = random_generation();
	ch.cookie = generation;
	change_encode(&ch, &payload);
	rc = wal_append(c->wal, ch.type, payload.data, payload.len, &seq);
	buf_done(&payload);
	if (rc)
		return rc;
	if (journal_now(c->journal).generation != generation)
		journal_begin(c->journal, generation, seq);
	/* whatever was reported once may have been asked for */
	journal_observe(c->journal, seq);
	c->boot = boot;
	return 0;
}

/* Inodes without a name, which the log, or a checkpoint, still tells of: those
 * the kernel does not know go. */
static void bury_unknown(struct changes *c, const struct changes_options *o)
{
	c->dead = NULL;
	for (size_t i = 0; i <= c->mask; i++) {
		for (struct cnode *n = c->buckets[i]; n; n = n->next) {
			if (o->link)
				o->link(o->ctx, n);
			if (!n->nlink)
				cnode_orphaned(c, n);
		}
	}
	changes_edit(c);
	changes_edit_end(c);
}

static struct changes *changes_new(const struct changes_options *o)
{
	struct changes *c = xcalloc(1, sizeof(*c));
	struct cvalue root = {
		.ino = 1, .id = o->root, .mode = S_IFDIR | 0755,
		.uid = CHANGES_OWNER, .gid = CHANGES_OWNER,
		.lower_mode = 0755, .lower_kind = SCORPIO_DIR,
		.lower_path = (char *)(uintptr_t) "",
		.atim = o->root_mtime, .mtim = o->root_mtime,
		.ctim = o->root_mtime,
	};
	pthread_rwlockattr_t attr;

	pthread_mutex_init(&c->edit, NULL);
	pthread_mutex_init(&c->dead_lock, NULL);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&c->tree, &attr);
	pthread_rwlockattr_destroy(&attr);
	cond_init(&c->copied);
	for (size_t i = 0; i < CHANGES_STRIPES; i++)
		pthread_mutex_init(&c->stripes[i], NULL);
	c->mask = FIRST_BUCKETS - 1;
	c->buckets = xcalloc(FIRST_BUCKETS, sizeof(*c->buckets));
	c->upper = o->upper;
	c->attach = o->attach;
	c->attach_ctx = o->ctx;
	c->intents = o->intents;
	c->journal = journal_new();
	c->times = times_new();
	c->checkpoint_at = CHANGES_LOG_MAX;
	c->root = cnode_new(c, &root);
	c->root->nlink = 1; /* it has no name */
	return c;
}

static void changes_free(struct changes *c)
{
	bool many = c->count > MANY;

	wal_close(c->wal);
	for (size_t i = 0; i <= c->mask; i++) {
		for (struct cnode *n = c->buckets[i], *next; n; n = next) {
			next = n->next;
			cnode_free(n);
		}
	}
	free(c->buckets);
	free(c->trash);
	free(c->retired);
	times_free(c->times);
	free(c->base);
	buf_done(&c->pending);
	journal_free(c->journal);
	upper_close(c->upper);
	for (size_t i = 0; i < CHANGES_STRIPES; i++)
		pthread_mutex_destroy(&c->stripes[i]);
	pthread_cond_destroy(&c->copied);
	pthread_rwlock_destroy(&c->tree);
	pthread_mutex_destroy(&c->dead_lock);
	pthread_mutex_destroy(&c->edit);
	free(c);
	/* the allocator would keep it, and another thread that mounts it again
	 * would not get it from there */
	if (many)
		malloc_trim(0);
}

int changes_open(const struct changes_options *o, struct changes **ret)
{
	struct changes *c = changes_new(o);
	struct wal_found found = { 0 };
	int rc = wal_open(o->dir, load_record, c, &c->wal, &found);

	if (!rc) {
		if (found.torn_bytes)
			log_warn("fs", "%s: %llu bytes of an unfinished "
				 "change were cut off", o->dir,
				 (unsigned long long)found.torn_bytes);
		intent_settle(c);
		bury_unknown(c, o);
		if (!c->clean && !found.fresh)
			check_files(c);
		rc = begin(c, &found);
	}
	if (rc) {
		changes_free(c);
		return fail_prefix(rc, "workspace %s", o->dir);
	}
	*ret = c;
	return 0;
}

void changes_close(struct changes *c)
{
	struct wal_checkpoint *snapshot;
	int rc;

	if (!c)
		return;
	journal_stop(c->journal);
	changes_edit(c);
	changes_retire_all(c);
	rc = changes_snapshot(c, true, &snapshot);
	changes_edit_end(c);
	if (!rc)
		rc = wal_checkpoint_end(snapshot);
	if (rc) /* nothing is lost: the log has it all */
		log_warn("fs", "no checkpoint at unmount: %s",
			 error_text(rc));
	changes_free(c);
}

void changes_abandon(struct changes *c)
{
	if (c)
		changes_free(c);
}

bool changes_untouched(struct changes *c)
{
	const struct cnode *root = c->root;
	const struct cdir *d = root->dir;

	for (uint32_t i = 0; d->buckets && i <= d->mask; i++)
		for (struct cname *n = d->buckets[i]; n; n = n->next)
			if ((n->lower_kind || strcmp(n->name, FS_OWN_NAME)) &&
			    (!n->node || cnode_differs_below(n->node)))
				return false;
	return !root->xattrs && root->v.mode == (S_IFDIR | 0755) &&
	       root->v.uid == CHANGES_OWNER && root->v.gid == CHANGES_OWNER;
}
