/* SPDX-License-Identifier: Apache-2.0 */
#include "path.h"

#include <brotli/decode.h>
#include <time.h>

#include "listing.h"
#include "nix32.h"

#define BUCKETS 1024u
#define WAIT_MS 50
#define KEEP_PATHS 4096u        /* in memory, with what is known of them */
#define KEEP_NODES 2000000u     /* of trees; about 50 bytes each */
#define KEEP_BYTES (2ull << 30) /* of checked archives */

struct nixpaths {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct nixpath *table[BUCKETS]; /* lock */
	unsigned n;                     /* lock */
	int64_t absent_ms;              /* how long a miss is believed */
};

int nixpaths_new(struct nix *n, struct nixpaths **ret)
{
	int64_t s = n->host->config_int(n->config, "negative_ttl", 30);
	struct nixpaths *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	if (!p)
		return -ENOMEM;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&p->lock, NULL);
	p->absent_ms = (s < 0 ? 0 : s > 86400 ? 86400 : s) * 1000;
	*ret = p;
	return 0;
}

static void forget_trees(struct nixpath *p)
{
	nartree_free(p->listed);
	nixspool_free(p->spool);
	nixranges_free(p->ranges);
	p->listed = NULL;
	p->spool = NULL;
	p->ranges = NULL;
	p->no_ranges = false;
	p->poured = 0;
}

static void path_free(struct nixpath *p)
{
	forget_trees(p);
	narinfo_free(p->info);
	free(p->profile);
	free(p);
}

void nixpaths_free(struct nixpaths *all)
{
	if (!all)
		return;
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct nixpath *p = all->table[i], *next; p; p = next) {
			next = p->next;
			path_free(p);
		}
	}
	pthread_cond_destroy(&all->changed);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

static unsigned bucket_of(const uint8_t hash[NIX_HASH])
{
	return (hash[0] | (unsigned)hash[1] << 8) % BUCKETS;
}

/* lock held */
static struct nixpath *find(struct nixpaths *all, const uint8_t hash[NIX_HASH])
{
	struct nixpath *p = all->table[bucket_of(hash)];

	while (p && memcmp(p->hash, hash, NIX_HASH) != 0)
		p = p->next;
	return p;
}

/* lock held */
static struct nixpath *make(struct nixpaths *all, const uint8_t hash[NIX_HASH])
{
	struct nixpath *p = calloc(1, sizeof(*p)), **at;

	if (!p)
		return NULL;
	memcpy(p->hash, hash, NIX_HASH);
	at = &all->table[bucket_of(hash)];
	p->next = *at;
	*at = p;
	all->n++;
	return p;
}

/* lock held; true: the caller has it */
static bool wait_turn(struct nix *n, struct nixpath *p)
{
	struct nixpaths *all = n->paths;
	struct timespec t;

	while (p->busy) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_nsec += WAIT_MS * 1000000l;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&all->changed, &all->lock, &t);
		if (!p->busy)
			break;
		pthread_mutex_unlock(&all->lock);
		if (n->host->cancelled(n->host)) {
			pthread_mutex_lock(&all->lock);
			return false;
		}
		pthread_mutex_lock(&all->lock);
	}
	p->busy = true;
	return true;
}

int nixpath_get(struct nix *n, const uint8_t hash[NIX_HASH],
		struct nixpath **ret)
{
	struct nixpaths *all = n->paths;
	struct nixpath *p;
	bool mine = false;

	pthread_mutex_lock(&all->lock);
	p = find(all, hash);
	if (!p)
		p = make(all, hash);
	if (p) {
		p->users++;
		mine = wait_turn(n, p);
		if (!mine)
			p->users--;
	}
	pthread_mutex_unlock(&all->lock);
	if (!p)
		return -ENOMEM;
	if (!mine)
		return nixfail(n, -EINTR, "nobody waits any more");
	*ret = p;
	return 0;
}

/* -- what is kept -------------------------------------------------------------- */

static uint64_t nodes_of(const struct nixpath *p)
{
	return (p->listed ? p->listed->n : 0) +
	       (p->spool ? p->spool->tree->n : 0);
}

struct kept {
	uint64_t nodes, bytes;
	struct nixpath *oldest;       /* that nobody uses */
	struct nixpath *oldest_trees; /* the same, with trees */
};

