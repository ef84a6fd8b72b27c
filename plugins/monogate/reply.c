/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const json_headers[] = {
	"Content-Type: application/json", NULL,
};

int gate_json(struct gate *g, struct scorpio_request *r, int status, json_t *v)
{
	char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	int rc;

	json_decref(v);
	if (!text)
		return -ENOMEM;
	rc = g->http->reply(r, status, json_headers, text, strlen(text));
	free(text);
	return rc;
}

static json_t *envelope(bool ok, json_t *data, const char *message)
{
	json_t *v = json_object();

	json_object_set_new(v, "req_result", json_boolean(ok));
	json_object_set_new(v, "data", data ? data : json_null());
	json_object_set_new(v, "err_message", json_string(message));
	return v;
}

int gate_data(struct gate *g, struct scorpio_request *r, json_t *data)
{
	return gate_json(g, r, 200, envelope(true, data, ""));
}

int gate_status_of(int err)
{
	switch (-err) {
	case ENOENT:
		return 404;
	case EINVAL:
		return 400;
	case EACCES:
		return 403;
	case ESTALE:
		return 409;
	case ENOTSUP:
		return 501;
	case ETIMEDOUT:
		return 504;
	case EAGAIN:
	case EINTR:
		return 503;
	case EIO:
	case EBADMSG:
		return 502;
	default:
		return 500;
	}
}

int gate_error(struct gate *g, struct scorpio_request *r, int err)
{
	const char *text = g->host->error_text(g->host, err);
	json_t *v = json_string(text);

	json_decref(v);
	if (!v) /* not UTF-8 */
		text = strerror(-err);
	return gate_json(g, r, gate_status_of(err), envelope(false, NULL, text));
}

int gate_text(struct gate *g, struct scorpio_request *r, int status,
	      const char *text)
{
	static const char *const headers[] = {
		"Content-Type: text/plain; charset=utf-8",
		"Cache-Control: no-cache", NULL,
	};
	char line[1024];

	snprintf(line, sizeof(line), "%s\n", text);
	return g->http->reply(r, status, headers, line, strlen(line));
}

void gate_hex(const struct scorpio_id *id, char ret[2 * SCORPIO_ID_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < id->len; i++) {
		ret[2 * i] = digits[id->bytes[i] >> 4];
		ret[2 * i + 1] = digits[id->bytes[i] & 15];
	}
	ret[2 * id->len] = '\0';
}

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 :
				      -1;
}

bool gate_unhex(const char *hex, struct scorpio_id *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (strlen(hex) != GATE_HEX)
		return false;
	for (unsigned i = 0; i < GATE_OID; i++) {
		int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		ret->bytes[i] = (uint8_t)(hi << 4 | lo);
	}
	ret->len = GATE_OID;
	return true;
}
