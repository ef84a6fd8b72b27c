/* SPDX-License-Identifier: Apache-2.0 */
/* git_impl.h - shared by git*.c only. */
#ifndef API_CLASSIC_GIT_IMPL_H
#define API_CLASSIC_GIT_IMPL_H

#include "api/classic/git.h"
#include "api/classic/impl.h"
#include "core/hash.h"
#include "core/id.h"

#include <sys/stat.h>

#define GIT_HEX (2 * SHA1_LEN + 1)
#define GIT_TIMEOUT_MS 120000

/* What is to be sent of one directory: {"PATH": {"mode", "oid", "base"}}, paths
 * as JSON texts (core/json.h). oid null: removed. base: the id in the revision,
 * null if it had none, absent if that is not looked at. */
struct gitjob {
	struct classic *classic;
	struct classic_work work;
	char *mono;  /* its path on the server, "" or "a/b" */
	char *state; /* the file of stage and commit */
	json_t *doc; /* {"staged": {}, "commit": {"message","entries"}|null} */
};
int gitjob_open(struct classic *c, const char *path, struct gitjob *ret);
int gitjob_save(struct gitjob *j);
void gitjob_done(struct gitjob *j);
/* The same for who changes it: nobody else does until gitjob_end(). */
int gitjob_begin(struct classic *c, const char *path, struct gitjob *ret);
void gitjob_end(struct gitjob *j);

/* Content of the stage. The id of what is kept; a path in the store, owned. */
int gitblob_keep(struct classic *c, const void *p, size_t n,
		 char ret_hex[GIT_HEX]);
char *gitblob_path(struct classic *c, const char *hex);

/* git_lfs.c. Do .gitattributes say that a path (below the selected directory) is a
 * file of Git LFS? */
struct lfsptr;
int gitlfs_is(struct gitjob *j, const char *path, bool *ret);
/* Set its content aside; its pointer, "" if it is to go as it is. */
int gitlfs_keep(struct classic *c, const char *at, struct lfsptr *ret,
		char text[160]);
/* The pointer of a file as it is now; "" as above. */
int gitlfs_pointer(const char *at, char text[160]);
/* As git_original: the id that its pointer has. */
int gitlfs_original(struct fs *f, const char *top, const char *path,
		    char ret_hex[GIT_HEX]);
/* The objects of these entries to the LFS server. */
int gitlfs_upload(struct gitjob *j, const json_t *entries);

/* git_content.c: a file or the target of a link, owned. */
int git_read(const char *at, const struct stat *st, char **ret, size_t *ret_n);
/* The id of a file as the revision of a workspace has it. -ENOENT, -EISDIR. */
int git_original(struct fs *f, const char *dir, const char *path,
		 char ret_hex[GIT_HEX]);

/* The same of a path of the job, as JSON: text, null (there is none), or NULL if
 * that is not told. lfs: of its pointer. */
json_t *git_base_of(struct gitjob *j, const char *path, bool lfs);

/* "TYPE N\0" and the content -> id */
void git_id(const char *type, const void *p, size_t n, char ret_hex[GIT_HEX]);

/* git_pack.c */
struct pushpack;
struct pushpack *pushpack_new(void);
void pushpack_free(struct pushpack *p);
void pushpack_add(struct pushpack *p, const char *type, const void *data,
		 size_t n, char ret_hex[GIT_HEX]);
/* The whole pack, appended. */
void pushpack_finish(struct pushpack *p, struct buf *out);

/* git_tree.c: the commit of `entries` on top of `parent` (hex); all its new
 * objects in the pack. *ret_info: as of classic_git_commit, the caller's. */
int git_build(struct gitjob *j, const json_t *entries, const char *message,
	      const char *parent, struct pushpack *pack, char ret_hex[GIT_HEX],
	      json_t **ret_info);

/* git_push.c: HTTP with the login of the Mono server. 0: look at *ret_status. */
int git_http(struct classic *c, const char *url, const char *type,
	     const struct buf *body, struct buf *ret, int *ret_status);
/* http://HOST:PORT. Caller frees. */
char *git_base(const struct classic *c);
/* Where refs/heads/main of the directory is (zeros if nowhere). */
int git_main_of(struct gitjob *j, const char *service, char ret_hex[GIT_HEX]);

#endif
