/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_ops - conformance checks of a directory against a native twin.
 *
 *	posix_ops [-s SEED] [-i] [-k] [-x NAME] TARGET TWIN [NAME |
 *'PATTERN*']... posix_ops -l [-s x]
 *
 * Each check runs in a fresh directory below TARGET and below TWIN. One line
 * per check: `ok NAME`, `not ok NAME: what`, `skip NAME: why`; the exit code
 * is 1 if any was not ok.
 *	-s SEED	run the checks on prepared trees too: TARGET/SEED/NAME and
 *		TWIN/SEED/NAME, used up by the check
 *	-i	no fresh directories: use the prepared, all but empty
 *		directories SEED/NAME of the other checks as well
 *	-k	keep what the checks leave
 *	-x NAME	leave this check (or pattern) out; may be repeated
 *	-l	list the checks and what they need: w(ide), b(ig), l(ower)
 */
#include "tests/tools/posix_ops/posix_ops.h"

#include <dirent.h>
#include <fnmatch.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>

#define LOG_SIZE 65536
#define EXCLUDED 32

/* what a running check tells its parent; shared memory */
struct report {
	char text[1024];
	char log[LOG_SIZE];
	size_t used;
};

static struct report *report;
static const char *seed_dir;
static bool seed_all, keep;
static const char *excluded[EXCLUDED];
static int n_excluded;

static const struct check *const tables[] = {
	checks_open,   checks_data,  checks_holes,       checks_map,
	checks_rename, checks_names, checks_dirs,        checks_special,
	checks_attr,   checks_times, checks_xattr,       checks_procs,
	checks_perms,  checks_lower, checks_lower_names,
};

const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void check_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!report->text[0])
		vsnprintf(report->text, sizeof(report->text), fmt, ap);
	va_end(ap);
	_exit(1);
}

void check_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report->text, sizeof(report->text), fmt, ap);
	va_end(ap);
	_exit(77);
}

void see(const char *fmt, ...)
{
	size_t room = LOG_SIZE - report->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(report->log + report->used, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n + 2 > room)
		check_fail("too much to see");
	report->used += (size_t)n;
	report->log[report->used++] = '\n';
	report->log[report->used] = '\0';
}

long ok_at(long r, const char *what, const char *file, int line)
{
	if (r < 0)
		check_fail("%s:%d: %s: %s", base_name(file), line, what,
			   strerrorname_np(errno));
	return r;
}

void err_at(long r, int wanted, const char *what, const char *file, int line)
{
	if (r >= 0)
		check_fail("%s:%d: %s succeeded, wanted %s", base_name(file),
			   line, what, strerrorname_np(wanted));
	if (errno != wanted)
		check_fail("%s:%d: %s: %s, wanted %s", base_name(file), line,
			   what, strerrorname_np(errno),
			   strerrorname_np(wanted));
}

void same_at(long a, long b, const char *what, const char *file, int line)
{
	if (a != b)
		check_fail("%s:%d: %s: %ld, wanted %ld", base_name(file), line,
			   what, a, b);
}

void see_at(long r, const char *what)
{
	int e = errno;

	if (r >= 0)
		see("%s = %ld", what, r);
	else
		see("%s: %s", what, strerrorname_np(e));
}

/* -- one check
 * ----------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st UNUSED, int type,
		      struct FTW *where UNUSED)
{
	if (type == FTW_DNR)
		chmod(path, 0700);
	return remove(path);
}

static void remove_tree(const char *path)
{
	if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) < 0 &&
	    errno != ENOENT)
		fprintf(stderr, "posix_ops: cannot remove %s: %s\n", path,
			strerror(errno));
}

/* Which directory of the path is missing, what is in the one above, and is it
 * there at a second look? */
static void tell_missing(char *path)
{
	struct stat st;
	unsigned n = 0;
	DIR *d;

	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (stat(path, &st) < 0)
			fprintf(stderr, "posix_ops: %s: %s\n", path,
				strerror(errno));
		d = opendir(path);
		while (d && readdir(d))
			n++;
		fprintf(stderr, "posix_ops: %s: device %lu, inode %lu, %u "
			"names so far\n", path, (unsigned long)st.st_dev,
			(unsigned long)st.st_ino, n);
		if (d)
			closedir(d);
		*p = '/';
	}
	fprintf(stderr, "posix_ops: now it is %s\n",
		access(path, F_OK) ? strerror(errno) : "there");
}

static int enter_dir(const struct check *c, const char *side, char *path,
		     size_t size)
{
	bool prepared = (c->flags & LOWER) || seed_all;

	snprintf(path, size, "%s/%s%s%s", side, prepared ? seed_dir : "",
		 prepared ? "/" : "", c->name);
	if (!prepared && mkdir(path, 0755) < 0) {
		fprintf(stderr, "posix_ops: mkdir %s: %s\n", path,
			strerror(errno));
		exit(2);
	}
	if (chdir(path) < 0) {
		fprintf(stderr, "posix_ops: chdir %s: %s\n", path,
			strerror(errno));
		tell_missing(path);
		exit(2);
	}
	if (prepared && !(c->flags & LOWER))
		unlink(".keep");
	return 0;
}

static unsigned deadline(const struct check *c)
{
	const char *slow = getenv("SCORPIO_SLOW");
	int factor = slow ? atoi(slow) : 1;

	return (c->flags & HEAVY ? 60u : 20u) * (unsigned)MAX(factor, 1);
}

