/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/arena.h"

#include "core/error.h"
#include "core/log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#define MAGIC 0x5343414e4f444531ull
#define FIRST_SLOTS 1024u
#define LAST_SLOTS 32768u

/* Where chunks are mapped, one behind the other: an arena gets one of many
 * places, far from where the system puts programs, libraries and stacks. */
#ifndef __SANITIZE_THREAD__
#define PLACE_FIRST 0x100000000000ull
#define PLACES 4096u
#else /* its shadow is there */
#define PLACE_FIRST 0x400000000ull
#define PLACES 31u
#endif
#define PLACE_BYTES (16 * GiB)
#define PLACE_TRIES 4

_Static_assert(sizeof(struct arena_head) <= 106496,
	       "the format's: chunks are behind it, from the next page on");

struct pool {
	void *spare;   /* linked through their second 8 bytes */
	uint8_t *next; /* never used yet */
	uint32_t left; /* of them */
	uint32_t slots; /* of the chunk made last */
	uint32_t chunk; /* its number */
};

struct arena {
	int fd; /* -1: not shared */
	struct arena_head *head; /* of one that is not shared: private */
	struct pool pool[ARENA_KINDS];
	uint64_t unused; /* bytes of chunks never touched */
	uint64_t place;  /* of the next chunk; 0: none yet */
};

/* What is mapped begins at a page: of 4 KiB, or up to 64 KiB on arm64. */
static size_t whole_pages(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (n + page - 1) / page * page;
}

static size_t head_bytes(void)
{
	return whole_pages(sizeof(struct arena_head));
}

static size_t chunk_bytes(const struct arena_head *h,
			  const struct arena_chunk *c)
{
	return whole_pages((size_t)c->slots * h->size[c->kind]);
}

static int make_file(struct arena *a)
{
	a->fd = memfd_create("scorpio-nodes", MFD_CLOEXEC);
	if (a->fd < 0 || ftruncate(a->fd, (off_t)head_bytes()))
		return -errno;
	a->head = mmap(NULL, head_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
		       a->fd, 0);
	if (a->head == MAP_FAILED) {
		a->head = NULL;
		return -errno;
	}
	return 0;
}

struct arena *arena_new(const uint32_t size[ARENA_KINDS], bool shared)
{
	struct arena *a = xcalloc(1, sizeof(*a));

	a->fd = -1;
	if (shared && make_file(a)) {
		log_warn("fs", "a mount will not survive the daemon: cannot "
			 "make shared memory: %s", strerror(errno));
		if (a->fd >= 0)
			close(a->fd);
		a->fd = -1;
	}
	if (!a->head)
		a->head = xcalloc(1, head_bytes());
	a->head->format = ARENA_FORMAT;
	memcpy(a->head->size, size, sizeof(a->head->size));
	a->head->end = head_bytes();
	a->head->magic = MAGIC;
	return a;
}

void arena_free(struct arena *a)
{
	struct arena_head *h;

	if (!a)
		return;
	h = a->head;
	for (uint32_t i = 0; i < h->chunks; i++) {
		void *p = (void *)(uintptr_t)h->chunk[i].self;

		if (a->fd >= 0)
			munmap(p, chunk_bytes(h, &h->chunk[i]));
		else
			free(p);
	}
	if (a->fd >= 0) {
		munmap(h, head_bytes());
		close(a->fd);
	} else {
		free(h);
	}
	free(a);
}

int arena_fd(const struct arena *a)
{
	return a->fd;
}

struct arena_head *arena_head(struct arena *a)
{
	return a->fd >= 0 ? a->head : NULL;
}

/* There is no memory to go on with: as xmalloc. */
static void *no_memory(void)
{
	fprintf(stderr, "scorpio: out of memory (inodes)\n");
	abort();
}

