/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git.c - the table of the git backend. A repository of this machine is read
 * in place (local.c), one of a server through the network (remote.h).
 *
 * Ids are git object ids. The host hashes blobs on their way into the store,
 * trees and commits are hashed here or by the pack indexer: see
 * docs/decisions/010-git-verification.md.
 */
#include "common.h"
#include "local.h"
#include "remote.h"
#include "repo.h"

#define REQUEST_MAX 10000u /* ids in one request */

extern const struct scorpio_backend scorpio_git_backend;

int gitsource_missing(struct gitsource *s, const git_oid *oid)
{
	if (s->remote)
		return gitfail(s, -ESTALE, "the server has no object %s (any "
			       "more)", git_oid_tostr_s(oid));
	if (s->partial)
		return gitfail(s, -ESTALE, "object %s is not in this partial "
			       "clone; fetch it there, or use the address it "
			       "was cloned from", git_oid_tostr_s(oid));
	return gitfail(s, -ESTALE, "object %s is not in the repository: it was "
		       "removed, or the repository is damaged",
		       git_oid_tostr_s(oid));
}

static void git_close(void *self)
{
	struct gitsource *s = self;

	if (!s)
		return;
	gitremote_free(s->remote);
	gitrepo_close(s->repo);
	giturl_done(&s->url);
	free(s);
}

static int open_local(struct gitsource *s, struct scorpio_instance *info)
{
	int rc = gitrepo_open(s, s->url.text, &s->repo);

	if (rc < 0)
		return rc;
	s->partial = gitrepo_is_partial(s, s->repo);
	info->flags = SCORPIO_INSTANCE_LOCAL |
		      (s->partial ? 0 : SCORPIO_INSTANCE_SIZES_FREE);
	return 0;
}

static int git_open(const struct scorpio_host *host, const char *url,
		    const struct scorpio_config *config,
		    const struct scorpio_next *next,
		    struct scorpio_instance *info, void **ret_self)
{
	const char *why;
	struct gitsource *s;
	int rc = gitlib_init(host);

	if (rc < 0)
		return rc;
	if (next)
		return host->fail(host, -EINVAL, "git is a source, not a layer");
	s = calloc(1, sizeof(*s));
	if (!s)
		return host->fail(host, -ENOMEM, "out of memory");
	s->host = host;
	s->config = config;
	rc = giturl_parse(url, &s->url, &why);
	if (rc < 0)
		rc = host->fail(host, rc, "not an address of a repository: %s",
				why);
	else if (s->url.kind == GITURL_LOCAL)
		rc = open_local(s, info);
	else
		rc = gitremote_new(s, &s->remote);
	if (rc < 0) {
		git_close(s);
		return rc;
	}
	info->id_space = "git";
	if (s->remote) /* sizes are small, and a request costs a process there */
		info->batch_max = REQUEST_MAX;
	*ret_self = s;
	return 0;
}

static int git_resolve(void *self, const char *spec,
		       struct scorpio_revision *ret)
{
	struct gitsource *s = self;

	return s->remote ? gitremote_resolve(s, spec, ret) :
			   gitlocal_resolve(s, s->repo, spec, ret);
}

static struct gitlocal_call local_call(struct gitsource *s,
				       const struct scorpio_sink *sink)
{
	struct gitlocal_call c = { .source = s, .repo = s->repo,
				   .sink = sink };

	return c;
}

static int git_list(void *self, const struct scorpio_ref *refs, uint32_t n,
		    const struct scorpio_sink *sink)
{
	struct gitlocal_call c = local_call(self, sink);

	return c.repo ? gitlocal_list(&c, refs, n) :
			gitremote_list(self, refs, n, sink);
}

static int git_fetch(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	struct gitlocal_call c = local_call(self, sink);

	return c.repo ? gitlocal_fetch(&c, refs, n) :
			gitremote_fetch(self, refs, n, sink);
}

static int git_sizes(void *self, const struct scorpio_ref *refs, uint32_t n,
		     const struct scorpio_sink *sink)
{
	struct gitlocal_call c = local_call(self, sink);

	return c.repo ? gitlocal_sizes(&c, refs, n) :
			gitremote_sizes(self, refs, n, sink);
}

static int git_prefetch(void *self, const struct scorpio_ref *root,
			uint32_t what, uint32_t depth,
			const struct scorpio_sink *sink)
{
	struct gitlocal_call c = local_call(self, sink);

	return c.repo ? gitlocal_prefetch(&c, root, what, depth) :
			gitremote_prefetch(self, root, what, depth, sink);
}

static const char *kind_word(uint8_t kind)
{
	switch (kind) {
	case SCORPIO_FILE:
	case SCORPIO_SYMLINK:
		return "blob";
	case SCORPIO_DIR:
		return "tree";
	case SCORPIO_SUBMODULE:
		return "commit";
	default:
		return NULL;
	}
}

static int64_t git_xattr(void *self, const struct scorpio_ref *ref,
			 const char *name, void *buf, uint64_t cap)
{
	char hex[GIT_HEX + 1];
	const char *value = NULL;
	git_oid oid;
	size_t n;

	(void)self;
	if (strcmp(name, "oid") == 0 && gitid_to_oid(&ref->id, &oid))
		value = git_oid_tostr(hex, sizeof(hex), &oid);
	else if (strcmp(name, "type") == 0)
		value = kind_word(ref->kind);
	if (!value)
		return -ENODATA;
	n = strlen(value);
	memcpy(buf, value, n < cap ? n : cap);
	return (int64_t)n;
}

__attribute__((visibility("default")))
const struct scorpio_backend scorpio_git_backend = {
	.struct_size = sizeof(struct scorpio_backend),
	.abi = SCORPIO_ABI,
	.name = "git",
	.schemes = "git+https git+http git+file git+ssh git+git",
	.summary = "Git repositories, local or remote",
	.threads = SCORPIO_THREADS_PARALLEL,
	.flags = SCORPIO_BACKEND_WORKSPACE,
	.id_kind = SCORPIO_ID_GIT,
	.open = git_open,
	.close = git_close,
	.resolve = git_resolve,
	.list = git_list,
	.fetch = git_fetch,
	.sizes = git_sizes,
	.prefetch = git_prefetch,
	.xattr = git_xattr,
};
