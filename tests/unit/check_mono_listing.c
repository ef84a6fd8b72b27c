/* SPDX-License-Identifier: Apache-2.0 */
/* What a Mono server says, and what is sent to it. */
#include "core/base.h"

#include "backends/mono/listing.h"
#include "backends/mono/modes.h"
#include "backends/mono/text.h"

#include <check.h>

#define OID "0123456789abcdef0123456789ABCDEF01234567"
#define HEAD "{\"req_result\":true,\"data\":["
#define TAIL "],\"err_message\":\"\"}"
#define ENTRY(name, type) \
	"{\"name\":\"" name "\",\"content_type\":\"" type \
	"\",\"oid\":\"" OID "\"}"

static char said[200];
static const char *why;

static int parse(const char *text, struct monolist *l)
{
	memset(l, 0, sizeof(*l));
	why = "";
	return monolist_parse_json(l, text, strlen(text), said, sizeof(said),
				   &why);
}

START_TEST(json)
{
	struct monolist l;

	ck_assert_int_eq(parse(HEAD ENTRY("d", "directory") " , "
			       ENTRY("a\\u00e9 b", "file") TAIL, &l), 0);
	ck_assert_int_eq(l.n, 2);
	ck_assert(!memcmp(monolist_name(&l, &l.e[0]), "a\xc3\xa9 b", 5));
	ck_assert_int_eq(l.e[0].mode, 0);
	ck_assert_int_eq(l.e[1].mode, MONO_MODE_DIR);
	ck_assert_int_eq(l.e[0].oid[0], 0x01);
	ck_assert_int_eq(l.e[0].oid[15], 0xef);
	ck_assert(l.e[0].size == SCORPIO_SIZE_UNKNOWN);
	monolist_done(&l);
	/* nothing, in another order, with more around it */
	ck_assert_int_eq(parse(" { \"x\" : [1,{}] , \"data\" : [ ] , "
			       "\"req_result\" : true } \n", &l), 0);
	ck_assert_int_eq(l.n, 0);
	monolist_done(&l);
}
END_TEST

START_TEST(json_nameless)
{
	struct monolist l;

	ck_assert_int_eq(parse(HEAD ENTRY("", "file") ","
			       ENTRY("a", "file") TAIL, &l), 0);
	ck_assert_int_eq(l.n, 1);
	monolist_done(&l);
}
END_TEST

START_TEST(json_extras)
{
	static const char text[] =
		HEAD "{\"name\":\"x\",\"content_type\":\"file\",\"oid\":\"" OID
		     "\",\"mode\":\"100755\",\"size\":12345678901},"
		     "{\"name\":\"y\",\"content_type\":\"file\",\"oid\":\"" OID
		     "\",\"mode\":null,\"size\":null}" TAIL;
	struct monolist l;

	ck_assert_int_eq(parse(text, &l), 0);
	ck_assert_int_eq(l.e[0].mode, MONO_MODE_EXEC);
	ck_assert(l.e[0].size == 12345678901);
	ck_assert_int_eq(l.e[1].mode, 0);
	ck_assert(l.e[1].size == SCORPIO_SIZE_UNKNOWN);
	monolist_done(&l);
}
END_TEST

static const char *const bad[] = {
	"", "{", "[]", "null", "{}", "{\"req_result\":true}",
	"{\"data\":[]}", "{\"req_result\":true,\"data\":null}",
	"{\"req_result\":true,\"data\":[]", HEAD "]} x", HEAD ",]}",
	HEAD ENTRY("a", "file"), HEAD ENTRY("a", "file") "," TAIL,
	HEAD ENTRY("a", "file") ENTRY("b", "file") TAIL,
	HEAD ENTRY("a", "file") "," ENTRY("a", "directory") TAIL,
	HEAD ENTRY("a/b", "file") TAIL, HEAD ENTRY("..", "file") TAIL,
	HEAD ENTRY("a\\u0000b", "file") TAIL, HEAD ENTRY("a", "link") TAIL,
	HEAD "1" TAIL, HEAD "null" TAIL, HEAD "[]" TAIL,
	HEAD "{\"name\":\"a\",\"content_type\":\"file\"}" TAIL,
	HEAD "{\"name\":\"a\",\"content_type\":\"file\",\"oid\":\"12\"}" TAIL,
	HEAD "{\"name\":\"a\",\"content_type\":\"file\",\"oid\":\"" OID
	     "\",\"mode\":\"40000\"}" TAIL,
	HEAD "{\"name\":\"a\",\"content_type\":\"file\",\"oid\":\"" OID
	     "\",\"mode\":\"104755\"}" TAIL,
	HEAD "{\"name\":\"a\",\"content_type\":\"file\",\"oid\":\"" OID
	     "\",\"size\":-1}" TAIL,
	"{\"data\":[],\"data\":[],\"req_result\":true}",
};

