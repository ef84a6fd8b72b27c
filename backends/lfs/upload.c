/* SPDX-License-Identifier: Apache-2.0 */
#include "upload.h"

#include "auth.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

static int refused(struct lfs *s, const struct lfsupload *u, const char *what,
		   int status)
{
	char hex[LFS_OID_HEX + 1];

	lfs_hex(u->oid, LFS_OID_LEN, hex);
	return lfsfail(s, status == 401 || status == 403 ? -EACCES : -EIO,
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

static int carry_out(struct lfs *s, const struct lfsupload *u, json_t *o,
		     const char *base)
{
	json_t *error = json_object_get(o, "error");
	json_t *actions = json_object_get(o, "actions");
	json_t *up = json_object_get(actions, "upload");
	json_t *check = json_object_get(actions, "verify");
	struct lfsaction a = { 0 };
	int rc = 0;

	if (json_is_object(error))
		return lfsfail(s, -EACCES, "the LFS server refuses an object: "
			       "%lld %.100s", (long long)json_integer_value(
					json_object_get(error, "code")),
			       json_is_string(json_object_get(error, "message"))
				       ? json_string_value(json_object_get(
						error, "message"))
				       : "");
	if (!json_is_object(up))
		return 0; /* it has it */
	rc = lfsaction_take(&a, up, base);
	if (!rc)
		rc = put(s, u, &a, base);
	lfsaction_done(&a);
	if (!rc && json_is_object(check)) {
		rc = lfsaction_take(&a, check, base);
		if (!rc)
			rc = verify(s, u, &a, base);
		lfsaction_done(&a);
	}
	return rc == -EBADMSG ? lfsfail(s, -EIO, "the LFS server gives a "
					"malformed link") : rc;
}

static int answered(struct lfs *s, const struct lfsreply *r,
		    const struct lfsupload *all, size_t n, const char *base)
{
	json_t *j = json_loadb(r->text.p ? r->text.p : "", r->text.n, 0, NULL);
	const char *transfer = json_string_value(json_object_get(j, "transfer"));
	json_t *objects = json_object_get(j, "objects"), *o;
	int rc = 0;

	if (json_array_size(objects) < n ||
	    (transfer && strcmp(transfer, "basic")))
		rc = lfsfail(s, -EIO, "the LFS server's answer to a batch is "
			     "no use");
	for (size_t i = 0; !rc && i < n; i++) {
		char hex[LFS_OID_HEX + 1];
		bool told = false;
		size_t k;

		lfs_hex(all[i].oid, LFS_OID_LEN, hex);
		json_array_foreach(objects, k, o) {
			const char *oid = json_string_value(
				json_object_get(o, "oid"));

			if (rc || told || !oid || strcasecmp(oid, hex) != 0)
				continue;
			told = true;
			rc = carry_out(s, &all[i], o, base);
		}
		if (!rc && !told)
			rc = lfsfail(s, -EIO, "the LFS server says nothing of "
				     "object %s", hex);
	}
	json_decref(j);
	return rc;
}

int lfs_upload(struct lfs *s, const char *ref, const struct lfsupload *all,
	       size_t n)
{
	int rc = 0;

	for (size_t at = 0; !rc && at < n; at += LFSBATCH_MAX) {
		struct lfsreply r __attribute__((cleanup(lfsreply_done))) = {
			0 };
		size_t some = n - at < LFSBATCH_MAX ? n - at : LFSBATCH_MAX;
		auto_free char *body = request(all + at, some, ref);
		auto_free char *base = NULL;

		rc = body ? lfsserver_url(s, &base) : lfs_nomem(s);
		if (!rc)
			rc = lfsserver_call(s, "objects/batch", body, &r);
		if (!rc && r.status != 200)
			rc = lfsserver_error(s, "a batch for an upload", &r);
		if (!rc)
			rc = answered(s, &r, all + at, some, base);
	}
	return rc;
}
