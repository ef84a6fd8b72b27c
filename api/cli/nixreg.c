/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nixreg.c - Nix's database is told about paths that were never brought: what
 * `nix-store --load-db` reads is made from the signed descriptions that the
 * daemon has checked, for the paths and all that they refer to.
 */
#include "api/cli/nix.h"

#include <search.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/http.h"
#include "core/path.h"
#include "core/spawn.h"

#define PATHS_MAX 1000000u
#define CHECK_BATCH 500u
#define SEEN_TRIES 25
#define SEEN_PAUSE_US 200000

struct known { /* one path of the closure */
	char *base;   /* "<hash>-<name>" */
	json_t *nix;  /* what the daemon says */
	bool invalid; /* for Nix: to be registered */
};

struct closure {
	struct cli *c;
	const struct nixroot *root;
	struct known *at;
	size_t n, cap;
	void *seen;       /* tsearch(3), of the bases */
	struct buf out;   /* of a program */
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int add(struct closure *x, const char *base)
{
	if (tfind(base, &x->seen, by_text))
		return 0;
	if (x->n == PATHS_MAX)
		return fail(-E2BIG, "more than %u paths", PATHS_MAX);
	if (x->n == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 64;
		x->at = xrealloc(x->at, x->cap * sizeof(*x->at));
	}
	x->at[x->n] = (struct known){ .base = xstrdup(base) };
	if (!tsearch(x->at[x->n++].base, &x->seen, by_text))
		return fail(-ENOMEM, "out of memory");
	return 0;
}

/* "/nix/store/HASH-NAME/bin/x" -> "HASH-NAME" */
static int add_path(struct closure *x, const char *path)
{
	cleanup_free char *base = NULL;

	if (!strncmp(path, "/nix/store/", 11))
		path += 11;
	else if (!strncmp(path, x->root->store, strlen(x->root->store)))
		path += strlen(x->root->store) + 1;
	base = xstrndup(path, strcspn(path, "/"));
	if (strlen(base) < 34 || base[32] != '-')
		return fail(-EINVAL, "%s is not a store path", path);
	return add(x, base);
}

/* -- what the daemon knows ----------------------------------------------------------- */

static int describe(struct closure *x, struct known *k)
{
	cleanup_free char *path = xasprintf("%s/%s", x->root->lower, k->base);
	cleanup_free char *escaped = http_escape(path, strlen(path));
	cleanup_free char *url = xasprintf("/api/v1/info?path=%s", escaped);
	const char *code;
	json_t *v = NULL, *nix;
	int e = cli_call(x->c, "GET", url, NULL, &v, &code);

	if (e)
		return e;
	nix = json_object_get(json_object_get(v, "source"), "nix");
	if (nix)
		k->nix = json_incref(nix);
	else
		e = fail(-EIO, "%s: %s", k->base,
			 json_get_text(v, "source_error",
				       "it is not of a binary cache"));
	json_decref(v);
	return e;
}

static int walk(struct closure *x)
{
	int e = 0;

	for (size_t i = 0; i < x->n && !e; i++) {
		json_t *refs, *one;
		size_t k;

		e = describe(x, &x->at[i]);
		refs = e ? NULL : json_object_get(x->at[i].nix, "references");
		json_array_foreach(refs, k, one) {
			if (!e)
				e = add(x, json_string_value(one));
		}
	}
	return e;
}

/* -- what Nix knows ---------------------------------------------------------------- */

static int on_output(void *ctx, const void *p, uint64_t n)
{
	buf_put(ctx, p, n);
	return 0;
}

/* nix-store on the root; its output goes to x->out. */
static int nix_store(struct closure *x, const char *const *args,
		     const struct buf *input, int *ret_status)
{
	const char *argv[CHECK_BATCH + 8] = { "nix-store" };
	size_t n = 1;
	struct scorpio_spawn s = {
		.struct_size = sizeof(s), .argv = argv,
		.input = input ? input->data : NULL,
		.input_len = input ? input->len : 0,
		.on_output = on_output, .ctx = &x->out,
	};
	int e;

	if (*x->root->root) {
		argv[n++] = "--store";
		argv[n++] = x->root->root;
	}
	while (*args)
		argv[n++] = *args++;
	argv[n] = NULL;
	x->out.len = 0;
	e = spawn_run(&s);
	if (e == -ENOENT)
		return fail(e, "there is no nix-store in PATH: install Nix");
	if (!e && s.exit_status && !ret_status)
		e = fail(-EIO, "nix-store: %s", s.error);
	if (ret_status)
		*ret_status = s.exit_status;
	return e;
}

/* Which of at[from..to) Nix does not hold valid. */
static int check_batch(struct closure *x, size_t from, size_t to)
{
	const char *args[CHECK_BATCH + 3] = { "--check-validity",
					      "--print-invalid" };
	char *paths[CHECK_BATCH];
	size_t n = to - from;
	int status, e;

	for (size_t i = 0; i < n; i++)
		args[i + 2] = paths[i] = xasprintf("/nix/store/%s",
						   x->at[from + i].base);
	e = nix_store(x, args, NULL, &status);
	for (size_t i = 0; i < n; i++) {
		if (!e && strstr(buf_str(&x->out), paths[i]))
			x->at[from + i].invalid = true;
		free(paths[i]);
	}
	return e;
}

static int check_validity(struct closure *x)
{
	int e = 0;

	for (size_t i = 0; i < x->n && !e; i += CHECK_BATCH)
		e = check_batch(x, i, MIN(i + CHECK_BATCH, x->n));
	return e;
}

/* A path must be seen where Nix looks, and be the one that was described. */
static int check_seen(struct closure *x, const struct known *k)
{
	cleanup_free char *seen = xasprintf("%s/%s", x->root->store, k->base);
	cleanup_free char *upper = xasprintf("%s/%s", x->root->upper, k->base);
	struct stat st;

	if (!lstat(upper, &st) && S_ISCHR(st.st_mode) && !st.st_rdev)
		return fail(-ENOENT, "%s was removed by Nix's garbage "
			    "collection: scorpio nix gc-clean brings it back",
			    k->base);
	if (!lstat(upper, &st))
		return fail(-EEXIST, "%s was left there by a build that did not "
			    "end: remove it first", seen);
	/* the kernel may hold it missing below the overlay for a second, and
	 * in the overlay until it is told */
	for (int i = 0; i < SEEN_TRIES && lstat(seen, &st); i++) {
		if (i)
			usleep(SEEN_PAUSE_US);
		nixroot_refresh(x->root);
	}
	return lstat(seen, &st) ? fail(-errno, "%s: %s", seen, strerror(errno))
				: 0;
}

static void put_record(struct buf *b, const struct known *k)
{
	json_t *refs = json_object_get(k->nix, "references"), *one;
	const char *deriver = json_get_text(k->nix, "deriver", "");
	size_t i;

	buf_printf(b, "/nix/store/%s\n%s\n%lld\n", k->base,
		   json_get_text(k->nix, "nar_hash", ""),
		   (long long)json_get_int(k->nix, "nar_size", 0));
	buf_printf(b, "%s%s\n%zu\n", *deriver ? "/nix/store/" : "", deriver,
		   json_array_size(refs));
	json_array_foreach(refs, i, one)
		buf_printf(b, "/nix/store/%s\n", json_string_value(one));
}

/* Tell Nix about what it does not hold valid. *ret_n: how many that were. */
static int load(struct closure *x, size_t *ret_n)
{
	static const char *const args[] = { "--load-db", NULL };
	cleanup_buf struct buf records = BUF_INIT;
	size_t n = 0;
	int e = 0;

	if (!nix_options.print)
		e = check_validity(x);
	for (size_t i = 0; i < x->n && !e; i++) {
		if (!x->at[i].invalid && !nix_options.print)
			continue;
		if (!nix_options.print)
			e = check_seen(x, &x->at[i]);
		put_record(&records, &x->at[i]);
		n++;
	}
	if (!e && nix_options.print)
		fwrite(records.data, 1, records.len, stdout);
	else if (!e && n)
		e = nix_store(x, args, &records, NULL);
	*ret_n = n;
	return e;
}

/* -- verbs ----------------------------------------------------------------------- */

static int add_root(const struct nixroot *r, const char *base)
{
	cleanup_free char *dir = xasprintf("%s/gcroots/scorpio", r->state);
	cleanup_free char *link = xasprintf("%s/%s", dir, base);
	cleanup_free char *target = xasprintf("/nix/store/%s", base);
	int e = path_make_dirs(dir, 0755);

	if (!e && symlink(target, link) && errno != EEXIST)
		e = fail(-errno, "%s: %s", link, strerror(errno));
	return e;
}

static void closure_done(struct closure *x)
{
	for (size_t i = 0; i < x->n; i++) {
		tdelete(x->at[i].base, &x->seen, by_text);
		free(x->at[i].base);
		json_decref(x->at[i].nix);
	}
	free(x->at);
	buf_done(&x->out);
}

/* Walk, load; the first `*ret_given` of the closure are the ones named. */
static int run(struct closure *x, size_t *ret_given, size_t *ret_n)
{
	int e = 0;

	for (int i = 1; i < x->c->n_args && !e; i++)
		e = add_path(x, x->c->args[i]);
	*ret_given = x->n;
	if (!e)
		e = walk(x);
	return e ? e : load(x, ret_n);
}

static int registering(struct cli *c, bool realise)
{
	struct nixroot root;
	struct closure x = { .c = c, .root = &root };
	size_t given = 0, n = 0;
	int e;

	nixroot_init(&root, nix_options.root);
	if (!nixroot_mounted(&root) && !nix_options.print)
		e = fail(-ENOTDIR, "there is no lazy store at %s", root.store);
	else
		e = run(&x, &given, &n);
	for (size_t i = 0; realise && i < given && !e; i++) {
		e = add_root(&root, x.at[i].base);
		if (!e)
			printf("/nix/store/%s\n", x.at[i].base);
	}
	if (!e && !realise && c->json)
		printf("{\"paths\": %zu, \"registered\": %zu}\n", x.n, n);
	else if (!e && !realise && !c->quiet && !nix_options.print)
		printf("%zu path%s, %zu of them new to Nix\n", x.n,
		       x.n == 1 ? "" : "s", n);
	closure_done(&x);
	nixroot_done(&root);
	return e ? cli_errno(e, EXIT_MOUNT, "scorpio nix store SOURCE ROOT "
			     "prepares one; scorpio list shows the mounts",
			     "cannot register the paths")
		 : 0;
}

int nix_register_verb(struct cli *c)
{
	return registering(c, false);
}

int nix_realise_verb(struct cli *c)
{
	return registering(c, true);
}
