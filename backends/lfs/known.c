/* SPDX-License-Identifier: Apache-2.0 */
#include "known.h"

#define POINTERS 65536u /* slots, half of them used at most */
#define TEXTS 512u
#define TEXT_BYTES (32u << 20)
#define ROOTS 16u

struct pointer {
	struct scorpio_id id; /* len 0: free */
	struct lfsptr p;
};

struct text {
	struct scorpio_id id;
	char *p;
	size_t n;
};

struct root {
	struct scorpio_id id;
	bool any;
};

struct lfsknown {
	pthread_mutex_t lock; /* of all */
	struct pointer *pointers;
	uint32_t n_pointers;
	struct text texts[TEXTS];
	uint32_t n_texts;
	size_t text_bytes;
	struct root roots[ROOTS];
	uint32_t next_root;
};

struct lfsknown *lfsknown_new(void)
{
	struct lfsknown *k = calloc(1, sizeof(*k));

	if (k)
		pthread_mutex_init(&k->lock, NULL);
	return k;
}

static void drop_texts(struct lfsknown *k)
{
	for (uint32_t i = 0; i < k->n_texts; i++)
		free(k->texts[i].p);
	k->n_texts = 0;
	k->text_bytes = 0;
}

void lfsknown_free(struct lfsknown *k)
{
	if (!k)
		return;
	drop_texts(k);
	free(k->pointers);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static struct pointer *pointer_at(struct lfsknown *k,
				  const struct scorpio_id *id)
{
	uint32_t i = (uint32_t)lfs_hash_id(id) % POINTERS;

	while (k->pointers[i].id.len && !lfs_same_id(&k->pointers[i].id, id))
		i = (i + 1) % POINTERS;
	return &k->pointers[i];
}

void lfsknown_pointer(struct lfsknown *k, const struct scorpio_id *id,
		      const struct lfsptr *p)
{
	struct pointer *at;

	pthread_mutex_lock(&k->lock);
	if (!k->pointers)
		k->pointers = calloc(POINTERS, sizeof(*k->pointers));
	if (k->pointers) {
		if (k->n_pointers == POINTERS / 2) {
			memset(k->pointers, 0, POINTERS * sizeof(*k->pointers));
			k->n_pointers = 0;
		}
		at = pointer_at(k, id);
		k->n_pointers += !at->id.len;
		at->id = *id;
		at->p = *p;
	}
	pthread_mutex_unlock(&k->lock);
}

bool lfsknown_is_pointer(struct lfsknown *k, const struct scorpio_id *id,
			 struct lfsptr *ret)
{
	struct pointer *at;
	bool found = false;

	pthread_mutex_lock(&k->lock);
	if (k->pointers) {
		at = pointer_at(k, id);
		found = at->id.len > 0;
		if (found)
			*ret = at->p;
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

void lfsknown_text(struct lfsknown *k, const struct scorpio_id *id,
		   const char *text, size_t n)
{
	struct text *t;
	char *copy = malloc(n + 1);

	if (!copy)
		return;
	if (n)
		memcpy(copy, text, n);
	copy[n] = 0;
	pthread_mutex_lock(&k->lock);
	if (k->n_texts == TEXTS || k->text_bytes + n > TEXT_BYTES)
		drop_texts(k);
	t = &k->texts[k->n_texts++];
	t->id = *id;
	t->p = copy;
	t->n = n;
	k->text_bytes += n;
	pthread_mutex_unlock(&k->lock);
}

bool lfsknown_has_text(struct lfsknown *k, const struct scorpio_id *id,
		       struct lfsbuf *ret)
{
	bool found = false;

	pthread_mutex_lock(&k->lock);
	for (uint32_t i = 0; i < k->n_texts && !found; i++) {
		const struct text *t = &k->texts[i];

		if (!lfs_same_id(&t->id, id))
			continue;
		lfsbuf_put(ret, t->p, t->n);
		found = !ret->broken;
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

void lfsknown_root(struct lfsknown *k, const struct scorpio_id *id, bool any)
{
	pthread_mutex_lock(&k->lock);
	k->roots[k->next_root].id = *id;
	k->roots[k->next_root].any = any;
	k->next_root = (k->next_root + 1) % ROOTS;
	pthread_mutex_unlock(&k->lock);
}

int lfsknown_root_any(struct lfsknown *k, const struct scorpio_id *id)
{
	int any = -1;

	pthread_mutex_lock(&k->lock);
	for (uint32_t i = 0; i < ROOTS && any < 0; i++)
		if (k->roots[i].id.len && lfs_same_id(&k->roots[i].id, id))
			any = k->roots[i].any;
	pthread_mutex_unlock(&k->lock);
	return any;
}
