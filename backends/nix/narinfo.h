/* SPDX-License-Identifier: Apache-2.0 */
/*
 * narinfo.h - the text that describes a store path in a binary cache. Parsed
 * strictly: every line is "Key: value" and ends in LF, known keys come once,
 * values are checked. Unknown keys are ignored. Any thread.
 */
#ifndef BACKENDS_NIX_NARINFO_H
#define BACKENDS_NIX_NARINFO_H

#include "common.h"
#include "unpack.h"

#define NARINFO_REFS_MAX 65536u
#define NARINFO_SIGS_MAX 64u

struct narinfo_sig {
	const char *key; /* in text; not NUL-terminated */
	uint32_t key_len;
	uint8_t bytes[64];
};

struct narinfo {
	char *text; /* owned: what the pointers below point into, NULs added */
	const char *base; /* "<hash>-<name>" */
	uint8_t hash[NIX_HASH];
	const char *url;
	enum unpack_kind compression;
	uint8_t nar_hash[NIX_SHA256];
	uint64_t nar_size;
	uint64_t file_size; /* 0: not said */
	const char **refs;  /* base names, sorted, each once */
	uint32_t n_refs;
	const char *deriver; /* base name; NULL if unknown */
	const char *ca;      /* NULL: none */
	struct narinfo_sig *sigs;
	uint32_t n_sigs;
};

/* store_dir: what StorePath must begin with. -EBADMSG with *why (static) for
 * what is not a narinfo; -ENOTSUP for a compression not known here; -ENOMEM. */
int narinfo_parse(const char *text, size_t len, const char *store_dir,
		  struct narinfo **ret, const char **why);
void narinfo_free(struct narinfo *i);

#endif
