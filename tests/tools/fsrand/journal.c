/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.c - what the target has acknowledged, on a disk it cannot touch.
 * Lines: "B number operation" before, then "P path" for each name it may
 * change, "I inode" for a file of the twin that was opened earlier (its name
 * may be gone, others may be left), and "A number" after. The twin holds
 * exactly what was acknowledged, so after a crash target and twin agree but
 * for the names of the last operation that has no A.
 */
#include "tests/tools/fsrand/fsrand.h"

#include <ftw.h>

#define MAX_PATHS 8

static int fd = -1;
static bool synced;

int journal_open(const struct config *c)
{
	fd = open(c->journal,
		  O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	synced = c->journal_sync;
	if (fd < 0)
		perror(c->journal);
	return fd < 0 ? -1 : 0;
}

static void put(const char *text, size_t n)
{
	if (write(fd, text, n) != (ssize_t)n || (synced && fdatasync(fd) < 0)) {
		perror("fsrand: journal");
		exit(2);
	}
}

/* names may hold newlines */
static size_t put_path(char *buf, size_t size, const char *path)
{
	size_t n = (size_t)snprintf(buf, size, "P ");

	for (; *path && n + 8 < size; path++)
		n += (size_t)snprintf(buf + n, size - n,
				      *path == '\n' || *path == '\\' ? "\\%02x"
								     : "%c",
				      (unsigned char)*path);
	return n + (size_t)snprintf(buf + n, size - n, "\n");
}

static size_t slot_file(const struct side *twin, int slot, char *buf,
			size_t size)
{
	struct stat st;

	if (fstat(twin->fd[slot], &st) < 0 || !st.st_nlink)
		return 0; /* nobody will see it */
	return (size_t)snprintf(buf, size, "I %lu\n",
				(unsigned long)st.st_ino);
}

void journal_begin(unsigned long i, const struct op *o, const struct side *twin)
{
	static char buf[8 * PATH_SIZE];
	char text[3 * PATH_SIZE];
	size_t n;

	describe_op(i, o, text, sizeof(text));
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	n = (size_t)snprintf(buf, sizeof(buf), "B %s\n", text);
	if (!(o->kind->needs & PURE)) {
		if (*o->a)
			n += put_path(buf + n, sizeof(buf) - n, o->a);
		if (*o->b)
			n += put_path(buf + n, sizeof(buf) - n, o->b);
		if (o->kind->needs & SLOT)
			n += slot_file(twin, o->slot, buf + n,
				       sizeof(buf) - n);
	}
	put(buf, n);
}

void journal_done(unsigned long i, const struct op *o)
{
	char buf[64];
	bool sync = strstr(o->kind->name, "sync") != NULL;

	put(buf, (size_t)snprintf(buf, sizeof(buf), "%c %lu\n",
				  sync ? 'S' : 'A', i));
}

/* -- afterwards
 * ------------------------------------------------------------------ */

static char paths[MAX_PATHS][PATH_SIZE];
static struct exclude open_ends = { paths, 0 };
static ino_t open_inode; /* of the twin; 0: none */

static void take_path(const char *line)
{
	char *to;

	if (open_ends.n == MAX_PATHS)
		return;
	to = paths[open_ends.n++];
	for (; *line && *line != '\n'; line++) {
		unsigned v;

		if (*line == '\\' && sscanf(line + 1, "%2x", &v) == 1) {
			*to++ = (char)v;
			line += 2;
		} else {
			*to++ = *line;
		}
	}
	*to = '\0';
}

static int read_journal(const char *path)
{
	cleanup_file FILE *f = fopen(path, "r");
	static char line[8 * PATH_SIZE], last[8 * PATH_SIZE];
	unsigned long begun = 0, done = 0;

	if (!f && errno == ENOENT) { /* the end came before the beginning */
		printf("no journal\n");
		return 0;
	}
	if (!f) {
		perror(path);
		return 2;
	}
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == 'B') {
			begun++;
			open_ends.n = 0;
			open_inode = 0;
			memcpy(last, line, sizeof(last));
		} else if (line[0] == 'P') {
			take_path(line + 2);
		} else if (line[0] == 'I') {
			open_inode = strtoul(line + 2, NULL, 10);
		} else {
			done++;
			open_ends.n = 0;
			open_inode = 0;
		}
	}
	printf("%lu operations begun, %lu acknowledged\n", begun, done);
	if (begun > done)
		printf("in flight: %s", last);
	return 0;
}

static int removed(const char *path, const struct stat *st UNUSED,
		   int type UNUSED, struct FTW *w UNUSED)
{
	return remove(path);
}

