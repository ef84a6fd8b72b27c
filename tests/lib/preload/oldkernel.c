/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oldkernel.c - preloaded into the daemon: the kernel's FUSE_INIT seems to come
 * from one of before Linux 6.9, which cannot send requests again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <unistd.h>

#define FUSE_INIT 26
#define HEADER_BYTES 40
#define MINOR 39

struct init { /* struct fuse_in_header, struct fuse_init_in */
	uint32_t len, opcode;
	uint8_t rest[HEADER_BYTES - 8];
	uint32_t major, minor;
};

ssize_t read(int fd, void *p, size_t n)
{
	static __typeof__(read) *real;
	struct init *i = p;
	ssize_t got;

	if (!real)
		real = (__typeof__(real))dlsym(RTLD_NEXT, "read");
	got = real(fd, p, n);
	if (got >= (ssize_t)sizeof(*i) && i->len == (uint32_t)got &&
	    i->opcode == FUSE_INIT && i->major == 7 && i->minor > MINOR)
		i->minor = MINOR;
	return got;
}
