/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob on its way in. Up to one chunk is only collected: everything happens
 * at the end, nothing is queued before the id was verified, and one SHA-256
 * serves as content digest and chunk hash. With the first byte after that the
 * running digests start, and each full chunk is hashed, compressed and queued
 * if the store does not have it. What was queued for a blob that is abandoned
 * or refused is reachable by nobody until eviction takes it.
 *
 * Git hashes the size before the content. When it is not known at the start,
 * the content is kept until the end: SPOOL_MEMORY bytes in memory, more in an
 * unnamed file in <path>/scratch.
 */
#include "cache/store_impl.h"

#include "core/id.h"

#include <fcntl.h>
#include <scorpio/backend.h>
#include <sys/stat.h>

#define SPOOL_MEMORY (1 * MiB)

struct blob_writer {
	struct store *s;
	struct store_key key;
	struct scorpio_id id;
	uint32_t id_kind;
	uint64_t size; /* as announced, or unknown */
	uint64_t got;
	int error; /* the first; all later calls answer it */
	bool streaming;
	struct hash *sha256, *sha1, *git; /* once streaming; git may be NULL */
	bool spooling;
	struct buf spool;
	int spool_fd;
	uint64_t spooled; /* bytes in spool_fd */
	struct buf list;  /* chunk hashes */
	struct put_state *state;
	size_t fill;
	uint8_t chunk[STORE_CHUNK_SIZE];
};

/* -- git's own digest ---------------------------------------------------- */

static enum hash_kind git_kind(const struct blob_writer *w)
{
	return w->id.len == SHA1_LEN ? HASH_SHA1 : HASH_SHA256;
}

static void git_header(struct blob_writer *w, uint64_t size)
{
	char head[40];
	int n = snprintf(head, sizeof(head), "blob %llu",
			 (unsigned long long)size);

	w->git = hash_new(git_kind(w));
	hash_update(w->git, head, (size_t)n + 1);
}

static int spool_open(struct blob_writer *w)
{
	cleanup_free char *dir = xasprintf("%s/scratch", w->s->path);

	if (mkdir(dir, 0700) && errno != EEXIST)
		return fail(-errno, "store: cannot make %s: %s", dir,
			    strerror(errno));
	w->spool_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (w->spool_fd < 0)
		return fail(-errno, "store: cannot make a file in %s: %s", dir,
			    strerror(errno));
	return 0;
}

