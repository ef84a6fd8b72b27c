/* SPDX-License-Identifier: Apache-2.0 */
/* cache.c - the store: through the daemon, or directly while none runs. */
#include "api/cachejson.h"
#include "api/cli/commands.h"
#include "core/error.h"
#include "core/http.h"

enum { OPT_DRY = 1, OPT_TARGET, OPT_REPAIR };

static struct {
	bool dry, repair;
	const char *target;
} own;

static int option(struct cli *c UNUSED, int key, const char *v)
{
	if (key == OPT_DRY)
		own.dry = true;
	else if (key == OPT_TARGET)
		own.target = v;
	else if (key == OPT_REPAIR)
		own.repair = true;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

/* -- directly ------------------------------------------------------------------- */

static int open_store(struct cli *c, bool read_only, struct store **ret)
{
	struct store_options o = {
		.path = config_string(c->config, "server.store_path"),
		.max_bytes = (uint64_t)config_int(c->config, "cache.max_size"),
		.read_only = read_only,
	};
	int r;

	if (access(o.path, F_OK))
		return cli_error(EXIT_INTERNAL, "it is made by the first mount",
				 "scorpio mount SOURCE DIR",
				 "there is no store at %s", o.path);
	r = store_open(&o, ret);
	if (r)
		return cli_errno(r, EXIT_INTERNAL, "scorpio doctor",
				 "cannot open the store");
	return 0;
}

static int direct_stats(struct store *s, json_t **ret)
{
	struct store_stats stats;
	int r = store_stat(s, &stats);

	if (!r)
		*ret = cachejson_stats(&stats);
	return r;
}

static int direct_gc(struct store *s, uint64_t target, json_t **ret)
{
	uint64_t freed;
	int r = store_gc(s, target, own.dry, &freed);

	if (!r)
		*ret = cachejson_gc(freed, own.dry);
	return r;
}

static void bar_progress(void *ctx, uint64_t done, uint64_t total)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu of %llu records",
		 (unsigned long long)done, (unsigned long long)total);
	cli_bar_set(ctx, done, total, text);
}

static int direct_verify(struct cli *c, struct store *s, json_t **ret)
{
	struct store_verify result;
	struct cli_bar bar;
	int r;

	cli_bar_init(&bar, c);
	r = store_verify(s, own.repair, bar_progress, &bar, &result);
	cli_bar_end(&bar);
	if (!r)
		*ret = cachejson_verify(&result);
	return r;
}

/* -- through the daemon ------------------------------------------------------------- */

struct verify_lines {
	struct cli_bar bar;
	json_t *last;
};

static int verify_line(void *ctx, const json_t *v)
{
	struct verify_lines *l = ctx;

	if (json_get_bool(v, "finished", false))
		l->last = json_incref((json_t *)(uintptr_t)v);
	else
		bar_progress(&l->bar, (uint64_t)json_get_int(v, "done", 0),
			     (uint64_t)json_get_int(v, "total", 0));
	return 0;
}

static int daemon_verify(struct cli *c, json_t **ret, const char **code)
{
	struct verify_lines l = { .last = NULL };
	int r;

	cli_bar_init(&l.bar, c);
	r = cli_stream(c, "POST", "/api/v1/cache/verify",
		       json_pack("{s:b}", "repair", own.repair), verify_line,
		       &l, code);
	cli_bar_end(&l.bar);
	if (!r && !l.last)
		r = fail(-EIO, "the daemon stopped in the middle");
	*ret = l.last;
	return r;
}

/* -- commands -------------------------------------------------------------------------- */

static void row(const char *name, uint64_t n, bool bytes)
{
	char text[24];

	printf("%-22s %14llu", name, (unsigned long long)n);
	if (bytes)
		printf("  %s", cli_bytes(n, text));
	printf("\n");
}

static uint64_t value(const json_t *v, const char *key)
{
	return (uint64_t)json_get_int(v, key, 0);
}

