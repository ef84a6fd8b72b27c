/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server may send after `fetch`: the bands, then the pack through
 * libgit2's indexer, then its objects into a sink. An input is either an
 * answer as it is, or (first byte odd) a pack without its trailer, which is
 * sealed and framed here, so that the fuzzer gets past the checksum.
 */
#include "tests/fuzz/fuzz.h"

#include "backends/git/answer.h"
#include "backends/git/pack.h"
#include "backends/git/repo.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/registry.h"

#include <sys/stat.h>

static struct gitsource source;
static char dir[] = "/dev/shm/scorpio-fuzz-XXXXXX";

static void remove_dir(void)
{
	host_free((struct scorpio_host *)source.host);
	rmdir(dir);
}

static void start(void)
{
	struct host_options o = { .name = "fuzz", .scratch_parent = dir };

	if (source.host)
		return;
	if (!mkdtemp(dir))
		abort();
	log_set_level("error");
	source.host = host_new(&o);
	gitlib_init(source.host);
	atexit(remove_dir);
}

/* A sink that checks the order of the calls and the sizes. */
struct drain {
	int open; /* 0 nothing, 1 a tree, 2 a blob */
	uint64_t left;
};

static int tree_begin(void *ctx, const struct scorpio_id *id)
{
	struct drain *d = ctx;

	assert(d->open == 0 && id->len == 20);
	d->open = 1;
	return 0;
}

static int tree_entry(void *ctx, const struct scorpio_entry *e)
{
	assert(((struct drain *)ctx)->open == 1);
	assert(e->name_len && e->name_len <= SCORPIO_NAME_MAX);
	return 0;
}

static int tree_end(void *ctx)
{
	struct drain *d = ctx;

	assert(d->open == 1);
	d->open = 0;
	return 0;
}

static int blob_begin(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	struct drain *d = ctx;

	assert(d->open == 0 && id->len == 20);
	d->open = 2;
	d->left = size;
	return 0;
}

static int blob_data(void *ctx, const void *data UNUSED, uint64_t n)
{
	struct drain *d = ctx;

	assert(d->open == 2 && n <= d->left);
	d->left -= n;
	return 0;
}

static int blob_end(void *ctx)
{
	struct drain *d = ctx;

	assert(d->open == 2 && d->left == 0);
	d->open = 0;
	return 0;
}

static int abandon(void *ctx, int error)
{
	struct drain *d = ctx;

	assert(d->open != 0 && error < 0);
	d->open = 0;
	return 0;
}

static int failed(void *ctx, const struct scorpio_id *id UNUSED, int error)
{
	assert(((struct drain *)ctx)->open == 0 && error < 0);
	return 0;
}

static int on_pack(void *ctx, const void *data, size_t n)
{
	return gitpack_write(ctx, data, n);
}

static int feed_answer(struct gitpack *p, const uint8_t *data, size_t size)
{
	struct gitanswer a;
	int rc;

	gitanswer_init(&a, on_pack, p);
	rc = gitanswer_feed(&a, data, size);
	if (rc == 0)
		rc = gitanswer_finish(&a);
	gitanswer_done(&a);
	return rc;
}

static int feed_pack(struct gitpack *p, const uint8_t *data, size_t size)
{
	struct hash *h = hash_new(HASH_SHA1);
	uint8_t sum[SHA1_LEN];
	int rc = 0;

	hash_update(h, data, size);
	hash_final(h, sum);
	hash_free(h);
	for (size_t i = 0; i < size && rc == 0; i += 100)
		rc = gitpack_write(p, data + i,
				   size - i < 100 ? size - i : 100);
	return rc ? rc : gitpack_write(p, sum, sizeof(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct drain drain = { .open = 0 };
	struct scorpio_sink sink = {
		.struct_size = sizeof(sink), .ctx = &drain,
		.tree_begin = tree_begin, .tree_entry = tree_entry,
		.tree_end = tree_end, .blob_begin = blob_begin,
		.blob_data = blob_data, .blob_end = blob_end,
		.abandon = abandon, .failed = failed,
	};
	struct gitpour pour = { .source = &source, .sink = &sink };
	struct gitpack *p;
	int rc;

	start();
	if (!size || gitpack_new(&source, &p) < 0)
		return 0;
	rc = data[0] & 1 ? feed_pack(p, data + 1, size - 1) :
			   feed_answer(p, data + 1, size - 1);
	if (rc == 0)
		rc = gitpack_finish(p);
	if (rc == 0)
		gitpack_pour(p, &pour);
	gitpack_free(p);
	return 0;
}
