/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_store [directory of source text] - what the store costs: looking a
 * name up in a tree, reading 8 KiB files, putting source text; one and two
 * threads. Without a directory the text is made up.
 */
#include "core/base.h"

#include "cache/store.h"
#include "core/clock.h"
#include "core/error.h"

#include <ftw.h>
#include <scorpio/backend.h>
#include <sys/stat.h>

#define FILES  4000u
#define ROUNDS 400000u

struct text {
	uint8_t *p;
	size_t n;
};
static struct text texts[100000];
static size_t ntexts;
static uint64_t text_bytes;
static struct store *store;
static uint16_t space;

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, error_text(r));
	exit(1);
}

static int add_file(const char *path, const struct stat *st, int type,
		    struct FTW *f)
{
	FILE *in;
	struct text *t = &texts[ntexts];

	(void)f;
	if (type != FTW_F || !st->st_size || st->st_size > 4 << 20 ||
	    ntexts == ARRAY_SIZE(texts) || text_bytes > 256 * MiB)
		return 0;
	in = fopen(path, "r");
	if (!in)
		return 0;
	t->p = xmalloc((size_t)st->st_size);
	t->n = fread(t->p, 1, (size_t)st->st_size, in);
	fclose(in);
	text_bytes += t->n;
	ntexts += t->n > 0;
	return 0;
}

static void make_up(void)
{
	static const char *const words[] = {
		"int ",   "struct ", "return ",  "buffer",
		"length", " = ",     "(void *)", "->",
		";\n\t",  "if (",    "static ",  "const char *",
		") {\n",  "}\n\n",   "offset",   " + "
	};
	unsigned seed = 1;

	while (text_bytes < 96 * MiB) {
		struct buf b = BUF_INIT;
		size_t n = 2000 + (size_t)rand_r(&seed) % 20000;

		while (b.len < n) {
			buf_puts(&b, words[rand_r(&seed) % 16]);
			if (rand_r(&seed) % 3 == 0)
				buf_printf(&b, "%d", rand_r(&seed) % 10000);
		}
		texts[ntexts++] = (struct text){ b.data, b.len };
		text_bytes += b.len;
	}
}

static struct store_key key_of(unsigned i)
{
	struct scorpio_id id = { .len = 20 };
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull;

	memcpy(id.bytes, &x, 8);
	memcpy(id.bytes + 8, &i, 4);
	return store_key(space, &id);
}

static void put(unsigned i, const void *p, size_t n)
{
	struct store_key k = key_of(i);
	struct scorpio_id id = { .len = 20 };
	struct blob_writer *w;

	check(blob_writer_new(store, &k, &id, SCORPIO_ID_OPAQUE, n, &w), "new");
	check(blob_writer_data(w, p, n), "data");
	check(blob_writer_end(w, NULL, NULL), "end");
}

struct job {
	pthread_t thread;
	unsigned number, of;
	void (*run)(struct job *j);
};

static void *job_main(void *arg)
{
	struct job *j = arg;

	j->run(j);
	return NULL;
}

