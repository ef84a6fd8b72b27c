/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_fs.c - one measured pass over a tree, without a shell in the way.
 *
 *	bench_fs walk DIR          readdir + lstat of everything, sorted order
 *	bench_fs list DIR          print the regular files, one a line
 *	bench_fs lstat LIST        lstat each
 *	bench_fs read LIST [N]     open, read to the end, close; N processes
 *	bench_fs touch LIST        open, read 4 KiB, close
 *	bench_fs grep LIST TEXT    like read, counting TEXT
 *	bench_fs seq FILE          read one file in 1 MiB pieces
 *	bench_fs random FILE N     N reads of 4 KiB at random places
 *	bench_fs mmap FILE         sum of all bytes through a mapping
 *
 * Prints "seconds entries bytes check" (BENCH_CLOCK=cpu: of the processor); the
 * check is a sum over what was read, so that two trees can be compared by their
 * passes.
 */
#include "core/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PIECE (1u << 20)
#define PROCESSES_MAX 64u

struct tally {
	uint64_t entries, bytes, check;
};

struct list {
	char **path;
	size_t n;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static double seconds_of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* The processor's time, where the clock's would count what others do. */
static double cpu_seconds(int who)
{
	struct rusage r;

	getrusage(who, &r);
	return seconds_of(r.ru_utime) + seconds_of(r.ru_stime);
}

static double seconds(void)
{
	const char *clock = getenv("BENCH_CLOCK");
	struct timespec t;

	if (clock && strcmp(clock, "cpu") == 0)
		return cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN);
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* fts lstats each entry itself. */
static void walk(const char *dir, bool print, struct tally *t)
{
	char *paths[] = { (char *)dir, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *e;

	if (!fts)
		die(dir);
	while ((e = fts_read(fts))) {
		if (e->fts_info == FTS_DP)
			continue;
		if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR ||
		    e->fts_info == FTS_NS) {
			errno = e->fts_errno;
			die(e->fts_path);
		}
		if (strcmp(e->fts_name, ".git") == 0) {
			fts_set(fts, e, FTS_SKIP);
			continue;
		}
		t->entries++;
		if (e->fts_info != FTS_D)
			t->check += (uint64_t)e->fts_statp->st_size;
		if (print && e->fts_info == FTS_F)
			puts(e->fts_path);
	}
	if (errno)
		die(dir);
	fts_close(fts);
}

static struct list list_load(const char *file)
{
	struct list l = { NULL, 0 };
	size_t cap = 0, room = 0;
	char *line = NULL;
	ssize_t n;
	FILE *f = fopen(file, "r");

