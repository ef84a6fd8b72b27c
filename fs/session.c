/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - the FUSE sessions of all mounts and the one worker pool that
 * serves them.
 *
 * Each worker waits on one epoll set that holds every session's descriptor
 * (level-triggered, non-blocking), takes a request, answers it and tries the
 * same session again before it sleeps. Sessions are stateless: OPEN, OPENDIR
 * and FLUSH are answered ENOSYS once and never come again, so everything a
 * request needs is in the node table and the store.
 *
 * A session is taken out by removing it from the set, waking every worker once
 * and waiting until each has been at the top of its loop: after that no worker
 * holds a request of it.
 */
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "fs/mounter.h"
#include "fs/mountpoint.h"
#include "fs/session.h"
#include "fs/view.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define MAX_WORKERS 16
#define WRITE_MAX MiB /* of one request, whatever the size of a page is */
#define BUFFER_BYTES (WRITE_MAX + 64 * KiB) /* libfuse adds 4 KiB */
#define BURST 32 /* requests of one session before others get their turn */

struct worker {
	struct workers *pool;
	pthread_t thread;
	pid_t tid;       /* atomic */
	uint64_t rounds; /* atomic: times at the top of the loop */
	int64_t busy;    /* atomic: since when; 0: it waits for requests */
	/* atomic: the request it works on, since when; 0: none */
	int64_t since;
	const struct mount *mount;
	uint64_t ino;
	uint32_t pid, op;
};

static __thread struct worker *self; /* NULL in other threads */

struct workers {
	int epoll, wake;
	bool stop; /* atomic */
	unsigned count;
	struct worker w[MAX_WORKERS];
	pthread_mutex_t remove_lock; /* one removal at a time */
};

/* -- what the kernel asks --------------------------------------------------- */

static void on_init(void *user, struct fuse_conn_info *c)
{
	struct mount *m = user;

	c->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			       FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA |
			       FUSE_CAP_READDIRPLUS_AUTO |
			       /* O_TRUNC as SETATTR: there is no OPEN */
			       FUSE_CAP_ATOMIC_O_TRUNC |
			       FUSE_CAP_HANDLE_KILLPRIV |
			       FUSE_CAP_WRITEBACK_CACHE);
	c->want |= c->capable &
		   (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
		    FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_READDIRPLUS |
		    FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT |
		    FUSE_CAP_EXPLICIT_INVAL_DATA);
	/* Always readdirplus, not AUTO: a reply is at most the caller's
	 * getdents buffer (186 entries at 32 KiB), and AUTO turns to plain
	 * READDIR after the first reply, which costs a LOOKUP for every
	 * further entry of a large directory. */
	/* cold parallel readers wait in the daemon, not in the kernel's queue:
	 * that is what makes batches */
	c->max_write = MIN(c->max_write, (unsigned)WRITE_MAX);
	c->max_background = 1024;
	c->congestion_threshold = 1024;
	__atomic_store_n(&m->initialised, true, __ATOMIC_RELEASE);
}

struct request session_arrived(fuse_req_t req, enum op op, fuse_ino_t ino)
{
	struct request r = {
		.mount = fuse_req_userdata(req), .req = req, .op = op,
		.ino = ino, .pid = (uint32_t)fuse_req_ctx(req)->pid,
	};

	session_mark(&r);
	return r;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request r = session_arrived(req, OP_LOOKUP, parent);

	r.name = name;
	request_run(&r);
}

static void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct mount *m = fuse_req_userdata(req);

	mount_forget(m, ino, n);
	fuse_reply_none(req);
}

static void on_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *f)
{
	struct mount *m = fuse_req_userdata(req);

	bool bury = false;

	view_lock(m);
	for (size_t i = 0; i < count; i++)
		bury |= node_forget(m->nodes, f[i].ino, f[i].nlookup);
	view_unlock(m);
	if (bury)
		changes_bury(m->changes);
	fuse_reply_none(req);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct request r = session_arrived(req, OP_GETATTR, ino);

	(void)fi;
	request_run(&r);
}

