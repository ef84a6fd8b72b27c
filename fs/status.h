/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - private to fs/: paths of a workspace and of its revision. */
#ifndef FS_STATUS_H
#define FS_STATUS_H

#include "fs/view.h"

/* "a" and "b" -> "a/b"; an empty part is left out. Caller frees. */
char *status_join(const char *dir, const char *name);
/* Does the name stand for what the revision has at `low`? */
bool status_in_place(const struct cname *name, const char *low);
/* Is it a directory that shows a tree of the revision? */
bool status_has_lower(const struct cnode *n);
/* Permissions, owner or extended attributes differ from the revision's. */
bool status_attrs_differ(const struct mount *m, const struct cnode *n);
/* Where in the revision a path of the workspace comes from, by name or by
 * deletion. -ENOENT: it was added. View locked. Caller frees *ret. */
int status_lower_path(struct mount *m, const char *path, char **ret);

#endif