struct spent { /* seconds */
	double wall, cpu;
};

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct spent parallel(unsigned threads, void (*run)(struct job *j))
{
	struct job j[8];
	int64_t start = now_ns();
	double cpu = cpu_now();

	for (unsigned i = 0; i < threads; i++) {
		j[i] = (struct job){ .number = i, .of = threads, .run = run };
		pthread_create(&j[i].thread, NULL, job_main, &j[i]);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(j[i].thread, NULL);
	check(store_flush(store, DEADLINE_NONE), "flush");
	return (struct spent){ (double)(now_ns() - start) / 1e9,
			       cpu_now() - cpu };
}

static void put_texts(struct job *j)
{
	for (size_t i = j->number; i < ntexts; i += j->of)
		put((unsigned)i + 1000000, texts[i].p, texts[i].n);
}

static void put_small(void)
{
	uint8_t file[8192];
	size_t at = 0, t = 0;

	for (unsigned i = 0; i < FILES; i++) {
		size_t fill = 0;

		while (fill < sizeof(file)) { /* text, and never twice */
			size_t n = MIN(sizeof(file) - fill, texts[t].n - at);

			memcpy(file + fill, texts[t].p + at, n);
			fill += n;
			at += n;
			if (at == texts[t].n) {
				t = (t + 1) % ntexts;
				at = 0;
			}
		}
		memcpy(file, &i, sizeof(i));
		put(i, file, sizeof(file));
	}
}

static void read_small(struct job *j)
{
	uint8_t out[8192];
	unsigned seed = j->number;

	for (unsigned i = 0; i < ROUNDS / 8; i++) {
		struct store_key k = key_of((unsigned)rand_r(&seed) % FILES);
		struct store_reader r;

		check(store_read_begin(store, &r), "begin");
		check((int)store_blob_read(&r, &k, 0, out, sizeof(out)),
		      "read");
		store_read_end(&r);
	}
}

#define TREES   1000u
#define ENTRIES 40u

static void put_trees(void)
{
	for (unsigned i = 0; i < TREES; i++) {
		struct tree_builder *b = tree_builder_new();
		struct store_key k = key_of(i);
		struct buf rec = BUF_INIT;

		for (unsigned e = 0; e < ENTRIES; e++) {
			struct scorpio_entry x = { .kind = SCORPIO_FILE };
			char name[32];

			x.name = name;
			x.name_len = (uint32_t)snprintf(name, sizeof(name),
							"source_%u.c", e);
			x.mode = 0644;
			x.size = e;
			x.mtime_ns = SCORPIO_TIME_UNKNOWN;
			x.id.len = 20;
			memcpy(x.id.bytes, &e, 4);
			check(tree_builder_add(b, &x), "add");
		}
		check(tree_builder_finish(b, store_key_seed(&k), &rec),
		      "finish");
		check(store_put_tree(store, &k, &rec, NULL, NULL), "tree");
		tree_builder_free(b);
	}
}

static void find_names(struct job *j)
{
	unsigned seed = j->number;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct store_key k = key_of((unsigned)rand_r(&seed) % TREES);
		struct store_reader r;
		struct tree_view v;

		check(store_read_begin(store, &r), "begin");
		check(store_tree(&r, &k, &v), "tree");
		if (tree_find(&v, "source_17.c", 11) < 0)
			check(-ENOENT, "find");
		store_read_end(&r);
	}
}

static void figures(unsigned threads)
{
	struct spent find = parallel(threads, find_names);
	struct spent get = parallel(threads, read_small);
	double finds = ROUNDS, reads = ROUNDS / 8;

	printf("%u thread%s: tree+find %.2f us (%.2f us cpu), "
	       "read 8 KiB %.1f us (%.1f us cpu)\n",
	       threads, threads > 1 ? "s" : "", find.wall * 1e6 / finds,
	       find.cpu * 1e6 / finds / threads, get.wall * 1e6 / reads,
	       get.cpu * 1e6 / reads / threads);
}

static void fill(unsigned threads)
{
	double mb = (double)text_bytes / 1e6;
	struct spent s = parallel(threads, put_texts);

	printf("put, %u thread%s: %.0f MB/s (%.0f MB per cpu second; %zu "
	       "files, %.0f MB)\n",
	       threads, threads > 1 ? "s" : "", mb / s.wall, mb / s.cpu, ntexts,
	       mb);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/bench_store.XXXXXX";
	struct store_options o = { .max_bytes = 2 * GiB };
	struct store_stats st;
	char cmd_path[64];

	if (argc > 1)
		nftw(argv[1], add_file, 32, FTW_PHYS);
	if (!ntexts)
		make_up();
	if (!mkdtemp(dir))
		return 1;
	o.path = dir;
	check(store_open(&o, &store), "open");
	check(store_space(store, "bench", &space), "space");
	put_trees();
	put_small();
	check(store_flush(store, DEADLINE_NONE), "flush");
	figures(1);
	figures(2);
	fill(1);
	for (size_t i = 0; i < ntexts; i++) /* or all of it would be known */
		texts[i].p[0] ^= 1;
	fill(2);
	check(store_stat(store, &st), "stat");
	printf("stored %.1f of %.1f MB plain; file %.1f, used %.1f MB\n",
	       (double)st.chunk_stored_bytes / 1e6,
	       (double)st.chunk_plain_bytes / 1e6, (double)st.file_bytes / 1e6,
	       (double)st.used_bytes / 1e6);
	store_close(store);
	for (size_t i = 0; i < 4; i++) {
		static const char *const names[] = { "data.mdb", "lock.mdb",
						     "lock", "scratch" };
		snprintf(cmd_path, sizeof(cmd_path), "%s/%s", dir, names[i]);
		remove(cmd_path);
	}
	rmdir(dir);
	return 0;
}
