/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pins.c - names that keep paths, and all they refer to, from being removed. A
 * file pins/NAME: how long revisions are kept, then one line for each, latest
 * first: seconds since 1970 and the path.
 */
#include "nixcache.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <time.h>
#include <unistd.h>

#include "nix32.h"

#define PIN_MAX 65536u
#define LINES_MAX 500u

struct pin {
	int64_t days, revisions; /* 0: no limit by that */
	char *text;              /* owned */
	const char *lines;
};

static int pin_read(struct nixcached *c, const char *name, struct pin *ret)
{
	char path[300];
	long long days, revisions;
	size_t len;
	int rc, used = 0;

	snprintf(path, sizeof(path), "pins/%.240s", name);
	rc = file_read(c, path, PIN_MAX, &ret->text, &len);
	if (rc)
		return rc;
	if (sscanf(ret->text, "%lld %lld\n%n", &days, &revisions, &used) != 2 ||
	    !used) {
		free(ret->text);
		return rolefail(c->role, -EIO, "%s is damaged", path);
	}
	ret->days = days;
	ret->revisions = revisions;
	ret->lines = ret->text + used;
	return 0;
}

/* fn with each path that the pin still holds. */
static void pin_each(const struct pin *p,
		     void (*fn)(void *ctx, const char *base, int64_t at),
		     void *ctx)
{
	const char *at = p->lines;
	int64_t n = 0;

	while (*at) {
		size_t len = strcspn(at, "\n");
		auto_free char *line = strndup(at, len);
		char *base = NULL;
		int64_t when = line ? strtoll(line, &base, 10) : 0;

		at += len + (at[len] == '\n');
		if (!base || *base != ' ' ||
		    (p->revisions && n++ >= p->revisions) ||
		    (p->days && when + p->days * 86400 < time(NULL)))
			continue;
		fn(ctx, base + 1, when);
	}
}

struct each {
	void (*fn)(void *ctx, const char *base);
	void *ctx;
	json_t *list;
};

static void pass_on(void *ctx, const char *base, int64_t at)
{
	struct each *e = ctx;

	(void)at;
	e->fn(e->ctx, base);
}

static void add_json(void *ctx, const char *base, int64_t at)
{
	struct each *e = ctx;

	json_array_append_new(e->list, json_pack("{s:s,s:I}", "path", base,
						 "time", (json_int_t)at));
}

static void each_pin(struct nixcached *c,
		     void (*fn)(void *ctx, const char *name, struct pin *p),
		     void *ctx)
{
	int fd = openat(c->fd, "pins", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;
	struct pin p;

	while (d && (x = readdir(d))) {
		if (*x->d_name == '.' || pin_read(c, x->d_name, &p))
			continue;
		fn(ctx, x->d_name, &p);
		free(p.text);
	}
	if (d)
		closedir(d);
}

static void one_pin(void *ctx, const char *name, struct pin *p)
{
	(void)name;
	pin_each(p, pass_on, ctx);
}

void pins_each(struct nixcached *c, void (*fn)(void *ctx, const char *base),
	       void *ctx)
{
	struct each e = { .fn = fn, .ctx = ctx };

	each_pin(c, one_pin, &e);
}

int pin_set(struct nixcached *c, const char *name, const char *base,
	    int64_t days, int64_t revisions)
{
	struct pin old = { .text = NULL, .lines = "" };
	char path[300], info[64], *text = NULL;
	size_t len;
	FILE *f;
	int rc;

	if (!file_name_ok(name) || !nixname_parse(base, strlen(base), NULL))
		return rolefail(c->role, -EBADMSG, "a pin needs a name and a "
				"store path");
	snprintf(info, sizeof(info), "%.32s.narinfo", base);
	if (!file_is(c, info))
		return rolefail(c->role, -ENOENT, "%s is not here", base);
	rc = pin_read(c, name, &old);
	if (rc && rc != -ENOENT)
		return rc;
	f = open_memstream(&text, &len);
	if (f) {
		fprintf(f, "%lld %lld\n%lld %s\n", (long long)days,
			(long long)revisions, (long long)time(NULL), base);
		for (unsigned n = 1; *old.lines && n < LINES_MAX; n++) {
			size_t k = strcspn(old.lines, "\n");

			fprintf(f, "%.*s\n", (int)k, old.lines);
			old.lines += k + (old.lines[k] == '\n');
		}
	}
	rc = f && !fclose(f) ? 0 : -ENOMEM;
	snprintf(path, sizeof(path), "pins/%.240s", name);
	if (!rc)
		rc = file_write(c, path, text, len);
	free(text);
	free(old.text);
	return rc;
}

/* -- over HTTP ---------------------------------------------------------------------- */

int take_pin(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	const char *base = s->http->query(r, "path", "");
	const char *slash = strrchr(base, '/');
	int64_t days = strtoll(s->http->query(r, "days", "0"), NULL, 10);
	int64_t revisions = strtoll(s->http->query(r, "revisions", "1"), NULL,
				    10);

	if (!c)
		return 0;
	if (days < 0 || days > 100000 || revisions < 0)
		return send_status(s, r, 400, "days, revisions: numbers\n");
	return answer_upload(s, r, pin_set(c, s->http->param(r, "name"),
					   slash ? slash + 1 : base, days,
					   days ? 0 : revisions));
}

int drop_pin(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	const char *name = s->http->param(r, "name");
	char path[300];

	if (!c)
		return 0;
	snprintf(path, sizeof(path), "pins/%.240s", name);
	if (!file_name_ok(name) || unlinkat(c->fd, path, 0))
		return send_status(s, r, 404, "there is no such pin\n");
	return send_status(s, r, 200, "gone\n");
}

static void pin_json(void *ctx, const char *name, struct pin *p)
{
	struct each e = { .list = json_array() };

	pin_each(p, add_json, &e);
	json_object_set_new(ctx, name, e.list);
}

int send_pins(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, false);
	json_t *v;

	if (!c)
		return 0;
	v = json_object();
	each_pin(c, pin_json, v);
	return send_json(s, r, 200, v);
}

int run_gc(void *ctx, struct scorpio_request *r)
{
	struct nixcache_role *s = ctx;
	struct nixcached *c = cache_of(s, r, true);
	struct gc_result got;
	int rc;

	if (!c)
		return 0;
	rc = gc_run(c, &s->gc, &got);
	return rc ? rc : send_json(s, r, 200, json_pack(
		"{s:I,s:I,s:I}", "removed", (json_int_t)got.removed, "freed",
		(json_int_t)got.freed, "used", (json_int_t)got.used));
}
