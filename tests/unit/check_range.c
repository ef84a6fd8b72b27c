/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base.h"

#include <check.h>

#include "api/http/range.h"

static struct range r;

static int parse(const char *value, uint64_t size)
{
	memset(&r, 0, sizeof(r));
	return range_parse(value, size, &r);
}

#define ck_part(i, off, len)                                                   \
	do {                                                                   \
		ck_assert_uint_eq(r.part[i].offset, off);                      \
		ck_assert_uint_eq(r.part[i].length, len);                      \
	} while (0)

START_TEST(single)
{
	ck_assert_int_eq(parse("bytes=0-9", 100), 1);
	ck_part(0, 0, 10);
	ck_assert_int_eq(parse("bytes=90-", 100), 1);
	ck_part(0, 90, 10);
	ck_assert_int_eq(parse("bytes=-5", 100), 1);
	ck_part(0, 95, 5);
	ck_assert_int_eq(parse("bytes=-500", 100), 1);
	ck_part(0, 0, 100);
	ck_assert_int_eq(parse("Bytes = 1-1", 100), 1);
	ck_part(0, 1, 1);
	ck_assert_int_eq(parse("bytes=50-1000", 100), 1);
	ck_part(0, 50, 50);
	ck_assert_int_eq(parse("bytes=0-99999999999999999999999", 100), 1);
	ck_part(0, 0, 100);
}
END_TEST

START_TEST(several)
{
	ck_assert_int_eq(parse("bytes=0-1, 10-11 ,,-1", 100), 3);
	ck_part(0, 0, 2);
	ck_part(1, 10, 2);
	ck_part(2, 99, 1);
	/* neighbours that touch become one */
	ck_assert_int_eq(parse("bytes=0-4,5-9", 100), 1);
	ck_part(0, 0, 10);
	/* one that fits is enough */
	ck_assert_int_eq(parse("bytes=200-300,1-2", 100), 1);
	ck_part(0, 1, 2);
}
END_TEST

START_TEST(unsatisfiable)
{
	ck_assert_int_eq(parse("bytes=100-", 100), -ERANGE);
	ck_assert_int_eq(parse("bytes=0-", 0), -ERANGE);
	ck_assert_int_eq(parse("bytes=-0", 100), -ERANGE);
	ck_assert_int_eq(parse("bytes=99999999999999999999-", 100), -ERANGE);
}
END_TEST

START_TEST(ignored)
{
	static const char *const bad[] = {
		"", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=a-b",
		"bytes=5-4", "items=0-1", "bytes=0-1;2-3", "bytes=0-1 2-3",
		"bytes=0", "bytes=--1", "bytes=1-2-3", "bytes 0-1",
		"bytes=+1-2", "bytes=0x1-2",
		/* overlapping in a way that only wastes work */
		"bytes=0-50,80-90,10-20",
	};

	ck_assert_int_eq(parse(NULL, 100), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(parse(bad[i], 100) == 0, "%s", bad[i]);
}
END_TEST

START_TEST(too_many)
{
	char text[1024] = "bytes=0-0";

	for (int i = 1; i <= 40; i++)
		snprintf(text + strlen(text), 16, ",%d-%d", i * 10, i * 10);
	ck_assert_int_eq(parse(text, 10000), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("range");
	TCase *c = tcase_create("range");
	SRunner *sr;
	int failed;

	tcase_add_test(c, single);
	tcase_add_test(c, several);
	tcase_add_test(c, unsatisfiable);
	tcase_add_test(c, ignored);
	tcase_add_test(c, too_many);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
