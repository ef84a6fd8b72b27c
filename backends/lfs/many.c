/* SPDX-License-Identifier: Apache-2.0 */
#include "many.h"

#include "get.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <time.h>
#include <unistd.h>

#define SMALL (1u << 20)   /* objects up to this come side by side */
#define WORKERS_MAX 64
#define AHEAD 64u	   /* brought and not yet given on, at most */
#define LOOK_NS 50000000   /* how soon a cancelled call is seen */
#define PIECE (256u << 10) /* of a local file */

struct bring {
	struct lfs *s;
	const struct scorpio_sink *sink;
	bool *stop;
};

static int told(struct bring *b, int rc)
{
	if (rc)
		*b->stop = true;
	return rc;
}

static int refuse(struct bring *b, const struct lfsitem *it, int error)
{
	return told(b, b->sink->failed(b->sink->ctx, &it->id, error));
}

/* -- one, straight into the sink ----------------------------------------------------- */

struct pouring {
	struct bring *b;
	const struct lfsitem *it;
	bool begun;
};

static int begin(struct pouring *p)
{
	const struct scorpio_sink *sink = p->b->sink;

	if (p->begun)
		return 0;
	p->begun = true;
	return told(p->b, sink->blob_begin(sink->ctx, &p->it->id,
					   p->it->ptr.size));
}

static int pour(void *ctx, const void *data, uint64_t n)
{
	struct pouring *p = ctx;
	const struct scorpio_sink *sink = p->b->sink;
	int rc = begin(p);

	return rc ? rc : told(p->b, sink->blob_data(sink->ctx, data, n));
}

/* The object is there, or what became of it. Nonzero ends the call. */
static int conclude(struct pouring *p, int rc)
{
	const struct scorpio_sink *sink = p->b->sink;

	if (*p->b->stop)
		return rc;
	if (rc == 0)
		rc = begin(p); /* of nothing */
	if (*p->b->stop)
		return rc;
	if (rc == 0)
		return told(p->b, sink->blob_end(sink->ctx));
	if (p->begun && told(p->b, sink->abandon(sink->ctx, rc)))
		return rc;
	if (rc == -EINTR)
		return rc;
	return p->begun ? 0 : refuse(p->b, p->it, rc);
}

static int stream(struct bring *b, const struct lfsitem *it,
		  struct lfsaction *a)
{
	struct pouring p = { .b = b, .it = it };
	struct lfsget g = { .s = b->s, .a = a, .data = pour, .ctx = &p };

	if (a->error)
		return refuse(b, it, lfsfail(b->s, a->error, "%s", a->why));
	return conclude(&p, lfsget_run(&g));
}

/* -- objects of a local repository --------------------------------------------------- */

static int read_file(struct bring *b, int fd, struct pouring *p)
{
	auto_free uint8_t *buf = malloc(PIECE);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t hash[EVP_MAX_MD_SIZE];
	int rc = buf && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) ?
			 0 :
			 lfs_nomem(b->s);
	uint64_t left = p->it->ptr.size;

	while (rc == 0 && left) {
		ssize_t n = read(fd, buf, left < PIECE ? left : PIECE);

		if (n <= 0) {
			rc = lfsfail(b->s, -EIO, "the object's file is cut");
			break;
		}
		EVP_DigestUpdate(md, buf, (size_t)n);
		left -= (uint64_t)n;
		rc = pour(p, buf, (uint64_t)n);
		if (rc == 0)
			rc = lfs_check(b->s);
	}
	if (rc == 0 && (!EVP_DigestFinal_ex(md, hash, NULL) ||
			memcmp(hash, p->it->ptr.oid, LFS_OID_LEN)))
		rc = lfsfail(b->s, -EBADMSG, "the object's file holds other "
			     "content (its SHA-256 differs)");
	EVP_MD_CTX_free(md);
	return rc;
}

static int from_dir(struct bring *b, const char *dir, const struct lfsitem *it)
{
	struct pouring p = { .b = b, .it = it };
	char hex[LFS_OID_HEX + 1];
	auto_free char *path = NULL;
	int fd, rc;

	lfs_hex(it->ptr.oid, LFS_OID_LEN, hex);
	if (asprintf(&path, "%s/%.2s/%.2s/%s", dir, hex, hex + 2, hex) < 0)
		return lfs_nomem(b->s);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return refuse(b, it,
			      lfsfail(b->s, -EREMOTEIO, "the LFS object is not in "
				      "this local repository (%s); git lfs "
				      "fetch there, or set lfs.url", path));
	rc = read_file(b, fd, &p);
	close(fd);
	return conclude(&p, rc);
}

/* -- small ones side by side ----------------------------------------------------------- */

struct slot {
	struct lfsaction *a;
	const struct lfsitem *it;
	struct lfsbuf text;
	int rc;
	bool done; /* lock */
};

struct crew {
	struct lfs *s;
	struct slot *slots;
	uint32_t n;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t next, given; /* lock: to be taken; given on */
	bool give_up;	      /* atomic */
};

static int keep(void *ctx, const void *p, uint64_t n)
{
	struct slot *slot = ctx;

	lfsbuf_put(&slot->text, p, n);
	return slot->text.broken ? -ENOMEM : 0;
}

static void bring_one(struct crew *c, struct slot *slot)
{
	struct lfsget g = { .s = c->s, .a = slot->a, .data = keep,
			    .ctx = slot, .give_up = &c->give_up };

	slot->rc = slot->a->error ? slot->a->error : lfsget_run(&g);
	if (slot->rc && !slot->a->error && g.why[0])
		snprintf(slot->a->why, sizeof(slot->a->why), "%s", g.why);
}

