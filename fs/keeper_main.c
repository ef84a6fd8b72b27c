/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_main.c - the keeper's loop. One thread, one poll.
 *
 * The daemon ends on purpose (it said so, or its exit code is 0): so does the
 * keeper, with its code. It cannot start the first time: the same. Everything
 * else is a death, and the next one is started at once, unless the last ones
 * died young: then a little later each time, then without the mounts (whose
 * users get errors instead of waiting), at last not at all.
 */
#include "fs/keeper_impl.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define TICK_MS 500
#define START_S 120  /* from start to service */
#define STOP_S 60    /* from SIGTERM to the end */
#define CHECK_S 30   /* of a program that shall take over */
#define YOUNG_NS (2 * NS_PER_S) /* who serves for longer is healthy */
#define AWAY_MS 300000ll /* whoever uses a mount has waited long enough */
#define REPLACE_MS 500 /* for the answer that tells of it */
#define RETRY_MS 100ll
#define EXIT_FAILED 1

/* Failures: deaths of its own, in a row, none of them healthy before. That it is
 * killed from outside is none, however often: mounts are given up when nobody
 * served for too long. */
#define DROP_MOUNTS 8 /* about 10 s */
#define GIVE_UP 12
#define KILLS_AT_ONCE 8 /* in a row; then there is a pause between */

struct state {
	const struct keeper_options *o;
	char *program;
	struct table table;
	struct keeper_message *message;
	int signals;

	int pid, sock; /* of the daemon; 0, -1: none */
	bool serving, served, stopping, replacing;
	int64_t started, ready, beat, looked, stop_at;
	int64_t start_at, replace_at; /* 0: not */
	uint64_t starts;
	int64_t lost; /* when the last one that served was seen to be gone */
	unsigned tries; /* since then */
	bool own_fault; /* one of those that died since was not killed from
			 * outside */
	bool ended; /* this one was killed by us, for a reason */
	int failures, kills;

	struct spawned check; /* pid 0: none */
	char *candidate;
	int64_t check_end;

	bool done;
	int code;
};

static void finish(struct state *s, int code, bool unmount)
{
	table_drop_mounts(&s->table, unmount);
	s->done = true;
	s->code = code;
}

/* -- up ------------------------------------------------------------------------------ */

static void start(struct state *s)
{
	struct spawned p;
	char text[96];

	s->start_at = 0;
	if (keeper_spawn(s->o, s->program,
			 s->served ? SPAWN_AGAIN : SPAWN_FIRST, &p)) {
		log_error("keeper", "cannot start the daemon: %s",
			  error_text(-EIO));
		s->failures++;
		s->start_at = now_ns() + NS_PER_S;
		if (s->failures >= GIVE_UP || !s->served)
			finish(s, EXIT_FAILED, false);
		return;
	}
	s->pid = p.pid;
	s->sock = p.sock;
	s->serving = s->replacing = s->ended = false;
	s->started = now_ns();
	s->tries++;
	snprintf(text, sizeof(text), "%d %llu %lld %d", (int)getpid(),
		 (unsigned long long)s->starts, (long long)s->lost,
		 s->starts && !s->own_fault);
	s->starts++;
	if (table_send(&s->table, s->sock) ||
	    keeper_send(s->sock, KEEPER_START, NULL, NULL, 0, text))
		log_warn("keeper", "the daemon does not listen");
}

static void now_serves(struct state *s)
{
	s->serving = true;
	s->ready = s->beat = now_ns();
	if (s->starts > 1 && s->lost)
		log_info("keeper", "process %d serves, %lld ms after the last "
			 "one was gone%s", s->pid,
			 (long long)((s->ready - s->lost) / NS_PER_MS),
			 s->tries > 1 ? ", after others that did not" : "");
	s->tries = 0;
	s->own_fault = false;
	if (!s->served && s->o->ready)
		s->o->ready(s->o->ctx);
	s->served = true;
}

/* -- down ---------------------------------------------------------------------------- */

/* What its death says of the next one's life. */
static void judge(struct state *s, int sig)
{
	/* one that hangs was healthy for as long as it said so */
	int64_t end = s->ended ? s->beat : now_ns();
	bool outside = sig == SIGKILL && !s->ended;

	if (s->replacing || (s->serving && (outside ||
					    end - s->ready >= YOUNG_NS)))
		s->failures = s->kills = 0;
	else if (outside)
		s->kills++;
	else
		s->failures++;
}

