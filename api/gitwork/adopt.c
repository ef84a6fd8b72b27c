/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adopt.c - the workspace follows when git moves: `git switch`, `reset --hard`,
 * `pull` and others write the files of another commit. They are private changes
 * then, until the workspace shows that commit itself.
 */
#include "api/gitwork/prepare.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#define SHORT_MS 30000

#define GIT(d) "git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", \
	       "--git-dir", d

static bool at_work(const char *gitdir)
{
	static const char *const signs[] = { "index.lock", "rebase-merge",
					     "rebase-apply" };

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		cleanup_free char *path = xasprintf("%s/%s", gitdir, signs[i]);

		if (!access(path, F_OK))
			return true;
	}
	return false;
}

/* Commits that were only made here are not asked for over the network. */
static bool source_has(struct gitjob *j, const char *gitdir, const char *commit)
{
	const char *argv[] = { GIT(gitdir), "for-each-ref", "--count=1",
			       "--contains", commit, "refs/remotes",
			       "refs/tags", NULL };
	cleanup_buf struct buf out = BUF_INIT;

	return !gitrun(j, argv, &out) && out.len;
}

static int adopt(struct gitjob *j, const char *commit, int64_t deadline)
{
	struct fs_switch_request r = { .rev = commit, .adopt = true,
				       .deadline = deadline };
	struct fs_switch_result x;
	struct fs_mount_info i;
	int rc = fs_switch(j->g->fs, j->id, &r, &x, NULL, NULL);

	if (!rc)
		rc = fs_find(j->g->fs, j->id, &i);
	if (rc)
		return rc;
	rc = gitjob_look(j, &i);
	fs_mount_info_done(&i);
	return rc;
}

/* lock: the job is ours */
static void follow_head(struct gitjob *j, int64_t deadline)
{
	cleanup_free char *gitdir = gitprepare_gitdir(j->state_dir);
	const char *argv[] = { GIT(gitdir), "rev-parse", "-q", "--verify",
			       "HEAD^{commit}", NULL };
	cleanup_buf struct buf out = BUF_INIT;
	const char *head;
	int rc;

	j->deadline = deadline;
	if (gitfollow_pending(gitdir)) {
		/* HEAD is of the revision that was left */
		gitfollow_again(j);
		return;
	}
	if (at_work(gitdir) || gitrun(j, argv, &out))
		return;
	head = buf_str(&out);
	if (!strcmp(head, j->rev) ||
	    (j->not_adopted && !strcmp(j->not_adopted, head)) ||
	    !source_has(j, gitdir, head))
		return;
	rc = adopt(j, head, deadline);
	if (!rc) {
		log_info("git", "%s: shows %.12s now, as git does", j->dir,
			 head);
		return;
	}
	log_debug("git", "%s: stays at %.12s: %s", j->dir, j->rev,
		  error_text(rc));
	if (rc != -EAGAIN)
		return;
	free(j->not_adopted);
	j->not_adopted = xstrdup(head);
}

int gitwork_settle(struct gitwork *g, const char *id_or_dir, int64_t deadline)
{
	struct gitjob *j = gitjob_take(g, id_or_dir,
				       MIN(deadline, deadline_in_ms(SHORT_MS)));
	uint64_t n;

	if (j) {
		follow_head(j, deadline);
		gitjob_give(j);
	}
	return fs_settle(g->fs, id_or_dir, deadline, &n);
}
