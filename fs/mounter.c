/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message on a SEQPACKET socket is one run of fusermount3: its arguments, NUL
 * after each, and descriptors: a pipe for the answer and, to mount, the socket
 * through which fusermount3 hands the device over. The answer is what the program
 * writes to its standard error, then a NUL and its exit status.
 *
 * The helper is made by fork alone, maybe from one of several threads: it and its
 * children do nothing that needs a lock or the heap.
 */
#include "fs/mounter.h"

#include "core/clock.h"
#include "core/error.h"

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define RUN_S 10
#define MESSAGE_MAX (32 * 1024)
#define ARGS_MAX 8
#define ENV_MAX 1024
#define SOCKET 3  /* the helper's */
#define COMM "3"  /* fusermount3's, in its place */
#define FDS_MAX 2 /* the answer, the device */

static int line = -1; /* to the helper; fixed once made */

struct message {
	char text[MESSAGE_MAX];
	size_t len;
	int fd[FDS_MAX];
	size_t fds;
};

/* -- both sides ---------------------------------------------------------------- */

static int take_fds(struct msghdr *h, int *fd, size_t max)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(h);
	size_t n;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	n = MIN(n, max);
	memcpy(fd, CMSG_DATA(c), n * sizeof(int));
	return (int)n;
}

/* -1 with errno; 0: the other end is gone. */
static ssize_t receive(int sock, struct message *m, int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { m->text, sizeof(m->text) - 1 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = control.space,
			    .msg_controllen = sizeof(control.space) };
	ssize_t n = recvmsg(sock, &h, flags | MSG_CMSG_CLOEXEC);

	m->fds = 0;
	if (n < 0)
		return n;
	m->fds = (size_t)take_fds(&h, m->fd, FDS_MAX);
	m->len = (size_t)n;
	m->text[n] = '\0';
	return n;
}

/* -- the helper ---------------------------------------------------------------- */

static void run_program(const struct message *m)
{
	char *argv[ARGS_MAX + 1];
	char text[MESSAGE_MAX];
	int n = 0;

	memcpy(text, m->text, m->len + 1);
	for (size_t at = 0; at < m->len && n < ARGS_MAX;
	     at += strlen(text + at) + 1)
		argv[n++] = text + at;
	argv[n] = NULL;
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	alarm(RUN_S);
	dup2(m->fd[0], STDERR_FILENO);
	if (m->fds > 1)
		dup2(m->fd[1], SOCKET);
	else
		close(SOCKET);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s", argv[0], strerrordesc_np(errno));
	_exit(127);
}

/* In a child of the helper, one for each message. */
static void attend(const struct message *m)
{
	unsigned char end[2] = { 0, 255 };
	int status = 0, pid;

	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (!pid)
		run_program(m);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		end[1] = (unsigned char)WEXITSTATUS(status);
	if (write(m->fd[0], end, sizeof(end)) < 0)
		_exit(1);
	_exit(0);
}

/* putenv takes a lock and the heap. */
static void add_to_environment(void)
{
	static char comm[] = "_FUSE_COMMFD=" COMM;
	static char *with[ENV_MAX + 1] = { comm };

	for (size_t i = 1; i < ENV_MAX && environ[i - 1]; i++)
		with[i] = environ[i - 1];
	environ = with;
}

static void help(int sock)
{
	static struct message m; /* it is a process of its own */
	sigset_t none;

	/* 0, 1, 2 and the socket, nothing else that a daemon has */
	if (sock != SOCKET && dup2(sock, SOCKET) < 0)
		_exit(1);
	fcntl(SOCKET, F_SETFD, FD_CLOEXEC);
	closefrom(SOCKET + 1);
	prctl(PR_SET_NAME, "scorpio-mounts");
	add_to_environment();
	signal(SIGINT, SIG_IGN); /* it ends when the daemon has */
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;) {
		ssize_t n = receive(SOCKET, &m, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		if (m.fds && !fork())
			attend(&m);
		for (size_t i = 0; i < m.fds; i++)
			close(m.fd[i]);
	}
}

