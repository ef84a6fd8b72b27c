/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <scorpio/types.h>

#define MODE_TYPE 0170000u

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool githex_all(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (nibble(s[i]) < 0)
			return false;
	return n > 0;
}

bool githex_decode(const char *hex, uint8_t ret[GITOBJ_ID])
{
	for (size_t i = 0; i < GITOBJ_ID; i++) {
		int hi = nibble(hex[2 * i]);
		int lo = hi < 0 ? -1 : nibble(hex[2 * i + 1]);

		if (lo < 0)
			return false;
		ret[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

bool gittree_forbidden(const char *name, size_t len)
{
	return len == 4 && strncasecmp(name, ".git", 4) == 0;
}

void gittree_begin(struct gittree_reader *r, const void *raw, size_t len)
{
	r->p = raw;
	r->end = r->p + len;
	r->why = NULL;
}

static int bad(struct gittree_reader *r, const char *why)
{
	r->why = why;
	return -EBADMSG;
}

static int read_mode(struct gittree_reader *r, uint32_t *ret)
{
	uint32_t mode = 0;
	unsigned digits = 0;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '7' && digits < 7) {
		mode = mode << 3 | (uint32_t)(*r->p++ - '0');
		digits++;
	}
	if (!digits || r->p == r->end || *r->p != ' ')
		return bad(r, "an entry has no mode");
	r->p++;
	*ret = mode;
	return 0;
}

static int set_kind(struct gittree_reader *r, uint32_t mode,
		    struct gittree_entry *e)
{
	switch (mode & MODE_TYPE) {
	case 0100000u:
		e->kind = SCORPIO_FILE;
		e->mode = mode & 0100 ? 0755 : 0644;
		break;
	case 0040000u:
		e->kind = SCORPIO_DIR;
		e->mode = 0755;
		break;
	case 0120000u:
		e->kind = SCORPIO_SYMLINK;
		e->mode = 0777;
		break;
	case 0160000u:
		e->kind = SCORPIO_SUBMODULE;
		e->mode = 0755;
		break;
	default:
		return bad(r, "an entry has an unknown mode");
	}
	return mode & 07000 ? bad(r, "an entry has an unknown mode") : 0;
}

static int check_name(struct gittree_reader *r, const struct gittree_entry *e)
{
	if (!e->name_len)
		return bad(r, "an entry has no name");
	if (memchr(e->name, '/', e->name_len))
		return bad(r, "an entry's name holds a slash");
	if (e->name[0] == '.' &&
	    (e->name_len == 1 || (e->name_len == 2 && e->name[1] == '.')))
		return bad(r, "an entry is called '.' or '..'");
	return 0;
}

int gittree_next(struct gittree_reader *r, struct gittree_entry *ret)
{
	struct gittree_entry e = { 0 };
	const uint8_t *nul;
	uint32_t mode;
	int rc;

	if (r->p == r->end)
		return 0;
	rc = read_mode(r, &mode);
	if (rc == 0)
		rc = set_kind(r, mode, &e);
	if (rc < 0)
		return rc;
	nul = memchr(r->p, 0, (size_t)(r->end - r->p));
	if (!nul || (size_t)(r->end - nul) < 1 + GITOBJ_ID)
		return bad(r, "it ends in the middle of an entry");
	e.name = (const char *)r->p;
	e.name_len = (uint32_t)(nul - r->p);
	e.id = nul + 1;
	rc = check_name(r, &e);
	if (rc < 0)
		return rc;
	r->p = nul + 1 + GITOBJ_ID;
	*ret = e;
	return 1;
}

int gittree_find(const void *raw, size_t len, const char *name, size_t n,
		 struct gittree_entry *ret)
{
	struct gittree_reader r;
	struct gittree_entry e;
	int rc;

	gittree_begin(&r, raw, len);
	while ((rc = gittree_next(&r, &e)) > 0) {
		if (e.name_len == n && memcmp(e.name, name, n) == 0) {
			*ret = e;
			return 1;
		}
	}
	return rc;
}

/* "<key> <40 hex>\n" at *p; moves it past the line. */
static bool id_line(const char **p, const char *end, const char *key,
		    uint8_t ret[GITOBJ_ID])
{
	size_t n = strlen(key);

	if ((size_t)(end - *p) < n + 2 + 2 * GITOBJ_ID ||
	    memcmp(*p, key, n) != 0 || (*p)[n] != ' ' ||
	    !githex_decode(*p + n + 1, ret) ||
	    (*p)[n + 1 + 2 * GITOBJ_ID] != '\n')
		return false;
	*p += n + 2 + 2 * GITOBJ_ID;
	return true;
}

/* The number after the last '>' of "committer Name <mail> 123 +0000". A time
 * that makes no sense is the epoch, as git shows it. */
static int64_t line_time(const char *line, const char *end)
{
	const char *p = memrchr(line, '>', (size_t)(end - line));
	bool minus = false;
	int64_t t = 0;

	if (!p)
		return 0;
	p++;
	while (p < end && *p == ' ')
		p++;
	if (p < end && *p == '-') {
		minus = true;
		p++;
	}
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		t = t * 10 + (*p - '0');
		if (t > 9000000000ll) /* ns must fit */
			return 0;
	}
	return minus ? -t : t;
}

int gitcommit_parse(const void *raw, size_t len, uint8_t ret_tree[GITOBJ_ID],
		    int64_t *ret_time)
{
	static const char key[] = "committer ";
	const char *p = raw, *end = p + len;
	uint8_t tree[GITOBJ_ID];

	if (!id_line(&p, end, "tree", tree))
		return -EBADMSG;
	while (p < end && *p != '\n') {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		if (!nl)
			return -EBADMSG;
		if ((size_t)(nl - p) > sizeof(key) &&
		    memcmp(p, key, sizeof(key) - 1) == 0) {
			memcpy(ret_tree, tree, GITOBJ_ID);
			*ret_time = line_time(p, nl);
			return 0;
		}
		p = nl + 1;
	}
	return -EBADMSG;
}

int gitcommit_parent(const void *raw, size_t len, unsigned number,
		     uint8_t ret_id[GITOBJ_ID])
{
	const char *p = raw, *end = p + len;
	uint8_t id[GITOBJ_ID];

	if (!number || !id_line(&p, end, "tree", id))
		return -EBADMSG;
	while (number-- > 0)
		if (!id_line(&p, end, "parent", id))
			return -ENOENT;
	memcpy(ret_id, id, GITOBJ_ID);
	return 0;
}

int gittag_parse(const void *raw, size_t len, uint8_t ret_id[GITOBJ_ID])
{
	const char *p = raw;
	uint8_t id[GITOBJ_ID];

	if (!id_line(&p, p + len, "object", id))
		return -EBADMSG;
	memcpy(ret_id, id, GITOBJ_ID);
	return 0;
}