/* lock held */
static void look(struct nixpaths *all, struct kept *k)
{
	*k = (struct kept){ 0 };
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct nixpath *p = all->table[i]; p; p = p->next) {
			if (p->users)
				continue;
			k->nodes += nodes_of(p);
			k->bytes += p->spool	? p->spool->size
				    : p->ranges ? nixranges_bytes(p->ranges)
						: 0;
			if (!k->oldest || p->used_ms < k->oldest->used_ms)
				k->oldest = p;
			if ((p->listed || p->spool || p->ranges) &&
			    (!k->oldest_trees ||
			     p->used_ms < k->oldest_trees->used_ms))
				k->oldest_trees = p;
		}
	}
}

/* lock held */
static void drop(struct nixpaths *all, struct nixpath *p)
{
	struct nixpath **at = &all->table[bucket_of(p->hash)];

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	all->n--;
	path_free(p);
}

/* lock held */
static void trim(struct nixpaths *all)
{
	struct kept k;

	for (look(all, &k); k.oldest_trees && (k.nodes > KEEP_NODES ||
					       k.bytes > KEEP_BYTES);
	     look(all, &k))
		forget_trees(k.oldest_trees);
	while (k.oldest && all->n > KEEP_PATHS) {
		drop(all, k.oldest);
		look(all, &k);
	}
}

void nixpath_put(struct nix *n, struct nixpath *p)
{
	struct nixpaths *all = n->paths;

	if (!p)
		return;
	pthread_mutex_lock(&all->lock);
	p->busy = false;
	p->users--;
	p->used_ms = nixcache_now_ms();
	if (nodes_of(p) || all->n > KEEP_PATHS)
		trim(all);
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->lock);
}

/* -- the description ----------------------------------------------------------- */

static int accept_info(struct nix *n, struct nixpath *p, struct nixcache *c,
		       const struct nixbody *b)
{
	struct nixverdict v;
	struct narinfo *i;
	const char *why;
	char name[NIX_HASH_TEXT + 1];
	int rc = narinfo_parse(b->data ? b->data : "", b->len, n->store_dir, &i,
			       &why);

	nix32_encode(p->hash, NIX_HASH, name);
	if (rc)
		return nixfail(n, rc, "%s: the description of %s is refused: "
			       "%s", c->shown, name, why);
	if (memcmp(i->hash, p->hash, NIX_HASH) != 0)
		rc = nixfail(n, -EBADMSG, "%s: the description of %s is that of "
			     "another path", c->shown, name);
	else if (c->file && strstr(i->url, "://"))
		rc = nixfail(n, -EBADMSG, "%s: the archive of %s is said to be "
			     "at another place", c->shown, name);
	if (!rc)
		rc = nixtrust_check(n, i, &v);
	if (rc) {
		narinfo_free(i);
		return rc;
	}
	p->info = i;
	p->verdict = v;
	p->cache = c;
	return 0;
}

/* 0, -ENOENT: this one does not have it, or an error. */
static int ask_one(struct nix *n, struct nixpath *p, struct nixcache *c)
{
	struct nixbody b = { 0 };
	char what[NIX_HASH_TEXT + sizeof(".narinfo")];
	char name[NIX_HASH_TEXT + 1];
	int status, rc;

	if (nixcache_down(n, c))
		return nixfail(n, -EIO, "%s did not answer a moment ago",
			       c->shown);
	snprintf(what, sizeof(what), "%s.narinfo",
		 nix32_encode(p->hash, NIX_HASH, name));
	rc = nixcache_text(n, c, what, NIX_NARINFO_MAX, &b, &status);
	if (rc == -EIO || rc == -ETIMEDOUT || !rc)
		nixcache_mark(n, c, !rc);
	if (!rc && nixcache_missing(status))
		rc = -ENOENT;
	else if (!rc && status != 200)
		rc = nixcache_error(n, c, status, what);
	p->fetched += b.len;
	if (!rc)
		rc = accept_info(n, p, c, &b);
	free(b.data);
	return rc;
}

