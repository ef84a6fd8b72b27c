/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - the configuration: one table of keys, four places they come from.
 *
 * Precedence: command line > environment > file (section form) > file (flat
 * form) > default. Values in the file are TOML strings or native ones; a value
 * of blanks only counts as unset. All problems of a file and of the environment
 * are collected and reported together as "file:line:column: reason".
 *
 * A loaded configuration never changes, so any thread reads it without a lock;
 * returned texts live as long as the configuration. A key that is not in the
 * table is our own mistake (assert): ask by "section.key" or the flat name.
 * A lookup compares about seventy names: not for hot paths.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "core/buf.h"

enum config_type {
	CONFIG_STRING,
	CONFIG_PATH,     /* "~/", <user>, <cache> expanded; made absolute */
	CONFIG_URL,      /* http:// or https:// */
	CONFIG_INT,
	CONFIG_SIZE,     /* bytes: "20GiB", "64K", "1.5GB", 4096 */
	CONFIG_DURATION, /* milliseconds: "500ms", "30s", "5m", "2h", "1d" */
	CONFIG_BOOL,     /* true/false, also yes/no, on/off, 1/0 */
	CONFIG_ENUM,     /* one of the words in `values` */
	CONFIG_LIST,     /* TOML array of strings, or one string with commas */
	CONFIG_SECRET,   /* a string shown as "********" */
};

#define CONFIG_UNTRUSTED 1u /* refused in a file that was only found in the
			     * working directory, not named by anybody */
#define CONFIG_UPSTREAM 2u  /* kept for compatibility with upstream's file */

struct config_key {
	const char *name;   /* "server.base_url"; "offline" has no section */
	const char *flat;   /* upstream's top-level name; NULL if none */
	enum config_type type;
	const char *dflt;   /* in the form a file would hold; NULL = unset */
	int64_t min, max;   /* CONFIG_INT, _SIZE (bytes), _DURATION (ms) */
	const char *values; /* CONFIG_ENUM: "auto|true|false" */
	const char *unit;   /* of a bare number: "bytes", "s", ...; or NULL */
	const char *env;    /* environment names in order, space-separated; "*"
			     * stands for SCORPIO_<FLAT> and then
			     * SCORPIO_<SECTION>_<KEY>; NULL is "*" */
	unsigned flags;
	const char *doc;    /* one line */
};

/* The table, ordered by section as in the template. */
extern const struct config_key config_keys[];
extern const size_t config_keys_count;

enum config_origin {
	CONFIG_DEFAULT,
	CONFIG_FILE,
	CONFIG_ENV,
	CONFIG_CLI,
};

struct config;

struct config_options {
	/* -c in the order given; the last one is read. NULL-ended or NULL. A
	 * named file that does not exist is an error. Without it: the file
	 * $SCORPIO_CONFIG (must exist), else the first that exists of
	 * ./scorpio.toml (if owned by us or root and not writable by others),
	 * $XDG_CONFIG_HOME/scorpio/scorpio.toml, /etc/scorpio/scorpio.toml. */
	const char *const *files;
	/* Command line: "http_addr=...", "server.socket=..." (either name),
	 * NULL-ended or NULL. */
	const char *const *overrides;
	/* Environment; NULL: the process's own. NULL-ended "K=V". */
	const char *const *env;
	bool no_default_files; /* only `files`; for tests and `try` */
	/* Every problem and every warning, one line each, may be NULL. */
	struct buf *problems, *warnings;
};

/* -EINVAL: something is wrong, the error text holds the first problem and how
 * many more there are, o->problems all. Other errnos: the file could not be
 * read. The result is counted: config_put frees at the last. */
int config_load(const struct config_options *o, struct config **ret);
/* The same from a text in memory (fuzzing, tests). */
int config_parse(const char *text, size_t n, const char *name,
		 const struct config_options *o, struct config **ret);
struct config *config_get(struct config *c);
void config_put(struct config *c);
/* The file that was read, or NULL. */
const char *config_path(const struct config *c);

/* NULL if unset and without default. Any type; sizes and durations give the
 * text as written, paths the expanded one. */
const char *config_string(const struct config *c, const char *key);
/* CONFIG_INT, CONFIG_SIZE in bytes, CONFIG_DURATION in milliseconds. -1 if
 * unset and without default. */
int64_t config_int(const struct config *c, const char *key);
bool config_bool(const struct config *c, const char *key);
/* CONFIG_LIST: the number of items; *ret is NULL-ended. */
size_t config_list(const struct config *c, const char *key,
		   const char *const **ret);
bool config_is_set(const struct config *c, const char *key); /* not default */
enum config_origin config_origin(const struct config *c, const char *key);
/* "command line", "environment SCORPIO_X", "/etc/x.toml:12", "default";
 * borrowed. */
const char *config_origin_text(const struct config *c, const char *key);
/* The position in config_keys of either name, or -1. */
int config_find(const char *key);

/* Where the daemon of this configuration listens: server.socket, else
 * <store_path>/scorpio.sock, else (path too long for a socket address)
 * /tmp/scorpio-<uid>/<hash of store_path>.sock. Caller frees. */
char *config_socket(const struct config *c);
/* The bearer token from server.token or server.token_file; NULL if neither.
 * Caller frees. -errno with a text if the file cannot be read. */
int config_token(const struct config *c, char **ret);

/* -- [source.NAME]: settings of one source -- */
struct config_source;
/* NULL if there is none. By URL: the longest `url` that equals it or is a
 * parent of it ("https://host/group" covers "git+https://host/group/x"; the
 * part before '+' may be left out in the file). */
const struct config_source *config_source_by_name(const struct config *c,
						  const char *name);
const struct config_source *config_source_by_url(const struct config *c,
						 const char *url);
const char *config_source_name(const struct config_source *s);
const char *config_source_url(const struct config_source *s); /* may be NULL */
void config_source_each(const struct config *c,
			void (*fn)(void *ctx, const struct config_source *s),
			void *ctx);

/* What one backend instance sees: its [source.NAME] table (may be NULL), then
 * the section of its backend ("git": key "header" gives git.header, also of
 * sections that are not in the table), then "section.key" of the whole table if
 * the key has a dot. Defaults and secrets included; NULL if nothing is set.
 * Fits host_options.get with ctx = the view. The view borrows from `config`. */
struct config_view {
	const struct config *config;
	const struct config_source *source;
	const char *backend; /* section; may be NULL */
};
const char *config_view_get(void *view, const char *key);

/* -- [[mount]]: mounts made at start -- */
struct config_mount {
	const char *source, *dir; /* always set; dir absolute */
	const char *rev, *subdir; /* NULL if not set */
	bool ro;
	unsigned line; /* for error texts */
};
size_t config_mounts(const struct config *c, const struct config_mount **ret);

/* -- showing -- */
/* Every key as TOML in section form, secrets hidden; with `origin` a comment
 * behind each line. What it prints loads again (apart from secrets). */
void config_show(const struct config *c, bool origin, struct buf *out);
/* The text of scorpio.toml.template: every key as a comment with its default,
 * unit and meaning. */
void config_template(struct buf *out);
/* Value as shown: NULL if unset, "********" for a set secret, URLs without
 * credentials. buf is used where needed. */
const char *config_shown(const struct config *c, const char *key, char *buf,
			 size_t cap);

/* -- parsers shared with others; false = not understood -- */
bool config_parse_bool(const char *s, bool *ret);
bool config_parse_size(const char *s, int64_t *ret);      /* bytes */
/* Bare numbers are in `unit` ("ms", "s"); milliseconds. */
bool config_parse_duration(const char *s, const char *unit, int64_t *ret);

#endif
