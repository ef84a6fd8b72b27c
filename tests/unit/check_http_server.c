/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server over real sockets, spoken to byte by byte: what is refused before
 * a handler runs, what handlers see, streams, stopping.
 */
#include "core/base.h"

#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "api/http/request.h"
#include "api/http/server.h"
#include "core/call.h"
#include "core/clock.h"

static struct router *router;
static struct server *server;
static char dir[] = "/tmp/check_http.XXXXXX";
static char sock[64];
static int port;
static int stream_frees; /* atomic */

/* -- handlers ----------------------------------------------------------------- */

static int get_hello(struct request *r)
{
	return reply_json(r, 200, json_pack("{s:s}", "hello",
					    request_query(r, "who", "world")));
}

static int post_echo(struct request *r)
{
	const char *text;
	json_t *body;

	if (request_json(r, false, &body) ||
	    request_text(r, body, "text", false, &text))
		return 0;
	return reply_json(r, 200, json_pack("{s:s}", "text", text));
}

static int get_fails(struct request *r UNUSED)
{
	return -ENOTEMPTY;
}

static int lines(struct stream *s, void *ctx UNUSED)
{
	for (int i = 0; i < 3; i++) {
		if (stream_line(s, json_pack("{s:i}", "n", i)))
			return -EPIPE;
	}
	return -EIO;
}

static void count_free(void *ctx UNUSED)
{
	__atomic_fetch_add(&stream_frees, 1, __ATOMIC_SEQ_CST);
}

static int get_stream(struct request *r)
{
	return reply_stream(r, lines, NULL, count_free);
}

static int forever(struct stream *s, void *ctx UNUSED)
{
	while (stream_sleep(s, 10) &&
	       !stream_line(s, json_pack("{s:b}", "on", 1)))
		;
	return -EPIPE;
}

static int get_forever(struct request *r)
{
	return reply_stream(r, forever, NULL, count_free);
}

static int slow_runs, slow_cancelled, slow_go; /* atomic */

/* Notices the end, but takes its time. */
static int get_slow(struct request *r UNUSED)
{
	int64_t end = deadline_in_ms(20000);
	int e = 0;

	__atomic_store_n(&slow_runs, 1, __ATOMIC_SEQ_CST);
	while (!e && now_ns() < end) {
		usleep(1000);
		e = call_check();
	}
	__atomic_store_n(&slow_cancelled, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&slow_go, __ATOMIC_SEQ_CST) && now_ns() < end)
		usleep(1000);
	return e;
}

static const struct route routes[] = {
	{ "GET", "/hello", get_hello, 0 },
	{ "GET", "/public", get_hello, ROUTE_PUBLIC },
	{ "POST", "/echo", post_echo, 0 },
	{ "GET", "/fails", get_fails, 0 },
	{ "GET", "/stream", get_stream, 0 },
	{ "GET", "/forever", get_forever, 0 },
	{ "GET", "/slow", get_slow, 0 },
	{ NULL, NULL, NULL, 0 },
};

/* -- client ------------------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static int dial_unix(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, sock, strlen(sock) + 1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t got = send(fd, text, n, MSG_NOSIGNAL);

		if (got <= 0)
			return; /* cut off: the answer says why */
		text += got;
		n -= (size_t)got;
	}
}

