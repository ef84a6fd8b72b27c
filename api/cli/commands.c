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
	&cmd_plugin,  &cmd_serve,   &cmd_stop,	      &cmd_try,
	&cmd_version, &cmd_completions, &cmd_http_mount, NULL,
};

const struct cli_command *cli_find(const char *name)
{
	for (size_t i = 0; cli_commands[i]; i++) {
		if (!strcmp(cli_commands[i]->name, name))
			return cli_commands[i];
	}
	return NULL;
}
