/* SPDX-License-Identifier: Apache-2.0 */
#include "api/cli/commands.h"

/* In the order of the overview. */
const struct cli_command *const cli_commands[] = {
	&cmd_mount,   &cmd_umount,  &cmd_list,	      &cmd_status,
	&cmd_diff,    &cmd_reset,   &cmd_workspace,
	&cmd_switch,
	&cmd_info,    &cmd_warmup,  &cmd_prefetch,    &cmd_profile,
	&cmd_stats,   &cmd_top,	    &cmd_trace,	      &cmd_cache,
	&cmd_fsck,    &cmd_doctor,  &cmd_bugreport,   &cmd_config,
	&cmd_plugin,  &cmd_nix,     &cmd_lfs,	      &cmd_serve,
	&cmd_stop,    &cmd_restart, &cmd_try,
	&cmd_version, &cmd_completions, &cmd_http_mount, NULL,
};

static bool is_antares;

void cli_called_as(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

	is_antares = argv0 && !strcmp(slash ? slash + 1 : argv0, "antares");
}

bool cli_is_antares(void)
{
	return is_antares;
}

const struct cli_command *const *cli_table(void)
{
	return is_antares ? antares_commands : cli_commands;
}

const struct cli_command *cli_find(const char *name)
{
	const struct cli_command *const *list = cli_table();

	for (size_t i = 0; list[i]; i++) {
		if (!strcmp(list[i]->name, name))
			return list[i];
	}
	return NULL;
}
