/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INFO_MAX 65536u
#define DOWN_MS 10000
#define PRIORITY 50 /* of a cache that does not say */

struct nixcaches {
	pthread_mutex_t lock;
	struct nixcache *list[NIXCACHES_MAX]; /* as configured */
	unsigned n;
};

void nixcaches_free(struct nixcaches *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->n; i++) {
		free(c->list[i]->base);
		free(c->list[i]->shown);
		free(c->list[i]);
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* "http://user:pass@host/x" -> "http://host/x" */
static char *without_login(const char *url)
{
	const char *host = strstr(url, "://"), *at;
	char *out;
	size_t scheme;

	if (!host)
		return strdup(url);
	host += 3;
	scheme = (size_t)(host - url);
	at = memchr(host, '@', strcspn(host, "/?#"));
	return asprintf(&out, "%.*s%s", (int)scheme, url,
			at ? at + 1 : host) < 0
		       ? NULL
		       : out;
}

/* Of one word: nix+http://..., http://..., file:///path, /path. */
static int add(struct nix *n, struct nixcaches *c, const char *url, size_t len)
{
	auto_free char *text = strndup(url, len);
	char *base = text;
	struct nixcache *x;

	if (!text)
		return -ENOMEM;
	if (c->n == NIXCACHES_MAX)
		return nixfail(n, -EINVAL, "more than %u substituters",
			       NIXCACHES_MAX);
	if (!strncmp(base, "nix+", 4))
		base += 4;
	base[strcspn(base, "?#")] = '\0';
	for (size_t k = strlen(base); k > 1 && base[k - 1] == '/';)
		base[--k] = '\0';
	if (!strncmp(base, "file://", 7))
		base += 7;
	if (*base != '/' && strncmp(base, "http://", 7) != 0 &&
	    strncmp(base, "https://", 8) != 0)
		return nixfail(n, -EINVAL, "not the address of a Nix binary "
			       "cache: use nix+https://HOST/ or "
			       "nix+file:///PATH");
	if (*base != '/' && !strstr(base, "://")[3])
		return nixfail(n, -EINVAL, "an address without a host");
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->file = *base == '/';
	x->base = strdup(base);
	x->shown = without_login(base);
	x->priority = PRIORITY;
	c->list[c->n++] = x;
	return x->base && x->shown ? 0 : -ENOMEM;
}

int nixcaches_new(struct nix *n, const char *url, struct nixcaches **ret)
{
	const char *more = n->host->config_string(n->config, "substituters",
						  "");
	struct nixcaches *c = calloc(1, sizeof(*c));
	const char *word;
	size_t len;
	int rc;

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	rc = add(n, c, url, strlen(url));
	while (!rc && (word = nixword(&more, &len)))
		rc = add(n, c, word, len);
	if (rc) {
		nixcaches_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

bool nixcache_has_pieces(struct nix *n, const struct nixcache *c)
{
	bool ret;

	pthread_mutex_lock(&n->caches->lock);
	ret = c->pieces;
	pthread_mutex_unlock(&n->caches->lock);
	return ret;
}

bool nixcaches_local(const struct nixcaches *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (!c->list[i]->file)
			return false;
	return true;
}

/* -- requests ------------------------------------------------------------------ */

static int get_file(struct nix *n, struct nixget *g)
{
	auto_free char *path = NULL;
	auto_free uint8_t *buf = NULL;
	struct stat st;
	uint64_t left, at = g->offset;
	int fd, rc = 0;

	if (asprintf(&path, "%s/%.*s", g->cache->base,
		     (int)strcspn(g->what, "?"), g->what) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	buf = malloc(262144);
	if (!buf)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	g->status = 404;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0; /* cppcheck-suppress memleak */
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		rc = nixfail(n, -EIO, "%s: %s", path,
			     fd < 0 ? strerror(errno) : "not a file");
		goto out;
	}
	left = (uint64_t)st.st_size > at ? (uint64_t)st.st_size - at : 0;
	if (g->length && g->length < left)
		left = g->length;
	g->status = g->offset || g->length ? 206 : 200;
	if (left > g->max)
		rc = nixfail(n, -EFBIG, "%s is too large", path);
	while (left && !rc) {
		ssize_t got = pread(fd, buf, left < 262144 ? left : 262144,
				    (off_t)at);

		if (got <= 0)
			rc = nixfail(n, -EIO, "%s: %s", path,
				     got ? strerror(errno) : "it shrank");
		else if (n->host->cancelled(n->host))
			rc = -EINTR;
		else
			rc = g->data(g->ctx, buf, (size_t)got);
		at += got > 0 ? (uint64_t)got : 0;
		left -= got > 0 ? (uint64_t)got : 0;
	}
	nixcount(n, "bytes", at - g->offset);
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

struct exchange {
	struct nixget *g;
	struct scorpio_http x;
	uint64_t got;
};

static int on_data(void *ctx, const void *p, uint64_t n)
{
	struct exchange *e = ctx;

	if (e->x.status != 200 && e->x.status != 206)
		return 0;
	e->got += n;
	return e->g->data(e->g->ctx, p, n);
}

static int get_http(struct nix *n, struct nixget *g)
{
	bool absolute = !strncmp(g->what, "http://", 7) ||
			!strncmp(g->what, "https://", 8);
	bool part = g->offset || g->length;
	auto_free char *url = NULL;
	char range[80];
	const char *headers[] = { part ? range : NULL, NULL };
	struct exchange e = { .g = g };
	int rc;

	if (asprintf(&url, "%s%s%s", absolute ? "" : g->cache->base,
		     absolute ? "" : "/", g->what) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	if (g->length)
		snprintf(range, sizeof(range), "Range: bytes=%llu-%llu",
			 (unsigned long long)g->offset,
			 (unsigned long long)(g->offset + g->length - 1));
	else
		snprintf(range, sizeof(range), "Range: bytes=%llu-",
			 (unsigned long long)g->offset);
	e.x.struct_size = sizeof(e.x);
	e.x.url = url;
	e.x.headers = headers;
	e.x.on_data = on_data;
	e.x.ctx = &e;
	e.x.max_response = g->max;
	e.x.timeout_ms = 3600 * 1000; /* the caller's deadline comes first */
	nixcount(n, "requests", 1);
	rc = n->host->http(n->host, &e.x);
	nixcount(n, "bytes", e.got);
	g->status = e.x.status;
	return rc;
}

int64_t nixcache_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

void nixcache_mark(struct nix *n, struct nixcache *c, bool answered)
{
	pthread_mutex_lock(&n->caches->lock);
	c->down_until = answered ? 0 : nixcache_now_ms() + DOWN_MS;
	pthread_mutex_unlock(&n->caches->lock);
}

bool nixcache_down(struct nix *n, const struct nixcache *c)
{
	bool down;

	pthread_mutex_lock(&n->caches->lock);
	down = c->down_until > nixcache_now_ms();
	pthread_mutex_unlock(&n->caches->lock);
	return down;
}

int nixcache_get(struct nix *n, struct nixget *g)
{
	g->status = 0;
	return g->cache->file ? get_file(n, g) : get_http(n, g);
}

int nixcache_error(struct nix *n, const struct nixcache *c, int status,
		   const char *what)
{
	switch (status) {
	case 401:
	case 407:
		return nixfail(n, -EACCES, "%s: %s: a login is wanted (%d); "
			       "put it into netrc", c->shown, what, status);
	case 404:
	case 403:
	case 410:
		return nixfail(n, -EIO, "%s has no %s (%d), which it names "
			       "itself", c->shown, what, status);
	case 429:
	case 503:
		return nixfail(n, -EAGAIN, "%s: %s: the cache is too busy now "
			       "(%d)", c->shown, what, status);
	default:
		return nixfail(n, -EIO, "%s: %s: the cache failed with status "
			       "%d", c->shown, what, status);
	}
}

int nixbody_put(void *ctx, const void *p, size_t n)
{
	struct nixbody *b = ctx;
	size_t cap = b->cap ? b->cap : 4096;
	char *bigger;

	if (n > NIX_LISTING_MAX - b->len)
		return -EFBIG;
	while (cap - b->len < n)
		cap *= 2;
	if (cap != b->cap) {
		bigger = realloc(b->data, cap);
		if (!bigger)
			return -ENOMEM;
		b->data = bigger;
		b->cap = cap;
	}
	memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

int nixcache_text(struct nix *n, struct nixcache *c, const char *what,
		  uint64_t max, struct nixbody *ret, int *ret_status)
{
	struct nixget g = { .cache = c, .what = what, .max = max,
			    .data = nixbody_put, .ctx = ret };
	int rc;

	ret->len = 0;
	rc = nixcache_get(n, &g);
	*ret_status = g.status;
	return rc;
}

/* -- what they say of themselves ----------------------------------------------- */

struct info {
	char store_dir[256];
	int64_t priority;
	bool pieces;
};

static void read_line(struct info *i, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *v = colon, *end;

	if (!colon)
		return;
	end = line + len;
	for (v++; v < end && (*v == ' ' || *v == '\t'); v++)
		;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t' ||
			   end[-1] == '\r'))
		end--;
	if (colon - line == 8 && !memcmp(line, "StoreDir", 8))
		snprintf(i->store_dir, sizeof(i->store_dir), "%.*s",
			 (int)(end - v), v);
	else if (colon - line == 13 && !memcmp(line, "ScorpioPieces", 13))
		i->pieces = end - v == 1 && *v == '1';
	else if (colon - line == 8 && !memcmp(line, "Priority", 8) &&
		 end - v < 10 && end > v)
		i->priority = strtoll(v, NULL, 10);
}

static void read_info(const struct nixbody *b, struct info *i)
{
	for (size_t at = 0; at < b->len;) {
		const char *lf = memchr(b->data + at, '\n', b->len - at);
		size_t len = lf ? (size_t)(lf - b->data) - at : b->len - at;

		read_line(i, b->data + at, len);
		at += len + 1;
	}
}

static int probe(struct nix *n, struct nixcache *c)
{
	struct nixbody b = { 0 };
	struct info i = { .priority = PRIORITY };
	bool refused = false;
	int status, rc = nixcache_text(n, c, "nix-cache-info", INFO_MAX, &b,
				       &status);

	if (!rc && status != 200 && !nixcache_missing(status))
		rc = nixcache_error(n, c, status, "nix-cache-info");
	if (!rc && status == 200)
		read_info(&b, &i);
	free(b.data);
	if (!rc && c->file && status != 200 && access(c->base, R_OK | X_OK))
		rc = nixfail(n, -ENOENT, "%s: %s", c->base, strerror(errno));
	if (!rc && *i.store_dir && strcmp(i.store_dir, n->store_dir) != 0) {
		refused = true;
		rc = nixfail(n, -EINVAL, "%s holds paths of %s, not of %s; see "
			     "nix.store_dir", c->shown, i.store_dir,
			     n->store_dir);
		nixlog(n, SCORPIO_LOG_WARN, "%s holds paths of %s, not of %s: "
		       "it is not used", c->shown, i.store_dir, n->store_dir);
	}
	pthread_mutex_lock(&n->caches->lock);
	if (!rc || refused) {
		c->probed = true;
		c->refused = refused;
		c->priority = i.priority;
		c->pieces = i.pieces;
	}
	pthread_mutex_unlock(&n->caches->lock);
	return rc;
}

int nixcaches_probe(struct nix *n)
{
	int rc = 0, first = 0;
	bool one = false;

	for (unsigned i = 0; i < n->caches->n; i++) {
		struct nixcache *c = n->caches->list[i];
		bool probed, refused;

		pthread_mutex_lock(&n->caches->lock);
		probed = c->probed;
		refused = c->refused;
		pthread_mutex_unlock(&n->caches->lock);
		/* a directory may have gone in the meantime */
		rc = refused ? -EINVAL : probed && !c->file ? 0 : probe(n, c);
		if (rc == -EINTR)
			return rc;
		one = one || !rc;
		if (rc && !first)
			first = rc;
	}
	return one ? 0 : first;
}

unsigned nixcaches_order(struct nix *n,
			 struct nixcache *ret[static NIXCACHES_MAX])
{
	struct nixcaches *c = n->caches;
	unsigned k = 0;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < c->n; i++) {
		unsigned at = k;

		if (c->list[i]->refused)
			continue;
		/* stable: the configured order decides among equals */
		while (at && ret[at - 1]->priority > c->list[i]->priority)
			at--;
		memmove(&ret[at + 1], &ret[at], (k - at) * sizeof(*ret));
		ret[at] = c->list[i];
		k++;
	}
	pthread_mutex_unlock(&c->lock);
	return k;
}
