/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cachix.c - the calls that clients of Cachix make to push: an upload is begun,
 * an address for each part is asked for, parts are put there, and the upload is
 * completed. Parts wait as parts/ID.N.MD5; who knows ID may add to it. The
 * file parts/ID holds the compression.
 */
#include "nixcache.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nix32.h"

#define ID_BYTES 16u
#define ID_TEXT (2u * ID_BYTES)
#define PARTS_MAX 10000
#define MD5_TEXT 32u

static bool hex_ok(const char *v, size_t n)
{
	return strlen(v) == n && strspn(v, "0123456789abcdef") == n;
}

static int bad(struct nixcache_role *s, struct scorpio_request *r,
	       const char *why)
{
	return send_json(s, r, 400, json_pack("{s:s}", "error", why));
}

/* The name with or without the letter that their records put before it. */
static json_t *field(json_t *v, const char *name)
{
	char with[64];
	json_t *ret = json_object_get(v, name);

	snprintf(with, sizeof(with), "c%c%s", *name - 'a' + 'A', name + 1);
	return ret ? ret : json_object_get(v, with);
}

static const char *text_field(json_t *v, const char *name)
{
	return json_string_value(field(v, name));
}

/* How this server was asked. */
static json_t *address(struct nixcache_role *s, struct scorpio_request *r,
		       const char *rest)
{
	const char *host = s->http->header(r, "Host");
	const char *proto = s->http->header(r, "X-Forwarded-Proto");

	return json_sprintf("http%s://%s%s",
			    proto && !strcmp(proto, "https") ? "s" : "",
			    host ? host : "localhost", rest);
}

int cachix_info(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, false);
	json_t *keys;
	char rest[80];

	if (!c)
		return 0;
	keys = json_array();
	for (unsigned i = 0; i < s->n_keys; i++) {
		auto_free char *key = key_public(&s->keys[i]);

		if (key)
			json_array_append_new(keys, json_string(key));
	}
	snprintf(rest, sizeof(rest), "/%s", c->name);
	return send_json(s, r, 200, json_pack(
		"{s:s,s:s,s:b,s:s,s:s,s:o,s:o}", "name", c->name,
		"githubUsername", "", "isPublic", !s->read_tokens, "permission",
		"Write", "preferredCompressionMethod", "ZSTD",
		"publicSigningKeys", keys, "uri", address(s, r, rest)));
}

int cachix_missing(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	json_t *v = c ? body_json(s, r) : NULL, *missing, *one;
	size_t i;

	if (!v)
		return 0;
	missing = json_array();
	json_array_foreach(v, i, one) {
		const char *hash = json_string_value(one);

		if (hash && strlen(hash) == NIX_HASH_TEXT &&
		    !path_is_here(c, hash))
			json_array_append(missing, one);
	}
	json_decref(v);
	return send_json(s, r, 200, missing);
}

int cachix_begin(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	const char *kind = s->http->query(r, "compression", "xz");
	char id[ID_TEXT + 1], path[64];
	uint8_t raw[ID_BYTES];
	int rc;

	if (!c)
		return 0;
	if (strcmp(kind, "xz") && strcmp(kind, "zst") && strcmp(kind, "zstd"))
		return bad(s, r, "compression is xz or zst");
	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return rolefail(s, -EIO, "no random numbers");
	snprintf(path, sizeof(path), "parts/%s",
		 nixhex_encode(raw, sizeof(raw), id));
	rc = file_write(c, path, kind, strlen(kind));
	return rc ? rc : send_json(s, r, 200, json_pack(
				   "{s:s,s:s}", "narId", id, "uploadId", id));
}

/* The upload that a request names. NULL: answered. */
static const char *upload_of(struct nixcached *c, struct scorpio_request *r,
			     const char *id)
{
	char path[64];

	snprintf(path, sizeof(path), "parts/%.32s", id);
	if (hex_ok(id, ID_TEXT) && file_is(c, path))
		return id;
	send_status(c->role, r, 404, "there is no such upload\n");
	return NULL;
}

int cachix_part_url(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	const char *id = c ? upload_of(c, r, s->http->param(r, "id")) : NULL;
	long part = strtol(s->http->query(r, "partNumber", "0"), NULL, 10);
	char rest[200];

	if (!id)
		return 0;
	if (part < 1 || part > PARTS_MAX)
		return bad(s, r, "partNumber is 1 to 10000");
	snprintf(rest, sizeof(rest), "/api/v1/cache/%s/parts/%s/%ld", c->name,
		 id, part);
	return send_json(s, r, 200, json_pack("{s:o}", "uploadUrl",
					      address(s, r, rest)));
}

