/* SPDX-License-Identifier: Apache-2.0 */
/* Declared for the daemon by builtin.h. */
#include <scorpio/backend.h>

#include <stddef.h>

extern const struct scorpio_backend scorpio_mem_backend; /* mem/mem.c */
extern const struct scorpio_backend scorpio_dir_backend; /* dir/dir.c */
extern const struct scorpio_backend scorpio_git_backend; /* git/git.c */
extern const struct scorpio_backend scorpio_mono_backend; /* mono/mono.c */
extern const struct scorpio_backend scorpio_nix_backend; /* nix/nix.c */
extern const struct scorpio_backend scorpio_lfs_backend; /* lfs/lfs.c */

extern const struct scorpio_backend *const builtin_backends[];
const struct scorpio_backend *const builtin_backends[] = {
	&scorpio_mem_backend,
	&scorpio_dir_backend,
	&scorpio_git_backend,
	&scorpio_mono_backend,
	&scorpio_nix_backend,
	&scorpio_lfs_backend,
	NULL,
};
