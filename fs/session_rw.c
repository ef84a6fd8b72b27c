/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_rw.c - what the kernel asks of a writable mount.
 *
 * CREATE is answered ENOSYS: the kernel makes do with MKNOD, and no open file
 * exists here. O_TRUNC arrives as SETATTR (atomic truncation is declined).
 *
 * FUSE_HANDLE_KILLPRIV_V2 (protocol 7.33) is wanted because without it every
 * write(2) is preceded by a GETXATTR of security.capability. libfuse 3.14 does
 * not know it, so the flag is put into its INIT reply on the way out, and the
 * bits that tell about it are read from the raw requests.
 */
#define BASE_ALLOW_BANNED /* the kernel's header has fields of such names */
#include "fs/session.h"

#include "core/clock.h"
#include "core/error.h"
#include "fs/changes.h"
#include "fs/upper.h"

#include <linux/fuse.h>
#include <sys/uio.h>

/* of the request this thread works on */
static __thread struct {
	struct mount *init; /* its INIT is being answered, and may be patched */
	bool kill_priv;
	bool swallow; /* the answer is not for the kernel */
	uint64_t unique;
	bool again;
} now;

#define UNIQUE_RESEND (1ull << 63)

/* -- between libfuse and the kernel ------------------------------------------------ */

void session_peek(struct mount *m, const struct fuse_buf *buf)
{
	const struct fuse_in_header *in = buf->mem;
	const void *arg = in + 1;
	size_t n;

	now.init = NULL;
	now.kill_priv = false;
	if (buf->size < sizeof(*in))
		return;
	now.unique = in->unique & ~UNIQUE_RESEND;
	now.again = in->unique & UNIQUE_RESEND;
	n = buf->size - sizeof(*in);
	if (in->opcode == FUSE_WRITE && n >= sizeof(struct fuse_write_in)) {
		const struct fuse_write_in *w = arg;

		now.kill_priv = w->write_flags & FUSE_WRITE_KILL_SUIDGID;
	} else if (in->opcode == FUSE_SETATTR &&
		   n >= sizeof(struct fuse_setattr_in)) {
		const struct fuse_setattr_in *s = arg;

		now.kill_priv = s->valid & FATTR_KILL_SUIDGID;
	} else if (in->opcode == FUSE_INIT && n >= 16) {
		const struct fuse_init_in *i = arg;

		m->init_len = (uint32_t)MIN(n, sizeof(m->init));
		memcpy(m->init, arg, m->init_len);
		if (m->changes && i->flags & FUSE_HANDLE_KILLPRIV_V2)
			now.init = m;
	}
}

static ssize_t io_read(int fd, void *buf, size_t n, void *user)
{
	(void)user;
	return read(fd, buf, n);
}

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *user)
{
	struct fuse_init_out *out;
	ssize_t sum = 0;

	(void)user;
	if (now.init && count == 2 &&
	    iov[1].iov_len >= offsetof(struct fuse_init_out, max_background)) {
		out = iov[1].iov_base;
		out->flags |= FUSE_HANDLE_KILLPRIV_V2;
		now.init->kill_priv = true;
		now.init = NULL;
	}
	if (now.swallow) {
		for (int i = 0; i < count; i++)
			sum += (ssize_t)iov[i].iov_len;
		return sum;
	}
	return writev(fd, iov, count);
}

void session_mark(struct request *r)
{
	r->unique = now.unique;
	r->again = now.again;
}

int session_own_io(struct mount *m, int fd)
{
	static const struct fuse_custom_io io = { .read = io_read,
						  .writev = io_writev };

	return fuse_session_custom_io(m->session, &io, fd)
		       ? fail(-ENOMEM, "libfuse refused our reading and "
			      "writing")
		       : 0;
}

/* libfuse wants an INIT before anything else. The kernel sends one per mount, so
 * the one it sent then is given to libfuse again, and the answer is kept. */
int session_revive(struct mount *m)
{
	struct {
		struct fuse_in_header in;
		uint8_t arg[sizeof(m->init)];
	} q = { .in = { .opcode = FUSE_INIT, .unique = 2 } };
	struct fuse_buf buf = { .mem = &q,
				.size = sizeof(q.in) + m->init_len };

	q.in.len = (uint32_t)buf.size;
	memcpy(q.arg, m->init, m->init_len);
	now.swallow = true;
	session_peek(m, &buf);
	fuse_session_process_buf(m->session, &buf);
	now.swallow = false;
	return m->initialised && !fuse_session_exited(m->session)
		       ? 0
		       : fail(-EIO, "libfuse did not take the session");
}

bool session_can_resend(const struct mount *m)
{
	const struct fuse_init_in *i = (const void *)m->init;

	return m->init_len >= 16 && i->major == 7 && i->minor >= 40;
}

static int notify_kernel(struct mount *m, int code)
{
	struct fuse_out_header out = { .len = sizeof(out), .error = code };

	return write(m->fd, &out, sizeof(out)) == sizeof(out) ? 0 : -errno;
}

int session_resend(struct mount *m)
{
	return notify_kernel(m, 7 /* FUSE_NOTIFY_RESEND */);
}

int session_new_epoch(struct mount *m)
{
	return notify_kernel(m, 8 /* FUSE_NOTIFY_INC_EPOCH */);
}

