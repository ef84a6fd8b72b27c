/* SPDX-License-Identifier: Apache-2.0 */
/* compare.c - are two trees the same, as far as a user can see? */
#include "tests/tools/fsrand/fsrand.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/xattr.h>

time_t compare_epoch;
bool compare_saw_gone;

struct pair {
	ino_t target, twin;
};

struct walk {
	const char *target, *twin;
	const struct exclude *x;
	struct pair *pairs; /* files with several names */
	size_t n_pairs, room;
	struct pair *loose; /* files with names below what is excluded */
	size_t n_loose;
	int differ;
};

static int say(struct walk *w, const char *path, const char *what, long a,
	       long b)
{
	printf("DIFFERENT %s: %s: %ld, on the twin %ld\n", path, what, a, b);
	return w ? w->differ = 1 : 1;
}

static int compare_stat(struct walk *w, const char *path, const struct stat *a,
			const struct stat *b)
{
	bool dir = S_ISDIR(b->st_mode);

	if (a->st_mode != b->st_mode)
		return say(w, path, "mode", a->st_mode, b->st_mode);
	if (a->st_uid != b->st_uid)
		return say(w, path, "uid", a->st_uid, b->st_uid);
	if (a->st_gid != b->st_gid)
		return say(w, path, "gid", a->st_gid, b->st_gid);
	if ((S_ISCHR(b->st_mode) || S_ISBLK(b->st_mode)) &&
	    a->st_rdev != b->st_rdev)
		return say(w, path, "device", (long)a->st_rdev,
			   (long)b->st_rdev);
	if (!dir && a->st_size != b->st_size)
		return say(w, path, "size", a->st_size, b->st_size);
	if (!dir && a->st_nlink != b->st_nlink)
		return say(w, path, "links", (long)a->st_nlink,
			   (long)b->st_nlink);
	if (MIN(a->st_mtim.tv_sec, b->st_mtim.tv_sec) >= compare_epoch)
		return 0;
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return say(w, path, "mtime", a->st_mtim.tv_sec,
			   b->st_mtim.tv_sec);
	if (a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
		return say(w, path, "mtime ns", a->st_mtim.tv_nsec,
			   b->st_mtim.tv_nsec);
	return 0;
}

int compare_names(const struct side *a, const struct side *b, const char *path)
{
	struct stat sa, sb;
	int ea = lstat(full(a, path), &sa) < 0 ? errno : 0;
	int eb = lstat(full(b, path), &sb) < 0 ? errno : 0;

	compare_saw_gone |= ea == ECONNABORTED || ea == ENOTCONN;
	if (ea != eb)
		return say(NULL, path, "lstat", ea, eb);
	return ea ? 0 : compare_stat(NULL, path, &sa, &sb);
}

static bool below_path(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

static bool excluded(const struct walk *w, const char *path)
{
	for (int i = 0; w->x && i < w->x->n; i++)
		if (w->x->path[i][0] && below_path(path, w->x->path[i]))
			return true;
	return false;
}

/* Is one of the excluded paths in this directory, or an alias of this file? */
static bool touched(const struct walk *w, const char *side, const char *path,
		    const struct stat *st)
{
	char x[PATH_MAX + PATH_SIZE];
	struct stat s;

	for (int i = 0; w->x && i < w->x->n; i++) {
		const char *p = w->x->path[i], *slash = strrchr(p, '/');
		size_t n = slash ? (size_t)(slash - p) : 0;

		if (!*p)
			continue;
		if (strlen(path) == n && strncmp(path, p, n) == 0)
			return true;
		print_to(x, sizeof(x), "%s/%s", side, p);
		if (lstat(x, &s) == 0 && s.st_ino == st->st_ino)
			return true;
	}
	return false;
}

/* How many names such a file has left is open. */
static struct walk *collecting;
static bool collecting_twin;

static int collect(const char *path UNUSED, const struct stat *st,
		   int type UNUSED, struct FTW *f UNUSED)
{
	struct walk *w = collecting;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return 0;
	w->loose = realloc(w->loose, (w->n_loose + 1) * sizeof(*w->loose));
	if (!w->loose)
		abort();
	w->loose[w->n_loose++] =
		(struct pair){ collecting_twin ? 0 : st->st_ino,
			       collecting_twin ? st->st_ino : 0 };
	return 0;
}

static void collect_loose(struct walk *w)
{
	collecting = w;
	for (int i = 0; w->x && i < 2 * w->x->n; i++) {
		char path[PATH_MAX + PATH_SIZE];

		collecting_twin = i % 2;
		print_to(path, sizeof(path), "%s/%s",
			 i % 2 ? w->twin : w->target, w->x->path[i / 2]);
		nftw(path, collect, 32, FTW_PHYS);
	}
}

static bool is_loose(const struct walk *w, ino_t target, ino_t twin)
{
	for (size_t i = 0; i < w->n_loose; i++)
		if (w->loose[i].target == target || w->loose[i].twin == twin)
			return true;
	return false;
}

/* Two names are one file on both sides or on none. true: seen before. */
static bool known_pair(struct walk *w, const char *path, const struct stat *a,
		       const struct stat *b)
{
	for (size_t i = 0; i < w->n_pairs; i++) {
		const struct pair *p = &w->pairs[i];

		if (p->target == a->st_ino && p->twin == b->st_ino)
			return true;
		if (p->target == a->st_ino || p->twin == b->st_ino)
			say(w, path, "linked otherwise", (long)a->st_ino,
			    (long)b->st_ino);
	}
	if (w->n_pairs == w->room) {
		w->room = w->room ? w->room * 2 : 64;
		w->pairs = realloc(w->pairs, w->room * sizeof(*w->pairs));
		if (!w->pairs)
			abort();
	}
	w->pairs[w->n_pairs++] = (struct pair){ a->st_ino, b->st_ino };
	return false;
}

static int compare_content(struct walk *w, const char *path, const char *a,
			   const char *b)
{
	static unsigned char ba[1 << 18], bb[1 << 18];
	cleanup_fd int fa = open(a, O_RDONLY), fb = open(b, O_RDONLY);
	long long at = 0;

	if (fa < 0 || fb < 0)
		return say(w, path, "open", fa, fb);
	for (;;) {
		ssize_t na = pread(fa, ba, sizeof(ba), at);
		ssize_t nb = pread(fb, bb, sizeof(bb), at);

		if (na != nb)
			return say(w, path, "length read", na, nb);
		if (na <= 0)
			return na < 0 ? say(w, path, "read", na, nb) : 0;
		if (memcmp(ba, bb, (size_t)na) != 0) {
			long i = 0;

			while (ba[i] == bb[i])
				i++;
			printf("DIFFERENT %s: byte at %lld is %d, on the twin "
			       "%d\n",
			       path, at + i, ba[i], bb[i]);
			return w->differ = 1;
		}
		at += na;
	}
}

static int by_string(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list_attrs(const char *path, char *buf, size_t size, char **list)
{
	ssize_t n = llistxattr(path, buf, size);
	size_t count = 0;

	for (ssize_t i = 0; i < n && count < 32; i += 1 + (long)strlen(buf + i))
		if (strncmp(buf + i, "user.", 5) == 0)
			list[count++] = buf + i;
	qsort(list, count, sizeof(*list), by_string);
	return count;
}

static int compare_attrs(struct walk *w, const char *path, const char *a,
			 const char *b)
{
	char ba[4096], bb[4096], va[4096], vb[4096], *la[32], *lb[32];
	size_t na = list_attrs(a, ba, sizeof(ba), la);
	size_t nb = list_attrs(b, bb, sizeof(bb), lb);

	if (na != nb)
		return say(w, path, "attributes", (long)na, (long)nb);
	for (size_t i = 0; i < na; i++) {
		ssize_t sa, sb;

		if (strcmp(la[i], lb[i]) != 0)
			return say(w, path, "attribute name", (long)i, 0);
		sa = lgetxattr(a, la[i], va, sizeof(va));
		sb = lgetxattr(b, lb[i], vb, sizeof(vb));
		if (sa != sb)
			return say(w, path, "attribute size", sa, sb);
		if (sa > 0 && memcmp(va, vb, (size_t)sa) != 0)
			return say(w, path, "attribute value", (long)i, 0);
	}
	return 0;
}

static int compare_link(struct walk *w, const char *path, const char *a,
			const char *b)
{
	char ta[PATH_MAX], tb[PATH_MAX];
	ssize_t na = readlink(a, ta, sizeof(ta));
	ssize_t nb = readlink(b, tb, sizeof(tb));

	if (na != nb || na < 0 || memcmp(ta, tb, (size_t)na) != 0)
		return say(w, path, "link target", na, nb);
	return 0;
}

static void compare_dirs(struct walk *w, const char *path);

static void compare_entry(struct walk *w, const char *path)
{
	char a[PATH_MAX + PATH_SIZE], b[PATH_MAX + PATH_SIZE];
	struct stat sa, sb;

	print_to(a, sizeof(a), "%s/%s", w->target, path);
	print_to(b, sizeof(b), "%s/%s", w->twin, path);
	if (lstat(a, &sa) < 0 || lstat(b, &sb) < 0) {
		say(w, path, "lstat", errno, 0);
		return;
	}
	if (touched(w, w->target, path, &sa) ||
	    touched(w, w->twin, path, &sb)) {
		/* in flight when the target went */
		sa.st_mtim = sb.st_mtim;
		if (!S_ISDIR(sb.st_mode))
			return;
	}
	if (is_loose(w, sa.st_ino, sb.st_ino))
		sa.st_nlink = sb.st_nlink;
	if (compare_stat(w, path, &sa, &sb))
		return;
	if (S_ISREG(sb.st_mode) && sb.st_nlink > 1 &&
	    known_pair(w, path, &sa, &sb))
		return;
	if (S_ISREG(sb.st_mode))
		compare_content(w, path, a, b);
	if (S_ISLNK(sb.st_mode))
		compare_link(w, path, a, b);
	if (S_ISREG(sb.st_mode) || S_ISDIR(sb.st_mode))
		compare_attrs(w, path, a, b);
	if (S_ISDIR(sb.st_mode))
		compare_dirs(w, path);
}

static size_t list_names(const char *dir, char ***ret)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t n = 0, size = 0;

	*ret = NULL;
	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (n == size) {
			size = size ? size * 2 : 16;
			*ret = realloc(*ret, size * sizeof(**ret));
			if (!*ret)
				abort();
		}
		(*ret)[n++] = strdup(e->d_name);
	}
	if (d)
		closedir(d);
	if (n > 0)
		qsort(*ret, n, sizeof(**ret), by_string);
	return n;
}

static void free_names(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static void compare_dirs(struct walk *w, const char *path)
{
	char a[PATH_MAX + PATH_SIZE], b[PATH_MAX + PATH_SIZE], **la, **lb;
	size_t na, nb, i = 0, j = 0;

	print_to(a, sizeof(a), "%s/%s", w->target, path);
	print_to(b, sizeof(b), "%s/%s", w->twin, path);
	na = list_names(a, &la);
	nb = list_names(b, &lb);
	while ((i < na || j < nb) && w->differ < 20) {
		int c = i == na ? 1 : j == nb ? -1 : strcmp(la[i], lb[j]);
		const char *name = c <= 0 ? la[i] : lb[j];
		char sub[PATH_SIZE];

		print_to(sub, sizeof(sub), "%s%s%s", path, *path ? "/" : "",
			 name);
		i += c <= 0;
		j += c >= 0;
		if (excluded(w, sub))
			continue;
		if (c != 0) {
			printf("DIFFERENT %s: only %s\n", sub,
			       c < 0 ? "here" : "on the twin");
			w->differ = 1;
			continue;
		}
		compare_entry(w, sub);
	}
	free_names(la, na);
	free_names(lb, nb);
}

int compare_trees(const char *target, const char *twin, time_t epoch,
		  const struct exclude *x)
{
	struct walk w = { .target = target, .twin = twin, .x = x };

	compare_epoch = epoch;
	collect_loose(&w);
	compare_dirs(&w, "");
	free(w.pairs);
	free(w.loose);
	fflush(stdout);
	return w.differ;
}
