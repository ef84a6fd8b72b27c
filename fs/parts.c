/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"
#include "fs/ahead.h"
#include "fs/parts.h"
#include "fs/request.h"

#define PARTS_ABOVE (512 * KiB) /* smaller files come whole */
#define RUN_MAX 4     /* parts before this one that are looked for */
#define AHEAD_MAX 32

/* One piece of the answer from the part around `at`. */
static int64_t read_part(struct mount *m, struct store_reader *reader,
			 const struct scorpio_part *p, uint64_t at, void *buf,
			 size_t n)
{
	struct store_key key = store_key(m->space, &p->id);

	return store_blob_read(reader, &key, at - p->offset, buf, n);
}

static bool is_here(struct mount *m, struct store_reader *reader,
		    const struct scorpio_part *p)
{
	struct store_key key = store_key(m->space, &p->id);

	return store_blob_present(reader, &key, 0, 1);
}

/* How many parts before this one are here, in a row: who reads on has them. */
static unsigned run_before(struct mount *m, struct store_reader *reader,
			   const struct view_content *c,
			   const struct scorpio_part *p)
{
	struct scorpio_part before = *p;
	unsigned n = 0;

	while (n < RUN_MAX && before.offset &&
	       !source_part(m->source, &c->id, c->size, before.offset - 1,
			    &before) &&
	       is_here(m, reader, &before))
		n++;
	return n;
}

/* A part is missing: with it, what else this request needs, and the more of what
 * follows the longer the file was read in order. */
static void want_next(struct mount *m, struct store_reader *reader,
		      const struct view_content *c,
		      const struct scorpio_part *p, uint64_t end)
{
	unsigned run = run_before(m, reader, c, p), room = run * run;
	struct scorpio_id ids[AHEAD_MAX];
	struct scorpio_part next = *p;
	size_t n = 0;

	while (n < AHEAD_MAX) {
		uint64_t at = next.offset + next.length;

		if (at >= c->size || (at >= end && !room))
			break;
		if (at >= end)
			room--;
		if (source_part(m->source, &c->id, c->size, at, &next))
			break;
		if (!is_here(m, reader, &next))
			ids[n++] = next.id;
	}
	ahead_parts(m, ids, n);
}

static int64_t read_parts(struct request *r, struct store_reader *reader,
			  const struct view_content *c, uint64_t off,
			  char *buf, size_t size, struct scorpio_part *ret_missing)
{
	struct mount *m = r->mount;
	struct scorpio_part p;
	size_t done = 0;
	int64_t got;
	int rc;

	while (done < size) {
		size_t n;

		rc = source_part(m->source, &c->id, c->size, off + done, &p);
		if (rc)
			return rc;
		n = (size_t)MIN(size - done, p.offset + p.length - off - done);
		got = read_part(m, reader, &p, off + done, buf + done, n);
		if (got == -ENOENT) {
			if (!r->tries)
				want_next(m, reader, c, &p, off + size);
			*ret_missing = p;
			return -EAGAIN;
		}
		if (got != (int64_t)n)
			return got < 0 ? got
				       : fail(-EIO, "a part of a file is "
					      "shorter than it should be");
		done += n;
	}
	return (int64_t)done;
}

int64_t parts_read(struct request *r, uint64_t ino,
		   const struct view_content *c, uint64_t off, void *buf,
		   size_t size)
{
	struct scorpio_part missing;
	struct store_reader reader;
	int64_t got;
	int rc;

	if (c->kind != SCORPIO_FILE || c->size == SCORPIO_SIZE_UNKNOWN ||
	    c->size < PARTS_ABOVE || off >= c->size)
		return -ENOENT;
	rc = store_read_begin(r->mount->store, &reader);
	if (rc)
		return rc;
	got = read_parts(r, &reader, c, off, buf,
			 (size_t)MIN(size, c->size - off), &missing);
	store_read_end(&reader);
	return got == -EAGAIN ? request_need(r, WANT_BLOB, &missing.id, ino,
					     SCORPIO_FILE)
			      : got;
}
