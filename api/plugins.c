/* SPDX-License-Identifier: Apache-2.0 */
#include "api/plugins.h"

#include "core/error.h"
#include "plugins/loader.h"

char *plugins_dir(const struct config *c)
{
	const char *dir = config_string(c, "plugins.dir");
	char exe[4096];
	ssize_t n;
	char *slash, *beside;

	if (dir)
		return xstrdup(dir);
	n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		beside = xasprintf("%.*s/plugins", (int)(slash - exe), exe);
		if (!access(beside, F_OK))
			return beside;
		free(beside);
	}
	return xstrdup(PLUGINDIR);
}

static const char *plugin_value(void *ctx, const char *plugin, const char *key)
{
	struct config_view view = { .config = ctx, .backend = plugin };

	return config_view_get(&view, key);
}

int plugins_load(const struct config *c)
{
	struct loader_config lc = { .get = plugin_value,
				    .ctx = (void *)(uintptr_t)c };
	cleanup_free char *dir = plugins_dir(c);
	const char *const *names;
	size_t n = config_list(c, "plugins.load", &names);
	int r;

	if (!n) {
		r = loader_load_dir(dir, &lc);
		return MIN(r, 0);
	}
	for (size_t i = 0; i < n; i++) {
		cleanup_free char *path =
			strchr(names[i], '/')
				? xstrdup(names[i])
				: xasprintf("%s/%s.so", dir, names[i]);

		r = loader_load(path, &lc);
		if (r)
			return fail_prefix(r, "plugin %s", names[i]);
	}
	return 0;
}
