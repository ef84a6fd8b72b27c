/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - global options before and after the command, help, dispatch. */
#include <signal.h>

#include "api/cli/cli.h"
#include "core/error.h"

#include <scorpio/version.h>

enum {
	OPT_HTTP_ADDR = 0x1000,
	OPT_LOG_LEVEL,
	OPT_UPPER_ROOT,
	OPT_CL_ROOT,
	OPT_MOUNT_ROOT,
	OPT_STATE_FILE,
	OPT_SET,
	OPT_JSON,
};

const struct argp_option cli_global_options[] = {
	{ "config-path", 'c', "FILE", 0,
	  "configuration file (the last one given counts)", 0 },
	{ "http-addr", OPT_HTTP_ADDR, "IP:PORT", 0,
	  "where the HTTP API listens", 0 },
	{ "log-level", OPT_LOG_LEVEL, "LEVEL", 0,
	  "error, warn, info or debug", 0 },
	{ "upper-root", OPT_UPPER_ROOT, "DIR", 0, "antares.upper_root", 0 },
	{ "cl-root", OPT_CL_ROOT, "DIR", 0, "antares.cl_root", 0 },
	{ "mount-root", OPT_MOUNT_ROOT, "DIR", 0, "antares.mount_root", 0 },
	{ "state-file", OPT_STATE_FILE, "FILE", 0, "antares.state_file", 0 },
	{ "set", OPT_SET, "KEY=VALUE", 0,
	  "any other key of the configuration", 0 },
	{ "json", OPT_JSON, NULL, 0, "answer in JSON", 0 },
	{ "quiet", 'q', NULL, 0, "no progress, no remarks", 0 },
	{ "help", 'h', NULL, 0, "this text", 0 },
	{ "version", 'V', NULL, 0, "the program's version", 0 },
	{ 0 },
};

static const struct {
	int key;
	const char *name;
} overriding[] = {
	{ OPT_HTTP_ADDR, "server.http_addr" },
	{ OPT_LOG_LEVEL, "server.log_level" },
	{ OPT_UPPER_ROOT, "antares.upper_root" },
	{ OPT_CL_ROOT, "antares.cl_root" },
	{ OPT_MOUNT_ROOT, "antares.mount_root" },
	{ OPT_STATE_FILE, "antares.state_file" },
};

static int global_value(struct cli *c, int key, char *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(overriding); i++) {
		if (overriding[i].key != key)
			continue;
		if (c->n_overrides < CLI_ARGS_MAX)
			cli_override(c, cli_own(c, xasprintf("%s=%s",
							     overriding[i].name,
							     arg)));
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t global_option(int key, char *arg, struct argp_state *state)
{
	struct cli *c = state->input;

	switch (key) {
	case 'c':
		if (c->n_files < CLI_FILES_MAX)
			c->files[c->n_files++] = arg;
		return 0;
	case OPT_SET:
		if (!strchr(arg, '='))
			return EINVAL;
		cli_override(c, arg);
		return 0;
	case OPT_JSON:
		c->json = true;
		return 0;
	case 'q':
		c->quiet = true;
		return 0;
	case 'h':
		c->help = true;
		return 0;
	case 'V':
		c->version = true;
		return 0;
	default:
		return global_value(c, key, arg);
	}
}

/* -- help ---------------------------------------------------------------------- */

static void print_option(const struct argp_option *o)
{
	char left[64];
	int n = 0;

	if (o->flags & OPTION_HIDDEN)
		return;
	if (o->key > ' ' && o->key < 0x7f)
		n = snprintf(left, sizeof(left), "-%c, ", o->key);
	else
		n = snprintf(left, sizeof(left), "    ");
	snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", o->name,
		 o->arg ? " " : "", o->arg ? o->arg : "");
	printf("  %-30s %s\n", left, o->doc);
}

static int help_command(const struct cli_command *cmd)
{
	const struct argp_option *o;

	printf("usage: %s %s%s%s [options]\n\n%s\n",
	       cli_is_antares() ? "antares" : "scorpio", cmd->name,
	       cmd->args ? " " : "", cmd->args ? cmd->args : "",
	       cmd->summary);
	if (cmd->help)
		printf("\n%s\n", cmd->help);
	if (cmd->options && cmd->options->name) {
		printf("\noptions:\n");
		for (o = cmd->options; o->name; o++)
			print_option(o);
	}
	printf("\nOptions of every command: scorpio --help\n");
	return 0;
}

static int help_all(void)
{
	printf("usage: %s [options] COMMAND ...\n\n"
	       "Mounts repositories of any size at once and fetches only what "
	       "is read.\n\ncommands:\n",
	       cli_is_antares() ? "antares" : "scorpio");
	for (size_t i = 0; cli_table()[i]; i++) {
		const struct cli_command *cmd = cli_table()[i];

		if (!cmd->hidden)
			printf("  %-13s %s\n", cmd->name, cmd->summary);
	}
	printf("\noptions (before or after the command):\n");
	for (const struct argp_option *o = cli_global_options; o->name; o++)
		print_option(o);
	printf("\nexit codes: 0 done, 1 internal, 2 configuration or usage, "
	       "3 mount, 4 cannot listen\n\n"
	       "start here:  scorpio mount https://host/project.git /tmp/p\n"
	       "             scorpio COMMAND --help\n");
	return 0;
}

/* -- parsing --------------------------------------------------------------------- */

