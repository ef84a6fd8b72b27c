/* SPDX-License-Identifier: Apache-2.0 */
/* gitindex_ext.c - the extensions: TREE, UNTR, FSMN, IEOT, EOIE. */
#include "api/gitwork/gitindex_impl.h"

#include "core/hash.h"

#include <sys/stat.h>
#include <sys/utsname.h>

/* status' default: other directories as one line, empty ones not at all */
#define UNTRACKED_FLAGS 6u
#define PARALLEL_FROM 10000u

struct extensions {
	struct gitindex *x;
	struct buf *out;
	struct hash *heads; /* of all signatures and sizes, for EOIE */
};

static void put_extension(struct extensions *e, const char *name,
			  const struct buf *body)
{
	uint8_t head[8];

	memcpy(head, name, 4);
	put_be32(head + 4, (uint32_t)body->len);
	hash_update(e->heads, head, sizeof(head));
	buf_put(e->out, head, sizeof(head));
	buf_put(e->out, body->data, body->len);
}

/* -- EWAH: runs of equal words and literal words --------------------------------- */

struct bits {
	uint64_t *words;
	uint32_t n; /* bits */
};

static void bits_set(struct bits *b, uint32_t i)
{
	b->words[i / 64] |= 1ull << i % 64;
}

static void add_be64(struct buf *b, uint64_t v)
{
	v = __builtin_bswap64(v);
	buf_put(b, &v, 8);
}

static bool uniform(uint64_t w)
{
	return w == 0 || w == UINT64_MAX;
}

static void put_ewah(struct buf *out, const struct bits *b)
{
	size_t total = ((size_t)b->n + 63) / 64, i = 0;
	size_t words = 0, marker = 0, at = out->len;

	add_be32(out, b->n);
	add_be32(out, 0); /* words, below */
	do {
		size_t run = i, lit;
		uint64_t bit = i < total && b->words[i] == UINT64_MAX;

		while (run < total && b->words[run] == (bit ? UINT64_MAX : 0))
			run++;
		lit = run;
		while (lit < total && !uniform(b->words[lit]))
			lit++;
		marker = words;
		add_be64(out, bit | (uint64_t)(run - i) << 1 |
				      (uint64_t)(lit - run) << 33);
		for (size_t k = run; k < lit; k++)
			add_be64(out, b->words[k]);
		words += 1 + lit - run;
		i = lit;
	} while (i < total);
	put_be32(out->data + at + 4, (uint32_t)words);
	add_be32(out, (uint32_t)marker);
}

/* -- TREE and UNTR ------------------------------------------------------------------ */

static const char *name_of(const struct gitindex *x, uint32_t dir)
{
	return (const char *)x->names.data + x->dirs[dir].name;
}

static int by_length(const void *a, const void *b, void *arg)
{
	const struct gitindex *x = arg;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	int d = (int)x->dirs[i].name_len - (int)x->dirs[k].name_len;

	return d ? d : memcmp(name_of(x, i), name_of(x, k),
			      x->dirs[i].name_len);
}

static int by_name(const void *a, const void *b, void *arg)
{
	return strcmp(name_of(arg, *(const uint32_t *)a),
		      name_of(arg, *(const uint32_t *)b));
}

/* The caller frees. */
static uint32_t *children(struct gitindex *x, uint32_t dir,
			  int (*order)(const void *, const void *, void *))
{
	uint32_t n = x->dirs[dir].subdirs, i = 0;
	uint32_t *list = xmalloc((n + 1ull) * sizeof(*list));

	for (uint32_t c = x->dirs[dir].first; c != NO_DIR;
	     c = x->dirs[c].next)
		list[i++] = c;
	qsort_r(list, n, sizeof(*list), order, x);
	return list;
}

static void put_tree(struct gitindex *x, uint32_t dir, struct buf *b)
{
	const struct dirent_node *d = &x->dirs[dir];
	cleanup_free uint32_t *list = children(x, dir, by_length);

	buf_put(b, name_of(x, dir), d->name_len + 1u);
	if (d->exact) {
		buf_printf(b, "%u %u\n", d->entries, d->subdirs);
		buf_put(b, d->id, GIT_RAW);
	} else {
		buf_printf(b, "-1 %u\n", d->subdirs);
	}
	for (uint32_t i = 0; i < d->subdirs; i++)
		put_tree(x, list[i], b);
}

struct untracked {
	struct buf dirs, stats, ids;
	struct bits valid, with_id, none;
	uint32_t n;
};

static void add_number(struct buf *b, uint64_t v)
{
	uint8_t number[10];

	buf_put(b, number, gitindex_varint(v, number));
}

static void put_untracked(struct gitindex *x, uint32_t dir,
			  struct untracked *u)
{
	const struct dirent_node *d = &x->dirs[dir];
	cleanup_free uint32_t *list = children(x, dir, by_name);

