/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.c - who made what, and when: the last commit of each entry of a
 * directory. A repository of this machine tells it, or the history of one behind
 * HTTP, which is fetched; another Mono server is asked; of other sources only
 * revisions are known.
 */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK '\x1e'
#define FOUND_ALL 1
#define TOKEN_MAX 70000u /* a commit's subject, or a path */

/* -- `git log`, read as it comes -------------------------------------------------------- */

struct search {
	const char *dir; /* "" or "a/b/" */
	size_t dir_len;
	json_t *wanted;  /* name: null, or its commit */
	size_t left;
	json_t *commit; /* the one whose paths come */
	char token[TOKEN_MAX];
	size_t len;
	bool bad;
};

static void begin_commit(struct search *s, char *text)
{
	char *date = strchr(text, '\x1f'), *subject;

	json_decref(s->commit);
	s->commit = NULL;
	subject = date ? strchr(date + 1, '\x1f') : NULL;
	if (!subject)
		return;
	*date++ = '\0';
	*subject++ = '\0';
	s->commit = json_pack("{s:s,s:s}", "commit_id", text, "date", date);
	/* a subject need not be UTF-8 */
	if (json_object_set_new(s->commit, "commit_message",
				json_string(subject)))
		json_object_set_new(s->commit, "commit_message",
				    json_string(""));
}

static void take_path(struct search *s, char *path)
{
	const json_t *known;

	if (strncmp(path, s->dir, s->dir_len) != 0 || !s->commit)
		return;
	path += s->dir_len;
	path[strcspn(path, "/")] = '\0';
	known = json_object_get(s->wanted, path);
	if (!known || !json_is_null(known))
		return;
	json_object_set(s->wanted, path, s->commit);
	s->left--;
}

/* Between two NULs: "\x1eID\x1fTIME\x1fSUBJECT\x1e", perhaps with the first path
 * behind it, or a path. */
static void take_token(struct search *s)
{
	char *p = s->token, *end;

	s->token[s->len] = '\0';
	while (*p == '\n')
		p++;
	if (*p == MARK) {
		end = strchr(++p, MARK);
		if (!end)
			return;
		*end = '\0';
		begin_commit(s, p);
		for (p = end + 1; *p == '\n'; p++)
			;
	}
	if (*p)
		take_path(s, p);
}

static int read_log(void *ctx, const void *data, uint64_t n)
{
	struct search *s = ctx;
	const char *p = data;

	for (uint64_t i = 0; i < n; i++) {
		if (p[i]) {
			if (s->len + 1 < sizeof(s->token))
				s->token[s->len++] = p[i];
			continue;
		}
		take_token(s);
		s->len = 0;
		if (!s->left)
			return FOUND_ALL;
	}
	return 0;
}

static int ask_git(struct gate *g, const char *commit, struct search *s)
{
	char git_dir[4200];
	const char *at;
	const char *const argv[] = {
		"git", git_dir, "-c", "log.showSignature=false", "log", "-z",
		"--no-color", "--no-renames", "--name-only", "--no-notes",
		"--format=%x1e%H%x1f%ct%x1f%s%x1e", commit, "--",
		s->dir_len ? s->dir : NULL, NULL,
	};
	int rc = gate_history_of(g, commit, &at);

	if (rc)
		return rc;
	snprintf(git_dir, sizeof(git_dir), "--git-dir=%s", at);
	rc = gate_git_each(g, argv, read_log, s);
	if (!rc && s->len)
		take_token(s);
	return rc == FOUND_ALL ? 0 : rc;
}

/* -- commit-info -------------------------------------------------------------------------- */

static json_t *row(const struct gate_entry *e, const json_t *commit)
{
	json_t *v = json_pack("{s:s%,s:s}", "name", e->name,
			      (size_t)e->e.name_len, "content_type",
			      e->e.kind == SCORPIO_DIR ? "directory" : "file");

	if (v && !json_is_object(commit))
		json_object_update_new(v, json_pack("{s:s,s:s,s:s}",
						    "commit_id", "", "date",
						    "", "commit_message",
						    ""));
	else if (v)
		json_object_update(v, (json_t *)(uintptr_t)commit);
	return v;
}

