/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fsrand - random operations on a directory and on its native twin.
 *
 *	fsrand [OPTIONS] TARGET TWIN
 *	--seed S	(default: the time) --ops N (10000)
 *	--check N	compare the trees each N operations (1000; 0: at the
 *end)
 *	--procs K	K processes, each in TARGET/pK, then all in
 *TARGET/shared
 *	--stop-at K	end after operation K and compare; --verbose prints each
 *	--shrink	make a failing sequence small (TARGET starts empty)
 *	--journal FILE	note each operation before and after; --no-sync: without
 *		an fdatasync of FILE each time
 *	--verify FILE	after a crash: all that was acknowledged is there; what
 *		was in flight is removed from both sides. With --procs: FILE.k
 *	--compare	only compare the trees
 *
 * Both directories must hold the same at the start. Exit codes: 0 the same,
 * 1 mismatch, 2 trouble, 3 the target has gone (ENOTCONN).
 */
#include "tests/tools/fsrand/fsrand.h"

#include <getopt.h>

enum {
	SEED = 1,
	OPS,
	CHECK,
	PROCS,
	STOP,
	VERBOSE,
	SHRINK,
	JOURNAL,
	NOSYNC,
	VERIFY,
	COMPARE
};

static const struct option options[] = {
	{ "seed", required_argument, NULL, SEED },
	{ "ops", required_argument, NULL, OPS },
	{ "check", required_argument, NULL, CHECK },
	{ "procs", required_argument, NULL, PROCS },
	{ "stop-at", required_argument, NULL, STOP },
	{ "verbose", no_argument, NULL, VERBOSE },
	{ "shrink", no_argument, NULL, SHRINK },
	{ "journal", required_argument, NULL, JOURNAL },
	{ "no-sync", no_argument, NULL, NOSYNC },
	{ "verify", required_argument, NULL, VERIFY },
	{ "compare", no_argument, NULL, COMPARE },
	{ 0 },
};

struct modes {
	bool shrink, verify, compare;
};

static int parse(int argc, char **argv, struct config *c, struct modes *m)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == SEED)
			c->seed = strtoull(optarg, NULL, 0);
		else if (opt == OPS)
			c->ops = strtoul(optarg, NULL, 0);
		else if (opt == CHECK)
			c->check = strtoul(optarg, NULL, 0);
		else if (opt == PROCS)
			c->procs = atoi(optarg);
		else if (opt == STOP)
			c->stop_at = strtoul(optarg, NULL, 0);
		else if (opt == VERBOSE)
			c->verbose = true;
		else if (opt == SHRINK)
			m->shrink = true;
		else if (opt == JOURNAL || opt == VERIFY)
			c->journal = optarg, m->verify = opt == VERIFY;
		else if (opt == NOSYNC)
			c->journal_sync = false;
		else if (opt == COMPARE)
			m->compare = true;
		else
			return -1;
	}
	return argc - optind == 2 && c->procs >= 1 && c->procs <= 16 ? 0 : -1;
}

static int verify(const struct config *c)
{
	char target[PATH_MAX], twin[PATH_MAX], journal[PATH_MAX];
	struct config one = *c;
	int code = 0;

	if (c->procs == 1)
		return journal_verify(c);
	for (int k = 0; k < c->procs; k++) {
		int r;

		print_to(target, sizeof(target), "%s/p%d", c->target, k);
		print_to(twin, sizeof(twin), "%s/p%d", c->twin, k);
		print_to(journal, sizeof(journal), "%s.%d", c->journal, k);
		one.target = target;
		one.twin = twin;
		one.journal = journal;
		if (access(twin, F_OK) < 0) /* not begun */
			continue;
		r = journal_verify(&one);
		code = MAX(code, r);
	}
	return code;
}

int main(int argc, char **argv)
{
	struct config c = { .seed = (uint64_t)time(NULL),
			    .ops = 10000,
			    .check = 1000,
			    .procs = 1,
			    .journal_sync = true };
	struct modes m = { 0 };
	cleanup_free char *target = NULL, *twin = NULL;
	unsigned long at = 0;
	int code;

	if (parse(argc, argv, &c, &m) < 0) {
		fprintf(stderr,
			"usage: fsrand [--seed S] [--ops N] [--check N] "
			"[--procs K] [--stop-at K] [--shrink] [--verbose]\n"
			"\t[--journal FILE | --verify FILE | --compare] "
			"TARGET TWIN\n");
		return 2;
	}
	c.target = target = realpath(argv[optind], NULL);
	c.twin = twin = realpath(argv[optind + 1], NULL);
	if (!target || !twin) {
		perror("fsrand: TARGET or TWIN");
		return 2;
	}
	umask(022);
	/* older times were set, or came with the revision */
	compare_epoch = 1710000000;
	if (m.compare)
		return compare_trees(target, twin, compare_epoch, NULL);
	if (m.verify)
		return verify(&c);
	printf("seed %llu\n", (unsigned long long)c.seed);
	if (c.procs > 1)
		return run_shared(&c);
	if (c.journal && journal_open(&c) < 0)
		return 2;
	code = run_sequence(&c, &at);
	if (code == 1 && m.shrink)
		return run_shrink(&c, at);
	if (code == 0)
		printf("%lu operations, the trees are the same\n", c.ops);
	return code;
}