static int spool_out(struct blob_writer *w)
{
	size_t done = 0;
	int r = w->spool_fd < 0 ? spool_open(w) : 0;

	if (r)
		return r;
	while (done < w->spool.len) {
		ssize_t n = write(w->spool_fd, w->spool.data + done,
				  w->spool.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(-errno,
				    "store: cannot write below "
				    "%s/scratch: %s",
				    w->s->path, strerror(errno));
		done += (size_t)n;
	}
	w->spooled += w->spool.len;
	w->spool.len = 0;
	return 0;
}

static int spool_add(struct blob_writer *w, const void *p, size_t n)
{
	buf_put(&w->spool, p, n);
	return w->spool.len > SPOOL_MEMORY ? spool_out(w) : 0;
}

static int spool_hash(struct blob_writer *w)
{
	git_header(w, w->got);
	for (uint64_t at = 0; at < w->spooled;) {
		uint8_t *p = w->chunk; /* free by now */
		ssize_t n = pread(w->spool_fd, p, STORE_CHUNK_SIZE, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(n ? -errno : -EIO,
				    "store: cannot read "
				    "back below %s/scratch",
				    w->s->path);
		hash_update(w->git, p, (size_t)n);
		at += (uint64_t)n;
	}
	hash_update(w->git, w->spool.data, w->spool.len);
	return 0;
}

/* -- life ---------------------------------------------------------------- */

static int too_big(struct store *s, uint64_t size)
{
	return fail(-EFBIG,
		    "store: a file of %llu bytes does not fit into a store of "
		    "%llu: raise cache.max_size",
		    (unsigned long long)size, (unsigned long long)s->max_bytes);
}

static int check_id(const struct scorpio_id *id, uint32_t kind)
{
	if (kind == SCORPIO_ID_GIT && id->len != SHA1_LEN &&
	    id->len != SHA256_LEN)
		return fail(-EBADMSG, "store: an id of %u bytes is not git's",
			    id->len);
	if (kind == SCORPIO_ID_SHA256 && id->len != SHA256_LEN)
		return fail(-EBADMSG, "store: an id of %u bytes is no SHA-256",
			    id->len);
	if (kind > SCORPIO_ID_SHA256)
		return fail(-EINVAL, "store: unknown kind of id %u", kind);
	return 0;
}

int blob_writer_new(struct store *s, const struct store_key *k,
		    const struct scorpio_id *id, uint32_t id_kind,
		    uint64_t size, struct blob_writer **ret)
{
	struct blob_writer *w;
	int r = check_id(id, id_kind);

	if (r)
		return r;
	if (s->read_only)
		return fail(-EROFS, "store: opened for reading only");
	if (size != SCORPIO_SIZE_UNKNOWN && size > store_object_max(s))
		return too_big(s, size);
	w = xmalloc(sizeof(*w)); /* not cleared: the chunk is 64 KiB */
	memset(w, 0, offsetof(struct blob_writer, chunk));
	w->s = s;
	w->key = *k;
	w->id = *id;
	w->id_kind = id_kind;
	w->size = size;
	w->spool_fd = -1;
	w->state = put_state_get(NULL);
	*ret = w;
	return 0;
}

void blob_writer_abandon(struct blob_writer *w)
{
	if (!w)
		return;
	hash_free(w->sha256);
	hash_free(w->sha1);
	hash_free(w->git);
	buf_done(&w->spool);
	buf_done(&w->list);
	if (w->spool_fd >= 0)
		close(w->spool_fd);
	put_state_put(w->state);
	free(w);
}

/* -- chunks -------------------------------------------------------------- */

/* Is the chunk there and sound? Then it counts as used now. */
static bool chunk_known(struct blob_writer *w, const uint8_t *hash,
			bool *ret_damaged)
{
	struct store_reader r;
	struct codec_index x;
	struct codec_chunk c;
	int rc;

	*ret_damaged = false;
	if (store_read_begin(w->s, &r))
		return false;
	rc = store_chunk_find(w->s, store_reader_txn(&r), hash, &x, &c);
	if (!rc)
		store_touch(w->s, hash, NULL);
	store_read_end(&r);
	*ret_damaged = rc == -EBADMSG;
	return !rc;
}

static int put_chunk(struct blob_writer *w, const uint8_t *hash)
{
	struct store_op *op;
	bool damaged;

	buf_put(&w->list, hash, SHA256_LEN);
	if (chunk_known(w, hash, &damaged))
		return 0;
	op = store_op_new(OP_CHUNK, hash, SHA256_LEN);
	op->flag = damaged;
	op->plain = (uint32_t)w->fill;
	op->state = put_state_get(w->state);
	codec_chunk_pack(&op->data, codec_chunk_seed(hash), w->chunk, w->fill,
			 w->s->level);
	/* packed into a bound's room; keep what is needed */
	op->data.data = xrealloc(op->data.data, op->data.len);
	op->data.cap = op->data.len;
	return store_queue(w->s, op, false);
}

static void start_streaming(struct blob_writer *w)
{
	w->streaming = true;
	w->sha256 = hash_new(HASH_SHA256);
	w->sha1 = hash_new(HASH_SHA1);
	if (w->id_kind != SCORPIO_ID_GIT)
		return;
	if (w->size == SCORPIO_SIZE_UNKNOWN)
		w->spooling = true;
	else
		git_header(w, w->size);
}

/* The chunk is full or the last one, of a blob with more than one. */
static int chunk_out(struct blob_writer *w)
{
	uint8_t hash[SHA256_LEN];
	int r = __atomic_load_n(&w->state->error, __ATOMIC_RELAXED);

	if (r)
		return fail(r, "store: an earlier part could not be written");
	hash_update(w->sha256, w->chunk, w->fill);
	hash_update(w->sha1, w->chunk, w->fill);
	if (w->git)
		hash_update(w->git, w->chunk, w->fill);
	if (w->spooling)
		r = spool_add(w, w->chunk, w->fill);
	if (r)
		return r;
	hash_bytes(HASH_SHA256, w->chunk, w->fill, hash);
	r = put_chunk(w, hash);
	w->fill = 0;
	return r;
}

static int check_size(struct blob_writer *w, size_t n)
{
	uint64_t got;

	if (__builtin_add_overflow(w->got, n, &got))
		return fail(-EFBIG, "store: a file without end");
	if (w->size != SCORPIO_SIZE_UNKNOWN && got > w->size)
		return fail(-EIO,
			    "store: more than the announced %llu bytes "
			    "arrived",
			    (unsigned long long)w->size);
	if (got > store_object_max(w->s))
		return too_big(w->s, got);
	w->got = got;
	return 0;
}

static int add(struct blob_writer *w, const uint8_t *p, size_t n)
{
	int r = 0;

	while (!r && n) {
		size_t take;

		if (w->fill == STORE_CHUNK_SIZE) {
			if (!w->streaming)
				start_streaming(w);
			r = chunk_out(w);
			if (r)
				break;
		}
		take = MIN(n, STORE_CHUNK_SIZE - w->fill);
		memcpy(w->chunk + w->fill, p, take);
		w->fill += take;
		p += take;
		n -= take;
	}
	return r;
}

int blob_writer_data(struct blob_writer *w, const void *p, size_t n)
{
	if (w->error)
		return fail(w->error, "store: this file failed before");
	if (!n)
		return 0;
	w->error = check_size(w, n);
	if (!w->error)
		w->error = add(w, p, n);
	return w->error;
}

/* -- the end ------------------------------------------------------------- */

struct digests {
	uint8_t sha256[SHA256_LEN], sha1[SHA1_LEN];
	uint8_t git[SHA256_LEN];
};

static int digests_short(struct blob_writer *w, struct digests *d)
{
	hash_bytes(HASH_SHA256, w->chunk, w->fill, d->sha256);
	hash_bytes(HASH_SHA1, w->chunk, w->fill, d->sha1);
	if (w->id_kind == SCORPIO_ID_GIT) {
		git_header(w, w->fill);
		hash_update(w->git, w->chunk, w->fill);
		hash_final(w->git, d->git);
	}
	return 0;
}

static int digests_long(struct blob_writer *w, struct digests *d)
{
	int r = chunk_out(w);

	if (!r && w->spooling)
		r = spool_hash(w);
	if (r)
		return r;
	hash_final(w->sha256, d->sha256);
	hash_final(w->sha1, d->sha1);
	if (w->git)
		hash_final(w->git, d->git);
	return 0;
}

static int verify(struct blob_writer *w, const struct digests *d)
{
	const uint8_t *is = w->id_kind == SCORPIO_ID_GIT ? d->git : d->sha256;
	char want[ID_HEX_MAX], have[ID_HEX_MAX];

	if (w->size != SCORPIO_SIZE_UNKNOWN && w->got != w->size)
		return fail(-EIO, "store: %llu bytes arrived instead of %llu",
			    (unsigned long long)w->got,
			    (unsigned long long)w->size);
	if (w->id_kind == SCORPIO_ID_OPAQUE ||
	    !memcmp(is, w->id.bytes, w->id.len))
		return 0;
	return fail(-EBADMSG,
		    "store: content of %s has the id %s: the server "
		    "or the way from it is broken",
		    id_hex(&w->id, want), hex_encode(is, w->id.len, have));
}

static int queue_record(struct blob_writer *w, const struct digests *d,
			store_done_fn done, void *ctx)
{
	struct store_op *op = store_op_new(OP_BLOB, w->key.bytes, w->key.len);
	struct codec_blob b = {
		.size = w->got,
		.chunks = (uint32_t)(w->list.len / SHA256_LEN),
		.has_content = true,
		.sha256 = d->sha256,
		.sha1 = d->sha1,
		.list = w->list.data,
	};

	codec_blob_pack(&op->data, store_key_seed(&w->key), &b);
	if (b.chunks > CODEC_INLINE) {
		op->list = w->list;
		w->list = (struct buf)BUF_INIT;
	}
	op->state = put_state_get(w->state);
	op->done = done;
	op->ctx = ctx;
	return store_queue(w->s, op, false);
}

int blob_writer_end(struct blob_writer *w, store_done_fn done, void *ctx)
{
	struct digests d;
	int r = w->error;

	if (r)
		r = fail(r, "%s", error_text(r));
	else if (w->streaming)
		r = digests_long(w, &d);
	else
		r = digests_short(w, &d);
	if (!r)
		r = verify(w, &d);
	if (!r && !w->streaming && w->fill)
		r = put_chunk(w, d.sha256);
	if (!r)
		r = queue_record(w, &d, done, ctx);
	blob_writer_abandon(w);
	return r;
}
