/* SPDX-License-Identifier: Apache-2.0 */
/*
 * old_host.c - a daemon of ABI 1.0 in a nutshell, whose host table ends after
 * config_bool: usage: old_host PLUGIN.so URL NAME. Prints the content of the
 * file NAME in the root. Shows that today's plugins work in older daemons.
 */
#include <scorpio/plugin.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *wanted;
static struct scorpio_id found;

static void do_log(const struct scorpio_host *h, uint32_t level,
		   const char *fmt, ...)
{
	(void)h;
	(void)level;
	(void)fmt;
}

static int do_fail(const struct scorpio_host *h, int code, const char *fmt, ...)
{
	va_list ap;

	(void)h;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	return code;
}

static int never_cancelled(const struct scorpio_host *h)
{
	(void)h;
	return 0;
}

static const char *no_string(const struct scorpio_config *c, const char *key,
			     const char *dflt)
{
	(void)c;
	(void)key;
	return dflt;
}

static int64_t no_int(const struct scorpio_config *c, const char *key,
		      int64_t dflt)
{
	(void)c;
	(void)key;
	return dflt;
}

static int no_bool(const struct scorpio_config *c, const char *key, int dflt)
{
	(void)c;
	(void)key;
	return dflt;
}

/* Nothing behind config_bool may be touched: it is not even there. */
static const struct scorpio_host *make_host(void)
{
	size_t size = offsetof(struct scorpio_host, http);
	struct scorpio_host *h = malloc(size), full;

	memset(&full, 0, sizeof(full));
	full.struct_size = (uint32_t)size;
	full.abi = SCORPIO_ABI;
	full.version = "0.0.1";
	full.log = do_log;
	full.fail = do_fail;
	full.cancelled = never_cancelled;
	full.config_string = no_string;
	full.config_int = no_int;
	full.config_bool = no_bool;
	memcpy(h, &full, size);
	return h;
}

static int begin_tree(void *ctx, const struct scorpio_id *id)
{
	(void)ctx;
	(void)id;
	return 0;
}

static int entry(void *ctx, const struct scorpio_entry *e)
{
	(void)ctx;
	if (strlen(wanted) == e->name_len &&
	    !memcmp(wanted, e->name, e->name_len))
		found = e->id;
	return 0;
}

static int begin_blob(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	(void)ctx;
	(void)id;
	(void)size;
	return 0;
}

static int data(void *ctx, const void *p, uint64_t n)
{
	(void)ctx;
	return fwrite(p, 1, n, stdout) == n ? 0 : -EIO;
}

static int end(void *ctx)
{
	(void)ctx;
	return 0;
}

static int give_up(void *ctx, int error)
{
	(void)ctx;
	return error;
}

static int size_of(void *ctx, const struct scorpio_id *id, uint64_t size)
{
	(void)ctx;
	(void)id;
	(void)size;
	return 0;
}

static int failed(void *ctx, const struct scorpio_id *id, int error)
{
	(void)ctx;
	(void)id;
	return error;
}

int main(int argc, char **argv)
{
	struct scorpio_sink sink = {
		sizeof(sink), 0,    NULL, begin_tree, entry,   end,
		begin_blob,   data, end,  give_up,    size_of, failed,
	};
	struct scorpio_instance info = { sizeof(info), 0, 0, 0, NULL };
	struct scorpio_ref ref;
	struct scorpio_revision rev;
	const struct scorpio_plugin *(*get)(void);
	const struct scorpio_backend *b;
	void *dl, *sym, *self;
	int r;

	if (argc != 4)
		return 2;
	wanted = argv[3];
	dl = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	sym = dl ? dlsym(dl, "scorpio_plugin_entry") : NULL;
	if (!sym)
		return 2;
	memcpy(&get, &sym, sizeof(sym));
	b = get()->backends[0];
	r = b->open(make_host(), argv[2], NULL, NULL, &info, &self);
	if (r)
		return 1;
	memset(&ref, 0, sizeof(ref));
	ref.path = "";
	r = b->resolve(self, "", &rev);
	ref.id = rev.root;
	if (!r)
		r = b->list(self, &ref, 1, &sink);
	ref.id = found;
	ref.path = wanted;
	ref.path_len = (uint32_t)strlen(wanted);
	if (!r)
		r = b->fetch(self, &ref, 1, &sink);
	b->close(self);
	return r ? 1 : 0;
}
