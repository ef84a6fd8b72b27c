/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - what differs from the revision. The tree of changed inodes is
 * walked under its lock; what has to be known of the revision on top (a new
 * directory in the place of one of the revision) is looked up afterwards.
 */
#include "fs/status.h"

#include "core/error.h"
#include "fs/redirect.h"

struct item {
	char *path;
	char *low; /* its place in the revision, or NULL */
	enum fs_change_kind kind;
	uint32_t mode;
	uint64_t size;
	bool modified;
	bool moved;  /* maybe FS_RENAMED */
	bool hidden; /* said by another entry */
};

struct status {
	struct mount *mount;
	int64_t deadline;
	struct item *items;
	size_t n, cap;
	char **vacated; /* places of the revision that show something else */
	size_t n_vacated, vacated_cap;
	struct cover { /* a new directory in the place of one of these */
		char *path, *low;
	} *covers;
	size_t n_covers, covers_cap;
};

static void *grow(void *p, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = MAX(*cap * 2, 64u);
	return xrealloc(p, *cap * size);
}

char *status_join(const char *dir, const char *name)
{
	return *dir ? *name ? xasprintf("%s/%s", dir, name) : xstrdup(dir)
		    : xstrdup(name);
}

bool status_in_place(const struct cname *name, const char *low)
{
	const struct cvalue *v = &name->node->v;

	return low && name->lower_kind && v->lower_kind && v->lower_path &&
	       !strcmp(v->lower_path, low);
}

bool status_has_lower(const struct cnode *n)
{
	return changes_is_dir(n) && n->v.lower_kind && n->v.lower_path;
}

bool status_attrs_differ(const struct mount *m, const struct cnode *n)
{
	const struct cvalue *v = &n->v;

	return (!S_ISLNK(v->mode) && (v->mode & 07777) != v->lower_mode) ||
	       (v->uid != CHANGES_OWNER && v->uid != m->uid) ||
	       (v->gid != CHANGES_OWNER && v->gid != m->gid) || n->xattrs;
}

static struct item *add(struct status *s, char *path /* takes */,
			const char *low, enum fs_change_kind kind,
			const struct cnode *n)
{
	struct item *i;
	struct stat st;

	s->items = grow(s->items, s->n, &s->cap, sizeof(*s->items));
	i = &s->items[s->n++];
	*i = (struct item){ .path = path, .kind = kind,
			    .low = low ? xstrdup(low) : NULL };
	if (n) {
		changes_stat(n, s->mount->uid, s->mount->gid, &st);
		i->mode = n->v.mode;
		i->size = n->v.content == CONTENT_LOWER && !changes_is_dir(n)
				  ? n->v.size
				  : (uint64_t)st.st_size;
		i->modified = !changes_is_dir(n) &&
			      n->v.content != CONTENT_LOWER;
	}
	return i;
}

static void vacate(struct status *s, const char *low)
{
	s->vacated = grow(s->vacated, s->n_vacated, &s->vacated_cap,
			  sizeof(*s->vacated));
	s->vacated[s->n_vacated++] = xstrdup(low);
}

static void cover(struct status *s, const char *path, const char *low)
{
	s->covers = grow(s->covers, s->n_covers, &s->covers_cap,
			 sizeof(*s->covers));
	s->covers[s->n_covers++] = (struct cover){ xstrdup(path),
						   xstrdup(low) };
}

/* -- the changed inodes; view locked ---------------------------------------------- */

static bool same_kind(uint8_t lower, uint32_t mode)
{
	switch (lower) {
	case SCORPIO_FILE:
		return S_ISREG(mode);
	case SCORPIO_SYMLINK:
		return S_ISLNK(mode);
	default:
		return S_ISDIR(mode);
	}
}

static void look_dir(struct status *s, const struct cnode *dir,
		     const char *path, const char *low);

static void look_in_place(struct status *s, const struct cnode *n,
			  const char *path, const char *low)
{
	bool changed = !changes_is_dir(n) && n->v.content != CONTENT_LOWER;

	if (changed || status_attrs_differ(s->mount, n))
		add(s, xstrdup(path), low, changed ? FS_MODIFIED : FS_MODE, n);
	if (changes_is_dir(n))
		look_dir(s, n, path, low);
}

