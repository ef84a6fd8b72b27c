/* SPDX-License-Identifier: Apache-2.0 */
/* list_impl.h - shared by list.c and translate.c only. */
#ifndef BACKENDS_LFS_LIST_IMPL_H
#define BACKENDS_LFS_LIST_IMPL_H

#include "gather.h"
#include "list.h"
#include "rules.h"
#include "small.h"

struct lfsjob { /* a directory to be given on */
	struct scorpio_id out, below;
	const struct lfsrules *rules; /* from further up; NULL: none */
	char *path;		      /* owned; NULL: not known */
	struct lfstree *tree;	      /* NULL: it did not come */
	bool failed;		      /* and that was said */
};

struct lfsjobs {
	struct lfsjob *v;
	uint32_t n, cap;
};

struct lfslister {
	struct lfs *s;
	const struct scorpio_sink *out;
	bool stop;
	struct lfsgather gather;
	struct lfsjobs asked, todo;
	struct scorpio_id *done; /* ids given on; open addressing */
	uint32_t n_done, cap_done;
	struct lfsitem *files; /* whose sizes are wanted in the end */
	uint32_t n_files, cap_files;
	bool want_sizes;
};

int lfsjobs_add(struct lfs *s, struct lfsjobs *j, const struct lfsjob *x);
void lfsjobs_done(struct lfsjobs *j);
/* Give on all of x->todo, and below them what has come. */
int lfslister_translate(struct lfslister *x);

#endif
