/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions with one answer (resolve, xattr): the call is made on a thread of
 * its own, so that the asker's deadline holds whatever the backend does.
 */
#include "cache/source_impl.h"

#include "core/buf.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"

#define VALUE_MAGIC 0x31766572u /* "rev1" */
#define XATTR_MAX   (64 * MiB) /* as fs_ask's */

struct ask { /* owned by both sides; the last one frees */
	struct pool_task task;
	struct source *source;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done, left; /* lock: answered; nobody waits any more */
	bool cancel;     /* atomic */
	int64_t deadline;
	int64_t result; /* lock */
	char *text;     /* lock */
	/* the question, copied, and the answer */
	char *spec; /* resolve; else xattr: */
	struct scorpio_revision revision;
	struct scorpio_ref ref;
	char *path, *name;
	void *buf;
	size_t cap;
};

static void ask_free(struct ask *a)
{
	pthread_cond_destroy(&a->answered);
	pthread_mutex_destroy(&a->lock);
	free(a->text);
	free(a->spec);
	free(a->path);
	free(a->name);
	free(a->buf);
	free(a);
}

/* A revision from outside: terminated texts, a usable root. */
static int check_revision(struct ask *a)
{
	struct scorpio_revision *rev = &a->revision;
	const char *name = stage_ops(a->source->stage)->name;

	rev->text[sizeof(rev->text) - 1] = '\0';
	rev->label[sizeof(rev->label) - 1] = '\0';
	if (!rev->root.len || rev->root.len > SCORPIO_ID_MAX || !rev->text[0])
		return fail(-EBADMSG, "backend %s resolved \"%s\" to nothing",
			    name, a->spec);
	if (!rev->kind)
		rev->kind = SCORPIO_DIR;
	return 0;
}

static int64_t ask_backend(struct ask *a)
{
	const struct scorpio_backend *ops = &stage_calls_table;
	struct source *s = a->source;
	int r;

	if (!a->spec)
		return ops->xattr(s->stage, &a->ref, a->name, a->buf, a->cap);
	source_count(s, OP_RESOLVE);
	r = ops->resolve(s->stage, a->spec, &a->revision);
	if (r > 0)
		return fail(-EBADMSG, "backend %s: resolve returned %d",
			    stage_ops(s->stage)->name, r);
	return r ? r : check_revision(a);
}

static void run_ask(struct pool_task *t)
{
	struct ask *a = container_of(t, struct ask, task);
	struct source *s = a->source;
	struct call call;
	int64_t r;
	bool left;

	error_clear();
	call_enter(&call, a->deadline, &a->cancel);
	r = ask_backend(a);
	call_leave(&call);
	pthread_mutex_lock(&a->lock);
	a->result = r;
	a->text = r < 0 ? xstrdup(error_text((int)r)) : NULL;
	a->done = true;
	left = a->left;
	pthread_cond_signal(&a->answered);
	pthread_mutex_unlock(&a->lock);
	if (left)
		ask_free(a);
	source_hold(s, &s->asks, -1);
}

static struct ask *ask_new(struct source *s, int64_t deadline)
{
	struct ask *a = xcalloc(1, sizeof(*a));

	a->task.run = run_ask;
	a->source = s;
	a->deadline = MIN(deadline, call_deadline());
	pthread_mutex_init(&a->lock, NULL);
	cond_init(&a->answered);
	return a;
}

/* Send it off and wait. Afterwards `a` belongs to the caller if *ret_mine. */
static int64_t ask_wait(struct ask *a, bool *ret_mine)
{
	struct source *s = a->source;
	int64_t r = 0;
	int stop = 0;

	source_hold(s, &s->asks, 1);
	pool_add(s->aux, &a->task);
	pthread_mutex_lock(&a->lock);
	while (!a->done && !stop) {
		int64_t until = MIN(deadline_in_ms(50), a->deadline);

		cond_wait_until(&a->answered, &a->lock, until);
		if (!a->done && now_ns() >= a->deadline)
			stop = fail(-ETIMEDOUT, "%s did not answer in time",
				    s->name);
		else if (!a->done)
			stop = call_check();
	}
	*ret_mine = a->done;
	a->left = !a->done;
	__atomic_store_n(&a->cancel, true, __ATOMIC_RELAXED);
	r = a->done ? a->result : stop;
	if (a->done && r < 0)
		fail((int)r, "%s", a->text);
	pthread_mutex_unlock(&a->lock);
	return r;
}

