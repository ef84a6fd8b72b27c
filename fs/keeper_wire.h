/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_wire.h - private to keeper*.c: messages between keeper and daemon, one
 * per packet of a SOCK_SEQPACKET pair. */
#ifndef FS_KEEPER_WIRE_H
#define FS_KEEPER_WIRE_H

#include "fs/keeper.h"

#define KEEPER_PROTOCOL 1u
#define KEEPER_ENV_FD "SCORPIO_KEEPER_FD"       /* the daemon's end */
#define KEEPER_ENV_CHECK "SCORPIO_KEEPER_CHECK" /* see keeper_only_asks */
#define KEEPER_MAGIC 0x4b455031u

enum keeper_type {
	/* to the daemon */
	KEEPER_KEPT = 1, /* one entry */
	KEEPER_START,    /* no more of them; text: numbers */
	KEEPER_ACCEPTED, /* it will be replaced */
	KEEPER_REFUSED,  /* text: why not */
	/* to the keeper */
	KEEPER_PUT = 32,
	KEEPER_DROP,
	KEEPER_READY,
	KEEPER_BEAT,
	KEEPER_STOPPING,
	KEEPER_TELL,
	KEEPER_REPLACE, /* text: program or "" */
};

struct keeper_head {
	uint32_t magic, protocol, type, text_len;
	char name[KEEPER_NAME];
};

struct keeper_message {
	struct keeper_head head;
	int fd[KEEPER_FDS]; /* the receiver's */
	char text[KEEPER_TEXT + 1];
};

/* -errno. */
int keeper_send(int sock, enum keeper_type type, const char *name,
		const int *fds, size_t n, const char *text);
/* 1 a message; 0 the other end is closed; -EAGAIN none now; -EPROTO nonsense. */
int keeper_receive(int sock, struct keeper_message *ret, bool wait);

#endif