/* Everything until the server closes (or 20 s). */
static char *hear(int fd)
{
	static char text[65536];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;

	while (n < sizeof(text) - 1 && poll(&p, 1, 20000) == 1) {
		ssize_t got = recv(fd, text + n, sizeof(text) - 1 - n, 0);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	return text;
}

static char *talk_on(int fd, const char *text)
{
	char *answer;

	say(fd, text, strlen(text));
	answer = hear(fd);
	close(fd);
	return answer;
}

static char *talk(const char *text)
{
	return talk_on(dial(), text);
}

static int status_of(const char *answer)
{
	int status = 0;

	sscanf(answer, "HTTP/1.1 %d", &status);
	return status;
}

#define ck_status(request, want)                                               \
	do {                                                                   \
		const char *answer_ = talk(request);                           \
		ck_assert_msg(status_of(answer_) == (want), "%s\n---\n%s",     \
			      request, answer_);                               \
	} while (0)

#define HOST "Host: localhost\r\n"
#define CLOSE "Connection: close\r\n"
#define JSON "Content-Type: application/json\r\n"

/* -- fixture ------------------------------------------------------------------ */

static void setup(void)
{
	struct auth_policy none = { 0 };

	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/s", dir);
	router = router_new();
	router_add(router, routes);
	server = server_new(router, NULL);
	server_set_policy(server, &none);
	ck_assert_int_eq(server_listen_tcp(server, "127.0.0.1:0"), 0);
	ck_assert_int_eq(server_listen_unix(server, sock), 0);
	port = atoi(strchr(server_address(server, 0), ':') + 1);
	ck_assert_int_eq(server_start(server), 0);
}

static void teardown(void)
{
	server_free(server);
	router_free(router);
	ck_assert_int_eq(access(sock, F_OK), -1);
	rmdir(dir);
}

/* -- tests -------------------------------------------------------------------- */

START_TEST(answers)
{
	const char *a = talk("GET /hello?who=a%20b HTTP/1.1\r\n" HOST CLOSE
			     "\r\n");

	ck_assert_int_eq(status_of(a), 200);
	ck_assert_ptr_nonnull(strstr(a, "{\"hello\":\"a b\"}"));
	ck_assert_ptr_nonnull(strstr(a, "nosniff"));
	a = talk("HEAD /hello HTTP/1.1\r\n" HOST CLOSE "\r\n");
	ck_assert_int_eq(status_of(a), 200);
	ck_assert_ptr_null(strstr(a, "{"));
	a = talk("GET /nothing HTTP/1.1\r\n" HOST CLOSE "\r\n");
	ck_assert_int_eq(status_of(a), 404);
	ck_assert_ptr_nonnull(strstr(a, "\"code\":\"NOT_FOUND\""));
	a = talk("DELETE /hello HTTP/1.1\r\n" HOST CLOSE "\r\n");
	ck_assert_int_eq(status_of(a), 405);
	ck_assert_ptr_nonnull(strstr(a, "Allow: GET"));
	a = talk("GET /fails HTTP/1.1\r\n" HOST CLOSE "\r\n");
	ck_assert_int_eq(status_of(a), 409);
	ck_assert_ptr_nonnull(strstr(a, "\"code\":\"NOT_EMPTY\""));
}
END_TEST

START_TEST(keep_alive)
{
	const char *two = "GET /hello HTTP/1.1\r\n" HOST "\r\n"
			  "GET /hello?who=2 HTTP/1.1\r\n" HOST CLOSE "\r\n";
	const char *a = talk(two);

	ck_assert_ptr_nonnull(strstr(a, "world"));
	ck_assert_ptr_nonnull(strstr(a, "{\"hello\":\"2\"}"));
	ck_assert_uint_eq(server_requests(server), 2);
}
END_TEST

START_TEST(bodies)
{
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Content-Length: 12\r\n\r\n{\"text\":\"x\"}", 200);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Transfer-Encoding: chunked\r\n\r\n"
		  "6\r\n{\"text\r\n6\r\n\":\"x\"}\r\n0\r\n\r\n", 200);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE
		  "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
		  415);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE
		  "Content-Length: 2\r\n\r\n{}", 415);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Content-Length: 1\r\n\r\n{", 400);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Content-Length: 2\r\n\r\n[]", 422);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Content-Length: 2\r\n\r\n{}", 422);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Content-Length: 10\r\n\r\n{\"text\":1}", 422);
}
END_TEST

