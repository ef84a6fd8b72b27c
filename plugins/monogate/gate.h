/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.h - the read API of a Mono server over any source with Git object ids,
 * so that one daemon can stand between many clients and a far server, and so
 * that a plain Git repository can be used with the whole tool chain.
 *
 * Beyond the API, entries of tree/content-hash carry "mode" (octal text as in
 * Git) and "size" (bytes), file/tree takes `refs`, and file/tree with an `oid`
 * answers for that tree wherever it is.
 */
#ifndef MONOGATE_GATE_H
#define MONOGATE_GATE_H

#include <jansson.h>
#include <pthread.h>
#include <scorpio/backend.h>
#include <scorpio/bytes.h>
#include <scorpio/role.h>
#include <stdbool.h>

#define GATE_OID 20u
#define GATE_HEX 40u
#define GATE_TIMEOUT_MS 60000u
#define GATE_PATH_MAX 8192u
#define GATE_GIT_OUTPUT_MAX (64u << 20)
#define GATE_RELAY_MS 3600000u /* a clone of another server's */
#define GATE_STALL_MS 120000u
#define GATE_UPLOAD_MAX 10737418240 /* bytes of one body */

enum gate_kind {
	GATE_OTHER, /* trees and files are all there is */
	GATE_LOCAL, /* a repository of this machine */
	GATE_GIT,   /* behind Git's smart HTTP */
	GATE_MONO,  /* another Mono server, or gateway */
};

struct gate_lfs; /* lfs.h */
struct gate_known;
struct gate_mirror;

struct gate {
	const struct scorpio_host *host;
	const struct scorpio_http_service *http;
	const struct scorpio_sources_service *sources;
	struct scorpio_source *source;
	struct scorpio_server *server;
	bool cl_from_parent; /* a change list is what its commit changed */
	const char *cl_prefix;
	struct gate_origin {
		enum gate_kind kind;
		char *at; /* owned: its Git directory, or its address */
	} origin;
	const char *scratch;    /* a directory, emptied at each start */
	const char *push_token; /* NULL: nobody pushes */
	bool has_token;         /* clients send one of ours */
	struct gate_lfs *lfs;
	struct gate_known *known;
	struct gate_mirror *mirror; /* NULL: origin.kind is not GATE_GIT */
	struct { /* relay.c */
		pthread_mutex_t lock;
		pthread_cond_t ended;
		unsigned n; /* lock: those that run */
	} relays;
};

/* monogate.c: a condition whose waits end by CLOCK_MONOTONIC. */
void gate_cond_init(pthread_cond_t *c);

/* -- reply.c: answers --------------------------------------------------------- */

/* {"req_result":true,"data":DATA,"err_message":""}. Takes data. */
int gate_data(struct gate *g, struct scorpio_request *r, json_t *data);
int gate_json(struct gate *g, struct scorpio_request *r, int status,
	      json_t *v);
/* A line for people who look at a git client's terminal. */
int gate_text(struct gate *g, struct scorpio_request *r, int status,
	      const char *text);
int gate_status_of(int err); /* 404, 502, ... */
/* The envelope of a failure, with the status that fits the errno. */
int gate_error(struct gate *g, struct scorpio_request *r, int err);
void gate_hex(const struct scorpio_id *id, char ret[2 * SCORPIO_ID_MAX + 1]);
bool gate_unhex(const char *hex, struct scorpio_id *ret);

/* -- place.c: which tree a request means ---------------------------------------- */

struct gate_place {
	struct scorpio_revision rev;
	struct scorpio_ref dir; /* path points into `path` */
	char path[GATE_PATH_MAX];
};

/* ?path=/a/b&refs=R. -ENOENT: no such path in that revision (or not a
 * directory); -EINVAL a malformed path; failures of the source. *ret_rev_ok
 * tells an unknown path from an unknown revision. */
int gate_find(struct gate *g, const struct scorpio_request *r,
	      struct gate_place *ret, bool *ret_rev_ok);
/* The same for given texts; refs "" is the default revision. */
int gate_walk(struct gate *g, const char *path, const char *refs,
	      struct gate_place *ret, bool *ret_rev_ok);
/* known.c: -ENOENT no such revision. A commit by its id is asked once; when the
 * source is away a name means what it meant last. */
int gate_known_new(struct gate *g);
void gate_known_free(struct gate *g); /* twice is fine */
int gate_resolve(struct gate *g, const char *refs,
		 struct scorpio_revision *ret);
/* What git said of a commit; to be freed, NULL: it was not asked lately. */
char *gate_known_words(struct gate *g, const char *commit);
void gate_known_keep_words(struct gate *g, const char *commit,
			   const char *words);
/* One child of a directory. */
int gate_child(struct gate *g, const struct scorpio_ref *dir, const char *name,
	       size_t len, struct scorpio_entry *ret);

/* A directory's children, copied. */
struct gate_children {
	struct gate_entry {
		struct scorpio_entry e; /* e.name is `name` */
		char *name;             /* owned */
	} *at; /* sorted by name bytes */
	size_t n, cap;
};
int gate_children_get(struct gate *g, const struct scorpio_ref *dir,
		      struct gate_children *ret);
void gate_children_done(struct gate_children *l);
/* "100644", "40000"...: as in a Git tree. */
const char *gate_mode(const struct scorpio_entry *e);

