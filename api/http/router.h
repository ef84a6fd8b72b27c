/* SPDX-License-Identifier: Apache-2.0 */
/*
 * router.h - which function answers which method and path.
 *
 * Patterns are "/literal/{param}"; a parameter takes one whole segment, whatever
 * it holds (an escaped slash too). A wide one, "/{*param}/literal", comes first
 * and takes one segment or more, with slashes between. Literals win over
 * parameters, from the left. Filled before the server starts, read-only
 * afterwards, hence no lock. A lookup compares the segments of all routes: some
 * dozens.
 */
#ifndef API_HTTP_ROUTER_H
#define API_HTTP_ROUTER_H

#include "api/http/target.h"

struct request;
struct router;

/* Answer with one of reply_*() (server.h) and return 0; or return a negative
 * errno, which becomes an error answer with error_text(). */
typedef int (*route_fn)(struct request *r);

#define ROUTE_PUBLIC 1u  /* needs no token, even from elsewhere */
#define ROUTE_CHANGES 2u /* changes state although it is a GET */
#define ROUTE_READS 4u   /* changes nothing although it is a POST */
#define ROUTE_OPEN 8u    /* who may ask is decided by the handler */
#define ROUTE_UPLOAD 16u /* the body goes to a file, of any type */
#define ROUTE_PLAIN 32u  /* upstream's: wrong forms are refused in plain text */

struct route {
	const char *method; /* "GET" also answers HEAD */
	const char *pattern;
	route_fn run;
	unsigned flags;
};

#define ROUTE_PARAMS_MAX 4u
struct route_match {
	const struct route *route;
	size_t n;
	const char *name[ROUTE_PARAMS_MAX]; /* not terminated: name_len */
	size_t name_len[ROUTE_PARAMS_MAX];
	const char *value[ROUTE_PARAMS_MAX]; /* into the target, or `wide` */
	char *wide; /* owned: the value of a wide parameter, or NULL */
};

struct router *router_new(void);
void router_free(struct router *r); /* NULL is fine */
/* The table is borrowed and must outlive the router; ended by method NULL.
 * A pattern given twice for one method is our own mistake (assert). */
void router_add(struct router *r, const struct route *table);
/* 0, then *ret needs route_match_done; -ENOENT no such path (404); -EPERM the
 * path exists, not with this method (405), allow then holds "GET, DELETE". */
int router_find(const struct router *r, const char *method,
		const struct target *u, struct route_match *ret, char *allow,
		size_t cap);
void route_match_done(struct route_match *m); /* twice is fine */
/* Value of {name} or {*name}, or NULL. */
const char *route_param(const struct route_match *m, const char *name);

#endif