START_TEST(framing)
{
	ck_status("POST /echo HTTP/1.1\r\n" HOST JSON
		  "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n", 400);
	ck_assert_uint_eq(server_requests(server), 1); /* not smuggled */
	ck_status("POST /echo HTTP/1.1\r\n" HOST JSON
		  "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400);
	ck_status("POST /echo HTTP/1.1\r\n" HOST JSON
		  "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}", 400);
	ck_status("POST /echo HTTP/1.1\r\n" HOST JSON
		  "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400);
	ck_status("POST /echo HTTP/1.1\r\n" HOST JSON
		  "Content-Length: -1\r\n\r\n", 400);
	ck_status("GET /hello HTTP/1.1\r\n" HOST HOST CLOSE "\r\n", 400);
	ck_status("GET /hello HTTP/1.1\r\n" CLOSE "\r\n", 400);
}
END_TEST

START_TEST(targets)
{
	ck_status("GET /../hello HTTP/1.1\r\n" HOST CLOSE "\r\n", 400);
	ck_status("GET /%2e%2e/hello HTTP/1.1\r\n" HOST CLOSE "\r\n", 400);
	ck_status("GET /hello%00 HTTP/1.1\r\n" HOST CLOSE "\r\n", 400);
	ck_status("GET /hello?x=%00 HTTP/1.1\r\n" HOST CLOSE "\r\n", 400);
	ck_status("GET http://localhost/hello HTTP/1.1\r\n" HOST CLOSE "\r\n",
		  400);
	ck_status("OPTIONS * HTTP/1.1\r\n" HOST CLOSE "\r\n", 400);
}
END_TEST

START_TEST(foreign)
{
	ck_status("GET /hello HTTP/1.1\r\nHost: evil.example\r\n" CLOSE
		  "\r\n", 403);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Origin: http://evil.example\r\nContent-Length: 12\r\n\r\n"
		  "{\"text\":\"x\"}", 403);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Origin: http://localhost\r\nContent-Length: 12\r\n\r\n"
		  "{\"text\":\"x\"}", 200);
}
END_TEST

START_TEST(token)
{
	struct auth_policy p = { .token = "t0p" };

	server_set_policy(server, &p);
	ck_status("GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", 200);
	ck_status("GET /hello HTTP/1.1\r\n" HOST CLOSE
		  "Authorization: Bearer nope\r\n\r\n", 401);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Content-Length: 12\r\n\r\n{\"text\":\"x\"}", 401);
	ck_status("POST /echo HTTP/1.1\r\n" HOST CLOSE JSON
		  "Authorization: Bearer t0p\r\n"
		  "Content-Length: 12\r\n\r\n{\"text\":\"x\"}", 200);
}
END_TEST

