/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - small helpers around jansson. A json_t belongs to one thread at a
 * time: never share one.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/buf.h"

#include <jansson.h>

/* Parse a whole document; duplicate keys, bad UTF-8, trailing text and numbers
 * beyond 64 bits are refused. `what` starts the error text ("request body").
 * -EBADMSG "what:line:column: reason". The caller owns *ret (json_decref). */
int json_parse(const char *text, size_t n, const char *what, json_t **ret);

/* Members of an object. `obj` may be NULL or another type (gives the default);
 * so does a member that is absent, null or of another type. */
const char *json_get_text(const json_t *obj, const char *key, const char *dflt);
int64_t json_get_int(const json_t *obj, const char *key, int64_t dflt);
bool json_get_bool(const json_t *obj, const char *key, bool dflt);
double json_get_real(const json_t *obj, const char *key, double dflt);

/* A string value for bytes that need not be UTF-8 (file names). Valid UTF-8
 * stays as it is except for the backslash, which is doubled; every byte that is
 * not part of valid UTF-8 becomes \xNN (two lower-case digits). NUL is \x00.
 * The two escapes make it reversible. New reference. */
json_t *json_bytes(const void *p, size_t n);
/* The same as text appended to a buf (for tables and logs). */
void json_bytes_put(struct buf *out, const void *p, size_t n);
/* Reverse. Appends the bytes; false if an escape is malformed. */
bool json_bytes_decode(const char *s, struct buf *out);

/* Such a member of an object; NULL if it is absent or malformed. Caller frees. */
char *json_get_bytes(const json_t *obj, const char *key);

/* Append the compact text of v, keys in insertion order. */
void json_print(const json_t *v, struct buf *out);
void json_print_pretty(const json_t *v, struct buf *out);

/* Bytes of the one character at p (n >= 1), 0 if it is not valid UTF-8 (no
 * surrogates, no overlong forms); of all valid text from p on, up to n. */
size_t utf8_char(const void *p, size_t n);
size_t utf8_valid(const void *p, size_t n);

#endif
