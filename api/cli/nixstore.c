/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nixstore.c - a Nix store over our mount: overlayfs keeps what Nix writes.
 *
 * Overlayfs remembers that a name was missing in the lower layer. Such names
 * are looked up again after a remount (nixroot_refresh). What Nix's garbage
 * collection removes of the lower layer stays hidden by a whiteout in the upper
 * one, until gc-clean removes that.
 */
#include "api/cli/nix.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/error.h"
#include "core/http.h"
#include "core/log.h"
#include "core/path.h"

#define OPTIONS_MAX 4000u /* the kernel takes a page */

static int make_dirs(const struct nixroot *r)
{
	const char *const dirs[] = { r->store, r->state, r->log, r->lower,
				     r->upper, r->work };
	int e = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dirs) && !e; i++)
		e = path_make_dirs(dirs[i], 0755);
	return e;
}

/* overlayfs splits its options at these */
static bool plain(const char *path)
{
	return !strpbrk(path, ",:\\\"");
}

static int mount_overlay(const struct nixroot *r)
{
	cleanup_free char *o = xasprintf(
		"lowerdir=%s,upperdir=%s,workdir=%s", r->lower, r->store,
		r->work);

	if (!plain(r->root) || strlen(o) >= OPTIONS_MAX)
		return fail(-EINVAL, "overlayfs does not take this path: %s",
			    r->root);
	if (mount(r->store, r->upper, NULL, MS_BIND, NULL) ||
	    mount(NULL, r->upper, NULL, MS_PRIVATE, NULL))
		return fail(-errno, "bind %s: %s", r->upper, strerror(errno));
	if (!mount("scorpio-nix", r->store, "overlay", 0, o))
		return 0;
	int e = -errno;

	umount2(r->upper, 0);
	return fail(e, "overlay at %s: %s", r->store, strerror(-e));
}

static int umount_overlay(const struct nixroot *r)
{
	if (umount2(r->store, UMOUNT_NOFOLLOW))
		return fail(-errno, "%s: %s", r->store, strerror(errno));
	if (umount2(r->upper, UMOUNT_NOFOLLOW) && errno != EINVAL)
		return fail(-errno, "%s: %s", r->upper, strerror(errno));
	return 0;
}

void nixroot_refresh(const struct nixroot *r)
{
	/* fails with other options than it has; the names are dropped first */
	if (mount(NULL, r->store, NULL, MS_REMOUNT, NULL))
		log_debug("nix", "remount %s: %s", r->store, strerror(errno));
}

static int mount_lower(struct cli *c, const char *source,
		       const struct nixroot *r)
{
	cleanup_free char *full = NULL;
	const char *code;
	json_t *v = NULL;
	int e = mount_source(source, &full);

	if (e)
		return cli_errno(e, EXIT_MOUNT, "nix+https://CACHE/ or "
				 "nix+file:///DIR", "cannot mount %s", source);
	e = cli_need_daemon(c);
	if (e)
		return e;
	e = cli_call(c, "POST", "/api/v1/mounts",
		     json_pack("{s:s,s:s,s:b,s:b}", "source", full, "dir",
			       r->lower, "read_only", 1, "allow_other", 1),
		     &v, &code);
	json_decref(v);
	return e ? cli_call_failed(c, e, code, "cannot mount %s", source) : 0;
}

static int umount_lower(struct cli *c, const struct nixroot *r)
{
	cleanup_free char *dir = http_escape(r->lower, strlen(r->lower));
	cleanup_free char *url = xasprintf("/api/v1/mounts/%s", dir);
	json_t *v = NULL;
	int e = cli_call(c, "DELETE", url, NULL, &v, NULL);

	json_decref(v);
	return e;
}

/* -- a command that sees it as /nix/store -------------------------------------- */

static int enter(const struct nixroot *r)
{
	cleanup_free char *state = xasprintf("%s/nix/var", r->root);

	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail(-errno, "a mount namespace: %s", strerror(errno));
	if (!*r->root)
		return 0;
	if (path_make_dirs("/nix/store", 0755) ||
	    path_make_dirs("/nix/var", 0755))
		return fail(-errno, "/nix/store: %s", strerror(errno));
	/* the overlay alone: below it may be more mounts */
	if (mount(r->store, "/nix/store", NULL, MS_BIND, NULL) ||
	    mount(state, "/nix/var", NULL, MS_BIND | MS_REC, NULL))
		return fail(-errno, "/nix: %s", strerror(errno));
	return 0;
}

