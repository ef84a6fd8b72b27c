/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow.c - git follows when a workspace shows another revision.
 *
 * The order, so that a crash at any point can be mended at the next mount:
 *
 *	index.lock       made (gitlock.c): no program of git's writes now
 *	scorpio.switch   the revision that is left
 *	the files move   one logged step (fs_switch)
 *	index, HEAD      from the tree alone, as at the first mount
 *	scorpio.switch   removed
 *	index.lock       removed
 *
 * Found at a mount, scorpio.switch tells by the revision the files show on
 * which side of the step the daemon ended. There was nothing staged, so the
 * index can be made again from nothing. A program of git's that the daemon had
 * started may still be at work then, and hold a lock of a reference.
 */
#include "api/gitwork/prepare.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "core/path.h"

#include <fcntl.h>
#include <sys/stat.h>

#define INTENT "scorpio.switch"
#define INTENT_MAX 1024
#define NEW_INDEX "scorpio.index"
#define LOCK_MS 10000   /* for a program of git's to end */
#define AGAIN_MS 30000  /* what failed is not tried sooner */

struct follow {
	struct gitprepare p;
	const struct fs_switch_request *r;
	bool locked;
	bool pristine; /* HEAD is as it was made */
	char *note;
};

#define GIT(x) "git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", \
	       "-c", "core.filesRefLockTimeout=10000", "-c", \
	       "core.packedRefsTimeout=10000", "--git-dir", (x)->p.gitdir

static char *in_git(const struct follow *x, const char *name)
{
	return xasprintf("%s/%s", x->p.gitdir, name);
}

static bool exists(const struct follow *x, const char *name)
{
	cleanup_free char *path = in_git(x, name);
	struct stat st;

	return !lstat(path, &st);
}

static void drop(const struct follow *x, const char *name)
{
	cleanup_free char *path = in_git(x, name);

	unlink(path);
}

/* -- may we ------------------------------------------------------------------------ */

static const struct {
	const char *file, *what, *how;
	bool forget; /* with force */
} under_way[] = {
	{ "MERGE_HEAD", "a merge", "git merge --continue or --abort", true },
	{ "CHERRY_PICK_HEAD", "a cherry-pick",
	  "git cherry-pick --continue or --abort", true },
	{ "REVERT_HEAD", "a revert", "git revert --continue or --abort", true },
	{ "rebase-merge", "a rebase", "git rebase --continue or --abort",
	  false },
	{ "rebase-apply", "a rebase or git am",
	  "git rebase or git am, with --continue or --abort", false },
	{ "BISECT_LOG", "a bisection", "git bisect reset", false },
};

static int check_under_way(struct follow *x)
{
	for (size_t i = 0; i < ARRAY_SIZE(under_way); i++) {
		if (!exists(x, under_way[i].file) || x->r->force)
			continue;
		return fail(-EBUSY, "%s is under way in git: end it with %s "
			    "first, or switch with force", under_way[i].what,
			    under_way[i].how);
	}
	return 0;
}

static void forget_under_way(struct follow *x)
{
	static const char *const more[] = { "MERGE_MSG", "MERGE_MODE",
					    "SQUASH_MSG", "AUTO_MERGE" };

	for (size_t i = 0; i < ARRAY_SIZE(under_way); i++)
		if (under_way[i].forget)
			drop(x, under_way[i].file);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		drop(x, more[i]);
}

static int check_staged(struct follow *x)
{
	const char *argv[] = { GIT(x), "diff-index", "--cached", "--quiet",
			       "--ignore-submodules", "HEAD", "--", NULL };
	int code, rc;

	if (x->r->force)
		return 0;
	rc = gitrun_code(x->p.job, argv, NULL, &code);
	if (rc || !code)
		return rc;
	if (code != 1)
		return fail(-EBUSY, "git cannot compare its index with HEAD: "
			    "bring it in order, or switch with force");
	return fail(-EBUSY, "git has staged entries that would be lost: commit "
		    "them, or take them back with git reset, or switch with "
		    "force");
}

/* Output of a command with one line. */
static int ask(struct follow *x, const char *const *argv, char **ret)
{
	struct buf out = BUF_INIT;
	int rc = gitrun(x->p.job, argv, &out);

	*ret = rc ? NULL : xstrdup(buf_str(&out));
	buf_done(&out);
	return rc;
}

/* What is committed and not in the revision that is shown would be kept as
 * private changes, over the other revision. */
