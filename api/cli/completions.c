/* SPDX-License-Identifier: Apache-2.0 */
/* completions.c - for three shells, printed from the table of commands; and the
 * version. */
#include "api/cli/commands.h"

#include <scorpio/version.h>

static void options_of(const struct argp_option *o)
{
	for (; o && o->name; o++) {
		if (!(o->flags & OPTION_HIDDEN))
			printf(" --%s", o->name);
	}
}

static void names(void)
{
	for (size_t i = 0; cli_commands[i]; i++) {
		if (!cli_commands[i]->hidden)
			printf(" %s", cli_commands[i]->name);
	}
}

static void bash(void)
{
	printf("# bash completion of scorpio\n"
	       "_scorpio()\n{\n"
	       "    local cur=${COMP_WORDS[COMP_CWORD]} cmd= words= i\n"
	       "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "        case ${COMP_WORDS[i]} in\n"
	       "        -c|--config-path|--http-addr|--log-level|--set) "
	       "((i++)) ;;\n"
	       "        -*) ;;\n"
	       "        *) cmd=${COMP_WORDS[i]}; break ;;\n"
	       "        esac\n"
	       "    done\n"
	       "    case $cmd in\n    '') words='");
	names();
	printf("' ;;\n");
	for (size_t i = 0; cli_commands[i]; i++) {
		const struct cli_command *c = cli_commands[i];

		printf("    %s) words='%s", c->name, c->verbs ? c->verbs : "");
		options_of(c->options);
		printf("' ;;\n");
	}
	printf("    esac\n    [[ $cur == -* ]] && words+='");
	options_of(cli_global_options);
	printf("'\n"
	       "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
	       "\"$cur\")\n"
	       "    [[ $cmd && ${#COMPREPLY[@]} -eq 0 ]] &&\n"
	       "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	       "    return 0\n"
	       "}\n"
	       "complete -o filenames -F _scorpio scorpio\n");
}

/* Inside '...' of a shell: colons and brackets mean something to zsh. */
static void quoted(const char *s)
{
	for (; *s; s++) {
		if (*s == '\'')
			printf("'\\''");
		else if (strchr(":[]", *s))
			printf("\\%c", *s);
		else
			putchar(*s);
	}
}

static void zsh_options(const struct argp_option *o)
{
	for (; o && o->name; o++) {
		if (o->flags & OPTION_HIDDEN)
			continue;
		printf(" '--%s[", o->name);
		quoted(o->doc);
		printf("]%s'", o->arg ? ":value:_files" : "");
	}
}

static void zsh(void)
{
	printf("#compdef scorpio\n# zsh completion of scorpio\n"
	       "_scorpio() {\n"
	       "  local curcontext=$curcontext state line\n"
	       "  local -a commands\n  commands=(\n");
	for (size_t i = 0; cli_commands[i]; i++) {
		if (cli_commands[i]->hidden)
			continue;
		printf("    '%s:", cli_commands[i]->name);
		quoted(cli_commands[i]->summary);
		printf("'\n");
	}
	printf("  )\n  _arguments -C");
	zsh_options(cli_global_options);
	printf(" '1:command:->command' '*::argument:->argument'\n"
	       "  case $state in\n"
	       "  command) _describe command commands ;;\n"
	       "  argument)\n    case $line[1] in\n");
	for (size_t i = 0; cli_commands[i]; i++) {
		const struct cli_command *c = cli_commands[i];

		printf("    %s) _arguments", c->name);
		zsh_options(c->options);
		if (c->verbs)
			printf(" '1:what:(%s)'", c->verbs);
		printf(" '*:file:_files' ;;\n");
	}
	printf("    esac ;;\n  esac\n}\n"
	       "if [ \"$funcstack[1]\" = _scorpio ]; then _scorpio \"$@\"; "
	       "else compdef _scorpio scorpio; fi\n");
}

static void fish_text(const char *s)
{
	for (; *s; s++) {
		if (*s == '\'' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
}

static void fish_options(const char *condition, const struct argp_option *o)
{
	for (; o && o->name; o++) {
		if (o->flags & OPTION_HIDDEN)
			continue;
		printf("complete -c scorpio%s -l %s", condition, o->name);
		if (o->key > ' ' && o->key < 0x7f)
			printf(" -s %c", o->key);
		printf("%s -d '", o->arg ? " -r" : "");
		fish_text(o->doc);
		printf("'\n");
	}
}

static void fish(void)
{
	printf("# fish completion of scorpio\n");
	fish_options("", cli_global_options);
	for (size_t i = 0; cli_commands[i]; i++) {
		const struct cli_command *c = cli_commands[i];
		char condition[128];

		if (!c->hidden) {
			printf("complete -c scorpio -n __fish_use_subcommand "
			       "-f -a %s -d '", c->name);
			fish_text(c->summary);
			printf("'\n");
		}
		snprintf(condition, sizeof(condition),
			 " -n '__fish_seen_subcommand_from %s'", c->name);
		fish_options(condition, c->options);
		if (c->verbs)
			printf("complete -c scorpio%s -a '%s'\n", condition,
			       c->verbs);
	}
}

static int completions_run(struct cli *c)
{
	if (!strcmp(c->args[0], "bash"))
		bash();
	else if (!strcmp(c->args[0], "zsh"))
		zsh();
	else if (!strcmp(c->args[0], "fish"))
		fish();
	else
		return cli_usage(c, "completions are there for bash, zsh and "
				 "fish, not for \"%s\"", c->args[0]);
	return 0;
}

const struct cli_command cmd_completions = {
	.name = "completions",
	.args = "bash|zsh|fish",
	.verbs = "bash zsh fish",
	.summary = "completion code for a shell",
	.help = "bash:  source <(scorpio completions bash)\n"
		"zsh:   source <(scorpio completions zsh)\n"
		"fish:  scorpio completions fish | source",
	.min_args = 1,
	.max_args = 1,
	.run = completions_run,
};

/* -- version ------------------------------------------------------------------------- */

static int version_run(struct cli *c)
{
	json_t *v;

	if (!c->json) {
		printf("scorpio %s (plugin ABI %u.%u)\n", SCORPIO_VERSION,
		       SCORPIO_ABI_MAJOR, SCORPIO_ABI_MINOR);
		return 0;
	}
	v = json_pack("{s:s,s:o}", "version", SCORPIO_VERSION, "plugin_abi",
		      json_sprintf("%u.%u", SCORPIO_ABI_MAJOR,
				   SCORPIO_ABI_MINOR));
	cli_print_json(v);
	json_decref(v);
	return 0;
}

const struct cli_command cmd_version = {
	.name = "version",
	.summary = "the program's version",
	.run = version_run,
};
