/* SPDX-License-Identifier: Apache-2.0 */
/* The git backend when servers refuse, lie, stall and break off. */
#include "tests/lib/collect.h"
#include "tests/lib/git_server.h"

#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/http.h"

#include <check.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

extern const struct scorpio_backend scorpio_git_backend;

static char root[] = "/tmp/scorpio-unit-XXXXXX";
static struct git_server server;
static struct bench k;
static struct collect c;
static struct scorpio_revision rev;
static struct scorpio_id file; /* 20 000 bytes that do not shrink */
static char file_hex[41], other_hex[41];

static const char fixture[] =
	"git init -q -b main w && cd w\n"
	"head -c 20000 /dev/urandom >file && echo other >other && mkdir d &&"
	" echo x >d/x && git add -A && git commit -qm one\n"
	"cd .. && git clone -q --bare w r.git\n"
	"git -C r.git config uploadpack.allowFilter true\n"
	"git -C w rev-parse main:file main:other\n";

static void set_file(const char *hex)
{
	file.len = 20;
	for (unsigned i = 0; i < 20; i++) {
		unsigned v = 0;

		sscanf(hex + 2 * i, "%2x", &v);
		file.bytes[i] = (uint8_t)v;
	}
}

static void start(void)
{
	cleanup_free char *ids = NULL;

	setenv("HOME", "/nonexistent", 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	if (!mkdtemp(root))
		abort();
	ids = shell(root, "%s", fixture);
	memcpy(file_hex, ids, 40);
	memcpy(other_hex, ids + 41, 40);
	set_file(file_hex);
	git_server_start(&server, root);
}

static void stop(void)
{
	git_server_stop(&server);
	free(shell("/", "rm -rf %s", root));
}

/* How long a silent server is waited for. */
static void patience(uint32_t ms)
{
	http_configure(&(struct http_settings){ .stall_ms = ms,
						.retries = 0 });
}

static void setup(void)
{
	patience(20000);
	git_server_reset(&server);
	bench_init(&k, &scorpio_git_backend, NULL);
	collect_init(&c);
}

static void teardown(void)
{
	ck_assert_uint_eq(bench_scratch_files(&k), 0);
	collect_done(&c);
	bench_done(&k);
	http_reset();
}

static void open_repo(const char *path)
{
	cleanup_free char *url = git_server_url(&server, path);
	int rc = bench_open(&k, url);

	ck_assert_msg(rc == 0, "%s", error_text(rc));
}

static int resolve(void)
{
	return k.b->resolve(k.self, "main", &rev);
}

/* The result for the one file: of the call, or of the object. */
static int fetch(void)
{
	struct collect_object *o;
	int rc;

	collect_done(&c);
	collect_init(&c);
	rc = bench_fetch(&k, &file, SCORPIO_FILE, &c);
	o = collect_find(&c, &file);
	ck_assert(!c.misuse);
	if (rc)
		return rc;
	ck_assert_ptr_nonnull(o);
	return o->failed ? o->failed : o->ended ? 0 : -EPROTO;
}

static void assert_text(int code, const char *part)
{
	ck_assert_msg(strstr(error_text(code), part) != NULL,
		      "\"%s\" is not in \"%s\"", part, error_text(code));
	ck_assert_ptr_null(strstr(error_text(code), "secret"));
}

static void ready(void)
{
	open_repo("r.git");
	ck_assert_int_eq(resolve(), 0);
	ck_assert_int_eq(fetch(), 0);
}

/* -- answers that break off ------------------------------------------------ */

START_TEST(stalls)
{
	int64_t before;

	ready();
	git_server_fault(&server, "{\"kind\": \"stall\", \"after\": 9000,"
			 " \"match\": \"git-upload-pack\"}");
	before = now_ns();
	patience(300);
	ck_assert_int_eq(fetch(), -ETIMEDOUT);
	ck_assert_int_lt(now_ns() - before, 10 * NS_PER_S);
	patience(20000);
	ck_assert_int_eq(fetch(), 0);
	git_server_fault(&server, "{\"kind\": \"stall\", \"after\": 0}");
	patience(300);
	ck_assert_int_eq(resolve(), -ETIMEDOUT);
	patience(20000);
	ck_assert_int_eq(resolve(), 0);
}
END_TEST

START_TEST(breaks_off)
{
	static const int at[] = { 0, 3, 13, 14, 40, 100, 9000 };

	ready();
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		git_server_fault(&server, "{\"kind\": \"truncate\","
				 " \"after\": %d}", at[i]);
		ck_assert_msg(fetch() == -EIO, "after %d", at[i]);
		git_server_fault(&server, "{\"kind\": \"cut\", \"after\": %d}",
				 at[i]);
		ck_assert_int_eq(fetch(), -EIO);
		assert_text(-EIO, "cut short");
		ck_assert_uint_eq(bench_scratch_files(&k), 0);
	}
	git_server_fault(&server, "{\"kind\": \"close\", \"times\": 2}");
	ck_assert_int_eq(fetch(), -EIO);
	ck_assert_int_eq(fetch(), 0);
}
END_TEST

