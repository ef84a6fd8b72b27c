/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing. Order at open: directory, lock, what the last owner
 * left (unclean and another boot, or damage seen: check the structure and set
 * a broken store aside), LMDB, format, threads. A store over its limit (the
 * limit was lowered) is emptied down to it and rewritten, since LMDB's file
 * never shrinks by itself.
 */
#include "cache/store_impl.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define CRASH_LOOP_SECONDS 60
#define CHECK_NS           (60 * NS_PER_S)
#define GLANCE_NS          (50 * NS_PER_MS) /* at every open: all of a small store */

static const char *const dbi_names[DBI_COUNT] = {
	"meta", "tree", "blob", "seg", "chunk", "data", "pin",
};
static uint64_t serials; /* atomic */

/* -- small things -------------------------------------------------------- */

uint64_t store_serial_next(void)
{
	return __atomic_add_fetch(&serials, 1, __ATOMIC_RELAXED);
}

int store_mdb_errno(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_READERS_FULL:
		return -EAGAIN;
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return -EINVAL;
	default:
		return rc > 0 ? -rc : -EIO;
	}
}

int store_mdb_fail(int rc, const char *what)
{
	if (rc == MDB_PANIC)
		return fail(-EIO,
			    "store: %s: the disk failed while LMDB wrote "
			    "its root; restart the daemon",
			    what);
	if (rc < 0 && rc != MDB_MAP_FULL && rc != MDB_NOTFOUND &&
	    rc != MDB_READERS_FULL)
		return fail(store_mdb_errno(rc),
			    "store: %s: %s; a damaged file is set aside",
			    what, mdb_strerror(rc));
	return fail(store_mdb_errno(rc), "store: %s: %s", what,
		    mdb_strerror(rc));
}

struct store_key store_key(uint16_t space, const struct scorpio_id *id)
{
	struct store_key k = { .len = (uint8_t)(2 + id->len) };

	assert(id->len <= SCORPIO_ID_MAX);
	k.bytes[0] = (uint8_t)(space >> 8);
	k.bytes[1] = (uint8_t)space;
	memcpy(k.bytes + 2, id->bytes, id->len);
	return k;
}

uint64_t store_key_seed(const struct store_key *k)
{
	return codec_seed(k->bytes, k->len);
}

uint32_t store_minute(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return (uint32_t)(t.tv_sec / 60);
}

uint64_t store_object_max(const struct store *s)
{
	return s->max_bytes / 10 * 7;
}

const char *store_notice(const struct store *s)
{
	return s->notice;
}

const char *store_path(const struct store *s)
{
	return s->path;
}

int store_used_bytes(struct store *s, MDB_txn *txn, uint64_t *ret)
{
	uint64_t pages = 2; /* meta */

	/* 0 is the free list, 1 the main tree: ours start behind them */
	for (unsigned i = 0; i < DBI_COUNT + 2; i++) {
		MDB_stat st;
		MDB_dbi dbi = i < 2 ? i : s->dbi[i - 2];
		int rc = mdb_stat(txn, dbi, &st);

		if (rc)
			return store_mdb_fail(rc, "stat");
		pages += st.ms_branch_pages + st.ms_leaf_pages +
			 st.ms_overflow_pages;
	}
	*ret = pages * s->page;
	return 0;
}

/* -- directory and sizes ------------------------------------------------- */

