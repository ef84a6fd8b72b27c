/* SPDX-License-Identifier: Apache-2.0 */
/* toml_put.h - TOML as it is written. Any thread. */
#ifndef CORE_TOML_PUT_H
#define CORE_TOML_PUT_H

#include "core/buf.h"

/* key = "value" and a newline, escaped; nothing if value is NULL. */
void toml_put(struct buf *b, const char *key, const char *value);

#endif
