/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer.c - which layers there are, and what their directories hold. layer_base.c
 * asks for the directories they are made from.
 */
#include "layer_impl.h"

#include "directory.h"

#include <openssl/sha.h>

struct monolayers {
	pthread_mutex_t lock;
	struct layer *first; /* lock; the newest first */
	size_t n;            /* lock */
};

struct monolayers *monolayers_new(void)
{
	struct monolayers *l = calloc(1, sizeof(*l));

	if (l)
		pthread_mutex_init(&l->lock, NULL);
	return l;
}

void layer_put(struct layer *l)
{
	if (!l || __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL))
		return;
	monoedits_done(&l->edits);
	layer_cache_done(l);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void monolayers_free(struct monolayers *l)
{
	if (!l)
		return;
	for (struct layer *next; l->first; l->first = next) {
		next = l->first->next;
		layer_put(l->first);
	}
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* -- ids ------------------------------------------------------------------- */

static int layer_digest(const struct mono *m, struct layer *l)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return -ENOMEM;
	fprintf(f, "%s%c", m->shown, 0);
	fwrite(l->root, 1, MONO_OID, f);
	for (size_t i = 0; i < l->edits.n; i++) {
		const struct monoedit *e = &l->edits.e[i];

		fprintf(f, "%s%c%s%c%o %d ", e->path, 0,
			e->from ? e->from : "", 0, e->mode, e->put);
		fwrite(e->oid, 1, MONO_OID, f);
	}
	if (fclose(f)) {
		free(text);
		return -ENOMEM;
	}
	SHA256((uint8_t *)text, len, l->digest);
	free(text);
	return 0;
}

/* path must be at most MONOCL_PATH_MAX long; a longer one is in no layer. */
static void place_digest(const struct layer *l, const char *path, size_t n,
			 uint8_t ret[LAYER_PLACE])
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	uint8_t text[sizeof(l->digest) + MONOCL_PATH_MAX];

	if (n > MONOCL_PATH_MAX)
		n = MONOCL_PATH_MAX;
	memcpy(text, l->digest, sizeof(l->digest));
	memcpy(text + sizeof(l->digest), path, n);
	SHA256(text, sizeof(l->digest) + n, sum);
	memcpy(ret, sum, LAYER_PLACE);
}

struct scorpio_id layer_id(const struct layer *l, const char *path,
			   const struct scorpio_id *base)
{
	struct scorpio_id id = { .len = MONO_LAYER_ID };
	bool token = base && base->len == MONO_IMPORT_ID &&
		     base->bytes[0] == 'i';

	id.bytes[0] = token ? 'C' : 'c';
	place_digest(l, path, strlen(path), id.bytes + 1);
	if (base)
		memcpy(id.bytes + 1 + LAYER_PLACE, base->bytes + token,
		       MONO_OID);
	return id;
}

/* -- which there are ------------------------------------------------------- */

static struct layer *layer_new(const uint8_t root[MONO_OID],
			       struct monoedits *edits)
{
	struct layer *l = calloc(1, sizeof(*l));

	if (!l) {
		monoedits_done(edits);
		return NULL;
	}
	l->refs = 1;
	pthread_mutex_init(&l->lock, NULL);
	memcpy(l->root, root, MONO_OID);
	l->edits = *edits;
	memset(edits, 0, sizeof(*edits));
	return l;
}

static bool known(const struct monolayers *all, const struct layer *l)
{
	for (const struct layer *o = all->first; o; o = o->next)
		if (memcmp(o->digest, l->digest, sizeof(l->digest)) == 0)
			return true;
	return false;
}

/* The one that came first, out of the list when there are too many. */
static struct layer *oldest(struct monolayers *all)
{
	struct layer **at = &all->first, *l;

	if (all->n <= MONO_LAYERS_MAX)
		return NULL;
	while ((*at)->next)
		at = &(*at)->next;
	l = *at;
	*at = NULL;
	all->n--;
	return l;
}

int monolayer_add(struct mono *m, const uint8_t root[MONO_OID],
		  struct monoedits *edits, struct scorpio_id *ret)
{
	struct monolayers *all = m->layers;
	struct scorpio_id base = monoid_git(root);
	struct layer *l, *old = NULL;

	if (!edits->n) {
		monoedits_done(edits);
		*ret = base;
		return 0;
	}
	l = layer_new(root, edits);
	if (!l)
		return -ENOMEM;
	if (layer_digest(m, l)) {
		layer_put(l);
		return -ENOMEM;
	}
	*ret = layer_id(l, "", &base);
	pthread_mutex_lock(&all->lock);
	if (known(all, l)) {
		old = l;
	} else {
		l->next = all->first;
		all->first = l;
		all->n++;
		old = oldest(all);
	}
	pthread_mutex_unlock(&all->lock);
	layer_put(old);
	return 0;
}

