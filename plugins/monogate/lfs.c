/* SPDX-License-Identifier: Apache-2.0 */
/* lfs.c - the batch API: what is here, what can be brought, what is taken. */
#include "lfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_MAX 1000u /* objects in one request */
#define BODY_MAX (1u << 20)
#define ANSWER_MAX (4u << 20)
#define ASK_MS 60000u
#define TYPE "application/vnd.git-lfs+json"

static const char *const type_header[] = { "Content-Type: " TYPE, NULL };

static int reply(struct gate *g, struct scorpio_request *r, int status,
		 const char *const *headers, json_t *v)
{
	char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
	int rc = text ? g->http->reply(r, status, headers, text, strlen(text)) :
			-ENOMEM;

	json_decref(v);
	free(text);
	return rc;
}

int lfs_say(struct gate *g, struct scorpio_request *r, int status,
	    const char *text)
{
	static const char *const ask[] = {
		"Content-Type: " TYPE,
		"WWW-Authenticate: Basic realm=\"scorpio\"",
		"LFS-Authenticate: Basic realm=\"scorpio\"", NULL,
	};

	return reply(g, r, status, status == 401 ? ask : type_header,
		     json_pack("{s:s}", "message", text));
}

/* -- the request --------------------------------------------------------------------- */

static int read_body(struct gate *g, struct scorpio_request *r, json_t **ret)
{
	uint64_t n;
	int fd = g->http->body_fd(r, &n);
	json_error_t why;
	char *text;

	if (fd < 0 || n > BODY_MAX)
		return g->host->fail(g->host, -EINVAL, "a batch has up to %u "
				     "bytes", BODY_MAX);
	text = malloc(n + 1);
	if (!text)
		return -ENOMEM;
	if (pread(fd, text, n, 0) != (ssize_t)n)
		n = 0;
	*ret = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
	free(text);
	return *ret ? 0 : g->host->fail(g->host, -EINVAL, "no JSON: %s",
					why.text);
}

static bool object_ok(const json_t *o)
{
	const char *oid = json_string_value(json_object_get(o, "oid"));
	const json_t *size = json_object_get(o, "size");

	return oid && lfs_oid_ok(oid) && json_is_integer(size) &&
	       json_integer_value(size) >= 0;
}

static const char *bad_batch(const json_t *v)
{
	const json_t *objects = json_object_get(v, "objects"), *o;
	const char *algo = json_string_value(json_object_get(v, "hash_algo"));
	size_t i;

	if (!json_is_array(objects))
		return "objects: a list of what is wanted is missing";
	if (json_array_size(objects) > BATCH_MAX)
		return NULL;
	if (algo && strcmp(algo, "sha256") != 0)
		return "hash_algo: only sha256 is spoken here";
	json_array_foreach(objects, i, o)
		if (!object_ok(o))
			return "objects: an oid of 64 hexadecimal digits and a "
			       "size are needed";
	return NULL;
}

static bool wants_basic(const json_t *v)
{
	const json_t *list = json_object_get(v, "transfers"), *t;
	size_t i;

	if (!list)
		return true;
	json_array_foreach(list, i, t)
		if (json_is_string(t) &&
		    !strcmp(json_string_value(t), "basic"))
			return true;
	return false;
}

/* -- the answer ----------------------------------------------------------------------- */

static bool host_ok(const char *h)
{
	return h && *h && !h[strspn(h, "abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789.-_:[]")];
}

/* Where the client can reach us: as it just did. */
static void base_of(struct gate *g, const struct scorpio_request *r,
		    char ret[512])
{
	const char *host = g->http->header(r, "Host");
	const char *proto = g->http->header(r, "X-Forwarded-Proto");
	bool tls = proto && !strcmp(proto, "https");

	if (!host_ok(host))
		host = g->http->address(g->server);
	snprintf(ret, 512, "http%s://%.400s", tls ? "s" : "", host);
}

static json_t *action(const char *base, const char *oid, json_int_t size)
{
	char href[700];

	snprintf(href, sizeof(href), "%s/info/lfs/objects/%s?size=%lld", base,
		 oid, (long long)size);
	return json_pack("{s:s,s:{s:s}}", "href", href, "header", "Accept",
			 "application/vnd.git-lfs");
}

