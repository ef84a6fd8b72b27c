/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor.c - what changed, for git's file system monitor, from the journal.
 *
 * git marks the index entry of each path, and the directory that holds it in
 * its untracked cache. It keeps what it knows of a directory even while there
 * is none of that name; so a directory that appears is told by a name in it.
 */
#include "api/gitwork/gitwork_impl.h"

#include "core/clock.h"
#include "core/error.h"

#include <sys/stat.h>

#define ANSWER_MAX (64 * MiB)
#define INSIDE "/.scorpio" /* of a name that nobody has */
#define ALL_CHANGES ":changes"
#define CHANGES_MS 30000

struct answer {
	struct buf names; /* NUL-terminated */
	size_t n;
	bool everything;
};

void gitmonitor_token(struct fs_clock c, bool changes,
		      char out[GITWORK_TOKEN_MAX])
{
	snprintf(out, GITWORK_TOKEN_MAX, "scorpio:%llx:%llu%s",
		 (unsigned long long)c.generation, (unsigned long long)c.seq,
		 changes ? ALL_CHANGES : "");
}

static bool parse(const char *token, struct fs_clock *ret, bool *ret_changes)
{
	unsigned long long generation, seq;
	int end = 0;

	if (sscanf(token, "scorpio:%llx:%llu%n", &generation, &seq, &end) != 2)
		return false;
	*ret_changes = !strcmp(token + end, ALL_CHANGES);
	if (token[end] && !*ret_changes)
		return false;
	*ret = (struct fs_clock){ generation, seq };
	return generation != 0;
}

static void name(struct answer *a, const char *path, const char *behind)
{
	buf_put(&a->names, path, strlen(path));
	buf_put(&a->names, behind, strlen(behind) + 1);
	a->n++;
}

static int add(void *ctx, const struct fs_journal_entry *e)
{
	struct answer *a = ctx;
	bool deep = e->kind == FS_JOURNAL_RESET ||
		    (e->kind == FS_JOURNAL_RENAME && e->is_dir);

	if (!*e->path && e->kind != FS_JOURNAL_RESET)
		return 0; /* attributes of the root */
	if (!*e->path || a->names.len > ANSWER_MAX) {
		a->everything = true;
		return 1;
	}
	name(a, e->path, deep ? "/" : "");
	if (e->from && *e->from)
		name(a, e->from, deep ? "/" : "");
	if (e->kind == FS_JOURNAL_CREATE && e->is_dir)
		name(a, e->path, INSIDE);
	if (e->kind == FS_JOURNAL_RESET) /* a file, maybe */
		name(a, e->path, "");
	return 0;
}

/* A private change, for an index that was made as if there were none. */
static int add_change(void *ctx, const struct fs_change *c)
{
	struct answer *a = ctx;
	bool dir = S_ISDIR(c->mode);

	if (a->names.len > ANSWER_MAX) {
		a->everything = true;
		return 1;
	}
	name(a, c->path, "");
	if (!c->mode || c->kind == FS_TYPECHANGE || c->kind == FS_RENAMED)
		name(a, c->path, "/"); /* what the revision has below */
	if (c->from)
		name(a, c->from, "/");
	if (c->from)
		name(a, c->from, "");
	if (dir)
		name(a, c->path, INSIDE);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, each once. */
static void put_names(struct answer *a, struct buf *ret)
{
	const char **list = xmalloc((a->n + 1) * sizeof(*list));
	const char *p = (const char *)a->names.data, *last = NULL;

	for (size_t i = 0; i < a->n; i++, p += strlen(p) + 1)
		list[i] = p;
	qsort(list, a->n, sizeof(*list), by_text);
	for (size_t i = 0; i < a->n; i++) {
		if (last && !strcmp(last, list[i]))
			continue;
		last = list[i];
		buf_put(ret, last, strlen(last) + 1);
	}
	free(list);
}

int gitwork_changed(struct gitwork *g, const char *id_or_dir,
		    const char *token, struct buf *ret)
{
	char next[GITWORK_TOKEN_MAX];
	struct answer a = { .n = 0 };
	struct fs_clock since = { 0 }, now = { 0 };
	bool changes = false;
	int rc;

	a.everything = !parse(token, &since, &changes);
	if (a.everything)
		since = (struct fs_clock){ 0 };
	rc = fs_journal(g->fs, id_or_dir, since, 0, add, &a, &now);
	if (!rc && changes && !a.everything)
		rc = fs_changes(g->fs, id_or_dir, deadline_in_ms(CHANGES_MS),
				add_change, &a);
	if (rc > 0)
		rc = 0;
	if (rc == -ESTALE || (!rc && a.everything)) {
		/* on from here, whatever was given of it */
		a.everything = true;
		rc = fs_journal(g->fs, id_or_dir, (struct fs_clock){ 0 }, 0,
				add, &a, &now);
	}
	if (!rc) {
		gitmonitor_token(now, false, next);
		buf_put(ret, next, strlen(next) + 1);
		if (a.everything)
			buf_put(ret, "/", 2);
		else
			put_names(&a, ret);
	}
	buf_done(&a.names);
	return rc;
}
