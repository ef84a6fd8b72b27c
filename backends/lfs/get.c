/* SPDX-License-Identifier: Apache-2.0 */
#include "get.h"

#include "auth.h"
#include "chunks.h"

#include <openssl/evp.h>
#include <strings.h>
#include <time.h>

#define TRIES_IDLE 4u  /* without one more byte */
#define TRIES_MAX 200u /* at all */
#define RENEWALS 3u
#define EARLY_S 5 /* a link that ends so soon is not used */

struct run {
	struct lfsget *g;
	struct scorpio_http x;
	EVP_MD_CTX *md;
	uint64_t asked_from; /* the Range of this attempt */
	uint64_t skip;	     /* of a whole answer, what we have */
	bool range_ok;
	int rc; /* our reason to stop */
};

static int problem(struct run *r, int code, const char *why)
{
	struct lfsget *g = r->g;

	snprintf(g->why, sizeof(g->why), "%s", why);
	return lfsfail(g->s, code, "%s", why);
}

/* -- the answer ----------------------------------------------------------------------- */

static int on_header(void *ctx, const char *name, const char *value)
{
	struct run *r = ctx;
	unsigned long long from;

	if (!strcasecmp(name, "Content-Range") &&
	    sscanf(value, "bytes %llu-", &from) == 1)
		r->range_ok = from == r->asked_from;
	return 0;
}

static int give(struct run *r, const void *p, uint64_t n)
{
	struct lfsget *g = r->g;

	if (n > g->a->size - g->got)
		return problem(r, -EBADMSG, "the LFS server sends more than "
			       "the object has");
	if (!EVP_DigestUpdate(r->md, p, n))
		return lfs_nomem(g->s);
	r->rc = g->data(g->ctx, p, n);
	if (r->rc) {
		g->stopped = true;
		return r->rc;
	}
	g->got += n;
	return 0;
}

static int on_data(void *ctx, const void *data, uint64_t n)
{
	struct run *r = ctx;
	const uint8_t *p = data;
	uint64_t part = 0;

	if (r->g->give_up && __atomic_load_n(r->g->give_up, __ATOMIC_RELAXED))
		return r->rc = -EINTR;
	if (r->x.status == 200) {
		part = n < r->skip ? n : r->skip;
		r->skip -= part;
	} else if (r->x.status != 206) {
		return 0; /* an error's text */
	} else if (!r->range_ok) {
		return r->rc = problem(r, -EIO, "the LFS server sends another "
				       "part than was asked for");
	}
	if (n == part)
		return 0;
	r->rc = give(r, p + part, n - part);
	return r->rc;
}

/* -- one attempt ------------------------------------------------------------------------ */

static size_t fill_headers(struct run *r, const char **headers, size_t max,
			   char *range, size_t cap)
{
	char **h = r->g->a->headers;
	size_t n = 0;

	headers[n++] = "Accept-Encoding: identity";
	for (; h && *h && n < max - 2; h++)
		if (strncasecmp(*h, "Range:", 6) &&
		    strncasecmp(*h, "Accept-Encoding:", 16))
			headers[n++] = *h;
	if (r->g->got) {
		snprintf(range, cap, "Range: bytes=%llu-",
			 (unsigned long long)r->g->got);
		headers[n++] = range;
	}
	headers[n] = NULL;
	return n;
}

static int attempt(struct run *r)
{
	struct lfsget *g = r->g;
	const char *headers[40];
	auto_free char *base = NULL;
	char range[64];
	int rc = lfsserver_url(g->s, &base);

	if (rc)
		return rc;
	fill_headers(r, headers, 40, range, sizeof(range));
	memset(&r->x, 0, sizeof(r->x));
	r->x.struct_size = sizeof(r->x);
	r->x.url = g->a->href;
	r->x.headers = headers;
	r->x.on_header = on_header;
	r->x.on_data = on_data;
	r->x.ctx = r;
	r->asked_from = r->skip = g->got;
	r->range_ok = false;
	r->rc = 0;
	g->s->host->count(g->s->host, "lfs_transfers", 1);
	return g->a->ours ? lfsauth_perform(g->s, lfsserver_auth(g->s), &r->x,
					    base) :
			    g->s->host->http(g->s->host, &r->x);
}

