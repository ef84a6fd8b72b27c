/* SPDX-License-Identifier: Apache-2.0 */
/* workspace.h - shared by the commands about workspaces. */
#ifndef API_CLI_WORKSPACE_H
#define API_CLI_WORKSPACE_H

#include "api/cli/commands.h"

struct workspace_at { /* strings owned */
	char *id, *dir;
	char *source, *label; /* as the daemon shows them */
	char *rel; /* what was named, relative to dir; "" is all of it */
	bool read_only;
};
void workspace_at_done(struct workspace_at *w);
/* The workspace that holds a directory or file. 0, or the exit code after the
 * error was printed. */
int workspace_find(struct cli *c, const char *arg, struct workspace_at *ret);
/* The same from the operands DIR [PATH]. */
int workspace_find_path(struct cli *c, struct workspace_at *ret);
/* "/api/v1/mounts/ID/call?path=..."; caller frees. */
char *workspace_url(const struct workspace_at *w, const char *call,
		    const char *path);
/* What changed at or below w->rel: the answer of the API. */
int workspace_changes(struct cli *c, const struct workspace_at *w,
		      json_t **ret);
/* One line for each. */
void workspace_print(const json_t *list);
/* A member with json_bytes escapes as bytes; caller frees. */
char *workspace_bytes(const json_t *v, const char *key);

#endif
