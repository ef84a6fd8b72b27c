/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mono.c - the table of the mono backend: a Mono server's monorepo through its
 * read API (HTTP and JSON).
 *
 * The server has one request for each directory and each file, so a call asks
 * for one object and the host makes many calls at once. How directories are
 * proven to be those of the revision: docs/decisions/031-mono.md.
 */
#include "blob.h"
#include "commits.h"
#include "common.h"
#include "directory.h"
#include "layer.h"
#include "request.h"
#include "resolve.h"
#include "text.h"

extern const struct scorpio_backend scorpio_mono_backend;

static void mono_close(void *self)
{
	struct mono *m = self;

	if (!m)
		return;
	monoauth_free(m->auth);
	monocommits_free(m->commits);
	monolayers_free(m->layers);
	if (m->api)
		explicit_bzero(m->api, strlen(m->api));
	free(m->api);
	free(m->shown);
	free(m->import);
	free(m);
}

static int set_addresses(struct mono *m, const char *url)
{
	const char *why;
	char *base;
	int rc = monotext_base(url, &base, &m->shown, &why);

	if (rc < 0)
		return monofail(m, rc, "not an address of a Mono server: %s",
				why);
	if (asprintf(&m->api, "%s/api/v1", base) < 0) {
		m->api = NULL;
		rc = -ENOMEM;
	}
	explicit_bzero(base, strlen(base));
	free(base);
	return rc;
}

/* "third-party" and "/third-party/" are both "/third-party". */
static int set_import(struct mono *m)
{
	const char *s = m->host->config_string(m->config, "import_dir",
					       "third-party");
	size_t n;

	while (*s == '/')
		s++;
	for (n = strlen(s); n && s[n - 1] == '/'; n--)
		;
	if (asprintf(&m->import, "%s%.*s", n ? "/" : "", (int)n, s) < 0) {
		m->import = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int mono_open(const struct scorpio_host *host, const char *url,
		     const struct scorpio_config *config,
		     const struct scorpio_next *next,
		     struct scorpio_instance *info, void **ret_self)
{
	struct mono *m;
	int rc;

	if (next)
		return host->fail(host, -EINVAL,
				  "mono is a source, not a layer");
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->host = host;
	m->config = config;
	m->commits = monocommits_new();
	m->layers = monolayers_new();
	rc = m->commits && m->layers ? set_addresses(m, url) : -ENOMEM;
	if (rc == 0)
		rc = set_import(m);
	if (rc == 0)
		rc = monoauth_new(m, &m->auth);
	if (rc < 0) {
		mono_close(m);
		return rc;
	}
	info->batch_max = 1;
	info->id_space = "mono";
	*ret_self = m;
	return 0;
}

static int mono_resolve(void *self, const char *spec,
			struct scorpio_revision *ret)
{
	return mono_resolve_spec(self, spec, ret);
}

static int mono_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	return monodir_list(self, refs, n, sink);
}

static int mono_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		      const struct scorpio_sink *sink)
{
	return monoblob_fetch(self, refs, n, sink);
}

static int mono_sizes(void *self, const struct scorpio_ref *refs, uint32_t n,
		      const struct scorpio_sink *sink)
{
	return monoblob_sizes(self, refs, n, sink);
}

static int64_t mono_xattr(void *self, const struct scorpio_ref *ref,
			  const char *name, void *buf, uint64_t cap)
{
	char hex[MONO_HEX + 1];
	size_t n = MONO_HEX;

	(void)self;
	if (strcmp(name, "oid") != 0 || ref->id.len != MONO_OID)
		return -ENODATA;
	monohex_encode(ref->id.bytes, MONO_OID, hex);
	memcpy(buf, hex, n < cap ? n : cap);
	return (int64_t)n;
}

__attribute__((visibility("default")))
const struct scorpio_backend scorpio_mono_backend = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "mono",
	.schemes = "mono+https mono+http",
	.summary = "Monorepo of a Mono (Mega) server",
	.threads = SCORPIO_THREADS_PARALLEL,
	.flags = SCORPIO_BACKEND_NEEDS_PATH | SCORPIO_BACKEND_WORKSPACE,
	.id_kind = SCORPIO_ID_GIT,
	.open = mono_open,
	.close = mono_close,
	.resolve = mono_resolve,
	.list = mono_list,
	.fetch = mono_fetch,
	.sizes = mono_sizes,
	.xattr = mono_xattr,
};
