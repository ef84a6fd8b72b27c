/* SPDX-License-Identifier: Apache-2.0 */
/* lfs.c - the batch API: what is here, what can be brought, what is taken. */
#include "lfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_MAX (1u << 20)
#define ANSWER_MAX (4u << 20)
#define ASK_MS 60000u

static const char *const type_header[] = { "Content-Type: " LFS_TYPE, NULL };

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

int lfs_json(struct gate *g, struct scorpio_request *r, int status, json_t *v)
{
	return reply(g, r, status, type_header, v);
}

int lfs_say(struct gate *g, struct scorpio_request *r, int status,
	    const char *text)
{
	static const char *const ask[] = {
		"Content-Type: " LFS_TYPE,
		"WWW-Authenticate: Basic realm=\"scorpio\"",
		"LFS-Authenticate: Basic realm=\"scorpio\"", NULL,
	};

	return reply(g, r, status, status == 401 ? ask : type_header,
		     json_pack("{s:s}", "message", text));
}

/* -- the request --------------------------------------------------------------------- */

int lfs_text(struct gate *g, struct scorpio_request *r, char **ret,
	     size_t *ret_n)
{
	uint64_t n = 0;
	int fd = g->http->body_fd(r, &n);
	char *text;

	if (n > BODY_MAX)
		return g->host->fail(g->host, -EINVAL, "a request has up to %u "
				     "bytes", BODY_MAX);
	text = malloc(n + 1);
	if (!text)
		return -ENOMEM;
	if (fd < 0 || pread(fd, text, n, 0) != (ssize_t)n)
		n = 0;
	*ret = text;
	*ret_n = n;
	return 0;
}

