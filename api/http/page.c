/* SPDX-License-Identifier: Apache-2.0 */
/* page.c - "/": one static page that asks /api/v1/status. The file page.html is
 * put into the program by the assembler. */
#include "api/http/request.h"
#include "api/http/routes.h"

__asm__(".section .rodata\n"
	".globl page_html\n"
	".hidden page_html\n"
	".globl page_html_end\n"
	".hidden page_html_end\n"
	"page_html:\n"
	".incbin \"api/http/page.html\"\n"
	"page_html_end:\n"
	".byte 0\n"
	".previous\n");
/* one object to the assembler, two to the compiler */
extern const char page_html[], page_html_end[];

static int get_page(struct request *r)
{
	static const char *const headers[] = {
		"Content-Security-Policy: default-src 'none'; "
		"style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
		"connect-src 'self'; img-src data:; base-uri 'none'; "
		"form-action 'none'; frame-ancestors 'none'",
		"Cache-Control: no-cache",
		"Referrer-Policy: no-referrer",
		NULL,
	};

	return reply_static(r, "text/html; charset=utf-8", page_html,
			    (uintptr_t)page_html_end - (uintptr_t)page_html,
			    headers);
}

const struct route page_routes[] = {
	{ "GET", "/", get_page, ROUTE_PUBLIC },
	{ NULL, NULL, NULL, 0 },
};
