/* SPDX-License-Identifier: Apache-2.0 */
/* serve.c - the daemon in the foreground or the background, and its end. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "api/cli/commands.h"
#include "api/notify.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/path.h"
#include "fs/keeper.h"

#define READY_WAIT_MS 10000
#define STOP_WAIT_MS 60000
#define LOG_MAX (4 * 1024 * 1024)

enum { OPT_NO_RESTORE = 1, OPT_BACKGROUND, OPT_AUTO, OPT_KEEPER, OPT_ALONE,
       OPT_ANTARES };

static struct {
	bool background, automatic, no_restore, antares;
	int keeper; /* 1 yes, -1 no, 0 as configured */
	struct keeper *line; /* to the one that started this process */
} own;

static const struct argp_option serve_options[] = {
	{ "background", OPT_BACKGROUND, NULL, 0,
	  "return when the daemon answers", 0 },
	{ "no-restore", OPT_NO_RESTORE, NULL, 0,
	  "forget the mounts of last time", 0 },
	{ "keeper", OPT_KEEPER, NULL, 0,
	  "mounts outlive a daemon that dies (the default)", 0 },
	{ "no-keeper", OPT_ALONE, NULL, 0, "one process; mounts end with it", 0 },
	{ "auto", OPT_AUTO, NULL, OPTION_HIDDEN,
	  "started by another command", 0 },
	{ "antares-root", OPT_ANTARES, NULL, OPTION_HIDDEN,
	  "the calls of /antares at the root as well", 0 },
	{ 0 },
};

