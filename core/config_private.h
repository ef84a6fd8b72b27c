/* SPDX-License-Identifier: Apache-2.0 */
/* config_private.h - shared by config*.c only. */
#ifndef CORE_CONFIG_PRIVATE_H
#define CORE_CONFIG_PRIVATE_H

#include "core/config.h"

#include <jansson.h>

struct config_value {
	char *text;  /* NULL = unset */
	char **list; /* CONFIG_LIST, NULL-ended */
	size_t list_len;
	int64_t number; /* int, bytes, milliseconds, bool */
	enum config_origin origin;
	char *origin_text;
};

struct config_pair {
	char *name, *text, *origin;
};

struct config_pairs {
	struct config_pair *v;
	size_t n;
};

struct config_source {
	char *name, *url;
	struct config_pairs pairs; /* without url */
};

struct config {
	unsigned refs; /* atomic */
	char *path;
	struct config_value *values; /* config_keys_count */
	struct config_pairs extras;  /* "section.key" of unknown sections */
	struct config_source *sources;
	size_t sources_len;
	struct config_mount *mounts;
	size_t mounts_len;
};

/* One load under way. */
struct config_load {
	struct config *c;
	const struct config_options *o;
	const char *file;     /* name for messages */
	bool chance;          /* found in the working directory */
	json_t *root, *where; /* of toml_read */
	struct buf problems;
	unsigned problems_len;
};

/* -- config_value.c -- */
/* The environment of this load; NULL if not set. */
const char *config_env(const struct config_load *l, const char *name);
/* "~/", <user>, <cache>, made absolute. Caller frees. */
char *config_expand(const struct config_load *l, const char *path);
/* Check and convert `text` (items for a list: `list`, may be NULL) for the
 * key; false with a reason. *v is filled apart from the origin. */
bool config_convert(const struct config_load *l, const struct config_key *k,
		    const char *text, const json_t *list,
		    struct config_value *v, char *reason, size_t cap);
void config_value_done(struct config_value *v);
/* A TOML scalar as text; NULL for tables, arrays and dates. Caller frees. */
char *config_scalar(const json_t *v);
bool config_is_blank(const char *s);

/* -- config.c -- */
void config_problem(struct config_load *l, const char *where, const char *fmt,
		    ...) PRINTF(3, 4);
void config_warning(struct config_load *l, const char *where, const char *fmt,
		    ...) PRINTF(3, 4);
/* Set key `i` unless the text is blank or the list empty; problems are
 * recorded. */
void config_set(struct config_load *l, size_t i, const char *text,
		const json_t *list, enum config_origin origin,
		const char *where);
void config_pairs_add(struct config_pairs *p, const char *name,
		      const char *text, const char *origin);
const struct config_pair *config_pairs_find(const struct config_pairs *p,
					    const char *name);

/* -- config_file.c -- */
/* Apply l->root to the configuration. */
void config_file_apply(struct config_load *l);

/* "a token, password or the like" by its name: hidden when shown */
bool config_name_is_secret(const char *name);

#endif
