/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common.h - what all files of the mono backend share: the instance, ids,
 * error helpers. Only the public headers, jansson and libcrypto are used.
 */
#ifndef BACKENDS_MONO_COMMON_H
#define BACKENDS_MONO_COMMON_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <scorpio/backend.h>

#define MONO_OID 20u              /* bytes of a SHA-1 */
#define MONO_HEX (2u * MONO_OID)
#define MONO_LIST_MAX (256u << 20) /* bytes of one listing */

struct monoauth;
struct monocommits;
struct monolayers;

/* One instance. Immutable after open() but for what its parts lock and the
 * atomic flags, which remember what the server turned out to offer. */
struct mono {
	const struct scorpio_host *host;
	const struct scorpio_config *config; /* borrowed until close */
	char *api;    /* "http://host:8000/api/v1" */
	char *shown;  /* the same without login, for texts */
	char *import; /* "/third-party"; "" = no such directory */
	struct monoauth *auth;
	struct monocommits *commits;
	struct monolayers *layers;
	int extras;   /* atomic: listings tell modes */
	int size_way; /* atomic: see blob.c */
	int met;      /* atomic: the server has answered since the start */
};

#define monofail(m, code, ...) ((m)->host->fail((m)->host, (code), __VA_ARGS__))
#define monolog(m, level, ...) ((m)->host->log((m)->host, (level), __VA_ARGS__))

/* These end a call; other failures concern one object. */
static inline bool monorc_stops(int code)
{
	return code == -EINTR || code == -ETIMEDOUT;
}

static inline void monofree(void *p)
{
	free(*(void **)p);
}
#define auto_free __attribute__((cleanup(monofree)))

static inline struct scorpio_id monoid_git(const uint8_t oid[MONO_OID])
{
	struct scorpio_id id;

	memset(&id, 0, sizeof(id));
	id.len = MONO_OID;
	memcpy(id.bytes, oid, MONO_OID);
	return id;
}

#endif
