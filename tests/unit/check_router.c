/* SPDX-License-Identifier: Apache-2.0 */
/* Targets taken apart, and the route they find. */
#include "core/base.h"

#include <check.h>

#include "api/http/router.h"

static struct target u;

static int parse(const char *text)
{
	target_done(&u);
	return target_parse(text, strlen(text), &u);
}

START_TEST(good_targets)
{
	ck_assert_int_eq(parse("/"), 0);
	ck_assert_uint_eq(u.n, 0);
	ck_assert_int_eq(parse("/a/b%20c/d%2Fe?x=1&y=a+b%26&z"), 0);
	ck_assert_uint_eq(u.n, 3);
	ck_assert_str_eq(u.segment[1], "b c");
	ck_assert_str_eq(u.segment[2], "d/e");
	ck_assert_str_eq(target_query(&u, "x", "?"), "1");
	ck_assert_str_eq(target_query(&u, "y", "?"), "a b&");
	ck_assert_str_eq(target_query(&u, "z", "?"), "");
	ck_assert_str_eq(target_query(&u, "absent", "?"), "?");
	ck_assert_str_eq(u.path, "/a/b%20c/d%2Fe");
	ck_assert_int_eq(parse("/\xc3\xa4/%ff"), 0);
	ck_assert_str_eq(u.segment[1], "\xff");
	ck_assert_int_eq(parse("/a+b"), 0);
	ck_assert_str_eq(u.segment[0], "a+b");
	ck_assert_int_eq(parse("/x?a=1=2&a=3&&"), 0);
	ck_assert_str_eq(target_query(&u, "a", "?"), "1=2");
	target_done(&u);
}
END_TEST

