/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold when things break: never a wrong byte, always a way on. */
#include "tests/unit/store_test.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

static char *file_of(const struct fixture *f, const char *name)
{
	return xasprintf("%s/%s", f->dir, name);
}

static struct buf slurp(const char *path)
{
	cleanup_file FILE *in = fopen(path, "r");
	struct buf b = BUF_INIT;
	struct stat st;

	ck_assert_ptr_nonnull(in);
	ck_assert_int_eq(fstat(fileno(in), &st), 0);
	buf_reserve(&b, (size_t)st.st_size + 1);
	b.len = fread(b.data, 1, (size_t)st.st_size, in);
	return b;
}

static void spit(const char *path, const void *p, size_t n)
{
	cleanup_file FILE *out = fopen(path, "w");

	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(p, 1, n, out), n);
}

static void flip(const char *path, size_t at)
{
	cleanup_fd int fd = open(path, O_RDWR);
	uint8_t c;

	ck_assert_int_eq(pread(fd, &c, 1, (off_t)at), 1);
	c ^= 0x55;
	ck_assert_int_eq(pwrite(fd, &c, 1, (off_t)at), 1);
}

/* -- killed writers ------------------------------------------------------ */

static size_t killed_size(unsigned n)
{
	return n % 7 * 30000 + n;
}

static void write_until_killed(const struct fixture *f, int report)
{
	struct fixture mine = *f;

	fixture_start(&mine);
	for (unsigned n = 0;; n++) {
		put_ok(&mine, n, killed_size(n), SCORPIO_ID_GIT, true);
		if (n % 5 == 4) {
			ok(store_flush(mine.s, DEADLINE_NONE));
			if (write(report, &n, sizeof(n)) != sizeof(n))
				_exit(1);
		}
	}
}

START_TEST(killed_writer)
{
	struct fixture f;

	fixture_open(&f, 64 * MiB);
	store_close(f.s);
	for (int round = 0; round < 4; round++) {
		unsigned last = 0, n;
		int fds[2], status;
		pid_t pid;

		ck_assert_int_eq(pipe(fds), 0);
		pid = fork();
		if (!pid)
			write_until_killed(&f, fds[1]);
		close(fds[1]);
		while (last < 20u + 17 * (unsigned)round) {
			ck_assert_int_eq(read(fds[0], &n, sizeof(n)),
					 sizeof(n));
			last = n;
		}
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		while (read(fds[0], &n, sizeof(n)) == sizeof(n))
			last = n;
		close(fds[0]);
		fixture_start(&f);
		ck_assert_ptr_null(store_notice(f.s));
		for (n = 0; n < last + 40; n++) {
			int there = look(&f, n, killed_size(n), SCORPIO_ID_GIT);

			if (n <= last) /* reported as committed */
				ck_assert_int_eq(there, 1);
		}
		store_close(f.s);
	}
	fixture_start(&f);
	fixture_close(&f);
}
END_TEST

/* -- flipped bytes ------------------------------------------------------- */

static struct store_key name_tree(struct fixture *f)
{
	struct scorpio_id id = { .len = 20, .bytes = "a tree" };

	return store_key(f->space, &id);
}

static void put_name_tree(struct fixture *f)
{
	struct tree_builder *b = tree_builder_new();
	struct store_key k = name_tree(f);
	struct scorpio_entry e = { .kind = SCORPIO_FILE, .mode = 0644 };
	struct buf rec = BUF_INIT;

	e.name = "PATTERN_OF_A_TREE";
	e.name_len = 17;
	e.id.len = 20;
	ok(tree_builder_add(b, &e));
	ok(tree_builder_finish(b, store_key_seed(&k), &rec));
	ok(store_put_tree(f->s, &k, &rec, NULL, NULL));
	tree_builder_free(b);
}

static int look_name_tree(struct fixture *f)
{
	struct store_key k = name_tree(f);
	struct store_reader r;
	struct tree_view v;
	int there = 0;

	ok(store_read_begin(f->s, &r));
	if (!store_tree(&r, &k, &v)) {
		ck_assert_int_eq(tree_find(&v, "PATTERN_OF_A_TREE", 17), 0);
		there = 1;
	}
	store_read_end(&r);
	return there;
}

