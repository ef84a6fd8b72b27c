/* SPDX-License-Identifier: Apache-2.0 */
/* Packet lines and the sections and bands of a fetch answer: the same packets
 * must come out however the bytes are sliced, and texts stay printable. */
#include "tests/fuzz/fuzz.h"

#include "backends/git/answer.h"

#include <assert.h>
#include <string.h>

struct seen {
	uint64_t hash;
	size_t packets;
};

static int on_packet(void *ctx, enum pktline_kind kind, const uint8_t *data,
		     size_t len)
{
	struct seen *s = ctx;

	assert(len <= PKTLINE_MAX - 4 && (kind == PKTLINE_DATA || !len));
	s->hash = s->hash * 31 + kind + 1;
	for (size_t i = 0; i < len; i++)
		s->hash = s->hash * 31 + data[i];
	s->packets++;
	return 0;
}

static int read_all(struct seen *s, const uint8_t *data, size_t size,
		    size_t slice)
{
	struct pktline_reader r;
	int rc = 0;

	memset(s, 0, sizeof(*s));
	pktline_reader_init(&r, on_packet, s);
	for (size_t i = 0; i < size && rc == 0; i += slice)
		rc = pktline_feed(&r, data + i,
				  size - i < slice ? size - i : slice);
	if (rc == 0 && !pktline_at_boundary(&r))
		rc = 1;
	pktline_reader_done(&r);
	return rc;
}

static int on_pack(void *ctx, const void *data, size_t n)
{
	*(uint64_t *)ctx += n;
	return n && *(const uint8_t *)data == 0xee ? -1 : 0;
}

static int answer(const uint8_t *data, size_t size, size_t slice,
		  uint64_t *ret)
{
	struct gitanswer a;
	int rc = 0;

	*ret = 0;
	gitanswer_init(&a, on_pack, ret);
	for (size_t i = 0; i < size && rc == 0; i += slice)
		rc = gitanswer_feed(&a, data + i,
				    size - i < slice ? size - i : slice);
	if (rc == 0)
		rc = gitanswer_finish(&a);
	assert(rc != 0 || a.pack_bytes == *ret);
	for (const char *p = a.text; *p; p++)
		assert((unsigned char)*p >= 0x20 && *p != 0x7f);
	gitanswer_done(&a);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole, pieces;
	uint64_t n, m;
	int rc = read_all(&whole, data, size, size + 1), again;

	again = read_all(&pieces, data, size, 3);
	assert(rc == again);
	assert(whole.packets == pieces.packets && whole.hash == pieces.hash);
	rc = answer(data, size, size + 1, &n);
	again = answer(data, size, 7, &m);
	assert(rc == again && n == m);
	return 0;
}
