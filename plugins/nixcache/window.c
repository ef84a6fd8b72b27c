/* SPDX-License-Identifier: Apache-2.0 */
/* window.c - a range of an archive that is not here, passed on and not kept. */
#include "nixcache.h"

#include <strings.h>

struct window {
	char *data;
	uint64_t n, got, size; /* size: of the whole, from Content-Range */
	const struct scorpio_http *x;
};

static int on_window_header(void *ctx, const char *name, const char *value)
{
	struct window *w = ctx;
	const char *slash = strchr(value, '/');

	if (!strcasecmp(name, "Content-Range") && slash)
		w->size = strtoull(slash + 1, NULL, 10);
	return 0;
}

static int on_window(void *ctx, const void *p, uint64_t n)
{
	struct window *w = ctx;

	if (w->x->status != 206)
		return 0;
	if (n > w->n - w->got)
		return -EFBIG;
	memcpy(w->data + w->got, p, n);
	w->got += n;
	return 0;
}

int pull_range(struct nixcached *c, const char *name, uint64_t from, uint64_t n,
	       char **ret, uint64_t *ret_size)
{
	struct nixcache_role *s = c->role;
	struct window w = { .n = n };
	char range[80];
	const char *headers[] = { range, NULL };
	struct scorpio_http x = { .struct_size = sizeof(x), .headers = headers,
				  .on_header = on_window_header,
				  .on_data = on_window, .ctx = &w };
	auto_free char *url = NULL;
	int rc = n > PULL_RANGE_MAX ? -ENOTSUP
				    : pull_known(c, name, &url, &w.size);

	if (rc)
		return rc;
	snprintf(range, sizeof(range), "Range: bytes=%llu-%llu",
		 (unsigned long long)from, (unsigned long long)(from + n - 1));
	w.data = malloc(n);
	w.x = &x;
	w.size = 0;
	x.url = url;
	rc = w.data ? s->host->http(s->host, &x) : -ENOMEM;
	if (!rc && (x.status != 206 || from >= w.size ||
		    w.got != (n < w.size - from ? n : w.size - from)))
		rc = -ENOTSUP;
	if (rc) {
		free(w.data);
		return rc;
	}
	*ret = w.data;
	*ret_size = w.size;
	return 0;
}
