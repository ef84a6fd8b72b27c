/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/journal.h"

#include "core/clock.h"
#include "core/error.h"

#define ENTRIES_MAX 65536
#define BYTES_MAX (16 * MiB)
#define BATCH 256 /* copied out under the lock at once */

struct entry {
	uint64_t seq;
	char *path, *from;
	uint8_t kind;
	bool is_dir;
};

struct journal {
	pthread_mutex_t lock;
	pthread_cond_t more;
	uint64_t generation;  /* lock */
	uint64_t floor;       /* lock; complete after this number */
	uint64_t last;        /* lock */
	struct entry *ring;   /* lock; grows up to ENTRIES_MAX */
	size_t first, n, cap; /* lock */
	size_t bytes;         /* lock; of the paths */
	unsigned readers;     /* lock; waiting */
	bool stopped;         /* lock */
	uint64_t observed;    /* atomic */
};

struct journal *journal_new(void)
{
	struct journal *j = xcalloc(1, sizeof(*j));

	pthread_mutex_init(&j->lock, NULL);
	cond_init(&j->more);
	return j;
}

static size_t entry_bytes(const struct entry *e)
{
	return strlen(e->path) + (e->from ? strlen(e->from) : 0) + 64;
}

static struct entry *at(struct journal *j, size_t i)
{
	return &j->ring[(j->first + i) % j->cap];
}

