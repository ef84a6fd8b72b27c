/* SPDX-License-Identifier: Apache-2.0 */
/* gitindex_impl.h - shared by gitindex.c and gitindex_ext.c only. */
#ifndef API_GITWORK_GITINDEX_IMPL_H
#define API_GITWORK_GITINDEX_IMPL_H

#include "api/gitwork/gitindex.h"
#include "core/buf.h"

#define GIT_RAW 20u
#define NO_DIR UINT32_MAX

struct dirent_node { /* one directory */
	uint64_t ino;
	int64_t mtime_ns;
	size_t name; /* offset in names, NUL-terminated there */
	uint32_t first, next, subdirs; /* links in order of visit */
	uint32_t entries;              /* index entries below */
	uint8_t name_len;
	bool exact, ignores; /* its tree is rebuilt; it has a .gitignore */
	uint8_t id[GIT_RAW], ignore_id[GIT_RAW];
};

struct block { /* for IEOT */
	uint32_t offset, entries;
};

struct gitindex {
	const struct gitindex_options *o;
	struct gitindex_stats stats;
	struct dirent_node *dirs;
	uint32_t n_dirs, cap_dirs;
	struct buf names;  /* of directories */
	struct buf path;   /* while walking */
	struct buf last;   /* name of the entry before */
	struct buf out;    /* not written yet */
	struct buf raw;    /* a git tree */
	struct block *blocks;
	uint32_t n_blocks;
	uint64_t offset; /* in the file, of what goes to out next */
	int fd;
	struct scorpio_id missing;
};

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}
static inline void add_be32(struct buf *b, uint32_t v)
{
	uint8_t p[4];

	put_be32(p, v);
	buf_put(b, p, 4);
}

/* git's variable-length number, as of offsets in packs. */
size_t gitindex_varint(uint64_t v, uint8_t out[10]);
/* git's stat data: 36 bytes. */
void gitindex_stat(struct buf *b, const struct gitindex_options *o,
		   int64_t mtime_ns, uint64_t ino, uint32_t size);
/* All extensions to the end of the entries, into `out`. */
void gitindex_extensions(struct gitindex *x, struct buf *out);

#endif
