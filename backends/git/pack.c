/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.c - a small pack stays in memory and is taken apart there (unpack.c).
 * One that grows too large for that, or that unpack.c does not take, goes to
 * libgit2's indexer, and from then on lives in files.
 *
 * The indexer writes the pack through a shared mapping of a file it has only
 * lengthened, so that a full disk would be a SIGBUS for the whole daemon. Hence
 * blocks are reserved in that file before each write.
 */
#include "pack.h"

#include "local.h"
#include "repo.h"
#include "unpack.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_STEP (4u << 20)
#define RESERVE_SLACK (64u << 10) /* the indexer writes a little ahead */

struct gitpack {
	struct gitsource *source;
	uint8_t *bytes; /* a mapping of GITUNPACK_PACK_MAX; NULL: in files */
	size_t len;
	struct gitunpack *unpack; /* of bytes, once they are all there */
	char *dir, *objects, *packs; /* dir/objects/pack */
	git_indexer *indexer;
	git_indexer_progress stats; /* part of the indexer's state */
	int fd;            /* of the indexer's file, or -1 */
	uint64_t reserved; /* bytes of it that have blocks */
	uint64_t written;
	bool is_repository; /* HEAD and refs are there */
	git_odb *odb;       /* of the files, or a copy of some of unpack */
	git_oid *ids;
	size_t n, cap;
};

static void empty_dir(const char *path)
{
	DIR *d = opendir(path);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0); /* "." and ".." refuse */
	closedir(d);
}

static void remove_dirs(struct gitpack *p)
{
	static const char *const below[] = { "refs", "objects/info",
					     "objects/pack", "objects" };

	if (!p->dir)
		return;
	for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
		auto_free char *path = NULL;

		if (asprintf(&path, "%s/%s", p->dir, below[i]) < 0)
			path = NULL;
		if (!path)
			continue;
		empty_dir(path);
		rmdir(path);
	}
	empty_dir(p->dir);
	rmdir(p->dir);
}

void gitpack_free(struct gitpack *p)
{
	if (!p)
		return;
	git_odb_free(p->odb);
	git_indexer_free(p->indexer);
	gitunpack_free(p->unpack);
	if (p->bytes)
		munmap(p->bytes, GITUNPACK_PACK_MAX);
	if (p->fd >= 0)
		close(p->fd);
	remove_dirs(p);
	free(p->ids);
	free(p->dir);
	free(p->objects);
	free(p->packs);
	free(p);
}

