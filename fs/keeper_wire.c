/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/keeper_wire.h"

#include <sys/socket.h>

int keeper_send(int sock, enum keeper_type type, const char *name,
		const int *fds, size_t n, const char *text)
{
	struct keeper_head head = { .magic = KEEPER_MAGIC,
				    .protocol = KEEPER_PROTOCOL,
				    .type = type };
	size_t len = text ? strlen(text) : 0;
	struct iovec iov[2] = { { &head, sizeof(head) },
				{ (char *)(uintptr_t)text, len } };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * KEEPER_FDS)];
	} control = { .space = { 0 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	ssize_t rc;

	if (len > KEEPER_TEXT || n > KEEPER_FDS ||
	    strlen(name ? name : "") >= KEEPER_NAME)
		return -E2BIG;
	head.text_len = (uint32_t)len;
	snprintf(head.name, sizeof(head.name), "%s", name ? name : "");
	if (n) {
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * n);
	}
	do
		rc = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *msg, struct keeper_message *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	size_t n = 0;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (n)
		memcpy(m->fd, CMSG_DATA(c), MIN(n, KEEPER_FDS) * sizeof(int));
}

int keeper_receive(int sock, struct keeper_message *m, bool wait)
{
	struct iovec iov[2] = { { &m->head, sizeof(m->head) },
				{ m->text, KEEPER_TEXT } };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * KEEPER_FDS)];
	} control;
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2,
			      .msg_control = control.space,
			      .msg_controllen = sizeof(control.space) };
	ssize_t n;

	for (size_t i = 0; i < KEEPER_FDS; i++)
		m->fd[i] = -1;
	do
		n = recvmsg(sock, &msg,
			    MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN
		       : errno == ECONNRESET ? 0
					     : -errno;
	if (!n)
		return 0;
	take_fds(&msg, m);
	if ((size_t)n < sizeof(m->head) || m->head.magic != KEEPER_MAGIC ||
	    m->head.protocol != KEEPER_PROTOCOL ||
	    m->head.text_len != (size_t)n - sizeof(m->head))
		return -EPROTO;
	m->head.name[KEEPER_NAME - 1] = '\0';
	m->text[m->head.text_len] = '\0';
	return 1;
}
