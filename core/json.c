/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include "core/error.h"
#include "core/id.h"

int json_parse(const char *text, size_t n, const char *what, json_t **ret)
{
	json_error_t e;
	json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);

	if (!v)
		return fail(-EBADMSG, "%s:%d:%d: %s", what, e.line, e.column,
			    e.text);
	*ret = v;
	return 0;
}

const char *json_get_text(const json_t *obj, const char *key, const char *dflt)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : dflt;
}

int64_t json_get_int(const json_t *obj, const char *key, int64_t dflt)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_integer(v) ? json_integer_value(v) : dflt;
}

bool json_get_bool(const json_t *obj, const char *key, bool dflt)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_boolean(v) ? json_is_true(v) : dflt;
}

double json_get_real(const json_t *obj, const char *key, double dflt)
{
	const json_t *v = json_object_get(obj, key);

	return json_is_number(v) ? json_number_value(v) : dflt;
}

size_t utf8_char(const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t len, i;
	uint32_t c;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len > n)
		return 0;
	c = p[0] & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (len == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff)))
		return 0;
	if (len == 4 && (c < 0x10000 || c > 0x10ffff))
		return 0;
	return len;
}

size_t utf8_valid(const void *p, size_t n)
{
	const uint8_t *s = p;
	size_t i = 0, k;

	while (i < n && (k = utf8_char(s + i, n - i)))
		i += k;
	return i;
}

void json_bytes_put(struct buf *out, const void *p, size_t n)
{
	const uint8_t *s = p;
	size_t i = 0, k;

	while (i < n) {
		k = s[i] ? utf8_char(s + i, n - i) : 0;
		if (k == 1 && s[i] == '\\')
			buf_puts(out, "\\\\");
		else if (k)
			buf_put(out, s + i, k);
		else
			buf_printf(out, "\\x%02x", s[i]);
		i += MAX(k, 1u);
	}
}

json_t *json_bytes(const void *p, size_t n)
{
	cleanup_buf struct buf b = BUF_INIT;

	json_bytes_put(&b, p, n);
	return json_stringn(buf_str(&b), b.len);
}

bool json_bytes_decode(const char *s, struct buf *out)
{
	uint8_t byte;

	for (; *s; s++) {
		if (*s != '\\') {
			buf_putc(out, (uint8_t)*s);
		} else if (s[1] == '\\') {
			buf_putc(out, '\\');
			s++;
		} else if (s[1] == 'x' && s[2] && hex_decode(s + 2, 1, &byte)) {
			buf_putc(out, byte);
			s += 3;
		} else {
			return false;
		}
	}
	return true;
}

char *json_get_bytes(const json_t *obj, const char *key)
{
	const char *s = json_get_text(obj, key, NULL);
	struct buf b = BUF_INIT;

	if (s && json_bytes_decode(s, &b))
		return buf_steal(&b);
	buf_done(&b);
	return NULL;
}

static int append(const char *p, size_t n, void *out)
{
	buf_put(out, p, n);
	return 0;
}

void json_print(const json_t *v, struct buf *out)
{
	json_dump_callback(v, append, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

void json_print_pretty(const json_t *v, struct buf *out)
{
	json_dump_callback(v, append, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
}