static error_t first_operand(int key, char *arg UNUSED,
			     struct argp_state *state)
{
	struct cli *c = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = c;
		return 0;
	case ARGP_KEY_ARG:
		/* the command; the rest is its own */
		c->args = state->argv + state->next - 1;
		c->n_args = state->argc - state->next + 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_ERROR:
		c->stopped_at = state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t command_option(int key, char *arg, struct argp_state *state)
{
	struct cli *c = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = c;
		return 0;
	case ARGP_KEY_ARG:
		c->args[c->n_args++] = arg;
		return 0;
	case ARGP_KEY_ERROR:
		c->stopped_at = state->next;
		return 0;
	case ARGP_KEY_END:
	case ARGP_KEY_NO_ARGS:
	case ARGP_KEY_SUCCESS:
	case ARGP_KEY_FINI:
	case ARGP_KEY_ARGS:
		return ARGP_ERR_UNKNOWN;
	default:
		return c->command->option ? c->command->option(c, key, arg)
					  : ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option *option_of(const struct argp_option *list,
					   const char *word)
{
	size_t n = strcspn(word, "=");

	for (; list && list->name; list++) {
		if (!strncmp(word, "--", 2) && strlen(list->name) == n - 2 &&
		    !memcmp(list->name, word + 2, n - 2))
			return list;
		if (word[0] == '-' && word[1] == list->key && word[1] != '-')
			return list;
	}
	return NULL;
}

/* argp says only where it stopped. */
static int bad_option(struct cli *c, int argc, char **argv, int at)
{
	const char *word = at > 0 && at <= argc ? argv[at - 1] : "?";
	const struct argp_option *o;

	/* a value of its own word: step back to the option */
	if (*word != '-' && at > 1 && argv[at - 2][0] == '-')
		word = argv[at - 2];
	o = option_of(cli_global_options, word);
	if (!o && c->command)
		o = option_of(c->command->options, word);
	if (o && o->arg)
		return cli_usage(c, "option %s wants %s", word, o->arg);
	if (o)
		return cli_usage(c, "option %s takes no value", word);
	return cli_usage(c, "there is no option %s", word);
}

static int parse(struct cli *c, const struct argp *a, unsigned flags, int argc,
		 char **argv)
{
	flags |= ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP;
	if (!argp_parse(a, argc, argv, flags, NULL, c))
		return 0;
	return bad_option(c, argc, argv, c->stopped_at);
}

static int run_command(struct cli *c, int argc, char **argv)
{
	struct argp global = { cli_global_options, global_option, NULL, NULL,
			       NULL, NULL, NULL };
	struct argp_child children[] = { { &global, 0, NULL, 0 }, { 0 } };
	const struct cli_command *cmd = c->command;
	struct argp own = { cmd->options, command_option, NULL, NULL, children,
			    NULL, NULL };
	int r;

	c->args = cli_own(c, xcalloc((size_t)argc + 1, sizeof(*c->args)));
	c->n_args = 0;
	r = parse(c, &own, 0, argc, argv);
	if (r)
		return r;
	if (c->help)
		return help_command(cmd);
	if (c->version)
		c->command = cmd = cli_find("version");
	if (c->n_args < cmd->min_args)
		return cli_usage(c, "%s wants %s", cmd->name, cmd->args);
	if (cmd->max_args >= 0 && c->n_args > cmd->max_args)
		return cli_usage(c, "%s: \"%s\" is too much", cmd->name,
				 c->args[cmd->max_args]);
	return cmd->run(c);
}

static int choose(struct cli *c)
{
	char *word = c->n_args ? c->args[0] : NULL;
	char *serve[] = { (char *)(uintptr_t) "serve", NULL };

	if (!word && (c->help || (cli_is_antares() && !c->version)))
		return help_all();
	if (!word && c->version)
		word = serve[0]; /* any: it is not run */
	if (!word) {
		if (!c->quiet)
			fprintf(stderr, "scorpio: starting the daemon; please "
				"say \"scorpio serve\" (no command is "
				"deprecated), or \"scorpio --help\"\n");
		word = serve[0];
	}
	if (!strcmp(word, "help")) {
		c->command = c->n_args > 1 ? cli_find(c->args[1]) : NULL;
		return c->command ? help_command(c->command) : help_all();
	}
	c->command = cli_find(word);
	if (!c->command)
		return cli_error(EXIT_CONFIG, "the first word must be one of "
				 "the commands", "scorpio --help",
				 "there is no command \"%s\"", word);
	return c->n_args ? run_command(c, c->n_args, c->args)
			 : run_command(c, 1, serve);
}

int main(int argc, char **argv)
{
	struct argp global = { cli_global_options, global_option, NULL, NULL,
			       NULL, NULL, NULL };
	struct argp_child children[] = { { &global, 0, NULL, 0 }, { 0 } };
	struct argp top = { NULL, first_operand, NULL, NULL, children, NULL,
			    NULL };
	struct cli c = { 0 };
	int r;

	/* a closed pipe is an error of the write, not the end of a daemon */
	signal(SIGPIPE, SIG_IGN);
	cli_called_as(argv[0]);
	r = parse(&c, &top, ARGP_IN_ORDER, argc, argv);
	if (!r)
		r = choose(&c);
	cli_done(&c);
	if (fflush(stdout) && !r)
		r = EXIT_INTERNAL;
	return r;
}