#define SMALL  1500u
#define MEDIUM 180000u
#define LARGE  (12u * 65536u)

static void put_all(struct fixture *f)
{
	put_name_tree(f);
	put_ok(f, 1, SMALL, SCORPIO_ID_SHA256, true);
	put_ok(f, 2, MEDIUM, SCORPIO_ID_SHA256, true);
	put_ok(f, 3, LARGE, SCORPIO_ID_SHA256, true);
	ok(store_put_value(f->s, "value", "PATTERN_OF_A_VALUE", 18));
	ok(store_flush(f->s, DEADLINE_NONE));
}

static unsigned look_all(struct fixture *f)
{
	struct buf b = BUF_INIT;
	unsigned n = 0;
	int r;

	n += (unsigned)look_name_tree(f);
	n += (unsigned)look(f, 1, SMALL, SCORPIO_ID_SHA256);
	n += (unsigned)look(f, 2, MEDIUM, SCORPIO_ID_SHA256);
	n += (unsigned)look(f, 3, LARGE, SCORPIO_ID_SHA256);
	r = store_get_value(f->s, "value", &b);
	if (!r) {
		ck_assert_uint_eq(b.len, 18);
		ck_assert_int_eq(memcmp(b.data, "PATTERN_OF_A_VALUE", 18), 0);
		n++;
	} else {
		ck_assert_int_eq(r, -ENOENT);
	}
	buf_done(&b);
	return n;
}

/* Flip one byte at each place where the pattern is. */
static unsigned try_pattern(struct fixture *f, const char *file,
			    const struct buf *sound, const void *pattern,
			    size_t len)
{
	const uint8_t *p = sound->data;
	unsigned found = 0;
	size_t left = sound->len;

	while ((p = memmem(p, left, pattern, len))) {
		struct store_stats st;
		unsigned there;

		spit(file, sound->data, sound->len);
		flip(file, (size_t)(p - sound->data) + 5);
		fixture_start(f);
		there = look_all(f);
		ck_assert_uint_ge(there, 3);
		put_all(f); /* what is refetched is there again */
		ck_assert_uint_eq(look_all(f), 5);
		ok(store_stat(f->s, &st));
		if (there < 4) /* not only an old copy on a free page */
			ck_assert_uint_ge(st.damaged_records, 1);
		store_close(f->s);
		if (there < 5)
			found++;
		p++;
		left = sound->len - (size_t)(p - sound->data);
	}
	return found;
}

START_TEST(every_kind_of_record)
{
	cleanup_free uint8_t *small = content(1, SMALL);
	cleanup_free uint8_t *medium = content(2, MEDIUM);
	cleanup_free uint8_t *large = content(3, LARGE);
	cleanup_free char *file = NULL;
	uint8_t hash[3][SHA256_LEN];
	uint64_t size = MEDIUM;
	struct fixture f;
	struct buf sound;

	hash_bytes(HASH_SHA256, small, SMALL, hash[0]);
	hash_bytes(HASH_SHA256, medium, MEDIUM, hash[1]);
	hash_bytes(HASH_SHA256, large + 5 * 65536, 65536, hash[2]);
	fixture_open(&f, 64 * MiB);
	put_all(&f);
	store_close(f.s);
	file = file_of(&f, "data.mdb");
	sound = slurp(file);
	/* tree, value */
	ck_assert_uint_ge(
		try_pattern(&f, file, &sound, "PATTERN_OF_A_TREE", 17), 1);
	ck_assert_uint_ge(
		try_pattern(&f, file, &sound, "PATTERN_OF_A_VALUE", 18), 1);
	/* blob record of one chunk, and the index entry of that chunk */
	ck_assert_uint_ge(try_pattern(&f, file, &sound, hash[0], 32), 2);
	/* blob record with an inline list */
	ck_assert_uint_ge(try_pattern(&f, file, &sound, hash[1], 32), 1);
	/* segment, and the index entry of its chunk */
	ck_assert_uint_ge(try_pattern(&f, file, &sound, hash[2], 32), 2);
	/* sizes inside a blob record */
	ck_assert_uint_ge(try_pattern(&f, file, &sound, &size, 8), 1);
	/* payload */
	ck_assert_uint_ge(try_pattern(&f, file, &sound, small + 800, 8), 1);
	buf_done(&sound);
	remove_tree(f.dir);
}
END_TEST

