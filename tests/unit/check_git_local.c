/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/collect.h"

#include "core/error.h"

#include <check.h>

extern const struct scorpio_backend scorpio_git_backend;

static struct bench k;
static struct scorpio_revision rev;

/* What most tests look at: two commits with everything git can hold. */
static const char fixture[] =
	"git init -q -b main r && cd r\n"
	"mkdir -p sub/deep bin && echo hello >a.txt && echo x >sub/deep/f\n"
	"printf '#!/bin/sh\\n' >bin/run && chmod 755 bin/run\n"
	"ln -s ../a.txt sub/link && : >empty\n"
	"printf 'n\\n' >$'odd\\xff\\x01 name'\n"
	"git add -A\n"
	"git update-index --add --cacheinfo "
	"160000,1234567890123456789012345678901234567890,module\n"
	"git commit -qm one && git tag v1 && git tag -am note v1-note\n"
	"echo more >>a.txt && git add a.txt && git commit -qm two\n"
	"git branch side HEAD~1 && git tag -am tag-of-tag nested v1-note\n";

static char template[] = "/tmp/scorpio-unit-XXXXXX";

static void make_template(void)
{
	if (!mkdtemp(template))
		abort();
	free(shell(template, "%s", fixture));
}

static void remove_template(void)
{
	free(shell("/", "rm -rf %s", template));
}

static void setup(void)
{
	bench_init(&k, &scorpio_git_backend, NULL);
	free(shell(k.dir, "cp -r %s/r .", template));
}

static void teardown(void)
{
	bench_done(&k);
}

static void open_at(const char *fmt, const char *name)
{
	cleanup_free char *url = xasprintf(fmt, k.dir, name);
	int rc = bench_open(&k, url);

	ck_assert_msg(rc == 0, "%s: %s", url, error_text(rc));
}

static int resolve(const char *spec)
{
	return k.b->resolve(k.self, spec, &rev);
}

static char *id_hex(const struct scorpio_id *id)
{
	char *out = xcalloc(1, 2 * SCORPIO_ID_MAX + 1);

	for (unsigned i = 0; i < id->len; i++)
		snprintf(out + 2 * i, 3, "%02x", id->bytes[i]);
	return out;
}

static void assert_resolves(const char *spec, const char *git_spec)
{
	cleanup_free char *want = shell(k.dir, "git -C r rev-parse '%s^{tree}'",
					git_spec);
	cleanup_free char *commit =
		shell(k.dir, "git -C r rev-parse '%s'", git_spec);
	int rc = resolve(spec);
	cleanup_free char *got = NULL;

	ck_assert_msg(rc == 0, "%s: %s", spec, error_text(rc));
	got = id_hex(&rev.root);
	ck_assert_str_eq(got, want);
	ck_assert_int_eq(rev.kind, SCORPIO_DIR);
}

START_TEST(names_of_revisions)
{
	open_at("%s/%s", "r");
	ck_assert_uint_eq(k.info.flags, SCORPIO_INSTANCE_LOCAL |
					SCORPIO_INSTANCE_SIZES_FREE);
	assert_resolves("", "HEAD");
	ck_assert_str_eq(rev.label, "refs/heads/main");
	ck_assert_int_eq(rev.time_ns, 1700000000ll * 1000000000);
	ck_assert_uint_eq(strlen(rev.text), 40);
	assert_resolves("@", "HEAD");
	assert_resolves("main", "main");
	assert_resolves("refs/heads/side", "side");
	ck_assert_str_eq(rev.label, "refs/heads/side");
	assert_resolves("v1", "v1");
	ck_assert_str_eq(rev.label, "refs/tags/v1");
	assert_resolves("v1-note", "v1");
	assert_resolves("nested", "v1");
	assert_resolves("main~1", "main~1");
	assert_resolves("main^", "main~1");
	assert_resolves("main^{commit}", "main");
	ck_assert_int_eq(resolve("main~1^{tree}"), 0);
	ck_assert_uint_eq(strlen(rev.text), 40);
}
END_TEST

