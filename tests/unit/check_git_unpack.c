/* SPDX-License-Identifier: Apache-2.0 */
/* Packs of the git program, taken apart in memory; and damaged ones. */
#include "backends/git/unpack.h"

#include "backends/git/pack.h"
#include "core/hash.h"
#include "core/registry.h"
#include "tests/lib/collect.h"

#include <check.h>

/* 30 versions of a long file, which become deltas on each other; files of 0 and
 * 1 byte; a tree of 41 entries; a commit, a tag. */
static const char fixture[] =
	"git init -q -b main w && cd w\n"
	"for i in $(seq 1 30); do { seq 1 3000; echo $i; seq $i 2500; } >f$i\n"
	"done; : >empty; printf x >one; mkdir d\n"
	"for i in $(seq 1 9); do echo $i >d/$i; done\n"
	"git add -A; git commit -qm one; git tag -am note v1\n"
	"git rev-list --objects --all | cut -d' ' -f1 >../ids\n"
	"git rev-parse v1 >>../ids; cd ..\n"
	"git -C w pack-objects -q --stdout --delta-base-offset <ids >ofs\n"
	"git -C w pack-objects -q --stdout <ids >ref\n"
	"head -n1 ids | git -C w pack-objects -q --stdout >single\n"
	"git -C w rev-parse HEAD:f1 | git -C w pack-objects --stdout -q >blob\n"
	"head -c 70M /dev/zero >w/zero; git -C w add zero\n"
	"git -C w rev-parse :zero | git -C w pack-objects --stdout -q >zeros\n";

static char dir[] = "/tmp/scorpio-unit-XXXXXX";

static void start(void)
{
	if (!mkdtemp(dir))
		abort();
	git_libgit2_init();
	free(shell(dir, "%s", fixture));
}

static void stop(void)
{
	free(shell("/", "rm -rf %s", dir));
	git_libgit2_shutdown();
}

static uint8_t *load(const char *name, size_t *ret_len)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	uint8_t *p = xmalloc(GITUNPACK_PACK_MAX);
	FILE *f = fopen(path, "re");

	ck_assert_ptr_nonnull(f);
	*ret_len = fread(p, 1, GITUNPACK_PACK_MAX, f);
	fclose(f);
	return p;
}

static int unpack(const char *name, struct gitunpack **ret)
{
	size_t len;
	cleanup_free uint8_t *p = load(name, &len);

	return gitunpack_new(p, len, ret);
}

START_TEST(every_object)
{
	cleanup_free char *ids = shell(dir, "sort -u ids");
	struct gitunpack *u;
	size_t n, found = 0;

	ck_assert_int_eq(unpack("ofs", &u), 0);
	gitunpack_all(u, &n);
	for (char *id = ids; id; found++) {
		char *next = strchr(id, '\n');
		const struct gitunpack_object *o;
		cleanup_free char *is = NULL, *got = NULL;
		git_oid oid;

		if (next)
			*next++ = '\0';
		is = shell(dir, "git -C w cat-file -t %s; "
			   "git -C w cat-file -s %s", id, id);
		git_oid_fromstr(&oid, id);
		o = gitunpack_find(u, &oid);
		ck_assert_ptr_nonnull(o);
		got = xasprintf("%s\n%zu", git_object_type2string(o->type),
				o->len);
		ck_assert_str_eq(got, is);
		id = next;
	}
	ck_assert_uint_eq(found, n);
	gitunpack_free(u);
}
END_TEST

START_TEST(contents)
{
	cleanup_free char *hex = shell(dir, "git -C w rev-parse HEAD:f17");
	cleanup_free char *text = shell(dir, "cat w/f17; echo .");
	const struct gitunpack_object *o;
	struct gitunpack *u;
	git_oid oid;

	ck_assert_int_eq(unpack("ofs", &u), 0);
	git_oid_fromstr(&oid, hex);
	o = gitunpack_find(u, &oid);
	ck_assert_ptr_nonnull(o);
	ck_assert_uint_eq(o->len, strlen(text) - 1);
	ck_assert_mem_eq(o->data, text, o->len);
	oid.id[3] ^= 1;
	ck_assert_ptr_null(gitunpack_find(u, &oid));
	gitunpack_free(u);
}
END_TEST

