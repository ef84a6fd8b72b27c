/* SPDX-License-Identifier: Apache-2.0 */
/* Raw git objects, and the addresses of repositories. */
#include "backends/git/object.h"
#include "backends/git/url.h"
#include "core/buf.h"

#include <check.h>
#include <scorpio/types.h>

#define ID "abcdefghijklmnopqrst" /* 20 bytes */

/* What a tree of one entry "<mode> <name>" gives: kind and mode, or a reason */
static int entry(const char *mode, const char *name, size_t n,
		 struct gittree_entry *e, const char **why)
{
	static struct buf b;
	struct gittree_reader r;
	int rc;

	b.len = 0;
	buf_printf(&b, "%s ", mode);
	buf_put(&b, name, n);
	buf_put(&b, "\0" ID, 21);
	gittree_begin(&r, b.data, b.len);
	rc = gittree_next(&r, e);
	*why = r.why ? r.why : "";
	if (rc == 1)
		ck_assert_int_eq(gittree_next(&r, e), 0);
	return rc;
}

START_TEST(modes)
{
	static const struct {
		const char *text;
		uint8_t kind;
		uint32_t mode;
	} good[] = {
		{ "100644", SCORPIO_FILE, 0644 },
		{ "100755", SCORPIO_FILE, 0755 },
		{ "100664", SCORPIO_FILE, 0644 },
		{ "100640", SCORPIO_FILE, 0644 },
		{ "100700", SCORPIO_FILE, 0755 },
		{ "40000", SCORPIO_DIR, 0755 },
		{ "040000", SCORPIO_DIR, 0755 },
		{ "120000", SCORPIO_SYMLINK, 0777 },
		{ "160000", SCORPIO_SUBMODULE, 0755 },
	};
	static const char *const bad[] = { "", "0", "644", "10644", "20000",
					   "060000", "140000", "104755",
					   "1006440", "100648", "x", "-1" };
	struct gittree_entry e;
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(entry(good[i].text, "n", 1, &e, &why) == 1,
			      "%s: %s", good[i].text, why);
		ck_assert_uint_eq(e.kind, good[i].kind);
		ck_assert_uint_eq(e.mode, good[i].mode);
		ck_assert_mem_eq(e.id, ID, 20);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(entry(bad[i], "n", 1, &e, &why) == -EBADMSG,
			      "%s", bad[i]);
		ck_assert(*why);
	}
}
END_TEST

START_TEST(names)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "/", "../x" };
	static const char *const good[] = { "...", ".a", "..a", "a b",
					    "\xff\xfe", "\n", "-", ".git" };
	struct gittree_entry e;
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(entry("100644", bad[i], strlen(bad[i]), &e,
				       &why), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ck_assert_int_eq(entry("100644", good[i], strlen(good[i]), &e,
				       &why), 1);
	ck_assert(gittree_forbidden(".git", 4));
	ck_assert(gittree_forbidden(".GiT", 4));
	ck_assert(!gittree_forbidden(".gitx", 5));
	ck_assert(!gittree_forbidden(".gi", 3));
}
END_TEST

START_TEST(several_entries)
{
	static const char raw[] = "100644 a\0" ID "40000 dir\0" ID
				  "120000 link\0" ID;
	struct gittree_reader r;
	struct gittree_entry e;
	size_t n = sizeof(raw) - 1;

	ck_assert_int_eq(gittree_find(raw, n, "dir", 3, &e), 1);
	ck_assert_uint_eq(e.kind, SCORPIO_DIR);
	ck_assert_int_eq(gittree_find(raw, n, "di", 2, &e), 0);
	gittree_begin(&r, raw, 0);
	ck_assert_int_eq(gittree_next(&r, &e), 0);
	/* cut anywhere but between entries it is malformed */
	for (size_t cut = 1; cut < n; cut++) {
		int rc;

		gittree_begin(&r, raw, cut);
		do
			rc = gittree_next(&r, &e);
		while (rc > 0);
		ck_assert_int_eq(rc, cut == 29 || cut == 59 ? 0 : -EBADMSG);
	}
}
END_TEST

#define HEX "00112233445566778899aabbccddeeff00112233"

static int64_t commit_time(const char *committer)
{
	cleanup_free char *raw = xasprintf("tree " HEX "\nparent " HEX "\n"
		"author A <a> 5 +0000\n%s\n\ncommitter in the text", committer);
	uint8_t tree[20];
	int64_t t = -1;

	return gitcommit_parse(raw, strlen(raw), tree, &t) ? INT64_MIN : t;
}