START_TEST(cut_references)
{
	open_repo("r.git");
	for (int skip = 0; skip < 3; skip++) {
		git_server_fault(&server, "{\"kind\": \"cut\", \"after\": 30,"
				 " \"skip\": %d}", skip);
		ck_assert_int_eq(resolve(), -EIO);
		assert_text(-EIO, "cut short");
		bench_close(&k);
		git_server_reset(&server);
		open_repo("r.git");
	}
}
END_TEST

START_TEST(every_wrong_byte_is_noticed)
{
	ready();
	for (int at = 0; at < 20000; at += at < 80 ? 1 : 997) {
		int rc;

		git_server_fault(&server, "{\"kind\": \"corrupt\", \"at\": %d}",
				 at);
		rc = fetch();
		ck_assert_msg(rc == -EBADMSG || rc == -EIO, "byte %d: %d", at,
			      rc);
		ck_assert_uint_eq(collect_blobs(&c), 0);
	}
	for (int at = 1; at < 30; at++) {
		git_server_fault(&server, "{\"kind\": \"corrupt\", \"at\": %d}",
				 -at);
		ck_assert_int_lt(fetch(), 0);
	}
	ck_assert_uint_eq(bench_scratch_files(&k), 0);
	ck_assert_int_eq(fetch(), 0);
}
END_TEST

START_TEST(another_object)
{
	ready();
	git_server_fault(&server, "{\"kind\": \"swap\", \"from\": \"%s\","
			 " \"to\": \"%s\"}", file_hex, other_hex);
	ck_assert_int_eq(fetch(), -EIO);
	assert_text(-EIO, "did not send");
}
END_TEST

/* -- refusals -------------------------------------------------------------- */

static void refuse(int status, int on_resolve, int on_fetch, const char *text)
{
	git_server_fault(&server, "{\"kind\": \"status\", \"code\": %d,"
			 " \"retry_after\": 7}", status);
	ck_assert_int_eq(fetch(), on_fetch);
	assert_text(on_fetch, text);
	git_server_fault(&server, "{\"kind\": \"status\", \"code\": %d}",
			 status);
	ck_assert_int_eq(resolve(), on_resolve);
	ck_assert_int_eq(resolve(), 0);
}

START_TEST(statuses)
{
	ready();
	refuse(401, -EACCES, -EACCES, "401");
	refuse(403, -EACCES, -EACCES, "403");
	refuse(404, -ENOENT, -EIO, "no such repository");
	refuse(410, -ENOENT, -EIO, "no such repository");
	refuse(429, -EAGAIN, -EAGAIN, "wait 7 s");
	refuse(500, -EIO, -EIO, "as you wish");
	refuse(503, -EAGAIN, -EAGAIN, "503");
}
END_TEST

static void replace(const char *type, const char *body)
{
	git_server_fault(&server, "{\"kind\": \"replace\", \"type\": \"%s\","
			 " \"body\": \"%s\"}", type, body);
}

START_TEST(answers_that_are_not_gits)
{
	static const char type[] = "application/x-git-upload-pack-result";

	ready();
	replace("text/html", "<html>please pay for the wireless</html>");
	ck_assert_int_eq(fetch(), -EBADMSG);
	assert_text(-EBADMSG, "text/html");
	replace(type, "0019ERR too busy\\u0007\\nfor you");
	ck_assert_int_eq(fetch(), -EIO);
	assert_text(-EIO, "too busy for you");
	replace(type, "000dpackfile\\n000b\\u0003oh no0000");
	ck_assert_int_eq(fetch(), -EIO);
	assert_text(-EIO, "oh no");
	replace(type, "000dpackfile\\n0009\\u0004what0000");
	ck_assert_int_eq(fetch(), -EBADMSG);
	replace(type, "0003");
	ck_assert_int_eq(fetch(), -EBADMSG);
	replace(type, "000dpackfile\\n0000");
	ck_assert_int_eq(fetch(), -EIO); /* nothing came */
	replace(type, "000dpackfile\\n0015\\u0001this is no pack0000");
	ck_assert_int_eq(fetch(), -EBADMSG);
	replace("text/plain", "dumb");
	bench_close(&k);
	open_repo("r.git");
	ck_assert_int_eq(resolve(), -ENOTSUP);
	assert_text(-ENOTSUP, "dumb");
	ck_assert_int_eq(resolve(), 0);
}
END_TEST

