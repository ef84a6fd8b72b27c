/* SPDX-License-Identifier: Apache-2.0 */
/* git_content.c - what files hold, now and in the revision. */
#include "api/classic/git_impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"

#include <limits.h>

#define CONTENT_MAX (512 * MiB) /* what one push may hold of a file */

static int take(void *ctx, const void *p, size_t n)
{
	struct buf *b = ctx;

	if (b->len + n > CONTENT_MAX)
		return -EFBIG;
	buf_put(b, p, n);
	return 0;
}

int git_original(struct fs *f, const char *dir, const char *path,
		 char ret_hex[GIT_HEX])
{
	cleanup_buf struct buf b = BUF_INIT;
	int rc = fs_original(f, dir, path, deadline_in_ms(GIT_TIMEOUT_MS),
			     NULL, take, &b);

	if (!rc)
		git_id("blob", b.data ? (const void *)b.data : "", b.len,
		       ret_hex);
	return rc;
}

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

json_t *git_base_of(struct gitjob *j, const char *path, bool lfs)
{
	const char *top = j->work.below;
	cleanup_free char *full = xasprintf("%s%s%s", top, *top ? "/" : "",
					    path);
	struct fs *f = daemon_fs(j->classic->daemon);
	char hex[GIT_HEX];
	int rc = lfs ? gitlfs_original(f, j->work.top, full, hex)
		     : git_original(f, j->work.top, full, hex);

	return rc == -ENOENT ? json_null() : rc ? NULL : json_string(hex);
}
