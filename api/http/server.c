/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - listeners, connections, life. dispatch.c judges a request and
 * calls its handler.
 *
 * A connection's deadline moves with its state: headers, body, none while the
 * handler runs, idle. The sweeper shuts down sockets whose deadline passed; MHD
 * closes a descriptor only after our close notification, so the descriptor in
 * the list is always that connection's.
 */
#include "api/http/server_private.h"

#include "api/http/dispatch.h"
#include "api/http/listen.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "fs/keeper.h"

#define SERVER_STACK (1024u * 1024u)
#define SERVER_PER_IP_MAX 64u
#define LAST_ANSWERS_MS 2000

struct server *server_new(const struct router *router, void *ctx)
{
	struct server *s = xcalloc(1, sizeof(*s));

	s->router = router;
	s->ctx = ctx;
	/* below it only the lock of a stream */
	lock_init(&s->lock, LOCK_STORE, "http");
	cond_init(&s->wake);
	return s;
}

void server_set_policy(struct server *s, const struct auth_policy *p)
{
	char *token = p->token && *p->token ? xstrdup(p->token) : NULL;
	char *old;

	lock_take(&s->lock);
	old = s->token;
	s->token = token;
	s->allow_insecure = p->allow_insecure;
	lock_drop(&s->lock);
	free(old);
}

void server_set_uploads(struct server *s, const char *dir, uint64_t max)
{
	assert(!s->started);
	free(s->upload_dir);
	s->upload_dir = xstrdup(dir);
	s->upload_max = max;
}

static struct listener *add(struct server *s, const struct listen_result *got,
			    enum auth_place place)
{
	struct listener *l = &s->listener[s->listeners++];

	l->server = s;
	l->fd = got->fd;
	l->address = got->address;
	l->place = place;
	return l;
}

/* -- sockets that outlive the daemon ------------------------------------------ */

#define KEPT "listen-"

void server_keep(struct server *s, struct keeper *k)
{
	struct kept *x;

	s->keeper = k;
	while ((x = keeper_take(k, KEPT))) {
		x->next = s->kept;
		s->kept = x;
	}
}

/* The socket that was bound for this, or false. */
static bool take_kept(struct server *s, const char *kind, const char *address,
		      struct listen_result *ret)
{
	cleanup_free char *text = xasprintf("%s %s", kind, address);
	struct kept **at = &s->kept, *x;
	bool found;

	while (*at && strcmp((*at)->text, text))
		at = &(*at)->next;
	x = *at;
	if (!x)
		return false;
	*at = x->next;
	found = listen_adopt(x->fd[0], ret);
	if (found)
		x->fd[0] = -1;
	kept_free(x);
	return found;
}

static void keep(struct server *s, const char *kind, const char *address,
		 int fd)
{
	cleanup_free char *text = xasprintf("%s %s", kind, address);
	char name[KEEPER_NAME];

	snprintf(name, sizeof(name), KEPT "%016llx",
		 (unsigned long long)hash_xxh3(text, strlen(text), 0));
	if (s->keeper && keeper_put(s->keeper, name, &fd, 1, text))
		log_warn("http", "%s is not held by the keeper", address);
}

static void drop_kept(struct server *s)
{
	for (struct kept *x = s->kept, *next; x; x = next) {
		next = x->next;
		keeper_drop(s->keeper, x->name);
		kept_free(x);
	}
	s->kept = NULL;
}

int server_listen_tcp(struct server *s, const char *address)
{
	bool remote = s->token || s->allow_insecure;
	struct listen_result got;
	int r = 0;

	assert(s->listeners < SERVER_LISTENERS_MAX && !s->started);
	if (!take_kept(s, "tcp", address, &got))
		r = listen_tcp(address, remote, &got);
	else if (!got.loopback && !remote)
		r = listen_refuse(address, &got);
	if (r)
		return r;
	keep(s, "tcp", address, got.fd);
	add(s, &got, got.loopback ? AUTH_LOOPBACK : AUTH_REMOTE);
	if (!got.loopback && !s->token)
		log_warn("http", "%s is open to everyone who can reach it: "
			 "set server.token", got.address);
	return 0;
}

int server_listen_unix(struct server *s, const char *path)
{
	struct listen_result got;
	int r = 0;

	assert(s->listeners < SERVER_LISTENERS_MAX && !s->started);
	if (!take_kept(s, "unix", path, &got))
		r = listen_unix(path, &got);
	if (r)
		return r;
	keep(s, "unix", path, got.fd);
	add(s, &got, AUTH_UNIX);
	return 0;
}

size_t server_listeners(const struct server *s)
{
	return s->listeners;
}

const char *server_address(const struct server *s, size_t i)
{
	return s->listener[i].address;
}

bool server_is_unix(const struct server *s, size_t i)
{
	return s->listener[i].place == AUTH_UNIX;
}

uint64_t server_requests(const struct server *s)
{
	return __atomic_load_n(&s->requests, __ATOMIC_RELAXED);
}

/* -- connections ------------------------------------------------------------ */

