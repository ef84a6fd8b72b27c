/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h - the addresses of repositories, in all the forms people write:
 *
 *	git+https://h/x.git  https://h/x.git  git+http://...   smart HTTP
 *	git+file:///p  file:///p  git+/abs  git+./rel  /abs    local
 *	git+ssh://h/x  ssh://h/x  git+git://h/x  git://h/x
 *	user@host:path  git+user@host:path                     by `git`
 *
 * No host and no libgit2 needed. Any thread.
 */
#ifndef BACKENDS_GIT_URL_H
#define BACKENDS_GIT_URL_H

enum giturl_kind {
	GITURL_LOCAL, /* text is a path */
	GITURL_HTTP,  /* text is http(s)://host[:port]/path, no userinfo */
	GITURL_OTHER, /* text is what the git program is given */
};

struct giturl {
	enum giturl_kind kind;
	char *text;
	char *origin;   /* HTTP: "https://host:port", lower case; else NULL */
	char *user;     /* from the URL, percent-decoded; may be NULL */
	char *password; /* likewise */
};

/* -EINVAL with *ret_why (a literal) for what is not an address, -ENOMEM. */
int giturl_parse(const char *url, struct giturl *ret, const char **ret_why);
void giturl_done(struct giturl *u);
/* "scheme://host:port" of an http(s) URL with the default port made explicit,
 * or NULL. The caller frees. Two URLs of equal origin share credentials. */
char *giturl_origin(const char *url);
/* Resolve `location` (absolute URL or absolute path) against `base`. NULL: not
 * http(s), or a form nobody sends. The caller frees. */
char *giturl_join(const char *base, const char *location);

#endif
