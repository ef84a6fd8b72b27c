/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - answers that come line by line.
 *
 * The producer thread appends lines to a bounded buffer; the connection's
 * thread (in the content reader) takes them out. It starts the producer at its
 * first call, and joins it when MHD gives the response up, however that
 * happens. Closing (client gone, server stops) is seen by the producer at its
 * next stream_line, stream_sleep or stream_closed.
 */
#include "api/http/server_private.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"

#define STREAM_BUFFER_MAX (256u * 1024u)
#define STREAM_QUIET_MS 5000

struct stream {
	struct server *server;
	struct stream *next, **link; /* lock: server.lock */
	stream_fn run;
	void *ctx;
	void (*free_ctx)(void *ctx);
	uint64_t asker; /* fixed; see call_asks */
	pthread_t thread;
	bool started; /* of the connection's thread alone */

	struct lock lock;
	pthread_cond_t change;
	struct buf out; /* lock */
	bool finished;  /* lock: the producer is done */
	bool closed;    /* lock; read atomically as a cancel flag */
};

static void stream_close(struct stream *s)
{
	ranked_scope(&s->lock);
	__atomic_store_n(&s->closed, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&s->change);
}

void stream_close_all(struct server *server)
{
	for (struct stream *s = server->streams; s; s = s->next)
		stream_close(s);
}

bool stream_closed(struct stream *s)
{
	return __atomic_load_n(&s->closed, __ATOMIC_RELAXED);
}

bool stream_sleep(struct stream *s, int64_t ms)
{
	int64_t deadline = deadline_in_ms(ms);
	ranked_scope(&s->lock);

	while (!s->closed && now_ns() < deadline)
		lock_wait(&s->change, &s->lock, deadline);
	return !s->closed;
}

static int put(struct stream *s, const struct buf *line)
{
	ranked_scope(&s->lock);

	while (!s->closed && s->out.len > STREAM_BUFFER_MAX)
		lock_wait(&s->change, &s->lock, deadline_in_ms(1000));
	if (s->closed)
		return fail(-EPIPE, "nobody reads the answer any more");
	buf_put(&s->out, line->data, line->len);
	pthread_cond_broadcast(&s->change);
	return 0;
}

int stream_line(struct stream *s, json_t *v)
{
	cleanup_buf struct buf line = BUF_INIT;

	json_print(v, &line);
	json_decref(v);
	buf_putc(&line, '\n');
	return put(s, &line);
}

static void put_error(struct stream *s, int err)
{
	int status;
	const char *code = reply_code(err, &status);
	const char *text = error_text(err);
	json_t *v = json_object();

	json_object_set_new(v, "error", json_bytes(text, strlen(text)));
	json_object_set_new(v, "code", json_string(code));
	stream_line(s, v);
}

static void *produce(void *arg)
{
	struct stream *s = arg;
	struct call call;
	int r;

	pthread_setname_np(pthread_self(), "http-stream");
	call_enter(&call, DEADLINE_NONE, &s->closed);
	call_asks(&call, s->asker);
	r = s->run(s, s->ctx);
	call_leave(&call);
	if (r < 0)
		put_error(s, r);
	ranked_scope(&s->lock);
	s->finished = true;
	pthread_cond_broadcast(&s->change);
	return NULL;
}

/* Content reader: at least one byte, or the end. */
static ssize_t take(void *arg, uint64_t pos UNUSED, char *out, size_t max)
{
	struct stream *s = arg;
	int64_t deadline = deadline_in_ms(STREAM_QUIET_MS);
	size_t n;

	if (!s->started) {
		if (pthread_create(&s->thread, NULL, produce, s))
			return MHD_CONTENT_READER_END_WITH_ERROR;
		s->started = true;
	}
	ranked_scope(&s->lock);
	while (!s->out.len && !s->finished && !s->closed &&
	       now_ns() < deadline)
		lock_wait(&s->change, &s->lock, deadline);
	if (!s->out.len && (s->finished || s->closed))
		return s->finished ? MHD_CONTENT_READER_END_OF_STREAM
				   : MHD_CONTENT_READER_END_WITH_ERROR;
	if (!s->out.len) {
		out[0] = '\n';
		return 1;
	}
	n = MIN(max, s->out.len);
	memcpy(out, s->out.data, n);
	buf_consume(&s->out, n);
	pthread_cond_broadcast(&s->change);
	return (ssize_t)n;
}

static void stream_free(void *arg)
{
	struct stream *s = arg;

	stream_close(s);
	if (s->started)
		pthread_join(s->thread, NULL);
	if (s->free_ctx)
		s->free_ctx(s->ctx);
	lock_take(&s->server->lock);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	lock_drop(&s->server->lock);
	buf_done(&s->out);
	pthread_cond_destroy(&s->change);
	lock_done(&s->lock);
	free(s);
}

static struct stream *stream_new(struct server *server)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->server = server;
	lock_init(&s->lock, LOCK_LEAF, "stream");
	cond_init(&s->change);
	ranked_scope(&server->lock);
	s->closed = server->stopping;
	s->next = server->streams;
	s->link = &server->streams;
	if (s->next)
		s->next->link = &s->next;
	server->streams = s;
	return s;
}

int reply_stream(struct request *r, stream_fn run, void *ctx,
		 void (*free_ctx)(void *ctx))
{
	struct stream *s = stream_new(r->server);
	struct MHD_Response *resp;

	s->run = run;
	s->asker = call_asker();
	s->ctx = ctx;
	s->free_ctx = free_ctx;
	resp = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, take,
						 s, stream_free);
	if (!resp) {
		stream_free(s);
		return fail(-ENOMEM, "out of memory");
	}
	MHD_add_response_header(resp, "Content-Type", "application/x-ndjson");
	MHD_add_response_header(resp, "Cache-Control", "no-store");
	return request_queue(r, 200, resp);
}
