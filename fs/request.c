/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/request.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/metrics.h"
#include "fs/ahead.h"
#include "fs/interrupt.h"
#include "fs/process.h"
#include "fs/view.h"
#include "fs/way.h"

#define MAX_TRIES 64      /* objects one request may wait for */
#define MAX_PARKED 100000 /* of one mount */
#define SIGNALS_NS (200 * NS_PER_MS) /* how often those who wait are looked at */
#define SIGNALS_MAX 500 /* of them */

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
	[OP_SETATTR] = { "setattr", attr_set },
	[OP_MKNOD] = { "mknod", names_create },
	[OP_MKDIR] = { "mkdir", names_create },
	[OP_SYMLINK] = { "symlink", names_create },
	[OP_UNLINK] = { "unlink", names_remove },
	[OP_RMDIR] = { "rmdir", names_remove },
	[OP_RENAME] = { "rename", names_rename },
	[OP_LINK] = { "link", names_link },
	[OP_WRITE] = { "write", write_data },
	[OP_FALLOCATE] = { "fallocate", write_allocate },
	[OP_LSEEK] = { "lseek", write_seek },
	[OP_COPY] = { "copy_file_range", write_copy },
	[OP_FSYNC] = { "fsync", write_sync },
	[OP_SETXATTR] = { "setxattr", xattr_set },
	[OP_LISTXATTR] = { "listxattr", xattr_list },
	[OP_REMOVEXATTR] = { "removexattr", xattr_set },
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
	COUNTER(OP_SETATTR, "op=\"setattr\""),
	COUNTER(OP_MKNOD, "op=\"mknod\""),
	COUNTER(OP_MKDIR, "op=\"mkdir\""),
	COUNTER(OP_SYMLINK, "op=\"symlink\""),
	COUNTER(OP_UNLINK, "op=\"unlink\""),
	COUNTER(OP_RMDIR, "op=\"rmdir\""),
	COUNTER(OP_RENAME, "op=\"rename\""),
	COUNTER(OP_LINK, "op=\"link\""),
	COUNTER(OP_WRITE, "op=\"write\""),
	COUNTER(OP_FALLOCATE, "op=\"fallocate\""),
	COUNTER(OP_LSEEK, "op=\"lseek\""),
	COUNTER(OP_COPY, "op=\"copy_file_range\""),
	COUNTER(OP_FSYNC, "op=\"fsync\""),
	COUNTER(OP_SETXATTR, "op=\"setxattr\""),
	COUNTER(OP_LISTXATTR, "op=\"listxattr\""),
	COUNTER(OP_REMOVEXATTR, "op=\"removexattr\""),
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
	r->need_may_lack = false;
	return -EAGAIN;
}

int request_need_bucket(struct request *r)
{
	int rc = request_need(r, WANT_TREE, &r->bucket, r->ino, SCORPIO_DIR);

	r->need_may_lack = true;
	return rc;
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

bool request_was_done(const struct request *r)
{
	return r->again && changes_did(r->mount->changes, r->unique);
}

bool request_names_child(const struct request *r)
{
	return r->name && (r->op == OP_LOOKUP || r->op == OP_MKNOD ||
			   r->op == OP_MKDIR || r->op == OP_SYMLINK ||
			   r->op == OP_UNLINK || r->op == OP_RMDIR ||
			   r->op == OP_RENAME);
}

int request_reply_entry(struct request *r,
			const struct fuse_entry_param *param)
{
	watch_request(r, param->ino ? 0 : -ENOENT, 0);
	/* the kernel gave up waiting: it does not count this lookup */
	if (fuse_reply_entry(r->req, param) == -ENOENT && param->ino)
		mount_forget(r->mount, param->ino, 1);
	return 0;
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
		return -rc;
	default:
		return EIO;
	}
}

/* Is it a failure of ours, and not just the answer to the question? */
static bool worth_a_line(int code)
{
	switch (code) {
	case EIO:
	case ESTALE:
	case ETIMEDOUT:
	case ENOSPC:
	case EDQUOT:
	case EROFS:
	case ENOMEM:
	case EBADMSG:
		return true;
	default:
		return false;
	}
}

