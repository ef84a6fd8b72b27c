/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - private to fs/: one FUSE request from its arrival to its reply.
 *
 * An operation (dir.c, file.c) tries to answer from the store and returns
 *	0         it replied
 *	-EAGAIN   request_need() names the object it misses
 *	-EINPROGRESS  it takes too long for a FUSE worker: run it again on a
 *	          thread of fs.work, where r->background is set
 *	other     the negative errno to reply
 * On -EAGAIN the request is parked: copied to the heap, its object wanted from
 * the source, and the operation runs again from the start when that object has
 * come, on a thread of the source's pool. So no FUSE worker ever waits for a
 * network, and a thousand waiting readers cost a thousand small structs.
 */
#ifndef FS_REQUEST_H
#define FS_REQUEST_H

#include "core/pool.h"
#include "fs/mount.h"

enum op {
	OP_LOOKUP,
	OP_GETATTR,
	OP_READLINK,
	OP_READ,
	OP_READDIR,
	OP_READDIRPLUS,
	OP_GETXATTR,
	/* writable mounts */
	OP_SETATTR,
	OP_MKNOD,
	OP_MKDIR,
	OP_SYMLINK,
	OP_UNLINK,
	OP_RMDIR,
	OP_RENAME,
	OP_LINK,
	OP_WRITE,
	OP_FALLOCATE,
	OP_LSEEK,
	OP_COPY,
	OP_FSYNC,
	OP_SETXATTR,
	OP_LISTXATTR,
	OP_REMOVEXATTR,
	OP_COUNT
};

struct request {
	struct mount *mount;
	fuse_req_t req;
	enum op op;
	uint32_t pid;   /* the thread's */
	uint64_t asker; /* process.h; set when something is missing */
	uint64_t unique; /* the kernel's number of it */
	bool again;      /* asked of a daemon that died before it answered */
	uint64_t ino;
	uint64_t off;
	uint32_t size;
	uint32_t tries;
	const char *name; /* borrowed from libfuse, or owned once parked */
	/* of changes; which of them: session_rw.c */
	const char *name2; /* borrowed, or owned once parked */
	const void *data;  /* borrowed, or owned once parked; `size` bytes */
	uint64_t ino2, off2;
	uint32_t mode, rdev, flags, uid, gid;
	int64_t atim, mtim;
	bool kill_priv; /* drop suid and sgid bits */
	int64_t started; /* monotonic */
	int64_t deadline;
	bool parked, background;
	uint8_t where; /* atomic; enum fs_where, once parked */
	pid_t thread;  /* atomic; whose, at work */
	bool learned_again; /* way.h, once */
	bool last;          /* guard.h: wanted after everything else */
	unsigned watched;   /* guard.h: one of those programs */
	bool told;          /* told_size is what the server said before */
	uint64_t told_size; /* of the content being waited for */
	struct pool_task task;
	/* what is missing, set by request_need */
	enum want_kind need_kind;
	struct scorpio_id need_id;
	uint64_t need_ino; /* whose path the backend may need */
	uint8_t need_entry_kind;
	/* of a lookup in an open root: where the name may be; len 0 nowhere */
	struct scorpio_id bucket;
	bool need_may_lack; /* that object need not exist: then dir_absent */
	/* while parked */
	struct want want;
	char *path;       /* owned */
	bool interrupted; /* lock: mount.parked_lock */
	struct request *next, **prev; /* lock: mount.parked_lock */
};

/* Note the missing object; returns -EAGAIN. */
int request_need(struct request *r, enum want_kind kind,
		 const struct scorpio_id *id, uint64_t ino,
		 uint8_t entry_kind);
/* The same for the bucket of a lookup, which may turn out not to exist. */
int request_need_bucket(struct request *r);
/* Run a request that just arrived (r lives on the caller's stack). */
void request_run(struct request *r);
/* Reply with data and account for it; returns 0. */
int request_reply_buf(struct request *r, const void *p, size_t n);
/* Look whether the programs that wait had a signal. */
void request_signals(struct alarm *a);
/* Everything parked ends with -EINTR; waits until it did. */
void request_cancel_all(struct mount *m);
const char *request_op_name(enum op op);
/* session.c: what a FUSE worker is at, for who asks; others are no workers. */
void worker_begins(const struct request *r);
void worker_ends(void);
/* s is about a request that thread works on: what that waits for. */
void slow_at(struct fs_slow *s, pid_t thread);
/* Of those on requests of m since before `before`; s: what all have in common. */
void workers_slow(struct fs *f, const struct mount *m, int64_t before,
		  struct fs_slow *s,
		  void (*fn)(void *ctx, const struct fs_slow *s), void *ctx);
/* It was asked of a daemon that died, and done, but not answered. */
bool request_was_done(const struct request *r);
/* r->name is a name in the directory r->ino. */
bool request_names_child(const struct request *r);
/* Reply an entry whose lookup was counted; returns 0. */
struct fuse_entry_param;
int request_reply_entry(struct request *r,
			const struct fuse_entry_param *param);
/* This thread's buffer of at least n bytes; kept until the thread ends. */
void *request_scratch(size_t n);

/* the operations */
int dir_lookup(struct request *r);
int dir_absent(struct request *r); /* reply that there is none, for now */
int dir_read(struct request *r);
int file_getattr(struct request *r);
int file_read(struct request *r);
int file_readlink(struct request *r);
int file_getxattr(struct request *r);
int names_create(struct request *r); /* mknod, mkdir, symlink */
int names_remove(struct request *r); /* unlink, rmdir */
int names_rename(struct request *r);
int names_link(struct request *r);
int attr_set(struct request *r);
int write_data(struct request *r);
int write_allocate(struct request *r);
int write_seek(struct request *r);
int write_copy(struct request *r);
int write_sync(struct request *r);
int xattr_set(struct request *r); /* and remove */
int xattr_list(struct request *r);

#endif
