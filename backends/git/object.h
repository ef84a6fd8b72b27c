/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - strict readers of raw git objects: trees, commits, tags. They
 * borrow their input, allocate nothing and need neither the host nor libgit2,
 * so they are fuzzed as they are. Any thread.
 */
#ifndef BACKENDS_GIT_OBJECT_H
#define BACKENDS_GIT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GITOBJ_ID 20u

struct gittree_entry {
	const char *name; /* not NUL-terminated by contract; borrowed */
	uint32_t name_len;
	uint8_t kind;        /* SCORPIO_FILE, _DIR, _SYMLINK, _SUBMODULE */
	uint32_t mode;       /* 0644, 0755, 0777 */
	const uint8_t *id;   /* GITOBJ_ID bytes, borrowed */
};

struct gittree_reader {
	const uint8_t *p, *end;
	const char *why; /* after an error: what is wrong, a literal */
};

void gittree_begin(struct gittree_reader *r, const void *raw, size_t len);
/* 1 = *ret holds the next entry, 0 = end, -EBADMSG = malformed. Refused: a
 * cut entry, a mode that is not a file, directory, link or submodule, a name
 * that is empty, "." or ".." or holds '/'. Unusual permission bits, as old
 * writers made them, are brought to 0644 or 0755 as git does. */
int gittree_next(struct gittree_reader *r, struct gittree_entry *ret);
/* A name no file system view may show: ".git" in any case. */
bool gittree_forbidden(const char *name, size_t len);
/* The entry called name: 1 found, 0 not, -EBADMSG. */
int gittree_find(const void *raw, size_t len, const char *name, size_t n,
		 struct gittree_entry *ret);

/* tree id and committer time (seconds) of a commit. -EBADMSG. */
int gitcommit_parse(const void *raw, size_t len, uint8_t ret_tree[GITOBJ_ID],
		    int64_t *ret_time);
/* Its first, second... parent. -ENOENT: it has not so many; -EBADMSG. */
int gitcommit_parent(const void *raw, size_t len, unsigned number,
		     uint8_t ret_id[GITOBJ_ID]);
/* What an annotated tag names. -EBADMSG. */
int gittag_parse(const void *raw, size_t len, uint8_t ret_id[GITOBJ_ID]);

/* 40 hex digits to 20 bytes; false if one is not. */
bool githex_decode(const char *hex, uint8_t ret[GITOBJ_ID]);
bool githex_all(const char *s, size_t n);

#endif
