/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics.h"

#include "core/clock.h"
#include "core/spawn.h"

#include <check.h>

static METRIC(reads, "test_reads_total", METRIC_COUNTER, "op=\"read\"",
	      "Reads\nwith \\ in it.");
static METRIC(writes, "test_reads_total", METRIC_COUNTER, "op=\"write\"",
	      "Reads\nwith \\ in it.");
static METRIC(size, "test_size_bytes", METRIC_GAUGE, NULL, "Size now.");
static struct histogram latency = { .name = "test_wait_seconds",
				 .help = "Waiting.",
				 .labels = "who=\"me\"" };

static char *print(void)
{
	struct buf b = BUF_INIT;

	metrics_print(&b);
	return buf_steal(&b);
}

static unsigned occurrences(const char *text, const char *part)
{
	unsigned n = 0;

	while ((text = strstr(text, part))) {
		n++;
		text++;
	}
	return n;
}

static void fill(void)
{
	metric_register(&reads);
	metric_register(&reads); /* twice is fine */
	metric_register(&size);
	metric_register(&writes);
	histogram_register(&latency);
	metric_add(&reads, 3);
	metric_add(&writes, 1);
	metric_set(&size, -7);
	histogram_add(&latency, 500);            /* <= 1 us */
	histogram_add(&latency, 1001);           /* <= 2 us */
	histogram_add(&latency, 3 * NS_PER_MS);  /* <= 4096 us */
	histogram_add(&latency, 100 * NS_PER_S); /* above all */
	histogram_add(&latency, -5);
}

START_TEST(exposition)
{
	char *text;

	fill();
	text = print();
	ck_assert_ptr_nonnull(
		strstr(text, "# HELP test_reads_total Reads\\nwith \\\\ in it.\n"
			     "# TYPE test_reads_total counter\n"
			     "test_reads_total{op=\"read\"} 3\n"
			     "test_reads_total{op=\"write\"} 1\n"
			     "# HELP test_size_bytes Size now.\n"
			     "# TYPE test_size_bytes gauge\n"
			     "test_size_bytes -7\n"));
	ck_assert_uint_eq(occurrences(text, "# TYPE test_reads_total"), 1);
	ck_assert_ptr_nonnull(
		strstr(text, "test_wait_seconds_bucket{who=\"me\",le=\""
			     "0.000001\"} 2\n"
			     "test_wait_seconds_bucket{who=\"me\",le=\""
			     "0.000002\"} 3\n"));
	ck_assert_ptr_nonnull(strstr(text, "le=\"0.004096\"} 4\n"));
	ck_assert_ptr_nonnull(strstr(text, "le=\"0.002048\"} 3\n"));
	ck_assert_ptr_nonnull(strstr(text, "le=\"67.108864\"} 4\n"
					   "test_wait_seconds_bucket{who="
					   "\"me\",le=\"+Inf\"} 5\n"
					   "test_wait_seconds_sum{who=\"me\"} "
					   "100.003001501\n"
					   "test_wait_seconds_count{who=\"me\"}"
					   " 5\n"));
	free(text);
}
END_TEST

START_TEST(quantiles)
{
	struct histogram h = { .name = "x" };
	int i;

	ck_assert_int_eq(histogram_quantile(&h, 0.5), 0);
	for (i = 0; i < 99; i++)
		histogram_add(&h, 10000);
	histogram_add(&h, NS_PER_S);
	ck_assert_int_eq(histogram_quantile(&h, 0.5), 16000);
	ck_assert_int_eq(histogram_quantile(&h, 1), 1048576000);
}
END_TEST

START_TEST(get_and_labels)
{
	struct buf b = BUF_INIT;
	struct metric *a;
	char *text;

	metric_label(&b, "a", "x\"y\\z\n");
	metric_label(&b, "b", "2");
	ck_assert_str_eq(buf_str(&b), "a=\"x\\\"y\\\\z\\n\",b=\"2\"");
	a = metric_get("test_got_total", buf_str(&b), METRIC_COUNTER, "Got.");
	ck_assert_ptr_eq(metric_get("test_got_total", buf_str(&b),
				    METRIC_COUNTER, "Got."), a);
	ck_assert_ptr_ne(metric_get("test_got_total", NULL, METRIC_COUNTER,
				    "Got."), a);
	metric_add(a, 2);
	text = print();
	ck_assert_ptr_nonnull(strstr(text, "test_got_total{a=\"x\\\"y\\\\z\\n\","
					   "b=\"2\"} 2\n"));
	free(text);
	buf_done(&b);
}
END_TEST

static void refresh(void *ctx)
{
	metric_set(&size, *(int *)ctx);
	metric_get("test_made_while_collecting", NULL, METRIC_GAUGE, "x");
}

START_TEST(collectors)
{
	int now = 41;
	char *text;

	metric_register(&size);
	metrics_on_collect(refresh, &now);
	now = 42;
	text = print();
	ck_assert_ptr_nonnull(strstr(text, "test_size_bytes 42\n"));
	free(text);
	metrics_off_collect(refresh, &now);
	now = 43;
	text = print();
	ck_assert_ptr_nonnull(strstr(text, "test_size_bytes 42\n"));
	free(text);
}
END_TEST

static void *add_many(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 10000; i++) {
		metric_add(&reads, 1);
		histogram_add(&latency, i);
	}
	return NULL;
}

START_TEST(threads)
{
	pthread_t t[4];
	int i;

	metric_register(&reads);
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, add_many, NULL);
	free(print());
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(metric_value(&reads), 40000);
}
END_TEST

/* What Prometheus itself thinks of it, where its tool is installed. */
START_TEST(promtool)
{
	static const char *const argv[] = { "promtool", "check", "metrics",
					    NULL };
	struct scorpio_spawn x = { .struct_size = sizeof(x), .argv = argv };
	char *text;
	int r;

	metric_register(&size);
	histogram_register(&latency);
	histogram_add(&latency, 5000);
	text = print();
	x.input = text;
	x.input_len = strlen(text);
	r = spawn_run(&x);
	ck_assert(!r || r == -ENOENT);
	ck_assert_msg(r || !x.exit_status, "%s", x.error);
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("metrics");
	SRunner *r;
	int failed;

	tcase_add_test(t, exposition);
	tcase_add_test(t, quantiles);
	tcase_add_test(t, get_and_labels);
	tcase_add_test(t, collectors);
	tcase_add_test(t, threads);
	tcase_add_test(t, promtool);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
