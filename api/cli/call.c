/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - the command line's side of the HTTP API, over the unix socket. */
#include "api/cli/cli.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/http.h"
#include "core/path.h"

#define CALL_TIMEOUT_MS 180000
#define CALL_STREAM_MS (24 * 3600 * 1000)
#define CALL_STALL_MS 60000
#define CALL_ANSWER_MAX (256 * MiB)

struct answer {
	struct scorpio_http x;
	struct buf body;
	/* streams only */
	int (*fn)(void *ctx, const json_t *line);
	void *ctx;
	json_t *error; /* an error line */
};

static char last_code[64];

static int take_line(struct answer *a, const char *line, size_t n)
{
	json_t *v;
	int r;

	if (!n) /* a sign of life */
		return 0;
	r = json_parse(line, n, "the daemon's answer", &v);
	if (r)
		return r;
	if (json_object_get(v, "error") && json_object_get(v, "code")) {
		json_decref(a->error);
		a->error = v;
		return 0;
	}
	r = a->fn(a->ctx, v);
	json_decref(v);
	return r;
}

static int take_lines(struct answer *a)
{
	int r = 0;

	while (!r) {
		char *start = (char *)a->body.data;
		char *end = a->body.len ? memchr(start, '\n', a->body.len)
					: NULL;

		if (!end)
			break;
		r = take_line(a, start, (size_t)(end - start));
		buf_consume(&a->body, (size_t)(end - start) + 1);
	}
	return r;
}

static int on_data(void *ctx, const void *p, uint64_t n)
{
	struct answer *a = ctx;

	buf_put(&a->body, p, n);
	return a->fn && a->x.status / 100 == 2 ? take_lines(a) : 0;
}

/* The daemon's {"error","code"} as a negative errno with its text. */
static int told_error(const json_t *v, int status, const char **ret_code)
{
	snprintf(last_code, sizeof(last_code), "%s",
		 json_get_text(v, "code", ""));
	*ret_code = last_code;
	return fail(status == 404 ? -ENOENT : status == 409 ? -EBUSY
		    : status / 100 == 4 ? -EINVAL : -EIO,
		    "%s", json_get_text(v, "error", "no reason given"));
}

static int finish(struct answer *a, json_t **ret, const char **ret_code)
{
	json_t *v = NULL;
	int r;

	if (a->error) {
		r = told_error(a->error, 500, ret_code);
		return r;
	}
	if (a->fn && a->x.status / 100 == 2)
		return take_lines(a);
	r = json_parse((const char *)a->body.data, a->body.len,
		       "the daemon's answer", &v);
	if (r)
		return r;
	if (a->x.status / 100 != 2) {
		r = told_error(v, a->x.status, ret_code);
		json_decref(v);
		return r;
	}
	*ret = v;
	return 0;
}

static int perform(struct cli *c, struct answer *a, const char *method,
		   const char *path, json_t *body)
{
	static const char *const headers[] = { "Content-Type: application/json",
					       NULL };
	cleanup_free char *url = xasprintf("http://localhost%s", path);
	cleanup_buf struct buf text = BUF_INIT;
	int r;

	a->x = (struct scorpio_http){
		.struct_size = sizeof(a->x),
		.flags = SCORPIO_HTTP_NO_RETRY | SCORPIO_HTTP_NO_REDIRECT,
		.method = method,
		.url = url,
		.on_data = on_data,
		.ctx = a,
		.timeout_ms = a->fn ? CALL_STREAM_MS : CALL_TIMEOUT_MS,
		.stall_ms = a->fn ? CALL_STALL_MS : CALL_TIMEOUT_MS,
		.max_response = a->fn ? 0 : CALL_ANSWER_MAX,
	};
	if (body) {
		json_print(body, &text);
		json_decref(body);
		a->x.headers = headers;
		a->x.body = text.data;
		a->x.body_len = text.len;
	}
	r = http_unix(c->socket, &a->x);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return fail(-ENOTCONN, "no daemon answers at %s",
			    c->socket);
	return r;
}

static int exchange(struct cli *c, struct answer *a, const char *method,
		    const char *path, json_t *body, json_t **ret,
		    const char **ret_code)
{
	const char *none;
	int r;

	if (!ret_code)
		ret_code = &none;
	*ret_code = "";
	r = perform(c, a, method, path, body);
	if (!r)
		r = finish(a, ret, ret_code);
	buf_done(&a->body);
	json_decref(a->error);
	return r;
}

int cli_call(struct cli *c, const char *method, const char *path,
	     json_t *body, json_t **ret, const char **ret_code)
{
	struct answer a = { 0 };

	return exchange(c, &a, method, path, body, ret, ret_code);
}

int cli_stream(struct cli *c, const char *method, const char *path,
	       json_t *body, int (*fn)(void *ctx, const json_t *line),
	       void *ctx, const char **ret_code)
{
	struct answer a = { .fn = fn, .ctx = ctx };
	json_t *none = NULL;

	return exchange(c, &a, method, path, body, &none, ret_code);
}

int cli_download(struct cli *c, const char *path, struct buf *ret,
		 const char **ret_code)
{
	struct answer a = { 0 };
	json_t *none = NULL;
	int r;

	*ret_code = "";
	r = perform(c, &a, "GET", path, NULL);
	if (!r && a.x.status / 100 == 2)
		buf_put(ret, a.body.data, a.body.len);
	else if (!r)
		r = finish(&a, &none, ret_code);
	buf_done(&a.body);
	return r;
}