static void write_head(const char *dir)
{
	static const char text[] = "ref: refs/heads/none\n";
	auto_free char *path = NULL;
	FILE *f;

	if (asprintf(&path, "%s/HEAD", dir) < 0)
		return;
	f = fopen(path, "we");
	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static int make_dirs(struct gitpack *p)
{
	const char *scratch = p->source->host->scratch(p->source->host);

	if (!scratch)
		return -1;
	if (asprintf(&p->dir, "%s/fetch-XXXXXX", scratch) < 0) {
		p->dir = NULL;
		return -1;
	}
	if (!mkdtemp(p->dir)) {
		free(p->dir);
		p->dir = NULL;
		return -1;
	}
	if (asprintf(&p->objects, "%s/objects", p->dir) < 0 ||
	    asprintf(&p->packs, "%s/objects/pack", p->dir) < 0)
		return -1;
	return mkdir(p->objects, 0700) < 0 || mkdir(p->packs, 0700) < 0 ? -1 :
									  0;
}

/* Its directory, made when it is needed. */
static int need_dirs(struct gitpack *p)
{
	struct gitsource *s = p->source;
	int code;

	if (p->packs)
		return 0;
	errno = EIO;
	if (make_dirs(p) == 0)
		return 0;
	code = errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
	return gitfail(s, code, "cannot write to the scratch directory: %s",
		       strerror(errno));
}

int gitpack_new(struct gitsource *s, struct gitpack **ret)
{
	struct gitpack *p = calloc(1, sizeof(*p));
	void *bytes;

	if (!p)
		return gitfail(s, -ENOMEM, "out of memory");
	p->source = s;
	p->fd = -1;
	bytes = mmap(NULL, GITUNPACK_PACK_MAX, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes != MAP_FAILED)
		p->bytes = bytes;
	*ret = p;
	return 0;
}

/* Rarely needed, so what git wants to see there is made only now; if it cannot
 * be, git will say so. */
const char *gitpack_gitdir(struct gitpack *p)
{
	auto_free char *refs = NULL;

	if (need_dirs(p) < 0)
		return NULL;
	if (!p->is_repository && asprintf(&refs, "%s/refs", p->dir) >= 0) {
		p->is_repository = true;
		mkdir(refs, 0700);
		write_head(p->dir);
	}
	return p->dir;
}

/* The only file in the directory is the indexer's. */
static int open_indexer_file(const char *packs)
{
	DIR *d = opendir(packs);
	int fd = -1;

	if (!d)
		return -1;
	for (struct dirent *e; fd < 0 && (e = readdir(d));)
		if (e->d_name[0] != '.')
			fd = openat(dirfd(d), e->d_name, O_WRONLY | O_CLOEXEC);
	closedir(d);
	return fd;
}

static int pack_fail(struct gitpack *p, int rc, const char *what)
{
	int code = gitlib_fail(p->source, rc, what);

	/* the disk, memory or a lock; all else is the pack's own fault */
	if (code == -ENOSPC || code == -EACCES)
		return code;
	return gitfail(p->source, -EBADMSG, "%s: %s", what,
		       git_error_last() ? git_error_last()->message :
					  "unknown reason");
}

static int start(struct gitpack *p)
{
	int rc = need_dirs(p);

	if (rc < 0)
		return rc;
	git_error_clear();
	rc = git_indexer_new(&p->indexer, p->packs, 0600, NULL, NULL);
	if (rc < 0)
		return gitlib_fail(p->source, rc, "cannot index a pack");
	p->fd = open_indexer_file(p->packs);
	return 0;
}

static int no_space(struct gitpack *p)
{
	return gitfail(p->source, -ENOSPC, "the disk of the store is full: "
		       "an answer of the server cannot be unpacked");
}

/* Blocks for `more` bytes behind what was written. */
static int reserve(struct gitpack *p, uint64_t more)
{
	uint64_t need = p->written + more + RESERVE_SLACK;
	struct statvfs v;

	if (need <= p->reserved)
		return 0;
	if (p->written)
		need += RESERVE_STEP; /* no small answer */
	if (p->fd >= 0 &&
	    fallocate(p->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)need) == 0) {
		p->reserved = need;
		return 0;
	}
	if (p->fd >= 0 && (errno == ENOSPC || errno == EDQUOT ||
			   errno == EFBIG))
		return no_space(p);
	/* a filesystem without fallocate: at least look */
	if (statvfs(p->packs, &v) == 0 &&
	    (uint64_t)v.f_bavail * v.f_frsize < more + RESERVE_STEP)
		return no_space(p);
	return 0;
}

static int index_bytes(struct gitpack *p, const void *data, size_t n)
{
	int rc = p->indexer ? 0 : start(p);

	if (rc == 0)
		rc = reserve(p, n);
	if (rc < 0)
		return rc;
	git_error_clear();
	rc = git_indexer_append(p->indexer, data, n, &p->stats);
	if (rc < 0)
		return pack_fail(p, rc, "the server's pack is damaged");
	p->written += n;
	return 0;
}

/* libgit2 has room made for as many objects as a pack says it has. */
static bool claims_too_much(const struct gitpack *p)
{
	uint32_t n;

	if (p->len < 12)
		return false;
	memcpy(&n, p->bytes + 8, sizeof(n));
	return be32toh(n) > GITPACK_OBJECTS_MAX;
}

/* From here on the pack is in files. */
static int spill(struct gitpack *p)
{
	uint8_t *bytes = p->bytes;
	int rc = claims_too_much(p) ?
			 gitfail(p->source, -EBADMSG, "the server's pack says "
				 "that it has more than %u objects",
				 GITPACK_OBJECTS_MAX) : 0;

	p->bytes = NULL;
	gitunpack_free(p->unpack);
	p->unpack = NULL;
	git_odb_free(p->odb);
	p->odb = NULL;
	if (rc == 0 && p->len)
		rc = index_bytes(p, bytes, p->len);
	munmap(bytes, GITUNPACK_PACK_MAX);
	return rc;
}

int gitpack_write(struct gitpack *p, const void *data, size_t n)
{
	int rc;

	if (p->bytes && n <= GITUNPACK_PACK_MAX - p->len) {
		memcpy(p->bytes + p->len, data, n);
		p->len += n;
		/* what is no pack is refused at once, in its own words */
		return p->len < 12 || memcmp(p->bytes, "PACK", 4) == 0 ?
			       0 : spill(p);
	}
	rc = p->bytes ? spill(p) : 0;
	return rc ? rc : index_bytes(p, data, n);
}

