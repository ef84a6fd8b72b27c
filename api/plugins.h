/* SPDX-License-Identifier: Apache-2.0 */
/* plugins.h - which plugins the configuration means. Main thread. */
#ifndef API_PLUGINS_H
#define API_PLUGINS_H

#include "core/config.h"
#include "core/json.h"
#include "plugins/loader.h"

/* plugins.load set: exactly these (names in the plugin directory, or paths); a
 * failure is returned. Otherwise every *.so of the directory; failures are
 * logged. Call once. The configuration must outlive the plugins. */
int plugins_load(const struct config *c);
/* plugins.dir, else "plugins" beside the program, else where `make install`
 * puts them. Caller frees. */
char *plugins_dir(const struct config *c);

/* A plugin as the API and the command line show it. */
json_t *plugins_json(const struct loader_info *i);

#endif
