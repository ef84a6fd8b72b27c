/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon leaves of a mount, as the next one reads it. The text below is
 * format 1 as it was first released: it must stay readable, or be refused. */
#include "core/base.h"

#include "core/error.h"
#include "fs/arena.h"
#include "fs/keep.h"
#include "fs/node.h"

#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>

#define A20 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B20 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define REVISION(root) \
	"{\"spec\":\"main\",\"text\":\"1234\",\"label\":\"main\"," \
	"\"kind\":1,\"time_ns\":17,\"rev_root\":\"" A20 "\"," \
	"\"root\":\"" root "\"}"
#define MOUNT(format) \
	"/m/a\n{\"format\":" format ",\"id\":\"0123456789ab\"," \
	"\"source\":\"git+file:///r\",\"subdir\":\"\",\"dir\":\"/m/a\"," \
	"\"workspace\":\"a-1\",\"named\":true,\"uid\":5,\"gid\":6," \
	"\"read_only\":false,\"made_dir\":true,\"allow_other\":true," \
	"\"metadata\":0,\"created_ns\":3,\"time_ns\":4,\"init\":" \
	"\"070000002d0000000000100000000000\","

static struct node_table *table;
static struct scorpio_id root;

static void setup(void)
{
	root = (struct scorpio_id){ .len = 20 };
	memset(root.bytes, 0xaa, 20);
	table = node_table_new(&root, true);
}

static void teardown(void)
{
	node_table_free(table);
}

static int read_text(const char *text, struct kept_mount **ret)
{
	struct kept *x = xcalloc(1, sizeof(*x));

	for (size_t i = 0; i < KEEPER_FDS; i++)
		x->fd[i] = -1;
	x->fd[KEEP_NODES] = fcntl(node_table_fd(table), F_DUPFD_CLOEXEC, 3);
	x->text = xstrdup(text);
	return kept_mount_read(x, false, ret);
}

static void refused(const char *text, const char *why)
{
	struct kept_mount *k = NULL;

	ck_assert_int_eq(read_text(text, &k), -EBADMSG);
	ck_assert_ptr_null(k);
	ck_assert_ptr_nonnull(strstr(error_text(-EBADMSG), why));
}

START_TEST(the_first_format_is_read)
{
	struct kept_mount *k = NULL;
	int rc = read_text(MOUNT("1") "\"revision\":" REVISION(A20) "}", &k);

	ck_assert_msg(!rc, "%s", error_text(rc));
	ck_assert_str_eq(k->id, "0123456789ab");
	ck_assert_str_eq(k->source, "git+file:///r");
	ck_assert_str_eq(k->dir, "/m/a");
	ck_assert_str_eq(k->workspace, "a-1");
	ck_assert_str_eq(k->rev_spec, "main");
	ck_assert_str_eq(k->rev.text, "1234");
	ck_assert_int_eq(k->rev.time_ns, 17);
	ck_assert(k->named && k->made_dir && k->allow_other && !k->read_only);
	ck_assert_uint_eq(k->uid, 5);
	ck_assert_uint_eq(k->gid, 6);
	ck_assert_uint_eq(k->init_len, 16);
	ck_assert_mem_eq(&k->root, &root, 21);
	ck_assert_ptr_nonnull(k->nodes);
	kept_mount_free(k);
}
END_TEST

START_TEST(in_a_switch_the_inodes_decide)
{
	struct scorpio_id b = { .len = 20 };
	struct kept_mount *k = NULL;
	const char *text = MOUNT("1") "\"revision\":" REVISION(B20)
		",\"other\":" REVISION(A20) "}";

	memset(b.bytes, 0xbb, 20);
	ck_assert_int_eq(read_text(text, &k), 0);
	ck_assert_mem_eq(&k->root, &root, 21); /* it had not begun */
	kept_mount_free(k);
	node_switch_begin(table, &b);
	ck_assert_int_eq(read_text(text, &k), 0);
	ck_assert_mem_eq(&k->root, &root, 21); /* in the middle of it */
	kept_mount_free(k);
	node_switch_end(table);
	ck_assert_int_eq(read_text(text, &k), 0);
	ck_assert_mem_eq(&k->root, &b, 21);
	ck_assert(!node_switch_is_told(k->nodes));
	kept_mount_free(k);
}
END_TEST