START_TEST(verify_finds_and_repairs)
{
	cleanup_free uint8_t *small = content(1, SMALL);
	cleanup_free char *file = NULL;
	struct store_verify v;
	struct fixture f;
	struct buf sound;
	uint8_t *p;

	fixture_open(&f, 64 * MiB);
	put_all(&f);
	ok(store_verify(f.s, false, NULL, NULL, &v));
	ck_assert_uint_eq(v.damaged, 0);
	ck_assert_uint_eq(v.trees, 1);
	ck_assert_uint_eq(v.blobs, 3);
	ck_assert_uint_eq(v.chunks, 1 + 3 + 12);
	store_close(f.s);
	file = file_of(&f, "data.mdb");
	sound = slurp(file);
	p = sound.data;
	while ((p = memmem(p, sound.len - (size_t)(p - sound.data), small + 800,
			   4))) /* old copies on free pages too */
		flip(file, (size_t)(p++ - sound.data));
	buf_done(&sound);
	fixture_start(&f);
	ok(store_verify(f.s, false, NULL, NULL, &v));
	ck_assert_uint_eq(v.damaged, 1);
	ck_assert_uint_eq(v.repaired, 0);
	ok(store_verify(f.s, true, NULL, NULL, &v));
	ck_assert_uint_eq(v.damaged, 1);
	ck_assert_uint_eq(v.repaired, 1);
	ok(store_verify(f.s, true, NULL, NULL, &v));
	ck_assert_uint_eq(v.damaged, 0);
	ck_assert_uint_eq(look_all(&f), 4);
	fixture_close(&f);
}
END_TEST

/* -- broken structure ---------------------------------------------------- */

#define TINY 120u

static size_t tiny_size(unsigned n)
{
	return n % 10 == 9 ? 30000 : 200 + n % 5 * 500;
}

static void fill_tiny(struct fixture *f)
{
	for (unsigned i = 0; i < TINY; i++)
		put_ok(f, i, tiny_size(i), SCORPIO_ID_SHA256, true);
	put_name_tree(f);
	ok(store_flush(f->s, DEADLINE_NONE));
}

#define FLIPS 24
#define WRONG 3 /* exit code of the child: a wrong byte was read */

static void flip_page(const char *file, size_t at, uint64_t x)
{
	for (int i = 0; i < FLIPS; i++) { /* the header more often */
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		flip(file, at + (x >> 33) % (i % 2 ? 4096 : 64));
	}
}

/* there in builds with a sanitizer only */
void __sanitizer_set_report_path(const char *path) __attribute__((weak));

/* In a child: open, read everything, write. 0: never a wrong byte. */
static void use_broken(const struct fixture *f, const char *file, size_t at,
		       bool live)
{
	struct store_options o = { .path = f->dir, .max_bytes = f->max };
	struct fixture mine = *f;

	if (!freopen("/dev/null", "w", stderr)) /* LMDB's last words */
		_exit(1);
	if (live && __sanitizer_set_report_path) /* it may crash there */
		__sanitizer_set_report_path("/dev/null");
	signal(SIGALRM, SIG_DFL);
	alarm(1); /* a hang counts as a crash */
	if (!live)
		flip_page(file, at, at + 1);
	if (store_open(&o, &mine.s))
		_exit(0);
	if (live)
		flip_page(file, at, at + 1);
	if (store_space(mine.s, "test", &mine.space))
		_exit(0);
	for (unsigned i = 0; i < TINY; i++) {
		cleanup_free uint8_t *want = content(i, tiny_size(i));
		cleanup_free uint8_t *have = xmalloc(tiny_size(i));
		struct scorpio_id id =
			content_id(i, want, tiny_size(i), SCORPIO_ID_SHA256);
		struct store_key k = store_key(f->space, &id);
		struct store_reader r;
		int64_t n;

		if (store_read_begin(mine.s, &r))
			_exit(0);
		n = store_blob_read(&r, &k, 0, have, tiny_size(i));
		if (n >= 0 && ((size_t)n != tiny_size(i) ||
			       memcmp(have, want, (size_t)n)))
			_exit(WRONG);
		store_read_end(&r);
	}
	put(&mine, 5000, 1000, SCORPIO_ID_SHA256, true, NULL, NULL);
	store_flush(mine.s, deadline_in_ms(700));
	store_close(mine.s);
	_exit(0);
}

