/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format is a sequence of strings: 64-bit little-endian length, bytes,
 * zeros up to a multiple of 8. Each state below waits for one string; all are
 * short and collected, but a file's contents, which pass through.
 */
#include "nar.h"

#define TOKEN_MAX 4096u /* a link's target and its zeros */

enum state {
	MAGIC,      /* nix-archive-1 */
	NODE_OPEN,  /* ( */
	NODE_TYPE,  /* type */
	NODE_KIND,  /* regular, symlink or directory */
	FILE_NEXT,  /* executable or contents */
	FILE_EMPTY, /* the empty string after executable */
	FILE_KEY,   /* contents */
	FILE_BYTES,
	LINK_KEY,    /* target */
	LINK_TARGET,
	NODE_CLOSE,  /* ) of a file or link */
	DIR_NEXT,    /* entry or ) */
	ENTRY_OPEN,  /* ( */
	ENTRY_KEY,   /* name */
	ENTRY_NAME,
	ENTRY_NODE,  /* node */
	ENTRY_CLOSE, /* ) */
	DONE,
};

/* What each state expects if it is one word, and what comes then. */
static const struct {
	const char *word;
	enum state next;
} words[] = {
	[MAGIC] = { "nix-archive-1", NODE_OPEN },
	[NODE_OPEN] = { "(", NODE_TYPE },
	[NODE_TYPE] = { "type", NODE_KIND },
	[FILE_EMPTY] = { "", FILE_KEY },
	[FILE_KEY] = { "contents", FILE_BYTES },
	[LINK_KEY] = { "target", LINK_TARGET },
	[ENTRY_OPEN] = { "(", ENTRY_KEY },
	[ENTRY_KEY] = { "name", ENTRY_NAME },
	[ENTRY_NODE] = { "node", NODE_OPEN },
	[ENTRY_CLOSE] = { ")", DIR_NEXT },
	[DONE] = { NULL, DONE },
};

struct level { /* an open directory */
	uint32_t node;
	uint32_t last; /* its newest entry; NARTREE_NONE: none yet */
};

struct nar {
	nar_data_fn data;
	void *ctx;
	const char *why;
	struct nartree *tree;
	enum state state;
	bool in_string;   /* the length is known */
	uint64_t len;     /* of the string */
	uint64_t got;     /* bytes of the string, zeros included */
	uint8_t buf[TOKEN_MAX];
	uint32_t have;    /* bytes in buf */
	uint32_t node;    /* the newest */
	uint32_t depth;
	char name[SCORPIO_NAME_MAX]; /* of the node to come */
	size_t name_len;
	struct level levels[NIX_DEPTH_MAX];
};

struct nar *nar_new(nar_data_fn data, void *ctx)
{
	struct nar *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->data = data;
	n->ctx = ctx;
	n->why = "";
	n->tree = nartree_new();
	if (!n->tree) {
		free(n);
		return NULL;
	}
	return n;
}

void nar_free(struct nar *n)
{
	if (!n)
		return;
	nartree_free(n->tree);
	free(n);
}

const char *nar_why(const struct nar *n)
{
	return n->why;
}

static int bad(struct nar *n, const char *why)
{
	n->why = why;
	return -EBADMSG;
}

static bool is(const struct nar *n, const char *word)
{
	return n->len == strlen(word) && !memcmp(n->buf, word, n->len);
}

/* A node is complete: what comes after it. */
static void leave(struct nar *n)
{
	n->state = n->depth ? ENTRY_CLOSE : DONE;
}

static int begin_node(struct nar *n)
{
	uint8_t kind = is(n, "regular")	    ? SCORPIO_FILE
		       : is(n, "symlink")   ? SCORPIO_SYMLINK
		       : is(n, "directory") ? SCORPIO_DIR
					    : 0;
	int64_t at;

	if (!kind)
		return bad(n, "a node of an unknown kind");
	if (kind == SCORPIO_DIR && n->depth == NIX_DEPTH_MAX)
		return bad(n, "directories too deep");
	at = nartree_add(n->tree, kind, n->name, n->depth ? n->name_len : 0);
	if (at < 0) {
		n->why = "too many entries";
		return (int)at;
	}
	n->node = (uint32_t)at;
	if (n->depth)
		n->levels[n->depth - 1].last = n->node;
	if (kind == SCORPIO_DIR)
		n->levels[n->depth++] = (struct level){ n->node,
							NARTREE_NONE };
	n->state = kind == SCORPIO_FILE	     ? FILE_NEXT
		   : kind == SCORPIO_SYMLINK ? LINK_KEY
					     : DIR_NEXT;
	return 0;
}

static int file_next(struct nar *n)
{
	if (is(n, "executable")) {
		n->tree->nodes[n->node].executable = true;
		n->state = FILE_EMPTY;
		return 0;
	}
	if (!is(n, "contents"))
		return bad(n, "a file without contents");
	n->state = FILE_BYTES;
	return 0;
}

