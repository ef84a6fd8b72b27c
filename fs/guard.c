/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/guard.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/metrics.h"

#include <fcntl.h>

#define PROGRAMS_MAX 32
#define COMM_MAX 16 /* the kernel's, with its NUL */
#define WINDOW (60 * NS_PER_S)

struct program {
	char name[COMM_MAX]; /* immutable */
	int64_t since;       /* lock */
	uint64_t bytes;      /* lock; fetched since then */
};

struct guard {
	uint64_t budget;
	bool slow;
	unsigned count;
	pthread_mutex_t lock; /* leaf */
	struct program programs[PROGRAMS_MAX];
};

static METRIC(refused, "scorpio_fs_crawl_refused_total", METRIC_COUNTER, NULL,
	      "reads of fs.crawl_programs that were refused or put last");

struct guard *guard_new(const char *programs, uint64_t budget, bool slow)
{
	struct guard *g = xcalloc(1, sizeof(*g));
	const char *p = programs ? programs : "";

	for (p += strspn(p, " "); *p && g->count < PROGRAMS_MAX;
	     p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		/* the kernel cuts names as well */
		snprintf(g->programs[g->count++].name, COMM_MAX, "%.*s",
			 (int)MIN(n, COMM_MAX - 1), p);
		p += n;
	}
	if (!g->count) {
		free(g);
		return NULL;
	}
	g->budget = budget;
	g->slow = slow;
	pthread_mutex_init(&g->lock, NULL);
	metric_register(&refused);
	return g;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* 1 and up: which of them; 0: another. */
static unsigned which(const struct guard *g, uint32_t pid)
{
	char path[32], comm[COMM_MAX];
	cleanup_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, comm, sizeof(comm) - 1);
	comm[MAX(n, 0)] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	for (unsigned i = 0; i < g->count; i++)
		if (!strcmp(g->programs[i].name, comm))
			return i + 1;
	return 0;
}

int guard_ask(struct guard *g, struct request *r)
{
	struct program *p;
	int64_t now = now_ns();
	bool over;

	if (!g || !r->pid)
		return 0;
	r->watched = which(g, r->pid);
	if (!r->watched)
		return 0;
	p = &g->programs[r->watched - 1];
	pthread_mutex_lock(&g->lock);
	if (now - p->since > WINDOW) {
		p->since = now;
		p->bytes = 0;
	}
	over = p->bytes >= g->budget;
	pthread_mutex_unlock(&g->lock);
	if (!over)
		return 0;
	metric_add(&refused, 1);
	r->last = g->slow;
	return g->slow ? 0
		       : fail(-EDQUOT, "%s had fs.crawl_budget fetched in this "
			      "minute, and is one of fs.crawl_programs",
			      p->name);
}

void guard_charge(struct guard *g, const struct request *r, uint64_t bytes)
{
	if (!g || !r->watched)
		return;
	lock_scope(&g->lock);
	g->programs[r->watched - 1].bytes += bytes;
}
