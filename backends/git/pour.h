/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pour.h - raw git objects into the host's sink. Not thread-safe: one pour
 * belongs to one backend call.
 */
#ifndef BACKENDS_GIT_POUR_H
#define BACKENDS_GIT_POUR_H

#include "common.h"

struct gitpour {
	struct gitsource *source;
	const struct scorpio_sink *sink;
	/* The size of an entry's blob, or SCORPIO_SIZE_UNKNOWN; NULL: unknown
	 * for all. */
	uint64_t (*size_of)(void *ctx, const uint8_t *id);
	void *ctx;
};

/* Check and pour one tree. verify: also hash it (when nobody else did). A
 * malformed tree goes to sink->failed and is 0; nonzero means stop. */
int gitpour_tree(struct gitpour *p, const git_oid *oid, const void *raw,
		 size_t len, bool verify);
int gitpour_blob(struct gitpour *p, const git_oid *oid, const void *data,
		 size_t len);
/* Any object; commits and tags are passed over. */
int gitpour_object(struct gitpour *p, git_odb_object *o, bool verify);
/* This object cannot be had. `code` is the errno whose text is set. 0 to go
 * on with the others. */
int gitpour_failed(struct gitpour *p, const struct scorpio_id *id, int code);

#endif