static int find_commits(struct gate *g, struct gate_place *at,
			const struct gate_children *l, json_t *wanted)
{
	char dir[GATE_PATH_MAX + 2];
	struct search *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	snprintf(dir, sizeof(dir), "%s%s", at->path, *at->path ? "/" : "");
	s->dir = dir;
	s->dir_len = strlen(dir);
	s->wanted = wanted;
	for (size_t i = 0; i < l->n; i++)
		json_object_set_new(wanted, l->at[i].name, json_null());
	s->left = json_object_size(wanted);
	rc = s->left ? ask_git(g, at->rev.text, s) : 0;
	json_decref(s->commit);
	free(s);
	return rc;
}

/* Directories first, as everywhere. */
static json_t *rows(const struct gate_children *l, const json_t *commits)
{
	json_t *out = json_array();

	for (int dirs = 1; dirs >= 0; dirs--)
		for (size_t i = 0; i < l->n; i++) {
			const struct gate_entry *e = &l->at[i];
			json_t *v = (e->e.kind == SCORPIO_DIR) == dirs ?
					    row(e, json_object_get(commits,
								   e->name)) :
					    NULL;

			if (v)
				json_array_append_new(out, v);
		}
	return out;
}

int gate_commit_info(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct gate_place at;
	struct gate_children l = { 0 };
	json_t *commits;
	bool known;
	int rc;

	if (g->origin.kind == GATE_MONO)
		return gate_forward(g, r, "tree/commit-info");
	if (!gate_has_history(g))
		return gate_error(g, r, g->host->fail(g->host, -ENOTSUP,
			"the history of single files is known only where the "
			"gateway's source is a repository of its machine, or "
			"behind HTTP"));
	rc = gate_find(g, r, &at, &known);
	if (rc == -ENOENT && known)
		return gate_data(g, r, json_array());
	if (!rc)
		rc = gate_children_get(g, &at.dir, &l);
	commits = json_object();
	if (!rc)
		rc = find_commits(g, &at, &l, commits);
	rc = rc ? gate_error(g, r, rc) : gate_data(g, r, rows(&l, commits));
	json_decref(commits);
	gate_children_done(&l);
	return rc;
}

/* -- who made a revision ---------------------------------------------------------------------- */

/* The words of a commit, or empty ones. */
static void words_of(struct gate *g, const char *commit, char **ret,
		     const char *part[3])
{
	char git_dir[4200];
	const char *const argv[] = { "git", git_dir, "-c",
				     "log.showSignature=false", "log", "-1",
				     "--no-notes", "--no-color",
				     "--format=%s%x1f%an%x1f%cn", commit, "--",
				     NULL };
	const char *at;
	char *p;

	*ret = NULL;
	part[0] = part[1] = part[2] = "";
	/* whoever mounts asks for the same commit: git is run once */
	*ret = gate_known_words(g, commit);
	if (!*ret) {
		if (!gate_history_known(g, commit, &at))
			return;
		snprintf(git_dir, sizeof(git_dir), "--git-dir=%s", at);
		if (gate_git(g, argv, ret, NULL))
			return;
		gate_known_keep_words(g, commit, *ret);
	}
	p = *ret;
	p[strcspn(p, "\n")] = '\0';
	for (int i = 0; i < 3 && p; i++) {
		char *end = strchr(p, '\x1f');

		part[i] = p;
		if (end)
			*end++ = '\0';
		p = end;
	}
}

static json_t *text(const char *s)
{
	json_t *v = json_string(s);

	return v ? v : json_string("");
}

int gate_latest_commit(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct scorpio_revision rev;
	const char *part[3];
	long long seconds;
	char date[32], *words;
	int rc = gate_resolve(g, g->http->query(r, "refs", ""), &rev);

	if (rc < 0)
		return gate_error(g, r, rc);
	seconds = rev.time_ns == SCORPIO_TIME_UNKNOWN ?
			  0 : rev.time_ns / 1000000000;
	snprintf(date, sizeof(date), "%lld", seconds);
	words_of(g, rev.text, &words, part);
	rc = gate_json(g, r, 200,
		       json_pack("{s:s,s:s,s:o,s:o,s:o,s:s}", "oid", rev.text,
				 "date", date, "short_message", text(part[0]),
				 "author", text(part[1]), "committer",
				 text(part[2]), "status", "success"));
	free(words);
	return rc;
}

int gate_status(void *ctx, struct scorpio_request *r)
{
	return gate_json(ctx, r, 200, json_string("http ready"));
}
