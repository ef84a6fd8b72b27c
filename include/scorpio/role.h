/* SPDX-License-Identifier: Apache-2.0 */
/*
 * role.h - what a role is, and the services of the daemon that roles use.
 *
 * A role is the part of a plugin that uses sources instead of being one: a
 * server, a worker, a builder. The daemon starts it once it serves, if its
 * section of the configuration says `enabled = true`, and stops it before the
 * mounts go. A role that fails to start is an error line, not the end of the
 * daemon.
 *
 * Services are tables that scorpio_host.service_get() finds by name. They grow
 * at their end: ask for the size you were compiled with. Their functions may be
 * called from any thread unless they say otherwise, and return negative errno
 * values with a text, see scorpio_host.error_text.
 * Since ABI 1.1.
 */
#ifndef SCORPIO_ROLE_H
#define SCORPIO_ROLE_H

#include <scorpio/host.h>
#include <scorpio/types.h>
#include <scorpio/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct scorpio_role {
	uint32_t struct_size;
	uint32_t abi;
	const char *name;    /* [a-z][a-z0-9]*, also its configuration section */
	const char *summary; /* one line for `scorpio plugin list` */
	/* On the main thread; must return within seconds: slow work belongs to
	 * threads of the role. On failure nothing is left behind. */
	int (*start)(const struct scorpio_host *host,
		     const struct scorpio_config *config, void **ret_self);
	/* Ends everything the role began, within 20 s. Never called for a role
	 * that did not start. */
	void (*stop)(void *self);
};

#define SCORPIO_ROLE_HEAD                                                      \
	.struct_size = sizeof(struct scorpio_role), .abi = SCORPIO_ABI

/* -- HTTP servers of roles ---------------------------------------------------- */

#define SCORPIO_HTTP_SERVICE "httpserver/1"

struct scorpio_server;  /* one listening address */
struct scorpio_request; /* valid until its handler returns */

#define SCORPIO_ROUTE_READS 1u /* changes nothing although it is a POST */
/* since ABI 1.3 */
#define SCORPIO_ROUTE_OPEN 2u   /* the role decides who may ask: no token of
				 * the server's, under any name of the host */
#define SCORPIO_ROUTE_UPLOAD 4u /* the body goes to a file, see body_fd() */

struct scorpio_route {
	const char *method;  /* "GET" also answers HEAD; NULL ends a table */
	const char *pattern; /* "/literal/{param}"; a parameter takes one
			      * segment, literals win over parameters. Since
			      * ABI 1.3: "/{*param}/literal" at the start takes
			      * one segment or more, "a/b" */
	/* Runs on the connection's thread and may block; host->cancelled()
	 * says when the server stops. Calls one reply function and returns 0,
	 * or returns a negative errno, which becomes an error answer. */
	int (*run)(void *ctx, struct scorpio_request *r);
	uint32_t flags; /* SCORPIO_ROUTE_* */
	uint32_t reserved;
};

struct scorpio_serve {
	uint32_t struct_size;
	uint32_t flags; /* SCORPIO_SERVE_* */
	const char *address; /* "127.0.0.1:8000"; port 0 = any free one */
	const char *token;   /* bearer token that others than loopback need */
	const struct scorpio_route *routes; /* borrowed until close */
	void *ctx;                          /* given to every handler */
	/* since ABI 1.3, for SCORPIO_ROUTE_UPLOAD */
	const char *upload_dir; /* where bodies are kept meanwhile; copied */
	uint64_t upload_max;    /* bytes of one; more is answered with 413 */
};
#define SCORPIO_SERVE_INSECURE 1u /* open beyond loopback without a token */

/* An answer's body, produced while it is sent. */
struct scorpio_body {
	uint32_t struct_size;
	uint32_t reserved;
	uint64_t size; /* bytes, or SCORPIO_SIZE_UNKNOWN: chunked */
	/* Fill up to n bytes from position pos: the count, 0 at the end, or a
	 * negative errno, which cuts the connection so that the client sees a
	 * broken answer, never a short one. On the connection's thread. */
	int64_t (*read)(void *ctx, uint64_t pos, void *buf, uint64_t n);
	void (*done)(void *ctx); /* always called, once */
	void *ctx;
	/* -- since ABI 1.5 -- */
	uint64_t from; /* what read() is told beyond the position: where the
			* part that is sent begins */
};

/* The part of a content that a request wants (RFC 9110, section 14). */
struct scorpio_range {
	uint64_t from, n;
	int status;    /* 200: all of it; 206; 416: nothing is there */
	char line[84]; /* the header of 206 and 416: "Content-Range: ..." */
};

