/* SPDX-License-Identifier: Apache-2.0 */
#include "api/daemon_private.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "api/antares/antares.h"
#include "api/classic/classic.h"
#include "api/gitwork/gitwork.h"
#include "api/http/routes.h"
#include "api/notify.h"
#include "api/plugins.h"
#include "api/roles/roles.h"
#include "api/sigbus.h"
#include "api/stack.h"
#include "cache/source.h"
#include "core/clock.h"
#include "core/confine.h"
#include "core/error.h"
#include "core/http.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/registry.h"
#include "core/spawn.h"
#include "fs/keeper.h"
#include "fs/mounter.h"
#include "fs/mountpoint.h"
#include "plugins/loader.h"

#define STOP_HTTP_MS 20000
#define STOP_ALL_MS 45000
#define RESTORE_TIMEOUT_MS 60000
#define DYING_MS 1000
#define STUCK_NS (30 * NS_PER_S) /* every thread that answers the kernel */

static int problem(struct daemon_problem *p, int err, int exit_code,
		   const char *what, const char *advice)
{
	p->exit_code = exit_code;
	p->why = xstrdup(error_text(err));
	p->what = xstrdup(what);
	p->advice = xstrdup(advice);
	return err;
}

/* -- up -------------------------------------------------------------------------- */

/* Called by the fs for each source it opens. */
static const char *view_get(const struct source_config *c, const char *key)
{
	return config_view_get(c->ctx, key);
}

static struct source_config view_of(void *ctx, const char *url)
{
	struct daemon *d = ctx;
	const struct scorpio_backend *b = registry_by_url(url);
	const struct config_source *source;
	struct view *v;
	ranked_scope(&d->lock);

	source = config_source_by_url(d->config, url);
	for (v = d->views; v; v = v->next)
		if (v->view.config == d->config && v->view.source == source &&
		    v->view.backend == (b ? b->name : NULL))
			return (struct source_config){ .get = view_get,
						       .ctx = &v->view };
	v = xcalloc(1, sizeof(*v));
	v->view.config = config_get(d->config);
	v->view.source = source;
	v->view.backend = b ? b->name : NULL;
	v->next = d->views;
	d->views = v;
	return (struct source_config){ .get = view_get, .ctx = &v->view };
}

static void store_replaced(const char *notice)
{
	log_warn("store", "%s", notice);
}

static int open_store(struct daemon *d, struct daemon_problem *why)
{
	struct store_options o = {
		.path = config_string(d->config, "server.store_path"),
		.max_bytes = (uint64_t)config_int(d->config, "cache.max_size"),
		.zstd_level = (int)config_int(d->config, "cache.zstd_level"),
		.was_killed = keeper_was_killed(d->keeper),
		.replaced = store_replaced,
	};
	int r = store_open(&o, &d->store);

	if (r == -EBUSY)
		return problem(why, r, EXIT_INTERNAL,
			       "another daemon uses this store",
			       "talk to it (scorpio status), end it (scorpio "
			       "stop), or give this one another store_path");
	if (r)
		return problem(why, r, EXIT_INTERNAL, "cannot open the store",
			       "check server.store_path and its disk, or run "
			       "scorpio doctor");
	if (store_notice(d->store))
		log_warn("store", "%s", store_notice(d->store));
	return 0;
}

static void mounted(void *ctx, const struct fs_mount_info *i,
		    const char *source)
{
	struct daemon *d = ctx;

	gitwork_mounted(d->gitwork, i, source);
	antares_mounted(d->antares, i);
	classic_mounted(d->classic, i);
}

static void unmounted(void *ctx, const char *id)
{
	struct daemon *d = ctx;

	gitwork_unmounted(d->gitwork, id);
	antares_unmounted(d->antares, id);
}

static bool discard(void *ctx UNUSED, const char *state_dir)
{
	return gitwork_pristine(state_dir);
}

static bool keep(void *ctx, const char *dir)
{
	struct daemon *d = ctx;

	return classic_keeps(d->classic, dir);
}

static int64_t follow_ms(void *ctx, const char *source)
{
	struct daemon *d = ctx;
	struct config *c = daemon_config(d);
	struct config_view v = { .config = c, .backend = "mono",
				 .source = config_source_by_url(c, source) };
	const char *text = strncmp(source, "mono+", 5)
		? NULL : config_view_get(&v, "poll_interval");
	int64_t ms = 0;

	if (text && !config_parse_duration(text, "s", &ms))
		ms = 0;
	config_put(c);
	return ms;
}