START_TEST(ids_full_and_short)
{
	cleanup_free char *id = shell(k.dir, "git -C r rev-parse main");
	cleanup_free char *tree = shell(k.dir, "git -C r rev-parse main^{tree}");

	open_at("git+file://%s/%s", "r");
	assert_resolves(id, "main");
	ck_assert_str_eq(rev.text, id);
	ck_assert_int_eq(resolve(tree), 0);
	ck_assert(rev.time_ns == SCORPIO_TIME_UNKNOWN);
	id[9] = 0;
	assert_resolves(id, "main");
	{
		cleanup_free char *described = xasprintf("v1-1-g%s", id);
		cleanup_free char *older = xasprintf("%s~1", id);

		assert_resolves(described, "main");
		assert_resolves(older, "main~1");
	}
}
END_TEST

START_TEST(subdirectories)
{
	cleanup_free char *want = shell(k.dir, "git -C r rev-parse main:sub/deep");
	cleanup_free char *got = NULL;

	open_at("git+%s/%s", "r");
	ck_assert_int_eq(resolve("main:sub//deep/"), 0);
	got = id_hex(&rev.root);
	ck_assert_str_eq(got, want);
	ck_assert_str_eq(strchr(rev.text, ':'), ":sub/deep");
	ck_assert_int_eq(resolve(rev.text), 0);
	ck_assert_int_eq(resolve("main:"), 0);
	ck_assert_int_eq(resolve("main:nowhere"), -ENOENT);
	ck_assert_int_eq(resolve("main:a.txt"), -ENOTDIR);
	ck_assert_int_eq(resolve("main:a.txt/x"), -ENOTDIR);
	ck_assert_int_eq(resolve("main:../x"), -EINVAL);
}
END_TEST

START_TEST(revisions_that_are_none)
{
	open_at("%s/%s", "r");
	ck_assert_int_eq(resolve("no-such-branch"), -ENOENT);
	ck_assert_int_eq(resolve("1234567890123456789012345678901234567890"),
			 -ENOENT);
	ck_assert_int_eq(resolve("main~7"), -ENOENT);
	ck_assert_int_eq(resolve("no-such~1"), -ENOENT);
	ck_assert_int_eq(resolve("~1"), -EINVAL);
	ck_assert_int_eq(resolve("bad..name"), -ENOENT);
	ck_assert_int_eq(resolve(":a.txt"), -EINVAL);
	ck_assert_int_eq(resolve("-x"), -EINVAL);
	ck_assert_int_eq(resolve("main\nx"), -EINVAL);
	bench_close(&k);
	free(shell(k.dir, "git init -q --bare -b main empty"));
	open_at("%s/%s", "empty");
	ck_assert_int_eq(resolve(""), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error_text(-ENOENT), "no commit"));
}
END_TEST

START_TEST(ambiguous_short_id)
{
	/* blobs until two of them share four digits */
	cleanup_free char *prefix = shell(k.dir,
		"cd r; seq 600 | sed 's/.*/blob\\ndata <<E\\n&\\nE/' |"
		" git fast-import --quiet\n"
		"git cat-file --batch-all-objects --batch-check=%%'(objectname)'"
		" | cut -c1-4 | uniq -d | sed -n 1p");

	ck_assert_uint_eq(strlen(prefix), 4);
	open_at("%s/%s", "r");
	ck_assert_int_eq(resolve(prefix), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error_text(-EINVAL), "ambiguous"));
}
END_TEST

static const struct scorpio_entry *entry(struct collect_object *o,
					 const char *name, uint8_t kind,
					 uint32_t mode)
{
	const struct scorpio_entry *e = collect_entry(o, name);

	ck_assert_msg(e != NULL, "no entry %s", name);
	ck_assert_uint_eq(e->kind, kind);
	ck_assert_uint_eq(e->mode, mode);
	return e;
}