static int make_dir(const char *path)
{
	cleanup_free char *p = xstrdup(path);
	struct stat st;

	for (char *c = p + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		mkdir(p, 0700); /* the last one tells */
		*c = '/';
	}
	if (mkdir(p, 0700) && errno != EEXIST)
		return fail(-errno, "store: cannot make %s: %s", path,
			    strerror(errno));
	if (stat(p, &st))
		return fail(-errno, "store: cannot use %s: %s", path,
			    strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(-ENOTDIR, "store: %s is not a directory", path);
	return 0;
}

static uint64_t file_size(const char *dir, const char *name)
{
	cleanup_free char *file = xasprintf("%s/%s", dir, name);
	struct stat st;

	return stat(file, &st) ? 0 : (uint64_t)st.st_size;
}

static int set_limits(struct store *s, uint64_t max)
{
	uint64_t now = file_size(s->path, "data.mdb");
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statvfs v;

	if (s->read_only && !max)
		max = MAX(now, STORE_MIN_BYTES);
	if (!max) {
		if (statvfs(s->path, &v))
			return fail(-errno, "store: statvfs %s: %s", s->path,
				    strerror(errno));
		max = ((uint64_t)v.f_bavail * v.f_frsize + now) / 10 * 9;
		max = MAX(max, STORE_MIN_BYTES);
	}
	if (max < STORE_MIN_BYTES)
		return fail(-EINVAL,
			    "store: a limit of %llu bytes is too "
			    "small: cache.max_size is at least 8 MiB",
			    (unsigned long long)max);
	s->max_bytes = max / page * page;
	s->batch_bytes = (size_t)MIN(4 * MiB, s->max_bytes / 32);
	s->q_bound = (size_t)MIN(64 * MiB, s->max_bytes);
	return 0;
}

/* -- LMDB ---------------------------------------------------------------- */

/* Objects lie in the file in the order they were fetched, which is about the
 * order they are read again: the kernel's read-around makes a disk-cold read of
 * a tree 2.5 times faster (docs/decisions/020). It only hurts a store that can
 * never fit the page cache. */
static unsigned read_ahead_flag(struct store *s)
{
	cleanup_free char *path = xasprintf("%s/data.mdb", s->path);
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) *
		       (uint64_t)sysconf(_SC_PAGESIZE);
	struct stat st;

	return !stat(path, &st) && (uint64_t)st.st_size > ram ? MDB_NORDAHEAD
							      : 0;
}

int store_env_open(struct store *s, uint64_t map)
{
	unsigned flags = MDB_NOTLS | MDB_NOSYNC | read_ahead_flag(s);
	int rc = mdb_env_create(&s->env);
	MDB_stat st;

	if (rc)
		return store_mdb_fail(rc, "mdb_env_create");
	if (s->read_only)
		flags |= MDB_RDONLY;
	if (s->read_only && access(s->path, W_OK))
		flags |= MDB_NOLOCK; /* ours keeps writers away */
	mdb_env_set_assert(s->env, store_assertion);
	mdb_env_set_maxdbs(s->env, DBI_COUNT + 4);
	mdb_env_set_maxreaders(s->env, STORE_READERS_MAX);
	rc = mdb_env_set_mapsize(s->env, map);
	if (!rc)
		rc = mdb_env_open(s->env, s->path, flags, 0600);
	if (!rc)
		rc = mdb_env_stat(s->env, &st);
	if (!rc) {
		s->page = st.ms_psize;
		return 0;
	}
	mdb_env_close(s->env);
	s->env = NULL;
	if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
		return fail(-EINVAL,
			    "store: %s/data.mdb is not a store: "
			    "choose another directory",
			    s->path);
	return fail_prefix(store_mdb_fail(rc, "open"), "%s", s->path);
}

/* Somebody else's LMDB file must not be written into. */
static int check_ours(struct store *s, MDB_txn *txn)
{
	MDB_stat st;
	int rc = mdb_dbi_open(txn, dbi_names[DBI_META], 0, &s->dbi[DBI_META]);

	if (!rc)
		return 0;
	if (rc != MDB_NOTFOUND && rc != MDB_INCOMPATIBLE)
		return store_mdb_fail(rc, "open a database");
	rc = mdb_stat(txn, 1, &st); /* 1: the main tree */
	if (rc || st.ms_entries || s->read_only)
		return fail(-EINVAL,
			    "store: %s is not a store: choose another "
			    "directory",
			    s->path);
	return 0;
}

static int dbi_open(struct store *s, MDB_txn *txn)
{
	int r = check_ours(s, txn);

	if (r)
		return r;
	for (unsigned i = 0; i < DBI_COUNT; i++) {
		unsigned flags = i == DBI_DATA ? MDB_INTEGERKEY : 0;
		int rc;

		if (!s->read_only)
			flags |= MDB_CREATE;
		rc = mdb_dbi_open(txn, dbi_names[i], flags, &s->dbi[i]);
		if (rc == MDB_NOTFOUND)
			return fail(-EINVAL, "store: %s is not a store",
				    s->path);
		if (rc)
			return store_mdb_fail(rc, "open a database");
	}
	return 0;
}

