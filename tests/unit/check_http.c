/* SPDX-License-Identifier: Apache-2.0 */
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

static const char *script(void)
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

static const char *at_host(const char *host, const char *path)
{
	static __thread char url[4][600];
	static __thread unsigned next;
	char *u = url[next++ % 4];

	snprintf(u, 600, "http://%s:%d%s", host, server.port, path);
	return u;
}

static const char *at(const char *path)
{
	return at_host("127.0.0.1", path);
}

/* A port of loopback that nobody listens on. */
static int free_port(void)
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

static struct scorpio_http request(const char *url)
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

static const char *body(void)
{
	return buf_str(&got.body);
}

static const char *get(const char *url)
{
	struct scorpio_http x = request(url);
	int r = http_perform(&x);

	ck_assert_msg(!r, "%s", error_text(r));
	ck_assert_int_eq(x.status, 200);
	return body();
}

static void settings(int retries)
{
	struct http_settings s = { .retries = retries, .netrc = "" };

	http_configure(&s);
}

static int seen(const char *key)
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

START_TEST(simple)
{
	struct scorpio_http x = request(at("/hello?a=1#part"));

	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 200);
	ck_assert_str_eq(body(), "hello");
	ck_has(buf_str(&got.head), "X-One=1\nX-Two=two\n");
	ck_assert_str_eq(x.effective_url, at("/hello?a=1"));
	x = request(at("/nothing"));
	ck_assert_int_eq(http_perform(&x), 0); /* an answer is no error */
	ck_assert_int_eq(x.status, 404);
	ck_assert_str_eq(body(), "no such page");
	x = request(at("/hello"));
	x.method = "HEAD";
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_uint_eq(got.body.len, 0);
	ck_has(buf_str(&got.head), "Content-Length=5\n");
}
END_TEST

START_TEST(headers_and_login)
{
	static const char *const headers[] = { "X-Mine: yes", "Accept: a/b",
					       "X-Empty:", NULL };
	static const char *const evil[] = { "X-Mine: a\r\nX-Evil: b", NULL };
	struct scorpio_http x = request(at("/echo"));

	http_set_traceparent("00-0123456789abcdef0123456789abcdef-"
			     "0123456789abcdef-01");
	x.headers = headers;
	x.user = "me";
	x.password = "pass";
	ck_assert_int_eq(http_perform(&x), 0);
	ck_has(body(), "x-mine: yes\n");
	ck_has(body(), "accept: a/b\n");
	ck_has(body(), "x-empty: \n");
	ck_has(body(), "authorization: Basic bWU6cGFzcw==\n");
	ck_has(body(), "user-agent: scorpio/");
	ck_has(body(), "traceparent: 00-0123456789abcdef0123456789abcdef-"
		       "0123456789abcdef-01\n");
	http_set_traceparent("garbage");
	ck_assert_ptr_null(http_traceparent());
	x = request(at("/echo"));
	x.bearer = "tok";
	ck_assert_int_eq(http_perform(&x), 0);
	ck_has(body(), "authorization: Bearer tok\n");
	ck_hasnt(body(), "traceparent");
	x = request(at("/echo"));
	x.headers = evil;
	ck_assert_int_eq(http_perform(&x), -EINVAL);
	/* login inside the URL works and is not shown */
	x = request(at_host("u:p%40w@127.0.0.1", "/echo"));
	ck_assert_int_eq(http_perform(&x), 0);
	ck_has(body(), "authorization: Basic dTpwQHc=\n");
	ck_assert_str_eq(x.effective_url, at("/echo"));
}
END_TEST

START_TEST(bodies)
{
	struct scorpio_http x = request(at("/echo"));

	x.body = "some text";
	x.body_len = 9;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_prefix(body(), "POST /echo\n");
	ck_has(body(), "content-length: 9\n");
	ck_hasnt(body(), "content-type");
	ck_hasnt(body(), "expect");
	ck_has(body(), "\n\nsome text");
	x = request(at("/echo"));
	x.method = "PUT";
	x.body = "p";
	x.body_len = 1;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_prefix(body(), "PUT /echo\n");
	x = request(at("/echo"));
	x.method = "DELETE";
	ck_assert_int_eq(http_perform(&x), 0);
	ck_prefix(body(), "DELETE /echo\n");
	x = request(at("/echo"));
	x.method = "POST"; /* empty */
	ck_assert_int_eq(http_perform(&x), 0);
	ck_has(body(), "content-length: 0\n");
}
END_TEST

