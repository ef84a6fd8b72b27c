/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - hexadecimal ids, percent-encoding, the address. Pure functions.
 */
#ifndef BACKENDS_MONO_TEXT_H
#define BACKENDS_MONO_TEXT_H

#include "common.h"

/* Exactly n hex digits at s make n / 2 bytes; false if they are not. */
bool monohex_decode(const char *s, size_t n, uint8_t *ret);
void monohex_encode(const uint8_t *p, size_t n, char *ret); /* 2n + NUL */

/* A query value: RFC 3986 unreserved characters and '/' stay as they are.
 * Caller frees; NULL: out of memory. */
char *monotext_escape(const char *s, size_t n);
/* What a server wrote, fit for a message: blanks for control characters. */
void monotext_clean(char *out, size_t cap, const void *text, size_t n);

/* "mono+http://user:pw@host:8000/x/" -> "http://user:pw@host:8000/x", and in
 * *ret_shown the same without login. -EINVAL with *why, or -ENOMEM. */
int monotext_base(const char *url, char **ret, char **ret_shown,
		  const char **why);

#endif
