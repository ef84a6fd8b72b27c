/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_spawn.c - starting the daemon. */
#include "fs/keeper_impl.h"

#include "core/error.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SEND_S 5
#define URGENT 10 /* steps of niceness; refused to who may not: no matter */
#define SOCKET_BYTES (1 << 20) /* several messages while the other is busy */

/* In the child; never returns. */
static void become(const struct keeper_options *o, const char *program,
		   int sock, int error, int keeper)
{
	char number[16];
	sigset_t none;

	/* the terminal's signals reach the keeper, which passes them on */
	setpgid(0, 0);
	/* without the keeper nothing here would be safe for long */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fcntl(sock, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", sock);
	setenv(KEEPER_ENV_FD, number, 1);
	if (error >= 0) {
		setenv(KEEPER_ENV_CHECK, "1", 1);
		dup2(error, STDERR_FILENO);
		dup2(error, STDOUT_FILENO);
	}
	if (o->directory && chdir(o->directory))
		dprintf(STDERR_FILENO, "%s: %s\n", o->directory,
			strerror(errno));
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	execv(program, o->argv);
	/* it may have been removed: this one is still here */
	execv("/proc/self/exe", o->argv);
	dprintf(STDERR_FILENO, "cannot start %s: %s\n", program,
		strerror(errno));
	_exit(1);
}

int keeper_spawn(const struct keeper_options *o, const char *program,
		 enum spawn_why why, struct spawned *ret)
{
	bool check = why == SPAWN_CHECK;
	int pair[2], error[2] = { -1, -1 }, size = SOCKET_BYTES;
	struct timeval limit = { SEND_S, 0 };
	int self = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return fail(-errno, "socketpair: %s", strerror(errno));
	if (check && pipe2(error, O_CLOEXEC)) {
		close(pair[0]);
		close(pair[1]);
		return fail(-errno, "pipe: %s", strerror(errno));
	}
	for (int i = 0; i < 2; i++) {
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size,
			   sizeof(size));
		/* the keeper never waits for long */
		setsockopt(pair[i], SOL_SOCKET, SO_SNDTIMEO, &limit,
			   sizeof(limit));
	}
	fflush(NULL);
	pid = fork();
	if (!pid && why == SPAWN_AGAIN)
		setpriority(PRIO_PROCESS, 0,
			    getpriority(PRIO_PROCESS, 0) - URGENT);
	if (!pid)
		become(o, program, pair[1], error[1], self);
	close(pair[1]);
	if (check)
		close(error[1]);
	if (pid < 0) {
		close(pair[0]);
		if (check)
			close(error[0]);
		return fail(-errno, "fork: %s", strerror(errno));
	}
	*ret = (struct spawned){ .pid = pid, .sock = pair[0],
				 .error = error[0] };
	return 0;
}

bool keeper_is_traced(int pid)
{
	char path[64], line[128];
	int tracer = 0;
	cleanup_file FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	return tracer;
}
