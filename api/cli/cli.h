/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the command line: one table of commands, one file per command (or
 * family). A command gets its arguments parsed and the global options read;
 * most then talk HTTP to the daemon over the unix socket that belongs to the
 * configuration's store.
 *
 * Results go to stdout, everything else to stderr. An error is three lines:
 * what failed, why, what to do. One thread.
 */
#ifndef API_CLI_CLI_H
#define API_CLI_CLI_H

#include <argp.h>

#include "api/daemon.h"
#include "core/json.h"

#define CLI_ARGS_MAX 64
#define CLI_FILES_MAX 16

struct cli_command;

struct cli {
	const struct cli_command *command;
	/* global options */
	const char *files[CLI_FILES_MAX + 1];
	size_t n_files;
	const char *overrides[CLI_ARGS_MAX + 1]; /* "key=value" */
	size_t n_overrides;
	bool json, quiet, help, version;
	bool warned; /* who started this one has told of the configuration */
	char **args; /* operands */
	int n_args;
	int stopped_at; /* where parsing failed */
	/* set by cli_config */
	struct config *config;
	const char *socket; /* of the daemon */
	struct config_options config_options;
	struct buf problems;
	bool no_default_files;
	void *owned[2 * CLI_ARGS_MAX]; /* freed at the end */
	size_t n_owned;
};

struct cli_command {
	const char *name;
	const char *args;    /* "SOURCE DIR", for the usage line */
	const char *verbs;   /* first operands known, "du gc": completions */
	const char *summary; /* one line */
	const char *help;    /* more paragraphs, or NULL */
	int min_args, max_args; /* max -1: any number */
	bool hidden;         /* not in the overview */
	const struct argp_option *options; /* ended by {0}; or NULL */
	/* Called for each own option; the value may be kept. 0 or EINVAL. */
	int (*option)(struct cli *c, int key, const char *value);
	int (*run)(struct cli *c); /* the exit code */
};

/* commands.c: NULL-ended */
extern const struct cli_command *const cli_commands[];
/* Which program this is, by the name it was called: a link named "antares" has
 * upstream's commands of that name. Before anything else. */
void cli_called_as(const char *argv0);
bool cli_is_antares(void);
/* The commands of this program. */
const struct cli_command *const *cli_table(void);
const struct cli_command *cli_find(const char *name);
/* main.c: the options every command takes */
extern const struct argp_option cli_global_options[];

/* -- errors --------------------------------------------------------------------- */

/* Print the three lines (why or advice may be NULL); returns exit_code. */
int cli_error(int exit_code, const char *why, const char *advice,
	      const char *what_fmt, ...) PRINTF(4, 5);
int cli_problem(const struct daemon_problem *p);
/* why = error_text(err); the exit code from the errno if exit_code is -1. */
int cli_errno(int err, int exit_code, const char *advice,
	      const char *what_fmt, ...) PRINTF(4, 5);
int cli_usage(const struct cli *c, const char *fmt, ...) PRINTF(2, 3);

/* -- configuration ---------------------------------------------------------------- */

/* Load it into c->config. 0, or the exit code after the problems were printed.
 * Logging is set up so that only warnings and errors are shown. */
int cli_config(struct cli *c);
void cli_override(struct cli *c, const char *key_value); /* borrowed */
/* Free it when the program ends; returns it. */
void *cli_own(struct cli *c, void *p /* takes */);
void cli_done(struct cli *c);

/* -- talking to the daemon ----------------------------------------------------------- */

/* 0 and the JSON answer of a 2xx. Otherwise a negative errno: -ENOTCONN no
 * daemon runs for this store; others with the daemon's text. *ret_code: the
 * daemon's word ("NOT_FOUND"), "" if none; static or until the next call.
 * body (takes) may be NULL. */
int cli_call(struct cli *c, const char *method, const char *path,
	     json_t *body, json_t **ret, const char **ret_code);
/* The same for answers that come line by line; fn may return nonzero to stop
 * (then that value is returned). An error line ends it like an error answer. */
int cli_stream(struct cli *c, const char *method, const char *path,
	       json_t *body, int (*fn)(void *ctx, const json_t *line),
	       void *ctx, const char **ret_code);
/* GET what is no JSON: the bytes are appended to *ret. */
int cli_download(struct cli *c, const char *path, struct buf *ret,
		 const char **ret_code);
/* cli_call, printing what went wrong. The exit code. */
int cli_get(struct cli *c, const char *method, const char *path, json_t *body,
	    const char *what, json_t **ret);
/* Three lines for a failed cli_call or cli_stream. */
int cli_call_failed(struct cli *c, int err, const char *code,
		    const char *what_fmt, ...) PRINTF(4, 5);
bool cli_daemon_runs(struct cli *c);
/* Start one in the background if none runs. The exit code. */
int cli_need_daemon(struct cli *c);

/* -- output ---------------------------------------------------------------------------- */

void cli_print_json(const json_t *v); /* pretty, on stdout */
bool cli_color(FILE *f);
/* "1.5 GiB"; "12.3 ms"; into buf, returned. */
const char *cli_bytes(uint64_t n, char buf[24]);
const char *cli_span(int64_t ns, char buf[24]);
const char *cli_text(const json_t *v, const char *key); /* "" if absent */
/* A path as given -> absolute, without links and ".." in its directory part;
 * the last name stays what it is. Caller frees. */
char *cli_absolute(const char *path);
/* The same, following a link at the end: where a mount would be. */
char *cli_mountpoint(const char *path);

/* Columns of text, widths from the content. Cells are copied. */
struct cli_table {
	unsigned columns;
	const char *const *heads;
	const char *align; /* one 'l' or 'r' per column */
	char **cells;
	size_t n;
};
void cli_table_add(struct cli_table *t, ...); /* `columns` texts */
void cli_table_print(struct cli_table *t);    /* and frees */

/* A bar on stderr, only on a terminal and without --quiet or --json. */
struct cli_bar {
	bool shown, on;
	int64_t last_ns, started_ns;
};
void cli_bar_init(struct cli_bar *b, const struct cli *c);
/* total 0 = not known. */
void cli_bar_set(struct cli_bar *b, uint64_t done, uint64_t total,
		 const char *text);
void cli_bar_end(struct cli_bar *b);

#endif
