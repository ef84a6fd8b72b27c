/* SPDX-License-Identifier: Apache-2.0 */
/* id.h - content ids and hex. */
#ifndef CORE_ID_H
#define CORE_ID_H

#include "core/base.h"

#include <scorpio/types.h>

#define ID_HEX_MAX (2 * SCORPIO_ID_MAX + 1)

/* Lower-case hex into out (cap >= 2n+1); returns out. */
char *hex_encode(const void *p, size_t n, char *out);
/* Exactly 2n hex digits from s; false if any other character is found. */
bool hex_decode(const char *s, size_t n, void *out);

struct scorpio_id id_make(const void *bytes, size_t n); /* n <= SCORPIO_ID_MAX */
bool id_equal(const struct scorpio_id *a, const struct scorpio_id *b);
char *id_hex(const struct scorpio_id *id, char out[ID_HEX_MAX]);
bool id_from_hex(const char *s, struct scorpio_id *ret);

/* A random UUID in lower case. */
#define ID_UUID_LEN 36
void id_uuid(char out[ID_UUID_LEN + 1]);

#endif
