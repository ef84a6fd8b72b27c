/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/process.h"

#include "core/clock.h"

#include <fcntl.h>
#include <sys/syscall.h>

#define SLOTS	   1024u
#define SEEN_S	   10u /* a number may soon be another's */
#define PID_BITS   22  /* the kernel's most */
#define TIME_BITS  (64 - 2 * PID_BITS)
#define ASKER_USER (1ull << 32)

/* Thread, process, second: in one word, so that it is always whole. */
static uint64_t seen[SLOTS]; /* atomic */

/* The first thread of a process is its own; of others /proc tells. */
static uint32_t ask(uint32_t tid)
{
	char path[40], text[512], *p;
	cleanup_fd int fd = (int)syscall(SYS_pidfd_open, tid, 0);
	cleanup_fd int status = -1;
	ssize_t n;

	if (fd >= 0)
		return tid;
	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	status = open(path, O_RDONLY | O_CLOEXEC);
	n = status < 0 ? 0 : read(status, text, sizeof(text) - 1);
	text[MAX(n, 0)] = '\0';
	p = strstr(text, "\nTgid:");
	return p ? (uint32_t)strtoul(p + strlen("\nTgid:"), NULL, 10) : tid;
}

uint32_t process_of(uint32_t tid)
{
	const uint32_t pid_mask = (1u << PID_BITS) - 1;
	const uint32_t time_mask = (1u << TIME_BITS) - 1;
	uint32_t now = (uint32_t)(now_ns() / NS_PER_S) & time_mask, pid;
	uint64_t *slot = &seen[tid % SLOTS];
	uint64_t x = __atomic_load_n(slot, __ATOMIC_RELAXED);

	if (!tid || tid > pid_mask)
		return tid;
	if (x >> (64 - PID_BITS) == tid &&
	    ((now - (uint32_t)x) & time_mask) < SEEN_S)
		return (uint32_t)(x >> TIME_BITS) & pid_mask;
	pid = ask(tid) & pid_mask;
	x = (uint64_t)tid << (64 - PID_BITS) | (uint64_t)pid << TIME_BITS | now;
	__atomic_store_n(slot, x, __ATOMIC_RELAXED);
	return pid;
}

uint64_t process_asker(uint32_t tid, uint32_t uid)
{
	return tid ? process_of(tid) : ASKER_USER | uid;
}