static void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct request r = session_arrived(req, OP_READLINK, ino);

	request_run(&r);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS); /* the kernel opens alone from now on */
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct request r = session_arrived(req, OP_READ, ino);

	(void)fi;
	r.size = (uint32_t)size;
	r.off = (uint64_t)off;
	request_run(&r);
}

static void list(fuse_req_t req, enum op op, fuse_ino_t ino, size_t size,
		 off_t off)
{
	struct request r = session_arrived(req, op, ino);

	r.size = (uint32_t)size;
	r.off = (uint64_t)off;
	request_run(&r);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	list(req, OP_READDIR, ino, size, off);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, OP_READDIRPLUS, ino, size, off);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	struct request r = session_arrived(req, OP_GETXATTR, ino);

	r.name = name;
	r.size = (uint32_t)size;
	request_run(&r);
}

/* Digests are answered when asked for by name and not listed, so that nothing
 * copies them to where they would go stale. */
static void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	(void)ino;
	if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *m = fuse_req_userdata(req);
	struct store_stats s = { 0 };
	struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096,
			      .f_namemax = SCORPIO_NAME_MAX };

	(void)ino;
	/* a read-only view of unknown total size: full, as squashfs says */
	if (!store_stat(m->store, &s))
		st.f_blocks = (fsblkcnt_t)(s.chunk_plain_bytes / 4096);
	fuse_reply_statfs(req, &st);
}

static const struct fuse_lowlevel_ops operations = {
	.init = on_init,
	.lookup = on_lookup,
	.forget = on_forget,
	.forget_multi = on_forget_multi,
	.getattr = on_getattr,
	.readlink = on_readlink,
	.open = on_open,
	.opendir = on_open,
	.read = on_read,
	.readdir = on_readdir,
	.readdirplus = on_readdirplus,
	.getxattr = on_getxattr,
	.listxattr = on_listxattr,
	.statfs = on_statfs,
};

/* -- sessions ---------------------------------------------------------------- */

/* fuse option values must not hold ',' or '\\' */
static char *escape(const char *s)
{
	char *out = xmalloc(2 * strlen(s) + 1), *p = out;

	for (; *s; s++) {
		if (*s == ',' || *s == '\\')
			*p++ = '\\';
		*p++ = *s;
	}
	*p = '\0';
	return out;
}

static char *mount_options(const struct mount *m)
{
	cleanup_free char *name = escape(source_url(m->source));

	return xasprintf("fsname=%s,subtype=scorpio,default_permissions%s%s",
			 name, m->read_only ? ",ro" : "",
			 m->allow_other ? ",allow_other" : "");
}