/* Something else than the revision has there. */
static void look_replaced(struct status *s, const struct cname *name,
			  const char *path, const char *low)
{
	const struct cnode *n = name->node;

	vacate(s, low);
	if (!same_kind(name->lower_kind, n->v.mode)) {
		add(s, xstrdup(path), low, FS_TYPECHANGE, n);
	} else if (!changes_is_dir(n)) {
		add(s, xstrdup(path), low, FS_MODIFIED, n)->modified = true;
	} else if (!status_has_lower(n)) {
		cover(s, path, low);
	} else {
		add(s, xstrdup(path), n->v.lower_path, FS_RENAMED, n);
	}
	if (changes_is_dir(n))
		look_dir(s, n, path,
			 status_has_lower(n) ? n->v.lower_path : NULL);
}

static void look_new(struct status *s, const struct cname *name,
		     const char *path)
{
	const struct cnode *n = name->node;
	const char *from = n->v.lower_kind ? n->v.lower_path : NULL;
	struct item *i = add(s, xstrdup(path), from, FS_ADDED, n);

	/* of several names of a file that moved, one is it */
	i->moved = from && (changes_is_dir(n) || n->links == name);
	if (changes_is_dir(n))
		look_dir(s, n, path, from);
}

static void look_name(struct status *s, const struct cname *name,
		      const char *dir_path, const char *dir_low)
{
	cleanup_free char *path = status_join(dir_path, name->name);
	cleanup_free char *low = dir_low && name->lower_kind
					 ? status_join(dir_low, name->name)
					 : NULL;

	if (!strcmp(path, FS_OWN_NAME))
		return;
	if (!low && name->node && changes_is_dir(name->node) &&
	    !status_has_lower(name->node) && redirect_is(s->mount, path)) {
		look_dir(s, name->node, path, NULL);
		return;
	}
	if (!name->node && low) {
		vacate(s, low);
		add(s, steal(&path), low, FS_DELETED, NULL);
	} else if (!name->node) {
		return;
	} else if (status_in_place(name, low)) {
		look_in_place(s, name->node, path, low);
	} else if (low) {
		look_replaced(s, name, path, low);
	} else {
		look_new(s, name, path);
	}
}

static void look_dir(struct status *s, const struct cnode *dir,
		     const char *path, const char *low)
{
	const struct cdir *d = dir->dir;

	for (uint32_t i = 0; d && d->buckets && i <= d->mask; i++)
		for (struct cname *n = d->buckets[i]; n; n = n->next)
			look_name(s, n, path, low);
}

/* -- what follows ------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->path,
		      ((const struct item *)b)->path);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_text(char **list, size_t n, const char *text)
{
	return n && bsearch(&text, list, n, sizeof(*list), by_text);
}

/* The place or a directory above it shows something else now. */
static bool is_vacated(const struct status *s, const char *low)
{
	cleanup_free char *p = xstrdup(low);
	char *slash;

	while (!has_text(s->vacated, s->n_vacated, p)) {
		slash = strrchr(p, '/');
		if (!slash)
			return false;
		*slash = '\0';
	}
	return true;
}

static void settle_moves(struct status *s)
{
	char **from = xcalloc(s->n + 1, sizeof(*from));
	size_t n = 0;

	if (s->n_vacated)
		qsort(s->vacated, s->n_vacated, sizeof(*s->vacated), by_text);
	for (size_t i = 0; i < s->n; i++) {
		struct item *x = &s->items[i];

		if (x->moved && (S_ISDIR(x->mode) || is_vacated(s, x->low)))
			x->kind = FS_RENAMED;
		if (x->kind == FS_RENAMED)
			from[n++] = x->low;
	}
	qsort(from, n, sizeof(*from), by_text);
	for (size_t i = 0; i < s->n; i++) {
		struct item *x = &s->items[i];

		if (x->kind == FS_DELETED && has_text(from, n, x->low))
			x->hidden = true;
	}
	free(from);
}

/* A name the revision has where a new directory lies now. */
static void compare_covered(struct status *s, size_t sorted, char *path,
			    char *low, uint8_t kind)
{
	struct item key = { .path = path }, *x;

	x = sorted ? bsearch(&key, s->items, sorted, sizeof(*s->items),
			     by_path)
		   : NULL;
	if (!x) {
		add(s, xstrdup(path), low, FS_DELETED, NULL);
	} else if (x->kind != FS_ADDED) {
		return;
	} else if (!same_kind(kind, x->mode)) {
		x->kind = FS_TYPECHANGE;
	} else if (S_ISDIR(x->mode)) {
		x->hidden = true;
		cover(s, path, low);
	} else {
		x->kind = FS_MODIFIED;
		x->modified = true;
	}
}

