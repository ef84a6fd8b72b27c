/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- making nodes ---------------------------------------------------------- */

static void node_free(struct mem_node *n)
{
	free(n->name);
	free(n->data);
	free(n);
}

void mem_tree_free(struct mem_node *root)
{
	struct mem_node *n, *next;

	if (!root)
		return;
	for (n = root->child; n; n = next) {
		next = n->next;
		mem_tree_free(n);
	}
	node_free(root);
}

/* Takes data, also on failure. parent NULL makes a root. */
static struct mem_node *node_new(struct mem_node *parent, const char *name,
				 uint8_t kind, uint16_t mode, uint8_t *data,
				 uint64_t size)
{
	struct mem_node *n = calloc(1, sizeof(*n));

	if (!n) {
		free(data);
		return NULL;
	}
	n->kind = kind;
	n->mode = mode;
	n->data = data;
	n->size = size;
	n->name = strdup(name);
	if (!n->name) {
		node_free(n);
		return NULL;
	}
	n->name_len = (uint32_t)strlen(name);
	if (!parent)
		return n;
	if (parent->last)
		parent->last->next = n;
	else
		parent->child = n;
	parent->last = n;
	return n;
}

/* -- ids ------------------------------------------------------------------- */

static void set_id(struct scorpio_id *id, const uint8_t *digest)
{
	memset(id, 0, sizeof(*id));
	id->len = SHA256_DIGEST_LENGTH;
	memcpy(id->bytes, digest, SHA256_DIGEST_LENGTH);
}

static bool hash_tree(struct mem_node *dir)
{
	static const char head[] = "scorpio mem tree";
	uint8_t digest[SHA256_DIGEST_LENGTH];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct mem_node *n;
	bool ok;

	ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
	     EVP_DigestUpdate(ctx, head, sizeof(head));
	for (n = dir->child; ok && n; n = n->next)
		ok = EVP_DigestUpdate(ctx, &n->kind, sizeof(n->kind)) &&
		     EVP_DigestUpdate(ctx, &n->mode, sizeof(n->mode)) &&
		     EVP_DigestUpdate(ctx, n->name, n->name_len + 1) &&
		     EVP_DigestUpdate(ctx, &n->id, sizeof(n->id));
	ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	if (ok)
		set_id(&dir->id, digest);
	return ok;
}

/* Children before parents: an id covers everything below. */
static bool name_nodes(struct mem_node *root)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct mem_node *n;

	for (n = root->child; n; n = n->next)
		if (!name_nodes(n))
			return false;
	if (root->kind == SCORPIO_DIR)
		return hash_tree(root);
	SHA256(root->data ? root->data : (const uint8_t *)"", root->size,
	       digest);
	set_id(&root->id, digest);
	return true;
}

/* -- the demo tree --------------------------------------------------------- */

struct demo {             /* one line of the tables below */
	const char *path; /* parents come first */
	uint8_t kind;
	uint16_t mode;
	const char *text; /* NULL: generated, `size` bytes */
	uint32_t size;
	uint8_t from, to; /* revisions that have it */
};

#define LONG_NAME_50 "long-name-long-name-long-name-long-name-long-name-"
#define LONG_NAME_255 \
	LONG_NAME_50 LONG_NAME_50 LONG_NAME_50 LONG_NAME_50 LONG_NAME_50 "255__"
#define MEM_FILE(path_, mode_, text_)                      \
	{                                                  \
		path_, SCORPIO_FILE, mode_, text_, 0, 1, 2 \
	}
#define MEM_DIR(path_)                                \
	{                                             \
		path_, SCORPIO_DIR, 0755, "", 0, 1, 2 \
	}

static const struct demo demo[] = {
	{ "hello.txt", SCORPIO_FILE, 0644, "Hello from memory.\n", 0, 1, 1 },
	{ "hello.txt", SCORPIO_FILE, 0644, "Hello again.\n", 0, 2, 2 },
	{ "link", SCORPIO_SYMLINK, 0777, "hello.txt", 0, 1, 2 },
	{ "dangling", SCORPIO_SYMLINK, 0777, "no/such/file", 0, 1, 2 },
	MEM_FILE("empty", 0644, ""),
	{ "old.txt", SCORPIO_FILE, 0644, "only in v1\n", 0, 1, 1 },
	{ "new.txt", SCORPIO_FILE, 0644, "only in v2\n", 0, 2, 2 },
	/* more than 8 chunks of 64 KiB, and not a multiple of one */
	{ "big.bin", SCORPIO_FILE, 0644, NULL, 1000003, 1, 2 },
	{ "one-chunk.bin", SCORPIO_FILE, 0644, NULL, 65536, 1, 2 },
	MEM_DIR("bin"),
	MEM_FILE("bin/run.sh", 0755, "#!/bin/sh\necho it runs\n"),
	MEM_DIR("empty-dir"),
	MEM_DIR("deep"),
	MEM_DIR("deep/a"),
	MEM_DIR("deep/a/b"),
	MEM_DIR("deep/a/b/c"),
	MEM_DIR("deep/a/b/c/d"),
	MEM_DIR("deep/a/b/c/d/e"),
	MEM_FILE("deep/a/b/c/d/e/leaf.txt", 0644, "at the bottom\n"),
	MEM_DIR("names"),
	MEM_FILE("names/with space", 0644, "a space\n"),
	MEM_FILE("names/-dash", 0644, "a dash\n"),
	MEM_FILE("names/new\nline", 0644, "a line break\n"),
	MEM_FILE("names/tab\there", 0644, "a tab\n"),
	MEM_FILE("names/quote'\"\\", 0644, "quotes\n"),
	MEM_FILE("names/\xc3\xbcn\xc3\xaf\x63ode", 0644, "UTF-8\n"),
	MEM_FILE("names/\xff\xfe-not-utf8", 0644, "not UTF-8\n"),
	MEM_FILE("names/.hidden", 0600, "hidden\n"),
	MEM_FILE("names/" LONG_NAME_255, 0644, "255 bytes\n"),
};