START_TEST(nobody_there)
{
	ck_assert_int_eq(bench_open(&k, "http://127.0.0.1:1/r.git"), 0);
	ck_assert_int_eq(resolve(), -EIO);
	ck_assert_int_eq(fetch(), -EIO);
	bench_close(&k);
	open_repo("absent.git");
	ck_assert_int_eq(resolve(), -ENOENT);
	ck_assert_int_eq(fetch(), -EIO);
}
END_TEST

/* -- redirects ------------------------------------------------------------- */

START_TEST(redirect_to_another_path)
{
	cleanup_free char *to = git_server_url(&server, "r.git/info/refs"
					       "?service=git-upload-pack");

	git_server_fault(&server, "{\"kind\": \"redirect\", \"times\": -1,"
			 " \"match\": \"/old.git/\", \"to\": \"%s\"}", to);
	open_repo("old.git");
	ck_assert_int_eq(resolve(), 0);
	ck_assert_int_eq(fetch(), 0);
	/* asked twice for what it can do, the rest went straight */
	ck_assert_int_eq(git_server_count(&server, "get"), 2);
	ck_assert_int_eq(git_server_count(&server, "requests"), 5);
}
END_TEST

START_TEST(redirects_that_lead_nowhere)
{
	open_repo("r.git");
	git_server_fault(&server, "{\"kind\": \"redirect\", \"to\":"
			 " \"/login?next=r.git\"}");
	ck_assert_int_eq(resolve(), -EIO);
	assert_text(-EIO, "not a repository");
	git_server_fault(&server, "{\"kind\": \"redirect\", \"times\": -1,"
			 " \"to\": \"http://127.0.0.1:%d\"}", server.port);
	ck_assert_int_eq(resolve(), -EIO);
	assert_text(-EIO, "redirects");
	git_server_reset(&server);
	ck_assert_int_eq(resolve(), 0);
	git_server_fault(&server, "{\"kind\": \"redirect\", \"to\":"
			 " \"http://127.0.0.1:%d\"}", server.port);
	ck_assert_int_eq(fetch(), -EIO); /* a POST is not sent elsewhere */
	ck_assert_int_eq(fetch(), 0);
}
END_TEST

START_TEST(credentials_stay_with_their_server)
{
	static const char *const settings[] = { "header=PRIVATE-TOKEN: secret",
						NULL };
	static const char *const token[] = { "token=secret", NULL };
	cleanup_free char *to = xasprintf("http://localhost:%d", server.port);

	for (int i = 0; i < 2; i++) {
		git_server_reset(&server);
		git_server_fault(&server, "{\"kind\": \"redirect\", \"to\":"
				 " \"%s\"}", to);
		k.settings = i ? token : settings;
		open_repo("r.git");
		ck_assert_int_eq(resolve(), 0);
		ck_assert_int_eq(fetch(), 0);
		ck_assert_int_eq(git_server_count(&server, "requests"), 5);
		if (i) /* the first request had it, those elsewhere not */
			ck_assert_int_eq(git_server_count(&server,
							  "authorized"), 1);
		bench_close(&k);
	}
}
END_TEST

/* -- who we are ------------------------------------------------------------ */

START_TEST(credentials)
{
	static const char *const token[] = { "username=user", "token=secret",
					     NULL };
	static const char *const header[] = {
		"header=Authorization: Basic dXNlcjpzZWNyZXQ=", NULL };
	static const char *const wrong[] = { "token=secret-but-wrong", NULL };
	cleanup_free char *url = xasprintf(
		"http://user:secret@127.0.0.1:%d/login/r.git", server.port);
	cleanup_free char *bad = xasprintf(
		"http://user:secrets@127.0.0.1:%d/login/r.git", server.port);

	open_repo("login/r.git");
	ck_assert_int_eq(resolve(), -EACCES);
	assert_text(-EACCES, "token_file");
	bench_close(&k);
	k.settings = token;
	open_repo("login/r.git");
	ck_assert_int_eq(resolve(), 0);
	bench_close(&k);
	k.settings = header;
	open_repo("login/r.git");
	ck_assert_int_eq(resolve(), 0);
	bench_close(&k);
	k.settings = wrong;
	open_repo("login/r.git");
	ck_assert_int_eq(resolve(), -EACCES);
	assert_text(-EACCES, "does not take");
	bench_close(&k);
	k.settings = NULL;
	ck_assert_int_eq(bench_open(&k, url), 0);
	ck_assert_int_eq(resolve(), 0);
	bench_close(&k);
	ck_assert_int_eq(bench_open(&k, bad), 0);
	ck_assert_int_eq(resolve(), -EACCES);
	assert_text(-EACCES, "does not take");
}
END_TEST

