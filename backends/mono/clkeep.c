/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fact of the store holds 32 KiB at most, so a text is kept in parts: the first
 * one begins with the length and the SHA-256 of the whole, which proves that the
 * others belong to it.
 */
#include "clkeep.h"

#include "text.h"

#include <openssl/sha.h>

#define PART (32u << 10)
#define HEAD (8u + SHA256_DIGEST_LENGTH)

static void part_name(const char *name, unsigned n, char out[96])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	char hex[2 * SHA256_DIGEST_LENGTH + 1];

	SHA256((const uint8_t *)name, strlen(name), sum);
	monohex_encode(sum, sizeof(sum), hex);
	snprintf(out, 96, "cl/%s/%u", hex, n);
}

static void put_head(uint8_t out[HEAD], const char *text, size_t len)
{
	for (unsigned i = 0; i < 8; i++)
		out[i] = (uint8_t)((uint64_t)len >> 8 * i);
	SHA256((const uint8_t *)text, len, out + 8);
}

void monocl_keep(struct mono *m, const char *name, const char *text,
		 size_t len)
{
	const struct scorpio_host *h = m->host;
	auto_free uint8_t *part = malloc(PART);
	uint8_t head[HEAD];
	char fact[96];
	size_t at = 0;

	if (!part || !SCORPIO_HAS(h, remember) || len > MONO_CLKEEP_MAX)
		return;
	put_head(head, text, len);
	part_name(name, 0, fact);
	if (h->recall(h, fact, part, PART) >= (int64_t)HEAD &&
	    memcmp(part, head, HEAD) == 0)
		return;
	for (unsigned n = 0; n == 0 || at < len; n++) {
		size_t used = n ? 0 : HEAD;
		size_t more = len - at < PART - used ? len - at : PART - used;

		memcpy(part, head, used);
		memcpy(part + used, text + at, more);
		part_name(name, n, fact);
		if (h->remember(h, fact, part, used + more) < 0)
			return; /* then it is asked for again */
		at += more;
	}
}

char *monocl_kept(struct mono *m, const char *name, size_t *ret_len)
{
	const struct scorpio_host *h = m->host;
	auto_free uint8_t *part = malloc(PART);
	auto_free char *text = NULL;
	uint8_t head[HEAD], sum[HEAD];
	uint64_t len = 0, at = 0;
	char fact[96], *out;

	for (unsigned n = 0; part && (n == 0 || at < len); n++) {
		size_t used = n ? 0 : HEAD;
		int64_t got = -1;

		part_name(name, n, fact);
		if (SCORPIO_HAS(h, recall))
			got = h->recall(h, fact, part, PART);
		if (got < (int64_t)used || got > (int64_t)PART ||
		    (n && got == 0))
			return NULL;
		if (n == 0) {
			memcpy(head, part, HEAD);
			for (unsigned i = 0; i < 8; i++)
				len |= (uint64_t)head[i] << 8 * i;
			if (len > MONO_CLKEEP_MAX)
				return NULL;
			text = malloc(len + 1);
		}
		got -= (int64_t)used;
		if (!text || (uint64_t)got > len - at)
			return NULL;
		memcpy(text + at, part + used, (size_t)got);
		at += (uint64_t)got;
	}
	if (!text)
		return NULL;
	put_head(sum, text, len);
	if (memcmp(sum, head, HEAD) != 0)
		return NULL;
	out = text;
	text = NULL;
	*ret_len = len;
	return out;
}
