/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - sequences in lockstep, and making a failing one small */
#include "tests/tools/fsrand/fsrand.h"

#include <sys/vfs.h>
#include <sys/wait.h>

#define TAIL 24
#define HANG 120 /* seconds one operation may take */

static void side_init(struct side *s, const char *name, const char *root)
{
	s->name = name;
	print_to(s->root, sizeof(s->root), "%s", root);
	for (int i = 0; i < SLOTS; i++)
		s->fd[i] = -1;
}

static void side_done(struct side *s)
{
	for (int i = 0; i < SLOTS; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
}

bool target_gone(const char *root)
{
	struct statfs st; /* never cached, as lstat of the root may be */

	return statfs(root, &st) < 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

static bool gone(const struct outcome *r, const struct side *target)
{
	return r->err == ENOTCONN || r->err == ECONNABORTED ||
	       (r->err != 0 && target_gone(target->root));
}

static void print_tail(const struct op *log, unsigned long i)
{
	char text[3 * PATH_SIZE];
	unsigned long from = i >= TAIL ? i - TAIL + 1 : 0;

	printf("the last operations:\n");
	for (unsigned long j = from; j <= i; j++) {
		if (!log[j % TAIL].kind)
			continue;
		describe_op(j, &log[j % TAIL], text, sizeof(text));
		printf("  %s\n", text);
	}
}

static const char *error_name(int e)
{
	return e == 0 ? "ok" : strerrorname_np(e) ? strerrorname_np(e) : "?";
}

/* 0 same, 1 mismatch, 3 gone */
static int lockstep(unsigned long i, const struct op *o, struct side *target,
		    struct side *twin, const struct config *c)
{
	struct outcome a = { 0 }, b = { 0 };

	alarm(HANG);
	if (c->journal)
		journal_begin(i, o, twin);
	o->kind->run(target, o, &a);
	if (gone(&a, target)) {
		printf("target gone at operation %lu: %s\n", i,
		       error_name(a.err));
		return 3;
	}
	if (c->journal)
		journal_done(i, o);
	o->kind->run(twin, o, &b);
	if (a.err != b.err || a.value != b.value || a.sum != b.sum) {
		printf("MISMATCH at %lu: %s, value %ld, sum %llx; on the twin "
		       "%s, %ld, %llx\n",
		       i, error_name(a.err), a.value, (unsigned long long)a.sum,
		       error_name(b.err), b.value, (unsigned long long)b.sum);
		return 1;
	}
	if (compare_names(target, twin, o->a) ||
	    (*o->b && compare_names(target, twin, o->b))) {
		printf("MISMATCH at %lu: the names differ afterwards\n", i);
		return 1;
	}
	if (a.err == 0)
		names_apply(o->kind->effect, o->a, o->b);
	return 0;
}

static int check_trees(const struct config *c, unsigned long i)
{
	alarm(HANG * 5);
	if (!compare_trees(c->target, c->twin, compare_epoch, NULL))
		return 0;
	printf("MISMATCH at %lu: the trees differ\n", i);
	return 1;
}

int run_sequence(const struct config *c, unsigned long *ret_at)
{
	static struct op log[TAIL];
	struct side target, twin;
	unsigned long i;
	int code = 0;

	side_init(&target, "target", c->target);
	side_init(&twin, "twin", c->twin);
	target.sync_maps = c->journal;
	names_scan(c->twin);
	for (i = 0; i < c->ops && code == 0; i++) {
		struct op *o = &log[i % TAIL];

		o->kind = NULL;
		if (c->skip && c->skip[i])
			continue;
		plan_op(c, i, &twin, o);
		if (c->verbose) {
			char text[3 * PATH_SIZE];

			describe_op(i, o, text, sizeof(text));
			printf("%s\n", text);
			fflush(stdout);
		}
		code = lockstep(i, o, &target, &twin, c);
		if (code == 0 && c->check && i % c->check == c->check - 1)
			code = check_trees(c, i);
		if (c->stop_at && i == c->stop_at)
			break;
	}
	if (code == 0)
		code = check_trees(c, i);
	else
		*ret_at = --i;
	if (code == 1 && c->journal &&
	    (compare_saw_gone || target_gone(c->target)))
		code = 3; /* --verify will tell */
	side_done(&target);
	side_done(&twin);
	alarm(0);
	if (code == 1) {
		print_tail(log, i);
		printf("replay: --seed %llu --ops %lu --stop-at %lu\n",
		       (unsigned long long)c->seed, c->ops, i);
	}
	fflush(stdout);
	return code;
}

/* -- make it small
 * ----------------------------------------------------------------- */

/* true: it still fails, in fresh directories */
static bool still_fails(const struct config *c, const unsigned char *skip)
{
	static int attempt;
	char target[PATH_MAX], twin[PATH_MAX];
	struct config one = *c;
	unsigned long at;
	int status;
	pid_t pid;

	print_to(target, sizeof(target), "%s/shrink%d", c->target, attempt);
	print_to(twin, sizeof(twin), "%s/shrink%d", c->twin, attempt++);
	if (mkdir(target, 0755) < 0 || mkdir(twin, 0755) < 0) {
		perror("fsrand: mkdir");
		exit(2);
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(2);
		one.target = target;
		one.twin = twin;
		one.skip = skip;
		one.check = 0;
		_exit(run_sequence(&one, &at));
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		exit(2);
	return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void print_rest(const struct config *c, const unsigned char *skip)
{
	struct config one = *c;
	char target[PATH_MAX], twin[PATH_MAX];
	unsigned long at;

	print_to(target, sizeof(target), "%s/shrunk", c->target);
	print_to(twin, sizeof(twin), "%s/shrunk", c->twin);
	if (mkdir(target, 0755) < 0 || mkdir(twin, 0755) < 0)
		return;
	one.target = target;
	one.twin = twin;
	one.skip = skip;
	one.check = 0;
	one.verbose = true;
	printf("what is left of it:\n");
	run_sequence(&one, &at);
}

int run_shrink(const struct config *c, unsigned long at)
{
	struct config one = *c;
	/* what is left out, and what else might be */
	cleanup_free unsigned char *skip = calloc(2, at + 1);
	unsigned char *try = skip ? skip + at + 1 : NULL;

	if (!skip)
		return 2;
	one.ops = at + 1;
	one.stop_at = 0;
	if (!still_fails(&one, skip)) {
		printf("it does not fail again in an empty directory\n");
		return 1;
	}
	for (unsigned long n = (at + 2) / 2; n > 0; n /= 2) {
		for (unsigned long i = 0; i <= at; i += n) {
			unsigned long left = MIN(n, at + 1 - i);

			memcpy(try, skip, at + 1);
			memset(try + i, 1, left);
			if (memcmp(try, skip, at + 1) != 0 &&
			    still_fails(&one, try))
				memcpy(skip, try, at + 1);
		}
	}
	print_rest(&one, skip);
	return 1;
}
