/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.h - what the rest of the daemon sees of the filesystem: mounts and what
 * can be asked about them. One struct fs per daemon; one FUSE session per
 * mount; one worker pool for all of them.
 *
 * Threads: every function may be called from any thread that does not serve
 * FUSE. Functions marked "blocking" wait for the network up to their deadline.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include "cache/source.h"

struct fs;

struct fs_stack {
	char *url;     /* the source's name, with what decides of layers */
	char *address; /* what the backend is opened with; both are owned */
	const char *const *layers; /* NULL-ended; static */
};

struct fs_options {
	struct store *store;        /* borrowed; outlives the fs */
	unsigned workers;           /* 0 = one per core, 2..16 */
	int64_t request_timeout_ms; /* of one FUSE request; 0 = 60 000 */
	uint64_t read_ahead;        /* of a sequential reader, bytes; 0: and
				     * no content on a guess */
	unsigned fetch_threads;     /* per source; 0 = default */
	unsigned batch_max;         /* per source; 0 = default */
	/* How a source is configured; called at mount time. May be NULL. */
	struct source_config (*config)(void *ctx, const char *url);
	/* What stands above a source, and how its address is opened; called
	 * before config. May be NULL: nothing. */
	void (*stack)(void *ctx, const char *url, struct fs_stack *ret);
	void *ctx;
	bool offline;
	/* Programs that may have only so many bytes of content fetched in a
	 * minute, by name, divided by blanks; NULL: none. Over it: refused
	 * (EDQUOT), or slow: after everything else. */
	const char *crawl_programs;
	uint64_t crawl_budget;
	bool crawl_slow;
	/* Where writable workspaces keep their changes: one directory each
	 * (0700, made when missing). NULL: only read-only mounts. Copied. */
	const char *state_dir;
	/* Extended attribute that is the 32 bytes of a file's SHA-256; NULL:
	 * none. Copied. */
	const char *digest_xattr;
	/* May a workspace of no name of its own, that holds no change, be
	 * removed at unmount? Called with ctx when it is over. NULL: yes. */
	bool (*discard)(void *ctx, const char *state_dir);
	/* With one, mounts outlive the daemon (keeper.h). Borrowed. */
	struct keeper *keeper;
};
struct keeper;

/* A file of this name in the root of a workspace is the daemon's: it is no
 * change, and the journal does not tell of it. */
#define FS_OWN_NAME ".git"

int fs_new(const struct fs_options *o, struct fs **ret);
/* Unmounts everything (lazily if busy), ends the workers. NULL is fine. */
void fs_free(struct fs *f);

enum fs_metadata { FS_METADATA_AUTO, FS_METADATA_FULL, FS_METADATA_ONDEMAND };

struct fs_mount_request {
	const char *source; /* URL or path, as the user wrote it */
	const char *rev;    /* NULL or "": the source's default */
	const char *subdir; /* NULL or "": the root */
	const char *dir;    /* mountpoint: absolute, existing or creatable */
	const char *job;    /* free text shown in lists; may be NULL */
	bool read_only;     /* a plain view; else a workspace: below */
	int allow_other;    /* 1 yes, 0 no, -1 = yes when root */
	int64_t uid, gid;   /* owner shown; -1 = the daemon's */
	enum fs_metadata metadata;
	int64_t deadline; /* absolute, of the whole call */
	/* Writable mounts: the name of the workspace that keeps the changes,
	 * [A-Za-z0-9._-], at most 128. Mounted under the same name again, it
	 * resumes with its changes at the revision it was made from; source
	 * and subdir must be the same, rev the same or empty (-EEXIST). NULL:
	 * a fresh
	 * one named by the mount's id, removed at unmount if it holds no
	 * change. */
	const char *workspace;
	/* Brought back after a restart: the revision a workspace is at is in
	 * the workspace; rev, written elsewhere, may be older. */
	bool restored;
	/* Where this workspace is kept instead of fs_options.state_dir (made
	 * when missing, 0700); NULL: there. */
	const char *state_dir;
	/* With a name: as without one, remove it at unmount if it holds no
	 * change, and begin again if it holds none and another rev is asked. */
	bool transient;
	/* Directories (relative paths) that live on the local disk outside of
	 * the workspace, on top of those it was mounted with before;
	 * NULL-terminated, or NULL. -EPERM without the privilege to mount,
	 * -EEXIST where something else is. */
	const char *const *redirect;
	const char *redirect_text; /* more, with commas; NULL: those of the
				    * source's configuration */
};

