/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - the local store: trees, blobs and chunks by content id in one LMDB
 * environment. It is a cache: losing it costs time, never data; it never
 * serves a wrong byte (a damaged record is dropped and reported as absent; a
 * file of damaged structure is set aside and begun anew, also while in use,
 * with what can still be read of it).
 *
 * Databases
 *	meta   format version, id spaces, named values, counters
 *	tree   space+id -> tree record (tree.h)
 *	blob   space+id -> size, SHA-256, SHA-1, chunk list if <= 8 chunks; or a
 *	       size alone (learned before the content)
 *	seg    space+id+u32 -> 255 chunk hashes each, for larger blobs
 *	chunk  SHA-256 of 64 KiB plain bytes -> sequence number, sizes, last use
 *	       (coarse, flushed in batches)
 *	data   sequence number -> xxh3, codec, plain length, zstd frame or raw
 *	       bytes: always appended, so that what was fetched together lies
 *	       together and filling is cheap
 *	pin    name -> root of what must stay
 * Record layouts: codec.h. Every record is checksummed with its key.
 *
 * Eviction removes chunks only, oldest use first, so sizes and digests survive;
 * trees and blob records go when chunks were not enough. The map size is the
 * size limit, so the file cannot exceed it whatever happens.
 *
 * Threads: any number of readers; all writes go through one writer thread that
 * commits in batches. A reader's transaction must end before its thread blocks.
 * One process per store: a second open is -EBUSY and names the owner's pid.
 */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include "cache/tree.h"
#include "core/hash.h"

#define STORE_CHUNK_SIZE (64u * 1024u)
#define STORE_KEY_MAX    (2 + SCORPIO_ID_MAX)

struct store;

struct store_key { /* id space (u16, big-endian) + content id */
	uint8_t len;
	uint8_t bytes[STORE_KEY_MAX];
};

struct store_options {
	const char *path;   /* directory; made if missing (0700) */
	uint64_t max_bytes; /* size limit, at least 8 MiB; 0 = 90 % of the free
			     * disk at open */
	bool read_only;     /* for inspection while no daemon runs */
	int zstd_level;     /* 0 = 3 */
	/* The process that had it last is known to have been ended from
	 * outside: that it did not close is no sign of damage. */
	bool was_killed;
	/* Told by the writer's thread when the file was found damaged and the
	 * store goes on with a new one: a text for the user. May be NULL. */
	void (*replaced)(const char *notice);
};

/* -EBUSY another process has it; -EINVAL the format is newer or not a store;
 * -EACCES, -ENOSPC, -EROFS from the disk, with a text each. After an unclean
 * machine stop the store is checked in a child first and set aside if broken.
 */
int store_open(const struct store_options *o, struct store **ret);
void store_close(struct store *s); /* waits for the writer; NULL is fine */
/* What opening had to do that the user should know (set a damaged store aside,
 * rewrite one that was over the limit), or NULL. Borrowed. */
const char *store_notice(const struct store *s);
/* For a handler of SIGBUS: if the address lies in the map of the store that is
 * open for writing, note it for the next start. Async-signal-safe. */
bool store_bus_note(const void *address);
/* The same, first: if this thread is inside the store, it goes on there with
 * "absent", and this does not return. No signal may be blocked that was not. */
void store_escape(void);
/* For a handler of SIGSEGV: does the address lie in that map? Then somebody wanted
 * to write there, which nobody can: no harm is done. */
bool store_bus_inside(const void *address);
/* The directory. Borrowed. */
const char *store_path(const struct store *s);

/* The number of a named id space, made on first use. */
int store_space(struct store *s, const char *name, uint16_t *ret);
struct store_key store_key(uint16_t space, const struct scorpio_id *id);

/* -- reading ------------------------------------------------------------- */

/* One read transaction, taken from and returned to a per-thread cache:
 * 0.2 us. Must not be held across anything that blocks; ends on the thread
 * where it began. */
struct store_reader {
	struct store *store;
	void *txn;
};
int store_read_begin(struct store *s, struct store_reader *ret);
void store_read_end(struct store_reader *r); /* twice is fine */

/* -ENOENT absent (or damaged: then it was also dropped). View valid until
 * store_read_end. */
int store_tree(struct store_reader *r, const struct store_key *k,
	       struct tree_view *ret);

struct blob_info {
	uint64_t size;
	bool has_content; /* digests and chunk list are known */
	uint8_t sha256[SHA256_LEN], sha1[SHA1_LEN]; /* of the content */
	uint32_t chunks;
	const uint8_t *list; /* inline chunk hashes, or NULL: in seg */
};
int store_blob(struct store_reader *r, const struct store_key *k,
	       struct blob_info *ret);
