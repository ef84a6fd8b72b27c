/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/git_server.h"

#include "core/buf.h"
#include "core/http.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

static void run_server(int in, int out, const char *root)
{
	dup2(in, 0);
	dup2(out, 1);
	execlp("python3", "python3", "tests/lib/git_http_server.py",
	       "--until-eof", root, (char *)NULL);
	_exit(127);
}

static int read_port(int fd)
{
	char text[16] = "";
	size_t n = 0;

	while (n < sizeof(text) - 1 && read(fd, text + n, 1) == 1 &&
	       text[n] != '\n')
		n++;
	return atoi(text);
}

void git_server_start(struct git_server *g, const char *root)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		abort();
	g->pid = fork();
	if (g->pid < 0)
		abort();
	if (g->pid == 0)
		run_server(in[0], out[1], root);
	close(in[0]);
	close(out[1]);
	g->stdin_fd = in[1];
	g->port = read_port(out[0]);
	close(out[0]);
	if (g->port <= 0) {
		fprintf(stderr, "the git server does not start; tests run from "
			"the source directory\n");
		abort();
	}
}

void git_server_stop(struct git_server *g)
{
	close(g->stdin_fd);
	waitpid(g->pid, NULL, 0);
}

char *git_server_url(const struct git_server *g, const char *path)
{
	return xasprintf("http://127.0.0.1:%d/%s", g->port, path);
}

static int take(void *ctx, const void *data, uint64_t n)
{
	buf_put(ctx, data, n);
	return 0;
}

static char *ask(const struct git_server *g, const char *path,
		 const char *body)
{
	cleanup_free char *url = git_server_url(g, path);
	cleanup_buf struct buf b = BUF_INIT;
	struct scorpio_http x = { .struct_size = sizeof(x), .url = url,
				  .body = body, .on_data = take, .ctx = &b };

	x.body_len = body ? strlen(body) : 0;
	if (http_perform(&x) || x.status != 200)
		abort();
	return buf_steal(&b);
}

void git_server_reset(const struct git_server *g)
{
	free(ask(g, "-/reset", "{}"));
}

void git_server_fault(const struct git_server *g, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	free(ask(g, "-/fault", text));
	free(text);
}

long git_server_count(const struct git_server *g, const char *key)
{
	cleanup_free char *stats = ask(g, "-/stats", NULL);
	cleanup_free char *quoted = xasprintf("\"%s\":", key);
	const char *at = strstr(stats, quoted);

	return at ? strtol(at + strlen(quoted), NULL, 10) : -1;
}
