/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull.c - what other caches have. A description is taken if somebody who is
 * trusted vouches for it, and its URL becomes ours: nar/NARHASH.nar.SUFFIX, with
 * where it was in nar/.NAME.from. An archive is brought once however many ask,
 * by a thread of its own, so that a client that leaves ends nothing; clients
 * read along while it comes. Only what has the signed hash gets a name.
 */
#include "nixcache.h"

#include <scorpio/bytes.h>
#include <stdatomic.h>
#include <unistd.h>

#include "nix32.h"

#define TRIES 6
#define THREADS_MAX 64u

struct pull {
	struct pull *next; /* lock: role.lock */
	unsigned users;    /* lock: role.lock */
	struct nixcached *cache;
	char *name, *url;
	struct sum want; /* nar_hash, nar_size, kind */
	struct scorpio_http x; /* of its thread alone, as is the next */
	int expected;          /* status */
	int fd;
	struct check *check;
	/* lock: role.lock */
	uint64_t got, size; /* size: of the file; 0 not known */
	bool done;
	int error;
};

/* -- descriptions --------------------------------------------------------------------- */

/* 0 and the text; -ENOENT; or it could not be asked. */
static int get_text(struct nixcache_role *s, const char *base,
		    const char *what, size_t max, struct scorpio_bytes *ret)
{
	auto_free char *url = NULL;
	struct scorpio_http x = { .struct_size = sizeof(x), .ctx = ret,
				  .on_data = scorpio_bytes_take };
	int rc;

	if (asprintf(&url, "%s/%s", base, what) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	ret->max = max;
	x.url = url;
	rc = s->host->http(s->host, &x);
	if (!rc && (x.status == 404 || x.status == 403 || x.status == 410))
		return -ENOENT;
	if (!rc && x.status != 200)
		rc = rolefail(s, -EIO, "%s answered %d", base, x.status);
	if (!rc && !ret->p)
		rc = rolefail(s, -EIO, "%s answered nothing", base);
	return rc;
}

/* The same text with our URL. Caller frees. */
static char *with_url(const char *text, const char *url)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	while (f && *text) {
		size_t n = strcspn(text, "\n") + 1;

		if (!strncmp(text, "URL: ", 5))
			fprintf(f, "URL: %s\n", url);
		else
			fwrite(text, 1, n, f);
		text += n;
	}
	if (!f || fclose(f)) {
		free(out);
		return NULL;
	}
	return out;
}

/* The upstream's own name of it, which debuginfo and older descriptions have,
 * leads to ours: nar/.NAME.as */