/* A symlink below an open end leads on: what it means is open as well. */
static void add_real_paths(const char *root)
{
	int n = open_ends.n;

	for (int i = 0; i < n && open_ends.n < MAX_PATHS; i++) {
		char path[PATH_MAX + PATH_SIZE], real[PATH_MAX];
		size_t skip = strlen(root);

		print_to(path, sizeof(path), "%s/%s", root, paths[i]);
		if (realpath(path, real) && strlen(real) > skip &&
		    strcmp(real + skip + 1, paths[i]) != 0)
			print_to(paths[open_ends.n++], PATH_SIZE, "%s",
				 real + skip + 1);
	}
}

/* The names of the twin's file that was in flight by descriptor. The target
 * has the same ones: all that happened to them was acknowledged. */
static size_t inode_root;

static int note_inode(const char *path, const struct stat *st, int type UNUSED,
		      struct FTW *w UNUSED)
{
	if (st->st_ino == open_inode && open_ends.n < MAX_PATHS)
		print_to(paths[open_ends.n++], PATH_SIZE, "%s",
			 path + inode_root);
	return 0;
}

static void add_inode_paths(const char *twin)
{
	inode_root = strlen(twin) + 1;
	if (open_inode)
		nftw(twin, note_inode, 32, FTW_PHYS);
}

/* What is removed on one side only leaves another time in the directory. */
static void same_parent_time(const char *root, const char *path,
			     const struct timespec *now)
{
	char parent[PATH_MAX + PATH_SIZE];
	const struct timespec times[2] = { *now, *now };
	char *slash;

	print_to(parent, sizeof(parent), "%s/%s", root, path);
	slash = strrchr(parent, '/');
	*slash = '\0';
	utimensat(AT_FDCWD, parent, times, AT_SYMLINK_NOFOLLOW);
}

static void remove_open_ends(const char *root)
{
	for (int i = 0; i < open_ends.n; i++) {
		char path[PATH_MAX + PATH_SIZE];

		print_to(path, sizeof(path), "%s/%s", root, paths[i]);
		nftw(path, removed, 32, FTW_DEPTH | FTW_PHYS);
	}
}

/* Other names of what was in flight have unknown content, too. Which they
 * are may differ between the sides, so both lose all of them. */
static struct {
	ino_t ino[2 * MAX_PATHS];
	int n;
	size_t root;
	char **path;
	size_t n_paths;
} aliases;

static int note_alias(const char *path, const struct stat *st, int type UNUSED,
		      struct FTW *w UNUSED)
{
	for (int i = 0; i < aliases.n; i++) {
		if (S_ISDIR(st->st_mode) || st->st_ino != aliases.ino[i])
			continue;
		aliases.path = realloc(aliases.path,
				       (aliases.n_paths + 1) * sizeof(char *));
		if (!aliases.path)
			abort();
		aliases.path[aliases.n_paths++] = strdup(path + aliases.root);
		break;
	}
	return 0;
}

static void find_aliases(const char *root)
{
	aliases.n = 0;
	aliases.root = strlen(root) + 1;
	for (int i = 0; i < open_ends.n; i++) {
		char path[PATH_MAX + PATH_SIZE];
		struct stat st;

		print_to(path, sizeof(path), "%s/%s", root, paths[i]);
		if (lstat(path, &st) == 0 && st.st_nlink > 1)
			aliases.ino[aliases.n++] = st.st_ino;
	}
	if (aliases.n > 0)
		nftw(root, note_alias, 32, FTW_PHYS);
}

static void remove_aliases(const char *root)
{
	char path[PATH_MAX + PATH_SIZE];

	for (size_t i = 0; i < aliases.n_paths; i++) {
		print_to(path, sizeof(path), "%s/%s", root, aliases.path[i]);
		unlink(path);
	}
}

static void remove_in_flight(const char *root, const struct timespec *now)
{
	remove_aliases(root);
	remove_open_ends(root);
	for (size_t i = 0; i < aliases.n_paths; i++)
		same_parent_time(root, aliases.path[i], now);
	for (int i = 0; i < open_ends.n; i++)
		same_parent_time(root, open_ends.path[i], now);
}

int journal_verify(const struct config *c)
{
	int code = read_journal(c->journal);
	struct timespec now;

	if (code)
		return code;
	clock_gettime(CLOCK_REALTIME, &now);
	add_inode_paths(c->twin);
	add_real_paths(c->target);
	add_real_paths(c->twin);
	code = compare_trees(c->target, c->twin, compare_epoch, &open_ends);
	if (code) {
		printf("MISMATCH: acknowledged operations are not there\n");
		return code;
	}
	find_aliases(c->target);
	find_aliases(c->twin);
	remove_in_flight(c->target, &now);
	remove_in_flight(c->twin, &now);
	return 0;
}