static int serve_option(struct cli *c UNUSED, int key, const char *v UNUSED)
{
	switch (key) {
	case OPT_BACKGROUND:
		own.background = true;
		return 0;
	case OPT_NO_RESTORE:
		own.no_restore = true;
		return 0;
	case OPT_AUTO:
		own.automatic = true;
		return 0;
	case OPT_KEEPER:
		own.keeper = 1;
		return 0;
	case OPT_ANTARES:
		own.antares = true;
		return 0;
	case OPT_ALONE:
		own.keeper = -1;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Standard error becomes <store>/daemon.log. Returns a copy of what it was. */
static int log_to_store(struct cli *c)
{
	const char *store = config_string(c->config, "server.store_path");
	cleanup_free char *file = xasprintf("%s/daemon.log", store);
	cleanup_free char *old = xasprintf("%s/daemon.log.1", store);
	cleanup_fd int fd = -1;
	struct stat st;
	int terminal;

	if (path_make_dirs(store, 0700))
		return -1; /* the store will tell */
	if (!stat(file, &st) && st.st_size > LOG_MAX)
		rename(file, old);
	fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(fd, STDERR_FILENO);
	return terminal;
}

static void leave_terminal(int terminal)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	fflush(stdout);
	if (terminal >= 0)
		close(terminal);
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (terminal < 0)
		dup2(null, STDERR_FILENO);
}

static int start(struct cli *c, int terminal, struct daemon **ret)
{
	struct daemon_options o = {
		.config = c->config,
		.config_options = &c->config_options,
		/* once: what came since is not of last time */
		.no_restore = own.no_restore && !keeper_restarts(own.line),
		.http_optional = own.automatic,
		.antares_root = own.antares,
		.keeper = own.line,
	};
	struct daemon_problem problem = { 0 };
	int r;

	if (!daemon_start(&o, ret, &problem))
		return 0;
	if (terminal >= 0)
		dup2(terminal, STDERR_FILENO);
	r = cli_problem(&problem);
	daemon_problem_done(&problem);
	return r;
}

static int serve(struct cli *c)
{
	struct daemon *d;
	int r = start(c, -1, &d);

	if (r)
		return r;
	for (size_t i = 0; i < server_listeners(daemon_server(d)); i++)
		log_info("main", "listening on %s",
			 server_address(daemon_server(d), i));
	return daemon_run(d);
}

/* In the process that stays; ready_fd (-1: the keeper does that) tells the one
 * that waits. */
static int serve_detached(struct cli *c, int ready_fd)
{
	int terminal = log_to_store(c), r;
	uint8_t code = 0;
	struct daemon *d;

	if (chdir("/")) /* relative names have been read */
		log_warn("main", "/: %s", strerror(errno));
	r = start(c, terminal, &d);
	if (r)
		return r;
	if (!own.automatic)
		mounts_wait_settled(daemon_mounts(d),
				    deadline_in_ms(READY_WAIT_MS));
	if (!own.automatic && !c->quiet)
		printf("the daemon runs (process %d); scorpio stop ends it\n",
		       getpid());
	leave_terminal(terminal);
	if (ready_fd >= 0 && write(ready_fd, &code, 1) != 1)
		log_warn("main", "the starting process is gone");
	if (ready_fd >= 0)
		close(ready_fd);
	return daemon_run(d);
}

/* -- under a keeper ----------------------------------------------------------------- */

struct kept_start {
	struct cli *cli;
	int ready_fd; /* -1: nobody waits */
};

/* The daemon serves: the keeper leaves the terminal as it did. */
static void kept_ready(void *ctx)
{
	struct kept_start *x = ctx;
	uint8_t code = 0;

	if (x->ready_fd < 0)
		return;
	leave_terminal(log_to_store(x->cli));
	if (write(x->ready_fd, &code, 1) != 1)
		log_warn("keeper", "the starting process is gone");
	close(x->ready_fd);
	x->ready_fd = -1;
}

static char *own_path(void)
{
	static const char gone[] = " (deleted)";
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	size_t end;

	if (n < 0)
		return xstrdup("/proc/self/exe");
	path[n] = '\0';
	end = (size_t)n - MIN((size_t)n, sizeof(gone) - 1);
	if (!strcmp(path + end, gone))
		path[end] = '\0';
	return xstrdup(path);
}

/* The program's own arguments, with files that may be looked for anywhere. */
static char **own_arguments(struct cli *c)
{
	size_t n = 0, max = 2 * (c->n_files + c->n_overrides) + 8;
	char **argv = xcalloc(max, sizeof(*argv));

	argv[n++] = xstrdup("scorpio");
	for (size_t i = 0; i < c->n_files; i++) {
		argv[n++] = xstrdup("-c");
		argv[n++] = xstrdup(c->files[i]);
	}
	for (size_t i = 0; i < c->n_overrides; i++) {
		argv[n++] = xstrdup("--set");
		argv[n++] = xstrdup(c->overrides[i]);
	}
	if (c->quiet)
		argv[n++] = xstrdup("-q");
	argv[n++] = xstrdup("serve");
	if (own.background)
		argv[n++] = xstrdup("--background");
	if (own.automatic)
		argv[n++] = xstrdup("--auto");
	if (own.no_restore)
		argv[n++] = xstrdup("--no-restore");
	if (own.antares)
		argv[n++] = xstrdup("--antares-root");
	return argv;
}

static int keep(struct cli *c, int ready_fd, const char *directory)
{
	struct kept_start x = { c, ready_fd };
	char **argv = own_arguments(c);
	cleanup_free char *program = own_path();
	struct keeper_options o = {
		.argv = argv, .program = program, .directory = directory,
		.ready = kept_ready, .ctx = &x,
		.hang_ms = config_int(c->config, "server.hang_timeout"),
	};
	int code = keeper_run(&o);

	for (char **p = argv; *p; p++)
		free(*p);
	free(argv);
	return code;
}

/* Only told whether this program could take over. */
static int answer_check(struct cli *c)
{
	cleanup_free char *workspaces =
		xasprintf("%s/workspaces",
			  config_string(c->config, "server.store_path"));
	int r = fs_can_revive(own.line, workspaces);

	if (r)
		fprintf(stderr, "%s\n", error_text(r));
	return r ? EXIT_CONFIG : 0;
}

static bool wants_keeper(struct cli *c)
{
	return own.keeper ? own.keeper > 0
			  : config_bool(c->config, "server.keeper");
}

/* -- in the background ---------------------------------------------------------------- */

/* Fork before anything is opened; report how the start went. */
static int background(struct cli *c)
{
	cleanup_free char *directory = getcwd(NULL, 0);
	uint8_t code;
	int fds[2], status, r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return cli_error(EXIT_INTERNAL, strerror(errno), NULL,
				 "cannot start the daemon");
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return cli_error(EXIT_INTERNAL, strerror(errno), NULL,
				 "cannot start the daemon");
	if (pid == 0) {
		close(fds[0]);
		setsid();
		if (chdir("/"))
			_exit(EXIT_INTERNAL);
		r = wants_keeper(c) ? keep(c, fds[1], directory)
				    : serve_detached(c, fds[1]);
		cli_done(c);
		fflush(NULL);
		_exit(r);
	}
	close(fds[1]);
	if (read(fds[0], &code, 1) == 1) {
		close(fds[0]);
		return code;
	}
	close(fds[0]);
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		return WEXITSTATUS(status);
	return cli_error(EXIT_INTERNAL, "it ended before it was ready",
			 "scorpio doctor", "cannot start the daemon");
}

/* Relative -c paths must survive chdir("/") and mean the same at a reload. */
static void absolute_files(struct cli *c)
{
	for (size_t i = 0; i < c->n_files; i++)
		c->files[i] = cli_own(c, cli_absolute(c->files[i]));
}

static int serve_run(struct cli *c)
{
	int r;

	absolute_files(c);
	r = keeper_connect(&own.line);
	if (r)
		return cli_errno(r, EXIT_INTERNAL, "scorpio stop, then scorpio "
				 "serve", "cannot take over");
	c->warned = own.line && !keeper_restarts(own.line);
	r = cli_config(c);
	if (r)
		return r;
	notify_through(own.line);
	if (keeper_only_asks(own.line))
		r = answer_check(c);
	else if (own.line && own.background)
		r = serve_detached(c, -1);
	else if (own.background)
		r = background(c);
	else {
		daemon_logging(c->config);
		r = own.line || !wants_keeper(c) ? serve(c) : keep(c, -1, NULL);
	}
	keeper_free(own.line);
	return r;
}

int serve_antares(struct cli *c)
{
	own.antares = true;
	return serve_run(c);
}

const struct cli_command cmd_serve = {
	.name = "serve",
	.summary = "run the daemon (in the foreground)",
	.help = "Mounts of the last time come back by themselves. SIGTERM and "
		"Ctrl-C unmount\nand end, SIGHUP reads the configuration "
		"again.\nA second process, the keeper, starts it again if it dies; "
		"mounts go on.",
	.options = serve_options,
	.option = serve_option,
	.run = serve_run,
};

/* -- stop ------------------------------------------------------------------------- */

/* Until the process ended, also as a zombie nobody has collected yet. */
static bool wait_for_end(json_int_t pid, int fd, int ms)
{
	int64_t deadline = deadline_in_ms(ms);
	struct timespec nap = { 0, 20 * NS_PER_MS };
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd >= 0)
		return poll(&p, 1, ms) == 1;
	while (!kill((pid_t)pid, 0) && now_ns() < deadline)
		nanosleep(&nap, NULL);
	return kill((pid_t)pid, 0) != 0;
}

