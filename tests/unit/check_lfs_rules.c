/* SPDX-License-Identifier: Apache-2.0 */
/* Which files are LFS files: as git itself says of the same .gitattributes
 * (`git check-attr`), random ones; include and exclude by hand. */
#include "core/base.h"

#include "backends/lfs/rules.h"
#include "core/buf.h"
#include "core/path.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 40

static uint64_t seed = 1;
static char top[] = "/tmp/check_lfs_rules.XXXXXX";

static unsigned roll(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

#define PICK(list) ((list)[roll(ARRAY_SIZE(list))])

static const char *const dirs[] = { "", "a/", "a/b/", "b/", "a/x.d/",
				    "ab/a/b/", "a/b/a/" };
static const char *const with_rules[] = { "", "a/", "a/b/" };
static const char *const names[] = { "f.bin", "g.txt", "a.c", "b.bin", ".h",
				     "abn", "[x]", "w w", "f.BIN" };
static const char *const parts[] = { "*.bin", "f*", "?", "a", "b", "**", "*",
				     "[ab]", "[!a]*", "g.t?t", "\\[x\\]",
				     "*.[bB]*", "x.d", "ab", "*b*n" };
static const char *const attrs[] = {
	"filter=lfs", "filter=lfs diff=lfs merge=lfs -text", "-filter",
	"!filter", "filter=other", "filter", "text", "big", "-big", "!big",
	"big -filter", "text filter=lfs eol=lf", "small",
};

static void line(struct buf *b, bool root)
{
	unsigned n = 1 + roll(3);

	if (!roll(12)) {
		buf_puts(b, roll(2) ? "# filter=lfs\n" : "   \n");
		return;
	}
	if (!roll(root ? 8 : 20)) {
		buf_puts(b, roll(2) ? "[attr]big filter=lfs -text\n"
				    : "[attr]small filter=other\n");
		return;
	}
	if (!roll(10)) {
		buf_printf(b, "\"w\\040w\" %s\n", PICK(attrs));
		return;
	}
	if (!roll(4))
		buf_putc(b, '/');
	for (unsigned i = 0; i < n; i++)
		buf_printf(b, "%s%s", i ? "/" : "", PICK(parts));
	if (!roll(15))
		buf_putc(b, '/');
	buf_printf(b, " %s\n", PICK(attrs));
}

static void put(const char *name, const struct buf *b)
{
	cleanup_free char *path = xasprintf("%s/%s", top, name);

	ck_assert_int_eq(path_write(path, b->data, b->len, 0644, false), 0);
}

static void git(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	ck_assert(pid >= 0);
	if (!pid) {
		int in, out;

		if (chdir(top))
			_exit(126);
		in = open("paths", O_RDONLY | O_CREAT, 0644);
		out = open("said", O_WRONLY | O_CREAT | O_TRUNC, 0644);
		dup2(in, 0);
		dup2(out, 1);
		dup2(open("/dev/null", O_WRONLY), 2);
		setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
		setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
		execvp("git", (char *const *)argv);
		_exit(127);
	}
	ck_assert(waitpid(pid, &status, 0) == pid);
	ck_assert_int_eq(status, 0);
}

/* The rules inside `dir`, by the texts of the directories on the way. */
static struct lfsrules *rules_of(const char *dir, const struct buf *texts)
{
	struct lfsrules *r = lfsrules_new(LFSRULES_ROOT);
	size_t at = 0;

	for (;;) {
		size_t n;

		for (size_t i = 0; i < ARRAY_SIZE(with_rules); i++)
			if (strlen(with_rules[i]) == at &&
			    !memcmp(with_rules[i], dir, at))
				ck_assert_int_eq(lfsrules_attributes(
					r, (const char *)texts[i].data,
					texts[i].len), 0);
		n = strcspn(dir + at, "/");
		if (!dir[at])
			return r;
		struct lfsrules *down = lfsrules_step(r, dir + at, n);

		lfsrules_free(r);
		r = down;
		at += n + 1;
	}
}

/* As it is remembered and read again. */
static struct lfsrules *reread(struct lfsrules *r)
{
	struct lfsbuf text = { 0 };
	struct lfsrules *back = NULL;

	ck_assert_int_eq(lfsrules_write(r, &text), 0);
	ck_assert_int_eq(lfsrules_read(text.p, text.n, &back), 0);
	lfsbuf_done(&text);
	lfsrules_free(r);
	return back;
}

static const char *next(const char **p)
{
	const char *word = *p;

	*p += strlen(word) + 1;
	return word;
}

static unsigned compare(const struct buf *texts)
{
	cleanup_free char *path = xasprintf("%s/said", top);
	cleanup_free char *said = NULL;
	const char *p;
	unsigned hits = 0;
	size_t len;

	ck_assert_int_eq(path_read(path, 1 << 20, &said, &len), 0);
	p = said;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		struct lfsrules *r = reread(rules_of(dirs[i], texts));

		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			const char *file = next(&p), *value;
			bool mine = lfsrules_match(r, names[k],
						   strlen(names[k]));

			next(&p);
			value = next(&p);
			hits += mine;
			ck_assert_msg(mine == !strcmp(value, "lfs"),
				      "round %" PRIu64 ": %s is \"%s\", not "
				      "%d; root:\n%s\na/:\n%s\na/b/:\n%s",
				      seed, file, value, mine, texts[0].data,
				      texts[1].data, texts[2].data);
		}
		lfsrules_free(r);
	}
	return hits;
}