START_TEST(others_are_refused_with_a_reason)
{
	refused(MOUNT("2") "\"revision\":" REVISION(A20) "}",
		"another format (2, this program reads 1)");
	refused(MOUNT("1") "\"revision\":{}}", "revision");
	refused("/m/a\n{\"format\":1}", "incomplete");
	refused("/m/a", "no text of ours");
	refused("/m/a\n[", "its state");
}
END_TEST

/* -- the inodes ---------------------------------------------------------------------- */

static struct node *enter(struct node *parent, const char *name,
			  uint32_t index, bool is_dir)
{
	struct node *n;

	node_lock(table);
	n = node_enter_locked(table, parent, name, strlen(name), index,
			      is_dir ? &root : NULL);
	node_unlock(table);
	return n;
}

START_TEST(inodes_are_the_same_in_the_next_process)
{
	struct node *d = enter(node_root(table), "d", 4, true);
	struct node *f = enter(d, "f", 2, false), *gone, *n;
	struct node_table *next;
	uint64_t nodes, bytes;

	enter(d, "f", 2, false);
	gone = enter(d, "gone", 3, false);
	node_forget(table, gone->ino, 1);
	ck_assert_int_eq(node_table_restore(node_table_fd(table), false, &next), 0);
	node_table_settle(next);
	node_count(next, &nodes, &bytes);
	ck_assert_uint_eq(nodes, 3);
	n = node_find(next, f->ino);
	ck_assert_ptr_nonnull(n);
	ck_assert_uint_eq(n->lookups, 2);
	ck_assert_uint_eq(n->index, 2);
	ck_assert_uint_eq(n->parent->ino, d->ino);
	ck_assert_uint_eq(n->parent->index, 4);
	ck_assert_ptr_eq(n->parent->parent, node_root(next));
	ck_assert_uint_eq(n->parent->dir->children, 1);
	node_forget(next, f->ino, 2);
	ck_assert_ptr_null(node_find(next, f->ino));
	node_table_free(next);
}
END_TEST

/* -- gone on with where it lies -------------------------------------------------- */

#define DIRS 40
#define FILES 200

/* Directories of files, and every seventh file forgotten again. */
static void fill(void)
{
	char name[16];

	for (uint32_t i = 0; i < DIRS; i++) {
		struct node *d;

		snprintf(name, sizeof(name), "d%u", i);
		d = enter(node_root(table), name, i, true);
		for (uint32_t k = 0; k < FILES; k++) {
			struct node *f;

			snprintf(name, sizeof(name), "f%u", k);
			f = enter(d, name, k, k % 50 == 0);
			if (k % 7 == 0)
				node_forget(table, f->ino, 1);
		}
	}
}

/* Its process is gone, its memory is not. The descriptor is the caller's. */
static int die(void)
{
	int fd = fcntl(node_table_fd(table), F_DUPFD_CLOEXEC, 3);

	ck_assert_int_ge(fd, 0);
	node_table_free(table);
	table = NULL;
	return fd;
}

/* The next process has what it left. */
static void go_on(int fd)
{
	ck_assert_int_eq(node_table_restore(fd, true, &table), 0);
	close(fd);
	node_table_settle(table);
}

/* Another table with the same in it. */
static struct node_table *copy_of(struct node_table *t, bool adopt)
{
	struct node_table *copy;

	ck_assert_int_eq(node_table_restore(node_table_fd(t), adopt, &copy), 0);
	node_table_settle(copy);
	return copy;
}

static void same_node(void *ctx, const struct node *n)
{
	const struct node *other = node_find(ctx, n->ino);

	ck_assert_ptr_nonnull(other);
	ck_assert_uint_eq(n->lookups, other->lookups);
	ck_assert_uint_eq(n->index, other->index);
	ck_assert_uint_eq(n->parent->ino, other->parent->ino);
	ck_assert_int_eq(!n->dir, !other->dir);
	if (n->dir) {
		ck_assert_uint_eq(n->dir->key, other->dir->key);
		ck_assert_uint_eq(n->dir->children, other->dir->children);
		ck_assert_mem_eq(&n->dir->tree, &other->dir->tree, 21);
	}
}

