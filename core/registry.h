/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h - which backends exist, and the host table they see. Filled at
 * start on the main thread (built-in ones, then plugins), read-only afterwards,
 * hence no lock on the read path.
 */
#ifndef CORE_REGISTRY_H
#define CORE_REGISTRY_H

#include "core/base.h"

#include <scorpio/backend.h>

/* Copy min(struct_size) of the table and check it: required functions by name,
 * ABI major, name characters. -EINVAL/-EEXIST with a text. */
int registry_add(const struct scorpio_backend *b, const char *origin);
/* Undo the last n registry_add that succeeded. */
void registry_drop_last(size_t n);
/* NULL if none. By name, or by the scheme of a URL ("git+https://..."). A
 * plain path or URL without "+": the first backend whose schemes list the
 * plain scheme; a path that is a git repository is git, another directory dir. */
const struct scorpio_backend *registry_by_name(const char *name);
const struct scorpio_backend *registry_by_url(const char *url);
void registry_each(void (*fn)(void *ctx, const struct scorpio_backend *b,
			      const char *origin), void *ctx);
/* "git+https, git+http, ..." for error texts; borrowed. */
const char *registry_schemes(void);
void registry_reset(void); /* tests */

/* A host table for one instance (or plugin). name for logs, config source,
 * scratch parent directory. Freed with host_free after the instance closed. */
struct host_options {
	const char *name;
	const char *(*get)(void *ctx, const char *key); /* configuration */
	void *ctx;
	const char *scratch_parent; /* <store>/scratch; NULL: no scratch */
	bool in_init; /* service_provide allowed */
	/* scorpio_host.remember and .recall; NULL: not offered */
	int (*remember)(void *ctx, const char *name, const void *p, size_t n);
	int64_t (*recall)(void *ctx, const char *name, void *buf, size_t cap);
};
struct scorpio_host *host_new(const struct host_options *o);
/* the config handle to pass to backend open() */
const struct scorpio_config *host_config(const struct scorpio_host *h);
void host_free(struct scorpio_host *h);
void host_freeze_services(void);

#endif