static int md5_of(struct nixcached *c, int fd, uint64_t size, uint8_t md[16])
{
	EVP_MD_CTX *x = EVP_MD_CTX_new();
	auto_free uint8_t *buf = malloc(131072);
	int rc = x && buf && EVP_DigestInit_ex(x, EVP_md5(), NULL) == 1
			 ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < size && !rc;) {
		ssize_t n = pread(fd, buf, 131072, (off_t)at);

		if (n <= 0 || EVP_DigestUpdate(x, buf, (size_t)n) != 1)
			rc = rolefail(c->role, -EIO, "an upload cannot be read "
				      "back");
		at += n > 0 ? (uint64_t)n : 0;
	}
	if (!rc && EVP_DigestFinal_ex(x, md, NULL) != 1)
		rc = -ENOMEM;
	EVP_MD_CTX_free(x);
	return rc;
}

/* Anyone who was given the address; it holds 128 random bits. */
int cachix_part(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	const char *name = s->http->param(r, "cache"), *id = NULL;
	const char *sum = s->http->header(r, "Content-MD5");
	long part = strtol(s->http->param(r, "part"), NULL, 10);
	char path[120], hex[MD5_TEXT + 1], etag[MD5_TEXT + 16];
	const char *const headers[] = { etag, NULL };
	uint8_t md[16], want[16];
	uint64_t size = 0;
	int fd = s->http->body_fd(r, &size), rc;
	struct nixcached *c = NULL;

	for (unsigned i = 0; i < s->n_caches; i++)
		if (!strcmp(s->caches[i].name, name))
			c = &s->caches[i];
	if (c)
		id = upload_of(c, r, s->http->param(r, "id"));
	if (!c)
		return send_status(s, r, 404, "there is no such cache\n");
	if (!id)
		return 0;
	if (fd < 0 || part < 1 || part > PARTS_MAX)
		return bad(s, r, "no part");
	rc = md5_of(c, fd, size, md);
	if (!rc && sum && (!nix64_decode(sum, strlen(sum), want, 16) ||
			   memcmp(md, want, 16) != 0))
		return bad(s, r, "Content-MD5 is that of something else");
	nixhex_encode(md, 16, hex);
	snprintf(path, sizeof(path), "parts/%s.%ld.%s", id, part, hex);
	snprintf(etag, sizeof(etag), "ETag: \"%s\"", hex);
	if (!rc)
		rc = file_name(c, fd, path);
	return rc ? rc : s->http->reply(r, 200, headers, "", 0);
}

