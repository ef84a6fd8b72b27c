/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset.c - discarding changes. Names are dropped from the tree of changed
 * inodes under the edit lock; the kernel is told afterwards, with no lock held.
 * It waits for its own lookups in that directory, so what it learns next is
 * what is there now.
 *
 * A file that comes back gets the present time: what was built from the changed
 * one must look old.
 */
#include "core/error.h"
#include "fs/edit.h"
#include "fs/notify.h"
#include "fs/redirect.h"
#include "fs/status.h"

struct reset {
	struct edit edit;
	struct mount *mount;
	int64_t deadline;
	struct notices notices;
	char **from; /* places of the revision renamed ones came from */
	size_t n_from, from_cap;
};

/* What the kernel may remember: a name in it if there is one, its list. */
static void tell_later(struct reset *s, uint64_t dir, const char *name)
{
	if (name)
		notices_name(&s->notices, dir, name);
	notices_inode(&s->notices, dir);
}

static int tell_kernel(struct reset *s)
{
	int rc = notify_send(s->mount, &s->notices, s->deadline);

	return rc ? fail_prefix(rc, "the changes are discarded") : 0;
}

static void reset_done(struct reset *s)
{
	notices_done(&s->notices);
	for (size_t i = 0; i < s->n_from; i++)
		free(s->from[i]);
	free(s->from);
}

static void came_from(struct reset *s, const char *low)
{
	if (s->n_from == s->from_cap) {
		s->from_cap = MAX(s->from_cap * 2, 16u);
		s->from = xrealloc(s->from, s->from_cap * sizeof(*s->from));
	}
	s->from[s->n_from++] = xstrdup(low);
}

/* The revision's file again, with the present time. Only if its directory's
 * tree is in the store: the time is worth no wait under the lock. */
static int renew(struct reset *s, struct cnode *dir, const char *text)
{
	struct edit_name name;
	struct cnode *n;
	struct cvalue v;
	int rc = edit_find(&s->edit, dir, text, &name);

	if (rc || !name.lower || name.lower_kind != SCORPIO_FILE)
		return 0;
	rc = edit_adopt(&s->edit, &name, &n);
	if (rc)
		return rc;
	v = n->v;
	v.mtim = changes_now(s->edit.c);
	return changes_attr(s->edit.c, n, &v);
}

static int reset_dir(struct reset *s, struct cnode *dir, const char *low);

/* Something is bound over it or below; it is no change. */
static bool is_redirected(struct reset *s, const struct cname *name)
{
	cleanup_free char *path = changes_path(name->dir, name->name);

	return path && !name->lower_kind && name->node && name->node->dir &&
	       redirect_is(s->mount, path);
}

static int reset_name(struct reset *s, struct cname *name, const char *dir_low)
{
	cleanup_free char *low = dir_low ? status_join(dir_low, name->name)
					 : NULL;
	cleanup_free char *text = xstrdup(name->name);
	struct cnode *n = name->node, *dir = name->dir;
	bool file = n && S_ISREG(n->v.mode);
	int rc;

	if (is_redirected(s, name))
		return 0;
	if (n && status_in_place(name, low)) {
		if (changes_is_dir(n))
			return reset_dir(s, n, low);
		if (n->v.content == CONTENT_LOWER &&
		    !status_attrs_differ(s->mount, n))
			return 0; /* not changed */
	} else if (n && n->v.lower_path && !name->lower_kind) {
		came_from(s, n->v.lower_path);
	}
	tell_later(s, dir->v.ino, text);
	rc = changes_reset(s->edit.c, name);
	return rc || !file ? rc : renew(s, dir, text);
}

static int restore_dir(struct reset *s, struct cnode *dir)
{
	struct cvalue v = dir->v;

	v.mode = S_IFDIR | dir->v.lower_mode;
	v.uid = v.gid = CHANGES_OWNER;
	tell_later(s, dir->v.ino, NULL);
	return changes_restore(s->edit.c, dir, &v);
}

