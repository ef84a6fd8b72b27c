/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - where the objects are: which LFS server, its API, its logins.
 *
 * The server is lfs_url of the source's [source.NAME], else lfs.url of the
 * configuration, else .lfsconfig's, else the repository's own address with
 * "/info/lfs" (a Mono server's: server.lfs_url if set). A local repository has
 * its objects beside it.
 *
 * Source: git-lfs docs/api/{server-discovery,batch,authentication}.md,
 * docs/api/basic-transfers.md, docs/api/locking.md.
 */
#ifndef BACKENDS_LFS_SERVER_H
#define BACKENDS_LFS_SERVER_H

#include "conf.h"
#include "pointer.h"

#include <jansson.h>

int lfsserver_new(struct lfs *s, struct lfsserver **ret);
void lfsserver_free(struct lfsserver *v);

/* What .lfsconfig of the root that was read last says. Remembered. */
void lfsserver_use(struct lfs *s, const struct lfsconf *c);

/* The address without "/objects/batch"; the caller frees. -ENOTSUP, with a text
 * that names the remedy, where there is none. */
int lfsserver_url(struct lfs *s, char **ret);
/* The directory of a local repository's objects, or NULL. */
const char *lfsserver_dir(const struct lfs *s);

struct lfsauth *lfsserver_auth(const struct lfs *s);

struct lfsreply { /* of the API, in memory */
	struct lfsbuf text;
	int status;
	uint32_t retry_after_s;
};
static inline void lfsreply_done(struct lfsreply *r)
{
	lfsbuf_done(&r->text);
}
/* One exchange with the API: `what` follows the server's address
 * ("objects/batch"), body NULL for GET. 0: there is an answer of any status;
 * the caller does lfsbuf_done. */
int lfsserver_call(struct lfs *s, const char *what, const char *body,
		   struct lfsreply *ret);
/* The errno of a status other than 2xx, with a text. */
int lfsserver_error(struct lfs *s, const char *what, const struct lfsreply *r);

struct lfsaction { /* how to get one object */
	uint8_t oid[LFS_OID_LEN];
	uint64_t size;
	int error; /* 0: the rest says how */
	char why[200];
	char *href;	    /* owned; NULL: there is nothing to do */
	char **headers;	    /* owned, NULL-ended */
	int64_t expires_at; /* seconds since 1970; INT64_MAX: never */
	bool ours;	    /* it is on the API's own host: same login */
};
void lfsaction_done(struct lfsaction *a);
/* Fill in a link {href, header, expires_at, expires_in}; base as below. -EBADMSG
 * if it is none. */
int lfsaction_take(struct lfsaction *a, json_t *link, const char *base);

#define LFSBATCH_MAX 100u

/* Ask for links to a[0..n), n at most LFSBATCH_MAX: oid and size are given, the
 * rest is filled in, an error each where the server says so. Blocking. */
int lfsserver_batch(struct lfs *s, struct lfsaction *a, uint32_t n);
/* Parse the answer to a batch; pure but for memory. base: the URL asked, for links
 * to replace hosts in. action: whose links, "download", "upload" or "verify"; a
 * download must have one. -EBADMSG with *why. */
int lfsbatch_parse(const char *text, size_t n, const char *base,
		   const char *action, struct lfsaction *a, uint32_t count,
		   const char **why);
/* A batch's request: one object more; the text, NULL without memory (takes
 * objects; the caller frees). ref may be NULL. */
void lfsbatch_add(json_t *objects, const uint8_t oid[LFS_OID_LEN],
		  uint64_t size);
char *lfsbatch_request(const char *operation, const char *ref,
		       json_t *objects);
/* RFC 3339; INT64_MIN if it is none. */
int64_t lfs_time(const char *text);

#endif
