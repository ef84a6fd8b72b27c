/* SPDX-License-Identifier: Apache-2.0 */
#include "core/registry.h"

#include "core/buf.h"
#include "core/error.h"

#include <scorpio/version.h>
#include <sys/stat.h>

#define BACKENDS_MAX 64
#define NAME_LEN_MAX 32

static struct entry {
	struct scorpio_backend b; /* our copy, missing members NULL */
	char *origin;
} entries[BACKENDS_MAX];
static size_t count;
static char *schemes_text;

/* The end of the last required member. */
#define REQUIRED_SIZE                                                          \
	(offsetof(struct scorpio_backend, fetch) +                             \
	 sizeof(((struct scorpio_backend *)0)->fetch))

static bool name_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789");

	return n && !s[n] && n <= NAME_LEN_MAX && *s >= 'a';
}

static int check_head(const struct scorpio_backend *b, const char *origin)
{
	if (b->struct_size < REQUIRED_SIZE)
		return fail(-EINVAL,
			    "%s: backend table of %u bytes is too small (at "
			    "least %zu); was struct_size set?",
			    origin, b->struct_size, REQUIRED_SIZE);
	if (b->abi >> 16 != SCORPIO_ABI_MAJOR)
		return fail(-EINVAL,
			    "%s: backend was built for plugin ABI %u, this "
			    "daemon has %u; rebuild the plugin",
			    origin, b->abi >> 16, SCORPIO_ABI_MAJOR);
	return 0;
}

static int check_table(const struct scorpio_backend *b, const char *origin)
{
	const char *missing = !b->open	  ? "open" :
			      !b->close	  ? "close" :
			      !b->resolve ? "resolve" :
			      !b->list	  ? "list" :
			      !b->fetch	  ? "fetch" :
					    NULL;

	if (!b->name || !name_ok(b->name))
		return fail(-EINVAL,
			    "%s: backend name \"%s\" is not [a-z][a-z0-9]*",
			    origin, b->name ? b->name : "");
	if (missing)
		return fail(-EINVAL, "%s: backend %s lacks the function %s",
			    origin, b->name, missing);
	if (b->threads > SCORPIO_THREADS_PARALLEL)
		return fail(-EINVAL, "%s: backend %s: unknown thread model %u",
			    origin, b->name, b->threads);
	if (b->id_kind > SCORPIO_ID_SHA256)
		return fail(-EINVAL, "%s: backend %s: unknown kind of ids %u",
			    origin, b->name, b->id_kind);
	return 0;
}

/* Is the scheme (n bytes) in the space-separated list? */
static bool lists(const char *list, const char *scheme, size_t n)
{
	while (list && *list) {
		size_t k = strcspn(list, " ");

		if (k == n && !strncasecmp(list, scheme, n))
			return true;
		list += k;
		list += strspn(list, " ");
	}
	return false;
}

static const struct scorpio_backend *by_scheme(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (lists(entries[i].b.schemes, s, n))
			return &entries[i].b;
	return NULL;
}

static int check_unique(const struct scorpio_backend *b, const char *origin)
{
	const struct scorpio_backend *other = registry_by_name(b->name);
	const char *p;

	if (other)
		return fail(-EEXIST, "%s: a backend named %s is already there",
			    origin, b->name);
	for (p = b->schemes ? b->schemes : ""; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		other = by_scheme(p, n);
		if (other)
			return fail(-EEXIST,
				    "%s: backend %s: the scheme %.*s already "
				    "belongs to backend %s",
				    origin, b->name, (int)n, p, other->name);
		p += n;
	}
	return 0;
}

static void remember_schemes(void)
{
	struct buf b = BUF_INIT;
	size_t i;

	for (i = 0; i < count; i++) {
		const char *p = entries[i].b.schemes;

		for (p = p ? p : ""; *p; p += strspn(p, " ")) {
			size_t n = strcspn(p, " ");

			if (b.len)
				buf_puts(&b, ", ");
			buf_put(&b, p, n);
			p += n;
		}
	}
	free(schemes_text);
	schemes_text = buf_steal(&b);
}

