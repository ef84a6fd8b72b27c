/* SPDX-License-Identifier: Apache-2.0 */
/* try.c - `make run`: the history of the clone one stands in, mounted lazily
 * with everything else in a private temporary directory. Nothing stays. */
#include <signal.h>
#include <sys/stat.h>

#include "api/cli/commands.h"
#include "api/cli/foreground.h"
#include "core/error.h"
#include "core/path.h"

struct trial {
	char *clone;  /* what is mounted */
	char *temp;   /* store, socket */
	char *mount;
	char *made[2]; /* directories below the clone to remove, inner first */
};

/* The nearest parent with a .git. */
static char *find_clone(void)
{
	char *dir = cli_absolute(".");

	for (;;) {
		cleanup_free char *git = xasprintf("%s/.git", dir);
		char *slash = strrchr(dir, '/');

		if (!access(git, F_OK))
			return dir;
		if (slash == dir)
			break;
		*slash = '\0';
	}
	free(dir);
	return NULL;
}

/* build/run/mnt of the clone if that is free, else in the temporary place. */
static void choose_mountpoint(struct trial *t)
{
	cleanup_free char *build = xasprintf("%s/build", t->clone);
	char *run = xasprintf("%s/run", build);
	char *mnt = xasprintf("%s/mnt", run);

	if (!access(build, W_OK | X_OK) &&
	    (!mkdir(run, 0755) || errno == EEXIST) && !mkdir(mnt, 0755)) {
		t->made[0] = mnt;
		t->made[1] = run;
		t->mount = xstrdup(mnt);
		return;
	}
	rmdir(run);
	free(run);
	free(mnt);
	t->mount = xasprintf("%s/mnt", t->temp);
}

static int prepare(struct trial *t)
{
	const char *tmp = getenv("TMPDIR");

	t->clone = find_clone();
	if (!t->clone)
		return cli_error(EXIT_CONFIG,
				 "this directory is not in a Git clone",
				 "cd into one, or scorpio mount SOURCE DIR",
				 "there is nothing to try on");
	t->temp = xasprintf("%s/scorpio-try-XXXXXX",
			    tmp && *tmp == '/' ? tmp : "/tmp");
	if (!mkdtemp(t->temp)) {
		cli_error(EXIT_INTERNAL, strerror(errno), "set TMPDIR",
			  "cannot make %s", t->temp);
		free(t->temp);
		t->temp = NULL;
		return EXIT_INTERNAL;
	}
	choose_mountpoint(t);
	return 0;
}

static void clean_up(struct trial *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->made); i++) {
		if (t->made[i])
			rmdir(t->made[i]);
		free(t->made[i]);
	}
	if (t->temp) {
		path_empty_dir(t->temp);
		rmdir(t->temp);
	}
	free(t->temp);
	free(t->mount);
	free(t->clone);
}

static void ready(void *ctx, struct daemon *d, const struct fs_mount_info *i)
{
	struct server *s = daemon_server(d);
	struct trial *t = ctx;
	const char *label = i->label;
	cleanup_free char *readme = xasprintf("%s/README.md", t->mount);
	cleanup_free char *added = xasprintf("%s/hello", t->mount);
	char took[24];

	if (!strncmp(label, "refs/heads/", 11))
		label += 11;
	printf("The last commit of this clone (%s%s%.12s) is mounted, to read "
	       "and to change, in %s:\n    %s\n", label, *label ? ", " : "",
	       i->rev, cli_span(i->mount_ns, took), t->mount);
	printf("Nothing was checked out: each file comes when it is read. What "
	       "you change stays\nthere and does not touch the clone.\n\n"
	       "The daemon's page and API:\n    http://%s/\n\n"
	       "Three things to try in another terminal:\n"
	       "    find %s -type f | wc -l\n"
	       "    echo hello >>%s\n"
	       "    git -C %s status --short\n",
	       server_address(s, 0), t->mount,
	       access(readme, F_OK) ? added : readme, t->mount);
	printf("\nCtrl-C ends it and leaves nothing behind.\n");
	fflush(stdout);
}

static void configure(struct cli *c, const struct trial *t)
{
	/* first, so that options of the user still win */
	memmove(c->overrides + 3, c->overrides,
		c->n_overrides * sizeof(*c->overrides));
	c->overrides[0] = cli_own(c, xasprintf("server.store_path=%s/store",
					       t->temp));
	c->overrides[1] = cli_own(c, xasprintf("server.socket=%s/socket",
					       t->temp));
	c->overrides[2] = "server.log_level=warn";
	c->n_overrides += 3;
	c->no_default_files = true;
}

static int run_trial(struct cli *c, struct trial *t)
{
	struct fs_mount_request r = { .rev = "HEAD", .allow_other = 0,
				      .uid = -1, .gid = -1 };
	cleanup_free char *source = NULL;
	int e = prepare(t);

	if (e)
		return e;
	configure(c, t);
	e = cli_config(c);
	if (e)
		return e;
	source = xasprintf("git+%s", t->clone);
	r.source = source;
	r.dir = t->mount;
	return foreground_run(c, &r, 1, ready, t, true);
}

static int try_run(struct cli *c)
{
	struct trial t = { 0 };
	sigset_t set;
	int r;

	if (c->n_overrides + 3 > CLI_ARGS_MAX)
		return cli_usage(c, "too many options");
	/* an early Ctrl-C waits until there is somebody to clean up */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r = run_trial(c, &t);
	clean_up(&t);
	return r;
}

const struct cli_command cmd_try = {
	.name = "try",
	.summary = "mount this clone's last commit and look around; Ctrl-C "
		   "ends",
	.help = "Everything lives in a private temporary directory and is gone "
		"afterwards.",
	.run = try_run,
};