/* The next one to bring, or NULL: all are taken. */
static struct slot *take(struct crew *c)
{
	struct slot *slot = NULL;

	pthread_mutex_lock(&c->lock);
	while (!__atomic_load_n(&c->give_up, __ATOMIC_RELAXED) &&
	       c->next < c->n && c->next - c->given >= AHEAD)
		pthread_cond_wait(&c->changed, &c->lock);
	if (!__atomic_load_n(&c->give_up, __ATOMIC_RELAXED) && c->next < c->n)
		slot = &c->slots[c->next++];
	pthread_mutex_unlock(&c->lock);
	return slot;
}

static void *work(void *arg)
{
	struct crew *c = arg;
	struct slot *slot;

	while ((slot = take(c))) {
		bring_one(c, slot);
		pthread_mutex_lock(&c->lock);
		slot->done = true;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
	}
	return NULL;
}

/* Until it is done or nobody wants it any more. */
static int await(struct crew *c, struct slot *slot)
{
	struct timespec t;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	while (!slot->done && rc == 0) {
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += LOOK_NS;
		if (t.tv_nsec >= 1000000000) {
			t.tv_nsec -= 1000000000;
			t.tv_sec++;
		}
		pthread_cond_timedwait(&c->changed, &c->lock, &t);
		pthread_mutex_unlock(&c->lock);
		rc = lfs_check(c->s);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static int give_on(struct bring *b, struct slot *slot)
{
	struct pouring p = { .b = b, .it = slot->it };
	int rc;

	if (slot->rc == -EIO || slot->rc == -ETIMEDOUT) /* once more, alone */
		return stream(b, slot->it, slot->a);
	if (slot->rc)
		return refuse(b, slot->it,
			      lfsfail(b->s, slot->rc, "%s", slot->a->why));
	rc = slot->text.n ? pour(&p, slot->text.p, slot->text.n) : 0;
	return conclude(&p, rc);
}

static int run_crew(struct bring *b, struct crew *c)
{
	int64_t many = b->s->host->config_int(b->s->config, "lfs.concurrency",
					      8);
	pthread_t threads[WORKERS_MAX];
	uint32_t n = 0, want = many < 1 || many > WORKERS_MAX ? 8 :
								(uint32_t)many;
	int rc = 0;

	for (; n < want && n < c->n; n++)
		if (pthread_create(&threads[n], NULL, work, c))
			break;
	if (!n)
		work(c); /* alone then */
	for (uint32_t i = 0; i < c->n && rc == 0; i++) {
		rc = await(c, &c->slots[i]);
		if (rc == 0)
			rc = give_on(b, &c->slots[i]);
		lfsbuf_done(&c->slots[i].text);
		pthread_mutex_lock(&c->lock);
		c->given = i + 1;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
	}
	__atomic_store_n(&c->give_up, true, __ATOMIC_RELAXED);
	pthread_mutex_lock(&c->lock);
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	while (n)
		pthread_join(threads[--n], NULL);
	return rc;
}

static int side_by_side(struct bring *b, struct slot *slots, uint32_t n)
{
	struct crew c = { .s = b->s, .slots = slots, .n = n };
	int rc;

	if (n == 1)
		return stream(b, slots[0].it, slots[0].a);
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.changed, NULL);
	rc = n ? run_crew(b, &c) : 0;
	for (uint32_t i = 0; i < n; i++)
		lfsbuf_done(&slots[i].text);
	pthread_cond_destroy(&c.changed);
	pthread_mutex_destroy(&c.lock);
	return rc;
}

/* -- all -------------------------------------------------------------------------------- */

static int bring_batch(struct bring *b, const struct lfsitem *const *items,
		       uint32_t n)
{
	struct lfsaction *a = calloc(n, sizeof(*a));
	struct slot *slots = calloc(n, sizeof(*slots));
	uint32_t small = 0;
	int rc = a && slots ? 0 : lfs_nomem(b->s);

	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		memcpy(a[i].oid, items[i]->ptr.oid, LFS_OID_LEN);
		a[i].size = items[i]->ptr.size;
	}
	if (rc == 0)
		rc = lfsserver_batch(b->s, a, n);
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		if (items[i]->ptr.size > SMALL)
			continue;
		slots[small].it = items[i];
		slots[small++].a = &a[i];
	}
	if (rc == 0)
		rc = side_by_side(b, slots, small);
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		if (items[i]->ptr.size > SMALL)
			rc = stream(b, items[i], &a[i]);
	for (uint32_t i = 0; a && i < n; i++)
		lfsaction_done(&a[i]);
	free(slots);
	free(a);
	return rc;
}

static int bring_nothing(struct bring *b, const struct lfsitem *it)
{
	struct pouring p = { .b = b, .it = it };

	return conclude(&p, 0);
}

int lfsmany_bring(struct lfs *s, const struct lfsitem *items, uint32_t n,
		  const struct scorpio_sink *sink, bool *stop)
{
	struct bring b = { .s = s, .sink = sink, .stop = stop };
	const struct lfsitem *some[LFSBATCH_MAX];
	const char *dir = lfsserver_dir(s);
	uint32_t k = 0;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		if (lfsptr_is_empty(&items[i].ptr))
			rc = bring_nothing(&b, &items[i]);
		else if (dir)
			rc = from_dir(&b, dir, &items[i]);
		else
			some[k++] = &items[i];
		if (rc == 0 && k == LFSBATCH_MAX) {
			rc = bring_batch(&b, some, k);
			k = 0;
		}
	}
	return rc || !k ? rc : bring_batch(&b, some, k);
}
