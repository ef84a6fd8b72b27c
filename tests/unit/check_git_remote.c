/* SPDX-License-Identifier: Apache-2.0 */
/* The git backend against the real git http-backend on loopback. */
#include "tests/lib/collect.h"
#include "tests/lib/git_server.h"

#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/http.h"

#include <check.h>

extern const struct scorpio_backend scorpio_git_backend;

static char root[] = "/tmp/scorpio-unit-XXXXXX";
static struct git_server server;
static struct bench k;
static struct collect c;
static struct scorpio_revision rev;

/* yes.git: filters allowed; no.git: none; less.git: only one filter.
 * 3 levels of directories, 111 of them, 302 files. */
static const char fixture[] =
	"git init -q -b main w && cd w\n"
	"for a in 0 1 2 3 4 5 6 7 8 9; do mkdir -p d$a/e/f\n"
	" for b in 0 1 2 3 4 5 6 7 8 9; do mkdir d$a/g$b\n"
	"  for f in x y z; do echo $a$b$f >d$a/g$b/$f; done; done; done\n"
	"echo root >file && ln -s file link && chmod +x d0/g0/x\n"
	"git add -A && git commit -qm one && git tag -am note v1\n"
	"echo two >file && git commit -qam two\n"
	"cd .. && for r in yes no less; do git clone -q --bare w $r.git; done\n"
	"git -C yes.git config uploadpack.allowFilter true\n"
	"git -C less.git config uploadpack.allowFilter true\n"
	"git -C less.git config uploadpackfilter.allow false\n"
	"git -C less.git config uploadpackfilter.blob:none.allow true\n"
	"git init -q --bare -b main empty.git\n"
	"git init -q --bare --object-format=sha256 s256.git\n";

