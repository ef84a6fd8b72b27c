/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that the lfs layer reads: pointers, .lfsconfig, addresses, ids. */
#include "core/base.h"

#include "backends/lfs/conf.h"
#include "backends/lfs/ids.h"
#include "backends/lfs/pointer.h"
#include "backends/lfs/url.h"

#include <check.h>

#define OID "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
#define HEAD "version https://git-lfs.github.com/spec/v1\n"
#define GOOD HEAD "oid sha256:" OID "\nsize 12345\n"

static bool pointer(const char *text, struct lfsptr *p)
{
	return lfsptr_parse(text, strlen(text), p);
}

START_TEST(pointers)
{
	struct lfsptr p;
	char text[160];

	ck_assert(pointer(GOOD, &p));
	ck_assert_uint_eq(p.size, 12345);
	ck_assert_uint_eq(p.oid[0], 0x4d);
	ck_assert_uint_eq(p.oid[31], 0x93);
	ck_assert_uint_eq(lfsptr_format(&p, text), strlen(GOOD));
	ck_assert_str_eq(text, GOOD);
	ck_assert(pointer(HEAD "oid sha256:" OID "\nsize 0\n", &p));
	ck_assert(pointer(HEAD "oid sha256:" OID
			  "\nsize 9223372036854775807\n", &p));
	ck_assert_uint_eq(p.size, INT64_MAX);
	ck_assert(!lfsptr_is_empty(&p));
}
END_TEST

START_TEST(no_pointers)
{
	static const char *const texts[] = {
		"", "x", HEAD, HEAD "oid sha256:" OID "\n",
		HEAD "oid sha256:" OID "\nsize \n",
		HEAD "oid sha256:" OID "\nsize 1", /* no end */
		HEAD "oid sha256:" OID "\nsize 01\n",
		HEAD "oid sha256:" OID "\nsize -1\n",
		HEAD "oid sha256:" OID "\nsize 1x\n",
		HEAD "oid sha256:" OID "\nsize 9223372036854775808\n",
		HEAD "oid sha256:" OID "\nsize 99999999999999999999999\n",
		HEAD "oid sha256:" OID "\nsize 1\n\n", GOOD "x", GOOD GOOD,
		HEAD "oid sha256:" OID "0\nsize 1\n",
		HEAD "oid sha512:" OID "\nsize 1\n",
		HEAD "ext-0-a sha256:" OID "\noid sha256:" OID "\nsize 1\n",
		HEAD "size 1\noid sha256:" OID "\n",
		"version https://hawser.github.com/spec/v1\noid sha256:" OID
		"\nsize 1\n",
		"version https://git-lfs.github.com/spec/v1\r\noid sha256:" OID
		"\r\nsize 1\r\n",
		HEAD "oid sha256:4D7A214614ab2935c943f9e0ff69d22eadbb8f32b1258d"
		     "aaa5e2ca24d17e2393\nsize 1\n",
	};
	struct lfsptr p;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		ck_assert_msg(!pointer(texts[i], &p), "%zu: %s", i, texts[i]);
	ck_assert(!lfsptr_parse(HEAD "\0", sizeof(HEAD), &p));
}
END_TEST

START_TEST(configuration)
{
	static const char text[] =
		"# c\n[lfs]\n\turl = \"https://lfs.example/x\" ; the server\n"
		" fetchInclude=a,b c , d # more\n[Remote \"origin\"]\n"
		"lfsurl = https://other.example/\n[lfs \"x\"] url = no\n"
		"[LFS] fetchexclude = \"a;b\"\n";
	static const char remote[] = "[remote \"origin\"]\nLFSURL=http://h/x";
	static const char bad[] = "[lfs]\nurl = ssh://h/x\n[lfs\nurl=http://y";
	struct lfsconf c;

	ck_assert_int_eq(lfsconf_parse(text, strlen(text), &c), 0);
	ck_assert_str_eq(c.url, "https://lfs.example/x");
	ck_assert_str_eq(c.include, "a,b c , d");
	ck_assert_str_eq(c.exclude, "a;b");
	lfsconf_done(&c);
	ck_assert_int_eq(lfsconf_parse(remote, strlen(remote), &c), 0);
	ck_assert_str_eq(c.url, "http://h/x");
	ck_assert_ptr_null(c.include);
	lfsconf_done(&c);
	ck_assert_int_eq(lfsconf_parse(bad, strlen(bad), &c), 0);
	ck_assert(!c.url || !strcmp(c.url, "http://y"));
	lfsconf_done(&c);
}
END_TEST

