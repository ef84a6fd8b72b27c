/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused, what is not, and to whom; in children, for it is for good. */
#include "core/base.h"

#include "core/confine.h"
#include "core/spawn.h"

#include <check.h>
#undef fail /* of check.h */
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

static bool refused(long r)
{
	return r == -1 && errno == EPERM;
}

/* Root may load programs into the kernel, but not here any more. */
static bool can_bpf(void)
{
	char attr[128] = { 0 };

	return !refused(syscall(SYS_bpf, BPF_MAP_CREATE, attr, sizeof(attr)));
}

/* A kernel, or an emulator of one, without filters. */
static bool cannot(int r)
{
	return r == -EINVAL || r == -ENOSYS;
}

static int code_of(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(fn());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int daemon_calls(void)
{
	cleanup_fd int fd = -1;
	int r = confine_daemon(false);

	/* not root, a container that may not, or a kernel that cannot */
	if (r == -EPERM || cannot(r))
		return SKIPPED;
	if (r)
		return 1;
	if (!refused(syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0,
			     0)) ||
	    !refused(syscall(SYS_io_uring_setup, 1, NULL)) || can_bpf() ||
	    !refused(syscall(SYS_delete_module, "no-such-module", 0)) ||
	    !refused(syscall(SYS_reboot, 0, 0, 0, NULL)))
		return 2;
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))
		return 3;
	/* mounting is its work: whatever this says, it is not the filter */
	if (umount2("/no/such/place", MNT_DETACH) != -1 || errno != ENOENT)
		return geteuid() ? 0 : 4;
	return strstr(confine_state(), "refused") ? 0 : 5;
}

START_TEST(daemon_is_refused_what_it_never_needs)
{
	int code = code_of(daemon_calls);

	ck_assert_int_eq(code == SKIPPED ? 0 : code, 0);
}
END_TEST

/* Other namespaces, by starting a process in them; ordinary ones start. */
static bool can_leave(void)
{
	static const int space[] = { CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET,
				     CLONE_NEWPID };
	char args[128] = { 0 };
	pid_t pid;

	for (size_t i = 0; i < ARRAY_SIZE(space); i++) {
		long r = syscall(SYS_clone, space[i] | SIGCHLD, 0, 0, 0, 0);

		if (!r)
			_exit(0);
		if (!refused(r))
			return true;
	}
	if (syscall(SYS_clone3, args, sizeof(args)) != -1 || errno != ENOSYS)
		return true;
	pid = fork();
	if (!pid)
		_exit(0);
	return pid < 0 || waitpid(pid, NULL, 0) != pid;
}

static int thread_calls(void)
{
	int r = confine_thread();

	if (r)
		return cannot(r) ? SKIPPED : 1;
	if (!prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))
		return 2;
	if (!refused(unshare(CLONE_NEWNS)) ||
	    !refused(umount2("/no/such/place", MNT_DETACH)) ||
	    !refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)) || can_bpf())
		return 3;
	if (can_leave())
		return 4;
	return 0;
}

START_TEST(thread_is_refused_more)
{
	int code = code_of(thread_calls);

	ck_assert_int_eq(code == SKIPPED ? 0 : code, 0);
}
END_TEST

static int nothing(void)
{
	confine_set(false);
	if (confine_daemon(false) != 1 || confine_thread() != 1)
		return 1;
	if (!strstr(confine_state(), "off"))
		return 2;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) ? 3 : 0;
}

START_TEST(switched_off)
{
	ck_assert_int_eq(code_of(nothing), 0);
}
END_TEST

static int keep(void *ctx, const void *data, uint64_t n)
{
	char *text = ctx;
	size_t len = strlen(text);

	snprintf(text + len, 4096 - len, "%.*s", (int)n, (const char *)data);
	return 0;
}

static void status_of(int (*run)(struct scorpio_spawn *x), char *text)
{
	const char *const argv[] = { "cat", "/proc/self/status", NULL };
	struct scorpio_spawn x = { .struct_size = sizeof(x), .argv = argv,
				   .on_output = keep, .ctx = text,
				   .timeout_ms = 30000 };

	text[0] = '\0';
	ck_assert_int_eq(run(&x), 0);
	ck_assert_int_eq(x.exit_status, 0);
}

/* the program that is started is, who starts it is not */
START_TEST(program_is_confined)
{
	char text[4096];

	if (code_of(thread_calls) == SKIPPED)
		return;
	status_of(spawn_run_confined, text);
	ck_assert_ptr_nonnull(strstr(text, "NoNewPrivs:\t1"));
	ck_assert_ptr_nonnull(strstr(text, "Seccomp:\t2"));
	status_of(spawn_run, text);
	ck_assert_int_eq(!!strstr(text, "NoNewPrivs:\t1"),
			 prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("confine");
	SRunner *sr = srunner_create(s);
	TCase *t = tcase_create("all");
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, daemon_is_refused_what_it_never_needs);
	tcase_add_test(t, thread_is_refused_more);
	tcase_add_test(t, switched_off);
	tcase_add_test(t, program_is_confined);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
