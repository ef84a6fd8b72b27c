/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nixhash.c - the hash and size that a directory (or file) would have in Nix:
 * the SHA-256 of its archive, which has names, contents, links and whether a
 * file is executable, and nothing else. Same as `nix hash path`.
 *
 * What a read-only mount shows never changes under its id, so its hash is kept
 * beside the store, in nix-hash/, and the second time nothing is read.
 */
#include "api/cli/nix.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include "backends/nix/nix32.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/http.h"
#include "core/log.h"
#include "core/path.h"

#define DEPTH_MAX 512u
#define PIECE (256u * 1024u)

struct dump {
	struct hash *hash;
	uint64_t size;
	uint8_t *buf; /* PIECE bytes */
	unsigned depth;
	FILE *out; /* NULL: only hashed */
};

static void put(struct dump *d, const void *p, size_t n)
{
	hash_update(d->hash, p, n);
	d->size += n;
	if (d->out)
		fwrite(p, 1, n, d->out);
}

static void put_pad(struct dump *d, uint64_t n)
{
	static const uint8_t zeros[8];

	put(d, zeros, (size_t)(-n & 7));
}

static void put_len(struct dump *d, uint64_t n)
{
	uint8_t le[8];

	for (unsigned i = 0; i < 8; i++)
		le[i] = (uint8_t)(n >> (8 * i));
	put(d, le, sizeof(le));
}

static void put_text(struct dump *d, const char *s)
{
	size_t n = strlen(s);

	put_len(d, n);
	put(d, s, n);
	put_pad(d, n);
}

static int dump_file(struct dump *d, int dir, const char *name)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC |
					      O_NOFOLLOW);
	struct stat st;
	uint64_t left;

	if (fd < 0 || fstat(fd, &st))
		return fail(-errno, "%s: %s", name, strerror(errno));
	put_text(d, "regular");
	if (st.st_mode & 0100) {
		put_text(d, "executable");
		put_text(d, "");
	}
	put_text(d, "contents");
	put_len(d, (uint64_t)st.st_size);
	for (left = (uint64_t)st.st_size; left;) {
		ssize_t n = read(fd, d->buf, MIN(left, PIECE));

		if (n <= 0)
			return fail(n ? -errno : -EAGAIN, "%s: %s", name,
				    n ? strerror(errno)
				      : "it became shorter meanwhile");
		put(d, d->buf, (size_t)n);
		left -= (uint64_t)n;
	}
	put_pad(d, (uint64_t)st.st_size);
	return 0;
}

static int dump_node(struct dump *d, int dir, const char *name);

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(DIR *dir, char ***ret, size_t *ret_n)
{
	char **names = NULL;
	struct dirent *x;
	size_t n = 0;
	int e;

	errno = 0;
	while ((x = readdir(dir))) {
		if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
			continue;
		if (!(n & (n - 1)))
			names = xrealloc(names, (n ? 2 * n : 1) *
						sizeof(*names));
		names[n++] = xstrdup(x->d_name);
	}
	e = errno;
	if (names)
		qsort(names, n, sizeof(*names), by_bytes);
	*ret = names;
	*ret_n = n;
	return e ? fail(-e, "readdir: %s", strerror(e)) : 0;
}

static int dump_dir(struct dump *d, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC |
				      O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char **names = NULL;
	size_t n = 0;
	int e;

	if (!dir)
		return fail(-errno, "%s: %s", name, strerror(errno));
	put_text(d, "directory");
	e = read_names(dir, &names, &n);
	for (size_t i = 0; i < n; i++) {
		if (!e) {
			put_text(d, "entry");
			put_text(d, "(");
			put_text(d, "name");
			put_text(d, names[i]);
			put_text(d, "node");
			e = dump_node(d, dirfd(dir), names[i]);
			put_text(d, ")");
		}
		free(names[i]);
	}
	free(names);
	closedir(dir);
	return e;
}

static int dump_link(struct dump *d, int dir, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return fail(-errno, "%s: %s", name, strerror(errno));
	target[n] = '\0';
	put_text(d, "symlink");
	put_text(d, "target");
	put_text(d, target);
	return 0;
}

static int dump_node(struct dump *d, int dir, const char *name)
{
	struct stat st;
	int e;

	if (d->depth == DEPTH_MAX)
		return fail(-ELOOP, "more than %u levels", DEPTH_MAX);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return fail(-errno, "%s: %s", name, strerror(errno));
	d->depth++;
	put_text(d, "(");
	put_text(d, "type");
	if (S_ISREG(st.st_mode))
		e = dump_file(d, dir, name);
	else if (S_ISDIR(st.st_mode))
		e = dump_dir(d, dir, name);
	else if (S_ISLNK(st.st_mode))
		e = dump_link(d, dir, name);
	else
		e = fail(-EINVAL, "%s: neither file, directory nor link: Nix "
			 "cannot hold it", name);
	put_text(d, ")");
	d->depth--;
	return e;
}