static void drop_parts(struct nixcached *c, const char *id)
{
	int fd = openat(c->fd, "parts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;

	while (d && (x = readdir(d)))
		if (!strncmp(x->d_name, id, ID_TEXT))
			unlinkat(fd, x->d_name, 0);
	if (d)
		closedir(d);
}

int cachix_abort(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	const char *id = c ? upload_of(c, r, s->http->param(r, "id")) : NULL;

	if (!id)
		return 0;
	drop_parts(c, id);
	return send_json(s, r, 200, json_object());
}

static int add_part(struct nixcached *c, const char *id, json_t *part, int out)
{
	const char *etag = text_field(part, "eTag");
	json_int_t n = json_integer_value(field(part, "partNumber"));
	char hex[MD5_TEXT + 3], path[120];
	struct stat st;
	int fd, rc;

	snprintf(hex, sizeof(hex), "%s", etag ? etag + (*etag == '"') : "");
	hex[strcspn(hex, "\"")] = '\0';
	snprintf(path, sizeof(path), "parts/%s.%lld.%s", id, (long long)n, hex);
	fd = hex_ok(hex, MD5_TEXT) ? openat(c->fd, path, O_RDONLY | O_CLOEXEC)
				   : -1;
	if (fd < 0 || fstat(fd, &st))
		rc = rolefail(c->role, -EBADMSG, "part %lld is not here",
			      (long long)n);
	else
		rc = copy_tail(c, fd, 0, (uint64_t)st.st_size, out);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int by_number(const void *a, const void *b)
{
	json_int_t x = json_integer_value(field(*(json_t *const *)a,
						"partNumber"));
	json_int_t y = json_integer_value(field(*(json_t *const *)b,
						"partNumber"));

	return (x > y) - (x < y);
}

static int join_parts(struct nixcached *c, const char *id, json_t *parts,
		      int out)
{
	size_t n = json_array_size(parts), i;
	auto_free json_t **list = calloc(n + 1, sizeof(*list));
	int rc = list ? 0 : -ENOMEM;

	if (!n || n > PARTS_MAX)
		return rolefail(c->role, -EBADMSG, "no parts");
	for (i = 0; i < n && !rc; i++)
		list[i] = json_array_get(parts, i);
	if (!rc)
		qsort(list, n, sizeof(*list), by_number);
	for (i = 0; i < n && !rc; i++)
		rc = add_part(c, id, list[i], out);
	return rc;
}

static int keep_joined(struct nixcached *c, json_t *v, int fd,
		       enum unpack_kind kind)
{
	uint8_t nar[NIX_SHA256], file[NIX_SHA256];
	const char *hash = text_field(v, "storeHash");
	const char *suffix = text_field(v, "storeSuffix");
	const char *sig = text_field(v, "sig");
	auto_free char *base = NULL;
	char name[128];
	struct sum sum;
	struct stat st;
	struct told t = { .nar = name, .sum = &sum,
			  .deriver = text_field(v, "deriver"),
			  .refs = field(v, "references") };
	int rc;

	if (!hash || !suffix || fstat(fd, &st) ||
	    !told_hash(text_field(v, "narHash"), nar) ||
	    !told_hash(text_field(v, "fileHash"), file))
		return rolefail(c->role, -EBADMSG, "narInfoCreate is not "
				"complete");
	if (asprintf(&base, "%s-%s", hash, suffix) < 0) {
		base = NULL;
		return -ENOMEM;
	}
	t.base = base;
	rc = keep_any(c, fd, (uint64_t)st.st_size, kind, &sum, name);
	if (!rc && (memcmp(nar, sum.nar_hash, NIX_SHA256) != 0 ||
		    memcmp(file, sum.file_hash, NIX_SHA256) != 0))
		rc = rolefail(c->role, -EBADMSG, "the archive has another hash");
	if (!rc && sig)
		t.sigs = json_pack("[s]", sig);
	if (!rc)
		rc = keep_told(c, &t);
	json_decref(t.sigs);
	return rc;
}

static int complete(struct nixcached *c, const char *id, json_t *v)
{
	auto_free char *kind = NULL;
	char path[64];
	size_t len;
	int fd, rc;

	snprintf(path, sizeof(path), "parts/%s", id);
	rc = file_read(c, path, 16, &kind, &len);
	if (rc)
		return rc;
	fd = file_temp(c);
	if (fd < 0)
		return fd;
	rc = join_parts(c, id, json_object_get(v, "parts"), fd);
	if (!rc)
		rc = keep_joined(c, json_object_get(v, "narInfoCreate"), fd,
				 *kind == 'x' ? UNPACK_XZ : UNPACK_ZSTD);
	close(fd);
	return rc;
}

int cachix_complete(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	const char *id = c ? upload_of(c, r, s->http->param(r, "id")) : NULL;
	json_t *v = id ? body_json(s, r) : NULL;
	int rc;

	if (!v)
		return 0;
	rc = complete(c, id, v);
	json_decref(v);
	if (rc == -EBADMSG || rc == -EFBIG)
		return bad(s, r, s->host->error_text(s->host, rc));
	if (!rc)
		drop_parts(c, id);
	return rc ? rc : send_json(s, r, 200, json_object());
}

int cachix_pin(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	json_t *v = c ? body_json(s, r) : NULL, *keep;
	const char *name = text_field(v, "name");
	const char *path = text_field(v, "storePath"), *slash;
	int64_t days, revisions;
	int rc;

	if (!v)
		return 0;
	keep = field(v, "keep");
	days = json_integer_value(json_object_get(keep, "days"));
	revisions = json_integer_value(json_object_get(keep, "revisions"));
	if (!json_is_object(keep))
		revisions = json_is_string(keep) ? 0 : 1; /* "forever", none */
	slash = path ? strrchr(path, '/') : NULL;
	rc = name && path && days >= 0 && revisions >= 0
		     ? pin_set(c, name, slash ? slash + 1 : path, days,
			       revisions)
		     : rolefail(s, -EBADMSG, "name and storePath are needed");
	json_decref(v);
	if (rc == -EBADMSG || rc == -ENOENT)
		return bad(s, r, s->host->error_text(s->host, rc));
	return rc ? rc : send_json(s, r, 200, json_object());
}
