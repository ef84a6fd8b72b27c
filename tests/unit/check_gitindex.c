/* SPDX-License-Identifier: Apache-2.0 */
/* The index that is made from stored trees, as git reads it. */
#include "api/gitwork/gitindex.h"

#include "cache/source.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/error.h"
#include "tests/lib/liar.h"

#include <check.h>
#undef fail /* of check.h */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* sh -e -c; its stdout, which the caller frees. */
static char *sh(const char *fmt, ...) PRINTF(1, 2);
static char *sh(const char *fmt, ...)
{
	cleanup_free char *script = NULL, *all = NULL;
	struct buf out = BUF_INIT;
	char part[4096];
	va_list ap;
	FILE *f;
	size_t n;
	int rc;

	va_start(ap, fmt);
	ck_assert_int_ge(vasprintf(&script, fmt, ap), 0);
	va_end(ap);
	all = xasprintf("set -e; cd %s; export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD "
			"GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b "
			"GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; %s",
			liar_dir(), script);
	f = popen(all, "r");
	ck_assert_ptr_nonnull(f);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_put(&out, part, n);
	rc = pclose(f);
	ck_assert_msg(rc == 0, "exit %d of: %s\n%s", WEXITSTATUS(rc), script,
		      buf_str(&out));
	return buf_steal(&out);
}

static struct source *source;
static struct scorpio_revision revision;

static void open_repository(void)
{
	cleanup_free char *url = xasprintf("git+%s/repo", liar_dir());
	struct source_options o = { .store = liar_store(), .url = url };
	int rc = source_open(&o, &source);

	ck_assert_msg(!rc, "%s", error_text(rc));
	rc = source_resolve(source, "", deadline_in_ms(5000), &revision);
	ck_assert_msg(!rc, "%s", error_text(rc));
}

static struct gitindex_options options(void)
{
	static char worktree[300];

	snprintf(worktree, sizeof(worktree), "%s/empty", liar_dir());
	return (struct gitindex_options){
		.store = liar_store(), .space = source_space(source),
		.root = revision.root, .time_ns = revision.time_ns,
		.uid = 7, .gid = 8, .dev = 9, .worktree = worktree,
		.token = "t:1:2",
	};
}

/* Fetch what is missing until it works. */
static struct gitindex_stats write_index(const struct gitindex_options *o)
{
	cleanup_free char *path = xasprintf("%s/index", liar_dir());
	struct gitindex_stats stats = { 0 };
	struct scorpio_id missing;
	int rc;

	while ((rc = gitindex_write(o, path, &stats, &missing)) == -EAGAIN) {
		struct scorpio_ref ref = { .id = missing, .path = "",
					   .kind = SCORPIO_DIR };

		ck_assert_int_ne(access(path, F_OK), 0);
		rc = source_need(source, WANT_TREE, &ref, WANT_DEMAND,
				 deadline_in_ms(5000));
		ck_assert_msg(!rc, "%s", error_text(rc));
	}
	ck_assert_msg(!rc, "%s", error_text(rc));
	return stats;
}

static void same(const char *what, const char *a, const char *b)
{
	cleanup_free char *x = sh("%s", a), *y = sh("%s", b);

	ck_assert_msg(!strcmp(x, y), "%s:\n%s\nwanted:\n%s", what, x, y);
}

#define OURS "export GIT_DIR=$PWD/ours GIT_WORK_TREE=$PWD/empty; "

/* A repository around the index, whose files are nowhere: whatever git looks
 * at it takes for deleted. The monitor says that nothing changed. */
static void prepare_ours(void)
{
	free(sh("git init -q --bare ours; mkdir empty; cp index ours/index;"
		"rm -rf ours/info;"
		"echo $PWD/repo/.git/objects >ours/objects/info/alternates;"
		"git -C repo rev-parse HEAD >ours/refs/heads/master;"
		"echo 'ref: refs/heads/master' >ours/HEAD;"
		"cat >monitor <<'E'\n#!/bin/sh\n"
		"echo \"$@\" >>%s/asked\nprintf 't:1:2\\0'\nE\n"
		"chmod +x monitor;"
		"git --git-dir=ours config core.bare false;"
		"git --git-dir=ours config core.untrackedCache true;"
		"git --git-dir=ours config core.fsmonitor $PWD/monitor",
		liar_dir()));
}

