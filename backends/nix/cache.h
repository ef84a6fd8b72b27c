/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.h - the binary caches of an instance: where they are, in which order
 * they are asked, and requests to them (HTTP through the host, or files). Any
 * thread.
 */
#ifndef BACKENDS_NIX_CACHE_H
#define BACKENDS_NIX_CACHE_H

#include "common.h"

#define NIXCACHES_MAX 32u

struct nixcache {
	char *base;  /* "https://host/path" or "/path", no '/' at the end */
	char *shown; /* without login */
	bool file;
	/* lock: nixcaches.lock */
	int64_t priority; /* smaller first */
	bool probed;      /* nix-cache-info was had, or there is none */
	bool refused;     /* it is of another store directory */
	bool pieces;      /* it says that it has HASH.pieces */
	int64_t down_until; /* it did not answer: not asked before (ms) */
};

/* From the address and the key substituters. No network. -EINVAL. */
int nixcaches_new(struct nix *n, const char *url, struct nixcaches **ret);
void nixcaches_free(struct nixcaches *c);
/* Ask those not asked yet what they are. 0 if one answered; else the first
 * error. -EINVAL: all are of another store directory. */
int nixcaches_probe(struct nix *n);
/* Those to ask, best first; returns how many. */
unsigned nixcaches_order(struct nix *n,
			 struct nixcache *ret[static NIXCACHES_MAX]);
bool nixcache_has_pieces(struct nix *n, const struct nixcache *c);
bool nixcaches_local(const struct nixcaches *c); /* all are directories */

struct nixget {
	struct nixcache *cache;
	const char *what; /* relative, or an http address */
	uint64_t offset, length; /* both 0: all of it; length 0: to the end */
	uint64_t max;            /* bytes of body taken; more is -EFBIG */
	int (*data)(void *ctx, const void *p, size_t n);
	void *ctx;
	/* answers */
	int status; /* 200, 206, or one without content: 404, ... */
};
/* 0: there is an answer, look at status; data() got the body of 200 and 206
 * only. Negative: no answer, or what data() returned. */
int nixcache_get(struct nix *n, struct nixget *g);
/* Not there, as caches say it. */
static inline bool nixcache_missing(int status)
{
	return status == 404 || status == 403 || status == 410;
}
/* It did not answer (or did): for some seconds others are asked instead. */
void nixcache_mark(struct nix *n, struct nixcache *c, bool answered);
bool nixcache_down(struct nix *n, const struct nixcache *c);
int64_t nixcache_now_ms(void); /* monotonic */
/* The errno of another status, with a text. */
int nixcache_error(struct nix *n, const struct nixcache *c, int status,
		   const char *what);

struct nixbody {
	char *data; /* owned */
	size_t len, cap;
};
/* Add to it (ctx): -EFBIG beyond NIX_LISTING_MAX, -ENOMEM. */
int nixbody_put(void *ctx, const void *p, size_t n);
/* The whole body in memory. */
int nixcache_text(struct nix *n, struct nixcache *c, const char *what,
		  uint64_t max, struct nixbody *ret, int *ret_status);

#endif