static void reply_error(struct request *r, int rc, bool of_source)
{
	int code = of_source ? visible_error(rc)
		   : rc == -EAGAIN || rc == -EINPROGRESS || rc == -EBADMSG
			   ? EIO
			   : -rc;
	if (code >= 512) /* the kernel would not take it as an answer */
		code = EIO;

	if (worth_a_line(code)) {
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
	else
		alarm_set(&m->signals, now_ns() + SIGNALS_NS);
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
	free((char *)r->name2);
	free((void *)r->data);
	free(r->path);
	free(r);
	/* last: the mount may go away when nothing waits any more */
	__atomic_fetch_sub(&m->waiting, 1, __ATOMIC_RELEASE);
}

/* Its program may have had a signal: end it if that was meant. parked_lock
 * held. */
static void heed_signal(struct request *r, bool told)
{
	if (!interrupt_meant(r->pid, told))
		return;
	r->interrupted = true;
	source_cancel(r->mount->source, &r->want);
}

/* Called by libfuse with the request's lock held. Lock order: libfuse's
 * request lock, then parked_lock, then the source's. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct request *r = data;

	(void)req;
	lock_scope(&r->mount->parked_lock);
	heed_signal(r, true);
}

void request_signals(struct alarm *a)
{
	struct mount *m = container_of(a, struct mount, signals);
	int64_t long_ago = now_ns() - SIGNALS_NS;
	unsigned looked = 0;
	struct request *r;

	lock_scope(&m->parked_lock);
	for (r = m->parked; r && looked < SIGNALS_MAX; r = r->next) {
		if (r->interrupted || r->started > long_ago)
			continue;
		heed_signal(r, false);
		looked++;
	}
	if (m->parked)
		alarm_set(a, now_ns() + SIGNALS_NS);
}

static void on_object(struct want *w, int result);

/* For who asks why it takes so long. */
static void now_at(struct request *r, enum fs_where where)
{
	static __thread pid_t self;

	if (!self)
		self = gettid();
	__atomic_store_n(&r->thread, self, __ATOMIC_RELAXED);
	__atomic_store_n(&r->where, where, __ATOMIC_RELAXED);
}

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

	now_at(r, FS_AT_SOURCE);
	r->asker = process_asker(r->pid, fuse_req_ctx(r->req)->uid);
	free(r->path);
	r->path = m->needs_path ? view_path_of(m, r->need_ino) : NULL;
	r->tries++;
	fuse_req_interrupt_func(r->req, on_interrupt, r);
	pthread_mutex_lock(&m->parked_lock);
	interrupted = r->interrupted;
	if (!interrupted) {
		*w = (struct want){
			.kind = r->need_kind,
			.prio = r->last ? WANT_PREFETCH : WANT_DEMAND,
			.id = r->need_id, .path = r->path,
			.path_len = r->path ? (uint32_t)strlen(r->path) : 0,
			.entry_kind = r->need_entry_kind,
			.pid = process_of(r->pid), .asker = r->asker,
			.deadline = r->deadline, .done = on_object, .ctx = r,
		};
		source_want(m->source, &w, 1);
	}
	pthread_mutex_unlock(&m->parked_lock);
	if (interrupted)
		give_up(r, -EINTR);
}

static void resume(struct request *r);

static void run_in_background(struct pool_task *t)
{
	struct request *r = container_of(t, struct request, task);

	r->background = true;
	now_at(r, FS_AT_WORK);
	resume(r);
	/* r may be gone */
}

static void queue(struct request *r)
{
	r->task.run = run_in_background;
	now_at(r, FS_AT_QUEUE);
	pool_add(r->mount->fs->work, &r->task);
}

/* One turn of the operation of a parked request. */
static void resume(struct request *r)
{
	int rc = ops[r->op].run(r);

	if (rc == -EINPROGRESS && !r->background) {
		queue(r);
		return;
	}

	if (rc == -EAGAIN && r->tries >= MAX_TRIES) {
		store_doubt(r->mount->store);
		rc = fail(-EIO, "the store does not keep what is fetched: "
			  "is cache.max_size too small?");
	}
	if (rc == -EAGAIN) {
		want_missing(r);
		return;
	}
	if (rc)
		reply_error(r, rc, false);
	finished(r);
}

/* The store was lost, and with it what the object could be asked for with. */
static void learn_again(struct pool_task *t)
{
	struct request *r = container_of(t, struct request, task);
	int rc = way_again(r->mount, r->need_ino, r->deadline);

	if (rc)
		give_up(r, rc);
	else
		want_missing(r);
}

static bool may_learn_again(struct request *r, int result)
{
	bool first = !r->learned_again;

	r->learned_again = true;
	return first && (result == -ESTALE ||
			 (r->mount->needs_path && !r->path &&
			  result != -EINTR && result != -ETIMEDOUT));
}

static void on_object(struct want *w, int result)
{
	struct request *r = w->ctx;

	if (result && may_learn_again(r, result)) {
		fuse_req_interrupt_func(r->req, NULL, NULL);
		r->task.run = learn_again;
		pool_add(r->mount->fs->work, &r->task);
		return;
	}
	if (result && !(result == -ENOENT && r->need_may_lack)) {
		give_up(r, result);
		return;
	}
	/* the operation replies, which ends libfuse's request */
	fuse_req_interrupt_func(r->req, NULL, NULL);
	if (result) {
		dir_absent(r);
		finished(r);
		return;
	}
	r->background = false; /* nor would this thread like to be kept long */
	now_at(r, FS_AT_WORK);
	resume(r);
}

static void *copy(const void *p, size_t n)
{
	return p ? memcpy(xmalloc(n + 1), p, n) : NULL;
}

static void park(const struct request *arrived, int why)
{
	struct request *r = xmalloc(sizeof(*r));

	*r = *arrived;
	r->parked = true;
	r->name = arrived->name ? xstrdup(arrived->name) : NULL;
	r->name2 = arrived->name2 ? xstrdup(arrived->name2) : NULL;
	r->data = copy(arrived->data, arrived->size);
	r->path = NULL;
	r->where = FS_AT_QUEUE;
	list_add(r);
	if (why == -EINPROGRESS) {
		queue(r);
		return;
	}
	metric_add(&missed, 1);
	if (r->need_kind == WANT_TREE)
		ahead_tree_missed(r->mount);
	want_missing(r);
}

void request_run(struct request *r)
{
	int rc;

	r->started = now_ns();
	worker_begins(r);
	rc = ops[r->op].run(r);
	worker_ends();
	if ((rc == -EAGAIN || rc == -EINPROGRESS) &&
	    __atomic_load_n(&r->mount->waiting, __ATOMIC_RELAXED) < MAX_PARKED) {
		r->deadline = r->started + r->mount->fs->request_timeout_ns;
		park(r, rc);
		return;
	}
	if (rc)
		reply_error(r, rc, false);
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