static void print_du(const json_t *v)
{
	row("limit", value(v, "max_bytes"), true);
	row("in use", value(v, "used_bytes"), true);
	row("directories", value(v, "trees"), false);
	row("files", value(v, "blobs"), false);
	row("chunks", value(v, "chunks"), false);
	row("chunks, compressed", value(v, "chunk_stored_bytes"), true);
	row("chunks, plain", value(v, "chunk_plain_bytes"), true);
	row("pinned chunks", value(v, "pinned_chunks"), false);
	row("evicted so far", value(v, "evicted_chunks"), false);
	row("damaged so far", value(v, "damaged_records"), false);
}

static int finish(struct cli *c, json_t *v, void (*print)(const json_t *v))
{
	if (c->json)
		cli_print_json(v);
	else if (!c->quiet)
		print(v);
	json_decref(v);
	return 0;
}

static int du(struct cli *c)
{
	const char *code;
	struct store *s;
	json_t *v;
	int r = cli_call(c, "GET", "/api/v1/cache", NULL, &v, &code);

	if (r == -ENOTCONN) {
		r = open_store(c, true, &s);
		if (r)
			return r;
		r = direct_stats(s, &v);
		store_close(s);
		code = "";
	}
	return r ? cli_call_failed(c, r, code, "cannot read the store")
		 : finish(c, v, print_du);
}

static void print_gc(const json_t *v)
{
	char text[24];

	printf("%s %s\n", cli_bytes(value(v, "freed_bytes"), text),
	       json_get_bool(v, "dry_run", false) ? "could be freed"
						  : "freed");
}

static int gc(struct cli *c)
{
	int64_t target = 0;
	const char *code;
	struct store *s;
	json_t *v;
	int r;

	if (own.target && !config_parse_size(own.target, &target))
		return cli_usage(c, "--target wants a size such as 5GiB");
	r = cli_call(c, "POST", "/api/v1/cache/gc",
		     json_pack("{s:I,s:b}", "target_bytes",
			       (json_int_t)target, "dry_run", own.dry),
		     &v, &code);
	if (r == -ENOTCONN) {
		r = open_store(c, false, &s);
		if (r)
			return r;
		r = direct_gc(s, (uint64_t)target, &v);
		store_close(s);
		code = "";
	}
	return r ? cli_call_failed(c, r, code, "cannot make room")
		 : finish(c, v, print_gc);
}

static void print_verify(const json_t *v)
{
	printf("%llu directories, %llu files, %llu chunks checked: ",
	       (unsigned long long)value(v, "trees"),
	       (unsigned long long)value(v, "blobs"),
	       (unsigned long long)value(v, "chunks"));
	if (!value(v, "damaged"))
		printf("no damage\n");
	else
		printf("%llu damaged, %llu removed%s\n",
		       (unsigned long long)value(v, "damaged"),
		       (unsigned long long)value(v, "repaired"),
		       value(v, "repaired") ? " (they will be fetched again)"
					    : "; add --repair to remove them");
}

static int verify(struct cli *c)
{
	const char *code;
	struct store *s;
	json_t *v = NULL;
	bool bad;
	int r = daemon_verify(c, &v, &code);

	if (r == -ENOTCONN) {
		r = open_store(c, !own.repair, &s);
		if (r)
			return r;
		r = direct_verify(c, s, &v);
		store_close(s);
		code = "";
	}
	if (r)
		return cli_call_failed(c, r, code, "cannot check the store");
	bad = value(v, "damaged") > value(v, "repaired");
	finish(c, v, print_verify);
	return bad ? EXIT_INTERNAL : 0;
}

static void print_pins(const json_t *v)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(v, "pins"), i, one)
		printf("%s  %s\n", cli_text(one, "name"), cli_text(one, "id"));
}

static int pins(struct cli *c)
{
	const char *code;
	struct store *s;
	json_t *v;
	int r = cli_call(c, "GET", "/api/v1/cache/pins", NULL, &v, &code);

	if (r == -ENOTCONN) {
		r = open_store(c, true, &s);
		if (r)
			return r;
		r = cachejson_pins(s, &v);
		store_close(s);
		code = "";
	}
	return r ? cli_call_failed(c, r, code, "cannot list the pins")
		 : finish(c, v, print_pins);
}

