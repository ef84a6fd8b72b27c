/* SPDX-License-Identifier: Apache-2.0 */
#include "clfiles.h"

#include "listing.h"
#include "text.h"

#include <jansson.h>

static void edit_done(struct monoedit *e)
{
	free(e->path);
	free(e->from);
}

void monoedits_done(struct monoedits *l)
{
	for (size_t i = 0; i < l->n; i++)
		edit_done(&l->e[i]);
	free(l->e);
	memset(l, 0, sizeof(*l));
}

bool monocl_path(const char *in, size_t len, char **ret)
{
	char *out = malloc(len + 1), *p = out;
	const char *s = in, *end = in + len;

	if (!out || memchr(in, 0, len) || len >= MONOCL_PATH_MAX)
		goto bad;
	while (s < end) {
		const char *slash = memchr(s, '/', (size_t)(end - s));
		size_t n = (size_t)((slash ? slash : end) - s);

		if (n > SCORPIO_NAME_MAX || (n == 1 && s[0] == '.') ||
		    (n == 2 && s[0] == '.' && s[1] == '.'))
			goto bad;
		if (n && p != out)
			*p++ = '/';
		memcpy(p, s, n);
		p += n;
		s += n + (slash != NULL);
	}
	*p = 0;
	*ret = out;
	return true;
bad:
	free(out);
	return false;
}

/* A path of the list, from the root of the monorepo. NULL: impossible. */
static char *place(const json_t *j, const char *root)
{
	const char *s = json_string_value(j);
	char *full = NULL, *out = NULL;
	size_t len = json_string_length(j);

	if (!s || !len)
		return NULL;
	if (*s == '/' || !*root)
		return monocl_path(s, len, &out) && *out ? out
							 : (free(out), NULL);
	if (strlen(s) != len || asprintf(&full, "%s/%s", root, s) < 0)
		return NULL;
	if (!monocl_path(full, strlen(full), &out))
		out = NULL;
	free(full);
	return out;
}

/* Takes path and from. */
static int add(struct monoedits *l, struct monoedit *e)
{
	struct monoedit *bigger;
	size_t cap = l->cap ? 2 * l->cap : 64;

	if (l->n == MONOCL_EDITS_MAX) {
		edit_done(e);
		return -EFBIG;
	}
	if (l->n == l->cap) {
		bigger = reallocarray(l->e, cap, sizeof(*bigger));
		if (!bigger) {
			edit_done(e);
			return -ENOMEM;
		}
		l->e = bigger;
		l->cap = cap;
	}
	l->e[l->n++] = *e;
	return 0;
}

static bool read_oid(const json_t *j, uint8_t *ret)
{
	const char *s = json_string_value(j);

	if (s && strncmp(s, "sha1:", 5) == 0)
		s += 5;
	return s && strlen(s) == MONO_HEX && monohex_decode(s, MONO_HEX, ret);
}

static bool read_mode(const json_t *j, uint32_t *ret)
{
	const char *s = json_string_value(j);
	unsigned long v;
	char *end;

	*ret = 0;
	if (!j || json_is_null(j))
		return true;
	v = s && *s ? strtoul(s, &end, 8) : 0;
	if (!v || *end)
		return false;
	switch (v) {
	case 0100644:
	case 0100755:
	case 0100664:
	case 0100640:
	case MONO_MODE_LINK:
		*ret = (uint32_t)v;
		return true;
	default:
		return false;
	}
}

static int remove_path(struct monoedits *l, char *path /* takes */)
{
	struct monoedit e = { .path = path };

	if (!path) {
		l->dropped++;
		return 0;
	}
	return add(l, &e);
}

static int put_path(struct monoedits *l, const json_t *j, const char *root,
		    const char *from, const char **why)
{
	struct monoedit e = { .put = true };

	if (!read_oid(json_object_get(j, "sha"), e.oid)) {
		*why = "a file without a valid sha";
		return -EBADMSG;
	}
	if (!read_mode(json_object_get(j, "mode"), &e.mode)) {
		*why = "a file of an impossible mode";
		return -EBADMSG;
	}
	e.path = place(json_object_get(j, "path"), root);
	if (!e.path) {
		l->dropped++;
		return 0;
	}
	e.from = from ? strdup(from) : NULL;
	return add(l, &e);
}

static int read_change(struct monoedits *l, const json_t *j, const char *root,
		       const char **why)
{
	const char *action = json_string_value(json_object_get(j, "action"));
	char *old;
	int rc;

	*why = "a file without an action that is known";
	if (!action)
		return -EBADMSG;
	if (strcmp(action, "new") == 0 || strcmp(action, "modified") == 0)
		return put_path(l, j, root, NULL, why);
	if (strcmp(action, "deleted") == 0)
		return remove_path(l, place(json_object_get(j, "path"), root));
	if (strcmp(action, "renamed") != 0)
		return -EBADMSG;
	old = place(json_object_get(j, "old_path"), root);
	rc = put_path(l, j, root, old, why);
	if (rc < 0) {
		free(old);
		return rc;
	}
	return remove_path(l, old);
}

/* What puts comes behind what removes: it wins. */
static int by_path(const void *pa, const void *pb)
{
	const struct monoedit *a = pa, *b = pb;
	int c = strcmp(a->path, b->path);

	return c ? c : (int)a->put - (int)b->put;
}

static void sort(struct monoedits *l)
{
	size_t n = 0;

	if (l->n)
		qsort(l->e, l->n, sizeof(*l->e), by_path);
	for (size_t i = 0; i < l->n; i++) {
		if (i + 1 < l->n &&
		    strcmp(l->e[i].path, l->e[i + 1].path) == 0)
			edit_done(&l->e[i]);
		else
			l->e[n++] = l->e[i];
	}
	l->n = n;
}

static int read_list(struct monoedits *l, const json_t *list, const char *root,
		     const char **why)
{
	json_t *j;
	size_t i;
	int rc = 0;

	json_array_foreach(list, i, j) {
		rc = read_change(l, j, root, why);
		if (rc < 0)
			break;
	}
	if (rc == -EFBIG) {
		*why = "more files than one change list may have";
		rc = -EBADMSG;
	}
	if (rc < 0)
		monoedits_done(l);
	else
		sort(l);
	return rc;
}

int monoedits_parse(struct monoedits *l, const char *text, size_t len,
		    const char *root, char *said, size_t cap, const char **why)
{
	json_t *j = json_loadb(text ? text : "", len, 0, NULL);
	const json_t *list = json_object_get(j, "data");
	const json_t *words = json_object_get(j, "err_message");
	int rc = -EBADMSG;

	said[0] = 0;
	*why = "it is not JSON as expected";
	if (json_is_false(json_object_get(j, "req_result"))) {
		if (json_is_string(words))
			monotext_clean(said, cap, json_string_value(words),
				       json_string_length(words));
		rc = -EREMOTEIO;
	} else if (json_is_array(list)) {
		rc = read_list(l, list, root, why);
	}
	json_decref(j);
	return rc;
}

size_t monoedits_from(const struct monoedits *l, const char *path)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(l->e[mid].path, path) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