static int check_commits(struct follow *x)
{
	const struct gitjob *j = x->p.job;
	const char *argv[] = { GIT(x), "rev-parse", "-q", "--verify", "HEAD",
			       NULL };
	const char *tree[] = { GIT(x), "rev-parse", "-q", "--verify",
			       "HEAD^{tree}", NULL };
	cleanup_free char *head = NULL, *id = NULL;
	struct scorpio_id root = id_make(j->root.bytes, 20); /* git's */
	char hex[ID_HEX_MAX];

	if (x->r->force)
		return 0;
	if (ask(x, argv, &head))
		return fail(-EBUSY, "git's HEAD has no commit yet: make one, "
			    "or switch with force");
	if (!strcmp(head, j->rev))
		return 0;
	if (!ask(x, tree, &id) && !strcmp(id, id_hex(&root, hex)))
		return 0;
	return fail(-EBUSY, "git's HEAD (%.12s) is not the revision the "
		    "workspace shows (%.12s): move with git switch, or take "
		    "what differs along as changes, with force", head, j->rev);
}

/* -- HEAD and references ------------------------------------------------------------ */

static int put_ref(struct follow *x, const char *ref, const char *id)
{
	const char *argv[] = { GIT(x), "update-ref", "-m", "scorpio switch",
			       ref, id, NULL };

	return gitrun(x->p.job, argv, NULL);
}

static int set_config(struct follow *x, const char *branch, const char *key,
		      const char *value)
{
	cleanup_free char *name = xasprintf("branch.%s.%s", branch, key);
	const char *argv[] = { GIT(x), "config", name, value, NULL };

	return gitrun(x->p.job, argv, NULL);
}

/* Is it the branch of another work tree? git would refuse, too. */
static bool elsewhere(struct follow *x, const char *branch)
{
	const char *argv[] = { GIT(x), "worktree", "list", "--porcelain",
			       NULL };
	cleanup_free char *line = xasprintf("branch refs/heads/%s\n", branch);
	cleanup_free char *head_path = in_git(x, "HEAD");
	cleanup_free char *own = xasprintf("ref: refs/heads/%s\n", branch);
	cleanup_free char *head = NULL;
	cleanup_buf struct buf out = BUF_INIT;
	unsigned count = 0;
	size_t n;

	if (!exists(x, "worktrees") || gitrun(x->p.job, argv, &out))
		return false;
	buf_putc(&out, '\n');
	for (const char *s = buf_str(&out); (s = strstr(s, line)); s++)
		count++;
	if (!path_read(head_path, INTENT_MAX, &head, &n) &&
	    !strcmp(head, own) && count)
		count--; /* this one */
	return count;
}

/* Let the local branch be at the commit. False: HEAD is detached, and
 * x->note says why. */
static int take_branch(struct follow *x, const char *branch, bool *ret)
{
	cleanup_free char *ref = xasprintf("refs/heads/%s", branch);
	cleanup_free char *merge = xstrdup(ref);
	cleanup_free char *id = NULL;
	const char *where[] = { GIT(x), "rev-parse", "-q", "--verify", ref,
				NULL };
	int code, rc;

	*ret = true;
	if (ask(x, where, &id)) {
		rc = put_ref(x, ref, x->p.rev);
		if (!rc)
			rc = set_config(x, branch, "remote", "origin");
		return rc ? rc : set_config(x, branch, "merge", merge);
	}
	if (!strcmp(id, x->p.rev))
		return 0;
	const char *older[] = { GIT(x), "merge-base", "--is-ancestor", id,
				x->p.rev, NULL };
	rc = gitrun_code(x->p.job, older, NULL, &code);
	if (rc)
		return rc;
	if (!code && !elsewhere(x, branch))
		return put_ref(x, ref, x->p.rev);
	*ret = false;
	x->note = xasprintf("HEAD is detached: the local branch %s %s", branch,
			    code ? "has commits of its own (git switch shows "
				   "them)"
				 : "is checked out in another work tree");
	return 0;
}

/* As git writes it: git switch - goes by this. */
static char *reflog_text(struct follow *x, const char *to)
{
	const char *name[] = { GIT(x), "symbolic-ref", "-q", "--short", "HEAD",
			       NULL };
	const char *commit[] = { GIT(x), "rev-parse", "-q", "--verify", "HEAD",
				 NULL };
	cleanup_free char *from = NULL;
	int code;
	cleanup_buf struct buf out = BUF_INIT;

	if (!gitrun_code(x->p.job, name, &out, &code) && !code)
		from = xstrdup(buf_str(&out));
	else if (ask(x, commit, &from))
		from = xstrdup("nothing");
	return xasprintf("checkout: moving from %s to %s", from, to);
}

