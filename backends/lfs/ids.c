/* SPDX-License-Identifier: Apache-2.0 */
#include "ids.h"

static struct scorpio_id make(const struct scorpio_id *below, char mark)
{
	struct scorpio_id id;

	memset(&id, 0, sizeof(id));
	id.len = SCORPIO_ID_MAX;
	memcpy(id.bytes, below->bytes, below->len);
	id.bytes[SCORPIO_ID_BELOW_LEN] = below->len;
	id.bytes[SCORPIO_ID_MARK] = (uint8_t)mark;
	return id;
}

struct scorpio_id lfsid_file(const struct scorpio_id *below)
{
	return make(below, LFSID_FILE);
}

struct scorpio_id lfsid_tree(const struct scorpio_id *below,
			     const uint8_t hash[LFS_OID_LEN])
{
	struct scorpio_id id = make(below, LFSID_TREE);

	memcpy(id.bytes + below->len, hash, lfsid_hash_len(below));
	return id;
}

char lfsid_split(const struct scorpio_id *id, struct scorpio_id *ret_below,
		 const uint8_t **ret_hash)
{
	uint8_t n = id->bytes[SCORPIO_ID_BELOW_LEN];
	char mark = (char)id->bytes[SCORPIO_ID_MARK];

	if (id->len != SCORPIO_ID_MAX || !n || n > SCORPIO_ID_BELOW_MAX ||
	    (mark != LFSID_FILE && mark != LFSID_TREE)) {
		*ret_below = *id;
		return 0;
	}
	memset(ret_below, 0, sizeof(*ret_below));
	ret_below->len = n;
	memcpy(ret_below->bytes, id->bytes, n);
	*ret_hash = id->bytes + n;
	return mark;
}
