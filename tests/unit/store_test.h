/* SPDX-License-Identifier: Apache-2.0 */
/* store_test.h - a store in a temporary directory, and content that is a
 * function of a number, so that any byte of it can be checked. */
#ifndef TESTS_STORE_TEST_H
#define TESTS_STORE_TEST_H

#include "core/base.h"

#include "cache/store.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <scorpio/backend.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct fixture {
	char dir[64];
	uint64_t max;
	struct store *s;
	uint16_t space;
};

#define ok(x) ck_assert_msg((x) == 0, "%s: %s", #x, error_text(-EIO))

static inline void fixture_start(struct fixture *f)
{
	struct store_options o = { .path = f->dir, .max_bytes = f->max };
	int r = store_open(&o, &f->s);

	ck_assert_msg(!r, "open: %s", error_text(r));
	ck_assert_int_eq(store_space(f->s, "test", &f->space), 0);
}

static inline void fixture_open(struct fixture *f, uint64_t max)
{
	/* in memory if possible: syncing is not what is tested */
	snprintf(f->dir, sizeof(f->dir), "%s/check_store.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	ck_assert_ptr_nonnull(mkdtemp(f->dir));
	f->max = max;
	fixture_start(f);
}

static inline void fixture_reopen(struct fixture *f)
{
	store_close(f->s);
	fixture_start(f);
}

static inline void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup_free char *p = xasprintf("%s/%s", path, e->d_name);

		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    unlink(p))
			remove_tree(p);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static inline void fixture_close(struct fixture *f)
{
	store_close(f->s);
	remove_tree(f->dir);
}

/* Content number n: half noise, half repetition, as source text is. */
static inline uint8_t *content(unsigned n, size_t size)
{
	uint8_t *p = xmalloc(size);
	uint64_t x = n * 0x9e3779b97f4a7c15ull + 12345;

	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = (n + i / 64) * 0x0101010101010101ull;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		if (i % 16 == 0)
			word = x ^ x >> 29;
		memcpy(p + i, &word, MIN(8, size - i));
	}
	return p;
}

static inline struct scorpio_id content_id(unsigned n, const uint8_t *p,
					   size_t size, uint32_t kind)
{
	struct scorpio_id id = { .len = 20 };
	char head[40];
	struct hash *h;

	if (kind == SCORPIO_ID_SHA256) {
		id.len = 32;
		hash_bytes(HASH_SHA256, p, size, id.bytes);
		return id;
	}
	if (kind == SCORPIO_ID_OPAQUE) {
		memcpy(id.bytes, &n, sizeof(n));
		return id;
	}
	h = hash_new(HASH_SHA1);
	hash_update(h, head,
		    (size_t)snprintf(head, sizeof(head), "blob %zu", size) + 1);
	hash_update(h, p, size);
	hash_final(h, id.bytes);
	hash_free(h);
	return id;
}

static inline struct store_key content_key(const struct fixture *f, unsigned n,
					   size_t size, uint32_t kind)
{
	cleanup_free uint8_t *p = content(n, size);
	struct scorpio_id id = content_id(n, p, size, kind);

	return store_key(f->space, &id);
}

static inline int put(struct fixture *f, unsigned n, size_t size, uint32_t kind,
		      bool size_known, store_done_fn done, void *ctx)
{
	cleanup_free uint8_t *p = content(n, size);
	struct scorpio_id id = content_id(n, p, size, kind);
	struct store_key k = store_key(f->space, &id);
	struct blob_writer *w;
	int r = blob_writer_new(f->s, &k, &id, kind,
				size_known ? size : SCORPIO_SIZE_UNKNOWN, &w);

	for (size_t at = 0; !r && at < size; at += 50000) {
		r = blob_writer_data(w, p + at, MIN(size - at, 50000));
		if (r) {
			blob_writer_abandon(w);
			return r;
		}
	}
	return r ? r : blob_writer_end(w, done, ctx);
}

static inline void put_ok(struct fixture *f, unsigned n, size_t size,
			  uint32_t kind, bool size_known)
{
	int r = put(f, n, size, kind, size_known, NULL, NULL);

	ck_assert_msg(!r, "put %u: %s", n, error_text(r));
}

/* 1 all there and right, 0 absent; a wrong byte fails the test. */
static inline int look(struct fixture *f, unsigned n, size_t size,
		       uint32_t kind)
{
	cleanup_free uint8_t *want = content(n, size);
	cleanup_free uint8_t *have = xmalloc(size + 10);
	struct scorpio_id id = content_id(n, want, size, kind);
	struct store_key k = store_key(f->space, &id);
	struct store_reader r;
	int64_t got;

	ck_assert_int_eq(store_read_begin(f->s, &r), 0);
	got = store_blob_read(&r, &k, 0, have, size + 10);
	store_read_end(&r);
	if (got < 0) {
		ck_assert_int_eq(got, -ENOENT);
		return 0;
	}
	ck_assert_int_eq(got, size);
	ck_assert_int_eq(memcmp(have, want, size), 0);
	return 1;
}

static inline void expect_content(struct fixture *f, unsigned n, size_t size,
				  uint32_t kind)
{
	cleanup_free uint8_t *want = content(n, size);
	struct scorpio_id id = content_id(n, want, size, kind);
	struct store_key k = store_key(f->space, &id);
	uint8_t sha[SHA256_LEN], sha1[SHA1_LEN], part[5000];
	struct blob_info b;
	struct store_reader r;

	ck_assert_int_eq(look(f, n, size, kind), 1);
	ck_assert_int_eq(store_read_begin(f->s, &r), 0);
	ck_assert_int_eq(store_blob(&r, &k, &b), 0);
	ck_assert_uint_eq(b.size, size);
	ck_assert(b.has_content);
	hash_bytes(HASH_SHA256, want, size, sha);
	hash_bytes(HASH_SHA1, want, size, sha1);
	ck_assert_int_eq(memcmp(sha, b.sha256, sizeof(sha)), 0);
	ck_assert_int_eq(memcmp(sha1, b.sha1, sizeof(sha1)), 0);
	ck_assert(store_blob_present(&r, &k, 0, size));
	for (size_t at = 0; at <= size; at += 4777) {
		size_t left = MIN(size - at, sizeof(part));

		ck_assert_int_eq(
			store_blob_read(&r, &k, at, part, sizeof(part)), left);
		ck_assert_int_eq(memcmp(part, want + at, left), 0);
	}
	store_read_end(&r);
}

static inline int run_suite(const char *name, TCase *t)
{
	Suite *s = suite_create(name);
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}

#endif