static int make_session(struct mount *m)
{
	cleanup_free char *options = mount_options(m);
	char program[] = "scorpio", option[] = "-o";
	char *argv[] = { program, option, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_lowlevel_ops ops = operations;

	if (m->changes)
		session_writable(&ops);
	m->session = fuse_session_new(&args, &ops, sizeof(ops), m);
	fuse_opt_free_args(&args);
	return m->session ? 0
			  : fail(-EINVAL, "libfuse refused the mount options");
}

static int cannot_mount(const struct mount *m, int rc)
{
	int shown = rc == -EPERM ? -EACCES : rc;

	if (mounter_is_used())
		return fail_prefix(shown, "cannot mount at %s", m->dir);
	return fail(shown, "cannot mount at %s: %s%s", m->dir, strerror(-rc),
		    !geteuid()	     ? ""
		    : m->allow_other ? " (other users may look in only with "
				       "user_allow_other in /etc/fuse.conf)"
				     : " (is fusermount3 installed and "
				       "/dev/fuse accessible?)");
}

int session_start(struct mount *m)
{
	cleanup_free char *options = mount_options(m);
	int flags, rc = make_session(m);

	if (rc)
		return rc;
	rc = mounter_mount(m->session, m->dir, options);
	if (rc) {
		fuse_session_destroy(steal(&m->session));
		return cannot_mount(m, rc);
	}
	m->fd = fuse_session_fd(m->session);
	flags = fcntl(m->fd, F_GETFL);
	fcntl(m->fd, F_SETFL, flags | O_NONBLOCK);
	rc = session_own_io(m, m->fd);
	if (rc)
		mountpoint_detach(m->dir, true);
	return rc;
}

int session_restore(struct mount *m, int fd /* takes */)
{
	int rc = make_session(m);

	if (!rc)
		rc = session_own_io(m, fd);
	if (rc) {
		close(fd);
		return rc;
	}
	m->fd = fd;
	return session_revive(m);
}

void session_end(struct mount *m)
{
	if (!m->session)
		return;
	fuse_session_unmount(m->session);
	fuse_session_destroy(m->session);
	m->session = NULL;
}

/* -- workers ----------------------------------------------------------------- */

/* Serve up to BURST requests. False: the kernel let go of this session. */
static bool serve(struct mount *m, struct fuse_buf *buf)
{
	for (int i = 0; i < BURST; i++) {
		int n = fuse_session_receive_buf(m->session, buf);

		if (n == -EAGAIN || n == -EINTR)
			return true;
		if (n <= 0)
			return false;
		session_peek(m, buf);
		fuse_session_process_buf(m->session, buf);
	}
	return true;
}

/* The pages must be there: if this process is killed while the kernel faults
 * them in for a request, it answers the request with EIO instead of sending it
 * again. */
static void *make_buffer(void)
{
	void *p = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct workers *pool = w->pool;
	void *own = make_buffer();
	struct fuse_buf buf = { .mem = own }; /* NULL: libfuse makes one */
	struct epoll_event ev;

	self = w;
	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELAXED);
	while (!__atomic_load_n(&pool->stop, __ATOMIC_ACQUIRE)) {
		struct mount *m;
		uint64_t token;

		__atomic_fetch_add(&w->rounds, 1, __ATOMIC_RELEASE);
		__atomic_store_n(&w->busy, 0, __ATOMIC_RELAXED);
		if (epoll_wait(pool->epoll, &ev, 1, -1) != 1)
			continue;
		__atomic_store_n(&w->busy, now_ns(), __ATOMIC_RELAXED);
		m = ev.data.ptr;
		if (!m) { /* somebody waits for a round of every worker */
			if (read(pool->wake, &token, sizeof(token)) < 0)
				sched_yield();
			continue;
		}
		if (!serve(m, &buf) &&
		    !__atomic_exchange_n(&m->dead, true, __ATOMIC_ACQ_REL)) {
			epoll_ctl(pool->epoll, EPOLL_CTL_DEL, m->fd, NULL);
			mount_ended(m);
		}
	}
	if (own)
		munmap(own, BUFFER_BYTES);
	else
		free(buf.mem);
	return NULL;
}

int workers_start(struct fs *f)
{
	struct workers *pool = xcalloc(1, sizeof(*pool));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned want = f->options.workers ? f->options.workers
			: cores > 2	   ? (unsigned)cores
					   : 2;

	want = MIN(want, MAX_WORKERS);
	pthread_mutex_init(&pool->remove_lock, NULL);
	pool->epoll = epoll_create1(EPOLL_CLOEXEC);
	pool->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	f->workers = pool;
	if (pool->epoll < 0 || pool->wake < 0 ||
	    epoll_ctl(pool->epoll, EPOLL_CTL_ADD, pool->wake, &ev))
		return fail(-errno, "cannot make an epoll set: %s",
			    strerror(errno));
	for (; pool->count < want; pool->count++) {
		struct worker *w = &pool->w[pool->count];
		int rc;

		w->pool = pool;
		rc = pthread_create(&w->thread, NULL, worker_main, w);
		if (rc)
			return fail(-rc, "cannot start a worker: %s",
				    strerror(rc));
		pthread_setname_np(w->thread, "fuse");
	}
	return 0;
}

bool session_serves(void)
{
	return self;
}

