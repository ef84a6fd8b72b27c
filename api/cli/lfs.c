/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lfs.c - `scorpio lfs`: the locks of Git LFS files of a workspace. Asks the LFS
 * server itself, with the addresses and logins that the layer uses.
 *
 * Source: git-lfs docs/api/locking.md.
 */
#include "api/cli/workspace.h"
#include "api/lfsclient.h"
#include "core/error.h"
#include "core/http.h"

#define LOCKS_MAX 100000u

enum { OPT_FORCE = 1 };

static bool force;

static const struct argp_option lfs_options[] = {
	{ "force", OPT_FORCE, NULL, 0, "unlock: also what another has locked", 0 },
	{ 0 },
};

static int lfs_option(struct cli *c UNUSED, int key, const char *v UNUSED)
{
	force = force || key == OPT_FORCE;
	return 0;
}

struct locking {
	struct cli *cli;
	struct workspace_at at;
	struct lfsclient client;
	const char *ref;
};

/* -- the server ---------------------------------------------------------------- */

static int reach(struct locking *l)
{
	l->ref = strncmp(l->at.label, "refs/", 5) ? "refs/heads/main"
						  : l->at.label;
	return lfsclient_open(l->cli->config, l->at.source, l->at.dir,
			      &l->client);
}

static void locking_done(struct locking *l)
{
	lfsclient_done(&l->client);
	workspace_at_done(&l->at);
}

static int call(struct locking *l, const char *what, json_t *body /* takes */,
		struct lfsreply *r, json_t **ret)
{
	cleanup_free char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	int rc = lfsserver_call(&l->client.lfs, what, text, r);

	json_decref(body);
	if (rc)
		return rc;
	*ret = r->text.n ? json_loadb(r->text.p, r->text.n, 0, NULL) : NULL;
	if (r->status / 100 != 2 && !(r->status == 409 && *ret)) {
		json_decref(*ret);
		*ret = NULL;
		return lfsserver_error(&l->client.lfs, "a question for locks", r);
	}
	return *ret ? 0 : fail(-EBADMSG, "the LFS server's answer is no JSON");
}

/* -- locks --------------------------------------------------------------------------- */

/* All locks, or that of `path`, as an array. */
static int list(struct locking *l, const char *path, json_t **ret)
{
	cleanup_free char *cursor = xstrdup("");
	json_t *all = json_array(), *page;
	int rc = 0;

	while (!rc) {
		struct lfsreply r __attribute__((cleanup(lfsreply_done))) = {
			.status = 0
		};
		cleanup_free char *from = http_escape(cursor, strlen(cursor));
		cleanup_free char *of = http_escape(path, strlen(path));
		cleanup_free char *what = xasprintf(
			"locks?limit=100%s%s%s%s", *path ? "&path=" : "", of,
			*cursor ? "&cursor=" : "", from);

		rc = call(l, what, NULL, &r, &page);
		if (rc)
			break;
		json_array_extend(all, json_object_get(page, "locks"));
		free(cursor);
		cursor = xstrdup(json_get_text(page, "next_cursor", ""));
		json_decref(page);
		if (!*cursor)
			break;
		if (json_array_size(all) > LOCKS_MAX)
			rc = fail(-EFBIG, "the LFS server names more than %u "
				  "locks", LOCKS_MAX);
	}
	if (rc)
		json_decref(all);
	else
		*ret = all;
	return rc;
}

