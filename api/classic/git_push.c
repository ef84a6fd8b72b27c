/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git_push.c - Git's smart HTTP, protocol 0, as far as one commit needs it. The
 * server looks for the pack in the piece of the body that holds the command, so
 * both go in one piece.
 */
#include "api/classic/git_impl.h"
#include "core/error.h"
#include "core/http.h"
#include "core/path.h"

#define ANSWER_MAX (64 * MiB)
#define TOKEN_MAX 4096
#define REF "refs/heads/main"

static int take(void *ctx, const void *p, uint64_t n)
{
	buf_put(ctx, p, n);
	return 0;
}

/* Of [source.NAME] or the section mono; NULL if none. Owned. */
static char *token_of(const struct config_view *v)
{
	const char *s = config_view_get((void *)(uintptr_t)v, "token");
	const char *file = config_view_get((void *)(uintptr_t)v, "token_file");
	char *text = NULL;
	size_t n;

	if (s && *s)
		return xstrdup(s);
	if (!file || !*file || path_read(file, TOKEN_MAX, &text, &n))
		return NULL;
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}

int git_http(struct classic *c, const char *url, const char *type,
	     const struct buf *body, struct buf *ret, int *ret_status)
{
	struct config *conf = daemon_config(c->daemon);
	struct config_view view = { .config = conf, .backend = "mono",
				    .source = config_source_by_url(conf,
								c->source) };
	cleanup_free char *token = token_of(&view);
	cleanup_free char *kind = type ? xasprintf("Content-Type: %s", type)
				       : NULL;
	const char *headers[3] = { 0 };
	struct scorpio_http x = {
		.struct_size = sizeof(x), .url = url, .headers = headers,
		.timeout_ms = GIT_TIMEOUT_MS, .max_response = ANSWER_MAX,
		.on_data = take, .ctx = ret, .bearer = token,
		.flags = body ? SCORPIO_HTTP_NO_RETRY : 0,
	};
	const char *own = config_view_get(&view, "header");
	size_t n = 0;
	int rc;

	if (kind)
		headers[n++] = kind;
	if (own && *own)
		headers[n++] = own;
	if (body) {
		x.method = "POST";
		x.body = body->data;
		x.body_len = body->len;
	}
	rc = http_perform(&x);
	config_put(conf);
	if (token)
		explicit_bzero(token, strlen(token));
	*ret_status = x.status;
	return rc;
}

/* -- pkt-lines ----------------------------------------------------------------------- */

/* 1 and a line, 0 a flush, -1 the end or damage. */
static int next(const struct buf *b, size_t *at, const char **ret, size_t *n)
{
	const char *p = (const char *)b->data + *at;
	char head[5] = "";
	unsigned long len;

	if (b->len - *at < 4)
		return -1;
	memcpy(head, p, 4);
	if (strspn(head, "0123456789abcdefABCDEF") != 4)
		return -1;
	len = strtoul(head, NULL, 16);
	if (!len) {
		*at += 4;
		return 0;
	}
	if (len < 4 || len > b->len - *at)
		return -1;
	*ret = p + 4;
	*n = len - 4;
	*at += len;
	return 1;
}

static void put_line(struct buf *out, const void *p, size_t n)
{
	buf_printf(out, "%04zx", n + 4);
	buf_put(out, p, n);
}

char *git_base(const struct classic *c)
{
	const char *url = c->source + strlen("mono+");
	size_t n = strlen(url);

	while (n && url[n - 1] == '/')
		n--;
	return xstrndup(url, n);
}

static char *repository(const struct gitjob *j)
{
	cleanup_free char *base = git_base(j->classic);
	struct buf url = BUF_INIT;
	const char *p = j->mono;

	buf_puts(&url, base);
	do {
		size_t n = strcspn(p, "/");
		cleanup_free char *part = http_escape(p, n);

		buf_printf(&url, "/%s", part);
		p += n + (p[n] == '/');
	} while (*p);
	buf_puts(&url, ".git");
	return buf_steal(&url);
}

