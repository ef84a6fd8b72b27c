/* SPDX-License-Identifier: Apache-2.0 */
#include "blob.h"

#include "request.h"
#include "text.h"

#include <strings.h>

#define IDENTITY "Accept-Encoding: identity"

/* How this server tells sizes (mono.size_way), each found wanting in turn. */
enum { BY_HEAD, BY_RANGE, NOT_AT_ALL };

/* One blob on its way: struct scorpio_http's callbacks and what they saw. */
struct incoming {
	struct mono *m;
	const struct scorpio_sink *sink;
	const struct scorpio_ref *ref;
	struct scorpio_http x;
	uint64_t length; /* from Content-Length */
	uint64_t total;  /* from Content-Range */
	bool encoded, begun;
	int stopped;     /* what the sink returned */
	char text[256];  /* the beginning of an error's body */
	size_t text_len;
};

static uint64_t number(const char *s)
{
	char *end;
	unsigned long long v;

	if (*s < '0' || *s > '9')
		return SCORPIO_SIZE_UNKNOWN;
	errno = 0;
	v = strtoull(s, &end, 10);
	while (*end == ' ' || *end == '\t')
		end++;
	return *end || errno || v > INT64_MAX ? SCORPIO_SIZE_UNKNOWN : v;
}

static int on_header(void *ctx, const char *name, const char *value)
{
	struct incoming *in = ctx;
	const char *slash;

	if (strcasecmp(name, "content-length") == 0) {
		in->length = number(value);
	} else if (strcasecmp(name, "content-encoding") == 0) {
		in->encoded = strcasecmp(value, "identity") != 0;
	} else if (strcasecmp(name, "content-range") == 0) {
		slash = strchr(value, '/');
		in->total = slash ? number(slash + 1) : SCORPIO_SIZE_UNKNOWN;
	}
	return 0;
}

static void keep_text(struct incoming *in, const void *data, uint64_t n)
{
	size_t room = sizeof(in->text) - in->text_len;

	if (n < room)
		room = (size_t)n;
	memcpy(in->text + in->text_len, data, room);
	in->text_len += room;
}

static int begin(struct incoming *in)
{
	uint64_t size = in->encoded ? SCORPIO_SIZE_UNKNOWN : in->length;

	in->begun = true;
	in->stopped = in->sink->blob_begin(in->sink->ctx, &in->ref->id, size);
	return in->stopped;
}

static int on_data(void *ctx, const void *data, uint64_t n)
{
	struct incoming *in = ctx;

	if (in->x.status != 200) {
		keep_text(in, data, n);
		return 0;
	}
	if (!in->begun && begin(in))
		return in->stopped;
	in->stopped = in->sink->blob_data(in->sink->ctx, data, n);
	return in->stopped;
}

static void prepare(struct incoming *in, struct mono *m,
		    const struct scorpio_ref *ref,
		    const struct scorpio_sink *sink)
{
	memset(in, 0, sizeof(*in));
	in->m = m;
	in->ref = ref;
	in->sink = sink;
	in->length = in->total = SCORPIO_SIZE_UNKNOWN;
	in->x.on_header = on_header;
	in->x.ctx = in;
}

static int perform(struct incoming *in, const char *header)
{
	auto_free char *url = monoreq_blob_url(in->m, in->ref->id.bytes);

	if (!url)
		return -ENOMEM;
	in->x.url = url;
	return monoreq_perform(in->m, &in->x, header);
}

/* What a failed answer means for an object that a directory names. */
static int refused(struct incoming *in)
{
	char hex[MONO_HEX + 1], what[64];
	int rc;

	monohex_encode(in->ref->id.bytes, MONO_OID, hex);
	snprintf(what, sizeof(what), "file %s", hex);
	rc = monoreq_error(in->m, in->x.status, in->text, in->text_len, what);
	/* it is in a directory, so it is not "no such file" */
	return rc == -ENOENT ? -ESTALE : rc;
}

static int not_a_file(struct mono *m, const struct scorpio_ref *ref)
{
	if (ref->id.len == MONO_OID && ref->kind != SCORPIO_DIR &&
	    ref->kind != SCORPIO_SUBMODULE)
		return 0;
	return monofail(m, -EINVAL, "mono: not the id of a file");
}

