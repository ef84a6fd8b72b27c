/* SPDX-License-Identifier: Apache-2.0 */
/* cachejson.h - answers about the store, the same from the daemon and from the
 * command line when no daemon runs. New references. */
#ifndef API_CACHEJSON_H
#define API_CACHEJSON_H

#include "cache/store.h"
#include "core/json.h"

json_t *cachejson_stats(const struct store_stats *s);
json_t *cachejson_gc(uint64_t freed, bool dry_run);
json_t *cachejson_verify(const struct store_verify *v);
int cachejson_pins(struct store *s, json_t **ret);

#endif