static void of_source(const char *source, bool mono, const char *wanted)
{
	char *url, *dir;

	ck_assert_int_eq(lfsurl_of_source(source, mono, &url, &dir), 0);
	ck_assert_ptr_null(dir);
	ck_assert_ptr_nonnull(url);
	ck_assert_str_eq(url, wanted);
	free(url);
}

START_TEST(of_sources)
{
	char *url, *dir;

	of_source("https://h/a", false, "https://h/a.git/info/lfs");
	of_source("git+https://h/a.git/", false, "https://h/a.git/info/lfs");
	of_source("git@h:a/b", false, "https://h/a/b.git/info/lfs");
	of_source("ssh://git@h:22/a.git", false, "https://h/a.git/info/lfs");
	of_source("mono+http://h:8000", true, "http://h:8000/info/lfs");
	ck_assert_int_eq(lfsurl_of_source("/no/such", false, &url, &dir), 0);
	ck_assert_ptr_null(url);
	ck_assert_str_eq(dir, "/no/such/lfs/objects");
	free(dir);
}
END_TEST

static void reachable(const char *href, const char *base, const char *wanted)
{
	char *got = lfsurl_reachable(href, base);

	ck_assert_ptr_nonnull(got);
	ck_assert_str_eq(got, wanted);
	free(got);
}

START_TEST(links)
{
	reachable("http://0.0.0.0:8000/o/1?x=y", "https://mono.example/lfs",
		  "https://mono.example/o/1?x=y");
	reachable("http://[::]:8000/o", "http://h:1", "http://h:1/o");
	reachable("http://localhost:8000/o", "http://h:1", "http://h:1/o");
	reachable("http://127.0.0.1:8000/o", "http://localhost:1/x",
		  "http://127.0.0.1:8000/o");
	reachable("https://cdn.example/o", "http://h:1",
		  "https://cdn.example/o");
	ck_assert_ptr_null(lfsurl_reachable("ftp://h/o", "http://h"));
	ck_assert(lfsurl_same_place("http://H/a", "http://h:80/b"));
	ck_assert(!lfsurl_same_place("http://h/a", "https://h/a"));
	ck_assert(!lfsurl_same_place("http://h:1/a", "http://h:2/a"));
	ck_assert(!lfsurl_same_place("http://h@evil/a", "http://h/a"));
}
END_TEST

START_TEST(ids)
{
	struct scorpio_id below = { .len = 20, .bytes = { 1, 2, 3 } }, back;
	uint8_t hash[LFS_OID_LEN] = { 9, 8, 7 };
	struct scorpio_id file = lfsid_file(&below);
	struct scorpio_id tree = lfsid_tree(&below, hash);
	const uint8_t *at;

	ck_assert_int_eq(lfsid_split(&file, &back, &at), LFSID_FILE);
	ck_assert(lfs_same_id(&back, &below));
	ck_assert_int_eq(lfsid_split(&tree, &back, &at), LFSID_TREE);
	ck_assert(lfs_same_id(&back, &below));
	ck_assert(!memcmp(at, hash, lfsid_hash_len(&below)));
	ck_assert_int_eq(lfsid_split(&below, &back, &at), 0);
	ck_assert(lfs_same_id(&back, &below));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lfs texts");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_test(t, pointers);
	tcase_add_test(t, no_pointers);
	tcase_add_test(t, configuration);
	tcase_add_test(t, of_sources);
	tcase_add_test(t, links);
	tcase_add_test(t, ids);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
