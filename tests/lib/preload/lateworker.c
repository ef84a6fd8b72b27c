/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lateworker.c - preloaded into the daemon: at the end of a mount one worker is
 * slow to take its session out of the epoll set, another one is slow after it has
 * heard from the kernel that the session is over. Whoever ends the mount must wait
 * for both: if the descriptor is closed while the second one is at it, the daemon
 * aborts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static int taking_out; /* atomic: a worker is about to; times */
static int waiting;    /* atomic: who ends the mount waits for the workers */
static __thread int heard; /* since then */

#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) \
		real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int is_worker(void)
{
	char name[16];

	return !pthread_getname_np(pthread_self(), name, sizeof(name)) &&
	       !strcmp(name, "fuse");
}

static void pause_ms(int ms)
{
	struct timespec t = { .tv_sec = ms / 1000,
			      .tv_nsec = ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

static int is_fuse(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_rdev == makedev(10, 229);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *ev)
{
	int r, late = op == EPOLL_CTL_DEL && is_worker();
	REAL(epoll_ctl);

	if (late) {
		__atomic_add_fetch(&taking_out, 1, __ATOMIC_SEQ_CST);
		pause_ms(500);
	}
	r = real(epoll, op, fd, ev);
	if (late) {
		__atomic_sub_fetch(&taking_out, 1, __ATOMIC_SEQ_CST);
		__atomic_store_n(&waiting, 0, __ATOMIC_SEQ_CST);
	}
	return r;
}

/* the workers hear of it before whoever asked for it goes on */
int umount2(const char *dir, int flags)
{
	int r;
	REAL(umount2);

	r = real(dir, flags);
	for (int i = 0; !r && i < 200; i++) {
		if (__atomic_load_n(&taking_out, __ATOMIC_SEQ_CST))
			break;
		pause_ms(1);
	}
	return r;
}

int usleep(useconds_t us)
{
	REAL(usleep);

	if (!is_worker() && __atomic_load_n(&taking_out, __ATOMIC_SEQ_CST))
		__atomic_store_n(&waiting, 1, __ATOMIC_SEQ_CST);
	return real(us);
}

ssize_t read(int fd, void *p, size_t n)
{
	ssize_t got;
	REAL(read);

	got = real(fd, p, n);
	if (got >= 0 || errno != ENODEV || !is_worker())
		return got;
	if (!__atomic_load_n(&waiting, __ATOMIC_SEQ_CST))
		heard = 0;
	else if (++heard == 3 && is_fuse(fd)) {
		pause_ms(1500);
		if (!is_fuse(fd)) {
			fprintf(stderr, "closed in the middle of a read\n");
			abort();
		}
	}
	errno = ENODEV;
	return got;
}
