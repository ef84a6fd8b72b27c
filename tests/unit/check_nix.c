/* SPDX-License-Identifier: Apache-2.0 */
/* The formats of Nix: base 32, descriptions, archives, listings, streams. */
#include "core/base.h"

#include "backends/nix/listing.h"
#include "backends/nix/nar.h"
#include "backends/nix/narinfo.h"
#include "backends/nix/nix32.h"
#include "backends/nix/trust.h"

#include <check.h>
#include <zlib.h>
#include <zstd.h>

/* made with nix 2.8: nix-store --add of a file that holds "one" */
#define BASE "63s5lpk2ryclfqarh5ixlfgz8bala7xf-single"
#define HASH "1wqa7aw4l7rnlsq4d7j766cakp7ir85f0x0dar3yp68kqkrk9vs2"
#define STORE_PATH "StorePath: /nix/store/" BASE "\n"
#define URL "URL: nar/x.nar.zst\n"
#define REST "Compression: zstd\nNarHash: sha256:" HASH \
	     "\nNarSize: 120\nReferences: \n"
#define SIG "Sig: test-1:dXaXklqlkEuGhmKo9L/UC9Lj2x442sfrfb/lT17+H/" \
	    "Zo3thIvifp2qDnHega9Ct1kMTkEolos4T3dOjeD0i2CA==\n"
#define ADDRESSED "CA: fixed:r:sha256:" HASH "\n"

static const char *why;

static int parse(const char *text, struct narinfo **ret)
{
	why = "";
	return narinfo_parse(text, strlen(text), "/nix/store", ret, &why);
}

START_TEST(base32)
{
	uint8_t h[32], back[32];
	char text[53];

	ck_assert(nix32_decode(HASH, 52, h, 32));
	ck_assert_str_eq(nix32_encode(h, 32, text), HASH);
	ck_assert(!nix32_decode(HASH, 51, h, 32));
	memset(text, '0', 52);
	ck_assert(nix32_decode(text, 52, h, 32));
	text[0] = '2'; /* the first digit holds one bit */
	ck_assert(!nix32_decode(text, 52, h, 32));
	text[0] = 'e'; /* not a digit */
	ck_assert(!nix32_decode(text, 52, h, 32));
	for (unsigned i = 0; i < 32; i++)
		h[i] = (uint8_t)(i * 37 + 11);
	nix32_encode(h, 32, text);
	ck_assert(nix32_decode(text, 52, back, 32));
	ck_assert_mem_eq(h, back, 32);
}
END_TEST

START_TEST(names)
{
	static const char *const bad[] = {
		"", "x", BASE "/", BASE " ", BASE "\n", "../" BASE,
		"63s5lpk2ryclfqarh5ixlfgz8bala7xf", /* no name */
		"63s5lpk2ryclfqarh5ixlfgz8bala7xf-",
		"63s5lpk2ryclfqarh5ixlfgz8bala7xf-.x",
		"63s5lpk2ryclfqarh5ixlfgz8bala7xe-x",
		"63s5lpk2ryclfqarh5ixlfgz8bala7xf+x",
	};

	ck_assert(nixname_parse(BASE, strlen(BASE), NULL));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(!nixname_parse(bad[i], strlen(bad[i]), NULL),
			      "\"%s\"", bad[i]);
}
END_TEST

START_TEST(info)
{
	struct nixverdict v = { 0 };
	struct narinfo *i;
	char *text;

	ck_assert_int_eq(parse("Other: x\n" SIG STORE_PATH REST URL ADDRESSED
			       "FileHash: \nDeriver: unknown-deriver\n", &i),
			 0);
	ck_assert_str_eq(i->base, BASE);
	ck_assert_str_eq(i->url, "nar/x.nar.zst");
	ck_assert_int_eq(i->compression, UNPACK_ZSTD);
	ck_assert_uint_eq(i->nar_size, 120);
	ck_assert_uint_eq(i->n_refs, 0);
	ck_assert_uint_eq(i->n_sigs, 1);
	ck_assert(!i->deriver);
	text = nixtrust_fingerprint("/nix/store", i);
	ck_assert_str_eq(text, "1;/nix/store/" BASE ";sha256:" HASH ";120;");
	free(text);
	ck_assert(nixtrust_addressed("/nix/store", i, &v));
	ck_assert(!v.flat);
	ck_assert(!nixtrust_addressed("/other/store", i, &v));
	narinfo_free(i);
	/* sorted, each once; no compression is bzip2 */
	ck_assert_int_eq(parse(STORE_PATH URL "NarHash: sha256:" HASH
			       "\nNarSize: 120\nReferences: "
			       BASE "z " BASE " " BASE "z\n", &i), 0);
	ck_assert_uint_eq(i->n_refs, 2);
	ck_assert_str_eq(i->refs[0], BASE);
	ck_assert_int_eq(i->compression, UNPACK_BZIP2);
	narinfo_free(i);
}
END_TEST

