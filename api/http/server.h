/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the HTTP server: libmicrohttpd, one thread per connection, over
 * listening sockets of our own (TCP and unix).
 *
 * Before a handler runs, a request was checked: no Transfer-Encoding together
 * with Content-Length, no header twice that may be there once, a target that
 * target.h accepts, a Host, the right to ask (auth.h), a body of at most
 * SERVER_BODY_MAX. Headers must be complete SERVER_HEADER_S seconds after the
 * connection opened, a body SERVER_BODY_S seconds later: a client that drips
 * bytes is cut off. Headers together are limited to 64 KiB (431).
 *
 * Handlers run on their connection's thread and may block; they should pass a
 * deadline on. During server_stop call_cancelled() is true in them.
 */
#ifndef API_HTTP_SERVER_H
#define API_HTTP_SERVER_H

#include "api/http/auth.h"
#include "api/http/router.h"

#define SERVER_BODY_MAX (2u * 1024u * 1024u)
#define SERVER_HEADER_S 15
#define SERVER_BODY_S 60
#define SERVER_IDLE_S 30
#define SERVER_CONNECTIONS_MAX 512u

struct server;

/* The router is borrowed. ctx: request_ctx() of every request. */
struct server *server_new(const struct router *router, void *ctx);
/* Stops first. Removes the unix socket's file. NULL is fine. */
void server_free(struct server *s);
/* Any thread, also while running. The token is copied. */
void server_set_policy(struct server *s, const struct auth_policy *p);

/* What listens is held by a keeper as well: clients that come while there is no
 * daemon wait for the next one, which finds the same sockets. Before
 * listening. NULL: none. */
struct keeper;
void server_keep(struct server *s, struct keeper *k);
/* Where the bodies of ROUTE_UPLOAD go meanwhile, and how large they may be.
 * Before server_start. */
void server_set_uploads(struct server *s, const char *dir, uint64_t max);

/* Bind "IP:PORT", "[IPv6]:PORT", "name:PORT"; port 0 = any free one. Answers
 * come after server_start. -EADDRINUSE and others with a text; -EINVAL not an
 * address. -EPERM: not a loopback address, and neither a token nor
 * allow_insecure in the policy. */
int server_listen_tcp(struct server *s, const char *address);
/* Bind a unix socket with mode 0600. A dead socket's file is replaced;
 * -EADDRINUSE if somebody answers there. */
int server_listen_unix(struct server *s, const char *path);
/* Addresses as text ("127.0.0.1:2725", "/run/x.sock"), i < count. */
size_t server_listeners(const struct server *s);
const char *server_address(const struct server *s, size_t i);
bool server_is_unix(const struct server *s, size_t i);

int server_start(struct server *s);
/* No new requests; running ones are cancelled and waited for until the
 * deadline: -ETIMEDOUT if some still run (then nothing may be freed). */
int server_stop(struct server *s, int64_t deadline);
/* requests answered since the start */
uint64_t server_requests(const struct server *s);

#endif
