/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h - every command, see the file of its name. */
#ifndef API_CLI_COMMANDS_H
#define API_CLI_COMMANDS_H

#include "api/cli/cli.h"

extern const struct cli_command cmd_serve, cmd_stop;          /* serve.c */
extern const struct cli_command cmd_restart;                  /* restart.c */
extern const struct cli_command cmd_mount, cmd_umount;        /* mount.c */
extern const struct cli_command cmd_http_mount;           /* httpmount.c */
extern const struct cli_command cmd_list, cmd_status;         /* list.c */
extern const struct cli_command cmd_reset, cmd_workspace;     /* workspace.c */
extern const struct cli_command cmd_diff;                     /* diff.c */
extern const struct cli_command cmd_switch;                   /* switch.c */
extern const struct cli_command cmd_info;                     /* info.c */
extern const struct cli_command cmd_stats, cmd_top;           /* stats.c */
extern const struct cli_command cmd_trace;                    /* trace.c */
extern const struct cli_command cmd_warmup, cmd_prefetch;     /* warmup.c */
extern const struct cli_command cmd_profile;                  /* profile.c */
extern const struct cli_command cmd_cache, cmd_fsck;          /* cache.c */
extern const struct cli_command cmd_nix;                      /* nix.c */
extern const struct cli_command cmd_lfs;                      /* lfs.c */
extern const struct cli_command cmd_plugin;                   /* plugin.c */
extern const struct cli_command cmd_config;                   /* config.c */
extern const struct cli_command cmd_doctor, cmd_bugreport;    /* doctor.c */
extern const struct cli_command cmd_completions;   /* completions.c */
extern const struct cli_command cmd_version;       /* completions.c */
extern const struct cli_command cmd_try;           /* try.c */

/* antares.c: the commands of the program by that name, NULL-ended */
extern const struct cli_command *const antares_commands[];
/* serve.c: the daemon with the calls of /antares at the root */
int serve_antares(struct cli *c);

/* warmup.c: show the progress lines of a stream on a bar; prints the sum. */
int warmup_follow(struct cli *c, const char *path, json_t *body /* takes */,
		  const char *what);
/* workspace.c: status of the workspace named by the first operand */
int workspace_status(struct cli *c);
/* mount.c: a source as the user wrote it -> one that means the same from any
 * directory. Caller frees. -ENOENT with a text. */
int mount_source(const char *source, char **ret);

#endif
