/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/request.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/metrics.h"
#include "fs/ahead.h"
#include "fs/view.h"

#define MAX_TRIES 64      /* objects one request may wait for */
#define MAX_PARKED 100000 /* of one mount */

static const struct {
	const char *name;
	int (*run)(struct request *r);
} ops[OP_COUNT] = {
	[OP_LOOKUP] = { "lookup", dir_lookup },
	[OP_GETATTR] = { "getattr", file_getattr },
	[OP_READLINK] = { "readlink", file_readlink },
	[OP_READ] = { "read", file_read },
	[OP_READDIR] = { "readdir", dir_read },
	[OP_READDIRPLUS] = { "readdirplus", dir_read },
	[OP_GETXATTR] = { "getxattr", file_getxattr },
};

static struct metric counters[OP_COUNT] = {
#define COUNTER(op, label)                                                     \
	[op] = { .name = "scorpio_fuse_requests_total", .labels = label,       \
		 .kind = METRIC_COUNTER,                                       \
		 .help = "FUSE requests answered by the daemon" }
	COUNTER(OP_LOOKUP, "op=\"lookup\""),
	COUNTER(OP_GETATTR, "op=\"getattr\""),
	COUNTER(OP_READLINK, "op=\"readlink\""),
	COUNTER(OP_READ, "op=\"read\""),
	COUNTER(OP_READDIR, "op=\"readdir\""),
	COUNTER(OP_READDIRPLUS, "op=\"readdirplus\""),
	COUNTER(OP_GETXATTR, "op=\"getxattr\""),
};
static METRIC(missed, "scorpio_fuse_waits_total", METRIC_COUNTER, NULL,
	      "FUSE requests that waited for a source");
static METRIC(errors, "scorpio_fuse_errors_total", METRIC_COUNTER, NULL,
	      "FUSE requests answered with an error other than ENOENT, "
	      "ENODATA");
static METRIC(read_bytes, "scorpio_fuse_read_bytes_total", METRIC_COUNTER,
	      NULL, "file content handed to the kernel");
static struct histogram latency = {
	.name = "scorpio_fuse_seconds",
	.help = "time from a FUSE request to its reply",
};

static void register_metrics(void)
{
	for (size_t i = 0; i < OP_COUNT; i++)
		metric_register(&counters[i]);
	metric_register(&missed);
	metric_register(&errors);
	metric_register(&read_bytes);
	histogram_register(&latency);
}

const char *request_op_name(enum op op)
{
	return ops[op].name;
}

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

struct scratch {
	size_t cap;
	uint8_t data[];
};

static void scratch_init(void)
{
	pthread_key_create(&scratch_key, free);
	register_metrics();
}

void *request_scratch(size_t n)
{
	struct scratch *s;

	pthread_once(&scratch_once, scratch_init);
	s = pthread_getspecific(scratch_key);
	if (!s || s->cap < n) {
		free(s);
		s = xmalloc(sizeof(*s) + n);
		s->cap = n;
		pthread_setspecific(scratch_key, s);
	}
	return s->data;
}

int request_need(struct request *r, enum want_kind kind,
		 const struct scorpio_id *id, uint64_t ino,
		 uint8_t entry_kind)
{
	r->need_kind = kind;
	r->need_id = *id;
	r->need_ino = ino;
	r->need_entry_kind = entry_kind;
	return -EAGAIN;
}

int request_reply_buf(struct request *r, const void *p, size_t n)
{
	int rc = fuse_reply_buf(r->req, p, n);

	if (!rc && r->op == OP_READ) {
		metric_add(&read_bytes, (int64_t)n);
		__atomic_fetch_add(&r->mount->bytes_read, n, __ATOMIC_RELAXED);
	}
	watch_request(r, 0, n);
	return 0; /* a failed reply means the kernel no longer waits */
}

/* What a program may see of a failure to get an object. Never ENOENT: the
 * entry exists, its content could not be had. */
static int visible_error(int rc)
{
	switch (rc) {
	case -ETIMEDOUT:
	case -EINTR:
	case -ESTALE:
	case -EFBIG:
	case -ENOMEM:
	case -ENOSPC:
	case -ENODATA:
	case -ERANGE:
	case -EINVAL:
	case -EISDIR:
	case -ENOTDIR:
		return -rc;
	default:
		return EIO;
	}
}

static void reply_error(struct request *r, int rc, bool of_source)
{
	int code = of_source || rc != -ENOENT ? visible_error(rc) : ENOENT;
	bool expected = code == ENOENT || code == ENODATA || code == EINTR ||
			code == ERANGE;

	if (!expected) {
		metric_add(&errors, 1);
		log_warn("fs", "%s: %s inode %llu%s%s: %s", r->mount->dir,
			 ops[r->op].name, (unsigned long long)r->ino,
			 r->name ? " " : "", r->name ? r->name : "",
			 error_text(rc));
	}
	watch_request(r, -code, 0);
	fuse_reply_err(r->req, code);
}

