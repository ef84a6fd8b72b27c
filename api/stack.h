/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.h - which layers stand above a source. The layer lfs is above git and
 * mono by default; lfs=off or lfs=on as the last parameter of a source's address
 * ("https://host/x.git?lfs=off") decides otherwise. Any thread.
 */
#ifndef API_STACK_H
#define API_STACK_H

#include "fs/fs.h"

/* `lfs`: what the configuration says. The url in *ret is the address with
 * "lfs=off" or "lfs=on" exactly where that is not the default of its kind, so
 * that a source with the layer and one without are never taken for each other.
 */
void stack_choose(bool lfs, const char *url, struct fs_stack *ret);
/* The same, as its configuration says: fs_options.stack with a struct daemon. */
void stack_of_daemon(void *daemon, const char *url, struct fs_stack *ret);
/* The address without the parameter; the caller frees. */
char *stack_address(const char *url);
/* The same with lfs=off. */
char *stack_without_lfs(const char *url);

#endif
