/* SPDX-License-Identifier: Apache-2.0 */
/* nix.c - `scorpio nix`: stock Nix on a store that comes when it is touched. */
#include "api/cli/nix.h"

#include <sys/statfs.h>

#define OVERLAY_MAGIC 0x794c7630

struct nix_options nix_options;

enum { OPT_STORE = 1, OPT_PRINT, OPT_BASE32, OPT_NAME };

static int option(struct cli *c UNUSED, int key, const char *v)
{
	if (key == OPT_STORE)
		nix_options.root = v;
	else if (key == OPT_PRINT)
		nix_options.print = true;
	else if (key == OPT_BASE32)
		nix_options.base32 = true;
	else if (key == OPT_NAME)
		nix_options.name = v;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

void nixroot_init(struct nixroot *r, const char *dir)
{
	size_t len;

	if (!dir)
		dir = getenv("SCORPIO_NIX_ROOT");
	r->root = cli_absolute(dir ? dir : "/");
	len = strlen(r->root);
	if (len == 1)
		r->root[0] = '\0';
	r->store = xasprintf("%s/nix/store", r->root);
	r->state = xasprintf("%s/nix/var/nix", r->root);
	r->log = xasprintf("%s/nix/var/log/nix", r->root);
	r->hidden = xasprintf("%s/nix/.scorpio", r->root);
	r->lower = xasprintf("%s/lower", r->hidden);
	r->upper = xasprintf("%s/upper", r->hidden);
	r->work = xasprintf("%s/work", r->hidden);
}

void nixroot_done(struct nixroot *r)
{
	free(r->root);
	free(r->store);
	free(r->state);
	free(r->log);
	free(r->hidden);
	free(r->lower);
	free(r->upper);
	free(r->work);
}

bool nixroot_mounted(const struct nixroot *r)
{
	struct statfs s;

	return !statfs(r->store, &s) && s.f_type == OVERLAY_MAGIC &&
	       !access(r->lower, F_OK);
}

static int nix_run(struct cli *c)
{
	static const struct {
		const char *verb;
		int min, max;
		int (*run)(struct cli *c);
	} verbs[] = {
		{ "store", 3, INT32_MAX, nix_store_verb },
		{ "run", 3, INT32_MAX, nix_run_verb },
		{ "umount", 2, 2, nix_umount_verb },
		{ "register", 2, INT32_MAX, nix_register_verb },
		{ "realise-lazy", 2, INT32_MAX, nix_realise_verb },
		{ "gc-clean", 1, 1, nix_gc_clean_verb },
		{ "hash", 2, 2, nix_hash_verb },
		{ "push", 3, 3, nix_push_verb },
	};
	int r = cli_config(c);

	for (size_t i = 0; i < ARRAY_SIZE(verbs) && !r; i++) {
		if (strcmp(c->args[0], verbs[i].verb))
			continue;
		if (c->n_args < verbs[i].min || c->n_args > verbs[i].max)
			return cli_usage(c, "nix %s: too %s operands",
					 verbs[i].verb,
					 c->n_args < verbs[i].min ? "few"
								  : "many");
		return verbs[i].run(c);
	}
	return r ? r : cli_usage(c, "nix knows store, run, umount, register, "
				 "realise-lazy, gc-clean, hash and push, not \"%s\"",
				 c->args[0]);
}

static const struct argp_option options[] = {
	{ "store", OPT_STORE, "ROOT", 0,
	  "the Nix store's root ($SCORPIO_NIX_ROOT, else /)", 0 },
	{ "print", OPT_PRINT, NULL, 0,
	  "register: show the records, do not load them", 0 },
	{ "base32", OPT_BASE32, NULL, 0,
	  "hash: sha256:BASE32 instead of sha256-BASE64", 0 },
	{ "name", OPT_NAME, "NAME", 0,
	  "push: the store path's name (else the directory's)", 0 },
	{ 0 },
};

const struct cli_command cmd_nix = {
	.name = "nix",
	.args = "store SOURCE ROOT [-- CMD...]|run ROOT -- CMD...|umount ROOT|"
		"register PATH...|realise-lazy PATH...|gc-clean|hash DIR|"
		"push DIR CACHE",
	.verbs = "store run umount register realise-lazy gc-clean hash push",
	.summary = "stock Nix on a store whose paths come when touched",
	.help = "store: show the binary cache SOURCE in the store of ROOT, below "
		"what Nix writes\nthere; run: a command that sees it as /nix/store. "
		"register: tell Nix's database\nabout paths and all they refer to, "
		"without bringing them; realise-lazy: the\nsame, kept from garbage "
		"collection, as nix-store -r. gc-clean: paths that Nix\nremoved can "
		"be seen again. hash: the hash a directory would have in Nix;\n"
		"push: it as a source path into a binary cache.",
	.min_args = 1,
	.max_args = -1,
	.options = options,
	.option = option,
	.run = nix_run,
};
