/* SPDX-License-Identifier: Apache-2.0 */
#include "nixcache.h"

#include <fcntl.h>
#include <scorpio/plugin.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nix32.h"

#define UP (SCORPIO_ROUTE_OPEN | SCORPIO_ROUTE_UPLOAD)
#define DOWN SCORPIO_ROUTE_OPEN
#define CACHIX "/api/v1/cache/{cache}"
/* the first cache is at the root as well */
#define BOTH(method, at, run, flags)                                           \
	{ method, at, run, flags, 0 }, { method, "/{cache}" at, run, flags, 0 }

static const struct scorpio_route routes[] = {
	{ "GET", "/healthz", send_health, DOWN, 0 },
	BOTH("GET", "/{file}", send_info, DOWN),
	BOTH("GET", "/nar/{name}", send_nar, DOWN),
	BOTH("GET", "/log/{name}", send_log, DOWN),
	BOTH("GET", "/realisations/{name}", send_realisation, DOWN),
	BOTH("GET", "/debuginfo/{name}", send_debuginfo, DOWN),
	BOTH("GET", "/build-trace-v2/{drv}/{name}", send_trace, DOWN),
	BOTH("PUT", "/{file}", take_info, UP),
	BOTH("PUT", "/nar/{name}", take_nar, UP),
	BOTH("PUT", "/log/{name}", take_log, UP),
	BOTH("PUT", "/realisations/{name}", take_realisation, UP),
	BOTH("PUT", "/debuginfo/{name}", take_debuginfo, UP),
	BOTH("PUT", "/build-trace-v2/{drv}/{name}", take_trace, UP),
	{ "GET", "/{cache}/pins", send_pins, DOWN, 0 },
	{ "PUT", "/{cache}/pins/{name}", take_pin, DOWN, 0 },
	{ "DELETE", "/{cache}/pins/{name}", drop_pin, DOWN, 0 },
	{ "POST", "/{cache}/gc", run_gc, DOWN, 0 },
	{ "POST", "/_api/v1/get-missing-paths", attic_missing, DOWN, 0 },
	{ "PUT", "/_api/v1/upload-path", attic_upload, UP, 0 },
	{ "GET", "/_api/v1/cache-config/{cache}", attic_config, DOWN, 0 },
	{ "GET", CACHIX, cachix_info, DOWN, 0 },
	{ "POST", CACHIX "/narinfo", cachix_missing, DOWN, 0 },
	{ "POST", CACHIX "/multipart-nar", cachix_begin, DOWN, 0 },
	{ "POST", CACHIX "/multipart-nar/{id}", cachix_part_url, DOWN, 0 },
	{ "PUT", CACHIX "/parts/{id}/{part}", cachix_part, UP, 0 },
	{ "POST", CACHIX "/multipart-nar/{id}/complete", cachix_complete, DOWN,
	  0 },
	{ "POST", CACHIX "/multipart-nar/{id}/abort", cachix_abort, DOWN, 0 },
	{ "POST", CACHIX "/pin", cachix_pin, DOWN, 0 },
	{ NULL, NULL, NULL, 0, 0 },
};

/* -- who may ------------------------------------------------------------------------------- */

/* The token of "Bearer TOKEN", or the password of "Basic BASE64". */
static bool token_of(struct nixcache_role *s, const struct scorpio_request *r,
		     char out[512])
{
	const char *h = s->http->header(r, "Authorization");
	uint8_t plain[512];
	int n;

	out[0] = '\0';
	if (h && !strncasecmp(h, "Bearer ", 7)) {
		snprintf(out, 512, "%s", h + 7);
		return true;
	}
	if (!h || strncasecmp(h, "Basic ", 6) || strlen(h + 6) > 640)
		return false;
	n = EVP_DecodeBlock(plain, (const uint8_t *)h + 6, (int)strlen(h + 6));
	if (n <= 0)
		return false;
	plain[n < 511 ? n : 511] = '\0';
	h = strchr((char *)plain, ':');
	snprintf(out, 512, "%s", h ? h + 1 : "");
	return h;
}