#define FS_ID_LEN 36 /* as of id_uuid() */

struct fs_mount_info { /* a copy; strings are owned, see fs_mount_info_done */
	char id[FS_ID_LEN + 1];
	char *source; /* redacted URL */
	char *backend;
	char *rev_spec; /* as asked */
	char *rev;      /* resolved: commit id */
	char *label;    /* refs/heads/main */
	char *subdir, *dir, *job;
	char *state;    /* "mounted", "unmounting", "failed: why" */
	char *metadata; /* "resident", "loading", "on demand", "failed: why" */
	bool read_only;
	int64_t created_ns;   /* wall clock */
	int64_t mount_ns;     /* how long mounting took */
	uint64_t requests;    /* FUSE requests answered */
	uint64_t bytes_read;  /* sent to the kernel */
	uint64_t inodes;      /* known to the kernel */
	uint64_t inode_bytes; /* memory they take */
	uint32_t waiting;     /* requests waiting for the source now */
	int64_t oldest_wait_ns;
	struct source_stats stats;
	char *workspace;  /* NULL if read-only */
	bool resumed;     /* it was there before this mount */
	bool idle;        /* and held no change then; not of a named one */
	bool named;       /* by the user: stays even without changes */
	char *state_dir;  /* where its changes are; NULL if read-only */
	char **redirects; /* NULL-terminated; NULL: none */
	uint64_t changed; /* inodes that differ from the revision, and the
			   * directories on the way to them; not our .git */
};
void fs_mount_info_done(struct fs_mount_info *i);

struct source;
/* The opened source of a URL, with its configuration; shared with the mounts
 * of it. Given back with sources_release before fs_free. */
int sources_take(struct fs *f, const char *url, struct source **ret);
void sources_release(struct fs *f, struct source *s);

/* Blocking: open the source, resolve the revision, bring the root tree, mount.
 * The kernel has answered when this returns 0. -ENOENT unknown revision or
 * subdir; -ENOTDIR mountpoint is a file; -ENOTEMPTY; -EBUSY already a mount;
 * -EACCES no permission to mount; -EIO/-ETIMEDOUT source unreachable; each
 * with a text. A mountpoint directory it created is removed at unmount. */
int fs_mount(struct fs *f, const struct fs_mount_request *r,
	     struct fs_mount_info *ret);
/* Go on with the mounts the keeper holds from a daemon that died: programs that
 * use them have seen no more than a pause. fn gets each, with the request that
 * made it; err is 0, or why it cannot be (then it is detached, its users get
 * ENOTCONN, and it can be mounted again). Before any other mount. */
void fs_revive(struct fs *f,
	       void (*fn)(void *ctx, const struct fs_mount_request *r,
			  const struct fs_mount_info *i, int err),
	       void *ctx);
/* Could they go on with? -EBADMSG with a text: their state is of a format this
 * program does not read. Changes nothing. state_dir as in fs_options. */
int fs_can_revive(struct keeper *k, const char *state_dir);
/* Would every mount of this daemon outlive it? -EPERM with a text: one would
 * not, and what to do. */
int fs_can_be_replaced(struct fs *f);
/* Has a thread that answers the kernel been stuck for less than max_ns? False:
 * all of them have been. */
bool fs_lives(struct fs *f, int64_t max_ns);
/* By id or mountpoint. -ENOENT no such mount; -EBUSY in use (text names it as
 * such) unless lazy. Blocking, at most about 10 s. */
int fs_unmount(struct fs *f, const char *id_or_dir, bool lazy);
/* fn gets each mount's info; a nonzero return stops. */
int fs_each(struct fs *f, int (*fn)(void *ctx, const struct fs_mount_info *i),
	    void *ctx);
