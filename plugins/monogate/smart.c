/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smart.c - Git's smart HTTP. A repository of this machine answers by `git
 * http-backend`; any of its directories can be cloned too, as one commit that is
 * made up for it. What has another server behind it is passed on to that.
 */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "relay.h"

#define HEAD_MAX 16384u /* of what git says before the answer */
#define HEADERS_MAX 16u

static int say(struct gate *g, struct scorpio_request *r, int rc)
{
	const char *text = g->host->error_text(g->host, rc);

	return gate_text(g, r, gate_status_of(rc), text);
}

/* -- an answer that git makes ------------------------------------------------------ */

struct answer {
	struct gate_child *child;
	char head[HEAD_MAX + 1]; /* and the first of the body */
	size_t len, body;        /* the body begins there */
	int status;
	const char *headers[HEADERS_MAX + 1];
};

static void answer_free(void *ctx)
{
	struct answer *a = ctx;

	if (a)
		gate_child_free(a->child);
	free(a);
}

static int64_t answer_read(void *ctx, uint64_t pos, void *buf, uint64_t n)
{
	struct answer *a = ctx;
	size_t left = a->len - a->body;

	(void)pos;
	if (!left)
		return gate_child_read(a->child, buf, n);
	if (n > left)
		n = left;
	memcpy(buf, a->head + a->body, n);
	a->body += n;
	return (int64_t)n;
}

/* "Status: 404 Not Found" and other headers, each a line; cuts them apart. */
static void take_headers(struct answer *a, char *end)
{
	size_t n = 0;

	a->status = 200;
	for (char *line = a->head, *next; line < end; line = next) {
		next = line + strcspn(line, "\r\n");
		while (*next == '\r' || *next == '\n')
			*next++ = '\0';
		if (!strncmp(line, "Status: ", 8))
			a->status = atoi(line + 8);
		else if (n < HEADERS_MAX && *line)
			a->headers[n++] = line;
	}
}

static char *head_end(struct answer *a)
{
	char *end = strstr(a->head, "\r\n\r\n"), *bare;

	bare = strstr(a->head, "\n\n");
	if (end && (!bare || end < bare))
		return end + 4;
	return bare ? bare + 2 : NULL;
}

static int read_head(struct gate *g, struct answer *a)
{
	char *end = NULL;

	while (!end && a->len < HEAD_MAX) {
		int64_t n = gate_child_read(a->child, a->head + a->len,
					    HEAD_MAX - a->len);

		if (n < 0)
			return (int)n;
		if (!n)
			break;
		a->len += (size_t)n;
		a->head[a->len] = '\0';
		end = head_end(a);
	}
	if (!end)
		return g->host->fail(g->host, -EIO, "git http-backend did not "
				     "answer; is git installed whole?");
	a->body = (size_t)(end - a->head);
	char keep = *end;

	*end = '\0'; /* the last line's end is looked for up to here */
	take_headers(a, end);
	*end = keep;
	return 0;
}

struct call { /* of http-backend */
	char root[4200], method[32], query[64], type[160], encoding[96],
		protocol[96], length[48];
	const char *env[32];
};

static void set(const char **env, char *to, size_t cap, const char *name,
		const char *value)
{
	size_t n = 0;

	if (!value || strpbrk(value, "\r\n"))
		return;
	while (env[n])
		n++;
	snprintf(to, cap, "%s=%s", name, value);
	env[n] = to;
}

#define SET(c, member, name, value)                                            \
	set((c)->env, (c)->member, sizeof((c)->member), name, value)

static void describe(struct gate *g, struct scorpio_request *r,
		     const char *dir, const char *service, bool refs, int body,
		     uint64_t n, struct call *c)
{
	char text[64];
	size_t k = 0;

	memset(c, 0, sizeof(*c));
	for (; gate_git_env[k]; k++)
		c->env[k] = gate_git_env[k];
	c->env[k++] = "GIT_HTTP_EXPORT_ALL=1";
	c->env[k++] = "SERVER_PROTOCOL=HTTP/1.1";
	c->env[k++] = refs ? "PATH_INFO=/info/refs" :
		      strcmp(service, "git-upload-pack") == 0 ?
			     "PATH_INFO=/git-upload-pack" :
			     "PATH_INFO=/git-receive-pack";
	/* with a user it takes pushes */
	c->env[k++] = strcmp(service, "git-receive-pack") == 0 ?
			      "REMOTE_USER=pusher" : "REMOTE_USER=";
	SET(c, root, "GIT_PROJECT_ROOT", dir);
	SET(c, method, "REQUEST_METHOD", refs ? "GET" : "POST");
	snprintf(text, sizeof(text), "service=%s", service);
	SET(c, query, "QUERY_STRING", refs ? text : "");
	SET(c, type, "CONTENT_TYPE", g->http->header(r, "Content-Type"));
	SET(c, encoding, "HTTP_CONTENT_ENCODING",
	    g->http->header(r, "Content-Encoding"));
	SET(c, protocol, "GIT_PROTOCOL", g->http->header(r, "Git-Protocol"));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	SET(c, length, "CONTENT_LENGTH", body >= 0 ? text : "0");
}

static int run_backend(struct gate *g, struct scorpio_request *r,
		       const char *dir, const char *service, bool refs)
{
	static const char *const argv[] = { "git", "http-backend", NULL };
	struct answer *a = calloc(1, sizeof(*a));
	struct scorpio_body b = { .struct_size = sizeof(b), .ctx = a,
				  .size = SCORPIO_SIZE_UNKNOWN,
				  .read = answer_read, .done = answer_free };
	uint64_t n = 0;
	int fd = refs ? -1 : g->http->body_fd(r, &n);
	struct call c;
	int rc = a ? 0 : -ENOMEM;

	describe(g, r, dir, service, refs, fd, n, &c);
	if (!rc)
		rc = gate_child_new(g, argv, c.env, fd, &a->child);
	if (!rc)
		rc = read_head(g, a);
	if (!rc)
		return g->http->reply_body(r, a->status, a->headers, &b);
	answer_free(a);
	return say(g, r, rc);
}

/* -- which repository is meant ------------------------------------------------------ */

void gate_repo_path(const char *at, char ret[GATE_PATH_MAX])
{
	size_t n;

	snprintf(ret, GATE_PATH_MAX, "%s", at ? at : "");
	n = strlen(ret);
	if (n >= 4 && !strcmp(ret + n - 4, ".git"))
		ret[n - 4] = '\0';
	n = strlen(ret);
	if (n && ret[n - 1] == '/')
		ret[n - 1] = '\0';
}

static int serve_local(struct gate *g, struct scorpio_request *r,
		       const char *service, bool refs)
{
	char path[GATE_PATH_MAX], dir[4096];
	int rc;

	gate_repo_path(g->http->param(r, "at"), path);
	if (!*path)
		return run_backend(g, r, g->origin.at, service, refs);
	if (!strcmp(service, "git-receive-pack"))
		return gate_text(g, r, 403, "a part of the repository takes no "
				 "pushes here: push to the whole, /.git");
	rc = gate_part(g, path, dir, sizeof(dir));
	if (rc)
		return say(g, r, rc);
	return run_backend(g, r, dir, service, refs);
}

static int serve_far(struct gate *g, struct scorpio_request *r,
		     const char *service, bool refs)
{
	const char *at = g->http->param(r, "at");
	char path[GATE_PATH_MAX], *url;
	int rc;

	gate_repo_path(at, path);
	if (*path && g->origin.kind == GATE_GIT)
		return gate_text(g, r, 501, "a part of a repository can be "
				 "cloned only where the gateway's source is on "
				 "its own machine: clone the whole, /.git");
	if (strpbrk(path, " %?#\"<>\\^`{|}"))
		return gate_text(g, r, 404, "no such repository");
	rc = asprintf(&url, "%s%s%s%s/%s%s", g->origin.at, *path ? "/" : "",
		      path,
		      g->origin.kind == GATE_GIT ? "" : *path ? ".git" :
								"/.git",
		      refs ? "info/refs?service=" : "", service);
	if (rc < 0)
		return -ENOMEM;
	rc = relay_send(g, r, url, strcmp(service, "git-receive-pack") ? 0 :
				   refs ? RELAY_WRITES :
					  RELAY_WRITES | RELAY_ONCE);
	free(url);
	return rc ? say(g, r, rc) : 0;
}

