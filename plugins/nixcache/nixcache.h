/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nixcache.h - a role: binary caches of Nix over HTTP, that take what `nix copy`
 * brings and pull the rest through from others.
 *
 * A cache is a directory laid out as Nix lays out file:// caches, so Nix and our
 * own nix backend can use it in place:
 *	HASH.narinfo  HASH.ls  nar/FILE  log/ realisations/ build-trace-v2/
 *	debuginfo/
 * and, beside each archive, nar/.FILE.sum (what it holds, see struct sum) or
 * nar/.FILE.from (where it can be had). Everything gets its name only when it
 * is complete and was checked; nothing is changed afterwards.
 *
 * The format itself is read by files of backends/nix (decision 051): narinfo,
 * nar, nartree, unpack, trust, nix32.
 */
#ifndef NIXCACHE_H
#define NIXCACHE_H

#include "narinfo.h"
#include "nartree.h"
#include "pieces.h"
#include "trust.h"

#include <scorpio/role.h>

#define NIXCACHE_NAMES_MAX 32u
#define NIXCACHE_UPSTREAMS_MAX 16u
#define NIXCACHE_TEXT_MAX (8u << 20) /* logs, realisations, ... */
#define NIXCACHE_MISSES 4096u
#define NIXCACHE_KEYS_MAX 8u

struct pull;

struct nixkey { /* to sign with */
	char *name;
	EVP_PKEY *key;
};

struct nixcached { /* one named cache */
	struct nixcache_role *role;
	char *name, *dir;
	int fd; /* of dir */
};

struct nixcache_role {
	const struct scorpio_host *host;
	const struct scorpio_config *config;
	const struct scorpio_http_service *http;
	struct scorpio_server *server;
	struct nix format; /* store_dir and trust: for the backend's files */
	struct nixcached caches[NIXCACHE_NAMES_MAX];
	unsigned n_caches;
	char *upstreams[NIXCACHE_UPSTREAMS_MAX];
	unsigned n_upstreams;
	struct nixkey keys[NIXCACHE_KEYS_MAX];
	unsigned n_keys;
	const char *read_tokens, *write_tokens; /* "CACHE:TOKEN ..." */
	uint64_t nar_max;
	int64_t priority, negative_ms;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pull *pulls; /* lock */
	unsigned threads;   /* lock: of pulls */
	bool stopping;      /* lock; also read as a flag */
	struct {
		uint8_t hash[NIX_HASH];
		int64_t until; /* ms, monotonic */
	} misses[NIXCACHE_MISSES]; /* lock */
};

/* What an archive's file was found to hold. */
struct sum {
	enum unpack_kind kind;
	uint64_t file_size, nar_size;
	uint8_t file_hash[NIX_SHA256], nar_hash[NIX_SHA256];
};

#define rolefail(s, ...) ((s)->host->fail((s)->host, __VA_ARGS__))
#define rolelog(s, ...) ((s)->host->log((s)->host, __VA_ARGS__))
int64_t nixcache_now(void); /* ms, monotonic */

/* -- files.c: one cache's directory. Paths are relative to it. ----------------- */

/* "HASH.narinfo" and the like: no '/', no leading '.', printable. */
bool file_name_ok(const char *name);
/* The compression that a file's ending tells. */
bool file_kind(const char *name, enum unpack_kind *ret);
/* 0 and the text (NUL-ended, caller frees), -ENOENT, -EFBIG, ... */
int file_read(struct nixcached *c, const char *path, size_t max, char **ret,
	      size_t *ret_len);
/* Write it under another name, then give it its own. */
int file_write(struct nixcached *c, const char *path, const void *p, size_t n);
/* Give a file without a name this one. There already: fine. */
int file_name(struct nixcached *c, int fd, const char *path);
int file_temp(struct nixcached *c); /* a descriptor, or -errno */
/* KIND/{name}, or KIND/{drv}/{name}, of a request; make: its directory. NULL:
 * not acceptable. Caller frees. */
char *text_path(struct nixcached *c, const struct scorpio_request *r,
		const char *kind, bool make);
