/* SPDX-License-Identifier: Apache-2.0 */
/* changes_impl.h - private to changes*.c. */
#ifndef FS_CHANGES_IMPL_H
#define FS_CHANGES_IMPL_H

#include "core/buf.h"
#include "fs/changes.h"

enum change_type {
	CHANGE_ADOPT = 1,
	CHANGE_CREATE,
	CHANGE_LINK,
	CHANGE_REMOVE,
	CHANGE_RENAME,
	CHANGE_EXCHANGE,
	CHANGE_ATTR,
	CHANGE_CONTENT,
	CHANGE_MODIFY,
	CHANGE_XATTR,
	CHANGE_UNXATTR,
	CHANGE_RESET,
	CHANGE_RESTORE,
	CHANGE_BEGIN, /* a mount: generation in value */
	CHANGE_PART,   /* of the switch that follows */
	CHANGE_SWITCH, /* to another revision */
	/* checkpoints only */
	CHANGE_NODE,
	CHANGE_PLACE,
	CHANGE_STATE,
	CHANGE_JOURNAL,
	CHANGE_BASE,  /* of the last switch */
	CHANGE_TIMES, /* of paths, as in parts */
	CHANGE_SETTLE, /* as in the revision again (changes_settle.c) */
	CHANGE_TYPES
};

struct change { /* one record; which fields it has: change_fields[] */
	uint32_t type;
	uint64_t seq; /* given by the log; 0 from a checkpoint */
	uint64_t ino, parent, to_parent;
	const char *name, *to; /* NUL-terminated */
	uint8_t kind;          /* lower kind of the name that is made */
	uint8_t content;
	uint64_t file, cookie;
	int64_t time;
	struct cvalue v; /* strings borrowed */
	const void *value;
	uint32_t value_len;
	/* not in the record */
	struct node *known;    /* for attach */
	struct cnode *result;  /* of adopt and create */
};

/* Append the record's payload. */
void change_encode(const struct change *ch, struct buf *out);
/* Strings and value point into p. -EBADMSG. */
int change_decode(uint32_t type, const uint8_t *p, size_t n,
		  struct change *ret);
/* Apply to the tree; the caller holds the tree lock. Only a record that does
 * not fit the tree fails, without effect: -EBADMSG. */
int change_apply(struct changes *c, struct change *ch);
/* Append to the log and apply. lock: edit */
int change_commit(struct changes *c, struct change *ch);

/* intent.c. Before a record is written; lock: edit. */
void intent_note(struct changes *c, uint32_t type);
/* While loading: that record is in the log. */
void intent_seen(struct changes *c, uint32_t type, uint64_t seq);
/* All is loaded: what was not seen was not done. */
void intent_settle(struct changes *c);

/* changes_edit.c; lock: edit */
struct wal_checkpoint;
int changes_snapshot(struct changes *c, bool clean,
		     struct wal_checkpoint **ret);
/* The same as the first state of another workspace. */
void changes_snapshot_copy(struct changes *c, struct wal_checkpoint **ret);
/* All retired content files go. */
void changes_retire_all(struct changes *c);

/* At replay: a nameless inode whose number is given again was forgotten by
 * then. Others may still have been written to. */
void cnode_bury(struct changes *c, struct cnode *n);

/* changes_dir.c */
uint32_t cname_hash(const char *name, size_t len);
/* Find or make; a made one is a tombstone still. */
struct cname *cname_make(struct cnode *dir, const char *name,
			 uint8_t lower_kind);
/* Let the name stand for node (NULL: tombstone). */
void cname_set(struct cname *name, struct cnode *node);
/* Take a name without node out of the map and free it. */
void cname_drop(struct cname *name);
/* The lower tree has, or has not, that name from now on. May free it. */
void cname_set_lower(struct cname *name, uint8_t lower_kind);
void cname_place(struct cname *name, uint64_t cookie);
struct cdir *cdir_new(void);
void cdir_free(struct cdir *d);

/* changes_switch.c */
int switch_replay(struct changes *c, const struct change *ch);
/* changes_settle.c */
int settle_apply(struct changes *c, struct change *ch);
bool cnode_differs(const struct cnode *n);
bool cnode_differs_below(const struct cnode *n);
/* Its content file is to be removed. changes_apply.c */
void cnode_leave_file(struct changes *c, struct cnode *n);
/* Everything below a directory loses its names. changes_apply.c */
void cnode_abandon(struct changes *c, struct cnode *dir);

/* changes.c */
struct cnode *cnode_new(struct changes *c, const struct cvalue *v);
void cnode_free(struct cnode *n);
void cnode_unhash(struct changes *c, struct cnode *n);
/* No name is left: to be freed once the kernel has forgotten it. */
void cnode_orphaned(struct changes *c, struct cnode *n);
void cnode_set_xattr(struct cnode *n, const char *name, const void *value,
		     size_t len);
void cnode_drop_xattrs(struct cnode *n);
void changes_trash(struct changes *c, uint64_t file);
/* The same a while later: somebody may be about to read it. */
void changes_retire(struct changes *c, uint64_t file);

#endif