struct broken {
	unsigned runs, crashes, wrong;
};

/* Break each page in turn: under a live store, or before it is opened and with
 * the note that damage was seen, so that the check may take its time. */
static struct broken break_pages(bool live, unsigned step)
{
	static const char mark[] = "pid 1\nstate clean\ndamaged 1\n";
	cleanup_free char *file = NULL, *lock = NULL;
	struct broken b = { 0 };
	struct fixture f;
	struct buf sound;

	fixture_open(&f, 8 * MiB);
	fill_tiny(&f);
	store_close(f.s);
	file = file_of(&f, "data.mdb");
	lock = file_of(&f, "lock");
	sound = slurp(file);
	for (size_t at = 0; at < sound.len; at += 4096 * step) {
		int status;
		pid_t pid;

		spit(file, sound.data, sound.len);
		spit(lock, mark, sizeof(mark) - 1);
		pid = fork();
		if (!pid)
			use_broken(&f, file, at, live);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		b.runs++;
		if (WIFEXITED(status) && WEXITSTATUS(status) == WRONG)
			b.wrong++;
		else if (status) /* a signal, or what a sanitizer makes of it */
			b.crashes++;
	}
	buf_done(&sound);
	remove_tree(f.dir);
	return b;
}

START_TEST(every_page_in_turn)
{
	struct broken b = break_pages(false, 2);

	ck_assert_uint_gt(b.runs, 40);
	ck_assert_uint_eq(b.wrong, 0);
	ck_assert_uint_eq(b.crashes, 0);
}
END_TEST

/* LMDB trusts the pages it has mapped, so it may crash here; what it must not
 * do is hand out a wrong byte. */
START_TEST(every_page_in_turn_under_a_live_store)
{
	struct broken b = break_pages(true, 6);

	printf("%u pages broken under a live store: %u crashes inside LMDB\n",
	       b.runs, b.crashes);
	ck_assert_uint_eq(b.wrong, 0);
}
END_TEST

/* -- unclean stops ------------------------------------------------------- */

static void set_state(const struct fixture *f, const char *text)
{
	cleanup_free char *lock = file_of(f, "lock");

	spit(lock, text, strlen(text));
}

START_TEST(unclean_stop_of_the_machine)
{
	static const char other_boot[] =
		"pid 1\nboot 00000000-0000\nopened 1\nstate open\ndamaged 0\n";
	cleanup_free char *file = NULL, *aside = NULL;
	struct fixture f;
	struct stat st;

	fixture_open(&f, 64 * MiB);
	fill_tiny(&f);
	store_close(f.s);
	set_state(&f, other_boot);
	fixture_start(&f); /* sound: nothing is lost */
	ck_assert_ptr_null(store_notice(f.s));
	for (unsigned i = 0; i < TINY; i++)
		ck_assert_int_eq(look(&f, i, tiny_size(i), SCORPIO_ID_SHA256),
				 1);
	store_close(f.s);
	file = file_of(&f, "data.mdb");
	aside = file_of(&f, "store.damaged-2");
	for (int round = 0; round < 2; round++) {
		struct buf b = slurp(file);

		/* pages that never reached the disk */
		memset(b.data + 2 * 4096, 0, b.len / 2);
		spit(file, b.data, b.len);
		buf_done(&b);
		set_state(&f, other_boot);
		fixture_start(&f);
		ck_assert_ptr_nonnull(strstr(store_notice(f.s), "damaged"));
		ck_assert_int_eq(look(&f, 1, tiny_size(1), SCORPIO_ID_SHA256),
				 0);
		fill_tiny(&f);
		store_close(f.s);
	}
	ck_assert_int_eq(stat(aside, &st), 0); /* and only one is kept */
	aside[strlen(aside) - 1] = '1';
	ck_assert_int_ne(stat(aside, &st), 0);
	remove_tree(f.dir);
}
END_TEST

