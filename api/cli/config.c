/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - write, check and show the configuration. */
#include <fcntl.h>

#include "api/cli/commands.h"
#include "core/error.h"
#include "core/path.h"

enum { OPT_FORCE = 1, OPT_ORIGIN };

static bool force, origin;

static const struct argp_option options[] = {
	{ "force", OPT_FORCE, NULL, 0, "init: replace the file", 0 },
	{ "origin", OPT_ORIGIN, NULL, 0,
	  "show: where each value comes from", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v UNUSED)
{
	if (key == OPT_FORCE)
		force = true;
	else if (key == OPT_ORIGIN)
		origin = true;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static int init(struct cli *c)
{
	const char *file = c->n_args > 1  ? c->args[1]
			   : c->n_files ? c->files[c->n_files - 1]
					: "scorpio.toml";
	cleanup_buf struct buf text = BUF_INIT;
	int r;

	config_template(&text);
	if (!strcmp(file, "-")) {
		fwrite(text.data, 1, text.len, stdout);
		return 0;
	}
	if (!force && !access(file, F_OK))
		return cli_error(EXIT_CONFIG, "it exists", "--force replaces "
				 "it; \"-\" prints to the terminal",
				 "%s is not written", file);
	r = path_write(file, text.data, text.len, 0600, false);
	if (r)
		return cli_errno(r, EXIT_CONFIG, "choose another place",
				 "%s is not written", file);
	if (!c->quiet)
		printf("%s is written: every key as a comment, with its "
		       "default\n", file);
	return 0;
}

static int validate(struct cli *c)
{
	int r;

	if (c->n_args > 1) {
		if (c->n_files == CLI_FILES_MAX)
			return cli_usage(c, "too many files");
		c->files[c->n_files++] = c->args[1];
	}
	r = cli_config(c);
	if (r)
		return r;
	if (c->json)
		printf("{\"valid\":true}\n");
	else if (!c->quiet)
		printf("%s: no problem found\n",
		       config_path(c->config) ? config_path(c->config)
					      : "no file; defaults and "
						"environment");
	return 0;
}

static json_t *text_or_null(const char *s)
{
	return s ? json_bytes(s, strlen(s)) : json_null();
}

static void show_json(struct cli *c)
{
	json_t *keys = json_array(), *v;

	for (size_t i = 0; i < config_keys_count; i++) {
		const char *key = config_keys[i].name;
		char buf[1024];

		json_array_append_new(
			keys,
			json_pack("{s:s,s:o,s:s}", "key", key, "value",
				  text_or_null(config_shown(c->config, key,
							    buf, sizeof(buf))),
				  "origin",
				  config_origin_text(c->config, key)));
	}
	v = json_pack("{s:o,s:o}", "file",
		      text_or_null(config_path(c->config)), "keys", keys);
	cli_print_json(v);
	json_decref(v);
}

static int show(struct cli *c)
{
	cleanup_buf struct buf text = BUF_INIT;
	int r = cli_config(c);

	if (r)
		return r;
	if (c->json) {
		show_json(c);
		return 0;
	}
	config_show(c->config, origin, &text);
	fwrite(text.data, 1, text.len, stdout);
	return 0;
}

static int config_run(struct cli *c)
{
	const char *verb = c->args[0];

	if (!strcmp(verb, "init"))
		return init(c);
	if (!strcmp(verb, "validate"))
		return validate(c);
	if (!strcmp(verb, "show"))
		return show(c);
	return cli_usage(c, "config knows init, validate and show, not \"%s\"",
			 verb);
}

const struct cli_command cmd_config = {
	.name = "config",
	.args = "init [FILE]|validate [FILE]|show",
	.verbs = "init validate show",
	.summary = "write, check or show the configuration",
	.min_args = 1,
	.max_args = 2,
	.options = options,
	.option = option,
	.run = config_run,
};
