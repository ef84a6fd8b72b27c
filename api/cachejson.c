/* SPDX-License-Identifier: Apache-2.0 */
#include "api/cachejson.h"

#include "core/id.h"

static void set(json_t *obj, const char *key, uint64_t v)
{
	json_object_set_new(obj, key,
			    json_integer((json_int_t)MIN(v, INT64_MAX)));
}

json_t *cachejson_stats(const struct store_stats *s)
{
	json_t *v = json_object();

	set(v, "max_bytes", s->max_bytes);
	set(v, "file_bytes", s->file_bytes);
	set(v, "used_bytes", s->used_bytes);
	set(v, "trees", s->trees);
	set(v, "blobs", s->blobs);
	set(v, "chunks", s->chunks);
	set(v, "tree_bytes", s->tree_bytes);
	set(v, "chunk_stored_bytes", s->chunk_stored_bytes);
	set(v, "chunk_plain_bytes", s->chunk_plain_bytes);
	set(v, "evicted_chunks", s->evicted_chunks);
	set(v, "damaged_records", s->damaged_records);
	set(v, "pinned_chunks", s->pinned_chunks);
	return v;
}

json_t *cachejson_gc(uint64_t freed, bool dry_run)
{
	json_t *v = json_object();

	set(v, "freed_bytes", freed);
	json_object_set_new(v, "dry_run", json_boolean(dry_run));
	return v;
}

json_t *cachejson_verify(const struct store_verify *x)
{
	json_t *v = json_object();

	set(v, "trees", x->trees);
	set(v, "blobs", x->blobs);
	set(v, "chunks", x->chunks);
	set(v, "damaged", x->damaged);
	set(v, "repaired", x->repaired);
	json_object_set_new(v, "finished", json_true());
	return v;
}

static void add_pin(void *ctx, const char *name, const struct store_key *k)
{
	char hex[2 * STORE_KEY_MAX + 1];
	json_t *v = json_object();

	json_object_set_new(v, "name", json_bytes(name, strlen(name)));
	/* without the two bytes of the id space */
	hex_encode(k->bytes + 2, k->len >= 2 ? k->len - 2u : 0, hex);
	json_object_set_new(v, "id", json_string(hex));
	json_array_append_new(ctx, v);
}

int cachejson_pins(struct store *s, json_t **ret)
{
	json_t *list = json_array();
	int e = store_pins(s, add_pin, list);

	if (e) {
		json_decref(list);
		return e;
	}
	*ret = json_pack("{s:o}", "pins", list);
	return 0;
}
