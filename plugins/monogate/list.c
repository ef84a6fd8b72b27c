/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.c - cl/list: the change lists there are, which are the refs below refs/cl
 * and refs/changes, and those that begin with cl_prefix. What the default branch
 * holds already is merged.
 */
#include "gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 1000

struct item {
	const char *link, *title, *author; /* into the text */
	char *name;			   /* of the ref; into the text */
	long long time;
	bool merged;
};

struct items {
	struct item *at;
	size_t n;
	char *text, *merged; /* owned: what git said */
};

static void items_done(struct items *l)
{
	free(l->at);
	free(l->text);
	free(l->merged);
}

/* -- what git tells ------------------------------------------------------------ */

struct prefixes {
	char at[GATE_CL_PREFIXES][GATE_PREFIX_CAP];
};

static int ask(struct gate *g, const char *dir, const struct prefixes *p,
	       const char *format, const char *merged, char **ret)
{
	char git_dir[4200], into[300];
	struct prefixes below = *p; /* up to their last slash: git's patterns */
	const char *const argv[] = { "git", git_dir, "for-each-ref", format,
				     below.at[0], below.at[1], below.at[2],
				     merged ? into : NULL, NULL };

	for (int i = 0; i < GATE_CL_PREFIXES; i++)
		*strrchr(below.at[i], '/') = '\0';
	snprintf(git_dir, sizeof(git_dir), "--git-dir=%s", dir);
	snprintf(into, sizeof(into), "--merged=%s", merged ? merged : "");
	return gate_git(g, argv, ret, NULL);
}

/* What a ref is called as a change list; NULL: it is none. */
static const char *link_of(const struct prefixes *p, const char *name)
{
	for (int i = 0; i < GATE_CL_PREFIXES; i++) {
		size_t n = strlen(p->at[i]);

		if (!strncmp(name, p->at[i], n) && name[n])
			return name + n;
	}
	return NULL;
}

static char *field(char **p, char end)
{
	char *at = *p, *stop = strchr(at, end);

	if (!stop)
		return NULL;
	*stop = '\0';
	*p = stop + 1;
	return at;
}

static bool is_among(const char *lines, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = lines; (p = strstr(p, name)); p += n)
		if ((p == lines || p[-1] == '\n') && p[n] == '\n')
			return true;
	return false;
}

/* A line "NAME TIME AUTHOR SUBJECT", cut apart; false: no more. */
static bool take_line(char **p, struct item *ret)
{
	char *time;

	ret->name = field(p, '\x1f');
	time = ret->name ? field(p, '\x1f') : NULL;
	ret->author = time ? field(p, '\x1f') : NULL;
	ret->title = ret->author ? field(p, '\n') : NULL;
	if (ret->title)
		ret->time = atoll(time);
	return ret->title;
}

/* Those that count, each link once; git tells them in the order of names, which
 * is that of the prefixes. */
static int take_lines(struct items *l, const struct prefixes *prefix,
		      const char *main)
{
	json_t *seen = json_object();
	struct item next;
	size_t lines = 0;
	char *p = l->text;

	for (const char *c = p; (c = strchr(c, '\n')); c++)
		lines++;
	l->at = calloc(lines + 1, sizeof(*l->at));
	while (seen && l->at && take_line(&p, &next)) {
		next.link = link_of(prefix, next.name);
		if (!next.link || !strcmp(next.name, main) ||
		    json_object_get(seen, next.link))
			continue;
		json_object_set_new(seen, next.link, json_true());
		l->at[l->n++] = next;
	}
	json_decref(seen);
	return seen && l->at ? 0 : -ENOMEM;
}

static int ask_git(struct gate *g, struct items *l)
{
	struct scorpio_revision main;
	struct prefixes prefix;
	const char *dir;
	int rc = gate_resolve(g, "", &main);

	gate_cl_prefixes(g, prefix.at);
	if (!rc)
		rc = gate_history_refs(g, &dir);
	if (!rc)
		rc = ask(g, dir, &prefix, "--format=%(refname)%1f%(committerdate:unix)"
			 "%1f%(authorname)%1f%(contents:subject)", NULL,
			 &l->text);
	if (!rc)
		rc = ask(g, dir, &prefix, "--format=%(refname)", main.text,
			 &l->merged);
	if (!rc)
		rc = take_lines(l, &prefix, main.label);
	for (size_t i = 0; !rc && i < l->n; i++)
		l->at[i].merged = is_among(l->merged, l->at[i].name);
	return rc;
}

