/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.c - the commits and directories before the mounted commit, and the
 * other branches: fetched in the background into the repository of the source,
 * once for all its workspaces, without files. Then the workspace's history no
 * longer ends at its commit.
 */
#include "api/gitwork/server.h"

#include "backends/git/url.h"
#include "core/error.h"
#include "core/log.h"
#include "core/path.h"

/* Which branch the server calls its own. */
static void learn_head(struct gitjob *j, const char *shared)
{
	const char *argv[] = { "git", "--git-dir", shared, "ls-remote",
			       "--symref", "origin", "HEAD", NULL };
	cleanup_buf struct buf out = BUF_INIT;
	cleanup_free char *target = NULL;
	const char *s;

	if (gitrun(j, argv, &out))
		return;
	s = buf_str(&out);
	if (strncmp(s, "ref: refs/heads/", 16))
		return;
	target = xstrndup(s + 5, strcspn(s + 5, "\t\n"));
	const char *set[] = { "git", "--git-dir", shared, "symbolic-ref",
			      "HEAD", target, NULL };
	if (gitrun(j, set, NULL))
		log_debug("git", "%s: %s", shared, error_text(-EIO));
}

static int fetch_history(struct gitjob *j, const char *shared)
{
	cleanup_free char *shallow = xasprintf("%s/shallow", shared);
	const char *argv[] = {
		"git", "--git-dir", shared, "fetch", "--quiet", "--tags",
		"--force", "--filter=blob:none", "--no-write-fetch-head",
		"--no-auto-maintenance", "--no-recurse-submodules",
		access(shallow, F_OK) ? "--update-head-ok" : "--unshallow",
		"--update-head-ok", "origin", "+refs/heads/*:refs/heads/*",
		NULL
	};
	int rc = gitrun(j, argv, NULL);

	if (rc)
		return rc;
	learn_head(j, shared);
	return gitserver_mark(shared, "history");
}

static int set_head(struct gitjob *j, const char *shared, const char *gitdir)
{
	const char *ask[] = { "git", "--git-dir", shared, "symbolic-ref",
			      "HEAD", NULL };
	cleanup_buf struct buf out = BUF_INIT;
	cleanup_free char *target = NULL;
	int rc = gitrun(j, ask, &out);

	if (rc || strncmp(buf_str(&out), "refs/heads/", 11) ||
	    !strcmp(buf_str(&out), "refs/heads/scorpio-none"))
		return rc;
	target = xasprintf("refs/remotes/origin/%s", buf_str(&out) + 11);
	const char *set[] = { "git", "-c", "safe.directory=*", "--git-dir",
			      gitdir, "symbolic-ref",
			      "refs/remotes/origin/HEAD", target, NULL };
	return gitrun(j, set, NULL);
}

/* The tags that came along are nobody's work: pristine.c. */
static int note_tags(struct gitjob *j, const char *shared, const char *gitdir)
{
	const char *argv[] = { "git", "--git-dir", shared, "for-each-ref",
			       "--format=%(objectname) %(refname)",
			       "refs/tags", NULL };
	cleanup_free char *path = xasprintf("%s/scorpio.refs", gitdir);
	cleanup_buf struct buf out = BUF_INIT;
	cleanup_free char *first = NULL;
	size_t n;
	int rc = path_read(path, 256 * MiB, &first, &n);

	if (!rc)
		rc = gitrun(j, argv, &out);
	if (rc)
		return rc;
	buf_putc(&out, '\n');
	buf_put(&out, first, n);
	return path_write(path, out.data, out.len, 0644, false);
}

/* Give the workspace what its source's repository has now. */
static int take_over(struct gitjob *j, const char *shared)
{
	cleanup_free char *gitdir = gitprepare_gitdir(j->state_dir);
	cleanup_free char *shallow = xasprintf("%s/shallow", gitdir);
	const char *argv[] = {
		"git", "-c", "safe.directory=*", "--git-dir", gitdir, "fetch",
		"--quiet", "--no-write-fetch-head", "--no-auto-maintenance",
		"--no-recurse-submodules", shared,
		"+refs/heads/*:refs/remotes/origin/*",
		"refs/tags/*:refs/tags/*", NULL
	};

	const char *pack[] = { "git", "-c", "safe.directory=*", "--git-dir",
			       gitdir, "pack-refs", "--all", NULL };
	int rc;

	unlink(shallow);
	rc = gitrun(j, argv, NULL);
	if (!rc)
		rc = set_head(j, shared, gitdir);
	if (!rc)
		rc = gitrun(j, pack, NULL);
	return rc ? rc : note_tags(j, shared, gitdir);
}

int gitserver_background(struct gitjob *j)
{
	cleanup_free char *gitdir = gitprepare_gitdir(j->state_dir);
	cleanup_free char *shallow = xasprintf("%s/shallow", gitdir);
	cleanup_free char *shared = NULL;
	struct giturl url;
	const char *why;
	int lock, rc = giturl_parse(j->source, &url, &why);

	if (rc)
		return rc;
	if (url.kind != GITURL_LOCAL)
		shared = gitserver_shared(j->state_dir, url.text);
	giturl_done(&url);
	if (!shared || access(shallow, F_OK))
		return 0;
	lock = gitserver_lock(shared);
	if (lock < 0)
		return lock;
	rc = gitserver_marked(shared, "history") ? 0
						 : fetch_history(j, shared);
	close(lock);
	return rc ? rc : take_over(j, shared);
}
