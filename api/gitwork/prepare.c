/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prepare.c - a workspace's repository: made as <state_dir>/git.new, renamed
 * when everything is in it. The file .git in the workspace is there from the
 * beginning: until then git stops at it ("not a git repository: ...") and does
 * not take a repository further up for this one.
 */
#include "api/gitwork/prepare.h"

#include "core/error.h"
#include "core/hash.h"
#include "core/path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define GITFILE_MAX 8192
#define INDEX_TRIES 8

char *gitprepare_gitdir(const char *state_dir)
{
	return xasprintf("%s/git", state_dir);
}

int gitprepare_write(const char *dir, const char *name, const void *p,
		     size_t n)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);

	return path_write(path, p, n, 0644, false);
}

/* -- the file .git ---------------------------------------------------------------- */

static int write_gitfile(const char *path, const char *text, uid_t uid,
			 gid_t gid)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC |
					       O_NOFOLLOW | O_CLOEXEC,
				 0644);
	size_t n = strlen(text);

	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		return fail(errno ? -errno : -EIO, "%s: %s", path,
			    strerror(errno));
	if (uid != geteuid() && fchown(fd, uid, gid))
		return fail(-errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int put_gitfile(struct gitprepare *p)
{
	cleanup_free char *path = xasprintf("%s/" FS_OWN_NAME, p->job->dir);
	cleanup_free char *text = xasprintf("gitdir: %s\n", p->gitdir);
	cleanup_free char *there = NULL;
	struct stat st;
	size_t len;
	int rc;

	if (lstat(path, &st))
		return write_gitfile(path, text, p->uid, p->gid);
	if (!S_ISREG(st.st_mode))
		return fail(-EEXIST, "there is a .git of another kind already");
	rc = path_read(path, GITFILE_MAX, &there, &len);
	if (rc || !strcmp(there, text))
		return rc;
	if (strncmp(there, "gitdir: ", 8))
		return fail(-EEXIST, "there is another .git already");
	return write_gitfile(path, text, p->uid, p->gid);
}

/* -- configuration ------------------------------------------------------------------- */

static void put_quoted(struct buf *b, const char *value)
{
	buf_putc(b, '"');
	for (; *value; value++) {
		if (*value == '\n') {
			buf_puts(b, "\\n");
			continue;
		}
		if (*value == '"' || *value == '\\')
			buf_putc(b, '\\');
		buf_putc(b, (uint8_t)*value);
	}
	buf_putc(b, '"');
}

static void put_value(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "\t%s = ", key);
	put_quoted(b, value);
	buf_putc(b, '\n');
}

static void put_section(struct buf *b, const char *kind, const char *name)
{
	buf_printf(b, "[%s ", kind);
	put_quoted(b, name);
	buf_puts(b, "]\n");
}

/* git gives it to a shell if a character in it is special to one. */
static char *hook_command(const char *gitdir)
{
	char *plain = xasprintf("%s/fsmonitor", gitdir);
	struct buf b = BUF_INIT;

	if (!plain[strcspn(plain, "|&;<>()$`\\\"' \t\n*?[#~=%")])
		return plain;
	buf_putc(&b, '\'');
	for (const char *p = plain; *p; p++) {
		if (*p == '\'')
			buf_puts(&b, "'\\''");
		else
			buf_putc(&b, (uint8_t)*p);
	}
	buf_putc(&b, '\'');
	free(plain);
	return buf_steal(&b);
}

/* What holds at this mount; the rest is the user's. core.worktree is not set:
 * the work tree is where the file .git is, wherever that is mounted. */
static int put_place(struct gitprepare *p)
{
	cleanup_free char *hook = hook_command(p->gitdir);
	cleanup_buf struct buf b = BUF_INIT;

	buf_puts(&b, "# written by scorpio at every mount\n[core]\n");
	if (p->job->g->program)
		put_value(&b, "fsmonitor", hook);
	return gitprepare_write(p->build, "config.scorpio", b.data, b.len);
}

