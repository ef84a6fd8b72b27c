/* SPDX-License-Identifier: Apache-2.0 */
#include "api/stack.h"

#include "api/daemon.h"
#include "core/config.h"
#include "core/registry.h"

static const char *const lfs_above[] = { "lfs", NULL };

/* Cut "?lfs=WORD" or "&lfs=WORD" off the end; returns WORD or NULL. */
static const char *cut(char *url)
{
	static const char *const words[] = { "on", "off" };
	size_t len = strlen(url);

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		cleanup_free char *tail = xasprintf("lfs=%s", words[i]);
		size_t n = strlen(tail);

		if (len <= n + 1 || strcmp(url + len - n, tail) ||
		    !strchr("?&", url[len - n - 1]))
			continue;
		url[len - n - 1] = '\0';
		return words[i];
	}
	return NULL;
}

static char *with(const char *url, const char *word)
{
	return xasprintf("%s%clfs=%s", url, strchr(url, '?') ? '&' : '?', word);
}

/* Kinds of sources that have the layer unless somebody says otherwise. */
static bool usual(const char *url)
{
	const struct scorpio_backend *b = registry_by_url(url);

	return b && (!strcmp(b->name, "git") || !strcmp(b->name, "mono"));
}

void stack_choose(bool lfs, const char *url, struct fs_stack *ret)
{
	char *address = xstrdup(url);
	const char *said = cut(address);
	bool dflt = usual(address);
	bool wanted = said ? !strcmp(said, "on") : dflt && lfs;

	ret->address = address;
	ret->layers = wanted ? lfs_above : NULL;
	ret->url = wanted == dflt ? xstrdup(address)
				  : with(address, wanted ? "on" : "off");
}

char *stack_address(const char *url)
{
	char *address = xstrdup(url);

	cut(address);
	return address;
}

char *stack_without_lfs(const char *url)
{
	cleanup_free char *address = xstrdup(url);

	cut(address);
	return with(address, "off");
}

void stack_of_daemon(void *daemon, const char *url, struct fs_stack *ret)
{
	struct config *c = daemon_config(daemon);

	stack_choose(config_bool(c, "lfs.enabled"), url, ret);
	config_put(c);
}
