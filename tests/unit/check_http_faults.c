/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/http_test.h"

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
	ck_assert_int_lt(now_ns() - t, 20 * NS_PER_S);
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
	x = request(at("/status?code=429&times=1&retry_after=70&key=a2"));
	x.timeout_ms = 60000;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 429);
	ck_assert_uint_eq(x.retry_after_s, 70);
	ck_assert_int_lt(now_ns() - t, 15 * NS_PER_S);
}
END_TEST

START_TEST(deadlines)
{
	struct scorpio_http x = request(at("/stall"));
	int64_t t = now_ns();

	settings(0);
	x.timeout_ms = 200;
	ck_assert_int_eq(http_perform(&x), -ETIMEDOUT);
	ck_assert_int_lt(now_ns() - t, 10 * NS_PER_S);
	ck_prefix(error_text(-ETIMEDOUT), "http://127.0.0.1:");
	ck_has(error_text(-ETIMEDOUT), "not finished within the time allowed");
	t = now_ns();
	x = request(at("/stall?head=1"));
	x.stall_ms = 200;
	ck_assert_int_eq(http_perform(&x), -ETIMEDOUT);
	ck_assert_int_lt(now_ns() - t, 10 * NS_PER_S);
	ck_has(error_text(-ETIMEDOUT), "sent nothing for 0.2 s");
	ck_has(error_text(-ETIMEDOUT), "10 bytes received");
	/* slow but alive is no stall */
	x = request(at("/drip?n=12&ms=100"));
	x.stall_ms = 1000;
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_str_eq(body(), "............");
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
	ck_assert_int_lt(now_ns() - t, 10 * NS_PER_S);
	pthread_join(thread, NULL);
	ck_assert_int_eq(http_perform(&x), -EINTR); /* at once */
	call_leave(&c);
	/* the deadline of the call counts too, also between retries */
	t = now_ns();
	settings(20);
	x = request(at("/status?code=503&key=c1"));
	call_enter(&c, deadline_in_ms(250), NULL);
	ck_assert_int_eq(http_perform(&x), 0);
	ck_assert_int_eq(x.status, 503);
	call_leave(&c);
	ck_assert_int_lt(now_ns() - t, 10 * NS_PER_S);
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
	ck_assert_int_lt(now_ns() - t, 10 * NS_PER_S);
	ck_has(error_text(-EIO), "is not asked now, it failed 5 times in a row"
				 " (connection refused); next try in");
	/* other servers are not meant */
	ck_assert_str_eq(get(at("/hello")), "hello");
	/* it comes back, and a probe finds out */
	server_start(&late, "--port", port);
	deadline = deadline_in_ms(20000);
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
	ck_assert_int_lt(now_ns() - t, 15 * NS_PER_S);
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

int main(void)
{
	const TTest *const tests[] = {
		retries, retry_after, deadlines, cancellation, errors, circuit,
		circuit_within_retries, threads, NULL,
	};

	return run_tests("http_faults", tests);
}