static int put_config(struct gitprepare *p)
{
	cleanup_buf struct buf b = BUF_INIT;

	/* first: what the user sets is behind it, and holds */
	buf_puts(&b, "[include]\n\tpath = config.scorpio\n"
		     "[core]\n\trepositoryformatversion = ");
	buf_puts(&b, p->promisor ? "1\n" : "0\n");
	buf_puts(&b, "\tfilemode = true\n\tbare = false\n"
		     "\tlogallrefupdates = true\n\tuntrackedCache = true\n");
	if (p->promisor)
		buf_puts(&b, "[extensions]\n\tpartialClone = origin\n");
	put_section(&b, "remote", "origin");
	put_value(&b, "url", p->url);
	put_value(&b, "fetch", "+refs/heads/*:refs/remotes/origin/*");
	if (p->promisor)
		buf_puts(&b, "\tpromisor = true\n"
			     "\tpartialclonefilter = blob:none\n");
	if (p->branch) {
		put_section(&b, "branch", p->branch);
		put_value(&b, "remote", "origin");
		cleanup_free char *merge = xasprintf("refs/heads/%s",
						     p->branch);
		put_value(&b, "merge", merge);
	}
	return gitprepare_write(p->build, "config", b.data, b.len);
}

#define EXCLUDES_MAX MiB
#define EXCLUDE_HEAD "# written by scorpio: redirected directories\n"

/* Nobody tells git what changes in redirected directories, and it need not
 * know. */
static int put_excludes(struct gitprepare *p)
{
	cleanup_free char *path = xasprintf("%s/info/exclude", p->build);
	cleanup_free char *dir = xasprintf("%s/info", p->build);
	cleanup_free char *there = NULL;
	cleanup_buf struct buf b = BUF_INIT;
	size_t n = 0;
	int rc;

	if (!p->job->excludes)
		return 0;
	rc = path_read(path, EXCLUDES_MAX, &there, &n);
	if (rc && rc != -ENOENT)
		return rc;
	if (there && strstr(there, p->job->excludes))
		return 0;
	buf_put(&b, there, n);
	if (n && there[n - 1] != '\n')
		buf_putc(&b, '\n');
	buf_printf(&b, EXCLUDE_HEAD "%s", p->job->excludes);
	rc = path_make_dirs(dir, 0755);
	return rc ? rc : path_write(path, b.data, b.len, 0644, false);
}

/* The id of the file as a blob: the untracked cache holds for that one. */
static bool exclude_id(struct gitprepare *p, uint8_t out[SHA1_LEN])
{
	cleanup_free char *path = xasprintf("%s/info/exclude", p->build);
	cleanup_free char *dir_path = xasprintf("%s/info/exclude", p->gitdir);
	cleanup_free char *text = NULL;
	struct hash *h;
	char head[32];
	size_t n;

	if (path_read(path, EXCLUDES_MAX, &text, &n) &&
	    path_read(dir_path, EXCLUDES_MAX, &text, &n))
		return false;
	h = hash_new(HASH_SHA1);
	hash_update(h, head, (size_t)snprintf(head, sizeof(head), "blob %zu",
					      n) + 1);
	hash_update(h, text, n);
	hash_final(h, out);
	hash_free(h);
	return true;
}

/* -- how scorpio-fsmonitor finds us --------------------------------------------------- */

static int put_contact(struct gitprepare *p)
{
	const struct gitjob *j = p->job;
	cleanup_free char *link = xasprintf("%s/fsmonitor", p->build);
	cleanup_buf struct buf b = BUF_INIT;

	buf_put(&b, j->g->socket, strlen(j->g->socket) + 1);
	buf_put(&b, j->id, strlen(j->id) + 1);
	buf_put(&b, j->dir, strlen(j->dir) + 1);
	unlink(link);
	if (j->g->program && symlink(j->g->program, link))
		return fail(-errno, "%s: %s", link, strerror(errno));
	return gitprepare_write(p->build, "scorpio", b.data, b.len);
}

/* -- references ------------------------------------------------------------------------- */

static int put_origin_head(struct gitprepare *p)
{
	cleanup_free char *dir = xasprintf("%s/refs/remotes/origin", p->build);
	cleanup_free char *text = NULL;
	int rc;

	if (!p->head)
		return 0;
	text = xasprintf("ref: refs/remotes/origin/%s\n", p->head);
	rc = path_make_dirs(dir, 0755);
	return rc ? rc : gitprepare_write(dir, "HEAD", text, strlen(text));
}

static int put_head(struct gitprepare *p)
{
	cleanup_free char *head =
		p->branch ? xasprintf("ref: refs/heads/%s\n", p->branch)
			  : xasprintf("%s\n", p->rev);
	cleanup_buf struct buf refs = BUF_INIT;
	int rc = gitprepare_write(p->build, "HEAD", head, strlen(head));

	if (rc)
		return rc;
	buf_puts(&refs, "# pack-refs with:\n");
	buf_put(&refs, p->refs.data, p->refs.len);
	if (p->branch)
		buf_printf(&refs, "%s refs/heads/%s\n", p->rev, p->branch);
	rc = gitprepare_write(p->build, "packed-refs", refs.data, refs.len);
	/* by which gitwork_pristine knows that nothing was added */
	if (!rc)
		rc = gitprepare_write(p->build, "scorpio.refs", refs.data,
				      refs.len);
	if (!rc)
		rc = gitprepare_write(p->build, "scorpio.head", head,
				      strlen(head));
	return rc;
}

