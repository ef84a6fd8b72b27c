/* SPDX-License-Identifier: Apache-2.0 */
#include "core/spawn.h"

#include "core/buf.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"

#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

static struct buf out;
static int stop_with;

static int on_output(void *ctx, const void *p, uint64_t n)
{
	(void)ctx;
	buf_put(&out, p, n);
	return stop_with;
}

static int run(struct scorpio_spawn *x, const char *const *argv)
{
	buf_done(&out);
	x->struct_size = sizeof(*x);
	x->argv = argv;
	x->on_output = on_output;
	return spawn_run(x);
}

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SH(script) ARGV("/bin/sh", "-c", script)

START_TEST(output_and_status)
{
	struct scorpio_spawn x = { 0 };

	ck_assert_int_eq(run(&x, SH("echo hi; echo oops >&2; exit 7")), 0);
	ck_assert_str_eq(buf_str(&out), "hi\n");
	ck_assert_str_eq(x.error, "oops\n");
	ck_assert_int_eq(x.exit_status, 7);
	ck_assert_int_eq(run(&x, SH("kill -9 $$")), 0);
	ck_assert_int_eq(x.exit_status, 128 + 9);
	ck_assert_int_eq(run(&x, ARGV("true")), 0); /* found in PATH */
	ck_assert_int_eq(x.exit_status, 0);
	ck_assert_str_eq(x.error, "");
}
END_TEST

START_TEST(arguments_are_not_a_shell)
{
	struct scorpio_spawn x = { 0 };

	ck_assert_int_eq(run(&x, ARGV("printf", "%s|", "a b", "$(id)", "'")), 0);
	ck_assert_str_eq(buf_str(&out), "a b|$(id)|'|");
}
END_TEST

START_TEST(environment_and_cwd)
{
	static const char *const env[] = { "MINE=1", "HOME=/elsewhere", NULL };
	struct scorpio_spawn x = { .env = env, .cwd = "/usr" };

	setenv("HOME", "/before", 1);
	setenv("KEPT", "yes", 1);
	ck_assert_int_eq(run(&x, SH("echo $MINE $HOME $KEPT $(pwd); "
				    "env | grep -c ^HOME=")), 0);
	ck_assert_str_eq(buf_str(&out), "1 /elsewhere yes /usr\n1\n");
	x = (struct scorpio_spawn){ 0 };
	ck_assert_int_eq(run(&x, ARGV("pwd")), 0);
	ck_assert_str_eq(buf_str(&out), "/\n");
}
END_TEST

START_TEST(clean_child)
{
	struct scorpio_spawn x = { 0 };
	int open_fd = dup(1); /* inheritable on purpose */
	unsigned long long blocked, ignored;
	sigset_t s;

	sigfillset(&s);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(run(&x, ARGV("ls", "/proc/self/fd")), 0);
	ck_assert_str_eq(buf_str(&out), "0\n1\n2\n3\n"); /* 3: ls itself */
	ck_assert_int_eq(run(&x, ARGV("grep", "-E", "Sig(Blk|Ign)",
				      "/proc/self/status")), 0);
	ck_assert_int_eq(sscanf(buf_str(&out), "SigBlk: %llx SigIgn: %llx",
				&blocked, &ignored), 2);
	ck_assert_uint_eq(blocked, 0);
	ck_assert_uint_eq(ignored & 0x7fffffff, 0); /* libc's own are above */
	ck_assert_int_eq(run(&x, SH("test $(ps -o pgid= $$) = $$")), 0);
	ck_assert_int_eq(x.exit_status, 0); /* its own process group */
	close(open_fd);
}
END_TEST

START_TEST(big_input_and_output)
{
	size_t n = 5 * MiB, i;
	char *input = malloc(n);
	struct scorpio_spawn x = { .input = input, .input_len = n };

	for (i = 0; i < n; i++)
		input[i] = (char)(i * 7 + i / 251);
	ck_assert_int_eq(run(&x, ARGV("cat")), 0);
	ck_assert_uint_eq(out.len, n);
	ck_assert(!memcmp(out.data, input, n));
	/* input that nobody reads: no SIGPIPE, no hang */
	ck_assert_int_eq(run(&x, SH("exec 0<&-; echo done")), 0);
	ck_assert_str_eq(buf_str(&out), "done\n");
	/* a full stderr does not block it either; its end is kept */
	x.input = NULL;
	ck_assert_int_eq(run(&x, SH("head -c 1000000 /dev/zero | tr '\\0' x "
				    ">&2; printf END >&2")), 0);
	ck_assert_uint_eq(strlen(x.error), sizeof(x.error) - 1);
	ck_assert_str_eq(x.error + sizeof(x.error) - 5, "xEND");
	free(input);
}
END_TEST

START_TEST(missing)
{
	struct scorpio_spawn x = { 0 };

	ck_assert_int_eq(run(&x, ARGV("no-such-program-here")), -ENOENT);
	ck_assert_str_eq(error_text(-ENOENT),
			 "cannot run no-such-program-here: no such program; is "
			 "it installed and in PATH?");
	x.cwd = "/no/such/dir";
	ck_assert_int_eq(run(&x, ARGV("true")), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error_text(-ENOENT), "/no/such/dir"));
	x.cwd = NULL;
	ck_assert_int_eq(run(&x, ARGV("/etc/passwd")), -EACCES);
	ck_assert_int_eq(run(&x, (const char *const[]){ NULL }), -EINVAL);
}
END_TEST

