/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead.h - private to fs/: what to bring before it is asked for. Everything
 * here is a hint: bounded, at read-ahead priority, and dropped under load.
 */
#ifndef FS_AHEAD_H
#define FS_AHEAD_H

#include "fs/request.h"

/* Shared by a mount and what it has under way, so that a mount can end while
 * hints still fly. */
enum metadata_state {
	METADATA_ONDEMAND,
	METADATA_LOADING,
	METADATA_RESIDENT,
	METADATA_FAILED
};
#define AHEAD_GUESSES 16
struct ahead_state {
	uint32_t refs;      /* atomic */
	uint32_t under_way; /* atomic; wants */
	uint32_t metadata;  /* atomic; enum metadata_state */
	uint32_t misses;    /* atomic; directories that were not there */
	char *name;         /* for the log */
	pthread_mutex_t lock;
	struct ahead *guesses[AHEAD_GUESSES]; /* lock */
};
struct ahead_state *ahead_state_new(const char *name);
void ahead_state_put(struct ahead_state *s); /* NULL is fine */

/* A directory is being walked: bring the trees of its subdirectories in one
 * batch. _due says, once per directory, whether that is worth it. */
bool ahead_directory_due(struct mount *m, struct node *dir);
void ahead_directory(struct mount *m, struct node *dir);
/* The next two with the view locked. */
/* A file's content was missing. Misses of neighbours in a directory within a few
 * seconds, or of enough of its files, bring its other small files in one batch; a
 * reader who picks files here and there pays for those alone. */
void ahead_siblings(struct mount *m, struct node *file);
/* The missing small files of a directory: how many were wanted. path is the
 * directory's, where the backend needs paths. */
size_t ahead_files(struct mount *m, const struct scorpio_id *tree,
		   const char *path);
/* Parts of a file that is read on (parts.h). Not for sources that need a path. */
void ahead_parts(struct mount *m, const struct scorpio_id *ids, size_t n);
/* The size of one entry is needed: bring the sizes of the whole directory in
 * the same batch. */
void ahead_sizes(struct mount *m, struct node *dir);
/* Who asks for the unknown size of one file is most often about to read it: its
 * content is asked for at the same time, on his behalf (struct want), which saves
 * the reader a round trip. id is the content's. View locked. Not for sources
 * that need a path, which have no batches to put it in. */
void ahead_guess(struct mount *m, const struct scorpio_id *id,
		 uint8_t entry_kind, uint64_t asker);
/* Its size is known now: a large one is not fetched on a guess. True: a guess
 * is under way. */
bool ahead_guessed(struct mount *m, const struct scorpio_id *id, uint64_t size);
/* The missing sizes of a directory; see ahead_files. */
size_t ahead_sizes_of(struct mount *m, const struct scorpio_id *tree,
		      const char *path);
/* Bring the metadata of the whole revision in the background: one request
 * for all trees and, where the source tells, all sizes. */
void ahead_metadata(struct mount *m);
/* A directory had to be fetched. With metadata "auto" the sixth starts
 * ahead_metadata: who opens one file deep in a tree gets that path alone, who
 * walks gets everything at once. */
void ahead_tree_missed(struct mount *m);

#endif