START_TEST(a_pack_that_claims_too_much)
{
	static const uint8_t pack[33] = "PACK\0\0\0\2\xfe\xff\xff\xb6";
	struct host_options o = { .name = "unit", .scratch_parent = dir };
	struct gitsource source = { .host = host_new(&o) };
	struct gitpack *p;

	ck_assert_int_eq(gitpack_new(&source, &p), 0);
	ck_assert_int_eq(gitpack_write(p, pack, sizeof(pack) - 1), 0);
	ck_assert_int_eq(gitpack_finish(p), -EBADMSG);
	gitpack_free(p);
	host_free((struct scorpio_host *)source.host);
}
END_TEST

START_TEST(left_to_the_indexer)
{
	struct gitunpack *u = NULL;

	/* by id instead of by distance; too large */
	ck_assert_int_eq(unpack("ref", &u), -ENOTSUP);
	ck_assert_int_eq(unpack("zeros", &u), -ENOTSUP);
	ck_assert_int_eq(gitunpack_new((const uint8_t *)"PACK", 4, &u),
			 -ENOTSUP);
	ck_assert_ptr_null(u);
}
END_TEST

START_TEST(damaged)
{
	size_t len;
	cleanup_free uint8_t *p = load("single", &len);
	struct gitunpack *u = NULL;

	for (size_t i = 0; i < len; i++) {
		ck_assert_int_eq(gitunpack_new(p, i, &u), -ENOTSUP);
		p[i] ^= 0x11;
		ck_assert_int_eq(gitunpack_new(p, len, &u), -ENOTSUP);
		p[i] ^= 0x11;
	}
	ck_assert_int_eq(gitunpack_new(p, len, &u), 0);
	gitunpack_free(u);
}
END_TEST

/* Make the checksum at the end right again. */
static void seal(uint8_t *p, size_t len)
{
	struct hash *h = hash_new(HASH_SHA1);

	hash_update(h, p, len - SHA1_LEN);
	hash_final(h, p + len - SHA1_LEN);
	hash_free(h);
}

/* Damage under a right checksum must not lead outside of the memory (which the
 * sanitizers see), nor to another content under an id. */
START_TEST(damaged_and_sealed)
{
	size_t len, n, whole;
	cleanup_free uint8_t *p = load("ofs", &len);
	struct gitunpack *u, *good;

	ck_assert_int_eq(gitunpack_new(p, len, &good), 0);
	gitunpack_all(good, &whole);
	for (size_t i = 8; i < len - 20; i += 1 + i / 16) {
		const struct gitunpack_object *o;

		p[i] ^= (uint8_t)(1 + i % 255);
		seal(p, len);
		if (gitunpack_new(p, len, &u) == 0) {
			o = gitunpack_all(u, &n);
			ck_assert_uint_eq(n, whole);
			for (size_t k = 0; k < n; k++) {
				git_oid oid;

				git_odb_hash(&oid, o[k].data, o[k].len,
					     o[k].type);
				ck_assert(git_oid_equal(&oid, &o[k].oid));
			}
			gitunpack_free(u);
		}
		p[i] ^= (uint8_t)(1 + i % 255);
	}
	gitunpack_free(good);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("git_unpack");
	TCase *t = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_unchecked_fixture(t, start, stop);
	tcase_add_test(t, every_object);
	tcase_add_test(t, contents);
	tcase_add_test(t, a_pack_that_claims_too_much);
	tcase_add_test(t, left_to_the_indexer);
	tcase_add_test(t, damaged);
	tcase_add_test(t, damaged_and_sealed);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
