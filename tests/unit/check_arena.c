/* SPDX-License-Identifier: Apache-2.0 */
/* The table of inodes as a memfd: what another process finds in it. */
#include "core/base.h"

#include "fs/arena.h"

#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const uint32_t sizes[ARENA_KINDS] = { 56, 88 };

struct thing {
	uint64_t first, spare, value;
};

static struct thing *put(struct arena *a, uint64_t value)
{
	struct thing *t = arena_take(a, ARENA_NODE);

	t->first = t->value = value;
	return t;
}

static uint64_t seen(struct arena_image *i, const void *pointer)
{
	uint32_t chunk, slot;
	const struct thing *t;

	ck_assert(arena_locate(i, (uintptr_t)pointer, ARENA_NODE, &chunk,
			       &slot));
	t = arena_slot(i, chunk, slot);
	return t->value;
}

START_TEST(another_process_finds_every_object)
{
	struct arena *a = arena_new(sizes, true);
	struct thing *list[5000];
	struct arena_image i;
	uint32_t chunk, slot;

	for (size_t k = 0; k < ARRAY_SIZE(list); k++) {
		list[k] = put(a, k + 1);
		arena_take(a, ARENA_DIR);
	}
	ck_assert_int_ge(arena_fd(a), 0);
	ck_assert_int_eq(arena_open(arena_fd(a), sizes, &i), 0);
	for (size_t k = 0; k < ARRAY_SIZE(list); k++)
		ck_assert_uint_eq(seen(&i, list[k]), k + 1);
	/* not an object's address, not one of that kind, nobody's */
	ck_assert(!arena_locate(&i, (uintptr_t)list[3] + 8, ARENA_NODE,
				&chunk, &slot));
	ck_assert(!arena_locate(&i, (uintptr_t)list[3], ARENA_DIR, &chunk,
				&slot));
	ck_assert(!arena_locate(&i, 4096, ARENA_NODE, &chunk, &slot));
	arena_close(&i);
	arena_free(a);
}
END_TEST

START_TEST(a_change_of_many_is_seen_whole)
{
	struct arena *a = arena_new(sizes, true);
	struct thing *t = put(a, 1), *late;
	struct arena_image i;

	ck_assert_int_eq(arena_begin(a), 0);
	t->value = 2;
	for (int k = 0; k < 3000; k++) /* new chunks, behind the copy */
		put(a, 7);
	late = put(a, 9);
	ck_assert_int_eq(arena_open(arena_fd(a), sizes, &i), 0);
	ck_assert_uint_eq(seen(&i, t), 1);
	arena_close(&i);
	arena_commit(a);
	ck_assert_int_eq(arena_open(arena_fd(a), sizes, &i), 0);
	ck_assert_uint_eq(seen(&i, t), 2);
	ck_assert_uint_eq(seen(&i, late), 9);
	arena_close(&i);
	/* and again, with the file as that left it */
	ck_assert_int_eq(arena_begin(a), 0);
	late->value = 10;
	ck_assert_int_eq(arena_open(arena_fd(a), sizes, &i), 0);
	ck_assert_uint_eq(seen(&i, late), 9);
	arena_close(&i);
	arena_commit(a);
	arena_free(a);
}
END_TEST

START_TEST(what_was_given_back_is_taken_again)
{
	struct arena *a = arena_new(sizes, false);
	struct thing *t = put(a, 1);
	uint64_t before = arena_bytes(a);

	ck_assert_int_eq(arena_fd(a), -1);
	ck_assert_ptr_null(arena_head(a));
	t->first = 0;
	arena_give(a, ARENA_NODE, t);
	ck_assert_ptr_eq(put(a, 2), t);
	ck_assert_uint_eq(arena_bytes(a), before);
	arena_free(a);
}
END_TEST

/* -- what no table of ours is ----------------------------------------------------- */

static int file_of(const void *p, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
	return fd;
}

static uint8_t *copy_of(struct arena *a, size_t *ret_n)
{
	struct stat st;
	uint8_t *p;

	ck_assert_int_eq(fstat(arena_fd(a), &st), 0);
	p = xmalloc((size_t)st.st_size);
	ck_assert_int_eq(pread(arena_fd(a), p, (size_t)st.st_size, 0),
			 st.st_size);
	*ret_n = (size_t)st.st_size;
	return p;
}

static void refused(const void *p, size_t n)
{
	struct arena_image i;
	int fd = file_of(p, n);

	ck_assert_int_eq(arena_open(fd, sizes, &i), -EBADMSG);
	close(fd);
}

START_TEST(foreign_and_damaged_tables_are_refused)
{
	static const uint32_t others[ARENA_KINDS] = { 56, 96 };
	struct arena *a = arena_new(sizes, true);
	cleanup_free uint8_t *copy = NULL;
	struct arena_image i;
	struct arena_head *h;
	size_t n;

	put(a, 1);
	copy = copy_of(a, &n);
	h = (void *)copy;
	ck_assert_int_eq(arena_open(arena_fd(a), others, &i), -EBADMSG);
	refused("", 0);
	refused(copy, 4096);
	h->format++;
	refused(copy, n);
	h->format--;
	h->chunks = ARENA_CHUNKS + 1;
	refused(copy, n);
	h->chunks = 1;
	h->chunk[0].offset = UINT64_MAX - 4095;
	refused(copy, n);
	h->chunk[0].offset = h->end;
	refused(copy, n);
	h->chunk[0].offset = 0;
	h->chunk[0].slots = UINT32_MAX;
	refused(copy, n);
	h->undo = n;
	refused(copy, n);
	arena_free(a);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("arena");
	TCase *t = tcase_create("arena");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, another_process_finds_every_object);
	tcase_add_test(t, a_change_of_many_is_seen_whole);
	tcase_add_test(t, what_was_given_back_is_taken_again);
	tcase_add_test(t, foreign_and_damaged_tables_are_refused);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