void worker_begins(const struct request *r)
{
	if (!self)
		return;
	__atomic_store_n(&self->mount, r->mount, __ATOMIC_RELAXED);
	__atomic_store_n(&self->ino, r->ino, __ATOMIC_RELAXED);
	__atomic_store_n(&self->pid, r->pid, __ATOMIC_RELAXED);
	__atomic_store_n(&self->op, r->op, __ATOMIC_RELAXED);
	__atomic_store_n(&self->since, r->started, __ATOMIC_RELEASE);
}

void worker_ends(void)
{
	if (self)
		__atomic_store_n(&self->since, 0, __ATOMIC_RELEASE);
}

/* It may end and begin another meanwhile: then that is told of next time. */
void workers_slow(struct fs *f, const struct mount *m, int64_t before,
		  struct fs_slow *s,
		  void (*fn)(void *ctx, const struct fs_slow *s), void *ctx)
{
	struct workers *pool = f->workers;

	for (unsigned i = 0; i < pool->count; i++) {
		struct worker *w = &pool->w[i];
		int64_t since = __atomic_load_n(&w->since, __ATOMIC_ACQUIRE);

		if (!since || since > before ||
		    __atomic_load_n(&w->mount, __ATOMIC_RELAXED) != m)
			continue;
		s->op = request_op_name(
			__atomic_load_n(&w->op, __ATOMIC_RELAXED));
		s->name = NULL;
		s->ino = __atomic_load_n(&w->ino, __ATOMIC_RELAXED);
		s->pid = __atomic_load_n(&w->pid, __ATOMIC_RELAXED);
		s->age_ns = now_ns() - since;
		slow_at(s, __atomic_load_n(&w->tid, __ATOMIC_RELAXED));
		if (__atomic_load_n(&w->since, __ATOMIC_ACQUIRE) == since)
			fn(ctx, s);
	}
}

bool fs_lives(struct fs *f, int64_t max_ns)
{
	const struct workers *pool = f->workers;
	int64_t limit = now_ns() - max_ns;

	for (unsigned i = 0; i < pool->count; i++) {
		int64_t busy = __atomic_load_n(&pool->w[i].busy,
					       __ATOMIC_RELAXED);

		if (!busy || busy > limit)
			return true;
	}
	return false;
}

static void wake_all(struct workers *pool)
{
	uint64_t n = pool->count;
	ssize_t rc = write(pool->wake, &n, sizeof(n));

	(void)rc; /* a full counter wakes them as well */
}

void workers_stop(struct fs *f)
{
	struct workers *pool = f->workers;

	if (!pool)
		return;
	__atomic_store_n(&pool->stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < pool->count; i++) {
		wake_all(pool);
		pthread_join(pool->w[i].thread, NULL);
	}
	if (pool->epoll >= 0)
		close(pool->epoll);
	if (pool->wake >= 0)
		close(pool->wake);
	pthread_mutex_destroy(&pool->remove_lock);
	free(pool);
	f->workers = NULL;
}

int workers_add(struct fs *f, struct mount *m)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = m };

	if (epoll_ctl(f->workers->epoll, EPOLL_CTL_ADD, m->fd, &ev))
		return fail(-errno, "cannot watch the FUSE device: %s",
			    strerror(errno));
	return 0;
}

void workers_remove(struct fs *f, struct mount *m)
{
	struct workers *pool = f->workers;
	uint64_t seen[MAX_WORKERS];

	lock_scope(&pool->remove_lock);
	__atomic_store_n(&m->dead, true, __ATOMIC_RELEASE);
	/* a worker that found the end may be about to: rounds count from here */
	epoll_ctl(pool->epoll, EPOLL_CTL_DEL, m->fd, NULL);
	for (unsigned i = 0; i < pool->count; i++)
		seen[i] = __atomic_load_n(&pool->w[i].rounds,
					  __ATOMIC_ACQUIRE);
	for (unsigned i = 0; i < pool->count; i++) {
		while (__atomic_load_n(&pool->w[i].rounds, __ATOMIC_ACQUIRE) ==
		       seen[i]) {
			wake_all(pool);
			usleep(500);
		}
	}
}
