/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - how a source of trees and files is written.
 *
 * A backend is one static table of functions. The host copies the smaller of
 * its own and the table's struct_size, so an old plugin works in a new daemon
 * and the other way round. Required: name, open, close, resolve, list, fetch.
 * NULL elsewhere means "not offered" and the host does without (for a layer:
 * "pass to the backend below").
 *
 * No allocation changes hands: inputs are borrowed for the call, outputs go
 * into a struct of the caller or to the sink. Sentences with "must" are tests
 * of the contract suite (scorpio-check-backend ./my.so URL).
 */
#ifndef SCORPIO_BACKEND_H
#define SCORPIO_BACKEND_H

#include <scorpio/host.h>
#include <scorpio/types.h>
#include <scorpio/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where objects are poured. Objects come in any order, one at a time (begin
 * and end pairs never nest or overlap), from the thread that made the call and
 * before it returns. A nonzero return asks the backend to stop at once and
 * return that value. Objects that were not asked for may be poured too when
 * they came along for free; they are kept. An object that was asked for and is
 * neither poured nor failed() counts as failed with the call's result, or
 * -EIO. */
struct scorpio_sink {
	uint32_t struct_size;
	uint32_t reserved;
	void *ctx;

	/* A tree: its children in any order. Duplicate names are -EBADMSG. */
	int (*tree_begin)(void *ctx, const struct scorpio_id *id);
	int (*tree_entry)(void *ctx, const struct scorpio_entry *entry);
	int (*tree_end)(void *ctx);

	/* A blob, streamed in order. size may be SCORPIO_SIZE_UNKNOWN; if not,
	 * exactly that many bytes must follow. Nothing of it is served before
	 * blob_end, when its id has been checked. */
	int (*blob_begin)(void *ctx, const struct scorpio_id *id,
			  uint64_t size);
	int (*blob_data)(void *ctx, const void *data, uint64_t n);
	int (*blob_end)(void *ctx);
	/* Give up the object that was begun (e.g. truncated input). */
	int (*abandon)(void *ctx, int error);

	/* The exact size of a blob, without its content. */
	int (*size)(void *ctx, const struct scorpio_id *id, uint64_t size);
	/* This one object cannot be had; the others may follow. */
	int (*failed)(void *ctx, const struct scorpio_id *id, int error);
};

/* One difference between two trees, for diff(). old/new_id.len 0 = absent. */
struct scorpio_change {
	const char *path;
	uint32_t path_len;
	uint8_t old_kind, new_kind;
	uint8_t reserved[2];
	struct scorpio_id old_id, new_id;
	uint32_t old_mode, new_mode;
};
typedef int (*scorpio_change_fn)(void *ctx, const struct scorpio_change *c);

/* threads: how many calls at once an instance bears */
#define SCORPIO_THREADS_SERIAL 0u   /* one call in the whole plugin */
#define SCORPIO_THREADS_INSTANCE 1u /* one call per instance */
#define SCORPIO_THREADS_PARALLEL 2u /* any */

/* flags of the table */
#define SCORPIO_BACKEND_LAYER 1u      /* sits above another backend */
#define SCORPIO_BACKEND_VERIFIES 2u   /* pours only what it has verified */
#define SCORPIO_BACKEND_NEEDS_PATH 4u /* refs must carry a path */
#define SCORPIO_BACKEND_DIRECTORY 8u  /* takes a plain directory as URL */
/* Holds what people change: a mount of it is a writable workspace, unless a
 * view is asked for. Others are views, unless a workspace is asked for. */
#define SCORPIO_BACKEND_WORKSPACE 16u

/* Ids that a layer makes have all SCORPIO_ID_MAX bytes, and those below a layer
 * have at most SCORPIO_ID_BELOW_MAX. They begin with the id of the object below
 * that they stand for; its length is at SCORPIO_ID_BELOW_LEN, the byte behind
 * that is the layer's mark, what lies between is the layer's. So whoever works
 * with the source's own ids finds them without asking. The host verifies blobs
 * with ids of the source as the source's; a layer must have verified those with
 * ids that it made. */
#define SCORPIO_ID_BELOW_MAX 32u
#define SCORPIO_ID_BELOW_LEN (SCORPIO_ID_MAX - 2u)
#define SCORPIO_ID_MARK (SCORPIO_ID_MAX - 1u)

/* what ids are, so that the host can verify blobs itself */
#define SCORPIO_ID_OPAQUE 0u
#define SCORPIO_ID_GIT 1u    /* SHA-1 (20 bytes) or SHA-256 (32) git object id */
#define SCORPIO_ID_SHA256 2u /* SHA-256 of the content */

/* flags of an instance, set by open() through info */
#define SCORPIO_INSTANCE_LOCAL 1u /* list and fetch take microseconds and never
				   * touch a network: no batching delay */
#define SCORPIO_INSTANCE_SIZES_FREE 2u /* list always tells sizes */
#define SCORPIO_INSTANCE_OPEN_ROOT 4u  /* the root's listing is not all there
					* is: see bucket(). Shown read-only. */
#define SCORPIO_INSTANCE_OWNER_ROOT 8u /* everything belongs to uid 0, gid 0,
					* unless the user says otherwise */

struct scorpio_instance {
	uint32_t struct_size;
	uint32_t flags;     /* SCORPIO_INSTANCE_* */
	uint32_t batch_max; /* most refs per list/fetch/sizes call; 0 = 1000 */
	uint32_t reserved;
	/* Instances with equal id_space share objects. NULL = backend's name.
	 * Ids must be unique within it for ever. */
	const char *id_space;
};

