/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nix.h - the parts of `scorpio nix`.
 *
 * A root is where a Nix store lives: ROOT/nix/store and ROOT/nix/var, as in
 * `nix-build --store ROOT`; "/" is the machine's own. A lazy root has besides
 *	ROOT/nix/.scorpio/lower   our mount of the binary caches
 *	ROOT/nix/.scorpio/upper   ROOT/nix/store as it is below the overlay
 *	ROOT/nix/.scorpio/work    what overlayfs needs
 * and an overlay of lower and upper at ROOT/nix/store.
 */
#ifndef API_CLI_NIX_H
#define API_CLI_NIX_H

#include "api/cli/commands.h"

struct nixroot {
	char *root; /* "" is the machine's own */
	char *store, *state, *log;
	char *hidden; /* ROOT/nix/.scorpio */
	char *lower, *upper, *work;
};

struct nix_options {
	const char *root; /* --store, else $SCORPIO_NIX_ROOT, else "/" */
	const char *name; /* push: of the store path */
	bool print, base32, real;
};
extern struct nix_options nix_options;

void nixroot_init(struct nixroot *r, const char *dir);
void nixroot_done(struct nixroot *r);
/* Is the overlay there? */
bool nixroot_mounted(const struct nixroot *r);

/* nixstore.c: verbs; the exit code */
int nix_store_verb(struct cli *c);  /* store SOURCE ROOT [CMD...] */
int nix_run_verb(struct cli *c);    /* run ROOT CMD... */
int nix_umount_verb(struct cli *c); /* umount ROOT */
int nix_gc_clean_verb(struct cli *c);
/* Names that the overlay took for missing are looked up again. */
void nixroot_refresh(const struct nixroot *r);

/* nixreg.c */
int nix_register_verb(struct cli *c); /* register PATH... */
int nix_realise_verb(struct cli *c);  /* realise-lazy PATH... */

/* nixhash.c */
int nix_hash_verb(struct cli *c);
/* The archive of a file or directory: to `out` unless NULL, its SHA-256 and
 * size. Negative errno. */
int nix_dump(const char *path, FILE *out, uint8_t md[32], uint64_t *ret_size);
/* The same, without reading what was hashed before. */
int nix_hash_of(struct cli *c, const char *path, uint8_t md[32],
		uint64_t *ret_size);

/* nixpush.c */
int nix_push_verb(struct cli *c); /* push DIR CACHE */

#endif