/* Is "CACHE:TOKEN" of this cache, or of all? *ret: the token in it. */
static bool token_for(const char *word, size_t n, const char *cache,
		      const char **ret, size_t *ret_n)
{
	size_t at = strcspn(word, ":");

	if (at >= n || !((at == 1 && *word == '*') ||
			 (at == strlen(cache) && !strncmp(word, cache, at))))
		return false;
	*ret = word + at + 1;
	*ret_n = n - at - 1;
	return true;
}

/* Does the list "CACHE:TOKEN ..." hold it? Always looks at all of it. */
static bool listed(const char *list, const char *cache, const char *token)
{
	uint8_t want[NIX_SHA256], is[NIX_SHA256];
	const char *word, *one;
	size_t n, len;
	bool found = false;

	EVP_Digest(token, strlen(token), want, NULL, EVP_sha256(), NULL);
	while (list && (word = nixword(&list, &n))) {
		if (!token_for(word, n, cache, &one, &len))
			continue;
		EVP_Digest(one, len, is, NULL, EVP_sha256(), NULL);
		found |= CRYPTO_memcmp(is, want, NIX_SHA256) == 0;
	}
	return found;
}

/* Are there tokens for this cache at all? */
static bool guarded(const char *list, const char *cache)
{
	const char *word, *one;
	size_t n, len;

	while (list && (word = nixword(&list, &n)))
		if (token_for(word, n, cache, &one, &len))
			return true;
	return false;
}

static bool may(struct nixcache_role *s, const struct scorpio_request *r,
		const char *cache, bool write)
{
	char token[512];
	bool told = token_of(s, r, token);

	if (write) /* without tokens nobody writes */
		return told && listed(s->write_tokens, cache, token);
	return !guarded(s->read_tokens, cache) ||
	       (told && (listed(s->read_tokens, cache, token) ||
			 listed(s->write_tokens, cache, token)));
}

struct nixcached *cache_named(struct nixcache_role *s, struct scorpio_request *r,
			      const char *name, bool write)
{
	static const char *const ask[] = {
		"WWW-Authenticate: Basic realm=\"nixcache\"", NULL };
	static const char why[] = "a token for this is needed: password in "
				  "netrc, or Authorization: Bearer TOKEN\n";
	struct nixcached *c = NULL;

	for (unsigned i = 0; i < s->n_caches && !c; i++)
		if (!name || !strcmp(s->caches[i].name, name))
			c = &s->caches[i];
	if (!c)
		send_status(s, r, 404, "there is no such cache\n");
	else if (!may(s, r, c->name, write)) {
		s->http->reply(r, 401, ask, why, sizeof(why) - 1);
		c = NULL;
	}
	return c;
}

struct nixcached *cache_of(struct nixcache_role *s, struct scorpio_request *r,
			   bool write)
{
	return cache_named(s, r, s->http->param(r, "cache"), write);
}

/* -- start ------------------------------------------------------------------------------------ */

/* of each cache; no cache has such a name */
static const char *const subs[] = { "nar", "log", "realisations", "debuginfo",
				    "build-trace-v2", "pins", "parts" };
#define N_SUBS (sizeof(subs) / sizeof(*subs))

static bool is_word(const char *word, const char *p, size_t n)
{
	return strlen(word) == n && !strncmp(word, p, n);
}

static bool cache_name_ok(const char *p, size_t n)
{
	for (size_t i = 0; i < N_SUBS; i++)
		if (is_word(subs[i], p, n))
			return false;
	return n && !is_word("healthz", p, n) && !is_word("api", p, n) && n < 64 &&
	       strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-_") >= n;
}

