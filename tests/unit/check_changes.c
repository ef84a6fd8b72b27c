/* SPDX-License-Identifier: Apache-2.0 */
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

static void nothing(void *ctx, struct cnode *n, struct node *known)
{
	(void)ctx;
	(void)n;
	(void)known;
}

static int try_open(const char *where)
{
	struct changes_options o = { .dir = where, .attach = nothing,
				     .root = { .len = 20 },
				     .root_mtime = 1000 };

	ck_assert_int_eq(upper_open(where, true, fds, &o.upper), 0);
	return changes_open(&o, &c);
}

static void open_changes(void)
{
	ck_assert_int_eq(try_open(dir), 0);
}

static void setup(void)
{
	/* in memory where there is such a place: this opens it 1000 times */
	snprintf(dir, sizeof(dir), "%s/check_changes.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	fds = fd_cache_new(16);
	open_changes();
}

static void teardown(void)
{
	changes_close(c);
	fd_cache_free(fds);
	ck_assert_int_eq(path_empty_dir(dir), 0);
	rmdir(dir);
}

static void crash_and_open(void)
{
	changes_abandon(c);
	open_changes();
}

static struct cnode *make(struct cnode *parent, const char *name,
			  uint32_t mode)
{
	struct cvalue v = { .mode = mode, .uid = 5, .gid = 6 };
	struct cnode *n = NULL;

	changes_edit(c);
	ck_assert_int_eq(changes_create(c, parent, name, 0, &v, &n), 0);
	changes_edit_end(c);
	return n;
}

static struct cnode *adopt(struct cnode *parent, const char *name,
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

static struct cname *name_of(struct cnode *parent, const char *name)
{
	return changes_name(parent, name, strlen(name));
}

static void drop(struct cnode *parent, const char *name)
{
	changes_edit(c);
	ck_assert_int_eq(changes_remove(c, name_of(parent, name)), 0);
	changes_edit_end(c);
}

static void move(struct cnode *from, const char *a, struct cnode *to,
		 const char *b, uint8_t lower_kind)
{
	changes_edit(c);
	ck_assert_int_eq(changes_rename(c, name_of(from, a), to, b,
					lower_kind), 0);
	changes_edit_end(c);
}

/* -- a picture of everything, to compare --------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct cname *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void draw(struct buf *out, const struct cnode *n, const char *path)
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

static void draw_dir(struct buf *out, const struct cnode *n, const char *path)
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

static char *picture(void)
{
	struct buf b = BUF_INIT;

	draw(&b, c->root, "");
	draw_dir(&b, c->root, "");
	return buf_steal(&b);
}

static void check_survives(void)
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

/* -- single edits ----------------------------------------------------------------- */

START_TEST(names_of_their_own)
{
	struct cnode *d = make(c->root, "d", S_IFDIR | 0700);
	struct cnode *f = make(d, "f", S_IFREG | 0600);
	cleanup_free char *path = changes_path(f, NULL);
	struct stat st;

	ck_assert_str_eq(path, "d/f");
	ck_assert(f->v.ino & CHANGES_INO_NEW);
	ck_assert_uint_ne(f->v.ino, d->v.ino);
	ck_assert_ptr_eq(changes_find(c, f->v.ino), f);
	changes_stat(f, 1, 2, &st);
	ck_assert_uint_eq(st.st_uid, 5);
	ck_assert_uint_eq(st.st_nlink, 1);
	check_survives();
}
END_TEST

START_TEST(removing_a_lower_name_leaves_a_tombstone)
{
	struct cnode *f = adopt(c->root, "f", 77, SCORPIO_FILE);

	ck_assert_ptr_nonnull(f);
	drop(c->root, "f");
	ck_assert_ptr_nonnull(name_of(c->root, "f"));
	ck_assert_ptr_null(name_of(c->root, "f")->node);
	ck_assert_ptr_null(changes_find(c, 77));
	make(c->root, "g", S_IFREG | 0600);
	drop(c->root, "g");
	ck_assert_ptr_null(name_of(c->root, "g"));
	check_survives();
}
END_TEST

START_TEST(a_moved_lower_directory_takes_its_tree_along)
{
	struct cnode *d = adopt(c->root, "src", 88, SCORPIO_DIR), *moved;

	move(c->root, "src", c->root, "lib", 0);
	ck_assert_ptr_null(name_of(c->root, "src")->node);
	moved = name_of(c->root, "lib")->node;
	ck_assert_ptr_eq(moved, d);
	ck_assert_uint_eq(moved->v.ino, 88);
	ck_assert_uint_eq(changes_tree(moved).len, 20);
	ck_assert_str_eq(moved->v.lower_path, "src");
	check_survives();
	/* and back: the name is the revision's again */
	move(c->root, "lib", c->root, "src", 0);
	ck_assert_ptr_null(name_of(c->root, "lib"));
	ck_assert_ptr_nonnull(name_of(c->root, "src")->node);
	check_survives();
}
END_TEST

START_TEST(hard_links_count)
{
	struct cnode *f = make(c->root, "a", S_IFREG | 0600);
	struct cnode *d = make(c->root, "d", S_IFDIR | 0700);

	changes_edit(c);
	ck_assert_int_eq(changes_link(c, f, d, "b", 0), 0);
	changes_edit_end(c);
	ck_assert_uint_eq(f->nlink, 2);
	check_survives();
	f = name_of(c->root, "a")->node;
	drop(c->root, "a");
	ck_assert_uint_eq(f->nlink, 1);
	check_survives();
}
END_TEST

START_TEST(a_replaced_file_that_is_known_lives_on)
{
	struct cnode *a = make(c->root, "a", S_IFREG | 0600);
	struct cnode *b = make(c->root, "b", S_IFREG | 0600);
	uint64_t ino = b->v.ino;

	b->known = (struct node *)b; /* as if the kernel had it */
	move(c->root, "a", c->root, "b", 0);
	ck_assert_ptr_eq(name_of(c->root, "b")->node, a);
	ck_assert_ptr_eq(changes_find(c, ino), b);
	ck_assert_uint_eq(b->nlink, 0);
	changes_read_lock(c);
	ck_assert(changes_forgotten(c, b));
	changes_read_unlock(c);
	changes_bury(c);
	ck_assert_ptr_null(changes_find(c, ino));
	check_survives();
}
END_TEST

static struct cnode *write_file(struct cnode *n, const char *text)
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

START_TEST(content_files_say_size_and_time)
{
	struct cnode *n = write_file(make(c->root, "f", S_IFREG | 0600),
				     "hello");
	uint64_t file = n->v.file;
	struct upper_fd fd;
	struct stat st;

	ck_assert_uint_eq(n->v.size, 5);
	check_survives();
	ck_assert_int_eq(upper_stat(c->upper, file, &st), 0);
	n = name_of(c->root, "f")->node;
	/* a write that no record tells of */
	ck_assert_int_eq(upper_get(c->upper, file, &fd), 0);
	ck_assert_int_eq(pwrite(fd.fd, "xy", 2, 5), 2);
	upper_put(c->upper, &fd);
	crash_and_open();
	n = name_of(c->root, "f")->node;
	ck_assert_uint_eq(n->v.size, 7);
	drop(c->root, "f");
	ck_assert_int_eq(upper_stat(c->upper, file, &st), -ENOENT);
}
END_TEST

START_TEST(left_over_content_files_go)
{
	struct upper_fd fd;
	struct stat st;

	ck_assert_int_eq(upper_create(c->upper, 0x1234, &fd), 0);
	upper_put(c->upper, &fd);
	crash_and_open();
	ck_assert_int_eq(upper_stat(c->upper, 0x1234, &st), -ENOENT);
}
END_TEST

START_TEST(listing_positions_are_stable)
{
	char name[16];
	struct cname *n;
	uint64_t at = 0;
	int seen = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make(c->root, name, S_IFREG | 0600);
	}
	while ((n = changes_next(c->root, at))) {
		at = n->cookie;
		snprintf(name, sizeof(name), "%s", n->name);
		if (name[0] == 'f')
			seen++;
		drop(c->root, name); /* as rm -r does */
		if (name[0] == 'f' && seen % 3 == 0) {
			name[0] = 'n';
			make(c->root, name, S_IFREG | 0600);
		}
	}
	ck_assert_int_eq(seen, 100);
	ck_assert_uint_eq(c->root->dir->live, 0);
}
END_TEST

START_TEST(reset_shows_the_lower_name_again)
{
	struct cnode *d = adopt(c->root, "d", 99, SCORPIO_DIR), *e;

	e = make(d, "e", S_IFDIR | 0700);
	make(e, "f", S_IFREG | 0600);
	write_file(make(e, "g", S_IFREG | 0600), "text");
	changes_edit(c);
	ck_assert_int_eq(changes_reset(c, name_of(c->root, "d")), 0);
	changes_edit_end(c);
	ck_assert_ptr_null(name_of(c->root, "d"));
	ck_assert_uint_eq(c->count, 1);
	ck_assert(changes_untouched(c));
	check_survives();
}
END_TEST

/* -- the journal --------------------------------------------------------------------- */

static int collect(void *ctx, const struct fs_journal_entry *e)
{
	static const char *const kinds[] = { "create", "modify", "remove",
					     "rename", "attrs", "reset" };

	buf_printf(ctx, "%s %s%s%s\n", kinds[e->kind], e->from ? e->from : "",
		   e->from ? ">" : "", e->path);
	return 0;
}

static int since(struct fs_clock *at, char **ret)
{
	struct buf b = BUF_INIT;
	int rc = journal_read(c->journal, *at, 0, collect, &b, at);

	*ret = buf_steal(&b);
	return rc;
}

static void expect(struct fs_clock *at, const char *text)
{
	cleanup_free char *got = NULL;

	ck_assert_int_eq(since(at, &got), 0);
	ck_assert_str_eq(got ? got : "", text);
}

START_TEST(the_journal_tells_in_order)
{
	struct fs_clock at = { 0 }, old, none = { 0 };
	struct cnode *f;

	expect(&at, "");
	ck_assert_uint_ne(at.generation, 0);
	old = at;
	make(c->root, "d", S_IFDIR | 0700);
	f = make(c->root, "f", S_IFREG | 0600);
	write_file(f, "one");
	move(c->root, "f", name_of(c->root, "d")->node, "g", 0);
	drop(name_of(c->root, "d")->node, "g");
	expect(&at, "create d\ncreate f\nmodify f\nrename f>d/g\n"
		    "remove d/g\n");
	expect(&at, "");
	crash_and_open();
	expect(&at, "");
	changes_close(c);
	open_changes();
	expect(&old, "create d\ncreate f\nmodify f\nrename f>d/g\n"
		     "remove d/g\n");
	expect(&none, "");
	ck_assert_uint_eq(none.generation, at.generation);
}
END_TEST

START_TEST(writes_are_told_again_once_asked_for)
{
	struct fs_clock at = { 0 };
	struct cnode *f = make(c->root, "f", S_IFREG | 0600);
	struct upper_fd fd;

	write_file(f, "one");
	expect(&at, "");
	ck_assert_int_eq(upper_get(c->upper, f->v.file, &fd), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(changes_wrote(c, f, fd.fd), 0);
	expect(&at, "modify f\n");
	ck_assert_int_eq(changes_wrote(c, f, fd.fd), 0);
	upper_put(c->upper, &fd);
	crash_and_open();
	expect(&at, "modify f\n");
}
END_TEST

START_TEST(too_old_is_said)
{
	struct fs_clock at = { 0 }, wrong;
	char name[16], *text = NULL;

	expect(&at, "");
	wrong = (struct fs_clock){ at.generation + 1, at.seq };
	ck_assert_int_eq(since(&wrong, &text), -ESTALE);
	free(text);
	wrong = (struct fs_clock){ at.generation, at.seq + 1000000 };
	ck_assert_int_eq(since(&wrong, &text), -ESTALE);
	free(text);
	for (int i = 0; i < 70000; i++) {
		snprintf(name, sizeof(name), "%d", i % 10);
		journal_add(c->journal, 1000 + (uint64_t)i, FS_JOURNAL_MODIFY,
			    false, xstrdup(name), NULL);
	}
	ck_assert_int_eq(since(&at, &text), -ESTALE);
	free(text);
}
END_TEST

static void *late_change(void *arg)
{
	(void)arg;
	usleep(30000);
	make(c->root, "late", S_IFREG | 0600);
	return NULL;
}

START_TEST(a_reader_may_wait)
{
	struct fs_clock at = { 0 };
	struct buf b = BUF_INIT;
	pthread_t t;

	expect(&at, "");
	pthread_create(&t, NULL, late_change, NULL);
	ck_assert_int_eq(journal_read(c->journal, at, INT64_MAX, collect, &b,
				      &at), 0);
	ck_assert_str_eq(buf_str(&b), "create late\n");
	buf_done(&b);
	pthread_join(t, NULL);
}
END_TEST

/* -- at random --------------------------------------------------------------------- */

#define STEPS 400

static uint32_t seed;

static uint32_t any(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* The model: paths and what they are, moved by text alone. */
struct entry {
	char path[200];
	uint64_t ino;
	bool dir;
};
static struct entry model[400];
static size_t entries;

static struct cnode *at_path(const char *path)
{
	cleanup_free char *copy = xstrdup(path);
	struct cnode *n = c->root;
	char *p = copy;

	while (*p) {
		size_t len = strcspn(p, "/");

		n = changes_name(n, p, len)->node;
		p += len + (p[len] == '/');
	}
	return n;
}

static const char *any_dir(void)
{
	for (int i = 0; i < 8 && entries; i++) {
		const struct entry *e = &model[any((uint32_t)entries)];

		if (e->dir && strlen(e->path) < 60)
			return e->path;
	}
	return "";
}

static struct entry *lookup(const char *path)
{
	for (size_t i = 0; i < entries; i++)
		if (!strcmp(model[i].path, path))
			return &model[i];
	return NULL;
}

static bool has_children(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < entries; i++)
		if (!strncmp(model[i].path, path, len) &&
		    model[i].path[len] == '/')
			return true;
	return false;
}

static void remove_entry(struct entry *e)
{
	*e = model[--entries];
}

static void full(char out[200], const char *d, const char *name)
{
	snprintf(out, 200, "%.180s%s%.9s", d, *d ? "/" : "", name);
}

static void random_create(const char *d, const char *name)
{
	struct entry *e = &model[entries];
	bool is_dir = any(3) == 0;

	full(e->path, d, name);
	if (lookup(e->path) || entries + 1 >= ARRAY_SIZE(model))
		return;
	e->dir = is_dir;
	e->ino = make(at_path(d), name,
		      is_dir ? S_IFDIR | 0700 : S_IFREG | 0600)->v.ino;
	entries++;
}

static void random_remove(void)
{
	struct entry *e = &model[any((uint32_t)entries)];
	char *slash = strrchr(e->path, '/');
	char d[200];

	if (has_children(e->path))
		return;
	snprintf(d, sizeof(d), "%s", e->path);
	d[slash ? slash - e->path : 0] = '\0';
	drop(at_path(d), slash ? slash + 1 : e->path);
	remove_entry(e);
}

static void random_move(const char *to_dir, const char *name)
{
	struct entry *e = &model[any((uint32_t)entries)], *there;
	char *slash = strrchr(e->path, '/');
	char d[200], from[200], to[200], rest[200];
	size_t len;

	snprintf(from, sizeof(from), "%s", e->path);
	snprintf(d, sizeof(d), "%s", e->path);
	d[slash ? slash - e->path : 0] = '\0';
	full(to, to_dir, name);
	len = strlen(from);
	there = lookup(to);
	if (!strcmp(from, to) ||
	    (!strncmp(to, from, len) && to[len] == '/') ||
	    (there && (has_children(to) || there->dir != e->dir)))
		return;
	move(at_path(d), slash ? from + (slash - e->path) + 1 : from,
	     at_path(to_dir), name, 0);
	if (there)
		remove_entry(there);
	for (size_t i = 0; i < entries; i++) {
		char *p = model[i].path;

		if (!strncmp(p, from, len) && (!p[len] || p[len] == '/')) {
			snprintf(rest, sizeof(rest), "%s", p + len);
			ck_assert_uint_lt(strlen(to) + strlen(rest), 200);
			snprintf(p, 200, "%.*s%.*s", 100, to, 99, rest);
		}
	}
}

static void random_attr(void)
{
	struct cnode *n = at_path(model[any((uint32_t)entries)].path);
	struct cvalue v = n->v;
	char value[16];

	changes_edit(c);
	if (any(2)) {
		v.mode = (v.mode & S_IFMT) | any(01000);
		v.mtim = any(100000);
		ck_assert_int_eq(changes_attr(c, n, &v), 0);
	} else {
		snprintf(value, sizeof(value), "%u", any(1000));
		ck_assert_int_eq(changes_xattr(c, n, "user.x", value,
					       strlen(value)), 0);
	}
	changes_edit_end(c);
}

static void random_step(void)
{
	char name[8], d[200];

	snprintf(name, sizeof(name), "n%u", any(9));
	snprintf(d, sizeof(d), "%s", any_dir());
	switch (entries ? any(6) : 0) {
	case 0:
	case 1:
		random_create(d, name);
		break;
	case 2:
		random_remove();
		break;
	case 3:
	case 4:
		random_move(d, name);
		break;
	default:
		random_attr();
	}
}

static void check_model(void)
{
	size_t reached = c->count - 1;

	ck_assert_uint_eq(reached, entries);
	for (size_t i = 0; i < entries; i++) {
		struct cnode *n = at_path(model[i].path);
		cleanup_free char *path = changes_path(n, NULL);

		ck_assert_str_eq(path, model[i].path);
		ck_assert_uint_eq(n->v.ino, model[i].ino);
		ck_assert(!n->dir == !model[i].dir);
	}
}

START_TEST(random_edits_are_as_modelled)
{
	seed = (uint32_t)_i * 7919 + 1;
	entries = 0;
	for (int i = 0; i < STEPS; i++) {
		random_step();
		if (i % 50 == 0)
			check_model();
		if (i % 170 == 0)
			ck_assert_int_eq(changes_checkpoint(c), 0);
		if (i % 130 == 0)
			check_survives();
	}
	check_model();
	check_survives();
}
END_TEST

/* The log cut at any byte is the state after some number of edits, and never
 * one that was not. */
START_TEST(any_cut_is_a_state_that_was)
{
	cleanup_free char *log = NULL, *was = NULL;
	char *pictures[120], path[128], copy[80];
	uint64_t ends[120];
	size_t n = 0, len, at = 0;

	seed = 4711;
	entries = 0;
	while (n < ARRAY_SIZE(pictures)) {
		uint64_t before = wal_size(c->wal);

		if (n)
			random_step();
		if (n && wal_size(c->wal) == before)
			continue;
		ends[n] = wal_size(c->wal);
		pictures[n++] = picture();
	}
	changes_abandon(c);
	snprintf(path, sizeof(path), "%s/log.%016x", dir, 1);
	ck_assert_int_eq(path_read(path, 1 << 20, &log, &len), 0);
	ck_assert_uint_eq(len, ends[n - 1]);
	snprintf(copy, sizeof(copy), "%s/cut", dir);
	snprintf(path, sizeof(path), "%s/log.%016x", copy, 1);
	ck_assert_int_eq(mkdir(copy, 0700), 0);
	for (size_t cut = ends[0]; cut <= len; cut += 1 + cut % 19) {
		ck_assert_int_eq(path_empty_dir(copy), 0);
		ck_assert_int_eq(path_write(path, log, cut, 0600, false), 0);
		while (at + 1 < n && ends[at + 1] <= cut)
			at++;
		ck_assert_int_eq(try_open(copy), 0);
		was = picture();
		ck_assert_str_eq(was, pictures[at]);
		free(steal(&was));
		changes_abandon(c);
	}
	for (size_t i = 0; i < n; i++)
		free(pictures[i]);
	open_changes();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("changes");
	TCase *t = tcase_create("changes");
	SRunner *sr = srunner_create(s);
	int failed;

	log_set_level("error");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, names_of_their_own);
	tcase_add_test(t, removing_a_lower_name_leaves_a_tombstone);
	tcase_add_test(t, a_moved_lower_directory_takes_its_tree_along);
	tcase_add_test(t, hard_links_count);
	tcase_add_test(t, a_replaced_file_that_is_known_lives_on);
	tcase_add_test(t, content_files_say_size_and_time);
	tcase_add_test(t, left_over_content_files_go);
	tcase_add_test(t, listing_positions_are_stable);
	tcase_add_test(t, reset_shows_the_lower_name_again);
	tcase_add_test(t, the_journal_tells_in_order);
	tcase_add_test(t, writes_are_told_again_once_asked_for);
	tcase_add_test(t, too_old_is_said);
	tcase_add_test(t, a_reader_may_wait);
	tcase_add_loop_test(t, random_edits_are_as_modelled, 0, 3);
	tcase_add_test(t, any_cut_is_a_state_that_was);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