int nix_dump(const char *path, FILE *out, uint8_t md[SHA256_LEN],
	     uint64_t *ret_size)
{
	struct dump d = { .hash = hash_new(HASH_SHA256),
			  .buf = xmalloc(PIECE), .out = out };
	int e;

	put_text(&d, "nix-archive-1");
	e = dump_node(&d, AT_FDCWD, path);
	hash_final(d.hash, md);
	hash_free(d.hash);
	free(d.buf);
	*ret_size = d.size;
	if (!e && out && (fflush(out) || ferror(out)))
		e = fail(-ENOSPC, "no room for the archive of %s", path);
	return e;
}

/* -- what was computed before ---------------------------------------------------- */

/* The file that holds it, if it can never change; else NULL. */
static char *memory_of(struct cli *c, const char *path)
{
	cleanup_free char *escaped = http_escape(path, strlen(path));
	cleanup_free char *url = xasprintf("/api/v1/info?path=%s", escaped);
	cleanup_free char *mount_url = NULL, *text = NULL, *ret = NULL;
	json_t *v = NULL, *m = NULL;
	uint8_t md[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];

	if (cli_call(c, "GET", url, NULL, &v, NULL))
		return NULL;
	mount_url = xasprintf("/api/v1/mounts/%s", cli_text(v, "mount"));
	if (!cli_call(c, "GET", mount_url, NULL, &m, NULL) &&
	    json_get_bool(m, "read_only", false) && *cli_text(v, "id")) {
		text = xasprintf("%s %s %s", cli_text(m, "source"),
				 cli_text(v, "id"), cli_text(v, "mode"));
		hash_bytes(HASH_SHA256, text, strlen(text), md);
		nixhex_encode(md, SHA256_LEN, hex);
		ret = xasprintf("%s/nix-hash/%s",
				config_string(c->config, "server.store_path"),
				hex);
	}
	json_decref(v);
	json_decref(m);
	return steal(&ret);
}

static bool recall(const char *file, uint8_t md[SHA256_LEN], uint64_t *size)
{
	cleanup_free char *text = NULL;
	size_t len;
	int used = 0;

	if (!file || access(file, F_OK) ||
	    path_read(file, 256, &text, &len) || len < 66 ||
	    !nixhex_decode(text, 64, md, SHA256_LEN) || text[64] != ' ')
		return false;
	return sscanf(text + 65, "%" SCNu64 "\n%n", size, &used) == 1 &&
	       used && !text[65 + used];
}

static void remember(const char *file, const uint8_t md[SHA256_LEN],
		     uint64_t size)
{
	cleanup_free char *dir = file ? xstrdup(file) : NULL;
	char hex[2 * SHA256_LEN + 1], text[128];

	if (!file)
		return;
	*strrchr(dir, '/') = '\0';
	snprintf(text, sizeof(text), "%s %" PRIu64 "\n",
		 nixhex_encode(md, SHA256_LEN, hex), size);
	if (path_make_dirs(dir, 0700) ||
	    path_write(file, text, strlen(text), 0600, false))
		log_debug("nix", "%s: %s", file, error_text(-EIO));
}

/* -- the verb ---------------------------------------------------------------------- */

static char *shown(const uint8_t md[SHA256_LEN])
{
	unsigned char b64[64];
	char b32[NIX32_SHA256 + 1];

	EVP_EncodeBlock(b64, md, SHA256_LEN);
	return nix_options.base32
		       ? xasprintf("sha256:%s",
				   nix32_encode(md, SHA256_LEN, b32))
		       : xasprintf("sha256-%s", b64);
}

int nix_hash_of(struct cli *c, const char *path, uint8_t md[SHA256_LEN],
		uint64_t *ret_size)
{
	cleanup_free char *file = memory_of(c, path);
	int e;

	if (recall(file, md, ret_size))
		return 0;
	e = nix_dump(path, NULL, md, ret_size);
	if (!e)
		remember(file, md, *ret_size);
	return e;
}

int nix_hash_verb(struct cli *c)
{
	cleanup_free char *path = cli_absolute(c->args[1]), *text = NULL;
	uint8_t md[SHA256_LEN];
	uint64_t size;
	int e = nix_hash_of(c, path, md, &size);

	if (e)
		return cli_errno(e, EXIT_MOUNT, NULL, "cannot hash %s", path);
	text = shown(md);
	if (c->json)
		printf("{\"narHash\": \"%s\", \"narSize\": %" PRIu64 "}\n",
		       text, size);
	else
		printf("%s %" PRIu64 "\n", text, size);
	return 0;
}
