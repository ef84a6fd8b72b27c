/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.h - private to fs/: one mounted workspace, and the fs that holds all.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#define FUSE_USE_VERSION 312

#include "cache/alarm.h"
#include "fs/fs.h"
#include "fs/node.h"
#include "fs/watch.h"

#include <fuse_lowlevel.h>

struct recording; /* watch.h */
struct fd_cache;
struct notifier;
struct known;
struct pool;
struct workspace;
struct times;

enum mount_state { MOUNT_STARTING, MOUNT_LIVE, MOUNT_ENDING };

struct mount {
	/* immutable after mount_new */
	struct fs *fs;
	char id[FS_ID_LEN + 1];
	struct source *source; /* counted */
	struct store *store;
	uint16_t space;
	char *rev_spec; /* lock: fs.lock */
	char *url; /* of the source, as given */
	char *subdir, *dir, *job;
	struct scorpio_revision rev; /* lock: fs.lock; changed by a switch */
	struct scorpio_id root; /* lock: view; of subdir */
	int64_t time_ns;        /* mtime of what has none of its own */
	uint32_t uid, gid;
	bool read_only, needs_path, made_dir, open_root, allow_other;
	int64_t created_ns, mount_ns;
	enum fs_metadata metadata_wish;

	struct node_table *nodes;
	pthread_rwlock_t own_view;
	pthread_rwlock_t *view; /* own_view, or of changes: see view.h */
	struct times *times;    /* lock: view; owned if read-only */
	pthread_mutex_t switching; /* one at a time */
	/* NULL if read-only: what readers test before they lock anything */
	struct changes *changes;
	struct workspace *workspace;
	struct notifier *notifier;
	struct known *known; /* of an open root (known.h), else NULL */
	bool kill_priv; /* the kernel leaves dropping suid bits to us */
	struct ahead_state *ahead; /* counted; ahead.h */
	struct crawl *crawl;       /* crawl.h */
	struct crawl *size_crawl;  /* crawl.h */
	struct fuse_session *session;
	int fd;
	/* what the kernel said first; kept for the next daemon */
	uint8_t init[104];
	uint32_t init_len;

	/* lock: fs.lock */
	struct mount *next;
	enum mount_state state;
	unsigned users; /* callers outside FUSE that hold it */

	/* atomic */
	bool initialised, dead;
	uint32_t waiting; /* parked requests */
	uint64_t requests, bytes_read;

	pthread_mutex_t parked_lock;
	struct request *parked; /* lock: parked_lock */
	struct alarm signals;   /* request_signals */
	struct recording *recording; /* atomic pointer; see watch.h */
};

struct source_slot { /* lock: fs.lock */
	struct source_slot *next;
	char *url;
	struct source *source; /* one count held while mounts use it */
	unsigned users;
};

struct keeper;

struct fs {
	struct fs_options options;
	struct keeper *keeper; /* borrowed; NULL: none */
	int64_t request_timeout_ns;
	pthread_mutex_t lock; /* rank 1: mount list */
	pthread_cond_t changed; /* with lock: users, state */
	struct mount *mounts;
	struct source_slot *sources;
	struct workers *workers;
	pthread_t reaper;
	bool reaping;
	bool stop; /* lock */
	struct watch watch;
	struct fd_cache *fds; /* of all workspaces */
	struct pool *work;    /* what would keep a FUSE worker too long */
	struct guard *guard;  /* NULL: none */
};

/* session.c */
int session_start(struct mount *m);
/* Go on with a mount that outlived its daemon; m->init says what was agreed
 * on. */
int session_restore(struct mount *m, int fd /* takes */);
/* Does this kernel send requests again? (protocol 7.40) */
bool session_can_resend(const struct mount *m);
/* Ask it to. -errno */
int session_resend(struct mount *m);
/* Every name the kernel knows is to be looked up again (7.44). -errno */
int session_new_epoch(struct mount *m);
void session_end(struct mount *m); /* after the kernel let go; frees */
/* sources.c: the source of that address, opened or shared by several mounts;
 * counted. */
int sources_take(struct fs *f, const char *url, struct source **ret);
void sources_release(struct fs *f, struct source *s);

int workers_start(struct fs *f);
void workers_stop(struct fs *f);
/* Serve this mount's fd; take it out again and wait until no worker holds a
 * request of it. */
int workers_add(struct fs *f, struct mount *m);
void workers_remove(struct fs *f, struct mount *m);

/* mount.c: counted access for callers outside FUSE threads. A mount found
 * stays until mount_release. */
struct mount *mount_acquire(struct fs *f, const char *id_or_dir);
/* The mount whose mountpoint holds path; *ret_rel = the rest. */
struct mount *mount_of_path(struct fs *f, const char *path,
			    const char **ret_rel);
void mount_release(struct mount *m);
/* The kernel took back lookups. No lock held. */
void mount_forget(struct mount *m, uint64_t ino, uint64_t n);
/* The session of this mount ended; the reaper takes it from here. */
void mount_ended(struct mount *m);

/* keep.c: with a keeper the mount outlives the daemon. Tell the keeper what it
 * is now; before a switch also what it was. */
void mount_keep(struct mount *m);
struct scorpio_revision;
void mount_keep_switch(struct mount *m, const char *rev_spec,
		       const struct scorpio_revision *rev,
		       const struct scorpio_id *root);
/* It ended. */
void mount_unkeep(struct mount *m);

/* mount.c; what a mount that outlived its daemon is made from (keep.c) */
struct kept_mount;
int mount_up(struct fs *f, const struct fs_mount_request *r,
	     struct kept_mount *k, struct fs_mount_info *ret);
/* revive.c */
int mount_revive(struct mount *m, struct kept_mount *k);

/* info.c; lock: fs.lock */
void info_fill(struct mount *m, struct fs_mount_info *i);

#endif
