/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"

#include "clkeep.h"
#include "commits.h"
#include "directory.h"
#include "layer.h"
#include "request.h"
#include "text.h"

#include <jansson.h>

#define REPLY_MAX (4u << 20)
#define SPEC_MAX 1024u
#define TRIES 3 /* when main moves while we look */

/* -- which commit ---------------------------------------------------------- */

static bool is_main(const char *spec)
{
	static const char *const names[] = { "", "main", "HEAD",
					     "refs/heads/main" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(spec, names[i]) == 0)
			return true;
	return false;
}

static bool is_commit(const char *spec)
{
	uint8_t oid[MONO_OID];

	return strlen(spec) == MONO_HEX && monohex_decode(spec, MONO_HEX, oid);
}

static int64_t date_ns(const json_t *j)
{
	int64_t s = json_integer_value(j);
	char *end;

	if (json_is_string(j)) {
		s = strtoll(json_string_value(j), &end, 10);
		if (*end)
			return SCORPIO_TIME_UNKNOWN;
	} else if (!json_is_integer(j)) {
		return SCORPIO_TIME_UNKNOWN;
	}
	return s < -9000000000 || s > 9000000000 ? SCORPIO_TIME_UNKNOWN :
						   s * 1000000000;
}

/* The reply has no envelope; one is borne with. */
static int read_commit(struct mono *m, const struct monoreply *r,
		       struct monocommit *ret)
{
	json_t *j = json_loadb(r->data ? r->data : "", r->len, 0, NULL);
	const json_t *in = json_object_get(j, "data");
	const char *oid;
	int rc = 0;

	if (!json_is_object(in))
		in = j;
	oid = json_string_value(json_object_get(in, "oid"));
	if (oid && is_commit(oid)) {
		for (size_t i = 0; i <= MONO_HEX; i++) /* lower case */
			ret->hex[i] = (char)(oid[i] >= 'A' && oid[i] <= 'F' ?
						     oid[i] | 0x20 :
						     oid[i]);
		ret->time_ns = date_ns(json_object_get(in, "date"));
	} else {
		rc = monofail(m, -EIO, "%s: the answer about the latest commit "
			      "names none; is this the address of a Mono "
			      "server?", m->shown);
	}
	json_decref(j);
	return rc;
}

/* There is always a main, whatever the server says. */
static int no_false_absence(struct mono *m, int rc)
{
	char why[300];

	if (rc != -ENOENT)
		return rc;
	snprintf(why, sizeof(why), "%s", m->host->error_text(m->host, rc));
	return monofail(m, -EIO, "%s", why);
}

static int latest_commit(struct mono *m, const char *refs,
			 struct monocommit *ret, int *ret_status)
{
	auto_free char *url = monoreq_url(m, "/latest-commit", "/", refs);
	struct monoreply r = { 0 };
	int rc = url ? monoreq_get(m, url, REPLY_MAX, &r) : -ENOMEM;

	*ret_status = r.status;
	if (rc == 0 && r.status != 200)
		rc = monoreq_error(m, r.status, r.data, r.len,
				   *refs ? refs : "latest commit");
	else if (rc == 0)
		rc = read_commit(m, &r, ret);
	monoreply_done(&r);
	return *refs ? rc : no_false_absence(m, rc);
}

static int unknown(struct mono *m, const char *spec)
{
	return monofail(m, -ENOENT, "%s: no revision \"%s\"; this server knows "
			"commits of the monorepo's root by their full id, tags, "
			"and main", m->shown, spec);
}

/* A name that the server does not know makes it fail with 500, so a failure
 * means "unknown" when the server is well otherwise. */
static int find_commit(struct mono *m, const char *spec,
		       struct monocommit *ret)
{
	struct monocommit now;
	int status, rc;

	rc = latest_commit(m, is_main(spec) ? "" : spec, ret, &status);
	if (rc == 0 || is_main(spec))
		return rc;
	if (status == 404 || status == 400)
		return unknown(m, spec);
	if (status != 500)
		return rc;
	rc = latest_commit(m, "", &now, &status);
	return rc < 0 ? rc : unknown(m, spec);
}

/* -- commits of an earlier daemon ------------------------------------------ */

/* One fact for each: time, do listings tell modes, the body of the root tree. */
#define FACT_HEAD 9u
#define FACT_MAX (32u << 10)

