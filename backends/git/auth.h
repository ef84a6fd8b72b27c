/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.h - who we are for an HTTP server. Asked in this order:
 *
 *   header = "Name: value"       configuration: sent as it is
 *   token or token_file          Bearer, or Basic with `username` if given
 *   https://user:password@...    the address
 *   ~/.netrc                     by the host's HTTP client
 *   git credential helpers       after a 401, unless credential_helper = false
 *
 * All but netrc and helpers are bound to the origin (scheme, host, port) of
 * the configured address and never sent to another, whatever redirects say.
 * Any thread.
 */
#ifndef BACKENDS_GIT_AUTH_H
#define BACKENDS_GIT_AUTH_H

#include "common.h"

struct gitauth;

/* What one request carries. Wiped and freed by gitauth_release. */
struct gitauth_use {
	char *user, *password, *bearer, *header;
	char *origin;
	bool given;       /* one of the above is set */
	bool from_helper; /* user and password came from a helper */
};

/* Reads the configuration; -EACCES with a text if token_file cannot be read. */
int gitauth_new(struct gitsource *s, struct gitauth **ret);
void gitauth_free(struct gitauth *a);

/* What to send to this URL at first. -ENOMEM. */
int gitauth_first(struct gitsource *s, struct gitauth *a, const char *url,
		  struct gitauth_use *ret);
/* The server answered 401 to `use`: look for something better, into `use`.
 * -EACCES with a text when there is nothing. Runs a program. */
int gitauth_refused(struct gitsource *s, struct gitauth *a, const char *url,
		    struct gitauth_use *use);
/* The server took `use`: helpers may remember it. */
void gitauth_accepted(struct gitsource *s, struct gitauth *a,
		      const struct gitauth_use *use);
void gitauth_release(struct gitauth_use *use);

/* "Authorization: Basic ..." and the like for the git program, or NULL if
 * nothing is configured. The caller wipes and frees. */
char *gitauth_header(const struct gitauth_use *use);

#endif