static void make_gitwork(struct daemon *d)
{
	cleanup_free char *socket = config_socket(d->config);
	struct gitwork_options o = { .fs = d->fs, .store = d->store,
				     .socket = socket };

	d->gitwork = gitwork_new(&o);
}

static int make_fs(struct daemon *d, const struct daemon_options *opt,
		   struct daemon_problem *why)
{
	struct config *c = d->config;
	struct fs_options o = {
		.store = d->store,
		.workers = (unsigned)config_int(c, "fs.workers"),
		.request_timeout_ms = config_int(c, "fs.request_timeout"),
		.read_ahead = (uint64_t)config_int(c, "fs.read_ahead"),
		.fetch_threads = (unsigned)config_int(c, "fetch.threads"),
		.batch_max = (unsigned)config_int(c, "fetch.batch"),
		.config = view_of, .stack = stack_of_daemon, .ctx = d,
		.crawl_programs = config_string(c, "fs.crawl_programs"),
		.crawl_budget = (uint64_t)config_int(c, "fs.crawl_budget"),
		.crawl_slow = !strcmp(config_string(c, "fs.crawl_over"),
				      "slow"),
		.offline = config_bool(c, "offline"),
		.digest_xattr = config_string(c, "fs.digest_xattr"),
	};
	const char *store = config_string(c, "server.store_path");
	cleanup_free char *state = xasprintf("%s/mounts.json", store);
	cleanup_free char *workspaces = xasprintf("%s/workspaces", store);
	struct mounts_options m = { .state_path = opt->temporary ? NULL : state,
				    .timeout_ms = RESTORE_TIMEOUT_MS };
	int r;

	o.state_dir = workspaces;
	o.discard = discard;
	o.keeper = d->keeper;
	r = fs_new(&o, &d->fs);
	if (r)
		return problem(why, r, EXIT_INTERNAL,
			       "cannot start the filesystem",
			       "run scorpio doctor");
	make_gitwork(d);
	m.fs = d->fs;
	m.mounted = mounted;
	m.unmounted = unmounted;
	m.keep = keep;
	m.follow_ms = follow_ms;
	m.ctx = d;
	d->mounts = mounts_new(&m);
	d->antares = antares_new(d);
	d->classic = classic_new(d);
	return 0;
}

static int set_policy(struct daemon *d, const struct config *c)
{
	cleanup_free char *token = NULL;
	struct auth_policy p = { 0 };
	int r = config_token(c, &token);

	if (r)
		return r;
	p.token = token;
	p.allow_insecure = config_bool(c, "server.allow_insecure");
	server_set_policy(d->server, &p);
	return 0;
}

/* As the store's lock: a process that was killed may hold its sockets a little
 * longer than that. */
static int listen_soon(int (*fn)(struct server *s, const char *address),
		       struct server *s, const char *address)
{
	int64_t deadline = deadline_in_ms(DYING_MS);
	struct timespec nap = { 0, 10 * NS_PER_MS };
	int r;

	while ((r = fn(s, address)) == -EADDRINUSE && now_ns() < deadline)
		nanosleep(&nap, NULL);
	return r;
}

static int listen_http(struct daemon *d, const struct daemon_options *o,
		       struct daemon_problem *why)
{
	const char *address = config_string(d->config, "server.http_addr");
	bool dflt = config_origin(d->config, "server.http_addr") ==
		    CONFIG_DEFAULT;
	bool other = dflt && (o->http_any_port || o->http_optional);
	int r = other ? server_listen_tcp(d->server, address)
		      : listen_soon(server_listen_tcp, d->server, address);

	if (r == -EADDRINUSE && o->http_any_port && dflt)
		r = server_listen_tcp(d->server, "127.0.0.1:0");
	if (r == -EADDRINUSE && o->http_optional && dflt) {
		log_warn("http", "%s is taken: this daemon answers on its "
			 "unix socket only", address);
		return 0;
	}
	if (r == -EPERM)
		return problem(why, r, EXIT_CONFIG,
			       "the API would be open to everyone",
			       "set server.token or server.token_file, listen "
			       "on 127.0.0.1, or set server.allow_insecure = "
			       "true if the network is trusted");
	if (r == -EINVAL)
		return problem(why, r, EXIT_CONFIG,
			       "server.http_addr is wrong",
			       "write it as IP:PORT, e.g. 127.0.0.1:2725");
	if (r)
		return problem(why, r, EXIT_BIND, "cannot serve HTTP",
			       "end the other program or pass another "
			       "--http-addr IP:PORT (port 0 takes a free one)");
	return 0;
}

static int make_server(struct daemon *d, const struct daemon_options *o,
		       struct daemon_problem *why)
{
	cleanup_free char *path = config_socket(d->config);
	int r;

