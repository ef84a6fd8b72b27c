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

/* git_lfs.c: which files of a mount .gitattributes call files of Git LFS. For one
 * call; the directory asked for last is remembered. */
struct lfsrules;
struct gitlfs {
	struct daemon *daemon;
	const char *top;        /* the mountpoint */
	char *dir;              /* below it, NULL none yet: */
	struct lfsrules *rules; /* those of its files */
};
void gitlfs_done(struct gitlfs *l);
/* Is a path of the mount one? */
int gitlfs_is(struct gitlfs *l, const char *path, bool *ret);

/* What is to be sent of one directory: {"PATH": {"mode", "oid", "base", "kept",
 * "lfs"}}, paths as JSON texts (core/json.h). oid null: removed. base: the id in
 * the revision, null if it had none, absent if that is not looked at. kept: the
 * server has that blob. lfs: the object that it is a pointer to. */
struct gitjob {
	struct classic *classic;
	struct classic_work work;
	struct gitlfs lfs; /* of work.top */
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

/* git_lfs.c. Set the content of a file of Git LFS aside; its pointer, "" if it is
 * to go as it is. */
struct lfsptr;
int gitlfs_keep(struct classic *c, const char *at, struct lfsptr *ret,
		char text[160]);
/* The pointer of a file as it is now; "" as above. */
int gitlfs_pointer(const char *at, char text[160]);
/* The objects of these entries to the LFS server. */
int gitlfs_upload(struct gitjob *j, const json_t *entries);

/* git_content.c: a file or the target of a link, owned. */
int git_read(const char *at, const struct stat *st, char **ret, size_t *ret_n);
/* Blobs as Git has them: of a file of Git LFS, its pointer. Nothing is brought.
 * The id of a file or link in the revision of a mount. -ENOENT, -EISDIR. */
int git_base_id(struct fs *f, const char *top, const char *path,
		char ret_hex[GIT_HEX]);
/* The id of what is at a path of a mount, without reading it: true if the source
 * has that blob. is_lfs: gitlfs_is of it. */
bool git_kept_id(struct fs *f, const char *at, bool is_lfs,
		 char ret_hex[GIT_HEX]);
/* The same of whatever is there now, read where it must be; "" if that is no file
 * or link, or nothing. */
int git_now_id(struct gitlfs *l, const char *path, char ret_hex[GIT_HEX]);
/* A path of the job, from the root of its mount; owned. */
char *gitjob_path(const struct gitjob *j, const char *path);
/* git_base_id of one, as JSON: text, null (there is none), or NULL if that is not
 * told. */
json_t *git_base_of(struct gitjob *j, const char *path);

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
