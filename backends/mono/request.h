/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - one exchange with the server through the host's client: login,
 * addresses, what a status means.
 */
#ifndef BACKENDS_MONO_REQUEST_H
#define BACKENDS_MONO_REQUEST_H

#include "common.h"

/* From the keys token, token_file and header. -EINVAL for malformed ones. */
int monoauth_new(struct mono *m, struct monoauth **ret);
void monoauth_free(struct monoauth *a);

/* The address of `what` ("/tree/content-hash") with ?path= (an absolute one)
 * and, unless NULL or "", &refs=. Caller frees; NULL: out of memory. */
char *monoreq_url(const struct mono *m, const char *what, const char *path,
		  const char *refs);
char *monoreq_blob_url(const struct mono *m, const uint8_t oid[MONO_OID]);

/* Perform x (url, method, callbacks, one header of its own or NULL) with our
 * login. 0: there is an answer, look at x->status. */
int monoreq_perform(struct mono *m, struct scorpio_http *x,
		    const char *header);

struct monoreply {
	char *data; /* owned */
	size_t len, cap;
	int status;
};
void monoreply_done(struct monoreply *r);
/* GET into memory, at most `max` bytes. 0: there is an answer, of any status.
 */
int monoreq_get(struct mono *m, const char *url, uint64_t max,
		struct monoreply *ret);

/* The errno of a status other than 2xx, with a text; `what` names what was
 * asked for. body: the beginning of the answer, NULL if there is none. Not
 * found is -ENOENT. */
int monoreq_error(struct mono *m, int status, const char *body, size_t len,
		  const char *what);

#endif
