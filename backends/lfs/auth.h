/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.h - logins for the LFS server: lfs.header, lfs.token_file, a login in its
 * address; where the server is on the repository's own host also that source's
 * header, token, token_file and username; ~/.netrc (the host's client); and
 * git's credential helpers when a server answers 401. A login goes to the host
 * it is for and to no other.
 */
#ifndef BACKENDS_LFS_AUTH_H
#define BACKENDS_LFS_AUTH_H

#include "common.h"

struct lfsauth;

/* -EINVAL, -EACCES for settings that cannot be used. */
int lfsauth_new(struct lfs *s, struct lfsauth **ret);
void lfsauth_free(struct lfsauth *a);

/* Perform x with a login if x->url is at the place of `server` (its address),
 * asking for one at a 401. 0: there is an answer. x->headers must be final. */
int lfsauth_perform(struct lfs *s, struct lfsauth *a, struct scorpio_http *x,
		    const char *server);

#endif
