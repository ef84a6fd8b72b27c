/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lfsclient.h - the LFS server of a source, without a mount: with the addresses
 * and logins that the layer uses.
 */
#ifndef API_LFSCLIENT_H
#define API_LFSCLIENT_H

#include "backends/lfs/server.h"
#include "core/config.h"

struct lfsclient {
	struct config_view view;
	struct lfs lfs;
};
/* source: as of a mount; dir: where its root is seen, for .lfsconfig. c stays the
 * caller's until lfsclient_done, which is due after a failure too. */
int lfsclient_open(struct config *c, const char *source, const char *dir,
		   struct lfsclient *ret);
void lfsclient_done(struct lfsclient *l);

#endif
