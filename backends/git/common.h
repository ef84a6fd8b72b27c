/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common.h - what all files of the git backend share: the instance, error
 * helpers and scope cleanup. Only the public headers and libgit2 are used.
 */
#ifndef BACKENDS_GIT_COMMON_H
#define BACKENDS_GIT_COMMON_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <git2.h>
#include <scorpio/backend.h>

#include "url.h"

#define GIT_TREE_MAX (64u << 20) /* bytes of one raw tree object */
#define GIT_HEX GIT_OID_HEXSZ

struct gitrepo;
struct gitremote;

/* One instance. Immutable after open() but for what its parts lock. */
struct gitsource {
	const struct scorpio_host *host;
	const struct scorpio_config *config; /* borrowed until close */
	struct giturl url;
	struct gitrepo *repo;     /* a local repository, else NULL */
	struct gitremote *remote; /* a server, else NULL */
	bool partial;             /* repo is a partial clone: blobs may lack */
};

#define gitfail(s, code, ...) ((s)->host->fail((s)->host, (code), __VA_ARGS__))
#define gitlog(s, level, ...) ((s)->host->log((s)->host, (level), __VA_ARGS__))

/* 0, or -EINTR/-ETIMEDOUT once nobody wants the answer any more. */
static inline int git_check(const struct gitsource *s)
{
	return s->host->cancelled(s->host) ?
		       gitfail(s, -EINTR, "the request was cancelled") :
		       0;
}

/* These end a call; other failures concern one object. */
static inline bool gitrc_stops(int code)
{
	return code == -EINTR || code == -ETIMEDOUT;
}

/* Between the host's ids and libgit2's. False: not a 20-byte id. */
static inline bool gitid_to_oid(const struct scorpio_id *id, git_oid *ret)
{
	if (id->len != GIT_OID_RAWSZ)
		return false;
	memcpy(ret->id, id->bytes, GIT_OID_RAWSZ);
	return true;
}

static inline struct scorpio_id gitid_from_raw(const uint8_t *raw)
{
	struct scorpio_id id;

	memset(&id, 0, sizeof(id));
	id.len = GIT_OID_RAWSZ;
	memcpy(id.bytes, raw, GIT_OID_RAWSZ);
	return id;
}

static inline void gitfree(void *p)
{
	free(*(void **)p);
}

static inline void gitobj_free(git_odb_object **o)
{
	git_odb_object_free(*o);
}
#define auto_free __attribute__((cleanup(gitfree)))
#define auto_odb_object __attribute__((cleanup(gitobj_free)))

/* Refused by the fetch of an object; never -ENOENT, which means "no such file"
 * to readers. */
int gitsource_missing(struct gitsource *s, const git_oid *oid);

#endif
