/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common.h - what all files of the lfs layer share: the instance, error
 * helpers and scope cleanup. Only the public headers are used.
 */
#ifndef BACKENDS_LFS_COMMON_H
#define BACKENDS_LFS_COMMON_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <scorpio/backend.h>

#define LFS_OID_LEN 32u /* bytes of an object's id, a SHA-256 */
#define LFS_OID_HEX 64u

struct lfsrules;
struct lfsctx;
struct lfsknown;
struct lfsserver;

/* One instance. Immutable after open() but for what its parts lock. */
struct lfs {
	const struct scorpio_host *host;
	const struct scorpio_config *config; /* borrowed until close */
	const struct scorpio_next *next;     /* borrowed until close */
	char *url;			     /* of the source, as opened */
	char *space;			     /* id space */
	bool sizes_free;		     /* next always tells sizes */
	bool mono;			     /* the source is a Mono server */
	uint32_t below_max;		     /* most refs in a call to next */
	struct lfsctx *ctx;		     /* sets of rules by id */
	struct lfsknown *known;		     /* what was read of small blobs */
	struct lfsserver *server;
	bool no_sizes; /* atomic: next does not offer sizes */
};

#define lfsfail(s, code, ...) ((s)->host->fail((s)->host, (code), __VA_ARGS__))
#define lfslog(s, level, ...) ((s)->host->log((s)->host, (level), __VA_ARGS__))

/* 0, or -EINTR once nobody wants the answer any more. */
static inline int lfs_check(const struct lfs *s)
{
	return s->host->cancelled(s->host) ?
		       lfsfail(s, -EINTR, "the request was cancelled") :
		       0;
}

static inline int lfs_nomem(const struct lfs *s)
{
	return lfsfail(s, -ENOMEM, "out of memory");
}

static inline void lfsfree(void *p)
{
	free(*(void **)p);
}
#define auto_free __attribute__((cleanup(lfsfree)))

static inline const char *lfs_setting(const struct lfs *s, const char *key,
				      const char *dflt)
{
	return s->host->config_string(s->config, key, dflt);
}

/* -- a growing text ---------------------------------------------------------- */

struct lfsbuf { /* all zeroes is empty */
	char *p;
	size_t n, cap;
	bool broken; /* out of memory: whatever follows is dropped */
};

void lfsbuf_put(struct lfsbuf *b, const void *p, size_t n);
void lfsbuf_printf(struct lfsbuf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static inline void lfsbuf_done(struct lfsbuf *b)
{
	free(b->p);
	memset(b, 0, sizeof(*b));
}
#define auto_lfsbuf __attribute__((cleanup(lfsbuf_done)))

void lfs_hex(const uint8_t *p, size_t n, char *out); /* 2n + 1 bytes */
bool lfs_unhex(const char *s, size_t n, uint8_t *out); /* 2n digits */
static inline bool lfs_same_id(const struct scorpio_id *a,
			       const struct scorpio_id *b)
{
	return a->len == b->len && !memcmp(a->bytes, b->bytes, a->len);
}
uint64_t lfs_hash_id(const struct scorpio_id *id); /* for tables */

#endif
