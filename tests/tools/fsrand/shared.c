/* SPDX-License-Identifier: Apache-2.0 */
/* shared.c - several processes: each in a tree of its own, then all in one
 * directory, where locks and O_EXCL and O_APPEND decide */
#include "tests/tools/fsrand/fsrand.h"

#include <sys/file.h>
#include <sys/wait.h>

#define ROUNDS 300
#define RECORD 48

struct member {
	const char *dir;
	int me;
};

static int trouble(const char *what)
{
	printf("MISMATCH in the shared directory: %s (%s)\n", what,
	       strerror(errno));
	fflush(stdout);
	return 1;
}

static int count_up(int fd, int me)
{
	char text[32] = "";
	int ok;

	if (me % 2 ? flock(fd, LOCK_EX)
		   : fcntl(fd, F_OFD_SETLKW,
			   &(struct flock){ .l_type = F_WRLCK }))
		return trouble("lock");
	ok = pread(fd, text, sizeof(text) - 1, 0) >= 0;
	print_to(text, sizeof(text), "%d", atoi(text) + 1);
	ok = ok && pwrite(fd, text, strlen(text), 0) > 0;
	if (me % 2 ? flock(fd, LOCK_UN)
		   : fcntl(fd, F_OFD_SETLK,
			   &(struct flock){ .l_type = F_UNLCK }))
		return trouble("unlock");
	return ok ? 0 : trouble("counter");
}

/* one process of the shared phase */
static int take_part(const struct member *m)
{
	char path[PATH_MAX], to[PATH_MAX], record[RECORD];
	cleanup_fd int counter = -1, log = -1;

	print_to(path, sizeof(path), "%s/counter%d", m->dir, m->me % 2);
	counter = open(path, O_RDWR | O_CREAT, 0644);
	print_to(path, sizeof(path), "%s/log", m->dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (counter < 0 || log < 0)
		return trouble("open");
	memset(record, 'a' + m->me, sizeof(record));
	for (int i = 0; i < ROUNDS; i++) {
		int fd;

		if (count_up(counter, m->me))
			return 1;
		if (write(log, record, RECORD) != RECORD)
			return trouble("append");
		print_to(path, sizeof(path), "%s/new%d", m->dir, i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0 || write(fd, record, RECORD) != RECORD)
			return trouble("create");
		close(fd);
		print_to(to, sizeof(to), "%s/won%d.%d", m->dir, i, m->me);
		if (link(path, to) < 0)
			return trouble("link");
	}
	return 0;
}

static int read_number(const char *dir, const char *name)
{
	char path[PATH_MAX], text[32] = "";
	cleanup_fd int fd = -1;

	print_to(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	return fd < 0 || read(fd, text, sizeof(text) - 1) < 0 ? -1 : atoi(text);
}

static int check_log(const char *dir, int procs)
{
	char path[PATH_MAX], record[RECORD];
	int count[64] = { 0 };
	cleanup_fd int fd = -1;

	print_to(path, sizeof(path), "%s/log", dir);
	fd = open(path, O_RDONLY);
	for (int i = 0; i < procs * ROUNDS; i++) {
		if (read(fd, record, RECORD) != RECORD)
			return trouble("the log is short");
		for (int j = 1; j < RECORD; j++)
			if (record[j] != record[0])
				return trouble("a torn record");
		count[record[0] & 63]++;
	}
	for (int i = 0; i < procs; i++)
		if (count[('a' + i) & 63] != ROUNDS)
			return trouble("records lost");
	return read(fd, record, 1) == 0 ? 0 : trouble("the log is long");
}

static int check_shared(const char *dir, int procs)
{
	char path[PATH_MAX];

	if (read_number(dir, "counter0") != (procs + 1) / 2 * ROUNDS ||
	    (procs > 1 && read_number(dir, "counter1") != procs / 2 * ROUNDS))
		return trouble("a counter lost its count");
	for (int i = 0; i < ROUNDS; i++) {
		struct stat st;

		print_to(path, sizeof(path), "%s/new%d", dir, i);
		if (lstat(path, &st) < 0 || st.st_nlink != 2)
			return trouble("a name has no or two winners");
	}
	return check_log(dir, procs);
}

static int wait_all(int n)
{
	bool worst[4] = { false };
	int status;

	while (n-- > 0) {
		if (wait(&status) < 0)
			return 2;
		worst[WIFEXITED(status) ? WEXITSTATUS(status) & 3 : 2] = true;
	}
	return worst[1] ? 1 : worst[2] ? 2 : worst[3] ? 3 : 0;
}

static int shared_phase(const char *root, int procs)
{
	char dir[PATH_MAX];
	int code;

	print_to(dir, sizeof(dir), "%s/shared", root);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return trouble("mkdir");
	fflush(stdout);
	for (int i = 0; i < procs; i++) {
		struct member m = { dir, i };

		if (fork() == 0)
			_exit(take_part(&m));
	}
	code = wait_all(procs);
	return code ? code : check_shared(dir, procs);
}

static int own_tree(const struct config *c, int k)
{
	char target[PATH_MAX], twin[PATH_MAX], journal[PATH_MAX];
	struct config one = *c;
	unsigned long at;

	print_to(target, sizeof(target), "%s/p%d", c->target, k);
	print_to(twin, sizeof(twin), "%s/p%d", c->twin, k);
	if ((mkdir(target, 0755) < 0 && errno != EEXIST) ||
	    (mkdir(twin, 0755) < 0 && errno != EEXIST)) {
		int e = errno;

		perror(target);
		return e == ENOTCONN || e == ECONNABORTED ? 3 : 2;
	}
	one.target = target;
	one.twin = twin;
	one.seed = c->seed * 1000 + (uint64_t)k;
	one.ops = c->ops / (unsigned)c->procs;
	if (c->journal) {
		print_to(journal, sizeof(journal), "%s.%d", c->journal, k);
		one.journal = journal;
		if (journal_open(&one) < 0)
			return 2;
	}
	return run_sequence(&one, &at);
}

int run_shared(const struct config *c)
{
	int code;

	fflush(stdout);
	for (int k = 0; k < c->procs; k++)
		if (fork() == 0)
			exit(own_tree(c, k));
	code = wait_all(c->procs);
	if (code || c->journal)
		return code;
	code = shared_phase(c->target, c->procs);
	if (code)
		return code;
	/* the twin shows that the phase itself is sound */
	return shared_phase(c->twin, c->procs) ? 2 : 0;
}
