/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/suite.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/id.h"
#include "core/registry.h"

#include <dirent.h>
#include <stdarg.h>

/* -- verdicts -------------------------------------------------------------- */

void case_fail(struct suite *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->reason, sizeof(s->reason), fmt, ap);
	va_end(ap);
	s->verdict = CASE_FAILED;
	longjmp(s->out, 1);
}

void case_skip(struct suite *s, const char *why)
{
	snprintf(s->reason, sizeof(s->reason), "%s", why);
	s->verdict = CASE_SKIPPED;
	longjmp(s->out, 1);
}

const char *hex_of(const struct scorpio_id *id)
{
	static __thread char bufs[4][ID_HEX_MAX];
	static __thread unsigned turn;

	return id_hex(id, bufs[turn++ % 4]);
}

double suite_ms(int64_t since_ns)
{
	return (double)(now_ns() - since_ns) / 1e6;
}

unsigned suite_fds(bool sockets_only)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	unsigned n = 0;
	char to[64];
	ssize_t len;

	while (d && (e = readdir(d))) {
		len = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);
		if (len < 0)
			continue;
		to[len] = '\0';
		n += !sockets_only || !strncmp(to, "socket:", 7);
	}
	if (d)
		closedir(d);
	return n;
}

/* -- the instance ---------------------------------------------------------- */

static const char *get_config(void *ctx, const char *key)
{
	const struct suite *s = ctx;
	size_t len = strlen(key), i;

	for (i = 0; s->config && s->config[i]; i++)
		if (!strncmp(s->config[i], key, len) &&
		    s->config[i][len] == '=')
			return s->config[i] + len + 1;
	return NULL;
}

static void need_host(struct suite *s)
{
	struct host_options o = {
		.name = s->ops->name,
		.get = get_config,
		.ctx = s,
		.scratch_parent = getenv("SCORPIO_CHECK_SCRATCH"),
	};

	if (!s->host)
		s->host = host_new(&o);
}

int suite_open(struct suite *s, const char *url, struct scorpio_instance *info,
	       void **ret_self)
{
	need_host(s);
	*info = (struct scorpio_instance){ .struct_size = sizeof(*info) };
	error_clear();
	return s->ops->open(s->host, url, host_config(s->host), NULL, info,
			    ret_self);
}

void suite_need_open(struct suite *s)
{
	int r;

	if (s->opened)
		return;
	r = suite_open(s, s->url, &s->info, &s->self);
	require(s, !r, "open(\"%s\") failed: %s", s->url, error_text(r));
	s->opened = true;
}

static void add_node(struct suite *s, const struct scorpio_id *id, char *path,
		     uint8_t kind, uint32_t mode, uint64_t size)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 256;
		s->nodes = xrealloc(s->nodes, s->cap * sizeof(*s->nodes));
	}
	s->nodes[s->n++] = (struct node){
		.id = *id,
		.path = path,
		.path_len = (uint32_t)strlen(path),
		.kind = kind,
		.mode = mode,
		.size = size,
	};
}

void suite_need_root(struct suite *s)
{
	struct call call;
	int r;

	suite_need_open(s);
	if (s->n)
		return;
	call_enter(&call, deadline_in_ms(CALL_S * 1000), NULL);
	r = s->ops->resolve(s->self, s->rev, &s->revision);
	call_leave(&call);
	require(s, !r, "resolve(\"%s\") failed: %s", s->rev, error_text(r));
	add_node(s, &s->revision.root, xstrdup(""), SCORPIO_DIR, 0755, 0);
}

/* The children of nodes[at] are added behind. */
static void walk_one(struct suite *s, uint32_t at)
{
	struct scorpio_ref ref = suite_ref(&s->nodes[at]);
	struct recorder rec = { 0 };
	const struct rec_object *tree;
	uint32_t i;
	int r;

	r = suite_call(s, CALL_LIST, &ref, 1, &rec);
	tree = recorder_find(&rec, REC_TREE, &ref.id);
	require(s, tree, "list of \"%s\" failed: %s", s->nodes[at].path,
		r ? error_text(r) : "it was not poured");
	for (i = 0; i < tree->n && s->n < WALK_NODES; i++) {
		const struct scorpio_entry *e = &tree->entries[i].e;
		const char *parent = s->nodes[at].path;

		add_node(s, &e->id,
			 xasprintf("%s%s%s", parent, *parent ? "/" : "",
				   tree->entries[i].name),
			 e->kind, e->mode, e->size);
	}
	s->partial |= i < tree->n;
	recorder_done(&rec);
}

void suite_need_walk(struct suite *s)
{
	uint32_t i, trees = 0;

	suite_need_root(s);
	if (s->n > 1)
		return;
	for (i = 0; i < s->n; i++) {
		if (s->nodes[i].kind != SCORPIO_DIR)
			continue;
		if (trees++ == WALK_TREES) {
			s->partial = true;
			break;
		}
		walk_one(s, i);
	}
}