/* Everything in it; it stays itself, for those who stand in it. */
static int reset_dir(struct reset *s, struct cnode *dir, const char *low)
{
	const struct cdir *d = dir->dir;
	struct cname **names = xcalloc(d->count + 1, sizeof(*names));
	size_t n = 0;
	int rc = 0;

	for (uint32_t i = 0; d->buckets && i <= d->mask; i++)
		for (struct cname *c = d->buckets[i]; c; c = c->next)
			if (*low || strcmp(c->name, FS_OWN_NAME))
				names[n++] = c;
	for (size_t i = 0; i < n && !rc; i++)
		rc = reset_name(s, names[i], low);
	free(names);
	if (!rc && *low && status_attrs_differ(s->mount, dir))
		rc = restore_dir(s, dir);
	return rc;
}

/* The name at a path of the workspace, as far as changes know it; where its
 * directory lies in the revision. NULL: nothing changed there. */
static struct cname *find_name(struct reset *s, const char *path,
			       char **ret_low, bool *ret_deleted)
{
	struct cnode *dir = s->edit.c->root;
	char *low = xstrdup("");
	struct cname *name = NULL;
	const char *p = path;

	while (*p && dir) {
		size_t len = strcspn(p, "/");

		name = changes_name(dir, p, len);
		p += len + (p[len] == '/');
		if (!*p || !name)
			break;
		dir = name->node && name->node->dir ? name->node : NULL;
		free(low);
		low = dir && status_has_lower(dir)
			      ? xstrdup(dir->v.lower_path)
			      : NULL;
		*ret_deleted = !dir;
	}
	*ret_low = low;
	return *p ? NULL : name;
}

static int reset_path(struct reset *s, const char *path, bool *ret_found)
{
	cleanup_free char *low = NULL;
	bool deleted = false;
	struct cname *name;

	if (!*path) {
		*ret_found = true;
		return reset_dir(s, s->edit.c->root, "");
	}
	name = find_name(s, path, &low, &deleted);
	*ret_found = name;
	if (deleted)
		return fail(-ENOENT, "a directory above %s was deleted or "
			    "replaced: reset that", path);
	return name ? reset_name(s, name, low) : 0;
}

/* What was renamed and is reset lies at its old place again. */
static int reset_sources(struct reset *s)
{
	int rc = 0;

	for (size_t i = 0; i < s->n_from && !rc; i++) {
		cleanup_free char *low = NULL;
		bool deleted = false;
		struct cname *name = find_name(s, s->from[i], &low, &deleted);

		if (name && !name->node)
			rc = reset_name(s, name, low);
	}
	return rc;
}

static int reset(struct reset *s, const char *path)
{
	struct request r = { .mount = s->mount, .deadline = s->deadline };
	bool found = false;
	int told, rc = edit_begin(&s->edit, &r);

	if (rc)
		return rc;
	rc = reset_path(s, path, &found);
	if (!rc)
		rc = reset_sources(s);
	edit_end(&s->edit);
	told = tell_kernel(s); /* also what was discarded before it failed */
	return rc ? rc : told;
}

/* Without changes at it, a path must be one of the revision. */
static int check_exists(struct mount *m, const char *path, int64_t deadline)
{
	const size_t own = sizeof(FS_OWN_NAME) - 1;
	struct view_found at;
	cleanup_free char *low = NULL;
	int rc;

	if (!*path)
		return 0;
	if (!strncmp(path, FS_OWN_NAME, own) &&
	    (!path[own] || path[own] == '/'))
		return fail(-EINVAL, "%s is the daemon's own: it has no "
			    "changes", FS_OWN_NAME);
	view_lock(m);
	rc = status_lower_path(m, path, &low);
	view_unlock(m);
	if (rc) /* an added one, or nothing at all */
		return view_walk(m, path, deadline, &at);
	rc = view_walk_lower(m, low, deadline, &at);
	return rc == -ENOENT ? view_walk(m, path, deadline, &at) : rc;
}

int fs_reset(struct fs *f, const char *id_or_dir, const char *path,
	     int64_t deadline)
{
	struct mount *m = mount_acquire(f, id_or_dir);
	struct reset s = { .mount = m, .deadline = deadline };
	int rc;

	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	if (!m->changes)
		rc = fail(-EROFS, "%s is a read-only view: it has no changes",
			  m->dir);
	else
		rc = check_exists(m, path, deadline);
	if (!rc)
		rc = reset(&s, path);
	reset_done(&s);
	mount_release(m);
	return rc;
}