static void start(void)
{
	setenv("HOME", "/nonexistent", 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	if (!mkdtemp(root))
		abort();
	free(shell(root, "%s", fixture));
	git_server_start(&server, root);
}

static void stop(void)
{
	git_server_stop(&server);
	free(shell("/", "rm -rf %s", root));
}

static void setup(void)
{
	http_configure(&(struct http_settings){ .retries = 0 });
	git_server_reset(&server);
	bench_init(&k, &scorpio_git_backend, NULL);
	collect_init(&c);
}

static void teardown(void)
{
	if (k.self)
		ck_assert_uint_eq(bench_scratch_files(&k), 0);
	collect_done(&c);
	bench_done(&k);
	http_reset();
}

static void open_repo(const char *path)
{
	cleanup_free char *url = git_server_url(&server, path);
	int rc = bench_open(&k, url);

	ck_assert_msg(rc == 0, "%s: %s", url, error_text(rc));
	ck_assert_int_eq(git_server_count(&server, "requests"), 0);
}

static int resolve(const char *spec)
{
	return k.b->resolve(k.self, spec, &rev);
}

static void must_resolve(const char *spec)
{
	int rc = resolve(spec);

	ck_assert_msg(rc == 0, "%s: %s", spec, error_text(rc));
}

static char *git(const char *what)
{
	return shell(root, "git -C w rev-parse '%s'", what);
}

static struct scorpio_id id_of(const char *what)
{
	cleanup_free char *hex = git(what);
	struct scorpio_id id = { .len = 20 };

	for (unsigned i = 0; i < 20; i++) {
		unsigned v = 0;

		ck_assert_int_eq(sscanf(hex + 2 * i, "%2x", &v), 1);
		id.bytes[i] = (uint8_t)v;
	}
	return id;
}

static void assert_root(const char *what)
{
	struct scorpio_id id = id_of(what);

	ck_assert_mem_eq(&rev.root, &id, sizeof(id));
}

static int list(const char *what)
{
	struct scorpio_id id = id_of(what);

	return bench_list(&k, &id, &c);
}

static struct collect_object *poured(const char *what)
{
	struct scorpio_id id = id_of(what);
	struct collect_object *o = collect_find(&c, &id);

	ck_assert_msg(o != NULL, "%s was not poured", what);
	ck_assert(!c.misuse);
	return o;
}

/* -- what must work -------------------------------------------------------- */

START_TEST(resolving)
{
	cleanup_free char *commit = git("main");
	cleanup_free char *tip = xstrndup(commit, 9);
	cleanup_free char *old = git("main~1");

	open_repo("yes.git");
	must_resolve("");
	assert_root("main^{tree}");
	ck_assert_str_eq(rev.text, commit);
	ck_assert_str_eq(rev.label, "refs/heads/main");
	ck_assert_int_eq(rev.time_ns, 1700000000ll * 1000000000);
	/* what it can do, references, commit and root tree */
	ck_assert_int_eq(git_server_count(&server, "requests"), 3);
	must_resolve("v1");
	assert_root("main~1^{tree}");
	ck_assert_str_eq(rev.text, old);
	ck_assert_int_eq(git_server_count(&server, "requests"), 5);
	must_resolve(old);
	ck_assert_int_eq(git_server_count(&server, "requests"), 5);
	must_resolve("refs/heads/main");
	must_resolve(tip);
	assert_root("main^{tree}");
	must_resolve("main:d1/g2");
	assert_root("main:d1/g2");
	must_resolve("main^{tree}");
	ck_assert_int_eq(resolve("main:d1/nothing"), -ENOENT);
	ck_assert_int_eq(resolve("main:file"), -ENOTDIR);
	ck_assert_int_eq(resolve("nothing"), -ENOENT);
	ck_assert_int_eq(resolve("1234567890123456789012345678901234567890"),
			 -ENOENT);
	old[7] = 0; /* behind the tag only: its object is peeled */
	must_resolve(old);
	ck_assert_int_eq(resolve("0123abc"), -ENOTSUP);
	bench_close(&k);
	git_server_reset(&server);
	open_repo("empty.git");
	ck_assert_int_eq(resolve(""), -ENOENT);
}
END_TEST

/* six commits, then a branch from the fourth and its merge */
static const char history[] =
	"git init -q -b main h && cd h && echo x >f && git add f\n"
	"for i in 1 2 3 4 5 6; do echo $i >f; git commit -qam $i; done\n"
	"git tag -am note v6 && git checkout -q -b side HEAD~2\n"
	"echo side >g && git add g && git commit -qm side\n"
	"git checkout -q main && git merge -q --no-ff -m merge side\n"
	"cd .. && git clone -q --bare h hist.git\n"
	"git clone -q --bare --depth 2 file://$PWD/h short.git\n"
	"for r in hist short; do\n"
	" git -C $r.git config uploadpack.allowFilter true; done\n";

static void assert_ancestor(const char *spec)
{
	cleanup_free char *want = shell(root, "git -C h rev-parse '%s^0'",
					spec);

	must_resolve(spec);
	ck_assert_str_eq(rev.text, want);
	ck_assert_str_eq(rev.label, spec);
}

START_TEST(ancestors)
{
	static const char *const good[] = {
		"main~1", "main^", "main^2", "main^2~1", "main~3", "main~6",
		"HEAD^^", "@~2^1", "main^{commit}~2", "v6~1", "main^0~1",
	};

	free(shell(root, "%s", history));
	open_repo("hist.git");
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_ancestor(good[i]);
	ck_assert_int_eq(resolve("main~7"), -ENOENT);
	ck_assert_int_eq(resolve("main~99"), -ENOENT);
	ck_assert_int_eq(resolve("main^3"), -ENOENT);
	ck_assert_int_eq(resolve("nosuch~1"), -ENOENT);
	ck_assert_int_eq(resolve("main~20000"), -EINVAL);
	ck_assert_int_eq(resolve("main~1x"), -EINVAL);
	ck_assert_int_eq(resolve("~1"), -EINVAL);
	ck_assert_int_eq(resolve("main^{tree}~1"), -EINVAL);
	ck_assert_int_eq(resolve("main@{1}"), -ENOTSUP);
	ck_assert_int_eq(
		resolve("1234567890123456789012345678901234567890~1"), -ENOENT);
	bench_close(&k);

	/* what it can do, references, commits, the commit and its root */
	git_server_reset(&server);
	open_repo("hist.git");
	must_resolve("main~5");
	ck_assert_int_eq(git_server_count(&server, "requests"), 4);
	bench_close(&k);
	git_server_reset(&server);
	open_repo("short.git"); /* shallow itself: its history ends */
	must_resolve("main~1");
	ck_assert_int_eq(resolve("main~4"), -ENOENT);
	bench_close(&k);
	git_server_reset(&server);
	open_repo("no.git"); /* would bring every version of every file */
	ck_assert_int_eq(resolve("main~1"), -ENOTSUP);
	bench_close(&k);
	git_server_reset(&server);
	open_repo("v0/hist.git"); /* gives only what references name */
	ck_assert_int_eq(resolve("main^2~1"), -ENOTSUP);
}
END_TEST

START_TEST(first_listing_needs_no_request)
{
	long before;

	open_repo("yes.git");
	must_resolve("main");
	before = git_server_count(&server, "requests");
	ck_assert_int_eq(bench_list(&k, &rev.root, &c), 0);
	ck_assert_int_eq(git_server_count(&server, "requests"), before);
	ck_assert_uint_eq(poured("main^{tree}")->n_entries, 12);
	ck_assert_uint_eq(collect_entry(&c.objects[0], "link")->kind,
			  SCORPIO_SYMLINK);
	ck_assert_uint_eq(collect_entry(&c.objects[0], "file")->size,
			  SCORPIO_SIZE_UNKNOWN);
}
END_TEST

START_TEST(a_directory_brings_those_below)
{
	long before;

	open_repo("yes.git");
	must_resolve("main");
	before = git_server_count(&server, "requests");
	ck_assert_int_eq(list("main:d3"), 0);
	ck_assert_int_eq(git_server_count(&server, "requests"), before + 1);
	ck_assert_uint_eq(collect_trees(&c), 11);
	ck_assert_uint_eq(collect_blobs(&c), 0);
	ck_assert_uint_eq(collect_entry(poured("main:d3/g4"), "y")->mode, 0644);
}
END_TEST

START_TEST(all_directories_in_one_request)
{
	struct scorpio_ref ref = { .kind = SCORPIO_DIR };
	long before;

	open_repo("yes.git");
	must_resolve("main");
	ref.id = rev.root;
	before = git_server_count(&server, "requests");
	ck_assert_int_eq(k.b->prefetch(k.self, &ref, SCORPIO_PREFETCH_TREES, 0,
				       &c.sink), 0);
	ck_assert_int_eq(git_server_count(&server, "requests"), before + 1);
	ck_assert_uint_eq(collect_trees(&c), 111);
	ck_assert_uint_eq(collect_blobs(&c), 0);
	collect_done(&c);
	collect_init(&c);
	ck_assert_int_eq(k.b->prefetch(k.self, &ref, SCORPIO_PREFETCH_TREES |
				       SCORPIO_PREFETCH_SIZES, 0, &c.sink), 0);
	ck_assert_int_eq(git_server_count(&server, "requests"), before + 3);
	ck_assert_uint_eq(c.n, 111 + 302);
	ck_assert(poured("main:d7/g7/z")->has_size);
	ck_assert_uint_eq(poured("main:link")->size, 4);
	collect_done(&c);
	collect_init(&c);
	ck_assert_int_eq(k.b->prefetch(k.self, &ref, SCORPIO_PREFETCH_TREES |
				       SCORPIO_PREFETCH_BLOBS, 0, &c.sink), 0);
	ck_assert_uint_eq(collect_blobs(&c), 302);
	collect_done(&c);
	collect_init(&c);
	ck_assert_int_eq(k.b->prefetch(k.self, &ref, SCORPIO_PREFETCH_TREES, 1,
				       &c.sink), 0);
	ck_assert_uint_eq(collect_trees(&c), 11);
}
END_TEST

/* 100 files of ten directories as refs */
static uint32_t hundred(struct scorpio_ref *refs, bool with_missing)
{
	uint32_t n = 0;

	for (int a = 0; a < 10; a++) {
		cleanup_free char *hex = shell(root,
			"git -C w ls-tree -r main d%d | head -10 | "
			"cut -d' ' -f3 | cut -c1-40", a);

		for (const char *p = hex; *p; p += 40 + (p[40] == '\n')) {
			memset(&refs[n], 0, sizeof(refs[n]));
			refs[n].kind = SCORPIO_FILE;
			refs[n].id.len = 20;
			for (unsigned i = 0; i < 20; i++) {
				unsigned v = 0;

				sscanf(p + 2 * i, "%2x", &v);
				refs[n].id.bytes[i] = (uint8_t)v;
			}
			n++;
		}
	}
	if (with_missing)
		memset(refs[50].id.bytes, 0xab, 20);
	return n;
}

START_TEST(hundred_files_in_one_request)
{
	struct scorpio_ref refs[128];
	uint32_t n = hundred(refs, false);
	long before;

	ck_assert_uint_eq(n, 100);
	open_repo("yes.git");
	must_resolve("main");
	before = git_server_count(&server, "requests");
	ck_assert_int_eq(k.b->fetch(k.self, refs, n, &c.sink), 0);
	ck_assert_int_eq(git_server_count(&server, "requests"), before + 1);
	ck_assert_uint_eq(collect_blobs(&c), 100);
	ck_assert_str_eq(poured("main:d0/g0/y")->data, "00y\n");
}
END_TEST

START_TEST(one_missing_file_spoils_no_others)
{
	struct scorpio_ref refs[128];
	uint32_t n = hundred(refs, true);
	long before;

	open_repo("yes.git");
	must_resolve("main");
	before = git_server_count(&server, "requests");
	ck_assert_int_eq(k.b->fetch(k.self, refs, n, &c.sink), 0);
	ck_assert_int_eq(git_server_count(&server, "requests"), before + 2);
	ck_assert_uint_eq(collect_blobs(&c), 99);
	ck_assert_int_eq(collect_find(&c, &refs[50].id)->failed, -ESTALE);
}
END_TEST

START_TEST(sizes_by_object_info)
{
	struct scorpio_ref refs[128];
	uint32_t n = hundred(refs, true);

	open_repo("yes.git");
	ck_assert_int_eq(k.b->sizes(k.self, refs, n, &c.sink), 0);
	ck_assert_int_eq(git_server_count(&server, "requests"), 2);
	ck_assert_uint_eq(c.n, 100);
	ck_assert_uint_eq(collect_find(&c, &refs[0].id)->size, 4);
	ck_assert_int_eq(collect_find(&c, &refs[50].id)->failed, -ESTALE);
	bench_close(&k);
	git_server_reset(&server);
	open_repo("v0/no.git");
	ck_assert_int_eq(k.b->sizes(k.self, refs, n, &c.sink), -ENOTSUP);
}
END_TEST

START_TEST(several_calls_at_once)
{
	pthread_t t[4];
	struct collect each[4];
	struct scorpio_ref refs[128];

	hundred(refs, false);
	open_repo("yes.git");
	must_resolve("main");
	struct job {
		struct scorpio_ref *refs;
		struct collect *c;
	} jobs[4];
	void *run(void *arg)
	{
		struct job *j = arg;

		return (void *)(long)k.b->fetch(k.self, j->refs, 25,
						&j->c->sink);
	}
	for (int i = 0; i < 4; i++) {
		collect_init(&each[i]);
		jobs[i] = (struct job){ refs + 25 * i, &each[i] };
		pthread_create(&t[i], NULL, run, &jobs[i]);
	}
	for (int i = 0; i < 4; i++) {
		void *rc;

		pthread_join(t[i], &rc);
		ck_assert_ptr_null(rc);
		ck_assert_uint_eq(collect_blobs(&each[i]), 25);
		collect_done(&each[i]);
	}
}
END_TEST

/* -- servers that can do less ---------------------------------------------- */

/* The whole of it must be readable, whatever the server knows. */
static void read_around(void)
{
	must_resolve("main");
	assert_root("main^{tree}");
	ck_assert_int_eq(bench_list(&k, &rev.root, &c), 0);
	ck_assert_int_eq(list("main:d3"), 0);
	ck_assert_uint_ge(poured("main:d3")->n_entries, 10);
	ck_assert_int_eq(list("main:d3/g5"), 0);
	{
		struct scorpio_id id = id_of("main:d3/g5/y");

		ck_assert_int_eq(bench_fetch(&k, &id, SCORPIO_FILE, &c), 0);
	}
	ck_assert_str_eq(poured("main:d3/g5/y")->data, "35y\n");
	collect_done(&c);
	collect_init(&c);
}

START_TEST(a_server_without_filters)
{
	struct scorpio_ref ref = { .kind = SCORPIO_DIR };
	long before;

	open_repo("no.git");
	read_around();
	/* everything came with the commit */
	ck_assert_int_eq(git_server_count(&server, "requests"), 3);
	before = git_server_count(&server, "requests");
	ref.id = rev.root;
	ck_assert_int_eq(k.b->prefetch(k.self, &ref, SCORPIO_PREFETCH_TREES |
				       SCORPIO_PREFETCH_BLOBS, 0, &c.sink), 0);
	ck_assert_uint_eq(collect_trees(&c), 111);
	ck_assert_uint_eq(collect_blobs(&c), 302);
	ck_assert_int_eq(git_server_count(&server, "requests"), before);
	/* an older revision is another request */
	must_resolve("v1");
	ck_assert_int_eq(list("main~1^{tree}"), 0);
	{
		struct scorpio_id id = id_of("main~1:file");

		ck_assert_int_eq(bench_fetch(&k, &id, SCORPIO_FILE, &c), 0);
		ck_assert_str_eq(collect_find(&c, &id)->data, "root\n");
	}
	bench_close(&k); /* keeps full.git until the host is closed */
}
END_TEST

START_TEST(a_server_without_filters_after_a_restart)
{
	struct scorpio_id id = id_of("main:d3/g5/y");

	open_repo("no.git"); /* the host remembers revision and trees */
	ck_assert_int_eq(bench_fetch(&k, &id, SCORPIO_FILE, &c), 0);
	ck_assert_str_eq(collect_find(&c, &id)->data, "35y\n");
	ck_assert_int_eq(list("main:d4"), 0);
	ck_assert_uint_eq(poured("main:d4")->n_entries, 10);
}
END_TEST

START_TEST(a_server_with_some_filters)
{
	open_repo("less.git");
	read_around();
}
END_TEST

START_TEST(a_server_of_protocol_version_0)
{
	open_repo("v0/yes.git"); /* single objects are refused there */
	read_around();
	bench_close(&k);
	free(shell(root, "git -C yes.git config "
			 "uploadpack.allowAnySHA1InWant true"));
	git_server_reset(&server);
	open_repo("v0/yes.git");
	read_around();
	bench_close(&k);
	free(shell(root, "git -C yes.git config --unset "
			 "uploadpack.allowAnySHA1InWant"));
	git_server_reset(&server);
	open_repo("v0/no.git");
	read_around();
	ck_assert_int_eq(resolve("nothing"), -ENOENT);
	bench_close(&k);
}
END_TEST

START_TEST(addresses_for_the_git_program)
{
	/* programs in place of ssh: the last argument is git's command */
	static const char *const settings[] = {
		"ssh_command=sh -c 'GIT_PROTOCOL=version=2; "
		"export GIT_PROTOCOL; eval \"$2\"' ssh", NULL
	};
	static const char *const old[] = {
		"ssh_command=sh -c 'eval \"$2\"' ssh", NULL
	};
	cleanup_free char *url = xasprintf("git+ssh://host%s/yes.git", root);

	k.settings = settings;
	ck_assert_int_eq(bench_open(&k, url), 0);
	read_around();
	bench_close(&k);
	k.settings = old;
	ck_assert_int_eq(bench_open(&k, url), 0);
	read_around();
	ck_assert_int_eq(resolve("1234567890123456789012345678901234567890"),
			 -ENOTSUP);
	bench_close(&k);
	k.settings = settings;
	free(url);
	url = xasprintf("me@host:%s/no.git", root);
	ck_assert_int_eq(bench_open(&k, url), 0);
	read_around();
	ck_assert_int_eq(resolve("nothing"), -ENOENT);
	ck_assert_int_eq(resolve("1234567890123456789012345678901234567890"),
			 -ENOENT);
	bench_close(&k);
	free(url);
	url = xasprintf("ssh://host%s/absent.git", root);
	ck_assert_int_eq(bench_open(&k, url), 0);
	ck_assert_int_eq(resolve(""), -ENOENT);
	bench_close(&k);
}
END_TEST

START_TEST(sha256_is_refused)
{
	open_repo("s256.git");
	ck_assert_int_eq(resolve(""), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(error_text(-ENOTSUP), "SHA-256"));
}
END_TEST

/* -- main ------------------------------------------------------------------ */

int main(void)
{
	const TTest *const tests[] = {
		resolving, ancestors, first_listing_needs_no_request,
		a_directory_brings_those_below, all_directories_in_one_request,
		hundred_files_in_one_request, one_missing_file_spoils_no_others,
		sizes_by_object_info, several_calls_at_once,
		a_server_without_filters,
		a_server_without_filters_after_a_restart,
		a_server_with_some_filters, a_server_of_protocol_version_0,
		addresses_for_the_git_program, sha256_is_refused,
	};
	Suite *s = suite_create("git_remote");
	TCase *t = tcase_create("all");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, start, stop);
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