static void fact_name(const char *hex, char out[64])
{
	snprintf(out, 64, "commit/%s", hex);
}

static void remember(struct mono *m, const struct monocommit *c,
		     const char *body, size_t len)
{
	const struct scorpio_host *h = m->host;
	auto_free uint8_t *fact = NULL;
	char name[64];

	if (!SCORPIO_HAS(h, remember) || len > FACT_MAX - FACT_HEAD)
		return;
	fact = malloc(FACT_HEAD + len);
	if (!fact)
		return;
	for (unsigned i = 0; i < 8; i++)
		fact[i] = (uint8_t)((uint64_t)c->time_ns >> 8 * i);
	fact[8] = __atomic_load_n(&m->extras, __ATOMIC_RELAXED);
	memcpy(fact + FACT_HEAD, body, len);
	fact_name(c->hex, name);
	h->remember(h, name, fact, FACT_HEAD + len); /* or it is asked again */
}

/* What a commit's root is never changes: no server is needed to come back. */
static bool recall(struct mono *m, struct monocommit *c)
{
	const struct scorpio_host *h = m->host;
	auto_free uint8_t *fact = malloc(FACT_MAX);
	uint64_t time = 0;
	char name[64], *body;
	int64_t n = -1;

	fact_name(c->hex, name);
	if (fact && SCORPIO_HAS(h, recall))
		n = h->recall(h, name, fact, FACT_MAX);
	if (n <= (int64_t)FACT_HEAD || n > (int64_t)FACT_MAX)
		return false;
	n -= FACT_HEAD;
	body = malloc((size_t)n + 1);
	if (!body)
		return false;
	memcpy(body, fact + FACT_HEAD, (size_t)n);
	for (unsigned i = 0; i < 8; i++)
		time |= (uint64_t)fact[i] << 8 * i;
	c->time_ns = (int64_t)time;
	monotree_id(body, (size_t)n, c->root);
	__atomic_store_n(&m->extras, fact[8] == 1, __ATOMIC_RELAXED);
	monocommits_add(m->commits, c, body, (size_t)n);
	return true;
}

/* -- its root tree --------------------------------------------------------- */

/* What a commit's root holds; the modes of its files come from main's root, as
 * far as that has the same. The id made is that of just this tree. */
static int settle_root(struct mono *m, struct monocommit *c,
		       struct monolist *at, const struct monolist *now)
{
	char *body;
	size_t len;

	for (size_t i = 0; i < at->n; i++) {
		struct monoentry *e = &at->e[i];
		const struct monoentry *x = monolist_find(
			now, monolist_name(at, e), e->name_len);

		if (!e->mode)
			e->mode = x && x->mode != MONO_MODE_DIR ?
					  x->mode :
					  MONO_MODE_FILE;
	}
	body = monolist_tree(at, &len, NULL);
	if (!body)
		return -ENOMEM;
	monotree_id(body, len, c->root);
	remember(m, c, body, len);
	monocommits_add(m->commits, c, body, len);
	return 0;
}

/* Do listings of this server tell the modes of all that is not a directory? Where
 * there is nothing else, those of directories say so. */
static void note_extras(struct mono *m, const struct monolist *l)
{
	size_t files = 0, told = 0;

	for (size_t i = 0; i < l->n; i++) {
		files += l->e[i].mode != MONO_MODE_DIR;
		told += l->e[i].mode && l->e[i].mode != MONO_MODE_DIR;
	}
	if (files || l->dirs_told)
		__atomic_store_n(&m->extras, told == files, __ATOMIC_RELAXED);
}

/* One look at main's root and the commit's. *ret_same: they are equal. */
static int look(struct mono *m, struct monocommit *c, bool *ret_same)
{
	struct monolist now = { 0 }, at = { 0 };
	uint8_t id[MONO_OID];
	char *body = NULL;
	size_t len;
	int rc;

	rc = monodir_raw(m, "/", &now, id, &body, &len);
	if (rc == 0)
		rc = monodir_json(m, "/", c->hex, &at);
	if (rc == 0 && !at.n)
		rc = monofail(m, -ENOENT, "%s: %s is not a commit of the "
			      "monorepo's root: it shows no files there",
			      m->shown, c->hex);
	if (rc == 0) {
		note_extras(m, &at);
		*ret_same = len && monolist_same(&at, &now);
		if (*ret_same) {
			memcpy(c->root, id, MONO_OID);
			remember(m, c, body, len);
			monocommits_add(m->commits, c, body, len);
			body = NULL;
		} else {
			rc = settle_root(m, c, &at, &now);
		}
	}
	free(body);
	monolist_done(&now);
	monolist_done(&at);
	return rc;
}

