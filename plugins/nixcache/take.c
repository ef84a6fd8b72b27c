/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take.c - uploads, as `nix copy --to` makes them: listings, then the archive,
 * then its description. The archive is decompressed and hashed on arrival; a
 * description counts only if it describes the archive that is here, and if all
 * it refers to is here.
 */
#include "nixcache.h"

#include <unistd.h>

#include "nix32.h"

#define PIECE 131072u

/* -- archives -------------------------------------------------------------------------- */

static int check_file(struct nixcached *c, int fd, uint64_t size,
		      struct check *k)
{
	auto_free uint8_t *buf = malloc(PIECE);
	int rc = buf ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < size && !rc;) {
		ssize_t n = pread(fd, buf, PIECE, (off_t)at);

		rc = n > 0 ? check_feed(k, buf, (size_t)n)
			   : rolefail(c->role, -EIO, "an upload cannot be read "
				      "back");
		at += n > 0 ? (uint64_t)n : 0;
	}
	return rc;
}

/* Stock clients name an archive by its hash: then it has to be that. */
static bool named_well(const char *name, const struct sum *s)
{
	uint8_t hash[NIX_SHA256];
	size_t n = strcspn(name, ".");

	return n != NIX32_SHA256 || !nix32_decode(name, n, hash, NIX_SHA256) ||
	       !memcmp(hash, s->file_hash, NIX_SHA256);
}

