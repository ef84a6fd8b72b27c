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

static json_t *text(const char *s)
{
	return s ? json_bytes(s, strlen(s)) : json_null();
}

json_t *plugins_json(const struct loader_info *i)
{
	json_t *v = json_object(), *backends = json_array();
	json_t *roles = json_array();

	json_object_set_new(v, "name", text(i->name));
	json_object_set_new(v, "version", text(i->version));
	json_object_set_new(v, "summary", text(i->summary));
	json_object_set_new(v, "path", text(i->path));
	json_object_set_new(v, "abi", json_sprintf("%u.%u", i->abi >> 16,
						   i->abi & 0xffffu));
	json_object_set_new(v, "error", text(i->error));
	for (size_t n = 0; i->backends && i->backends[n]; n++)
		json_array_append_new(backends, text(i->backends[n]->name));
	json_object_set_new(v, "backends", backends);
	for (size_t n = 0; i->roles && i->roles[n]; n++)
		json_array_append_new(roles,
			json_pack("{s:s,s:s}", "name", i->roles[n]->name,
				  "summary", i->roles[n]->summary
						     ? i->roles[n]->summary
						     : ""));
	json_object_set_new(v, "roles", roles);
	return v;
}