START_TEST(streamed_bodies)
{
	struct scorpio_http x = request(at("/echo"));

	got.left = 300000;
	x.read_body = read_body;
	x.body_len = 300000;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_has(body(), "content-length: 300000\n");
	ck_assert_uint_gt(got.body.len, 300000);
	x = request(at("/echo"));
	got.left = 300000;
	x.read_body = read_body;
	x.body_len = SCORPIO_SIZE_UNKNOWN;
	x.method = "PUT";
	ck_assert_int_eq(http_perform(&x), 0);
	ck_prefix(body(), "PUT /echo\n");
	ck_has(body(), "transfer-encoding: chunked\n");
	ck_assert_uint_gt(got.body.len, 300000);
	x = request(at("/big?n=3000000&chunked=1"));
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_uint_eq(got.body.len, 3000000);
}
END_TEST

static const char *redirect_to(const char *target, int code)
{
	cleanup_free char *to = http_escape(target, strlen(target));
	char path[512];

	snprintf(path, sizeof(path), "/redirect?code=%d&to=%s", code, to);
	return at(path);
}

START_TEST(redirects)
{
	struct scorpio_http x = request(redirect_to("/hello", 301));

	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 200);
	ck_assert_str_eq(x.effective_url, at("/hello"));
	ck_hasnt(buf_str(&got.head), "Location"); /* only the final one's */
	x = request(redirect_to("/hello", 302));
	x.flags = SCORPIO_HTTP_NO_REDIRECT;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 302);
	ck_has(buf_str(&got.head), "Location=/hello\n");
	x = request(redirect_to("/echo", 307));
	x.body = "kept";
	x.body_len = 4;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_prefix(body(), "POST /echo\n");
	ck_has(body(), "\n\nkept");
	x = request(redirect_to("/echo", 303));
	x.body = "dropped";
	x.body_len = 7;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_prefix(body(), "GET /echo\n");
	ck_hasnt(body(), "dropped");
	x = request(at("/loop"));
	ck_assert_int_eq(http_perform(&x), -EIO);
	ck_has(error_text(-EIO), "more than 10 redirects");
	x = request(redirect_to("file:///etc/passwd", 302));
	ck_assert_int_eq(http_perform(&x), -EIO);
	ck_has(error_text(-EIO), "only http and https");
}
END_TEST

START_TEST(login_stays_home)
{
	static const char *const headers[] = { "X-Api-Key: k", "Cookie: c",
					       "Git-Protocol: version=2",
					       NULL };
	struct scorpio_http x = request(redirect_to("/echo", 302));

	/* same host: kept */
	x.bearer = "tok";
	x.headers = headers;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_has(body(), "authorization: Bearer tok\n");
	ck_has(body(), "x-api-key: k\n");
	/* another host: nothing that could be a secret */
	x = request(redirect_to(at_host("localhost", "/echo"), 307));
	x.bearer = "tok";
	x.headers = headers;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_has(body(), "host: localhost:");
	ck_has(body(), "git-protocol: version=2\n");
	ck_hasnt(body(), "authorization");
	ck_hasnt(body(), "x-api-key");
	ck_hasnt(body(), "cookie");
	x = request(redirect_to(at_host("localhost", "/echo"), 302));
	x.user = "me";
	x.password = "pass";
	ck_assert_int_eq(http_perform(&x), 0);
	ck_hasnt(body(), "authorization");
	/* and back again: still nothing */
	x = request(redirect_to(at_host("localhost",
					strstr(redirect_to(at("/echo"), 302),
					       "/redirect")), 302));
	x.bearer = "tok";
	ck_assert_int_eq(http_perform(&x), 0);
	ck_has(body(), "host: 127.0.0.1:");
	ck_hasnt(body(), "authorization");
}
END_TEST

START_TEST(netrc)
{
	char file[] = "/tmp/check_http.XXXXXX";
	static const char text[] = "machine localhost login l password lp\n"
				   "machine 127.0.0.1 login h password hp\n";
	struct http_settings s = { .retries = 0, .netrc = file };
	struct scorpio_http x;
	int fd = mkstemp(file);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
	http_configure(&s);
	ck_has(get(at("/echo")), "authorization: Basic aDpocA==\n");
	ck_has(get(redirect_to(at_host("localhost", "/echo"), 302)),
	       "authorization: Basic bDpscA==\n");
	x = request(at("/echo"));
	x.bearer = "tok"; /* what the caller says goes first */
	ck_assert_int_eq(http_perform(&x), 0);
	ck_hasnt(body(), "Basic");
	unlink(file);
}
END_TEST