static void assert_content(const struct scorpio_entry *e, const char *text)
{
	struct collect c;

	collect_init(&c);
	ck_assert_int_eq(bench_fetch(&k, &e->id, e->kind, &c), 0);
	ck_assert_uint_eq(c.n, 1);
	ck_assert(c.objects[0].blob && c.objects[0].ended && !c.misuse);
	ck_assert_uint_eq(e->size, strlen(text));
	ck_assert_uint_eq(c.objects[0].size, strlen(text));
	if (*text)
		ck_assert_str_eq(c.objects[0].data, text);
	collect_done(&c);
}

static void look_around(void)
{
	struct collect c, d;
	struct collect_object *root;
	const struct scorpio_entry *sub;

	collect_init(&c);
	collect_init(&d);
	ck_assert_int_eq(resolve("main"), 0);
	ck_assert_int_eq(bench_list(&k, &rev.root, &c), 0);
	ck_assert(!c.misuse && c.n == 1 && c.objects[0].ended);
	root = collect_find(&c, &rev.root);
	ck_assert_uint_eq(root->n_entries, 6);
	assert_content(entry(root, "a.txt", SCORPIO_FILE, 0644),
		       "hello\nmore\n");
	assert_content(entry(root, "empty", SCORPIO_FILE, 0644), "");
	assert_content(entry(root, "odd\xff\x01 name", SCORPIO_FILE, 0644),
		       "n\n");
	ck_assert_uint_eq(entry(root, "module", SCORPIO_SUBMODULE, 0755)
				  ->id.bytes[0], 0x12);
	sub = entry(root, "sub", SCORPIO_DIR, 0755);
	ck_assert_int_eq(bench_list(&k, &sub->id, &d), 0);
	assert_content(entry(&d.objects[0], "link", SCORPIO_SYMLINK, 0777),
		       "../a.txt");
	collect_done(&c);
	collect_done(&d);
}

START_TEST(trees_and_files)
{
	open_at("%s/%s", "r");
	look_around();
	bench_close(&k);
	free(shell(k.dir, "git clone -q --bare r bare.git; "
			  "git -C bare.git gc -q; git -C bare.git pack-refs"));
	open_at("%s/%s", "bare"); /* .git is added */
	look_around();
	bench_close(&k);
	free(shell(k.dir, "git clone -q --shared r alt; cd alt; "
			  "git checkout -q main"));
	open_at("%s/%s", "alt");
	look_around();
	bench_close(&k);
	free(shell(k.dir, "git -C r worktree add -q ../wt side"));
	open_at("%s/%s", "wt");
	ck_assert_int_eq(resolve("HEAD"), 0);
	ck_assert_str_eq(rev.label, "refs/heads/side");
	look_around();
}
END_TEST

START_TEST(packs_that_come_and_go)
{
	struct collect c;
	struct scorpio_ref ref = { .kind = SCORPIO_DIR };

	open_at("%s/%s", "r");
	look_around();
	free(shell(k.dir, "cd r; echo new >new; git add new; "
			  "git commit -qm three; git repack -adq; "
			  "git prune-packed"));
again:
	ck_assert_int_eq(resolve("main"), 0);
	collect_init(&c);
	ref.id = rev.root;
	ck_assert_int_eq(k.b->list(k.self, &ref, 1, &c.sink), 0);
	ck_assert_uint_eq(collect_trees(&c), 1);
	ck_assert_uint_ge(c.objects[0].n_entries, 7);
	if (!collect_entry(&c.objects[0], "newer")) {
		collect_done(&c);
		free(shell(k.dir, "cd r; echo newer >newer; git add newer; "
				  "git commit -qm four; git repack -adfq; "
				  "git prune-packed"));
		goto again;
	}
	collect_done(&c);
}
END_TEST