/* This object cannot be had; 0 to go on with the others. */
static int failed(const struct scorpio_ref *ref,
		  const struct scorpio_sink *sink, int rc)
{
	if (monorc_stops(rc) || !sink->failed)
		return rc;
	return sink->failed(sink->ctx, &ref->id, rc);
}

static int fetch_one(struct mono *m, const struct scorpio_ref *ref,
		     const struct scorpio_sink *sink)
{
	struct incoming in;
	int rc = not_a_file(m, ref);

	if (rc < 0)
		return failed(ref, sink, rc);
	prepare(&in, m, ref, sink);
	in.x.on_data = on_data;
	rc = perform(&in, NULL);
	if (in.stopped)
		return in.stopped;
	if (rc == 0 && in.x.status != 200)
		rc = refused(&in);
	if (rc == 0 && !in.begun && begin(&in))
		return in.stopped;
	if (rc == 0)
		return sink->blob_end(sink->ctx);
	if (in.begun)
		sink->abandon(sink->ctx, rc);
	return failed(ref, sink, rc);
}

int monoblob_fetch(struct mono *m, const struct scorpio_ref *refs, uint32_t n,
		   const struct scorpio_sink *sink)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && !rc; i++)
		rc = fetch_one(m, &refs[i], sink);
	return rc;
}

/* -- sizes ----------------------------------------------------------------- */

/* Each answers 1 with the size, 0 if the server does not do it this way, or a
 * negative errno. */
static int by_head(struct mono *m, const struct scorpio_ref *ref,
		   uint64_t *ret)
{
	struct incoming in;
	int rc;

	prepare(&in, m, ref, NULL);
	in.x.method = "HEAD";
	rc = perform(&in, IDENTITY);
	if (rc < 0)
		return rc;
	if (in.x.status == 405 || in.x.status == 501 || in.x.status == 400)
		return 0;
	if (in.x.status != 200)
		return refused(&in);
	*ret = in.length;
	return !in.encoded && in.length != SCORPIO_SIZE_UNKNOWN;
}

static int stop_at_once(void *ctx, const void *data, uint64_t n)
{
	struct incoming *in = ctx;

	if (in->x.status != 200) {
		keep_text(in, data, n);
		return 0;
	}
	in->stopped = 1; /* the whole file is coming: no */
	return -ECANCELED;
}

static int by_range(struct mono *m, const struct scorpio_ref *ref,
		    uint64_t *ret)
{
	static const char range[] = "Range: bytes=0-0";
	struct incoming in;
	int rc;

	prepare(&in, m, ref, NULL);
	in.x.on_data = stop_at_once;
	rc = perform(&in, range);
	if (in.stopped)
		return 0;
	if (rc < 0)
		return rc;
	if (in.x.status == 416 && in.total == 0) {
		*ret = 0;
		return 1;
	}
	if (in.x.status == 206 && in.total != SCORPIO_SIZE_UNKNOWN) {
		*ret = in.total;
		return 1;
	}
	if (in.x.status == 200 && in.length == 0) {
		*ret = 0;
		return 1;
	}
	return in.x.status / 100 == 2 || in.x.status == 416 ? 0 : refused(&in);
}

static int size_one(struct mono *m, const struct scorpio_ref *ref,
		    uint64_t *ret)
{
	int way = __atomic_load_n(&m->size_way, __ATOMIC_RELAXED);
	int rc = 0;

	for (; way < NOT_AT_ALL; way++) {
		rc = way == BY_HEAD ? by_head(m, ref, ret) :
				      by_range(m, ref, ret);
		if (rc)
			return rc;
		__atomic_store_n(&m->size_way, way + 1, __ATOMIC_RELAXED);
	}
	return monofail(m, -ENOTSUP, "%s: the server tells no sizes", m->shown);
}

int monoblob_sizes(struct mono *m, const struct scorpio_ref *refs, uint32_t n,
		   const struct scorpio_sink *sink)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && !rc; i++) {
		uint64_t size = 0;

		rc = not_a_file(m, &refs[i]);
		if (rc == 0)
			rc = size_one(m, &refs[i], &size);
		if (rc == -ENOTSUP)
			return rc;
		if (rc == 1)
			rc = sink->size(sink->ctx, &refs[i].id, size);
		else
			rc = failed(&refs[i], sink, rc);
	}
	return rc;
}