static int move_head(struct follow *x, const char *branch)
{
	cleanup_free char *text = reflog_text(x, branch ? branch : x->p.rev);
	cleanup_free char *ref = branch ? xasprintf("refs/heads/%s", branch)
					: NULL;
	const char *attach[] = { GIT(x), "symbolic-ref", "-m", text, "HEAD",
				 ref, NULL };
	const char *detach[] = { GIT(x), "update-ref", "--no-deref", "-m",
				 text, "HEAD", x->p.rev, NULL };

	return gitrun(x->p.job, branch ? attach : detach, NULL);
}

/* What gitwork_pristine compares with, if nothing was done before. */
static int note_pristine(struct follow *x, const char *branch)
{
	cleanup_free char *head = in_git(x, "HEAD"), *text = NULL;
	cleanup_free char *refs = in_git(x, "scorpio.refs"), *list = NULL;
	const char *pack[] = { GIT(x), "pack-refs", "--all", NULL };
	cleanup_buf struct buf b = BUF_INIT;
	size_t n;
	int rc = gitrun(x->p.job, pack, NULL);

	if (rc || !x->pristine)
		return rc;
	rc = path_read(head, INTENT_MAX, &text, &n);
	if (!rc)
		rc = gitprepare_write(x->p.gitdir, "scorpio.head", text, n);
	if (!rc)
		rc = path_read(refs, 256 * MiB, &list, &n);
	if (rc || !branch)
		return rc;
	buf_put(&b, list, n);
	buf_printf(&b, "%s refs/heads/%s\n", x->p.rev, branch);
	return path_write(refs, b.data, b.len, 0644, false);
}

static bool head_pristine(struct follow *x)
{
	cleanup_free char *head = in_git(x, "HEAD"), *text = NULL;
	cleanup_free char *made = in_git(x, "scorpio.head"), *was = NULL;
	size_t n;

	return !path_read(head, INTENT_MAX, &text, &n) &&
	       !path_read(made, INTENT_MAX, &was, &n) && !strcmp(text, was);
}

static int move_refs(struct follow *x)
{
	static const char *const touched[] = { "refs", "logs", "HEAD", "index",
					       "config", "packed-refs" };
	const char *branch = x->p.branch;
	bool attach = branch;
	int rc = 0;

	if (branch) {
		cleanup_free char *remote =
			xasprintf("refs/remotes/origin/%s", branch);

		rc = put_ref(x, remote, x->p.rev);
		if (!rc)
			rc = take_branch(x, branch, &attach);
	}
	if (!rc)
		rc = move_head(x, attach ? branch : NULL);
	if (!rc)
		rc = note_pristine(x, attach ? branch : NULL);
	for (size_t i = 0; !rc && i < ARRAY_SIZE(touched); i++)
		rc = gitprepare_give(&x->p, touched[i]);
	if (!rc && !x->note)
		x->note = attach ? xasprintf("on branch %s", branch)
				 : xasprintf("HEAD is detached at %.12s",
					     x->p.rev);
	return rc;
}

/* -- the step ------------------------------------------------------------------------ */

/* The files show another revision: all that is git's own. */
static int bring_after(struct follow *x)
{
	cleanup_free char *index = in_git(x, "index");
	cleanup_free char *made = in_git(x, NEW_INDEX);
	int rc = gitserver_follow(&x->p);

	if (!rc)
		rc = gitprepare_index(&x->p, made);
	if (rc)
		return rc;
	free(x->p.build);
	x->p.build = xstrdup(x->p.gitdir);
	if (x->p.harvest)
		rc = gitserver_finish(&x->p);
	if (!rc)
		rc = gitserver_show(&x->p);
	if (!rc && rename(made, index))
		rc = fail(-errno, "%s: %s", index, strerror(errno));
	if (rc) {
		drop(x, NEW_INDEX);
		return rc;
	}
	forget_under_way(x);
	rc = move_refs(x);
	if (!rc)
		drop(x, INTENT);
	return rc;
}

/* p's strings are the job's: they follow it. */
static void look_again(struct follow *x)
{
	struct gitjob *j = x->p.job;

	x->p.rev = j->rev;
	x->p.branch = strncmp(j->label, "refs/heads/", 11) ? NULL
							   : j->label + 11;
}

/* What can fail for lack of a network fails before anything moves. */
static int fetch_before(struct follow *x, const char *rev)
{
	int rc;

	x->p.rev = rev;
	rc = gitserver_follow(&x->p);
	free(steal(&x->p.shared));
	free(steal(&x->p.url));
	x->p.rev = x->p.job->rev;
	return rc;
}

static int write_intent(struct follow *x)
{
	const char *rev = x->p.job->rev;
	cleanup_free char *path = in_git(x, INTENT);

	return path_write(path, rev, strlen(rev), 0644, true);
}

