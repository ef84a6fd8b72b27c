/* SPDX-License-Identifier: Apache-2.0 */
/* changes_test.h - what the tests of fs/changes*.c share: a set of changes in a
 * directory of its own, single edits, and a picture of all of it. */
#ifndef TESTS_UNIT_CHANGES_TEST_H
#define TESTS_UNIT_CHANGES_TEST_H

#include "fs/changes.h"

#include "core/buf.h"
#include "core/log.h"
#include "core/path.h"
#include "fs/upper.h"
#include "fs/wal.h"

#include <check.h>
#include <fcntl.h>

static char dir[64];
static struct fd_cache *fds;
static struct changes *c;

static inline void nothing(void *ctx, struct cnode *n, struct node *known)
{
	(void)ctx;
	(void)n;
	(void)known;
}

static inline int try_open(const char *where)
{
	struct changes_options o = { .dir = where, .attach = nothing,
				     .root = { .len = 20 },
				     .root_mtime = 1000 };

	ck_assert_int_eq(upper_open(where, true, fds, &o.upper), 0);
	return changes_open(&o, &c);
}

static inline void open_changes(void)
{
	ck_assert_int_eq(try_open(dir), 0);
}

static inline void setup(void)
{
	/* in memory where there is such a place: this opens it 1000 times */
	snprintf(dir, sizeof(dir), "%s/check_changes.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	fds = fd_cache_new(16);
	open_changes();
}

static inline void teardown(void)
{
	changes_close(c);
	fd_cache_free(fds);
	ck_assert_int_eq(path_empty_dir(dir), 0);
	rmdir(dir);
}

static inline void crash_and_open(void)
{
	changes_abandon(c);
	open_changes();
}

static inline struct cnode *make(struct cnode *parent, const char *name,
			  uint32_t mode)
{
	struct cvalue v = { .mode = mode, .uid = 5, .gid = 6 };
	struct cnode *n = NULL;

	changes_edit(c);
	ck_assert_int_eq(changes_create(c, parent, name, 0, &v, &n), 0);
	changes_edit_end(c);
	return n;
}

static inline struct cnode *adopt(struct cnode *parent, const char *name,
			   uint64_t ino, uint8_t kind)
{
	char path[64];
	struct cvalue v = {
		.ino = ino, .id = { .len = 20, .bytes = { (uint8_t)ino } },
		.mode = kind == SCORPIO_DIR ? S_IFDIR | 0755 : S_IFREG | 0644,
		.uid = CHANGES_OWNER, .gid = CHANGES_OWNER,
		.lower_kind = kind, .lower_mode = 0644,
		.content = kind == SCORPIO_DIR ? CONTENT_EMPTY : CONTENT_LOWER,
		.size = 100, .mtim = 5, .ctim = 5, .lower_path = path,
	};
	struct cnode *n = NULL;

	snprintf(path, sizeof(path), "%s", name);
	changes_edit(c);
	ck_assert_int_eq(changes_adopt(c, parent, name, &v, NULL, &n), 0);
	changes_edit_end(c);
	return n;
}

static inline struct cname *name_of(struct cnode *parent, const char *name)
{
	return changes_name(parent, name, strlen(name));
}

static inline void drop(struct cnode *parent, const char *name)
{
	changes_edit(c);
	ck_assert_int_eq(changes_remove(c, name_of(parent, name)), 0);
	changes_edit_end(c);
}

static inline void move(struct cnode *from, const char *a, struct cnode *to,
		 const char *b, uint8_t lower_kind)
{
	changes_edit(c);
	ck_assert_int_eq(changes_rename(c, name_of(from, a), to, b,
					lower_kind), 0);
	changes_edit_end(c);
}

/* Its content, by a content file of its own. */
static inline struct cnode *write_file(struct cnode *n, const char *text)
{
	struct upper_fd fd;
	struct stat st;
	uint64_t file;

	changes_edit(c);
	file = changes_number(c);
	ck_assert_int_eq(upper_create(c->upper, file, &fd), 0);
	ck_assert_int_eq(fstat(fd.fd, &st), 0);
	ck_assert_int_eq(changes_raise(c, n, file, &st), 0);
	changes_edit_end(c);
	ck_assert_int_eq(pwrite(fd.fd, text, strlen(text), 0), strlen(text));
	ck_assert_int_eq(changes_wrote(c, n, fd.fd), 0);
	upper_put(c->upper, &fd);
	return n;
}

/* -- a picture of everything, to compare --------------------------------------- */

static inline int by_name(const void *a, const void *b)
{
	const struct cname *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static inline void draw(struct buf *out, const struct cnode *n, const char *path)
{
	const struct cvalue *v = &n->v;

	buf_printf(out, "%s ino=%llx mode=%o uid=%u nlink=%u c=%u size=%llu "
		   "mtime=%lld ctime=%lld", path, (unsigned long long)v->ino,
		   v->mode, v->uid, n->nlink, v->content,
		   (unsigned long long)v->size, (long long)v->mtim,
		   (long long)v->ctim);
	for (const struct cxattr *x = n->xattrs; x; x = x->next)
		buf_printf(out, " %s=%.*s", x->name, (int)x->len, x->value);
	buf_printf(out, "\n");
}

static inline void draw_dir(struct buf *out, const struct cnode *n, const char *path)
{
	const struct cdir *d = n->dir;
	cleanup_free struct cname **names = xcalloc(d->count + 1,
						    sizeof(*names));
	uint32_t count = 0;

	for (uint32_t i = 0; d->buckets && i <= d->mask; i++)
		for (struct cname *x = d->buckets[i]; x; x = x->next)
			names[count++] = x;
	ck_assert_uint_eq(count, d->count);
	ck_assert_uint_eq(count, d->live + d->hidden);
	qsort(names, count, sizeof(*names), by_name);
	for (uint32_t i = 0; i < count; i++) {
		cleanup_free char *p = xasprintf("%s/%s", path,
						 names[i]->name);

		if (!names[i]->node) {
			buf_printf(out, "%s gone\n", p);
			continue;
		}
		draw(out, names[i]->node, p);
		if (names[i]->node->dir)
			draw_dir(out, names[i]->node, p);
	}
}

static inline char *picture(void)
{
	struct buf b = BUF_INIT;

	draw(&b, c->root, "");
	draw_dir(&b, c->root, "");
	return buf_steal(&b);
}

static inline void check_survives(void)
{
	cleanup_free char *before = picture();
	cleanup_free char *crashed = NULL, *closed = NULL;

	crash_and_open();
	crashed = picture();
	ck_assert_str_eq(before, crashed);
	changes_close(c);
	open_changes();
	closed = picture();
	ck_assert_str_eq(before, closed);
}

#endif
