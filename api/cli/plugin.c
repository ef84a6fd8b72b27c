/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - which backends and plugins there are, and whether a file is one. */
#include "api/cli/commands.h"
#include "api/plugins.h"
#include "core/error.h"
#include "core/registry.h"

static void add_backend(void *ctx, const struct scorpio_backend *b,
			const char *origin)
{
	json_array_append_new(
		ctx, json_pack("{s:s,s:s,s:s,s:s}", "name", b->name, "schemes",
			       b->schemes ? b->schemes : "", "summary",
			       b->summary ? b->summary : "", "origin",
			       origin));
}

static void add_plugin(void *ctx, const struct loader_info *i)
{
	json_array_append_new(ctx, plugins_json(i));
}

/* The daemon's view, or this process's own if none runs. */
static int look(struct cli *c, json_t **ret)
{
	json_t *plugins, *backends;
	const char *code;
	int r = cli_call(c, "GET", "/api/v1/plugins", NULL, ret, &code);

	if (!r)
		return 0;
	if (r != -ENOTCONN)
		return cli_call_failed(c, r, code, "cannot list the plugins");
	r = daemon_register(c->config);
	if (r)
		return cli_errno(r, EXIT_CONFIG, "scorpio plugin check FILE",
				 "cannot load the plugins");
	plugins = json_array();
	backends = json_array();
	loader_each(add_plugin, plugins);
	registry_each(add_backend, backends);
	*ret = json_pack("{s:o,s:o}", "plugins", plugins, "backends",
			 backends);
	return 0;
}

static void print_backends(const json_t *list, const char *only)
{
	static const char *const heads[] = { "BACKEND", "FROM", "SCHEMES",
					     "SUMMARY" };
	struct cli_table t = { .columns = ARRAY_SIZE(heads), .heads = heads,
			       .align = "llll" };
	json_t *b;
	size_t i;

	json_array_foreach(list, i, b) {
		if (!only || !strcmp(only, cli_text(b, "name")))
			cli_table_add(&t, cli_text(b, "name"),
				      cli_text(b, "origin"),
				      cli_text(b, "schemes"),
				      cli_text(b, "summary"));
	}
	cli_table_print(&t);
}

static void print_plugin(const json_t *p)
{
	json_t *role;
	size_t i;

	printf("%s %s (ABI %s): %s\n  %s\n", cli_text(p, "name"),
	       cli_text(p, "version"), cli_text(p, "abi"),
	       cli_text(p, "summary"), cli_text(p, "path"));
	if (*cli_text(p, "error"))
		printf("  not loaded: %s\n", cli_text(p, "error"));
	json_array_foreach(json_object_get(p, "roles"), i, role)
		printf("  role %s: %s; runs with [%s] enabled = true\n",
		       cli_text(role, "name"), cli_text(role, "summary"),
		       cli_text(role, "name"));
}

static int list(struct cli *c)
{
	json_t *v, *p;
	size_t i;
	int r = look(c, &v);

	if (r)
		return r;
	if (c->json) {
		cli_print_json(v);
	} else {
		print_backends(json_object_get(v, "backends"), NULL);
		json_array_foreach(json_object_get(v, "plugins"), i, p) {
			printf("\n");
			print_plugin(p);
		}
	}
	json_decref(v);
	return 0;
}

static json_t *named(const json_t *list, const char *name)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v) {
		if (!strcmp(cli_text(v, "name"), name))
			return v;
	}
	return NULL;
}

static int info(struct cli *c, const char *name)
{
	json_t *v, *plugin, *backend;
	int r = look(c, &v);

	if (r)
		return r;
	plugin = named(json_object_get(v, "plugins"), name);
	backend = named(json_object_get(v, "backends"), name);
	if (!plugin && !backend) {
		r = cli_error(EXIT_CONFIG, "no plugin or backend has this name",
			      "scorpio plugin list", "%s is not here", name);
	} else if (c->json) {
		cli_print_json(plugin ? plugin : backend);
	} else {
		if (plugin)
			print_plugin(plugin);
		if (backend)
			print_backends(json_object_get(v, "backends"), name);
	}
	json_decref(v);
	return r;
}

static void add_last(void *ctx, const struct loader_info *i)
{
	json_array_clear(ctx);
	add_plugin(ctx, i);
}

static int check(struct cli *c, const char *file)
{
	cleanup_free char *path = cli_absolute(file);
	json_t *list_ = json_array();
	int r = loader_load(path, NULL);

	if (r) {
		json_decref(list_);
		return cli_errno(r, EXIT_CONFIG, "docs/plugin-guide.md says "
				 "what a plugin must hold",
				 "%s cannot be loaded", path);
	}
	loader_each(add_last, list_);
	if (c->json)
		cli_print_json(json_array_get(list_, 0));
	else
		print_plugin(json_array_get(list_, 0));
	json_decref(list_);
	if (!c->json && !c->quiet)
		printf("  loads; scorpio-check-backend %s URL runs the "
		       "contract on a backend of it\n", file);
	return 0;
}

static int plugin_run(struct cli *c)
{
	const char *verb = c->args[0];
	int r = cli_config(c);

	if (r)
		return r;
	if (!strcmp(verb, "list") && c->n_args == 1)
		return list(c);
	if (!strcmp(verb, "info") && c->n_args == 2)
		return info(c, c->args[1]);
	if (!strcmp(verb, "check") && c->n_args == 2)
		return check(c, c->args[1]);
	return cli_usage(c, "plugin wants list, info NAME or check FILE");
}

const struct cli_command cmd_plugin = {
	.name = "plugin",
	.args = "list|info NAME|check FILE",
	.verbs = "list info check",
	.summary = "backends and plugins",
	.min_args = 1,
	.max_args = 2,
	.run = plugin_run,
};
