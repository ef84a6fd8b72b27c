/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_table.c - what the keeper holds, and its copy at the service manager.
 *
 * Where NOTIFY_SOCKET is set (systemd, FileDescriptorStoreMax= in the unit),
 * every entry is also stored there: descriptors as NAME.0 to NAME.2, the text
 * as a memfd NAME.t. A keeper that is started after one that died gets them
 * back by LISTEN_FDS and LISTEN_FDNAMES.
 */
#include "fs/keeper_impl.h"

#include "core/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define FIRST_LISTEN_FD 3
#define MANAGER_WAIT_S 2
#define DETACH_MS 5000

/* -- the service manager ---------------------------------------------------------- */

static bool manager_address(struct sockaddr_un *a, socklen_t *ret_len)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;

	memset(a, 0, sizeof(*a));
	if (!n || (*path != '/' && *path != '@') || n >= sizeof(a->sun_path))
		return false;
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, path, n);
	if (*path == '@') /* abstract */
		a->sun_path[0] = '\0';
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return true;
}

void manager_tell(const char *text, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { (char *)(uintptr_t)text, strlen(text) };
	/* a short queue that is full is no reason to lose a descriptor */
	struct timeval limit = { MANAGER_WAIT_S, 0 };
	struct sockaddr_un a;
	struct msghdr msg = { .msg_name = &a, .msg_iov = &iov,
			      .msg_iovlen = 1 };
	cleanup_fd int sock = -1;

	if (!manager_address(&a, &msg.msg_namelen))
		return;
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	}
	if (sock < 0 || sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		log_warn("keeper", "the service manager: %s",
			  strerror(errno));
}

static void store_fd(const char *name, const char *suffix, int fd)
{
	char line[128];

	snprintf(line, sizeof(line), "FDSTORE=1\nFDNAME=%s.%s", name, suffix);
	manager_tell(line, fd);
}

