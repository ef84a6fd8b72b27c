/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - one text per thread beside the negative errno.
 *
 *	return fail(-EIO, "store: chunk %s is damaged", hex);
 *
 * The text says what; callers add where with fail_prefix(). It stays until the
 * next fail() of the same thread; error_text() after a call that failed with a
 * bare errno gives strerror. Any thread; costs one vsnprintf.
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include "core/base.h"

#include <stdarg.h>

/* Set the text, return `code` (negative errno). */
int fail(int code, const char *fmt, ...) PRINTF(2, 3);
int vfail(int code, const char *fmt, va_list ap);
/* Put "prefix: " before the current text, return `code`. */
int fail_prefix(int code, const char *fmt, ...) PRINTF(2, 3);
/* The text for `code`: the thread's text if it was set for this code, else
 * strerror(-code). Borrowed until the next call. */
const char *error_text(int code);
void error_clear(void);

#endif