START_TEST(credentials_of_files)
{
	cleanup_free char *path = xasprintf("token_file=%s/token", k.dir);
	const char *settings[] = { "username=user", path, NULL };
	cleanup_free char *netrc = xasprintf("%s/netrc", k.dir);

	k.settings = settings;
	ck_assert_int_eq(bench_open(&k, "http://h/r.git"), -EACCES);
	free(shell(k.dir, "echo secret >token; echo 'machine 127.0.0.1 login "
			  "user password secret' >netrc"));
	open_repo("login/r.git");
	ck_assert_int_eq(resolve(), 0);
	bench_close(&k);
	k.settings = NULL;
	http_configure(&(struct http_settings){ .netrc = netrc });
	open_repo("login/r.git");
	ck_assert_int_eq(resolve(), 0);
}
END_TEST

START_TEST(credential_helpers)
{
	cleanup_free char *config = xasprintf("%s/gitconfig", k.dir);
	cleanup_free char *log = NULL;

	free(shell(k.dir, "cat >helper <<'E'\n#!/bin/sh\n"
		   "echo $1 >>%s/log; [ $1 = get ] || exit 0\n"
		   "echo username=user; echo password=$(cat %s/pw)\nE\n"
		   "chmod +x helper; echo wrong-secret >pw; : >log\n"
		   "git config -f gitconfig credential.helper %s/helper",
		   k.dir, k.dir, k.dir));
	setenv("GIT_CONFIG_GLOBAL", config, 1);
	open_repo("login/r.git");
	ck_assert_int_eq(resolve(), -EACCES);
	free(shell(k.dir, "echo secret >pw"));
	ck_assert_int_eq(resolve(), 0);
	ck_assert_int_eq(fetch(), 0);
	log = shell(k.dir, "tr '\\n' ' ' <log");
	ck_assert_str_eq(log, "get erase get store ");
}
END_TEST

/* -- the caller and the disk ----------------------------------------------- */

START_TEST(cancelled_and_late)
{
	bool cancel = true;
	struct call call;

	ready();
	call_enter(&call, DEADLINE_NONE, &cancel);
	ck_assert_int_eq(fetch(), -EINTR);
	call_leave(&call);
	git_server_fault(&server, "{\"kind\": \"stall\", \"after\": 5000}");
	call_enter(&call, now_ns() + 200 * NS_PER_MS, NULL);
	ck_assert_int_eq(fetch(), -ETIMEDOUT);
	call_leave(&call);
	ck_assert_int_eq(fetch(), 0);
}
END_TEST

START_TEST(full_disk)
{
	struct scorpio_id small = file, large; /* small: needs no disk */
	cleanup_free char *hex = NULL;
	const char *scratch;

	hex = shell(root, "head -c 26M /dev/urandom >w/large; cd w\n"
		    "git add -A; git commit -qm large; git push -q ../r.git "
		    "main; git rev-parse main:large");
	set_file(hex);
	ready();
	scratch = k.host->scratch(k.host);
	if (geteuid() || unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", scratch, "tmpfs", 0, "size=16k"))
		return; /* needs root */
	ck_assert_int_eq(fetch(), -ENOSPC);
	ck_assert_uint_eq(bench_scratch_files(&k), 0);
	large = file;
	file = small;
	ck_assert_int_eq(fetch(), 0);
	file = large;
	umount(scratch);
	ck_assert_int_eq(fetch(), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		stalls, breaks_off, cut_references,
		every_wrong_byte_is_noticed, another_object, statuses,
		answers_that_are_not_gits, nobody_there,
		redirect_to_another_path, redirects_that_lead_nowhere,
		credentials_stay_with_their_server, credentials,
		credentials_of_files, credential_helpers, cancelled_and_late,
		full_disk,
	};
	Suite *s = suite_create("git_faults");
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
