/* SPDX-License-Identifier: Apache-2.0 */
/* url.h - http addresses, as far as this layer looks into them. Pure. */
#ifndef BACKENDS_LFS_URL_H
#define BACKENDS_LFS_URL_H

#include "common.h"

struct lfsurl {
	bool https;
	char host[256]; /* lower case, without brackets */
	char port[8];	/* the usual one filled in */
	const char *authority, *path; /* in the text; path may be "" */
	size_t n_authority;	      /* with userinfo and port */
};

/* False: not http or https, or malformed. */
bool lfsurl_parse(const char *url, struct lfsurl *ret);
/* Scheme, host and port equal? */
bool lfsurl_same_place(const char *a, const char *b);
/* "https://host:port", without a login. The caller frees. */
char *lfsurl_origin(const char *url);
/* A link as this client can reach it: a server that names the address it listens
 * at (0.0.0.0 always; this machine, where the base is another) is meant itself,
 * so the link gets the base's scheme, host and port. The caller frees; NULL:
 * not an http link. */
char *lfsurl_reachable(const char *href, const char *base);
/* Where a repository's LFS server is by convention, from the address of a
 * source ("git+https://h/x" -> "https://h/x.git/info/lfs"; a Mono server's has
 * no ".git"). *ret_dir: the objects of a local repository instead. Either is
 * NULL if it is not that; the caller frees. -ENOMEM. */
int lfsurl_of_source(const char *source, bool mono, char **ret_url,
		     char **ret_dir);

#endif
