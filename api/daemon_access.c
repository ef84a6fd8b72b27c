/* SPDX-License-Identifier: Apache-2.0 */
/* daemon_access.c - what handlers ask the daemon for. */
#include "api/daemon_private.h"

#include <sys/eventfd.h>

#include "core/clock.h"

struct config *daemon_config(struct daemon *d)
{
	ranked_scope(&d->lock);

	return config_get(d->config);
}

struct store *daemon_store(struct daemon *d)
{
	return d->store;
}

struct fs *daemon_fs(struct daemon *d)
{
	return d->fs;
}

struct mounts *daemon_mounts(struct daemon *d)
{
	return d->mounts;
}

struct gitwork *daemon_gitwork(struct daemon *d)
{
	return d->gitwork;
}

struct antares *daemon_antares(struct daemon *d)
{
	return d->antares;
}

struct server *daemon_server(struct daemon *d)
{
	return d->server;
}

struct keeper *daemon_keeper(struct daemon *d)
{
	return d->keeper;
}

int64_t daemon_started_ns(struct daemon *d)
{
	return d->started_wall;
}

int64_t daemon_uptime_ns(struct daemon *d)
{
	return now_ns() - d->started;
}

bool daemon_ready(struct daemon *d)
{
	return __atomic_load_n(&d->restored, __ATOMIC_ACQUIRE) &&
	       mounts_settled(d->mounts);
}

void daemon_stop(struct daemon *d)
{
	eventfd_write(d->stop_fd, 1);
}

struct classic *daemon_classic(struct daemon *d)
{
	return d->classic;
}

void daemon_owner(struct daemon *d, struct fs_mount_request *r)
{
	struct config *c = daemon_config(d);
	const char *other = config_string(c, "fs.allow_other");

	r->uid = config_is_set(c, "fs.uid") ? config_int(c, "fs.uid") : -1;
	r->gid = config_is_set(c, "fs.gid") ? config_int(c, "fs.gid") : -1;
	r->allow_other = !other || !strcmp(other, "auto") ? -1
			 : !strcmp(other, "true");
	config_put(c);
}
