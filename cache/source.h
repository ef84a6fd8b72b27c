/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - an opened stack of backends together with the store: the one file
 * through which every backend call passes. Objects are looked for in the store
 * by the caller (store.h); what is missing is wanted here, asynchronously.
 *
 * Flight: one fetch per object however many want it; demand goes before
 * read-ahead before prefetch; of demand those who ask for a few objects go before
 * those who ask for many, and each of these has his turn; wants that arrive
 * while a fetch is under way become the next batch; every want has a deadline;
 * failed batches of a dead server fail fast while its circuit is open; -ENOENT
 * may be final, -EIO and -ETIMEDOUT are never remembered.
 *
 * Failures: a call that failed as a whole with -EIO, -EAGAIN or -ETIMEDOUT is
 * repeated with growing pauses while its wants have time left; an object whose
 * content did not match its id is asked for once more. When a server did not
 * answer several calls in a row over some seconds, its circuit opens: wants
 * fail at once with -EIO, and from time to time one is let through to try.
 *
 * Threads: any. No lock is held while a backend runs or a want's done() is
 * called. A thread that serves FUSE must only use the asynchronous calls.
 */
#ifndef CACHE_SOURCE_H
#define CACHE_SOURCE_H

#include "cache/store.h"

#include <scorpio/backend.h>

struct source;

/* How this source's configuration answers, see scorpio_host.config_string.
 * Returned texts and ctx must stay valid until the source is closed. */
struct source_config {
	const char *(*get)(const struct source_config *c, const char *key);
	void *ctx;
};

struct source_options {
	struct store *store;
	const char *url;  /* "git+https://...", "dir+/path", "mem+demo", ... */
	/* what the backend is opened with, if that is not url; may be NULL */
	const char *address;
	const char *name; /* for logs and metrics; NULL = redacted url */
	const struct source_config *config; /* copied by value; may be NULL */
	/* Layers above the backend, lowest first, by name; NULL-ended. */
	const char *const *layers; /* borrowed for the call; may be NULL */
	/* Calls at once; 0 = 4, or 32 for an instance that takes at most 4
	 * objects in a call. One of them is kept for demand wants, so it is
	 * raised to 2 unless the backend bears only one call at a time. */
	unsigned fetch_threads;
	unsigned batch_max; /* 0 = 1000, cut to the instance's */
	bool offline;
	/* source_resolve may answer with what it remembers when the server
	 * cannot be asked. */
	bool allow_stale;
};

/* No network traffic. -EINVAL for a URL no backend takes (text lists the
 * schemes). Counted: source_put closes at the last; what still waits is told
 * -EINTR. A caller holds a reference during its calls. */
int source_open(const struct source_options *o, struct source **ret);
struct source *source_get(struct source *s);
/* Call fn when the content of a blob has another length than was told before
 * (by a server's list of sizes): who showed that length must correct it, and
 * then call done(arg), which lets those who wait for the blob go on. Called on
 * the store's writer thread with a lock held, so it only takes note; done may not
 * be called within it. NULL ends it; no call is under way then. */
typedef void (*source_resized_fn)(void *ctx, uint16_t space,
				  const struct scorpio_id *id,
				  void (*done)(void *arg), void *arg);
void source_on_resized(struct source *s, source_resized_fn fn, void *ctx);
/* Is that going on for this blob: it is in the store, and whoever was told the
 * wrong length may not have heard yet? Free while there is none. */
bool source_correcting(struct source *s, const struct scorpio_id *id);
void source_put(struct source *s); /* NULL is fine; also inside a done() */
/* A source whose last reference went inside a done() is closed by another
 * thread: wait for all those, before the store is closed. */
void source_join(void);

const char *source_url(const struct source *s); /* redacted */
/* The top of the stack, and the source at its bottom. */
const struct scorpio_backend *source_backend(const struct source *s);
const struct scorpio_backend *source_bottom(const struct source *s);
/* What an id of a layer stands for there; others as they are. */
struct scorpio_id source_plain_id(const struct source *s,
				  const struct scorpio_id *id);
/* What a blob's id is made of, SCORPIO_ID_*: of ids that a layer made nothing is
 * known. */
