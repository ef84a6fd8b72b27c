/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"

static __thread struct {
	int code;
	char text[1024];
} last;

int vfail(int code, const char *fmt, va_list ap)
{
	int saved = errno;
	char text[sizeof(last.text)];

	/* through a copy: the arguments may hold error_text() itself */
	vsnprintf(text, sizeof(text), fmt, ap);
	memcpy(last.text, text, sizeof(text));
	last.code = code;
	errno = saved;
	return code;
}

int fail(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(code, fmt, ap);
	va_end(ap);
	return code;
}

int fail_prefix(int code, const char *fmt, ...)
{
	char prefix[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	return fail(code, "%s: %s", prefix, error_text(code));
}

const char *error_text(int code)
{
	if (last.code == code && last.text[0])
		return last.text;
	return strerrordesc_np(code < 0 ? -code : code)
		       ? strerrordesc_np(code < 0 ? -code : code)
		       : "unknown error";
}

void error_clear(void)
{
	last.code = 0;
	last.text[0] = '\0';
}
