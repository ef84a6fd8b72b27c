/* SPDX-License-Identifier: Apache-2.0 */
/* info.c - what is known about a path in a mount. */
#include "api/cli/commands.h"
#include "core/clock.h"
#include "core/http.h"

#include <time.h>

static void line(const char *name, const char *value)
{
	if (*value)
		printf("%-9s %s\n", name, value);
}

static void print_share(const json_t *v, const char *name, const char *key)
{
	int64_t all = json_get_int(v, "nar_size", 1);
	int64_t part = json_get_int(v, key, 0);
	char text[64], bytes[24];

	snprintf(text, sizeof(text), "%s (%.1f %% of it)",
		 cli_bytes((uint64_t)part, bytes),
		 100.0 * (double)part / (double)all);
	line(name, text);
}

/* The store path it belongs to: who vouches for it, and how lazy it was. */
static void print_nix(const json_t *v)
{
	char bytes[24], text[320];

	if (!v)
		return;
	line("nix path", cli_text(v, "path"));
	snprintf(text, sizeof(text), "%s%s%s", cli_text(v, "proof"),
		 *cli_text(v, "key") ? " by " : "", cli_text(v, "key"));
	line("proof", text);
	line("state", cli_text(v, "state"));
	line("archive", cli_bytes((uint64_t)json_get_int(v, "nar_size", 0),
				  bytes));
	print_share(v, "fetched", "fetched_bytes");
	print_share(v, "wanted", "wanted_bytes");
	line("cache", cli_text(v, "cache"));
}

static void print_info(const json_t *v, const char *path)
{
	json_t *size = json_object_get(v, "size");
	json_t *mtime = json_object_get(v, "mtime_ms");
	char text[64], bytes[24];
	struct tm tm;
	time_t t;

	line("path", path);
	line("kind", cli_text(v, "kind"));
	line("mode", cli_text(v, "mode"));
	if (json_is_integer(size)) {
		long long n = json_integer_value(size);

		snprintf(text, sizeof(text), "%lld bytes (%s)", n,
			 cli_bytes((uint64_t)n, bytes));
		line("size", text);
	} else if (!strcmp(cli_text(v, "kind"), "file")) {
		line("size", "not known before it is fetched");
	}
	if (json_is_integer(mtime)) {
		t = (time_t)(json_integer_value(mtime) / 1000);
		localtime_r(&t, &tm);
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm);
		line("mtime", text);
	}
	line("id", cli_text(v, "id"));
	line("sha256", cli_text(v, "sha256"));
	line("in store", json_get_bool(v, "resident", false) ? "yes" : "no");
	line("mount", cli_text(v, "mount"));
	print_nix(json_object_get(json_object_get(v, "source"), "nix"));
	line("source", cli_text(v, "source_error"));
}

static int info_run(struct cli *c)
{
	cleanup_free char *path = cli_absolute(c->args[0]);
	cleanup_free char *escaped = http_escape(path, strlen(path));
	cleanup_free char *url = xasprintf("/api/v1/info?path=%s", escaped);
	cleanup_free char *what = xasprintf("cannot tell about %s", path);
	json_t *v;
	int r = cli_get(c, "GET", url, NULL, what, &v);

	if (r)
		return r;
	if (c->json)
		cli_print_json(v);
	else
		print_info(v, path);
	json_decref(v);
	return 0;
}

const struct cli_command cmd_info = {
	.name = "info",
	.args = "PATH",
	.summary = "what is known about a path in a mount: id, size, in store",
	.min_args = 1,
	.max_args = 1,
	.run = info_run,
};
