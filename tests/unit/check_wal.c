/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/wal.h"

#include "core/error.h"
#include "core/path.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>

#define RECORDS 20

static char dir[64];

static void setup(void)
{
	/* in memory where there is such a place: this opens it 1000 times */
	snprintf(dir, sizeof(dir), "%s/check_wal.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	ck_assert_int_eq(path_empty_dir(dir), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

struct seen {
	uint32_t n; /* records in order */
	uint32_t snapshot;
	uint64_t last;
};

/* Record number i has type i % 900 + 1 and i bytes of value i. */
static int see(void *ctx, uint32_t type, uint64_t seq, const uint8_t *p,
	       size_t n)
{
	struct seen *s = ctx;

	if (!seq) {
		s->snapshot++;
		ck_assert_uint_eq(type, 7);
		return 0;
	}
	if (s->last)
		ck_assert_uint_eq(seq, s->last + 1);
	s->last = seq;
	s->n++;
	ck_assert_uint_eq(type, seq % 900 + 1);
	ck_assert_uint_eq(n, seq);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(p[i], seq & 0xff);
	return 0;
}

static struct wal *open_wal(struct seen *s, struct wal_found *found)
{
	struct wal *w = NULL;

	*s = (struct seen){ 0 };
	ck_assert_int_eq(wal_open(dir, see, s, &w, found), 0);
	return w;
}

static void append(struct wal *w, uint64_t number)
{
	uint8_t data[4096];
	uint64_t seq;

	memset(data, (int)(number & 0xff), sizeof(data));
	ck_assert_int_eq(wal_append(w, (uint32_t)(number % 900 + 1), data,
				    number, &seq), 0);
	ck_assert_uint_eq(seq, number);
}

START_TEST(what_was_appended_is_read_back)
{
	struct wal_found found;
	struct seen s;
	struct wal *w = open_wal(&s, &found);

	ck_assert(found.fresh);
	for (uint64_t i = 1; i <= RECORDS; i++)
		append(w, i);
	ck_assert_int_eq(wal_sync(w, wal_seq(w)), 0);
	wal_close(w);
	w = open_wal(&s, &found);
	ck_assert(!found.fresh);
	ck_assert_uint_eq(found.torn_bytes, 0);
	ck_assert_uint_eq(s.n, RECORDS);
	append(w, RECORDS + 1);
	wal_close(w);
	wal_close(open_wal(&s, &found));
	ck_assert_uint_eq(s.n, RECORDS + 1);
}
END_TEST

static void log_path(char out[128], unsigned number)
{
	snprintf(out, 128, "%s/log.%016x", dir, number);
}

/* A log cut anywhere, or with a flipped bit, gives a prefix, and goes on. */
START_TEST(any_cut_gives_a_prefix)
{
	cleanup_free char *whole = NULL;
	uint64_t ends[RECORDS + 1];
	struct wal_found found;
	struct seen s;
	struct wal *w = open_wal(&s, &found);
	char path[128];
	size_t len;

	ends[0] = wal_size(w);
	for (uint64_t i = 1; i <= RECORDS; i++) {
		append(w, i);
		ends[i] = wal_size(w);
	}
	wal_close(w);
	log_path(path, 1);
	ck_assert_int_eq(path_read(path, 1 << 20, &whole, &len), 0);
	ck_assert_uint_eq(len, ends[RECORDS]);
	for (size_t cut = 0; cut < 2 * len; cut++) { /* about 1400 opens */
		bool flip = cut >= len;
		size_t at = flip ? cut - len : cut, want = 0;
		char saved = whole[at];

		while (want < RECORDS && ends[want + 1] <= at)
			want++;
		if (at < ends[0])
			want = 0;
		whole[at] ^= flip ? 0x10 : 0;
		path_write(path, whole, flip ? len : at, 0600, false);
		whole[at] = saved;
		w = open_wal(&s, &found);
		if (at >= ends[0] || !flip)
			ck_assert_uint_eq(s.n, want);
		append(w, s.n + 1);
		wal_close(w);
		wal_close(open_wal(&s, &found));
		ck_assert_uint_eq(found.torn_bytes, 0);
	}
}
END_TEST

static void checkpoint(struct wal *w, unsigned records, bool end)
{
	struct wal_checkpoint *c;

	ck_assert_int_eq(wal_checkpoint_begin(w, &c), 0);
	for (unsigned i = 0; i < records; i++)
		wal_checkpoint_put(c, 7, "snapshot", 8);
	if (end)
		ck_assert_int_eq(wal_checkpoint_end(c), 0);
	else /* for the disk it is as if the process had died here */
		wal_checkpoint_drop(c);
}

START_TEST(a_checkpoint_replaces_the_log)
{
	struct wal_found found;
	struct seen s;
	struct wal *w = open_wal(&s, &found);
	char path[128];

	for (uint64_t i = 1; i <= 5; i++)
		append(w, i);
	checkpoint(w, 3, true);
	ck_assert_uint_lt(wal_size(w), 100);
	log_path(path, 1);
	ck_assert_int_ne(access(path, F_OK), 0);
	append(w, 6);
	ck_assert_int_eq(wal_sync(w, 6), 0);
	wal_close(w);
	w = open_wal(&s, &found);
	ck_assert_uint_eq(s.snapshot, 3);
	ck_assert_uint_eq(s.n, 1);
	ck_assert_uint_eq(s.last, 6);
	append(w, 7);
	wal_close(w);
}
END_TEST

/* A crash between begin and end: the old pair is whole. */
START_TEST(an_unfinished_checkpoint_changes_nothing)
{
	struct wal_found found;
	struct seen s;
	struct wal *w = open_wal(&s, &found);
	char path[128];

	for (uint64_t i = 1; i <= 4; i++)
		append(w, i);
	checkpoint(w, 2, true);
	append(w, 5);
	checkpoint(w, 9, false);
	append(w, 6);
	ck_assert_int_eq(wal_sync(w, 6), 0);
	snprintf(path, sizeof(path), "%s/checkpoint.new", dir);
	path_write(path, "half", 4, 0600, false);
	/* wal_close would be no crash, but what is on the disk is the same */
	wal_close(w);
	w = open_wal(&s, &found);
	ck_assert_uint_eq(s.snapshot, 2);
	ck_assert_uint_eq(s.n, 2);
	ck_assert_uint_eq(s.last, 6);
	append(w, 7);
	checkpoint(w, 1, true);
	wal_close(w);
	w = open_wal(&s, &found);
	ck_assert_uint_eq(s.snapshot, 1);
	ck_assert_uint_eq(s.n, 0);
	append(w, 8);
	wal_close(w);
}
END_TEST

/* Old logs that a crash left behind a finished checkpoint are skipped. */
START_TEST(left_over_logs_are_not_read)
{
	cleanup_free char *whole = NULL;
	struct wal_found found;
	struct seen s;
	struct wal *w = open_wal(&s, &found);
	char path[128];
	size_t len;

	append(w, 1);
	append(w, 2);
	log_path(path, 1);
	ck_assert_int_eq(path_read(path, 1 << 20, &whole, &len), 0);
	checkpoint(w, 1, true);
	append(w, 3);
	wal_close(w);
	path_write(path, whole, len, 0600, false);
	wal_close(open_wal(&s, &found));
	ck_assert_uint_eq(s.n, 1);
	ck_assert_uint_eq(s.last, 3);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_damaged_checkpoint_is_refused)
{
	cleanup_free char *whole = NULL;
	struct wal_found found;
	struct seen s;
	struct wal *w = open_wal(&s, &found);
	char path[128];
	size_t len;

	append(w, 1);
	checkpoint(w, 4, true);
	wal_close(w);
	snprintf(path, sizeof(path), "%s/checkpoint", dir);
	ck_assert_int_eq(path_read(path, 1 << 20, &whole, &len), 0);
	for (size_t cut = 0; cut < len; cut += 3) {
		path_write(path, whole, cut, 0600, false);
		ck_assert_int_eq(wal_open(dir, see, &s, &w, &found),
				 -EBADMSG);
	}
}
END_TEST

static void *sync_many(void *arg)
{
	struct wal *w = arg;

	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(wal_sync(w, wal_seq(w)), 0);
	return NULL;
}

START_TEST(syncs_beside_appends_and_checkpoints)
{
	struct wal_found found;
	pthread_t threads[3];
	struct seen s;
	struct wal *w = open_wal(&s, &found);

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, sync_many, w);
	for (uint64_t i = 1; i <= 300; i++) {
		append(w, i);
		if (i % 100 == 0)
			checkpoint(w, 1, true);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	wal_close(w);
}
END_TEST

START_TEST(a_removed_log_takes_nothing_more)
{
	struct wal_found found;
	struct seen s;
	struct wal *w = open_wal(&s, &found);
	char path[128], away[160];
	uint64_t seq;

	append(w, 1);
	log_path(path, 1);
	snprintf(away, sizeof(away), "%s/away", dir);
	ck_assert_int_eq(rename(path, away), 0);
	append(w, 2); /* elsewhere, but there */
	ck_assert_int_eq(wal_sync(w, 2), 0);
	ck_assert_int_eq(rename(away, path), 0);
	append(w, 3);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(wal_append(w, 1, "x", 1, &seq), -EIO);
	ck_assert_ptr_nonnull(strstr(error_text(-EIO), "removed"));
	ck_assert_int_eq(wal_sync(w, 3), -EIO);
	ck_assert_uint_eq(wal_seq(w), 3);
	wal_close(w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wal");
	TCase *t = tcase_create("wal");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_was_appended_is_read_back);
	tcase_add_test(t, any_cut_gives_a_prefix);
	tcase_add_test(t, a_checkpoint_replaces_the_log);
	tcase_add_test(t, an_unfinished_checkpoint_changes_nothing);
	tcase_add_test(t, left_over_logs_are_not_read);
	tcase_add_test(t, a_damaged_checkpoint_is_refused);
	tcase_add_test(t, a_removed_log_takes_nothing_more);
	tcase_add_test(t, syncs_beside_appends_and_checkpoints);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
