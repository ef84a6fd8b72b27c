/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git_lfs.c - files of Git LFS in a commit: what .gitattributes say is one goes as
 * a pointer, as git's own filter would make it; the content is set aside beside it
 * ("lfs-" and its id) and is at the LFS server before the commit is pushed.
 */
#include "api/classic/git_impl.h"
#include "api/lfsclient.h"
#include "backends/lfs/rules.h"
#include "backends/lfs/upload.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"

#include <fcntl.h>

#define PIECE (256 * KiB)
#define OBJECT_MAX (64 * 1024ull * MiB)

/* -- which files ------------------------------------------------------------------- */

static int add_rules(struct lfsrules *r, const char *dir)
{
	cleanup_free char *path = xasprintf("%s/.gitattributes", dir);
	cleanup_free char *text = NULL;
	size_t n;
	int rc = path_read(path, LFSRULES_TEXT_MAX, &text, &n);

	if (rc == -ENOENT || rc == -EISDIR)
		return 0;
	return rc ? rc : lfsrules_attributes(r, text, n);
}

/* Those of the mount's root because of what is above it. */
static int rules_above(struct gitlfs *l, struct lfsrules **ret)
{
	cleanup_free char *text = NULL;
	struct lfsrules *r = NULL;
	int rc = fs_ask(daemon_fs(l->daemon), l->top, "lfs.rules",
			deadline_in_ms(GIT_TIMEOUT_MS), &text);
	bool root;

	if (!rc)
		rc = lfsrules_read(text, strlen(text), &r);
	if (rc && rc != -ENODATA)
		return rc;
	root = r && lfsrules_flags(r) & LFSRULES_ROOT;
	if (root || !r) { /* what is not to be shown is committed all the same */
		lfsrules_free(r);
		r = lfsrules_new(root ? LFSRULES_ROOT : 0);
	}
	*ret = r;
	return r ? 0 : -ENOMEM;
}

/* From the mount's root down to the directory. */
static int rules_of(struct gitlfs *l, const char *below, struct lfsrules **ret)
{
	struct lfsrules *r = NULL, *next;
	cleanup_free char *dir = xstrdup(l->top);
	int rc = rules_above(l, &r);

	if (!rc)
		rc = add_rules(r, dir);
	while (!rc && *below) {
		size_t n = strcspn(below, "/");
		char *sub = xasprintf("%s/%.*s", dir, (int)n, below);

		free(dir);
		dir = sub;
		next = lfsrules_step(r, below, n);
		lfsrules_free(r);
		r = next;
		rc = r ? add_rules(r, dir) : -ENOMEM;
		below += n + (below[n] == '/');
	}
	if (rc)
		lfsrules_free(r);
	else
		*ret = r;
	return rc;
}

static bool enabled(struct daemon *d)
{
	struct config *c = daemon_config(d);
	bool on = config_bool(c, "lfs.enabled");

	config_put(c);
	return on;
}

int gitlfs_is(struct gitlfs *l, const char *path, bool *ret)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	cleanup_free char *dir = xstrndup(path, slash ? (size_t)(slash - path)
						      : 0);
	struct lfsrules *r;
	int rc;

	*ret = false;
	if (!enabled(l->daemon))
		return 0;
	if (!l->dir || strcmp(l->dir, dir)) {
		rc = rules_of(l, dir, &r);
		if (rc)
			return fail(rc, ".gitattributes above %s: %s", path,
				    error_text(rc));
		gitlfs_done(l);
		l->dir = steal(&dir);
		l->rules = r;
	}
	*ret = lfsrules_match(l->rules, name, strlen(name));
	return 0;
}

void gitlfs_done(struct gitlfs *l)
{
	free(steal(&l->dir));
	lfsrules_free(l->rules);
	l->rules = NULL;
}

/* -- pointers ------------------------------------------------------------------------ */

struct digest { /* of content that passes */
	struct hash *h;
	uint64_t size;
	struct buf head; /* the first bytes: is it a pointer itself? */
	int out;         /* or -1 */
};

static int pass(void *ctx, const void *p, size_t n)
{
	struct digest *d = ctx;
	size_t done = 0;

	hash_update(d->h, p, n);
	d->size += n;
	if (d->head.len < LFSPTR_MAX)
		buf_put(&d->head, p, MIN(n, LFSPTR_MAX - d->head.len));
	while (d->out >= 0 && done < n) {
		ssize_t k = write(d->out, (const char *)p + done, n - done);

		if (k <= 0)
			return fail(k ? -errno : -ENOSPC, "setting an object "
				    "aside: %s", strerror(k ? errno : ENOSPC));
		done += (size_t)k;
	}
	return d->size > OBJECT_MAX ? -EFBIG : 0;
}

