/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - included first by every .c file inside the daemon: small macros,
 * scope cleanup, and functions nobody may use.
 */
#ifndef CORE_BASE_H
#define CORE_BASE_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member)                                          \
	((type *)((char *)(p) - offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define KiB (1024ull)
#define MiB (1024ull * KiB)
#define GiB (1024ull * MiB)

#define UNUSED __attribute__((unused))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define MUST_CHECK __attribute__((warn_unused_result))

/* Cleanup at the end of the scope. steal() moves the value out. */
#define steal(p)                                                               \
	({                                                                     \
		__typeof__(*(p)) stolen_ = *(p);                               \
		*(p) = NULL;                                                   \
		stolen_;                                                       \
	})
static inline void base_free(void *p)
{
	int saved = errno;
	free(*(void **)p);
	errno = saved;
}
static inline void base_close(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}
static inline void base_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}
static inline void base_unlock(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}
static inline pthread_mutex_t *base_lock(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}
#define cleanup_free __attribute__((cleanup(base_free)))
#define cleanup_fd __attribute__((cleanup(base_close)))
#define cleanup_file __attribute__((cleanup(base_fclose)))
#define BASE_CAT_(a, b) a##b
#define BASE_CAT(a, b) BASE_CAT_(a, b)
/* hold the mutex until the end of the scope */
#define lock_scope(m)                                                          \
	__attribute__((cleanup(base_unlock), unused))                          \
	pthread_mutex_t *BASE_CAT(scope_, __LINE__) = base_lock(m)

/* Allocation that cannot fail quietly: out of memory ends the daemon with a
 * message (the keeper restarts it). For sizes the program chose; memory whose
 * size comes from outside is allocated with malloc and checked. */
void *xmalloc(size_t n) MUST_CHECK;
void *xcalloc(size_t n, size_t size) MUST_CHECK;
void *xrealloc(void *p, size_t n) MUST_CHECK;
char *xstrdup(const char *s) MUST_CHECK;
char *xstrndup(const char *s, size_t n) MUST_CHECK;
char *xasprintf(const char *fmt, ...) PRINTF(1, 2) MUST_CHECK;

#ifndef BASE_ALLOW_BANNED
#pragma GCC poison strcpy strcat strncpy sprintf vsprintf strtok gmtime        \
	localtime ctime mktemp
#endif

#endif
