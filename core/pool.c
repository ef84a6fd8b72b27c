/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pool.h"

#include "core/clock.h"

#include <signal.h>

#define IDLE_NS (10 * NS_PER_S)
#define STACK_BYTES (512 * KiB)

struct pool {
	pthread_mutex_t m;
	pthread_cond_t work;  /* something queued, or the end */
	pthread_cond_t ended; /* a thread left */
	struct pool_task *head, **tail; /* lock: m */
	unsigned queued;   /* lock: m */
	unsigned running;  /* lock: m; tasks in run() */
	unsigned idle;     /* lock: m; threads waiting on `work` */
	unsigned threads;  /* lock: m */
	bool stop;         /* lock: m */
	unsigned max;
	char name[12];
};

static struct pool_task *take(struct pool *p)
{
	struct pool_task *t = p->head;

	p->head = t->next;
	if (!p->head)
		p->tail = &p->head;
	p->queued--;
	return t;
}

/* With p->m held: a task, or NULL when this thread should end. */
static struct pool_task *next_task(struct pool *p)
{
	int64_t deadline = now_ns() + IDLE_NS;

	while (!p->head && !p->stop) {
		int r;

		p->idle++;
		r = cond_wait_until(&p->work, &p->m, deadline);
		p->idle--;
		if (r && !p->head)
			return NULL;
	}
	return p->head ? take(p) : NULL;
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct pool_task *t;

	pthread_setname_np(pthread_self(), p->name);
	pthread_mutex_lock(&p->m);
	while ((t = next_task(p))) {
		p->running++;
		pthread_mutex_unlock(&p->m);
		t->run(t); /* may free t */
		pthread_mutex_lock(&p->m);
		p->running--;
	}
	p->threads--;
	pthread_cond_broadcast(&p->ended);
	pthread_mutex_unlock(&p->m);
	return NULL;
}

/* With p->m held. Signals stay with the main thread. */
static bool start_thread(struct pool *p)
{
	pthread_attr_t a;
	pthread_t id;
	sigset_t all, old;
	int r;

	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&a, STACK_BYTES);
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* the thread's own: the store's way out */
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&id, &a, worker, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&a);
	if (!r)
		p->threads++;
	return !r;
}

struct pool *pool_new(const char *name, unsigned max_threads)
{
	struct pool *p = xcalloc(1, sizeof(*p));

	pthread_mutex_init(&p->m, NULL);
	cond_init(&p->work);
	cond_init(&p->ended);
	p->tail = &p->head;
	p->max = MAX(max_threads, 1u);
	snprintf(p->name, sizeof(p->name), "%s", name);
	return p;
}

/* No thread could be had at all: do the work here rather than never. */
static void run_here(struct pool *p)
{
	while (p->head && !p->threads) {
		struct pool_task *t = take(p);

		p->running++;
		pthread_mutex_unlock(&p->m);
		t->run(t);
		pthread_mutex_lock(&p->m);
		p->running--;
	}
}

void pool_add(struct pool *p, struct pool_task *t)
{
	pthread_mutex_lock(&p->m);
	assert(!p->stop || p->running); /* tasks may add more at the end */
	t->next = NULL;
	*p->tail = t;
	p->tail = &t->next;
	p->queued++;
	if (p->queued <= p->idle)
		pthread_cond_signal(&p->work);
	else if (p->threads < p->max && !start_thread(p))
		run_here(p);
	pthread_mutex_unlock(&p->m);
}

unsigned pool_load(struct pool *p)
{
	unsigned n;

	pthread_mutex_lock(&p->m);
	n = p->queued + p->running;
	pthread_mutex_unlock(&p->m);
	return n;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->m);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	while (p->threads)
		cond_wait_until(&p->ended, &p->m, DEADLINE_NONE);
	pthread_mutex_unlock(&p->m);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->m);
	free(p);
}
