/* SPDX-License-Identifier: Apache-2.0 */
/* private.h - the two tables of services, for roles.c only. */
#ifndef API_ROLES_PRIVATE_H
#define API_ROLES_PRIVATE_H

#include "fs/fs.h"

#include <scorpio/role.h>

extern const struct scorpio_http_service roles_http;
extern const struct scorpio_sources_service roles_sources;
/* What sources are opened through; NULL: none any more. */
void roles_sources_set(struct fs *fs);

#endif
