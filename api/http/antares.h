/* SPDX-License-Identifier: Apache-2.0 */
/* antares.h - what the handlers below /antares share. */
#ifndef API_HTTP_ANTARES_H
#define API_HTTP_ANTARES_H

#include "api/antares/antares.h"
#include "api/daemon.h"
#include "api/http/request.h"

struct antares *antares_of(struct request *r);
/* Text as it is; null for NULL. */
json_t *antares_text(const char *s);
json_t *antares_status(const struct antares_info *i);
/* The status of a mount (freed), or what *f and error_text(err) say. */
int antares_answer(struct request *r, int err, struct antares_info *i,
		   const struct antares_fault *f);
/* {id} of the path; false: it is no UUID, which was answered. */
bool antares_id(struct request *r, const char **ret);
/* The same with the body of the request; what is wrong was answered. */
bool antares_id_body(struct request *r, bool optional, const char **ret_id,
		     json_t **ret);

#endif
