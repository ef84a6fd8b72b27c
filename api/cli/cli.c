/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - errors and configuration of the command line. */
#include "api/cli/cli.h"

#include "core/error.h"
#include "core/http.h"
#include "core/log.h"
#include "core/path.h"

bool cli_color(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(f)) && !(no && *no) &&
	       !(term && !strcmp(term, "dumb"));
}

static void print_error(const char *what, const char *why, const char *advice)
{
	bool color = cli_color(stderr);

	fflush(stdout);
	fprintf(stderr, "%sscorpio: %s%s\n", color ? "\033[1;31m" : "", what,
		color ? "\033[0m" : "");
	if (why)
		fprintf(stderr, "  why: %s\n", why);
	if (advice)
		fprintf(stderr, "  try: %s\n", advice);
}

static char *format(const char *fmt, va_list ap)
{
	char *s;

	return vasprintf(&s, fmt, ap) < 0 ? xstrdup(fmt) : s;
}

int cli_error(int exit_code, const char *why, const char *advice,
	      const char *what_fmt, ...)
{
	cleanup_free char *what = NULL;
	va_list ap;

	va_start(ap, what_fmt);
	what = format(what_fmt, ap);
	va_end(ap);
	print_error(what, why, advice);
	return exit_code;
}

int cli_problem(const struct daemon_problem *p)
{
	print_error(p->what, p->why, p->advice);
	return p->exit_code;
}

int cli_errno(int err, int exit_code, const char *advice,
	      const char *what_fmt, ...)
{
	cleanup_free char *why = xstrdup(error_text(err)), *what = NULL;
	va_list ap;

	va_start(ap, what_fmt);
	what = format(what_fmt, ap);
	va_end(ap);
	print_error(what, why, advice);
	if (exit_code >= 0)
		return exit_code;
	return err == -EINVAL ? EXIT_CONFIG : EXIT_INTERNAL;
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
	cleanup_free char *what = NULL, *advice = NULL, *usage = NULL;
	const struct cli_command *cmd = c->command;
	va_list ap;

	va_start(ap, fmt);
	what = format(fmt, ap);
	va_end(ap);
	if (cmd) {
		usage = xasprintf("usage: scorpio %s%s%s", cmd->name,
				  cmd->args ? " " : "",
				  cmd->args ? cmd->args : "");
		advice = xasprintf("scorpio %s --help", cmd->name);
	}
	print_error(what, usage, advice ? advice : "scorpio --help");
	return EXIT_CONFIG;
}

/* -- configuration --------------------------------------------------------------- */

void cli_override(struct cli *c, const char *key_value)
{
	if (c->n_overrides < CLI_ARGS_MAX)
		c->overrides[c->n_overrides++] = key_value;
}

void *cli_own(struct cli *c, void *p)
{
	assert(c->n_owned < ARRAY_SIZE(c->owned));
	c->owned[c->n_owned++] = p;
	return p;
}

void cli_done(struct cli *c)
{
	config_put(c->config);
	buf_done(&c->problems);
	while (c->n_owned)
		free(c->owned[--c->n_owned]);
}

int cli_config(struct cli *c)
{
	cleanup_buf struct buf warnings = BUF_INIT;
	const char *level;
	int r;

	if (c->config)
		return 0;
	c->config_options = (struct config_options){
		.files = c->n_files ? c->files : NULL,
		.overrides = c->overrides,
		.no_default_files = c->no_default_files,
		.problems = &c->problems,
		.warnings = &warnings,
	};
	log_set_level("warn");
	r = config_load(&c->config_options, &c->config);
	c->config_options.problems = c->config_options.warnings = NULL;
	if (r) {
		cleanup_free char *text =
			c->problems.len ? xstrdup(buf_str(&c->problems))
					: xstrdup(error_text(r));
		size_t n = strlen(text);

		while (n && text[n - 1] == '\n')
			text[--n] = '\0';
		return cli_error(EXIT_CONFIG, text,
				 "scorpio config init shows every key with its "
				 "meaning", "the configuration cannot be used");
	}
	if (warnings.len && !c->quiet && !c->warned)
		fprintf(stderr, "%s", buf_str(&warnings));
	level = config_string(c->config, "server.log_level");
	if (config_is_set(c->config, "server.log_level") && level)
		log_set_level(level);
	c->socket = cli_own(c, config_socket(c->config));
	http_configure_from(c->config);
	return 0;
}

/* Resolve the directory part as far as it exists; the name stays. */
char *cli_absolute(const char *path)
{
	cleanup_free char *full = path_absolute(path), *dir = NULL;
	char *slash = full ? strrchr(full, '/') : NULL, *real;

	if (!slash || !strcmp(full, "/"))
		return steal(&full);
	if (!strcmp(slash, "/..")) {
		real = realpath(full, NULL);
		return real ? real : steal(&full);
	}
	dir = xstrndup(full, (size_t)(slash - full));
	real = realpath(*dir ? dir : "/", NULL);
	if (!real) { /* a parent that is missing too */
		real = *dir ? cli_absolute(dir) : xstrdup("/");
	}
	free(dir);
	dir = real;
	return xasprintf("%s%s", strcmp(dir, "/") ? dir : "", slash);
}

char *cli_mountpoint(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : cli_absolute(path);
}
