/* SPDX-License-Identifier: Apache-2.0 */
/*
 * warm.c - bringing whole directories before anybody reads them. Trees come
 * level by level, so a tree of depth d costs about d batches; blobs follow in
 * a window of wants.
 */
#include "core/clock.h"
#include "core/error.h"
#include "fs/request.h"
#include "fs/view.h"

#define WINDOW 4000      /* wants under way */
#define REPORT_MS 200

struct item { /* a directory to go through, or a want on its way */
	struct want want;
	struct warm *warm;
	struct item *next;
	char *path; /* relative to the source's root; owned */
	uint64_t size;
};

struct warm {
	struct mount *mount;
	int64_t deadline;
	bool metadata_only;
	bool sizes;      /* of files, where metadata is all */
	unsigned levels; /* of directories; 0 = all */
	int (*report)(void *ctx, const struct fs_warm_progress *p);
	void *ctx;
	int64_t last_report;
	struct item *level, *next_level; /* only the calling thread */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned under_way;         /* lock */
	struct fs_warm_progress at; /* lock */
	int error;                  /* lock; the first */
	char error_text[256];       /* lock */
};

static void item_free(struct item *i)
{
	free(i->path);
	free(i);
}

static void item_done(struct want *w, int result)
{
	struct item *i = w->ctx;
	struct warm *warm = i->warm;
	bool tree = w->kind == WANT_TREE;

	pthread_mutex_lock(&warm->lock);
	if (result) {
		warm->at.failed++;
		if (!warm->error) {
			warm->error = result;
			snprintf(warm->error_text, sizeof(warm->error_text),
				 "%s: %s", i->path, error_text(result));
		}
	} else if (!tree) {
		warm->at.files++;
		warm->at.bytes += i->size;
	}
	warm->under_way--;
	pthread_cond_broadcast(&warm->changed);
	pthread_mutex_unlock(&warm->lock);
	if (!tree) /* trees stay on their level's list */
		item_free(i);
}

/* Wait until at most `room` wants are under way, reporting meanwhile. A
 * nonzero result asks to stop. */
