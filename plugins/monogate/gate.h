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
#include <scorpio/backend.h>
#include <scorpio/role.h>
#include <stdbool.h>

#define GATE_OID 20u
#define GATE_HEX 40u
#define GATE_TIMEOUT_MS 60000u
#define GATE_PATH_MAX 8192u

struct gate {
	const struct scorpio_host *host;
	const struct scorpio_http_service *http;
	const struct scorpio_sources_service *sources;
	struct scorpio_source *source;
	struct scorpio_server *server;
	bool cl_from_parent; /* a change list is what its commit changed */
	const char *cl_prefix;
};

/* -- reply.c: answers --------------------------------------------------------- */

/* {"req_result":true,"data":DATA,"err_message":""}. Takes data. */
int gate_data(struct gate *g, struct scorpio_request *r, json_t *data);
int gate_json(struct gate *g, struct scorpio_request *r, int status,
	      json_t *v);
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
int gate_resolve(struct gate *g, const char *refs,
		 struct scorpio_revision *ret);
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
/* commit.c */
int gate_latest_commit(void *ctx, struct scorpio_request *r);
int gate_status(void *ctx, struct scorpio_request *r);
/* cl.c */
int gate_cl_files(void *ctx, struct scorpio_request *r);
int gate_cl_detail(void *ctx, struct scorpio_request *r);

#endif