struct listing {
	char *name;
	uint8_t kind;
};

/* The entries of a tree of the revision. */
static int list_lower(struct status *s, const char *low,
		      struct listing **ret, size_t *ret_n)
{
	cleanup_free char *probe = status_join(low, " ");
	struct mount *m = s->mount;
	struct view_found at, none;
	struct store_reader r;
	struct tree_entry e;
	struct tree_view v;
	int rc = view_walk_lower(m, low, s->deadline, &at);

	if (rc || at.kind != SCORPIO_DIR)
		return rc;
	/* looking a name up brings the tree */
	rc = view_walk_lower(m, probe, s->deadline, &none);
	if (rc && rc != -ENOENT)
		return rc;
	rc = store_read_begin(m->store, &r);
	if (rc)
		return rc;
	rc = view_tree(m, &r, &at.id, &v);
	if (!rc) {
		*ret = xcalloc(v.count + 1, sizeof(**ret));
		for (uint32_t i = 0; i < v.count; i++) {
			tree_entry_at(&v, i, &e);
			(*ret)[i].name = xstrndup(e.name, e.name_len);
			(*ret)[i].kind = e.kind;
		}
		*ret_n = v.count;
	}
	store_read_end(&r);
	return rc == -EAGAIN ? fail(-EIO, "the store does not keep what is "
					  "fetched")
			     : rc;
}

static int settle_covers(struct status *s)
{
	size_t sorted = s->n;
	int rc = 0;

	if (s->n)
		qsort(s->items, s->n, sizeof(*s->items), by_path);
	for (size_t k = 0; k < s->n_covers && !rc; k++) {
		struct cover at = s->covers[k];
		struct listing *list = NULL;
		size_t n = 0;

		rc = list_lower(s, at.low, &list, &n);
		for (size_t i = 0; i < n; i++) {
			cleanup_free char *path =
				status_join(at.path, list[i].name);
			cleanup_free char *low =
				status_join(at.low, list[i].name);

			compare_covered(s, sorted, path, low, list[i].kind);
			free(list[i].name);
		}
		free(list);
	}
	return rc;
}

static int report(struct status *s,
		  int (*fn)(void *ctx, const struct fs_change *c), void *ctx)
{
	int rc = 0;

	if (s->n)
		qsort(s->items, s->n, sizeof(*s->items), by_path);
	for (size_t i = 0; i < s->n && !rc; i++) {
		const struct item *x = &s->items[i];
		struct fs_change c = {
			.kind = x->kind, .path = x->path, .mode = x->mode,
			.from = x->kind == FS_RENAMED ? x->low : NULL,
			.size = x->size, .modified = x->modified,
		};

		if (!x->hidden)
			rc = fn(ctx, &c);
	}
	return rc;
}

static void status_done(struct status *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].path);
		free(s->items[i].low);
	}
	for (size_t i = 0; i < s->n_vacated; i++)
		free(s->vacated[i]);
	for (size_t i = 0; i < s->n_covers; i++) {
		free(s->covers[i].path);
		free(s->covers[i].low);
	}
	free(s->items);
	free(s->vacated);
	free(s->covers);
}

int fs_changes(struct fs *f, const char *id_or_dir, int64_t deadline,
	       int (*fn)(void *ctx, const struct fs_change *c), void *ctx)
{
	struct mount *m = mount_acquire(f, id_or_dir);
	struct status s = { .mount = m, .deadline = deadline };
	int rc = 0;

	if (!m)
		return fail(-ENOENT, "no mount %s", id_or_dir);
	if (!m->changes) {
		rc = fail(-EROFS, "%s is a read-only view: it has no changes",
			  m->dir);
	} else {
		view_lock(m);
		look_dir(&s, m->changes->root, "", "");
		view_unlock(m);
		settle_moves(&s);
		if (s.n_covers)
			rc = settle_covers(&s);
		if (!rc)
			rc = report(&s, fn, ctx);
	}
	status_done(&s);
	mount_release(m);
	return rc;
}
