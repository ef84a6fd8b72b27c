/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of the map that cannot be read is SIGBUS, and the end of the process.
 * So that the next one does not meet the same page again, the handler notes in
 * <path>/lock where it was ("unreadable OFFSET"); if that place still cannot be
 * read at the next start, the file is set aside.
 */
#include "cache/store_impl.h"

#include <fcntl.h>
#include <sys/stat.h>

#define PAGE_NUMBER_BYTES 8u

/* The store of this process that is written to; for the signal handler. */
static struct {
	const struct store *store; /* atomic */
	uintptr_t map;
	uint64_t bytes, page; /* of the system, which may not be LMDB's */
} watched;

/* LMDB does not tell where its map is, but every page of it begins with its
 * number. */
static bool find_map(struct store *s, uintptr_t *ret)
{
	MDB_val k = store_val("format", 6), v;
	uintptr_t page;
	uint64_t number;
	MDB_txn *txn;

	if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn))
		return false;
	if (mdb_get(txn, s->dbi[DBI_META], &k, &v)) {
		mdb_txn_abort(txn);
		return false;
	}
	page = (uintptr_t)v.mv_data & ~((uintptr_t)s->page - 1);
	memcpy(&number, (const void *)page, PAGE_NUMBER_BYTES);
	mdb_txn_abort(txn);
	*ret = page - number * s->page;
	return number < s->max_bytes / s->page;
}

void store_bus_watch(struct store *s)
{
	if (__atomic_load_n(&watched.store, __ATOMIC_ACQUIRE) ||
	    !find_map(s, &watched.map))
		return;
	watched.bytes = s->max_bytes;
	watched.page = (uint64_t)sysconf(_SC_PAGESIZE);
	__atomic_store_n(&watched.store, s, __ATOMIC_RELEASE);
}

void store_bus_unwatch(struct store *s)
{
	if (__atomic_load_n(&watched.store, __ATOMIC_RELAXED) == s)
		__atomic_store_n(&watched.store, NULL, __ATOMIC_RELEASE);
}

/* Only what a signal handler may call. */
bool store_bus_note(const void *address)
{
	const struct store *s = __atomic_load_n(&watched.store,
						__ATOMIC_ACQUIRE);
	uint64_t at = (uintptr_t)address - watched.map;
	char line[48] = "unreadable ", digits[24], *p = line + 11;
	size_t n = 0;

	if (!s || (uintptr_t)address < watched.map || at >= watched.bytes)
		return false;
	at -= at % watched.page;
	do
		digits[n++] = (char)('0' + at % 10);
	while (at /= 10);
	while (n)
		*p++ = digits[--n];
	*p++ = '\n';
	n = (size_t)(p - line);
	return pwrite(s->lock_fd, line, n, (off_t)s->lock_text) == (ssize_t)n;
}

bool store_bus_inside(const void *address)
{
	return __atomic_load_n(&watched.store, __ATOMIC_ACQUIRE) &&
	       (uintptr_t)address - watched.map < watched.bytes;
}

bool store_bus_readable(const struct store *s, uint64_t at)
{
	cleanup_free char *path = xasprintf("%s/data.mdb", s->path);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	cleanup_free char *buf = xmalloc(page);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_size <= at)
		return false;
	page = MIN(page, (size_t)st.st_size - at); /* the file may end in it */
	return pread(fd, buf, page, (off_t)at) == (ssize_t)page;
}