static struct layer *find(struct mono *m, const struct scorpio_id *id,
			  const char *path, size_t n)
{
	struct layer *l;
	uint8_t place[LAYER_PLACE];

	pthread_mutex_lock(&m->layers->lock);
	for (l = m->layers->first; l; l = l->next) {
		place_digest(l, path, n, place);
		if (memcmp(place, id->bytes + 1, LAYER_PLACE) == 0)
			break;
	}
	if (l)
		__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&m->layers->lock);
	return l;
}

/* -- what the edits say about the names of one directory ------------------- */

struct child {
	const char *name; /* in an edit's path */
	size_t len;
	const struct monoedit *edit; /* of the name itself */
	size_t below, puts;          /* edits below it */
};

static int by_name(const void *pa, const void *pb)
{
	const struct child *a = pa, *b = pb;
	int c = memcmp(a->name, b->name, a->len < b->len ? a->len : b->len);

	return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* The edits at and below names in `path`, one child for each name. */
static struct child *children(const struct layer *l, const char *path,
			      size_t *ret_n)
{
	auto_free char *dir = NULL;
	size_t skip, at, end, n = 0, used = 0;
	struct child *all;

	if (asprintf(&dir, "%s%s", path, *path ? "/" : "") < 0)
		return NULL;
	skip = strlen(dir);
	at = end = monoedits_from(&l->edits, dir);
	while (end < l->edits.n &&
	       strncmp(l->edits.e[end].path, dir, skip) == 0)
		end++;
	all = calloc(end - at + 1, sizeof(*all));
	for (; all && at < end; at++, n++) {
		const struct monoedit *e = &l->edits.e[at];

		all[n].name = e->path + skip;
		all[n].len = strcspn(all[n].name, "/");
		if (all[n].name[all[n].len])
			all[n].below = 1;
		else
			all[n].edit = e;
		all[n].puts = all[n].below && e->put;
	}
	if (n)
		qsort(all, n, sizeof(*all), by_name);
	for (size_t i = 0; i < n; i++) {
		if (!used || by_name(&all[used - 1], &all[i]) != 0) {
			all[used++] = all[i];
			continue;
		}
		all[used - 1].below += all[i].below;
		all[used - 1].puts += all[i].puts;
		if (all[i].edit)
			all[used - 1].edit = all[i].edit;
	}
	*ret_n = used;
	return all;
}

/* -- one directory --------------------------------------------------------- */

/* A directory of a layer on its way: with a sink it is poured, without only
 * counted. */
struct making {
	struct mono *m;
	struct layer *layer;
	const struct scorpio_sink *sink;
	const char *path;
	struct listed *base; /* of `path`; counted */
	size_t entries;
	int stopped;
};

static int emit(struct making *k, const struct scorpio_entry *e)
{
	k->entries++;
	if (!k->sink)
		return 0;
	k->stopped = k->sink->tree_entry(k->sink->ctx, e);
	return k->stopped;
}

/* Kind and permissions of a file that the change list puts there. */
static int set_mode(struct making *k, const struct monoedit *e,
		    struct scorpio_entry *out)
{
	struct scorpio_entry was;
	int rc;

	out->kind = e->mode == MONO_MODE_LINK ? SCORPIO_SYMLINK : SCORPIO_FILE;
	out->mode = e->mode & 0100 ? 0755 : 0644;
	if (e->mode) {
		out->mode = out->kind == SCORPIO_SYMLINK ? 0777 : out->mode;
		return 0;
	}
	rc = layer_base_entry(k->m, k->layer, e->from ? e->from : e->path,
			      &was);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (was.kind != SCORPIO_FILE && was.kind != SCORPIO_SYMLINK)
		return 0;
	out->kind = was.kind;
	out->mode = was.mode;
	return 0;
}

static int emit_file(struct making *k, const struct child *c)
{
	struct scorpio_entry out = {
		.id = monoid_git(c->edit->oid), .name = c->name,
		.name_len = (uint32_t)c->len, .size = SCORPIO_SIZE_UNKNOWN,
		.mtime_ns = SCORPIO_TIME_UNKNOWN,
	};
	/* what it is made of matters to those who look, not to those who count */
	int rc = k->sink ? set_mode(k, c->edit, &out) : 0;

	return rc < 0 ? rc : emit(k, &out);
}

static int make(struct mono *m, struct layer *l, const char *path,
		const struct scorpio_id *base, const struct scorpio_id *id,
		const struct scorpio_sink *sink, size_t *ret_entries,
		int *ret_stopped);

static int emit_dir(struct making *k, const struct child *c,
		    const struct scorpio_entry *was)
{
	struct scorpio_entry out = {
		.name = c->name, .name_len = (uint32_t)c->len,
		.mtime_ns = SCORPIO_TIME_UNKNOWN, .kind = SCORPIO_DIR,
		.mode = 0755,
	};
	auto_free char *path = NULL;
	size_t left = 1;
	int rc = 0;

	if (asprintf(&path, "%s%s%.*s", k->path, *k->path ? "/" : "",
		     (int)c->len, c->name) < 0)
		return -ENOMEM;
	/* Git has no empty directories */
	if (!c->puts)
		rc = make(k->m, k->layer, path, &was->id, NULL, NULL, &left,
			  NULL);
	if (rc < 0 || !left)
		return rc;
	out.id = layer_id(k->layer, path, was ? &was->id : NULL);
	return emit(k, &out);
}

static int emit_child(struct making *k, const struct child *c)
{
	const struct scorpio_entry *was = listed_find(k->base, c->name,
						      c->len);
	const struct scorpio_entry *dir =
		was && was->kind == SCORPIO_DIR ? was : NULL;

	if (c->edit && c->edit->put)
		return emit_file(k, c);
	if (c->below && (dir || c->puts))
		return emit_dir(k, c, dir);
	return was && !c->edit ? emit(k, was) : 0;
}

static bool is_child(const struct child *all, size_t n,
		     const struct scorpio_entry *e)
{
	struct child key = { .name = e->name, .len = e->name_len };

	return n && bsearch(&key, all, n, sizeof(key), by_name);
}

static int emit_all(struct making *k)
{
	size_t n = 0;
	struct child *all = children(k->layer, k->path, &n);
	int rc = all ? 0 : -ENOMEM;

	for (size_t i = 0; k->base && i < k->base->n && !rc; i++)
		if (!is_child(all, n, &k->base->e[i]))
			rc = emit(k, &k->base->e[i]);
	for (size_t i = 0; i < n && !rc; i++)
		rc = emit_child(k, &all[i]);
	free(all);
	return rc;
}

static int make(struct mono *m, struct layer *l, const char *path,
		const struct scorpio_id *base, const struct scorpio_id *id,
		const struct scorpio_sink *sink, size_t *ret_entries,
		int *ret_stopped)
{
	struct making k = { .m = m, .layer = l, .sink = sink, .path = path };
	int rc = base ? layer_base(m, l, path, base, &k.base) : 0;

	if (rc == 0 && sink)
		rc = k.stopped = sink->tree_begin(sink->ctx, id);
	if (rc == 0) {
		rc = emit_all(&k);
		if (sink && rc && !k.stopped)
			sink->abandon(sink->ctx, rc);
		else if (sink && !rc)
			rc = k.stopped = sink->tree_end(sink->ctx);
	}
	listed_put(k.base);
	if (ret_entries)
		*ret_entries = k.entries;
	if (ret_stopped)
		*ret_stopped = k.stopped;
	return rc;
}

/* What a directory of a layer is made from. False: it is new. */
static bool base_of(struct mono *m, const struct scorpio_ref *ref,
		    const char *path, struct scorpio_id *ret)
{
	static const uint8_t none[MONO_OID];
	const uint8_t *oid = ref->id.bytes + 1 + LAYER_PLACE;
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	auto_free char *above = NULL;

	if (memcmp(oid, none, MONO_OID) == 0)
		return false;
	if (ref->id.bytes[0] == 'c') {
		*ret = monoid_git(oid);
		return true;
	}
	if (asprintf(&above, "/%.*s", slash ? (int)(slash - path) : 0,
		     path) < 0)
		return false;
	*ret = monodir_import_id(m, above, name, strlen(name), oid);
	return true;
}

int monolayer_list(struct mono *m, const struct scorpio_ref *ref,
		   const struct scorpio_sink *sink)
{
	auto_free char *path = strndup(ref->path ? ref->path : "",
				       ref->path ? ref->path_len : 0);
	struct scorpio_id base;
	struct layer *l;
	int rc, stopped = 0;
	bool has;

	if (!path)
		return -ENOMEM;
	l = ref->path ? find(m, &ref->id, path, strlen(path)) : NULL;
	if (!l) {
		rc = monofail(m, -ESTALE, "%s: /%s is of a change list that "
			      "was looked up by an earlier run; switch to it "
			      "again", m->shown, path);
	} else {
		has = base_of(m, ref, path, &base);
		rc = make(m, l, path, has ? &base : NULL, &ref->id, sink, NULL,
			  &stopped);
	}
	layer_put(l);
	if (!rc || stopped || monorc_stops(rc))
		return rc;
	if (rc == -ENOENT)
		rc = -EIO;
	return sink->failed ? sink->failed(sink->ctx, &ref->id, rc) : rc;
}
