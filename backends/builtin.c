/* SPDX-License-Identifier: Apache-2.0 */
/* Declared for the daemon by builtin.h. */
#include <scorpio/backend.h>

#include <stddef.h>

extern const struct scorpio_backend mem_backend; /* mem/mem.c */
extern const struct scorpio_backend dir_backend; /* dir/dir.c */

extern const struct scorpio_backend *const builtin_backends[];
const struct scorpio_backend *const builtin_backends[] = {
	&mem_backend,
	&dir_backend,
	NULL,
};