static int refused(const struct gitjob *j, int status)
{
	if (status == 401 || status == 403)
		return fail(-EACCES, "the server wants a token to push: set "
			    "mono.token_file to a file that holds one");
	return fail(-EIO, "the server does not offer /%s for Git (HTTP %d)",
		    j->mono, status);
}

int git_main_of(struct gitjob *j, const char *service, char ret_hex[GIT_HEX])
{
	cleanup_free char *repo = repository(j);
	cleanup_free char *url = xasprintf("%s/info/refs?service=%s", repo,
					   service);
	cleanup_buf struct buf got = BUF_INIT;
	const char *line;
	size_t at = 0, n;
	int status, kind, rc = git_http(j->classic, url, NULL, NULL, &got,
					&status);

	if (rc)
		return rc;
	if (status != 200)
		return refused(j, status);
	memset(ret_hex, '0', GIT_HEX - 1);
	ret_hex[GIT_HEX - 1] = '\0';
	while ((kind = next(&got, &at, &line, &n)) >= 0) {
		size_t len = kind ? strnlen(line, n) : 0;

		while (len && line[len - 1] == '\n')
			len--;
		if (len == 41 + strlen(REF) && line[40] == ' ' &&
		    !memcmp(line + 41, REF, strlen(REF)))
			memcpy(ret_hex, line, 40);
	}
	if (!at)
		return fail(-EBADMSG, "%s answers, but not as Git does", url);
	return 0;
}

/* "unpack ok", "ok REF", or why not. */
static int read_report(const struct buf *got)
{
	const char *line;
	size_t at = 0, n;
	bool unpacked = false, ok = false;
	int kind;

	while ((kind = next(got, &at, &line, &n)) >= 0) {
		if (!kind)
			continue;
		while (n && line[n - 1] == '\n')
			n--;
		if (n == 9 && !memcmp(line, "unpack ok", 9))
			unpacked = true;
		else if (n > 3 && !memcmp(line, "ok ", 3))
			ok = true;
		else
			return fail(-EIO, "the server refuses the push: %.*s",
				    (int)MIN(n, 500u), line);
	}
	return unpacked && ok ? 0
			      : fail(-EIO, "the server does not say that the "
				     "push was taken");
}

static int send(struct gitjob *j, const char *old, const char *new,
		struct pushpack *pack)
{
	cleanup_free char *repo = repository(j);
	cleanup_free char *url = xasprintf("%s/git-receive-pack", repo);
	cleanup_buf struct buf line = BUF_INIT, body = BUF_INIT, got = BUF_INIT;
	int status, rc;

	buf_printf(&line, "%s %s %s", old, new, REF);
	buf_putc(&line, 0);
	buf_puts(&line, " report-status agent=scorpio");
	put_line(&body, line.data, line.len);
	buf_puts(&body, "0000");
	pushpack_finish(pack, &body);
	rc = git_http(j->classic, url, "application/x-git-receive-pack-request",
		      &body, &got, &status);
	if (rc)
		return rc;
	return status == 200 ? read_report(&got) : refused(j, status);
}

int classic_git_push(struct classic *c, const char *path)
{
	struct pushpack *pack = pushpack_new();
	char old[GIT_HEX], new[GIT_HEX];
	json_t *commit, *info = NULL;
	struct gitjob j;
	int rc = gitjob_begin(c, path, &j);

	if (rc)
		goto out;
	commit = json_object_get(j.doc, "commit");
	if (!json_is_object(commit))
		rc = fail(-ENODATA, "nothing is committed: add, commit, then "
			  "push");
	if (!rc)
		rc = git_main_of(&j, "git-receive-pack", old);
	if (!rc)
		rc = git_build(&j, json_object_get(commit, "entries"),
			       json_get_text(commit, "message", ""), old, pack,
			       new, &info);
	/* nobody shall see a pointer to what is not there */
	if (!rc)
		rc = gitlfs_upload(&j, json_object_get(commit, "entries"));
	if (!rc)
		rc = send(&j, old, new, pack);
	if (!rc) {
		json_object_set_new(j.doc, "commit", json_null());
		rc = gitjob_save(&j);
	}
	json_decref(info);
	gitjob_end(&j);
out:
	pushpack_free(pack);
	return rc;
}
