/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - private to this folder: what server.c and history.c share. */
#ifndef API_GITWORK_SERVER_H
#define API_GITWORK_SERVER_H

#include "api/gitwork/prepare.h"

/* <where the workspaces are>/../git/BELOW/NAME; the caller frees. */
char *gitserver_base(const char *state_dir, const char *below,
		     const char *name);
/* The repository of a source; the caller frees. */
char *gitserver_shared(const char *state_dir, const char *url);
/* One at a time works in it: a descriptor to be closed, or -errno. Waits
 * for half an hour, or as long as the call may take (core/call.h). */
int gitserver_lock(const char *shared);
/* What was done with it. */
bool gitserver_marked(const char *shared, const char *mark);
int gitserver_mark(const char *shared, const char *mark);

#endif