static uint8_t *generate(uint32_t size, uint32_t seed)
{
	uint8_t *p = malloc(size ? size : 1);
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
	uint32_t i;

	for (i = 0; p && i < size; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)(x >> 32);
	}
	return p;
}

static struct mem_node *find_child(struct mem_node *dir, const char *name,
				   size_t len)
{
	struct mem_node *n;

	for (n = dir->child; n; n = n->next)
		if (n->name_len == len && !memcmp(n->name, name, len))
			return n;
	return NULL;
}

static struct mem_node *parent_of(struct mem_node *root, const char *path,
				  const char **ret_name)
{
	const char *slash;

	while (root && (slash = strchr(path, '/'))) {
		root = find_child(root, path, (size_t)(slash - path));
		path = slash + 1;
	}
	*ret_name = path;
	return root;
}

static bool add_demo(struct mem_node *root, const struct demo *d)
{
	struct mem_node *parent;
	const char *name;
	uint8_t *data = NULL;
	uint64_t size = 0;

	parent = parent_of(root, d->path, &name);
	if (!parent)
		return false;
	if (d->kind != SCORPIO_DIR) {
		size = d->text ? strlen(d->text) : d->size;
		data = d->text ? (uint8_t *)strdup(d->text)
			       : generate(d->size, d->size);
		if (!data)
			return false;
	}
	return node_new(parent, name, d->kind, d->mode, data, size) != NULL;
}

struct mem_node *mem_tree_demo(int revision)
{
	struct mem_node *root = node_new(NULL, "", SCORPIO_DIR, 0755, NULL, 0);
	bool ok = root != NULL;
	size_t i;

	for (i = 0; ok && i < sizeof(demo) / sizeof(demo[0]); i++)
		if (revision >= demo[i].from && revision <= demo[i].to)
			ok = add_demo(root, &demo[i]);
	if (ok && name_nodes(root))
		return root;
	mem_tree_free(root);
	return NULL;
}

/* -- many files ------------------------------------------------------------ */

static bool add_numbered(struct mem_node *dir, uint32_t i, uint32_t size,
			 int revision)
{
	/* the second revision changes one file in a hundred */
	int version = i % 100 == 7 ? revision : 1;
	char name[32], line[64];
	uint8_t *data;
	size_t len;

	snprintf(name, sizeof(name), "file%07u", i);
	len = (size_t)snprintf(line, sizeof(line), "file %u version %d\n", i,
			       version);
	data = generate(size ? size : (uint32_t)len, i * 2 + (uint32_t)version);
	if (!data)
		return false;
	memcpy(data, line, size && size < len ? size : len);
	return node_new(dir, name, SCORPIO_FILE, 0644, data,
			size ? size : len) != NULL;
}

struct mem_node *mem_tree_many(const struct mem_params *p, int revision)
{
	struct mem_node *root = node_new(NULL, "", SCORPIO_DIR, 0755, NULL, 0);
	uint32_t dirs = p->dirs ? p->dirs : 1, d, i;
	struct mem_node *dir = root;
	bool ok = root != NULL;
	char name[32];

	for (d = 0; ok && d < dirs; d++) {
		if (p->dirs) {
			snprintf(name, sizeof(name), "dir%05u", d);
			dir = node_new(root, name, SCORPIO_DIR, 0755, NULL, 0);
			ok = dir != NULL;
		}
		for (i = d; ok && i < p->files; i += dirs)
			ok = add_numbered(dir, i, p->size, revision);
	}
	if (ok && name_nodes(root))
		return root;
	mem_tree_free(root);
	return NULL;
}

/* -- finding by id --------------------------------------------------------- */

int mem_index_add(struct mem_index *ix, struct mem_node *root)
{
	struct mem_node *n;
	int r;

	if (ix->count == ix->cap) {
		uint32_t cap = ix->cap ? ix->cap * 2 : 256;
		void *p = realloc(ix->nodes, cap * sizeof(*ix->nodes));

		if (!p)
			return -ENOMEM;
		ix->nodes = p;
		ix->cap = cap;
	}
	ix->nodes[ix->count++] = root;
	for (n = root->child; n; n = n->next) {
		r = mem_index_add(ix, n);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct mem_node *x = *(struct mem_node *const *)a;
	const struct mem_node *y = *(struct mem_node *const *)b;

	return memcmp(&x->id, &y->id, sizeof(x->id));
}

void mem_index_sort(struct mem_index *ix)
{
	if (ix->count)
		qsort(ix->nodes, ix->count, sizeof(*ix->nodes), compare);
}

const struct mem_node *mem_index_find(const struct mem_index *ix,
				      const struct scorpio_id *id)
{
	struct mem_node key = { .id = *id };
	struct mem_node *k = &key, **found;

	if (!ix->count)
		return NULL;
	found = bsearch(&k, ix->nodes, ix->count, sizeof(*ix->nodes), compare);
	return found ? *found : NULL;
}