START_TEST(retries)
{
	struct scorpio_http x;
	int64_t t = now_ns();

	settings(3);
	ck_assert_str_eq(get(at("/status?code=503&times=2&key=r1")), "now");
	ck_assert_int_eq(seen("r1"), 3);
	ck_assert_str_eq(get(at("/dropped?times=2&key=r2")), "now");
	ck_assert_int_eq(seen("r2"), 3);
	ck_assert_str_eq(get(at("/truncate?times=1&after=0&key=r3")), "whole");
	ck_assert_int_lt(now_ns() - t, 3 * NS_PER_S);
	/* not when told so */
	x = request(at("/status?code=503&times=2&key=r4"));
	x.flags = SCORPIO_HTTP_NO_RETRY;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 503);
	ck_assert_str_eq(body(), "not now");
	/* nor once bytes were handed out */
	x = request(at("/truncate?times=1&key=r5"));
	ck_assert_int_eq(http_perform(&x), -EIO);
	ck_has(error_text(-EIO), "cut off after 10 bytes");
	ck_assert_int_eq(seen("r5"), 1);
	/* nor for other statuses */
	x = request(at("/status?code=500&key=r6"));
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(seen("r6"), 1);
	/* nor when a streamed body is half sent */
	x = request(at("/status?code=503&times=1&key=r7"));
	got.left = x.body_len = 10;
	x.read_body = read_body;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 503);
	/* at the end the last answer */
	settings(1);
	x = request(at("/status?code=502&key=r8"));
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 502);
	ck_assert_int_eq(seen("r8"), 2);
}
END_TEST

START_TEST(retry_after)
{
	struct scorpio_http x;
	int64_t t = now_ns();

	settings(3);
	ck_assert_str_eq(get(at("/status?code=429&times=1&retry_after=1"
				"&key=a1")), "now");
	ck_assert_int_ge(now_ns() - t, NS_PER_S);
	/* longer than we may take: the answer as it is, at once */
	t = now_ns();
	x = request(at("/status?code=429&times=1&retry_after=7&key=a2"));
	x.timeout_ms = 2000;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 429);
	ck_assert_uint_eq(x.retry_after_s, 7);
	ck_assert_int_lt(now_ns() - t, NS_PER_S);
}
END_TEST

START_TEST(deadlines)
{
	struct scorpio_http x = request(at("/stall"));
	int64_t t = now_ns();

	settings(0);
	x.timeout_ms = 200;
	ck_assert_int_eq(http_perform(&x), -ETIMEDOUT);
	ck_assert_int_lt(now_ns() - t, 500 * NS_PER_MS);
	ck_prefix(error_text(-ETIMEDOUT), "http://127.0.0.1:");
	ck_has(error_text(-ETIMEDOUT), "not finished within the time allowed");
	t = now_ns();
	x = request(at("/stall?head=1"));
	x.stall_ms = 200;
	ck_assert_int_eq(http_perform(&x), -ETIMEDOUT);
	ck_assert_int_lt(now_ns() - t, 600 * NS_PER_MS);
	ck_has(error_text(-ETIMEDOUT), "sent nothing for 0.2 s");
	ck_has(error_text(-ETIMEDOUT), "10 bytes received");
	/* slow but alive is no stall */
	x = request(at("/drip?n=6&ms=100"));
	x.stall_ms = 300;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_str_eq(body(), "......");
}
END_TEST

static void *cancel_soon(void *flag)
{
	usleep(100000);
	__atomic_store_n((bool *)flag, true, __ATOMIC_RELAXED);
	return NULL;
}

START_TEST(cancellation)
{
	struct scorpio_http x = request(at("/stall"));
	bool cancel = false;
	struct call c;
	pthread_t thread;
	int64_t t = now_ns();

	settings(3);
	call_enter(&c, DEADLINE_NONE, &cancel);
	pthread_create(&thread, NULL, cancel_soon, &cancel);
	ck_assert_int_eq(http_perform(&x), -EINTR);
	ck_assert_int_lt(now_ns() - t, 500 * NS_PER_MS);
	pthread_join(thread, NULL);
	ck_assert_int_eq(http_perform(&x), -EINTR); /* at once */
	call_leave(&c);
	/* the deadline of the call counts too, also between retries */
	t = now_ns();
	x = request(at("/status?code=503&key=c1"));
	call_enter(&c, deadline_in_ms(250), NULL);
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 503);
	call_leave(&c);
	ck_assert_int_lt(now_ns() - t, 500 * NS_PER_MS);
}
END_TEST

