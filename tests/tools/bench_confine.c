/* SPDX-License-Identifier: Apache-2.0 */
/* bench_confine - what refused calls cost those that are allowed: processor time
 * of a system call and of starting a program, without and with. As root. */
#include "core/base.h"

#include "core/clock.h"
#include "core/confine.h"
#include "core/spawn.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CALLS 5000000
#define RUNS  300

static double cpu_ns(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double calls(void)
{
	double start = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);

	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	return (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / CALLS;
}

static double runs(int (*run)(struct scorpio_spawn *x))
{
	const char *const argv[] = { "true", NULL };
	struct rusage own, child;
	double us;

	for (int i = 0; i < RUNS; i++) {
		struct scorpio_spawn x = { .struct_size = sizeof(x),
					   .argv = argv };

		if (run(&x) || x.exit_status)
			exit(1);
	}
	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &child);
	us = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec +
		      child.ru_utime.tv_sec + child.ru_stime.tv_sec) *
		     1e6 +
	     (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec +
		      child.ru_utime.tv_usec + child.ru_stime.tv_usec);
	return us / RUNS;
}

int main(void)
{
	double before = runs(spawn_run), both = runs(spawn_run_confined), plain;
	int r;

	printf("start a program: %.0f us, confined %.0f us\n", before,
	       both - before);
	plain = calls();
	r = confine_daemon(false);
	printf("a call: %.1f ns, with refusals %.1f ns%s\n", plain, calls(),
	       r ? " (not in force: not root)" : "");
	return 0;
}
