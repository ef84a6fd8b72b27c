/* SPDX-License-Identifier: Apache-2.0 */
/* What an LFS server answers to a batch. */
#include "core/base.h"

#include "backends/lfs/upload.h"

#include <check.h>
#include <time.h>

#define A "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
#define B "5d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
#define BASE "https://lfs.example:8443/x"

static struct lfsaction a[2];
static const char *why;

static int parse(const char *text)
{
	for (int i = 0; i < 2; i++) {
		lfsaction_done(&a[i]);
		memset(&a[i], 0, sizeof(a[i]));
		ck_assert(lfs_unhex(i ? B : A, LFS_OID_LEN, a[i].oid));
		a[i].size = (uint64_t)i + 1;
	}
	why = NULL;
	return lfsbatch_parse(text, strlen(text), BASE, "download", a, 2,
			      &why);
}

static void done(void)
{
	lfsaction_done(&a[0]);
	lfsaction_done(&a[1]);
}

START_TEST(good)
{
	ck_assert_int_eq(parse(
		"{\"transfer\":\"basic\",\"objects\":[{\"oid\":\"" B "\","
		"\"size\":2,\"error\":{\"code\":404,\"message\":\"go\\u001bne\""
		"}},{\"oid\":\"" A "\",\"size\":1,\"authenticated\":true,"
		"\"actions\":{\"download\":{\"href\":\"http://0.0.0.0:1/o\","
		"\"header\":{\"X-Token\":\"t\"},\"expires_in\":60}}}],"
		"\"hash_algo\":\"sha256\"}"), 0);
	ck_assert_int_eq(a[0].error, 0);
	ck_assert_str_eq(a[0].href, "https://lfs.example:8443/o");
	ck_assert(a[0].ours);
	ck_assert_str_eq(a[0].headers[0], "X-Token: t");
	ck_assert_ptr_null(a[0].headers[1]);
	ck_assert(a[0].expires_at >= time(NULL) + 50 &&
		  a[0].expires_at <= time(NULL) + 70);
	ck_assert_int_eq(a[1].error, -EREMOTEIO);
	ck_assert(strstr(a[1].why, "404: gone"));
	done();
}
END_TEST

START_TEST(each_alone)
{
	/* one without a word, one with another size */
	ck_assert_int_eq(parse("{\"objects\":[{\"oid\":\"" A "\",\"size\":3,"
			       "\"actions\":{\"download\":{\"href\":"
			       "\"http://h/o\"}}}]}"), 0);
	ck_assert_int_eq(a[0].error, -EBADMSG);
	ck_assert(strstr(a[0].why, "size"));
	ck_assert_int_eq(a[1].error, -EBADMSG);
	/* header injection, no link, a link that is none */
	ck_assert_int_eq(parse("{\"objects\":[{\"oid\":\"" A "\",\"size\":1,"
			       "\"actions\":{\"download\":{\"href\":"
			       "\"http://h/o\",\"header\":{\"A\":\"b\\r\\nC: "
			       "d\"}}}},{\"oid\":\"" B "\",\"size\":2,"
			       "\"actions\":{}}]}"), 0);
	ck_assert_int_eq(a[0].error, -EBADMSG);
	ck_assert_ptr_null(a[0].href);
	ck_assert_int_eq(a[1].error, -EBADMSG);
	ck_assert_int_eq(parse("{\"objects\":[{\"oid\":\"" A "\",\"size\":1,"
			       "\"actions\":{\"download\":{\"href\":"
			       "\"file:///etc/passwd\"}}}]}"), 0);
	ck_assert_int_eq(a[0].error, -EBADMSG);
	done();
}
END_TEST

START_TEST(no_use)
{
	static const char *const texts[] = {
		"", "<html>", "[]", "{}", "{\"objects\":{}}",
		"{\"objects\":[],\"transfer\":\"tus\"}",
		"{\"objects\":[],\"hash_algo\":\"sha512\"}",
		"{\"objects\":[{\"oid\":\"../../x\"}]}",
		"{\"objects\":[{}]}", "{\"objects\":[1]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		ck_assert_msg(parse(texts[i]) == -EBADMSG && why, "%s",
			      texts[i]);
	done();
}
END_TEST

