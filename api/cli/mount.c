/* SPDX-License-Identifier: Apache-2.0 */
/* mount.c - mount, umount. */
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "api/cli/commands.h"
#include "api/cli/foreground.h"
#include "api/stack.h"
#include "core/log.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/http.h"
#include "core/path.h"
#include "core/spawn.h"

enum { OPT_REV = 1, OPT_SUBDIR, OPT_RO, OPT_RW, OPT_WORKSPACE, OPT_METADATA,
       OPT_FOREGROUND, OPT_JOB, OPT_LAZY, OPT_TIMEOUT, OPT_CL, OPT_UID,
       OPT_GID, OPT_OTHER, OPT_NO_OTHER, OPT_NO_LFS, OPT_REDIRECT };

#define REDIRECTS_MAX 64

static struct {
	const char *rev, *subdir, *metadata, *job, *timeout, *cl;
	const char *workspace, *uid, *gid;
	int allow_other; /* 0 not said, 1 yes, -1 no */
	int writable;    /* the same; not said: by the source */
	bool foreground, lazy, no_lfs;
	const char *redirect[REDIRECTS_MAX + 1];
	int n_redirect;
} own;

static const struct argp_option mount_options[] = {
	{ "rev", OPT_REV, "REV", 0,
	  "branch, tag or commit (default: the source's own)", 0 },
	{ "subdir", OPT_SUBDIR, "PATH", 0, "show only this directory", 0 },
	{ "ro", OPT_RO, NULL, 0,
	  "a read-only view (the default, if not of git or mono)", 0 },
	{ "rw", OPT_RW, NULL, 0,
	  "a workspace to change things in (the default of git and mono)", 0 },
	{ "workspace", OPT_WORKSPACE, "NAME", 0,
	  "a workspace under a name of its own", 0 },
	{ "redirect", OPT_REDIRECT, "PATH", 0,
	  "PATH is on the local disk: build output (as root)", 0 },
	{ "metadata", OPT_METADATA, "auto|full|ondemand", 0,
	  "bring all directories now, or each when looked at", 0 },
	{ "job", OPT_JOB, "TEXT", 0, "a word of your own, shown in lists", 0 },
	{ "uid", OPT_UID, "ID", 0, "show files as this user's", 0 },
	{ "gid", OPT_GID, "ID", 0, "and this group's", 0 },
	{ "allow-other", OPT_OTHER, NULL, 0,
	  "other users may look in (root's mounts allow that anyway)", 0 },
	{ "no-allow-other", OPT_NO_OTHER, NULL, 0, "they may not", 0 },
	{ "no-lfs", OPT_NO_LFS, NULL, 0,
	  "show the pointers of Git LFS files, not their content", 0 },
	{ "timeout", OPT_TIMEOUT, "SEC", 0, "give up after (120)", 0 },
	{ "foreground", OPT_FOREGROUND, NULL, 0,
	  "a daemon for this mount alone, until Ctrl-C", 0 },
	{ "cl", OPT_CL, "CL", OPTION_HIDDEN, "change list", 0 },
	{ 0 },
};

