/* SPDX-License-Identifier: Apache-2.0 */
/* remove.c - taking mounts away, or keeping them warm for the next job. */
#include "api/antares/impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/path.h"

#define PLAIN_MS 1200
#define RESET_MS 30000

static void remove_tree(const char *dir)
{
	if (dir && !access(dir, F_OK) && (path_empty_dir(dir) || rmdir(dir)))
		log_warn("antares", "%s could not be removed: %s", dir,
			 strerror(errno));
}

void antares_clean(const char *dir, const char *upper, const char *cl_dir)
{
	/* never more than an empty directory: it might still be a mount */
	if (dir)
		rmdir(dir);
	remove_tree(upper);
	remove_tree(cl_dir);
}

/* -- slots ------------------------------------------------------------------------ */

void aslot_free(struct aslot *s)
{
	if (!s)
		return;
	free(s->dir);
	free(s->upper);
	free(s->path);
	free(s);
}

struct aslot *antares_slot(struct antares *a, const char *path)
{
	struct aslot **at = &a->slots, *s;
	ranked_scope(&a->lock);

	while (*at && strcmp((*at)->path, path))
		at = &(*at)->next;
	s = *at;
	if (s) {
		*at = s->next;
		a->n_slots--;
	}
	return s;
}

void antares_slot_back(struct antares *a, struct aslot *s)
{
	ranked_scope(&a->lock);

	s->next = a->slots;
	a->slots = s;
	a->n_slots++;
}

static bool claim_slot(struct antares *a, const struct amount *m)
{
	ranked_scope(&a->lock);

	if (!m->own_dir || a->ending || a->n_slots >= a->slots_max)
		return false;
	a->n_slots++;
	return true;
}

/* The job is over: its changes go, its mount stays. */
static bool park(struct antares *a, struct amount *m)
{
	struct aslot *s;
	int rc;

	if (!claim_slot(a, m))
		return false;
	rc = fs_reset(daemon_fs(a->daemon), m->dir, "",
		      deadline_in_ms(RESET_MS));
	if (rc) {
		log_info("antares", "%s is not kept warm: %s", m->dir,
			 error_text(rc));
		lock_take(&a->lock);
		a->n_slots--;
		lock_drop(&a->lock);
		return false;
	}
	s = xcalloc(1, sizeof(*s));
	s->dir = xstrdup(m->dir);
	s->upper = xstrdup(m->upper);
	s->path = xstrdup(m->path);
	lock_take(&a->lock);
	s->next = a->slots;
	a->slots = s;
	lock_drop(&a->lock);
	remove_tree(m->cl_dir);
	return true;
}

/* -- removing --------------------------------------------------------------------- */

static int unmount(struct antares *a, const char *dir)
{
	int64_t deadline = deadline_in_ms(PLAIN_MS);
	struct timespec nap = { 0, 50 * NS_PER_MS };
	int rc;

	do {
		rc = mounts_remove(daemon_mounts(a->daemon), dir, false);
		if (rc != -EBUSY)
			break;
		nanosleep(&nap, NULL);
	} while (now_ns() < deadline);
	if (rc == -EBUSY) /* gone for new users at once */
		rc = mounts_remove(daemon_mounts(a->daemon), dir, true);
	return rc == -ENOENT ? 0 : rc;
}

/* From Mounted, Ready or Failed to Unmounting. */
static int begin(struct antares *a, const char *id, struct amount **ret,
		 struct antares_fault *f)
{
	struct amount *m;
	int rc;
	ranked_scope(&a->lock);

	rc = amount_to_use(a, id, &m, f);
	if (rc && !(m && (m->state == ANTARES_FAILED || m->recovering)))
		return rc;
	m->recovering = false;
	*ret = amount_claim(m, ANTARES_UNMOUNTING);
	return 0;
}

int antares_remove(struct antares *a, const char *id, struct antares_info *ret,
		   struct antares_fault *f)
{
	struct amount *m = NULL;
	bool parked;
	int rc = begin(a, id, &m, f);

	if (rc)
		return rc;
	amount_warm_end(m);
	parked = park(a, m);
	rc = parked ? 0 : unmount(a, m->dir);
	if (!rc && !parked)
		antares_clean(m->own_dir ? m->dir : NULL, m->upper, m->cl_dir);
	lock_take(&a->lock);
	amount_state(m, rc ? ANTARES_FAILED : ANTARES_UNMOUNTED,
		     rc ? error_text(rc) : NULL);
	amount_copy(m, ret);
	if (!rc)
		amount_unlink(m);
	lock_drop(&a->lock);
	if (!rc)
		amount_put(m); /* the list's */
	amount_put(m);
	antares_save(a);
	return 0;
}
