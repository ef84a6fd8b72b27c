/* SPDX-License-Identifier: Apache-2.0 */
#include "nixcache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nix32.h"

static const char *const text_headers[] = {
	"Content-Type: text/plain; charset=utf-8", NULL };
static const char *const info_headers[] = { "Content-Type: text/x-nix-narinfo",
					    NULL };
static const char *const json_headers[] = { "Content-Type: application/json",
					    NULL };

int send_status(struct nixcache_role *s, struct scorpio_request *r, int status,
		const char *text)
{
	return s->http->reply(r, status, text_headers, text, strlen(text));
}

int send_json(struct nixcache_role *s, struct scorpio_request *r, int status,
	      json_t *v)
{
	char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
	int rc = text ? s->http->reply(r, status, json_headers, text,
				       strlen(text))
		      : -ENOMEM;

	json_decref(v);
	free(text);
	return rc;
}

static int not_here(struct nixcache_role *s, struct scorpio_request *r)
{
	return send_status(s, r, 404, "404\n");
}

int send_health(void *ctx, struct scorpio_request *r)
{
	return send_status(ctx, r, 200, "ok\n");
}

/* -- descriptions ------------------------------------------------------------------------ */

/* Ours is added to those that came along. */
static int sign(struct nixcache_role *s, char **text)
{
	const char *why;
	struct narinfo *i;
	int rc = s->n_keys ? narinfo_parse(*text, strlen(*text),
					   s->format.store_dir, &i, &why) : 1;

	if (rc)
		return rc > 0 ? 0 : rc;
	auto_free char *print = nixtrust_fingerprint(s->format.store_dir, i);

	for (unsigned k = 0; k < s->n_keys && !rc; k++) {
		auto_free char *line = print ? key_sign(&s->keys[k], print)
					     : NULL;
		char *more;

		if (!line || asprintf(&more, "%sSig: %s\n", *text, line) < 0) {
			rc = -ENOMEM;
			break;
		}
		free(*text);
		*text = more;
	}
	narinfo_free(i);
	return rc;
}

static int cache_info(struct nixcache_role *s, struct scorpio_request *r)
{
	static const char *const headers[] = {
		"Content-Type: text/x-nix-cache-info", NULL };
	char text[512];

	snprintf(text, sizeof(text), "StoreDir: %.300s\nWantMassQuery: 1\n"
		 "Priority: %lld\n%s", s->format.store_dir,
		 (long long)s->priority,
		 s->n_keys || s->n_upstreams ? "ScorpioPieces: 1\n" : "");
	return s->http->reply(r, 200, headers, text, strlen(text));
}

int info_text(struct nixcached *c, const char *file, char **ret)
{
	uint8_t hash[NIX_HASH];
	size_t len;
	int rc;

	if (!nix32_decode(file, NIX_HASH_TEXT, hash, NIX_HASH))
		return -ENOENT;
	rc = file_read(c, file, NIX_NARINFO_MAX, ret, &len);
	if (!rc)
		file_used(c, file);
	if (rc == -ENOENT) {
		rc = pull_info(c, hash);
		if (!rc)
			rc = file_read(c, file, NIX_NARINFO_MAX, ret, &len);
	}
	return rc ? rc : sign(c->role, ret);
}

static int send_text_file(struct nixcached *c, struct scorpio_request *r,
			  const char *path, size_t max,
			  const char *const *headers)
{
	auto_free char *text = NULL;
	size_t len;
	int rc = file_read(c, path, max, &text, &len);

	if (rc == -ENOENT)
		return not_here(c->role, r);
	return rc ? rc : c->role->http->reply(r, 200, headers, text, len);
}