int fs_find(struct fs *f, const char *id_or_dir, struct fs_mount_info *ret);

/* -- another revision ------------------------------------------------------- */

struct fs_switch_request {
	const char *rev; /* any that could be mounted; NULL: the default */
	bool force;      /* private changes win where both sides changed */
	bool dry_run;    /* only tell */
	/* Only if nothing that is seen changes, because private changes cover
	 * all that differs (else -EAGAIN): those that are equal to the new
	 * revision are changes no more. What a program wrote that goes to
	 * another revision by itself. */
	bool adopt;
	int64_t deadline;
};
struct fs_switch_result {
	char old_rev[256], new_rev[256];
	char label[256];
	uint64_t changed, added, removed; /* files and links */
	uint64_t conflicts, kept;         /* private changes */
	uint64_t requests;                /* to the source */
	uint64_t notices;                 /* to the kernel */
	int64_t ns, apply_ns;             /* all; while readers waited */
};
/* Show another revision of the source in a mount that is in use. Private
 * changes stay. If one of them is about something that differs between the
 * revisions, nothing happens: -EEXIST, unless forced; fn (may be NULL) gets
 * each, also with force and dry_run. Otherwise it happens as a whole, and has
 * happened, as far as later mounts of the workspace are concerned, if the
 * daemon dies. Costs time by what differs; no content is fetched. Programs that
 * hold files open read the old content or the new. Files and directories that
 * differ get the present time. The kernel has been told when this returns.
 * Blocking. -ENOENT no such mount or revision; errors of the source. */
int fs_switch(struct fs *f, const char *id_or_dir,
	      const struct fs_switch_request *r, struct fs_switch_result *ret,
	      void (*fn)(void *ctx, const char *path, const char *why),
	      void *ctx);

/* -- workspaces and their changes ------------------------------------------ */

struct fs_workspace {
	const char *name, *source, *subdir, *rev, *state_dir; /* borrowed */
	const char *dir; /* where it is mounted now, or "" */
	int64_t created_ns;
	uint64_t disk_bytes; /* the log and the changed files */
};
/* Every workspace on disk, mounted or not. A nonzero return stops. */
int fs_workspaces(struct fs *f,
		  int (*fn)(void *ctx, const struct fs_workspace *w),
		  void *ctx);
/* Discard the changes of an unmounted workspace. -EBUSY mounted, -ENOENT. */
int fs_workspace_remove(struct fs *f, const char *name);

enum fs_change_kind {
	FS_ADDED,
	FS_MODIFIED,
	FS_DELETED,
	FS_RENAMED,    /* maybe modified as well: see `modified` */
	FS_TYPECHANGE, /* now something else: a link instead of a file */
	FS_MODE,       /* only permissions or owner differ */
};
struct fs_change { /* borrowed for the call */
	enum fs_change_kind kind;
	const char *path; /* relative to the mount */
	const char *from; /* FS_RENAMED: its path in the revision */
	uint32_t mode;    /* with S_IFMT; what it is now, of FS_DELETED 0 */
	uint64_t size;
	bool modified; /* FS_RENAMED: content differs too */
};
/* Everything that differs from the revision, sorted by path. Costs time by the
 * number of changes only; a renamed or added directory is one entry, and what
 * is below an added one follows. -EROFS for a read-only mount. Blocking: the
 * kinds of replaced entries may have to be fetched. */
int fs_changes(struct fs *f, const char *id_or_dir, int64_t deadline,
	       int (*fn)(void *ctx, const struct fs_change *c), void *ctx);
/* Private changes that are equal to the revision (type, permissions, content)
 * are changes no more; programs see no difference. *ret: how many. Costs time
 * by the number of changes; content is compared once. Blocking. */
int fs_settle(struct fs *f, const char *id_or_dir, int64_t deadline,
	      uint64_t *ret);
/* Make a path (relative to the mount; "" = everything) as it is in the
 * revision: modified and deleted entries come back, added ones go. The kernel
 * has been told when this returns. Programs that hold files open keep what
 * they see. -ENOENT neither changed nor in the revision. Blocking. */
int fs_reset(struct fs *f, const char *id_or_dir, const char *path,
	     int64_t deadline);
