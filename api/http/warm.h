/* SPDX-License-Identifier: Apache-2.0 */
/* warm.h - answering with the progress of bringing paths, line by line:
 * {"trees","files","failed","bytes","files_total","finished"}. */
#ifndef API_HTTP_WARM_H
#define API_HTTP_WARM_H

#include "api/http/v1.h"

/* Takes the NULL-ended array and its members. skip_missing: a path that is not
 * there is counted as failed and the others follow. */
int warm_reply(struct request *r, char **paths /* takes */, size_t n,
	       bool metadata_only, bool skip_missing, int64_t deadline);

#endif