static int make_dirs(struct nixcached *c, const char *base)
{
	if (mkdir(base, 0755) && errno != EEXIST)
		return rolefail(c->role, -errno, "%s: %s", base,
				strerror(errno));
	if (mkdir(c->dir, 0755) && errno != EEXIST)
		return rolefail(c->role, -errno, "%s: %s", c->dir,
				strerror(errno));
	c->fd = open(c->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (c->fd < 0)
		return rolefail(c->role, -errno, "%s: %s", c->dir,
				strerror(errno));
	for (size_t i = 0; i < N_SUBS; i++)
		if (mkdirat(c->fd, subs[i], 0755) && errno != EEXIST)
			return rolefail(c->role, -errno, "%s/%s: %s", c->dir,
					subs[i], strerror(errno));
	return 0;
}

static int add_cache(struct nixcache_role *s, const char *base, const char *p,
		     size_t n)
{
	struct nixcached *c = &s->caches[s->n_caches];

	if (s->n_caches == NIXCACHE_NAMES_MAX || !cache_name_ok(p, n))
		return rolefail(s, -EINVAL, "nixcache.caches: \"%.*s\" cannot be "
				"a cache's name, or there are too many", (int)n,
				p);
	c->role = s;
	c->fd = -1;
	c->name = strndup(p, n);
	if (asprintf(&c->dir, "%s/%.*s", base, (int)n, p) < 0)
		c->dir = NULL;
	s->n_caches++;
	return c->name && c->dir ? make_dirs(c, base) : -ENOMEM;
}

static int add_upstream(struct nixcache_role *s, const char *p, size_t n)
{
	while (n && p[n - 1] == '/')
		n--;
	if (s->n_upstreams == NIXCACHE_UPSTREAMS_MAX ||
	    (strncmp(p, "http://", 7) && strncmp(p, "https://", 8)))
		return rolefail(s, -EINVAL, "nixcache.upstreams: not an http "
				"address, or too many");
	s->upstreams[s->n_upstreams] = strndup(p, n);
	return s->upstreams[s->n_upstreams++] ? 0 : -ENOMEM;
}

/* "name:base64 of seed and public key" */
static int add_key(struct nixcache_role *s, const char *file)
{
	char text[512], *colon;
	uint8_t raw[64];
	struct nixkey *k = &s->keys[s->n_keys];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int rc = 0;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return rolefail(s, -errno, "nixcache.sign_with: %s: %s", file,
				strerror(errno));
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	colon = strchr(text, ':');
	if (s->n_keys == NIXCACHE_KEYS_MAX || !colon ||
	    !nix64_decode(colon + 1, strlen(colon + 1), raw, sizeof(raw)))
		rc = rolefail(s, -EINVAL, "nixcache.sign_with: %s is not a "
			      "secret key as nix-store "
			      "--generate-binary-cache-key writes it", file);
	if (!rc) {
		k->name = strndup(text, (size_t)(colon - text));
		k->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
						      raw, 32);
		s->n_keys++;
		rc = k->name && k->key ? 0 : -ENOMEM;
	}
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(raw, sizeof(raw));
	return rc;
}

static int each_word(struct nixcache_role *s, const char *list,
		     const char *base, char what)
{
	const char *at;
	size_t n;
	int rc = 0;

	while (list && !rc && (at = nixword(&list, &n))) {
		auto_free char *word = strndup(at, n);

		rc = !word	   ? -ENOMEM
		     : what == 'c' ? add_cache(s, base, at, n)
		     : what == 'u' ? add_upstream(s, word, n)
				   : add_key(s, word);
	}
	return rc;
}

static int configure(struct nixcache_role *s)
{
	const struct scorpio_host *h = s->host;
	const struct scorpio_config *c = s->config;
	const char *dir = h->config_string(c, "directory", NULL);
	int rc;

	if (!dir || *dir != '/')
		return rolefail(s, -EINVAL, "nixcache.directory is not set: an "
				"absolute path for what is kept");
	s->format = (struct nix){ .host = h, .config = c };
	s->format.store_dir = strdup(h->config_string(c, "store_dir",
						      "/nix/store"));
	s->read_tokens = h->config_string(c, "read_tokens", NULL);
	s->write_tokens = h->config_string(c, "write_tokens", NULL);
	s->priority = h->config_int(c, "priority", 30);
	s->gc.keep_s = h->config_int(c, "keep_duration", 0);
	s->gc.max_used = (uint64_t)h->config_int(c, "max_used_space", 0);
	s->gc.min_free = (uint64_t)h->config_int(c, "min_free_space", 0);
	s->gc.reserved = (uint64_t)h->config_int(c, "reserved_space", 0);
	s->nar_max = (uint64_t)h->config_int(c, "nar_max", 68719476736);
	s->negative_ms = h->config_int(c, "negative_ttl", 30) * 1000;
	rc = s->format.store_dir ? nixtrust_new(&s->format, &s->format.trust)
				 : -ENOMEM;
	if (!rc)
		rc = each_word(s, h->config_string(c, "caches", "main"), dir,
			       'c');
	if (!rc)
		rc = each_word(s, h->config_string(c, "upstreams", NULL), NULL,
			       'u');
	if (!rc)
		rc = each_word(s, h->config_string(c, "sign_with", NULL), NULL,
			       'k');
	if (!rc && !s->n_caches)
		rc = rolefail(s, -EINVAL, "nixcache.caches is empty");
	return rc;
}