static void store(const struct entry *e)
{
	cleanup_fd int text = -1;
	char suffix[12];

	if (!getenv("NOTIFY_SOCKET"))
		return;
	for (int i = 0; i < KEEPER_FDS; i++) {
		snprintf(suffix, sizeof(suffix), "%d", i);
		if (e->fd[i] >= 0)
			store_fd(e->name, suffix, e->fd[i]);
	}
	text = memfd_create("scorpio-text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (text < 0 || write(text, e->text, strlen(e->text)) < 0)
		return;
	fcntl(text, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK |
					 F_SEAL_SEAL);
	store_fd(e->name, "t", text);
}

static void unstore(const char *name)
{
	static const char *const suffixes[] = { "0", "1", "2", "t" };
	char line[128];

	if (!getenv("NOTIFY_SOCKET"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(line, sizeof(line), "FDSTOREREMOVE=1\nFDNAME=%s.%s",
			 name, suffixes[i]);
		manager_tell(line, -1);
	}
}

/* -- entries ------------------------------------------------------------------------ */

static void entry_free(struct entry *e)
{
	for (size_t i = 0; i < KEEPER_FDS; i++)
		if (e->fd[i] >= 0)
			close(e->fd[i]);
	free(e->text);
	free(e);
}

static struct entry **find(struct table *t, const char *name)
{
	struct entry **at = &t->first;

	while (*at && strcmp((*at)->name, name))
		at = &(*at)->next;
	return at;
}

static struct entry *add(struct table *t, const char *name)
{
	struct entry *e = xcalloc(1, sizeof(*e));

	snprintf(e->name, sizeof(e->name), "%s", name);
	for (size_t i = 0; i < KEEPER_FDS; i++)
		e->fd[i] = -1;
	e->text = xstrdup("");
	*find(t, "") = e; /* at the end: no entry is called "" */
	t->count++;
	return e;
}

void table_put(struct table *t, struct keeper_message *m)
{
	struct entry *e;

	table_drop(t, m->head.name);
	if (t->count >= KEEPER_ENTRIES) {
		log_error("keeper", "too many entries: %s is not held",
			  m->head.name);
		for (size_t i = 0; i < KEEPER_FDS; i++)
			if (m->fd[i] >= 0)
				close(m->fd[i]);
		return;
	}
	e = add(t, m->head.name);
	memcpy(e->fd, m->fd, sizeof(e->fd));
	free(e->text);
	e->text = xstrdup(m->text);
	store(e);
}

void table_drop(struct table *t, const char *name)
{
	struct entry **at = find(t, name), *e = *at;

	if (!e)
		return;
	*at = e->next;
	t->count--;
	unstore(name);
	entry_free(e);
}

/* As fusermount3 -uz, for who is not root. */
static void detach_as_user(const char *dir)
{
	static const struct timespec tick = { .tv_nsec = 10000000 };
	int pid = fork();

	if (!pid) {
		execlp("fusermount3", "fusermount3", "-uz", "--", dir,
		       (char *)NULL);
		_exit(127);
	}
	for (int ms = 0; pid > 0 && ms < DETACH_MS; ms += 10) {
		if (waitpid(pid, NULL, WNOHANG))
			return;
		nanosleep(&tick, NULL);
	}
	if (pid > 0)
		kill(pid, SIGKILL); /* the keeper's loop reaps it */
}

size_t table_drop_mounts(struct table *t, bool unmount)
{
	size_t before = t->count;

	for (struct entry *e = t->first, *next; e; e = next) {
		cleanup_free char *dir = NULL;

		next = e->next;
		if (strncmp(e->name, KEEPER_MOUNT, strlen(KEEPER_MOUNT)))
			continue;
		dir = xstrndup(e->text, strcspn(e->text, "\n"));
		table_drop(t, e->name);
		if (unmount && umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) &&
		    geteuid())
			detach_as_user(dir);
	}
	return before - t->count;
}

int table_send(const struct table *t, int sock)
{
	for (const struct entry *e = t->first; e; e = e->next) {
		size_t n = 0;
		int rc;

		while (n < KEEPER_FDS && e->fd[n] >= 0)
			n++;
		rc = keeper_send(sock, KEEPER_KEPT, e->name, e->fd, n,
				 e->text);
		if (rc)
			return rc;
	}
	return 0;
}

static void recall_text(struct entry *e, int fd)
{
	char *text = xcalloc(1, KEEPER_TEXT + 1);

	if (pread(fd, text, KEEPER_TEXT, 0) < 0)
		text[0] = '\0';
	close(fd);
	free(e->text);
	e->text = text;
}

static void recall(struct table *t, char *name, int fd)
{
	char *dot = strrchr(name, '.');
	struct entry *e;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!dot || !dot[1] || dot[2] || dot == name ||
	    dot - name >= KEEPER_NAME) {
		close(fd);
		return;
	}
	*dot = '\0';
	e = *find(t, name);
	if (!e)
		e = add(t, name);
	if (dot[1] == 't')
		recall_text(e, fd);
	else if (dot[1] >= '0' && dot[1] < '0' + KEEPER_FDS &&
		 e->fd[dot[1] - '0'] < 0)
		e->fd[dot[1] - '0'] = fd;
	else
		close(fd);
}

void table_recall(struct table *t)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	cleanup_free char *copy = xstrdup(names ? names : "");
	char *rest = copy, *name;

	if (!pid || !n || atoi(pid) != getpid())
		return;
	for (int i = 0; i < atoi(n) && (name = strsep(&rest, ":")); i++)
		recall(t, name, FIRST_LISTEN_FD + i);
	if (t->count)
		log_info("keeper", "%zu entries came back from the service "
			 "manager", t->count);
}

void table_done(struct table *t)
{
	for (struct entry *e = t->first, *next; e; e = next) {
		next = e->next;
		unstore(e->name);
		entry_free(e);
	}
	*t = (struct table){ 0 };
}
