/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - links to objects: docs/api/batch.md of git-lfs. */
#include "auth.h"
#include "server.h"
#include "url.h"

#include <jansson.h>
#include <strings.h>
#include <time.h>

#define HREF_MAX 8192u
#define HEADERS_MAX 32u

void lfsaction_done(struct lfsaction *a)
{
	free(a->href);
	for (char **h = a->headers; h && *h; h++)
		free(*h);
	free(a->headers);
	a->href = NULL;
	a->headers = NULL;
}

/* -- times ------------------------------------------------------------------------ */

static bool two(const char *p, int max, int *ret)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*ret = (p[0] - '0') * 10 + p[1] - '0';
	return *ret <= max;
}

int64_t lfs_time(const char *p)
{
	struct tm t = { 0 };
	int c, y, zh = 0, zm = 0, sign = 1;
	int64_t at;

	if (strlen(p) < 20 || !two(p, 99, &c) || !two(p + 2, 99, &y) ||
	    p[4] != '-' || !two(p + 5, 12, &t.tm_mon) || p[7] != '-' ||
	    !two(p + 8, 31, &t.tm_mday) || !strchr("Tt ", p[10]) ||
	    !two(p + 11, 24, &t.tm_hour) || p[13] != ':' ||
	    !two(p + 14, 59, &t.tm_min) || p[16] != ':' ||
	    !two(p + 17, 60, &t.tm_sec))
		return INT64_MIN;
	t.tm_year = c * 100 + y - 1900;
	t.tm_mon--;
	p += 19;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (*p == '+' || *p == '-') {
		sign = *p == '+' ? 1 : -1;
		if (strlen(p) < 6 || !two(p + 1, 23, &zh) || !two(p + 4, 59, &zm))
			return INT64_MIN;
	} else if (*p != 'Z' && *p != 'z') {
		return INT64_MIN;
	}
	at = timegm(&t);
	return at - sign * (zh * 3600 + zm * 60);
}

/* -- the answer --------------------------------------------------------------------- */

static bool one_line(const char *s)
{
	return !strpbrk(s, "\r\n");
}

static bool header_ok(const char *name, const char *value)
{
	return *name && one_line(name) && one_line(value) &&
	       !strpbrk(name, ": \t") && strlen(name) + strlen(value) < HREF_MAX;
}

static int take_headers(struct lfsaction *a, json_t *header)
{
	const char *name;
	json_t *value;
	size_t n = 0;

	a->headers = calloc(HEADERS_MAX + 1, sizeof(*a->headers));
	if (!a->headers)
		return -ENOMEM;
	json_object_foreach(header, name, value) {
		const char *text = json_string_value(value);

		if (!text || !header_ok(name, text) || n == HEADERS_MAX)
			return -EBADMSG;
		if (asprintf(&a->headers[n], "%s: %s", name, text) < 0) {
			a->headers[n] = NULL;
			return -ENOMEM;
		}
		n++;
	}
	return 0;
}

/* expires_in, in seconds, goes before expires_at (batch.md). */
static void take_expiry(struct lfsaction *a, const json_t *link)
{
	const json_t *in = json_object_get(link, "expires_in");
	const char *at = json_string_value(json_object_get(link,
							   "expires_at"));
	int64_t when = at ? lfs_time(at) : INT64_MIN;
	int64_t secs = json_integer_value(in);

	a->expires_at = INT64_MAX;
	if (secs > 0 && secs < INT32_MAX)
		a->expires_at = time(NULL) + secs;
	else if (when > 0) /* year 1 means: never */
		a->expires_at = when;
}

int lfsaction_take(struct lfsaction *a, json_t *link, const char *base)
{
	const char *href = json_string_value(json_object_get(link, "href"));
	int rc;

	if (!href || strlen(href) > HREF_MAX)
		return -EBADMSG;
	a->href = lfsurl_reachable(href, base);
	if (!a->href)
		return -EBADMSG;
	rc = take_headers(a, json_object_get(link, "header"));
	take_expiry(a, link);
	a->ours = lfsurl_same_place(a->href, base);
	return rc;
}

static int error_code(int64_t code)
{
	switch (code) {
	case 401:
	case 403:
		return -EACCES;
	case 429:
		return -EAGAIN;
	default:
		return code >= 500 && code < 600 ? -EIO : -EREMOTEIO;
	}
}

static void take_error(struct lfsaction *a, const json_t *error)
{
	int64_t code = json_integer_value(json_object_get(error, "code"));
	const char *m = json_string_value(json_object_get(error, "message"));
	char said[120];
	size_t n = 0;

	for (; m && *m && n < sizeof(said) - 1; m++)
		if ((uint8_t)*m >= 0x20 && *m != 0x7f)
			said[n++] = *m;
	said[n] = 0;
	a->error = error_code(code);
	snprintf(a->why, sizeof(a->why), "the LFS server says %lld%s%s",
		 (long long)code, n ? ": " : "", said);
}

static void spoil(struct lfsaction *a, const char *why)
{
	lfsaction_done(a);
	a->error = -EBADMSG;
	snprintf(a->why, sizeof(a->why), "%s", why);
}