int nixpath_info(struct nix *n, struct nixpath *p)
{
	struct nixcache *list[NIXCACHES_MAX];
	unsigned count, i;
	int rc, first = -ENOENT;

	if (p->info)
		return 0;
	if (p->absent_until > nixcache_now_ms())
		return nixfail(n, -ENOENT, "no cache has it");
	count = nixcaches_order(n, list);
	for (i = 0; i < count; i++) {
		rc = ask_one(n, p, list[i]);
		if (!rc || nixrc_stops(rc))
			return rc;
		if (rc != -ENOENT && first != -ENOENT)
			continue;
		if (rc != -ENOENT && i + 1 < count)
			nixlog(n, SCORPIO_LOG_WARN, "%s: asking the next cache "
			       "(error %d)", list[i]->shown, -rc);
		if (rc != -ENOENT)
			first = rc;
	}
	/* one that could not be asked might have it */
	if (first != -ENOENT)
		return count > 1 ? nixfail(n, first, "no cache could vouch for "
					   "it, and not all could be asked")
				 : first;
	p->absent_until = nixcache_now_ms() + n->paths->absent_ms;
	return nixfail(n, -ENOENT, "no cache has it");
}

/* -- the tree ------------------------------------------------------------------ */

/* Listings are often stored compressed, and served with a Content-Encoding
 * that the host's client may have undone or not: their first bytes tell. */
static int plain_listing(struct nixbody *b)
{
	static const uint8_t zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	static const uint8_t gzip[] = { 0x1f, 0x8b };
	static const uint8_t xz[] = { 0xfd, '7', 'z', 'X', 'Z' };
	size_t blank = 0;
	enum unpack_kind kind;
	struct nixbody out = { 0 };
	struct unpack *u;
	int rc;

	while (blank < b->len && strchr(" \t\r\n", b->data[blank]))
		blank++;
	if (blank < b->len && b->data[blank] == '{')
		return 0;
	kind = b->len > 4 && !memcmp(b->data, zstd, 4)	 ? UNPACK_ZSTD
	       : b->len > 2 && !memcmp(b->data, gzip, 2) ? UNPACK_GZIP
	       : b->len > 5 && !memcmp(b->data, xz, 5)	 ? UNPACK_XZ
							 : UNPACK_BROTLI;
	u = unpack_new(kind, nixbody_put, &out);
	rc = u ? unpack_feed(u, b->data, b->len) : -ENOMEM;
	if (!rc)
		rc = unpack_end(u);
	unpack_free(u);
	free(b->data);
	*b = out;
	return rc;
}

/* 0: p->listed, or there is none to be used. */
static int bring_listing(struct nix *n, struct nixpath *p)
{
	struct nixbody b = { 0 };
	char what[NIX_HASH_TEXT + sizeof(".ls")], name[NIX_HASH_TEXT + 1];
	const char *why = "it cannot be decompressed";
	int status, rc;

	snprintf(what, sizeof(what), "%s.ls",
		 nix32_encode(p->hash, NIX_HASH, name));
	rc = nixcache_text(n, p->cache, what, NIX_LISTING_MAX, &b, &status);
	if (rc && rc != -EFBIG) {
		free(b.data);
		return rc;
	}
	p->no_listing = true;
	p->fetched += b.len;
	if (!rc && status == 200) {
		rc = plain_listing(&b);
		if (!rc)
			rc = listing_parse(b.data ? b.data : "", b.len,
					   p->info->nar_size, &p->listed, &why);
		if (rc)
			nixlog(n, SCORPIO_LOG_WARN, "%s: the listing of %s is "
			       "not used: %s", p->cache->shown, p->info->base,
			       why);
		nixcount(n, rc ? "listings_refused" : "listings", 1);
	}
	free(b.data);
	if (p->listed) {
		nixid_tag(p->info->nar_hash, p->listed, p->listed_tag);
		p->no_listing = false;
	}
	return 0;
}

/* May the shape of the path be taken from a listing? Only where the size that
 * it is held against is signed. */
bool nixpath_may_list(const struct nix *n, const struct nixpath *p)
{
	return n->listings && n->verify != NIX_VERIFY_FULL && !p->no_listing &&
	       !p->lied && p->verdict.proof != NIX_ADDRESSED &&
	       p->info->nar_size > n->whole_below;
}

int nixpath_tree(struct nix *n, struct nixpath *p, const struct nartree **ret,
		 const uint8_t **ret_tag)
{
	int rc = nixpath_info(n, p);

	if (!rc && !p->spool && !p->listed && nixpath_may_list(n, p))
		rc = bring_listing(n, p);
	if (!rc && !p->spool && !p->listed)
		rc = nixpath_archive(n, p);
	if (rc)
		return rc;
	*ret = p->spool ? p->spool->tree : p->listed;
	*ret_tag = p->spool ? p->tag : p->listed_tag;
	return 0;
}

