/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include "core/json.h"
#include "core/path.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>

static char dir[64], file[80];

/* stderr would clutter the output of the test */
static void setup(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	close(null);
	unsetenv("JOURNAL_STREAM");
	snprintf(dir, sizeof(dir), "/tmp/check_log.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/log", dir);
	ck_assert_int_eq(log_set_file(file), 0);
}

static void teardown(void)
{
	log_set_file(NULL);
	path_empty_dir(dir);
	rmdir(dir);
}

static char *written(void)
{
	char *s;

	ck_assert_int_eq(path_read(file, MiB, &s, NULL), 0);
	return s;
}

static unsigned lines(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

START_TEST(levels)
{
	ck_assert(log_set_level("warn") && log_level() == LOG_WARN);
	ck_assert(log_set_level("DEBUG") && log_level() == LOG_DEBUG);
	ck_assert(log_set_level("warn,scorpio=debug,h2=error"));
	ck_assert_int_eq(log_level(), LOG_DEBUG);
	ck_assert(!log_set_level("loud"));
	ck_assert(!log_set_level(""));
	ck_assert(!log_set_level("info,x=loud"));
	ck_assert_int_eq(log_level(), LOG_DEBUG); /* unchanged */
	ck_assert(log_set_level("trace") && log_level() == LOG_DEBUG);
	ck_assert(log_set_level("info") && log_level() == LOG_INFO);
}
END_TEST

START_TEST(logfmt)
{
	char *s;
	struct stat st;

	log_info("store", "opened \"%s\"\n\x1b[31m\xff", "x\\y");
	log_debug("store", "not shown");
	s = written();
	ck_assert_uint_eq(lines(s), 1);
	ck_assert(!strncmp(s, "ts=20", 5));
	ck_assert_ptr_nonnull(strstr(s, "Z level=info area=store msg=\"opened "
					"\\\"x\\\\y\\\"\\n\\u001b[31m"
					"\xef\xbf\xbd\"\n"));
	free(s);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(json)
{
	json_t *v = NULL;
	char *s;

	log_set_json(true);
	log_error("git", "say \"hi\"\t\x01\xc3\xbc\x80");
	s = written();
	ck_assert_int_eq(json_parse(s, strlen(s), "line", &v), 0);
	ck_assert_str_eq(json_get_text(v, "level", ""), "error");
	ck_assert_str_eq(json_get_text(v, "area", ""), "git");
	ck_assert_str_eq(json_get_text(v, "msg", ""),
			 "say \"hi\"\t\x01\xc3\xbc\xef\xbf\xbd");
	json_decref(v);
	free(s);
}
END_TEST

START_TEST(rate_limit)
{
	struct log_site site = { 0 };
	char *s;
	int i;

	for (i = 0; i < 1000; i++)
		log_write(&site, LOG_INFO, "x", "again");
	for (i = 0; i < 30; i++) /* another site has its own */
		log_write(NULL, LOG_INFO, "x", "unlimited");
	s = written();
	ck_assert_uint_ge(lines(s), 50);
	ck_assert_uint_le(lines(s), 70); /* a second may turn meanwhile */
	free(s);
	usleep(1100000); /* the next second says how many were dropped */
	log_write(&site, LOG_INFO, "x", "again");
	s = written();
	ck_assert_ptr_nonnull(strstr(s, "suppressed="));
	free(s);
}
END_TEST

START_TEST(recent)
{
	char *s;
	int i;

	s = log_recent(5);
	ck_assert_str_eq(s, "");
	free(s);
	for (i = 0; i < 1000; i++)
		log_write(NULL, LOG_INFO, "x", "line %d", i);
	s = log_recent(3);
	ck_assert_uint_eq(lines(s), 3);
	ck_assert_ptr_nonnull(strstr(s, "line 997"));
	ck_assert_ptr_nonnull(strstr(s, "line 999"));
	free(s);
	s = log_recent(SIZE_MAX);
	ck_assert_uint_ge(lines(s), 100);
	free(s);
}
END_TEST

static void ck_redact(const char *in, const char *out)
{
	char buf[100];

	ck_assert_str_eq(log_redact(in, buf, sizeof(buf)), out);
}

START_TEST(redact)
{
	char small[8];

	ck_redact("https://h/x", "https://h/x");
	ck_redact("https://u:p@h:1/x", "https://h:1/x");
	ck_redact("https://u:p@ss@h/x", "https://h/x");
	ck_redact("git+https://tok@h/x?a=1&b&c=2#f",
		  "git+https://h/x?a=***&b&c=***");
	ck_redact("https://h/a@b", "https://h/a@b");
	ck_redact("/local/path:with@stuff", "/local/path:with@stuff");
	ck_redact("git@host:path", "git@host:path");
	ck_redact("u:p@host/path", "host/path");
	ck_assert_str_eq(log_redact("https://host/", small, sizeof(small)),
			 "https:/");
}
END_TEST

static void *write_many(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		log_write(NULL, LOG_INFO, "x", "line");
		free(log_recent(2));
	}
	return NULL;
}

START_TEST(threads)
{
	pthread_t t[4];
	char *s;
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, write_many, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	s = written();
	ck_assert_uint_eq(lines(s), 400);
	free(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, levels);
	tcase_add_test(t, logfmt);
	tcase_add_test(t, json);
	tcase_add_test(t, rate_limit);
	tcase_add_test(t, recent);
	tcase_add_test(t, redact);
	tcase_add_test(t, threads);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