static int find_root(struct mono *m, const char *spec, struct monocommit *c)
{
	bool same = false;
	int rc = 0;

	for (int i = 0; i < TRIES && rc == 0 && !same; i++) {
		/* main may have moved between the two requests */
		if (i && is_main(spec))
			rc = find_commit(m, spec, c);
		if (rc == 0)
			rc = look(m, c, &same);
		if (!is_main(spec))
			break;
	}
	return rc;
}

/* What cannot be a name on any server, whose names are Unicode text. */
static bool is_name(const char *spec)
{
	json_t *j = json_string(spec); /* NULL if not UTF-8 */

	json_decref(j);
	for (; *spec && j; spec++)
		if ((unsigned char)*spec <= ' ' || *spec == 0x7f)
			return false;
	return j != NULL;
}

static int resolve_base(struct mono *m, const char *spec,
			struct scorpio_revision *ret)
{
	struct monocommit c = { .time_ns = SCORPIO_TIME_UNKNOWN };
	bool known;
	int rc = 0;

	if (strlen(spec) > SPEC_MAX || !is_name(spec))
		return monofail(m, -ENOENT, "%s: no such revision: a name has "
				"at most %u characters of UTF-8 and no blanks",
				m->shown, SPEC_MAX);
	known = is_commit(spec) && monocommits_find(m->commits, spec, &c);
	if (!known && is_commit(spec)) {
		memcpy(c.hex, spec, sizeof(c.hex));
		known = recall(m, &c);
	}
	if (!known) {
		rc = find_commit(m, spec, &c);
		if (rc == 0 && is_commit(spec))
			memcpy(c.hex, spec, sizeof(c.hex));
		known = rc == 0 && monocommits_find(m->commits, c.hex, &c);
	}
	if (rc == 0 && !known)
		rc = find_root(m, spec, &c);
	if (is_main(spec))
		rc = no_false_absence(m, rc);
	if (rc < 0)
		return rc;
	memset(ret, 0, sizeof(*ret));
	ret->root = monoid_git(c.root);
	ret->kind = SCORPIO_DIR;
	ret->time_ns = c.time_ns;
	snprintf(ret->text, sizeof(ret->text), "%s", c.hex);
	snprintf(ret->label, sizeof(ret->label), "%.255s",
		 is_main(spec) ? "refs/heads/main" : spec);
	return 0;
}

/* -- a change list over it ------------------------------------------------- */

struct changelist { /* of "REV@LINK" or "REV@LINK:/ROOT" */
	char *base, *link, *root; /* owned; root without slashes around */
};

static void changelist_done(struct changelist *c)
{
	free(c->base);
	free(c->link);
	free(c->root);
}

static bool is_link(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
			     "xyz0123456789-_.");

	return n && n <= 128 && !s[n];
}

static int take_apart(struct mono *m, const char *spec, struct changelist *c)
{
	const char *at = strchr(spec, '@'), *next, *colon;

	/* the last one before the root, which may hold any character */
	colon = strstr(spec, ":/");
	if (!at)
		return -EINVAL;
	while ((next = strchr(at + 1, '@')) && (!colon || next < colon))
		at = next;
	colon = strstr(at, ":/");
	c->base = strndup(spec, (size_t)(at - spec));
	c->link = colon ? strndup(at + 1, (size_t)(colon - at) - 1)
			: strdup(at + 1);
	if (!c->base || !c->link)
		return -ENOMEM;
	if (*c->link && !is_link(c->link))
		return monofail(m, -ENOENT, "%s: \"%s\" is not the link of a "
				"change list; write REVISION@LINK", m->shown,
				c->link);
	if (!monocl_path(colon ? colon + 1 : "", colon ? strlen(colon + 1) : 0,
			 &c->root))
		return monofail(m, -EINVAL, "%s: \"%s\" is not a path of the "
				"monorepo", m->shown, colon + 1);
	return 0;
}

