/* SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"

#include <fcntl.h>
#include <unistd.h>

#include "nar.h"

#define IN_MEMORY (1u << 20) /* archives up to this size */
#define TRIES 6              /* without a byte of progress in between */

struct bringing {
	struct nix *n;
	struct nixcache *cache;
	const struct narinfo *info;
	const struct nixverdict *verdict;
	struct nixspool *out;
	struct unpack *unpack;
	struct nar *nar;
	EVP_MD_CTX *md, *flat; /* flat: of the one file's bytes, or NULL */
	uint64_t got;          /* plain bytes */
	uint64_t packed;       /* bytes of the transfer */
	uint64_t skip;         /* of this answer: were had before */
	int failed;            /* what data said, which no retry changes */
	bool adopted;          /* it is in its file already */
};

void nixspool_free(struct nixspool *s)
{
	if (!s)
		return;
	nartree_free(s->tree);
	free(s->mem);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

int nixspool_read(struct nix *n, const struct nixspool *s, uint64_t offset,
		  void *buf, size_t len)
{
	char *p = buf;

	if (offset > s->size || len > s->size - offset)
		return nixfail(n, -EIO, "beyond the end of an archive");
	if (s->mem) {
		memcpy(buf, s->mem + offset, len);
		return 0;
	}
	while (len) {
		ssize_t got = pread(s->fd, p, len, (off_t)offset);

		if (got <= 0)
			return nixfail(n, -EIO, "scratch file: %s",
				       got ? strerror(errno) : "cut off");
		p += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

int nixspool_file(struct nix *n)
{
	const char *dir = n->host->scratch(n->host);
	auto_free char *path = NULL;
	int fd;

	if (!dir)
		return nixfail(n, -EIO, "there is no scratch directory");
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	if (asprintf(&path, "%s/nar.XXXXXX", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return nixfail(n, -errno, "%s: %s", path, strerror(errno));
	unlink(path);
	return fd;
}

static int make_spool(struct bringing *b)
{
	struct nixspool *s = calloc(1, sizeof(*s));
	int fd;

	if (!s)
		return -ENOMEM;
	s->fd = -1;
	s->size = b->info->nar_size;
	b->out = s;
	if (b->adopted)
		return 0;
	if (s->size <= IN_MEMORY) {
		s->mem = malloc(s->size);
		return s->mem ? 0 : -ENOMEM;
	}
	fd = nixspool_file(b->n);
	if (fd < 0)
		return fd;
	s->fd = fd;
	return 0;
}

int nixspool_save(struct nix *n, int fd, const void *p, size_t len, uint64_t at)
{
	const uint8_t *from = p;

	while (len) {
		ssize_t put = pwrite(fd, from, len, (off_t)at);

		if (put <= 0)
			return nixfail(n, put < 0 ? -errno : -EIO,
				       "cannot keep an archive: %s",
				       put < 0 ? strerror(errno) : "no room");
		from += put;
		at += (uint64_t)put;
		len -= (size_t)put;
	}
	return 0;
}

static int save(struct bringing *b, const uint8_t *p, size_t len)
{
	if (b->adopted)
		return 0;
	if (!b->out->mem)
		return nixspool_save(b->n, b->out->fd, p, len, b->got);
	memcpy(b->out->mem + b->got, p, len);
	return 0;
}

static int on_flat(void *ctx, uint32_t node, const void *p, size_t n)
{
	struct bringing *b = ctx;

	return !node && EVP_DigestUpdate(b->flat, p, n) != 1 ? -ENOMEM : 0;
}

/* plain bytes of the archive */
static int on_plain(void *ctx, const void *p, size_t len)
{
	struct bringing *b = ctx;
	const struct narinfo *i = b->info;
	int rc;

	if (len > i->nar_size - b->got)
		return nixfail(b->n, -EBADMSG, "%s: its archive is larger than "
			       "NarSize says (%llu)", i->base,
			       (unsigned long long)i->nar_size);
	if (EVP_DigestUpdate(b->md, p, len) != 1)
		return -ENOMEM;
	rc = save(b, p, len);
	if (rc)
		return rc;
	b->got += len;
	rc = nar_feed(b->nar, p, len);
	if (rc == -EBADMSG || rc == -E2BIG)
		return nixfail(b->n, rc, "%s: not a proper archive: %s",
			       i->base, nar_why(b->nar));
	return rc;
}

static int on_packed(void *ctx, const void *data, size_t len)
{
	struct bringing *b = ctx;
	const uint8_t *p = data;
	size_t part = b->skip < len ? (size_t)b->skip : len;
	uint64_t before = b->got;
	int rc;

	b->skip -= part;
	if (part == len)
		return 0;
	b->packed += len - part;
	rc = unpack_feed(b->unpack, p + part, len - part);
	if (rc == -EBADMSG && b->got == before)
		rc = nixfail(b->n, rc, "%s: its archive is not sound %s data",
			     b->info->base, unpack_name(b->info->compression));
	b->failed = rc;
	return rc;
}

static int start(struct bringing *b)
{
	bool flat = b->verdict->proof == NIX_ADDRESSED && b->verdict->flat;

	b->got = b->packed = b->skip = 0;
	b->unpack = unpack_new(b->adopted ? UNPACK_NONE : b->info->compression,
			       on_plain, b);
	b->nar = nar_new(flat ? on_flat : NULL, b);
	b->md = EVP_MD_CTX_new();
	b->flat = flat ? EVP_MD_CTX_new() : NULL;
	if (!b->unpack || !b->nar || !b->md || (flat && !b->flat) ||
	    EVP_DigestInit_ex(b->md, EVP_sha256(), NULL) != 1 ||
	    (flat && EVP_DigestInit_ex(b->flat, b->verdict->md, NULL) != 1))
		return -ENOMEM;
	return make_spool(b);
}

static void stop(struct bringing *b)
{
	unpack_free(b->unpack);
	nar_free(b->nar);
	EVP_MD_CTX_free(b->md);
	EVP_MD_CTX_free(b->flat);
	nixspool_free(b->out);
	b->unpack = NULL;
	b->nar = NULL;
	b->md = b->flat = NULL;
	b->out = NULL;
}

/* One request for all that is still missing. */
static int get_rest(struct bringing *b)
{
	const struct narinfo *i = b->info;
	struct nixget g = {
		.cache = b->cache, .what = i->url, .offset = b->packed,
		.max = i->nar_size + i->nar_size / 8 + (1u << 20),
		.data = on_packed, .ctx = b,
	};
	int rc;

	b->failed = 0;
	b->skip = 0;
	rc = nixcache_get(b->n, &g);
	if (!rc && g.offset && g.status == 200) /* it all came again */
		return nixfail(b->n, -EIO, "%s: a transfer broke, and the "
			       "cache cannot go on in the middle", i->url);
	if (!rc && g.status != 200 && g.status != 206)
		return nixcache_error(b->n, b->cache, g.status, i->url);
	return rc;
}

static bool worth_retrying(const struct bringing *b, int rc)
{
	return !b->failed && (rc == -EIO || rc == -ETIMEDOUT) &&
	       !b->n->host->cancelled(b->n->host);
}

static int get_all(struct bringing *b)
{
	uint64_t before = 0;
	int rc, tries = 0;

	while ((rc = get_rest(b)) && worth_retrying(b, rc)) {
		/* only a transfer that got on is taken up again: the host has
		 * repeated requests that were not answered */
		if (b->packed == before || ++tries >= TRIES)
			break;
		before = b->packed;
		nixcount(b->n, "resumed", 1);
	}
	return rc;
}

static int check_digest(struct bringing *b, EVP_MD_CTX *md, const uint8_t *want,
			size_t len)
{
	uint8_t is[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(md, is, NULL) != 1)
		return -ENOMEM;
	if (memcmp(is, want, len) != 0)
		return nixfail(b->n, -EBADMSG, "%s: the hash of its archive is "
			       "not the one it should have; nothing of it is "
			       "shown", b->info->base);
	return 0;
}

static int check_addressed(struct bringing *b)
{
	const struct nixverdict *v = b->verdict;
	uint8_t is[EVP_MAX_MD_SIZE];
	const struct nartree *t = b->out->tree;
	EVP_MD_CTX *md;
	uint8_t buf[65536];
	int rc = 0;

	if (v->proof != NIX_ADDRESSED)
		return 0;
	if (v->flat) {
		if (t->nodes[0].kind != SCORPIO_FILE || t->nodes[0].executable)
			return nixfail(b->n, -EBADMSG, "%s: it should be one "
				       "plain file", b->info->base);
		return check_digest(b, b->flat, v->digest, v->digest_len);
	}
	if (v->digest_len == NIX_SHA256 && EVP_MD_type(v->md) == NID_sha256) {
		if (memcmp(v->digest, b->info->nar_hash, NIX_SHA256) != 0)
			return nixfail(b->n, -EBADMSG, "%s: NarHash is not what "
				       "its name stands for", b->info->base);
		return 0;
	}
	md = EVP_MD_CTX_new();
	if (!md || EVP_DigestInit_ex(md, v->md, NULL) != 1)
		rc = -ENOMEM;
	for (uint64_t at = 0; at < b->out->size && !rc; at += sizeof(buf)) {
		size_t part = b->out->size - at < sizeof(buf)
				      ? (size_t)(b->out->size - at)
				      : sizeof(buf);

		rc = nixspool_read(b->n, b->out, at, buf, part);
		if (!rc && EVP_DigestUpdate(md, buf, part) != 1)
			rc = -ENOMEM;
	}
	if (!rc && EVP_DigestFinal_ex(md, is, NULL) != 1)
		rc = -ENOMEM;
	EVP_MD_CTX_free(md);
	if (!rc && memcmp(is, v->digest, v->digest_len) != 0)
		rc = nixfail(b->n, -EBADMSG, "%s: its content is not what its "
			     "name stands for", b->info->base);
	return rc;
}

/* All of it came: is it what was promised? */
static int check(struct bringing *b)
{
	int rc = unpack_end(b->unpack);

	if (rc)
		return nixfail(b->n, rc, "%s: its archive is cut off",
			       b->info->base);
	if (b->got != b->info->nar_size)
		return nixfail(b->n, -EBADMSG, "%s: its archive has %llu bytes, "
			       "not %llu", b->info->base,
			       (unsigned long long)b->got,
			       (unsigned long long)b->info->nar_size);
	rc = check_digest(b, b->md, b->info->nar_hash, NIX_SHA256);
	if (rc)
		return rc;
	rc = nar_end(b->nar, &b->out->tree);
	if (rc)
		return nixfail(b->n, rc, "%s: not a proper archive: %s",
			       b->info->base, nar_why(b->nar));
	return check_addressed(b);
}

int nixspool_bring(struct nix *n, struct nixcache *c, const struct narinfo *i,
		   const struct nixverdict *v, struct nixspool **ret,
		   uint64_t *fetched)
{
	struct bringing b = { .n = n, .cache = c, .info = i, .verdict = v };
	int rc;

	if (i->nar_size > n->nar_max)
		return nixfail(n, -EFBIG, "%s: an archive of %llu bytes is more "
			       "than nix.nar_max allows", i->base,
			       (unsigned long long)i->nar_size);
	rc = start(&b);
	if (!rc)
		rc = get_all(&b);
	if (!rc)
		rc = check(&b);
	if (!rc) {
		nixcount(n, "archives", 1);
		*ret = b.out;
		b.out = NULL;
	} else if (rc == -EBADMSG) {
		nixcount(n, "refused", 1);
	}
	*fetched += b.packed;
	stop(&b);
	return rc;
}

static int feed_all(struct bringing *b, int fd)
{
	auto_free uint8_t *buf = malloc(1u << 18);
	struct nixspool s = { .size = b->info->nar_size, .fd = fd };
	int rc = buf ? 0 : -ENOMEM;

	while (!rc && b->got < s.size) {
		uint64_t left = s.size - b->got;
		size_t len = left < (1u << 18) ? (size_t)left : 1u << 18;

		rc = nixspool_read(b->n, &s, b->got, buf, len);
		if (!rc)
			rc = on_plain(b, buf, len);
	}
	return rc;
}

int nixspool_adopt(struct nix *n, const struct narinfo *i,
		   const struct nixverdict *v, int fd, struct nixspool **ret)
{
	struct bringing b = { .n = n, .info = i, .verdict = v,
			      .adopted = true };
	int rc = start(&b);

	if (!rc)
		rc = feed_all(&b, fd);
	if (!rc) {
		b.out->fd = fd;
		rc = check(&b);
		if (rc)
			b.out->fd = -1;
	}
	if (!rc) {
		nixcount(n, "archives", 1);
		*ret = b.out;
		b.out = NULL;
	} else {
		close(fd);
		if (rc == -EBADMSG)
			nixcount(n, "refused", 1);
	}
	stop(&b);
	return rc;
}