	bits_set(&u->valid, u->n);
	gitindex_stat(&u->stats, x->o, d->mtime_ns, d->ino, 4096);
	if (d->ignores) {
		bits_set(&u->with_id, u->n);
		buf_put(&u->ids, d->ignore_id, GIT_RAW);
	}
	u->n++;
	add_number(&u->dirs, 0); /* untracked files */
	add_number(&u->dirs, d->subdirs);
	buf_put(&u->dirs, name_of(x, dir), d->name_len + 1u);
	for (uint32_t i = 0; i < d->subdirs; i++)
		put_untracked(x, list[i], u);
}

static void bits_init(struct bits *b, uint32_t n)
{
	b->words = xcalloc(n / 64 + 1, 8);
}

/* Where it is valid: the work tree, and the kind of system. */
static void put_identity(struct buf *b, const char *worktree)
{
	cleanup_free char *text = NULL;
	struct utsname u;

	uname(&u);
	text = xasprintf("Location %s, system %s", worktree, u.sysname);
	add_number(b, strlen(text) + 1);
	buf_put(b, text, strlen(text) + 1);
}

static void put_stat(struct buf *b, const struct stat *st)
{
	add_be32(b, (uint32_t)st->st_ctim.tv_sec);
	add_be32(b, (uint32_t)st->st_ctim.tv_nsec);
	add_be32(b, (uint32_t)st->st_mtim.tv_sec);
	add_be32(b, (uint32_t)st->st_mtim.tv_nsec);
	add_be32(b, (uint32_t)st->st_dev);
	add_be32(b, (uint32_t)st->st_ino);
	add_be32(b, st->st_uid);
	add_be32(b, st->st_gid);
	add_be32(b, (uint32_t)st->st_size);
}

static void untracked_head(const struct gitindex *x, struct buf *b)
{
	static const struct stat nothing;
	static const uint8_t no_id[GIT_RAW];
	const struct gitindex_options *o = x->o;

	put_identity(b, o->worktree);
	put_stat(b, &nothing); /* of info/exclude: its id decides */
	put_stat(b, o->excludes_id ? o->excludes_stat : &nothing);
	add_be32(b, UNTRACKED_FLAGS);
	buf_put(b, o->exclude_id ? o->exclude_id : no_id, GIT_RAW);
	buf_put(b, o->excludes_id ? o->excludes_id : no_id, GIT_RAW);
	buf_put(b, ".gitignore", sizeof(".gitignore"));
}

static void untracked(struct gitindex *x, struct buf *b)
{
	struct untracked u = { .n = 0 };

	bits_init(&u.valid, x->n_dirs);
	bits_init(&u.with_id, x->n_dirs);
	put_untracked(x, 0, &u);
	u.valid.n = u.with_id.n = u.n;
	untracked_head(x, b);
	add_number(b, u.n);
	buf_put(b, u.dirs.data, u.dirs.len);
	put_ewah(b, &u.valid);
	put_ewah(b, &u.none);
	put_ewah(b, &u.with_id);
	buf_put(b, u.stats.data, u.stats.len);
	buf_put(b, u.ids.data, u.ids.len);
	buf_putc(b, 0);
	free(u.valid.words);
	free(u.with_id.words);
	buf_done(&u.dirs);
	buf_done(&u.stats);
	buf_done(&u.ids);
}

/* -- all ---------------------------------------------------------------------------- */

static void monitor(struct gitindex *x, struct buf *b)
{
	struct buf none = BUF_INIT;
	struct bits dirty = { NULL, 0 };

	add_be32(b, 2);
	buf_put(b, x->o->token, strlen(x->o->token) + 1);
	put_ewah(&none, &dirty);
	add_be32(b, (uint32_t)none.len);
	buf_put(b, none.data, none.len);
	buf_done(&none);
}

static void offsets(struct gitindex *x, struct buf *b)
{
	add_be32(b, 1);
	for (uint32_t i = 0; i < x->n_blocks; i++) {
		add_be32(b, x->blocks[i].offset);
		add_be32(b, x->blocks[i].entries);
	}
}

static void end_of_entries(struct extensions *e, uint32_t end)
{
	uint8_t body[4 + SHA1_LEN], head[8];

	put_be32(body, end);
	hash_final(e->heads, body + 4);
	memcpy(head, "EOIE", 4);
	put_be32(head + 4, sizeof(body));
	buf_put(e->out, head, sizeof(head));
	buf_put(e->out, body, sizeof(body));
}

void gitindex_extensions(struct gitindex *x, struct buf *out)
{
	struct extensions e = { x, out, hash_new(HASH_SHA1) };
	uint32_t end = (uint32_t)(x->offset + out->len);
	struct buf b = BUF_INIT;

	if (x->stats.entries >= PARALLEL_FROM) {
		offsets(x, &b);
		put_extension(&e, "IEOT", &b);
		b.len = 0;
	}
	put_tree(x, 0, &b);
	put_extension(&e, "TREE", &b);
	b.len = 0;
	untracked(x, &b);
	put_extension(&e, "UNTR", &b);
	b.len = 0;
	monitor(x, &b);
	put_extension(&e, "FSMN", &b);
	if (x->stats.entries >= PARALLEL_FROM)
		end_of_entries(&e, end);
	hash_free(e.heads);
	buf_done(&b);
}
