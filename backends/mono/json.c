/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - the JSON lists of the server, element by element: memory stays at
 * what the entries need, however long the list is.
 */
#include "listing.h"
#include "text.h"

#include <jansson.h>

struct scan {
	const char *p, *end;
	const char *why;
};

static void json_done(json_t **j)
{
	json_decref(*j);
}
#define auto_json __attribute__((cleanup(json_done)))

static int bad(struct scan *s, const char *why)
{
	s->why = why;
	return -EBADMSG;
}

/* The next character that is not blank, 0 at the end. */
static char peek(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' ||
				 *s->p == '\n' || *s->p == '\r'))
		s->p++;
	return s->p < s->end ? *s->p : 0;
}

static bool take(struct scan *s, char c)
{
	if (peek(s) != c)
		return false;
	s->p++;
	return true;
}

/* One whole value; NULL if there is none. */
static json_t *value(struct scan *s)
{
	json_error_t e;
	json_t *j = json_loadb(s->p, (size_t)(s->end - s->p),
			       JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK |
				       JSON_REJECT_DUPLICATES,
			       &e);

	if (j && (e.position <= 0 || e.position > s->end - s->p)) {
		json_decref(j);
		return NULL;
	}
	if (j)
		s->p += e.position;
	return j;
}

/* The documented extra fields: mode as octal text, size as a number. */
static int read_extras(struct scan *s, const json_t *j, uint32_t *mode,
		       uint64_t *size)
{
	const json_t *m = json_object_get(j, "mode");
	const json_t *z = json_object_get(j, "size");
	unsigned long v;
	char *end;

	if (m && !json_is_null(m)) {
		v = json_is_string(m) ? strtoul(json_string_value(m), &end, 8)
				      : 0;
		if (!v || *end || v > 0177777u ||
		    (*mode == MONO_MODE_DIR) != (v == MONO_MODE_DIR))
			return bad(s, "an entry has an impossible mode");
		*mode = (uint32_t)v;
	}
	if (z && !json_is_null(z)) {
		if (!json_is_integer(z) || json_integer_value(z) < 0)
			return bad(s, "an entry has an impossible size");
		*size = (uint64_t)json_integer_value(z);
	}
	return 0;
}

static int read_entry(struct scan *s, const json_t *j, struct monolist *l)
{
	const char *type = json_string_value(json_object_get(j,
							     "content_type"));
	const json_t *name = json_object_get(j, "name");
	const char *oid = json_string_value(json_object_get(j, "oid"));
	uint64_t size = SCORPIO_SIZE_UNKNOWN;
	uint8_t id[MONO_OID];
	uint32_t mode;
	int rc;

	if (!json_is_string(name) || !oid || !type)
		return bad(s, "an entry without name, oid or content_type");
	mode = strcmp(type, "directory") == 0 ? MONO_MODE_DIR : 0;
	if (!mode && strcmp(type, "file") != 0)
		return bad(s, "an entry of an unknown content_type");
	if (strlen(oid) != MONO_HEX || !monohex_decode(oid, MONO_HEX, id))
		return bad(s, "an oid is not 40 hex digits");
	if (!json_string_length(name)) /* old servers make such */
		return 0;
	rc = read_extras(s, j, &mode, &size);
	l->dirs_told += mode == MONO_MODE_DIR &&
			json_is_string(json_object_get(j, "mode"));
	if (rc == 0)
		rc = monolist_add(l, json_string_value(name),
				  json_string_length(name), mode, id, size);
	if (rc == -EBADMSG && !s->why)
		s->why = "an entry has an impossible name";
	return rc;
}

static int read_list(struct scan *s, struct monolist *l)
{
	int rc = 0;

	if (!take(s, '['))
		return bad(s, "\"data\" is not a list");
	if (take(s, ']'))
		return 0;
	do {
		auto_json json_t *j = peek(s) == '{' ? value(s) : NULL;

		rc = j ? read_entry(s, j, l) :
			 bad(s, "an entry is not a JSON object");
	} while (rc == 0 && take(s, ','));
	if (rc == 0 && !take(s, ']'))
		rc = bad(s, "the list does not end");
	return rc;
}

struct envelope {
	bool has_data, has_result, ok;
	char *said;
	size_t cap;
};

static int read_member(struct scan *s, struct envelope *v, struct monolist *l)
{
	auto_json json_t *key = peek(s) == '"' ? value(s) : NULL;
	auto_json json_t *other = NULL;
	const char *name = json_string_value(key);

	if (!name || !take(s, ':'))
		return bad(s, "it is not a JSON object");
	if (strcmp(name, "data") == 0 && peek(s) == '[') {
		if (v->has_data)
			return bad(s, "\"data\" is there twice");
		v->has_data = true;
		return read_list(s, l);
	}
	peek(s);
	other = value(s);
	if (!other)
		return bad(s, "it is not JSON");
	if (strcmp(name, "req_result") == 0) {
		v->has_result = json_is_boolean(other);
		v->ok = json_is_true(other);
	} else if (strcmp(name, "err_message") == 0 && json_is_string(other)) {
		monotext_clean(v->said, v->cap, json_string_value(other),
			       json_string_length(other));
	}
	return 0;
}

static int read_reply(struct scan *s, struct envelope *v, struct monolist *l)
{
	int rc = 0;

	if (!take(s, '{'))
		return bad(s, "it is not a JSON object");
	do
		rc = read_member(s, v, l);
	while (rc == 0 && take(s, ','));
	if (rc < 0)
		return rc;
	if (!take(s, '}') || peek(s) || s->p < s->end)
		return bad(s, "the JSON object does not end");
	if (!v->has_result)
		return bad(s, "there is no \"req_result\"");
	if (!v->ok)
		return -EREMOTEIO;
	if (!v->has_data)
		return bad(s, "there is no list in \"data\"");
	rc = monolist_sort(l);
	return rc < 0 ? bad(s, "a name is there twice") : 0;
}

int monolist_parse_json(struct monolist *l, const char *text, size_t len,
			char *said, size_t cap, const char **why)
{
	struct scan s = { .p = text, .end = text + len };
	struct envelope v = { .said = said, .cap = cap };
	int rc;

	said[0] = 0;
	rc = read_reply(&s, &v, l);
	if (rc < 0) {
		*why = rc == -ENOMEM ? "out of memory" : s.why ? s.why : "";
		monolist_done(l);
	}
	return rc;
}
