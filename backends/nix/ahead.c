/* SPDX-License-Identifier: Apache-2.0 */
#include "ahead.h"

#include <openssl/evp.h>

#include "nix32.h"

#define QUEUE_MAX 512u
#define HEADS_MAX 16u      /* libraries of one path */
#define KEEP_EACH 512u
#define PROFILE_MAX 16384u /* bytes of names */

struct nixahead {
	struct nix *n;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint8_t queue[QUEUE_MAX][NIX_HASH]; /* lock */
	unsigned at, count;                 /* lock */
	bool stopping;                      /* lock */
};

/* -- trees ---------------------------------------------------------------------- */

static bool named(const struct nartree *t, uint32_t i, const char *name)
{
	return t->nodes[i].name_len == strlen(name) &&
	       !memcmp(nartree_name(t, i), name, t->nodes[i].name_len);
}

/* The entry of the root below which the node is. */
static uint32_t top_of(const struct nartree *t, uint32_t node)
{
	uint32_t i = 1;

	while (i < t->n && t->nodes[i].end <= node)
		i = t->nodes[i].end;
	return i;
}

static bool is_library(const struct nartree *t, uint32_t i)
{
	const struct nartree_node *x = &t->nodes[i];
	auto_free char *name = strndup(nartree_name(t, i), x->name_len);
	const char *so = name ? strstr(name, ".so") : NULL;

	return x->kind == SCORPIO_FILE && so &&
	       (!so[3] || so[3] == '.');
}

/* The heads of what lies in lib/: a loader maps them first. */
static void bring_heads(struct nix *n, struct nixpath *p)
{
	const struct nartree *t = p->listed;
	unsigned heads = 0;

	for (uint32_t i = 1; t && i < t->n; i = t->nodes[i].end) {
		if (!named(t, i, "lib"))
			continue;
		for (uint32_t k = i + 1; k < t->nodes[i].end; k++) {
			if (!is_library(t, k))
				continue;
			if (heads++ == HEADS_MAX ||
			    nixranges_need(n, p->ranges, t->nodes[k].offset,
					   nixahead_bytes(&t->nodes[k]),
					   &p->fetched))
				return;
		}
	}
}

static void bring(struct nix *n, const uint8_t hash[NIX_HASH])
{
	const struct nartree *t;
	const uint8_t *tag;
	struct nixpath *p;

	if (nixpath_get(n, hash, &p))
		return;
	/* small archives are left to who reads them */
	if (!nixpath_info(n, p) && p->info->nar_size > n->whole_below &&
	    nixpath_may_list(n, p) && !nixpath_tree(n, p, &t, &tag) &&
	    !p->spool && !nixpath_ranges(n, p) && p->ranges)
		bring_heads(n, p);
	nixpath_put(n, p);
}

/* -- the thread ------------------------------------------------------------------ */

