/* SPDX-License-Identifier: Apache-2.0 */
#include "api/statefile.h"

#include "core/error.h"
#include "core/log.h"
#include "core/path.h"

#include <unistd.h>

void statefile_init(struct statefile *s)
{
	pthread_mutex_init(&s->lock, NULL);
}

void statefile_done(struct statefile *s)
{
	pthread_mutex_destroy(&s->lock);
}

int statefile_save(struct statefile *s, int (*write)(void *ctx), void *ctx)
{
	uint64_t mine = __atomic_add_fetch(&s->asked, 1, __ATOMIC_ACQ_REL);
	uint64_t all;

	lock_scope(&s->lock);
	if (s->written >= mine)
		return s->error ? fail(s->error, "%s", s->why) : 0;
	all = __atomic_load_n(&s->asked, __ATOMIC_ACQUIRE);
	s->error = write(ctx);
	snprintf(s->why, sizeof(s->why), "%s",
		 s->error ? error_text(s->error) : "");
	s->written = all;
	return s->error;
}

int statefile_write(const char *path, const struct buf *text)
{
	cleanup_free char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	int rc = 0;

	if (slash && slash != dir) {
		*slash = '\0';
		rc = path_make_dirs(dir, 0755);
	}
	return rc ? rc : path_write(path, text->data, text->len, 0600, true);
}

void statefile_set_aside(const char *area, const char *path, int err)
{
	cleanup_free char *aside = xasprintf("%s.bad", path);

	log_warn(area, "the record of mounts is set aside as %s: %s", aside,
		 error_text(err));
	rename(path, aside);
}

bool statefile_is_aside(const char *path)
{
	cleanup_free char *aside = xasprintf("%s.bad", path);

	return !access(aside, F_OK);
}
