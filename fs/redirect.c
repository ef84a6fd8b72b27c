/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/redirect.h"

#include "core/buf.h"
#include "core/error.h"
#include "core/log.h"
#include "core/path.h"
#include "fs/mountpoint.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define REDIRECTS_MAX 64
#define FILE_MAX (64 * KiB)

/* -- which ----------------------------------------------------------------------- */

/* `b` is `a` or lies below it. */
static bool covers(const char *a, const char *b)
{
	size_t n = strlen(a);

	return !strncmp(a, b, n) && (!b[n] || b[n] == '/');
}

static bool valid(const char *path)
{
	const char *p = path;

	if (!*path || strlen(path) > 1024 || strchr(path, '\n') ||
	    covers(FS_OWN_NAME, path))
		return false;
	for (;;) {
		size_t n = strcspn(p, "/");

		if (!n || n > SCORPIO_NAME_MAX || (n == 1 && *p == '.') ||
		    (n == 2 && !strncmp(p, "..", 2)))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

/* Slashes at the end mean nothing. */
static int add(struct workspace *w, const char *text, size_t n)
{
	cleanup_free char *path = NULL;

	while (n && text[n - 1] == '/')
		n--;
	path = xstrndup(text, n);
	if (!valid(path))
		return fail(-EINVAL, "redirected directory \"%s\": a path below "
			    "the mount is wanted, such as buck-out", path);
	for (size_t i = 0; i < w->n_redirects; i++) {
		if (!strcmp(w->redirects[i], path))
			return 0;
		if (covers(w->redirects[i], path) ||
		    covers(path, w->redirects[i]))
			return fail(-EINVAL, "redirected directories %s and %s "
				    "lie within each other", path,
				    w->redirects[i]);
	}
	if (w->n_redirects == REDIRECTS_MAX)
		return fail(-EINVAL, "more than %d redirected directories",
			    REDIRECTS_MAX);
	w->redirects = xrealloc(w->redirects, (w->n_redirects + 2) *
						      sizeof(*w->redirects));
	w->redirects[w->n_redirects++] = steal(&path);
	w->redirects[w->n_redirects] = NULL;
	return 0;
}

static int add_all(struct workspace *w, const char *text, const char *between)
{
	int rc = 0;

	while (!rc && *text) {
		size_t n = strcspn(text, between);

		if (n)
			rc = add(w, text, n);
		text += n + strspn(text + n, between);
	}
	return rc;
}

static char *list_path(const struct workspace *w)
{
	return xasprintf("%s/redirects", w->dir);
}

static int save(const struct workspace *w)
{
	cleanup_free char *path = list_path(w);
	cleanup_buf struct buf b = BUF_INIT;

	for (size_t i = 0; i < w->n_redirects; i++)
		buf_printf(&b, "%s\n", w->redirects[i]);
	return path_write(path, b.data, b.len, 0600, false);
}

int redirect_load(struct workspace *w, const char *const *more,
		  const char *text)
{
	cleanup_free char *path = list_path(w), *known = NULL;
	size_t n, before;
	int rc = path_read(path, FILE_MAX, &known, &n);

	if (rc == -ENOENT)
		rc = 0;
	if (!rc && known)
		rc = add_all(w, known, "\n");
	before = w->n_redirects;
	if (!rc && text)
		rc = add_all(w, text, ", ");
	for (; !rc && more && *more; more++)
		rc = add(w, *more, strlen(*more));
	if (!rc && w->n_redirects && geteuid())
		rc = fail(-EPERM, "redirected directories (%s) are bind mounts, "
			  "which only root may make: run the daemon as root, "
			  "or mount without them", w->redirects[0]);
	if (!rc && w->n_redirects > before)
		rc = save(w);
	return rc;
}

void redirect_free(struct workspace *w)
{
	for (size_t i = 0; i < w->n_redirects; i++)
		free(w->redirects[i]);
	free(w->redirects);
	free(w->redirect_made);
	w->redirects = NULL;
	w->redirect_made = NULL;
	w->n_redirects = 0;
}

bool redirect_is(const struct mount *m, const char *path)
{
	const struct workspace *w = m->workspace;

	for (size_t i = 0; i < w->n_redirects; i++)
		if (covers(path, w->redirects[i]))
			return true;
	return false;
}

const char *redirect_of(const struct mount *m, const char *path)
{
	const struct workspace *w = m->workspace;

	for (size_t i = 0; w && i < w->n_redirects; i++)
		if (covers(w->redirects[i], path))
			return w->redirects[i];
	return NULL;
}

static bool dir_empty(int fd)
{
	struct dirent *e;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool empty = true;

	while (d && empty && (e = readdir(d)))
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	if (d)
		closedir(d);
	return empty;
}

bool redirect_empty(const struct workspace *w)
{
	for (size_t i = 0; i < w->n_redirects; i++) {
		cleanup_free char *dir = xasprintf("%s/redirect/%s", w->dir,
						   w->redirects[i]);

		if (!dir_empty(open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
						 O_CLOEXEC)))
			return false;
	}
	return true;
}

/* -- binding ------------------------------------------------------------------------ */

/* Open a directory below the mount, made if it is missing. */
static int open_place(struct mount *m, const char *path, bool *ret_made)
{
	int fd = open(m->dir, O_PATH | O_DIRECTORY | O_CLOEXEC), next;

	*ret_made = false;
	for (const char *p = path; fd >= 0 && *p;) {
		size_t n = strcspn(p, "/");
		cleanup_free char *name = xstrndup(p, n);

		p += n + (p[n] == '/');
		if (!mkdirat(fd, name, 0755)) {
			*ret_made = true;
			if (fchownat(fd, name, m->uid, m->gid,
				     AT_SYMLINK_NOFOLLOW))
				log_debug("fs", "%s: %s", path,
					  strerror(errno));
		}
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
						O_CLOEXEC);
		if (next < 0)
			next = -errno;
		close(fd);
		fd = next;
	}
	if (fd == -ENOTDIR || fd == -ELOOP)
		return fail(-EEXIST, "cannot redirect %s: there is something "
			    "else than a directory", path);
	return fd < 0 ? fail(fd, "cannot redirect %s: %s", path,
			     strerror(-fd))
		      : fd;
}