/* A part of a large blob that can be fetched as a blob of its own. */
struct scorpio_part {
	struct scorpio_id id;
	uint64_t offset; /* in the large one */
	uint64_t length; /* bytes; the last may be shorter than told */
};

/* The backend below a layer: the same calls, dispatched by the host. */
struct scorpio_next {
	uint32_t struct_size;
	uint32_t reserved;
	void *self;
	const struct scorpio_backend *ops;
};

/* prefetch: what to bring */
#define SCORPIO_PREFETCH_TREES 1u /* the trees of the whole subtree */
#define SCORPIO_PREFETCH_SIZES 2u
#define SCORPIO_PREFETCH_BLOBS 4u

struct scorpio_backend {
	uint32_t struct_size;
	uint32_t abi;
	const char *name;    /* [a-z][a-z0-9]*, also the configuration's word */
	const char *schemes; /* URL schemes it takes, space-separated, e.g.
			      * "git+https git+http git"; NULL: name only */
	const char *summary; /* one line for `scorpio plugin list` */
	uint32_t threads;
	uint32_t flags;
	uint32_t id_kind;
	uint32_t reserved;

	/* Make an instance for `url` (scheme included, as the user wrote it).
	 * Must not do network traffic and must answer within 100 ms: a dead
	 * server is reported by resolve(). Fills *info, which for a layer
	 * comes with what `next` said of itself (its id_space too: a layer
	 * that makes ids needs another one). `next` is NULL for a source. On
	 * failure nothing is left behind. */
	int (*open)(const struct scorpio_host *host, const char *url,
		    const struct scorpio_config *config,
		    const struct scorpio_next *next,
		    struct scorpio_instance *info, void **ret_self);
	/* No call is in progress. Must accept NULL. */
	void (*close)(void *self);

	/* Turn a branch, tag, commit, path... into an immutable state. spec ""
	 * means the default. The only call whose answer may differ tomorrow;
	 * asked for ret->text of an answer it gives that state again
	 * (since 1.4; mounts of older plugins without it do not come back).
	 * Must answer -ENOENT for what does not exist and -EIO or -ETIMEDOUT
	 * when the server could not be asked: never one for the other. */
	int (*resolve)(void *self, const char *spec,
		       struct scorpio_revision *ret);

	/* Pour the trees named by refs[0..n). A listing must be complete or
	 * fail; names must be unique. */
	int (*list)(void *self, const struct scorpio_ref *refs, uint32_t n,
		    const struct scorpio_sink *sink);
	/* Pour whole blobs (of files and symbolic links). */
	int (*fetch)(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink);

	/* -- optional from here on -- */

	/* Exact sizes of blobs without their content, through sink->size. NULL
	 * or -ENOTSUP: the host fetches instead. */
	int (*sizes)(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink);
	/* Everything below `root` that `what` asks for, in as few requests as
	 * the source knows how. A hint: -ENOTSUP and partial work are fine.
	 * depth 0 = all. */
	int (*prefetch)(void *self, const struct scorpio_ref *root,
			uint32_t what, uint32_t depth,
			const struct scorpio_sink *sink);
	/* A range of one blob, for backends whose ranges can be verified. The
	 * bytes go to sink->blob_begin(id, length), data, end. */
	int (*read)(void *self, const struct scorpio_ref *ref, uint64_t offset,
		    uint64_t length, const struct scorpio_sink *sink);
	/* Paths that differ between two roots. NULL: the host compares trees. */
	int (*diff)(void *self, const struct scorpio_ref *a,
		    const struct scorpio_ref *b, scorpio_change_fn emit,
		    void *ctx);
	/* Block until `spec` resolves to something else than `known`, or about
	 * timeout_ms passed: 1 changed, 0 not. NULL: the host polls. */
	int (*watch)(void *self, const char *spec,
		     const struct scorpio_id *known, uint32_t timeout_ms);
	/* A backend-specific attribute of an entry. Returns the length and
	 * fills buf up to cap, or -ENODATA. "describe": a JSON object about
	 * the entry for `scorpio info`; may block. */
	int64_t (*xattr)(void *self, const struct scorpio_ref *ref,
			 const char *name, void *buf, uint64_t cap);
	/* Send changes back; defined by the publish service, ABI 1.x. */
	int (*publish)(void *self, const void *request, void *reply);

	/* -- since ABI 1.2 -- */

	/* With SCORPIO_INSTANCE_OPEN_ROOT: the id of the tree in which `name`
	 * of the directory `dir` is found, if it is not in dir's own listing.
	 * That tree is listed like any other: -ENOENT from list() means that
	 * there is no such name now, and is asked again later. Must answer
	 * from the name alone, without network or waiting; must answer -ENOENT
	 * for what can never be a name here. */
	int (*bucket)(void *self, const struct scorpio_ref *dir,
		      const char *name, uint32_t name_len,
		      struct scorpio_id *ret);

	/* -- since ABI 1.4 -- */

	/* The blob that holds the bytes around `offset` of the file `blob` of
	 * `size` bytes, so that who reads in the middle of a large file need
	 * not wait for all of it. It is fetched like any other and must have
	 * exactly those bytes; parts begin at multiples of 64 KiB, where the
	 * store cuts. Must answer from the arguments alone, without network or
	 * waiting; -ENOENT: this one comes whole. */
	int (*part)(void *self, const struct scorpio_id *blob, uint64_t size,
		    uint64_t offset, struct scorpio_part *ret);
};

#ifdef __cplusplus
}
#endif
#endif
