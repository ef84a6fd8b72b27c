/* SPDX-License-Identifier: Apache-2.0 */
/* foreground.h - a daemon in this process with one mount, until Ctrl-C. */
#ifndef API_CLI_FOREGROUND_H
#define API_CLI_FOREGROUND_H

#include "api/cli/cli.h"

/* writable: 1, -1, or 0 as the source has it; a workspace without a name gets
 * one. ready: called once the mount is there, to say what to try; may be NULL.
 * temporary: records nothing, restores nothing, takes any free HTTP port. The
 * exit code. */
int foreground_run(struct cli *c, struct fs_mount_request *r, int writable,
		   void (*ready)(void *ctx, struct daemon *d,
				 const struct fs_mount_info *i),
		   void *ctx, bool temporary);

#endif