	if (!f)
		die(file);
	while ((n = getline(&line, &room, f)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (l.n == cap) {
			cap = cap * 2 + 1024;
			l.path = xrealloc(l.path, cap * sizeof(*l.path));
		}
		l.path[l.n++] = xstrdup(line);
	}
	free(line);
	fclose(f);
	return l;
}

static void list_free(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->path[i]);
	free(l->path);
}

static uint64_t sum(const uint8_t *p, size_t n)
{
	uint64_t s = n;

	for (size_t i = 0; i < n; i += 509)
		s = s * 31 + p[i];
	return s;
}

static uint64_t count(const char *p, size_t n, const char *text)
{
	uint64_t found = 0;
	const char *end = p + n, *at = p;
	size_t len = strlen(text);

	while ((at = memmem(at, (size_t)(end - at), text, len))) {
		found++;
		at += len;
	}
	return found;
}

/* limit 0: to the end */
static void read_one(const char *path, char *buf, size_t limit,
		     const char *text, struct tally *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t want = limit ? limit : PIECE;
	ssize_t n;

	if (fd < 0)
		die(path);
	while ((n = read(fd, buf, want)) > 0) {
		t->bytes += (uint64_t)n;
		t->check += text ? count(buf, (size_t)n, text) :
				   sum((uint8_t *)buf, (size_t)n);
		if (limit)
			break;
	}
	if (n < 0)
		die(path);
	close(fd);
	t->entries++;
}

static void read_list(const struct list *l, size_t first, size_t step,
		      size_t limit, const char *text, struct tally *t)
{
	char *buf = xmalloc(PIECE);

	for (size_t i = first; i < l->n; i += step)
		read_one(l->path[i], buf, limit, text, t);
	free(buf);
}

static void read_parallel(const struct list *l, size_t n, struct tally *t)
{
	struct tally *shared = mmap(NULL, n * sizeof(*t), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (shared == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			read_list(l, i, n, 0, NULL, &shared[i]);
			_exit(0);
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (wait(&status) < 0 || status != 0)
			exit(1);
	}
	for (size_t i = 0; i < n; i++) {
		t->entries += shared[i].entries;
		t->bytes += shared[i].bytes;
		t->check += shared[i].check;
	}
	munmap(shared, n * sizeof(*t));
}

static void lstat_list(const struct list *l, struct tally *t)
{
	struct stat st;

	for (size_t i = 0; i < l->n; i++) {
		if (lstat(l->path[i], &st) != 0)
			die(l->path[i]);
		t->entries++;
		t->check += (uint64_t)st.st_size;
	}
}

static void read_random(const char *path, size_t n, struct tally *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t x = 88172645463325252u;
	uint8_t buf[4096];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	for (size_t i = 0; i < n; i++) {
		ssize_t got;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		got = pread(fd, buf, sizeof(buf),
			    (off_t)(x % (uint64_t)(st.st_size / 4096 + 1)) * 4096);
		if (got < 0)
			die(path);
		t->entries++;
		t->bytes += (uint64_t)got;
		t->check += sum(buf, (size_t)got);
	}
	close(fd);
}

static void read_mapped(const char *path, struct tally *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *p;

	if (fd < 0 || fstat(fd, &st) != 0)
		die(path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	for (size_t i = 0; i < (size_t)st.st_size; i++)
		t->check += p[i];
	t->entries = 1;
	t->bytes = (uint64_t)st.st_size;
	munmap(p, (size_t)st.st_size);
	close(fd);
}

/* Lists are loaded before the clock starts. */
static bool run(const char *verb, char **argv, int argc, struct tally *t,
		double *begin)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;
	const char *text = argc > 1 ? argv[1] : "the";
	bool known = true;
	struct list l;
	char *buf;

	if (strcmp(verb, "walk") == 0 || strcmp(verb, "list") == 0)
		walk(argv[0], verb[0] == 'l', t);
	else if (strcmp(verb, "seq") == 0) {
		buf = xmalloc(PIECE);
		read_one(argv[0], buf, 0, NULL, t);
		free(buf);
	} else if (strcmp(verb, "random") == 0)
		read_random(argv[0], n, t);
	else if (strcmp(verb, "mmap") == 0)
		read_mapped(argv[0], t);
	else {
		l = list_load(argv[0]);
		*begin = seconds();
		if (strcmp(verb, "lstat") == 0)
			lstat_list(&l, t);
		else if (strcmp(verb, "read") == 0 && n <= PROCESSES_MAX)
			read_parallel(&l, MAX(n, 1u), t);
		else if (strcmp(verb, "touch") == 0)
			read_list(&l, 0, 1, 4096, NULL, t);
		else if (strcmp(verb, "grep") == 0)
			read_list(&l, 0, 1, 0, text, t);
		else
			known = false;
		list_free(&l);
	}
	return known;
}

int main(int argc, char **argv)
{
	struct tally t = { 0, 0, 0 };
	double begin = seconds();

	if (argc < 3 || !run(argv[1], argv + 2, argc - 2, &t, &begin)) {
		fprintf(stderr, "bench_fs VERB PATH [N] (see its source)\n");
		return 2;
	}
	if (strcmp(argv[1], "list") != 0)
		printf("%.6f %llu %llu %llu\n", seconds() - begin,
		       (unsigned long long)t.entries,
		       (unsigned long long)t.bytes,
		       (unsigned long long)t.check);
	return 0;
}
