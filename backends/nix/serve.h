/* SPDX-License-Identifier: Apache-2.0 */
/* serve.h - list and fetch of the nix backend, see scorpio/backend.h. */
#ifndef BACKENDS_NIX_SERVE_H
#define BACKENDS_NIX_SERVE_H

#include "common.h"

int nixserve_list(struct nix *n, const struct scorpio_ref *refs, uint32_t count,
		  const struct scorpio_sink *sink);
int nixserve_fetch(struct nix *n, const struct scorpio_ref *refs,
		   uint32_t count, const struct scorpio_sink *sink);

#endif
