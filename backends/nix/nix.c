/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nix.c - the table of the nix backend: the paths of Nix binary caches, each
 * brought when it is looked at, and shown as Nix's own store shows them.
 *
 * A cache cannot be listed, so the root is an open one: the bucket of a name
 * is the tree named by its hash. What is believed when, and why:
 * docs/decisions/050-nix.md.
 */
#include "ahead.h"
#include "describe.h"
#include "nix32.h"
#include "path.h"
#include "serve.h"

extern const struct scorpio_backend scorpio_nix_backend;

#define NAR_MAX (64ll << 30)
#define WHOLE_BELOW 65536
#define RANGES_ABOVE 1048576

static void nix_close(void *self)
{
	struct nix *n = self;

	if (!n)
		return;
	nixahead_free(n->ahead);
	nixpaths_free(n->paths);
	nixcaches_free(n->caches);
	nixtrust_free(n->trust);
	free(n->store_dir);
	free(n->space);
	free(n);
}

static int read_verify(struct nix *n)
{
	const char *v = n->host->config_string(n->config, "verify", "content");

	if (!strcmp(v, "content"))
		n->verify = NIX_VERIFY_CONTENT;
	else if (!strcmp(v, "full"))
		n->verify = NIX_VERIFY_FULL;
	else if (!strcmp(v, "lazy"))
		n->verify = NIX_VERIFY_LAZY;
	else
		return nixfail(n, -EINVAL, "nix.verify is \"content\", \"full\" "
			       "or \"lazy\", not \"%s\"", v);
	return 0;
}

static int read_config(struct nix *n)
{
	const struct scorpio_host *h = n->host;
	const char *dir = h->config_string(n->config, "store_dir",
					   "/nix/store");
	size_t len = strlen(dir);
	int64_t max = h->config_int(n->config, "nar_max", NAR_MAX);
	int64_t whole = h->config_int(n->config, "whole_below", WHOLE_BELOW);
	int64_t above = h->config_int(n->config, "ranges_above", RANGES_ABOVE);

	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (*dir != '/' || len < 2)
		return nixfail(n, -EINVAL, "nix.store_dir is not an absolute "
			       "path");
	n->store_dir = strndup(dir, len);
	n->lookup_drv = h->config_bool(n->config, "lookup_drv", 1);
	n->listings = h->config_bool(n->config, "listings", 1);
	n->nar_max = max > 0 ? (uint64_t)max : (uint64_t)NAR_MAX;
	n->whole_below = whole > 0 ? (uint64_t)whole : 0;
	n->ranges_above = above > 1 ? (uint64_t)above : 1;
	return n->store_dir ? read_verify(n) : -ENOMEM;
}

