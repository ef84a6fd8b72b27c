/* SPDX-License-Identifier: Apache-2.0 */
/* The list of files of a change list, made into edits. */
#include "core/base.h"

#include "backends/mono/clfiles.h"

#include <check.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEAD "{\"req_result\":true,\"data\":["
#define TAIL "],\"err_message\":\"\"}"
#define FILE_(path, sha, action) \
	"{\"path\":\"" path "\",\"sha\":\"" sha "\",\"action\":\"" action "\"}"

static char said[200];
static const char *why;

static int parse(const char *text, const char *root, struct monoedits *l)
{
	memset(l, 0, sizeof(*l));
	why = "";
	return monoedits_parse(l, text, strlen(text), root, said,
			       sizeof(said), &why);
}

static void is(const struct monoedits *l, size_t i, const char *path, bool put,
	       const char *from)
{
	ck_assert_str_eq(l->e[i].path, path);
	ck_assert_int_eq(l->e[i].put, put);
	if (from)
		ck_assert_str_eq(l->e[i].from, from);
	else
		ck_assert_ptr_null(l->e[i].from);
}

START_TEST(actions)
{
	struct monoedits l;

	ck_assert_int_eq(
		parse(HEAD FILE_("m", A, "modified") "," FILE_("d/n", B, "new")
		      "," FILE_("gone", A, "deleted") ","
		      "{\"path\":\"to\",\"old_path\":\"x/from\",\"sha\":\""
		      "sha1:" B "\",\"action\":\"renamed\","
		      "\"similarity\":80,\"mode\":\"100755\"}" TAIL,
		      "project", &l),
		0);
	ck_assert_int_eq(l.n, 5);
	is(&l, 0, "project/d/n", true, NULL);
	is(&l, 1, "project/gone", false, NULL);
	is(&l, 2, "project/m", true, NULL);
	is(&l, 3, "project/to", true, "project/x/from");
	ck_assert_int_eq(l.e[3].mode, 0100755);
	ck_assert_int_eq(l.e[3].oid[0], 0xbb);
	is(&l, 4, "project/x/from", false, NULL);
	ck_assert_int_eq(monoedits_from(&l, "project/m"), 2);
	ck_assert_int_eq(monoedits_from(&l, "project/x/"), 4);
	ck_assert_int_eq(monoedits_from(&l, "zzz"), 5);
	monoedits_done(&l);
}
END_TEST

/* What is moved to a place wins over what is removed there. */
START_TEST(same_path)
{
	struct monoedits l;

	ck_assert_int_eq(parse(HEAD FILE_("a", A, "new") ","
			       FILE_("a", B, "deleted") TAIL, "", &l), 0);
	ck_assert_int_eq(l.n, 1);
	is(&l, 0, "a", true, NULL);
	monoedits_done(&l);
}
END_TEST

START_TEST(paths)
{
	struct monoedits l;

	ck_assert_int_eq(
		parse(HEAD FILE_("../up", A, "new") "," FILE_("a/../b", A, "new")
		      "," FILE_("", A, "new") "," FILE_("/", A, "new") ","
		      FILE_("/abs//x", A, "new") "," FILE_("a/./b", A, "new")
		      "," FILE_("ok", A, "new") TAIL, "in/here", &l),
		0);
	ck_assert_int_eq(l.n, 2);
	is(&l, 0, "abs/x", true, NULL);
	is(&l, 1, "in/here/ok", true, NULL);
	ck_assert_int_eq(l.dropped, 5);
	monoedits_done(&l);
}
END_TEST

START_TEST(refused)
{
	static const char *const bad[] = {
		"", "{", "[]", "{\"req_result\":true}",
		"{\"req_result\":true,\"data\":{}}",
		HEAD FILE_("a", "12", "new") TAIL,
		HEAD FILE_("a", A, "teleported") TAIL,
		HEAD "{\"path\":\"a\",\"sha\":\"" A "\"}" TAIL,
		HEAD "{\"path\":\"a\",\"sha\":\"" A "\",\"action\":\"new\","
		     "\"mode\":\"40000\"}" TAIL,
		HEAD "7" TAIL,
		HEAD FILE_("nul\\u0000x", A, "new") TAIL,
	};
	struct monoedits l;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(parse(bad[i], "", &l), -EBADMSG);
		ck_assert(*why && !l.e);
	}
	ck_assert_int_eq(parse("{\"req_result\":false,\"data\":null,"
			       "\"err_message\":\"no such CL\"}", "", &l),
			 -EREMOTEIO);
	ck_assert_str_eq(said, "no such CL");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mono_cl");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, actions);
	tcase_add_test(t, same_path);
	tcase_add_test(t, paths);
	tcase_add_test(t, refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