int send_info(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	const char *file = s->http->param(r, "file");
	struct nixcached *c = cache_of(s, r, false);
	size_t n = strlen(file);
	auto_free char *text = NULL;
	int rc;

	if (!c)
		return 0;
	if (!strcmp(file, "nix-cache-info"))
		return cache_info(s, r);
	if (n == NIX_HASH_TEXT + 3 && !strcmp(file + NIX_HASH_TEXT, ".ls") &&
	    file_name_ok(file))
		return send_text_file(c, r, file, NIX_LISTING_MAX,
				      json_headers);
	if (n == NIX_HASH_TEXT + 7 && !strcmp(file + NIX_HASH_TEXT, ".pieces"))
		return send_pieces(c, r, file);
	if (n != NIX_HASH_TEXT + 8 || strcmp(file + NIX_HASH_TEXT, ".narinfo"))
		return not_here(s, r);
	rc = info_text(c, file, &text);
	if (rc == -ENOENT)
		return not_here(s, r);
	return rc ? rc : s->http->reply(r, 200, info_headers, text,
					strlen(text));
}

/* -- archives ------------------------------------------------------------------------------- */

static int bad_range(struct nixcache_role *s, struct scorpio_request *r,
		     const struct scorpio_range *part)
{
	const char *headers[] = { part->line, NULL };

	return s->http->reply(r, part->status, headers, "", 0);
}

static int64_t read_pull(void *ctx, uint64_t pos, void *buf, uint64_t n)
{
	return pull_read(ctx, pos, buf, n);
}

static void end_pull(void *ctx)
{
	pull_put(ctx);
}

#define NAR_HEADERS(part)                                                      \
	{ "Content-Type: application/x-nix-nar", "Accept-Ranges: bytes",       \
	  "Cache-Control: public, max-age=31536000, immutable",                \
	  (part).status == 206 ? (part).line : NULL, NULL }

static int send_along(struct nixcached *c, struct scorpio_request *r,
		      const char *name)
{
	struct nixcache_role *s = c->role;
	struct scorpio_body b = { .struct_size = sizeof(b), .read = read_pull,
				  .done = end_pull };
	struct scorpio_range part;
	struct pull *p;
	uint64_t size;
	int rc = pull_nar(c, name, &p);

	if (rc)
		return rc == -ENOENT ? not_here(s, r) : rc;
	rc = pull_size(p, &size);
	if (!rc)
		s->http->range(r, size, &part);
	if (rc || part.status == 416) {
		pull_put(p);
		return rc ? rc : bad_range(s, r, &part);
	}
	b.ctx = p;
	b.from = part.from;
	b.size = part.n;
	const char *const headers[] = NAR_HEADERS(part);

	return s->http->reply_body(r, part.status, headers, &b);
}

/* A part of what is not here is passed on: who reads parts shall not set off a
 * transfer of all of it. -ENOTSUP: it is not asked for so. */
static int send_through(struct nixcached *c, struct scorpio_request *r,
			const char *name)
{
	struct nixcache_role *s = c->role;
	const char *h = s->http->header(r, "Range");
	auto_free char *data = NULL;
	unsigned long long a, b;
	struct scorpio_range part;
	uint64_t size;
	int used = 0, rc;

	if (!h || sscanf(h, "bytes=%llu-%llu%n", &a, &b, &used) != 2 ||
	    h[used] || b < a || b - a >= PULL_RANGE_MAX)
		return -ENOTSUP;
	rc = pull_range(c, name, a, b - a + 1, &data, &size);
	if (rc)
		return rc == -ENOENT ? not_here(s, r) : -ENOTSUP;
	s->http->range(r, size, &part);
	if (part.status != 206 || part.from != a || part.n > b - a + 1)
		return -ENOTSUP; /* read otherwise than above: all is wanted */
	const char *const headers[] = NAR_HEADERS(part);

	return s->http->reply(r, part.status, headers, data, part.n);
}

static int send_kept(struct nixcached *c, struct scorpio_request *r, int fd)
{
	struct nixcache_role *s = c->role;
	struct stat st;
	struct scorpio_range part;

	if (fstat(fd, &st))
		return rolefail(s, -errno, "%s", strerror(errno));
	s->http->range(r, (uint64_t)st.st_size, &part);
	if (part.status == 416)
		return bad_range(s, r, &part);
	const char *const headers[] = NAR_HEADERS(part);

	return s->http->reply_file(r, part.status, headers, fd, part.from,
				   part.n);
}

