/* SPDX-License-Identifier: Apache-2.0 */
/* v1.h - small helpers of the /api/v1 handlers. */
#ifndef API_HTTP_V1_H
#define API_HTTP_V1_H

#include "api/daemon.h"
#include "api/http/request.h"

/* Any bytes as text, see json_bytes; null for NULL. */
json_t *v1_text(const char *s);
json_t *v1_mount(struct daemon *d, const struct fs_mount_info *i);
/* Every mount, also those that could not be made yet. */
json_t *v1_mounts(struct daemon *d);
/* Absolute deadline from ?timeout_s= (or a body's member), default given. */
int v1_deadline(struct request *r, const json_t *body, int64_t dflt_s,
		int64_t *ret);
/* A text that may hold json_bytes escapes -> bytes; caller frees. */
int v1_bytes(const char *text, char **ret);
void v1_set(json_t *obj, const char *key, uint64_t v); /* 64-bit clipped */

#endif
