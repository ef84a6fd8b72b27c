/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <errno.h>
#include <string.h>

enum { AT_SECTION, IN_SECTION, IN_PACK, AT_END };

void gitanswer_text(char *out, size_t cap, const void *text, size_t n)
{
	const unsigned char *p = text;
	size_t len = 0;

	for (size_t i = 0; i < n && len + 1 < cap; i++) {
		unsigned char c = p[i];

		if (c < 0x20 || c == 0x7f)
			c = ' ';
		if (c == ' ' && (len == 0 || out[len - 1] == ' '))
			continue;
		out[len++] = (char)c;
	}
	while (len && out[len - 1] == ' ')
		len--;
	out[len] = 0;
}

static int malformed(struct gitanswer *a, const char *why)
{
	a->why = why;
	return -EBADMSG;
}

static int refuse(struct gitanswer *a, const uint8_t *text, size_t n)
{
	a->refused = true;
	gitanswer_text(a->text, sizeof(a->text), text, n);
	return -EREMOTEIO;
}

static bool is_line(const uint8_t *data, size_t len, const char *word)
{
	size_t n = strlen(word);

	if (len && data[len - 1] == '\n')
		len--;
	return len == n && memcmp(data, word, n) == 0;
}

static int on_section(struct gitanswer *a, const uint8_t *data, size_t len)
{
	static const char *const skipped[] = { "acknowledgments",
					       "shallow-info", "wanted-refs" };

	if (is_line(data, len, "packfile")) {
		a->state = IN_PACK;
		return 0;
	}
	for (size_t i = 0; i < sizeof(skipped) / sizeof(*skipped); i++) {
		if (is_line(data, len, skipped[i])) {
			a->state = IN_SECTION;
			return 0;
		}
	}
	return malformed(a, "an unknown section");
}

static int on_band(struct gitanswer *a, const uint8_t *data, size_t len)
{
	if (!len)
		return malformed(a, "a packet without a band");
	switch (data[0]) {
	case 1:
		a->pack_bytes += len - 1;
		return len > 1 ? a->on_pack(a->ctx, data + 1, len - 1) : 0;
	case 2:
		return 0; /* progress, or a keep-alive */
	case 3:
		return refuse(a, data + 1, len - 1);
	default:
		return malformed(a, "an unknown band");
	}
}

static int on_packet(void *ctx, enum pktline_kind kind, const uint8_t *data,
		     size_t len)
{
	struct gitanswer *a = ctx;

	if (kind == PKTLINE_DATA && a->state != IN_PACK && len > 4 &&
	    memcmp(data, "ERR ", 4) == 0)
		return refuse(a, data + 4, len - 4);
	if (a->state == AT_END)
		return kind == PKTLINE_END ? 0 :
			       malformed(a, "data after the end");
	switch (kind) {
	case PKTLINE_DATA:
		if (a->state == IN_PACK)
			return on_band(a, data, len);
		return a->state == AT_SECTION ? on_section(a, data, len) : 0;
	case PKTLINE_DELIM:
		if (a->state != IN_SECTION)
			return malformed(a, "a delimiter in the wrong place");
		a->state = AT_SECTION;
		return 0;
	case PKTLINE_FLUSH:
		if (a->state != IN_PACK)
			return malformed(a, "it holds no pack");
		a->state = AT_END;
		return 0;
	default:
		return malformed(a, "an end in the wrong place");
	}
}

void gitanswer_init(struct gitanswer *a,
		    int (*on_pack)(void *ctx, const void *data, size_t n),
		    void *ctx)
{
	memset(a, 0, sizeof(*a));
	pktline_reader_init(&a->reader, on_packet, a);
	a->on_pack = on_pack;
	a->ctx = ctx;
	a->state = AT_SECTION;
}

void gitanswer_done(struct gitanswer *a)
{
	pktline_reader_done(&a->reader);
}

int gitanswer_feed(struct gitanswer *a, const void *data, size_t n)
{
	int rc = pktline_feed(&a->reader, data, n);

	if (rc == -EBADMSG && !a->why && a->reader.why)
		a->why = a->reader.why;
	return rc;
}

int gitanswer_finish(struct gitanswer *a)
{
	return a->state == AT_END && pktline_at_boundary(&a->reader) ? 0 :
								       -EIO;
}