/* Copy [off, off+len) of the blob to buf; short only at the end of the blob.
 * Returns the count; -ENOENT if the blob or one of the chunks needed is absent
 * or damaged (fetch it again). Costs one lookup and one zstd frame a chunk;
 * whole chunks are decompressed straight into buf. */
int64_t store_blob_read(struct store_reader *r, const struct store_key *k,
			uint64_t off, void *buf, size_t len);
/* Are all chunks covering the range there? Cheap: no decompression. */
bool store_blob_present(struct store_reader *r, const struct store_key *k,
			uint64_t off, uint64_t len);

/* -- writing (queued to the writer thread) ------------------------------- */

/* Runs on the writer thread after the commit that holds the object (result 0)
 * or after its failure. Must not block and must not call the store's writers.
 */
typedef void (*store_done_fn)(void *ctx, int result);

/* Store a tree made with tree_builder_finish(seed = store_key_seed(k)). The
 * buf is taken. done may be NULL. Blocks while the queue is over its bound. */
int store_put_tree(struct store *s, const struct store_key *k,
		   struct buf *record /* takes */, store_done_fn done,
		   void *ctx);
uint64_t store_key_seed(const struct store_key *k);
/* Remember a size without content. */
int store_put_size(struct store *s, const struct store_key *k, uint64_t size);

/* A blob on its way in: cut into chunks, hashed, compressed and queued as it
 * arrives (memory: a few chunks). The record that makes it visible is queued
 * by _end after the id was verified. One thread at a time. */
struct blob_writer;
/* id_kind: SCORPIO_ID_* of backend.h: what _end verifies `id` against; OPAQUE
 * = nothing. size may be SCORPIO_SIZE_UNKNOWN. -EFBIG if it cannot fit. */
int blob_writer_new(struct store *s, const struct store_key *k,
		    const struct scorpio_id *id, uint32_t id_kind,
		    uint64_t size, struct blob_writer **ret);
int blob_writer_data(struct blob_writer *w, const void *p, size_t n);
/* Verify, queue the record, free the writer (also on failure). -EBADMSG: the
 * content is not what the id says; -EIO: size differs. On failure done is not
 * called. Costs SHA-1 + SHA-256 + zstd-3 per byte, about 250 MB/s a core. */
int blob_writer_end(struct blob_writer *w, store_done_fn done, void *ctx);
void blob_writer_abandon(struct blob_writer *w); /* NULL is fine */

/* Wait until everything queued before is committed. */
int store_flush(struct store *s, int64_t deadline);
/* Damaged records were met and are not removed yet (a flush does that): what
 * seems to be here may be one of them. */
bool store_dropping(const struct store *s);
/* Small named values (revisions, workspaces): at most 64 KiB. */
int store_put_value(struct store *s, const char *name, const void *p,
		    size_t n); /* n 0 removes; committed on return */
int store_get_value(struct store *s, const char *name, struct buf *ret);

/* -- keeping house ------------------------------------------------------- */

struct store_stats {
	uint64_t max_bytes, file_bytes, used_bytes; /* used: pages in use */
	uint64_t trees, blobs, chunks;
	uint64_t tree_bytes, chunk_stored_bytes, chunk_plain_bytes;
	uint64_t evicted_chunks, damaged_records;
	uint64_t pinned_chunks;
};
int store_stat(struct store *s, struct store_stats *ret);
/* Evict down to target bytes in use (0 = to 80 % of the limit). dry_run only
 * counts. Pinned content stays. */
int store_gc(struct store *s, uint64_t target, bool dry_run,
	     uint64_t *ret_freed);
/* Named pins: everything below a tree, or one blob. */
int store_pin(struct store *s, const char *name, const struct store_key *k,
	      bool is_tree);
int store_unpin(struct store *s, const char *name);
int store_pins(struct store *s,
	       void (*fn)(void *ctx, const char *name,
			  const struct store_key *k),
	       void *ctx);
/* What was stored is not found again, or cannot be: look soon whether the
 * structure of the file is damaged. Any thread; never blocks. */
void store_doubt(struct store *s);
struct store_verify {
	uint64_t trees, blobs, chunks, damaged, repaired;
};
/* Read and check every record; drop the damaged ones if repair. */
int store_verify(struct store *s, bool repair,
		 void (*progress)(void *ctx, uint64_t done, uint64_t total),
		 void *ctx, struct store_verify *ret);

#endif