static int keep_alias(struct nixcached *c, const char *theirs, const char *ours)
{
	auto_free char *path = NULL;

	if (strncmp(theirs, "nar/", 4) != 0 || !file_name_ok(theirs + 4) ||
	    !strcmp(theirs + 4, ours))
		return 0;
	if (asprintf(&path, "nar/.%s.as", theirs + 4) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return file_write(c, path, ours, strlen(ours));
}

/* Note where the archive is, then give the description. */
static int keep_pulled(struct nixcached *c, const char *base,
		     const struct narinfo *i, const char *text,
		     const char *file)
{
	char b32[NIX32_SHA256 + 1], hex[2 * NIX_SHA256 + 1], url[128];
	auto_free char *path = NULL, *from = NULL, *ours = NULL;
	bool absolute = strstr(i->url, "://");
	int rc;

	snprintf(url, sizeof(url), "nar/%s.nar%s",
		 nix32_encode(i->nar_hash, NIX_SHA256, b32),
		 unpack_suffix(i->compression));
	ours = with_url(text, url);
	if (!ours || asprintf(&path, "nar/.%s.from", url + 4) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (asprintf(&from, "%s %llu %llu %d %s%s%s\n",
		     nixhex_encode(i->nar_hash, NIX_SHA256, hex),
		     (unsigned long long)i->nar_size,
		     (unsigned long long)i->file_size, (int)i->compression,
		     absolute ? "" : base, absolute ? "" : "/", i->url) < 0) {
		from = NULL;
		return -ENOMEM;
	}
	rc = file_write(c, path, from, strlen(from));
	if (!rc)
		rc = keep_alias(c, i->url, url + 4);
	return rc ? rc : file_write(c, file, ours, strlen(ours));
}

/* The same question for listings: one that is there is passed on as it is, whose
 * sizes and names its readers hold against the signed size. */
static void pull_listing(struct nixcached *c, const char *base,
			 const char *hash)
{
	struct scorpio_bytes b = { 0 };
	char file[NIX_HASH_TEXT + 4];

	snprintf(file, sizeof(file), "%.32s.ls", hash);
	if (!get_text(c->role, base, file, NIX_LISTING_MAX, &b))
		file_write(c, file, b.p, b.n);
	free(b.p);
}

static int ask_one(struct nixcached *c, const char *base, const char *file,
		   const uint8_t hash[NIX_HASH])
{
	struct nixcache_role *s = c->role;
	struct narinfo *i = NULL;
	struct nixverdict v;
	struct scorpio_bytes b = { 0 };
	auto_free char *copy = NULL;
	const char *why;
	int rc = get_text(s, base, file, NIX_NARINFO_MAX, &b);

	if (!rc && narinfo_parse(b.p, b.n, s->format.store_dir, &i, &why))
		rc = rolefail(s, -EBADMSG, "%s: %s: %s", base, file, why);
	if (!rc && memcmp(i->hash, hash, NIX_HASH) != 0)
		rc = rolefail(s, -EBADMSG, "%s: %s describes another path",
			      base, file);
	if (!rc)
		rc = nixtrust_check(&s->format, i, &v);
	if (!rc)
		pull_listing(c, base, file);
	if (!rc)
		rc = keep_pulled(c, base, i, b.p, file);
	narinfo_free(i);
	free(b.p);
	return rc;
}

int pull_text(struct nixcached *c, const char *what, size_t max, char **ret,
	      size_t *ret_len)
{
	struct nixcache_role *s = c->role;
	int rc, first = -ENOENT;

	for (unsigned i = 0; i < s->n_upstreams; i++) {
		struct scorpio_bytes b = { 0 };

		rc = get_text(s, s->upstreams[i], what, max, &b);
		if (!rc) {
			*ret = b.p;
			*ret_len = b.n;
			return 0;
		}
		free(b.p);
		if (first == -ENOENT)
			first = rc;
	}
	return first;
}

static unsigned slot_of(const uint8_t hash[NIX_HASH])
{
	return (hash[0] | (unsigned)hash[1] << 8) % NIXCACHE_MISSES;
}

static bool missed(struct nixcache_role *s, const uint8_t hash[NIX_HASH])
{
	unsigned at = slot_of(hash);
	bool ret;

	pthread_mutex_lock(&s->lock);
	ret = s->misses[at].until > nixcache_now() &&
	      !memcmp(s->misses[at].hash, hash, NIX_HASH);
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static void note_miss(struct nixcache_role *s, const uint8_t hash[NIX_HASH])
{
	unsigned at = slot_of(hash);

	pthread_mutex_lock(&s->lock);
	memcpy(s->misses[at].hash, hash, NIX_HASH);
	s->misses[at].until = nixcache_now() + s->negative_ms;
	pthread_mutex_unlock(&s->lock);
}

int pull_info(struct nixcached *c, const uint8_t hash[NIX_HASH])
{
	struct nixcache_role *s = c->role;
	char file[NIX_HASH_TEXT + sizeof(".narinfo")], text[NIX_HASH_TEXT + 1];
	int rc, first = -ENOENT;

	if (!s->n_upstreams || missed(s, hash))
		return -ENOENT;
	snprintf(file, sizeof(file), "%s.narinfo",
		 nix32_encode(hash, NIX_HASH, text));
	for (unsigned i = 0; i < s->n_upstreams; i++) {
		rc = ask_one(c, s->upstreams[i], file, hash);
		if (!rc)
			return 0;
		if (rc != -ENOENT)
			rolelog(s, SCORPIO_LOG_WARN, "%s: %s", file,
				s->host->error_text(s->host, rc));
		if (first == -ENOENT)
			first = rc;
	}
	if (first == -ENOENT)
		note_miss(s, hash);
	return first;
}

/* -- archives -------------------------------------------------------------------------- */

static int on_packed(void *ctx, const void *data, uint64_t n)
{
	struct pull *p = ctx;
	struct nixcache_role *s = p->cache->role;
	const char *at = data;
	uint64_t left = n;
	int rc;

	if (p->x.status != p->expected) /* the text of an error */
		return 0;
	rc = check_feed(p->check, data, n);
	while (left && !rc) {
		ssize_t put = pwrite(p->fd, at, left,
				     (off_t)(p->got + (n - left)));

		if (put <= 0)
			rc = rolefail(s, -ENOSPC, "no room in %s",
				      p->cache->dir);
		left -= put > 0 ? (uint64_t)put : 0;
		at += put > 0 ? put : 0;
	}
	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	p->got += n;
	rc = s->stopping ? -EINTR : 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int get_rest(struct pull *p)
{
	struct nixcache_role *s = p->cache->role;
	char range[64];
	const char *headers[] = { range, NULL };
	int rc;

	p->x = (struct scorpio_http){ .struct_size = sizeof(p->x),
				      .url = p->url, .on_data = on_packed,
				      .ctx = p, .flags = SCORPIO_HTTP_NO_RETRY,
				      .timeout_ms = 24 * 3600 * 1000 };
	snprintf(range, sizeof(range), "Range: bytes=%llu-",
		 (unsigned long long)p->got);
	p->x.headers = p->got ? headers : NULL;
	p->expected = p->got ? 206 : 200;
	rc = s->host->http(s->host, &p->x);
	p->x.headers = NULL;
	if (!rc && p->x.status != p->expected)
		rc = rolefail(s, -EBADMSG, "%s answered %d", p->url,
			      p->x.status);
	return rc;
}

static int bring(struct pull *p)
{
	struct nixcache_role *s = p->cache->role;
	struct nartree *t = NULL;
	struct sum sum;
	uint64_t before = 0;
	int rc, tries = 0;

	while ((rc = get_rest(p)) == -EIO || rc == -ETIMEDOUT) {
		if (p->got == before || ++tries >= TRIES)
			break;
		before = p->got;
	}
	if (!rc)
		rc = check_end(p->check, &sum, &t);
	nartree_free(t);
	if (!rc && (sum.nar_size != p->want.nar_size ||
		    memcmp(sum.nar_hash, p->want.nar_hash, NIX_SHA256) != 0))
		rc = rolefail(s, -EBADMSG, "%s: it is not the archive that was "
			      "signed", p->url);
	if (!rc)
		rc = check_keep(p->cache, p->fd, p->name, p->check);
	return rc;
}

/* lock held */
static void pull_free(struct pull *p)
{
	if (p->fd >= 0)
		close(p->fd);
	check_free(p->check);
	free(p->name);
	free(p->url);
	free(p);
}

void pull_put(struct pull *p)
{
	struct nixcache_role *s = p->cache->role;
	struct pull **at = &s->pulls;

	pthread_mutex_lock(&s->lock);
	if (--p->users == 0) {
		while (*at != p)
			at = &(*at)->next;
		*at = p->next;
		pull_free(p);
	}
	pthread_mutex_unlock(&s->lock);
}

static void *pull_thread(void *arg)
{
	struct pull *p = arg;
	struct nixcache_role *s = p->cache->role;
	int rc = bring(p);

	if (rc)
		rolelog(s, SCORPIO_LOG_WARN, "%s: %s", p->url,
			s->host->error_text(s->host, rc));
	pthread_mutex_lock(&s->lock);
	p->done = true;
	p->error = rc;
	p->size = p->got;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pull_put(p);
	pthread_mutex_lock(&s->lock);
	s->threads--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* What nar/.NAME.from says. */
static int read_from(struct nixcached *c, const char *name, struct pull *p)
{
	auto_free char *path = NULL, *text = NULL;
	char hex[65];
	unsigned long long nar, file;
	int kind, used = 0, rc;
	size_t len;

	if (asprintf(&path, "nar/.%s.from", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	rc = file_read(c, path, 16384, &text, &len);
	if (rc)
		return rc;
	if (sscanf(text, "%64s %llu %llu %d %n", hex, &nar, &file, &kind,
		   &used) != 4 || !used ||
	    !nixhex_decode(hex, strlen(hex), p->want.nar_hash, NIX_SHA256))
		return rolefail(c->role, -EIO, "%s is damaged", path);
	p->want.nar_size = nar;
	p->want.kind = (enum unpack_kind)kind;
	p->size = file;
	p->url = strndup(text + used, strcspn(text + used, "\n"));
	return p->url ? 0 : -ENOMEM;
}

int pull_known(struct nixcached *c, const char *name, char **ret_url,
	       uint64_t *ret_size)
{
	struct pull place = { .fd = -1 };
	int rc = read_from(c, name, &place);

	if (rc)
		return rc;
	*ret_size = place.size ? place.size
		    : place.want.kind == UNPACK_NONE ? place.want.nar_size
						     : 0;
	if (ret_url)
		*ret_url = place.url;
	else
		free(place.url);
	return 0;
}

static struct pull *find(struct nixcached *c, const char *name)
{
	struct pull *p = c->role->pulls;

	while (p && (p->cache != c || strcmp(p->name, name) != 0 || p->done))
		p = p->next;
	return p;
}

static int start(struct pull *p)
{
	struct nixcache_role *s = p->cache->role;
	pthread_attr_t attr;
	pthread_t t;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&t, &attr, pull_thread, p);
	pthread_attr_destroy(&attr);
	return rc ? rolefail(s, -EAGAIN, "cannot start a thread") : 0;
}

static int make(struct nixcached *c, const char *name, struct pull **ret)
{
	struct pull *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->cache = c;
	p->fd = -1;
	p->name = strdup(name);
	rc = p->name ? read_from(c, name, p) : -ENOMEM;
	if (!rc) {
		p->fd = file_temp(c);
		rc = p->fd < 0 ? p->fd : 0;
	}
	p->check = rc ? NULL : check_new(c->role, p->want.kind);
	if (!rc && !p->check)
		rc = -ENOMEM;
	if (rc)
		pull_free(p);
	else
		*ret = p;
	return rc;
}

int pull_nar(struct nixcached *c, const char *name, struct pull **ret)
{
	struct nixcache_role *s = c->role;
	struct pull *p, *mine = NULL;
	int rc = make(c, name, &mine);

	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	p = find(c, name);
	if (!p && (s->stopping || s->threads == THREADS_MAX))
		rc = -EAGAIN;
	if (!p && !rc)
		rc = start(mine);
	if (!p && !rc) {
		p = mine;
		mine = NULL;
		p->users = 1; /* the thread, which waits for the lock */
		p->next = s->pulls;
		s->pulls = p;
		s->threads++;
	}
	if (p)
		p->users++;
	pthread_mutex_unlock(&s->lock);
	if (mine)
		pull_free(mine);
	*ret = p;
	return rc;
}

/* lock held. Until somebody has something new, or the role stops. */
static int wait_more(struct nixcache_role *s)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec++;
	pthread_cond_timedwait(&s->changed, &s->lock, &t);
	return s->stopping || s->host->cancelled(s->host) ? -EINTR : 0;
}

int pull_size(struct pull *p, uint64_t *ret)
{
	struct nixcache_role *s = p->cache->role;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	/* a first byte, so that what cannot be had is an error answer */
	while (!rc && !p->done && (!p->size || !p->got))
		rc = wait_more(s);
	if (!rc && p->done)
		rc = p->error;
	*ret = p->size;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int64_t pull_read(struct pull *p, uint64_t pos, void *buf, uint64_t n)
{
	struct nixcache_role *s = p->cache->role;
	uint64_t have;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (!rc && !p->done && p->got <= pos)
		rc = wait_more(s);
	have = p->got > pos ? p->got - pos : 0;
	if (!rc && !have)
		rc = p->error;
	pthread_mutex_unlock(&s->lock);
	if (rc || !have)
		return rc;
	return pread(p->fd, buf, n < have ? n : have, (off_t)pos);
}

void pull_stop_all(struct nixcache_role *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->changed);
	while (s->threads)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}
