/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attic.c - the calls that clients of Attic make to push, and what both kinds of
 * foreign clients share. They send paths in any order, so what a path refers to
 * may come later.
 */
#include "nixcache.h"

#include <unistd.h>

#include "nix32.h"

#define INFO_MAX (1u << 20)

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool told_hash(const char *text, uint8_t out[NIX_SHA256])
{
	size_t n = text ? strlen(text) : 0;

	return n && (nixhash_sha256(text, n, out) ||
		     nixhash_digits(text, n, out, NIX_SHA256));
}

/* -- shared ------------------------------------------------------------------------ */

json_t *body_json(struct nixcache_role *s, struct scorpio_request *r)
{
	uint64_t n;
	const char *text = s->http->body(r, &n);
	json_t *v = text ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL)
			 : NULL;

	if (!v)
		send_json(s, r, 400, json_pack("{s:i,s:s,s:s}", "code", 400,
					       "error", "BadRequest", "message",
					       "not JSON"));
	return v;
}

int copy_tail(struct nixcached *c, int fd, uint64_t from, uint64_t size, int out)
{
	off_t at = (off_t)from;

	while ((uint64_t)at < size) {
		ssize_t n = copy_file_range(fd, &at, out, NULL,
					    size - (uint64_t)at, 0);

		if (n <= 0)
			return rolefail(c->role, n ? -errno : -EIO,
					"an upload cannot be kept: %s",
					n ? strerror(errno) : "it shrank");
	}
	return 0;
}

/* One line has one value. */
static bool plain(const char *v)
{
	for (; v && *v; v++)
		if ((unsigned char)*v < ' ')
			return false;
	return v;
}

static bool put_texts(FILE *f, const char *before, json_t *list, bool base,
		      const char *after)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *v = json_string_value(one);

		if (!plain(v))
			return false;
		fprintf(f, "%s%s%s", before, base ? base_name(v) : v, after);
	}
	return true;
}

static bool put_info(FILE *f, struct nixcached *c, const struct told *t)
{
	char nar[NIX32_SHA256 + 1], file[NIX32_SHA256 + 1];
	bool good = plain(t->base);

	fprintf(f, "StorePath: %s/%s\nURL: nar/%s\nCompression: %s\n"
		"FileHash: sha256:%s\nFileSize: %llu\nNarHash: sha256:%s\n"
		"NarSize: %llu\nReferences:", c->role->format.store_dir,
		base_name(t->base), t->nar, unpack_name(t->sum->kind),
		nix32_encode(t->sum->file_hash, NIX_SHA256, file),
		(unsigned long long)t->sum->file_size,
		nix32_encode(t->sum->nar_hash, NIX_SHA256, nar),
		(unsigned long long)t->sum->nar_size);
	if (!json_array_size(t->refs))
		fputc(' ', f);
	good = put_texts(f, " ", t->refs, true, "") && good;
	fputc('\n', f);
	if (t->deriver && *t->deriver) {
		good = good && plain(t->deriver);
		fprintf(f, "Deriver: %s\n", base_name(t->deriver));
	}
	if (t->ca && *t->ca) {
		good = good && plain(t->ca);
		fprintf(f, "CA: %s\n", t->ca);
	}
	return put_texts(f, "Sig: ", t->sigs, false, "\n") && good;
}

int keep_told(struct nixcached *c, const struct told *t)
{
	char file[NIX_HASH_TEXT + sizeof(".narinfo")], *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	bool good = f && put_info(f, c, t);
	int rc = f && !fclose(f) ? 0 : -ENOMEM;

	if (!rc && !good)
		rc = rolefail(c->role, -EBADMSG, "a text of more than one line");
	snprintf(file, sizeof(file), "%.32s.narinfo", base_name(t->base));
	if (!rc)
		rc = keep_info(c, file, text, len, false);
	free(text);
	return rc;
}

/* -- attic --------------------------------------------------------------------------- */

static int refuse(struct nixcache_role *s, struct scorpio_request *r,
		  int status, const char *error, const char *why)
{
	return send_json(s, r, status, json_pack("{s:i,s:s,s:s}", "code",
						 status, "error", error,
						 "message", why));
}

int attic_missing(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	json_t *v = body_json(s, r), *missing, *one;
	const char *name = json_string_value(json_object_get(v, "cache"));
	struct nixcached *c;
	size_t i;

	if (!v)
		return 0;
	c = cache_named(s, r, name ? name : "", true);
	missing = json_array();
	json_array_foreach(json_object_get(v, "store_path_hashes"), i, one) {
		const char *hash = json_string_value(one);

		if (c && hash && strlen(hash) == NIX_HASH_TEXT &&
		    !path_is_here(c, hash))
			json_array_append(missing, one);
	}
	json_decref(v);
	if (!c) {
		json_decref(missing);
		return 0;
	}
	return send_json(s, r, 200, json_pack("{s:o}", "missing_paths",
					      missing));
}