static int wait_for_room(struct warm *w, unsigned room)
{
	int rc = 0;

	pthread_mutex_lock(&w->lock);
	while (w->under_way > room) {
		struct fs_warm_progress at;

		cond_wait_until(&w->changed, &w->lock,
				deadline_in_ms(REPORT_MS));
		if (now_ns() - w->last_report < REPORT_MS * NS_PER_MS || rc)
			continue;
		w->last_report = now_ns();
		at = w->at;
		pthread_mutex_unlock(&w->lock);
		rc = w->report ? w->report(w->ctx, &at) : 0;
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

static void want_item(struct warm *w, struct item *i, enum want_kind kind,
		      uint8_t entry_kind, const struct scorpio_id *id)
{
	struct want *wants[1] = { &i->want };

	i->warm = w;
	i->want = (struct want){
		.kind = kind, .prio = WANT_PREFETCH, .id = *id,
		.path = i->path, .path_len = (uint32_t)strlen(i->path),
		.entry_kind = entry_kind, .deadline = w->deadline,
		.done = item_done, .ctx = i,
	};
	pthread_mutex_lock(&w->lock);
	w->under_way++;
	pthread_mutex_unlock(&w->lock);
	source_want(w->mount->source, wants, 1);
}

static struct item *item_new(const char *dir, const char *name, size_t len)
{
	struct item *i = xcalloc(1, sizeof(*i));

	i->path = !len	 ? xstrdup(dir)
		  : *dir ? xasprintf("%s/%.*s", dir, (int)len, name)
			 : xstrndup(name, len);
	return i;
}

/* A file: want its content unless it is there. */
static void warm_blob(struct warm *w, struct store_reader *r,
		      const char *dir, const struct tree_entry *e)
{
	struct scorpio_id id = view_id(e);
	struct store_key key = store_key(w->mount->space, &id);
	uint64_t size = view_size(w->mount, r, e);
	bool known = size != SCORPIO_SIZE_UNKNOWN;
	struct item *i;

	pthread_mutex_lock(&w->lock);
	w->at.files_total++;
	pthread_mutex_unlock(&w->lock);
	if (known && (w->metadata_only ||
		      store_blob_present(r, &key, 0, size))) {
		pthread_mutex_lock(&w->lock);
		w->at.files++;
		w->at.bytes += size;
		pthread_mutex_unlock(&w->lock);
		return;
	}
	i = item_new(dir, e->name, e->name_len);
	i->size = known ? size : 0;
	want_item(w, i, w->metadata_only ? WANT_SIZE : WANT_BLOB, e->kind,
		  &id);
}

/* Children of a directory that is in the store: [*at, ...) until the window is
 * full. Ends the read transaction before anything waits. */
static int warm_children(struct warm *w, struct item *dir, uint32_t *at,
			 bool *ret_more)
{
	struct mount *m = w->mount;
	struct store_reader r;
	struct tree_view v;
	struct tree_entry e;
	int rc = store_read_begin(m->store, &r);
	uint32_t end;

	if (rc)
		return rc;
	rc = view_tree(m, &r, &dir->want.id, &v);
	if (rc) {
		store_read_end(&r);
		return rc == -EAGAIN ? 0 : rc; /* it failed and was counted */
	}
	end = MIN(v.count, *at + WINDOW / 4);
	for (; *at < end; (*at)++) {
		tree_entry_at(&v, *at, &e);
		if (e.kind == SCORPIO_DIR) {
			struct item *i = item_new(dir->path, e.name,
						  e.name_len);

			i->want.id = view_id(&e);
			i->next = w->next_level;
			w->next_level = i;
		} else if (e.kind != SCORPIO_SUBMODULE &&
			   (!w->metadata_only || w->sizes)) {
			warm_blob(w, &r, dir->path, &e);
		}
	}
	*ret_more = *at < v.count;
	store_read_end(&r);
	return 0;
}

static bool resident(struct mount *m, const struct scorpio_id *tree)
{
	struct store_key key = store_key(m->space, tree);
	struct store_reader r;
	struct tree_view v;
	bool there = false;

	if (!store_read_begin(m->store, &r)) {
		there = !store_tree(&r, &key, &v);
		store_read_end(&r);
	}
	return there;
}

/* All trees of a level, then what they hold. */
static int warm_level(struct warm *w)
{
	int rc = 0;

	for (struct item *i = w->level; i && !rc; i = i->next) {
		struct scorpio_id id = i->want.id;

		if (resident(w->mount, &id))
			continue;
		want_item(w, i, WANT_TREE, SCORPIO_DIR, &id);
		rc = wait_for_room(w, WINDOW);
	}
	if (wait_for_room(w, 0) && !rc)
		rc = -EINTR;
	for (struct item *i = w->level; i && !rc; i = i->next) {
		bool more = true;

		for (uint32_t at = 0; more && !rc;) {
			more = false;
			rc = warm_children(w, i, &at, &more);
			if (!rc)
				rc = wait_for_room(w, WINDOW);
		}
		pthread_mutex_lock(&w->lock);
		w->at.trees++;
		pthread_mutex_unlock(&w->lock);
	}
	return rc;
}

static void free_level(struct item *i)
{
	for (struct item *next; i; i = next) {
		next = i->next;
		item_free(i);
	}
}

static int warm_path(struct warm *w, const char *rel)
{
	struct mount *m = w->mount;
	struct view_found at;
	struct item *i;
	unsigned level = 0;
	int rc = view_walk(m, rel, w->deadline, &at);

	if (rc || at.kind == SCORPIO_SUBMODULE)
		return rc;
	i = item_new(m->subdir, rel, strlen(rel));
	i->want.id = at.id;
	if (at.kind != SCORPIO_DIR) {
		pthread_mutex_lock(&w->lock);
		w->at.files_total++;
		pthread_mutex_unlock(&w->lock);
		i->size = at.size == SCORPIO_SIZE_UNKNOWN ? 0 : at.size;
		want_item(w, i, WANT_BLOB, at.kind, &at.id);
		return wait_for_room(w, WINDOW);
	}
	for (w->level = i; w->level && !rc && level <= w->levels;) {
		rc = warm_level(w);
		wait_for_room(w, 0); /* items of the level are free again */
		free_level(w->level);
		w->level = w->next_level;
		w->next_level = NULL;
		level += w->levels > 0;
	}
	free_level(w->level);
	w->level = NULL;
	return rc;
}

static int warm(struct warm *w, struct fs *f, const char *const paths[],
		size_t n)
{
	int rc = 0;

	pthread_mutex_init(&w->lock, NULL);
	cond_init(&w->changed);
	for (size_t i = 0; i < n && !rc; i++) {
		const char *rel;
		struct mount *m = mount_of_path(f, paths[i], &rel);

		if (!m) {
			rc = fail(-EXDEV, "%s is not below a mount of this "
				  "daemon", paths[i]);
			break;
		}
		if (w->mount != m) {
			wait_for_room(w, 0);
			if (w->mount)
				mount_release(w->mount);
			w->mount = m;
		} else {
			mount_release(m); /* held once already */
		}
		rc = warm_path(w, rel);
	}
	wait_for_room(w, 0);
	if (w->mount)
		mount_release(w->mount);
	w->at.finished = true;
	if (w->report)
		w->report(w->ctx, &w->at);
	if (!rc && w->error)
		rc = fail(w->error, "%llu objects could not be had; first: %s",
			  (unsigned long long)w->at.failed, w->error_text);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	return rc;
}

int fs_warm(struct fs *f, const char *const paths[], size_t n,
	    bool metadata_only, int64_t deadline,
	    int (*progress)(void *ctx, const struct fs_warm_progress *p),
	    void *ctx)
{
	struct warm w = { .deadline = deadline, .report = progress, .ctx = ctx,
			  .metadata_only = metadata_only };

	return warm(&w, f, paths, n);
}

int fs_warm_trees(struct fs *f, const char *path, unsigned levels, bool sizes,
		  int64_t deadline,
		  int (*progress)(void *ctx, const struct fs_warm_progress *p),
		  void *ctx)
{
	struct warm w = { .deadline = deadline, .report = progress, .ctx = ctx,
			  .metadata_only = true, .sizes = sizes,
			  .levels = levels };

	return levels ? warm(&w, f, &path, 1) : 0;
}