int64_t source_xattr(struct source *s, const struct scorpio_ref *ref,
		     const char *name, void *buf, size_t cap)
{
	bool mine;
	struct ask *a;
	int64_t r;

	if (flight_offline(s->flights))
		return fail(-ENODATA, "offline: not in the cache");
	a = ask_new(s, deadline_in_ms(30000));
	a->ref = *ref;
	a->path = ref->path ? xstrndup(ref->path, ref->path_len) : NULL;
	a->ref.path = a->path;
	a->name = xstrdup(name);
	a->cap = MIN(cap, XATTR_MAX);
	a->buf = xmalloc(a->cap + 1);
	r = ask_wait(a, &mine);
	if (r > 0 && mine && cap)
		memcpy(buf, a->buf, MIN((size_t)r, a->cap));
	if (mine)
		ask_free(a);
	return r == -ENOTSUP ? -ENODATA : r;
}

/* -- remembered answers ---------------------------------------------------- */

struct remembered {
	uint32_t magic, size;
	struct scorpio_revision revision;
};

/* The name of the value: hashed, for it may hold secrets and be long. */
static char *value_name(const struct source *s, const char *spec)
{
	cleanup_buf struct buf b = BUF_INIT;
	uint8_t digest[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	buf_put(&b, s->url, strlen(s->url) + 1);
	buf_puts(&b, stage_ops(s->stage)->name);
	buf_putc(&b, '\0');
	buf_puts(&b, spec);
	hash_bytes(HASH_SHA256, b.data, b.len, digest);
	return xasprintf("revision/%s",
			 hex_encode(digest, sizeof(digest), hex));
}

static bool recall(struct source *s, const char *spec,
		   struct scorpio_revision *ret)
{
	cleanup_free char *name = value_name(s, spec);
	cleanup_buf struct buf b = BUF_INIT;
	struct remembered m;

	if (store_get_value(s->store, name, &b) < 0 || b.len != sizeof(m))
		return false;
	memcpy(&m, b.data, sizeof(m));
	if (m.magic != VALUE_MAGIC || m.size != sizeof(m))
		return false;
	*ret = m.revision;
	return true;
}

static void remember(struct source *s, const char *spec,
		     const struct scorpio_revision *rev)
{
	cleanup_free char *name = value_name(s, spec);
	struct remembered m = { VALUE_MAGIC, sizeof(m), *rev };
	struct scorpio_revision old;
	int r;

	if (recall(s, spec, &old) && !memcmp(&old, rev, sizeof(old)))
		return;
	r = store_put_value(s->store, name, &m, sizeof(m));
	if (r)
		log_debug("source", "%s: cannot remember a revision: %s",
			  s->name, error_text(r));
}

/* The state's own name gives it again, too: records of mounts have no other. */
static void remember_text(struct source *s, const struct scorpio_revision *rev)
{
	struct scorpio_revision own = *rev;

	if (!*rev->text || recall(s, rev->text, &own))
		return;
	memcpy(own.label, rev->text, sizeof(own.label));
	remember(s, rev->text, &own);
}

static bool could_not_ask(int64_t r)
{
	return r == -EIO || r == -ETIMEDOUT || r == -EAGAIN;
}

/* Ask the server. */
static int64_t ask_revision(struct source *s, const char *spec,
			    int64_t deadline, struct scorpio_revision *ret)
{
	struct ask *a;
	int64_t r = flight_enter(s->flights);
	bool mine;

	if (r)
		return r;
	a = ask_new(s, deadline);
	a->spec = xstrdup(spec);
	r = ask_wait(a, &mine);
	if (!r && mine)
		*ret = a->revision;
	if (mine)
		ask_free(a);
	flight_leave(s->flights, (int)r);
	return r;
}

int source_resolve(struct source *s, const char *spec, int64_t deadline,
		   struct scorpio_revision *ret)
{
	struct scorpio_revision rev = { 0 };
	int64_t r;

	if (flight_offline(s->flights)) {
		if (recall(s, spec, ret))
			return 0;
		return fail(-ENOENT,
			    "offline, and \"%s\" of %s was never "
			    "resolved here",
			    spec, s->name);
	}
	r = ask_revision(s, spec, deadline, &rev);
	if (!r) {
		if (!s->local) {
			remember(s, spec, &rev);
			remember_text(s, &rev);
		}
		*ret = rev;
		return 0;
	}
	if (could_not_ask(r) && s->allow_stale && recall(s, spec, &rev)) {
		log_warn("source",
			 "%s: using the last known \"%s\" (%.12s): "
			 "%s",
			 s->name, spec, rev.text, error_text((int)r));
		*ret = rev;
		return 0;
	}
	if (r != -ENOENT && r != -EINTR)
		log_warn("source", "%s: resolve of \"%s\" failed: %s", s->name,
			 spec, error_text((int)r));
	return (int)r;
}