static int read_edits(struct mono *m, const struct changelist *c,
		      const char *text, size_t len, struct monoedits *ret)
{
	const char *why;
	char said[200];
	int rc = monoedits_parse(ret, text, len, c->root, said, sizeof(said),
				 &why);

	if (rc == -EREMOTEIO)
		return monofail(m, -EIO, "%s: change list %s: the server says: "
				"%s", m->shown, c->link, said);
	if (rc == -EBADMSG)
		return monofail(m, -EIO, "%s: change list %s: its list of "
				"files is not understood: %s", m->shown,
				c->link, why);
	if (rc == 0 && ret->dropped)
		monolog(m, SCORPIO_LOG_WARN, "%s: change list %s: %zu paths "
			"that no tree can hold are left out", m->shown,
			c->link, ret->dropped);
	return rc;
}

/* The edits that were told before: what an earlier daemon's mounts show. False:
 * there are none. */
static bool kept_edits(struct mono *m, const struct changelist *c,
		       const char *name, struct monoedits *ret)
{
	size_t len = 0;
	auto_free char *text = monocl_kept(m, name, &len);

	return text && read_edits(m, c, text, len, ret) == 0;
}

static bool is_away(int rc, int status)
{
	return rc < 0 ? rc != -EINTR && rc != -ENOMEM
		      : status == 502 || status == 503 || status == 504;
}

static int ask_edits(struct mono *m, const struct changelist *c,
		     const char *name, struct monoedits *ret)
{
	auto_free char *url = NULL;
	auto_free char *what = NULL;
	struct monoreply r = { 0 };
	int rc;

	if (asprintf(&url, "%s/cl/%s/files-list", m->api, c->link) < 0 ||
	    asprintf(&what, "change list %s", c->link) < 0)
		return -ENOMEM;
	rc = monoreq_get(m, url, MONO_LIST_MAX, &r);
	/* only for what comes back: who asks for it now gets the error */
	if (is_away(rc, r.status) &&
	    !__atomic_load_n(&m->met, __ATOMIC_RELAXED) &&
	    kept_edits(m, c, name, ret)) {
		monolog(m, SCORPIO_LOG_WARN, "%s: the server is away: change "
			"list %s is shown as it was", m->shown, c->link);
		monoreply_done(&r);
		return 0;
	}
	if (rc == 0 && r.status != 200)
		rc = monoreq_error(m, r.status, r.data, r.len, what);
	else if (rc == 0)
		rc = read_edits(m, c, r.data, r.len, ret);
	if (rc == 0)
		monocl_keep(m, name, r.data, r.len);
	monoreply_done(&r);
	return rc;
}

static int apply(struct mono *m, const struct changelist *c,
		 struct scorpio_revision *ret)
{
	struct monoedits edits = { 0 }, before = { 0 };
	char text[sizeof(ret->text)];
	uint8_t base[MONO_OID];
	int n, rc = 0;

	n = snprintf(text, sizeof(text), "%.40s@%s%s%s", ret->text, c->link,
		     *c->root ? ":/" : "", c->root);
	if ((size_t)n >= sizeof(text))
		return monofail(m, -EINVAL, "%s: change list %s: the path of "
				"its root is too long", m->shown, c->link);
	memcpy(base, ret->root.bytes, MONO_OID);
	/* a mount that comes back may show those */
	if (kept_edits(m, c, text, &before))
		rc = monolayer_add(m, base, &before, &ret->root);
	if (rc == 0)
		rc = ask_edits(m, c, text, &edits);
	if (rc == 0)
		rc = monolayer_add(m, base, &edits, &ret->root);
	if (rc < 0)
		return rc;
	memcpy(ret->text, text, sizeof(text));
	snprintf(ret->label, sizeof(ret->label), "cl/%s", c->link);
	return 0;
}

int mono_resolve_spec(struct mono *m, const char *spec,
		      struct scorpio_revision *ret)
{
	struct scorpio_revision found;
	struct changelist c = { 0 };
	int rc;

	if (!strchr(spec, '@'))
		return resolve_base(m, spec, ret);
	rc = take_apart(m, spec, &c);
	if (rc == 0)
		rc = resolve_base(m, c.base, &found);
	if (rc == 0 && *c.link)
		rc = apply(m, &c, &found);
	changelist_done(&c);
	if (rc == 0)
		*ret = found;
	return rc;
}