static int run_in(const struct nixroot *r, char **argv)
{
	pid_t pid = fork();
	int status, e;

	if (pid < 0)
		return cli_errno(-errno, EXIT_INTERNAL, NULL, "cannot fork");
	if (!pid) {
		e = enter(r);
		if (e)
			_exit(cli_errno(e, EXIT_INTERNAL, "be root",
					"cannot show %s as /nix/store",
					r->store));
		setenv("SCORPIO_NIX_ROOT", *r->root ? r->root : "/", 1);
		setenv("NIX_REMOTE", "local", 1);
		execvp(argv[0], argv);
		_exit(cli_errno(-errno, 127, NULL, "cannot run %s", argv[0]));
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_INTERNAL;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 128 + WTERMSIG(status);
}

/* -- verbs ----------------------------------------------------------------------- */

static int prepare(struct cli *c, const char *source, const struct nixroot *r)
{
	int e;

	if (geteuid())
		return cli_error(EXIT_MOUNT, "overlayfs below Nix needs root",
				 "run it as root, or mount the cache alone: "
				 "scorpio mount SOURCE DIR",
				 "cannot prepare %s", r->store);
	if (nixroot_mounted(r))
		return cli_error(EXIT_MOUNT, "there is an overlay already",
				 "scorpio nix umount ROOT",
				 "cannot prepare %s", r->store);
	e = make_dirs(r);
	if (e)
		return cli_errno(e, EXIT_MOUNT, NULL, "cannot prepare %s",
				 r->store);
	e = mount_lower(c, source, r);
	if (e)
		return e;
	e = mount_overlay(r);
	if (!e)
		return 0;
	e = cli_errno(e, EXIT_MOUNT, "ROOT must be on a local filesystem that "
		      "overlayfs can write to", "cannot prepare %s", r->store);
	umount_lower(c, r);
	return e;
}

static int take_down(struct cli *c, const struct nixroot *r)
{
	int e = nixroot_mounted(r) ? umount_overlay(r) : 0;

	if (!e)
		e = umount_lower(c, r);
	return e ? cli_errno(e, EXIT_MOUNT, "end what uses it: fuser -vm DIR",
			     "cannot unmount %s", r->store)
		 : 0;
}

int nix_store_verb(struct cli *c)
{
	struct nixroot r;
	int e, down;

	nixroot_init(&r, c->args[2]);
	e = prepare(c, c->args[1], &r);
	if (!e && c->n_args > 3) {
		e = run_in(&r, &c->args[3]);
		down = take_down(c, &r);
		e = e ? e : down;
	} else if (!e && !c->quiet) {
		printf("%s shows %s\n", r.store, c->args[1]);
	}
	nixroot_done(&r);
	return e;
}

int nix_run_verb(struct cli *c)
{
	struct nixroot r;
	int e;

	nixroot_init(&r, c->args[1]);
	if (nixroot_mounted(&r))
		e = run_in(&r, &c->args[2]);
	else
		e = cli_error(EXIT_MOUNT, "it is not a lazy store",
			      "scorpio nix store SOURCE ROOT",
			      "cannot run in %s", c->args[1]);
	nixroot_done(&r);
	return e;
}

int nix_umount_verb(struct cli *c)
{
	struct nixroot r;
	int e;

	nixroot_init(&r, c->args[1]);
	e = take_down(c, &r);
	nixroot_done(&r);
	return e;
}

/* Names with a whiteout, removed if `remove`. How many, or -errno. */
static int whiteouts(const char *upper, bool remove)
{
	DIR *d = opendir(upper);
	struct dirent *x;
	struct stat st;
	int n = 0;

	if (!d)
		return fail(-errno, "%s: %s", upper, strerror(errno));
	while ((x = readdir(d))) {
		if (fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISCHR(st.st_mode) || st.st_rdev)
			continue;
		n++;
		if (!remove || !unlinkat(dirfd(d), x->d_name, 0))
			continue;
		n = fail(-errno, "%s: %s", x->d_name, strerror(errno));
		break;
	}
	closedir(d);
	return n;
}

static int gc_clean(const struct nixroot *r)
{
	int n = nixroot_mounted(r) ? whiteouts(r->upper, false)
				   : whiteouts(r->store, true);
	int e;

	if (n <= 0 || !nixroot_mounted(r))
		return n;
	e = umount_overlay(r); /* overlayfs wants its upper layer left alone */
	if (e)
		return e;
	n = whiteouts(r->store, true);
	e = mount_overlay(r);
	return e ? e : n;
}

int nix_gc_clean_verb(struct cli *c)
{
	struct nixroot r;
	int n;

	nixroot_init(&r, nix_options.root);
	n = gc_clean(&r);
	if (n >= 0 && nixroot_mounted(&r))
		nixroot_refresh(&r);
	if (n >= 0 && c->json)
		printf("{\"whiteouts\": %d}\n", n);
	else if (n >= 0 && !c->quiet)
		printf("%d removed path%s can be seen again\n", n,
		       n == 1 ? "" : "s");
	nixroot_done(&r);
	return n >= 0 ? 0
		      : cli_errno(n, EXIT_MOUNT, "end what uses the store "
				  "(fuser -vm DIR), then again",
				  "cannot clean up after Nix");
}
