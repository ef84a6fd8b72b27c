/* SPDX-License-Identifier: Apache-2.0 */
/* httpmount.c - a mount by the Antares API of any daemon, as upstream's program
 * makes it: `path`, `job_id` and `cl` are sent, null where not given. */
#include "api/cli/commands.h"
#include "core/error.h"
#include "core/http.h"

#define TIMEOUT_MS 180000
#define ANSWER_MAX (1 * MiB)

enum { OPT_JOB = 1, OPT_CL, OPT_ENDPOINT };

static const char *job, *cl, *endpoint;

static const struct argp_option options[] = {
	{ "job-id", OPT_JOB, "ID", 0, "name of the job", 0 },
	{ "cl", OPT_CL, "CL", 0, "change list", 0 },
	{ "endpoint", OPT_ENDPOINT, "URL", 0,
	  "of the Antares API; default http://127.0.0.1:2725/antares", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v)
{
	switch (key) {
	case OPT_JOB:
		job = v;
		return 0;
	case OPT_CL:
		cl = v;
		return 0;
	case OPT_ENDPOINT:
		endpoint = v;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static json_t *text_or_null(const char *s)
{
	return s ? json_bytes(s, strlen(s)) : json_null();
}

static int add(void *ctx, const void *p, uint64_t n)
{
	buf_put(ctx, p, n);
	return 0;
}

static int answer(struct cli *c, const struct scorpio_http *x,
		  const struct buf *got)
{
	json_t *v = NULL;
	int r;

	if (json_parse((const char *)got->data, got->len, "the answer", &v) &&
	    x->status / 100 == 2)
		return cli_error(EXIT_MOUNT, error_text(-EBADMSG),
				 "check --endpoint", "this is no Antares API");
	if (x->status / 100 == 2) {
		cli_print_json(v);
		json_decref(v);
		return 0;
	}
	r = cli_error(EXIT_MOUNT,
		      v ? json_get_text(v, "error", "no reason given")
			: got->len ? (const char *)got->data
				   : "no reason given",
		      "check the path and the Mono server",
		      "%s is not mounted (HTTP %u)", c->args[0],
		      (unsigned)x->status);
	json_decref(v);
	return r;
}

/* --endpoint, else the daemon of this configuration, or what `antares serve`
 * does. Caller frees. */
static char *where(struct cli *c)
{
	const char *addr = config_string(c->config, "server.http_addr");
	size_t n;

	if (!endpoint && cli_is_antares())
		return xstrdup("http://127.0.0.1:2726");
	if (!endpoint && !strncmp(addr, "0.0.0.0:", 8))
		return xasprintf("http://127.0.0.1:%s/antares", addr + 8);
	if (!endpoint)
		return xasprintf("http://%s/antares", addr);
	n = strlen(endpoint);
	while (n && endpoint[n - 1] == '/')
		n--;
	return xstrndup(endpoint, n);
}

static int http_mount_run(struct cli *c)
{
	cleanup_free char *at = NULL, *token = NULL;
	cleanup_buf struct buf body = BUF_INIT, got = BUF_INIT;
	cleanup_free char *url = NULL;
	json_t *v = json_pack("{s:o,s:o,s:o}", "job_id", text_or_null(job),
			      "path", text_or_null(c->args[0]), "cl",
			      text_or_null(cl));
	static const char *const headers[] = {
		"Content-Type: application/json", NULL,
	};
	struct scorpio_http x = { .struct_size = sizeof(x), .method = "POST",
				  .timeout_ms = TIMEOUT_MS,
				  .max_response = ANSWER_MAX };
	int r;

	json_print(v, &body);
	json_decref(v);
	r = cli_config(c);
	if (r)
		return r;
	at = where(c);
	if (!endpoint && config_token(c->config, &token))
		return cli_errno(-EACCES, EXIT_CONFIG, "check "
				 "server.token_file", "there is no token");
	url = xasprintf("%s/mounts", at);
	x.url = url;
	x.bearer = token;
	x.headers = headers;
	x.body = body.data;
	x.body_len = body.len;
	x.on_data = add;
	x.ctx = &got;
	x.flags = SCORPIO_HTTP_NO_RETRY;
	r = http_perform(&x);
	if (r)
		return cli_errno(r, EXIT_MOUNT, "is a daemon running there? "
				 "(scorpio serve)", "cannot ask %s", url);
	buf_putc(&got, '\0');
	got.len--;
	return answer(c, &x, &got);
}

const struct cli_command cmd_http_mount = {
	.name = "http-mount",
	.args = "PATH",
	.summary = "mount a path of the monorepo by the Antares API",
	.help = "Prints the answer: the id of the mount, and where it is.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.option = option,
	.run = http_mount_run,
};
