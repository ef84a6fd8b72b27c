/* SPDX-License-Identifier: Apache-2.0 */
/* listen.h - listening sockets. Main thread. */
#ifndef API_HTTP_LISTEN_H
#define API_HTTP_LISTEN_H

#include "core/base.h"

struct listen_result {
	int fd;        /* the caller's */
	bool loopback; /* TCP: only this machine can reach it */
	char *address; /* as bound, "127.0.0.1:2725"; the caller's */
};

/* "IP:PORT", "[IPv6]:PORT" or "name:PORT" -> host and port; the host is empty
 * for ":PORT" (all addresses). False if it is none of these. */
bool listen_split(const char *address, char *host, size_t cap, char *port,
		  size_t port_cap);
/* -EINVAL not an address; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL with a text.
 * Only resolves and binds if loopback or allow_remote, else -EPERM. */
int listen_tcp(const char *address, bool allow_remote,
	       struct listen_result *ret);
/* Mode 0600; see server_listen_unix. */
int listen_unix(const char *path, struct listen_result *ret);
/* A socket that listens already. False: it does not; fd stays the caller's. */
bool listen_adopt(int fd, struct listen_result *ret);
/* It may not be used any more: done with *got, -EPERM with a text. */
int listen_refuse(const char *address, struct listen_result *got);
/* Does somebody accept connections there? */
bool listen_answers_unix(const char *path);

#endif