/* Instances share what they have only if they would have believed it all. */
static int make_space(struct nix *n, const char *url)
{
	char hex[2 * NIX_SHA256 + 1];
	uint8_t md[NIX_SHA256];
	char *text = nixtrust_summary(n, url);

	if (!text || EVP_Digest(text, strlen(text), md, NULL, EVP_sha256(),
				NULL) != 1) {
		free(text);
		return -ENOMEM;
	}
	free(text);
	nixhex_encode(md, 8, hex);
	if (asprintf(&n->space, "nix:%.200s:%s", n->store_dir, hex) < 0) {
		n->space = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int nix_open(const struct scorpio_host *host, const char *url,
		    const struct scorpio_config *config,
		    const struct scorpio_next *next,
		    struct scorpio_instance *info, void **ret_self)
{
	struct nix *n;
	int rc;

	if (next)
		return host->fail(host, -EINVAL, "nix is a source, not a layer");
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->host = host;
	n->config = config;
	rc = read_config(n);
	if (!rc)
		rc = nixcaches_new(n, url, &n->caches);
	if (!rc)
		rc = nixtrust_new(n, &n->trust);
	if (!rc)
		rc = nixpaths_new(n, &n->paths);
	if (!rc)
		rc = make_space(n, url);
	if (!rc && n->host->config_bool(n->config, "prefetch", 1))
		rc = nixahead_new(n, &n->ahead);
	if (rc < 0) {
		nix_close(n);
		return rc;
	}
	info->flags = SCORPIO_INSTANCE_SIZES_FREE | SCORPIO_INSTANCE_OPEN_ROOT |
		      SCORPIO_INSTANCE_OWNER_ROOT;
	info->id_space = n->space;
	*ret_self = n;
	return 0;
}

static int resolve_path(struct nix *n, const char *base,
			struct scorpio_revision *ret)
{
	struct nixid x = { .what = NIXID_NODE };
	const struct nartree *t;
	const uint8_t *tag;
	struct nixpath *p;
	int rc;

	if (!nixname_parse(base, strlen(base), x.hash))
		return nixfail(n, -ENOENT, "\"%s\" is not the name of a store "
			       "path", base);
	rc = nixpath_get(n, x.hash, &p);
	if (rc)
		return rc;
	rc = nixpath_tree(n, p, &t, &tag);
	if (!rc && strcmp(p->info->base, base) != 0)
		rc = nixfail(n, -ENOENT, "there is no %s, but a %s", base,
			     p->info->base);
	if (!rc) {
		memcpy(x.tag, tag, NIXID_TAG);
		ret->root = nixid_make(&x);
		ret->kind = t->nodes[0].kind;
	}
	nixpath_put(n, p);
	return rc;
}

#define WHOLE "store" /* the revision that is the store itself */

static int nix_resolve(void *self, const char *spec,
		       struct scorpio_revision *ret)
{
	struct nix *n = self;
	size_t dir = strlen(n->store_dir);
	int rc = nixcaches_probe(n);

	if (rc)
		return rc;
	if (!strncmp(spec, n->store_dir, dir) && spec[dir] == '/')
		spec += dir + 1;
	memset(ret, 0, sizeof(*ret));
	ret->time_ns = 1000000000;
	ret->kind = SCORPIO_DIR;
	if (*spec && strcmp(spec, WHOLE) != 0) {
		rc = resolve_path(n, spec, ret);
		snprintf(ret->text, sizeof(ret->text), "%s", spec);
	} else {
		ret->root = nixid_make(&(struct nixid){ .what = NIXID_ROOT });
		snprintf(ret->text, sizeof(ret->text), WHOLE);
	}
	snprintf(ret->label, sizeof(ret->label), "%s", n->store_dir);
	return rc;
}

static int nix_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		    const struct scorpio_sink *sink)
{
	return nixserve_list(self, refs, n, sink);
}

static int nix_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	return nixserve_fetch(self, refs, n, sink);
}

static int64_t nix_xattr(void *self, const struct scorpio_ref *ref,
			 const char *name, void *buf, uint64_t cap)
{
	return strcmp(name, "describe") ? -ENODATA
					: nix_describe(self, ref, buf, cap);
}

/* What Nix makes beside a path while it works: never in a cache. */
static bool is_temporary(const char *name, uint32_t len)
{
	static const char *const ends[] = { ".lock", ".chroot", ".check",
					    ".drv.chroot" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t n = strlen(ends[i]);

		if (len > n && !memcmp(name + len - n, ends[i], n))
			return true;
	}
	return false;
}

static int nix_bucket(void *self, const struct scorpio_ref *dir,
		      const char *name, uint32_t name_len,
		      struct scorpio_id *ret)
{
	struct nixid x = { .what = NIXID_BUCKET }, root;
	const struct nix *n = self;

	if (!nixid_parse(&dir->id, &root) || root.what != NIXID_ROOT ||
	    !nixname_parse(name, name_len, x.hash) ||
	    is_temporary(name, name_len))
		return -ENOENT;
	if (!n->lookup_drv && name_len > 4 &&
	    !memcmp(name + name_len - 4, ".drv", 4))
		return -ENOENT;
	*ret = nixid_make(&x);
	return 0;
}

static int nix_part(void *self, const struct scorpio_id *blob, uint64_t size,
		    uint64_t offset, struct scorpio_part *ret)
{
	struct nixid x;

	(void)self;
	if (size < NIX_PARTS_ABOVE || offset >= size ||
	    !nixid_parse(blob, &x) || x.what != NIXID_NODE ||
	    x.node > 0xffffff || offset / NIX_PART > 0xffffff)
		return -ENOENT;
	x.what = NIXID_PART;
	x.part = (uint32_t)(offset / NIX_PART);
	ret->id = nixid_make(&x);
	ret->offset = offset - offset % NIX_PART;
	ret->length = NIX_PART;
	return 0;
}

__attribute__((visibility("default")))
const struct scorpio_backend scorpio_nix_backend = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "nix",
	.schemes = "nix+https nix+http nix+file",
	.summary = "Nix store, from binary caches",
	.threads = SCORPIO_THREADS_PARALLEL,
	.flags = SCORPIO_BACKEND_VERIFIES,
	.id_kind = SCORPIO_ID_OPAQUE,
	.open = nix_open,
	.close = nix_close,
	.resolve = nix_resolve,
	.list = nix_list,
	.fetch = nix_fetch,
	.xattr = nix_xattr,
	.bucket = nix_bucket,
	.part = nix_part,
};