START_TEST(limits)
{
	struct scorpio_http x = request(at("/big?n=100000"));

	x.max_response = 99999;
	ck_assert_int_eq(http_perform(&x), -EFBIG);
	ck_assert_uint_eq(got.body.len, 0); /* known before the body */
	x = request(at("/big?n=100000&chunked=1"));
	x.max_response = 99999;
	ck_assert_int_eq(http_perform(&x), -EFBIG);
	ck_assert_uint_le(got.body.len, 99999);
	x = request(at("/big?n=100000"));
	x.max_response = 100000;
	ck_assert_int_eq(http_perform(&x), 0);
	x = request(at("/gzip")); /* plain bytes count */
	x.max_response = 1000;
	ck_assert_int_eq(http_perform(&x), -EFBIG);
	x = request(at("/big?n=1000000"));
	got.stop_with = -ENOSPC; /* the caller's error comes back */
	ck_assert_int_eq(http_perform(&x), -ENOSPC);
}
END_TEST

START_TEST(compression)
{
	static const char *const identity[] = { "Accept-Encoding: identity",
						NULL };
	static const char *const range[] = { "Range: bytes=0-", NULL };
	struct scorpio_http x;

	ck_assert_uint_eq(strlen(get(at("/gzip"))), 6000);
	ck_has(buf_str(&got.head), "Content-Encoding=gzip\n");
	x = request(at("/gzip"));
	x.headers = identity;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_hasnt(buf_str(&got.head), "Content-Encoding");
	x = request(at("/echo"));
	x.headers = range;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_hasnt(body(), "accept-encoding");
}
END_TEST

START_TEST(errors)
{
	struct scorpio_http x;
	char url[100];
	int r;

	settings(0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/x?token=s", free_port());
	x = request(url);
	ck_assert_int_eq(http_perform(&x), -EIO);
	*strchr(url, '?') = '\0';
	ck_prefix(error_text(-EIO), url);
	ck_has(error_text(-EIO), "?token=***: connection refused");
	x = request("http://no-such-host.invalid/");
	x.timeout_ms = 1000;
	r = http_perform(&x);
	if (r != -ETIMEDOUT) { /* a name server that does not answer */
		ck_assert_int_eq(r, -EIO);
		ck_assert_str_eq(error_text(-EIO), "http://no-such-host.invalid"
						   "/: host name not found");
	}
	x = request("ftp://127.0.0.1/");
	ck_assert_int_eq(http_perform(&x), -EINVAL);
	x = request("not a url");
	ck_assert_int_eq(http_perform(&x), -EINVAL);
	x = request(at("/hello"));
	x.method = "GET /evil";
	ck_assert_int_eq(http_perform(&x), -EINVAL);
	x = request(at("/dropped"));
	ck_assert_int_eq(http_perform(&x), -EIO);
	ck_has(error_text(-EIO), "closed the connection without an answer");
	x = request(at("/garbage"));
	ck_assert_int_eq(http_perform(&x), -EIO);
}
END_TEST

START_TEST(circuit)
{
	struct server late;
	struct scorpio_http x;
	char url[100], port[12];
	int64_t t, wait = 0, deadline;
	int i;

	settings(0);
	snprintf(port, sizeof(port), "%d", free_port());
	snprintf(url, sizeof(url), "http://127.0.0.1:%s/hello", port);
	for (i = 0; i < 5; i++) {
		ck_assert(!http_circuit_open(url, &wait));
		x = request(url);
		ck_assert_int_eq(http_perform(&x), -EIO);
		ck_has(error_text(-EIO), "connection refused");
	}
	ck_assert(http_circuit_open(url, &wait));
	ck_assert_int_le(wait, 1000);
	t = now_ns();
	x = request(url);
	ck_assert_int_eq(http_perform(&x), -EIO);
	ck_assert_int_lt(now_ns() - t, 50 * NS_PER_MS);
	ck_has(error_text(-EIO), "is not asked now, it failed 5 times in a row"
				 " (connection refused); next try in");
	/* other servers are not meant */
	ck_assert_str_eq(get(at("/hello")), "hello");
	/* it comes back, and a probe finds out */
	server_start(&late, "--port", port);
	deadline = deadline_in_ms(4000);
	do {
		x = request(url);
		i = http_perform(&x);
		usleep(20000);
	} while (i && now_ns() < deadline);
	ck_assert_int_eq(i, 0);
	ck_assert(!http_circuit_open(url, &wait));
	server_stop(&late);
}
END_TEST

START_TEST(circuit_within_retries)
{
	struct scorpio_http x;
	char url[100];
	int64_t t;
	int i;

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", free_port());
	settings(0);
	for (i = 0; i < 3; i++) {
		x = request(url);
		ck_assert_int_eq(http_perform(&x), -EIO);
	}
	settings(20);
	t = now_ns();
	x = request(url);
	x.timeout_ms = 20000;
	ck_assert_int_eq(http_perform(&x), -EIO);
	ck_assert_int_lt(now_ns() - t, NS_PER_S);
	/* ended when the circuit opened, with the cause */
	ck_has(error_text(-EIO), "connection refused");
	ck_hasnt(error_text(-EIO), "is not asked now");
}
END_TEST

#define THREADS 8
#define ROUNDS 40

static void *many(void *arg)
{
	intptr_t bad = 0;
	int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		struct answer a = { 0 };
		struct scorpio_http x = { .struct_size = sizeof(x),
					  .url = at("/hello"),
					  .on_data = on_data,
					  .ctx = &a };

		bad += http_perform(&x) || strcmp(buf_str(&a.body), "hello");
		buf_done(&a.body);
	}
	return (void *)bad;
}

