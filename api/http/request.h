/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - one HTTP request as a handler sees it, and how it answers.
 *
 * A request belongs to the thread of its connection. A handler calls exactly
 * one reply function and returns 0, or returns a negative errno, which becomes
 * {"error": text, "code": WORD} with a fitting status:
 *
 *	-EINVAL INVALID_REQUEST 400    -ENOENT NOT_FOUND 404
 *	-EACCES, -EPERM ACCESS_DENIED 403
 *	-EEXIST, -EBUSY, -ENOTEMPTY, -ENOTDIR, -EXDEV, -EROFS: 409, a word each
 *	-ENOSPC NO_SPACE 507           -ENOTSUP UNSUPPORTED 501
 *	-EIO, -EBADMSG SOURCE_ERROR 502, -ETIMEDOUT TIMEOUT 504
 *	-EAGAIN, -EINTR UNAVAILABLE 503, others INTERNAL_ERROR 500
 */
#ifndef API_HTTP_REQUEST_H
#define API_HTTP_REQUEST_H

#include "core/json.h"

#include <scorpio/role.h>

struct request;
struct stream;

void *request_ctx(const struct request *r);
const char *request_method(const struct request *r);
/* Value of {name} of the pattern; never NULL for one that is there. */
const char *request_param(const struct request *r, const char *name);
const char *request_query(const struct request *r, const char *name,
			  const char *dflt);
/* A whole number in [min, max], or the default if absent. -EINVAL. */
int request_query_int(const struct request *r, const char *name, int64_t dflt,
		      int64_t min, int64_t max, int64_t *ret);
bool request_query_bool(const struct request *r, const char *name);
const char *request_header(const struct request *r, const char *name);

/* The body as it came, borrowed; NULL and 0 if there is none. */
const void *request_body(const struct request *r, size_t *ret_n);
/* Of ROUTE_UPLOAD: a file without a name, until the handler returns; -1: there
 * is no body. */
int request_upload(const struct request *r, uint64_t *ret_n);
/* The body as a JSON object, borrowed until the request ends. 0, or the status
 * of an answer that was already given (415, 400, 422): then return 0. No body
 * at all is an empty object if `optional`. */
int request_json(struct request *r, bool optional, json_t **ret);
/* The same with errors as plain text, as clients of upstream know them. */
int request_json_plain(struct request *r, bool optional, json_t **ret);
/* A text member, errors as plain text. 0, or 422 already answered: missing
 * (unless optional; then *ret is NULL) or of another type. Empty is fine. */
int request_text_plain(struct request *r, json_t *obj, const char *key,
		       bool optional, const char **ret);
int reply_plain(struct request *r, int status, const char *fmt, ...)
	PRINTF(3, 4);

/* A text member. 0, or 422 already answered: missing (unless optional; then
 * *ret is NULL), of another type, or empty. null counts as missing. */
int request_text(struct request *r, json_t *obj, const char *key,
		 bool optional, const char **ret);

int reply_json(struct request *r, int status, json_t *v /* takes */);
int reply_text(struct request *r, int status, const char *type,
	       struct buf *text /* taken */);
/* Memory that stays for ever. headers: "Name: value", NULL-ended, or NULL. */
int reply_static(struct request *r, const char *type, const void *p, size_t n,
		 const char *const headers[]);
/* Anything, copied; headers as above, and nothing is added to them. */
int reply_raw(struct request *r, int status, const char *const headers[],
	      const void *p, size_t n);
/* n bytes of a file from offset, whose descriptor is taken. */
int reply_file(struct request *r, int status, const char *const headers[],
	       int fd /* takes */, uint64_t offset, uint64_t n);
/* A body that is made while it is sent: read() fills up to n bytes from pos,
 * returns the count, 0 at the end, or a negative errno, which breaks the
 * connection. done() runs in any case, once. The struct is copied. */
int reply_content(struct request *r, int status, const char *const headers[],
		  const struct scorpio_body *body);
int reply_error(struct request *r, int status, const char *code,
		const char *fmt, ...) PRINTF(4, 5);
/* From a negative errno and error_text(). */
int reply_errno(struct request *r, int err);
/* The word and status for a negative errno. */
const char *reply_code(int err, int *ret_status);

/* The answer, whatever it is, says "Deprecation: true". */
void request_deprecated(struct request *r);
/* Run this once the answer was sent (or the client is gone). Once a request. */
void request_at_end(struct request *r, void (*fn)(void *ctx), void *ctx);

/* -- answers that come line by line ----------------------------------------- */

/* Runs on a thread of its own once the client reads. Its lines are sent as they
 * come; a negative return adds a last line {"error","code"}. */
typedef int (*stream_fn)(struct stream *s, void *ctx);
/* free_ctx runs when the answer is over, also if run was never called. Quiet
 * streams carry an empty line every few seconds, so that a client that left is
 * noticed. */
int reply_stream(struct request *r, stream_fn run, void *ctx,
		 void (*free_ctx)(void *ctx));
/* One line of JSON. Waits while the client is slow. -EPIPE: nobody reads any
 * more, or the server stops: return soon. */
int stream_line(struct stream *s, json_t *v /* takes */);
bool stream_closed(struct stream *s);
/* Sleep, at most until closed. True if still open. */
bool stream_sleep(struct stream *s, int64_t ms);

#endif
