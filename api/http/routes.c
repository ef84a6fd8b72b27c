/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/routes.h"

void routes_add_all(struct router *r, bool antares_root)
{
	router_add(r, page_routes);
	router_add(r, antares_root ? antares_root_routes : admin_routes);
	router_add(r, metrics_routes);
	router_add(r, v1_status_routes);
	router_add(r, v1_mounts_routes);
	router_add(r, v1_git_routes);
	router_add(r, v1_switch_routes);
	router_add(r, v1_paths_routes);
	router_add(r, v1_profiles_routes);
	router_add(r, v1_changes_routes);
	router_add(r, v1_watch_routes);
	router_add(r, v1_cache_routes);
	router_add(r, antares_routes);
	router_add(r, antares_worktree_routes);
	if (antares_root)
		router_add(r, antares_worktree_root_routes);
	router_add(r, classic_routes);
	router_add(r, classic_git_routes);
}