static json_t *object(const char *oid, json_int_t size, const char *kind,
		      json_t *act)
{
	json_t *v = json_pack("{s:s,s:I}", "oid", oid, "size", size);

	if (act)
		json_object_set_new(v, "actions", json_pack("{s:o}", kind,
							    act));
	return v;
}

static json_t *refused(const char *oid, json_int_t size, int code,
		       const char *text)
{
	return json_pack("{s:s,s:I,s:{s:i,s:s}}", "oid", oid, "size", size,
			 "error", "code", code, "message", text);
}

/* What the upstream says of those that are not here. */
static void ask_for_missing(struct gate_lfs *l, const json_t *asked,
			    const char *login, const char *base, json_t *out)
{
	json_t *missing = json_array(), *said = NULL, *o;
	size_t i;
	int rc;

	json_array_foreach(asked, i, o)
		json_array_append(missing, o);
	rc = lfs_ask(l, missing, login, &said);
	json_array_foreach(missing, i, o) {
		const char *oid = json_string_value(json_object_get(o, "oid"));
		json_int_t size = json_integer_value(json_object_get(o,
								     "size"));
		const json_t *theirs = json_object_get(said, oid);
		const json_t *error = json_object_get(theirs, "error");
		const json_t *code = json_object_get(error, "code");
		const char *text = json_string_value(
			json_object_get(error, "message"));

		json_array_append_new(out,
			rc ? refused(oid, size, 502,
				     l->g->host->error_text(l->g->host, rc)) :
			error || !theirs ?
			     refused(oid, size,
				     code ? (int)json_integer_value(code) : 404,
				     text ? text : "there is no such object") :
			     object(oid, size, "download",
				    action(base, oid, size)));
	}
	json_decref(missing);
	json_decref(said);
}

static json_t *downloads(struct gate_lfs *l, const json_t *asked,
			 const char *login, const char *base)
{
	json_t *out = json_array(), *missing = json_array(), *o;
	size_t i;

	json_array_foreach(asked, i, o) {
		const char *oid = json_string_value(json_object_get(o, "oid"));
		json_int_t size = json_integer_value(json_object_get(o,
								     "size"));
		uint64_t have;
		int fd = lfs_open(l, oid, &have);

		if (fd >= 0)
			close(fd);
		if (fd < 0 && l->upstream)
			json_array_append(missing, o);
		else if (fd < 0)
			json_array_append_new(out, refused(oid, size, 404,
				"there is no such object"));
		else if (have != (uint64_t)size)
			json_array_append_new(out, refused(oid, size, 422,
				"the object has another size"));
		else
			json_array_append_new(out, object(oid, size, "download",
				action(base, oid, size)));
	}
	if (json_array_size(missing))
		ask_for_missing(l, missing, login, base, out);
	json_decref(missing);
	return out;
}

static json_t *uploads(struct gate_lfs *l, const json_t *asked,
		       const char *base)
{
	json_t *out = json_array(), *o;
	size_t i;

	json_array_foreach(asked, i, o) {
		const char *oid = json_string_value(json_object_get(o, "oid"));
		json_int_t size = json_integer_value(json_object_get(o,
								     "size"));
		uint64_t have;
		int fd = lfs_open(l, oid, &have);

		if (fd >= 0)
			close(fd);
		json_array_append_new(out, object(oid, size, "upload",
			fd >= 0 ? NULL : action(base, oid, size)));
	}
	return out;
}

/* May it upload? If not, it has been answered. */
static bool may_upload(struct gate *g, struct scorpio_request *r, int *ret)
{
	char text[1200];

	if (g->lfs->upstream) {
		snprintf(text, sizeof(text), "objects are not uploaded through "
			 "this gateway but to where it has them from: set "
			 "lfs.pushurl to %.900s", g->lfs->upstream);
		*ret = lfs_say(g, r, 501, text);
		return false;
	}
	if (g->push_token && gate_may_push(g, r))
		return true;
	*ret = g->push_token ?
		       lfs_say(g, r, 401, "uploading needs the gateway's push "
			       "token as password") :
		       lfs_say(g, r, 403, "this gateway takes no uploads: "
			       "monogate.push_token is not set");
	return false;
}

