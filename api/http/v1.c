/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/v1.h"

#include "core/clock.h"
#include "core/error.h"

#define V1_TIMEOUT_MAX_S (24 * 3600)

json_t *v1_text(const char *s)
{
	return s ? json_bytes(s, strlen(s)) : json_null();
}

void v1_set(json_t *obj, const char *key, uint64_t v)
{
	json_object_set_new(obj, key,
			    json_integer((json_int_t)MIN(v, INT64_MAX)));
}

int v1_bytes(const char *text, char **ret)
{
	struct buf b = BUF_INIT;

	if (!json_bytes_decode(text, &b) || memchr(b.data, 0, b.len)) {
		buf_done(&b);
		return fail(-EINVAL, "malformed escape in \"%s\"", text);
	}
	*ret = buf_steal(&b);
	return 0;
}

int v1_deadline(struct request *r, const json_t *body, int64_t dflt_s,
		int64_t *ret)
{
	int64_t s = 0;
	int e = request_query_int(r, "timeout_s",
				  json_get_int(body, "timeout_s", dflt_s), 1,
				  V1_TIMEOUT_MAX_S, &s);

	if (!e && (s < 1 || s > V1_TIMEOUT_MAX_S))
		e = fail(-EINVAL, "timeout_s must be from 1 to %d",
			 V1_TIMEOUT_MAX_S);
	if (!e)
		*ret = deadline_in_ms(s * 1000);
	return e;
}

static json_t *source_json(const struct source_stats *s)
{
	json_t *v = json_object();

	v1_set(v, "requests", s->requests);
	v1_set(v, "objects", s->objects);
	v1_set(v, "bytes", s->bytes);
	v1_set(v, "failed", s->failed);
	v1_set(v, "waiting", s->waiting);
	v1_set(v, "running", s->running);
	json_object_set_new(v, "circuit_open", json_boolean(s->circuit_open));
	return v;
}

static void set_revision(json_t *v, struct daemon *d,
			 const struct fs_mount_info *i)
{
	cleanup_free char *rev = NULL, *label = NULL;
	bool known = mounts_asked(daemon_mounts(d), i->id, &rev, &label);

	if (known && !rev)
		rev = xstrdup("");
	json_object_set_new(v, "rev_spec", v1_text(known ? rev : i->rev_spec));
	json_object_set_new(v, "rev", v1_text(i->rev));
	json_object_set_new(v, "label", v1_text(label ? label : i->label));
}

static void set_redirects(json_t *v, const struct fs_mount_info *i)
{
	json_t *list = json_array();

	for (char **p = i->redirects; p && *p; p++) {
		cleanup_free char *target = xasprintf("%s/redirect/%s",
						      i->state_dir, *p);

		json_array_append_new(list,
				      json_pack("{s:o,s:o}", "path",
						v1_text(*p), "target",
						v1_text(target)));
	}
	json_object_set_new(v, "redirects", list);
}

json_t *v1_mount(struct daemon *d, const struct fs_mount_info *i)
{
	json_t *v = json_object();

	json_object_set_new(v, "id", json_string(i->id));
	json_object_set_new(v, "dir", v1_text(i->dir));
	json_object_set_new(v, "source", v1_text(i->source));
	json_object_set_new(v, "backend", v1_text(i->backend));
	set_revision(v, d, i);
	json_object_set_new(v, "subdir", v1_text(i->subdir));
	json_object_set_new(v, "job", v1_text(i->job));
	json_object_set_new(v, "state", v1_text(i->state));
	json_object_set_new(v, "metadata", v1_text(i->metadata));
	json_object_set_new(v, "read_only", json_boolean(i->read_only));
	if (!i->read_only) {
		json_object_set_new(v, "workspace", v1_text(i->workspace));
		json_object_set_new(v, "resumed", json_boolean(i->resumed));
		json_object_set_new(v, "named", json_boolean(i->named));
		set_redirects(v, i);
		v1_set(v, "changed", i->changed);
	}
	v1_set(v, "created_ms", (uint64_t)(i->created_ns / NS_PER_MS));
	v1_set(v, "mount_us", (uint64_t)(i->mount_ns / 1000));
	v1_set(v, "requests", i->requests);
	v1_set(v, "bytes_read", i->bytes_read);
	v1_set(v, "inodes", i->inodes);
	v1_set(v, "inode_bytes", i->inode_bytes);
	v1_set(v, "waiting", i->waiting);
	v1_set(v, "oldest_wait_ms", (uint64_t)(i->oldest_wait_ns / NS_PER_MS));
	json_object_set_new(v, "fetched", source_json(&i->stats));
	return v;
}

struct listing {
	struct daemon *daemon;
	json_t *list;
};

static int add_mount(void *ctx, const struct fs_mount_info *i)
{
	struct listing *l = ctx;

	json_array_append_new(l->list, v1_mount(l->daemon, i));
	return 0;
}

static void add_missing(void *ctx, const struct mounts_missing *x)
{
	json_t *v = json_object();
	cleanup_free char *state =
		x->why ? xasprintf("failed: %s", x->why)
		       : xstrdup("mounting");
	int64_t wait = MAX(x->next_try_ns - now_ns(), 0);

	json_object_set_new(v, "id", json_null());
	json_object_set_new(v, "dir", v1_text(x->dir));
	json_object_set_new(v, "source", v1_text(x->source));
	json_object_set_new(v, "rev_spec", v1_text(x->rev ? x->rev : ""));
	json_object_set_new(v, "subdir", v1_text(x->subdir ? x->subdir : ""));
	json_object_set_new(v, "state", v1_text(state));
	v1_set(v, "next_try_ms", (uint64_t)(wait / NS_PER_MS));
	json_array_append_new(ctx, v);
}

json_t *v1_mounts(struct daemon *d)
{
	struct listing l = { d, json_array() };

	fs_each(daemon_fs(d), add_mount, &l);
	mounts_each_missing(daemon_mounts(d), add_missing, l.list);
	return l.list;
}