static int take_object(json_t *o, const char *base, const char *action,
		       struct lfsaction *a, uint32_t count)
{
	const char *hex = json_string_value(json_object_get(o, "oid"));
	json_t *error = json_object_get(o, "error");
	json_t *link = json_object_get(json_object_get(o, "actions"), action);
	bool needed = !strcmp(action, "download");
	json_t *size = json_object_get(o, "size");
	uint8_t oid[LFS_OID_LEN];
	int rc = 0;

	if (!hex || strlen(hex) != LFS_OID_HEX ||
	    !lfs_unhex(hex, LFS_OID_LEN, oid))
		return -EBADMSG;
	for (uint32_t i = 0; i < count && rc != -ENOMEM; i++) {
		if (memcmp(a[i].oid, oid, LFS_OID_LEN) || a[i].href)
			continue;
		a[i].error = 0;
		if (json_is_object(error))
			take_error(&a[i], error);
		else if (size && json_integer_value(size) !=
					 (json_int_t)a[i].size)
			spoil(&a[i], "the LFS server has another size");
		else if (!json_is_object(link) && needed)
			spoil(&a[i], "the LFS server gives no link");
		else if (json_is_object(link) &&
			 (rc = lfsaction_take(&a[i], link, base)))
			spoil(&a[i], "the LFS server gives a malformed link");
	}
	return rc == -ENOMEM ? rc : 0;
}

int lfsbatch_parse(const char *text, size_t n, const char *base,
		   const char *action, struct lfsaction *a, uint32_t count,
		   const char **why)
{
	json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	const char *transfer = json_string_value(json_object_get(j, "transfer"));
	const char *algo = json_string_value(json_object_get(j, "hash_algo"));
	json_t *objects = json_object_get(j, "objects"), *o;
	size_t i;
	int rc = 0;

	*why = "it is not the JSON of a batch";
	for (i = 0; i < count; i++) {
		a[i].error = -EBADMSG;
		snprintf(a[i].why, sizeof(a[i].why),
			 "the LFS server says nothing of this object");
	}
	if (!json_is_array(objects))
		rc = -EBADMSG;
	if (rc == 0 && transfer && strcmp(transfer, "basic")) {
		*why = "it wants a transfer that was not offered";
		rc = -EBADMSG;
	}
	if (rc == 0 && algo && strcmp(algo, "sha256")) {
		*why = "it uses a hash that was not asked for";
		rc = -EBADMSG;
	}
	if (rc == 0)
		json_array_foreach(objects, i, o) {
			rc = take_object(o, base, action, a, count);
			if (rc)
				break;
		}
	json_decref(j);
	return rc;
}

/* -- the request ----------------------------------------------------------------------- */

void lfsbatch_add(json_t *objects, const uint8_t oid[LFS_OID_LEN],
		  uint64_t size)
{
	char hex[LFS_OID_HEX + 1];

	lfs_hex(oid, LFS_OID_LEN, hex);
	json_array_append_new(objects, json_pack("{s:s,s:I}", "oid", hex,
						 "size", (json_int_t)size));
}

char *lfsbatch_request(const char *operation, const char *ref,
		       json_t *objects)
{
	json_t *j = json_pack("{s:s,s:[s],s:o,s:s}", "operation", operation,
			      "transfers", "basic", "objects", objects,
			      "hash_algo", "sha256");
	char *text;

	if (j && ref)
		json_object_set_new(j, "ref", json_pack("{s:s}", "name", ref));
	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	return text;
}

static char *request(const struct lfsaction *a, uint32_t n)
{
	json_t *objects = json_array();

	for (uint32_t i = 0; i < n; i++)
		lfsbatch_add(objects, a[i].oid, a[i].size);
	return lfsbatch_request("download", NULL, objects);
}

/* The server takes fewer at once. */
static int in_halves(struct lfs *s, struct lfsaction *a, uint32_t n)
{
	int rc = lfsserver_batch(s, a, n / 2);

	return rc ? rc : lfsserver_batch(s, a + n / 2, n - n / 2);
}

int lfsserver_batch(struct lfs *s, struct lfsaction *a, uint32_t n)
{
	struct lfsreply r __attribute__((cleanup(lfsreply_done))) = { 0 };
	auto_free char *body = request(a, n), *base = NULL;
	const char *why;
	int rc = body ? lfsserver_url(s, &base) : lfs_nomem(s);

	for (uint32_t i = 0; i < n; i++)
		lfsaction_done(&a[i]);
	if (rc == 0)
		rc = lfsserver_call(s, "objects/batch", body, &r);
	if (rc)
		return rc;
	if (r.status == 413 && n > 1)
		return in_halves(s, a, n);
	if (r.status != 200)
		return lfsserver_error(s, "a batch", &r);
	rc = lfsbatch_parse(r.text.p ? r.text.p : "", r.text.n, base,
			    "download", a, n, &why);
	if (rc == -EBADMSG) /* a proxy's page, or no LFS server at all */
		return lfsfail(s, -EIO, "the LFS server's answer is no use: %s",
			       why);
	return rc ? lfs_nomem(s) : 0;
}
