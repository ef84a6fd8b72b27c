/* SPDX-License-Identifier: Apache-2.0 */
#include "api/lfsclient.h"

#include "api/stack.h"
#include "core/error.h"
#include "core/path.h"
#include "core/registry.h"

#define CONFIG_MAX (1u << 20)

static int read_lfsconfig(struct lfsclient *l, const char *dir)
{
	cleanup_free char *path = xasprintf("%s/.lfsconfig", dir);
	cleanup_free char *text = NULL;
	struct lfsconf conf;
	size_t n;
	int rc = path_read(path, CONFIG_MAX, &text, &n);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	rc = lfsconf_parse(text, n, &conf);
	if (rc)
		return rc;
	lfsserver_use(&l->lfs, &conf);
	lfsconf_done(&conf);
	return 0;
}

int lfsclient_open(struct config *c, const char *source, const char *dir,
		   struct lfsclient *l)
{
	char *address = stack_address(source);
	const struct scorpio_backend *b = registry_by_url(address);
	struct host_options o = { .name = "lfs", .get = config_view_get,
				  .ctx = &l->view };
	int rc;

	memset(l, 0, sizeof(*l));
	l->view = (struct config_view){
		.config = c, .source = config_source_by_url(c, address),
		.backend = b ? b->name : NULL,
	};
	l->lfs.host = host_new(&o);
	l->lfs.config = host_config(l->lfs.host);
	l->lfs.url = address;
	l->lfs.mono = !strncmp(address, "mono", 4);
	rc = lfsserver_new(&l->lfs, &l->lfs.server);
	return rc ? rc : read_lfsconfig(l, dir);
}

void lfsclient_done(struct lfsclient *l)
{
	lfsserver_free(l->lfs.server);
	host_free((struct scorpio_host *)l->lfs.host);
	free(l->lfs.url);
	memset(l, 0, sizeof(*l));
}
