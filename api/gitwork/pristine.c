/* SPDX-License-Identifier: Apache-2.0 */
/* pristine.c - is there anything in a workspace's repository worth keeping? */
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

/* No file in it or below, but for those called `known`. */
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
		       no_files(path, known);
	}
	if (d)
		closedir(d);
	return none;
}

bool gitwork_pristine(const char *state_dir)
{
	cleanup_free char *git = gitprepare_gitdir(state_dir);
	cleanup_free char *refs = xasprintf("%s/refs", git);
	cleanup_free char *objects = xasprintf("%s/objects", git);
	cleanup_free char *trees = xasprintf("%s/worktrees", git);

	if (access(git, F_OK))
		return true;
	return same_file(git, "packed-refs", "scorpio.refs") &&
	       same_file(git, "HEAD", "scorpio.head") &&
	       no_files(refs, "HEAD") && no_files(objects, "alternates") &&
	       (access(trees, F_OK) || no_files(trees, NULL));
}
