/* SPDX-License-Identifier: Apache-2.0 */
/* daemon_setup.c - what commands without a daemon need as well: the log, the
 * table of backends, problems. */
#include "api/daemon.h"

#include "api/plugins.h"
#include "backends/builtin.h"
#include "core/error.h"
#include "core/log.h"
#include "core/registry.h"

void daemon_problem_done(struct daemon_problem *p)
{
	free(p->what);
	free(p->why);
	free(p->advice);
	memset(p, 0, sizeof(*p));
}

void daemon_logging(const struct config *c)
{
	const char *level = config_string(c, "server.log_level");
	const char *format = config_string(c, "server.log_format");
	const char *file = config_string(c, "server.log_file");
	int r;

	if (level && !log_set_level(level)) {
		log_set_level("info");
		log_warn("main", "log level \"%s\" is not understood; using "
			 "info", level);
	}
	log_set_json(format && !strcmp(format, "json"));
	r = log_set_file(file);
	if (r)
		log_warn("main", "cannot log to %s: %s", file, error_text(r));
}

int daemon_register(const struct config *c)
{
	for (size_t i = 0; builtin_backends[i]; i++) {
		int r = registry_add(builtin_backends[i], "built in");

		if (r)
			return r;
	}
	return plugins_load(c);
}

/* Keys that act at once; the others need a restart. */
static bool acts_at_once(const char *key)
{
	return !strncmp(key, "server.log_", 11) ||
	       !strncmp(key, "server.token", 12) ||
	       !strcmp(key, "server.allow_insecure") ||
	       !strncmp(key, "http.", 5) || !strncmp(key, "fetch.", 6) ||
	       !strcmp(key, "fs.metadata") || !strcmp(key, "fs.allow_other");
}

void daemon_tell_changes(const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < config_keys_count; i++) {
		const char *key = config_keys[i].name;
		const char *x = config_string(a, key);
		const char *y = config_string(b, key);

		if (!strcmp(x ? x : "", y ? y : ""))
			continue;
		log_info("main", "%s changed%s", key,
			 acts_at_once(key) ? "" : "; acts after a restart");
	}
}