int lfs_body(struct gate *g, struct scorpio_request *r, json_t **ret)
{
	json_error_t why;
	char *text;
	size_t n;
	int rc = lfs_text(g, r, &text, &n);

	if (rc)
		return rc;
	*ret = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
	free(text);
	return *ret ? 0 : g->host->fail(g->host, -EINVAL, "no JSON: %s",
					why.text);
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

struct batch {
	struct gate_lfs *l;
	const json_t *asked;
	const char *login, *base; /* login: to be passed on, or NULL */
	json_t *out;
};

struct wanted {
	const char *oid;
	json_int_t size;
};

static struct wanted wanted_of(const json_t *o)
{
	return (struct wanted){
		json_string_value(json_object_get(o, "oid")),
		json_integer_value(json_object_get(o, "size")),
	};
}

/* What the upstream takes. */
static int ask_for_uploads(struct batch *b)
{
	json_t *said = NULL, *o;
	size_t i;
	int rc = lfs_ask(b->l, "upload", (json_t *)(uintptr_t)b->asked,
			 b->login, &said);

	json_array_foreach(b->asked, i, o) {
		struct wanted w = wanted_of(o);
		const json_t *theirs = json_object_get(said, w.oid);
		const json_t *error = json_object_get(theirs, "error");
		const json_t *acts = json_object_get(theirs, "actions");
		const char *text = json_string_value(
			json_object_get(error, "message"));

		if (rc)
			break;
		json_array_append_new(b->out, error || !theirs ?
			refused(w.oid, w.size, error ?
				(int)json_integer_value(json_object_get(
					error, "code")) : 502,
				text ? text : "the object is not taken") :
			object(w.oid, w.size, "upload",
			       json_object_get(acts, "upload") ?
			       action(b->base, w.oid, w.size) : NULL));
	}
	json_decref(said);
	return rc;
}

/* What the upstream says of those that are not here. */
static void ask_for_missing(struct batch *b, json_t *missing)
{
	json_t *said = NULL, *o;
	size_t i;
	int rc = lfs_ask(b->l, "download", missing, b->login, &said);

	json_array_foreach(missing, i, o) {
		struct wanted w = wanted_of(o);
		const json_t *theirs = json_object_get(said, w.oid);
		const json_t *error = json_object_get(theirs, "error");
		const json_t *code = json_object_get(error, "code");
		const char *text = json_string_value(
			json_object_get(error, "message"));

		json_array_append_new(b->out,
			rc ? refused(w.oid, w.size, 502,
				     b->l->g->host->error_text(b->l->g->host,
							       rc)) :
			error || !theirs ?
			     refused(w.oid, w.size,
				     code ? (int)json_integer_value(code) : 404,
				     text ? text : "there is no such object") :
			     object(w.oid, w.size, "download",
				    action(b->base, w.oid, w.size)));
	}
	json_decref(said);
}

/* What is here; NULL: not here, but an upstream may have it. */
static json_t *download(const struct batch *b, const struct wanted *w,
			bool here, uint64_t have)
{
	if (!here)
		return b->l->upstream ? NULL :
					refused(w->oid, w->size, 404,
						"there is no such object");
	if (have != (uint64_t)w->size)
		return refused(w->oid, w->size, 422,
			       "the object has another size");
	return object(w->oid, w->size, "download",
		      action(b->base, w->oid, w->size));
}

static void fill(struct batch *b, bool up)
{
	json_t *missing = json_array(), *o, *v;
	size_t i;

	json_array_foreach(b->asked, i, o) {
		struct wanted w = wanted_of(o);
		uint64_t have = 0;
		int fd = lfs_open(b->l, w.oid, &have);

		if (fd >= 0)
			close(fd);
		v = !up ? download(b, &w, fd >= 0, have) :
			  object(w.oid, w.size, "upload",
				 fd >= 0 ? NULL :
					   action(b->base, w.oid, w.size));
		if (v)
			json_array_append_new(b->out, v);
		else
			json_array_append(missing, o);
	}
	if (json_array_size(missing))
		ask_for_missing(b, missing);
	json_decref(missing);
}

int lfs_status_of(struct gate *g, const struct scorpio_request *r, int err)
{
	return err != -EACCES	? gate_status_of(err) :
	       gate_login(g, r) ? 403 :
				 401;
}

bool lfs_may_upload(struct gate *g, struct scorpio_request *r, int *ret)
{
	if (g->lfs->upstream ? gate_may_write_far(g, r) :
			       gate_pusher(g, r, NULL, 0))
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
	bool up = !strcmp(json_string_value(json_object_get(v, "operation")),
			  "upload");
	char base[512];
	struct batch b = {
		.l = g->lfs, .asked = json_object_get(v, "objects"),
		.login = up ? gate_writer(g, r) : gate_login(g, r),
		.base = base,
	};
	int rc = 0;

	if (up && !lfs_may_upload(g, r, &rc))
		return rc;
	base_of(g, r, base);
	b.out = json_array();
	if (up && g->lfs->upstream)
		rc = ask_for_uploads(&b);
	else
		fill(&b, up);
	if (rc) {
		json_decref(b.out);
		return lfs_say(g, r, lfs_status_of(g, r, rc),
			       g->host->error_text(g->host, rc));
	}
	return lfs_json(g, r, 200,
			json_pack("{s:s,s:o,s:s}", "transfer", "basic",
				  "objects", b.out, "hash_algo", "sha256"));
}

int gate_lfs_batch(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	const char *why;
	json_t *v = NULL;
	char *text;
	size_t n;
	int status, rc = lfs_text(g, r, &text, &n);

	if (rc)
		return lfs_say(g, r, 400, g->host->error_text(g->host, rc));
	why = ask_batch(text, n, &v, &status);
	free(text);
	rc = why ? lfs_say(g, r, status, why) : answer(g, r, v);
	json_decref(v);
	return rc;
}

/* -- the upstream ---------------------------------------------------------------------- */

/* {oid: object} */
static int by_oid(struct gate *g, const struct scorpio_bytes *b, json_t **ret)
{
	json_t *v = json_loadb(b->n ? b->p : "", b->n, 0, NULL), *o;
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
		      struct scorpio_bytes *b)
{
	const struct scorpio_host *host = l->g->host;
	char url[4200], auth[2100];
	const char *headers[] = { "Accept: " LFS_TYPE, "Content-Type: " LFS_TYPE,
				  login && *login ? auth : NULL, NULL };
	struct scorpio_http h = {
		.struct_size = sizeof(h), .method = "POST", .url = url,
		.headers = headers, .body = text, .body_len = strlen(text),
		.on_data = scorpio_bytes_take, .ctx = b, .timeout_ms = ASK_MS,
		.flags = lfs_login_flags(login),
	};
	int rc;

	snprintf(url, sizeof(url), "%.4000s/objects/batch", l->upstream);
	snprintf(auth, sizeof(auth), "Authorization: %.2000s",
		 login ? login : "");
	rc = host->http(host, &h);
	if (!rc && h.status != 200)
		rc = host->fail(host, lfs_refusal(h.status), "the LFS server "
				"behind this gateway answers %d", h.status);
	return rc;
}

int lfs_refusal(int status)
{
	return status == 401 || status == 403 ? -EACCES :
	       status == 404 || status == 410 ? -ENOENT :
	       status == 422		      ? -EINVAL :
	       status == 507		      ? -ENOSPC :
						-EIO;
}

int lfs_ask(struct gate_lfs *l, const char *operation, json_t *objects,
	    const char *login, json_t **ret)
{
	json_t *v = json_pack("{s:s,s:[s],s:O,s:s}", "operation", operation,
			      "transfers", "basic", "objects", objects,
			      "hash_algo", "sha256");
	char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
	struct scorpio_bytes b = { .max = ANSWER_MAX };
	int rc = text ? post_batch(l, text, login, &b) : -ENOMEM;

	json_decref(v);
	free(text);
	if (!rc)
		rc = by_oid(l->g, &b, ret);
	free(b.p);
	return rc;
}
