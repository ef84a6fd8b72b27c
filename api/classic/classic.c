/* SPDX-License-Identifier: Apache-2.0 */
/* classic.c - what is selected, and its life. */
#include "api/classic/impl.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"

/* -- the list -------------------------------------------------------------------- */

void cwork_free(struct cwork *w)
{
	if (!w)
		return;
	free(w->path);
	free(w->hash);
	free(w->cl);
	free(w->upper);
	free(w);
}

void cwork_add(struct classic *c, struct cwork *w)
{
	w->next = c->first;
	c->first = w;
}

struct cwork *cwork_find(struct classic *c, const char *path)
{
	struct cwork *w = c->first;

	while (w && strcmp(w->path, path))
		w = w->next;
	return w;
}

char *classic_dir(const struct classic *c, const char *path)
{
	return *path ? xasprintf("%s/%s", c->workspace, path)
		     : xstrdup(c->workspace);
}

static void copy(const struct classic *c, const struct cwork *w,
		 struct classic_work *ret)
{
	*ret = (struct classic_work){
		.path = xstrdup(w->path), .hash = xstrdup(w->hash),
		.inode = w->inode, .cl = w->cl ? xstrdup(w->cl) : NULL,
		.dir = classic_dir(c, w->path),
		.top = w->upper ? classic_dir(c, w->path)
				: xstrdup(c->workspace),
		.below = xstrdup(w->upper ? "" : w->path),
	};
}

void classic_work_done(struct classic_work *w)
{
	free(w->path);
	free(w->hash);
	free(w->cl);
	free(w->dir);
	free(w->top);
	free(w->below);
	memset(w, 0, sizeof(*w));
}

int classic_find(struct classic *c, const char *path,
		 struct classic_work *ret)
{
	struct cwork *w;
	ranked_scope(&c->lock);

	while (*path == '/')
		path++;
	w = cwork_find(c, path);
	if (!w)
		return fail(-ENOENT, "%s is not mounted", path);
	copy(c, w, ret);
	return 0;
}

size_t classic_count(struct classic *c)
{
	size_t n = 0;
	ranked_scope(&c->lock);

	for (const struct cwork *w = c->first; w; w = w->next)
		n++;
	return n;
}

void classic_each(struct classic *c,
		  void (*fn)(void *ctx, const struct classic_work *w),
		  void *ctx)
{
	size_t n = classic_count(c), used = 0;
	struct classic_work *all = xcalloc(n + 1, sizeof(*all));

	lock_take(&c->lock);
	for (const struct cwork *w = c->first; w && used < n; w = w->next)
		copy(c, w, &all[used++]);
	lock_drop(&c->lock);
	for (size_t i = 0; i < used; i++) {
		fn(ctx, &all[i]);
		classic_work_done(&all[i]);
	}
	free(all);
}

int classic_select(struct classic *c, const char *id,
		   struct classic_work *ret)
{
	struct ctask **at = &c->tasks, *t;
	struct cwork *w;
	int rc = 0;
	ranked_scope(&c->lock);

	while (*at && strcmp((*at)->id, id))
		at = &(*at)->next;
	t = *at;
	if (!t)
		return fail(-ENOENT, "there is no task %s", id);
	*at = t->next;
	w = t->path ? cwork_find(c, t->path) : NULL;
	if (w)
		copy(c, w, ret);
	else
		rc = fail(-EIO, "%s", t->why ? t->why
					     : "it was unmounted since");
	free(t->path);
	free(t->why);
	free(t);
	return rc;
}

/* -- coming back ------------------------------------------------------------------- */

/* Any that is recorded and not there. */
static struct cwork *next_list(struct classic *c, size_t skip)
{
	ranked_scope(&c->lock);

	for (const struct cwork *w = c->first; w; w = w->next) {
		struct cwork *x;

		if (!w->upper || skip-- > 0)
			continue;
		x = xcalloc(1, sizeof(*x));
		x->path = xstrdup(w->path);
		x->hash = xstrdup(w->hash);
		x->cl = xstrdup(w->cl ? w->cl : "");
		x->upper = xstrdup(w->upper);
		return x;
	}
	return NULL;
}

static bool ending(struct classic *c)
{
	return __atomic_load_n(&c->ending, __ATOMIC_RELAXED);
}

static void come_back(struct pool_task *t)
{
	struct classic *c = container_of(t, struct classic, back);
	struct cwork *w;
	struct call call;

	call_enter(&call, deadline_in_ms(CLASSIC_TIMEOUT_MS), &c->ending);
	for (size_t i = 0; !ending(c) && (w = next_list(c, i)); i++) {
		int rc = classic_mount_list(c, w);

		if (rc && rc != -EEXIST && !ending(c))
			log_error("classic", "%s does not come back: %s",
				  w->path, error_text(rc));
		cwork_free(w);
	}
	call_leave(&call);
	lock_take(&c->lock);
	c->coming_back = false;
	lock_drop(&c->lock);
}

void classic_mounted(struct classic *c, const struct fs_mount_info *i)
{
	bool any = false;
	ranked_scope(&c->lock);

	if (strcmp(i->dir, c->workspace))
		return;
	for (const struct cwork *w = c->first; w; w = w->next)
		any |= w->upper != NULL;
	if (!any || c->coming_back || c->ending)
		return;
	c->coming_back = true;
	c->back.run = come_back;
	pool_add(c->pool, &c->back);
}

bool classic_keeps(struct classic *c, const char *dir)
{
	size_t n = strlen(c->workspace);

	return strncmp(dir, c->workspace, n) || dir[n] != '/';
}

/* -- life ------------------------------------------------------------------------ */

struct classic *classic_new(struct daemon *d)
{
	struct classic *c = xcalloc(1, sizeof(*c));
	struct config *conf = daemon_config(d);

	c->daemon = d;
	lock_init(&c->lock, LOCK_MOUNTS, "classic");
	cond_init(&c->turn);
	c->pool = pool_new("classic", 1);
	c->workspace = xstrdup(config_string(conf, "server.workspace"));
	c->file = xstrdup(config_string(conf, "server.config_file"));
	c->source = xasprintf("mono+%s",
			      config_string(conf, "server.base_url"));
	c->state_dir = xasprintf("%s/classic", config_string(conf,
						"server.store_path"));
	config_put(conf);
	classic_load(c);
	return c;
}

void classic_stop(struct classic *c)
{
	if (!c || !c->pool)
		return;
	lock_take(&c->lock);
	__atomic_store_n(&c->ending, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&c->turn);
	lock_drop(&c->lock);
	pool_free(c->pool);
	c->pool = NULL;
}

void classic_free(struct classic *c)
{
	if (!c)
		return;
	classic_stop(c);
	for (struct cwork *w; (w = c->first);) {
		c->first = w->next;
		cwork_free(w);
	}
	for (struct ctask *t; (t = c->tasks);) {
		c->tasks = t->next;
		free(t->path);
		free(t->why);
		free(t);
	}
	free(c->workspace);
	free(c->file);
	free(c->source);
	free(c->state_dir);
	pthread_cond_destroy(&c->turn);
	lock_done(&c->lock);
	free(c);
}