static int64_t no_body(void *ctx, uint64_t pos, void *buf, uint64_t n)
{
	(void)ctx;
	(void)pos;
	(void)buf;
	(void)n;
	return -EIO;
}

static void no_done(void *ctx)
{
	(void)ctx;
}

/* HEAD of what is not here: who only asks does not set off a transfer. */
static int send_known(struct nixcached *c, struct scorpio_request *r,
		      const char *name)
{
	struct scorpio_body b = { .struct_size = sizeof(b), .read = no_body,
				  .done = no_done };
	struct scorpio_range part = { .status = 200 };
	int rc = pull_known(c, name, NULL, &b.size);

	if (rc)
		return rc == -ENOENT ? not_here(c->role, r) : rc;
	if (!b.size)
		b.size = SCORPIO_SIZE_UNKNOWN;
	const char *const headers[] = NAR_HEADERS(part);

	return c->role->http->reply_body(r, 200, headers, &b);
}

/* An upstream's name of an archive is ours (pull.c). */
static const char *our_name(struct nixcached *c, const char *name,
			    char alias[256])
{
	auto_free char *path = NULL, *text = NULL;
	size_t len;

	if (asprintf(&path, "nar/.%s.as", name) < 0) {
		path = NULL;
		return name;
	}
	if (!file_is(c, path) || file_read(c, path, 250, &text, &len) ||
	    !file_name_ok(text))
		return name;
	snprintf(alias, 256, "%s", text);
	return alias;
}

int send_nar(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	const char *name = s->http->param(r, "name");
	struct nixcached *c = cache_of(s, r, false);
	auto_free char *path = NULL;
	char alias[256];
	int fd, rc;

	if (!c)
		return 0;
	if (!file_name_ok(name))
		return not_here(s, r);
	name = our_name(c, name, alias);
	if (asprintf(&path, "nar/%s", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = openat(c->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && !strcmp(s->http->method(r), "HEAD"))
		return send_known(c, r, name);
	if (fd < 0) {
		rc = send_through(c, r, name);
		return rc == -ENOTSUP ? send_along(c, r, name) : rc;
	}
	file_used(c, path);
	rc = send_kept(c, r, fd);
	close(fd);
	return rc;
}

/* -- logs and the like --------------------------------------------------------------------- */

static int send_text(struct nixcache_role *s, struct scorpio_request *r,
		     const char *kind, const char *const *headers)
{
	struct nixcached *c = cache_of(s, r, false);
	auto_free char *path = c ? text_path(c, r, kind, false) : NULL;
	auto_free char *text = NULL;
	size_t len;
	int rc;

	if (!c)
		return 0;
	if (!path)
		return not_here(s, r);
	if (!file_is(c, path) && s->n_upstreams) {
		rc = pull_text(c, path, NIXCACHE_TEXT_MAX, &text, &len);
		if (!rc) /* its directory, if it has one of its own */
			free(text_path(c, r, kind, true));
		if (!rc)
			rc = file_write(c, path, text, len);
		if (rc && rc != -ENOENT)
			return rc;
	}
	return send_text_file(c, r, path, NIXCACHE_TEXT_MAX, headers);
}

int send_log(void *ctx, struct scorpio_request *r)
{
	return send_text(ctx, r, "log", text_headers);
}

int send_realisation(void *ctx, struct scorpio_request *r)
{
	return send_text(ctx, r, "realisations", json_headers);
}

int send_trace(void *ctx, struct scorpio_request *r)
{
	return send_text(ctx, r, "build-trace-v2", json_headers);
}

int send_debuginfo(void *ctx, struct scorpio_request *r)
{
	return send_text(ctx, r, "debuginfo", json_headers);
}
