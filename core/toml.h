/* SPDX-License-Identifier: Apache-2.0 */
/*
 * toml.h - TOML 1.0 text to a JSON value. The only door to C++ (toml.cc, over
 * tomlplusplus); nothing is thrown through it. Any thread.
 */
#ifndef CORE_TOML_H
#define CORE_TOML_H

#include <jansson.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct toml_error {
	unsigned line, column; /* from 1 */
	char reason[256];
};

/* Tables become objects in file order of their keys, dates and times become
 * null (TOML has no null of its own), nan and inf strings. *ret_where maps the
 * RFC 6901 pointer of every value ("/server/base_url", "/mount/0/dir") to
 * line << 16 | column. 0, -EBADMSG with *ret_error filled, or -ENOMEM. The
 * caller owns both results. */
int toml_read(const char *text, size_t n, json_t **ret, json_t **ret_where,
	      struct toml_error *ret_error);

#ifdef __cplusplus
}
#endif
#endif
