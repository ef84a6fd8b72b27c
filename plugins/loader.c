/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/loader.h"

#include "core/error.h"
#include "core/log.h"
#include "core/registry.h"

#include <dirent.h>
#include <dlfcn.h>

#define ENTRY        "scorpio_plugin_entry"
#define BACKENDS_MAX 32
#define ROLES_MAX    16
#define NAME_LEN_MAX 32

typedef const struct scorpio_plugin *(*entry_fn)(void);

struct loaded { /* one file that was tried; kept for ever */
	struct loader_info info;
	struct scorpio_plugin desc; /* our copy */
	struct loader_config config;
	struct scorpio_host *host;
	const struct scorpio_backend *backends[BACKENDS_MAX + 1];
	struct scorpio_role role[ROLES_MAX]; /* our copies */
	const struct scorpio_role *roles[ROLES_MAX + 1];
	struct loaded *next;
};

static struct loaded *all; /* last tried first; main thread writes */

/* -- checks ---------------------------------------------------------------- */

static bool name_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n && !s[n] && n <= NAME_LEN_MAX && *s >= 'a' && *s <= 'z';
}

/* Copy and check what the plugin says of itself. */
static int read_desc(struct loaded *l, const struct scorpio_plugin *p)
{
	size_t need =
		offsetof(struct scorpio_plugin, backends) + sizeof(p->backends);

	if (!p)
		return fail(-EINVAL, "%s: it describes no plugin",
			    l->info.path);
	if (p->abi >> 16 != SCORPIO_ABI_MAJOR)
		return fail(-EINVAL,
			    "%s: built for plugin ABI %u, this daemon has %u; "
			    "rebuild it with the headers of this version",
			    l->info.path, p->abi >> 16, SCORPIO_ABI_MAJOR);
	if (p->struct_size < need)
		return fail(-EINVAL,
			    "%s: its description is too short (%u of "
			    "%zu bytes)",
			    l->info.path, p->struct_size, need);
	memcpy(&l->desc, p, MIN(p->struct_size, sizeof(l->desc)));
	if (!p->name || !name_ok(p->name))
		return fail(-EINVAL,
			    "%s: the plugin's name \"%s\" is not of "
			    "a-z, 0-9 and -",
			    l->info.path, p->name ? p->name : "");
	if (loader_find(p->name))
		return fail(-EEXIST,
			    "%s: a plugin \"%s\" is loaded already, "
			    "from %s",
			    l->info.path, p->name, loader_find(p->name)->path);
	l->info.name = p->name;
	l->info.version = p->version ? p->version : "";
	l->info.summary = p->summary ? p->summary : "";
	l->info.abi = p->abi;
	return 0;
}

/* -- loading --------------------------------------------------------------- */

static int open_file(struct loaded *l, entry_fn *ret)
{
	const char *path = l->info.path;
	void *handle, *symbol;

	if (access(path, R_OK) < 0)
		return fail(-errno, "%s: %s", path, strerrordesc_np(errno));
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return fail(-ENOEXEC, "cannot load %s", dlerror());
	symbol = dlsym(handle, ENTRY);
	if (!symbol)
		return fail(-ENOEXEC,
			    "%s: not a scorpio plugin: it has no " ENTRY, path);
	memcpy(ret, &symbol, sizeof(symbol)); /* data to function pointer */
	return 0;
}

static const char *get_config(void *ctx, const char *key)
{
	struct loaded *l = ctx;

	return l->config.get ? l->config.get(l->config.ctx, l->info.name, key)
			     : NULL;
}

static int init(struct loaded *l)
{
	struct host_options o = {
		.name = l->info.name,
		.get = get_config,
		.ctx = l,
		.in_init = true,
	};
	int r;

	l->host = host_new(&o);
	if (!l->desc.init)
		return 0;
	error_clear();
	r = l->desc.init(l->host);
	if (r >= 0)
		return 0;
	fail_prefix(r, "%s: plugin %s refused to start", l->info.path,
		    l->info.name);
	host_free(steal(&l->host));
	return r;
}

static int add_backends(struct loaded *l)
{
	const struct scorpio_backend *const *b = l->desc.backends;
	size_t n = 0;
	int r = 0;

	for (; b && b[n] && !r; n++) {
		if (n == BACKENDS_MAX)
			r = fail(-EINVAL, "%s: more than %d backends",
				 l->info.path, BACKENDS_MAX);
		if (!r)
			r = registry_add(b[n], l->info.path);
		if (!r)
			l->backends[n] = registry_by_name(b[n]->name);
	}
	if (!r)
		return 0;
	registry_drop_last(n - 1); /* all or nothing */
	memset(l->backends, 0, sizeof(l->backends));
	if (l->desc.fini)
		l->desc.fini();
	host_free(steal(&l->host));
	return r;
}