START_TEST(git_reads_it)
{
	struct gitindex_options o;
	struct gitindex_stats st;

	free(sh("git init -q -b master repo; cd repo; mkdir -p a/b a.b a-b x;"
		"echo 1 >a/b/1; echo 2 >a.b/2; echo 3 >a-b/3; echo 4 >a.c;"
		"echo 5 >a0; ln -s a.c link; echo '#!' >run; chmod +x run;"
		"echo '*.o' >x/.gitignore; : >empty; echo 6 >'x/with space';"
		"echo 7 >x/$(printf '\\377\\n'); echo 8 >aa;"
		"git add -A;"
		"git update-index --add --cacheinfo 160000,"
		"1234567890123456789012345678901234567890,a/sub;"
		"git commit -q -m x"));
	open_repository();
	o = options();
	st = write_index(&o);
	prepare_ours();
	same("entries", OURS "git ls-files -s",
	     "git -C repo ls-files -s");
	same("tree", OURS "git write-tree", "git -C repo rev-parse HEAD:");
	same("staged", OURS "git diff --cached --raw", "");
	free(sh(OURS "git fsck --strict --no-dangling 2>&1"));
	ck_assert_uint_eq(st.entries, 13);
	ck_assert_uint_eq(st.dirs, 6);
	ck_assert_uint_eq(st.inexact, 0);
	ck_assert_uint_eq(st.sizes_unknown, 0);
	source_put(source);
}
END_TEST

/* git status on a tree that does not exist says clean: it asked the monitor
 * and looked at no file and no directory. */
START_TEST(first_status_looks_at_nothing)
{
	struct gitindex_options o;
	cleanup_free char *status = NULL, *perf = NULL;

	free(sh("git init -q -b master repo; cd repo; mkdir -p d/e/f g;"
		"echo 1 >d/1; echo 2 >d/e/2; echo 3 >d/e/f/3; echo 4 >g/4;"
		"git add -A; git commit -q -m x"));
	open_repository();
	o = options();
	write_index(&o);
	prepare_ours();
	status = sh(OURS "GIT_TRACE2_PERF=$PWD/perf git status --porcelain");
	ck_assert_str_eq(status, "");
	perf = sh("cat perf");
	ck_assert_ptr_nonnull(strstr(perf, "opendir:0"));
	ck_assert_ptr_nonnull(strstr(perf, "directories-visited:5"));
	ck_assert_ptr_nonnull(strstr(perf, "gitignore-invalidation:0"));
	ck_assert_ptr_nonnull(strstr(perf, "directory-invalidation:0"));
	same("question", "cat asked", "echo 2 t:1:2");
	source_put(source);
}
END_TEST

/* The stat data is there for programs that look themselves. */
START_TEST(stat_data)
{
	struct gitindex_options o;
	cleanup_free char *debug = NULL, *when = NULL;

	free(sh("git init -q -b master repo; cd repo; echo 12345 >f;"
		"git add -A; GIT_COMMITTER_DATE='1600000000 +0000' "
		"git commit -q -m x"));
	open_repository();
	o = options();
	write_index(&o);
	prepare_ours();
	debug = sh(OURS "git ls-files --debug");
	ck_assert_ptr_nonnull(strstr(debug, "mtime: 1600000000:0"));
	ck_assert_ptr_nonnull(strstr(debug, "ctime: 1600000000:0"));
	ck_assert_ptr_nonnull(strstr(debug, "uid: 7\tgid: 8"));
	ck_assert_ptr_nonnull(strstr(debug, "dev: 9"));
	ck_assert_ptr_nonnull(strstr(debug, "size: 6\t"));
	source_put(source);
}
END_TEST

