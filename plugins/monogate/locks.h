/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locks.h - who has locked which file: a JSON file, read for each question and
 * replaced whole for each change, which is on the disk when it is acknowledged.
 * Several daemons may use it at once. Any thread; a change waits for others up
 * to ten seconds (-EAGAIN) and for the disk.
 */
#ifndef MONOGATE_LOCKS_H
#define MONOGATE_LOCKS_H

#include <jansson.h>

struct scorpio_host;

#define LOCKS_MAX 10000u
#define LOCKS_FILE_MAX (64u << 20)

/* All locks, an array, oldest first: {id, path, locked_at, owner: {name}}. The
 * ids rise and are never used twice. */
int locks_read(const struct scorpio_host *h, const char *file, json_t **ret);
/* Lock `path` for `owner`. 0, or -EEXIST: it is locked, *ret is that lock. */
int locks_add(const struct scorpio_host *h, const char *file, const char *path,
	      const char *owner, json_t **ret);
/* Take one away; below: "" or "a/b", what the caller sees of the repository.
 * owner NULL: whoever made it. -ENOENT, or -EACCES: it is another's. */
int locks_drop(const struct scorpio_host *h, const char *file, long long id,
	       const char *below, const char *owner, json_t **ret);

/* The path as somebody sees it who sees `below` only; NULL: not at all. */
const char *locks_seen(const json_t *lock, const char *below);

#endif
