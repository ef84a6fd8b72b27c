/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git_server.h - tests/lib/git_http_server.py for unit tests: start it on the
 * repositories of a directory, ask what it saw, tell it to misbehave. It ends
 * with the process that started it. One thread.
 */
#ifndef TESTS_LIB_GIT_SERVER_H
#define TESTS_LIB_GIT_SERVER_H

#include "core/base.h"

struct git_server {
	pid_t pid;
	int stdin_fd; /* it ends when this is closed */
	int port;
};

/* Aborts the test if it does not start. */
void git_server_start(struct git_server *g, const char *root);
void git_server_stop(struct git_server *g);
/* "http://127.0.0.1:PORT/path"; the caller frees. */
char *git_server_url(const struct git_server *g, const char *path);
void git_server_reset(const struct git_server *g);
/* A fault as JSON, see the script. */
void git_server_fault(const struct git_server *g, const char *fmt, ...)
	PRINTF(2, 3);
/* A number of /-/stats, e.g. "requests", "post", "wants", "bytes_out". */
long git_server_count(const struct git_server *g, const char *key);

#endif
