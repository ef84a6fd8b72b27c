/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include "core/error.h"

#include <check.h>

static json_t *parse(const char *s)
{
	json_t *v = NULL;

	ck_assert_int_eq(json_parse(s, strlen(s), "x", &v), 0);
	return v;
}

START_TEST(parsing)
{
	json_t *v = parse("{\"t\":\"a\",\"i\":-5,\"b\":true,\"r\":1.5,"
			  "\"n\":null}");

	ck_assert_str_eq(json_get_text(v, "t", "d"), "a");
	ck_assert_str_eq(json_get_text(v, "i", "d"), "d");
	ck_assert_str_eq(json_get_text(v, "n", "d"), "d");
	ck_assert_ptr_null(json_get_text(NULL, "t", NULL));
	ck_assert_int_eq(json_get_int(v, "i", 1), -5);
	ck_assert_int_eq(json_get_int(v, "t", 1), 1);
	ck_assert(json_get_bool(v, "b", false));
	ck_assert(json_get_bool(v, "absent", true));
	ck_assert_double_eq(json_get_real(v, "r", 0), 1.5);
	ck_assert_double_eq(json_get_real(v, "i", 0), -5);
	json_decref(v);
}
END_TEST

START_TEST(refusals)
{
	static const char *const bad[] = {
		"",	      "{\"a\":1,\"a\":2}", "[1] x", "\"\xff\"",
		"[18446744073709551615]", "{\"a\\u0000\":1}", "[1,]",
	};
	json_t *v = (json_t *)8;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(json_parse(bad[i], strlen(bad[i]), "body", &v),
				 -EBADMSG);
		ck_assert_ptr_eq(v, (json_t *)8);
		ck_assert(!strncmp(error_text(-EBADMSG), "body:", 5));
	}
	ck_assert_int_eq(json_parse("{\n  oops}", 9, "body", &v), -EBADMSG);
	ck_assert(!strncmp(error_text(-EBADMSG), "body:2:", 7));
}
END_TEST

static void there_and_back(const char *p, size_t n, const char *text)
{
	json_t *v = json_bytes(p, n);
	struct buf b = BUF_INIT;

	ck_assert_ptr_nonnull(v);
	ck_assert_str_eq(json_string_value(v), text);
	ck_assert(json_bytes_decode(json_string_value(v), &b));
	ck_assert_uint_eq(b.len, n);
	ck_assert(!n || !memcmp(b.data, p, n));
	buf_done(&b);
	json_decref(v);
}

START_TEST(bytes)
{
	static const uint8_t overlong[] = { 0xc0, 0x80, 0xed, 0xa0, 0x80,
					    0xf4, 0x90, 0x80, 0x80 };
	struct buf b = BUF_INIT;
	char all[256];
	json_t *v;
	int i;

	there_and_back("", 0, "");
	there_and_back("plain", 5, "plain");
	there_and_back("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
	there_and_back("a\\b", 3, "a\\\\b");
	there_and_back("a\\xff", 5, "a\\\\xff");
	there_and_back("a\xff", 2, "a\\xff");
	there_and_back("\xf0\x9f\x98", 3, "\\xf0\\x9f\\x98"); /* cut off */
	there_and_back("a\0b", 3, "a\\x00b");
	there_and_back((const char *)overlong, 9,
		       "\\xc0\\x80\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80");
	for (i = 0; i < 256; i++)
		all[i] = (char)i;
	v = json_bytes(all, 256);
	ck_assert(json_bytes_decode(json_string_value(v), &b));
	ck_assert_uint_eq(b.len, 256);
	ck_assert(!memcmp(b.data, all, 256));
	json_decref(v);
	ck_assert(!json_bytes_decode("\\", &b));
	ck_assert(!json_bytes_decode("\\x1", &b));
	ck_assert(!json_bytes_decode("\\xg0", &b));
	ck_assert(!json_bytes_decode("\\n", &b));
	buf_done(&b);
}
END_TEST

START_TEST(utf8)
{
	ck_assert_uint_eq(utf8_valid("abc", 3), 3);
	ck_assert_uint_eq(utf8_valid("ab\xff", 3), 2);
	ck_assert_uint_eq(utf8_char("\xe2\x82\xac", 3), 3);
	ck_assert_uint_eq(utf8_char("\xe2\x82\xac", 2), 0);
	ck_assert_uint_eq(utf8_char("\xf0\x9f\x98\x80", 4), 4);
	ck_assert_uint_eq(utf8_char("\xf0\x8f\xbf\xbf", 4), 0);
	ck_assert_uint_eq(utf8_char("\x80", 1), 0);
}
END_TEST

START_TEST(printing)
{
	json_t *v = parse("{\"b\":[1,\"x\"],\"a\":null}");
	struct buf b = BUF_INIT;

	json_print(v, &b);
	ck_assert_str_eq(buf_str(&b), "{\"b\":[1,\"x\"],\"a\":null}");
	buf_done(&b);
	json_print_pretty(v, &b);
	ck_assert_ptr_nonnull(strstr(buf_str(&b), "\n  \"b\": ["));
	buf_done(&b);
	json_decref(v);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("json");
	TCase *t = tcase_create("json");
	SRunner *r;
	int failed;

	tcase_add_test(t, parsing);
	tcase_add_test(t, refusals);
	tcase_add_test(t, bytes);
	tcase_add_test(t, utf8);
	tcase_add_test(t, printing);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
