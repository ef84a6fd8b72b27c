/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types.h - the values that cross the plugin boundary.
 *
 * Fixed-width integers only: no off_t, struct stat, time_t or enum, because
 * their size is a compile switch of the plugin's author. The structs here are
 * frozen within an ABI major; function tables grow, values do not.
 *
 * Errors are negative errno values everywhere. Their meaning at this boundary:
 *   -ENOENT     it does not exist (may be cached by the caller)
 *   -EIO        it could not be had now (never cached)
 *   -ETIMEDOUT  the deadline passed (never cached)
 *   -EAGAIN     try again later (busy server, rate limit)
 *   -EACCES     the server refused our credentials, or we have none
 *   -ESTALE     the revision moved or vanished; resolve again
 *   -EBADMSG    content does not match its id
 *   -EINTR      cancelled, see scorpio_host.cancelled
 *   -ENOTSUP    not offered by this backend
 *   -EINVAL     the configuration or request is wrong
 */
#ifndef SCORPIO_TYPES_H
#define SCORPIO_TYPES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A content id names immutable content within its backend's id space. Opaque
 * to the host except for length; unused bytes are zero; len 0 = "no id". */
#define SCORPIO_ID_MAX 39u
struct scorpio_id {
	uint8_t len;
	uint8_t bytes[SCORPIO_ID_MAX];
};

/* What an entry is. */
#define SCORPIO_FILE 1u
#define SCORPIO_DIR 2u
#define SCORPIO_SYMLINK 3u   /* its target is the content of its blob */
#define SCORPIO_SUBMODULE 4u /* shown as an empty directory; id = commit */

#define SCORPIO_SIZE_UNKNOWN UINT64_MAX
#define SCORPIO_TIME_UNKNOWN INT64_MIN
#define SCORPIO_NAME_MAX 255u

/* Where something is and what it is. A path-minded backend uses the path, a
 * content-addressed one the id. `path` is relative to the source's root, has
 * no leading or trailing '/', "" is the root, is not NUL-terminated, and may
 * hold any bytes but NUL. Borrowed for the duration of the call. path may be
 * NULL where only the id is known (see scorpio_backend.flags). */
struct scorpio_ref {
	struct scorpio_id id;
	const char *path;
	uint32_t path_len;
	uint8_t kind; /* SCORPIO_FILE, ... ; 0 if not known */
	uint8_t reserved[3];
};

/* One child of a tree. name is borrowed for the call, any bytes but '/' and
 * NUL, 1..SCORPIO_NAME_MAX long, never "." or "..". */
struct scorpio_entry {
	struct scorpio_id id;
	const char *name;
	uint32_t name_len;
	uint32_t mode;    /* permission bits, 07777 */
	uint64_t size;    /* bytes, or SCORPIO_SIZE_UNKNOWN: never a guess */
	int64_t mtime_ns; /* since 1970, or SCORPIO_TIME_UNKNOWN = revision's */
	uint8_t kind;
	uint8_t reserved[7];
	uint64_t reserved2[2];
};

/* The answer of resolve(): an immutable state of the source. */
struct scorpio_revision {
	struct scorpio_id root; /* of the root tree */
	int64_t time_ns;        /* of the commit; SCORPIO_TIME_UNKNOWN if none */
	char text[256];         /* canonical name, e.g. the full commit id */
	char label[256];        /* what was asked for, resolved: "refs/heads/x" */
	uint8_t kind;           /* of the root; SCORPIO_DIR for a tree */
	uint8_t reserved[7];
	uint64_t reserved2[4];
};

#ifdef __cplusplus
}
#endif
#endif
