/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.h - how a shared object becomes a plugin.
 *
 *	static const struct scorpio_backend *const backends[] = { &mine, NULL };
 *	static const struct scorpio_plugin me = {
 *		SCORPIO_PLUGIN_HEAD, .name = "mine", .version = "1.0",
 *		.backends = backends,
 *	};
 *	SCORPIO_PLUGIN(me)
 */
#ifndef SCORPIO_PLUGIN_H
#define SCORPIO_PLUGIN_H

#include <scorpio/backend.h>
#include <scorpio/role.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scorpio_plugin {
	uint32_t struct_size;
	uint32_t abi;
	const char *name;
	const char *version;
	const char *summary;
	/* Called once after loading, on the main thread; NULL allowed. A
	 * negative errno (with host->fail text) refuses to load. */
	int (*init)(const struct scorpio_host *host);
	/* Called once at the end, after every instance was closed. */
	void (*fini)(void);
	const struct scorpio_backend *const *backends; /* NULL-ended, or NULL */
	/* since ABI 1.1 */
	const struct scorpio_role *const *roles; /* NULL-ended, or NULL */
};

#define SCORPIO_PLUGIN_HEAD                                                    \
	.struct_size = sizeof(struct scorpio_plugin), .abi = SCORPIO_ABI

#if defined(__GNUC__)
#define SCORPIO_EXPORT __attribute__((visibility("default")))
#else
#define SCORPIO_EXPORT
#endif

#ifdef __cplusplus
#define SCORPIO_EXTERN extern "C"
#else
#define SCORPIO_EXTERN
#endif

#define SCORPIO_PLUGIN(desc)                                                   \
	SCORPIO_EXTERN SCORPIO_EXPORT const struct scorpio_plugin             \
		*scorpio_plugin_entry(void);                                   \
	SCORPIO_EXTERN SCORPIO_EXPORT const struct scorpio_plugin             \
		*scorpio_plugin_entry(void)                                    \
	{                                                                      \
		return &(desc);                                                \
	}

#ifdef __cplusplus
}
#endif
#endif
