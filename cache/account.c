/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/account.h"

#include "core/lock.h"

#include <fcntl.h>

#define ACCOUNTS_MAX 256

struct slot {
	struct source_account account;
	uint64_t used; /* turn of the last use; 0 = free */
};

struct accounts {
	struct lock lock;
	struct slot slots[ACCOUNTS_MAX]; /* lock */
	uint64_t turn;                   /* lock */
};

struct accounts *account_new(void)
{
	struct accounts *a = xcalloc(1, sizeof(*a));

	lock_init(&a->lock, LOCK_LEAF, "accounts");
	return a;
}

void account_free(struct accounts *a)
{
	if (!a)
		return;
	lock_done(&a->lock);
	free(a);
}

static struct slot *find(struct accounts *a, uint32_t pid)
{
	size_t i;

	for (i = 0; i < ACCOUNTS_MAX; i++)
		if (a->slots[i].used && a->slots[i].account.pid == pid)
			return &a->slots[i];
	return NULL;
}

static struct slot *find_or_make(struct accounts *a, uint32_t pid)
{
	struct slot *s = find(a, pid);
	size_t i;

	if (!s) {
		s = &a->slots[0];
		for (i = 1; i < ACCOUNTS_MAX; i++)
			if (a->slots[i].used < s->used)
				s = &a->slots[i];
		*s = (struct slot){ .account.pid = pid };
	}
	s->used = ++a->turn;
	return s;
}

static void read_comm(uint32_t pid, char out[16])
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	n = fd < 0 ? 0 : read(fd, out, 15);
	n = MAX(n, 0);
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

void account_see(struct accounts *a, uint32_t pid)
{
	char comm[16];
	bool known;

	if (!pid)
		return;
	lock_take(&a->lock);
	known = find(a, pid) != NULL;
	lock_drop(&a->lock);
	if (known)
		return;
	read_comm(pid, comm);
	ranked_scope(&a->lock);
	memcpy(find_or_make(a, pid)->account.comm, comm, sizeof(comm));
}

void account_add(struct accounts *a, uint32_t pid, uint64_t objects,
		 uint64_t bytes)
{
	struct source_account *x;

	if (!pid)
		return;
	ranked_scope(&a->lock);
	x = &find_or_make(a, pid)->account;
	x->objects += objects;
	x->bytes += bytes;
}

void account_each(struct accounts *a,
		  void (*fn)(void *ctx, const struct source_account *x),
		  void *ctx)
{
	size_t i;

	ranked_scope(&a->lock);
	for (i = 0; i < ACCOUNTS_MAX; i++)
		if (a->slots[i].used)
			fn(ctx, &a->slots[i].account);
}