/* How much longer may nobody serve; negative: it has been too long. */
static int64_t patience(const struct state *s)
{
	int64_t ms = s->o->away_ms ? s->o->away_ms : AWAY_MS;

	return s->lost + ms * NS_PER_MS - now_ns();
}

static void lost_daemon(struct state *s, int status)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	judge(s, sig);
	s->own_fault |= sig != SIGKILL;
	log_error("keeper", "the daemon (process %d) %s %d%s", s->pid,
		  sig ? "was ended by signal" : "ended with code",
		  sig ? sig : WEXITSTATUS(status),
		  s->replacing ? ": it is replaced" : "");
	if (s->serving || !s->lost) /* else it is away for longer still */
		s->lost = now_ns();
	if (s->failures >= GIVE_UP) {
		log_error("keeper", "it dies again and again: giving up");
		finish(s, EXIT_FAILED, false);
		return;
	}
	if ((s->failures >= DROP_MOUNTS || patience(s) < 0) &&
	    table_drop_mounts(&s->table, false))
		log_error("keeper", "it dies again and again: its mounts are "
			  "given up, who uses them gets errors");
	s->start_at = now_ns();
	if (s->failures || s->kills > KILLS_AT_ONCE)
		s->start_at += ((s->o->retry_ms ? s->o->retry_ms : RETRY_MS)
				<< MIN(s->failures, 5)) * NS_PER_MS;
}

static void handle(struct state *s);

static void reaped(struct state *s, int status)
{
	handle(s); /* what it still said */
	close(s->sock);
	s->sock = -1;
	if (s->stopping)
		finish(s, WIFEXITED(status) ? WEXITSTATUS(status)
					    : EXIT_FAILED, true);
	else if (!s->served)
		finish(s, WIFEXITED(status) ? WEXITSTATUS(status)
					    : EXIT_FAILED, false);
	else if (WIFEXITED(status) && !WEXITSTATUS(status))
		finish(s, 0, false);
	else
		lost_daemon(s, status);
	s->pid = 0;
}

/* -- being replaced ------------------------------------------------------------------ */

static void begin_check(struct state *s, const char *program)
{
	char text[80];

	if (s->check.pid) {
		keeper_send(s->sock, KEEPER_REFUSED, NULL, NULL, 0,
			    "it is being replaced already");
		return;
	}
	free(s->candidate);
	s->candidate = xstrdup(*program ? program : s->o->program);
	if (access(s->candidate, X_OK) ||
	    keeper_spawn(s->o, s->candidate, SPAWN_CHECK, &s->check)) {
		cleanup_free char *why = xasprintf("%s cannot be started: %s",
						   s->candidate,
						   strerror(errno));

		s->check.pid = 0;
		keeper_send(s->sock, KEEPER_REFUSED, NULL, NULL, 0, why);
		return;
	}
	s->check_end = now_ns() + CHECK_S * NS_PER_S;
	snprintf(text, sizeof(text), "%d 0 0", (int)getpid());
	if (!table_send(&s->table, s->check.sock))
		keeper_send(s->check.sock, KEEPER_START, NULL, NULL, 0, text);
}

static void end_check(struct state *s, int status)
{
	char why[2048];
	ssize_t n = read(s->check.error, why, sizeof(why) - 1);

	why[MAX(n, 0)] = '\0';
	close(s->check.error);
	close(s->check.sock);
	s->check.pid = 0;
	if (!s->pid)
		return;
	if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		free(s->program);
		s->program = xstrdup(s->candidate);
		keeper_send(s->sock, KEEPER_ACCEPTED, NULL, NULL, 0, NULL);
		s->replace_at = now_ns() + REPLACE_MS * NS_PER_MS;
		return;
	}
	keeper_send(s->sock, KEEPER_REFUSED, NULL, NULL, 0,
		    n > 0 ? why : "it died while it was asked");
}

/* -- the loop ------------------------------------------------------------------------ */

static void take(struct state *s, struct keeper_message *m)
{
	switch (m->head.type) {
	case KEEPER_PUT:
		table_put(&s->table, m);
		return; /* it has the descriptors */
	case KEEPER_DROP:
		table_drop(&s->table, m->head.name);
		break;
	case KEEPER_READY:
		now_serves(s);
		break;
	case KEEPER_BEAT:
		s->beat = now_ns();
		break;
	case KEEPER_STOPPING:
		s->stopping = true;
		s->stop_at = s->stop_at ? s->stop_at : now_ns();
		break;
	case KEEPER_TELL:
		manager_tell(m->text, -1);
		break;
	case KEEPER_REPLACE:
		begin_check(s, m->text);
		break;
	default:
		break;
	}
	for (size_t i = 0; i < KEEPER_FDS; i++)
		if (m->fd[i] >= 0)
			close(m->fd[i]);
}