static void conn_open(struct listener *l, struct MHD_Connection *mhd,
		      void **ret)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *c = xcalloc(1, sizeof(*c));

	c->listener = l;
	c->fd = info ? info->connect_fd : -1;
	c->deadline = deadline_in_ms(SERVER_HEADER_S * 1000);
	*ret = c;
	ranked_scope(&l->server->lock);
	c->next = l->server->conns;
	c->link = &l->server->conns;
	if (c->next)
		c->next->link = &c->next;
	l->server->conns = c;
}

static void conn_close(struct conn *c)
{
	lock_take(&c->listener->server->lock);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	lock_drop(&c->listener->server->lock);
	free(c);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **ctx,
			  enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		conn_open(cls, mhd, ctx);
	else if (*ctx)
		conn_close(*ctx);
}

static void sweep(struct server *s)
{
	int64_t now = now_ns();

	for (struct conn *c = s->conns; c; c = c->next) {
		if (!c->deadline || c->deadline > now)
			continue;
		c->deadline = 0;
		shutdown(c->fd, SHUT_RDWR);
	}
}

static void *sweeper(void *arg)
{
	struct server *s = arg;

	pthread_setname_np(pthread_self(), "http-sweep");
	ranked_scope(&s->lock);
	while (!s->stopping) {
		lock_wait(&s->wake, &s->lock, deadline_in_ms(1000));
		sweep(s);
	}
	return NULL;
}

/* -- life ------------------------------------------------------------------- */

static int start_listener(struct listener *l)
{
	bool remote = l->place == AUTH_REMOTE;

	l->mhd = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC,
		0, NULL, NULL, dispatch_request, l,
		MHD_OPTION_LISTEN_SOCKET, l->fd,
		MHD_OPTION_URI_LOG_CALLBACK, dispatch_begin, l,
		MHD_OPTION_NOTIFY_COMPLETED, dispatch_end, l,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
		MHD_OPTION_THREAD_STACK_SIZE, (size_t)SERVER_STACK,
		MHD_OPTION_CONNECTION_LIMIT, SERVER_CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		remote ? SERVER_PER_IP_MAX : 0,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVER_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(64 * KiB),
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!l->mhd)
		return fail(-EIO, "cannot start the HTTP server on %s",
			    l->address);
	l->fd = -1; /* MHD closes it */
	return 0;
}

int server_start(struct server *s)
{
	int r = 0;

	assert(!s->started);
	drop_kept(s);
	if (pthread_create(&s->sweeper, NULL, sweeper, s))
		return fail(-EAGAIN, "cannot start a thread");
	s->started = true;
	for (size_t i = 0; i < s->listeners && !r; i++)
		r = start_listener(&s->listener[i]);
	return r;
}

void server_busy(struct server *s, int by)
{
	ranked_scope(&s->lock);
	s->busy += (unsigned)by;
	if (!s->busy)
		pthread_cond_broadcast(&s->wake);
}

/* Nobody new is let in; who is being served hears the end of it. */
static void last_answers(struct server *s)
{
	int64_t deadline = deadline_in_ms(LAST_ANSWERS_MS);

	for (size_t i = 0; i < s->listeners; i++) {
		struct listener *l = &s->listener[i];

		if (!l->mhd)
			continue;
		l->fd = MHD_quiesce_daemon(l->mhd);
		if (l->fd >= 0) /* who waits to be let in is refused */
			shutdown(l->fd, SHUT_RDWR);
	}
	ranked_scope(&s->lock);
	while (s->busy && now_ns() < deadline)
		lock_wait(&s->wake, &s->lock, deadline);
}

static void *stop_all(void *arg)
{
	struct server *s = arg;

	last_answers(s);
	for (size_t i = 0; i < s->listeners; i++) {
		if (s->listener[i].mhd)
			MHD_stop_daemon(s->listener[i].mhd);
		s->listener[i].mhd = NULL;
	}
	ranked_scope(&s->lock);
	s->all_stopped = true;
	pthread_cond_broadcast(&s->wake);
	return NULL;
}

int server_stop(struct server *s, int64_t deadline)
{
	pthread_t stopper;
	bool late;

	if (!s->started || s->stopped)
		return 0;
	lock_take(&s->lock);
	__atomic_store_n(&s->stopping, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&s->wake);
	stream_close_all(s);
	lock_drop(&s->lock);
	/* MHD waits for its connections without a limit */
	if (pthread_create(&stopper, NULL, stop_all, s))
		return fail(-EAGAIN, "cannot start a thread");
	lock_take(&s->lock);
	while (!s->all_stopped && now_ns() < deadline)
		lock_wait(&s->wake, &s->lock, deadline);
	late = !s->all_stopped;
	lock_drop(&s->lock);
	if (late) {
		pthread_detach(stopper);
		return fail(-ETIMEDOUT, "some HTTP requests do not end");
	}
	pthread_join(stopper, NULL);
	pthread_join(s->sweeper, NULL);
	s->stopped = true;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	server_stop(s, DEADLINE_NONE);
	drop_kept(s);
	for (size_t i = 0; i < s->listeners; i++) {
		struct listener *l = &s->listener[i];

		if (l->fd >= 0)
			close(l->fd);
		if (l->place == AUTH_UNIX)
			unlink(l->address);
		free(l->address);
	}
	free(s->token);
	free(s->upload_dir);
	pthread_cond_destroy(&s->wake);
	lock_done(&s->lock);
	free(s);
}