void suite_close(struct suite *s)
{
	uint32_t i;

	for (i = 0; i < s->n; i++)
		free(s->nodes[i].path);
	free(steal(&s->nodes));
	s->n = s->cap = 0;
	if (s->opened)
		s->ops->close(s->self);
	s->opened = false;
	host_free(steal(&s->host));
}

/* -- refs ------------------------------------------------------------------ */

struct scorpio_ref suite_ref(const struct node *n)
{
	return (struct scorpio_ref){
		.id = n->id,
		.path = n->path,
		.path_len = n->path_len,
		.kind = n->kind,
	};
}

const struct node *suite_node(struct suite *s, uint8_t kind, uint32_t nth)
{
	uint32_t i;

	for (i = 1; i < s->n; i++)
		if (s->nodes[i].kind == kind && !nth--)
			return &s->nodes[i];
	return NULL;
}

struct scorpio_ref *suite_refs(struct suite *s, uint32_t kinds, uint32_t max,
			       uint32_t *ret_n)
{
	struct scorpio_ref *refs = xcalloc(MIN(max, s->n), sizeof(*refs));
	uint64_t bytes = 0;
	uint32_t i, n = 0;

	for (i = 0; i < s->n && n < max; i++) {
		const struct node *x = &s->nodes[i];

		if (!(kinds & 1u << x->kind))
			continue;
		if (x->size != SCORPIO_SIZE_UNKNOWN)
			bytes += x->size;
		if (bytes > FETCH_BYTES)
			break;
		refs[n++] = suite_ref(x);
	}
	*ret_n = n;
	return refs;
}

struct scorpio_ref suite_nowhere(struct suite *s, uint8_t kind)
{
	static const char path[] = "no/such/thing/anywhere";
	struct scorpio_ref ref = {
		.id = s->revision.root,
		.path = path,
		.path_len = sizeof(path) - 1,
		.kind = kind,
	};
	uint32_t i;

	for (i = 0; i < ref.id.len; i++)
		ref.id.bytes[i] = (uint8_t)(0xa5 ^ (i * 29));
	return ref;
}

/* -- calls ----------------------------------------------------------------- */

void suite_check_call(struct suite *s, const char *what, int r,
		      const struct recorder *rec)
{
	bool late = __atomic_load_n(&rec->late, __ATOMIC_RELAXED);

	require(s, !rec->problem[0], "%s: %s", what, rec->problem);
	require(s, !late,
		"%s: the sink was called after the call had "
		"returned",
		what);
	require(s, rec->stopped || r <= 0,
		"%s returned %d: neither 0 nor a negative errno", what, r);
	require(s, !(r == 0 && rec->open),
		"%s returned 0 in the middle of an object", what);
	require(s, !rec->stopped || r == rec->stop_value,
		"%s: the sink answered %d, the call returned %d instead of "
		"passing that on",
		what, rec->stop_value, r);
}

int suite_call(struct suite *s, enum suite_op op,
	       const struct scorpio_ref *refs, uint32_t n, struct recorder *rec)
{
	static const char *const names[] = { "list", "fetch", "sizes" };
	int64_t begin = now_ns();
	struct call call;
	int r;

	if (!rec->sink.struct_size)
		recorder_init(rec);
	error_clear();
	call_enter(&call, begin + CALL_S * NS_PER_S, NULL);
	if (op == CALL_LIST)
		r = s->ops->list(s->self, refs, n, &rec->sink);
	else if (op == CALL_FETCH)
		r = s->ops->fetch(s->self, refs, n, &rec->sink);
	else
		r = s->ops->sizes(s->self, refs, n, &rec->sink);
	call_leave(&call);
	recorder_close(rec);
	suite_check_call(s, names[op], r, rec);
	return r;
}

uint32_t suite_check_answered(struct suite *s, const char *call,
			      const struct scorpio_ref *refs, uint32_t n,
			      enum rec_what what, int r,
			      const struct recorder *rec)
{
	uint32_t i, poured = 0;

	for (i = 0; i < n; i++) {
		if (recorder_find(rec, what, &refs[i].id)) {
			poured++;
			continue;
		}
		require(s, r || recorder_find(rec, REC_FAILED, &refs[i].id),
			"%s returned 0, but %s (\"%.*s\") was neither poured "
			"nor failed",
			call, hex_of(&refs[i].id), (int)refs[i].path_len,
			refs[i].path);
	}
	return poured;
}

static bool same_entry(const struct scorpio_entry *a,
		       const struct scorpio_entry *b)
{
	return !strcmp(a->name, b->name) && a->kind == b->kind &&
	       a->mode == b->mode && id_equal(&a->id, &b->id) &&
	       (a->size == b->size || a->size == SCORPIO_SIZE_UNKNOWN ||
		b->size == SCORPIO_SIZE_UNKNOWN);
}

bool same_tree(const struct rec_object *a, const struct rec_object *b)
{
	uint32_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (!same_entry(&a->entries[i].e, &b->entries[i].e))
			return false;
	return true;
}