/* What is told of the path: in a header, or before the archive, whose place is
 * then *ret_from. */
static json_t *told_by(struct nixcache_role *s, struct scorpio_request *r,
		       int fd, uint64_t size, uint64_t *ret_from)
{
	const char *size_text = s->http->header(r, "X-Attic-Nar-Info-Preamble-Size");
	const char *text = s->http->header(r, "X-Attic-Nar-Info");
	uint64_t n = size_text ? strtoull(size_text, NULL, 10) : 0;
	auto_free char *buf = NULL;

	*ret_from = 0;
	if (!size_text)
		return text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL)
			    : NULL;
	if (!n || n > INFO_MAX || n > size)
		return NULL;
	buf = malloc(n);
	if (!buf || pread(fd, buf, n, 0) != (ssize_t)n)
		return NULL;
	*ret_from = n;
	return json_loadb(buf, n, JSON_REJECT_DUPLICATES, NULL);
}

static const char *text_of(json_t *v, const char *key)
{
	return json_string_value(json_object_get(v, key));
}

static int keep_path(struct nixcached *c, json_t *v, int fd, uint64_t size)
{
	uint8_t want[NIX_SHA256];
	char nar[128];
	struct sum sum;
	struct told t = {
		.base = text_of(v, "store_path"), .nar = nar, .sum = &sum,
		.deriver = text_of(v, "deriver"), .ca = text_of(v, "ca"),
		.refs = json_object_get(v, "references"),
		.sigs = json_object_get(v, "sigs"),
	};
	const char *hash = text_of(v, "nar_hash");
	int rc;

	if (!t.base || !told_hash(hash, want))
		return rolefail(c->role, -EBADMSG, "store_path and nar_hash are "
				"needed");
	rc = keep_any(c, fd, size, UNPACK_NONE, &sum, nar);
	if (!rc && memcmp(want, sum.nar_hash, NIX_SHA256) != 0)
		rc = rolefail(c->role, -EBADMSG, "the archive has another hash");
	if (!rc && (uint64_t)json_integer_value(json_object_get(
			   v, "nar_size")) != sum.nar_size)
		rc = rolefail(c->role, -EBADMSG, "the archive has another size");
	return rc ? rc : keep_told(c, &t);
}

/* The archive alone in a file: the body, or what of it comes after `from`. */
static int upload_path(struct nixcached *c, json_t *v, int fd, uint64_t from,
		       uint64_t size)
{
	int rest, rc;

	if (!from)
		return keep_path(c, v, fd, size);
	rest = file_temp(c);
	if (rest < 0)
		return rest;
	rc = copy_tail(c, fd, from, size, rest);
	if (!rc)
		rc = keep_path(c, v, rest, size - from);
	close(rest);
	return rc;
}

int attic_upload(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	uint64_t size = 0, from = 0;
	int fd = s->http->body_fd(r, &size), rc;
	json_t *v = fd < 0 ? NULL : told_by(s, r, fd, size, &from);
	struct nixcached *c;
	bool before;

	if (!v)
		return refuse(s, r, 400, "BadRequest", "nothing is told of the "
			      "path, or there is no archive");
	c = cache_named(s, r, text_of(v, "cache") ? text_of(v, "cache") : "",
			true);
	if (!c) {
		json_decref(v);
		return 0;
	}
	before = text_of(v, "store_path_hash") &&
		 path_is_here(c, text_of(v, "store_path_hash"));
	rc = upload_path(c, v, fd, from, size);
	json_decref(v);
	if (rc == -EBADMSG || rc == -EFBIG)
		return refuse(s, r, 400, "BadRequest",
			      s->host->error_text(s->host, rc));
	return rc ? rc : send_json(s, r, 200, json_pack(
		"{s:s,s:I,s:f}", "kind", before ? "Deduplicated" : "Uploaded",
		"file_size", (json_int_t)(size - from), "frac_deduplicated",
		before ? 1.0 : 0.0));
}

int attic_config(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, false);
	const char *host = s->http->header(r, "Host");
	auto_free char *key = s->n_keys ? key_public(&s->keys[0]) : NULL;
	json_t *v;

	if (!c)
		return 0;
	v = json_pack("{s:s,s:I,s:b,s:[],s:s}", "store_dir",
		      s->format.store_dir, "priority", (json_int_t)s->priority,
		      "is_public", !s->read_tokens, "upstream_cache_key_names",
		      "retention_period", s->gc.keep_s ? "Global" : "Disabled");
	json_object_set_new(v, "substituter_endpoint", json_sprintf(
			"http://%s/%s", host ? host : "localhost", c->name));
	json_object_set_new(v, "api_endpoint", json_sprintf(
			"http://%s/", host ? host : "localhost"));
	json_object_set_new(v, "public_key", key ? json_string(key)
						 : json_null());
	return send_json(s, r, 200, v);
}
