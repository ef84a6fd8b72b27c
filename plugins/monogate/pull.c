/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pull.c - an LFS object on its way from the upstream: one transfer however many
 * wait for it, read while it grows. It is kept, and its last byte is told, once
 * its hash is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lfs.h"

#define TRIES 3
#define STALL_MS 15000u  /* also what a stop may take */
#define WAIT_S 120	 /* for the next byte */

struct pull {
	struct gate_lfs *l;
	struct pull *next; /* lock */
	char oid[LFS_OID + 1];
	uint64_t size;
	unsigned refs;  /* lock */
	int fd;         /* a file without a name */
	uint64_t have;  /* lock: bytes of it */
	bool done;      /* lock: no more comes */
	int error;      /* lock: why */
	char why[256];  /* lock */
	int status;     /* of the answer that comes; the transfer's thread */
};

void pull_put(struct pull *p)
{
	struct gate_lfs *l = p ? p->l : NULL;
	bool last;

	if (!p)
		return;
	pthread_mutex_lock(&l->lock);
	last = !--p->refs;
	pthread_mutex_unlock(&l->lock);
	if (!last)
		return;
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

/* -- the transfer ------------------------------------------------------------------------ */

static int take(void *ctx, const void *data, uint64_t n)
{
	struct pull *p = ctx;
	struct gate_lfs *l = p->l;
	int rc = 0;

	if (p->have + n > p->size)
		return l->g->host->fail(l->g->host, -EBADMSG, "the object is "
					"longer than its pointer says");
	if (pwrite(p->fd, data, n, (off_t)p->have) != (ssize_t)n)
		return l->g->host->fail(l->g->host, -EIO, "%s: %s", l->dir,
					strerror(errno));
	pthread_mutex_lock(&l->lock);
	p->have += n;
	if (l->stopping)
		rc = -EINTR;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	return rc;
}

struct answer {
	struct pull *p;
	struct scorpio_http *http;
};

/* A server that knows no ranges sends all of it again. */
static int take_answer(void *ctx, const void *data, uint64_t n)
{
	struct answer *a = ctx;
	int status = a->http->status;

	if (status == 200 && a->p->status != 200) {
		pthread_mutex_lock(&a->p->l->lock);
		a->p->have = 0;
		pthread_mutex_unlock(&a->p->l->lock);
	}
	a->p->status = status;
	return status == 200 || status == 206 ? take(a->p, data, n) : 0;
}

static int transfer(struct pull *p, const json_t *act)
{
	const struct scorpio_host *host = p->l->g->host;
	char range[64];
	struct lfs_action to;
	struct answer a = { .p = p };
	struct scorpio_http h = {
		.struct_size = sizeof(h), .headers = to.headers,
		.on_data = take_answer, .ctx = &a,
		.timeout_ms = GATE_RELAY_MS, .stall_ms = STALL_MS,
	};
	int rc;

	lfs_action(p->l, act, NULL, &to);
	h.url = to.url;
	snprintf(range, sizeof(range), "Range: bytes=%llu-",
		 (unsigned long long)p->have);
	if (p->have) {
		to.headers[to.n] = range;
		to.headers[to.n + 1] = NULL;
	}
	a.http = &h;
	p->status = p->have ? 0 : 200;
	rc = host->http(host, &h);
	if (!rc && h.status != 200 && h.status != 206)
		rc = host->fail(host, h.status == 404 ? -ENOENT : -EIO,
				"the LFS server answers %d", h.status);
	if (!rc && p->have < p->size)
		rc = host->fail(host, -EIO, "the object ended early");
	return rc;
}

static int one_try(struct pull *p)
{
	const struct scorpio_host *host = p->l->g->host;
	json_t *asked = json_pack("[{s:s,s:I}]", "oid", p->oid, "size",
				  (json_int_t)p->size);
	json_t *said = NULL;
	const json_t *act;
	int rc = lfs_ask(p->l, "download", asked, NULL, &said);

	json_decref(asked);
	if (rc)
		return rc;
	act = json_object_get(json_object_get(json_object_get(said, p->oid),
					      "actions"), "download");
	rc = json_string_value(json_object_get(act, "href")) ?
		     transfer(p, act) :
		     host->fail(host, -ENOENT, "there is no such object");
	json_decref(said);
	return rc;
}

static bool again(struct pull *p, int rc)
{
	bool stop;

	pthread_mutex_lock(&p->l->lock);
	stop = p->l->stopping;
	pthread_mutex_unlock(&p->l->lock);
	return !stop && (rc == -EIO || rc == -ETIMEDOUT);
}

static void *run(void *arg)
{
	struct pull *p = arg, **at;
	struct gate_lfs *l = p->l;
	int rc = -EIO;

	for (int i = 0; i < TRIES && (!i || again(p, rc)); i++)
		rc = one_try(p);
	if (!rc)
		rc = lfs_keep(l, p->oid, p->fd, p->size);
	pthread_mutex_lock(&l->lock);
	p->done = true;
	p->error = rc;
	if (rc)
		snprintf(p->why, sizeof(p->why), "%s",
			 l->g->host->error_text(l->g->host, rc));
	for (at = &l->pulls; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	pthread_mutex_unlock(&l->lock);
	pull_put(p);
	pthread_mutex_lock(&l->lock);
	l->running--;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* -- those who wait ----------------------------------------------------------------------- */

static int begin(struct gate_lfs *l, const char *oid, uint64_t size,
		 struct pull **ret)
{
	struct pull *p = calloc(1, sizeof(*p));
	pthread_t thread;

	if (!p)
		return -ENOMEM;
	p->l = l;
	p->size = size;
	p->refs = 2;
	snprintf(p->oid, sizeof(p->oid), "%s", oid);
	p->fd = open(l->g->scratch, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (p->fd < 0 || pthread_create(&thread, NULL, run, p)) {
		if (p->fd >= 0)
			close(p->fd);
		free(p);
		return l->g->host->fail(l->g->host, -EAGAIN, "a transfer "
					"cannot be begun");
	}
	pthread_detach(thread);
	p->next = l->pulls;
	l->pulls = p;
	l->running++;
	*ret = p;
	return 0;
}

/* Answers nothing before the first byte is there, or the reason why not. */
static int first_byte(struct pull *p)
{
	char byte;
	int64_t n = p->size ? pull_read(p, 0, &byte, 1) : 0;

	return n < 0 ? (int)n : 0;
}

int pull_get(struct gate_lfs *l, const char *oid, uint64_t size,
	     struct pull **ret)
{
	struct pull *p;
	int rc = 0;

	pthread_mutex_lock(&l->lock);
	for (p = l->pulls; p; p = p->next)
		if (!strcmp(p->oid, oid) && p->size == size)
			break;
	if (p)
		p->refs++;
	else
		rc = l->stopping ? -EAGAIN : begin(l, oid, size, &p);
	pthread_mutex_unlock(&l->lock);
	if (!rc)
		rc = first_byte(p);
	if (rc)
		pull_put(p);
	else
		*ret = p;
	return rc;
}

/* With the lock held: until there is something to read at pos. */
static int wait_for(struct pull *p, uint64_t pos)
{
	const struct scorpio_host *host = p->l->g->host;
	struct timespec until;
	uint64_t had = p->have;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	/* the last byte only when all of it is known to be right */
	while (!p->done && p->have - (p->have == p->size) <= pos) {
		struct timespec tick;

		if (host->cancelled(host))
			return -EINTR;
		clock_gettime(CLOCK_MONOTONIC, &tick);
		if (p->have != had) {
			had = p->have;
			until.tv_sec = tick.tv_sec + WAIT_S;
		}
		if (tick.tv_sec > until.tv_sec)
			return host->fail(host, -ETIMEDOUT, "the LFS server "
					  "says nothing");
		tick.tv_sec++;
		pthread_cond_timedwait(&p->l->changed, &p->l->lock, &tick);
	}
	return p->error ? host->fail(host, p->error, "%s", p->why) : 0;
}

int64_t pull_read(struct pull *p, uint64_t pos, void *buf, uint64_t n)
{
	uint64_t left;
	int rc;

	if (pos >= p->size)
		return 0;
	pthread_mutex_lock(&p->l->lock);
	rc = wait_for(p, pos);
	left = p->have - (!p->done && p->have == p->size) - pos;
	pthread_mutex_unlock(&p->l->lock);
	if (rc)
		return rc;
	return pread(p->fd, buf, n < left ? n : left, (off_t)pos);
}
