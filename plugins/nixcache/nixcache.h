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

#include <jansson.h>
#include <scorpio/role.h>

#define NIXCACHE_NAMES_MAX 32u
#define NIXCACHE_UPSTREAMS_MAX 16u
#define NIXCACHE_TEXT_MAX (8u << 20) /* logs, realisations, ... */
#define NIXCACHE_MISSES 4096u
#define NIXCACHE_KEYS_MAX 8u
#define NIXCACHE_USE_S 3600 /* a use is noted once in that time */
#define NIXCACHE_GC_S 600

struct pull;

struct nixkey { /* to sign with */
	char *name;
	EVP_PKEY *key;
};

/* What may be removed, see gc.c. */
struct gc_rule {
	int64_t keep_s;    /* not what was used since */
	uint64_t max_used; /* bytes of a cache; 0: no limit */
	uint64_t min_free; /* bytes of the disk */
	uint64_t reserved; /* never below */
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

	struct gc_rule gc;
	pthread_t gc_thread;
	bool gc_runs;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pull *pulls; /* lock */
	unsigned threads;   /* lock: of pulls */
	bool stopping;      /* lock */
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
/* Name the archive in fd nar/NAME if it is sound; *ret: what it holds. */
int keep_nar(struct nixcached *c, const char *name, int fd, uint64_t size,
	     enum unpack_kind kind, struct sum *ret);
/* The same in a file of which nothing is known; its name is made from its hash. */
int keep_any(struct nixcached *c, int fd, uint64_t size, enum unpack_kind kind,
	     struct sum *ret, char ret_name[128]);
/* A description, if it is that of an archive here; refs: and if all it refers to
 * is here. */
int keep_info(struct nixcached *c, const char *file, const char *text,
	      size_t len, bool refs);
/* Is the path of this hash, or base name, here or upstream? */
bool path_is_here(struct nixcached *c, const char *base);
/* 201, or 400 with the reason; other errors are returned. */
int answer_upload(struct nixcache_role *s, struct scorpio_request *r, int rc);
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
/* "NAME:BASE64" of the public key; caller frees. */
char *key_public(const struct nixkey *k);

/* -- send.c: answers ------------------------------------------------------------------ */

int send_info(void *ctx, struct scorpio_request *r);  /* GET {file} */
int send_nar(void *ctx, struct scorpio_request *r);
int send_log(void *ctx, struct scorpio_request *r);
int send_realisation(void *ctx, struct scorpio_request *r);
int send_trace(void *ctx, struct scorpio_request *r);
int send_debuginfo(void *ctx, struct scorpio_request *r);
int send_health(void *ctx, struct scorpio_request *r);
/* v is taken. */
int send_json(struct nixcache_role *s, struct scorpio_request *r, int status,
	      json_t *v);
/* The description of HASH.narinfo, pulled if need be, signed; caller frees. */
int info_text(struct nixcached *c, const char *file, char **ret);
int send_status(struct nixcache_role *s, struct scorpio_request *r, int status,
		const char *text);

/* -- nixcache.c ------------------------------------------------------------------------- */

/* The cache that a request is for, if it may be asked so. NULL: answered. */
struct nixcached *cache_of(struct nixcache_role *s, struct scorpio_request *r,
			   bool write);
/* The same by name; NULL is the first. */
struct nixcached *cache_named(struct nixcache_role *s, struct scorpio_request *r,
			      const char *name, bool write);

/* -- gc.c, pins.c: what stays ------------------------------------------------------------ */

struct gc_result {
	size_t removed;
	uint64_t freed, used; /* bytes */
};
int gc_run(struct nixcached *c, const struct gc_rule *rule,
	   struct gc_result *ret);
int gc_start(struct nixcache_role *s);
void gc_stop(struct nixcache_role *s); /* stopping is set */
/* Note that a file was used. */
void file_used(struct nixcached *c, const char *path);
/* fn with the base name of each path that a pin holds now. */
void pins_each(struct nixcached *c, void (*fn)(void *ctx, const char *base),
	       void *ctx);
/* days or revisions: how long; both 0: for ever. -ENOENT: it is not here. */
int pin_set(struct nixcached *c, const char *name, const char *base,
	    int64_t days, int64_t revisions);
int take_pin(void *ctx, struct scorpio_request *r);
int drop_pin(void *ctx, struct scorpio_request *r);
int send_pins(void *ctx, struct scorpio_request *r);
int run_gc(void *ctx, struct scorpio_request *r);

/* -- attic.c, cachix.c: other clients' ways to push ---------------------------------------- */

/* A path as those clients tell of it. Texts are borrowed. */
struct told {
	const char *base; /* "HASH-NAME", or with the store directory */
	const char *nar;  /* file below nar/ */
	const struct sum *sum;
	const char *deriver, *ca; /* NULL: none */
	json_t *refs, *sigs;      /* arrays of texts; may be NULL */
};
/* Make its description and keep it. */
int keep_told(struct nixcached *c, const struct told *t);
/* The body of a request as JSON; NULL: answered. */
json_t *body_json(struct nixcache_role *s, struct scorpio_request *r);
/* Bytes [from, size) of a file as a file of its own. */
int copy_tail(struct nixcached *c, int fd, uint64_t from, uint64_t size, int out);
/* "sha256:..." in any spelling, or the digits alone. */
bool told_hash(const char *text, uint8_t out[NIX_SHA256]);
int attic_missing(void *ctx, struct scorpio_request *r);
int attic_upload(void *ctx, struct scorpio_request *r);
int attic_config(void *ctx, struct scorpio_request *r);
int cachix_info(void *ctx, struct scorpio_request *r);
int cachix_missing(void *ctx, struct scorpio_request *r);
int cachix_begin(void *ctx, struct scorpio_request *r);
int cachix_part_url(void *ctx, struct scorpio_request *r);
int cachix_part(void *ctx, struct scorpio_request *r);
int cachix_complete(void *ctx, struct scorpio_request *r);
int cachix_abort(void *ctx, struct scorpio_request *r);
int cachix_pin(void *ctx, struct scorpio_request *r);

#endif
