/* SPDX-License-Identifier: Apache-2.0 */
/* http_test.h - the server that misbehaves (tests/lib/http_faults.py), requests
 * to it, and the frame of a test program. */
#ifndef UNIT_HTTP_TEST_H
#define UNIT_HTTP_TEST_H

#include "core/http.h"

#include "core/buf.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/metrics.h"
#include "core/path.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

extern char **environ;

/* -- the server -- */

struct server {
	pid_t pid;
	int in, out;
	int port;
};

static struct server server;

static UNUSED const char *script(void)
{
	static char path[4300];
	char self[4096], *build;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	build = strstr(self, "/build/");
	ck_assert_ptr_nonnull(build);
	snprintf(path, sizeof(path), "%.*s/tests/lib/http_faults.py",
		 (int)(build - self), self);
	return path;
}

static void server_start(struct server *s, const char *option,
			 const char *value)
{
	const char *argv[] = { "python3", script(), option, value, NULL };
	posix_spawn_file_actions_t f;
	int in[2], out[2];
	char line[64] = "";
	size_t n = 0;

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&f);
	posix_spawn_file_actions_adddup2(&f, in[0], 0);
	posix_spawn_file_actions_adddup2(&f, out[1], 1);
	ck_assert_int_eq(posix_spawnp(&s->pid, "python3", &f, NULL,
				      (char **)argv, environ), 0);
	posix_spawn_file_actions_destroy(&f);
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	s->out = out[0];
	while (!strchr(line, '\n') && n < sizeof(line) - 1 &&
	       read(s->out, line + n, 1) == 1)
		n++;
	ck_assert_int_eq(sscanf(line, "ready %d", &s->port), 1);
}

static void server_stop(struct server *s)
{
	close(s->in);
	close(s->out);
	waitpid(s->pid, NULL, 0);
}

static void start(void)
{
	server_start(&server, NULL, NULL);
}

static void stop(void)
{
	server_stop(&server);
}

static UNUSED const char *at_host(const char *host, const char *path)
{
	static __thread char url[4][600];
	static __thread unsigned next;
	char *u = url[next++ % 4];

	snprintf(u, 600, "http://%s:%d%s", host, server.port, path);
	return u;
}

static UNUSED const char *at(const char *path)
{
	return at_host("127.0.0.1", path);
}

/* A port of loopback that nobody listens on. */
static UNUSED int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

/* -- requests -- */

struct answer {
	struct buf body, head;
	int stop_with;
	uint64_t left; /* of a streamed request body */
};

static int on_data(void *ctx, const void *p, uint64_t n)
{
	struct answer *a = ctx;

	buf_put(&a->body, p, n);
	return a->stop_with;
}

static int on_header(void *ctx, const char *name, const char *value)
{
	struct answer *a = ctx;

	buf_printf(&a->head, "%s=%s\n", name, value);
	return 0;
}

static int64_t read_body(void *ctx, void *p, uint64_t n)
{
	struct answer *a = ctx;

	n = MIN(n, a->left);
	memset(p, 'b', n);
	a->left -= n;
	return (int64_t)n;
}

static struct answer got;

static UNUSED struct scorpio_http request(const char *url)
{
	struct scorpio_http x = {
		.struct_size = sizeof(x),
		.url = url,
		.on_data = on_data,
		.on_header = on_header,
		.ctx = &got,
	};

	buf_done(&got.body);
	buf_done(&got.head);
	got.stop_with = 0;
	return x;
}

static UNUSED const char *body(void)
{
	return buf_str(&got.body);
}

static UNUSED const char *get(const char *url)
{
	struct scorpio_http x = request(url);
	int r = http_perform(&x);

	ck_assert_msg(!r, "%s", error_text(r));
	ck_assert_int_eq(x.status, 200);
	return body();
}

static UNUSED void settings(int retries)
{
	struct http_settings s = { .retries = retries, .netrc = "" };

	http_configure(&s);
}

static UNUSED int seen(const char *key)
{
	char path[100];

	snprintf(path, sizeof(path), "/count?of=%s", key);
	return atoi(get(at(path)));
}

static void ck_prefix(const char *text, const char *start_of)
{
	ck_assert_msg(!strncmp(text, start_of, strlen(start_of)),
		      "\"%s\" does not begin with \"%s\"", text, start_of);
}

#define ck_has(text, part)                                                     \
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text)
#define ck_hasnt(text, part)                                                   \
	ck_assert_msg(strstr(text, part) == NULL, "\"%s\" in:\n%s", part, text)

static int run_tests(const char *name, const TTest *const tests[])
{
	Suite *s = suite_create(name);
	TCase *t = tcase_create(name);
	SRunner *r;
	int failed;

	unsetenv("http_proxy");
	unsetenv("no_proxy");
	tcase_add_unchecked_fixture(t, start, stop);
	tcase_set_timeout(t, 30);
	for (; *tests; tests++)
		tcase_add_test(t, *tests);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}

#endif
