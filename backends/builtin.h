/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin.h - the backends compiled into the program. They see only the public
 * headers, like any plugin. Constant data, any thread.
 */
#ifndef BACKENDS_BUILTIN_H
#define BACKENDS_BUILTIN_H

#include <scorpio/backend.h>

/* NULL-ended; hand each to registry_add at start. */
extern const struct scorpio_backend *const builtin_backends[];

#endif
