/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/loader.h"

#include "backends/builtin.h"
#include "core/error.h"
#include "core/path.h"
#include "core/registry.h"

#include <check.h>
#undef fail /* of check.h */
#include <libgen.h>
#include <sys/stat.h>

static char dir[] = "/tmp/loader.XXXXXX";

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	loader_fini();
	registry_reset();
	path_empty_dir(dir);
	rmdir(dir);
}

/* A plugin of this build. Caller frees. */
static char *built(const char *name)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	ck_assert_int_gt(n, 0);
	exe[n] = '\0';
	return xasprintf("%s/../plugins/%s.so", dirname(exe), name);
}

static char *hello(void)
{
	return built("hello");
}

static void put_file(const char *name, const char *text)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);

	ck_assert_int_eq(path_write(path, text, strlen(text), 0644, false), 0);
}

static void count(void *ctx, const struct loader_info *info)
{
	unsigned *n = ctx;

	n[0]++;
	n[1] += info->error != NULL;
}

START_TEST(loads_a_plugin)
{
	cleanup_free char *path = hello();
	const struct loader_info *info;
	int r = loader_load(path, NULL);

	ck_assert_msg(!r, "%s", error_text(r));
	info = loader_find("hello");
	ck_assert_ptr_nonnull(info);
	ck_assert_str_eq(info->path, path);
	ck_assert_uint_gt(strlen(info->version), 0);
	ck_assert_ptr_null(info->error);
	ck_assert_str_eq(info->backends[0]->name, "hello");
	ck_assert_ptr_null(info->backends[1]);
	ck_assert_ptr_eq(registry_by_url("hello+you"), info->backends[0]);
}
END_TEST

static void take_role(void *ctx, const struct scorpio_role *role)
{
	const struct scorpio_role **ret = ctx;

	*ret = role;
}

START_TEST(roles)
{
	cleanup_free char *path = built("monogate"), *other = hello();
	const struct scorpio_role *role = NULL;

	ck_assert_int_eq(loader_load(other, NULL), 0);
	loader_each_role(take_role, &role);
	ck_assert_ptr_null(role);
	ck_assert_int_eq(loader_load(path, NULL), 0);
	loader_each_role(take_role, &role);
	ck_assert_ptr_nonnull(role);
	ck_assert_str_eq(role->name, "monogate");
	ck_assert_ptr_eq(loader_find("monogate")->roles[0], role);
	ck_assert_ptr_null(loader_find("monogate")->roles[1]);
	/* a refused file's roles are not there a second time */
	role = NULL;
	ck_assert_int_eq(loader_load(path, NULL), -EEXIST);
	loader_each_role(take_role, &role);
	ck_assert_str_eq(role->name, "monogate");
}
END_TEST

START_TEST(twice_is_refused)
{
	cleanup_free char *path = hello();
	unsigned n[2] = { 0, 0 };

	ck_assert_int_eq(loader_load(path, NULL), 0);
	ck_assert_int_eq(loader_load(path, NULL), -EEXIST);
	loader_each(count, n);
	ck_assert_uint_eq(n[0], 2);
	ck_assert_uint_eq(n[1], 1);
	ck_assert_ptr_nonnull(registry_by_name("hello"));
}
END_TEST

START_TEST(name_of_a_backend_is_taken)
{
	cleanup_free char *path = hello();
	struct scorpio_backend other = *builtin_backends[0];

	other.name = "hello";
	other.schemes = NULL;
	ck_assert_int_eq(registry_add(&other, "another"), 0);
	ck_assert_int_eq(loader_load(path, NULL), -EEXIST);
	ck_assert_ptr_nonnull(strstr(error_text(-EEXIST), "hello"));
	ck_assert_ptr_null(loader_find("hello"));
}
END_TEST

START_TEST(not_a_plugin)
{
	cleanup_free char *text = xasprintf("%s/text.so", dir);
	cleanup_free char *none = xasprintf("%s/none.so", dir);

	put_file("text.so", "this is not a shared object\n");
	ck_assert_int_eq(loader_load(text, NULL), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(error_text(-ENOEXEC), "text.so"));
	ck_assert_int_eq(loader_load(none, NULL), -ENOENT);
	/* a shared object, but not a plugin */
	ck_assert_int_eq(loader_load("/lib/x86_64-linux-gnu/libm.so.6", NULL),
			 access("/lib/x86_64-linux-gnu/libm.so.6", R_OK)
				 ? -ENOENT
				 : -ENOEXEC);
}
END_TEST

START_TEST(a_directory)
{
	cleanup_free char *path = hello();
	cleanup_free char *link = xasprintf("%s/b.so", dir);
	cleanup_free char *none = xasprintf("%s/none", dir);
	unsigned n[2] = { 0, 0 };

	put_file("a.so", "broken\n");
	put_file("readme.txt", "not looked at\n");
	put_file(".hidden.so", "not looked at\n");
	ck_assert_int_eq(symlink(path, link), 0);
	ck_assert_int_eq(loader_load_dir(dir, NULL), 1);
	loader_each(count, n);
	ck_assert_uint_eq(n[0], 2);
	ck_assert_uint_eq(n[1], 1);
	ck_assert_ptr_nonnull(loader_find("hello"));
	ck_assert_int_eq(loader_load_dir(none, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loader");
	TCase *t = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, loads_a_plugin);
	tcase_add_test(t, roles);
	tcase_add_test(t, twice_is_refused);
	tcase_add_test(t, name_of_a_backend_is_taken);
	tcase_add_test(t, not_a_plugin);
	tcase_add_test(t, a_directory);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
