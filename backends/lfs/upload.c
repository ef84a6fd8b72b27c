/* SPDX-License-Identifier: Apache-2.0 */
#include "upload.h"

#include "auth.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define UPLOAD_MS 3600000u /* of one object */
#define STALL_MS 60000u
#define HEADERS 40u

static char *request(const struct lfsupload *all, size_t n, const char *ref)
{
	json_t *objects = json_array();

	for (size_t i = 0; i < n; i++)
		lfsbatch_add(objects, all[i].oid, all[i].size);
	return lfsbatch_request("upload", ref, objects);
}

/* -- one object ---------------------------------------------------------------------- */

static int ignore(void *ctx, const void *data, uint64_t n)
{
	(void)ctx;
	(void)data;
	(void)n;
	return 0;
}

static int perform(struct lfs *s, const struct lfsaction *a, const char *base,
		   struct scorpio_http *x, const char *type)
{
	const char *headers[HEADERS];
	char **h = a->headers;
	size_t n = 0;
	bool typed = false, accepts = false;

	for (; h && *h && n < HEADERS - 3; h++) {
		typed = typed || !strncasecmp(*h, "Content-Type:", 13);
		accepts = accepts || !strncasecmp(*h, "Accept:", 7);
		/* those are the transport's to say */
		if (strncasecmp(*h, "Transfer-Encoding:", 18) &&
		    strncasecmp(*h, "Content-Length:", 15))
			headers[n++] = *h;
	}
	if (!typed)
		headers[n++] = type;
	if (!accepts)
		headers[n++] = "Accept: application/vnd.git-lfs+json";
	headers[n] = NULL;
	x->struct_size = sizeof(*x);
	x->url = a->href;
	x->headers = headers;
	x->on_data = ignore;
	x->max_response = 1u << 20;
	return a->ours ? lfsauth_perform(s, lfsserver_auth(s), x, base)
		       : s->host->http(s->host, x);
}

/* -ESTALE: another link may do. */
static int refused(struct lfs *s, const struct lfsupload *u, const char *what,
		   int status)
{
	bool gone = status == 401 || status == 403 || status == 404 ||
		    status == 410;
	char hex[LFS_OID_HEX + 1];

	lfs_hex(u->oid, LFS_OID_LEN, hex);
	return lfsfail(s, gone ? -ESTALE : -EIO,
		       "the LFS server answers %d to %s of object %s", status,
		       what, hex);
}

