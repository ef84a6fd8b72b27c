/* SPDX-License-Identifier: Apache-2.0 */
/* mounts_name.c - what a mount is where the user says nothing: a workspace or a
 * view, and the workspace's name. */
#include "api/mounts.h"
#include "api/stack.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/registry.h"

#define URL_MAX 4096
#define NAME_MAX_ 64 /* of the mountpoint's part */

bool mounts_writable(const char *source)
{
	cleanup_free char *address = stack_address(source);
	const struct scorpio_backend *b = registry_by_url(address);

	return b && b->flags & SCORPIO_BACKEND_WORKSPACE;
}

/* "git+https://x/" and "https://x" are one source. */
static uint64_t hash_source(const char *source, uint64_t h)
{
	const struct scorpio_backend *b = registry_by_url(source);
	size_t word = strcspn(source, "+:/"), n;

	if (b)
		h = hash_xxh3(b->name, strlen(b->name), h);
	if (source[word] == '+')
		source += word + 1;
	n = strlen(source);
	while (n > 1 && source[n - 1] == '/')
		n--;
	return hash_xxh3(source, n, h);
}

char *mounts_workspace(const char *source, const char *dir, const char *subdir)
{
	const char *base = strrchr(dir, '/');
	size_t n;
	char url[URL_MAX];
	uint64_t h = hash_xxh3(dir, strlen(dir), 0);

	base = base ? base + 1 : dir;
	n = strspn(base, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrs"
			 "tuvwxyz0123456789_-");
	h = hash_source(log_redact(source, url, sizeof(url)), h);
	if (subdir && *subdir)
		h = hash_xxh3(subdir, strlen(subdir), h);
	return n ? xasprintf("%.*s-%08x", (int)MIN(n, NAME_MAX_), base,
			     (uint32_t)h)
		 : xasprintf("workspace-%08x", (uint32_t)h);
}
