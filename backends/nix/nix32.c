/* SPDX-License-Identifier: Apache-2.0 */
#include "nix32.h"

static const char digits32[] = "0123456789abcdfghijklmnpqrsvwxyz";

char *nix32_encode(const uint8_t *p, size_t n, char *out)
{
	size_t len = nix32_len(n), i;

	for (i = 0; i < len; i++) {
		size_t bit = (len - 1 - i) * 5, byte = bit / 8;
		unsigned v = p[byte] >> (bit % 8);

		if (byte + 1 < n)
			v |= (unsigned)p[byte + 1] << (8 - bit % 8);
		out[i] = digits32[v & 31];
	}
	out[len] = '\0';
	return out;
}

bool nix32_decode(const char *text, size_t len, uint8_t *out, size_t n)
{
	if (len != nix32_len(n))
		return false;
	memset(out, 0, n);
	for (size_t i = 0; i < len; i++) {
		const char *d = memchr(digits32, text[i], 32);
		size_t bit = (len - 1 - i) * 5, byte = bit / 8;
		unsigned v;

		if (!d)
			return false;
		v = (unsigned)(d - digits32) << (bit % 8);
		out[byte] |= (uint8_t)v;
		if (byte + 1 < n)
			out[byte + 1] |= (uint8_t)(v >> 8);
		else if (v >> 8)
			return false; /* more bits than there are */
	}
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool nixhex_decode(const char *text, size_t len, uint8_t *out, size_t n)
{
	if (len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int a = hex_digit(text[2 * i]), b = hex_digit(text[2 * i + 1]);

		if (a < 0 || b < 0)
			return false;
		out[i] = (uint8_t)(a << 4 | b);
	}
	return true;
}

char *nixhex_encode(const uint8_t *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", p[i]);
	return out;
}

static int digit64(char c)
{
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *d = memchr(all, c, 64);

	return d ? (int)(d - all) : -1;
}

bool nix64_decode(const char *text, size_t len, uint8_t *out, size_t n)
{
	size_t want = (n + 2) / 3 * 4, pad = want - (n * 4 + 2) / 3, at = 0;
	uint32_t acc = 0;
	unsigned bits = 0;

	if (len != want)
		return false;
	for (size_t i = 0; i < len; i++) {
		int d = digit64(text[i]);

		if (i >= len - pad) {
			if (text[i] != '=')
				return false;
			continue;
		}
		if (d < 0)
			return false;
		acc = acc << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8 && at < n) {
			bits -= 8;
			out[at++] = (uint8_t)(acc >> bits);
			acc &= (1u << bits) - 1;
		}
	}
	return at == n && acc == 0;
}

bool nixhash_digits(const char *text, size_t len, uint8_t *out, size_t n)
{
	return nix32_decode(text, len, out, n) ||
	       nixhex_decode(text, len, out, n) ||
	       nix64_decode(text, len, out, n);
}

bool nixhash_sha256(const char *text, size_t len, uint8_t out[NIX_SHA256])
{
	if (len < 7 || memcmp(text, "sha256", 6) != 0)
		return false;
	if (text[6] == '-')
		return nix64_decode(text + 7, len - 7, out, NIX_SHA256);
	return text[6] == ':' &&
	       nixhash_digits(text + 7, len - 7, out, NIX_SHA256);
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("+-._?=", c));
}

bool nixname_parse(const char *text, size_t len, uint8_t out[NIX_HASH])
{
	uint8_t hash[NIX_HASH];
	const char *name = text + NIX_HASH_TEXT + 1;

	if (len < NIX_HASH_TEXT + 2 || len > NIX_BASE_MAX ||
	    text[NIX_HASH_TEXT] != '-' || *name == '.' ||
	    !nix32_decode(text, NIX_HASH_TEXT, hash, NIX_HASH))
		return false;
	for (size_t i = NIX_HASH_TEXT + 1; i < len; i++)
		if (!name_char(text[i]))
			return false;
	if (out)
		memcpy(out, hash, NIX_HASH);
	return true;
}
