/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.h - shared objects become plugins: load, check, init, register their
 * backends. What was loaded stays loaded until the process ends (no dlclose).
 *
 * Main thread only, before other threads use the registry; loader_each may be
 * called from any thread afterwards.
 */
#ifndef PLUGINS_LOADER_H
#define PLUGINS_LOADER_H

#include "core/base.h"

#include <scorpio/plugin.h>

struct loader_info { /* one file that was tried */
	const char *path;
	const char *name, *version, *summary; /* "" if it could not be read */
	uint32_t abi;
	const char *error; /* why it was refused, or NULL: loaded */
	/* NULL-ended; the backends it registered */
	const struct scorpio_backend *const *backends;
	const struct scorpio_role *const *roles; /* NULL-ended */
};

/* How a plugin's own configuration answers during init. */
struct loader_config {
	const char *(*get)(void *ctx, const char *plugin, const char *key);
	void *ctx;
};

/* Load one file. On failure nothing of it is registered, the reason is the
 * error text and is kept for loader_each: -ENOENT no such file; -ENOEXEC not a
 * plugin; -EINVAL an ABI we do not speak or a bad table; -EEXIST its name or a
 * backend's is taken; or what its init() returned. config may be NULL. */
int loader_load(const char *path, const struct loader_config *config);
/* Load every *.so of a directory, in order of name. Each failure is logged as
 * one error line and does not stop the others. A missing directory is fine.
 * Returns the number of plugins loaded, or a negative errno. */
int loader_load_dir(const char *dir, const struct loader_config *config);
void loader_each(void (*fn)(void *ctx, const struct loader_info *info),
		 void *ctx);
/* Every role of every loaded plugin. */
void loader_each_role(void (*fn)(void *ctx, const struct scorpio_role *role),
		      void *ctx);
/* NULL if no loaded plugin has the name. */
const struct loader_info *loader_find(const char *name);
/* Call every fini(), last loaded first, after every instance was closed. */
void loader_fini(void);

#endif