/* Without what could disturb a terminal. */
static char *plain(const char *text)
{
	char *s = xstrdup(text);

	for (char *p = s; *p; p++)
		if ((uint8_t)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return s;
}

static void show(const json_t *locks)
{
	static const char *const heads[] = { "PATH", "OWNER", "SINCE", "ID" };
	struct cli_table t = { .columns = 4, .heads = heads, .align = "llll" };
	json_t *v;
	size_t i;

	json_array_foreach(locks, i, v) {
		cleanup_free char *path = plain(cli_text(v, "path"));
		cleanup_free char *since = plain(cli_text(v, "locked_at"));
		cleanup_free char *id = plain(cli_text(v, "id"));
		cleanup_free char *owner = plain(
			cli_text(json_object_get(v, "owner"), "name"));

		cli_table_add(&t, path, *owner ? owner : "-", since, id);
	}
	cli_table_print(&t);
}

static int run_locks(struct locking *l)
{
	json_t *all = NULL;
	int rc = list(l, l->at.rel, &all);

	if (rc)
		return rc;
	if (l->cli->json)
		cli_print_json(all);
	else
		show(all);
	json_decref(all);
	return 0;
}

static int run_lock(struct locking *l)
{
	struct lfsreply r __attribute__((cleanup(lfsreply_done))) = { 0 };
	json_t *v = NULL;
	int rc = call(l, "locks",
		      json_pack("{s:s,s:{s:s}}", "path", l->at.rel, "ref",
				"name", l->ref), &r, &v);
	const json_t *lock = json_object_get(v, "lock");

	if (rc)
		return rc;
	if (r.status == 409) {
		cleanup_free char *who = plain(
			cli_text(json_object_get(lock, "owner"), "name"));

		rc = fail(-EBUSY, "it is locked already, by %s",
			  *who ? who : "somebody");
	} else if (l->cli->json) {
		cli_print_json(lock);
	} else if (!l->cli->quiet) {
		printf("%s is locked\n", l->at.rel);
	}
	json_decref(v);
	return rc;
}

static int unlock(struct locking *l, const char *id)
{
	struct lfsreply r __attribute__((cleanup(lfsreply_done))) = { 0 };
	cleanup_free char *name = http_escape(id, strlen(id));
	cleanup_free char *what = xasprintf("locks/%s/unlock", name);
	json_t *v = NULL;
	int rc = call(l, what, json_pack("{s:b,s:{s:s}}", "force", force, "ref",
					 "name", l->ref), &r, &v);

	if (!rc && !l->cli->quiet)
		printf("%s is unlocked\n", l->at.rel);
	json_decref(v);
	return rc;
}

static int run_unlock(struct locking *l)
{
	json_t *all = NULL, *v;
	const char *id = "";
	size_t i;
	int rc = list(l, l->at.rel, &all);

	if (rc)
		return rc;
	json_array_foreach(all, i, v)
		if (!strcmp(cli_text(v, "path"), l->at.rel))
			id = cli_text(v, "id");
	rc = *id ? unlock(l, id) : fail(-ENOENT, "it is not locked");
	json_decref(all);
	return rc;
}

static int lfs_run(struct cli *c)
{
	static int (*const run[])(struct locking *l) = { run_locks, run_lock,
							 run_unlock };
	static const char *const verbs[] = { "locks", "lock", "unlock" };
	struct locking l = { .cli = c };
	size_t verb = 0;
	int rc;

	while (verb < ARRAY_SIZE(verbs) && strcmp(c->args[0], verbs[verb]))
		verb++;
	if (verb == ARRAY_SIZE(verbs))
		return cli_usage(c, "locks, lock or unlock, not %s", c->args[0]);
	rc = cli_config(c);
	if (!rc)
		rc = workspace_find(c, c->args[1], &l.at);
	if (rc)
		return rc;
	if (verb && !*l.at.rel) {
		workspace_at_done(&l.at);
		return cli_usage(c, "%s wants a file in a workspace",
				 verbs[verb]);
	}
	rc = reach(&l);
	if (!rc)
		rc = run[verb](&l);
	if (rc)
		rc = cli_errno(rc, EXIT_INTERNAL, "scorpio lfs locks DIR shows "
			       "what is locked", "cannot %s %s",
			       verb ? verbs[verb] : "list the locks of",
			       c->args[1]);
	locking_done(&l);
	return rc;
}

const struct cli_command cmd_lfs = {
	.name = "lfs",
	.args = "locks|lock|unlock PATH",
	.verbs = "locks lock unlock",
	.summary = "the locks of Git LFS files",
	.help = "locks lists those of a workspace, or of one file in it; lock "
		"and unlock want a file.\nThe server knows you by the login "
		"that downloads use (docs/lfs.md).",
	.min_args = 2,
	.max_args = 2,
	.options = lfs_options,
	.option = lfs_option,
	.run = lfs_run,
};
