/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - what the daemon offers to plugins.
 *
 * One table, handed to every plugin and backend instance. It grows at its end;
 * ask SCORPIO_HAS(host, member) before using a member newer than the ABI you
 * require. All functions may be called from any thread unless they say
 * otherwise. A plugin needs no symbol of the daemon, only this table.
 */
#ifndef SCORPIO_HOST_H
#define SCORPIO_HOST_H

#include <stddef.h>
#include <scorpio/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SCORPIO_LOG_ERROR 3u
#define SCORPIO_LOG_WARN 4u
#define SCORPIO_LOG_INFO 6u
#define SCORPIO_LOG_DEBUG 7u

#if defined(__GNUC__)
#define SCORPIO_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SCORPIO_PRINTF(f, a)
#endif

/* One HTTP exchange. Zero-initialise, then fill. Everything is borrowed until
 * http() returns. Callbacks run on the calling thread. */
struct scorpio_http {
	uint32_t struct_size;
	uint32_t flags; /* SCORPIO_HTTP_* */
	const char *method; /* NULL: GET, or POST if there is a body */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-ended; may be NULL */
	const void *body;
	uint64_t body_len;
	/* a streamed request body instead of `body`: fill up to n bytes, return
	 * the count, 0 at the end, or a negative errno; body_len = total, or
	 * SCORPIO_SIZE_UNKNOWN for chunked transfer */
	int64_t (*read_body)(void *ctx, void *buf, uint64_t n);
	/* called once per response header line of the final response */
	int (*on_header)(void *ctx, const char *name, const char *value);
	/* called with the body of a final response as it arrives (also of
	 * error responses; look at *status first); non-zero stops */
	int (*on_data)(void *ctx, const void *data, uint64_t n);
	void *ctx;
	uint32_t timeout_ms; /* for the whole exchange; 0 = configured default */
	uint32_t stall_ms;   /* no byte for this long = -ETIMEDOUT; 0 = default */
	uint64_t max_response; /* bytes; more is -EFBIG; 0 = no limit */
	const char *user, *password; /* Basic auth; NULL = netrc if configured */
	const char *bearer;          /* token for Authorization: Bearer */
	/* answers */
	int32_t status;         /* HTTP status of the final response */
	uint32_t retry_after_s; /* from Retry-After, 0 if absent */
	char effective_url[1024]; /* after redirects */
	/* -- since ABI 1.5 -- */
	/* Asked some ten times a second while the exchange lasts, on the
	 * calling thread; may be NULL. Non-zero ends it with -EINTR. */
	int (*ended)(void *ctx);
};
#define SCORPIO_HTTP_NO_REDIRECT 1u /* give me the 3xx itself */
#define SCORPIO_HTTP_NO_RETRY 2u    /* not idempotent: never send it twice */
/* Since 1.5: no login but what `headers` have; neither the URL's nor netrc's. */
#define SCORPIO_HTTP_NO_LOGIN 4u

/* One child process, no shell. */
struct scorpio_spawn {
	uint32_t struct_size;
	uint32_t flags;
	const char *const *argv; /* NULL-ended; argv[0] searched in PATH */
	const char *const *env;  /* "K=V" added to the daemon's own; may be NULL */
	const char *cwd;         /* NULL: "/" */
	const void *input;       /* written to its stdin, then closed */
	uint64_t input_len;
	int (*on_output)(void *ctx, const void *data, uint64_t n); /* stdout */
	void *ctx;
	uint32_t timeout_ms; /* 0 = configured default; then SIGKILL */
	int32_t exit_status; /* answer: 0..255, or 128 + signal */
	char error[512];     /* answer: the end of its stderr */
};

struct scorpio_config; /* one configuration table, see config_string */

struct scorpio_host {
	uint32_t struct_size;
	uint32_t abi;
	const char *version; /* of the daemon */

	/* Log a line. No secrets: URLs are redacted, headers are not. */
	void (*log)(const struct scorpio_host *h, uint32_t level,
		    const char *fmt, ...) SCORPIO_PRINTF(3, 4);
	/* Set this thread's error text (what, not where) and return `code`. */
	int (*fail)(const struct scorpio_host *h, int code, const char *fmt,
		    ...) SCORPIO_PRINTF(3, 4);
	/* Nonzero when the caller of the current backend call has given up or
	 * its deadline passed. Long loops ask every few milliseconds; http()
	 * and spawn() ask by themselves. */
	int (*cancelled)(const struct scorpio_host *h);

	/* Configuration of this instance. Borrowed until close(). Missing keys
	 * give the default passed. Strings and native values both work. */
	const char *(*config_string)(const struct scorpio_config *c,
				     const char *key, const char *dflt);
	int64_t (*config_int)(const struct scorpio_config *c, const char *key,
			      int64_t dflt);
	int (*config_bool)(const struct scorpio_config *c, const char *key,
			   int dflt);

	/* Perform one HTTP exchange with the daemon's client (connection
	 * reuse, proxies, CA, netrc, deadlines, redirects, metrics, retries of
	 * idempotent requests). 0 = there was a final response, whatever its
	 * status; else a negative errno. */
	int (*http)(const struct scorpio_host *h, struct scorpio_http *x);
	/* Run a program. 0 = it ran and was waited for, look at exit_status;
	 * -ENOENT no such program; -ETIMEDOUT killed at its deadline. */
	int (*spawn)(const struct scorpio_host *h, struct scorpio_spawn *x);
	/* A private directory of this instance on the store's disk, emptied at
	 * daemon start. Borrowed until close(). */
	const char *(*scratch)(const struct scorpio_host *h);
	/* Add to a named counter of this instance, shown in /metrics as
	 * scorpio_backend_<name>_total{source="..."}; name is [a-z_]+ and a
	 * string literal. */
	void (*count)(const struct scorpio_host *h, const char *name,
		      uint64_t n);

	/* Services: tables by name with major version ("secrets/1"). provide()
	 * only inside a plugin's init(); the table must stay valid for ever.
	 * get() returns NULL if nobody offers it or the offered table is
	 * smaller than `size`. */
	int (*service_provide)(const struct scorpio_host *h, const char *name,
			       const void *table, size_t size);
	const void *(*service_get)(const struct scorpio_host *h,
				   const char *name, size_t size);

	/* -- since ABI 1.1 -- */

	/* What the call that returned `code` said about it; without that, what
	 * the errno means. Of this thread, until its next failing call. */
	const char *(*error_text)(const struct scorpio_host *h, int code);

	/* -- since ABI 1.2 -- */

	/* Small facts that outlive the daemon, kept in the store beside the
	 * objects of the instance's id space and shared by all instances of
	 * it: who loses the objects loses the facts. name: [a-z0-9./-], at
	 * most 100. remember() takes at most 32 KiB (n 0 forgets) and returns
	 * when they are on their way to the disk (milliseconds); recall()
	 * returns the length and fills buf up to cap, -ENOENT if there is no
	 * such fact (microseconds). -ENOTSUP without a store, and inside
	 * open(). */
	int (*remember)(const struct scorpio_host *h, const char *name,
			const void *p, size_t n);
	int64_t (*recall)(const struct scorpio_host *h, const char *name,
			  void *buf, size_t cap);
};

#define SCORPIO_HAS(table, member)                                             \
	((table)->struct_size >= offsetof(struct scorpio_host, member) +       \
					 sizeof((table)->member))

#ifdef __cplusplus
}
#endif
#endif