START_TEST(newer_format)
{
	struct fixture f;
	cleanup_free char *file = NULL;
	struct store *s = NULL;
	struct store_options o = { .max_bytes = 64 * MiB };
	struct buf b;
	uint8_t *p;

	fixture_open(&f, 64 * MiB);
	store_close(f.s);
	file = file_of(&f, "data.mdb");
	b = slurp(file);
	while ((p = memmem(b.data, b.len, "format\x01", 7))) {
		p[6] = 9;
		spit(file, b.data, b.len);
	}
	buf_done(&b);
	o.path = f.dir;
	ck_assert_int_eq(store_open(&o, &s), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error_text(-EINVAL), "format 9"));
	remove_tree(f.dir);
}
END_TEST

/* -- a full disk --------------------------------------------------------- */

static void note_result(void *ctx, int result)
{
	if (result)
		__atomic_store_n((int *)ctx, result, __ATOMIC_SEQ_CST);
}

static void fill_file(const char *path, size_t n)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT, 0600);
	char zeros[65536] = { 0 };

	while (n && write(fd, zeros, MIN(n, sizeof(zeros))) > 0)
		n -= MIN(n, sizeof(zeros));
}

START_TEST(full_disk)
{
	struct fixture f = { .dir = "/tmp/check_store.XXXXXX",
			     .max = 64 * MiB };
	cleanup_free char *ballast = NULL;
	int failed = 0, r = 0, again = 0;
	unsigned n = 0;

	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		printf("full_disk: not allowed to mount, left out\n");
		return;
	}
	ck_assert_ptr_nonnull(mkdtemp(f.dir));
	ck_assert_int_eq(mount("tmpfs", f.dir, "tmpfs", 0, "size=16m"), 0);
	fixture_start(&f);
	ballast = file_of(&f, "ballast");
	fill_file(ballast, 8 << 20);
	for (; !r && !failed && n < 500; n++) {
		r = put(&f, n, 100000, SCORPIO_ID_SHA256, true, note_result,
			&failed);
		store_flush(f.s, DEADLINE_NONE);
		failed = __atomic_load_n(&failed, __ATOMIC_SEQ_CST);
	}
	ck_assert_uint_gt(n, 20);
	ck_assert_uint_lt(n, 500);
	ck_assert_int_eq(r ? r : failed, -ENOSPC);
	/* producers are told at once, with advice */
	r = put(&f, 1000, 100000, SCORPIO_ID_SHA256, true, NULL, NULL);
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_ptr_nonnull(strstr(error_text(r), "no space left"));
	for (unsigned i = 0; i < n - 2; i++) /* reading goes on */
		ck_assert_int_eq(look(&f, i, 100000, SCORPIO_ID_SHA256), 1);
	unlink(ballast);
	do { /* and so does writing, without reopening */
		failed = 0;
		r = put(&f, 2000, 100000, SCORPIO_ID_SHA256, true, note_result,
			&failed);
		store_flush(f.s, DEADLINE_NONE);
		usleep(50000);
	} while ((r || failed) && again++ < 100);
	ck_assert_int_eq(look(&f, 2000, 100000, SCORPIO_ID_SHA256), 1);
	store_close(f.s);
	umount(f.dir);
	rmdir(f.dir);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("store_fault");

	tcase_add_test(t, killed_writer);
	tcase_add_test(t, every_kind_of_record);
	tcase_add_test(t, verify_finds_and_repairs);
	tcase_add_test(t, every_page_in_turn);
	tcase_add_test(t, every_page_in_turn_under_a_live_store);
	tcase_add_test(t, unclean_stop_of_the_machine);
	tcase_add_test(t, newer_format);
	tcase_add_test(t, full_disk);
	return run_suite("store_fault", t);
}
