/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intruder.c - for tests: the hello backend, taken over by somebody. Whenever it
 * fetches, inside the daemon, it tries what no daemon does and notes in the file
 * INTRUDER_LOG how that ended: "NAME ERRNO" a line, 0: it went well. Arguments
 * are such that nothing comes of it where the calls are allowed, and that the
 * kernel's own error is another than EPERM for root.
 */
#include <scorpio/plugin.h>
#undef SCORPIO_PLUGIN
#define SCORPIO_PLUGIN(desc)
#include "plugins/hello/hello.c"

#include <limits.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static void note(FILE *out, const char *name, long r)
{
	fprintf(out, "%s %d\n", name, r == -1 ? errno : 0);
}

static void intrude(void)
{
	const char *path = getenv("INTRUDER_LOG");
	FILE *out = path ? fopen(path, "a") : NULL;
	struct timeval never = { .tv_usec = -1 };

	if (!out)
		return;
	note(out, "process_vm_readv",
	     syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
	note(out, "ptrace", ptrace(PTRACE_ATTACH, INT_MAX, NULL, NULL));
	note(out, "kcmp", syscall(SYS_kcmp, INT_MAX, INT_MAX, 0, 0, 0));
	note(out, "bpf", syscall(SYS_bpf, -1, NULL, 0));
	note(out, "io_uring_setup", syscall(SYS_io_uring_setup, 0, NULL));
	note(out, "userfaultfd", syscall(SYS_userfaultfd, -1));
	note(out, "perf_event_open",
	     syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	note(out, "delete_module", syscall(SYS_delete_module, "no-such", 0));
	note(out, "reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
	note(out, "settimeofday", syscall(SYS_settimeofday, &never, NULL));
	note(out, "chroot", syscall(SYS_chroot, "/no/such/place"));
	note(out, "open_by_handle_at",
	     syscall(SYS_open_by_handle_at, -1, NULL, 0));
	fprintf(out, "no_new_privs %d\n",
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	fclose(out);
}

static int intruder_fetch(void *self, const struct scorpio_ref *refs,
			  uint32_t n, const struct scorpio_sink *sink)
{
	intrude();
	return hello_fetch(self, refs, n, sink);
}

const struct scorpio_plugin *scorpio_plugin_entry(void);

__attribute__((visibility("default"))) const struct scorpio_plugin *
scorpio_plugin_entry(void)
{
	static struct scorpio_backend mine;
	static const struct scorpio_backend *list[] = { &mine, NULL };
	static struct scorpio_plugin me;

	mine = hello;
	mine.fetch = intruder_fetch;
	me = plugin;
	me.backends = list;
	return &me;
}