static int make_target(struct mount *m, const char *target)
{
	int rc = path_make_dirs(target, 0755);

	if (!rc && chown(target, m->uid, m->gid))
		rc = fail(-errno, "%s: %s", target, strerror(errno));
	return rc;
}

static bool is_bound(int fd, const char *target)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(target, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static int bind_one(struct mount *m, size_t i)
{
	struct workspace *w = m->workspace;
	const char *path = w->redirects[i];
	cleanup_free char *target = xasprintf("%s/redirect/%s", w->dir, path);
	char place[64];
	int rc = make_target(m, target), fd;

	if (rc)
		return rc;
	fd = open_place(m, path, &w->redirect_made[i]);
	if (fd < 0)
		return fd;
	if (is_bound(fd, target)) { /* of a daemon that ended */
		close(fd);
		return 0;
	}
	snprintf(place, sizeof(place), "/proc/self/fd/%d", fd);
	if (!dir_empty(fcntl(fd, F_DUPFD_CLOEXEC, 0)))
		rc = fail(-EEXIST, "cannot redirect %s: it is a directory with "
			  "something in it (move that away, or into the build)",
			  path);
	else if (mount(target, place, NULL, MS_BIND, NULL))
		rc = fail(-errno, "cannot bind %s over %s: %s (it takes the "
			  "privilege to mount)", target, path,
			  strerror(errno));
	close(fd);
	return rc;
}

/* Take back what was made for it; what is shared with others stays. */
static void drop_place(struct mount *m, size_t i)
{
	struct workspace *w = m->workspace;
	cleanup_free char *path = xasprintf("%s/%s", m->dir, w->redirects[i]);
	size_t top = strlen(m->dir);
	char *slash;

	if (!w->redirect_made[i])
		return;
	while (strlen(path) > top && !rmdir(path)) {
		slash = strrchr(path, '/');
		*slash = '\0';
	}
	w->redirect_made[i] = false;
}

static int unbind_one(struct mount *m, size_t i)
{
	cleanup_free char *path = xasprintf("%s/%s", m->dir,
					    m->workspace->redirects[i]);

	if (!umount2(path, UMOUNT_NOFOLLOW) || errno != EBUSY) {
		drop_place(m, i);
		return 0; /* or somebody was faster */
	}
	return mountpoint_busy(path);
}

int redirect_bind(struct mount *m)
{
	struct workspace *w = m->workspace;
	int rc = 0;

	if (!w || !w->n_redirects)
		return 0;
	if (!w->redirect_made)
		w->redirect_made = xcalloc(w->n_redirects, sizeof(bool));
	while (!rc && w->bound < w->n_redirects) {
		rc = bind_one(m, w->bound);
		if (rc)
			drop_place(m, w->bound);
		else
			w->bound++;
	}
	if (rc) {
		cleanup_free char *why = xstrdup(error_text(rc));

		redirect_unbind(m);
		return fail(rc, "%s", why);
	}
	return 0;
}

int redirect_unbind(struct mount *m)
{
	struct workspace *w = m->workspace;
	int rc = 0;

	while (w && w->bound && !rc) {
		rc = unbind_one(m, w->bound - 1);
		if (!rc)
			w->bound--;
	}
	if (rc) {
		cleanup_free char *why = xstrdup(error_text(rc));

		redirect_bind(m); /* those that were let go */
		return fail(rc, "%s", why);
	}
	return 0;
}