/* There and nowhere else. */
static bool map_at(const struct arena *a, uint64_t at, size_t n,
		   uint64_t offset)
{
	void *want = (void *)(uintptr_t)at;
	void *p = mmap(want, n, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED_NOREPLACE, a->fd,
		       (off_t)offset);

	if (p != MAP_FAILED && p != want)
		munmap(p, n); /* an older kernel's answer */
	return p == want;
}

static uint64_t some_place(void)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)getpid();
	return PLACE_FIRST + r % PLACES * PLACE_BYTES;
}

static void *map_chunk(struct arena *a, uint64_t offset, size_t n)
{
	void *p;

	if (a->fd < 0)
		return xcalloc(1, n);
	if (ftruncate(a->fd, (off_t)(offset + n)))
		return no_memory();
	for (int i = 0; i < PLACE_TRIES; i++) {
		uint64_t at = a->place ? a->place : some_place();

		a->place = 0;
		if (!map_at(a, at, n, offset))
			continue;
		a->place = at + n;
		return (void *)(uintptr_t)at;
	}
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd,
		 (off_t)offset);
	return p == MAP_FAILED ? no_memory() : p;
}

static void add_chunk(struct arena *a, enum arena_kind kind)
{
	struct pool *pool = &a->pool[kind];
	struct arena_head *h = a->head;
	struct arena_chunk *c = &h->chunk[h->chunks];
	uint64_t offset = h->end;
	size_t n;

	if (h->chunks == ARENA_CHUNKS)
		no_memory();
	if (h->undo && h->undo == h->end) /* behind the copy */
		offset = 2 * h->undo;
	pool->slots = pool->slots ? MIN(pool->slots * 2, LAST_SLOTS)
				  : FIRST_SLOTS;
	*c = (struct arena_chunk){ .offset = offset, .slots = pool->slots,
				   .kind = kind };
	n = chunk_bytes(h, c);
	c->self = (uintptr_t)map_chunk(a, offset, n);
	h->end = offset + n;
	pool->next = (void *)(uintptr_t)c->self;
	pool->left = c->slots;
	pool->chunk = h->chunks;
	a->unused += n;
	__atomic_store_n(&h->chunks, h->chunks + 1, __ATOMIC_RELEASE);
}

void *arena_take(struct arena *a, enum arena_kind kind)
{
	struct pool *pool = &a->pool[kind];
	uint32_t size = a->head->size[kind];
	void **p = pool->spare;

	if (p) {
		pool->spare = p[1];
		/* the first word says that it is free: that goes last */
		memset(p + 1, 0, size - sizeof(*p));
		__atomic_store_n(p, NULL, __ATOMIC_RELEASE);
		return p;
	}
	if (!pool->left)
		add_chunk(a, kind);
	p = (void **)(void *)pool->next;
	pool->next += size;
	pool->left--;
	a->unused -= size;
	__atomic_store_n(&a->head->used[kind], pool->slots - pool->left,
			 __ATOMIC_RELEASE);
	return p;
}

void arena_give(struct arena *a, enum arena_kind kind, void *p)
{
	((void **)p)[1] = a->pool[kind].spare;
	a->pool[kind].spare = p;
}

void *arena_next(struct arena *a, enum arena_kind kind,
		 struct arena_place *at)
{
	const struct arena_head *h = a->head;

	for (; at->chunk < h->chunks; at->chunk++, at->slot = 0) {
		const struct arena_chunk *c = &h->chunk[at->chunk];
		uint32_t n = c->slots;

		if (c->kind != kind)
			continue;
		if (a->pool[kind].chunk == at->chunk)
			n -= a->pool[kind].left;
		if (at->slot < n)
			return (uint8_t *)(uintptr_t)c->self +
			       (size_t)at->slot++ * h->size[kind];
	}
	return NULL;
}

uint64_t arena_bytes(const struct arena *a)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < a->head->chunks; i++)
		sum += chunk_bytes(a->head, &a->head->chunk[i]);
	return sum - a->unused;
}

