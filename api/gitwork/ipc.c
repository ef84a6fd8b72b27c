/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipc.c - answers git's own client of a file system monitor (core.fsmonitor =
 * true), which looks for the socket fsmonitor--daemon.ipc in the repository.
 * Both ways: the text in packets of four hexadecimal digits, which count
 * themselves, and what they say; 0000 ends it. Asked is a token, answered what
 * the hook answers (git/git fsmonitor-ipc.c, simple-ipc.h, pkt-line.h).
 *
 * One thread accepts, a few answer. The socket lies in a directory that is the
 * user's alone. Who gets no answer looks at everything himself.
 */
#include "api/gitwork/gitwork_impl.h"

#include "core/error.h"
#include "core/log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#define SOCKET_NAME "fsmonitor--daemon.ipc"
#define ANSWERERS 4
#define CONNECTIONS_MAX 64 /* waiting for one */
#define REQUEST_MAX 4096
#define PACKET_MAX 65516
#define WAIT_S 5

struct listener { /* of one repository */
	struct listener *next;
	char *id;
	int fd, dir;
};

struct gitipc {
	struct gitwork *g;
	pthread_t thread;
	struct pool *pool;
	int epoll, stop_fd;
	struct lock lock;
	struct listener *all; /* lock */
};

struct asked {
	struct pool_task task;
	struct gitwork *g;
	char *id;
	int fd;
};

/* -- packets --------------------------------------------------------------------- */