static void list_add(struct request *r)
{
	struct mount *m = r->mount;

	lock_scope(&m->parked_lock);
	r->next = m->parked;
	r->prev = &m->parked;
	if (r->next)
		r->next->prev = &r->next;
	m->parked = r;
	__atomic_fetch_add(&m->waiting, 1, __ATOMIC_RELAXED);
}

/* Not on the list afterwards: nobody cancels it any more. */
static void list_remove(struct request *r)
{
	struct mount *m = r->mount;

	lock_scope(&m->parked_lock);
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
}

static void finished(struct request *r)
{
	struct mount *m = r->mount;

	histogram_add(&latency, now_ns() - r->started);
	metric_add(&counters[r->op], 1);
	__atomic_fetch_add(&m->requests, 1, __ATOMIC_RELAXED);
	if (!r->parked)
		return;
	list_remove(r);
	free((char *)r->name);
	free(r->path);
	free(r);
	/* last: the mount may go away when nothing waits any more */
	__atomic_fetch_sub(&m->waiting, 1, __ATOMIC_RELEASE);
}

/* Called by libfuse with the request's lock held. Lock order: libfuse's
 * request lock, then parked_lock, then the source's. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct request *r = data;

	(void)req;
	lock_scope(&r->mount->parked_lock);
	r->interrupted = true;
	source_cancel(r->mount->source, &r->want);
}

static void on_object(struct want *w, int result);

static void give_up(struct request *r, int rc)
{
	fuse_req_interrupt_func(r->req, NULL, NULL);
	reply_error(r, rc, true);
	finished(r);
}

/* Want the missing object; on_object goes on, perhaps before this returns. */
static void want_missing(struct request *r)
{
	struct mount *m = r->mount;
	struct want *w = &r->want;
	bool interrupted;
	struct node *n;

	free(r->path);
	r->path = NULL;
	if (m->needs_path) {
		n = node_find(m->nodes, r->need_ino);
		r->path = n ? view_path(m, n) : NULL;
	}
	r->tries++;
	fuse_req_interrupt_func(r->req, on_interrupt, r);
	pthread_mutex_lock(&m->parked_lock);
	interrupted = r->interrupted;
	if (!interrupted) {
		*w = (struct want){
			.kind = r->need_kind, .prio = WANT_DEMAND,
			.id = r->need_id, .path = r->path,
			.path_len = r->path ? (uint32_t)strlen(r->path) : 0,
			.entry_kind = r->need_entry_kind, .pid = r->pid,
			.deadline = r->deadline, .done = on_object, .ctx = r,
		};
		source_want(m->source, &w, 1);
	}
	pthread_mutex_unlock(&m->parked_lock);
	if (interrupted)
		give_up(r, -EINTR);
}

/* One turn of the operation of a parked request. */
static void resume(struct request *r)
{
	int rc = ops[r->op].run(r);

	if (rc == -EAGAIN && r->tries >= MAX_TRIES)
		rc = fail(-EIO, "the store does not keep what is fetched: "
			  "is cache.max_size too small?");
	if (rc == -EAGAIN) {
		want_missing(r);
		return;
	}
	if (rc)
		reply_error(r, rc, false);
	finished(r);
}

static void on_object(struct want *w, int result)
{
	struct request *r = w->ctx;

	if (result) {
		give_up(r, result);
		return;
	}
	/* the operation replies, which ends libfuse's request */
	fuse_req_interrupt_func(r->req, NULL, NULL);
	resume(r);
}

static void park(const struct request *arrived)
{
	struct request *r = xmalloc(sizeof(*r));

	*r = *arrived;
	r->parked = true;
	r->name = arrived->name ? xstrdup(arrived->name) : NULL;
	r->path = NULL;
	metric_add(&missed, 1);
	if (r->need_kind == WANT_TREE)
		ahead_tree_missed(r->mount);
	list_add(r);
	want_missing(r);
}

void request_run(struct request *r)
{
	int rc;

	r->started = now_ns();
	rc = ops[r->op].run(r);
	if (rc == -EAGAIN &&
	    __atomic_load_n(&r->mount->waiting, __ATOMIC_RELAXED) < MAX_PARKED) {
		r->deadline = r->started + r->mount->fs->request_timeout_ns;
		park(r);
		return;
	}
	if (rc)
		reply_error(r, rc == -EAGAIN ? -EIO : rc, false);
	finished(r);
}

void request_cancel_all(struct mount *m)
{
	int64_t end = deadline_in_ms(10000);

	while (__atomic_load_n(&m->waiting, __ATOMIC_ACQUIRE) &&
	       now_ns() < end) {
		pthread_mutex_lock(&m->parked_lock);
		for (struct request *r = m->parked; r; r = r->next) {
			r->interrupted = true;
			source_cancel(m->source, &r->want);
		}
		pthread_mutex_unlock(&m->parked_lock);
		usleep(2000);
	}
}