static bool role_known(const char *name)
{
	for (const struct loaded *l = all; l; l = l->next)
		for (size_t i = 0; !l->info.error && l->roles[i]; i++)
			if (!strcmp(l->roles[i]->name, name))
				return true;
	return false;
}

static int add_role(struct loaded *l, size_t n, const struct scorpio_role *r)
{
	size_t need = offsetof(struct scorpio_role, stop) + sizeof(r->stop);

	if (n == ROLES_MAX)
		return fail(-EINVAL, "%s: more than %d roles", l->info.path,
			    ROLES_MAX);
	if (r->struct_size < need || !r->name || !name_ok(r->name) ||
	    !r->start || !r->stop)
		return fail(-EINVAL, "%s: a role without name, start or stop",
			    l->info.path);
	if (role_known(r->name))
		return fail(-EEXIST, "%s: there is a role \"%s\" already",
			    l->info.path, r->name);
	memcpy(&l->role[n], r, MIN(r->struct_size, sizeof(*r)));
	l->roles[n] = &l->role[n];
	return 0;
}

static int add_roles(struct loaded *l)
{
	const struct scorpio_role *const *r = l->desc.roles;
	int e = 0;

	for (size_t n = 0; r && r[n] && !e; n++)
		e = add_role(l, n, r[n]);
	return e;
}

int loader_load(const char *path, const struct loader_config *config)
{
	struct loaded *l = xcalloc(1, sizeof(*l));
	entry_fn entry = NULL;
	int r;

	/* dlopen looks elsewhere for a name without a slash */
	l->info.path =
		strchr(path, '/') ? xstrdup(path) : xasprintf("./%s", path);
	l->info.name = l->info.version = l->info.summary = "";
	l->info.backends = l->backends;
	l->info.roles = l->roles;
	if (config)
		l->config = *config;
	r = open_file(l, &entry);
	if (!r)
		r = read_desc(l, entry());
	if (!r)
		r = add_roles(l);
	if (!r)
		r = init(l);
	if (!r)
		r = add_backends(l);
	if (r)
		l->info.error = xstrdup(error_text(r));
	l->next = all;
	all = l;
	return r;
}

static int is_plugin(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 3 && e->d_name[0] != '.' &&
	       !strcmp(e->d_name + n - 3, ".so");
}

int loader_load_dir(const char *dir, const struct loader_config *config)
{
	struct dirent **names;
	int n, i, r, loaded = 0;

	n = scandir(dir, &names, is_plugin, alphasort);
	if (n < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (n < 0) {
		r = fail(-errno, "cannot read the plugin directory %s: %s", dir,
			 strerrordesc_np(errno));
		log_error("plugin", "%s", error_text(r));
		return r;
	}
	for (i = 0; i < n; i++) {
		cleanup_free char *path =
			xasprintf("%s/%s", dir, names[i]->d_name);

		r = loader_load(path, config);
		if (r)
			log_error("plugin", "%s", error_text(r));
		loaded += !r;
		free(names[i]);
	}
	free(names);
	return loaded;
}

/* -- questions ------------------------------------------------------------- */

/* In the order in which they were tried. */
static void each(const struct loaded *l,
		 void (*fn)(void *ctx, const struct loader_info *info),
		 void *ctx)
{
	if (!l)
		return;
	each(l->next, fn, ctx);
	fn(ctx, &l->info);
}

void loader_each(void (*fn)(void *ctx, const struct loader_info *info),
		 void *ctx)
{
	each(all, fn, ctx);
}

/* In the order in which they were loaded. */
static void each_role(const struct loaded *l,
		      void (*fn)(void *ctx, const struct scorpio_role *role),
		      void *ctx)
{
	if (!l)
		return;
	each_role(l->next, fn, ctx);
	for (size_t i = 0; !l->info.error && l->roles[i]; i++)
		fn(ctx, l->roles[i]);
}

void loader_each_role(void (*fn)(void *ctx, const struct scorpio_role *role),
		      void *ctx)
{
	each_role(all, fn, ctx);
}

const struct loader_info *loader_find(const char *name)
{
	const struct loaded *l;

	for (l = all; l; l = l->next)
		if (!l->info.error && !strcmp(l->info.name, name))
			return &l->info;
	return NULL;
}

void loader_fini(void)
{
	struct loaded *l;

	for (l = all; l; l = l->next) {
		if (!l->host)
			continue;
		if (l->desc.fini)
			l->desc.fini();
		host_free(steal(&l->host));
	}
}