int registry_add(const struct scorpio_backend *b, const char *origin)
{
	struct scorpio_backend copy = { 0 };
	int r = check_head(b, origin);

	if (r)
		return r;
	memcpy(&copy, b, MIN(b->struct_size, sizeof(copy)));
	copy.struct_size = (uint32_t)MIN(b->struct_size, sizeof(copy));
	r = check_table(&copy, origin);
	if (!r)
		r = check_unique(&copy, origin);
	if (r)
		return r;
	if (count == BACKENDS_MAX)
		return fail(-ENOSPC, "%s: more than %d backends", origin,
			    BACKENDS_MAX);
	entries[count].b = copy;
	entries[count].origin = xstrdup(origin);
	count++;
	remember_schemes();
	return 0;
}

void registry_drop_last(size_t n)
{
	assert(n <= count);
	for (; n; n--) {
		count--;
		free(entries[count].origin);
		memset(&entries[count], 0, sizeof(entries[count]));
	}
	remember_schemes();
}

const struct scorpio_backend *registry_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(entries[i].b.name, name))
			return &entries[i].b;
	return NULL;
}

static bool is_dir(const char *dir, const char *name)
{
	cleanup_free char *p = xasprintf("%s/%s", dir, name);
	struct stat st;

	return !stat(p, &st) && S_ISDIR(st.st_mode);
}

static bool exists(const char *dir, const char *name)
{
	cleanup_free char *p = xasprintf("%s/%s", dir, name);

	return !access(p, F_OK);
}

/* A work tree (".git" a directory or a file) or a bare repository. */
static bool is_git(const char *dir)
{
	return exists(dir, ".git") ||
	       (exists(dir, "HEAD") && is_dir(dir, "objects") &&
		is_dir(dir, "refs"));
}

static const struct scorpio_backend *takes_directories(void)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (entries[i].b.flags & SCORPIO_BACKEND_DIRECTORY)
			return &entries[i].b;
	return registry_by_name("dir");
}

static const struct scorpio_backend *by_path(const char *path)
{
	const struct scorpio_backend *git = registry_by_name("git");
	struct stat st;

	if (git && is_git(path))
		return git;
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return takes_directories();
	return NULL;
}

/* The length of "scheme" in "scheme://..." or of "name+scheme" likewise;
 * "name+path" counts with the '+' form's name only. 0 if there is none. */
static size_t scheme_len(const char *url)
{
	size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return n && !strncmp(url + n, "://", 3) ? n : 0;
}

/* host:path or user@host:path, as ssh and git write it */
static bool is_scp_like(const char *url)
{
	size_t n = strcspn(url, ":/");

	return n && url[n] == ':' && url[n + 1];
}

const struct scorpio_backend *registry_by_url(const char *url)
{
	size_t n = scheme_len(url), word = strcspn(url, "+:/");
	const struct scorpio_backend *b = n ? by_scheme(url, n) : NULL;
	char plain[NAME_LEN_MAX + 1];

	if (b)
		return b;
	if (url[word] == '+' && word && word <= NAME_LEN_MAX) {
		/* "dir+/path", "mem+demo", or a scheme that is not listed */
		memcpy(plain, url, word);
		plain[word] = '\0';
		b = registry_by_name(plain);
		if (b)
			return b;
	}
	if (n) {
		cleanup_free char *as_git = xasprintf("git+%.*s", (int)n, url);

		return by_scheme(as_git, strlen(as_git));
	}
	b = by_path(url);
	if (!b && is_scp_like(url) && access(url, F_OK))
		return registry_by_name("git");
	return b;
}

void registry_each(void (*fn)(void *ctx, const struct scorpio_backend *b,
			      const char *origin), void *ctx)
{
	size_t i;

	for (i = 0; i < count; i++)
		fn(ctx, &entries[i].b, entries[i].origin);
}

const char *registry_schemes(void)
{
	return schemes_text ? schemes_text : "";
}

void registry_reset(void)
{
	size_t i;

	for (i = 0; i < count; i++)
		free(entries[i].origin);
	memset(entries, 0, sizeof(entries));
	count = 0;
	free(steal(&schemes_text));
}
