/* SPDX-License-Identifier: Apache-2.0 */
/* ops_slot.c - the operations on descriptors that stay open, whatever happens
 * to the name meanwhile */
#include "tests/tools/fsrand/fsrand.h"

#include <linux/falloc.h>
#include <sys/mman.h>

static void run_open(struct side *s, const struct op *o, struct outcome *r)
{
	static const int flags[] = {
		O_RDWR,   O_RDWR,           O_RDWR | O_APPEND,
		O_RDONLY, O_RDWR | O_TRUNC, O_RDONLY
	};
	int *fd = &s->fd[o->slot];

	if (*fd >= 0)
		close(*fd);
	*fd = open(full(s, o->a),
		   flags[o->flags % 6] | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW,
		   0644);
	failed(r, *fd);
	r->value = 0;
}

static void run_open_create(struct side *s, const struct op *o,
			    struct outcome *r)
{
	int *fd = &s->fd[o->slot];

	if (*fd >= 0)
		close(*fd);
	*fd = open(full(s, o->a),
		   O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW,
		   o->mode | 0600);
	failed(r, *fd);
	r->value = 0;
}

static void run_close(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, close(s->fd[o->slot]));
	s->fd[o->slot] = -1;
}

static void run_slot_write(struct side *s, const struct op *o,
			   struct outcome *r)
{
	put_data(s->fd[o->slot], o, o->off, r);
}

static void run_slot_read(struct side *s, const struct op *o, struct outcome *r)
{
	static unsigned char buf[DATA_SIZE];

	if (!failed(r, pread(s->fd[o->slot], buf, o->len, o->off)))
		r->sum = sum_bytes(1, buf, (size_t)r->value);
}

static void run_slot_truncate(struct side *s, const struct op *o,
			      struct outcome *r)
{
	failed(r, ftruncate(s->fd[o->slot], o->off));
}

static void run_slot_stat(struct side *s, const struct op *o, struct outcome *r)
{
	struct stat st;

	if (failed(r, fstat(s->fd[o->slot], &st)))
		return;
	if (!S_ISDIR(st.st_mode))
		r->value = (long)st.st_size * 1000 + (long)st.st_nlink;
	r->sum = st.st_mode;
}

static void run_slot_chmod(struct side *s, const struct op *o,
			   struct outcome *r)
{
	failed(r, fchmod(s->fd[o->slot], o->mode | 0700));
}

static void run_slot_sync(struct side *s, const struct op *o, struct outcome *r)
{
	failed(r, fsync(s->fd[o->slot]));
}

static void run_slot_map(struct side *s, const struct op *o, struct outcome *r)
{
	int fd = s->fd[o->slot];
	struct stat st;
	size_t n;
	char *p;

	if (failed(r, fstat(fd, &st)) || !S_ISREG(st.st_mode) ||
	    st.st_size <= o->off)
		return;
	n = MIN((size_t)(st.st_size - o->off), o->len);
	p = mmap(NULL, (size_t)o->off + n, PROT_READ | PROT_WRITE, MAP_SHARED,
		 fd, 0);
	if (p == MAP_FAILED) {
		r->err = errno;
		return;
	}
	touch_map((unsigned char *)p + o->off, n, r);
	if (!r->err)
		failed(r, msync(p, (size_t)o->off + n, MS_SYNC));
	munmap(p, (size_t)o->off + n);
	r->value = (long)n;
}

static void run_slot_punch(struct side *s, const struct op *o,
			   struct outcome *r)
{
	failed(r, fallocate(s->fd[o->slot],
			    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, o->off,
			    (off_t)o->len + 1));
}

static void run_slot_copy(struct side *s, const struct op *o, struct outcome *r)
{
	off_t from = o->off2, to = o->off;
	size_t left = o->len;

	while (left > 0) {
		ssize_t n = copy_file_range(s->fd[o->slot2], &from,
					    s->fd[o->slot], &to, left, 0);

		if (failed(r, n) || n == 0)
			break;
		left -= (size_t)n;
	}
	r->value = (long)(o->len - left);
}

const struct op_kind slot_ops[] = {
	{ "open", 50, FILE_, NONE, 0, NOTHING, run_open },
	{ "open-create", 15, NEW, NONE, 0, ADD_FILE, run_open_create },
	{ "close", 20, NONE, NONE, SLOT | PURE, NOTHING, run_close },
	{ "fd-write", 50, NONE, NONE, SLOT | IO, NOTHING, run_slot_write },
	{ "fd-read", 40, NONE, NONE, SLOT | IO | PURE, NOTHING, run_slot_read },
	{ "fd-truncate", 20, NONE, NONE, SLOT | IO, NOTHING,
	  run_slot_truncate },
	{ "fd-stat", 20, NONE, NONE, SLOT | PURE, NOTHING, run_slot_stat },
	{ "fd-chmod", 8, NONE, NONE, SLOT, NOTHING, run_slot_chmod },
	{ "fd-sync", 8, NONE, NONE, SLOT | PURE, NOTHING, run_slot_sync },
	{ "fd-map", 20, NONE, NONE, SLOT | IO, NOTHING, run_slot_map },
	{ "fd-punch", 10, NONE, NONE, SLOT | IO, NOTHING, run_slot_punch },
	{ "fd-copy", 15, NONE, NONE, SLOT | SLOT2 | IO, NOTHING,
	  run_slot_copy },
	{ 0 },
};