START_TEST(info_refused)
{
	static const char *const bad[] = {
		"", "\n", STORE_PATH URL, STORE_PATH REST, URL REST,
		STORE_PATH URL REST "x", STORE_PATH URL REST "x\n",
		STORE_PATH URL REST "x:y\n", STORE_PATH STORE_PATH URL REST,
		STORE_PATH URL REST URL, STORE_PATH URL REST "Sig: x\n",
		STORE_PATH URL REST "Sig: x:AAAA\n",
		STORE_PATH URL REST "A: \x01\n", STORE_PATH URL REST "A: \r\n",
		STORE_PATH URL REST "References: \n",
		STORE_PATH URL REST "Deriver: ../x\n",
		STORE_PATH URL REST "FileSize: 1x\n",
		STORE_PATH "URL: ../x\n" REST, STORE_PATH "URL: /x\n" REST,
		STORE_PATH "URL: a/../../x\n" REST,
		STORE_PATH "URL: file:///etc/passwd\n" REST,
		STORE_PATH "URL: \n" REST, STORE_PATH "URL: a b\n" REST,
		"StorePath: /nix/store/../x\n" URL REST,
		"StorePath: /other/" BASE "\n" URL REST,
		STORE_PATH URL "NarHash: sha256:" HASH "\nNarSize: 0\n",
		STORE_PATH URL "NarHash: sha256:" HASH "\nNarSize: 121\n",
		STORE_PATH URL "NarHash: sha256:" HASH "\nNarSize: 0120\n",
		STORE_PATH URL "NarHash: sha256:" HASH
			       "\nNarSize: 18446744073709551736\n",
		STORE_PATH URL "NarHash: sha256:" HASH "0\nNarSize: 120\n",
		STORE_PATH URL "NarHash: md5:" HASH "\nNarSize: 120\n",
	};
	struct narinfo *i;

	for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
		ck_assert_msg(parse(bad[k], &i) == -EBADMSG && *why, "%zu: %s",
			      k, bad[k]);
	ck_assert_int_eq(parse(STORE_PATH URL "Compression: rar\n", &i),
			 -ENOTSUP);
	ck_assert_int_eq(narinfo_parse(STORE_PATH URL REST "A: \0\n",
				       sizeof(STORE_PATH URL REST "A: x\n") - 1,
				       "/nix/store", &i, &why), -EBADMSG);
}
END_TEST

/* -- archives ------------------------------------------------------------------ */

static uint8_t nar[65536];
static size_t nar_len;

static void put(const char *s)
{
	size_t n = strlen(s), padded = (n + 7) / 8 * 8;

	memset(nar + nar_len, 0, 8 + padded);
	nar[nar_len] = (uint8_t)n;
	nar[nar_len + 1] = (uint8_t)(n >> 8);
	memcpy(nar + nar_len + 8, s, n);
	nar_len += 8 + padded;
}

/* Words separated by blanks; '~' is the empty string. */
static void words(const char *text)
{
	char copy[1024], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " ", &save); w;
	     w = strtok_r(NULL, " ", &save))
		put(*w == '~' ? "" : w);
}

static int read_nar(size_t step, struct nartree **ret)
{
	struct nar *n = nar_new(NULL, NULL);
	int rc = 0;

	for (size_t at = 0; at < nar_len && !rc; at += step)
		rc = nar_feed(n, nar + at, MIN(step, nar_len - at));
	if (!rc)
		rc = nar_end(n, ret);
	why = nar_why(n);
	nar_free(n);
	return rc;
}

#define M "nix-archive-1 "
#define FILE_(c) "( type regular contents " c " )"
#define ENTRY(name, node) " entry ( name " name " node " node " )"
#define DIR_(entries) "( type directory" entries " )"

static int archive(const char *text, struct nartree **ret)
{
	nar_len = 0;
	words(text);
	return read_nar(nar_len, ret);
}