static int add_id(const git_oid *oid, void *ctx)
{
	struct gitpack *p = ctx;

	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 64;
		git_oid *ids = realloc(p->ids, cap * sizeof(*ids));

		if (!ids)
			return -1;
		p->ids = ids;
		p->cap = cap;
	}
	p->ids[p->n++] = *oid;
	return 0;
}

int gitpack_adopt(struct gitpack *p)
{
	int rc;

	if (p->bytes)
		munmap(p->bytes, GITUNPACK_PACK_MAX);
	p->bytes = NULL;
	git_error_clear();
	rc = git_odb_open(&p->odb, p->objects);
	if (rc == 0)
		rc = git_odb_foreach(p->odb, add_id, p);
	if (rc < 0)
		return gitlib_fail(p->source, rc, "cannot open a pack");
	return 0;
}

static int list_unpacked(struct gitpack *p)
{
	size_t n;
	const struct gitunpack_object *o = gitunpack_all(p->unpack, &n);

	p->n = 0;
	for (size_t i = 0; i < n; i++)
		if (add_id(&o[i].oid, p) < 0)
			return gitfail(p->source, -ENOMEM, "out of memory");
	return 0;
}

static int finish_files(struct gitpack *p)
{
	int rc;

	p->n = 0;
	if (!p->indexer) /* nothing came */
		return 0;
	git_error_clear();
	rc = git_indexer_commit(p->indexer, &p->stats);
	if (rc < 0)
		return pack_fail(p, rc, "the server's pack is damaged or cut "
				 "short");
	git_indexer_free(p->indexer);
	p->indexer = NULL;
	return gitpack_adopt(p);
}

static int to_files(struct gitpack *p)
{
	int rc = spill(p);

	return rc ? rc : finish_files(p);
}

int gitpack_finish(struct gitpack *p)
{
	if (p->bytes && gitunpack_new(p->bytes, p->len, &p->unpack) == 0)
		return list_unpacked(p);
	return p->bytes ? to_files(p) : finish_files(p);
}

const git_oid *gitpack_ids(const struct gitpack *p, size_t *ret_n)
{
	*ret_n = p->n;
	return p->ids;
}

bool gitpack_has(const struct gitpack *p, const git_oid *oid,
		 git_object_t *ret_type)
{
	const struct gitunpack_object *o;
	size_t size;

	if (p->unpack) {
		o = gitunpack_find(p->unpack, oid);
		if (o)
			*ret_type = o->type;
		return o;
	}
	/* no look for new packs: nobody adds any */
	return p->odb &&
	       git_odb_exists_ext(p->odb, oid, GIT_ODB_LOOKUP_NO_REFRESH) &&
	       git_odb_read_header(&size, ret_type, p->odb, oid) == 0;
}

/* libgit2 makes its objects from a database alone: one in memory. */
static int copy_to_odb(struct gitpack *p, const git_oid *oid)
{
	const struct gitunpack_object *o = gitunpack_find(p->unpack, oid);
	git_odb_backend *memory = NULL;
	git_oid same;
	int rc = 0;

	if (!o)
		return 0;
	git_error_clear();
	if (!p->odb) {
		rc = git_odb_new(&p->odb);
		if (rc == 0)
			rc = git_mempack_new(&memory);
		if (rc == 0)
			rc = git_odb_add_backend(p->odb, memory, 1);
	}
	if (rc == 0)
		rc = git_odb_write(&same, p->odb, o->data, o->len, o->type);
	return rc < 0 ? gitlib_fail(p->source, rc, "cannot read a pack") : 0;
}

/* What its head says (rc, size) is looked at first: it may say terabytes. */
static int read_whole(struct gitpack *p, const git_oid *oid, int rc,
		      size_t size, git_odb_object **ret)
{
	if (rc == 0 && size > GIT_WHOLE_MAX)
		return gitfail(p->source, -EBADMSG, "an object of the server's "
			       "pack says that it has %zu bytes", size);
	if (rc == 0)
		rc = git_odb_read(ret, p->odb, oid);
	return rc < 0 ? gitlib_fail(p->source, rc, "cannot read a pack") : 0;
}

