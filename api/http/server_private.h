/* SPDX-License-Identifier: Apache-2.0 */
/* server_private.h - shared by server.c, request.c and stream.c only. */
#ifndef API_HTTP_SERVER_PRIVATE_H
#define API_HTTP_SERVER_PRIVATE_H

#include <sys/types.h>
#include <sys/socket.h>
#include <microhttpd.h>

#include "api/http/request.h"
#include "api/http/server.h"
#include "core/lock.h"

#define SERVER_LISTENERS_MAX 8u

struct listener {
	struct server *server;
	struct MHD_Daemon *mhd; /* NULL before start */
	int fd;
	enum auth_place place;
	char *address; /* owned */
};

struct conn { /* one connection */
	struct listener *listener;
	struct conn *next, **link;
	int fd;
	int64_t deadline; /* lock: server.lock; cut off after; 0 = none */
};

struct server {
	const struct router *router;
	void *ctx;
	struct listener listener[SERVER_LISTENERS_MAX];
	size_t listeners;
	pthread_t sweeper;
	bool started, stopped;
	struct keeper *keeper; /* borrowed; may be NULL */
	struct kept *kept;     /* listeners of before, until the start */
	char *upload_dir; /* owned; NULL: no uploads. Immutable when started */
	uint64_t upload_max;

	struct lock lock;
	pthread_cond_t wake;
	struct conn *conns;     /* lock */
	struct stream *streams; /* lock */
	char *token;            /* lock; owned */
	bool allow_insecure;    /* lock */
	bool stopping;          /* lock; read atomically as a cancel flag */
	bool all_stopped;       /* lock */
	unsigned busy;          /* lock: requests that are not answered yet */
	uint64_t requests;      /* atomic */
};

struct request {
	struct server *server;
	struct listener *listener;
	struct MHD_Connection *mhd;
	struct target target;
	int target_error;
	char *target_text; /* why */
	struct route_match match;
	const char *method;
	struct buf body;
	int upload;        /* the body's file, -1 none */
	uint64_t uploaded; /* its bytes */
	int upload_error;
	json_t *json;  /* parsed body */
	bool checked;  /* the first handler call is over; counted as busy */
	bool has_body;
	bool too_big;
	bool replied;
	bool deprecated; /* say so */
	bool close;    /* the connection ends with the answer */
	int status;
	enum MHD_Result queued;
	int64_t start_ns;
	void (*at_end)(void *ctx);
	void *at_end_ctx;
};

/* A request begins (1) or is over (-1). */
void server_busy(struct server *s, int by);
/* stream.c: end all streams of a stopping server (lock held). */
void stream_close_all(struct server *s);
/* request.c: hand a response to MHD; takes it. */
int request_queue(struct request *r, int status, struct MHD_Response *resp);

#endif
