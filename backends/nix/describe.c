/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <jansson.h>

#include "nix32.h"
#include "path.h"

static json_t *references(const struct narinfo *i)
{
	json_t *list = json_array();

	for (uint32_t k = 0; k < i->n_refs; k++)
		json_array_append_new(list, json_string(i->refs[k]));
	return list;
}

static const char *proof_of(const struct nixpath *p)
{
	return p->verdict.proof == NIX_SIGNED	 ? "signed"
	       : p->verdict.proof == NIX_ADDRESSED ? "content-addressed"
						   : "unchecked";
}

static const char *state_of(const struct nixpath *p)
{
	return p->lied ? "refused: its listing lied"
	       : p->spool ? "archive checked"
	       : p->ranges ? nixranges_proven(p->ranges)
				     ? "parts of the archive, each checked"
				     : "parts of the archive, unchecked"
	       : p->listed ? "listed"
			   : "described";
}

static json_t *describe(struct nix *n, struct nixpath *p)
{
	const struct narinfo *i = p->info;
	char hex[2 * NIX_SHA256 + 1];
	json_t *v = json_object();

	json_object_set_new(v, "path", json_sprintf("%s/%s", n->store_dir,
						    i->base));
	json_object_set_new(v, "nar_hash", json_string(nixhex_encode(
			i->nar_hash, NIX_SHA256, hex)));
	json_object_set_new(v, "nar_size", json_integer((json_int_t)i->nar_size));
	json_object_set_new(v, "references", references(i));
	json_object_set_new(v, "deriver", i->deriver ? json_string(i->deriver)
						     : json_null());
	json_object_set_new(v, "ca", i->ca ? json_string(i->ca) : json_null());
	json_object_set_new(v, "proof", json_string(proof_of(p)));
	json_object_set_new(v, "key", *p->verdict.key ?
			    json_string(p->verdict.key) : json_null());
	json_object_set_new(v, "state", json_string(state_of(p)));
	json_object_set_new(v, "cache", json_string(p->cache->shown));
	json_object_set_new(v, "fetched_bytes",
			    json_integer((json_int_t)p->fetched));
	json_object_set_new(v, "wanted_bytes",
			    json_integer((json_int_t)p->wanted));
	return v;
}

int64_t nix_describe(struct nix *n, const struct scorpio_ref *ref, void *buf,
		     uint64_t cap)
{
	struct nixid id;
	struct nixpath *p;
	json_t *v = NULL;
	char *text;
	size_t len;
	int rc;

	if (!nixid_parse(&ref->id, &id) || id.what == NIXID_ROOT)
		return -ENODATA;
	rc = nixpath_get(n, id.hash, &p);
	if (rc)
		return rc;
	rc = nixpath_info(n, p);
	if (!rc)
		v = json_pack("{s:o}", "nix", describe(n, p));
	nixpath_put(n, p);
	if (rc)
		return rc;
	text = v ? json_dumps(v, JSON_COMPACT) : NULL;
	json_decref(v);
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	if (cap)
		memcpy(buf, text, len < cap ? len : cap);
	free(text);
	return (int64_t)len;
}
