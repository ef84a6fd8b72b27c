/* SPDX-License-Identifier: Apache-2.0 */
/* local.h - the backend's calls on a repository of this machine (repo.h). */
#ifndef BACKENDS_GIT_LOCAL_H
#define BACKENDS_GIT_LOCAL_H

#include "common.h"
#include "pour.h"

int gitlocal_resolve(struct gitsource *s, struct gitrepo *r, const char *spec,
		     struct scorpio_revision *ret);
/* missing (may be NULL): called instead of sink->failed for an object that is
 * not there; what it returns is handled like a sink's answer. */
struct gitlocal_call {
	struct gitsource *source;
	struct gitrepo *repo;
	const struct scorpio_sink *sink;
	int (*missing)(void *ctx, const struct scorpio_ref *ref);
	void *ctx;
};
int gitlocal_list(struct gitlocal_call *c, const struct scorpio_ref *refs,
		  uint32_t n);
int gitlocal_fetch(struct gitlocal_call *c, const struct scorpio_ref *refs,
		   uint32_t n);
int gitlocal_sizes(struct gitlocal_call *c, const struct scorpio_ref *refs,
		   uint32_t n);

/* Everything below a tree, depth levels of it (0: all). */
int gitlocal_prefetch(struct gitlocal_call *c, const struct scorpio_ref *root,
		      uint32_t what, uint32_t depth);

/* Blobs above this are streamed by `git cat-file` instead of being held in
 * memory: libgit2 reads packed objects only whole. */
#define GIT_WHOLE_MAX (64u << 20)
/* Pour a large blob of the repository at gitdir. */
int gitlocal_stream(struct gitsource *s, const struct scorpio_sink *sink,
		    const char *gitdir, const git_oid *oid, uint64_t size);

#endif