uint32_t source_id_kind(const struct source *s, const struct scorpio_id *id);
/* Refs must carry paths, for one of them. */
bool source_needs_path(const struct source *s);
uint32_t source_instance_flags(const struct source *s);
uint16_t source_space(const struct source *s);
struct store *source_store(const struct source *s);
/* Offline: wants fail at once with -EIO, calls under way are let finish. A
 * source whose instance is SCORPIO_INSTANCE_LOCAL needs no network and is not
 * affected. */
void source_set_offline(struct source *s, bool offline);
bool source_offline(const struct source *s);

/* Blocking, at most until the deadline even if the backend hangs. Remembers the
 * answer in the store, under spec and its own text; offline gives the remembered
 * one (or -ENOENT with a text that says so). -EIO at once while the source is known
 * unreachable. Answers of local instances are not remembered. */
int source_resolve(struct source *s, const char *spec, int64_t deadline,
		   struct scorpio_revision *ret);

enum want_kind { WANT_TREE, WANT_BLOB, WANT_SIZE };
enum want_prio { WANT_DEMAND, WANT_READAHEAD, WANT_PREFETCH };

/* One object wanted. Filled and owned by the caller, must live until done().
 * path is needed where the backend has SCORPIO_BACKEND_NEEDS_PATH, borrowed
 * until done(), NULL elsewhere. */
struct want {
	enum want_kind kind;
	enum want_prio prio;
	struct scorpio_id id;
	const char *path;
	uint32_t path_len;
	uint8_t entry_kind; /* SCORPIO_FILE, SCORPIO_SYMLINK... */
	uint32_t pid;       /* on whose behalf, 0 = ours; for `top` */
	uint64_t asker;     /* who shares the server with others; 0 = pid,
			     * or who the thread works for (call_asks) */
	int64_t deadline;   /* absolute */
	/* Called exactly once, from a thread of the source's pool, with 0 when
	 * the object is in the store, or a negative errno; error_text() holds
	 * the reason during the call. May call source_want again. */
	void (*done)(struct want *w, int result);
	void *ctx;
	/* private to flight.c */
	struct want *next_;
	void *flight_;
};

void source_want(struct source *s, struct want *const wants[], size_t n);
/* done(-EINTR) soon, unless it is already on its way. The fetch itself stops
 * when nobody wants any of its objects any more. */
void source_cancel(struct source *s, struct want *w);
/* Blocking convenience for the CLI and background work: want and wait. */
int source_need(struct source *s, enum want_kind kind,
		const struct scorpio_ref *ref, enum want_prio prio,
		int64_t deadline);

/* Ask the backend to bring everything below root (SCORPIO_PREFETCH_*) in the
 * background; done(ctx, result) when finished; may be NULL. -ENOTSUP in done
 * when the backend cannot. */
void source_prefetch(struct source *s, const struct scorpio_id *root,
		     const char *path, uint32_t what, uint32_t depth,
		     void (*done)(void *ctx, int result), void *ctx);
/* Pass-through to the backend's xattr, blocking; -ENODATA if it has none. */
int64_t source_xattr(struct source *s, const struct scorpio_ref *ref,
		     const char *name, void *buf, size_t cap);

/* The tree that may hold `name` of an open root (SCORPIO_INSTANCE_OPEN_ROOT),
 * see scorpio_backend.bucket. Answers at once. -ENOENT: never. */
int source_bucket(struct source *s, const struct scorpio_id *dir,
		  const char *name, size_t len, struct scorpio_id *ret);

/* The part of a blob of `size` bytes that holds the byte at offset, see
 * scorpio_backend.part. Answers at once. -ENOENT: it comes whole. */
int source_part(struct source *s, const struct scorpio_id *id, uint64_t size,
		uint64_t offset, struct scorpio_part *ret);

struct source_stats {
	uint64_t requests;       /* backend calls */
	uint64_t objects, bytes; /* poured in, plain bytes */
	uint64_t failed;
	uint32_t waiting, running;
	int64_t oldest_ns; /* age of the oldest waiting want, 0 if none */
	bool circuit_open;
};
void source_stat(struct source *s, struct source_stats *ret);

/* What was fetched on behalf of which process: the 256 most recent. */
struct source_account {
	uint32_t pid;
	char comm[16]; /* when first seen; "" if it was gone */
	uint64_t objects, bytes;
};
void source_accounts(struct source *s,
		     void (*fn)(void *ctx, const struct source_account *a),
		     void *ctx);

#endif