static void print_nothing(const json_t *v UNUSED)
{
}

static int pin(struct cli *c)
{
	cleanup_free char *path = NULL;
	json_t *v;
	int r;

	if (c->n_args != 3)
		return cli_usage(c, "cache pin wants a name and a path");
	path = cli_absolute(c->args[2]);
	r = cli_get(c, "POST", "/api/v1/cache/pins",
		    json_pack("{s:s,s:o}", "name", c->args[1], "path",
			      json_bytes(path, strlen(path))),
		    "cannot pin it", &v);
	return r ? r : finish(c, v, print_nothing);
}

static int unpin(struct cli *c)
{
	cleanup_free char *escaped = NULL, *url = NULL;
	const char *code;
	struct store *s;
	json_t *v;
	int r;

	if (c->n_args != 2)
		return cli_usage(c, "cache unpin wants a name");
	escaped = http_escape(c->args[1], strlen(c->args[1]));
	url = xasprintf("/api/v1/cache/pins/%s", escaped);
	r = cli_call(c, "DELETE", url, NULL, &v, &code);
	if (r == -ENOTCONN) {
		r = open_store(c, false, &s);
		if (r)
			return r;
		r = store_unpin(s, c->args[1]);
		store_close(s);
		v = json_pack("{s:s,s:b}", "name", c->args[1], "unpinned", 1);
		code = "";
		if (r)
			json_decref(v);
	}
	if (r && (r == -ENOENT || !strcmp(code, "NOT_FOUND")))
		return cli_error(EXIT_MOUNT, error_text(r),
				 "scorpio cache pins lists them",
				 "cannot unpin %s", c->args[1]);
	return r ? cli_call_failed(c, r, code, "cannot unpin %s", c->args[1])
		 : finish(c, v, print_nothing);
}

static int cache_run(struct cli *c)
{
	static const struct {
		const char *verb;
		int (*run)(struct cli *c);
	} verbs[] = { { "du", du },	  { "gc", gc },	    { "verify", verify },
		      { "pins", pins }, { "pin", pin }, { "unpin", unpin } };
	int r = cli_config(c);

	for (size_t i = 0; i < ARRAY_SIZE(verbs) && !r; i++) {
		if (!strcmp(c->args[0], verbs[i].verb))
			return verbs[i].run(c);
	}
	return r ? r : cli_usage(c, "cache knows du, gc, verify, pins, pin and "
				 "unpin, not \"%s\"", c->args[0]);
}

static const struct argp_option cache_options[] = {
	{ "dry-run", OPT_DRY, NULL, 0, "gc: only say how much", 0 },
	{ "target", OPT_TARGET, "SIZE", 0,
	  "gc: down to this (80 % of the limit)", 0 },
	{ "repair", OPT_REPAIR, NULL, 0, "verify: remove what is damaged", 0 },
	{ 0 },
};

const struct cli_command cmd_cache = {
	.name = "cache",
	.args = "du|gc|verify|pins|pin NAME PATH|unpin NAME",
	.verbs = "du gc verify pins pin unpin",
	.summary = "the store: size, making room, checking, pins",
	.min_args = 1,
	.max_args = 3,
	.options = cache_options,
	.option = option,
	.run = cache_run,
};

/* -- fsck ----------------------------------------------------------------------------- */

static const struct argp_option fsck_options[] = {
	{ "repair", OPT_REPAIR, NULL, 0, "remove what is damaged", 0 },
	{ 0 },
};

static int fsck_run(struct cli *c)
{
	int r = cli_config(c);

	return r ? r : verify(c);
}

const struct cli_command cmd_fsck = {
	.name = "fsck",
	.summary = "read and check every record of the store",
	.help = "Damaged records are never served; --repair removes them, and "
		"they are fetched\nagain when needed.",
	.options = fsck_options,
	.option = option,
	.run = fsck_run,
};
