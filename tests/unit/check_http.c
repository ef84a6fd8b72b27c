/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/http_test.h"

#include "core/spawn.h"

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
	x = request(at("/echo"));
	x.flags = SCORPIO_HTTP_NO_LOGIN;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_hasnt(body(), "authorization");
	unlink(file);
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

/* A key and a certificate of its own for 127.0.0.1, in one file. */
static bool make_certificate(const char *file)
{
	const char *const argv[] = { "openssl", "req", "-x509", "-newkey",
				     "ec", "-pkeyopt",
				     "ec_paramgen_curve:P-256", "-nodes",
				     "-keyout", file, "-out", "-", "-days",
				     "2", "-subj", "/CN=scorpio test",
				     "-addext", "subjectAltName=IP:127.0.0.1",
				     NULL };
	struct scorpio_spawn x = { .struct_size = sizeof(x), .argv = argv,
				   .on_output = on_data, .ctx = &got };
	FILE *f;

	buf_done(&got.body);
	if (spawn_run(&x) || x.exit_status)
		return false;
	f = fopen(file, "a");
	fputs(body(), f);
	fclose(f);
	return true;
}

START_TEST(tls)
{
	char dir[] = "/tmp/check_http.XXXXXX", file[64], url[100];
	struct http_settings s = { .netrc = "", .ca_file = file };
	struct scorpio_http x;
	struct server t;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/cert.pem", dir);
	if (make_certificate(file)) {
		server_start(&t, "--tls", file);
		snprintf(url, sizeof(url), "https://127.0.0.1:%d/hello",
			 t.port);
		settings(0); /* nobody vouches for it */
		x = request(url);
		ck_assert_int_eq(http_perform(&x), -EIO);
		ck_has(error_text(-EIO), "certificate is not trusted");
		ck_has(error_text(-EIO), "http.ca_file");
		http_configure(&s);
		ck_assert_str_eq(get(url), "hello");
		/* never down to http, nor to a name it is not for */
		snprintf(url, sizeof(url),
			 "https://127.0.0.1:%d/redirect?to=http:%%2F%%2F"
			 "127.0.0.1:%d%%2Fhello", t.port, server.port);
		x = request(url);
		ck_assert_int_eq(http_perform(&x), -EIO);
		ck_has(error_text(-EIO), "redirected from https to http");
		snprintf(url, sizeof(url), "https://localhost:%d/", t.port);
		x = request(url);
		ck_assert_int_eq(http_perform(&x), -EIO);
		ck_has(error_text(-EIO), "certificate is not trusted");
		server_stop(&t);
	}
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
	const TTest *const tests[] = {
		simple, headers_and_login, bodies, streamed_bodies, redirects,
		login_stays_home, netrc, limits, compression, proxy,
		unix_socket, tls, escape, NULL,
	};

	return run_tests("http", tests);
}