/* The archive is there: the listing has done its work. */
static void compare_listing(struct nix *n, struct nixpath *p)
{
	p->poured = 0;
	nixid_tag(p->info->nar_hash, p->spool->tree, p->tag);
	if (p->listed && memcmp(p->tag, p->listed_tag, NIXID_TAG) != 0) {
		p->lied = true;
		nixlog(n, SCORPIO_LOG_ERROR, "%s: the listing of %s is not that "
		       "of its archive", p->cache->shown, p->info->base);
	}
	nartree_free(p->listed);
	p->listed = NULL;
	nixranges_free(p->ranges);
	p->ranges = NULL;
}

int nixpath_archive(struct nix *n, struct nixpath *p)
{
	int rc = nixpath_info(n, p);

	if (rc || p->spool)
		return rc;
	rc = nixspool_bring(n, p->cache, p->info, &p->verdict, &p->spool,
			    &p->fetched);
	if (!rc)
		compare_listing(n, p);
	return rc;
}

/* -- parts of the archive -------------------------------------------------------- */

/* 0: *ret is the signed list that belongs to the path and its listing, or NULL:
 * there is none to be believed. */
static int bring_pieces(struct nix *n, struct nixpath *p, struct pieces **ret)
{
	struct nixbody b = { 0 };
	char what[NIX_HASH_TEXT + sizeof(".pieces")], name[NIX_HASH_TEXT + 1];
	struct pieces *x = calloc(1, sizeof(*x));
	auto_free char *text = NULL;
	const char *why = "it is not there";
	bool good = false;
	int status, rc;

	if (!x)
		return -ENOMEM;
	snprintf(what, sizeof(what), "%s.pieces",
		 nix32_encode(p->hash, NIX_HASH, name));
	rc = nixcache_text(n, p->cache, what, PIECES_MAX, &b, &status);
	p->fetched += b.len;
	if (!rc && status == 200 && !pieces_parse(b.data, b.len, x, &why)) {
		why = "it is of another archive, or no trusted key signed it";
		text = pieces_fingerprint(x);
		good = text && x->nar_size == p->info->nar_size &&
		       !memcmp(x->nar_hash, p->info->nar_hash, NIX_SHA256) &&
		       !memcmp(x->tree, p->listed->digest, NIX_SHA256) &&
		       nixtrust_signed(n, x->sigs, x->n_sigs, text);
	}
	if (!rc && status == 200 && !good)
		nixlog(n, SCORPIO_LOG_WARN, "%s: %s is not used: %s",
		       p->cache->shown, what, why);
	free(b.data);
	if (!good) {
		pieces_done(x);
		free(x);
		x = NULL;
	}
	*ret = x;
	return rc == -EFBIG ? 0 : rc;
}

int nixpath_ranges(struct nix *n, struct nixpath *p)
{
	struct pieces *proof = NULL;
	const struct nartree *t;
	const uint8_t *tag;
	int rc = nixpath_tree(n, p, &t, &tag);

	if (rc || p->spool || p->ranges || p->no_ranges ||
	    p->info->nar_size < n->ranges_above)
		return rc;
	p->no_ranges = true;
	if (n->verify == NIX_VERIFY_CONTENT) {
		if (nixcache_has_pieces(n, p->cache))
			rc = bring_pieces(n, p, &proof);
		if (rc || !proof)
			return nixrc_stops(rc) ? rc : 0;
	}
	rc = nixranges_new(n, p->cache, p->info, proof, &p->ranges,
			   &p->fetched);
	/* what cannot be read in parts comes whole */
	return nixrc_stops(rc) || rc == -ENOMEM ? rc : 0;
}

void nixpath_no_ranges(struct nixpath *p)
{
	nixranges_free(p->ranges);
	p->ranges = NULL;
	p->no_ranges = true;
}

int nixpath_completed(struct nix *n, struct nixpath *p)
{
	int fd = p->ranges ? nixranges_take(p->ranges) : -1, rc;

	if (fd < 0)
		return 0;
	rc = nixspool_adopt(n, p->info, &p->verdict, fd, &p->spool);
	if (!rc)
		compare_listing(n, p);
	else
		nixpath_no_ranges(p);
	return rc;
}