/* -- changing many at once ---------------------------------------------------------- */

static int copy_piece(struct arena *a, const void *p, size_t n, uint64_t at)
{
	while (n) {
		ssize_t k = pwrite(a->fd, p, n, (off_t)at);

		if (k <= 0)
			return fail(-ENOMEM, "shared memory: %s",
				    strerror(errno));
		p = (const uint8_t *)p + k;
		at += (uint64_t)k;
		n -= (size_t)k;
	}
	return 0;
}

int arena_begin(struct arena *a)
{
	struct arena_head *h = a->head;
	uint64_t undo = h->end;
	int rc;

	if (a->fd < 0)
		return 0;
	rc = copy_piece(a, h, head_bytes(), undo);
	for (uint32_t i = 0; i < h->chunks && !rc; i++) {
		const struct arena_chunk *c = &h->chunk[i];

		rc = copy_piece(a, (void *)(uintptr_t)c->self,
				chunk_bytes(h, c), undo + c->offset);
	}
	if (rc) { /* the next chunk is made of zeros */
		(void)!ftruncate(a->fd, (off_t)undo);
		return rc;
	}
	__atomic_store_n(&h->undo, undo, __ATOMIC_RELEASE);
	return 0;
}

void arena_commit(struct arena *a)
{
	struct arena_head *h = a->head;
	uint64_t undo = h->undo;

	if (a->fd < 0 || !undo)
		return;
	__atomic_store_n(&h->undo, 0, __ATOMIC_RELEASE);
	if (h->end == undo)
		(void)!ftruncate(a->fd, (off_t)undo);
	else
		fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)undo, (off_t)undo);
}

/* -- what another process left ------------------------------------------------------- */

static int check_image(struct arena_image *i,
		       const uint32_t size[ARENA_KINDS])
{
	const struct arena_head *h = (const void *)i->map;
	uint64_t undo;

	if (i->len < head_bytes() || h->magic != MAGIC)
		return fail(-EBADMSG, "the table of inodes is not one");
	if (h->format != ARENA_FORMAT ||
	    memcmp(h->size, size, sizeof(h->size)))
		return fail(-EBADMSG, "the table of inodes is of another "
			    "format (%u, this program reads %u)", h->format,
			    ARENA_FORMAT);
	undo = h->undo;
	i->live = h;
	if (undo > i->len || i->len - undo < head_bytes())
		return fail(-EBADMSG, "the table of inodes is cut off");
	i->base = i->map + undo;
	i->head = (const void *)i->base;
	if (i->head->chunks > ARENA_CHUNKS)
		return fail(-EBADMSG, "the table of inodes is damaged");
	for (uint32_t k = 0; k < i->head->chunks; k++) {
		const struct arena_chunk *c = &i->head->chunk[k];
		uint64_t left = i->len - undo;

		if (c->kind >= ARENA_KINDS || c->slots > LAST_SLOTS ||
		    c->offset > left ||
		    left - c->offset < chunk_bytes(i->head, c))
			return fail(-EBADMSG, "the table of inodes is damaged");
	}
	return 0;
}

int arena_open(int fd, const uint32_t size[ARENA_KINDS],
	       struct arena_image *ret)
{
	struct arena_image i = { 0 };
	struct stat st;
	int rc;

	if (fstat(fd, &st))
		return fail(-errno, "the table of inodes: %s",
			    strerror(errno));
	i.len = (size_t)st.st_size;
	i.map = mmap(NULL, MAX(i.len, 1), PROT_READ, MAP_SHARED, fd, 0);
	if (i.map == MAP_FAILED)
		return fail(-errno, "the table of inodes: %s",
			    strerror(errno));
	rc = check_image(&i, size);
	if (rc) {
		arena_close(&i);
		return rc;
	}
	*ret = i;
	return 0;
}

void arena_close(struct arena_image *i)
{
	if (i->map)
		munmap(i->map, MAX(i->len, 1));
	i->map = NULL;
}

