/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.h - a repository on a server.
 *
 * Happy path: GET info/refs once tells what the server can do; then one POST
 * per batch. Directories are asked for with a filter, so that only trees come,
 * and some levels below them as well; how many adapts to how large the answers
 * are. Files are asked for by id, a batch in one request.
 *
 * A server that knows no filters can only be asked for everything: the
 * revision is then fetched once, without history, into a repository in the
 * scratch directory that is kept while the instance lives, and served from
 * there. Servers without protocol version 2, and addresses of ssh and git
 * daemons, are reached through the `git` program (cli.c) in the same way.
 *
 * Any thread; no lock is held while the network or the host works.
 */
#ifndef BACKENDS_GIT_REMOTE_H
#define BACKENDS_GIT_REMOTE_H

#include "common.h"
#include "pack.h"
#include "protocol.h"

/* -- for git.c -- */
int gitremote_new(struct gitsource *s, struct gitremote **ret);
void gitremote_free(struct gitremote *r);
int gitremote_resolve(struct gitsource *s, const char *spec,
		      struct scorpio_revision *ret);
int gitremote_list(struct gitsource *s, const struct scorpio_ref *refs,
		   uint32_t n, const struct scorpio_sink *sink);
int gitremote_fetch(struct gitsource *s, const struct scorpio_ref *refs,
		    uint32_t n, const struct scorpio_sink *sink);
int gitremote_sizes(struct gitsource *s, const struct scorpio_ref *refs,
		    uint32_t n, const struct scorpio_sink *sink);
int gitremote_prefetch(struct gitsource *s, const struct scorpio_ref *root,
		       uint32_t what, uint32_t depth,
		       const struct scorpio_sink *sink);

/* -- among names.c, objects.c, http.c -- */
struct gitbase *gitremote_base(struct gitremote *r);
/* Ask the server what it can do, if that is not known yet. */
int gitremote_caps(struct gitsource *s, struct gitcaps *ret);
int gitremote_refs(struct gitsource *s, const char *const *prefixes, size_t n,
		   struct gitrefs *ret);

/* What a pull is for; decides which filters are tried, best first. */
enum gitpurpose {
	GITPULL_COMMIT, /* commits or tags with their root tree */
	GITPULL_TREES,  /* these trees and `levels` below */
	GITPULL_DEEP,   /* these trees and all trees below */
	GITPULL_ALL,    /* these objects and all they lead to */
	GITPULL_HISTORY /* `deepen` generations of commits, nothing else */
};
struct gitwant {
	enum gitpurpose purpose;
	const git_oid *oids;
	size_t n;
	unsigned levels, deepen;
	uint64_t max;
	/* answers */
	git_oid missing;    /* with -ESTALE */
	bool missing_known;
	bool everything; /* no filter was possible: blobs came along */
};
/* As gitproto_pull, by the way that works. */
int gitremote_pull(struct gitsource *s, struct gitwant *w,
		   struct gitpack **ret);
/* False: the server knows no filters; everything comes at once. */
bool gitremote_filters(struct gitremote *r);

/* The repository that keeps whole revisions, or NULL if there is none. */
struct gitrepo *gitremote_full(struct gitremote *r);
/* Move a pack with a whole revision there, made if missing. */
int gitremote_keep_pack(struct gitsource *s, struct gitpack *p);

/* The last commit that was resolved: what gitremote_whole brings when a server
 * gives no single objects. From then on all is read from gitremote_full. */
void gitremote_set_commit(struct gitremote *r, const git_oid *oid);
int gitremote_whole(struct gitsource *s);

/* A few small objects of the last revisions, so that the first listing needs
 * no request. */
void gitremote_keep(struct gitremote *r, git_odb_object *o);
git_odb_object *gitremote_kept(struct gitremote *r, const git_oid *oid);

/* Levels of directories to ask for below the wanted ones, and what came of
 * it: the number of objects, or SIZE_MAX for too many. */
unsigned gitremote_levels(struct gitremote *r);
void gitremote_adapt(struct gitremote *r, unsigned levels, size_t objects);

/* ancestors.c: from the commit at *oid along `steps`, which are "~n" and "^n" as
 * git has them. One request, for the commits of so many generations. -EINVAL,
 * -ENOENT, -ENOTSUP: the server has no filter for it. name: for texts. */
int gitremote_ancestor(struct gitsource *s, const char *name,
		       const char *steps, git_oid *oid);

/* -- through the git program, cli.c -- */
int gitcli_refs(struct gitsource *s, const char *const *prefixes, size_t n,
		struct gitrefs *ret);
int gitcli_pull(struct gitsource *s, struct gitpull *p, struct gitpack **ret);

#endif
