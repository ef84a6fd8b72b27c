/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pristine.c - is there anything in a workspace's repository worth keeping?
 * What came from origin is there too: its branches and tags, and packs that
 * git fetched because it needed something of them.
 */
#include "api/gitwork/gitwork_impl.h"

#include "core/path.h"

#include <dirent.h>
#include <sys/stat.h>

#define REFS_MAX (256 * MiB)

static bool same_file(const char *dir, const char *a, const char *b)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, a);
	cleanup_free char *other = xasprintf("%s/%s", dir, b);
	cleanup_free char *x = NULL, *y = NULL;
	size_t m, n;

	return !path_read(path, REFS_MAX, &x, &m) &&
	       !path_read(other, REFS_MAX, &y, &n) && m == n &&
	       !memcmp(x, y, n);
}

/* No file in it or below; entries called `known` are not looked at. */
static bool no_files(const char *dir, const char *known)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool none = d;

	while (none && (e = readdir(d))) {
		cleanup_free char *path = NULL;
		struct stat st;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    (known && !strcmp(e->d_name, known)))
			continue;
		path = xasprintf("%s/%s", dir, e->d_name);
		none = !lstat(path, &st) && S_ISDIR(st.st_mode) &&
		       no_files(path, NULL);
	}
	if (d)
		closedir(d);
	return none;
}

/* Every reference but origin's is one that was there at the beginning. */
static bool known_refs(const char *git)
{
	cleanup_free char *path = xasprintf("%s/packed-refs", git);
	cleanup_free char *first = xasprintf("%s/scorpio.refs", git);
	cleanup_free char *now = NULL, *then = NULL;
	char *line, *next;
	size_t n;

	if (path_read(path, REFS_MAX, &now, &n) ||
	    path_read(first, REFS_MAX, &then, &n))
		return false;
	for (line = now; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (*line == '#' || *line == '^' ||
		    strstr(line, " refs/remotes/origin/"))
			continue;
		if (!strstr(then, line))
			return false;
	}
	return true;
}

/* Only packs that can be fetched again. */
static bool known_packs(const char *objects)
{
	cleanup_free char *pack = xasprintf("%s/pack", objects);
	DIR *d = opendir(pack);
	struct dirent *e;
	bool known = true;

	while (d && known && (e = readdir(d))) {
		cleanup_free char *mark = NULL;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		mark = xasprintf("%s/%.*s.promisor", pack,
				 (int)strcspn(e->d_name, "."), e->d_name);
		known = !access(mark, F_OK);
	}
	if (d)
		closedir(d);
	return known;
}

static bool no_objects(const char *objects)
{
	DIR *d = opendir(objects);
	struct dirent *e;
	bool none = d;

	while (none && (e = readdir(d))) {
		cleanup_free char *path = xasprintf("%s/%s", objects,
						    e->d_name);

		if (strlen(e->d_name) == 2 && strcmp(e->d_name, ".."))
			none = no_files(path, NULL);
	}
	if (d)
		closedir(d);
	return none && known_packs(objects);
}

bool gitwork_pristine(const char *state_dir)
{
	cleanup_free char *git = gitprepare_gitdir(state_dir);
	cleanup_free char *refs = xasprintf("%s/refs", git);
	cleanup_free char *objects = xasprintf("%s/objects", git);
	cleanup_free char *trees = xasprintf("%s/worktrees", git);

	if (access(git, F_OK))
		return true;
	return same_file(git, "HEAD", "scorpio.head") && known_refs(git) &&
	       no_files(refs, "remotes") && no_objects(objects) &&
	       (access(trees, F_OK) || no_files(trees, NULL));
}
