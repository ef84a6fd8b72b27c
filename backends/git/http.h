/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - one request to a git server through the host's client: our
 * credentials, redirects, and what each status means to the user. Any thread.
 *
 * Redirects are followed here and not by the client, for two reasons: the
 * POSTs must go where the GET was sent, and a secret header of the
 * configuration must not go to another server.
 */
#ifndef BACKENDS_GIT_HTTP_H
#define BACKENDS_GIT_HTTP_H

#include "auth.h"

struct githttp {
	const char *service; /* what follows the repository's URL */
	const void *body;    /* NULL: GET */
	size_t body_len;
	const char *type;    /* Content-Type a git server answers with */
	bool long_answer;    /* a pack: only the call's deadline and stalls end
			      * it */
	uint64_t max;        /* bytes of the answer; 0: no limit */
	/* The body of a 200 answer of that type; nonzero stops. */
	int (*on_data)(void *ctx, const void *data, uint64_t n);
	void *ctx;
	/* Started over because of a 401 or a redirect: nothing was given to
	 * on_data yet. */
	uint64_t received; /* answer: bytes given to on_data */
};

/* 0, or with a text: -EACCES 401 403, -ENOENT 404 410, -EAGAIN 429 503,
 * -EIO other statuses and no connection, -ETIMEDOUT, -EINTR, -EFBIG, -EBADMSG
 * for an answer that is not git's, or what on_data returned. */
int githttp_do(struct gitsource *s, struct githttp *x);

/* Where the server is: changed by redirects. */
struct gitbase;
int gitbase_new(struct gitsource *s, struct gitbase **ret);
void gitbase_free(struct gitbase *b);
struct gitauth *gitbase_auth(struct gitbase *b);
char *gitbase_url(struct gitbase *b); /* a copy; NULL: out of memory */

#endif
