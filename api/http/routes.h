/* SPDX-License-Identifier: Apache-2.0 */
/* routes.h - the tables of all APIs, one file each. The context of a request
 * is the struct daemon. */
#ifndef API_HTTP_ROUTES_H
#define API_HTTP_ROUTES_H

#include "api/http/router.h"

extern const struct route page_routes[];
extern const struct route admin_routes[];
extern const struct route metrics_routes[];
extern const struct route v1_status_routes[];
extern const struct route v1_mounts_routes[];
extern const struct route v1_git_routes[];
extern const struct route v1_switch_routes[];
extern const struct route v1_paths_routes[];
extern const struct route v1_profiles_routes[];
extern const struct route v1_changes_routes[];
extern const struct route v1_watch_routes[];
extern const struct route v1_cache_routes[];
extern const struct route antares_worktree_routes[];
extern const struct route antares_worktree_root_routes[]; /* in addition */
extern const struct route classic_routes[];
extern const struct route classic_git_routes[];
extern const struct route antares_routes[];
extern const struct route antares_root_routes[]; /* instead of admin_routes */

void routes_add_all(struct router *r, bool antares_root);

#endif