static int check_format(struct store *s, MDB_txn *txn)
{
	MDB_val k = store_val("format", 6), v;
	uint32_t format = STORE_FORMAT;
	int rc = mdb_get(txn, s->dbi[DBI_META], &k, &v);

	if (rc == MDB_NOTFOUND && !s->read_only) {
		v = store_val(&format, sizeof(format));
		rc = mdb_put(txn, s->dbi[DBI_META], &k, &v, 0);
		return rc ? store_mdb_fail(rc, "write the format") : 0;
	}
	if (rc || v.mv_size != sizeof(format))
		return fail(-EINVAL, "store: %s is not a store", s->path);
	memcpy(&format, v.mv_data, sizeof(format));
	if (format > STORE_FORMAT)
		return fail(-EINVAL,
			    "store: %s has format %u, this program knows up to "
			    "%u: use a newer scorpio or another store path",
			    s->path, format, STORE_FORMAT);
	return 0;
}

int store_env_setup(struct store *s)
{
	MDB_txn *txn;
	MDB_stat st;
	int dead, r;
	int rc = mdb_txn_begin(s->env, NULL, s->read_only ? MDB_RDONLY : 0,
			       &txn);

	if (rc)
		return store_mdb_fail(rc, "begin");
	r = dbi_open(s, txn);
	if (!r)
		r = check_format(s, txn);
	if (!r)
		r = store_counters_load(s, txn, &s->c);
	if (!r && !mdb_stat(txn, s->dbi[DBI_CHUNK], &st))
		s->chunks_seen = st.ms_entries;
	if (r) {
		mdb_txn_abort(txn);
		return r;
	}
	rc = mdb_txn_commit(txn); /* keeps the handles, also when reading */
	if (rc)
		return store_mdb_fail(rc, "commit");
	s->clock_seen = s->c.clock;
	s->c_seen = s->c;
	mdb_reader_check(s->env, &dead);
	return 0;
}

/* -- a file over the limit ----------------------------------------------- */

static int compact(struct store *s)
{
	cleanup_free char *to = xasprintf("%s/data.compact", s->path);
	cleanup_free char *at = xasprintf("%s/data.mdb", s->path);
	cleanup_fd int fd =
		open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = fd < 0 ? errno : mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT);

	if (!rc && fsync(fd))
		rc = errno;
	store_readers_close(s);
	s->serial = store_serial_next();
	mdb_env_close(s->env);
	s->env = NULL;
	if (!rc && file_size(s->path, "data.compact") > s->max_bytes)
		rc = EFBIG;
	if (!rc && rename(to, at))
		rc = errno;
	free(s->notice);
	if (rc) { /* no room for a copy: it is only a cache */
		unlink(to);
		if (unlink(at))
			return fail(-errno, "store: cannot remove %s: %s", at,
				    strerror(errno));
	}
	s->notice = xasprintf("the store was larger than cache.max_size: %s",
			      rc ? "emptied" : "cut down to it");
	return 0;
}

static int shrink(struct store *s, uint64_t file)
{
	uint64_t freed;
	int r = store_env_open(s, file + file / 8 + 16 * MiB);

	if (!r)
		r = store_env_setup(s);
	if (!r) /* 60 %: the copy must leave room to work in */
		evict_to(s, s->max_bytes / 10 * 6, &freed);
	if (!r)
		return compact(s);
	return r;
}

static int open_limited(struct store *s)
{
	uint64_t file = file_size(s->path, "data.mdb");
	int r = 0;

	if (s->read_only)
		r = store_env_open(s, MAX(s->max_bytes, file));
	else if (file > s->max_bytes)
		r = shrink(s, file);
	if (!r && !s->env)
		r = store_env_open(s, s->max_bytes);
	if (!r)
		r = store_env_setup(s);
	return r ? r : store_salvage_small(s);
}

/* -- what the last owner left -------------------------------------------- */

/* Is there reason to take time for the whole structure before LMDB maps it? */
static bool suspicious(const struct store_state *st, bool was_killed)
{
	if (st->damaged || !st->known || st->unreadable >= 0)
		return true;
	if (st->clean || (was_killed && st->same_boot))
		return false;
	/* the machine died with unsynced pages; or the daemon keeps dying,
	 * which a broken page could be the cause of */
	return !st->same_boot ||
	       (st->seconds >= 0 && st->seconds < CRASH_LOOP_SECONDS);
}

