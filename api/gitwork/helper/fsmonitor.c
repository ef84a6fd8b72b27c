/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scorpio-fsmonitor VERSION TOKEN - git's file system monitor hook, protocol
 * version 2, for the workspaces of scorpio. git starts it for every command,
 * so it is a program of its own that needs only the C library; the whole
 * daemon's program takes 18 ms to start and end.
 *
 * It is called through the link <gitdir>/fsmonitor; beside that lies the file
 * "scorpio": the daemon's socket, the mount's id and its directory. It asks the
 * daemon and prints the answer. What must be looked at as it is now (a renamed
 * directory) it walks itself. Whenever something is wrong it answers "/": look
 * at everything. That is always right, only slower.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTACT_MAX 16384
#define ANSWER_MAX (128u << 20)
#define WALK_MAX 100000 /* directories */
#define WAIT_S 10
#define INSIDE "/.scorpio" /* see api/gitwork/monitor.c */

struct text {
	char *p;
	size_t len, cap;
};

static bool put(struct text *t, const void *p, size_t n)
{
	if (t->len + n > ANSWER_MAX)
		return false;
	if (t->len + n + 1 > t->cap) {
		size_t cap = 2 * (t->len + n) + 65536;
		char *bigger = realloc(t->p, cap);

		if (!bigger)
			return false;
		t->p = bigger;
		t->cap = cap;
	}
	memcpy(t->p + t->len, p, n);
	t->len += n;
	t->p[t->len] = '\0';
	return true;
}

static bool read_all(int fd, struct text *t)
{
	char part[65536];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || !put(t, part, (size_t)n))
			return false;
	}
	return true;
}

static int print(const void *p, size_t n)
{
	const char *s = p;

	while (n) {
		ssize_t done = write(1, s, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return 1;
		s += done;
		n -= (size_t)done;
	}
	return 0;
}

static int everything(void)
{
	static const char answer[] = "scorpio:0:0\0/";

	return print(answer, sizeof(answer));
}

/* -- the daemon ------------------------------------------------------------------ */

struct contact {
	char text[CONTACT_MAX + 1];
	const char *socket, *id, *dir;
};

static bool find_contact(const char *self, struct contact *c)
{
	const char *slash = strrchr(self, '/');
	char path[4096];
	ssize_t n;
	int fd;

	if (!slash || snprintf(path, sizeof(path), "%.*s/scorpio",
			       (int)(slash - self), self) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, c->text, CONTACT_MAX);
	close(fd);
	if (n <= 0)
		return false;
	c->text[n] = '\0';
	c->socket = c->text;
	c->id = c->socket + strlen(c->socket) + 1;
	if (c->id >= c->text + n)
		return false;
	c->dir = c->id + strlen(c->id) + 1;
	return c->dir < c->text + n;
}

static int dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = WAIT_S };
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return -1;
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The body of a complete 200 answer, or NULL. */
static const char *body_of(const struct text *t, size_t *ret_len)
{
	static const char ok[] = "HTTP/1.1 200 ", length[] = "Content-Length:";
	const char *body, *p;
	size_t want;

	if (t->len < sizeof(ok) || memcmp(t->p, ok, sizeof(ok) - 1))
		return NULL;
	body = memmem(t->p, t->len, "\r\n\r\n", 4);
	p = body ? memmem(t->p, (size_t)(body - t->p), length,
			  sizeof(length) - 1)
		 : NULL;
	if (!p)
		return NULL;
	want = strtoul(p + sizeof(length) - 1, NULL, 10);
	body += 4;
	*ret_len = t->len - (size_t)(body - t->p);
	return *ret_len == want ? body : NULL;
}

static const char *ask(const struct contact *c, const char *token,
		       struct text *t, size_t *ret_len)
{
	char request[1024];
	int fd, n;
	bool ok;

	if (strspn(token, "abcdefghijklmnopqrstuvwxyz0123456789:") !=
	    strlen(token))
		token = "none";
	n = snprintf(request, sizeof(request),
		     "GET /api/v1/mounts/%s/git/changed?since=%s HTTP/1.1\r\n"
		     "Host: localhost\r\nConnection: close\r\n\r\n",
		     c->id, token);
	if (n >= (int)sizeof(request))
		return NULL;
	fd = dial(c->socket);
	if (fd < 0)
		return NULL;
	ok = send(fd, request, (size_t)n, MSG_NOSIGNAL) == n && read_all(fd, t);
	close(fd);
	return ok ? body_of(t, ret_len) : NULL;
}

/* -- directories that are somewhere else now ----------------------------------------- */

struct walk {
	struct text *out;
	unsigned seen;
};

/* Every directory at and below path, by a name in it. */
static bool walk(struct walk *w, int at, const char *name, struct text *path)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
					  O_CLOEXEC);
	size_t len = path->len;
	struct dirent *e;
	bool ok = true;
	DIR *d;

	if (fd < 0) /* not there now, or a file */
		return errno != EMFILE && errno != ENFILE && errno != EIO;
	d = fdopendir(fd);
	ok = d && ++w->seen <= WALK_MAX && put(w->out, path->p, path->len) &&
	     put(w->out, INSIDE, sizeof(INSIDE));
	while (ok && (e = readdir(d))) {
		if (e->d_type != DT_DIR || !strcmp(e->d_name, ".") ||
		    !strcmp(e->d_name, ".."))
			continue;
		ok = put(path, "/", 1) &&
		     put(path, e->d_name, strlen(e->d_name)) &&
		     walk(w, dirfd(d), e->d_name, path);
		path->len = len;
	}
	if (d)
		closedir(d);
	return ok;
}

static bool add(struct walk *w, const char *name, size_t len)
{
	struct text path = { NULL, 0, 0 };
	bool ok = put(w->out, name, len + 1);

	if (!ok || name[len - 1] != '/')
		return ok;
	ok = put(&path, name, len - 1) && walk(w, AT_FDCWD, path.p, &path);
	free(path.p);
	return ok;
}

static int answer(const char *body, size_t len)
{
	struct text out = { NULL, 0, 0 };
	struct walk w = { &out, 0 };
	const char *end = body + len, *p = body;
	bool token = true;
	int rc;

	if (!len || end[-1] != '\0')
		return everything();
	for (; p < end; p += strlen(p) + 1, token = false) {
		size_t n = strlen(p);

		if (!n)
			break;
		if (token || !strcmp(p, "/") ? !put(&out, p, n + 1)
					     : !add(&w, p, n))
			break;
	}
	if (p < end) { /* too much: everything, but from this token on */
		print(body, strlen(body) + 1);
		rc = print("/", 2);
	} else {
		rc = print(out.p, out.len);
	}
	free(out.p);
	return rc;
}

int main(int argc, char **argv)
{
	static struct contact c;
	struct text t = { NULL, 0, 0 };
	char cwd[4096];
	const char *body;
	size_t len;
	int rc;

	if (argc == 3 && !strcmp(argv[1], "1"))
		return 1; /* what old versions of git ask, and new ones next */
	if (argc != 3 || strcmp(argv[1], "2")) {
		fprintf(stderr, "usage: called by git as core.fsmonitor, "
			"protocol version 2\n");
		return 1;
	}
	/* other work trees of the repository are not ours to know */
	if (!find_contact(argv[0], &c) || !getcwd(cwd, sizeof(cwd)) ||
	    strcmp(cwd, c.dir))
		return everything();
	body = ask(&c, argv[2], &t, &len);
	rc = body ? answer(body, len) : everything();
	free(t.p);
	return rc;
}