/* -- operations --------------------------------------------------------------------- */

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st,
		       int to_set, struct fuse_file_info *fi)
{
	struct request r = session_arrived(req, OP_SETATTR, ino);

	(void)fi;
	r.flags = (uint32_t)to_set;
	r.mode = st->st_mode;
	r.uid = st->st_uid;
	r.gid = st->st_gid;
	r.off = (uint64_t)st->st_size;
	r.atim = timespec_to_ns(st->st_atim);
	r.mtim = timespec_to_ns(st->st_mtim);
	r.kill_priv = now.kill_priv;
	request_run(&r);
}

static void make(fuse_req_t req, enum op op, fuse_ino_t parent,
		 const char *name, uint32_t mode, uint32_t rdev,
		 const char *target)
{
	struct request r = session_arrived(req, op, parent);

	r.name = name;
	r.name2 = target;
	r.mode = mode;
	r.rdev = rdev;
	r.uid = fuse_req_ctx(req)->uid;
	r.gid = fuse_req_ctx(req)->gid;
	request_run(&r);
}

static void on_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode, dev_t rdev)
{
	make(req, OP_MKNOD, parent, name, mode, (uint32_t)rdev, NULL);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		     mode_t mode)
{
	make(req, OP_MKDIR, parent, name, S_IFDIR | (mode & 07777), 0, NULL);
}

static void on_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		       const char *name)
{
	make(req, OP_SYMLINK, parent, name, S_IFLNK | 0777, 0, target);
}

static void name_only(fuse_req_t req, enum op op, fuse_ino_t parent,
		      const char *name)
{
	struct request r = session_arrived(req, op, parent);

	r.name = name;
	request_run(&r);
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	name_only(req, OP_UNLINK, parent, name);
}

static void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	name_only(req, OP_RMDIR, parent, name);
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t to, const char *to_name, unsigned flags)
{
	struct request r = session_arrived(req, OP_RENAME, parent);

	r.name = name;
	r.ino2 = to;
	r.name2 = to_name;
	r.flags = flags;
	request_run(&r);
}

static void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
		    const char *name)
{
	struct request r = session_arrived(req, OP_LINK, parent);

	r.ino2 = ino;
	r.name = name;
	request_run(&r);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		      mode_t mode, struct fuse_file_info *fi)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)fi;
	fuse_reply_err(req, ENOSYS); /* MKNOD from now on */
}

static void on_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	struct request r = session_arrived(req, OP_WRITE, ino);

	(void)fi;
	r.data = data;
	r.size = (uint32_t)size;
	r.off = (uint64_t)off;
	r.kill_priv = now.kill_priv;
	request_run(&r);
}

static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
			 off_t len, struct fuse_file_info *fi)
{
	struct request r = session_arrived(req, OP_FALLOCATE, ino);

	(void)fi;
	r.mode = (uint32_t)mode;
	r.off = (uint64_t)off;
	r.off2 = (uint64_t)len;
	request_run(&r);
}

static void on_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	struct request r = session_arrived(req, OP_LSEEK, ino);

	(void)fi;
	r.off = (uint64_t)off;
	r.mode = (uint32_t)whence;
	request_run(&r);
}

static void on_copy(fuse_req_t req, fuse_ino_t in, off_t off_in,
		    struct fuse_file_info *fi_in, fuse_ino_t out,
		    off_t off_out, struct fuse_file_info *fi_out, size_t len,
		    int flags)
{
	struct request r = session_arrived(req, OP_COPY, in);

	(void)fi_in;
	(void)fi_out;
	(void)flags;
	r.off = (uint64_t)off_in;
	r.ino2 = out;
	r.off2 = (uint64_t)off_out;
	r.size = (uint32_t)MIN(len, 1 * GiB); /* it asks again for the rest */
	request_run(&r);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int data_only,
		     struct fuse_file_info *fi)
{
	struct request r = session_arrived(req, OP_FSYNC, ino);

	(void)fi;
	r.mode = data_only != 0;
	request_run(&r);
}

static void on_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			const char *value, size_t size, int flags)
{
	struct request r = session_arrived(req, OP_SETXATTR, ino);

	r.name = name;
	r.data = value;
	r.size = (uint32_t)size;
	r.flags = (uint32_t)flags;
	request_run(&r);
}

static void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct request r = session_arrived(req, OP_LISTXATTR, ino);

	r.size = (uint32_t)size;
	request_run(&r);
}

static void on_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	name_only(req, OP_REMOVEXATTR, ino, name);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *m = fuse_req_userdata(req);
	struct statvfs st;
	int rc = upper_statfs(m->changes->upper, &st);

	(void)ino;
	if (rc) {
		fuse_reply_err(req, -rc);
		return;
	}
	st.f_namemax = SCORPIO_NAME_MAX;
	fuse_reply_statfs(req, &st);
}

void session_writable(struct fuse_lowlevel_ops *ops)
{
	ops->setattr = on_setattr;
	ops->mknod = on_mknod;
	ops->mkdir = on_mkdir;
	ops->symlink = on_symlink;
	ops->unlink = on_unlink;
	ops->rmdir = on_rmdir;
	ops->rename = on_rename;
	ops->link = on_link;
	ops->create = on_create;
	ops->flush = on_flush;
	ops->write = on_write;
	ops->fallocate = on_fallocate;
	ops->lseek = on_lseek;
	ops->copy_file_range = on_copy;
	ops->fsync = on_fsync;
	ops->fsyncdir = on_fsync;
	ops->setxattr = on_setxattr;
	ops->listxattr = on_listxattr;
	ops->removexattr = on_removexattr;
	ops->statfs = on_statfs;
}
