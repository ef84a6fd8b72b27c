/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/interrupt.h"

#include <fcntl.h>
#include <signal.h>

#define BIT(sig) (1ull << ((sig) - 1))
/* without a handler these do not end a program */
#define HARMLESS (BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT) | \
		  BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU))
/* with one, these are still somebody at a terminal who wants it to end */
#define ASKING (BIT(SIGINT) | BIT(SIGQUIT))

static uint64_t set_of(const char *status, const char *name)
{
	const char *p = strstr(status, name);

	return p ? strtoull(p + strlen(name), NULL, 16) : 0;
}

bool interrupt_meant(uint32_t tid, bool otherwise)
{
	uint64_t pending, ends;
	char path[40], text[4096];
	cleanup_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	fd = tid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0) /* other users' may be hidden */
		return tid && kill((pid_t)tid, 0) && errno == ESRCH
			       ? true
			       : otherwise;
	text[n] = '\0';
	pending = set_of(text, "\nSigPnd:") | set_of(text, "\nShdPnd:");
	pending &= ~set_of(text, "\nSigBlk:") & ~set_of(text, "\nSigIgn:");
	ends = ~set_of(text, "\nSigCgt:") & ~HARMLESS;
	return pending & (ends | ASKING);
}