/* -- the index ---------------------------------------------------------------------------- */

static int write_index(struct gitprepare *p, const char *path,
		       const struct times *times)
{
	struct gitjob *j = p->job;
	const char *all[] = { j->dir };
	uint8_t exclude[SHA1_LEN];
	struct gitindex_options o = {
		.store = j->g->store, .space = j->space, .root = j->root,
		.time_ns = j->time_ns, .times = times, .uid = p->uid, .gid = p->gid,
		.dev = (uint32_t)p->dev, .worktree = j->dir,
		.exclude_id = exclude_id(p, exclude) ? exclude : NULL,
		.token = j->token, .cancel = &j->cancel,
		.tree = p->harvest ? githarvest_tree : NULL,
		.blob = p->harvest ? githarvest_blob : NULL,
		.ctx = p->harvest,
	};
	struct scorpio_id missing;
	int rc;

	for (int i = 0; i < INDEX_TRIES; i++) {
		if (p->harvest)
			githarvest_reset(p->harvest);
		rc = gitindex_write(&o, path, &p->stats, &missing);
		if (rc != -EAGAIN)
			return rc;
		rc = fs_warm(j->g->fs, all, 1, true, j->deadline, NULL, NULL);
		if (rc)
			return rc;
	}
	return fail(-EIO, "the store is too small for the directories of "
		    "this revision");
}

int gitprepare_index(struct gitprepare *p, const char *path)
{
	struct times *times = fs_times(p->job->g->fs, p->job->id);
	int rc = write_index(p, path, times);

	times_free(times);
	return rc;
}

/* -- Git LFS --------------------------------------------------------------------------------- */

/* The workspace shows contents where Git has pointers, so git must have the
 * filter without which it would take every touched one for changed and commit
 * its content; and a push must bring the objects. As `git lfs install --local`
 * does it. */
static int put_lfs(struct gitprepare *p)
{
	static const char config[] =
		"[filter \"lfs\"]\n"
		"\tclean = git-lfs clean -- %f\n"
		"\tsmudge = git-lfs smudge -- %f\n"
		"\tprocess = git-lfs filter-process\n"
		"\trequired = true\n";
	static const char hook[] =
		"#!/bin/sh\n"
		"command -v git-lfs >/dev/null || exit 0\n"
		"exec git lfs pre-push \"$@\"\n";
	cleanup_free char *path = xasprintf("%s/config", p->build);
	cleanup_free char *hooks = xasprintf("%s/hooks", p->build);
	cleanup_free char *pre_push = xasprintf("%s/pre-push", hooks);
	cleanup_fd int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	int rc;

	if (fd < 0 || write(fd, config, strlen(config)) !=
			      (ssize_t)strlen(config))
		return fail(errno ? -errno : -EIO, "%s: %s", path,
			    strerror(errno));
	rc = path_make_dirs(hooks, 0755);
	if (!rc)
		rc = gitprepare_write(hooks, "pre-push", hook, strlen(hook));
	if (!rc && chmod(pre_push, 0755))
		rc = fail(-errno, "%s: %s", pre_push, strerror(errno));
	return rc;
}

/* -- the whole ------------------------------------------------------------------------------ */

static int make_dirs(const char *top)
{
	static const char *const dirs[] = {
		"objects/info", "objects/pack", "refs/heads", "refs/tags",
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		cleanup_free char *path = xasprintf("%s/%s", top, dirs[i]);
		int rc = path_make_dirs(path, 0755);

		if (rc)
			return rc;
	}
	return 0;
}

/* To the owner the mount shows, or git calls it somebody else's. */
static int give_away(int at, const char *name, uid_t uid, gid_t gid)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
					  O_CLOEXEC);
	struct dirent *e;
	DIR *d;
	int rc = 0;

	if (fchownat(at, name, uid, gid, AT_SYMLINK_NOFOLLOW))
		rc = fail(-errno, "%s: %s", name, strerror(errno));
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d && !rc && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			rc = give_away(dirfd(d), e->d_name, uid, gid);
	if (d)
		closedir(d);
	return rc;
}

