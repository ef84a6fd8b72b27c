/* SPDX-License-Identifier: Apache-2.0 */
/* random.c - repeatable random numbers, and the names known to exist */
#include "tests/tools/fsrand/fsrand.h"

#include <ftw.h>
#include <stdarg.h>

void print_to(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, size, fmt, ap);
	va_end(ap);
}

static uint64_t state;

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void random_start(uint64_t seed, uint64_t i)
{
	state = mix(seed * 0x9e3779b97f4a7c15ull + 1) ^ mix(i + 0x1234567);
}

uint64_t random_next(void)
{
	state += 0x9e3779b97f4a7c15ull;
	return mix(state);
}

unsigned below(unsigned n)
{
	return (unsigned)(random_next() % n);
}

bool chance(unsigned percent)
{
	return below(100) < percent;
}

void random_bytes(unsigned char *p, size_t n, unsigned which)
{
	uint64_t x = mix(which + 1);

	for (size_t i = 0; i < n; i += 8) {
		uint64_t v = mix(x + i);

		memcpy(p + i, &v, MIN((size_t)8, n - i));
	}
}

uint64_t sum_bytes(uint64_t sum, const void *p, size_t n)
{
	const unsigned char *c = p;

	for (; n >= 8; n -= 8, c += 8) {
		uint64_t v;

		memcpy(&v, c, 8);
		sum = (sum ^ v) * 0x100000001b3ull;
		sum ^= sum >> 29;
	}
	for (; n > 0; n--, c++)
		sum = (sum ^ *c) * 0x100000001b3ull;
	return sum;
}

/* -- names
 * --------------------------------------------------------------------- */

struct name {
	char *path;
	char kind; /* f, d, o */
};

static struct name *names;
static size_t n_names, room, at_start;
static size_t scan_skip;

static const char *const pool[] = {
	"a",        "b",
	"c",        "d",
	"e",        "f",
	"g",        "h",
	"i",        "j",
	"k",        "l",
	"A name",   "n\nl",
	"\xc3\xa9", "long-name-long-name-long-name-long-name-long-name",
	".dot",     "x.tmp",
	"-",        "Z",
};

static void add(const char *path, char kind)
{
	for (size_t i = 0; i < n_names; i++) {
		if (strcmp(names[i].path, path) == 0) {
			names[i].kind = kind;
			return;
		}
	}
	if (n_names == room) {
		room = room ? room * 2 : 256;
		names = realloc(names, room * sizeof(*names));
		if (!names)
			abort();
	}
	names[n_names].path = strdup(path);
	names[n_names++].kind = kind;
}

static int scanned(const char *path, const struct stat *st, int type UNUSED,
		   struct FTW *w UNUSED)
{
	if (strlen(path) > scan_skip && strlen(path) - scan_skip < 400)
		add(path + scan_skip + 1, S_ISREG(st->st_mode)   ? 'f'
					  : S_ISDIR(st->st_mode) ? 'd'
								 : 'o');
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->path,
		      ((const struct name *)b)->path);
}

void names_scan(const char *root)
{
	for (size_t i = 0; i < n_names; i++)
		free(names[i].path);
	n_names = 0;
	scan_skip = strlen(root);
	nftw(root, scanned, 32, FTW_PHYS);
	if (n_names > 0)
		qsort(names, n_names, sizeof(*names), by_path);
	at_start = n_names;
}

size_t names_count(void)
{
	return n_names;
}

size_t names_start(void)
{
	return at_start;
}

static const char *existing(enum shape shape)
{
	for (int tries = 0; n_names > 0 && tries < 40; tries++) {
		const struct name *n = &names[below((unsigned)n_names)];

		if (shape == ANY || (shape == FILE_ && n->kind == 'f') ||
		    (shape == DIR_ && n->kind == 'd'))
			return n->path;
	}
	return NULL;
}

static int depth(const char *path)
{
	int d = 1;

	for (; *path; path++)
		d += *path == '/';
	return d;
}

void names_pick(enum shape shape, bool root_ok, char *ret_path)
{
	const char *p = NULL;

	ret_path[0] = '\0';
	if (shape == NONE || (root_ok && chance(20)))
		return;
	if (shape != NEW && chance(shape == ANY ? 95 : 92))
		p = existing(shape);
	else if (shape != NEW && chance(50))
		p = existing(ANY);
	if (p) {
		print_to(ret_path, PATH_SIZE, "%s", p);
		return;
	}
	p = chance(85) ? existing(DIR_) : NULL;
	if (p && (depth(p) > 6 || strlen(p) > 300))
		p = NULL;
	print_to(ret_path, PATH_SIZE, "%s%s%s", p ? p : "", p ? "/" : "",
		 pool[below(ARRAY_SIZE(pool))]);
	if (chance(70))
		print_to(ret_path + strlen(ret_path), 8, "%u", below(30));
}

static bool within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

static void drop(const char *path)
{
	for (size_t i = 0; i < n_names;) {
		if (!within(names[i].path, path)) {
			i++;
			continue;
		}
		free(names[i].path);
		names[i] = names[--n_names];
	}
}

static void move(const char *from, const char *to)
{
	for (size_t i = 0; i < n_names; i++) {
		char *path = names[i].path;
		char *moved;

		if (!within(path, from))
			continue;
		if (asprintf(&moved, "%s%s", to, path + strlen(from)) < 0)
			abort();
		free(path);
		names[i].path = moved;
	}
}

void names_apply(enum effect effect, const char *a, const char *b)
{
	if (effect == ADD_FILE)
		add(a, 'f');
	else if (effect == ADD_DIR)
		add(a, 'd');
	else if (effect == ADD_OTHER)
		add(a, 'o');
	else if (effect == REMOVE)
		drop(a);
	if ((effect != RENAME && effect != EXCHANGE) || strcmp(a, b) == 0)
		return;
	if (effect == RENAME) {
		drop(b);
		move(a, b);
	} else {
		move(a, "\001");
		move(b, a);
		move("\001", b);
	}
}