static int count_tree(void *ctx, const uint8_t id[20] UNUSED,
		      const void *raw UNUSED, size_t n UNUSED)
{
	++*(unsigned *)ctx;
	return 0;
}

/* Modes of old writers: git makes another tree of such a listing, so it must
 * not be told that it knows its id. */
START_TEST(odd_modes_are_not_vouched_for)
{
	struct gitindex_options o;
	struct gitindex_stats st;
	unsigned trees = 0;

	free(sh("git init -q -b master repo; cd repo; mkdir d; echo 1 >d/f;"
		"git add -A; b=$(git hash-object -w d/f);"
		"t=$(echo $b | "
		"python3 -c 'import sys;b=bytes.fromhex(sys.stdin.read());"
		"sys.stdout.buffer.write(b\"100664 f\\0\"+b)' | "
		"git hash-object -w -t tree --literally --stdin);"
		"r=$(printf '040000 tree %%s\\td\\n' $t | git mktree);"
		"c=$(git commit-tree -m x $r); git update-ref HEAD $c"));
	open_repository();
	o = options();
	o.tree = count_tree;
	o.ctx = &trees;
	st = write_index(&o);
	prepare_ours();
	ck_assert_uint_eq(st.inexact, 1);
	ck_assert_uint_ge(trees, 1); /* the root is rebuilt */
	same("status", OURS "git diff --cached --raw", "");
	same("canonical", OURS "git write-tree; git ls-files -s",
	     "cd repo; git read-tree HEAD; git rm -q --cached d/f;"
	     "git update-index --add --cacheinfo "
	     "100644,$(git rev-parse HEAD:d/f),d/f; git write-tree;"
	     "git ls-files -s");
	source_put(source);
}
END_TEST

/* Enough files for several blocks, read by several threads of git. */
START_TEST(blocks)
{
	struct gitindex_options o;
	struct gitindex_stats st;

	free(sh("git init -q -b master repo; cd repo; python3 - <<'E' | "
		"git fast-import --quiet\n"
		"print('blob\\nmark :1\\ndata 2\\nx\\n')\n"
		"print('commit refs/heads/master\\ncommitter a <a> 1 +0000\\n"
		"data 1\\nx')\n"
		"for i in range(40000):\n"
		"    print('M 644 :1 d%%d/e%%d/f%%d' %% (i %% 7, i %% 91, i))\n"
		"E\n"
		"git read-tree HEAD"));
	open_repository();
	o = options();
	st = write_index(&o);
	prepare_ours();
	ck_assert_uint_eq(st.entries, 40000);
	same("entries", OURS "git -c index.threads=4 ls-files -s | sha1sum",
	     "git -C repo ls-files -s | sha1sum");
	same("one thread", OURS "git -c index.threads=1 ls-files -s | sha1sum",
	     "git -C repo ls-files -s | sha1sum");
	same("status", OURS "git -c index.threads=4 status --porcelain", "");
	source_put(source);
}
END_TEST

START_TEST(cancelled_and_bad)
{
	struct gitindex_options o;
	bool cancel = true;

	free(sh("git init -q -b master repo; cd repo; echo 1 >f;"
		"git add -A; git commit -q -m x"));
	open_repository();
	o = options();
	o.cancel = &cancel;
	ck_assert_int_eq(gitindex_write(&o, "/nonexistent/index", NULL, NULL),
			 -ENOENT);
	o.root.len = 32;
	ck_assert_int_eq(gitindex_write(&o, "/dev/null", NULL, NULL), -EINVAL);
	source_put(source);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gitindex");
	TCase *t = tcase_create("gitindex");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, liar_setup, liar_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, git_reads_it);
	tcase_add_test(t, first_status_looks_at_nothing);
	tcase_add_test(t, stat_data);
	tcase_add_test(t, odd_modes_are_not_vouched_for);
	tcase_add_test(t, blocks);
	tcase_add_test(t, cancelled_and_bad);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