static void drop_oldest(struct journal *j)
{
	struct entry *e = at(j, 0);

	j->floor = e->seq;
	j->bytes -= entry_bytes(e);
	free(e->path);
	free(e->from);
	j->first = (j->first + 1) % j->cap;
	j->n--;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	while (j->n)
		drop_oldest(j);
	free(j->ring);
	pthread_cond_destroy(&j->more);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

static void make_room(struct journal *j)
{
	while (j->n && (j->n >= ENTRIES_MAX || j->bytes > BYTES_MAX))
		drop_oldest(j);
	if (j->n == j->cap) {
		size_t cap = j->cap ? j->cap * 2 : 64;
		struct entry *ring = xcalloc(cap, sizeof(*ring));

		for (size_t i = 0; i < j->n; i++)
			ring[i] = *at(j, i);
		free(j->ring);
		j->ring = ring;
		j->cap = cap;
		j->first = 0;
	}
}

void journal_add(struct journal *j, uint64_t seq, enum fs_journal_kind kind,
		 bool is_dir, char *path, char *from)
{
	struct entry *e;

	if (!path) {
		free(from);
		return;
	}
	lock_scope(&j->lock);
	make_room(j);
	j->n++;
	e = at(j, j->n - 1);
	*e = (struct entry){ .seq = seq, .kind = (uint8_t)kind, .path = path,
			     .from = from, .is_dir = is_dir };
	j->bytes += entry_bytes(e);
	j->last = MAX(j->last, seq);
	if (j->readers)
		pthread_cond_broadcast(&j->more);
}

void journal_begin(struct journal *j, uint64_t generation, uint64_t seq)
{
	lock_scope(&j->lock);
	while (j->n)
		drop_oldest(j);
	j->generation = generation;
	j->floor = j->last = seq;
	pthread_cond_broadcast(&j->more);
}

struct fs_clock journal_now(struct journal *j)
{
	lock_scope(&j->lock);
	return (struct fs_clock){ j->generation, j->last };
}

uint64_t journal_observed(struct journal *j)
{
	return __atomic_load_n(&j->observed, __ATOMIC_ACQUIRE);
}

void journal_observe(struct journal *j, uint64_t seq)
{
	uint64_t was = journal_observed(j);

	while (was < seq &&
	       !__atomic_compare_exchange_n(&j->observed, &was, seq, true,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
}

void journal_stop(struct journal *j)
{
	lock_scope(&j->lock);
	j->stopped = true;
	pthread_cond_broadcast(&j->more);
}

/* Index of the first entry after seq. */
static size_t after(struct journal *j, uint64_t seq)
{
	size_t low = 0, high = j->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (at(j, mid)->seq <= seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int check_position(struct journal *j, struct fs_clock since)
{
	if (since.generation != j->generation)
		return fail(-ESTALE, "the journal's history was lost: it is "
			    "of another generation");
	if (since.seq < j->floor)
		return fail(-ESTALE, "the journal does not reach back to %llu: "
			    "its oldest entry is %llu",
			    (unsigned long long)since.seq,
			    (unsigned long long)j->floor + 1);
	if (since.seq > j->last)
		return fail(-ESTALE, "%llu has not happened yet: the newest "
			    "entry is %llu", (unsigned long long)since.seq,
			    (unsigned long long)j->last);
	return 0;
}

/* Copy entries out, about BATCH: whoever reads them needs no lock. Those of one
 * number come together, however many. */
static size_t copy_locked(struct journal *j, uint64_t since,
			  struct entry **ret)
{
	size_t from = after(j, since), n = MIN(j->n - from, (size_t)BATCH);

	while (n && from + n < j->n &&
	       at(j, from + n)->seq == at(j, from + n - 1)->seq)
		n++;
	if (!n)
		return 0;
	*ret = xcalloc(n, sizeof(**ret));
	for (size_t i = 0; i < n; i++) {
		const struct entry *e = at(j, from + i);

		(*ret)[i] = *e;
		(*ret)[i].path = xstrdup(e->path);
		(*ret)[i].from = e->from ? xstrdup(e->from) : NULL;
	}
	return n;
}

static int give(struct entry *entries /* takes */, size_t n,
		int (*fn)(void *ctx, const struct fs_journal_entry *e),
		void *ctx, struct fs_clock *pos)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		struct entry *e = &entries[i];
		struct fs_journal_entry out = {
			.seq = e->seq, .kind = e->kind, .path = e->path,
			.from = e->from, .is_dir = e->is_dir,
		};

		if (!rc) {
			rc = fn(ctx, &out);
			pos->seq = e->seq;
		}
		free(e->path);
		free(e->from);
	}
	free(entries);
	return rc;
}

int journal_read(struct journal *j, struct fs_clock since, int64_t deadline,
		 int (*fn)(void *ctx, const struct fs_journal_entry *e),
		 void *ctx, struct fs_clock *ret)
{
	struct entry *batch;
	bool any = false;
	size_t n;
	int rc = 0;

	pthread_mutex_lock(&j->lock);
	*ret = (struct fs_clock){ j->generation, j->last };
	/* whoever asks now knows everything so far */
	journal_observe(j, j->last);
	if (since.generation)
		rc = check_position(j, since);
	while (!rc && since.generation && since.seq == j->last &&
	       !j->stopped && now_ns() < deadline) {
		j->readers++;
		cond_wait_until(&j->more, &j->lock, deadline);
		j->readers--;
		rc = check_position(j, since);
	}
	if (rc || !since.generation) {
		pthread_mutex_unlock(&j->lock);
		return rc;
	}
	*ret = since;
	while (!rc && (n = copy_locked(j, ret->seq, &batch))) {
		journal_observe(j, batch[n - 1].seq);
		pthread_mutex_unlock(&j->lock);
		any = true;
		rc = give(batch, n, fn, ctx, ret);
		pthread_mutex_lock(&j->lock);
		if (!rc && ret->seq < j->floor)
			break; /* overtaken; the next call says too old */
	}
	if (!rc && any && ret->seq > j->floor && after(j, ret->seq) == j->n)
		ret->seq = j->last;
	pthread_mutex_unlock(&j->lock);
	return rc > 0 ? 0 : rc;
}

void journal_resume(struct journal *j, uint64_t last)
{
	lock_scope(&j->lock);
	j->last = MAX(j->last, last);
}

uint64_t journal_floor(struct journal *j)
{
	lock_scope(&j->lock);
	return j->floor;
}

void journal_each(struct journal *j,
		  void (*fn)(void *ctx, const struct fs_journal_entry *e),
		  void *ctx)
{
	lock_scope(&j->lock);
	for (size_t i = 0; i < j->n; i++) {
		const struct entry *e = at(j, i);
		struct fs_journal_entry out = {
			.seq = e->seq, .kind = e->kind, .path = e->path,
			.from = e->from, .is_dir = e->is_dir,
		};

		fn(ctx, &out);
	}
}