static int serve(struct nixcache_role *s)
{
	const struct scorpio_host *h = s->host;
	struct scorpio_serve x = {
		.struct_size = sizeof(x),
		.address = h->config_string(s->config, "listen",
					    "127.0.0.1:8080"),
		.routes = routes, .ctx = s, .upload_dir = s->caches[0].dir,
		.upload_max = s->nar_max,
		/* each request is held against the tokens */
		.flags = SCORPIO_SERVE_INSECURE,
	};
	int rc;

	if (!s->read_tokens &&
	    !h->config_bool(s->config, "allow_insecure", 0) &&
	    strncmp(x.address, "127.", 4) && strncmp(x.address, "localhost:", 10) &&
	    strncmp(x.address, "[::1]:", 6))
		return rolefail(s, -EPERM, "nixcache: everyone who reaches %s "
				"could read: set read_tokens, or "
				"allow_insecure = true", x.address);
	rc = s->http->open(h, &x, &s->server);
	if (!rc)
		rolelog(s, SCORPIO_LOG_INFO, "%u binary cache%s on http://%s",
			s->n_caches, s->n_caches == 1 ? "" : "s",
			s->http->address(s->server));
	return rc;
}

static void role_stop(void *self)
{
	struct nixcache_role *s = self;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (s->server)
		s->http->close(s->server);
	pull_stop_all(s);
	gc_stop(s);
	for (unsigned i = 0; i < s->n_caches; i++) {
		if (s->caches[i].fd >= 0)
			close(s->caches[i].fd);
		free(s->caches[i].name);
		free(s->caches[i].dir);
	}
	for (unsigned i = 0; i < s->n_upstreams; i++)
		free(s->upstreams[i]);
	for (unsigned i = 0; i < s->n_keys; i++) {
		free(s->keys[i].name);
		EVP_PKEY_free(s->keys[i].key);
	}
	nixtrust_free(s->format.trust);
	free(s->format.store_dir);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int role_start(const struct scorpio_host *h,
		      const struct scorpio_config *c, void **ret)
{
	struct nixcache_role *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int rc;

	if (!s)
		return -ENOMEM;
	s->host = h;
	s->config = c;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	s->http = h->service_get(h, SCORPIO_HTTP_SERVICE, sizeof(*s->http));
	rc = s->http ? configure(s)
		     : h->fail(h, -ENOTSUP, "this daemon does not offer what "
			       "the role needs");
	if (!rc)
		rc = serve(s);
	if (!rc)
		rc = gc_start(s);
	if (rc < 0)
		role_stop(s);
	else
		*ret = s;
	return rc;
}

static const struct scorpio_role role = {
	SCORPIO_ROLE_HEAD,
	.name = "nixcache",
	.summary = "binary caches of Nix: served, uploaded to, pulled through",
	.start = role_start,
	.stop = role_stop,
};

static const struct scorpio_role *const roles[] = { &role, NULL };

static const struct scorpio_plugin plugin = {
	SCORPIO_PLUGIN_HEAD,
	.name = "nixcache",
	.version = SCORPIO_VERSION,
	.summary = "a binary cache for Nix",
	.roles = roles,
};
SCORPIO_PLUGIN(plugin)
