/* SPDX-License-Identifier: Apache-2.0 */
#include "narinfo.h"

#include "nix32.h"

enum key { STORE_PATH, URL, COMPRESSION, FILE_HASH, FILE_SIZE, NAR_HASH,
	   NAR_SIZE, REFERENCES, DERIVER, CA, SYSTEM, KEYS, SIG };

static const char *const key_names[] = {
	[STORE_PATH] = "StorePath", [URL] = "URL",
	[COMPRESSION] = "Compression", [FILE_HASH] = "FileHash",
	[FILE_SIZE] = "FileSize", [NAR_HASH] = "NarHash",
	[NAR_SIZE] = "NarSize", [REFERENCES] = "References",
	[DERIVER] = "Deriver", [CA] = "CA", [SYSTEM] = "System",
};

struct parser {
	struct narinfo *i;
	const char *store_dir;
	const char *why;
	uint32_t seen; /* bits of enum key */
	uint32_t sigs_cap;
};

static int bad(struct parser *p, const char *why)
{
	p->why = why;
	return -EBADMSG;
}

void narinfo_free(struct narinfo *i)
{
	if (!i)
		return;
	free(i->text);
	free(i->refs);
	free(i->sigs);
	free(i);
}

static bool number(const char *v, uint64_t *ret)
{
	uint64_t n = 0;

	if (!*v || (*v == '0' && v[1]))
		return false;
	for (; *v; v++) {
		if (*v < '0' || *v > '9' ||
		    __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*v - '0'), &n))
			return false;
	}
	*ret = n;
	return true;
}

/* Relative to the cache, or http(s): printable, without steps upwards. */
static bool good_url(const char *v)
{
	bool absolute = !strncmp(v, "http://", 7) || !strncmp(v, "https://", 8);

	if (!*v || strlen(v) > 2000)
		return false;
	for (const char *c = v; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '\\')
			return false;
	if (absolute)
		return true;
	if (*v == '/' || *v == '?' || *v == '#')
		return false;
	for (const char *c = v; *c && *c != '?';) {
		size_t n = strcspn(c, "/?");

		if ((n == 2 && !strncmp(c, "..", 2)) || (n == 1 && *c == '.'))
			return false;
		c += n + (c[n] == '/');
	}
	return !memchr(v, ':', strcspn(v, "/?"));
}