START_TEST(sizes_and_attributes)
{
	struct collect c;
	struct scorpio_ref ref = { .kind = SCORPIO_FILE };
	cleanup_free char *hex = shell(k.dir, "git -C r rev-parse main:a.txt");
	char buf[64] = "";
	int64_t n;

	for (unsigned i = 0; i < 20; i++) {
		unsigned v;

		ck_assert_int_eq(sscanf(hex + 2 * i, "%2x", &v), 1);
		ref.id.bytes[i] = (uint8_t)v;
	}
	ref.id.len = 20;
	open_at("%s/%s", "r");
	collect_init(&c);
	ck_assert_int_eq(k.b->sizes(k.self, &ref, 1, &c.sink), 0);
	ck_assert(c.n == 1 && c.objects[0].has_size);
	ck_assert_uint_eq(c.objects[0].size, 11);
	n = k.b->xattr(k.self, &ref, "oid", buf, sizeof(buf));
	ck_assert_int_eq(n, 40);
	ck_assert_str_eq(buf, hex);
	ck_assert_int_eq(k.b->xattr(k.self, &ref, "type", buf, 2), 4);
	ck_assert_int_eq(k.b->xattr(k.self, &ref, "else", buf, 64), -ENODATA);
	collect_done(&c);
}
END_TEST

START_TEST(objects_that_are_missing_or_damaged)
{
	struct collect c;
	struct scorpio_id none = { .len = 20, .bytes = { 1, 2, 3 } };
	struct scorpio_id odd = { .len = 3 };
	const struct scorpio_entry *e;

	free(shell(k.dir, "cd r; f=.git/objects/$(git rev-parse main:a.txt |"
			  " sed 's|^..|&/|'); chmod u+w $f; "
			  "printf 'garbage' >$f"));
	open_at("%s/%s", "r");
	collect_init(&c);
	ck_assert_int_eq(bench_fetch(&k, &none, SCORPIO_FILE, &c), 0);
	ck_assert_int_eq(c.objects[0].failed, -ESTALE);
	ck_assert_int_eq(bench_fetch(&k, &odd, SCORPIO_FILE, &c), 0);
	ck_assert_int_eq(c.objects[1].failed, -EINVAL);
	ck_assert_int_eq(resolve("main"), 0);
	ck_assert_int_eq(bench_fetch(&k, &rev.root, SCORPIO_FILE, &c), 0);
	ck_assert_int_eq(c.objects[2].failed, -EINVAL); /* a tree */
	ck_assert_int_eq(bench_list(&k, &rev.root, &c), 0);
	e = collect_entry(&c.objects[3], "a.txt");
	ck_assert_uint_eq(e->size, SCORPIO_SIZE_UNKNOWN);
	ck_assert_int_eq(bench_fetch(&k, &e->id, SCORPIO_FILE, &c), 0);
	ck_assert_int_lt(c.objects[4].failed, 0);
	ck_assert_int_ne(c.objects[4].failed, -ENOENT);
	collect_done(&c);
}
END_TEST

/* A tree written byte by byte: entries "mode name", all with one blob. */
static int list_raw(const char *tag, const char *entries, struct collect *c)
{
	free(shell(k.dir, "cd r; b=$(git rev-parse main:a.txt | sed "
		   "'s/../\\\\x&/g'); for e in %s; do "
		   "printf \"$(echo $e | tr _ ' ')\\\\0$b\"; done | "
		   "git hash-object -t tree -w --literally --stdin | "
		   "xargs git tag %s", entries, tag));
	ck_assert_int_eq(resolve(tag), 0);
	return bench_list(&k, &rev.root, c);
}

START_TEST(hostile_trees)
{
	static const char *const bad[] = { "100644_..", "100644_.", "100644_a/b",
					   "777_a", "100644_ok 100644_.." };
	struct collect c;

	open_at("%s/%s", "r");
	collect_init(&c);
	ck_assert_int_eq(list_raw("hidden", "100664_a 100644_.GIT 40000_.git"
				  " 100755_b", &c), 0);
	ck_assert_uint_eq(c.objects[0].n_entries, 2);
	entry(&c.objects[0], "a", SCORPIO_FILE, 0644);
	entry(&c.objects[0], "b", SCORPIO_FILE, 0755);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_free char *tag = xasprintf("bad%zu", i);

		ck_assert_int_eq(list_raw(tag, bad[i], &c), 0);
		ck_assert_int_eq(c.objects[c.n - 1].failed, -EBADMSG);
		ck_assert(!c.objects[c.n - 1].tree);
	}
	collect_done(&c);
}
END_TEST