static bool alive(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fscanf(f, "%*d %*s %c", &state) != 1)
		state = 'X';
	fclose(f);
	return state != 'Z' && state != 'X';
}

/* "pid pid" from the child's output; both must end soon. */
static void ck_both_dead(void)
{
	int64_t deadline = deadline_in_ms(10000);
	int a, b;

	ck_assert_int_eq(sscanf(buf_str(&out), "%d %d", &a, &b), 2);
	while ((alive(a) || alive(b)) && now_ns() < deadline)
		usleep(5000);
	ck_assert(!alive(a));
	ck_assert(!alive(b));
}

START_TEST(deadline_kills_the_group)
{
	struct scorpio_spawn x = { .timeout_ms = 200 };
	int64_t t = now_ns();

	ck_assert_int_eq(run(&x, SH("sleep 30 & echo $$ $!; wait")),
			 -ETIMEDOUT);
	ck_assert_int_lt(now_ns() - t, 20 * NS_PER_S);
	ck_assert_str_eq(error_text(-ETIMEDOUT),
			 "/bin/sh did not end in time and was killed");
	ck_both_dead();
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* reaped */
}
END_TEST

START_TEST(stubborn)
{
	struct scorpio_spawn x = { .timeout_ms = 100 };
	int64_t t = now_ns();

	ck_assert_int_eq(run(&x, SH("trap '' TERM; echo $$ $$; "
				    "while :; do sleep 0.05; done")),
			 -ETIMEDOUT);
	ck_assert_int_ge(now_ns() - t, 2000 * NS_PER_MS); /* asked first */
	ck_assert_int_lt(now_ns() - t, 20 * NS_PER_S);
	ck_both_dead();
}
END_TEST

static void *cancel_soon(void *flag)
{
	usleep(100000);
	__atomic_store_n((bool *)flag, true, __ATOMIC_RELAXED);
	return NULL;
}

START_TEST(cancellation)
{
	struct scorpio_spawn x = { 0 };
	bool cancel = false;
	pthread_t thread;
	struct call c;
	int64_t t = now_ns();

	call_enter(&c, DEADLINE_NONE, &cancel);
	pthread_create(&thread, NULL, cancel_soon, &cancel);
	ck_assert_int_eq(run(&x, SH("sleep 30 & echo $$ $!; wait")), -EINTR);
	ck_assert_int_lt(now_ns() - t, 20 * NS_PER_S);
	pthread_join(thread, NULL);
	call_leave(&c);
	ck_both_dead();
	call_enter(&c, deadline_in_ms(100), NULL);
	ck_assert_int_eq(run(&x, SH("sleep 30 & echo $$ $!; wait")),
			 -ETIMEDOUT);
	call_leave(&c);
	ck_both_dead();
}
END_TEST

START_TEST(stopped_by_the_reader)
{
	struct scorpio_spawn x = { 0 };

	stop_with = -ENOSPC;
	ck_assert_int_eq(run(&x, SH("echo $$ $$; exec yes")), -ENOSPC);
	ck_both_dead();
	stop_with = 0;
}
END_TEST

/* Somebody left in the background holds the pipe: we do not wait for it, and
 * do not kill it. */
START_TEST(background_child)
{
	struct scorpio_spawn x = { 0 };
	int64_t t = now_ns();
	int pid;

	ck_assert_int_eq(run(&x, SH("sleep 60 & echo $!")), 0);
	ck_assert_int_eq(x.exit_status, 0);
	ck_assert_int_lt(now_ns() - t, 30 * NS_PER_S);
	pid = atoi(buf_str(&out));
	ck_assert(alive(pid));
	kill(pid, SIGKILL);
}
END_TEST

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void *run_some(void *arg)
{
	intptr_t bad = 0;
	int i;

	(void)arg;
	for (i = 0; i < 10; i++) {
		struct scorpio_spawn x = { .struct_size = sizeof(x),
					   .argv = SH("exit 3") };

		bad += spawn_run(&x) || x.exit_status != 3;
	}
	return (void *)bad;
}

START_TEST(threads)
{
	pthread_t t[4];
	unsigned before = open_files();
	void *bad;
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, run_some, NULL);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &bad);
		ck_assert_ptr_null(bad);
	}
	ck_assert_uint_eq(open_files(), before);
}
END_TEST

START_TEST(without_standard_files)
{
	struct scorpio_spawn x = { .input = "abc", .input_len = 3 };

	close(0);
	ck_assert_int_eq(run(&x, ARGV("cat")), 0);
	ck_assert_str_eq(buf_str(&out), "abc");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spawn");
	TCase *t = tcase_create("spawn");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 20);
	tcase_add_test(t, output_and_status);
	tcase_add_test(t, arguments_are_not_a_shell);
	tcase_add_test(t, environment_and_cwd);
	tcase_add_test(t, clean_child);
	tcase_add_test(t, big_input_and_output);
	tcase_add_test(t, missing);
	tcase_add_test(t, deadline_kills_the_group);
	tcase_add_test(t, stubborn);
	tcase_add_test(t, cancellation);
	tcase_add_test(t, stopped_by_the_reader);
	tcase_add_test(t, background_child);
	tcase_add_test(t, threads);
	tcase_add_test(t, without_standard_files);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