static void same_table(struct node_table *a, struct node_table *b)
{
	uint64_t n, m, bytes;

	node_count(a, &n, &bytes);
	node_count(b, &m, &bytes);
	ck_assert_uint_eq(n, m);
	node_each(a, same_node, b);
}

START_TEST(a_table_is_gone_on_with)
{
	struct node_table *copy;
	uint64_t n, bytes, after;
	uintptr_t was;
	int fd;

	fill();
	node_forget(table, enter(node_root(table), "gone", 99, true)->ino, 1);
	was = (uintptr_t)node_find(table, node_ino(NODE_ROOT, "d3", 2));
	copy = copy_of(table, false);
	fd = die();
	for (int i = 0; i < 3; i++) { /* one daemon after the other */
		go_on(fd);
		same_table(table, copy);
		ck_assert_uint_eq((uintptr_t)node_find(
					  table, node_ino(NODE_ROOT, "d3", 2)),
				  was);
		fd = die();
	}
	go_on(fd);
	/* what was given back is used again before there is more */
	node_count(table, &n, &bytes);
	enter(node_find(table, node_ino(NODE_ROOT, "d3", 2)), "new", 900,
	      true);
	node_count(table, &n, &after);
	ck_assert_uint_eq(bytes, after);
	node_table_free(copy);
}
END_TEST

START_TEST(what_was_half_made_is_let_go)
{
	struct node *d, *half, *lost;
	uint64_t half_ino, lost_ino, d_ino;
	int fd;

	fill();
	d = enter(node_root(table), "d", 4, true);
	half = enter(d, "half", 1, true);
	lost = enter(d, "lost", 2, false);
	d_ino = d->ino;
	half_ino = half->ino;
	lost_ino = lost->ino;
	half->parent = NULL;
	lost->parent = (struct node *)(uintptr_t)0x1000;
	d->lookups = 0;
	fd = die();
	go_on(fd);
	ck_assert_ptr_null(node_find(table, half_ino));
	ck_assert_ptr_null(node_find(table, lost_ino));
	ck_assert_ptr_null(node_find(table, d_ino)); /* nobody needs it */
	ck_assert_ptr_nonnull(node_find(table, node_ino(NODE_ROOT, "d3", 2)));
}
END_TEST

/* Where it cannot be gone on with, a new one has the same in it: its place is
 * in use, or what was there was written before it was known where it ends. */
START_TEST(a_table_that_must_be_copied)
{
	struct arena_head *h;
	struct node_table *next;
	int fd;

	fill();
	next = copy_of(table, true);
	same_table(next, table);
	fd = die();
	h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(h, MAP_FAILED);
	memset(h->used, 0, sizeof(h->used)); /* as before there was such */
	munmap(h, sizeof(*h));
	go_on(fd);
	same_table(table, next);
	node_table_free(next);
}
END_TEST

/* One whose pointers do not fit is copied, and nothing of it is lost before. */
START_TEST(a_damaged_table_is_copied)
{
	struct node *good, *bad;
	struct node_table *next;
	int fd;

	bad = enter(node_root(table), "bad", 98, true);
	good = enter(node_root(table), "good", 99, true);
	fill();
	bad->dir = good->dir; /* two nodes claim it */
	next = copy_of(table, false);
	fd = die();
	go_on(fd);
	same_table(table, next);
	node_table_free(next);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keep");
	TCase *t = tcase_create("keep");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_first_format_is_read);
	tcase_add_test(t, in_a_switch_the_inodes_decide);
	tcase_add_test(t, others_are_refused_with_a_reason);
	tcase_add_test(t, inodes_are_the_same_in_the_next_process);
	tcase_add_test(t, a_table_is_gone_on_with);
	tcase_add_test(t, what_was_half_made_is_let_go);
	tcase_add_test(t, a_table_that_must_be_copied);
	tcase_add_test(t, a_damaged_table_is_copied);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