START_TEST(archives)
{
	struct nartree *t, *u;

	ck_assert_int_eq(archive(M FILE_("hello"), &t), 0);
	ck_assert_uint_eq(t->nodes[0].offset, 96);
	ck_assert_uint_eq(t->nodes[0].size, 5);
	ck_assert_uint_eq(t->size, nar_len);
	nartree_free(t);
	ck_assert_int_eq(archive(M "( type regular executable ~ contents x )",
				 &t), 0);
	ck_assert_uint_eq(t->nodes[0].offset, 128);
	ck_assert_uint_eq(nartree_mode(&t->nodes[0]), 0555);
	nartree_free(t);
	ck_assert_int_eq(archive(M "( type symlink target a/b )", &t), 0);
	ck_assert_str_eq(nartree_link(t, 0), "a/b");
	ck_assert_uint_eq(t->size, nar_len);
	nartree_free(t);
	ck_assert_int_eq(
		archive(M DIR_(ENTRY("a", DIR_(""))
			       ENTRY("b", DIR_(ENTRY("x", FILE_("data"))
					       ENTRY("y", DIR_(""))))
			       ENTRY("c", FILE_("~"))), &t), 0);
	ck_assert_uint_eq(t->n, 6);
	ck_assert_uint_eq(t->nodes[2].end, 5);
	ck_assert_uint_eq(t->size, nar_len);
	ck_assert(!memcmp(nar + t->nodes[3].offset, "data", 4));
	for (size_t step = 1; step < 30; step++) {
		ck_assert_int_eq(read_nar(step, &u), 0);
		ck_assert_mem_eq(t->digest, u->digest, 32);
		nartree_free(u);
	}
	nartree_free(t);
}
END_TEST

START_TEST(archives_refused)
{
	static const char *const bad[] = {
		"nix-archive-2 " FILE_("x"), M, M "(", M FILE_("x") " x",
		M "( type pipe )", M "( type regular )",
		M "( type regular contents x", M "( type symlink x y )",
		M "( type symlink target ~ )", M "( type directory x )",
		M "( type regular executable x contents y )",
		M DIR_(ENTRY("b", FILE_("x")) ENTRY("a", FILE_("x"))),
		M DIR_(ENTRY("a", FILE_("x")) ENTRY("a", FILE_("x"))),
		M DIR_(ENTRY("~", FILE_("x"))), M DIR_(ENTRY(".", FILE_("x"))),
		M DIR_(ENTRY("..", FILE_("x"))),
		M DIR_(ENTRY("a/b", FILE_("x"))),
		M DIR_(" entry ( name a node " FILE_("x") " x"),
	};
	struct nartree *t;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(archive(bad[i], &t) == -EBADMSG && *why,
			      "%zu: %s", i, bad[i]);
	/* every cut, and every padding byte that is not zero */
	archive(M DIR_(ENTRY("a", FILE_("abc"))), &t);
	nartree_free(t);
	for (size_t n = nar_len; n--;) {
		size_t all = nar_len;

		nar_len = n;
		ck_assert_int_eq(read_nar(n + 1, &t), -EBADMSG);
		nar_len = all;
		if (nar[n])
			continue;
		nar[n] = 1;
		ck_assert_msg(read_nar(all, &t) == -EBADMSG, "byte %zu", n);
		nar[n] = 0;
	}
}
END_TEST

START_TEST(archives_deep)
{
	struct nartree *t;
	struct nar *n = nar_new(NULL, NULL);
	int rc = 0;

	nar_len = 0;
	words(M);
	rc = nar_feed(n, nar, nar_len);
	nar_len = 0;
	words("( type directory entry ( name a node");
	for (unsigned i = 0; i < NIX_DEPTH_MAX && !rc; i++)
		rc = nar_feed(n, nar, nar_len);
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(nar_feed(n, nar, nar_len), -EBADMSG);
	ck_assert_int_eq(nar_end(n, &t), -EBADMSG);
	nar_free(n);
}
END_TEST

/* -- listings ------------------------------------------------------------------ */

#define LS(root) "{\"version\":1,\"root\":" root "}"
#define LS_FILE "{\"type\":\"regular\",\"size\":4,\"narOffset\":1}"

START_TEST(listings)
{
	static const char *const bad[] = {
		"", "{}", "[]", LS("{}"), LS("{\"type\":\"pipe\"}"),
		LS("{\"type\":\"directory\"}"),
		LS("{\"type\":\"regular\",\"size\":-1}"),
		LS("{\"type\":\"regular\",\"size\":\"1\"}"),
		LS("{\"type\":\"symlink\",\"target\":\"\"}"),
		LS("{\"type\":\"regular\",\"size\":9223372036854775807}"),
		LS("{\"type\":\"directory\",\"entries\":{\"..\":" LS_FILE "}}"),
		LS("{\"type\":\"directory\",\"entries\":{\"a/b\":" LS_FILE
		   "}}"),
		LS("{\"type\":\"directory\",\"entries\":{\"\":" LS_FILE "}}"),
		LS("{\"type\":\"directory\",\"entries\":{\"a\":" LS_FILE
		   ",\"a\":" LS_FILE "}}"),
		"{\"version\":2,\"root\":" LS_FILE "}",
	};
	const char *good = LS("{\"type\":\"directory\",\"entries\":{"
			      "\"b\":" LS_FILE ",\"B\":{\"type\":\"symlink\","
			      "\"target\":\"t\"},\"a\":{\"type\":\"directory\","
			      "\"entries\":{}}}}");
	struct nartree *t, *u;

	/* the archive's own tree, whatever the order and the offsets say */
	ck_assert_int_eq(archive(M DIR_(ENTRY("B", "( type symlink target t )")
					ENTRY("a", DIR_(""))
					ENTRY("b", FILE_("data"))), &t), 0);
	ck_assert_int_eq(listing_parse(good, strlen(good), t->size, &u, &why),
			 0);
	ck_assert_mem_eq(t->digest, u->digest, 32);
	ck_assert_uint_eq(t->nodes[3].offset, u->nodes[3].offset);
	nartree_free(u);
	ck_assert_int_eq(listing_parse(good, strlen(good), t->size + 8, &u,
				       &why), -EBADMSG);
	nartree_free(t);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(listing_parse(bad[i], strlen(bad[i]), 120, &u,
					    &why) == -EBADMSG, "%s", bad[i]);
}
END_TEST

