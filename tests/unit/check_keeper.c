/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper with daemons of a few lines: this program, started by it with the
 * name of a part to play. What happened is told by a file, one word a line.
 */
#include "core/base.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "fs/keeper.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define RETRY_MS 3
#define AWAY_MS 500

static char story[64];

static void tell(const char *word)
{
	int fd = open(story, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0) {
		dprintf(fd, "%s\n", word);
		close(fd);
	}
}

static const char *told(void)
{
	static char text[4096];
	int fd = open(story, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[MAX(n, 0)] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

/* -- the daemons ------------------------------------------------------------------- */

static bool yes(void *ctx UNUSED)
{
	return true;
}

static bool no(void *ctx UNUSED)
{
	return false;
}

static int stop(struct keeper *k, int code)
{
	keeper_stopping(k);
	keeper_free(k);
	return code;
}

/* First life: leaves something and dies. Second: finds it. */
static int play_dies(struct keeper *k)
{
	int fd = memfd_create("left", MFD_CLOEXEC);
	struct kept *x = keeper_take(k, "thing-");
	char word[16] = "";

	if (!keeper_restarts(k)) {
		if (write(fd, "left", 4) != 4 ||
		    keeper_put(k, "thing-1", &fd, 1, "its text") ||
		    keeper_put(k, "thing-2", NULL, 0, "dropped"))
			return 9;
		keeper_drop(k, "thing-2");
		keeper_serve(k, yes, NULL);
		raise(SIGKILL);
	}
	if (!x || strcmp(x->name, "thing-1") || strcmp(x->text, "its text") ||
	    pread(x->fd[0], word, 4, 0) != 4 || strcmp(word, "left") ||
	    keeper_take(k, "") || keeper_lost_ns(k) <= 0 ||
	    !keeper_was_killed(k))
		return 9;
	kept_free(x);
	keeper_serve(k, yes, NULL);
	tell("found");
	close(fd);
	return stop(k, 7);
}

static int play_hangs(struct keeper *k)
{
	bool first = !keeper_restarts(k);

	if (keeper_was_killed(k)) /* by the keeper: that was its own fault */
		return 9;
	keeper_serve(k, first ? no : yes, NULL);
	tell(first ? "hangs" : "replaced");
	if (first)
		sleep(60);
	return stop(k, 0);
}

static int play_stopped(struct keeper *k)
{
	keeper_serve(k, yes, NULL);
	if (!keeper_restarts(k))
		raise(SIGSTOP);
	tell("goes on");
	return stop(k, 0);
}

/* Asked for another program that says no, then for one that says yes. */
static int play_upgrade(struct keeper *k)
{
	int64_t deadline = deadline_in_ms(20000);

	keeper_serve(k, yes, NULL);
	if (keeper_restarts(k)) {
		tell("the new one");
		return stop(k, 0);
	}
	if (keeper_replace(k, "/nonexistent", deadline) != -EPERM)
		return 9;
	if (keeper_replace(k, "/bin/false", deadline) != -EPERM)
		return 9;
	tell("refused");
	if (keeper_replace(k, NULL, deadline))
		return 9;
	tell("accepted");
	sleep(60);
	return 9;
}

static int play_never_ready(struct keeper *k)
{
	keeper_free(k);
	return 3;
}

static int play_fails(struct keeper *k)
{
	keeper_serve(k, yes, NULL);
	tell("dies");
	_exit(1);
}

static bool has_mount(struct keeper *k)
{
	struct kept *x = keeper_take(k, KEEPER_MOUNT);

	kept_free(x);
	return x;
}

/* Serves once, with a mount; then is killed before it serves, very often. */
static int play_killed(struct keeper *k)
{
	if (!keeper_restarts(k)) {
		if (keeper_put(k, KEEPER_MOUNT "1", NULL, 0, "/nowhere\n"))
			return 9;
		keeper_serve(k, yes, NULL);
	}
	if (keeper_restarts(k) < 60)
		raise(SIGKILL);
	keeper_serve(k, yes, NULL);
	tell(has_mount(k) ? "has its mount" : "lost its mount");
	return stop(k, 0);
}

/* The same without an end: those who wait are told at last. */
static int play_lost(struct keeper *k)
{
	if (!keeper_restarts(k)) {
		if (keeper_put(k, KEEPER_MOUNT "1", NULL, 0, "/nowhere\n"))
			return 9;
		keeper_serve(k, yes, NULL);
		raise(SIGKILL);
	}
	if (has_mount(k))
		raise(SIGKILL);
	keeper_serve(k, yes, NULL);
	tell(now_ns() - keeper_lost_ns(k) >= AWAY_MS * NS_PER_MS
		     ? "lost its mount" : "lost it too soon");
	return stop(k, 0);
}

/* Never says that it lives: that is not killed from outside. */
static int play_numb(struct keeper *k)
{
	if (!keeper_restarts(k) &&
	    keeper_put(k, KEEPER_MOUNT "1", NULL, 0, "/nowhere\n"))
		return 9;
	keeper_serve(k, keeper_restarts(k) < 8 ? no : yes, NULL);
	if (keeper_restarts(k) < 8)
		sleep(60);
	tell(has_mount(k) ? "has its mount" : "lost its mount");
	return stop(k, 0);
}

static int play(const char *part, const char *file)
{
	static const struct {
		const char *name;
		int (*fn)(struct keeper *k);
	} parts[] = { { "dies", play_dies },	 { "hangs", play_hangs },
		      { "stopped", play_stopped }, { "upgrade", play_upgrade },
		      { "never", play_never_ready }, { "fails", play_fails },
		      { "killed", play_killed }, { "lost", play_lost },
		      { "numb", play_numb } };
	struct keeper *k;

	snprintf(story, sizeof(story), "%s", file);
	if (keeper_connect(&k) || !k || keeper_pid(k) != getppid())
		return 8;
	if (keeper_only_asks(k)) {
		keeper_free(k);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strcmp(part, parts[i].name))
			return parts[i].fn(k);
	return 8;
}

/* -- the keeper -------------------------------------------------------------------- */

static void ready(void *ctx UNUSED)
{
	tell("ready");
}

/* The keeper says "ready" when it hears of it: once, before or after the next
 * word of the daemon. */
static void check_told(const char *words)
{
	static char text[4096];
	char *at;

	snprintf(text, sizeof(text), "%s", told());
	at = strstr(text, "ready\n");
	ck_assert_ptr_nonnull(at);
	memmove(at, at + 6, strlen(at + 6) + 1);
	ck_assert_str_eq(text, words);
}

static int run(const char *part, int64_t hang_ms, int64_t away_ms)
{
	char name[32];
	char self[] = "check_keeper";
	char *argv[] = { self, name, story, NULL };
	struct keeper_options o = { .argv = argv,
				    .program = "/proc/self/exe",
				    .hang_ms = hang_ms, .ready = ready,
				    .retry_ms = RETRY_MS,
				    .away_ms = away_ms };
	int status, pid;

	snprintf(name, sizeof(name), "%s", part);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(keeper_run(&o));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void setup(void)
{
	int fd;

	snprintf(story, sizeof(story), "/tmp/check_keeper.XXXXXX");
	fd = mkstemp(story);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void teardown(void)
{
	unlink(story);
}

static const struct {
	const char *part;
	int hang_ms, away_ms, code;
	const char *words;
} stories[] = {
	/* what was left is found, and the code is passed on */
	{ "dies", 0, 0, 7, "found\n" },
	{ "hangs", 600, 0, 0, "hangs\nreplaced\n" },
	/* as if it hung; beats come every second */
	{ "stopped", 2500, 0, 0, "goes on\n" },
	/* a new program is asked first */
	{ "upgrade", 0, 0, 0, "refused\naccepted\nthe new one\n" },
	/* who kills it costs nobody a mount, but waiting has an end */
	{ "killed", 0, 0, 0, "has its mount\n" },
	{ "lost", 0, AWAY_MS, 0, "lost its mount\n" },
	/* one that hangs each time */
	{ "numb", 250, 0, 0, "lost its mount\n" },
};

START_TEST(a_story_ends_well)
{
	ck_assert_int_eq(run(stories[_i].part, stories[_i].hang_ms,
			     stories[_i].away_ms),
			 stories[_i].code);
	check_told(stories[_i].words);
}
END_TEST

START_TEST(one_that_cannot_start_is_not_started_again)
{
	ck_assert_int_eq(run("never", 0, 0), 3);
	ck_assert_str_eq(told(), "");
}
END_TEST

START_TEST(one_that_dies_at_once_is_given_up)
{
	int64_t t = now_ns();
	size_t deaths = 0;

	ck_assert_int_eq(run("fails", 0, 0), 1);
	for (const char *p = told(); (p = strstr(p, "dies")); p++)
		deaths++;
	ck_assert_uint_ge(deaths, 8);
	ck_assert_uint_le(deaths, 20);
	/* later each time: 2, 4, 8, 16, 32, 32 ... times retry_ms */
	ck_assert_int_ge(now_ns() - t, 200 * RETRY_MS * NS_PER_MS);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s;
	TCase *t;
	SRunner *sr;
	int failed;

	if (argc == 3)
		return play(argv[1], argv[2]);
	log_set_level("off");
	s = suite_create("keeper");
	t = tcase_create("keeper");
	sr = srunner_create(s);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, a_story_ends_well, 0, ARRAY_SIZE(stories));
	tcase_add_test(t, one_that_cannot_start_is_not_started_again);
	tcase_add_test(t, one_that_dies_at_once_is_given_up);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