/* -- what to do about the daemon's words ----------------------------------------------- */

static const struct {
	const char *code, *advice;
	int exit_code;
} hints[] = {
	{ "INVALID_REQUEST", "scorpio --help", EXIT_CONFIG },
	{ "NOT_FOUND", "check the spelling; scorpio list shows the mounts",
	  EXIT_MOUNT },
	{ "ACCESS_DENIED", "check the permissions, or the credentials for the "
	  "server (netrc, git credential helper, [source.NAME])", EXIT_MOUNT },
	{ "EXISTS", "scorpio list shows what is there", EXIT_MOUNT },
	{ "BUSY", "close what uses it (fuser -vm DIR), or add --lazy",
	  EXIT_MOUNT },
	{ "NOT_EMPTY", "choose a directory that is empty or does not exist",
	  EXIT_MOUNT },
	{ "NOT_A_DIRECTORY", "choose a directory", EXIT_MOUNT },
	{ "NOT_A_MOUNT", "scorpio list shows the mounts", EXIT_MOUNT },
	{ "READ_ONLY", "mount it without --ro for a workspace", EXIT_MOUNT },
	{ "SOURCE_ERROR", "check the address, the network and the server; "
	  "scorpio doctor", EXIT_MOUNT },
	{ "TIMEOUT", "check the network and the server, then try again",
	  EXIT_MOUNT },
	{ "NO_SPACE", "make room: scorpio cache gc, or raise cache.max_size",
	  EXIT_MOUNT },
	{ "UNSUPPORTED", NULL, EXIT_MOUNT },
	{ "UNAVAILABLE", "wait a little, then try again", EXIT_MOUNT },
};

int cli_call_failed(struct cli *c, int err, const char *code,
		    const char *what_fmt, ...)
{
	cleanup_free char *why = xstrdup(error_text(err)), *what = NULL;
	const char *advice = "scorpio doctor; scorpio bugreport collects what "
			     "helps to find the cause";
	int exit_code = EXIT_INTERNAL;
	va_list ap;

	va_start(ap, what_fmt);
	if (vasprintf(&what, what_fmt, ap) < 0)
		what = xstrdup(what_fmt);
	va_end(ap);
	if (err == -ENOTCONN)
		return cli_error(EXIT_INTERNAL, why,
				 c->n_files || c->n_overrides
					 ? "scorpio serve with the same "
					   "options starts one"
					 : "scorpio serve, or scorpio mount "
					   "SOURCE DIR, which starts one",
				 "%s", what);
	if (!*code)
		advice = "scorpio status says whether the daemon still runs; "
			 "scorpio doctor";
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		if (strcmp(hints[i].code, code))
			continue;
		advice = hints[i].advice;
		exit_code = hints[i].exit_code;
	}
	return cli_error(exit_code, why, advice, "%s", what);
}

int cli_get(struct cli *c, const char *method, const char *path, json_t *body,
	    const char *what, json_t **ret)
{
	const char *code;
	int r = cli_config(c);

	if (r) {
		json_decref(body);
		return r;
	}
	r = cli_call(c, method, path, body, ret, &code);
	return r ? cli_call_failed(c, r, code, "%s", what) : 0;
}

/* -- starting one -------------------------------------------------------------------------- */

bool cli_daemon_runs(struct cli *c)
{
	json_t *v = NULL;
	bool runs = !cli_call(c, "GET", "/health", NULL, &v, NULL);

	json_decref(v);
	return runs;
}

/* The same global options, then serve. */
static int spawn_daemon(struct cli *c)
{
	char *argv[2 * CLI_FILES_MAX + 2 * CLI_ARGS_MAX + 8];
	extern char **environ;
	int n = 0, status;
	pid_t pid;

	argv[n++] = (char *)(uintptr_t) "scorpio";
	for (size_t i = 0; i < c->n_files; i++) {
		argv[n++] = (char *)(uintptr_t) "-c";
		argv[n++] = (char *)(uintptr_t)c->files[i];
	}
	for (size_t i = 0; i < c->n_overrides; i++) {
		argv[n++] = (char *)(uintptr_t) "--set";
		argv[n++] = (char *)(uintptr_t)c->overrides[i];
	}
	argv[n++] = (char *)(uintptr_t) "serve";
	argv[n++] = (char *)(uintptr_t) "--background";
	argv[n++] = (char *)(uintptr_t) "--auto";
	argv[n] = NULL;
	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ))
		return cli_error(EXIT_INTERNAL, strerror(errno), NULL,
				 "cannot start the daemon");
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_INTERNAL;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_INTERNAL;
}

int cli_need_daemon(struct cli *c)
{
	const char *store = config_string(c->config, "server.store_path");
	cleanup_free char *file = xasprintf("%s/start.lock", store);
	cleanup_fd int fd = -1;
	int r;

	if (cli_daemon_runs(c))
		return 0;
	/* of several commands at once only one starts the daemon */
	r = path_make_dirs(store, 0700);
	if (r)
		return cli_errno(r, EXIT_INTERNAL, "set server.store_path to "
				 "a directory you may write",
				 "cannot make the store");
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		flock(fd, LOCK_EX);
	return cli_daemon_runs(c) ? 0 : spawn_daemon(c);
}