START_TEST(ids)
{
	struct nixid a = { .what = NIXID_NODE, .node = 0x01020304 }, b;
	struct scorpio_id id;

	memset(a.hash, 7, sizeof(a.hash));
	memset(a.tag, 9, sizeof(a.tag));
	id = nixid_make(&a);
	ck_assert_uint_eq(id.len, SCORPIO_ID_MAX);
	ck_assert(nixid_parse(&id, &b));
	ck_assert_mem_eq(&a, &b, sizeof(a));
	id.len--;
	ck_assert(!nixid_parse(&id, &b));
	id = nixid_make(&(struct nixid){ .what = NIXID_ROOT });
	ck_assert(nixid_parse(&id, &b) && b.what == NIXID_ROOT);
	id.bytes[0] = 'x';
	ck_assert(!nixid_parse(&id, &b));
}
END_TEST

/* -- streams ------------------------------------------------------------------- */

struct plain {
	uint8_t buf[300000];
	size_t n;
};

static int gather(void *ctx, const void *p, size_t n)
{
	struct plain *x = ctx;

	if (n > sizeof(x->buf) - x->n)
		return -EFBIG;
	memcpy(x->buf + x->n, p, n);
	x->n += n;
	return 0;
}

static int undo(enum unpack_kind kind, const void *p, size_t n, size_t step,
		struct plain *out)
{
	struct unpack *u = unpack_new(kind, gather, out);
	int rc = 0;

	out->n = 0;
	for (size_t at = 0; at < n && !rc; at += step)
		rc = unpack_feed(u, (const char *)p + at, MIN(step, n - at));
	if (!rc)
		rc = unpack_end(u);
	unpack_free(u);
	return rc;
}

START_TEST(streams)
{
	static struct plain out;
	static char text[100000], z[120000];
	static const char skip[] = "\x50\x2a\x4d\x18\x04\0\0\0abcd";
	size_t half = sizeof(text) / 2, n;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * i >> 7);
	/* two frames and one to be skipped */
	n = ZSTD_compress(z, sizeof(z), text, half, 3);
	n += ZSTD_compress(z + n, sizeof(z) - n, text + half, half, 3);
	memcpy(z + n, skip, 12);
	for (size_t step = 1; step < 70000; step = step * 3 + 1) {
		ck_assert_int_eq(undo(UNPACK_ZSTD, z, n + 12, step, &out), 0);
		ck_assert_uint_eq(out.n, sizeof(text));
		ck_assert_mem_eq(out.buf, text, sizeof(text));
	}
	ck_assert_int_eq(undo(UNPACK_ZSTD, z, n - 1, 999, &out), -EBADMSG);
	ck_assert_int_eq(undo(UNPACK_ZSTD, z, n + 5, 999, &out), -EBADMSG);
	z[n / 2] ^= 1;
	for (int k = UNPACK_XZ; k <= UNPACK_LZMA; k++) {
		ck_assert_int_eq(undo(k, "", 0, 1, &out), -EBADMSG);
		ck_assert_int_ne(undo(k, "not compressed at all, is it", 28, 7,
				      &out), 0);
	}
	ck_assert_int_eq(undo(UNPACK_NONE, text, sizeof(text), 4096, &out), 0);
	ck_assert_uint_eq(out.n, sizeof(text));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nix");
	TCase *t = tcase_create("formats");
	SRunner *r;
	int failed;

	tcase_add_test(t, base32);
	tcase_add_test(t, names);
	tcase_add_test(t, info);
	tcase_add_test(t, info_refused);
	tcase_add_test(t, archives);
	tcase_add_test(t, archives_refused);
	tcase_add_test(t, archives_deep);
	tcase_add_test(t, listings);
	tcase_add_test(t, ids);
	tcase_add_test(t, streams);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
