/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - workspaces of repositories on a server. On the local disk beside
 * the workspaces:
 *
 *	git/sources/HASH.git  one for each source: its commits and directories,
 *	                      as a partial clone. All its workspaces name it as
 *	                      alternate, so history is fetched once
 *	git/views/NAME        the files of one workspace's revision as git
 *	                      objects (fs/objects.h), another alternate
 *
 * The commit comes from the server, by git. The directories are those the
 * mount fetched anyway, as one pack. Files are seen through the view, so that
 * git finds all of the revision's and never asks the server for them; those of
 * other revisions it fetches itself, many at once, because origin is a
 * promisor. History follows in the background; until then it ends at the
 * mounted commit.
 */
#include "api/gitwork/server.h"

#include "backends/git/url.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/path.h"
#include "fs/objects.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

/* Whoever holds the lock runs git, which fetch.timeout ends. */
#define LOCK_WAIT_MS (30 * 60 * 1000)

#define HERE(x) "--git-dir", (x)->shared

char *gitserver_base(const char *state_dir, const char *below,
		     const char *name)
{
	cleanup_free char *s = xstrdup(state_dir);

	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(s, '/');

		if (slash)
			*slash = '\0';
	}
	return xasprintf("%s/git/%s/%s", s, below, name);
}

char *gitserver_shared(const char *state_dir, const char *url)
{
	cleanup_free char *name =
		xasprintf("%016llx.git", (unsigned long long)hash_xxh3(
						 url, strlen(url), 0));

	return gitserver_base(state_dir, "sources", name);
}

/* One for each revision: a program of git's that began before a switch goes on
 * with the one it knows. */
static char *view_dir(const char *state_dir, const char *rev)
{
	const char *slash = strrchr(state_dir, '/');
	cleanup_free char *name = xasprintf("%s@%.12s",
					    slash ? slash + 1 : "x", rev);

	return gitserver_base(state_dir, "views", name);
}

