/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.c - another mount with the changes of one: copied (materialize), or
 * shared (chain). What is shared is called a layer, and has an id which both
 * carry from then on, before those of earlier forks; on the disk it is files
 * that both have by a name of their own, so nothing has to be counted or kept
 * for its sake.
 */
#include "api/antares/worktree.h"

#include "api/antares/impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "core/path.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define CHAIN_MAX 200u /* ids of layers */

/* -- copies --------------------------------------------------------------------------- */

static int copy_file(const char *from, const char *to, const struct stat *st,
		     struct worktree_copied *copied)
{
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
				  0600);
	cleanup_free char *room = xmalloc(256 * KiB);
	struct timespec times[] = { st->st_atim, st->st_mtim };
	ssize_t n = -1;

	while (in >= 0 && out >= 0 && (n = read(in, room, 256 * KiB)) > 0) {
		if (write(out, room, (size_t)n) != n)
			return fail(-EIO, "%s: %s", to, strerror(errno));
		copied->bytes += (uint64_t)n;
	}
	if (n < 0 || fchmod(out, st->st_mode & 07777) || futimens(out, times))
		return fail(-EIO, "%s is not copied: %s", from,
			    strerror(errno));
	copied->files++;
	return 0;
}

static void make_room(const char *to)
{
	cleanup_free char *dir = xstrdup(to);
	char *slash = strrchr(dir, '/');
	struct stat st;

	if (!lstat(to, &st) && S_ISDIR(st.st_mode)) {
		path_empty_dir(to);
		rmdir(to);
	}
	*slash = '\0';
	if (!lstat(dir, &st) && !S_ISDIR(st.st_mode))
		unlink(dir);
	if (path_make_dirs(dir, 0755))
		log_debug("antares", "%s is not made", dir);
}

static int copy_one(const char *src, const char *dst, const struct wchange *c,
		    struct worktree_copied *copied)
{
	cleanup_free char *from = xasprintf("%s/%s", src, c->path);
	cleanup_free char *to = xasprintf("%s/%s", dst, c->path);
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (c->removed && !lstat(to, &st)) {
		if (S_ISDIR(st.st_mode))
			path_empty_dir(to);
		return remove(to) ? fail(-errno, "%s: %s", to, strerror(errno))
				  : 0;
	}
	if (c->removed)
		return 0;
	if (lstat(from, &st)) /* gone since */
		return errno == ENOENT || errno == ENOTDIR
			? 0 : fail(-errno, "%s: %s", from, strerror(errno));
	make_room(to);
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, &st, copied);
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlink(from, target, sizeof(target) - 1);
	if (n < 0)
		return fail(-errno, "%s: %s", from, strerror(errno));
	target[n] = '\0';
	unlink(to);
	copied->files++;
	return symlink(target, to) ? fail(-errno, "%s: %s", to,
					  strerror(errno)) : 0;
}

/* What is gone first: a directory may be where a file was. */
static int copy_all(const char *src, const char *dst, const struct wchanges *l,
		    struct worktree_copied *copied)
{
	int rc = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; !rc && i < l->n; i++)
			if (l->c[i].removed == !pass)
				rc = copy_one(src, dst, &l->c[i], copied);
	return rc;
}

/* -- forks --------------------------------------------------------------------------- */

static void drop(struct antares *a, struct antares_info *child)
{
	struct antares_fault ignored;
	struct antares_info dead;

	if (!antares_remove(a, child->id, &dead, &ignored))
		antares_info_done(&dead);
	antares_info_done(child);
}

static int copied(struct antares *a, const struct antares_info *src,
		  const struct antares_request *q, struct antares_info *ret,
		  struct worktree_forked *x, struct antares_fault *f)
{
	struct wchanges l;
	int rc = worktree_changes(a, src->id, false, &l, f);

	if (rc)
		return rc;
	rc = antares_create(a, q, ret, f);
	if (!rc) {
		rc = copy_all(src->dir, ret->dir, &l, &x->copied);
		if (rc) {
			antares_failed(f, rc, false);
			drop(a, ret);
		}
	}
	wchanges_done(&l);
	return rc;
}