START_TEST(json_bad)
{
	struct monolist l;

	ck_assert_msg(parse(bad[_i], &l) == -EBADMSG, "taken: %s", bad[_i]);
	ck_assert_msg(*why, "no reason: %s", bad[_i]);
	ck_assert_ptr_null(l.e);
}
END_TEST

START_TEST(json_refused)
{
	struct monolist l;

	ck_assert_int_eq(parse("{\"req_result\":false,\"data\":null,"
			       "\"err_message\":\"no\\nway\"}", &l),
			 -EREMOTEIO);
	ck_assert_str_eq(said, "no way");
}
END_TEST

/* The order of git: "a.c" < "a" as a directory < "a0". */
static void three(struct monolist *l, uint32_t mode)
{
	static const uint8_t oid[MONO_OID] = { 7 };

	memset(l, 0, sizeof(*l));
	ck_assert_int_eq(monolist_add(l, "a0", 2, mode, oid, 1), 0);
	ck_assert_int_eq(monolist_add(l, "a", 1, MONO_MODE_DIR, oid, 0), 0);
	ck_assert_int_eq(monolist_add(l, "a.c", 3, 0, oid, 1), 0);
	ck_assert_int_eq(monolist_sort(l), 0);
}

START_TEST(tree_order)
{
	struct monolist l, back = { 0 };
	size_t len, at[3];
	char *body;

	three(&l, MONO_MODE_LINK);
	body = monolist_tree(&l, &len, at);
	ck_assert(!memcmp(body, "100644 a.c", 10));
	ck_assert(!memcmp(body + at[1], "40000 a", 8));
	ck_assert(!memcmp(body + at[2], "120000 a0", 10));
	ck_assert_int_eq(monolist_parse_tree(&back, body, len, &why), 0);
	ck_assert(monolist_same(&l, &back));
	back.e[0].oid[3] ^= 1;
	ck_assert(!monolist_same(&l, &back));
	free(body);
	monolist_done(&l);
	monolist_done(&back);
}
END_TEST

START_TEST(tree_bad)
{
	static const char body[] = "100644 x\0" "01234567890123456789"
				   "40000 x\0" "01234567890123456789";
	struct monolist l = { 0 };
	size_t n;

	/* every cut but that between the two is noticed, and the same name */
	for (n = 1; n < sizeof(body); n++) {
		int rc = monolist_parse_tree(&l, body, n, &why);

		ck_assert_int_eq(rc, n == 29 ? 0 : -EBADMSG);
		monolist_done(&l);
	}
	ck_assert_int_eq(monolist_parse_tree(&l, body + 1, 28, &why), -EBADMSG);
}
END_TEST

START_TEST(tree_ids)
{
	/* of the empty tree, as every git knows it */
	char hex[MONO_HEX + 1];
	uint8_t id[MONO_OID];

	monotree_id("", 0, id);
	monohex_encode(id, MONO_OID, hex);
	ck_assert_str_eq(hex, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}
END_TEST

/* -- modes ----------------------------------------------------------------- */

static const uint32_t kinds[] = { MONO_MODE_FILE, MONO_MODE_EXEC,
				  MONO_MODE_LINK, MONO_MODE_SUB };

/* n files, entry i of modes[i]; `id` is that of the tree. */
static void files(struct monolist *l, size_t n, const uint32_t *modes,
		  uint8_t id[MONO_OID])
{
	uint8_t oid[MONO_OID] = { 0 };
	size_t len, i;
	char *body;

	memset(l, 0, sizeof(*l));
	for (i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "f%05zu", i);
		oid[0] = (uint8_t)i;
		ck_assert_int_eq(monolist_add(l, name, 6, modes[i], oid, 0), 0);
	}
	ck_assert_int_eq(monolist_sort(l), 0);
	body = monolist_tree(l, &len, NULL);
	monotree_id(body, len, id);
	free(body);
}

static void forget(struct monolist *l)
{
	for (size_t i = 0; i < l->n; i++)
		l->e[i].mode = 0;
}

