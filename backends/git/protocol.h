/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.h - git's protocol version 2 over HTTP, in the four requests we
 * need: what the server can do, its references, objects, sizes. Any thread.
 */
#ifndef BACKENDS_GIT_PROTOCOL_H
#define BACKENDS_GIT_PROTOCOL_H

#include "common.h"
#include "pack.h"

#define GITREFS_MAX 1000000u
#define GITREFS_BYTES_MAX (256u << 20)

struct gitcaps {
	bool fetch, ls_refs; /* without them it is no git server */
	bool filter;         /* may be asked for parts of a revision */
	bool shallow;        /* may be asked without history */
	bool object_info;    /* tells sizes */
	bool sha256;
};

struct gitref {
	git_oid oid;    /* zero: unborn */
	git_oid peeled; /* of an annotated tag, else zero */
	char *name, *symref; /* owned; symref may be NULL */
};

struct gitrefs {
	struct gitref *v;
	size_t n, cap;
};
void gitrefs_done(struct gitrefs *r);
/* Copies. -EFBIG past GITREFS_MAX, -ENOMEM. */
int gitrefs_add(struct gitrefs *r, const struct gitref *ref);

/* One fetch: the objects `wants`, and what they lead to as far as `filter`
 * (NULL: all of it) lets through. */
struct gitpull {
	const git_oid *wants;
	size_t n;
	const char *filter;
	unsigned deepen; /* so many generations of commits; 0: not asked */
	uint64_t max;    /* bytes of the answer, then -EFBIG; 0: no limit */
	/* answers, after -ESTALE */
	git_oid missing;     /* the server does not have this one */
	bool missing_known;
};

/* -EPROTONOSUPPORT (no text): a git server, but without version 2. */
int gitproto_discover(struct gitsource *s, struct gitcaps *ret);
/* Those whose names begin with one of the prefixes; n 0: all. */
int gitproto_refs(struct gitsource *s, const char *const *prefixes, size_t n,
		  struct gitrefs *ret);
/* -ESTALE: a wanted object is not there; GITPULL_NO_FILTER: the server does
 * not allow this filter; GITPULL_NO_OBJECTS: it gives only what its references
 * name; others with a text. *ret is finished. */
#define GITPULL_NO_FILTER (-ENOPROTOOPT)
#define GITPULL_NO_OBJECTS (-ENOTSUP)
int gitproto_pull(struct gitsource *s, struct gitpull *p,
		  struct gitpack **ret);
/* Each size, or SCORPIO_SIZE_UNKNOWN if the server has no such object. */
int gitproto_sizes(struct gitsource *s, const git_oid *oids, size_t n,
		   int (*fn)(void *ctx, const git_oid *oid, uint64_t size),
		   void *ctx);
/* What a server's error text means: -ESTALE (fills p), GITPULL_NO_FILTER or
 * -EIO, with a text. */
int gitproto_refused(struct gitsource *s, struct gitpull *p, const char *text);

#endif