bool gate_can_clone(const struct gate *g, const char *path)
{
	return g->origin.kind == GATE_LOCAL || g->origin.kind == GATE_MONO ||
	       (g->origin.kind == GATE_GIT && !*path);
}

static int serve(struct gate *g, struct scorpio_request *r,
		 const char *service, bool refs)
{
	static const char *const ask[] = {
		"WWW-Authenticate: Basic realm=\"scorpio\"",
		"Content-Type: text/plain", NULL,
	};
	static const char why[] = "pushing needs the gateway's push token as "
				  "password\n";
	bool far = g->origin.kind != GATE_LOCAL;

	if (g->origin.kind == GATE_OTHER)
		return gate_text(g, r, 501, "the gateway's source is neither a "
				 "repository of its machine nor behind HTTP: "
				 "it cannot be cloned from here");
	if (!strcmp(service, "git-receive-pack") &&
	    !(far ? gate_may_write_far(g, r) : gate_pusher(g, r, NULL, 0)))
		return g->push_token ?
			       g->http->reply(r, 401, ask, why,
					      sizeof(why) - 1) :
			       gate_text(g, r, 403, "this gateway takes no "
					 "pushes: monogate.push_token is not "
					 "set");
	return far ? serve_far(g, r, service, refs) :
		     serve_local(g, r, service, refs);
}

int gate_info_refs(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	const char *service = g->http->query(r, "service", "");

	if (strcmp(service, "git-upload-pack") != 0 &&
	    strcmp(service, "git-receive-pack") != 0)
		return gate_text(g, r, 403, "only Git's smart HTTP is spoken "
				 "here: info/refs?service=git-upload-pack");
	return serve(g, r, service, true);
}

int gate_upload_pack(void *ctx, struct scorpio_request *r)
{
	return serve(ctx, r, "git-upload-pack", false);
}

int gate_receive_pack(void *ctx, struct scorpio_request *r)
{
	return serve(ctx, r, "git-receive-pack", false);
}
