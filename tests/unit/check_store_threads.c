/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads reading while others write and the store evicts; run under
 * ThreadSanitizer too. Content is a function of its number, so each byte read
 * is checked. */
#include "tests/unit/store_test.h"

#define NUMBERS 400u
#define RUN_MS  600

static struct fixture f;
static bool stop;             /* atomic */
static unsigned hits, misses; /* atomic */
static unsigned dones;        /* atomic */

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static size_t size_of(unsigned n)
{
	static const size_t sizes[] = { 100, 3000, 20000, 70000, 200000 };

	return sizes[n % ARRAY_SIZE(sizes)];
}

static struct store_key key_of(unsigned n)
{
	struct scorpio_id id = content_id(n, NULL, 0, SCORPIO_ID_OPAQUE);

	return store_key(f.space, &id);
}

static void done(void *ctx, int result)
{
	(void)ctx;
	if (!result)
		__atomic_add_fetch(&dones, 1, __ATOMIC_RELAXED);
}

static void *writer(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	while (!stopped()) {
		unsigned n = (unsigned)rand_r(&seed) % NUMBERS;

		ck_assert_int_eq(put(&f, n, size_of(n), SCORPIO_ID_OPAQUE,
				     n % 2, done, NULL),
				 0);
	}
	return NULL;
}

static void read_one(unsigned n, unsigned *seed)
{
	cleanup_free uint8_t *want = content(n, size_of(n));
	cleanup_free uint8_t *have = xmalloc(size_of(n));
	size_t off = (size_t)rand_r(seed) % size_of(n);
	struct store_key k = key_of(n);
	struct store_reader r;
	int64_t got;

	ck_assert_int_eq(store_read_begin(f.s, &r), 0);
	got = store_blob_read(&r, &k, off, have, size_of(n));
	if (got >= 0) {
		/* what was there must stay as long as it is being read */
		ck_assert_int_eq(got, size_of(n) - off);
		ck_assert_int_eq(memcmp(have, want + off, (size_t)got), 0);
		got = store_blob_read(&r, &k, off, have, size_of(n));
		ck_assert_int_eq(got, size_of(n) - off);
		__atomic_add_fetch(&hits, 1, __ATOMIC_RELAXED);
	} else {
		ck_assert_int_eq(got, -ENOENT);
		__atomic_add_fetch(&misses, 1, __ATOMIC_RELAXED);
	}
	store_read_end(&r);
}

static void *reader(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	while (!stopped())
		read_one((unsigned)rand_r(&seed) % NUMBERS, &seed);
	return NULL;
}

static void *one_read(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	read_one(seed % NUMBERS, &seed);
	return NULL;
}

/* Threads that come and go give their read transactions back. */
static void *starter(void *arg)
{
	uintptr_t n = (uintptr_t)arg;

	while (!stopped()) {
		pthread_t t;

		if (pthread_create(&t, NULL, one_read, (void *)n++))
			continue;
		pthread_join(t, NULL);
	}
	return NULL;
}

static void *keeper(void *arg)
{
	(void)arg;
	while (!stopped()) {
		struct store_key k = key_of(4);
		struct store_stats st;
		uint64_t freed;
		uint16_t space;
		struct buf b = BUF_INIT;

		ck_assert_int_eq(store_pin(f.s, "four", &k, false), 0);
		ck_assert_int_eq(store_stat(f.s, &st), 0);
		ck_assert_uint_le(st.file_bytes, f.max);
		store_gc(f.s, f.max / 2, false, &freed);
		ck_assert_int_eq(store_unpin(f.s, "four"), 0);
		ck_assert_int_eq(store_put_value(f.s, "v", "value", 5), 0);
		ck_assert_int_eq(store_get_value(f.s, "v", &b), 0);
		ck_assert_int_eq(store_put_size(f.s, &k, size_of(4)), 0);
		ck_assert_int_eq(store_space(f.s, "test", &space), 0);
		ck_assert_int_eq(store_flush(f.s, DEADLINE_NONE), 0);
		buf_done(&b);
	}
	return NULL;
}

START_TEST(everybody_at_once)
{
	void *(*const run[])(void *) = { writer, writer,  reader,  reader,
					 reader, starter, starter, keeper };
	pthread_t t[ARRAY_SIZE(run)];
	struct store_verify v;

	fixture_open(&f, 8 * MiB);
	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		ck_assert_int_eq(
			pthread_create(&t[i], NULL, run[i], (void *)(i + 1)),
			0);
	usleep(RUN_MS * 1000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_gt(hits, 10);
	ck_assert_int_eq(store_flush(f.s, DEADLINE_NONE), 0);
	ck_assert_uint_gt(__atomic_load_n(&dones, __ATOMIC_RELAXED), 10);
	ck_assert_int_eq(store_verify(f.s, false, NULL, NULL, &v), 0);
	ck_assert_uint_eq(v.damaged, 0);
	fixture_close(&f);
}
END_TEST

/* A store may be closed and opened again under threads that stay. */
static pthread_barrier_t barrier;

static void *stays(void *arg)
{
	unsigned seed = 1;

	(void)arg;
	for (int round = 0; round < 3; round++) {
		pthread_barrier_wait(&barrier);
		for (unsigned n = 0; n < 20; n++)
			read_one(n, &seed);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

START_TEST(close_and_open_under_threads)
{
	pthread_t t;

	fixture_open(&f, 8 * MiB);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&t, NULL, stays, NULL);
	for (int round = 0; round < 3; round++) {
		put_ok(&f, 3, size_of(3), SCORPIO_ID_OPAQUE, true);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		fixture_reopen(&f);
	}
	pthread_join(t, NULL);
	fixture_close(&f);
}
END_TEST

/* More producers than the queue holds: they wait, nothing is lost. */
static void *floods(void *arg)
{
	unsigned base = (unsigned)(uintptr_t)arg * 1000;

	for (unsigned n = 0; n < 60; n++)
		put_ok(&f, base + n, 60000, SCORPIO_ID_SHA256, true);
	return NULL;
}

START_TEST(back_pressure)
{
	pthread_t t[4];

	fixture_open(&f, 64 * MiB);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, floods, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(store_flush(f.s, DEADLINE_NONE), 0);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned n = 0; n < 60; n += 7)
			ck_assert_int_eq(look(&f, i * 1000 + n, 60000,
					      SCORPIO_ID_SHA256),
					 1);
	fixture_close(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("store_threads");

	tcase_add_test(t, everybody_at_once);
	tcase_add_test(t, close_and_open_under_threads);
	tcase_add_test(t, back_pressure);
	return run_suite("store_threads", t);
}
