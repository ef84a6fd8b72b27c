/* SPDX-License-Identifier: Apache-2.0 */
/* Named values, and the numbers of id spaces: records of the meta database
 * under "v/<name>" and "s/<name>". */
#include "cache/store_impl.h"

static int read_value(struct store_reader *r, const uint8_t *k, size_t n,
		      struct buf *ret)
{
	struct store_guard g;
	const void *p;
	size_t len;
	MDB_val v;
	int rc;

	if (store_guarded(&g)) {
		store_doubt(r->store);
		return -ENOENT;
	}
	rc = store_get(r, DBI_META, k, n, &v);
	if (!rc && codec_value_parse(v.mv_data, v.mv_size, codec_seed(k, n), &p,
				     &len))
		rc = fail(-ENOENT, "store: the value '%.*s' is damaged",
			  (int)n - 2, (const char *)k + 2);
	if (!rc)
		buf_put(ret, p, len);
	store_guard_pop(&g);
	return rc;
}

int store_get_value(struct store *s, const char *name, struct buf *ret)
{
	struct store_reader r;
	uint8_t k[STORE_NAME_BYTES + 2] = "v/";
	size_t n = strlen(name);
	int rc;

	if (!n || n > STORE_NAME_BYTES)
		return fail(-EINVAL, "store: a value's name has 1 to %u bytes",
			    STORE_NAME_BYTES);
	memcpy(k + 2, name, n);
	rc = store_read_begin(s, &r);
	if (rc)
		return rc;
	rc = read_value(&r, k, n + 2, ret);
	store_read_end(&r);
	return rc;
}

static int put_meta(struct store *s, const uint8_t *k, size_t len,
		    const void *p, size_t n)
{
	struct store_op *op = store_op_new(n ? OP_PUT : OP_DEL, k, len);

	op->dbi = DBI_META;
	if (n)
		codec_value_pack(&op->data, codec_seed(k, len), p, n);
	return store_queue_wait(s, op, store_wait_deadline());
}

int store_put_value(struct store *s, const char *name, const void *p, size_t n)
{
	uint8_t k[STORE_NAME_BYTES + 2] = "v/";
	size_t len = strlen(name);
	int r;

	if (!len || len > STORE_NAME_BYTES)
		return fail(-EINVAL, "store: a value's name has 1 to %u bytes",
			    STORE_NAME_BYTES);
	if (n > STORE_VALUE_MAX)
		return fail(-EFBIG,
			    "store: the value '%s' has more than "
			    "64 KiB",
			    name);
	memcpy(k + 2, name, len);
	r = put_meta(s, k, len + 2, p, n);
	return r == -ENOENT && !n ? 0 : r;
}

static int find_space(struct store *s, const uint8_t *k, size_t len,
		      uint16_t *ret)
{
	struct store_reader r;
	const void *p;
	size_t n;
	MDB_val v;
	int rc = store_read_begin(s, &r);

	if (rc)
		return rc;
	rc = store_get(&r, DBI_META, k, len, &v);
	if (!rc && (codec_value_parse(v.mv_data, v.mv_size, codec_seed(k, len),
				      &p, &n) ||
		    n != 2))
		rc = -ENOENT;
	if (!rc)
		*ret = get_u16(p);
	store_read_end(&r);
	return rc;
}

static int make_space(struct store *s, const uint8_t *k, size_t len,
		      uint16_t *ret)
{
	struct store_op *op = store_op_new(OP_SPACE, k, len);
	uint64_t number = 0;
	int r;

	op->ret = &number;
	r = store_queue_wait(s, op, store_wait_deadline());
	if (!r)
		*ret = (uint16_t)number;
	return r;
}

static uint16_t known_space(struct store *s, const char *name)
{
	lock_scope(&s->space_lock);
	char **names = (char **)(void *)s->spaces.data;

	for (size_t i = 0; i < s->spaces.len / sizeof(*names); i++)
		if (names[i] && !strcmp(names[i], name))
			return (uint16_t)(i + 1);
	return 0;
}

static void remember_space(struct store *s, const char *name, uint16_t number)
{
	size_t need = number * sizeof(char *);
	lock_scope(&s->space_lock);
	char **names;

	if (s->spaces.len < need) {
		size_t more = need - s->spaces.len;

		buf_reserve(&s->spaces, more);
		memset(s->spaces.data + s->spaces.len, 0, more);
		s->spaces.len = need;
	}
	names = (char **)(void *)s->spaces.data;
	if (!names[number - 1])
		names[number - 1] = xstrdup(name);
}

int store_space(struct store *s, const char *name, uint16_t *ret)
{
	uint8_t k[STORE_NAME_BYTES + 2] = "s/";
	size_t len = strlen(name);
	uint16_t n;
	int r;

	if (!len || len > STORE_NAME_BYTES)
		return fail(-EINVAL, "store: a space's name has 1 to %u bytes",
			    STORE_NAME_BYTES);
	n = known_space(s, name);
	if (n) {
		*ret = n;
		return 0;
	}
	memcpy(k + 2, name, len);
	r = find_space(s, k, len + 2, &n);
	if (r == -ENOENT)
		r = make_space(s, k, len + 2, &n);
	if (r)
		return r;
	if (!n)
		return fail(-EIO, "store: a space without a number");
	remember_space(s, name, n);
	*ret = n;
	return 0;
}