static int set_store_path(struct parser *p, const char *v)
{
	size_t n = strlen(p->store_dir);

	if (strncmp(v, p->store_dir, n) != 0 || v[n] != '/')
		return bad(p, "StorePath is not below the store directory");
	p->i->base = v + n + 1;
	if (!nixname_parse(p->i->base, strlen(p->i->base), p->i->hash))
		return bad(p, "StorePath is not the name of a store path");
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int set_references(struct parser *p, char *v)
{
	struct narinfo *i = p->i;
	uint32_t cap = 0, n = 0, out = 0;

	for (const char *c = v; *c; c++)
		cap += *c == ' ';
	if (!*v)
		return 0;
	if (++cap > NARINFO_REFS_MAX)
		return bad(p, "too many References");
	i->refs = calloc(cap, sizeof(*i->refs));
	if (!i->refs)
		return -ENOMEM;
	for (char *c = v; c;) {
		char *end = strchr(c, ' ');

		if (end)
			*end = '\0';
		if (!nixname_parse(c, strlen(c), NULL))
			return bad(p, "a reference is not a store path");
		i->refs[n++] = c;
		c = end ? end + 1 : NULL;
	}
	qsort(i->refs, n, sizeof(*i->refs), by_name);
	for (uint32_t k = 0; k < n; k++)
		if (!k || strcmp(i->refs[k], i->refs[k - 1]) != 0)
			i->refs[out++] = i->refs[k];
	i->n_refs = out;
	return 0;
}

static int set_sig(struct parser *p, const char *v)
{
	struct narinfo *i = p->i;
	const char *colon = strchr(v, ':');
	struct narinfo_sig *s;

	if (i->n_sigs == NARINFO_SIGS_MAX)
		return bad(p, "too many signatures");
	if (i->n_sigs == p->sigs_cap) {
		p->sigs_cap = p->sigs_cap ? 2 * p->sigs_cap : 4;
		s = realloc(i->sigs, p->sigs_cap * sizeof(*s));
		if (!s)
			return -ENOMEM;
		i->sigs = s;
	}
	s = &i->sigs[i->n_sigs];
	if (!colon || colon == v || colon - v > 255 ||
	    !nix64_decode(colon + 1, strlen(colon + 1), s->bytes, 64))
		return bad(p, "a signature is malformed");
	s->key = v;
	s->key_len = (uint32_t)(colon - v);
	i->n_sigs++;
	return 0;
}

static int set_deriver(struct parser *p, const char *v)
{
	if (!*v || !strcmp(v, "unknown-deriver"))
		return 0;
	if (!nixname_parse(v, strlen(v), NULL))
		return bad(p, "Deriver is not the name of a store path");
	p->i->deriver = v;
	return 0;
}

static int set_compression(struct parser *p, const char *v)
{
	if (unpack_kind_of(v, &p->i->compression))
		return 0;
	p->why = "a Compression that is not known here";
	return -ENOTSUP;
}

static int set_value(struct parser *p, enum key key, char *v)
{
	struct narinfo *i = p->i;
	uint8_t ignored[NIX_SHA256];

	switch (key) {
	case STORE_PATH:
		return set_store_path(p, v);
	case URL:
		i->url = v;
		return good_url(v) ? 0 : bad(p, "URL is not acceptable");
	case COMPRESSION:
		return set_compression(p, v);
	case FILE_HASH:
		return !*v || nixhash_sha256(v, strlen(v), ignored)
			       ? 0
			       : bad(p, "FileHash is malformed");
	case FILE_SIZE:
		return !*v || number(v, &i->file_size)
			       ? 0
			       : bad(p, "FileSize is not a number");
	case NAR_HASH:
		return nixhash_sha256(v, strlen(v), i->nar_hash)
			       ? 0
			       : bad(p, "NarHash is not a SHA-256");
	case NAR_SIZE:
		return number(v, &i->nar_size) && i->nar_size >= 96 &&
				       i->nar_size <= INT64_MAX &&
				       i->nar_size % 8 == 0
			       ? 0
			       : bad(p, "NarSize is not the size of an archive");
	case REFERENCES:
		return set_references(p, v);
	case DERIVER:
		return set_deriver(p, v);
	case CA:
		i->ca = *v ? v : NULL;
		return 0;
	case SIG:
		return set_sig(p, v);
	default:
		return 0;
	}
}

static int key_of(const char *line, size_t n)
{
	if (n == 3 && !memcmp(line, "Sig", 3))
		return SIG;
	for (int k = 0; k < KEYS; k++)
		if (key_names[k] && strlen(key_names[k]) == n &&
		    !memcmp(line, key_names[k], n))
			return k;
	return -1;
}

/* line: without its LF, NUL-terminated */
static int parse_line(struct parser *p, char *line)
{
	char *colon = strchr(line, ':');
	int key;

	if (!colon || colon == line)
		return bad(p, "a line without a key");
	if (colon[1] != ' ')
		return bad(p, "no blank after a key");
	for (const char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return bad(p, "a control character");
	key = key_of(line, (size_t)(colon - line));
	if (key < 0)
		return 0;
	if (key != SIG && p->seen & 1u << key)
		return bad(p, "a key twice");
	p->seen |= 1u << key;
	return set_value(p, (enum key)key, colon + 2);
}

static int parse_lines(struct parser *p, size_t len)
{
	char *c = p->i->text, *end = c + len;
	int rc = 0;

	if (memchr(c, '\0', len))
		return bad(p, "a NUL byte");
	if (!len || end[-1] != '\n')
		return bad(p, "it is cut off: no line end");
	while (c < end && !rc) {
		char *lf = memchr(c, '\n', (size_t)(end - c));

		*lf = '\0';
		rc = parse_line(p, c);
		c = lf + 1;
	}
	return rc;
}

static int check_whole(struct parser *p)
{
	static const enum key needed[] = { STORE_PATH, URL, NAR_HASH,
					   NAR_SIZE };

	for (size_t k = 0; k < sizeof(needed) / sizeof(*needed); k++)
		if (!(p->seen & 1u << needed[k]))
			return bad(p, "StorePath, URL, NarHash or NarSize is "
				   "missing");
	return 0;
}

int narinfo_parse(const char *text, size_t len, const char *store_dir,
		  struct narinfo **ret, const char **why)
{
	struct parser p = { .store_dir = store_dir, .why = "no memory" };
	int rc;

	if (len > NIX_NARINFO_MAX) {
		*why = "it is larger than any narinfo";
		return -EBADMSG;
	}
	p.i = calloc(1, sizeof(*p.i));
	if (p.i)
		p.i->text = malloc(len + 1);
	if (!p.i || !p.i->text) {
		narinfo_free(p.i);
		*why = p.why;
		return -ENOMEM;
	}
	memcpy(p.i->text, text, len);
	p.i->text[len] = '\0';
	p.i->compression = UNPACK_BZIP2; /* when the field is missing */
	rc = parse_lines(&p, len);
	if (!rc)
		rc = check_whole(&p);
	if (rc) {
		narinfo_free(p.i);
		*why = p.why;
		return rc;
	}
	*ret = p.i;
	return 0;
}