static int put(struct lfs *s, const struct lfsupload *u,
	       const struct lfsaction *a, const char *base)
{
	struct scorpio_http x = { .method = "PUT", .body_len = u->size,
				  .timeout_ms = UPLOAD_MS,
				  .stall_ms = STALL_MS };
	int fd = open(u->path, O_RDONLY | O_CLOEXEC), rc;
	struct stat st;
	void *map = MAP_FAILED;

	/* mapped: it may have to be sent twice, after a login */
	if (fd >= 0 && !fstat(fd, &st) && (uint64_t)st.st_size == u->size)
		map = mmap(NULL, u->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	if (map == MAP_FAILED)
		return lfsfail(s, -EIO, "%s: the object that was set aside is "
			       "not there, or another one: add it again",
			       u->path);
	x.body = map;
	rc = perform(s, a, base, &x, "Content-Type: application/octet-stream");
	munmap(map, u->size);
	s->host->count(s->host, "lfs_uploads", 1);
	return rc || x.status / 100 == 2 ? rc
					 : refused(s, u, "the upload", x.status);
}

static int verify(struct lfs *s, const struct lfsupload *u,
		  const struct lfsaction *a, const char *base)
{
	char hex[LFS_OID_HEX + 1], body[128];
	struct scorpio_http x = { .method = "POST", .body = body };
	int rc;

	lfs_hex(u->oid, LFS_OID_LEN, hex);
	x.body_len = (uint64_t)snprintf(body, sizeof(body),
					"{\"oid\":\"%s\",\"size\":%llu}", hex,
					(unsigned long long)u->size);
	rc = perform(s, a, base, &x,
		     "Content-Type: application/vnd.git-lfs+json");
	return rc || x.status / 100 == 2
		       ? rc
		       : refused(s, u, "the verification", x.status);
}

/* -- many ------------------------------------------------------------------------------- */

int lfsupload_parse(const char *text, size_t n, const char *base,
		    struct lfsaction *up, struct lfsaction *check,
		    uint32_t count, const char **why)
{
	int rc = lfsbatch_parse(text, n, base, "upload", up, count, why);

	return rc ? rc
		  : lfsbatch_parse(text, n, base, "verify", check, count, why);
}

static int carry_out(struct lfs *s, const struct lfsupload *u,
		     const struct lfsaction *up, const struct lfsaction *check,
		     const char *base)
{
	const struct lfsaction *bad = up->error ? up : check;
	char hex[LFS_OID_HEX + 1];
	int rc;

	if (!up->error && !up->href)
		return 0; /* it has it */
	lfs_hex(u->oid, LFS_OID_LEN, hex);
	if (bad->error)
		return lfsfail(s, bad->error == -EBADMSG ? -EIO : bad->error,
			       "the LFS server refuses object %s: %s", hex,
			       bad->why);
	rc = put(s, u, up, base);
	if (!rc && check->href)
		rc = verify(s, u, check, base);
	return rc;
}

/* A link that ran out while others were sent: it is asked for again. */
static bool ran_out(const struct lfsaction *a)
{
	return a->href && a->expires_at <= (int64_t)time(NULL);
}

static int send_all(struct lfs *s, const struct lfsupload *all, size_t n,
		    const struct lfsaction *up, const struct lfsaction *check,
		    const char *base, size_t *ret_done)
{
	int rc = 0;

	*ret_done = 0;
	for (size_t i = 0; !rc && i < n; i++) {
		if (i && ran_out(&up[i]))
			break;
		rc = carry_out(s, &all[i], &up[i], &check[i], base);
		*ret_done += !rc;
	}
	return rc;
}

static int answered(struct lfs *s, const struct lfsreply *r,
		    const struct lfsupload *all, size_t n, const char *base,
		    size_t *ret_done)
{
	struct lfsaction *up = calloc(2 * n, sizeof(*up)), *check;
	const char *why;
	int rc;

	if (!up)
		return lfs_nomem(s);
	check = up + n;
	for (size_t i = 0; i < n; i++) {
		memcpy(up[i].oid, all[i].oid, LFS_OID_LEN);
		memcpy(check[i].oid, all[i].oid, LFS_OID_LEN);
		up[i].size = check[i].size = all[i].size;
	}
	rc = lfsupload_parse(r->text.p ? r->text.p : "", r->text.n, base, up,
			     check, (uint32_t)n, &why);
	if (rc == -EBADMSG)
		rc = lfsfail(s, -EIO, "the LFS server's answer to a batch for "
			     "an upload is no use: %s", why);
	else if (!rc)
		rc = send_all(s, all, n, up, check, base, ret_done);
	for (size_t i = 0; i < 2 * n; i++)
		lfsaction_done(&up[i]);
	free(up);
	return rc;
}

/* *most: how many the server takes at once. */
static int some(struct lfs *s, const char *ref, const struct lfsupload *all,
		size_t n, size_t *most, size_t *ret_done)
{
	struct lfsreply r __attribute__((cleanup(lfsreply_done))) = { 0 };
	auto_free char *body = NULL, *base = NULL;
	int rc;

	*ret_done = 0;
	if (n > *most)
		n = *most;
	body = request(all, n, ref);
	rc = body ? lfsserver_url(s, &base) : lfs_nomem(s);
	if (!rc)
		rc = lfsserver_call(s, "objects/batch", body, &r);
	if (!rc && r.status == 413 && n > 1) {
		*most = n / 2;
		return 0;
	}
	if (!rc && r.status != 200)
		rc = lfsserver_error(s, "a batch for an upload", &r);
	return rc ? rc : answered(s, &r, all, n, base, ret_done);
}

int lfs_upload(struct lfs *s, const char *ref, const struct lfsupload *all,
	       size_t n)
{
	size_t most = LFSBATCH_MAX, again = SIZE_MAX, done;
	int rc = 0;

	for (size_t at = 0; !rc && at < n;) {
		rc = some(s, ref, all + at, n - at, &most, &done);
		at += done;
		if (rc == -ESTALE && at != again) {
			again = at;
			rc = 0;
		}
	}
	return rc;
}
