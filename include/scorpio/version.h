/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version.h - the program's version and the plugin ABI.
 *
 * ABI revisions (the major changes only when an old plugin could misbehave):
 *   1.0  first release
 *   1.1  roles (role.h), scorpio_plugin.roles, scorpio_host.error_text
 *   1.2  scorpio_backend.bucket, SCORPIO_INSTANCE_OPEN_ROOT, _OWNER_ROOT
 *        scorpio_host.remember and .recall; ids made by layers
 *   1.3  uploads, files as answers and wide parameters of routes; scratch
 *        directories for roles
 *   1.4  scorpio_backend.part, scorpio_http_service.range
 *   1.5  scorpio_http.ended, scorpio_body.from, SCORPIO_HTTP_NO_LOGIN
 */
#ifndef SCORPIO_VERSION_H
#define SCORPIO_VERSION_H

#define SCORPIO_VERSION "0.1.0"

#define SCORPIO_ABI_MAJOR 1u
#define SCORPIO_ABI_MINOR 5u
#define SCORPIO_ABI ((SCORPIO_ABI_MAJOR << 16) | SCORPIO_ABI_MINOR)

#endif