bool arena_locate(struct arena_image *i, uint64_t pointer,
		  enum arena_kind kind, uint32_t *ret_chunk,
		  uint32_t *ret_slot)
{
	const struct arena_head *h = i->head;

	for (uint32_t n = 0, k = i->hint; n < h->chunks; n++, k++) {
		const struct arena_chunk *c = &h->chunk[k %= h->chunks];
		uint64_t at = pointer - c->self;

		if (c->kind != kind || pointer < c->self ||
		    at >= (uint64_t)c->slots * h->size[kind] ||
		    at % h->size[kind])
			continue;
		i->hint = k;
		*ret_chunk = k;
		*ret_slot = (uint32_t)(at / h->size[kind]);
		return true;
	}
	return false;
}

/* -- as it is ------------------------------------------------------------------------- */

static int map_all(struct arena *a)
{
	struct arena_head *h;
	uint32_t n;

	a->head = mmap(NULL, head_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
		       a->fd, 0);
	if (a->head == MAP_FAILED) {
		a->head = NULL;
		return -EAGAIN;
	}
	h = a->head;
	for (n = 0; n < h->chunks; n++) {
		const struct arena_chunk *c = &h->chunk[n];

		if (!map_at(a, c->self, chunk_bytes(h, c), c->offset))
			break;
	}
	if (n == h->chunks)
		return 0;
	while (n--)
		munmap((void *)(uintptr_t)h->chunk[n].self,
		       chunk_bytes(h, &h->chunk[n]));
	munmap(h, head_bytes());
	return -EAGAIN;
}

/* Where the one before was in its chunks. */
static void find_pools(struct arena *a)
{
	const struct arena_head *h = a->head;
	uint64_t end = 0;

	for (uint32_t i = 0; i < h->chunks; i++) {
		const struct arena_chunk *c = &h->chunk[i];
		struct pool *pool = &a->pool[c->kind];
		uint32_t used = MIN(h->used[c->kind], c->slots);

		pool->chunk = i;
		pool->slots = c->slots;
		pool->left = c->slots - used;
		pool->next = (uint8_t *)(uintptr_t)c->self +
			     (size_t)used * h->size[c->kind];
		end = c->self + chunk_bytes(h, c);
	}
	for (uint32_t k = 0; k < ARENA_KINDS; k++)
		a->unused += (uint64_t)a->pool[k].left * h->size[k];
	if (end >= PLACE_FIRST && end < PLACE_FIRST + PLACES * PLACE_BYTES)
		a->place = end;
}

static bool is_simple(const struct arena_image *i, const struct arena_chunk *c)
{
	const struct arena_head *h = i->live;

	return h->used[c->kind] && whole_pages(c->self) == c->self &&
	       whole_pages(c->offset) == c->offset && h->end <= i->len &&
	       c->offset + chunk_bytes(h, c) <= h->end;
}

int arena_adopt(int fd, const uint32_t size[ARENA_KINDS], struct arena **ret)
{
	struct arena_image i;
	struct arena *a;
	bool simple;
	int rc = arena_open(fd, size, &i);

	if (rc)
		return rc;
	simple = !i.live->undo && i.live->chunks;
	for (uint32_t k = 0; simple && k < i.live->chunks; k++)
		simple = is_simple(&i, &i.live->chunk[k]);
	arena_close(&i);
	if (!simple)
		return -EAGAIN;
	a = xcalloc(1, sizeof(*a));
	a->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	rc = a->fd < 0 ? -EAGAIN : map_all(a);
	if (rc) {
		if (a->fd >= 0)
			close(a->fd);
		free(a);
		return rc;
	}
	/* a copy that was never completed; what comes next is made of zeros */
	(void)!ftruncate(a->fd, (off_t)a->head->end);
	find_pools(a);
	*ret = a;
	return 0;
}