START_TEST(commits_and_tags)
{
	static const char tag[] = "object " HEX "\ntype commit\ntag v1\n";
	uint8_t id[20];
	int64_t t;

	ck_assert_int_eq(commit_time("committer A B <a@b> 1700000000 +0100"),
			 1700000000);
	ck_assert_int_eq(commit_time("committer A > x <a@b> -77 +0100"), -77);
	ck_assert_int_eq(commit_time("committer A <a@b> 99999999999999 +00"),
			 0);
	ck_assert_int_eq(commit_time("committer nobody at all"), 0);
	ck_assert_int_eq(commit_time("encoding x"), INT64_MIN);
	ck_assert_int_eq(gitcommit_parse("tree " HEX, 45, id, &t), -EBADMSG);
	ck_assert_int_eq(gitcommit_parse("tree x", 6, id, &t), -EBADMSG);
	ck_assert_int_eq(gittag_parse(tag, sizeof(tag) - 1, id), 0);
	ck_assert_uint_eq(id[1], 0x11);
	ck_assert_int_eq(gittag_parse("object " HEX, 47, id), -EBADMSG);
	ck_assert_int_eq(gittag_parse("type commit\n", 12, id), -EBADMSG);
}
END_TEST

/* "kind text origin user password", or why not */
static char *address(const char *url)
{
	struct giturl u;
	const char *why;
	char *out;

	if (giturl_parse(url, &u, &why) < 0)
		return xstrdup("bad");
	out = xasprintf("%d %s %s %s %s", u.kind, u.text,
			u.origin ? u.origin : "-", u.user ? u.user : "-",
			u.password ? u.password : "-");
	giturl_done(&u);
	return out;
}

START_TEST(addresses)
{
	static const char *const cases[][2] = {
		{ "/a/b", "0 /a/b - - -" },
		{ "git+/a/b", "0 /a/b - - -" },
		{ "git+./r", "0 ./r - - -" },
		{ "git+file:///a%20b", "0 /a b - - -" },
		{ "file://localhost/x", "0 /x - - -" },
		{ "/odd:name", "0 /odd:name - - -" },
		{ "git+https://H.x/y.git/",
		  "1 https://H.x/y.git https://h.x:443 - -" },
		{ "http://h:81/x", "1 http://h:81/x http://h:81 - -" },
		{ "https://u%40v:p%3aq@h/x",
		  "1 https://h/x https://h:443 u@v p:q" },
		{ "https://[::1]/x", "1 https://[::1]/x https://[::1]:443 - -" },
		{ "git+ssh://u@h/x", "2 ssh://u@h/x - - -" },
		{ "git+git://h/x", "2 git://h/x - - -" },
		{ "git@h:a/b.git", "2 git@h:a/b.git - - -" },
		{ "git+h:a", "2 h:a - - -" },
		{ "https://", "bad" }, { "https:///x", "bad" },
		{ "https://h/x?y", "bad" }, { "https://h/x#y", "bad" },
		{ "https://u%00@h/x", "bad" }, { "ftp://h/x", "bad" },
		{ "file://h/x", "bad" }, { "-o", "bad" }, { "git+", "bad" },
		{ "ssh://-oProxyCommand=x/y", "bad" }, { "ext::sh", "bad" },
		{ "http://h/a\nb", "bad" }, { "", "bad" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *got = address(cases[i][0]);

		ck_assert_str_eq(got, cases[i][1]);
	}
}
END_TEST

START_TEST(redirect_targets)
{
	static const char *const cases[][2] = {
		{ "https://o/x", "https://o/x" },
		{ "/z?q", "http://h:1/z?q" },
		{ "z", NULL }, { "//o/z", NULL }, { "ftp://o/z", NULL },
		{ "/z\r\nX: y", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *got = giturl_join("http://h:1/a/b?c",
						     cases[i][0]);

		if (cases[i][1])
			ck_assert_str_eq(got, cases[i][1]);
		else
			ck_assert_ptr_null(got);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("git_tree");
	TCase *t = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, modes);
	tcase_add_test(t, names);
	tcase_add_test(t, several_entries);
	tcase_add_test(t, commits_and_tags);
	tcase_add_test(t, addresses);
	tcase_add_test(t, redirect_targets);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
