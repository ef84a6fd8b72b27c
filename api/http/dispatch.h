/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.h - the three calls libmicrohttpd makes for each request, in this
 * order, all on the connection's thread. cls is the struct listener.
 */
#ifndef API_HTTP_DISPATCH_H
#define API_HTTP_DISPATCH_H

#include "api/http/server_private.h"

/* The request line arrived; returns the struct request. */
void *dispatch_begin(void *cls, const char *uri, struct MHD_Connection *mhd);
/* The headers arrived; then once per piece of body; then once at its end. */
enum MHD_Result dispatch_request(void *cls, struct MHD_Connection *mhd,
				 const char *url, const char *method,
				 const char *version, const char *data,
				 size_t *data_size, void **con_cls);
/* Answered, or given up. */
void dispatch_end(void *cls, struct MHD_Connection *mhd, void **con_cls,
		  enum MHD_RequestTerminationCode why);

#endif