/* A second workspace with the same changes on the same revision, while the first
 * is in use. Content is not copied but shared: who of the two changes a file
 * first pays for a copy of it. It is mounted like any workspace afterwards, and
 * either can go without the other. Costs time by the number of changed files,
 * and writers to such files wait meanwhile. -EXDEV, -EMLINK, -EPERM,
 * -EOPNOTSUPP: the disk cannot share; -EBUSY written to all the time. Blocking. */
struct fs_fork_request {
	const char *state_dir, *workspace; /* of the new one; no such yet */
	int64_t deadline;
};
struct fs_forked {
	uint64_t files, bytes; /* shared */
	char rev[256];         /* they are on top of */
};
int fs_fork(struct fs *f, const char *id_or_dir,
	    const struct fs_fork_request *r, struct fs_forked *ret);
/* Remove what daemons that died left of workspaces half made or half removed in
 * a directory. fs_new does so in its own. (sweep.c) */
void fs_sweep(const char *state_dir);

/* The content a path (as it is called now, or a deleted one) has in the
 * revision, in pieces. -ENOENT if it has none (an added file); *ret_mode (may
 * be NULL) with S_IFMT. The present content is in the mount. Blocking. */
int fs_original(struct fs *f, const char *id_or_dir, const char *path,
		int64_t deadline, uint32_t *ret_mode,
		int (*fn)(void *ctx, const void *p, size_t n), void *ctx);
/* The id of that content in the source, without bringing it. Errors as above. */
int fs_original_id(struct fs *f, const char *id_or_dir, const char *path,
		   int64_t deadline, struct scorpio_id *ret);

/* The journal: what changed since when. A position is (generation, seq); the
 * generation changes when history was lost. */
struct fs_clock {
	uint64_t generation, seq;
};
enum fs_journal_kind {
	FS_JOURNAL_CREATE,
	FS_JOURNAL_MODIFY,
	FS_JOURNAL_REMOVE,
	FS_JOURNAL_RENAME, /* from -> path */
	FS_JOURNAL_ATTRS,
	FS_JOURNAL_RESET, /* path and everything below may differ */
};
struct fs_journal_entry { /* borrowed for the call */
	uint64_t seq;
	enum fs_journal_kind kind;
	const char *path, *from; /* from: NULL unless a rename */
	bool is_dir;
};
/* Entries after `since` in order; a nonzero return of fn stops. Nothing yet:
 * waits until the deadline (0: not at all) and returns 0 without entries.
 * *ret is the position after the last entry given (since.generation 0: only
 * that, no entries). -ESTALE: `since` is too old or of another generation;
 * look at everything again and go on from *ret. -EROFS read-only. Writes to
 * a file that was already reported and not asked for since are one entry. */
int fs_journal(struct fs *f, const char *id_or_dir, struct fs_clock since,
	       int64_t deadline,
	       int (*fn)(void *ctx, const struct fs_journal_entry *e),
	       void *ctx, struct fs_clock *ret);

/* Since when paths show what they show, where a switch changed them: a copy,
 * keyed by node_key (times.h). NULL: no such mount. The caller frees. */
struct times;
struct times *fs_times(struct fs *f, const char *id_or_dir);

/* -- asking about paths ---------------------------------------------------- */

struct fs_path_info {
	char mount_id[FS_ID_LEN + 1];
	char *path;   /* relative to the mount; owned */
	uint8_t kind; /* SCORPIO_FILE ... */
	uint32_t mode;
	uint64_t ino;
	struct scorpio_id id; /* content id in the source */
	struct scorpio_id shown; /* the same as its layers made it */
	struct store_key key; /* of the content in the store */
	uint64_t size;        /* SCORPIO_SIZE_UNKNOWN if not learned yet */
	int64_t mtime_ns;
	bool resident; /* content (or listing) is in the store */
	uint32_t chunks;
	bool has_digests;
	uint8_t sha256[SHA256_LEN], sha1[SHA1_LEN];
};
void fs_path_info_done(struct fs_path_info *i);
/* path: absolute, below a mountpoint. Looks only at the store and, for trees
 * on the way, fetches (blocking). -ENOENT, -EXDEV not below a mount. */