START_TEST(modes_found)
{
	struct monolist l, none = { 0 };
	uint32_t modes[400];
	uint8_t id[MONO_OID];
	size_t i, n = 400, odd = (size_t)_i;

	for (i = 0; i < n; i++)
		modes[i] = MONO_MODE_FILE;
	/* none, one or two that are not plain files */
	for (i = 0; i < odd; i++)
		modes[17 + 23 * i] = kinds[1 + i % 3];
	n = odd == 2 ? 60 : n;
	files(&l, n, modes, id);
	forget(&l);
	ck_assert(monomodes_solve(&l, &none, id));
	for (i = 0; i < n; i++)
		ck_assert_int_eq(l.e[i].mode, modes[i]);
	monolist_done(&l);
}
END_TEST

START_TEST(modes_of_few)
{
	struct monolist l, none = { 0 };
	uint32_t modes[6];
	uint8_t id[MONO_OID];
	size_t i;
	int way = _i;

	for (i = 0; i < 6; i++, way /= 3)
		modes[i] = kinds[way % 3];
	files(&l, 6, modes, id);
	forget(&l);
	ck_assert(monomodes_solve(&l, &none, id));
	for (i = 0; i < 6; i++)
		ck_assert_int_eq(l.e[i].mode, modes[i]);
	monolist_done(&l);
}
END_TEST

START_TEST(modes_hinted)
{
	struct monolist l, hints;
	uint32_t modes[3000];
	uint8_t id[MONO_OID], other[MONO_OID];
	size_t i;

	for (i = 0; i < 3000; i++)
		modes[i] = kinds[i % 3];
	files(&hints, 2999, modes, other);
	hints.e[5].oid[1] = 9;   /* its content changed since */
	hints.e[6].oid[1] = 9;   /* so did this, and its mode */
	modes[6] = MONO_MODE_EXEC;
	files(&l, 3000, modes, id);
	forget(&l);
	ck_assert(monomodes_solve(&l, &hints, id));
	for (i = 0; i < 3000; i++)
		ck_assert_int_eq(l.e[i].mode, modes[i]);
	monolist_done(&l);
	monolist_done(&hints);
}
END_TEST

START_TEST(modes_not_found)
{
	struct monolist l, none = { 0 };
	uint32_t modes[100];
	uint8_t id[MONO_OID];
	size_t i;

	for (i = 0; i < 100; i++)
		modes[i] = kinds[i * i % 3];
	files(&l, 100, modes, id);
	forget(&l);
	ck_assert(!monomodes_solve(&l, &none, id));
	ck_assert_int_eq(l.e[1].mode, MONO_MODE_FILE);
	/* nor what is another directory */
	id[0] ^= 1;
	forget(&l);
	ck_assert(!monomodes_solve(&l, &none, id));
	monolist_done(&l);
}
END_TEST

/* -- text ------------------------------------------------------------------ */

START_TEST(escaping)
{
	static const char in[] = "/a b+c#%41&=?\xc3\xa9~._-:\"'\n";
	char *out = monotext_escape(in, sizeof(in) - 1);

	ck_assert_str_eq(out, "/a%20b%2Bc%23%2541%26%3D%3F%C3%A9~._-%3A%22%27"
			      "%0A");
	free(out);
}
END_TEST

START_TEST(addresses)
{
	static const char *const wrong[] = {
		"mono+http://",		"mono+ftp://h",	     "mono+http:///x",
		"mono+http://h/?a=b",	"mono+http://u:p@/", "mono+/a/b",
		"mono+http://h/#main",	"mono+https://:80",  "mono",
	};
	char *base, *shown;

	ck_assert_int_eq(monotext_base("mono+http://h:8000", &base, &shown,
				       &why), 0);
	ck_assert_str_eq(base, "http://h:8000");
	ck_assert_str_eq(shown, "http://h:8000");
	free(base);
	free(shown);
	ck_assert_int_eq(monotext_base("mono+HTTPS://u:p%40@h/mega//", &base,
				       &shown, &why), 0);
	ck_assert_str_eq(base, "HTTPS://u:p%40@h/mega");
	ck_assert_str_eq(shown, "HTTPS://h/mega");
	free(base);
	free(shown);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_msg(monotext_base(wrong[i], &base, &shown, &why) ==
			      -EINVAL, "taken: %s", wrong[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mono_listing");
	TCase *t = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_test(t, json);
	tcase_add_test(t, json_nameless);
	tcase_add_test(t, json_extras);
	tcase_add_loop_test(t, json_bad, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, json_refused);
	tcase_add_test(t, tree_order);
	tcase_add_test(t, tree_bad);
	tcase_add_test(t, tree_ids);
	tcase_add_loop_test(t, modes_found, 0, 3);
	tcase_add_loop_test(t, modes_of_few, 0, 729 / 9);
	tcase_add_test(t, modes_hinted);
	tcase_add_test(t, modes_not_found);
	tcase_add_test(t, escaping);
	tcase_add_test(t, addresses);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
