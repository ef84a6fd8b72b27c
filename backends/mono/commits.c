/* SPDX-License-Identifier: Apache-2.0 */
#include "commits.h"

struct known {
	struct monocommit commit;
	char *body; /* owned */
	size_t len;
};

struct monocommits {
	pthread_mutex_t lock;
	struct known all[MONO_COMMITS_MAX]; /* lock; the useful ones first */
	size_t n;                           /* lock */
};

struct monocommits *monocommits_new(void)
{
	struct monocommits *c = calloc(1, sizeof(*c));

	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

void monocommits_free(struct monocommits *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		free(c->all[i].body);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* With the lock held: its place, or n. */
static size_t place(const struct monocommits *c, const char *hex)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (strcmp(c->all[i].commit.hex, hex) == 0)
			break;
	return i;
}

static void to_front(struct monocommits *c, size_t i)
{
	struct known k = c->all[i];

	memmove(c->all + 1, c->all, i * sizeof(k));
	c->all[0] = k;
}

void monocommits_add(struct monocommits *c, const struct monocommit *commit,
		     char *body, size_t len)
{
	size_t i;

	pthread_mutex_lock(&c->lock);
	i = place(c, commit->hex);
	if (i == c->n && c->n < MONO_COMMITS_MAX)
		c->n++;
	else if (i == c->n)
		i--;
	free(c->all[i].body);
	c->all[i].commit = *commit;
	c->all[i].body = body;
	c->all[i].len = len;
	to_front(c, i);
	pthread_mutex_unlock(&c->lock);
}

bool monocommits_find(struct monocommits *c, const char *hex,
		      struct monocommit *ret)
{
	bool found;
	size_t i;

	pthread_mutex_lock(&c->lock);
	i = place(c, hex);
	found = i < c->n;
	if (found)
		*ret = c->all[i].commit;
	pthread_mutex_unlock(&c->lock);
	return found;
}

size_t monocommits_all(struct monocommits *c, char ret[][MONO_HEX + 1])
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = c->n;
	for (size_t i = 0; i < n; i++)
		memcpy(ret[i], c->all[i].commit.hex, MONO_HEX + 1);
	pthread_mutex_unlock(&c->lock);
	return n;
}

void monocommits_useful(struct monocommits *c, const char *hex)
{
	size_t i;

	pthread_mutex_lock(&c->lock);
	i = place(c, hex);
	if (i && i < c->n)
		to_front(c, i);
	pthread_mutex_unlock(&c->lock);
}

char *monocommits_root(struct monocommits *c, const uint8_t root[MONO_OID],
		       size_t *ret_len)
{
	char *copy = NULL;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->n && !copy; i++) {
		const struct known *k = &c->all[i];

		if (memcmp(k->commit.root, root, MONO_OID) != 0)
			continue;
		copy = malloc(k->len + 1);
		if (copy)
			memcpy(copy, k->body, k->len);
		*ret_len = k->len;
	}
	pthread_mutex_unlock(&c->lock);
	return copy;
}
