/* SPDX-License-Identifier: Apache-2.0 */
/* git_content.c - what files hold, now and in the revision. */
#include "api/classic/git_impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"

#include <limits.h>

#define CONTENT_MAX (512 * MiB) /* what one push may hold of a file */

int git_read(const char *at, const struct stat *st, char **ret, size_t *ret_n)
{
	ssize_t n;

	if (!S_ISLNK(st->st_mode))
		return path_read(at, CONTENT_MAX, ret, ret_n);
	*ret = xmalloc(PATH_MAX);
	n = readlink(at, *ret, PATH_MAX);
	if (n < 0)
		return fail(-errno, "%s: %s", at, strerror(errno));
	*ret_n = (size_t)n;
	return 0;
}

int git_base_id(struct fs *f, const char *top, const char *path,
		char ret_hex[GIT_HEX])
{
	struct scorpio_id id;
	int rc = fs_original_id(f, top, path, deadline_in_ms(GIT_TIMEOUT_MS),
				&id);

	if (!rc && id.len != SHA1_LEN)
		rc = fail(-ENOTSUP, "the source of %s has no ids of Git's",
			  top);
	if (!rc)
		hex_encode(id.bytes, SHA1_LEN, ret_hex);
	return rc;
}

bool git_kept_id(struct fs *f, const char *at, bool is_lfs,
		 char ret_hex[GIT_HEX])
{
	struct fs_path_info i;
	bool kept;

	if (fs_path(f, at, deadline_in_ms(GIT_TIMEOUT_MS), &i))
		return false;
	/* of a layer's file, the source has the pointer */
	kept = (i.kind == SCORPIO_FILE || i.kind == SCORPIO_SYMLINK) &&
	       i.id.len == SHA1_LEN && (i.shown.len != SHA1_LEN) == is_lfs;
	if (kept)
		hex_encode(i.id.bytes, SHA1_LEN, ret_hex);
	fs_path_info_done(&i);
	return kept;
}

int git_now_id(struct gitlfs *l, const char *path, char ret_hex[GIT_HEX])
{
	cleanup_free char *at = xasprintf("%s/%s", l->top, path);
	cleanup_free char *data = NULL;
	bool is_lfs = false;
	char text[160] = "";
	struct stat st;
	size_t n;
	int rc = 0;

	ret_hex[0] = '\0';
	if (lstat(at, &st))
		return errno == ENOENT || errno == ENOTDIR
			? 0 : fail(-errno, "%s: %s", at, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return 0;
	if (S_ISREG(st.st_mode))
		rc = gitlfs_is(l, path, &is_lfs);
	if (rc || git_kept_id(daemon_fs(l->daemon), at, is_lfs, ret_hex))
		return rc;
	if (is_lfs)
		rc = gitlfs_pointer(at, text);
	if (!rc && *text)
		git_id("blob", text, strlen(text), ret_hex);
	else if (!rc && !(rc = git_read(at, &st, &data, &n)))
		git_id("blob", data, n, ret_hex);
	return rc;
}

char *gitjob_path(const struct gitjob *j, const char *path)
{
	const char *top = j->work.below;

	return xasprintf("%s%s%s", top, *top ? "/" : "", path);
}

json_t *git_base_of(struct gitjob *j, const char *path)
{
	cleanup_free char *full = gitjob_path(j, path);
	char hex[GIT_HEX];
	int rc = git_base_id(daemon_fs(j->classic->daemon), j->work.top, full,
			     hex);

	return rc == -ENOENT ? json_null() : rc ? NULL : json_string(hex);
}