static int keep_listing(struct nixcached *c, const char *name,
			const struct nartree *t)
{
	auto_free char *path = NULL, *text = listing_text(t);

	if (!text)
		return 0;
	if (asprintf(&path, "nar/.%s.ls", name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return file_write(c, path, text, strlen(text));
}

/* Nix names what it has no ending for, gzip among them, HASH.nar. */
static enum unpack_kind kind_of(int fd, enum unpack_kind told)
{
	uint8_t head[2];

	return told == UNPACK_NONE && pread(fd, head, 2, 0) == 2 &&
			       head[0] == 0x1f && head[1] == 0x8b
		       ? UNPACK_GZIP
		       : told;
}

static int keep_checked(struct nixcached *c, const char *name, int fd,
			struct check *k, const struct nartree *t)
{
	int rc = keep_listing(c, name, t);

	return rc ? rc : check_keep(c, fd, name, k);
}

/* name "": made from the hash. */
static int keep_upload(struct nixcached *c, char name[300], int fd,
		       uint64_t size, enum unpack_kind kind, struct sum *ret)
{
	struct check *k = check_new(c->role, kind);
	char b32[NIX32_SHA256 + 1];
	struct nartree *t = NULL;
	int rc = k ? check_file(c, fd, size, k) : -ENOMEM;

	if (!rc)
		rc = check_end(k, ret, &t);
	if (!rc && !*name)
		snprintf(name, 300, "%s.nar%s",
			 nix32_encode(ret->file_hash, NIX_SHA256, b32),
			 unpack_suffix(kind));
	if (!rc && !named_well(name, ret))
		rc = rolefail(c->role, -EBADMSG, "%s is not what was sent: its "
			      "hash is another", name);
	if (!rc)
		rc = keep_checked(c, name, fd, k, t);
	nartree_free(t);
	check_free(k);
	return rc;
}

int keep_nar(struct nixcached *c, const char *name, int fd, uint64_t size,
	     enum unpack_kind kind, struct sum *ret)
{
	char copy[300];

	snprintf(copy, sizeof(copy), "%s", name);
	return keep_upload(c, copy, fd, size, kind_of(fd, kind), ret);
}

int keep_any(struct nixcached *c, int fd, uint64_t size, enum unpack_kind kind,
	     struct sum *ret, char ret_name[128])
{
	char name[300] = "";
	int rc = keep_upload(c, name, fd, size, kind, ret);

	snprintf(ret_name, 128, "%.127s", name);
	return rc;
}

int answer_upload(struct nixcache_role *s, struct scorpio_request *r, int rc)
{
	const char *why = s->host->error_text(s->host, rc);

	if (!rc)
		return send_status(s, r, 201, "kept\n");
	if (rc != -EBADMSG && rc != -EFBIG && rc != -ENOENT)
		return rc;
	rolelog(s, SCORPIO_LOG_WARN, "an upload is refused: %s", why);
	return send_status(s, r, 400, why);
}

int take_nar(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	const char *name = s->http->param(r, "name");
	struct nixcached *c = cache_of(s, r, true);
	enum unpack_kind kind;
	struct sum sum;
	uint64_t size;
	int fd;

	if (!c)
		return 0;
	fd = s->http->body_fd(r, &size);
	if (!file_name_ok(name) || !file_kind(name, &kind) || fd < 0)
		return send_status(s, r, 400, "not the name of an archive: "
				   "HASH.nar, .nar.xz, .nar.zst, ...\n");
	return answer_upload(s, r, keep_nar(c, name, fd, size, kind, &sum));
}

/* -- descriptions ---------------------------------------------------------------------- */

bool path_is_here(struct nixcached *c, const char *base)
{
	char name[NIX_HASH_TEXT + sizeof(".narinfo")];
	uint8_t hash[NIX_HASH];

	snprintf(name, sizeof(name), "%.32s.narinfo", base);
	return file_is(c, name) || (nix32_decode(base, NIX_HASH_TEXT, hash,
						 NIX_HASH) &&
				    !pull_info(c, hash));
}

static int check_info(struct nixcached *c, const char *file,
		      const struct narinfo *i, bool refs)
{
	struct sum sum;

	if (strncmp(i->base, file, NIX_HASH_TEXT) != 0)
		return rolefail(c->role, -EBADMSG, "%s describes %s", file,
				i->base);
	if (strncmp(i->url, "nar/", 4) != 0 || !file_name_ok(i->url + 4) ||
	    sum_read(c, i->url + 4, &sum))
		return rolefail(c->role, -EBADMSG, "%s: its archive (%s) is not "
				"here: send that first", i->base, i->url);
	if (sum.kind != i->compression || sum.nar_size != i->nar_size ||
	    memcmp(sum.nar_hash, i->nar_hash, NIX_SHA256) != 0 ||
	    (i->file_size && i->file_size != sum.file_size))
		return rolefail(c->role, -EBADMSG, "%s: NarHash or NarSize is "
				"not that of its archive", i->base);
	for (uint32_t k = 0; refs && k < i->n_refs; k++) {
		if (!strcmp(i->refs[k], i->base) || path_is_here(c, i->refs[k]))
			continue;
		return rolefail(c->role, -EBADMSG, "%s refers to %s, which is "
				"not here: send that first", i->base,
				i->refs[k]);
	}
	return 0;
}

/* Our own listing becomes the path's, once it is known whose it is. */
static int name_listing(struct nixcached *c, const struct narinfo *i)
{
	auto_free char *from = NULL, *text = NULL;
	char to[NIX_HASH_TEXT + 4];
	size_t len;

	if (asprintf(&from, "nar/.%s.ls", i->url + 4) < 0) {
		from = NULL;
		return -ENOMEM;
	}
	if (!file_is(c, from))
		return 0;
	snprintf(to, sizeof(to), "%.32s.ls", i->base);
	int rc = file_read(c, from, NIX_LISTING_MAX, &text, &len);

	return rc ? rc : file_write(c, to, text, len);
}

int keep_info(struct nixcached *c, const char *file, const char *text,
	      size_t len, bool refs)
{
	const char *why;
	struct narinfo *i = NULL;
	int rc = narinfo_parse(text, len, c->role->format.store_dir, &i, &why);

	if (rc)
		return rolefail(c->role, -EBADMSG, "%s: %s", file, why);
	rc = check_info(c, file, i, refs);
	if (!rc)
		rc = name_listing(c, i);
	if (!rc)
		rc = file_write(c, file, text, len);
	narinfo_free(i);
	return rc;
}

/* The body as text, caller frees. */
static int body_text(struct nixcache_role *s, struct scorpio_request *r,
		     size_t max, char **ret, size_t *ret_len)
{
	uint64_t size;
	int fd = s->http->body_fd(r, &size);
	char *text;

	if (size > max)
		return rolefail(s, -EFBIG, "more than %zu bytes", max);
	text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	if (size && pread(fd, text, size, 0) != (ssize_t)size) {
		free(text);
		return rolefail(s, -EIO, "an upload cannot be read back");
	}
	text[size] = '\0';
	*ret = text;
	*ret_len = size;
	return 0;
}

static bool ends(const char *s, const char *end)
{
	size_t n = strlen(s), e = strlen(end);

	return n > e && !strcmp(s + n - e, end);
}

int take_info(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	const char *file = s->http->param(r, "file");
	struct nixcached *c = cache_of(s, r, true);
	auto_free char *text = NULL;
	size_t len;
	int rc;

	if (!c)
		return 0;
	/* ours is made from the archive, and what we are is our own to say */
	if (ends(file, ".ls") || !strcmp(file, "nix-cache-info"))
		return send_status(s, r, 200, "not needed\n");
	if (!ends(file, ".narinfo") || !file_name_ok(file) ||
	    strlen(file) != NIX_HASH_TEXT + 8)
		return send_status(s, r, 404, "nothing of a binary cache\n");
	rc = body_text(s, r, NIX_NARINFO_MAX, &text, &len);
	return answer_upload(s, r, rc ? rc : keep_info(c, file, text, len, true));
}

/* -- logs, realisations and the like: kept as they come --------------------------------- */

static int take_text(struct nixcache_role *s, struct scorpio_request *r,
		     const char *kind)
{
	struct nixcached *c = cache_of(s, r, true);
	auto_free char *text = NULL, *path = NULL;
	size_t len;
	int rc;

	if (!c)
		return 0;
	if (s->http->header(r, "Content-Encoding"))
		return send_status(s, r, 415, "send it without an encoding\n");
	path = text_path(c, r, kind, true);
	if (!path)
		return send_status(s, r, 400, "not a name\n");
	rc = body_text(s, r, NIXCACHE_TEXT_MAX, &text, &len);
	return answer_upload(s, r, rc ? rc : file_write(c, path, text, len));
}

int take_log(void *ctx, struct scorpio_request *r)
{
	return take_text(ctx, r, "log");
}

int take_realisation(void *ctx, struct scorpio_request *r)
{
	return take_text(ctx, r, "realisations");
}

int take_trace(void *ctx, struct scorpio_request *r)
{
	return take_text(ctx, r, "build-trace-v2");
}

int take_debuginfo(void *ctx, struct scorpio_request *r)
{
	return take_text(ctx, r, "debuginfo");
}
