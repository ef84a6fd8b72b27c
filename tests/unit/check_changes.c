/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/changes_test.h"

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

START_TEST(a_number_is_given_again)
{
	/* of the revision, so its number is a function of its path */
	adopt(c->root, "f", 77, SCORPIO_FILE);
	drop(c->root, "f");
	changes_edit(c);
	ck_assert_int_eq(changes_reset(c, name_of(c->root, "f")), 0);
	changes_edit_end(c);
	adopt(c->root, "f", 77, SCORPIO_FILE);
	check_survives();
}
END_TEST

static void settle_as(struct cnode *n, const char *path, uint8_t kind,
		      uint16_t mode, const char *names, uint32_t names_len)
{
	struct settled s = { .id = { .len = 20 }, .kind = kind, .mode = mode,
			     .path = path, .names = names,
			     .names_len = names_len };
	uint64_t file, was = n->v.file;

	changes_edit(c);
	ck_assert_int_eq(changes_settle(c, n, &s, &file), 0);
	ck_assert_uint_eq(file, was);
	changes_edit_end(c);
	upper_remove(c->upper, file);
}

START_TEST(settled_files_and_directories)
{
	static const char names[] = "\1\1f\0\2\1x";
	struct cnode *d, *f;
	uint64_t ino;

	adopt(c->root, "d", 99, SCORPIO_DIR);
	drop(c->root, "d");
	d = make(c->root, "d", S_IFDIR | 0755);
	f = make(d, "f", S_IFREG | 0644);
	make(d, "own", S_IFREG | 0644);
	write_file(f, "text");
	ino = f->v.ino;
	settle_as(d, "d", SCORPIO_DIR, 0755, names, sizeof(names));
	settle_as(f, "d/f", SCORPIO_FILE, 0644, NULL, 0);
	ck_assert_uint_eq(f->v.ino, ino);
	ck_assert_uint_eq(f->v.size, 4);
	ck_assert_int_eq(f->v.content, CONTENT_LOWER);
	ck_assert_ptr_null(name_of(d, "x")->node);
	/* listed where it was: a reader in the middle misses nothing */
	ck_assert_uint_ne(name_of(d, "f")->cookie, 0);
	check_survives();
	d = name_of(c->root, "d")->node;
	drop(d, "f");
	ck_assert_ptr_nonnull(name_of(d, "f")); /* the revision has it */
	drop(d, "own");
	ck_assert_ptr_null(name_of(d, "own"));
	ck_assert(!changes_untouched(c));
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

static int count_entry(void *ctx, const struct fs_journal_entry *e)
{
	(void)e;
	++*(unsigned *)ctx;
	return 0;
}

START_TEST(as_many_of_one_number_as_there_are)
{
	struct fs_clock at = journal_now(c->journal), first = at;
	unsigned n = 0;

	/* more than a batch, in front of one and behind one */
	for (int i = 0; i < 200; i++)
		journal_add(c->journal, at.seq + 1, FS_JOURNAL_MODIFY, false,
			    xstrdup("a"), NULL);
	for (int i = 0; i < 700; i++)
		journal_add(c->journal, at.seq + 2, FS_JOURNAL_MODIFY, false,
			    xstrdup("b"), NULL);
	journal_add(c->journal, at.seq + 3, FS_JOURNAL_MODIFY, false,
		    xstrdup("c"), NULL);
	ck_assert_int_eq(journal_read(c->journal, at, 0, count_entry, &n,
				      &at), 0);
	ck_assert_uint_eq(n, 901);
	ck_assert_uint_eq(at.seq, first.seq + 3);
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
	tcase_add_test(t, a_number_is_given_again);
	tcase_add_test(t, settled_files_and_directories);
	tcase_add_test(t, the_journal_tells_in_order);
	tcase_add_test(t, as_many_of_one_number_as_there_are);
	tcase_add_test(t, writes_are_told_again_once_asked_for);
	tcase_add_test(t, too_old_is_said);
	tcase_add_test(t, a_reader_may_wait);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