static void *run(void *arg)
{
	struct nixahead *a = arg;
	uint8_t hash[NIX_HASH];

	pthread_mutex_lock(&a->lock);
	for (;;) {
		while (!a->count && !a->stopping)
			pthread_cond_wait(&a->changed, &a->lock);
		if (a->stopping)
			break;
		memcpy(hash, a->queue[a->at], NIX_HASH);
		a->at = (a->at + 1) % QUEUE_MAX;
		a->count--;
		pthread_mutex_unlock(&a->lock);
		bring(a->n, hash);
		nixcount(a->n, "ahead", 1);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

int nixahead_new(struct nix *n, struct nixahead **ret)
{
	struct nixahead *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->n = n;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	if (pthread_create(&a->thread, NULL, run, a)) {
		pthread_cond_destroy(&a->changed);
		pthread_mutex_destroy(&a->lock);
		free(a);
		return -EAGAIN;
	}
	*ret = a;
	return 0;
}

void nixahead_free(struct nixahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void nixahead_read(struct nix *n, struct nixpath *p, const struct nartree *t,
		   uint32_t node)
{
	struct nixahead *a = n->ahead;
	uint32_t top = top_of(t, node);
	uint8_t hash[NIX_HASH];

	if (!a || p->followed || top >= t->n ||
	    (!named(t, top, "bin") && !named(t, top, "lib") &&
	     !named(t, top, "libexec")))
		return;
	p->followed = true;
	pthread_mutex_lock(&a->lock);
	for (uint32_t i = 0; i < p->info->n_refs && a->count < QUEUE_MAX; i++) {
		const char *ref = p->info->refs[i];

		if (!nixname_parse(ref, strlen(ref), hash) ||
		    !memcmp(hash, p->hash, NIX_HASH))
			continue;
		memcpy(a->queue[(a->at + a->count++) % QUEUE_MAX], hash,
		       NIX_HASH);
	}
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

/* -- profiles --------------------------------------------------------------------- */

/* "profile/HEX" of the name after the hash: a rebuilt package has the same. */
static void fact_name(const struct nixpath *p, char out[64])
{
	const char *name = p->info->base + NIX_HASH_TEXT + 1;
	uint8_t md[NIX_SHA256];
	char hex[2 * NIX_SHA256 + 1];

	EVP_Digest(name, strlen(name), md, NULL, EVP_sha256(), NULL);
	snprintf(out, 64, "profile/%.32s", nixhex_encode(md, 16, hex));
}

/* The node's path below the root; false: too long. */
static bool path_of(const struct nartree *t, uint32_t node, char out[1024])
{
	uint32_t dir = 0;
	size_t len = 0;

	while (dir != node) {
		uint32_t i = dir + 1;

		while (t->nodes[i].end <= node)
			i = t->nodes[i].end;
		if (len + t->nodes[i].name_len + 2 > 1024)
			return false;
		if (len)
			out[len++] = '/';
		memcpy(out + len, nartree_name(t, i), t->nodes[i].name_len);
		len += t->nodes[i].name_len;
		dir = i;
	}
	out[len] = '\0';
	return len && !strchr(out, '\n');
}

static uint32_t node_of(const struct nartree *t, const char *path)
{
	uint32_t dir = 0;

	while (*path) {
		size_t len = strcspn(path, "/");
		uint32_t i = dir + 1;

		while (i < t->nodes[dir].end &&
		       (t->nodes[i].name_len != len ||
			memcmp(nartree_name(t, i), path, len) != 0))
			i = t->nodes[i].end;
		if (i >= t->nodes[dir].end)
			return NARTREE_NONE;
		dir = i;
		path += len + (path[len] == '/');
	}
	return dir;
}

/* What is remembered, with the NUL at its end; "" if nothing. */
static void load(struct nix *n, struct nixpath *p)
{
	char name[64];
	int64_t len;

	if (p->profile)
		return;
	p->profile = calloc(1, PROFILE_MAX + 1);
	fact_name(p, name);
	if (!p->profile || !SCORPIO_HAS(n->host, recall))
		return;
	len = n->host->recall(n->host, name, p->profile, PROFILE_MAX);
	p->profile[len > 0 && len <= (int64_t)PROFILE_MAX ? len : 0] = '\0';
}

/* Is the line there? */
static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at += n)
		if ((at == text || at[-1] == '\n') && at[n] == '\n')
			return true;
	return false;
}

void nixprofile_note(struct nix *n, struct nixpath *p, const struct nartree *t,
		     uint32_t node)
{
	char path[1024], name[64];
	size_t len;

	if (!n->ahead || !path_of(t, node, path))
		return;
	load(n, p);
	len = p->profile ? strlen(p->profile) : PROFILE_MAX;
	if (len + strlen(path) + 2 > PROFILE_MAX || has_line(p->profile, path))
		return;
	snprintf(p->profile + len, PROFILE_MAX - len, "%s\n", path);
	/* the first ones at once, then now and then */
	if (len >= KEEP_EACH && len / KEEP_EACH == strlen(p->profile) / KEEP_EACH)
		return;
	fact_name(p, name);
	if (SCORPIO_HAS(n->host, remember))
		n->host->remember(n->host, name, p->profile,
				  strlen(p->profile));
}

uint32_t nixprofile_nodes(struct nix *n, struct nixpath *p,
			  const struct nartree *t, uint32_t *ret, uint32_t max)
{
	uint32_t count = 0;

	if (!n->ahead || p->replayed)
		return 0;
	p->replayed = true;
	load(n, p);
	for (const char *at = p->profile ? p->profile : ""; *at && count < max;) {
		size_t len = strcspn(at, "\n");
		auto_free char *path = strndup(at, len);
		uint32_t node = path ? node_of(t, path) : NARTREE_NONE;

		at += len + (at[len] == '\n');
		if (node != NARTREE_NONE && t->nodes[node].kind == SCORPIO_FILE)
			ret[count++] = node;
	}
	if (count)
		nixcount(n, "replayed", count);
	return count;
}