START_TEST(a_directory_of_100000)
{
	struct collect c;

	free(shell(k.dir, "cd r; b=$(git rev-parse main:a.txt); "
		   "seq -f \"100644 blob $b\tf%%06g\" 100000 | git mktree --missing |"
		   " xargs git tag huge; git repack -adq"));
	open_at("%s/%s", "r");
	ck_assert_int_eq(resolve("huge"), 0);
	collect_init(&c);
	ck_assert_int_eq(bench_list(&k, &rev.root, &c), 0);
	ck_assert_uint_eq(c.objects[0].n_entries, 100000);
	ck_assert_uint_eq(c.objects[0].entries[99999].e.size, 11);
	collect_done(&c);
}
END_TEST

START_TEST(large_file_is_streamed)
{
	struct collect c;
	const struct scorpio_entry *e;

	free(shell(k.dir, "cd r; truncate -s 70M big; "
			  "git add big; git commit -qm big"));
	open_at("%s/%s", "r");
	ck_assert_int_eq(resolve("main"), 0);
	collect_init(&c);
	c.limit = 1;
	ck_assert_int_eq(bench_list(&k, &rev.root, &c), 0);
	e = collect_entry(&c.objects[0], "big");
	ck_assert_uint_eq(e->size, 70 * MiB);
	ck_assert_int_eq(bench_fetch(&k, &e->id, SCORPIO_FILE, &c), 0);
	ck_assert(c.objects[1].ended && !c.misuse);
	ck_assert_uint_eq(c.objects[1].len, 70 * MiB);
	collect_done(&c);
}
END_TEST

START_TEST(the_sink_may_stop)
{
	struct collect c;
	struct scorpio_ref refs[2] = { { .kind = SCORPIO_DIR },
				       { .kind = SCORPIO_DIR } };

	open_at("%s/%s", "r");
	ck_assert_int_eq(resolve("main"), 0);
	refs[0].id = refs[1].id = rev.root;
	collect_init(&c);
	c.stop_at = 2;
	c.stop_code = -ECANCELED;
	ck_assert_int_eq(k.b->list(k.self, refs, 2, &c.sink), -ECANCELED);
	ck_assert_uint_eq(collect_trees(&c), 1);
	collect_done(&c);
}
END_TEST

START_TEST(addresses_that_do_not_work)
{
	static const char *const bad[] = {
		"git+ftp://h/x", "git+file://relative", "", "git+",
		"-upload-pack=x", "https://", "https://h/x?y", "ext::sh -c x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(bench_open(&k, bad[i]) < 0, "%s", bad[i]);
		ck_assert_ptr_null(k.self);
	}
	ck_assert_int_eq(bench_open(&k, "/nowhere/at/all"), -ENOENT);
	ck_assert_int_eq(bench_open(&k, "/tmp"), -EINVAL);
	free(shell(k.dir, "git init -q --object-format=sha256 s256"));
	{
		cleanup_free char *url = xasprintf("%s/s256", k.dir);

		ck_assert_int_eq(bench_open(&k, url), -ENOTSUP);
		ck_assert_ptr_nonnull(strstr(error_text(-ENOTSUP), "SHA-256"));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		names_of_revisions, ids_full_and_short, subdirectories,
		revisions_that_are_none, ambiguous_short_id, trees_and_files,
		packs_that_come_and_go, sizes_and_attributes,
		objects_that_are_missing_or_damaged, hostile_trees,
		a_directory_of_100000, large_file_is_streamed, the_sink_may_stop,
		addresses_that_do_not_work,
	};
	Suite *s = suite_create("git_local");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, make_template, remove_template);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