/* The daemon's process, before it is told to end. */
static int open_daemon(struct cli *c)
{
	int64_t pid;
	json_t *v;

	if (cli_call(c, "GET", "/api/v1/status", NULL, &v, NULL))
		return -1;
	pid = json_get_int(v, "keeper_pid", json_get_int(v, "pid", -1));
	json_decref(v);
	return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

/* What will come back: not what was just being made. */
static size_t count_mounts(const json_t *list)
{
	size_t i, n = 0;
	json_t *m;

	json_array_foreach(list, i, m)
		n += strcmp(cli_text(m, "state"), "mounting") != 0;
	return n;
}

static int stop_run(struct cli *c)
{
	cleanup_fd int fd = -1;
	json_t *v;
	size_t mounts;
	json_int_t pid;
	bool ended;
	int r = cli_config(c);

	if (r)
		return r;
	fd = open_daemon(c);
	r = cli_get(c, "POST", "/api/v1/stop", NULL, "cannot end the daemon",
		    &v);
	if (r)
		return r;
	pid = json_integer_value(json_object_get(v, "pid"));
	mounts = count_mounts(json_object_get(v, "mounts"));
	ended = wait_for_end(pid, fd, STOP_WAIT_MS);
	if (c->json)
		cli_print_json(v);
	json_decref(v);
	if (!ended)
		return cli_error(EXIT_INTERNAL, "it is still ending",
				 "wait; a second SIGTERM makes it leave at once",
				 "process %lld has not ended",
				 (long long)pid);
	if (c->json || c->quiet)
		return 0;
	printf("the daemon has ended");
	if (mounts)
		printf("; its %zu mount%s will come back with the next one "
		       "(scorpio serve --no-restore forgets them)", mounts,
		       mounts == 1 ? "" : "s");
	printf("\n");
	return 0;
}

const struct cli_command cmd_stop = {
	.name = "stop",
	.summary = "end the daemon; its mounts come back with the next one",
	.run = stop_run,
};