	d->router = router_new();
	routes_add_all(d->router, o->antares_root);
	d->server = server_new(d->router, d);
	server_keep(d->server, d->keeper);
	r = set_policy(d, d->config);
	if (r)
		return problem(why, r, EXIT_CONFIG, "cannot read the token",
			       "check server.token_file");
	r = listen_http(d, o, why);
	if (r)
		return r;
	r = listen_soon(server_listen_unix, d->server, path);
	if (r)
		return problem(why, r, EXIT_BIND,
			       "cannot make the control socket",
			       "set server.socket to a path of your own");
	r = server_start(d->server);
	if (r)
		return problem(why, r, EXIT_BIND, "cannot serve HTTP",
			       "check the limits of this process (ulimit -a)");
	return 0;
}

static int start_all(struct daemon *d, const struct daemon_options *o,
		     struct daemon_problem *why)
{
	int r = open_store(d, why);

	if (r)
		return r;
	r = roles_provide();
	if (!r)
		r = daemon_register(d->config);
	if (r)
		return problem(why, r, EXIT_CONFIG, "cannot load a plugin",
			       "fix or remove its name in plugins.load; scorpio "
			       "plugin check FILE says what is wrong with it");
	host_freeze_services();
	r = make_fs(d, o, why);
	if (r)
		return r;
	mounts_revive(d->mounts);
	return make_server(d, o, why);
}

