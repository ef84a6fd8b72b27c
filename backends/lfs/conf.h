/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.h - .lfsconfig: the keys that git-lfs takes from it and that matter
 * here (git-lfs-config(5)), in the syntax of git's configuration. Odd lines are
 * skipped. Pure.
 */
#ifndef BACKENDS_LFS_CONF_H
#define BACKENDS_LFS_CONF_H

#include "common.h"

struct lfsconf { /* owned; NULL: not said */
	char *url;	  /* lfs.url, else remote.origin.lfsurl; http(s) only */
	char *include;	  /* lfs.fetchinclude */
	char *exclude;	  /* lfs.fetchexclude */
};

int lfsconf_parse(const char *text, size_t n, struct lfsconf *ret); /* -ENOMEM */
void lfsconf_done(struct lfsconf *c);

#endif
