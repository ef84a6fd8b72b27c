/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/changes_test.h"

#define STEPS 400

static uint32_t seed;

static uint32_t any(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* The model: paths and what they are, moved by text alone. */
struct entry {
	char path[200];
	uint64_t ino;
	bool dir;
};
static struct entry model[400];
static size_t entries;

static struct cnode *at_path(const char *path)
{
	cleanup_free char *copy = xstrdup(path);
	struct cnode *n = c->root;
	char *p = copy;

	while (*p) {
		size_t len = strcspn(p, "/");

		n = changes_name(n, p, len)->node;
		p += len + (p[len] == '/');
	}
	return n;
}

static const char *any_dir(void)
{
	for (int i = 0; i < 8 && entries; i++) {
		const struct entry *e = &model[any((uint32_t)entries)];

		if (e->dir && strlen(e->path) < 60)
			return e->path;
	}
	return "";
}

static struct entry *lookup(const char *path)
{
	for (size_t i = 0; i < entries; i++)
		if (!strcmp(model[i].path, path))
			return &model[i];
	return NULL;
}

static bool has_children(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < entries; i++)
		if (!strncmp(model[i].path, path, len) &&
		    model[i].path[len] == '/')
			return true;
	return false;
}

static void remove_entry(struct entry *e)
{
	*e = model[--entries];
}

static void full(char out[200], const char *d, const char *name)
{
	snprintf(out, 200, "%.180s%s%.9s", d, *d ? "/" : "", name);
}

static void random_create(const char *d, const char *name)
{
	struct entry *e = &model[entries];
	bool is_dir = any(3) == 0;

	full(e->path, d, name);
	if (lookup(e->path) || entries + 1 >= ARRAY_SIZE(model))
		return;
	e->dir = is_dir;
	e->ino = make(at_path(d), name,
		      is_dir ? S_IFDIR | 0700 : S_IFREG | 0600)->v.ino;
	entries++;
}

static void random_remove(void)
{
	struct entry *e = &model[any((uint32_t)entries)];
	char *slash = strrchr(e->path, '/');
	char d[200];

	if (has_children(e->path))
		return;
	snprintf(d, sizeof(d), "%s", e->path);
	d[slash ? slash - e->path : 0] = '\0';
	drop(at_path(d), slash ? slash + 1 : e->path);
	remove_entry(e);
}

static void random_move(const char *to_dir, const char *name)
{
	struct entry *e = &model[any((uint32_t)entries)], *there;
	char *slash = strrchr(e->path, '/');
	char d[200], from[200], to[200], rest[200];
	size_t len;

	snprintf(from, sizeof(from), "%s", e->path);
	snprintf(d, sizeof(d), "%s", e->path);
	d[slash ? slash - e->path : 0] = '\0';
	full(to, to_dir, name);
	len = strlen(from);
	there = lookup(to);
	if (!strcmp(from, to) ||
	    (!strncmp(to, from, len) && to[len] == '/') ||
	    (there && (has_children(to) || there->dir != e->dir)))
		return;
	move(at_path(d), slash ? from + (slash - e->path) + 1 : from,
	     at_path(to_dir), name, 0);
	if (there)
		remove_entry(there);
	for (size_t i = 0; i < entries; i++) {
		char *p = model[i].path;

		if (!strncmp(p, from, len) && (!p[len] || p[len] == '/')) {
			snprintf(rest, sizeof(rest), "%s", p + len);
			ck_assert_uint_lt(strlen(to) + strlen(rest), 200);
			snprintf(p, 200, "%.*s%.*s", 100, to, 99, rest);
		}
	}
}

static void random_attr(void)
{
	struct cnode *n = at_path(model[any((uint32_t)entries)].path);
	struct cvalue v = n->v;
	char value[16];

	changes_edit(c);
	if (any(2)) {
		v.mode = (v.mode & S_IFMT) | any(01000);
		v.mtim = any(100000);
		ck_assert_int_eq(changes_attr(c, n, &v), 0);
	} else {
		snprintf(value, sizeof(value), "%u", any(1000));
		ck_assert_int_eq(changes_xattr(c, n, "user.x", value,
					       strlen(value)), 0);
	}
	changes_edit_end(c);
}

static void random_step(void)
{
	char name[8], d[200];

	snprintf(name, sizeof(name), "n%u", any(9));
	snprintf(d, sizeof(d), "%s", any_dir());
	switch (entries ? any(6) : 0) {
	case 0:
	case 1:
		random_create(d, name);
		break;
	case 2:
		random_remove();
		break;
	case 3:
	case 4:
		random_move(d, name);
		break;
	default:
		random_attr();
	}
}

static void check_model(void)
{
	size_t reached = c->count - 1;

	ck_assert_uint_eq(reached, entries);
	for (size_t i = 0; i < entries; i++) {
		struct cnode *n = at_path(model[i].path);
		cleanup_free char *path = changes_path(n, NULL);

		ck_assert_str_eq(path, model[i].path);
		ck_assert_uint_eq(n->v.ino, model[i].ino);
		ck_assert(!n->dir == !model[i].dir);
	}
}

START_TEST(random_edits_are_as_modelled)
{
	seed = (uint32_t)_i * 7919 + 1;
	entries = 0;
	for (int i = 0; i < STEPS; i++) {
		random_step();
		if (i % 50 == 0)
			check_model();
		if (i % 170 == 0)
			ck_assert_int_eq(changes_checkpoint(c), 0);
		if (i % 130 == 0)
			check_survives();
	}
	check_model();
	check_survives();
}
END_TEST

/* The log cut at any byte is the state after some number of edits, and never
 * one that was not. */
START_TEST(any_cut_is_a_state_that_was)
{
	cleanup_free char *log = NULL, *was = NULL;
	char *pictures[120], path[128], copy[80];
	uint64_t ends[120];
	size_t n = 0, len, at = 0;

	seed = 4711;
	entries = 0;
	while (n < ARRAY_SIZE(pictures)) {
		uint64_t before = wal_size(c->wal);

		if (n)
			random_step();
		if (n && wal_size(c->wal) == before)
			continue;
		ends[n] = wal_size(c->wal);
		pictures[n++] = picture();
	}
	changes_abandon(c);
	snprintf(path, sizeof(path), "%s/log.%016x", dir, 1);
	ck_assert_int_eq(path_read(path, 1 << 20, &log, &len), 0);
	ck_assert_uint_eq(len, ends[n - 1]);
	snprintf(copy, sizeof(copy), "%s/cut", dir);
	snprintf(path, sizeof(path), "%s/log.%016x", copy, 1);
	ck_assert_int_eq(mkdir(copy, 0700), 0);
	for (size_t cut = ends[0]; cut <= len; cut += 1 + cut % 19) {
		ck_assert_int_eq(path_empty_dir(copy), 0);
		ck_assert_int_eq(path_write(path, log, cut, 0600, false), 0);
		while (at + 1 < n && ends[at + 1] <= cut)
			at++;
		ck_assert_int_eq(try_open(copy), 0);
		was = picture();
		ck_assert_str_eq(was, pictures[at]);
		free(steal(&was));
		changes_abandon(c);
	}
	for (size_t i = 0; i < n; i++)
		free(pictures[i]);
	open_changes();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("changes_random");
	TCase *t = tcase_create("changes_random");
	SRunner *sr = srunner_create(s);
	int failed;

	log_set_level("error");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, random_edits_are_as_modelled, 0, 3);
	tcase_add_test(t, any_cut_is_a_state_that_was);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
