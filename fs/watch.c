/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/watch.h"

#include "core/clock.h"
#include "core/error.h"
#include "fs/process.h"
#include "fs/request.h"
#include "fs/view.h"

#include <fcntl.h>

#define RECORD_MAX 1000000

void watch_init(struct watch *w)
{
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->account_lock, NULL);
}

void watch_done(struct watch *w)
{
	free(w->ring);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->account_lock);
}

static void read_comm(uint32_t pid, char comm[16])
{
	char path[64];
	ssize_t n;

	comm[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, comm, 15);
	comm[n > 0 ? n : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
}

/* The account of pid: its slot or, in its neighbourhood, the stalest. */
static struct fs_account *account_of(struct watch *w, uint32_t pid)
{
	uint32_t at = pid * 2654435761u % WATCH_ACCOUNTS;
	struct fs_account *oldest = &w->accounts[at];

	for (int i = 0; i < 8; i++) {
		struct fs_account *a =
			&w->accounts[(at + (uint32_t)i) % WATCH_ACCOUNTS];

		if (a->pid == pid)
			return a;
		if (a->last_ns < oldest->last_ns)
			oldest = a;
	}
	*oldest = (struct fs_account){ .pid = pid };
	read_comm(pid, oldest->comm);
	return oldest;
}

static void account(struct watch *w, struct request *r, uint64_t bytes,
		    int64_t now)
{
	uint32_t pid = process_of(r->pid);
	struct fs_account *a;

	lock_scope(&w->account_lock);
	a = account_of(w, pid);
	a->requests++;
	a->last_ns = now;
	if (r->op == OP_READ)
		a->bytes_read += bytes;
	if (r->parked) {
		a->misses++;
		a->wait_ns += now - r->started;
	}
}

static void trace(struct watch *w, struct request *r, int error,
		  uint64_t bytes, int64_t now)
{
	struct mount *m = r->mount;
	cleanup_free char *path = view_shown_path(m, r->ino);
	struct fs_event *e;
	size_t len = path ? strlen(path) : 0;
	size_t cut = len >= sizeof(e->path) ? len - sizeof(e->path) + 1 : 0;

	lock_scope(&w->lock);
	if (!w->ring)
		return;
	e = &w->ring[++w->seq % WATCH_RING];
	*e = (struct fs_event){
		.wall_ns = wall_ns(), .latency_ns = now - r->started,
		.seq = w->seq, .op = request_op_name(r->op), .offset = r->off,
		.bytes = (uint32_t)bytes, .pid = r->pid, .error = error,
		.tier = r->parked ? "source" : "store",
	};
	memcpy(e->mount_id, m->id, sizeof(e->mount_id));
	snprintf(e->path, sizeof(e->path), "%s%s%s", path ? path + cut : "?",
		 request_names_child(r) && path && *path ? "/" : "",
		 request_names_child(r) ? r->name : "");
}

void watch_request(struct request *r, int error, uint64_t bytes)
{
	struct watch *w = &r->mount->fs->watch;
	int64_t now = now_ns();

	account(w, r, bytes, now);
	if (__atomic_load_n(&w->listeners, __ATOMIC_RELAXED))
		trace(w, r, error, bytes, now);
}

void fs_trace_start(struct fs *f)
{
	lock_scope(&f->watch.lock);
	if (!f->watch.ring)
		f->watch.ring = xcalloc(WATCH_RING, sizeof(*f->watch.ring));
	__atomic_fetch_add(&f->watch.listeners, 1, __ATOMIC_RELAXED);
}

void fs_trace_stop(struct fs *f)
{
	lock_scope(&f->watch.lock);
	if (__atomic_sub_fetch(&f->watch.listeners, 1, __ATOMIC_RELAXED))
		return;
	free(steal(&f->watch.ring));
}

size_t fs_trace_poll(struct fs *f, uint64_t since, struct fs_event *out,
		     size_t max, bool *lost)
{
	struct watch *w = &f->watch;
	size_t n = 0;
	uint64_t first;

	lock_scope(&w->lock);
	*lost = false;
	if (!w->ring || since >= w->seq)
		return 0;
	first = since + 1;
	if (w->seq - since > WATCH_RING) {
		first = w->seq - WATCH_RING + 1;
		*lost = since != 0;
	}
	for (uint64_t s = first; s <= w->seq && n < max; s++)
		if (w->ring[s % WATCH_RING].seq == s)
			out[n++] = w->ring[s % WATCH_RING];
	return n;
}

struct top {
	struct fs_account *out;
	size_t n;
};

static void add_fetched(void *ctx, const struct source_account *a)
{
	struct top *t = ctx;

	for (size_t i = 0; i < t->n; i++) {
		if (t->out[i].pid != a->pid)
			continue;
		t->out[i].fetched_objects += a->objects;
		t->out[i].fetched_bytes += a->bytes;
		return;
	}
}

size_t fs_top(struct fs *f, struct fs_account *out, size_t max)
{
	struct watch *w = &f->watch;
	struct top t = { .out = out };

	pthread_mutex_lock(&w->account_lock);
	for (size_t i = 0; i < WATCH_ACCOUNTS && t.n < max; i++)
		if (w->accounts[i].pid)
			out[t.n++] = w->accounts[i];
	pthread_mutex_unlock(&w->account_lock);
	lock_scope(&f->lock);
	for (struct source_slot *s = f->sources; s; s = s->next)
		source_accounts(s->source, add_fetched, &t);
	return t.n;
}

/* -- recordings ------------------------------------------------------------ */

struct recording {
	pthread_mutex_t lock;
	bool stopped;     /* lock */
	char **paths;     /* lock; owned, in first-read order */
	size_t n, cap;    /* lock */
	uint64_t *seen;   /* lock; open addressing by inode number */
	size_t seen_mask; /* lock */
};

/* False: already there. */
static bool see(struct recording *rec, uint64_t ino)
{
	size_t i;

	if (2 * rec->n >= rec->seen_mask) {
		size_t mask = rec->seen_mask ? rec->seen_mask * 2 + 1 : 1023;
		uint64_t *grown = xcalloc(mask + 1, sizeof(*grown));

		for (size_t k = 0; rec->seen && k <= rec->seen_mask; k++) {
			if (!rec->seen[k])
				continue;
			for (i = rec->seen[k] & mask; grown[i];)
				i = (i + 1) & mask;
			grown[i] = rec->seen[k];
		}
		free(rec->seen);
		rec->seen = grown;
		rec->seen_mask = mask;
	}
	for (i = ino & rec->seen_mask; rec->seen[i];
	     i = (i + 1) & rec->seen_mask)
		if (rec->seen[i] == ino)
			return false;
	rec->seen[i] = ino;
	return true;
}

void watch_read(struct mount *m, uint64_t ino)
{
	struct recording *rec =
		__atomic_load_n(&m->recording, __ATOMIC_ACQUIRE);
	char *path;

	if (!rec)
		return;
	lock_scope(&rec->lock);
	if (rec->stopped || rec->n >= RECORD_MAX || !see(rec, ino))
		return;
	path = view_shown_path(m, ino);
	if (!path)
		return;
	if (rec->n == rec->cap) {
		rec->cap = rec->cap ? rec->cap * 2 : 256;
		rec->paths = xrealloc(rec->paths,
				      rec->cap * sizeof(*rec->paths));
	}
	rec->paths[rec->n++] = path;
}

/* The struct itself stays with the mount (a reader may still look at it) and
 * is used again by the next recording. */
static void recording_clear(struct recording *rec)
{
	for (size_t i = 0; i < rec->n; i++)
		free(rec->paths[i]);
	free(rec->paths);
	free(rec->seen);
	rec->paths = NULL;
	rec->seen = NULL;
	rec->n = rec->cap = rec->seen_mask = 0;
}

void watch_recording_free(struct mount *m)
{
	struct recording *rec = m->recording;

	if (!rec)
		return;
	recording_clear(rec);
	pthread_mutex_destroy(&rec->lock);
	free(rec);
}

int fs_record_start(struct fs *f, const char *id_or_dir)
{
	struct mount *m = mount_acquire(f, id_or_dir);
	struct recording *rec, *fresh;
	int rc = 0;

	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	rec = __atomic_load_n(&m->recording, __ATOMIC_ACQUIRE);
	if (!rec) {
		fresh = xcalloc(1, sizeof(*fresh));
		pthread_mutex_init(&fresh->lock, NULL);
		fresh->stopped = true;
		if (__atomic_compare_exchange_n(&m->recording, &rec, fresh,
						false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			rec = fresh;
		else
			free(fresh);
	}
	pthread_mutex_lock(&rec->lock);
	if (!rec->stopped)
		rc = fail(-EALREADY, "%s is being recorded already",
			  id_or_dir);
	else
		recording_clear(rec);
	rec->stopped = false;
	pthread_mutex_unlock(&rec->lock);
	mount_release(m);
	return rc;
}

int fs_record_stop(struct fs *f, const char *id_or_dir,
		   int (*fn)(void *ctx, const char *path), void *ctx)
{
	struct mount *m = mount_acquire(f, id_or_dir);
	struct recording *rec;
	int rc = 0;

	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	rec = __atomic_load_n(&m->recording, __ATOMIC_ACQUIRE);
	if (!rec) {
		mount_release(m);
		return fail(-ENOENT, "%s is not being recorded", id_or_dir);
	}
	pthread_mutex_lock(&rec->lock);
	if (rec->stopped)
		rc = fail(-ENOENT, "%s is not being recorded", id_or_dir);
	rec->stopped = true;
	for (size_t i = 0; !rc && i < rec->n; i++)
		rc = fn(ctx, rec->paths[i]);
	recording_clear(rec);
	pthread_mutex_unlock(&rec->lock);
	mount_release(m);
	return rc;
}
