/* SPDX-License-Identifier: Apache-2.0 */
/* origin.c - what the source is beyond its trees: a repository of this machine,
 * whose refs and history can be asked, a Git server or another Mono server. */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIT_MS 60000

const char *const gate_git_env[] = {
	"GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
	/* the daemon need not own what it serves; clients may leave files out */
	"GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_0=safe.directory",
	"GIT_CONFIG_VALUE_0=*", "GIT_CONFIG_KEY_1=uploadpack.allowFilter",
	"GIT_CONFIG_VALUE_1=true",
	"GIT_CONFIG_KEY_2=uploadpack.allowAnySHA1InWant",
	"GIT_CONFIG_VALUE_2=true", NULL,
};

int gate_git_each(struct gate *g, const char *const *argv,
		  int (*each)(void *ctx, const void *data, uint64_t n),
		  void *ctx)
{
	struct scorpio_spawn x = { .struct_size = sizeof(x), .argv = argv,
				   .env = gate_git_env, .on_output = each,
				   .ctx = ctx, .timeout_ms = GIT_MS };
	int rc = g->host->spawn(g->host, &x);

	if (!rc && x.exit_status) {
		x.error[strcspn(x.error, "\n")] = '\0';
		rc = g->host->fail(g->host, -EIO, "git: %s", x.error);
	}
	return rc;
}

int gate_git(struct gate *g, const char *const *argv, char **ret,
	     size_t *ret_len)
{
	struct scorpio_bytes o = { .max = GATE_GIT_OUTPUT_MAX };
	int rc = gate_git_each(g, argv, scorpio_bytes_take, &o);

	if (!rc && !o.p && !(o.p = strdup("")))
		rc = -ENOMEM;
	if (rc) {
		free(o.p);
		return rc;
	}
	*ret = o.p;
	if (ret_len)
		*ret_len = o.n;
	return 0;
}

static void cut(char *s, const char *at)
{
	s[strcspn(s, at)] = '\0';
}

/* The directory that has the objects and refs. */
static int find_local(struct gate *g, const char *path)
{
	const char *const argv[] = { "git", "-C", path, "rev-parse",
				     "--path-format=absolute",
				     "--git-common-dir", NULL };
	char *dir;
	int rc = gate_git(g, argv, &dir, NULL);

	if (rc) {
		g->host->log(g->host, SCORPIO_LOG_WARN, "%s is no repository "
			     "for git (%s): no clones, lists of changes and "
			     "history", path,
			     g->host->error_text(g->host, rc));
		return 0;
	}
	cut(dir, "\n");
	g->origin.kind = GATE_LOCAL;
	g->origin.at = dir;
	return 0;
}

static bool is_http(const char *s)
{
	return !strncmp(s, "http://", 7) || !strncmp(s, "https://", 8);
}

int gate_origin_find(struct gate *g, const char *url)
{
	bool mono = !strncmp(url, "mono+", 5);
	char *at;
	size_t n;
	int rc;

	if (mono || !strncmp(url, "git+", 4))
		url = strchr(url, '+') + 1;
	if (!strncmp(url, "file://", 7))
		url += 7;
	at = strdup(url);
	if (!at)
		return -ENOMEM;
	cut(at, "?#");
	for (n = strlen(at); n > 1 && at[n - 1] == '/'; n--)
		at[n - 1] = '\0';
	if (is_http(at)) {
		g->origin.kind = mono ? GATE_MONO : GATE_GIT;
		g->origin.at = at;
		return 0;
	}
	rc = *at == '/' ? find_local(g, at) : 0;
	free(at);
	return rc;
}

void gate_origin_done(struct gate *g)
{
	free(g->origin.at);
	g->origin.at = NULL;
}