START_TEST(sizes)
{
	cleanup_free char *big = xmalloc(3 * MiB);
	int fd;
	char *p;

	/* the length alone is enough to refuse */
	ck_status("POST /echo HTTP/1.1\r\n" HOST JSON
		  "Content-Length: 2097153\r\n\r\n", 413);
	/* chunked: refused at the end of the body */
	p = big + snprintf(big, 1024, "POST /echo HTTP/1.1\r\n" HOST JSON
			   "Transfer-Encoding: chunked\r\n\r\n%x\r\n",
			   (unsigned)(2 * MiB + 1));
	memset(p, 'x', 2 * MiB + 1);
	p += 2 * MiB + 1;
	memcpy(p, "\r\n0\r\n\r\n", 8);
	fd = dial();
	say(fd, big, strlen(big));
	ck_assert_int_eq(status_of(hear(fd)), 413);
	close(fd);
	/* headers without end */
	fd = dial();
	p = big + snprintf(big, 1024, "GET /hello HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 10000; i++)
		p += snprintf(p, 64, "X-Header-%d: something\r\n", i);
	memcpy(p, "\r\n", 3);
	say(fd, big, strlen(big));
	ck_assert_int_ne(status_of(hear(fd)), 200);
	close(fd);
	ck_status("GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n", 200);
}
END_TEST

START_TEST(unix_socket)
{
	struct stat st;
	const char *a = talk_on(dial_unix(), "GET /hello HTTP/1.1\r\n"
				"Host: whatever\r\n" CLOSE "\r\n");

	ck_assert_int_eq(status_of(a), 200);
	ck_assert_int_eq(stat(sock, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(streams)
{
	const char *a = talk("GET /stream HTTP/1.1\r\n" HOST CLOSE "\r\n");
	const char *ask = "GET /forever HTTP/1.1\r\n" HOST "\r\n";
	int64_t end = deadline_in_ms(20000);
	int fd;
	char c;

	ck_assert_int_eq(status_of(a), 200);
	ck_assert_ptr_nonnull(strstr(a, "{\"n\":2}"));
	ck_assert_ptr_nonnull(strstr(a, "\"code\":\"SOURCE_ERROR\""));
	talk("HEAD /stream HTTP/1.1\r\n" HOST CLOSE "\r\n");
	/* a client that leaves ends its stream */
	fd = dial();
	say(fd, ask, strlen(ask));
	ck_assert_int_eq(recv(fd, &c, 1, 0), 1);
	close(fd);
	while (__atomic_load_n(&stream_frees, __ATOMIC_SEQ_CST) < 3 &&
	       now_ns() < end)
		usleep(1000);
	ck_assert_int_eq(__atomic_load_n(&stream_frees, __ATOMIC_SEQ_CST), 3);
}
END_TEST

START_TEST(stops_with_streams)
{
	int fd = dial(), idle = dial();
	const char *ask = "GET /forever HTTP/1.1\r\n" HOST "\r\n";
	char c;

	say(fd, ask, strlen(ask));
	ck_assert_int_eq(recv(fd, &c, 1, 0), 1);
	ck_assert_int_eq(server_stop(server, deadline_in_ms(20000)), 0);
	close(fd);
	close(idle);
}
END_TEST

static void *stop_server(void *arg UNUSED)
{
	return (void *)(intptr_t)server_stop(server, deadline_in_ms(20000));
}

/* Who is being served when the end comes, or asks once more then, is told. */
START_TEST(stops_with_answers)
{
	const char *ask = "GET /slow HTTP/1.1\r\n" HOST "\r\n";
	const char *late = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
	int64_t end = deadline_in_ms(20000);
	int fd = dial(), other = dial();
	const char *a;
	pthread_t t;
	void *r;

	say(other, late, 10); /* its thread is there, its request is not */
	say(fd, ask, strlen(ask));
	while (!__atomic_load_n(&slow_runs, __ATOMIC_SEQ_CST) &&
	       now_ns() < end)
		usleep(1000);
	pthread_create(&t, NULL, stop_server, NULL);
	while (!__atomic_load_n(&slow_cancelled, __ATOMIC_SEQ_CST) &&
	       now_ns() < end)
		usleep(1000);
	say(other, late + 10, strlen(late + 10));
	a = hear(other);
	ck_assert_int_eq(status_of(a), 503);
	ck_assert_ptr_nonnull(strstr(a, "the daemon is ending"));
	ck_assert_ptr_nonnull(strstr(a, "Connection: close"));
	__atomic_store_n(&slow_go, 1, __ATOMIC_SEQ_CST);
	a = hear(fd);
	ck_assert_int_eq(status_of(a), 503);
	ck_assert_ptr_nonnull(strstr(a, "UNAVAILABLE"));
	close(fd);
	close(other);
	pthread_join(t, &r);
	ck_assert_ptr_null(r);
}
END_TEST

START_TEST(addresses)
{
	struct server *s = server_new(router, NULL);

	ck_assert_int_eq(server_listen_tcp(s, "nonsense"), -EINVAL);
	ck_assert_int_eq(server_listen_tcp(s, "127.0.0.1:99999"), -EINVAL);
	ck_assert_int_eq(server_listen_tcp(s, "::1:2725"), -EINVAL);
	ck_assert_int_eq(server_listen_tcp(s, "0.0.0.0:0"), -EPERM);
	ck_assert_int_eq(server_listen_tcp(s, server_address(server, 0)),
			 -EADDRINUSE);
	ck_assert_int_eq(server_listen_unix(s, sock), -EADDRINUSE);
	ck_assert_int_eq(server_listen_unix(s, dir), -EEXIST);
	server_free(s);
	ck_assert_int_eq(access(sock, F_OK), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_server");
	TCase *c = tcase_create("http_server");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, answers);
	tcase_add_test(c, keep_alive);
	tcase_add_test(c, bodies);
	tcase_add_test(c, framing);
	tcase_add_test(c, targets);
	tcase_add_test(c, foreign);
	tcase_add_test(c, token);
	tcase_add_test(c, sizes);
	tcase_add_test(c, unix_socket);
	tcase_add_test(c, streams);
	tcase_add_test(c, stops_with_streams);
	tcase_add_test(c, stops_with_answers);
	tcase_add_test(c, addresses);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