static struct lfsaction check[2];

static int parse_upload(const char *text)
{
	for (int i = 0; i < 2; i++) {
		lfsaction_done(&a[i]);
		lfsaction_done(&check[i]);
		memset(&a[i], 0, sizeof(a[i]));
		ck_assert(lfs_unhex(i ? B : A, LFS_OID_LEN, a[i].oid));
		a[i].size = (uint64_t)i + 1;
		check[i] = a[i];
	}
	why = NULL;
	return lfsupload_parse(text, strlen(text), BASE, a, check, 2, &why);
}

START_TEST(uploads)
{
	/* one is wanted, and to be verified; the other one is there */
	ck_assert_int_eq(parse_upload(
		"{\"objects\":[{\"oid\":\"" A "\",\"size\":1,\"actions\":{"
		"\"upload\":{\"href\":\"http://0.0.0.0:1/o\",\"expires_in\":"
		"60},\"verify\":{\"href\":\"https://other/v\"}}},{\"oid\":\""
		B "\",\"size\":2}]}"), 0);
	ck_assert(!a[0].error && !check[0].error);
	ck_assert_str_eq(a[0].href, "https://lfs.example:8443/o");
	ck_assert_str_eq(check[0].href, "https://other/v");
	ck_assert(a[0].ours && !check[0].ours);
	ck_assert(a[0].expires_at < INT64_MAX);
	ck_assert(!a[1].error && !a[1].href && !check[1].href);
	/* refused, without what a terminal would do; not spoken of */
	ck_assert_int_eq(parse_upload(
		"{\"objects\":[{\"oid\":\"" A "\",\"size\":1,\"error\":{"
		"\"code\":403,\"message\":\"n\\u001bo\\n\"}}]}"), 0);
	ck_assert_int_eq(a[0].error, -EACCES);
	ck_assert_ptr_nonnull(strstr(a[0].why, "403: no"));
	ck_assert_int_eq(a[1].error, -EBADMSG);
	/* another size; no link to follow */
	ck_assert_int_eq(parse_upload(
		"{\"objects\":[{\"oid\":\"" A "\",\"size\":7,\"actions\":{"
		"\"upload\":{\"href\":\"http://h/o\"}}},{\"oid\":\"" B
		"\",\"size\":2,\"actions\":{\"upload\":{\"href\":\"http://h/o\""
		"},\"verify\":{\"href\":\"file:///x\"}}}]}"), 0);
	ck_assert_int_eq(a[0].error, -EBADMSG);
	ck_assert(!a[1].error && a[1].href);
	ck_assert_int_eq(check[1].error, -EBADMSG);
	ck_assert_int_eq(parse_upload("{\"objects\":1}"), -EBADMSG);
	parse_upload("");
	done();
}
END_TEST

START_TEST(times)
{
	ck_assert_int_eq(lfs_time("1970-01-01T00:00:10Z"), 10);
	ck_assert_int_eq(lfs_time("2016-11-10T15:29:07Z"), 1478791747);
	ck_assert_int_eq(lfs_time("2016-11-10T15:29:07.25+01:30"),
			 1478791747 - 5400);
	ck_assert_int_eq(lfs_time("2016-11-10T15:29:07"), INT64_MIN);
	ck_assert_int_eq(lfs_time("2016-13-10T15:29:07Z"), INT64_MIN);
	ck_assert_int_eq(lfs_time(""), INT64_MIN);
	ck_assert_int_eq(lfs_time("yesterday"), INT64_MIN);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lfs batch");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, good);
	tcase_add_test(t, each_alone);
	tcase_add_test(t, no_use);
	tcase_add_test(t, uploads);
	tcase_add_test(t, times);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