static void prepare_process(struct daemon *d)
{
	struct rlimit files;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	umask(022);
	if (!getrlimit(RLIMIT_NOFILE, &files) &&
	    files.rlim_cur < files.rlim_max) {
		files.rlim_cur = MIN(files.rlim_max, 65536);
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void daemon_free(struct daemon *d)
{
	struct view *v, *next;

	server_free(d->server);
	router_free(d->router);
	antares_stop(d->antares);
	classic_stop(d->classic);
	mounts_free(d->mounts);
	gitwork_free(d->gitwork);
	fs_free(d->fs);
	antares_free(d->antares);
	classic_free(d->classic);
	source_join();
	loader_fini();
	store_close(d->store);
	http_reset();
	registry_reset();
	for (v = d->views; v; v = next) {
		next = v->next;
		config_put((struct config *)(uintptr_t)v->view.config);
		free(v);
	}
	config_put(d->config);
	for (char **p = d->dirs; p && *p; p++)
		free(*p);
	free(d->dirs);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	if (d->stop_fd >= 0)
		close(d->stop_fd);
	pthread_cond_destroy(&d->change);
	lock_done(&d->lock);
	free(d);
}

/* Who is not root lets another process run fusermount3; not where the process is
 * the user's own command, which may start what needs more rights. */
static void confine(const struct daemon *d)
{
	bool on = config_bool(d->config, "server.confine");

	confine_set(on);
	confine_daemon(on && d->keeper && geteuid() && !mounter_start());
}

int daemon_start(const struct daemon_options *o, struct daemon **ret,
		 struct daemon_problem *why)
{
	struct daemon *d = xcalloc(1, sizeof(*d));
	int r;

	lock_init(&d->lock, LOCK_STORE, "daemon");
	cond_init(&d->change);
	d->config = config_get(o->config);
	if (o->config_options) {
		d->reload = *o->config_options;
		d->can_reload = true;
	}
	d->hangup_ends = o->hangup_ends;
	d->keeper = o->keeper;
	d->started = now_ns();
	d->started_wall = wall_ns();
	prepare_process(d);
	confine(d);
	sigbus_explain(config_string(d->config, "server.store_path"));
	daemon_logging(d->config);
	http_configure_from(d->config);
	spawn_set_timeout((uint32_t)config_int(d->config, "fetch.timeout"));
	r = start_all(d, o, why);
	if (r) {
		daemon_free(d);
		return r;
	}
	mounts_load(d->mounts, d->config, o->no_restore);
	antares_forget_strangers(d->antares);
	mounts_restore(d->mounts);
	antares_recover(d->antares);
	__atomic_store_n(&d->restored, true, __ATOMIC_RELEASE);
	d->roles = roles_start(d->fs, d->config);
	*ret = d;
	return 0;
}

/* -- reload ------------------------------------------------------------------------ */

int daemon_reload(struct daemon *d)
{
	cleanup_buf struct buf problems = BUF_INIT;
	struct config_options o = d->reload;
	struct config *c, *old;
	int r;

	if (!d->can_reload)
		return fail(-ENOTSUP, "this daemon was started without a "
			    "configuration that could be read again");
	o.problems = &problems;
	o.warnings = NULL;
	r = config_load(&o, &c);
	if (!r)
		r = set_policy(d, c);
	if (r) {
		log_error("main", "the configuration is not reloaded: %s",
			  error_text(r));
		return r;
	}
	daemon_logging(c);
	http_configure_from(c);
	lock_take(&d->lock);
	old = d->config;
	d->config = c;
	lock_drop(&d->lock);
	daemon_tell_changes(old, c);
	config_put(old);
	log_info("main", "configuration reloaded");
	return 0;
}

/* -- down -------------------------------------------------------------------------- */

/* The mounts must not stay behind when the orderly way takes too long. */
static void leave_now(const struct daemon *d)
{
	log_warn("main", "leaving at once");
	for (char **p = d->dirs; *p; p++)
		mountpoint_detach(*p, true);
	_exit(EXIT_INTERNAL);
}

static bool lives(void *ctx)
{
	struct daemon *d = ctx;

	return fs_lives(d->fs, STUCK_NS);
}

static void *end(void *arg)
{
	struct daemon *d = arg;

	if (server_stop(d->server, deadline_in_ms(STOP_HTTP_MS))) {
		log_warn("main", "some HTTP requests do not end");
		leave_now(d);
	}
	roles_stop(d->roles);
	d->roles = NULL;
	antares_stop(d->antares);
	classic_stop(d->classic);
	mounts_free(d->mounts);
	d->mounts = NULL;
	gitwork_free(d->gitwork);
	d->gitwork = NULL;
	fs_free(d->fs);
	d->fs = NULL;
	lock_take(&d->lock);
	d->ended = true;
	lock_drop(&d->lock);
	eventfd_write(d->stop_fd, 1);
	return NULL;
}

/* The next signal, or 0 after the timeout or a wake-up. Its facts are all 0 if
 * the API was asked to stop. */
static int next_signal(struct daemon *d, int timeout_ms,
		       struct signalfd_siginfo *info)
{
	struct pollfd p[] = { { .fd = d->signal_fd, .events = POLLIN },
			      { .fd = d->stop_fd, .events = POLLIN } };
	eventfd_t n;

	poll(p, ARRAY_SIZE(p), timeout_ms);
	memset(info, 0, sizeof(*info));
	if (p[1].revents && !eventfd_read(d->stop_fd, &n))
		return SIGTERM;
	if (!p[0].revents ||
	    read(d->signal_fd, info, sizeof(*info)) != sizeof(*info))
		return 0;
	return (int)info->ssi_signo;
}

static void tell_end(const struct signalfd_siginfo *info)
{
	const char *name = sigabbrev_np((int)info->ssi_signo);

	if (!info->ssi_signo)
		log_info("main", "ending: asked by the API");
	else if (info->ssi_pid)
		log_info("main", "ending: SIG%s of process %u", name,
			 info->ssi_pid);
	else
		log_info("main", "ending: SIG%s", name);
}

static void wait_for_end(struct daemon *d)
{
	int64_t watchdog = notify_watchdog_ms(), wait;
	struct signalfd_siginfo info;
	int sig;

	for (;;) {
		wait = watchdog ? watchdog : 60000;
		sig = next_signal(d, (int)wait, &info);
		if (watchdog)
			notify("WATCHDOG=1");
		if (sig == SIGHUP && !d->hangup_ends) {
			notify("RELOADING=1");
			daemon_reload(d);
			notify("READY=1");
		} else if (sig) {
			tell_end(&info);
			return;
		}
	}
}

static bool ended(struct daemon *d)
{
	ranked_scope(&d->lock);

	return d->ended;
}

int daemon_run(struct daemon *d)
{
	int64_t deadline;
	pthread_t ender;
	struct signalfd_siginfo info;

	notify("READY=1\nSTATUS=serving");
	if (keeper_serve(d->keeper, lives, d))
		log_warn("main", "the keeper hears nothing: %s",
			 error_text(-EAGAIN));
	wait_for_end(d);
	keeper_stopping(d->keeper);
	notify("STOPPING=1");
	deadline = deadline_in_ms(STOP_ALL_MS);
	d->dirs = mounts_dirs(d->mounts);
	if (pthread_create(&ender, NULL, end, d))
		leave_now(d);
	while (!ended(d)) {
		int sig = next_signal(d, 500, &info);

		if ((!sig || sig == SIGHUP || ended(d)) && now_ns() <= deadline)
			continue;
		pthread_detach(ender);
		leave_now(d);
	}
	pthread_join(ender, NULL);
	daemon_free(d);
	return 0;
}
