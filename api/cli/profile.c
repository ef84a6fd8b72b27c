/* SPDX-License-Identifier: Apache-2.0 */
/* profile.c - record which files a build reads, bring them again later. */
#include <signal.h>
#include <sys/wait.h>

#include "api/cli/commands.h"
#include "core/error.h"
#include "core/http.h"

enum { OPT_MOUNT = 1, OPT_METADATA };

static struct {
	const char *mount;
	bool metadata;
} own;

static const struct argp_option options[] = {
	{ "mount", OPT_MOUNT, "DIR|ID", 0,
	  "which mount (needed if there are several)", 0 },
	{ "metadata", OPT_METADATA, NULL, 0,
	  "apply: only names and sizes", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v)
{
	if (key == OPT_MOUNT)
		own.mount = v;
	else if (key == OPT_METADATA)
		own.metadata = true;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

/* The mountpoint or id meant; the only mount if none was named. */
static int which_mount(struct cli *c, char **ret)
{
	json_t *v, *list;
	int r;

	if (own.mount) {
		*ret = strchr(own.mount, '/') || !access(own.mount, F_OK)
			       ? cli_absolute(own.mount)
			       : xstrdup(own.mount);
		return 0;
	}
	r = cli_get(c, "GET", "/api/v1/mounts", NULL,
		    "cannot find the mount", &v);
	if (r)
		return r;
	list = json_object_get(v, "mounts");
	if (json_array_size(list) == 1)
		*ret = xstrdup(cli_text(json_array_get(list, 0), "dir"));
	else
		r = cli_usage(c, "%zu mounts are there: say which with "
			      "--mount DIR", json_array_size(list));
	json_decref(v);
	return r;
}

static char *url_of(const char *name, const char *verb)
{
	cleanup_free char *escaped = http_escape(name, strlen(name));

	return xasprintf("/api/v1/profiles/%s/%s", escaped, verb);
}

static json_t *body_of(const char *mount)
{
	return json_pack("{s:o,s:b}", "mount",
			 json_bytes(mount, strlen(mount)), "metadata",
			 own.metadata);
}

/* Run the command, or wait for Ctrl-C. */
static int meanwhile(struct cli *c)
{
	sigset_t set;
	int status, sig;
	pid_t pid;

	if (c->n_args <= 2) {
		sigemptyset(&set);
		sigaddset(&set, SIGINT);
		sigaddset(&set, SIGTERM);
		sigprocmask(SIG_BLOCK, &set, NULL);
		if (!c->quiet)
			fprintf(stderr, "recording; Ctrl-C ends and saves\n");
		sigwait(&set, &sig);
		return 0;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		execvp(c->args[2], c->args + 2);
		fprintf(stderr, "scorpio: %s: %s\n", c->args[2],
			strerror(errno));
		_exit(127);
	}
	/* Ctrl-C is the command's; what it read is still saved */
	signal(SIGINT, SIG_IGN);
	while (pid > 0 && waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_INTERNAL;
	}
	if (pid < 0)
		return EXIT_INTERNAL;
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 128 + WTERMSIG(status);
}

static int record(struct cli *c, const char *name)
{
	cleanup_free char *start = url_of(name, "record");
	cleanup_free char *save = url_of(name, "save");
	cleanup_free char *mount = NULL;
	json_t *v;
	int r = which_mount(c, &mount), ran;

	if (!r)
		r = cli_get(c, "POST", start, body_of(mount),
			    "cannot record", &v);
	if (r)
		return r;
	json_decref(v);
	ran = meanwhile(c);
	r = cli_get(c, "POST", save, body_of(mount), "cannot save the profile",
		    &v);
	if (r)
		return r;
	if (c->json)
		cli_print_json(v);
	else if (!c->quiet)
		fprintf(stderr, "profile %s: %lld files\n", name,
			(long long)json_get_int(v, "files", 0));
	json_decref(v);
	return ran;
}

static int apply(struct cli *c, const char *name)
{
	cleanup_free char *url = url_of(name, "apply");
	cleanup_free char *mount = NULL;
	int r = which_mount(c, &mount);

	return r ? r : warmup_follow(c, url, body_of(mount),
				     "cannot apply the profile");
}

static int list(struct cli *c)
{
	json_t *v, *one;
	size_t i;
	int r = cli_get(c, "GET", "/api/v1/profiles", NULL,
			"cannot list the profiles", &v);

	if (r)
		return r;
	if (c->json)
		cli_print_json(v);
	else
		json_array_foreach(json_object_get(v, "profiles"), i, one)
			printf("%s\n", cli_text(one, "name"));
	json_decref(v);
	return 0;
}

static int drop(struct cli *c, const char *name)
{
	cleanup_free char *escaped = http_escape(name, strlen(name));
	cleanup_free char *url = xasprintf("/api/v1/profiles/%s", escaped);
	json_t *v;
	int r = cli_get(c, "DELETE", url, NULL, "cannot remove the profile",
			&v);

	if (!r)
		json_decref(v);
	return r;
}

static int profile_run(struct cli *c)
{
	const char *verb = c->args[0];
	int r = cli_config(c);

	if (r)
		return r;
	if (!strcmp(verb, "list"))
		return list(c);
	if (c->n_args < 2)
		return cli_usage(c, "profile %s wants a name", verb);
	if (!strcmp(verb, "record"))
		return record(c, c->args[1]);
	if (!strcmp(verb, "apply"))
		return apply(c, c->args[1]);
	if (!strcmp(verb, "rm"))
		return drop(c, c->args[1]);
	return cli_usage(c, "profile knows record, apply, list and rm, not "
			 "\"%s\"", verb);
}

const struct cli_command cmd_profile = {
	.name = "profile",
	.args = "record|apply|list|rm [NAME] [-- COMMAND...]",
	.verbs = "record apply list rm",
	.summary = "remember which files a build reads, bring them next time",
	.help = "record NAME -- make    runs the command and saves what it read "
		"through the mount\n                       (without a command: "
		"until Ctrl-C)\napply NAME             brings those files at "
		"once\n\nFiles that the kernel has in its cache are read "
		"without the daemon and are not\nrecorded: record right after "
		"mounting.",
	.min_args = 1,
	.max_args = -1,
	.options = options,
	.option = option,
	.run = profile_run,
};