/* Returns the exit code; -1: hung, -signal: crashed. */
static int run_side(const struct check *c, const char *side, struct report *to)
{
	char path[4096];
	int status;
	pid_t pid;

	enter_dir(c, side, path, sizeof(path));
	report = to;
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		umask(022);
		alarm(deadline(c));
		c->run();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		perror("posix_ops: fork");
		exit(2);
	}
	kill(-pid, SIGKILL); /* children it may have left */
	if (chdir(side) < 0)
		perror("posix_ops: chdir");
	if (!keep)
		remove_tree(path);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	snprintf(to->text, sizeof(to->text),
		 WTERMSIG(status) == SIGALRM ? "no end after %d s"
					     : "died of signal %d",
		 WTERMSIG(status) == SIGALRM ? (int)deadline(c)
					     : WTERMSIG(status));
	return 1;
}

static void first_difference(const struct check *c, const char *a,
			     const char *b, char *text, size_t size)
{
	size_t i = 0;
	int na, nb;

	for (size_t j = 0; a[j] && a[j] == b[j]; j++)
		if (a[j] == '\n')
			i = j + 1;
	na = (int)strcspn(a + i, "\n");
	nb = (int)strcspn(b + i, "\n");
	snprintf(text, size, "%.*s, on the twin: %.*s", na, a + i, nb, b + i);
	if (c->differs)
		snprintf(text + strlen(text), size - strlen(text), " (%s)",
			 c->differs);
}

/* 0 ok, 1 not ok, 77 skipped */
static int run_check(const struct check *c, const char *target,
		     const char *twin)
{
	static struct report *r;
	char text[2048] = "";
	int code;

	if (!r)
		r = mmap(NULL, 2 * sizeof(*r), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 2; i++) {
		r[i].text[0] = r[i].log[0] = '\0';
		r[i].used = 0;
	}
	code = run_side(c, twin, &r[1]);
	if (code == 0) {
		code = run_side(c, target, &r[0]);
		snprintf(text, sizeof(text), "%s", r[0].text);
	} else {
		snprintf(text, sizeof(text), "%s%s",
			 code == 77 ? "" : "on the twin: ", r[1].text);
	}
	if (code == 0 && strcmp(r[0].log, r[1].log) != 0) {
		first_difference(c, r[0].log, r[1].log, text, sizeof(text));
		code = c->differs ? 0 : 1;
	}
	if (code == 0)
		printf(text[0] ? "ok %s (differs: %s)\n" : "ok %s\n", c->name,
		       text);
	else
		printf("%s %s: %s\n", code == 77 ? "skip" : "not ok", c->name,
		       text);
	fflush(stdout);
	return code == 0 || code == 77 ? code : 1;
}

/* -- choice
 * ---------------------------------------------------------------------- */

static bool wanted(const struct check *c, char **names)
{
	for (int i = 0; i < n_excluded; i++)
		if (fnmatch(excluded[i], c->name, 0) == 0)
			return false;
	if (!*names)
		return true;
	for (; *names; names++)
		if (fnmatch(*names, c->name, 0) == 0)
			return true;
	return false;
}

static void list_check(const struct check *c)
{
	printf("%s %s%s%s\n", c->name, c->flags & LOWER ? "l" : "-",
	       c->flags & LOWER_WIDE ? "w" : "",
	       c->flags & LOWER_BIG ? "b" : "");
}

static int usage(void)
{
	fprintf(stderr, "usage: posix_ops [-s SEED] [-i] [-k] [-x NAME] "
			"TARGET TWIN [NAME]...\n       posix_ops -l\n");
	return 2;
}

static int run_all(const char *target, const char *twin, char **names)
{
	int count[3] = { 0 };

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (const struct check *c = tables[t]; c->name; c++) {
			int code;

			if (!wanted(c, names) ||
			    ((c->flags & LOWER) && !seed_dir))
				continue;
			if ((c->flags & NEED_ROOT) && geteuid() != 0) {
				printf("skip %s: needs root\n", c->name);
				code = 77;
			} else {
				code = run_check(c, target, twin);
			}
			count[code == 77 ? 2 : code]++;
		}
	}
	printf("%d ok, %d not ok, %d skipped\n", count[0], count[1], count[2]);
	return count[1] > 0 || count[0] + count[2] == 0;
}

int main(int argc, char **argv)
{
	cleanup_free char *target = NULL, *twin = NULL;
	int opt;
	bool list = false;

	while ((opt = getopt(argc, argv, "s:ikx:l")) != -1) {
		if (opt == 's')
			seed_dir = optarg;
		else if (opt == 'i')
			seed_all = true;
		else if (opt == 'k')
			keep = true;
		else if (opt == 'x' && n_excluded < EXCLUDED)
			excluded[n_excluded++] = optarg;
		else if (opt == 'l')
			list = true;
		else
			return usage();
	}
	if (list) {
		for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
			for (const struct check *c = tables[t]; c->name; c++)
				list_check(c);
		return 0;
	}
	if (argc - optind < 2 || (seed_all && !seed_dir))
		return usage();
	target = realpath(argv[optind], NULL);
	twin = realpath(argv[optind + 1], NULL);
	if (!target || !twin) {
		perror("posix_ops: TARGET or TWIN");
		return 2;
	}
	return run_all(target, twin, argv + optind + 2);
}