/* Done with d. The pointer as text; "" where Git has none: of nothing, and of what
 * is one already. */
static void end(struct digest *d, struct lfsptr *ret, char text[160])
{
	struct lfsptr is;

	hash_final(d->h, ret->oid);
	ret->size = d->size;
	text[0] = '\0';
	if (d->size && !(d->size < LFSPTR_MAX &&
			 lfsptr_parse((const char *)d->head.data, d->head.len,
				      &is)))
		lfsptr_format(ret, text);
}

static void digest_done(struct digest *d)
{
	hash_free(d->h);
	buf_done(&d->head);
	base_close(&d->out);
}

static int digest_file(const char *at, struct digest *d)
{
	cleanup_fd int fd = open(at, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_free char *room = xmalloc(PIECE);
	ssize_t n = -1;
	int rc = 0;

	while (fd >= 0 && !rc && (n = read(fd, room, PIECE)) > 0)
		rc = pass(d, room, (size_t)n);
	if (!rc && n < 0)
		rc = fail(-errno, "%s: %s", at, strerror(errno));
	return rc;
}

/* What a pointer's content is called in the stage. */
static char *object_path(struct classic *c, const uint8_t oid[SHA256_LEN])
{
	char hex[2 * SHA256_LEN + 1];
	cleanup_free char *name = NULL;

	hex_encode(oid, SHA256_LEN, hex);
	name = xasprintf("lfs-%s", hex);
	return gitblob_path(c, name);
}

int gitlfs_keep(struct classic *c, const char *at, struct lfsptr *ret,
		char text[160])
{
	cleanup_free char *part = gitblob_path(c, "lfs-part"), *to = NULL;
	cleanup_free char *dir = gitblob_path(c, ".");
	struct digest d = { .h = hash_new(HASH_SHA256), .out = -1 };
	int rc = path_make_dirs(dir, 0700);

	if (!rc)
		d.out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			     0600);
	if (!rc && d.out < 0)
		rc = fail(-errno, "%s: %s", part, strerror(errno));
	if (!rc)
		rc = digest_file(at, &d);
	if (!rc) {
		end(&d, ret, text);
		to = object_path(c, ret->oid);
		if (*text && rename(part, to))
			rc = fail(-errno, "%s: %s", to, strerror(errno));
	}
	if (rc || !*text)
		unlink(part);
	digest_done(&d);
	return rc;
}

int gitlfs_pointer(const char *at, char text[160])
{
	struct digest d = { .h = hash_new(HASH_SHA256), .out = -1 };
	struct lfsptr p;
	int rc = digest_file(at, &d);

	if (!rc)
		end(&d, &p, text);
	digest_done(&d);
	return rc;
}

/* -- uploading ------------------------------------------------------------------------ */

static bool has(const struct lfsupload *all, size_t n, const uint8_t *oid)
{
	for (size_t i = 0; i < n; i++)
		if (!memcmp(all[i].oid, oid, SHA256_LEN))
			return true;
	return false;
}

static size_t list(struct classic *c, const json_t *entries,
		   struct lfsupload *all)
{
	const char *key;
	json_t *v;
	size_t n = 0;

	json_object_foreach((json_t *)(uintptr_t)entries, key, v) {
		json_t *o = json_object_get(v, "lfs");
		struct lfsupload *u = &all[n];

		if (!lfs_unhex(json_get_text(o, "oid", ""), SHA256_LEN,
			       u->oid) || has(all, n, u->oid))
			continue;
		u->size = (uint64_t)json_get_int(o, "size", 0);
		u->path = object_path(c, u->oid);
		n++;
	}
	return n;
}

int gitlfs_upload(struct gitjob *j, const json_t *entries)
{
	struct classic *c = j->classic;
	struct lfsupload *all = xcalloc(json_object_size(entries) + 1,
					sizeof(*all));
	size_t n = list(c, entries, all);
	struct config *conf = daemon_config(c->daemon);
	struct lfsclient l = { .lfs.host = NULL };
	int rc = n ? lfsclient_open(conf, c->source, j->work.top, &l) : 0;

	if (!rc && n)
		rc = lfs_upload(&l.lfs, "refs/heads/main", all, n);
	lfsclient_done(&l);
	config_put(conf);
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)all[i].path);
	free(all);
	return rc;
}
