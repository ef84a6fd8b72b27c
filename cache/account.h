/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account.h - how much was fetched on behalf of which process. A table of
 * bounded size; the process that fetched longest ago makes room. Any thread.
 */
#ifndef CACHE_ACCOUNT_H
#define CACHE_ACCOUNT_H

#include "cache/source.h"

struct accounts;

struct accounts *account_new(void);
void account_free(struct accounts *a);
/* The process is waiting for something: learn its name (reads /proc once). */
void account_see(struct accounts *a, uint32_t pid);
void account_add(struct accounts *a, uint32_t pid, uint64_t objects,
		 uint64_t bytes);
/* fn must not call back here. */
void account_each(struct accounts *a,
		  void (*fn)(void *ctx, const struct source_account *x),
		  void *ctx);

#endif
