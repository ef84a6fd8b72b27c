/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload.h - objects to the LFS server, before a commit that names them.
 *
 * Source: git-lfs docs/api/batch.md, docs/api/basic-transfers.md.
 */
#ifndef BACKENDS_LFS_UPLOAD_H
#define BACKENDS_LFS_UPLOAD_H

#include "server.h"

struct lfsupload {
	uint8_t oid[LFS_OID_LEN];
	uint64_t size;
	const char *path; /* a file with just that content; borrowed */
};
/* The answer to a batch for an upload: the links of each object, as of
 * lfsbatch_parse; those without href are not wanted. */
int lfsupload_parse(const char *text, size_t n, const char *base,
		    struct lfsaction *up, struct lfsaction *check,
		    uint32_t count, const char **why);
/* Those the server has are not sent. ref: what the commit goes to
 * ("refs/heads/main"). Each object once. A link that ran out is asked for again.
 * Blocking; the first failure ends it. */
int lfs_upload(struct lfs *s, const char *ref, const struct lfsupload *all,
	       size_t n);

#endif
