/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lfs.h - the LFS server of the gateway: objects in a directory laid out as
 * git-lfs does, ab/cd/abcd..., brought from the source's own LFS server where
 * there is one.
 */
#ifndef MONOGATE_LFS_H
#define MONOGATE_LFS_H

#include <pthread.h>

#include "ask.h"
#include "gate.h"

struct pull; /* an object on its way */
struct give; /* an object on its way to the upstream */

struct gate_lfs {
	struct gate *g;
	char *dir;      /* owned */
	char *upstream; /* owned: the address of another LFS server, or NULL */
	char *locks;    /* owned: the file they are kept in, or NULL */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pull *pulls; /* lock: those that run */
	struct give *gives; /* lock */
	unsigned running;   /* lock: threads */
	bool stopping;      /* lock */
};

/* An object's file, to be closed; -1 if it is not here. */
int lfs_open(struct gate_lfs *l, const char *oid, uint64_t *ret_size);
/* 0, or -EBADMSG: the content of `fd` is another. */
int lfs_check(struct gate_lfs *l, const char *oid, int fd, uint64_t size);
/* Put a file under the name that its content has: 0, -EBADMSG if the content is
 * another. `fd` may lie on another file system. */
int lfs_keep(struct gate_lfs *l, const char *oid, int fd, uint64_t size);
/* The same when it is known to be right. */
int lfs_name(struct gate_lfs *l, const char *oid, int fd, uint64_t size);

/* What the upstream's batch says of objects, by their oid. operation: "download" or
 * "upload"; login: an Authorization header's value, NULL for the gateway's own, ""
 * for none. -EACCES: it wants another one. */
int lfs_ask(struct gate_lfs *l, const char *operation, json_t *objects,
	    const char *login, json_t **ret);
/* SCORPIO_HTTP_NO_LOGIN, or 0: may the host add a login? */
static inline uint32_t lfs_login_flags(const char *login)
{
	return login && !*login ? SCORPIO_HTTP_NO_LOGIN : 0;
}
/* What a status of the upstream means: -EACCES, -ENOENT, ... -EIO. */
int lfs_refusal(int status);

#define LFS_TYPE "application/vnd.git-lfs+json"
#define LFS_HEADERS_MAX 16u
#define LFS_LINE_MAX 2048u

/* give.c: what the upstream says to do, {href, header}. Not to be moved. */
struct lfs_action {
	const char *url; /* NULL: it does not say where */
	const char *headers[LFS_HEADERS_MAX + 4]; /* NULL behind n; room for two */
	char lines[LFS_HEADERS_MAX + 1][LFS_LINE_MAX];
	size_t n;
};
/* The login goes along where the action has none and is on the same server. */
void lfs_action(const struct gate_lfs *l, const json_t *act, const char *login,
		struct lfs_action *ret);

/* Upload what is known to be right to the upstream, for who has that login. On
 * the request's thread, for as long as it takes. -EACCES: the upstream refuses. */
int lfs_give(struct gate_lfs *l, const char *oid, int fd, uint64_t size,
	     const char *login);

/* Bring an object, or join those who do. The size is what the client was told
 * by a pointer. */
int pull_get(struct gate_lfs *l, const char *oid, uint64_t size,
	     struct pull **ret);
void pull_put(struct pull *p);
/* Up to n bytes from pos, waiting for them; the last one only once all of it has
 * the right hash. 0 past the end. */
int64_t pull_read(struct pull *p, uint64_t pos, void *buf, uint64_t n);

/* The body of a request; to be freed. */
int lfs_text(struct gate *g, struct scorpio_request *r, char **ret,
	     size_t *ret_n);
/* The same as JSON, to be released. */
int lfs_body(struct gate *g, struct scorpio_request *r, json_t **ret);
int lfs_json(struct gate *g, struct scorpio_request *r, int status,
	     json_t *v /* takes */);
/* May it upload? If not, it has been answered. */
bool lfs_may_upload(struct gate *g, struct scorpio_request *r, int *ret);
/* The status for a failure of the upstream: 401 asks for a login. */
int lfs_status_of(struct gate *g, const struct scorpio_request *r, int err);
/* {"message": TEXT} as LFS clients show it. */
int lfs_say(struct gate *g, struct scorpio_request *r, int status,
	    const char *text);

#endif