static void handle(struct state *s)
{
	while (s->sock >= 0 &&
	       keeper_receive(s->sock, s->message, false) == 1)
		take(s, s->message);
}

static void reap(struct state *s)
{
	int status, pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->pid)
			reaped(s, status);
		else if (pid == s->check.pid)
			end_check(s, status);
	}
}

static void signalled(struct state *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		int sig = (int)info.ssi_signo;

		if (sig == SIGCHLD) {
			reap(s);
			continue;
		}
		if (s->pid)
			kill(s->pid, sig);
		if (sig == SIGHUP)
			continue;
		s->stopping = true;
		s->stop_at = s->stop_at ? s->stop_at : now_ns();
		if (!s->pid && !s->done)
			finish(s, 0, true);
	}
}

static void watch(struct state *s)
{
	int64_t now = now_ns();
	const char *why = NULL;

	/* not our turn for long: it may not have had its turn either */
	if (now - s->looked > 4 * TICK_MS * NS_PER_MS)
		s->beat = MAX(s->beat, now);
	s->looked = now;
	if (s->check.pid && now > s->check_end)
		kill(s->check.pid, SIGKILL);
	if (!s->pid)
		return;
	if (s->replace_at && now >= s->replace_at) {
		s->replace_at = 0;
		s->replacing = true;
		why = "is replaced";
	} else if (s->stopping && now > s->stop_at + STOP_S * NS_PER_S) {
		why = "does not end";
	} else if (!s->serving && now > s->started + START_S * NS_PER_S) {
		why = "does not get ready";
	} else if (s->serving && !s->stopping && s->o->hang_ms &&
		   now > s->beat + s->o->hang_ms * NS_PER_MS &&
		   !keeper_is_traced(s->pid)) {
		why = "hangs";
	}
	if (!why)
		return;
	s->ended = !s->replacing;
	s->own_fault |= s->ended;
	log_warn("keeper", "the daemon (process %d) %s", s->pid, why);
	kill(s->pid, SIGKILL);
}

static int timeout_of(const struct state *s)
{
	int64_t left = TICK_MS * NS_PER_MS, now = now_ns();

	if (s->start_at)
		left = MIN(left, MAX(s->start_at - now, 0));
	if (s->replace_at)
		left = MIN(left, MAX(s->replace_at - now, 0));
	return (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

/* WATCHDOG=1 in time; the daemon itself is watched above. */
static void pat_manager(void)
{
	static int64_t last;
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && atoi(pid) != getpid()) ||
	    now_ns() - last < atoll(usec) * 1000 / 3)
		return;
	last = now_ns();
	manager_tell("WATCHDOG=1", -1);
}

static void loop(struct state *s)
{
	while (!s->done) {
		struct pollfd p[] = { { .fd = s->signals, .events = POLLIN },
				      { .fd = s->sock, .events = POLLIN } };

		poll(p, ARRAY_SIZE(p), timeout_of(s));
		handle(s);
		signalled(s);
		watch(s);
		pat_manager();
		if (!s->done && !s->pid && s->start_at &&
		    now_ns() >= s->start_at)
			start(s);
	}
}

static int watch_signals(void)
{
	static const int list[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	struct rlimit files;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		sigaddset(&set, list[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!getrlimit(RLIMIT_NOFILE, &files) &&
	    files.rlim_cur < files.rlim_max) {
		files.rlim_cur = MIN(files.rlim_max, 65536);
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int keeper_run(const struct keeper_options *o)
{
	struct state s = { .o = o, .sock = -1, .signals = watch_signals() };
	struct spawned *check = &s.check;

	s.program = xstrdup(o->program);
	s.message = xmalloc(sizeof(*s.message));
	s.looked = now_ns();
	table_recall(&s.table);
	start(&s);
	loop(&s);
	if (check->pid) {
		kill(check->pid, SIGKILL);
		waitpid(check->pid, NULL, 0);
	}
	table_done(&s.table);
	free(s.message);
	free(s.program);
	free(s.candidate);
	if (s.signals >= 0)
		close(s.signals);
	return s.code;
}