static int dir_next(struct nar *n)
{
	if (is(n, "entry")) {
		n->state = ENTRY_OPEN;
		return 0;
	}
	if (!is(n, ")"))
		return bad(n, "neither an entry nor the end of a directory");
	n->depth--;
	n->tree->nodes[n->levels[n->depth].node].end = n->tree->n;
	leave(n);
	return 0;
}

static int entry_name(struct nar *n)
{
	uint32_t last = n->levels[n->depth - 1].last;
	bool first = last == NARTREE_NONE;

	if (n->len > SCORPIO_NAME_MAX ||
	    !nartree_good_name((char *)n->buf, n->len,
			       first ? NULL : nartree_name(n->tree, last),
			       first ? 0 : n->tree->nodes[last].name_len))
		return bad(n, "a bad name, or names out of order");
	memcpy(n->name, n->buf, n->len);
	n->name_len = n->len;
	n->state = ENTRY_NODE;
	return 0;
}

static int link_target(struct nar *n)
{
	int rc = nartree_target(n->tree, n->node, (char *)n->buf, n->len);

	if (rc) {
		n->why = "a bad target of a symbolic link";
		return rc;
	}
	n->state = NODE_CLOSE;
	return 0;
}

/* A string that is not content is complete in buf. */
static int token(struct nar *n)
{
	switch (n->state) {
	case NODE_KIND:
		return begin_node(n);
	case FILE_NEXT:
		return file_next(n);
	case LINK_TARGET:
		return link_target(n);
	case DIR_NEXT:
		return dir_next(n);
	case ENTRY_NAME:
		return entry_name(n);
	case NODE_CLOSE:
		if (!is(n, ")"))
			return bad(n, "the end of a node is missing");
		leave(n);
		return 0;
	default:
		if (!is(n, words[n->state].word))
			return bad(n, n->state == MAGIC
					      ? "it does not begin as one"
					      : "an unexpected word");
		n->state = words[n->state].next;
		return 0;
	}
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n)
		if (p[--n])
			return false;
	return true;
}

static uint64_t padded(uint64_t n)
{
	return (n + 7) / 8 * 8;
}

/* The length of the next string is in buf. */
static int begin_string(struct nar *n)
{
	uint64_t len = 0;

	for (int i = 7; i >= 0; i--)
		len = len << 8 | n->buf[i];
	n->have = 0;
	if (n->state == FILE_BYTES ? len > INT64_MAX - 8
				   : padded(len) > TOKEN_MAX || len > TOKEN_MAX)
		return bad(n, "a string of impossible length");
	n->in_string = true;
	n->len = len;
	n->got = 0;
	if (n->state == FILE_BYTES)
		n->tree->nodes[n->node].size = len;
	return 0;
}

static int end_string(struct nar *n)
{
	n->in_string = false;
	n->have = 0;
	if (n->state == FILE_BYTES) {
		n->state = NODE_CLOSE;
		return 0;
	}
	if (!all_zero(n->buf + n->len, padded(n->len) - n->len))
		return bad(n, "padding that is not zero");
	return token(n);
}

/* Some of a file's bytes or of the zeros behind them; *used of len. */
static int content(struct nar *n, const uint8_t *p, size_t len, size_t *used)
{
	uint64_t left = n->got < n->len ? n->len - n->got
					: padded(n->len) - n->got;
	size_t part = left < len ? (size_t)left : len;
	int rc = 0;

	if (n->got >= n->len) {
		if (!all_zero(p, part))
			return bad(n, "padding that is not zero");
	} else if (n->data) {
		rc = n->data(n->ctx, n->node, p, part);
	}
	n->got += part;
	*used = part;
	return rc;
}

/* Collect up to `want` bytes in buf. */
static size_t collect(struct nar *n, const uint8_t *p, size_t len, size_t want)
{
	size_t part = want - n->have < len ? want - n->have : len;

	memcpy(n->buf + n->have, p, part);
	n->have += (uint32_t)part;
	return part;
}

static int step(struct nar *n, const uint8_t *p, size_t len, size_t *used)
{
	if (n->state == DONE)
		return bad(n, "bytes after its end");
	if (!n->in_string) {
		*used = collect(n, p, len, 8);
		return n->have == 8 ? begin_string(n) : 0;
	}
	if (n->state == FILE_BYTES)
		return content(n, p, len, used);
	*used = collect(n, p, len, padded(n->len));
	n->got = n->have;
	return 0;
}

int nar_feed(struct nar *n, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t used;
	int rc = 0;

	while (len && !rc) {
		used = 0;
		rc = step(n, p, len, &used);
		p += used;
		len -= used;
		while (!rc && n->in_string && n->got == padded(n->len))
			rc = end_string(n);
	}
	return rc;
}

int nar_end(struct nar *n, struct nartree **ret)
{
	int rc;

	if (n->state != DONE)
		return bad(n, "it is cut off");
	rc = nartree_finish(n->tree);
	if (rc) {
		n->why = "its size is impossible";
		return rc;
	}
	*ret = n->tree;
	n->tree = NULL;
	return 0;
}
