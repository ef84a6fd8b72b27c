/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nixpush.c - a directory as a source path in a binary cache (the role nixcache,
 * or any that takes PUT), so that Nix can substitute it instead of walking a
 * mount. The path's name proves its content: no signature is needed. What the
 * cache has is not read again.
 */
#include "api/cli/nix.h"

#include <openssl/evp.h>

#include "backends/nix/nix32.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/http.h"

#define STORE "/nix/store"

struct push {
	const char *url, *name;
	uint8_t md[SHA256_LEN];
	uint64_t size;
	char hash[NIX_HASH_TEXT + 1]; /* of the store path */
	char b32[NIX32_SHA256 + 1];   /* of the archive */
};

/* The name that content of this hash has as a source. */
static void name_path(struct push *p)
{
	char hex[2 * SHA256_LEN + 1];
	uint8_t md[SHA256_LEN], folded[NIX_HASH] = { 0 };
	cleanup_free char *text = xasprintf(
		"source:sha256:%s:" STORE ":%s",
		nixhex_encode(p->md, SHA256_LEN, hex), p->name);

	hash_bytes(HASH_SHA256, text, strlen(text), md);
	for (unsigned i = 0; i < SHA256_LEN; i++)
		folded[i % NIX_HASH] ^= md[i];
	nix32_encode(folded, NIX_HASH, p->hash);
	nix32_encode(p->md, SHA256_LEN, p->b32);
}

static int64_t read_file(void *ctx, void *buf, uint64_t n)
{
	size_t got = fread(buf, 1, n, ctx);

	return got || !ferror((FILE *)ctx) ? (int64_t)got : -EIO;
}

/* GET if body is NULL and there is no file. The status, or a negative errno. */
static int call(const struct push *p, const char *method, const char *what,
		const char *body, FILE *file)
{
	cleanup_free char *url = xasprintf("%s/%s", p->url, what);
	struct scorpio_http x = { .struct_size = sizeof(x), .url = url,
				  .method = method, .body = body,
				  .body_len = body ? strlen(body) : 0,
				  .bearer = getenv("SCORPIO_NIX_TOKEN") };
	int e;

	if (file) {
		x.read_body = read_file;
		x.ctx = file;
		x.body_len = p->size;
		x.timeout_ms = 3600 * 1000;
	}
	e = http_perform(&x);
	return e ? e : x.status;
}

static int put(const struct push *p, const char *what, const char *body,
	       FILE *file)
{
	int status = call(p, "PUT", what, body, file);

	if (status == 401)
		return fail(-EACCES, "%s: a token is wanted: in netrc, or "
			    "SCORPIO_NIX_TOKEN", p->url);
	if (status < 0)
		return status;
	return status >= 200 && status < 300
		       ? 0
		       : fail(-EIO, "%s/%s: status %d", p->url, what, status);
}

static int send(struct push *p, const char *dir)
{
	cleanup_free char *nar = xasprintf("nar/%s.nar", p->b32);
	cleanup_free char *file = xasprintf("%s.narinfo", p->hash);
	cleanup_free char *info = xasprintf(
		"StorePath: " STORE "/%s-%s\nURL: %s\nCompression: none\n"
		"FileHash: sha256:%s\nFileSize: %llu\nNarHash: sha256:%s\n"
		"NarSize: %llu\nReferences: \nCA: fixed:r:sha256:%s\n",
		p->hash, p->name, nar, p->b32, (unsigned long long)p->size,
		p->b32, (unsigned long long)p->size, p->b32);
	FILE *f = tmpfile();
	uint8_t md[SHA256_LEN];
	uint64_t size;
	int e = f ? nix_dump(dir, f, md, &size)
		  : fail(-errno, "a scratch file: %s", strerror(errno));

	if (!e && (size != p->size || memcmp(md, p->md, SHA256_LEN) != 0))
		e = fail(-EAGAIN, "%s was changed meanwhile", dir);
	if (!e && fseek(f, 0, SEEK_SET))
		e = -errno;
	if (!e)
		e = put(p, nar, NULL, f);
	if (!e)
		e = put(p, file, info, NULL);
	if (f)
		fclose(f);
	return e;
}

int nix_push_verb(struct cli *c)
{
	cleanup_free char *dir = cli_absolute(c->args[1]), *info = NULL;
	cleanup_free char *url = xstrdup(c->args[2]), *base = NULL;
	const char *slash = strrchr(dir, '/');
	struct push p = { .url = url, .name = nix_options.name
						      ? nix_options.name
						      : slash + 1 };
	int e, there;

	for (size_t n = strlen(url); n && url[n - 1] == '/';)
		url[--n] = '\0';
	http_configure_from(c->config);
	e = nix_hash_of(c, dir, p.md, &p.size);
	if (!e)
		name_path(&p);
	base = xasprintf("%s-%s", p.hash, p.name);
	if (!e && !nixname_parse(base, strlen(base), NULL))
		e = fail(-EINVAL, "\"%s\" cannot be a store path's name: "
			 "--name NAME", p.name);
	info = xasprintf("%s.narinfo", p.hash);
	there = e ? e : call(&p, "GET", info, NULL, NULL);
	if (!e && there < 0)
		e = there;
	if (!e && there != 200)
		e = send(&p, dir);
	if (e)
		return cli_errno(e, EXIT_MOUNT, "CACHE is the address of a "
				 "binary cache: http://HOST:PORT/NAME",
				 "cannot push %s", dir);
	printf(STORE "/%s\n", base);
	return 0;
}