START_TEST(bad_targets)
{
	static const struct {
		const char *text;
		int err;
	} bad[] = {
		{ "", -EBADMSG },
		{ "x", -EBADMSG },
		{ "*", -EBADMSG },
		{ "http://host/x", -EBADMSG },
		{ "//x", -EBADMSG },
		{ "/a//b", -EBADMSG },
		{ "/a%0", -EBADMSG },
		{ "/a%", -EBADMSG },
		{ "/a%zz", -EBADMSG },
		{ "/a%00b", -EBADMSG },
		{ "/?q=%00", -EBADMSG },
		{ "/?q=%4", -EBADMSG },
		{ "/a b", -EBADMSG },
		{ "/a\\b", -EBADMSG },
		{ "/a\tb", -EBADMSG },
		{ "/a#b", -EBADMSG },
		{ "/..", -EPERM },
		{ "/a/../b", -EPERM },
		{ "/a/%2e%2E/b", -EPERM },
		{ "/./a", -EPERM },
		{ "/a/.%2e", -EPERM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = parse(bad[i].text);

		ck_assert_msg(r == bad[i].err, "%s: %d", bad[i].text, r);
		ck_assert_ptr_null(u.copy);
	}
}
END_TEST

START_TEST(limits)
{
	char text[TARGET_LEN_MAX + 2] = "";

	for (unsigned i = 0; i < TARGET_SEGMENTS_MAX; i++)
		memcpy(text + 2 * i, "/a", 3);
	ck_assert_int_eq(parse(text), 0);
	memcpy(text + 2 * TARGET_SEGMENTS_MAX, "/a", 3);
	ck_assert_int_eq(parse(text), -E2BIG);
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[TARGET_LEN_MAX] = '\0';
	ck_assert_int_eq(parse(text), 0);
	text[TARGET_LEN_MAX] = 'x';
	text[TARGET_LEN_MAX + 1] = '\0';
	ck_assert_int_eq(parse(text), -E2BIG);
	memset(text, '\0', sizeof(text));
	memcpy(text, "/?", 2);
	for (unsigned i = 0; i <= TARGET_QUERY_MAX; i++)
		memcpy(text + 2 + 2 * i, "a&", 2);
	ck_assert_int_eq(parse(text), -E2BIG);
}
END_TEST

static int nothing(struct request *r UNUSED)
{
	return 0;
}

static const struct route table[] = {
	{ "GET", "/", nothing, 0 },
	{ "GET", "/mounts", nothing, 0 },
	{ "POST", "/mounts", nothing, 0 },
	{ "GET", "/mounts/{id}", nothing, 0 },
	{ "DELETE", "/mounts/{id}", nothing, 0 },
	{ "GET", "/mounts/special", nothing, ROUTE_PUBLIC },
	{ "POST", "/{kind}/{name}/record", nothing, 0 },
	{ "GET", "/{*at}/info/refs", nothing, 0 },
	{ "GET", "/mounts/{id}/info/refs", nothing, 0 },
	{ "PUT", "/{*at}/objects/{oid}", nothing, 0 },
	{ NULL, NULL, NULL, 0 },
};

static int find(const char *method, const char *target, struct route_match *m,
		char allow[128])
{
	static struct router *r;

	if (!r) {
		r = router_new();
		router_add(r, table);
	}
	if (!method) {
		router_free(r);
		r = NULL;
		return 0;
	}
	ck_assert_int_eq(parse(target), 0);
	return router_find(r, method, &u, m, allow, 128);
}

START_TEST(routes)
{
	struct route_match m;
	char allow[128];

	ck_assert_int_eq(find("GET", "/", &m, allow), 0);
	ck_assert_ptr_eq(m.route, &table[0]);
	ck_assert_int_eq(find("HEAD", "/mounts?x=1", &m, allow), 0);
	ck_assert_ptr_eq(m.route, &table[1]);
	ck_assert_int_eq(find("POST", "/mounts", &m, allow), 0);
	ck_assert_ptr_eq(m.route, &table[2]);
	ck_assert_int_eq(find("DELETE", "/mounts/%2Fmnt%2Fa", &m, allow), 0);
	ck_assert_str_eq(route_param(&m, "id"), "/mnt/a");
	ck_assert_ptr_null(route_param(&m, "i"));
	/* a literal wins over a parameter, whatever the order */
	ck_assert_int_eq(find("GET", "/mounts/special", &m, allow), 0);
	ck_assert_ptr_eq(m.route, &table[5]);
	ck_assert_int_eq(find("POST", "/a/b/record", &m, allow), 0);
	ck_assert_str_eq(route_param(&m, "kind"), "a");
	ck_assert_str_eq(route_param(&m, "name"), "b");

	ck_assert_int_eq(find("GET", "/mount", &m, allow), -ENOENT);
	ck_assert_int_eq(find("GET", "/mounts/", &m, allow), -ENOENT);
	ck_assert_int_eq(find("GET", "/mounts/a/b", &m, allow), -ENOENT);
	ck_assert_int_eq(find("PUT", "/mounts", &m, allow), -EPERM);
	ck_assert_str_eq(allow, "GET, POST");
	ck_assert_int_eq(find("POST", "/mounts/x", &m, allow), -EPERM);
	ck_assert_str_eq(allow, "GET, DELETE");
	find(NULL, NULL, NULL, NULL);
	target_done(&u);
}
END_TEST

START_TEST(wide)
{
	struct route_match m;
	char allow[128];

	ck_assert_int_eq(find("GET", "/a/b%20c/d%2Fe.git/info/refs?x", &m,
			      allow), 0);
	ck_assert_ptr_eq(m.route, &table[7]);
	ck_assert_str_eq(route_param(&m, "at"), "a/b c/d/e.git");
	route_match_done(&m);
	route_match_done(&m);
	ck_assert_int_eq(find("GET", "/a/info/refs", &m, allow), 0);
	ck_assert_str_eq(route_param(&m, "at"), "a");
	route_match_done(&m);
	/* its own name may be in what it takes */
	ck_assert_int_eq(find("GET", "/info/refs/info/refs", &m, allow), 0);
	ck_assert_str_eq(route_param(&m, "at"), "info/refs");
	route_match_done(&m);
	ck_assert_int_eq(find("GET", "/mounts/x/info/refs", &m, allow), 0);
	ck_assert_ptr_eq(m.route, &table[8]);
	route_match_done(&m);
	ck_assert_int_eq(find("PUT", "/x/y/objects/1", &m, allow), 0);
	ck_assert_str_eq(route_param(&m, "oid"), "1");
	ck_assert_str_eq(route_param(&m, "at"), "x/y");
	route_match_done(&m);
	ck_assert_int_eq(find("GET", "/info/refs", &m, allow), -ENOENT);
	ck_assert_int_eq(find("GET", "/a/info/refs/", &m, allow), -ENOENT);
	ck_assert_int_eq(find("PUT", "/a/info/refs", &m, allow), -EPERM);
	find(NULL, NULL, NULL, NULL);
	target_done(&u);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("router");
	TCase *c = tcase_create("router");
	SRunner *sr;
	int failed;

	tcase_add_test(c, good_targets);
	tcase_add_test(c, bad_targets);
	tcase_add_test(c, limits);
	tcase_add_test(c, routes);
	tcase_add_test(c, wide);
	suite_add_tcase(s, c);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
