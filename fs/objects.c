/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.c - git's loose objects of a revision.
 *
 *	/          256 directories, inodes 2 to 257
 *	/ab        the objects whose ids begin with ab
 *	/ab/cd...  see objects_read.c
 *
 * This is what FUSE_OPEN is for here: git asks whether an object is there with
 * lstat, which must not cost a fetch, and for the size with fstat.
 */
#include "fs/objects_impl.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "fs/mounter.h"
#include "fs/mountpoint.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define INO_DIR 2u
#define INO_OBJECT 1024u
#define FOR_EVER 1e9

/* -- the table ------------------------------------------------------------------- */

static uint64_t first_of(const struct fs_objects *o, unsigned byte)
{
	uint64_t low = 0, high = o->n;

	while (low < high) {
		uint64_t mid = (low + high) / 2;

		if (o->table[mid * ID] < byte)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool find(const struct fs_objects *o, const uint8_t id[ID],
		 uint64_t *ret)
{
	uint64_t low = 0, high = o->n;

	while (low < high) {
		uint64_t mid = (low + high) / 2;
		int d = memcmp(o->table + mid * ID, id, ID);

		if (!d) {
			*ret = mid;
			return true;
		}
		if (d < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

static bool unhex(const char *s, size_t n, uint8_t *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		const char *d = s[i] ? strchr(digits, s[i]) : NULL;

		if (!d)
			return false;
		out[i / 2] = (uint8_t)(out[i / 2] << 4 | (d - digits));
	}
	return !s[n];
}

/* -- FUSE ------------------------------------------------------------------------------ */

static bool is_object(const struct fs_objects *o, fuse_ino_t ino,
		      uint64_t *ret)
{
	*ret = ino - INO_OBJECT;
	return ino >= INO_OBJECT && *ret < o->n;
}

/* Once it was said it never changes: readers map what has that size. */
static off_t shown_size(struct fs_objects *o, uint64_t index)
{
	struct scorpio_id id = objects_id(o, index);
	struct store_key k = store_key(o->space, &id);
	struct store_reader r;
	struct blob_info blob;
	struct memo m;
	int rc;

	if (objects_recall(o, index, &m))
		return (off_t)objects_file_size(m.size);
	if (store_read_begin(o->store, &r))
		return 1;
	rc = store_blob(&r, &k, &blob);
	store_read_end(&r);
	return rc ? 1 : (off_t)objects_file_size(blob.size);
}

static void fill(struct fs_objects *o, fuse_ino_t ino, struct stat *st)
{
	uint64_t index;

	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_uid = o->uid;
	st->st_gid = o->gid;
	st->st_nlink = 1;
	st->st_mtim = st->st_ctim = st->st_atim = ns_to_timespec(o->time_ns);
	st->st_mode = S_IFDIR | 0555;
	if (!is_object(o, ino, &index))
		return;
	st->st_mode = S_IFREG | 0444;
	st->st_size = shown_size(o, index);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_objects *o = fuse_req_userdata(req);
	struct fuse_entry_param e = { .entry_timeout = FOR_EVER };
	uint8_t id[ID] = { 0 };
	uint64_t index;

	if (parent == FUSE_ROOT_ID && strlen(name) == 2 &&
	    unhex(name, 2, id)) {
		e.ino = INO_DIR + id[0];
		e.attr_timeout = FOR_EVER;
	} else if (parent >= INO_DIR && parent < INO_DIR + 256 &&
		   strlen(name) == 2 * ID - 2 &&
		   unhex(name, 2 * ID - 2, id + 1)) {
		id[0] = (uint8_t)(parent - INO_DIR);
		if (find(o, id, &index))
			e.ino = INO_OBJECT + index;
	}
	if (e.ino)
		fill(o, e.ino, &e.attr);
	/* a name that is not there never will be */
	fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi UNUSED)
{
	struct fs_objects *o = fuse_req_userdata(req);
	struct stat st;
	uint64_t index;

	fill(o, ino, &st);
	fuse_reply_attr(req, &st, is_object(o, ino, &index) ? 0 : FOR_EVER);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_objects *o = fuse_req_userdata(req);
	struct memo m;
	uint64_t index;
	int rc = is_object(o, ino, &index) ? objects_learn(o, index, &m) : -EISDIR;

	if (rc) {
		log_warn("git", "object %s: %s", o->dir, error_text(rc));
		fuse_reply_err(req, EIO);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi UNUSED)
{
	struct fs_objects *o = fuse_req_userdata(req);
	cleanup_free uint8_t *out = NULL;
	struct memo m;
	uint64_t index, total;
	int rc = is_object(o, ino, &index) ? objects_learn(o, index, &m) : -EISDIR;

	if (!rc) {
		total = objects_file_size(m.size);
		size = (uint64_t)off >= total
			       ? 0
			       : (size_t)MIN(size, total - (uint64_t)off);
		out = xmalloc(size + 1);
		rc = objects_read(o, &m, (uint64_t)off, out, size);
	}
	if (rc)
		fuse_reply_err(req, EIO);
	else
		fuse_reply_buf(req, (char *)out, size);
}

struct listing {
	fuse_req_t req;
	char *buf;
	size_t len, cap;
};

static bool list(struct listing *l, fuse_ino_t ino, bool is_dir,
		 const char *name, off_t next)
{
	struct stat st = { .st_ino = ino,
			   .st_mode = is_dir ? S_IFDIR : S_IFREG };
	size_t n = fuse_add_direntry(l->req, l->buf + l->len, l->cap - l->len,
				     name, &st, next);

	if (n > l->cap - l->len)
		return false;
	l->len += n;
	return true;
}

/* Offsets: how many entries were given. "." and ".." are not missed. */
static void list_object_dir(struct fs_objects *o, unsigned byte, uint64_t from,
			    struct listing *l)
{
	uint64_t first = first_of(o, byte), end = first_of(o, byte + 1);
	char name[2 * ID + 1];

	for (uint64_t i = first + from; i < end; i++) {
		for (unsigned k = 1; k < ID; k++)
			snprintf(name + 2 * (k - 1), 3, "%02x",
				 o->table[i * ID + k]);
		if (!list(l, INO_OBJECT + i, false, name,
			  (off_t)(i - first + 1)))
			return;
	}
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi UNUSED)
{
	struct fs_objects *o = fuse_req_userdata(req);
	cleanup_free char *buf = xmalloc(size);
	struct listing l = { req, buf, 0, size };
	char name[8];

	if (ino >= INO_DIR && ino < INO_DIR + 256)
		list_object_dir(o, (unsigned)(ino - INO_DIR), (uint64_t)off,
				&l);
	for (unsigned b = (unsigned)off; ino == FUSE_ROOT_ID && b < 256; b++) {
		snprintf(name, sizeof(name), "%02x", b);
		if (!list(&l, INO_DIR + b, true, name, b + 1))
			break;
	}
	fuse_reply_buf(req, l.buf, l.len);
}

static void on_opendir(fuse_req_t req, fuse_ino_t ino UNUSED,
		       struct fuse_file_info *fi)
{
	fi->keep_cache = 1;
	fi->cache_readdir = 1;
	fuse_reply_open(req, fi);
}

static void on_init(void *user UNUSED, struct fuse_conn_info *c)
{
	c->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			       FUSE_CAP_AUTO_INVAL_DATA);
	c->want |= c->capable & FUSE_CAP_EXPLICIT_INVAL_DATA;
}

static const struct fuse_lowlevel_ops operations = {
	.init = on_init,
	.lookup = on_lookup,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
	.opendir = on_opendir,
	.readdir = on_readdir,
};

/* -- life ------------------------------------------------------------------------------- */

static int map_table(struct fs_objects *o, const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st))
		return fail(-errno, "%s: %s", path, strerror(errno));
	if (st.st_size % ID)
		return fail(-EBADMSG, "%s is not a table of objects", path);
	o->n = (uint64_t)st.st_size / ID;
	if (!o->n)
		return 0;
	p = mmap(NULL, o->n * ID, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return fail(-errno, "%s: %s", path, strerror(errno));
	o->table = p;
	for (uint64_t i = 1; i < o->n; i++)
		if (memcmp(o->table + (i - 1) * ID, o->table + i * ID, ID) >= 0)
			return fail(-EBADMSG, "%s is not sorted", path);
	return 0;
}

static void *serve(void *arg)
{
	struct fs_objects *o = arg;
	struct fuse_loop_config *c = fuse_loop_cfg_create();

	pthread_setname_np(pthread_self(), "git-objects");
	fuse_loop_cfg_set_clone_fd(c, 0);
	fuse_loop_cfg_set_max_threads(c, 16);
	fuse_loop_cfg_set_idle_threads(c, 1);
	fuse_session_loop_mt(o->session, c);
	fuse_loop_cfg_destroy(c);
	return NULL;
}

static void unmount(struct fs_objects *o)
{
	if (mounter_is_used())
		mountpoint_detach(o->dir, true);
	else
		fuse_session_unmount(o->session);
}

static int start(struct fs_objects *o)
{
	char program[] = "scorpio", option[] = "-o";
	char root[] = "fsname=git-objects,subtype=scorpio,ro,allow_other";
	char user[] = "fsname=git-objects,subtype=scorpio,ro";
	char *options = geteuid() ? user : root;
	char *argv[] = { program, option, options, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	int rc;

	o->session = fuse_session_new(&args, &operations, sizeof(operations),
				      o);
	fuse_opt_free_args(&args);
	if (!o->session)
		return fail(-EINVAL, "libfuse refused the mount options");
	rc = mounter_mount(o->session, o->dir, options);
	if (rc) {
		fuse_session_destroy(o->session);
		o->session = NULL;
		return fail(rc, "cannot mount at %s: %s", o->dir,
			    strerror(-rc));
	}
	rc = -pthread_create(&o->thread, NULL, serve, o);
	if (rc) {
		unmount(o);
		fuse_session_destroy(o->session);
		o->session = NULL;
	}
	return rc;
}

const char *fs_objects_dir(const struct fs_objects *o)
{
	return o->dir;
}

void fs_objects_free(struct fs_objects *o)
{
	bool aborted;

	if (!o)
		return;
	if (o->session) {
		fuse_session_exit(o->session);
		/* closing the device under its readers would let them read
		 * from whatever gets its number next */
		aborted = mountpoint_abort(o->dir);
		if (aborted)
			mountpoint_detach(o->dir, true);
		else
			unmount(o);
		pthread_join(o->thread, NULL);
		fuse_session_unmount(o->session);
		fuse_session_destroy(o->session);
	}
	if (o->made)
		rmdir(o->dir);
	if (o->table)
		munmap((void *)o->table, o->n * ID);
	source_put(o->source);
	pthread_mutex_destroy(&o->lock);
	free(o->dir);
	free(o);
}

int fs_objects_new(struct fs *f, const char *mount_id, const char *table,
		   const char *dir, struct fs_objects **ret)
{
	struct mount *m = mount_acquire(f, mount_id);
	struct fs_objects *o;
	int rc;

	if (!m)
		return fail(-ENOENT, "no mount %s", mount_id);
	o = xcalloc(1, sizeof(*o));
	pthread_mutex_init(&o->lock, NULL);
	o->source = source_get(m->source);
	o->store = m->store;
	o->space = m->space;
	o->uid = m->uid;
	o->gid = m->gid;
	o->time_ns = m->time_ns;
	o->dir = xstrdup(dir);
	mount_release(m);
	rc = map_table(o, table);
	if (!rc)
		rc = mountpoint_prepare(dir, &o->made);
	if (!rc)
		rc = start(o);
	if (rc) {
		fs_objects_free(o);
		return rc;
	}
	*ret = o;
	return 0;
}