static int status_error(struct run *r)
{
	int status = r->x.status;
	char why[120];

	snprintf(why, sizeof(why), "the LFS server answers %d to a download",
		 status);
	return problem(r,
		       status == 401 || status == 403 ? -EACCES :
		       status == 429		      ? -EAGAIN :
		       status >= 500		      ? -EIO :
							-EREMOTEIO,
		       why);
}

/* -- the whole --------------------------------------------------------------------------- */

static int renew(struct run *r)
{
	struct lfsget *g = r->g;
	int rc = lfsserver_batch(g->s, g->a, 1);

	if (rc)
		return rc;
	return g->a->error ? problem(r, g->a->error, g->a->why) : 0;
}

static bool is_expired(const struct lfsaction *a)
{
	return a->expires_at != INT64_MAX &&
	       a->expires_at < (int64_t)time(NULL) + EARLY_S;
}

/* May another link help? */
static bool is_stale(int status)
{
	return status == 400 || status == 401 || status == 403 ||
	       status == 404 || status == 410;
}

static int check_hash(struct run *r)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	struct lfsget *g = r->g;

	if (!EVP_DigestFinal_ex(r->md, hash, NULL))
		return lfs_nomem(g->s);
	if (!memcmp(hash, g->a->oid, LFS_OID_LEN))
		return 0;
	return problem(r, -EBADMSG, "the LFS server sent wrong content (its "
		       "SHA-256 differs)");
}

/* One more attempt, a broken one being no end. *ret_done: it is over. */
static int go_on(struct run *r, unsigned *renewals, unsigned *idle,
		 bool *ret_done)
{
	struct lfsget *g = r->g;
	uint64_t before = g->got;
	int rc = attempt(r);

	*ret_done = true;
	if (g->stopped || r->rc || rc == -EINTR || rc == -EINVAL)
		return r->rc ? r->rc : rc;
	if (rc == 0 && g->got == g->a->size &&
	    (r->x.status == 200 || r->x.status == 206))
		return 0;
	*idle = g->got > before ? 0 : *idle + 1;
	if (rc == 0 && r->x.status / 100 != 2) {
		if (!is_stale(r->x.status) || (*renewals)++ >= RENEWALS)
			return status_error(r);
		rc = renew(r);
		*ret_done = rc != 0;
		return rc;
	}
	if (*idle >= TRIES_IDLE)
		return rc ? rc : problem(r, -EIO, "the LFS server's transfer "
					 "ends too early");
	*ret_done = false;
	return 0;
}

static int on_part(void *ctx, const void *p, uint64_t n)
{
	struct run *r = ctx;

	if (r->g->give_up && __atomic_load_n(r->g->give_up, __ATOMIC_RELAXED))
		return r->rc = -EINTR;
	return r->rc = give(r, p, n);
}

/* The link is refused to the end: a Mono server may have the object in parts. What
 * it says counts only if it does. */
static int in_parts(struct run *r, int refused)
{
	struct lfsget *g = r->g;
	char why[sizeof(g->why)];
	int rc;

	memcpy(why, g->why, sizeof(why));
	if (!g->s->mono ||
	    (r->x.status / 100 != 4 && r->x.status / 100 != 5))
		return refused;
	rc = lfschunks_run(g->s, g->a, g->got, on_part, r);
	return rc == -ENOTSUP ? problem(r, refused, why) : rc;
}

static int run(struct run *r)
{
	struct lfsget *g = r->g;
	unsigned renewals = 0, idle = 0;
	bool done = false;
	int rc = 0;

	for (unsigned i = 0; i < TRIES_MAX && !done && rc == 0; i++) {
		if (is_expired(g->a) && renewals < RENEWALS) {
			renewals++;
			rc = renew(r);
		}
		if (rc == 0)
			rc = go_on(r, &renewals, &idle, &done);
	}
	if (rc == 0 && !done)
		return problem(r, -EIO, "the LFS server breaks off all the "
			       "time");
	if (rc && !g->stopped && rc != -EINTR)
		rc = in_parts(r, rc);
	return rc ? rc : check_hash(r);
}

int lfsget_run(struct lfsget *g)
{
	struct run r = { .g = g, .md = EVP_MD_CTX_new() };
	int rc = -ENOMEM;

	g->stopped = false;
	g->got = 0;
	g->why[0] = 0;
	if (r.md && EVP_DigestInit_ex(r.md, EVP_sha256(), NULL))
		rc = run(&r);
	EVP_MD_CTX_free(r.md);
	return rc;
}