int fs_path(struct fs *f, const char *path, int64_t deadline,
	    struct fs_path_info *ret);

/* What the backend or a layer knows of the path under a name ("describe": a JSON
 * object), as text (caller frees). Blocking. -ENODATA: nothing. */
int fs_ask(struct fs *f, const char *path, const char *name, int64_t deadline,
	   char **ret);

/* -- bringing content ------------------------------------------------------ */

struct fs_warm_progress {
	uint64_t trees, files, failed; /* done so far */
	uint64_t bytes;                /* of the files done, where known */
	uint64_t files_total;          /* found so far */
	bool finished;
};
/* Blocking: bring everything below the absolute paths (directories whole), or
 * only the metadata. progress is called now and then; nonzero return stops. */
int fs_warm(struct fs *f, const char *const paths[], size_t n,
	    bool metadata_only, int64_t deadline,
	    int (*progress)(void *ctx, const struct fs_warm_progress *p),
	    void *ctx);

/* The same for the directories below one path only, so many levels deep (1: its
 * children), with the sizes of what they hold if asked for. */
int fs_warm_trees(struct fs *f, const char *path, unsigned levels, bool sizes,
		  int64_t deadline,
		  int (*progress)(void *ctx, const struct fs_warm_progress *p),
		  void *ctx);

/* -- watching --------------------------------------------------------------- */

struct fs_event { /* one answered FUSE request */
	int64_t wall_ns, latency_ns;
	uint64_t seq;
	char mount_id[FS_ID_LEN + 1];
	const char *op; /* "lookup", "read", ... static */
	char path[256]; /* tail, if longer */
	uint64_t offset;
	uint32_t bytes;
	uint32_t pid;
	int32_t error;    /* 0 or negative errno */
	const char *tier; /* "store", "source", "memory"; static */
};
/* Recording costs nothing while nobody listens. Start, poll (events with
 * seq > since, at most max; returns the count; *lost set if some were
 * overwritten), stop. Counted, so several listeners are fine. */
void fs_trace_start(struct fs *f);
void fs_trace_stop(struct fs *f);
size_t fs_trace_poll(struct fs *f, uint64_t since, struct fs_event *out,
		     size_t max, bool *lost);

/* Which files a build read, for `profile record`: paths relative to the mount,
 * in first-read order, at most 1 million. */
int fs_record_start(struct fs *f, const char *id_or_dir);
int fs_record_stop(struct fs *f, const char *id_or_dir,
		   int (*fn)(void *ctx, const char *path), void *ctx);

struct fs_account { /* one process */
	uint32_t pid;
	char comm[16];
	uint64_t requests, bytes_read, misses; /* misses: had to wait */
	int64_t wait_ns, last_ns;
	uint64_t fetched_objects, fetched_bytes; /* what it was first to want */
};
/* Since start, most recent 1024 processes. */
size_t fs_top(struct fs *f, struct fs_account *out, size_t max);

enum fs_where {
	FS_AT_SOURCE, /* waits for an object */
	FS_AT_QUEUE,  /* waits for a thread */
	FS_AT_WORK,   /* something local takes long: the disk, a large file */
	FS_AT_LOCK,   /* another thread is at something that comes first */
	FS_WHERES
};
struct fs_slow { /* a request of the kernel without an answer */
	const char *dir;  /* of its mount */
	const char *op;   /* "read" */
	const char *name; /* that it is about, or NULL */
	uint64_t ino;
	uint32_t pid;
	int64_t age_ns;
	enum fs_where where;
	const char *source; /* redacted */
	bool unreachable;   /* that is known not to answer */
	/* at work, or a lock: what its thread waits for (core/waits.h), or "" */
	char waits[256];
};
/* Those older than min_ns. fn only takes note: locks are held. */
void fs_slow(struct fs *f, int64_t min_ns,
	     void (*fn)(void *ctx, const struct fs_slow *s), void *ctx);
/* "source", "queue", "work", "lock" */
const char *fs_where_name(enum fs_where w);

#endif