int mounter_start(void)
{
	struct timeval limit = { RUN_S, 0 };
	int pair[2], pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return fail(-errno, "socketpair: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (!pid)
		help(pair[1]);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return fail(-errno, "fork: %s", strerror(errno));
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	line = pair[0];
	return 0;
}

bool mounter_is_used(void)
{
	return line >= 0;
}

/* -- the daemon ---------------------------------------------------------------- */

static int post(const struct iovec *iov, size_t n, const int *fd, size_t fds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { .space = { 0 } };
	struct msghdr h = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n,
			    .msg_control = control.space,
			    .msg_controllen = CMSG_SPACE(fds * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (len >= MESSAGE_MAX)
		return fail(-ENAMETOOLONG, "too long for fusermount3");
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(fds * sizeof(int));
	memcpy(CMSG_DATA(c), fd, fds * sizeof(int));
	if (sendmsg(line, &h, MSG_NOSIGNAL) >= 0)
		return 0;
	return fail(-EIO, "the process that runs fusermount3 is gone (%s): "
		    "scorpio restart starts it again", strerror(errno));
}

/* What comes until its end; the last two bytes are no text. */
static int answer(int fd, int *ret_status, char *error, size_t cap)
{
	int64_t deadline = deadline_in_ms((RUN_S + 2) * 1000ll);
	char text[2048];
	size_t len = 0;
	ssize_t n;

	do {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - now_ns();

		if (left <= 0)
			return fail(-ETIMEDOUT, "fusermount3 does not end");
		if (poll(&p, 1, (int)(left / NS_PER_MS) + 1) <= 0)
			n = 1;
		else if ((n = read(fd, text + len, sizeof(text) - len)) > 0)
			len += (size_t)n;
	} while (n > 0 && len < sizeof(text));
	if (len < 2 || text[len - 2])
		return fail(-EIO, "fusermount3 could not be run");
	*ret_status = (unsigned char)text[len - 1];
	len -= 2;
	while (len && text[len - 1] == '\n')
		len--;
	snprintf(error, cap, "%.*s", (int)len, text);
	return 0;
}

static int ask(const char *const args[], int device, int *ret_status,
	       char *error, size_t cap)
{
	struct iovec iov[ARGS_MAX];
	cleanup_fd int mine = -1, theirs = -1;
	int fds[2], n = 0, rc;

	for (; args[n]; n++)
		iov[n] = (struct iovec){ (void *)(uintptr_t)args[n],
					 strlen(args[n]) + 1 };
	if (pipe2(fds, O_CLOEXEC))
		return fail(-errno, "pipe: %s", strerror(errno));
	mine = fds[0];
	theirs = fds[1];
	fds[0] = theirs;
	fds[1] = device;
	rc = post(iov, (size_t)n, fds, device >= 0 ? 2 : 1);
	close(theirs);
	theirs = -1;
	return rc ? rc : answer(mine, ret_status, error, cap);
}

int mounter_unmount(const char *dir, bool lazy, int *ret_status, char *error,
		    size_t cap)
{
	const char *const args[] = { "fusermount3", lazy ? "-uz" : "-u", "--",
				     dir, NULL };

	return ask(args, -1, ret_status, error, cap);
}

/* The device of a new mount. */
static int get_device(const char *dir, const char *options)
{
	const char *const args[] = { "fusermount3", "-o", options, "--", dir,
				     NULL };
	cleanup_fd int mine = -1, theirs = -1;
	cleanup_free struct message *m = NULL;
	char error[512];
	int pair[2], status, rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return fail(-errno, "socketpair: %s", strerror(errno));
	mine = pair[0];
	theirs = pair[1];
	rc = ask(args, theirs, &status, error, sizeof(error));
	if (rc)
		return rc;
	if (status)
		return fail(-EPERM, "%s",
			    error[0] ? error : "fusermount3 failed");
	m = xmalloc(sizeof(*m));
	if (receive(mine, m, MSG_DONTWAIT) < 0 || !m->fds)
		return fail(-EIO, "fusermount3 handed nothing over");
	return m->fd[0];
}

int mounter_mount(struct fuse_session *s, const char *dir,
		  const char *options)
{
	char device[40];
	int fd;

	if (!mounter_is_used())
		return fuse_session_mount(s, dir) ? errno ? -errno : -EIO : 0;
	fd = get_device(dir, options);
	if (fd < 0)
		return fd;
	snprintf(device, sizeof(device), "/dev/fd/%d", fd);
	if (!fuse_session_mount(s, device))
		return 0; /* the session has it now */
	close(fd);
	return fail(-EIO, "libfuse refused the device");
}