bool file_is(struct nixcached *c, const char *path);
int sum_write(struct nixcached *c, const char *nar, const struct sum *s);
int sum_read(struct nixcached *c, const char *nar, struct sum *ret);

/* -- check.c: an archive read as it comes ----------------------------------------- */

struct check;
/* NULL: no memory. */
struct check *check_new(struct nixcache_role *s, enum unpack_kind kind);
void check_free(struct check *k);
int check_feed(struct check *k, const void *p, size_t n);
/* It ended: what it holds; the tree is the caller's. -EBADMSG. */
int check_end(struct check *k, struct sum *ret, struct nartree **ret_tree);
/* Name the file nar/NAME that was checked, with its sum and the hashes of its
 * pieces. */
int check_keep(struct nixcached *c, int fd, const char *name,
	       const struct check *k);
/* The listing of a tree, as Nix writes it, with offsets. Caller frees. */
char *listing_text(const struct nartree *t);

/* -- take.c: what clients bring ----------------------------------------------------- */

int take_info(void *ctx, struct scorpio_request *r); /* PUT {file} */
int take_nar(void *ctx, struct scorpio_request *r);
int take_log(void *ctx, struct scorpio_request *r);
int take_realisation(void *ctx, struct scorpio_request *r);
int take_trace(void *ctx, struct scorpio_request *r);
int take_debuginfo(void *ctx, struct scorpio_request *r);

/* -- pull.c: what others have --------------------------------------------------------- */

/* The description of HASH is in the directory then. -ENOENT: nobody has it. */
int pull_info(struct nixcached *c, const uint8_t hash[NIX_HASH]);
/* Start to bring nar/NAME if nobody does, and have it. -ENOENT: it is not known
 * where it is. */
int pull_nar(struct nixcached *c, const char *name, struct pull **ret);
void pull_put(struct pull *p);
/* Bytes of it as they come: the count, 0 at the end. Waits. */
int64_t pull_read(struct pull *p, uint64_t pos, void *buf, uint64_t n);
/* Its size, waiting until it is known. */
int pull_size(struct pull *p, uint64_t *ret);
void pull_stop_all(struct nixcache_role *s);

/* Where nar/NAME can be had, and its size (0: not said). -ENOENT: not known. */
int pull_known(struct nixcached *c, const char *name, char **ret_url,
	       uint64_t *ret_size);
/* Bytes [from, from + n) of nar/NAME, which is not here, from where it is; at most
 * PULL_RANGE_MAX. -ENOENT: it is not known where; -ENOTSUP: not to be had so. */
#define PULL_RANGE_MAX (8u << 20)
int pull_range(struct nixcached *c, const char *name, uint64_t from, uint64_t n,
	       char **ret, uint64_t *ret_size);
/* A text of the first upstream that has it; caller frees. -ENOENT. */
int pull_text(struct nixcached *c, const char *what, size_t max, char **ret,
	      size_t *ret_len);

/* -- proof.c: signed lists of pieces ------------------------------------------------- */

int send_pieces(struct nixcached *c, struct scorpio_request *r,
		const char *hash);
/* "NAME:BASE64" of the signature; caller frees. NULL: it cannot be made. */
char *key_sign(const struct nixkey *k, const char *text);

/* -- send.c: answers ------------------------------------------------------------------ */

int send_info(void *ctx, struct scorpio_request *r);  /* GET {file} */
int send_nar(void *ctx, struct scorpio_request *r);
int send_log(void *ctx, struct scorpio_request *r);
int send_realisation(void *ctx, struct scorpio_request *r);
int send_trace(void *ctx, struct scorpio_request *r);
int send_debuginfo(void *ctx, struct scorpio_request *r);
int send_health(void *ctx, struct scorpio_request *r);
/* The description of HASH.narinfo, pulled if need be, signed; caller frees. */
int info_text(struct nixcached *c, const char *file, char **ret);
int send_status(struct nixcache_role *s, struct scorpio_request *r, int status,
		const char *text);

/* -- nixcache.c ------------------------------------------------------------------------- */

/* The cache that a request is for, if it may be asked so. NULL: answered. */
struct nixcached *cache_of(struct nixcache_role *s, struct scorpio_request *r,
			   bool write);

#endif