static bool read_all(int fd, void *p, size_t n)
{
	return recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

static bool write_all(int fd, const void *p, size_t n)
{
	return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* False: not a whole text, or a long one. */
static bool read_text(int fd, char text[REQUEST_MAX])
{
	size_t len = 0;
	char head[5] = "";
	unsigned n;

	for (;;) {
		if (!read_all(fd, head, 4) ||
		    strspn(head, "0123456789abcdefABCDEF") != 4)
			return false;
		n = (unsigned)strtoul(head, NULL, 16);
		if (!n)
			break;
		if (n < 4 || len + n - 4 >= REQUEST_MAX ||
		    !read_all(fd, text + len, n - 4))
			return false;
		len += n - 4;
	}
	text[len] = '\0';
	return true;
}

static bool write_text(int fd, const void *p, size_t n)
{
	const char *text = p;
	char head[5];

	for (size_t part; n; n -= part, text += part) {
		part = MIN(n, (size_t)PACKET_MAX);
		snprintf(head, sizeof(head), "%04zx", part + 4);
		if (!write_all(fd, head, 4) || !write_all(fd, text, part))
			return false;
	}
	return write_all(fd, "0000", 4);
}

/* -- one question ------------------------------------------------------------------ */

/* Directories that are told as a whole would have to be walked: git then does
 * it with all of them. */
static void without_directories(struct buf *answer)
{
	const char *p = (const char *)answer->data, *end = p + answer->len;
	size_t token = strlen(p) + 1;

	for (p += token; p < end; p += strlen(p) + 1)
		if (*p && p[strlen(p) - 1] == '/')
			break;
	if (p == end)
		return;
	answer->len = token;
	buf_put(answer, "/", 2);
}

static void answer(struct pool_task *t)
{
	struct asked *a = container_of(t, struct asked, task);
	struct timeval wait = { .tv_sec = WAIT_S };
	struct buf names = BUF_INIT;
	char token[REQUEST_MAX];
	int rc = 0;

	setsockopt(a->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(a->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (read_text(a->fd, token))
		rc = gitwork_changed(a->g, a->id, token, &names);
	if (rc)
		log_debug("git", "%s: %s", a->id, error_text(rc));
	if (!rc && names.len) {
		without_directories(&names);
		write_text(a->fd, names.data, names.len);
	}
	buf_done(&names);
	close(a->fd);
	free(a->id);
	free(a);
}

static void accept_from(struct gitipc *i, int listening)
{
	struct listener *l;
	struct asked *a;
	int fd = -1;
	ranked_scope(&i->lock);

	for (l = i->all; l && l->fd != listening;)
		l = l->next;
	if (l)
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (pool_load(i->pool) >= CONNECTIONS_MAX) {
		close(fd);
		return;
	}
	a = xcalloc(1, sizeof(*a));
	a->task.run = answer;
	a->g = i->g;
	a->id = xstrdup(l->id);
	a->fd = fd;
	pool_add(i->pool, &a->task);
}

static void *run(void *arg)
{
	struct gitipc *i = arg;
	struct epoll_event e;

	for (;;) {
		if (epoll_wait(i->epoll, &e, 1, -1) < 1)
			continue;
		if (e.data.fd == i->stop_fd)
			return NULL;
		accept_from(i, e.data.fd);
	}
}

/* -- the sockets ------------------------------------------------------------------- */

static int watch(struct gitipc *i, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(i->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

int gitipc_new(struct gitwork *g, struct gitipc **ret)
{
	struct gitipc *i = xcalloc(1, sizeof(*i));
	int rc;

	i->g = g;
	lock_init(&i->lock, LOCK_LEAF, "gitipc");
	i->epoll = epoll_create1(EPOLL_CLOEXEC);
	i->stop_fd = eventfd(0, EFD_CLOEXEC);
	rc = i->epoll < 0 || i->stop_fd < 0 ? -errno : watch(i, i->stop_fd);
	if (!rc)
		rc = -pthread_create(&i->thread, NULL, run, i);
	if (rc) {
		base_close(&i->epoll);
		base_close(&i->stop_fd);
		lock_done(&i->lock);
		free(i);
		return fail(rc, "epoll: %s", strerror(-rc));
	}
	i->pool = pool_new("gitipc", ANSWERERS);
	*ret = i;
	return 0;
}

static void listener_free(struct listener *l)
{
	if (l->dir >= 0 && l->fd >= 0)
		unlinkat(l->dir, SOCKET_NAME, 0);
	base_close(&l->fd); /* and epoll forgets it */
	base_close(&l->dir);
	free(l->id);
	free(l);
}

void gitipc_free(struct gitipc *i)
{
	uint64_t one = 1;

	if (!i)
		return;
	while (write(i->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(i->thread, NULL);
	pool_free(i->pool);
	for (struct listener *l = i->all, *next; l; l = next) {
		next = l->next;
		listener_free(l);
	}
	close(i->epoll);
	close(i->stop_fd);
	lock_done(&i->lock);
	free(i);
}

/* Who has the repository may ask. The directory is theirs: what stands there by
 * now need not be the socket. */
static int give_away(int dir)
{
	cleanup_fd int fd = openat(dir, SOCKET_NAME,
				   O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat owner, st;

	if (fd < 0 || fstat(dir, &owner) || fstat(fd, &st))
		return -errno;
	if (owner.st_uid == st.st_uid)
		return 0;
	if (!S_ISSOCK(st.st_mode) || st.st_nlink != 1 ||
	    st.st_uid != geteuid())
		return -EPERM;
	return fchownat(fd, "", owner.st_uid, owner.st_gid, AT_EMPTY_PATH)
		       ? -errno
		       : 0;
}

/* By the directory's descriptor: a path may be too long for an address. */
static int open_socket(struct listener *l, const char *gitdir)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	l->dir = open(gitdir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->dir < 0)
		return -errno;
	if (unlinkat(l->dir, SOCKET_NAME, 0) && errno != ENOENT)
		return -errno;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", l->dir,
		 SOCKET_NAME);
	if (bind(l->fd, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(l->fd, CONNECTIONS_MAX))
		return -errno;
	return give_away(l->dir);
}

void gitipc_listen(struct gitipc *i, const char *id, const char *gitdir)
{
	struct listener *l;
	int rc;

	if (!i)
		return;
	l = xcalloc(1, sizeof(*l));
	l->id = xstrdup(id);
	l->fd = l->dir = -1;
	rc = open_socket(l, gitdir);
	lock_take(&i->lock);
	if (!rc)
		rc = watch(i, l->fd);
	if (!rc) {
		l->next = i->all;
		i->all = l;
	}
	lock_drop(&i->lock);
	if (rc) {
		log_info("git", "%s/%s: %s", gitdir, SOCKET_NAME,
			 strerror(-rc));
		listener_free(l);
	}
}

void gitipc_forget(struct gitipc *i, const char *id)
{
	struct listener **p, *l;

	if (!i)
		return;
	lock_take(&i->lock);
	for (p = &i->all; *p && strcmp((*p)->id, id) != 0;)
		p = &(*p)->next;
	l = *p;
	if (l)
		*p = l->next;
	lock_drop(&i->lock);
	if (l)
		listener_free(l);
}