int gitserver_lock(const char *shared)
{
	static const struct timespec pause = { .tv_nsec = 20 * NS_PER_MS };
	cleanup_free char *path = xasprintf("%s.lock", shared);
	int64_t deadline = deadline_in_ms(LOCK_WAIT_MS);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(-errno, "%s: %s", path, strerror(errno));
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		int rc = errno == EINTR || errno == EWOULDBLOCK
				 ? call_check()
				 : fail(-errno, "%s: %s", path, strerror(errno));

		if (!rc && now_ns() > deadline)
			rc = fail(-ETIMEDOUT, "%s: another process holds it",
				  path);
		if (rc) {
			close(fd);
			return rc;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

bool gitserver_marked(const char *shared, const char *mark)
{
	cleanup_free char *path = xasprintf("%s/scorpio/%s", shared, mark);

	return !access(path, F_OK);
}

int gitserver_mark(const char *shared, const char *mark)
{
	cleanup_free char *dir = xasprintf("%s/scorpio", shared);
	int rc = path_make_dirs(dir, 0755);

	return rc ? rc : gitprepare_write(dir, mark, "", 0);
}

/* -- the source's repository --------------------------------------------------------- */

static int set(struct gitprepare *p, const char *key, const char *value)
{
	const char *argv[] = { "git", HERE(p), "config", key, value, NULL };

	return gitrun(p->job, argv, NULL);
}

static int make_shared(struct gitprepare *p)
{
	static const char *const settings[][2] = {
		{ "core.repositoryformatversion", "1" },
		{ "extensions.partialClone", "origin" },
		{ "remote.origin.promisor", "true" },
		{ "remote.origin.partialclonefilter", "blob:none" },
		{ "gc.auto", "0" },
		{ "maintenance.auto", "false" },
		{ "transfer.unpackLimit", "1" },
	};
	const char *argv[] = { "git", "init", "-q", "--bare", "--template=",
			       "-b", "scorpio-none", p->shared, NULL };
	int rc = gitserver_marked(p->shared, "made") ? 1 : 0;

	if (rc)
		return 0;
	rc = path_make_dirs(p->shared, 0755);
	if (!rc)
		rc = gitrun(p->job, argv, NULL);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(settings); i++)
		rc = set(p, settings[i][0], settings[i][1]);
	if (!rc)
		rc = set(p, "remote.origin.url", p->url);
	return rc ? rc : gitserver_mark(p->shared, "made");
}

/* The mounted commit alone, or, once history is there, up to it. */
static int fetch_commit(struct gitprepare *p)
{
	const char *rev = p->rev;
	cleanup_free char *mark = xasprintf("commit-%s", rev);
	cleanup_free char *spec = xasprintf("+%s:refs/scorpio/%s", rev, rev);
	bool whole = gitserver_marked(p->shared, "history");
	const char *argv[] = {
		"git", HERE(p), "fetch", "--quiet", "--no-tags",
		"--no-write-fetch-head", "--no-auto-maintenance",
		"--no-recurse-submodules",
		whole ? "--filter=blob:none" : "--filter=tree:0",
		whole ? "--update-head-ok" : "--depth=1", "origin", spec,
		NULL
	};
	int rc;

	if (gitserver_marked(p->shared, mark))
		return 0;
	rc = gitrun(p->job, argv, NULL);
	return rc ? rc : gitserver_mark(p->shared, mark);
}

static int put_alternates(struct gitprepare *p)
{
	cleanup_free char *text = xasprintf("%s/objects\n%s\n", p->shared,
					    p->view);

	return gitprepare_write(p->build, "objects/info/alternates", text,
				strlen(text));
}

/* The same in a repository that is in use: what else stands there stays. */
static int update_alternates(struct gitprepare *p)
{
	cleanup_free char *path = xasprintf("%s/objects/info/alternates",
					    p->gitdir);
	cleanup_free char *views = gitserver_base(p->job->state_dir, "views",
						  "");
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_free char *text = NULL;
	size_t n;
	int rc = path_read(path, MiB, &text, &n);

	if (rc)
		return rc;
	for (const char *s = text; *s; s += n) {
		n = strcspn(s, "\n");
		n += s[n] == '\n';
		if (strncmp(s, views, strlen(views)) != 0)
			buf_put(&b, s, n);
	}
	buf_printf(&b, "%s\n", p->view);
	if (b.len == strlen(text) && !memcmp(b.data, text, b.len))
		return 0;
	rc = path_write(path, b.data, b.len, 0644, false);
	return rc ? rc : gitprepare_give(p, "objects/info/alternates");
}

static int copy_shallow(struct gitprepare *p)
{
	cleanup_free char *path = xasprintf("%s/shallow", p->shared);
	cleanup_free char *text = NULL;
	size_t n;

	if (access(path, F_OK))
		return 0;
	if (path_read(path, 16 * MiB, &text, &n) || !n)
		return 0;
	return gitprepare_write(p->build, "shallow", text, n);
}

int gitserver_setup(struct gitprepare *p, const char *url)
{
	cleanup_free char *views = NULL;
	int lock, rc;

	p->url = xstrdup(url);
	p->promisor = true;
	p->shared = gitserver_shared(p->job->state_dir, url);
	p->view = view_dir(p->job->state_dir, p->rev);
	p->harvest = githarvest_new();
	views = gitserver_base(p->job->state_dir, "views", "");
	rc = path_make_dirs(p->shared, 0755);
	if (!rc)
		rc = path_make_dirs(views, 0755);
	if (rc)
		return rc;
	lock = gitserver_lock(p->shared);
	if (lock < 0)
		return lock;
	rc = make_shared(p);
	if (!rc)
		rc = fetch_commit(p);
	if (!rc)
		rc = put_alternates(p);
	if (!rc)
		rc = copy_shallow(p);
	if (!rc)
		rc = gitobjects_refs(p, p->shared);
	close(lock);
	if (!rc && p->branch && !p->refs.len)
		buf_printf(&p->refs, "%s refs/remotes/origin/%s\n",
			   p->rev, p->branch);
	return rc;
}

/* Is this a workspace of a server's repository? Then where the shared one is. */
static int find_shared(struct gitprepare *p)
{
	struct giturl url;
	const char *why;
	int rc = giturl_parse(p->job->source, &url, &why);

	if (rc)
		return fail(rc, "%s", why);
	if (url.kind != GITURL_LOCAL) {
		p->shared = gitserver_shared(p->job->state_dir, url.text);
		p->url = xstrdup(url.text);
	}
	giturl_done(&url);
	return 0;
}

int gitserver_follow(struct gitprepare *p)
{
	cleanup_free char *shallow = xasprintf("%s/shallow", p->gitdir);
	int lock, rc = find_shared(p);

	if (rc || !p->shared)
		return rc;
	lock = gitserver_lock(p->shared);
	if (lock < 0)
		return lock;
	rc = fetch_commit(p);
	if (!rc && !access(shallow, F_OK)) {
		free(p->build);
		p->build = xstrdup(p->gitdir);
		rc = copy_shallow(p);
	}
	close(lock);
	if (!rc && !p->harvest)
		p->harvest = githarvest_new();
	return rc;
}

/* -- when the index is there --------------------------------------------------------- */

static int store_trees(struct gitprepare *p)
{
	const char *argv[] = { "git", HERE(p), "index-pack", "--stdin",
			       "--promisor=scorpio", NULL };
	cleanup_free char *mark = xasprintf("trees-%s", p->rev);
	const struct buf *pack;
	int lock, rc;

	if (gitserver_marked(p->shared, mark))
		return 0;
	lock = gitserver_lock(p->shared);
	if (lock < 0)
		return lock;
	pack = githarvest_pack(p->harvest);
	rc = gitrun_input(p->job, argv, pack->data, pack->len);
	if (!rc)
		rc = gitserver_mark(p->shared, mark);
	close(lock);
	return rc;
}

/* git reads every .gitignore: bring them together. */
static int warm_ignores(struct gitprepare *p)
{
	struct gitjob *j = p->job;
	size_t n;
	const char *const *rel = githarvest_ignores(p->harvest, &n);
	char **paths = xcalloc(n + 1, sizeof(*paths));
	int rc;

	for (size_t i = 0; i < n; i++)
		paths[i] = xasprintf("%s/%s", j->dir, rel[i]);
	rc = n ? fs_warm(j->g->fs, (const char *const *)paths, n, false,
			 j->deadline, NULL, NULL)
	       : 0;
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
	if (rc) /* then git brings them one by one */
		log_debug("git", "%s: %s", j->dir, error_text(rc));
	return 0;
}

int gitserver_finish(struct gitprepare *p)
{
	const struct buf *table = githarvest_table(p->harvest);
	int rc = store_trees(p);

	if (!rc) /* a new file: the old one may be mapped */
		rc = gitprepare_write(p->build, "scorpio.blobs", table->data,
				      table->len);
	return rc ? rc : warm_ignores(p);
}

int gitserver_show(struct gitprepare *p)
{
	cleanup_free char *table = xasprintf("%s/scorpio.blobs", p->gitdir);
	struct fs_objects *was = p->job->objects;
	int rc;

	if (access(table, F_OK)) /* of a repository of this machine */
		return 0;
	free(p->view);
	p->view = view_dir(p->job->state_dir, p->rev);
	if (was && !strcmp(fs_objects_dir(was), p->view))
		return 0;
	rc = fs_objects_new(p->job->g->fs, p->job->id, table, p->view,
			    &p->job->objects);
	if (rc)
		return rc;
	rc = update_alternates(p);
	if (rc) { /* git goes on with the one it knows */
		fs_objects_free(p->job->objects);
		p->job->objects = was;
		return rc;
	}
	fs_objects_free(was);
	return 0;
}