START_TEST(as_git)
{
	static const char *const init[] = { "git", "init", "-q", NULL };
	static const char *const ask[] = { "git", "check-attr", "-z", "--stdin",
					   "filter", NULL };
	cleanup_buf struct buf paths = BUF_INIT;
	cleanup_free char *deep = NULL;
	unsigned hits = 0;

	ck_assert_ptr_nonnull(mkdtemp(top));
	deep = xasprintf("%s/a/b", top);
	ck_assert_int_eq(path_make_dirs(deep, 0755), 0);
	git(init);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			buf_printf(&paths, "%s%s", dirs[i], names[k]);
			buf_putc(&paths, 0);
		}
	put("paths", &paths);
	for (int round = 0; round < ROUNDS; round++) {
		struct buf texts[3] = { BUF_INIT, BUF_INIT, BUF_INIT };

		for (size_t i = 0; i < 3; i++) {
			cleanup_free char *name = xasprintf(
				"%s.gitattributes", with_rules[i]);

			for (unsigned n = roll(6); n; n--)
				line(&texts[i], !i);
			buf_puts(&texts[i], "# end\n");
			put(name, &texts[i]);
			buf_putc(&texts[i], 0);
			texts[i].len--;
		}
		git(ask);
		hits += compare(texts);
		for (size_t i = 0; i < 3; i++)
			buf_done(&texts[i]);
	}
	ck_assert_uint_gt(hits, 100);
	ck_assert_int_eq(path_empty_dir(top), 0);
	rmdir(top);
}
END_TEST

static bool shown(const char *include, const char *exclude, const char *path)
{
	static const char all[] = "* filter=lfs\n";
	struct lfsrules *r = lfsrules_new(LFSRULES_ROOT), *down;
	bool yes;

	ck_assert_int_eq(lfsrules_filter(r, 'i', include), 0);
	ck_assert_int_eq(lfsrules_filter(r, 'x', exclude), 0);
	ck_assert_int_eq(lfsrules_attributes(r, all, strlen(all)), 0);
	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		down = lfsrules_step(r, path, (size_t)(slash - path));
		lfsrules_free(r);
		r = reread(down);
	}
	yes = lfsrules_match(r, path, strlen(path));
	lfsrules_free(r);
	return yes;
}

START_TEST(include_exclude)
{
	ck_assert(shown("", "", "a/b"));
	ck_assert(shown("a", "", "a/b"));
	ck_assert(shown("/a/", "", "a/x/b"));
	ck_assert(!shown("a", "", "b/c"));
	ck_assert(shown("*.png, a/**", "", "x/y.png"));
	ck_assert(!shown("*.png, a/**", "", "x/y.jpg"));
	ck_assert(!shown("", "a", "a/x/b"));
	ck_assert(!shown("a", "a/x", "a/x/b"));
	ck_assert(shown("a", "a/x", "a/y/b"));
	ck_assert(!shown("", "*.iso", "d/e.iso"));
}
END_TEST

START_TEST(damaged)
{
	static const char *const texts[] = {
		"", "lfs1", "lfs1 9\n", "lfs1 1\nzz", "lfs1 1\na+0 00 5:abc\n",
		"lfs1 1\na+0 00 99999999:a\n", "lfs2 1\n",
	};
	struct lfsrules *r;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		ck_assert_int_eq(lfsrules_read(texts[i], strlen(texts[i]), &r),
				 -EBADMSG);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lfs rules");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, as_git);
	tcase_add_test(t, include_exclude);
	tcase_add_test(t, damaged);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