static int answer(struct gate *g, struct scorpio_request *r, const json_t *v)
{
	const char *op = json_string_value(json_object_get(v, "operation"));
	const json_t *asked = json_object_get(v, "objects");
	const char *login = g->has_token ? NULL :
			    g->http->header(r, "Authorization");
	bool up = op && !strcmp(op, "upload");
	char base[512];
	int rc = 0;

	if (!up && (!op || strcmp(op, "download") != 0))
		return lfs_say(g, r, 422, "operation: download or upload");
	if (up && !may_upload(g, r, &rc))
		return rc;
	base_of(g, r, base);
	return reply(g, r, 200, type_header,
		     json_pack("{s:s,s:o,s:s}", "transfer", "basic", "objects",
			       up ? uploads(g->lfs, asked, base) :
				    downloads(g->lfs, asked, login, base),
			       "hash_algo", "sha256"));
}

int gate_lfs_batch(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	const char *why;
	json_t *v = NULL;
	int rc = read_body(g, r, &v);

	if (rc)
		return lfs_say(g, r, 400, g->host->error_text(g->host, rc));
	why = bad_batch(v);
	if (why)
		rc = lfs_say(g, r, 422, why);
	else if (json_array_size(json_object_get(v, "objects")) > BATCH_MAX)
		rc = lfs_say(g, r, 413, "more than 1000 objects in a batch");
	else if (!wants_basic(v))
		rc = lfs_say(g, r, 422, "transfers: basic is all there is");
	else
		rc = answer(g, r, v);
	json_decref(v);
	return rc;
}

int gate_lfs_locks(void *ctx, struct scorpio_request *r)
{
	return lfs_say(ctx, r, 501, "this gateway keeps no locks");
}

/* -- the upstream ---------------------------------------------------------------------- */

struct got {
	char *text;
	size_t n;
};

static int collect(void *ctx, const void *data, uint64_t n)
{
	struct got *b = ctx;
	char *more = realloc(b->text, b->n + n);

	if (!more)
		return -ENOMEM;
	b->text = more;
	memcpy(b->text + b->n, data, n);
	b->n += n;
	return 0;
}

/* {oid: object} */
static int by_oid(struct gate *g, const struct got *b, json_t **ret)
{
	json_t *v = json_loadb(b->text ? b->text : "", b->n, 0, NULL), *o;
	const json_t *list = json_object_get(v, "objects");
	json_t *out = json_object();
	size_t i;

	json_array_foreach(list, i, o) {
		const char *oid = json_string_value(json_object_get(o, "oid"));

		if (oid)
			json_object_set(out, oid, o);
	}
	*ret = out;
	i = json_is_array(list);
	json_decref(v);
	if (i)
		return 0;
	json_decref(out);
	return g->host->fail(g->host, -EIO, "the LFS server's answer is no "
			     "batch");
}

static int post_batch(struct gate_lfs *l, const char *text, const char *login,
		      struct got *b)
{
	const struct scorpio_host *host = l->g->host;
	char url[4200], auth[2100];
	const char *headers[] = { "Accept: " TYPE, "Content-Type: " TYPE,
				  login ? auth : NULL, NULL };
	struct scorpio_http h = {
		.struct_size = sizeof(h), .method = "POST", .url = url,
		.headers = headers, .body = text, .body_len = strlen(text),
		.on_data = collect, .ctx = b, .timeout_ms = ASK_MS,
		.max_response = ANSWER_MAX,
	};
	int rc;

	snprintf(url, sizeof(url), "%.4000s/objects/batch", l->upstream);
	snprintf(auth, sizeof(auth), "Authorization: %.2000s",
		 login ? login : "");
	rc = host->http(host, &h);
	if (!rc && h.status != 200)
		rc = host->fail(host, h.status == 401 || h.status == 403 ?
				-EACCES : -EIO, "the LFS server behind this "
				"gateway answers %d", h.status);
	return rc;
}

int lfs_ask(struct gate_lfs *l, json_t *objects, const char *login,
	    json_t **ret)
{
	json_t *v = json_pack("{s:s,s:[s],s:O,s:s}", "operation", "download",
			      "transfers", "basic", "objects", objects,
			      "hash_algo", "sha256");
	char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
	struct got b = { 0 };
	int rc = text ? post_batch(l, text, login, &b) : -ENOMEM;

	json_decref(v);
	free(text);
	if (!rc)
		rc = by_oid(l->g, &b, ret);
	free(b.text);
	return rc;
}
