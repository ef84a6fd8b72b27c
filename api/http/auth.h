/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.h - who may ask for what. Pure decisions over the facts of one request;
 * any thread.
 *
 * The unix socket is for its owner and root: everything is allowed there. On a
 * loopback address reading is open and changing needs the token if one is
 * configured. On any other address everything but public routes needs the
 * token, unless server.allow_insecure is set.
 *
 * Against web pages: a Host that is a foreign DNS name is refused (DNS
 * rebinding), and so is a change that comes from a page of another origin or
 * with a body that a plain HTML form can send.
 */
#ifndef API_HTTP_AUTH_H
#define API_HTTP_AUTH_H

#include "core/base.h"

enum auth_place { AUTH_UNIX, AUTH_LOOPBACK, AUTH_REMOTE };

struct auth_policy {
	const char *token; /* NULL: none configured */
	bool allow_insecure;
};

struct auth_facts { /* headers: NULL if absent */
	enum auth_place place;
	bool peer_ok;   /* unix socket: the peer is us or root */
	bool is_public; /* the route needs no token */
	bool changes;   /* the route changes something */
	bool any_host;  /* and answers under any name of the host */
	bool any_type;  /* and takes bodies of any type */
	bool has_body;
	const char *authorization, *host, *origin, *sec_fetch_site,
		*content_type;
};

/* 0, or the HTTP status to refuse with: 400 no Host, 401, 403, 415. The error
 * text says why; *ret_code is the word for the body. */
int auth_check(const struct auth_policy *p, const struct auth_facts *f,
	       const char **ret_code);

/* Does "Bearer TOKEN" name this token, or "Basic" it as the password of any
 * user, as git asks? Takes the same time wherever they differ. */
bool auth_token_ok(const char *authorization, const char *token);
/* Is this Host (with or without port) one that no foreign DNS entry can make a
 * browser send: an IP address, localhost, or (not on loopback) a name without
 * a public domain? */
bool auth_host_ok(const char *host, enum auth_place place);
/* "application/json", with or without parameters. */
bool auth_is_json(const char *content_type);

#endif