static int mount_option(struct cli *c UNUSED, int key, const char *v)
{
	switch (key) {
	case OPT_REV:
		own.rev = v;
		return 0;
	case OPT_SUBDIR:
		own.subdir = v;
		return 0;
	case OPT_RO:
		own.writable = -1;
		own.workspace = NULL;
		return 0;
	case OPT_WORKSPACE:
		own.workspace = v;
		/* fallthrough */
	case OPT_RW:
		own.writable = 1;
		return 0;
	case OPT_REDIRECT:
		if (own.n_redirect == REDIRECTS_MAX)
			return E2BIG;
		own.redirect[own.n_redirect++] = v;
		return 0;
	case OPT_METADATA:
		own.metadata = v;
		return 0;
	case OPT_UID:
		own.uid = v;
		return 0;
	case OPT_GID:
		own.gid = v;
		return 0;
	case OPT_OTHER:
	case OPT_NO_OTHER:
		own.allow_other = key == OPT_OTHER ? 1 : -1;
		return 0;
	case OPT_JOB:
		own.job = v;
		return 0;
	case OPT_TIMEOUT:
		own.timeout = v;
		return 0;
	case OPT_NO_LFS:
		own.no_lfs = true;
		return 0;
	case OPT_FOREGROUND:
		own.foreground = true;
		return 0;
	case OPT_CL:
		own.cl = v;
		return 0;
	case OPT_LAZY:
		own.lazy = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* -- sources ------------------------------------------------------------------------ */

/* "git+" of "git+https://x": the length with '+', or 0. */
static size_t scheme_prefix(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789");

	return n && s[n] == '+' ? n + 1 : 0;
}

/* "host:path" of ssh */
static bool is_scp(const char *s)
{
	const char *colon = strchr(s, ':'), *slash = strchr(s, '/');

	return colon && colon > s && (!slash || colon < slash);
}

int mount_source(const char *source, char **ret)
{
	size_t prefix = scheme_prefix(source);
	const char *rest = source + prefix;
	cleanup_free char *path = NULL;

	if (strstr(rest, "://") || is_scp(rest)) {
		*ret = xstrdup(source);
		return 0;
	}
	path = cli_absolute(rest);
	if (access(path, F_OK) && (!prefix || strchr("./~", *rest)))
		return fail(-ENOENT, "%s: %s", path, strerror(errno));
	if (access(path, F_OK)) /* not a path at all: "mem+demo" */
		*ret = xstrdup(source);
	else
		*ret = xasprintf("%.*s%s", (int)prefix, source, path);
	return 0;
}

/* -- mount ---------------------------------------------------------------------------- */

static void set(json_t *body, const char *key, const char *value)
{
	if (value)
		json_object_set_new(body, key,
				    json_bytes(value, strlen(value)));
}

static void tell(const json_t *v)
{
	char took[24];
	const char *label = cli_text(v, "label");
	int64_t us = json_get_int(v, "mount_us", 0);

	if (!strncmp(label, "refs/", 5) && strchr(label + 5, '/'))
		label = strchr(label + 5, '/') + 1;
	printf("%s is mounted at %s (%s%s%.12s, %s) in %s\n",
	       cli_text(v, "source"), cli_text(v, "dir"), label,
	       *label ? " " : "", cli_text(v, "rev"),
	       json_get_bool(v, "read_only", true) ? "read-only" : "writable",
	       cli_span(us * 1000, took));
	if (json_get_bool(v, "resumed", false))
		printf("it goes on with the changes of workspace %s\n",
		       cli_text(v, "workspace"));
}

/* A user's or group's number; not given is -1. */
static bool number(const char *text, int64_t *ret)
{
	char *end;

	*ret = -1;
	if (!text)
		return true;
	*ret = strtoll(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *ret < UINT32_MAX;
}

static void set_number(json_t *body, const char *key, const char *text)
{
	int64_t n;

	if (text && number(text, &n))
		json_object_set_new(body, key, json_integer(n));
}

static json_t *redirect_list(void)
{
	json_t *list = json_array();

	for (int i = 0; i < own.n_redirect; i++)
		json_array_append_new(list, json_bytes(own.redirect[i],
						       strlen(own.redirect[i])));
	return list;
}

static json_t *mount_body(const char *source, const char *dir)
{
	json_t *body = json_object();

	set(body, "source", source);
	set(body, "dir", dir);
	set(body, "rev", own.rev);
	set(body, "subdir", own.subdir);
	set(body, "metadata", own.metadata);
	set(body, "job", own.job);
	set(body, "workspace", own.workspace);
	if (own.n_redirect)
		json_object_set_new(body, "redirect", redirect_list());
	set_number(body, "uid", own.uid);
	set_number(body, "gid", own.gid);
	if (own.allow_other)
		json_object_set_new(body, "allow_other",
				    json_boolean(own.allow_other > 0));
	if (own.writable)
		json_object_set_new(body, "read_only",
				    json_boolean(own.writable < 0));
	if (own.timeout)
		json_object_set_new(body, "timeout_s",
				    json_integer(atoll(own.timeout)));
	return body;
}

static int mount_here(struct cli *c, const char *source, const char *dir)
{
	struct fs_mount_request r = {
		.source = source, .dir = dir, .rev = own.rev,
		.subdir = own.subdir, .job = own.job,
		.workspace = own.workspace,
		.redirect = own.n_redirect ? own.redirect : NULL,
		.allow_other = own.allow_other ? own.allow_other > 0 : -1,
	};

	number(own.uid, &r.uid);
	number(own.gid, &r.gid);
	if (own.metadata && !mounts_metadata(own.metadata, &r.metadata))
		return cli_usage(c, "--metadata wants auto, full or ondemand");
	return foreground_run(c, &r, own.writable, NULL, NULL, false);
}

static int mount_there(struct cli *c, const char *source, const char *dir)
{
	char shown[512];
	struct cli_bar bar;
	const char *code;
	json_t *v;
	int r = cli_need_daemon(c);

	if (r)
		return r;
	cli_bar_init(&bar, c);
	r = cli_call(c, "POST", "/api/v1/mounts", mount_body(source, dir), &v,
		     &code);
	cli_bar_end(&bar);
	log_redact(source, shown, sizeof(shown));
	if (r && !strcmp(code, "BUSY"))
		return cli_errno(r, EXIT_MOUNT, "another directory, or umount "
				 "it first", "cannot mount %s", shown);
	if (r && !strcmp(code, "NOT_FOUND"))
		return cli_errno(r, EXIT_MOUNT, "check the address, --rev and "
				 "--subdir", "cannot mount %s", shown);
	if (r)
		return cli_call_failed(c, r, code, "cannot mount %s at %s",
				       shown, dir);
	if (c->json)
		cli_print_json(v);
	else if (!c->quiet)
		tell(v);
	json_decref(v);
	return 0;
}

static int mount_run(struct cli *c)
{
	cleanup_free char *source = NULL, *dir = NULL;
	int64_t id;
	int r;

	if (!number(own.uid, &id) || !number(own.gid, &id))
		return cli_usage(c, "--uid and --gid want a number");
	if (own.cl || c->n_args < 2)
		return cli_error(EXIT_CONFIG,
				 "usage: scorpio mount SOURCE DIR; jobs and "
				 "change lists of a monorepo are mounted by "
				 "antares mount JOB [--cl CL]",
				 "scorpio mount --help, antares mount --help",
				 "mount wants a source and a directory");
	r = cli_config(c);
	if (r)
		return r;
	r = mount_source(c->args[0], &source);
	if (r)
		return cli_errno(r, EXIT_MOUNT, "a path, or a URL such as "
				 "https://host/project.git",
				 "cannot mount %s", c->args[0]);
	if (own.no_lfs) {
		char *plain = stack_without_lfs(source);

		free(source);
		source = plain;
	}
	dir = cli_mountpoint(c->args[1]);
	return own.foreground ? mount_here(c, source, dir)
			      : mount_there(c, source, dir);
}

const struct cli_command cmd_mount = {
	.name = "mount",
	.args = "SOURCE DIR",
	.summary = "show a repository or directory at DIR",
	.help = "SOURCE is a repository's path or URL (https://, ssh://, "
		"git://, file://,\nuser@host:path), or names its kind: "
		"git+..., dir+.... DIR is made if missing.\nOf git and mono "
		"it is a workspace: what you change stays, also after\n"
		"umount, and mounting the same at the same DIR goes on with "
		"it.\nA daemon is started in the background if none runs.",
	.min_args = 1,
	.max_args = 2,
	.options = mount_options,
	.option = mount_option,
	.run = mount_run,
};

/* -- umount --------------------------------------------------------------------------------- */

static const struct argp_option umount_options[] = {
	{ "lazy", OPT_LAZY, NULL, 0,
	  "also when it is in use: programs in it get errors", 0 },
	{ 0 },
};

/* A mount left by a daemon that was killed. Attributes may still be in the
 * kernel's cache; statfs is always asked. */
static bool is_stale(const char *dir)
{
	struct statvfs st;

	return statvfs(dir, &st) && errno == ENOTCONN;
}

static int umount_stale(struct cli *c, const char *dir)
{
	const char *argv[] = { "fusermount3", "-uz", dir, NULL };
	const char *plain[] = { "umount", "-l", dir, NULL };
	struct scorpio_spawn x = { .struct_size = sizeof(x), .argv = argv,
				   .timeout_ms = 10000 };
	int r;

	if (geteuid() == 0)
		x.argv = plain;
	r = spawn_run(&x);
	if (r || x.exit_status)
		return cli_error(EXIT_MOUNT, r ? error_text(r) : x.error,
				 "umount -l DIR as root",
				 "cannot remove the stale mount at %s", dir);
	if (!c->quiet)
		fprintf(stderr, "removed what a daemon that died left at %s\n",
			dir);
	return 0;
}

static bool is_id(const char *s)
{
	return strlen(s) == FS_ID_LEN && s[8] == '-' && s[13] == '-' &&
	       strspn(s, "0123456789abcdef-") == FS_ID_LEN;
}

/* What was changed is still there: where, and the two ways on. */
static void tell_unmounted(const json_t *v)
{
	const char *name = cli_text(v, "workspace");
	int64_t n = json_get_int(v, "changes", -1);
	bool named = json_get_bool(v, "named", true);

	printf("%s is unmounted\n", cli_text(v, "dir"));
	if (!json_get_bool(v, "kept", false))
		return;
	if (n > 0)
		printf("%lld change%s", (long long)n, n > 1 ? "s" : "");
	else
		printf("%s", n ? "the changes" : "what git and you left there");
	printf(" stay%s in workspace %s\n"
	       "  to go on:        scorpio mount %s %s%s%s\n"
	       "  to discard them: scorpio workspace remove %s\n",
	       n == 1 ? "s" : "", name, cli_text(v, "source"),
	       cli_text(v, "dir"), named ? " --workspace " : "",
	       named ? name : "", name);
}

static int umount_one(struct cli *c, const char *arg)
{
	cleanup_free char *target = is_id(arg) ? xstrdup(arg)
					       : cli_mountpoint(arg);
	cleanup_free char *escaped = http_escape(target, strlen(target));
	cleanup_free char *path = xasprintf("/api/v1/mounts/%s%s", escaped,
					    own.lazy ? "?lazy=1" : "");
	const char *code;
	json_t *v;
	int r = cli_call(c, "DELETE", path, NULL, &v, &code);

	if (r == -ENOTCONN && is_stale(target))
		return umount_stale(c, target);
	if (!r && is_stale(target)) /* one that could not come back */
		umount_stale(c, target);
	if (r)
		return cli_call_failed(c, r, code, "cannot unmount %s", arg);
	if (c->json)
		cli_print_json(v);
	else if (!c->quiet)
		tell_unmounted(v);
	json_decref(v);
	return 0;
}

static int umount_run(struct cli *c)
{
	int r = cli_config(c);

	for (int i = 0; i < c->n_args && !r; i++)
		r = umount_one(c, c->args[i]);
	return r;
}

const struct cli_command cmd_umount = {
	.name = "umount",
	.args = "DIR|ID...",
	.summary = "take mounts away",
	.min_args = 1,
	.max_args = -1,
	.options = umount_options,
	.option = mount_option,
	.run = umount_run,
};