/* -- what was asked for ------------------------------------------------------------------------ */

struct wish {
	long long page, per_page;
	const char *status, *author;
	bool rising;
};

static int take_wish(struct gate *g, const json_t *v, struct wish *ret)
{
	const json_t *p = json_object_get(v, "pagination");
	const json_t *a = json_object_get(v, "additional");
	const json_t *page = json_object_get(p, "page");
	const json_t *per = json_object_get(p, "per_page");

	*ret = (struct wish){
		.page = json_integer_value(page),
		.per_page = json_integer_value(per),
		.status = json_string_value(json_object_get(a, "status")),
		.author = json_string_value(json_object_get(a, "author")),
		.rising = json_is_true(json_object_get(a, "asc")),
	};
	if (!json_is_integer(page) || !json_is_integer(per) || ret->page < 1 ||
	    ret->per_page < 1 || ret->per_page > PAGE_MAX ||
	    ret->page > 1000000)
		return g->host->fail(g->host, -EINVAL, "pagination: page from "
				     "1, per_page from 1 to %d", PAGE_MAX);
	return 0;
}

static const char *status_of(const struct item *i)
{
	return i->merged ? "Merged" : "Open";
}

static bool fits(const struct item *i, const struct wish *w)
{
	return (!w->status || !*w->status ||
		!strcasecmp(w->status, status_of(i))) &&
	       (!w->author || !*w->author || !strcmp(w->author, i->author));
}

static int by_time(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->time == y->time ? strcmp(x->link, y->link) :
				    (x->time > y->time) - (x->time < y->time);
}

static json_t *text(const char *s)
{
	json_t *v = json_string(s);

	return v ? v : json_string("");
}

static json_t *shown(const struct item *i)
{
	return json_pack("{s:i,s:o,s:o,s:s,s:o,s:I,s:o,s:I,s:i,s:[],s:[]}",
			 "id", 0, "link", text(i->link), "title",
			 text(i->title), "status", status_of(i), "author",
			 text(i->author), "open_timestamp",
			 (json_int_t)i->time, "merge_timestamp",
			 i->merged ? json_integer(i->time) : json_null(),
			 "updated_at", (json_int_t)i->time, "comment_num", 0,
			 "labels", "assignees");
}

static json_t *page_of(struct items *l, const struct wish *w)
{
	long long from = (w->page - 1) * w->per_page, n = 0;
	json_t *out = json_array();

	qsort(l->at, l->n, sizeof(*l->at), by_time);
	for (size_t k = 0; k < l->n; k++) {
		const struct item *i = &l->at[w->rising ? k : l->n - 1 - k];

		if (!fits(i, w))
			continue;
		if (n >= from && n < from + w->per_page)
			json_array_append_new(out, shown(i));
		n++;
	}
	return json_pack("{s:I,s:o}", "total", (json_int_t)n, "items", out);
}

int gate_cl_list(void *ctx, struct scorpio_request *r)
{
	struct gate *g = ctx;
	struct items l = { 0 };
	struct wish w;
	json_t *v, *data = NULL;
	uint64_t n;
	const void *body = g->http->body(r, &n);
	int rc;

	if (g->origin.kind == GATE_MONO)
		return gate_forward(g, r, "cl/list");
	if (!gate_has_history(g))
		return gate_error(g, r, g->host->fail(g->host, -ENOTSUP,
			"change lists can be listed only where the gateway's "
			"source is a repository of its machine, or behind "
			"HTTP"));
	v = json_loadb(n ? body : "", n, 0, NULL);
	rc = take_wish(g, v, &w);
	if (!rc)
		rc = ask_git(g, &l);
	if (!rc)
		data = page_of(&l, &w);
	json_decref(v);
	items_done(&l);
	return rc ? gate_error(g, r, rc) : gate_data(g, r, data);
}