static int check(struct store *s, const struct store_state *st,
		 bool was_killed)
{
	int64_t budget = suspicious(st, was_killed) ? CHECK_NS : GLANCE_NS;
	cleanup_free char *why = NULL;
	int r;

	if (!file_size(s->path, "data.mdb"))
		return 0;
	if (st->unreadable >= 0 && !s->read_only &&
	    !store_bus_readable(s, (uint64_t)st->unreadable)) {
		why = xasprintf("byte %lld of data.mdb cannot be read",
				(long long)st->unreadable);
		return store_state_set_aside(s, why);
	}
	r = store_check_file(s->path, 0, now_ns() + budget);
	if (!r || r == -ETIMEDOUT)
		return 0; /* too big to check whole: checksums guard the rest */
	if (r == -EINVAL && !st->known)
		return r; /* never ours */
	if (r != -EUCLEAN && r != -EINVAL)
		return r;
	if (s->read_only)
		return fail_prefix(-EUCLEAN, "damaged: start the daemon to set "
					     "it aside");
	why = xstrdup(error_text(r));
	return store_state_set_aside(s, why);
}

/* -- open and close ------------------------------------------------------ */

static int open_steps(struct store *s, const struct store_options *o)
{
	struct store_state st = { 0 };
	int r = 0;

	if (!o->read_only)
		r = make_dir(s->path);
	else if (!file_size(s->path, "data.mdb"))
		return fail(-ENOENT, "store: there is none at %s", s->path);
	if (!r)
		r = store_state_lock(s, &st);
	if (!r)
		r = check(s, &st, o->was_killed);
	if (!r)
		r = set_limits(s, o->max_bytes);
	if (!r && !s->read_only)
		r = store_state_mark(s, false, false);
	if (!r)
		r = open_limited(s);
	if (!r && !s->read_only) {
		store_bus_watch(s);
		r = store_writer_start(s);
	}
	return r;
}

int store_open(const struct store_options *o, struct store **ret)
{
	struct store *s = xcalloc(1, sizeof(*s));
	int r;

	s->path = xstrdup(o->path);
	s->read_only = o->read_only;
	s->replaced = o->replaced;
	s->level = o->zstd_level ? o->zstd_level : 3;
	s->lock_fd = -1;
	s->serial = store_serial_next();
	s->q_tail = &s->q_head;
	s->used = xcalloc(STORE_USED_SLOTS, sizeof(*s->used));
	pthread_mutex_init(&s->q_lock, NULL);
	pthread_mutex_init(&s->sync_lock, NULL);
	pthread_mutex_init(&s->space_lock, NULL);
	cond_init(&s->q_work);
	cond_init(&s->q_room);
	cond_init(&s->sync_work);
	r = open_steps(s, o);
	if (r) {
		store_close(s);
		return r;
	}
	if (!s->read_only)
		store_metrics_start(s);
	*ret = s;
	return 0;
}

static void free_spaces(struct store *s)
{
	char **name = (char **)(void *)s->spaces.data;

	for (size_t i = 0; i < s->spaces.len / sizeof(*name); i++)
		free(name[i]);
	buf_done(&s->spaces);
}

void store_close(struct store *s)
{
	bool opened;

	if (!s)
		return;
	opened = s->env && s->threads;
	store_bus_unwatch(s);
	if (opened)
		store_metrics_stop(s);
	store_writer_stop(s);
	store_readers_close(s);
	store_old_close(s);
	if (opened && !s->left && !mdb_env_sync(s->env, 1))
		store_state_mark(s, true, s->damage_seen);
	if (s->env && s->left)
		store_env_leave(s);
	if (s->env)
		mdb_env_close(s->env);
	store_state_unlock(s);
	free_spaces(s);
	pthread_mutex_destroy(&s->q_lock);
	pthread_mutex_destroy(&s->sync_lock);
	pthread_mutex_destroy(&s->space_lock);
	pthread_cond_destroy(&s->q_work);
	pthread_cond_destroy(&s->q_room);
	pthread_cond_destroy(&s->sync_work);
	store_salvage_free(s->salvage);
	free(s->aside);
	free(s->used);
	free(s->notice);
	free(s->path);
	free(s);
}