int gitprepare_give(const struct gitprepare *p, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", p->gitdir, name);

	if (p->uid == geteuid() || access(path, F_OK))
		return 0;
	return give_away(AT_FDCWD, path, p->uid, p->gid);
}

static int build(struct gitprepare *p)
{
	cleanup_free char *index = xasprintf("%s/index", p->build);
	int rc = path_make_dirs(p->build, 0755);

	if (!rc)
		rc = path_empty_dir(p->build);
	if (!rc)
		rc = make_dirs(p->build);
	if (!rc)
		rc = gitprepare_objects(p);
	if (!rc)
		rc = put_config(p);
	if (!rc)
		rc = put_place(p);
	if (!rc)
		rc = put_excludes(p);
	if (!rc)
		rc = put_contact(p);
	if (!rc)
		rc = put_head(p);
	if (!rc)
		rc = put_origin_head(p);
	if (!rc)
		rc = gitprepare_index(p, index);
	if (!rc && p->stats.layered)
		rc = put_lfs(p);
	if (!rc && p->harvest)
		rc = gitserver_finish(p);
	if (!rc && p->uid != geteuid())
		rc = give_away(AT_FDCWD, p->build, p->uid, p->gid);
	if (!rc && !access(p->gitdir, F_OK)) { /* in pieces */
		rc = path_empty_dir(p->gitdir);
		if (!rc)
			rmdir(p->gitdir);
	}
	if (!rc && rename(p->build, p->gitdir))
		rc = fail(-errno, "%s: %s", p->gitdir, strerror(errno));
	return rc;
}

static bool complete(const struct gitprepare *p)
{
	cleanup_free char *head = xasprintf("%s/HEAD", p->gitdir);
	cleanup_free char *config = xasprintf("%s/config", p->gitdir);

	return !access(head, F_OK) && !access(config, F_OK);
}

/* Mounted again, maybe elsewhere, by another daemon. */
static int refresh(struct gitprepare *p)
{
	int rc;

	free(p->build);
	p->build = xstrdup(p->gitdir);
	rc = put_place(p);
	if (!rc)
		rc = put_excludes(p);
	if (!rc)
		rc = put_contact(p);
	return rc ? rc : gitfollow_recover(p);
}

static int let_pass(const char *dir)
{
	struct stat st;

	if (stat(dir, &st))
		return fail(-errno, "%s: %s", dir, strerror(errno));
	if ((st.st_mode & 0111) == 0111 ||
	    !chmod(dir, (st.st_mode & 07777) | 0111))
		return 0;
	return fail(-errno, "%s: %s", dir, strerror(errno));
}

/* Whose workspace it is must reach the repository: through these directories,
 * not into them. What else is in them is 0600 and 0700. */
static int let_owner_pass(const struct gitprepare *p)
{
	cleanup_free char *dir = xstrdup(p->job->state_dir);
	int rc = let_pass(dir);
	char *slash = strrchr(dir, '/');

	if (rc || !slash || slash == dir)
		return rc;
	*slash = '\0';
	slash = strrchr(dir, '/');
	if (!slash || strcmp(slash, "/workspaces") != 0)
		return 0; /* a place that somebody else chose */
	rc = let_pass(dir);
	*slash = '\0';
	return rc ? rc : let_pass(dir);
}

int gitprepare_begin(struct gitprepare *p, struct gitjob *j)
{
	struct stat st;

	*p = (struct gitprepare){ .job = j };
	if (stat(j->dir, &st))
		return fail(-errno, "%s: %s", j->dir, strerror(errno));
	p->uid = st.st_uid;
	p->gid = st.st_gid;
	p->dev = st.st_dev;
	p->gitdir = gitprepare_gitdir(j->state_dir);
	p->build = xasprintf("%s.new", p->gitdir);
	p->rev = j->rev;
	if (!strncmp(j->label, "refs/heads/", 11))
		p->branch = j->label + 11;
	return p->uid == geteuid() ? 0 : let_owner_pass(p);
}

void gitprepare_done(struct gitprepare *p)
{
	free(p->gitdir);
	free(p->build);
	free(p->url);
	free(p->head);
	free(p->shared);
	free(p->view);
	githarvest_free(p->harvest);
	buf_done(&p->refs);
}

int gitprepare(struct gitjob *j)
{
	struct gitprepare p;
	int rc = gitprepare_begin(&p, j);

	if (rc)
		return rc;
	rc = put_gitfile(&p);
	if (!rc)
		rc = complete(&p) ? refresh(&p) : build(&p);
	if (!rc)
		rc = gitserver_show(&p);
	gitprepare_done(&p);
	return rc;
}