static int move_files(struct follow *x, gitwork_move_fn move, void *ctx,
		      struct fs_switch_result *ret)
{
	struct gitjob *j = x->p.job;
	struct fs_switch_request dry = *x->r;
	struct fs_mount_info i;
	int rc;

	dry.dry_run = true;
	rc = move(ctx, &dry, ret);
	if (!rc && (!ret->conflicts || x->r->force))
		rc = fetch_before(x, ret->new_rev);
	if (!rc)
		rc = write_intent(x);
	if (rc)
		return rc;
	rc = move(ctx, x->r, ret);
	if (!rc)
		rc = fs_find(j->g->fs, j->id, &i);
	if (rc) {
		drop(x, INTENT);
		return rc;
	}
	rc = gitjob_look(j, &i);
	fs_mount_info_done(&i);
	look_again(x);
	if (!rc)
		rc = bring_after(x);
	if (!rc)
		return 0;
	/* the files have moved; at the next mount we try again */
	x->note = xasprintf("git did not follow yet: %s", error_text(rc));
	log_error("git", "%s: %s", j->dir, x->note);
	return 0;
}

static int begin(struct follow *x, struct gitjob *j,
		 const struct fs_switch_request *r)
{
	int rc = gitprepare_begin(&x->p, j);

	if (rc)
		return rc;
	x->r = r;
	x->pristine = head_pristine(x);
	j->deadline = r->deadline;
	return 0;
}

static void end(struct follow *x)
{
	if (x->locked)
		gitlock_drop(x->p.gitdir);
	free(x->note);
	gitprepare_done(&x->p);
}

int gitfollow_switch(struct gitjob *j, const struct fs_switch_request *r,
		     gitwork_move_fn move, void *ctx,
		     struct fs_switch_result *ret, char **ret_git)
{
	struct follow x = { .locked = false };
	int rc = begin(&x, j, r);

	if (rc)
		return rc;
	rc = check_under_way(&x);
	if (!rc)
		rc = gitlock_take(x.p.gitdir);
	x.locked = !rc;
	if (!rc)
		rc = check_staged(&x);
	if (!rc)
		rc = check_commits(&x);
	if (!rc && r->dry_run)
		rc = move(ctx, r, ret);
	else if (!rc)
		rc = move_files(&x, move, ctx, ret);
	if (!rc)
		*ret_git = steal(&x.note);
	end(&x);
	return rc;
}

/* -- after a crash --------------------------------------------------------------------- */

static int recover(struct follow *x)
{
	cleanup_free char *path = in_git(x, INTENT), *was = NULL;
	struct gitjob *j = x->p.job;
	size_t n;
	int rc = path_read(path, INTENT_MAX, &was, &n);

	if (rc)
		return rc;
	x->locked = gitlock_is_ours(x->p.gitdir);
	if (!strcmp(was, x->p.rev)) {
		drop(x, INTENT);
		return 0;
	}
	log_info("git", "%s: git comes after the switch from %.12s to %.12s",
		 j->dir, was, x->p.rev);
	rc = gitlock_wait(x->p.gitdir,
			  MIN(j->deadline, deadline_in_ms(LOCK_MS)),
			  &j->cancel);
	x->locked = !rc;
	if (!rc)
		rc = bring_after(x);
	if (rc)
		log_warn("git", "%s: git could not follow the switch to "
			 "%.12s, it is tried again when git is used and at "
			 "the next mount: %s",
			 j->dir, x->p.rev, error_text(rc));
	return 0;
}

int gitfollow_recover(struct gitprepare *p)
{
	struct fs_switch_request r = { .deadline = p->job->deadline };
	struct follow x = { .locked = false };
	int rc;

	if (!gitfollow_pending(p->gitdir)) {
		/* it ended before anything was said to move */
		gitlock_drop(p->gitdir);
		return 0;
	}
	p->job->follow_ns = deadline_in_ms(AGAIN_MS);
	rc = begin(&x, p->job, &r);
	if (!rc)
		rc = recover(&x);
	end(&x);
	return rc;
}

bool gitfollow_pending(const char *gitdir)
{
	cleanup_free char *path = xasprintf("%s/" INTENT, gitdir);

	return !access(path, F_OK);
}

void gitfollow_again(struct gitjob *j)
{
	struct gitprepare p;
	int rc;

	if (now_ns() < j->follow_ns)
		return;
	rc = gitprepare_begin(&p, j);
	if (!rc)
		rc = gitfollow_recover(&p);
	if (rc)
		log_debug("git", "%s: %s", j->dir, error_text(rc));
	gitprepare_done(&p);
}