START_TEST(threads)
{
	pthread_t t[THREADS];
	struct buf b = BUF_INIT;
	void *bad;
	int i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, many, NULL);
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], &bad);
		ck_assert_ptr_null(bad);
	}
	metrics_print(&b);
	ck_has(buf_str(&b), "scorpio_http_responses_total{class=\"2xx\"} 320\n");
	ck_has(buf_str(&b), "scorpio_http_received_bytes_total 1600\n");
	ck_has(buf_str(&b), "scorpio_http_request_seconds_count{host=\"127.0");
	http_reset();
	buf_done(&b);
	metrics_print(&b);
	ck_has(buf_str(&b), "scorpio_http_idle_connections 0\n");
	buf_done(&b);
}
END_TEST

START_TEST(proxy)
{
	/* the server stands in for a proxy: it sees an absolute URL */
	struct http_settings s = { .retries = 0, .netrc = "",
				   .proxy = at_host("127.0.0.1", "") };

	http_configure(&s);
	ck_prefix(get("http://elsewhere.invalid/hello"), "hello");
	/* loopback is never asked through it */
	s.proxy = "http://127.0.0.1:1";
	http_configure(&s);
	ck_assert_str_eq(get(at("/hello")), "hello");
}
END_TEST

START_TEST(unix_socket)
{
	char dir[] = "/tmp/check_http.XXXXXX", path[64];
	struct server s;
	struct scorpio_http x;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.sock", dir);
	x = request("http://localhost/hello");
	ck_assert_int_eq(http_unix(path, &x), -ENOENT);
	server_start(&s, "--unix", path);
	ck_assert_int_eq(http_unix(path, &x), 0);
	ck_assert_int_eq(x.status, 200);
	ck_assert_str_eq(body(), "hello");
	server_stop(&s);
	ck_assert_int_eq(http_unix(path, &x), -ECONNREFUSED);
	ck_prefix(error_text(-ECONNREFUSED), path);
	path_empty_dir(dir);
	rmdir(dir);
}
END_TEST

START_TEST(escape)
{
	char *s = http_escape("a/b c\xff~", 7);

	ck_assert_str_eq(s, "a%2Fb%20c%FF~");
	free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http");
	TCase *t = tcase_create("http");
	SRunner *r;
	int failed;

	unsetenv("http_proxy");
	unsetenv("no_proxy");
	tcase_add_unchecked_fixture(t, start, stop);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, simple);
	tcase_add_test(t, headers_and_login);
	tcase_add_test(t, bodies);
	tcase_add_test(t, streamed_bodies);
	tcase_add_test(t, redirects);
	tcase_add_test(t, login_stays_home);
	tcase_add_test(t, netrc);
	tcase_add_test(t, retries);
	tcase_add_test(t, retry_after);
	tcase_add_test(t, deadlines);
	tcase_add_test(t, cancellation);
	tcase_add_test(t, limits);
	tcase_add_test(t, compression);
	tcase_add_test(t, errors);
	tcase_add_test(t, circuit);
	tcase_add_test(t, circuit_within_retries);
	tcase_add_test(t, threads);
	tcase_add_test(t, proxy);
	tcase_add_test(t, unix_socket);
	tcase_add_test(t, escape);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