struct scorpio_http_service {
	uint32_t struct_size;
	uint32_t reserved;

	/* Bind and serve. -EADDRINUSE, -EINVAL not an address, -EPERM not a
	 * loopback address and neither token nor SCORPIO_SERVE_INSECURE. */
	int (*open)(const struct scorpio_host *h,
		    const struct scorpio_serve *x,
		    struct scorpio_server **ret);
	/* "127.0.0.1:8000", with the port that was taken. */
	const char *(*address)(const struct scorpio_server *s);
	/* Waits for running handlers, up to 20 s. NULL is fine. */
	void (*close)(struct scorpio_server *s);

	/* What was asked; borrowed until the handler returns. */
	const char *(*method)(const struct scorpio_request *r);
	const char *(*param)(const struct scorpio_request *r, const char *name);
	const char *(*query)(const struct scorpio_request *r, const char *name,
			     const char *dflt);
	const char *(*header)(const struct scorpio_request *r,
			      const char *name); /* NULL if absent */
	const void *(*body)(const struct scorpio_request *r, uint64_t *ret_n);

	/* headers: "Name: value", NULL-ended, or NULL. Data is copied. HEAD
	 * sends the headers alone. */
	int (*reply)(struct scorpio_request *r, int status,
		     const char *const *headers, const void *data, uint64_t n);
	int (*reply_body)(struct scorpio_request *r, int status,
			  const char *const *headers,
			  const struct scorpio_body *body);

	/* -- since ABI 1.3 -- */

	/* The body of an upload: a file without a name in upload_dir, readable,
	 * of *ret_n bytes. Borrowed until the handler returns; linkat() gives it
	 * a name. -1: there was no body. */
	int (*body_fd)(const struct scorpio_request *r, uint64_t *ret_n);
	/* n bytes of a file from offset; the descriptor is duplicated. */
	int (*reply_file)(struct scorpio_request *r, int status,
			  const char *const *headers, int fd, uint64_t offset,
			  uint64_t n);

	/* -- since ABI 1.4 -- */

	/* What of `size` bytes the Range header wants. Several parts, something
	 * malformed and If-Range (who asks may hold another content) are
	 * answered with all of it. */
	void (*range)(const struct scorpio_request *r, uint64_t size,
		      struct scorpio_range *ret);
};

/* -- sources and the store ------------------------------------------------------ */

#define SCORPIO_SOURCES_SERVICE "sources/1"

struct scorpio_source; /* an opened source; shared with mounts of its URL */

struct scorpio_blob { /* what is known of a file in the store */
	uint64_t size;
	uint8_t sha256[32], sha1[20];
	uint8_t reserved[4];
};

#define SCORPIO_LIST_SIZES 1u /* bring the sizes of all files first */

/* All that wait take a limit in milliseconds; when it has passed the answer is
 * -ETIMEDOUT, and the work goes on for the next who asks. */
struct scorpio_sources_service {
	uint32_t struct_size;
	uint32_t reserved;

	/* No network traffic. -EINVAL: no backend takes the URL. */
	int (*open)(const struct scorpio_host *h, const char *url,
		    struct scorpio_source **ret);
	void (*close)(struct scorpio_source *s); /* NULL is fine */
	uint32_t (*id_kind)(const struct scorpio_source *s); /* SCORPIO_ID_* */
	const char *(*shown)(const struct scorpio_source *s); /* redacted URL */

	/* As scorpio_backend.resolve. */
	int (*resolve)(struct scorpio_source *s, const char *spec,
		       uint32_t timeout_ms, struct scorpio_revision *ret);
	/* The children of a tree, sorted by name bytes. Names are valid during
	 * emit; its nonzero return stops and is returned. Sizes that the store
	 * knows are told, others are SCORPIO_SIZE_UNKNOWN. */
	int (*list)(struct scorpio_source *s, const struct scorpio_ref *tree,
		    uint32_t flags, uint32_t timeout_ms,
		    int (*emit)(void *ctx, const struct scorpio_entry *e),
		    void *ctx);
	/* Bring a file's content into the store, verified. */
	int (*need)(struct scorpio_source *s, const struct scorpio_ref *file,
		    uint32_t timeout_ms, struct scorpio_blob *ret);
	/* Read what need() brought: the count, 0 past the end; brings it anew
	 * if it was evicted meanwhile. */
	int64_t (*read)(struct scorpio_source *s,
			const struct scorpio_ref *file, uint64_t offset,
			void *buf, uint64_t n, uint32_t timeout_ms);
};

#ifdef __cplusplus
}
#endif
#endif
