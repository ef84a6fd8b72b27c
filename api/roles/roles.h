/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roles.h - role plugins in the daemon: the services they use (include/
 * scorpio/role.h) and their start and stop.
 */
#ifndef API_ROLES_H
#define API_ROLES_H

#include "core/config.h"
#include "fs/fs.h"

#include <scorpio/role.h>

struct roles;

/* Offer the services. Before plugins are loaded, once a process. */
int roles_provide(void);
/* Start every role whose section says enabled = true. The fs serves until
 * roles_stop(). A role that fails is an error line. Main thread. */
struct roles *roles_start(struct fs *fs, struct config *c);
/* Stop them, last started first, and forget the fs. NULL is fine. */
void roles_stop(struct roles *r);
/* One line a running role: its name. */
void roles_each(const struct roles *r,
		void (*fn)(void *ctx, const struct scorpio_role *role),
		void *ctx);

#endif