int gitpack_read(struct gitpack *p, const git_oid *oid, git_odb_object **ret)
{
	int rc = p->unpack ? copy_to_odb(p, oid) : 0;
	git_object_t type;
	size_t size;

	if (rc < 0)
		return rc;
	if (!p->odb ||
	    !git_odb_exists_ext(p->odb, oid, GIT_ODB_LOOKUP_NO_REFRESH))
		return gitsource_missing(p->source, oid);
	git_error_clear();
	rc = git_odb_read_header(&size, &type, p->odb, oid);
	return read_whole(p, oid, rc, size, ret);
}

static int trees_unpacked(struct gitpack *p, gitpack_tree_fn fn, void *ctx)
{
	size_t n;
	const struct gitunpack_object *o = gitunpack_all(p->unpack, &n);
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		if (o[i].type == GIT_OBJECT_TREE)
			rc = fn(ctx, o[i].data, o[i].len);
	return rc;
}

int gitpack_trees(struct gitpack *p, gitpack_tree_fn fn, void *ctx)
{
	int rc = 0;

	if (p->unpack)
		return trees_unpacked(p, fn, ctx);
	for (size_t i = 0; i < p->n && rc == 0; i++) {
		auto_odb_object git_odb_object *o = NULL;

		rc = gitpack_read(p, &p->ids[i], &o);
		if (rc == 0 && git_odb_object_type(o) == GIT_OBJECT_TREE)
			rc = fn(ctx, git_odb_object_data(o),
				git_odb_object_size(o));
	}
	return rc;
}

static int pour_one(struct gitpack *p, struct gitpour *pour,
		    const git_oid *oid)
{
	auto_odb_object git_odb_object *o = NULL;
	struct scorpio_id id = gitid_from_raw(oid->id);
	git_object_t type;
	size_t size;
	int rc;

	rc = git_odb_read_header(&size, &type, p->odb, oid);
	if (rc == 0 && type == GIT_OBJECT_BLOB && size > GIT_WHOLE_MAX)
		return gitlocal_stream(p->source, pour->sink,
				       gitpack_gitdir(p), oid, size);
	rc = read_whole(p, oid, rc, size, &o);
	if (rc < 0)
		return gitpour_failed(pour, &id, rc);
	return gitpour_object(pour, o, false);
}

static int pour_unpacked(struct gitpour *pour,
			 const struct gitunpack_object *o)
{
	if (o->type == GIT_OBJECT_TREE)
		return gitpour_tree(pour, &o->oid, o->data, o->len, false);
	if (o->type == GIT_OBJECT_BLOB)
		return gitpour_blob(pour, &o->oid, o->data, o->len);
	return 0;
}

int gitpack_pour(struct gitpack *p, struct gitpour *pour)
{
	const struct gitunpack_object *all = NULL;
	int rc = 0;
	size_t n;

	if (p->unpack)
		all = gitunpack_all(p->unpack, &n);

	for (size_t i = 0; i < p->n && rc == 0; i++) {
		if (i % 64 == 0)
			rc = git_check(p->source);
		if (rc == 0 && all)
			rc = pour_unpacked(pour, &all[i]);
		else if (rc == 0)
			rc = pour_one(p, pour, &p->ids[i]);
	}
	return rc;
}

/* A pack before its index: a reader that sees the index finds the pack. */
static int move_suffix(DIR *from, int to, const char *suffix)
{
	size_t k = strlen(suffix);

	rewinddir(from);
	for (struct dirent *e; (e = readdir(from));) {
		size_t n = strlen(e->d_name);

		if (n > k && strcmp(e->d_name + n - k, suffix) == 0 &&
		    renameat(dirfd(from), e->d_name, to, e->d_name) < 0)
			return -1;
	}
	return 0;
}

int gitpack_move(struct gitpack *p, const char *objects)
{
	auto_free char *target = NULL;
	int to = -1, rc = p->bytes ? to_files(p) : 0;
	DIR *from;

	if (rc < 0 || !p->packs)
		return rc;
	rc = -1;
	from = opendir(p->packs);
	if (asprintf(&target, "%s/pack", objects) >= 0)
		to = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from && to >= 0)
		rc = move_suffix(from, to, ".promisor") < 0 ||
				     move_suffix(from, to, ".pack") < 0 ||
				     move_suffix(from, to, ".rev") < 0 ||
				     move_suffix(from, to, ".idx") < 0 ?
			     -1 : 0;
	if (rc < 0)
		rc = gitfail(p->source, -EIO, "cannot move a pack to %s: %s",
			     objects, strerror(errno));
	if (from)
		closedir(from);
	if (to >= 0)
		close(to);
	return rc;
}
