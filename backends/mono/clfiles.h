/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clfiles.h - the files of a change list as the server tells them, made into
 * edits of the monorepo's tree. Pure functions over memory; nothing here trusts
 * its input.
 */
#ifndef BACKENDS_MONO_CLFILES_H
#define BACKENDS_MONO_CLFILES_H

#include "common.h"

#define MONOCL_EDITS_MAX 1000000u
#define MONOCL_PATH_MAX 4096u

struct monoedit {
	char *path; /* from the monorepo's root, no slash in front; owned */
	char *from; /* whose mode it has, unless `mode` says; owned or NULL */
	uint32_t mode; /* git's; 0 = not told */
	bool put;      /* is there afterwards, with this content; else gone */
	uint8_t oid[MONO_OID];
};

struct monoedits { /* sorted by the bytes of path, each path once */
	struct monoedit *e;
	size_t n, cap;
	size_t dropped; /* entries with paths that no tree can hold */
};

void monoedits_done(struct monoedits *l); /* a zeroed one is fine */
/* The reply of cl/LINK/files-list. A path with a slash in front counts from
 * the monorepo's root, any other from `root` ("" or "a/b"). A moved file is one
 * edit that removes and one that puts. The key "mode" (octal text), which our
 * gateway adds, is used where it is. -EBADMSG with *why; -EREMOTEIO: the server
 * says no, its words in `said`; -ENOMEM. */
int monoedits_parse(struct monoedits *l, const char *text, size_t len,
		    const char *root, char *said, size_t cap,
		    const char **why);
/* The first edit whose path is not before `path`; n if there is none. Edits
 * below a directory follow each other from that of "dir/" on. */
size_t monoedits_from(const struct monoedits *l, const char *path);
/* "/a//b/" -> "a/b"; false: no path in a tree. Caller frees *ret. */
bool monocl_path(const char *in, size_t len, char **ret);

#endif