/* -- origin.c: the place behind the source ---------------------------------------- */

int gate_origin_find(struct gate *g, const char *url);
void gate_origin_done(struct gate *g);
extern const char *const gate_git_env[]; /* for every git that is run */
/* Run git; up to GATE_GIT_OUTPUT_MAX bytes of output, NUL behind them, to be
 * freed. -EIO with its words when it fails. */
int gate_git(struct gate *g, const char *const *argv, char **ret,
	     size_t *ret_len);
/* The same in pieces; `each` ends it with a nonzero value, which is returned. */
int gate_git_each(struct gate *g, const char *const *argv,
		  int (*each)(void *ctx, const void *data, uint64_t n),
		  void *ctx);
/* mirror.c: a Git directory for questions of history: the repository of this machine,
 * or what was fetched of the one behind. Blocks while it is fetched, the first time
 * for as long as that takes, one at a time; -EAGAIN: another's fetch goes on. */
int gate_mirror_new(struct gate *g);
void gate_mirror_free(struct gate *g); /* twice is fine */
bool gate_has_history(const struct gate *g);
int gate_history_refs(struct gate *g, const char **ret_dir); /* as they are now */
int gate_history_of(struct gate *g, const char *commit, const char **ret_dir);
/* Without asking anybody. */
bool gate_history_known(struct gate *g, const char *commit,
			const char **ret_dir);
/* forward.c: answer with what the Mono server behind answers to the same call,
 * "cl/{link}/detail" with the request's link. */
int gate_forward(struct gate *g, struct scorpio_request *r, const char *call);
/* part.c: a bare repository of the directory `path` (no slash in front), below
 * scratch. -ENOENT: no such directory. */
int gate_part(struct gate *g, const char *path, char *ret, size_t cap);
/* smart.c: is that directory ("" the root) one to clone? */
bool gate_can_clone(const struct gate *g, const char *path);
/* "a/b.git" -> "a/b", ".git" and NULL -> "": which directory is the repository */
void gate_repo_path(const char *at, char ret[GATE_PATH_MAX]);
/* access.c: has the request the token that a push needs? ret_user, of cap bytes,
 * is the name that its login gives, "token" if there is none; cap 0: never mind. */
bool gate_pusher(struct gate *g, const struct scorpio_request *r, char *ret_user,
		 size_t cap);
/* The client's login where it is for the server behind, and not for us; or NULL. */
const char *gate_login(struct gate *g, const struct scorpio_request *r);
/* The same for writing. The gateway's own login is for who has the push token;
 * "": none at all. */
const char *gate_writer(struct gate *g, const struct scorpio_request *r);
/* May its writing be passed on? The server behind decides what its users may; where
 * clients send our token it sees the gateway's own login, if there is one, and that
 * is for who has the push token. */
bool gate_may_write_far(struct gate *g, const struct scorpio_request *r);

/* -- the routes, ctx is the gate ------------------------------------------------- */

/* tree.c */
int gate_content_hash(void *ctx, struct scorpio_request *r);
int gate_dir_hash(void *ctx, struct scorpio_request *r);
int gate_tree(void *ctx, struct scorpio_request *r);
int gate_path_can_clone(void *ctx, struct scorpio_request *r);
/* raw.c */
int gate_file_tree(void *ctx, struct scorpio_request *r);
int gate_file_blob(void *ctx, struct scorpio_request *r);
int gate_blob(void *ctx, struct scorpio_request *r);
/* history.c */
int gate_commit_info(void *ctx, struct scorpio_request *r);
int gate_latest_commit(void *ctx, struct scorpio_request *r);
int gate_status(void *ctx, struct scorpio_request *r);
/* cl.c */
int gate_cl_files(void *ctx, struct scorpio_request *r);
int gate_cl_detail(void *ctx, struct scorpio_request *r);
/* What the refs of change lists begin with; where two name the same link, the
 * first counts. */
#define GATE_CL_PREFIXES 3
#define GATE_PREFIX_CAP 520
void gate_cl_prefixes(const struct gate *g,
		      char ret[GATE_CL_PREFIXES][GATE_PREFIX_CAP]);
/* list.c */
int gate_cl_list(void *ctx, struct scorpio_request *r);
/* smart.c */
int gate_info_refs(void *ctx, struct scorpio_request *r);
int gate_upload_pack(void *ctx, struct scorpio_request *r);
int gate_receive_pack(void *ctx, struct scorpio_request *r);
/* lfslocks.c */
int gate_lfs_locks(void *ctx, struct scorpio_request *r);
int gate_lfs_lock(void *ctx, struct scorpio_request *r);
int gate_lfs_verify(void *ctx, struct scorpio_request *r);
int gate_lfs_unlock(void *ctx, struct scorpio_request *r);
/* lfs.c, objects.c */
int gate_lfs_batch(void *ctx, struct scorpio_request *r);
int gate_lfs_get(void *ctx, struct scorpio_request *r);
int gate_lfs_put(void *ctx, struct scorpio_request *r);
/* dir: where objects are kept, NULL: with the source, or for this run; upstream:
 * the LFS server behind, NULL: as the source's address has it. */
int gate_lfs_open(struct gate *g, const char *dir, const char *upstream);
void gate_lfs_close(struct gate *g); /* ends transfers */

#endif