/* Both have the layer now. Of more than CHAIN_MAX the oldest are not told. */
static void seal(struct antares *a, const char *source, const char *child,
		 char layer[FS_ID_LEN + 1])
{
	struct amount *m, *n;
	char *chain;
	ranked_scope(&a->lock);

	id_uuid(layer);
	m = amount_by_id(a, source);
	n = amount_by_id(a, child);
	chain = m && m->chain ? xasprintf("%s %s", layer, m->chain)
			      : xstrdup(layer);
	if (strlen(chain) > CHAIN_MAX * (FS_ID_LEN + 1))
		chain[CHAIN_MAX * (FS_ID_LEN + 1) - 1] = '\0';
	if (m) {
		free(m->chain);
		m->chain = xstrdup(chain);
	}
	if (n) {
		free(n->chain);
		n->chain = xstrdup(chain);
	}
	free(chain);
}

/* The client's own files say which worktree it is. */
static int disown(struct antares *a, const struct antares_info *child)
{
	int rc = fs_reset(daemon_fs(a->daemon), child->dir, WORKTREE_OWN,
			  deadline_in_ms(ANTARES_TIMEOUT_MS));

	return rc == -ENOENT ? 0 : rc;
}

static int shared(struct antares *a, const struct antares_info *src,
		  struct antares_request *q, struct antares_info *ret,
		  struct worktree_forked *x, struct antares_fault *f)
{
	struct fs_forked got = { 0 };
	int rc;

	q->fork_of = src->dir;
	q->forked = &got;
	rc = antares_create(a, q, ret, f);
	q->fork_of = NULL;
	if (rc)
		return rc;
	rc = disown(a, ret);
	if (rc) {
		antares_failed(f, rc, false);
	} else if (!src->rev || strcmp(got.rev, src->rev)) {
		rc = antares_refuse(f, 400, "INVALID_REQUEST", -EBUSY,
				    "the mount went to another revision "
				    "meanwhile: try again");
	}
	if (rc) {
		drop(a, ret);
		return rc;
	}
	seal(a, src->id, ret->id, x->layer);
	x->copied = (struct worktree_copied){ got.files, got.bytes };
	return 0;
}

static bool cannot_share(int rc)
{
	return rc == -EXDEV || rc == -EMLINK || rc == -EPERM ||
	       rc == -EOPNOTSUPP;
}

static int fork_of(struct antares *a, const struct antares_info *src,
		   struct antares_request *q, struct antares_info *ret,
		   struct worktree_forked *x, struct antares_fault *f)
{
	struct antares_info now;
	int rc = -EXDEV;

	x->downgraded = x->chain && !src->pinned;
	if (x->chain && src->pinned)
		rc = shared(a, src, q, ret, x, f);
	if (cannot_share(rc)) {
		x->downgraded = x->chain;
		x->chain = false;
		rc = copied(a, src, q, ret, x, f);
	}
	if (rc)
		return rc;
	rc = antares_bound(a, ret->id, src->base); /* and saves */
	if (!rc)
		rc = antares_find(a, ret->id, &now, f);
	if (rc) {
		antares_failed(f, rc, false);
		drop(a, ret);
		return rc;
	}
	antares_info_done(ret);
	*ret = now;
	return 0;
}

int worktree_fork(struct antares *a, const char *id,
		  const struct worktree_fork *w, struct antares_info *ret,
		  struct worktree_forked *x, struct antares_fault *f)
{
	struct antares_info src;
	struct antares_request q = { .mountpoint = w->mountpoint,
				     .bound_next = true };
	cleanup_free char *name = NULL;
	char uuid[FS_ID_LEN + 1];
	int rc = antares_find(a, id, &src, f);

	*x = (struct worktree_forked){ .chain = w->chain };
	if (rc)
		return rc;
	id_uuid(uuid);
	name = xasprintf("fork-%s", uuid);
	q.job = w->job ? w->job : name;
	q.path = src.path;
	q.rev = src.rev;
	q.pinned = src.pinned;
	q.cl = w->with_cl ? src.cl : NULL;
	q.cl_path = q.cl ? src.cl_path : NULL;
	rc = src.base ? fork_of(a, &src, &q, ret, x, f)
		      : antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				       "the mount is not bound to a revision");
	antares_info_done(&src);
	return rc;
}
