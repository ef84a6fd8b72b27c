/* SPDX-License-Identifier: Apache-2.0 */
/* cl.c - the change list of a mount in use. */
#include "api/antares/impl.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/path.h"

/* Somebody may change it: Quiescing, nobody else will. */
static int begin(struct antares *a, const char *id, const char *cl,
		 struct amount **ret, struct antares_fault *f)
{
	struct amount *m;
	int rc;
	ranked_scope(&a->lock);

	rc = amount_to_use(a, id, &m, f);
	if (rc)
		return rc;
	if (!cl && !m->cl)
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "the mount has no change list to clear");
	if (m->base)
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "the mount is bound to revision %s: it "
				      "takes no change list", m->base);
	*ret = amount_claim(m, ANTARES_QUIESCING);
	return 0;
}

static int turn(struct antares *a, struct amount *m, const char *cl)
{
	cleanup_free char *spec = antares_spec(m->rev, cl, m->cl_path);
	struct fs_switch_request q = {
		.rev = spec, .force = true,
		.deadline = deadline_in_ms(ANTARES_TIMEOUT_MS),
	};
	struct fs_switch_result x;

	return mounts_switch(daemon_mounts(a->daemon), m->dir, &q, &x, NULL,
			     NULL);
}

/* lock held */
static void settle(struct antares *a, struct amount *m, const char *cl)
{
	free(m->cl);
	m->cl = cl ? xstrdup(cl) : NULL;
	free(m->cl_dir);
	m->cl_dir = cl ? xasprintf("%s/%s", a->cl_root, m->id) : NULL;
}

int antares_set_cl(struct antares *a, const char *id, const char *cl,
		   struct antares_info *ret, struct antares_fault *f)
{
	cleanup_free char *dir = xasprintf("%s/%s", a->cl_root, id);
	struct amount *m = NULL;
	int rc;

	if (cl && (!*cl || strpbrk(cl, "@:/ \t\r\n")))
		return antares_refuse(f, 400, "INVALID_REQUEST", -EINVAL,
				      "\"%s\" is not the link of a change list",
				      cl);
	rc = begin(a, id, cl, &m, f);
	if (rc)
		return rc;
	rc = turn(a, m, cl);
	if (!rc && cl && path_make_dirs(dir, 0755))
		log_warn("antares", "%s", error_text(-EIO));
	if (!rc && !cl)
		antares_clean(NULL, NULL, dir);
	lock_take(&a->lock);
	if (!rc)
		settle(a, m, cl);
	amount_copy(m, ret);
	ret->state = amount_resting(m);
	lock_drop(&a->lock);
	amount_settle(m);
	if (rc) {
		antares_info_done(ret);
		*f = (struct antares_fault){ 500, "INTERNAL_ERROR" };
		return rc;
	}
	antares_save(a);
	return 0;
}
