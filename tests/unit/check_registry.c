/* SPDX-License-Identifier: Apache-2.0 */
#include "core/registry.h"

#include "core/buf.h"
#include "core/call.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/metrics.h"
#include "core/path.h"

#include <scorpio/version.h>

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#undef fail /* Check's hides the host function */

/* -- backends -- */

static int do_open(const struct scorpio_host *h UNUSED, const char *url UNUSED,
		   const struct scorpio_config *c UNUSED,
		   const struct scorpio_next *n UNUSED,
		   struct scorpio_instance *i UNUSED, void **ret UNUSED)
{
	return 0;
}
static void do_close(void *self UNUSED)
{
}
static int do_resolve(void *self UNUSED, const char *spec UNUSED,
		      struct scorpio_revision *ret UNUSED)
{
	return 0;
}
static int do_list(void *self UNUSED, const struct scorpio_ref *refs UNUSED,
		   uint32_t n UNUSED, const struct scorpio_sink *s UNUSED)
{
	return 0;
}
static int do_watch(void *self UNUSED, const char *spec UNUSED,
		    const struct scorpio_id *known UNUSED, uint32_t ms UNUSED)
{
	return 0;
}

static struct scorpio_backend table(const char *name, const char *schemes)
{
	return (struct scorpio_backend){
		.struct_size = sizeof(struct scorpio_backend),
		.abi = SCORPIO_ABI,
		.name = name,
		.schemes = schemes,
		.open = do_open,
		.close = do_close,
		.resolve = do_resolve,
		.list = do_list,
		.fetch = do_list,
		.watch = do_watch,
	};
}

static void ck_refused(const struct scorpio_backend *b, int code,
		       const char *text)
{
	ck_assert_int_eq(registry_add(b, "x.so"), code);
	ck_assert_msg(strstr(error_text(code), text) != NULL, "%s",
		      error_text(code));
}

START_TEST(refusals)
{
	struct scorpio_backend b = table("Bad name", NULL);

	ck_refused(&b, -EINVAL, "\"Bad name\" is not [a-z][a-z0-9]*");
	b = table("ok", NULL);
	b.fetch = NULL;
	ck_refused(&b, -EINVAL, "x.so: backend ok lacks the function fetch");
	b = table("ok", NULL);
	b.abi = (SCORPIO_ABI_MAJOR + 1) << 16;
	ck_refused(&b, -EINVAL, "built for plugin ABI 2");
	b = table("ok", NULL);
	b.struct_size = 16;
	ck_refused(&b, -EINVAL, "too small");
	b = table("ok", NULL);
	b.threads = 9;
	ck_refused(&b, -EINVAL, "thread model");
	b = table("ok", "a b");
	ck_assert_int_eq(registry_add(&b, "x.so"), 0);
	ck_refused(&b, -EEXIST, "a backend named ok is already there");
	b = table("other", "c b");
	ck_refused(&b, -EEXIST, "the scheme b already belongs to backend ok");
	ck_assert_str_eq(registry_schemes(), "a, b");
}
END_TEST

/* A plugin built against an older header: its table ends after fetch, and what
 * follows in memory is not ours to look at. */
START_TEST(older_table)
{
	size_t n = offsetof(struct scorpio_backend, sizes);
	struct scorpio_backend full = table("old", "old"), *b = malloc(n);
	const struct scorpio_backend *found;

	full.struct_size = (uint32_t)n;
	memcpy(b, &full, n); /* ASan watches the end */
	ck_assert_int_eq(registry_add(b, "old.so"), 0);
	free(b);
	found = registry_by_name("old");
	ck_assert(found->fetch == do_list);
	ck_assert_ptr_null(found->watch);
	ck_assert_ptr_null(found->publish);
}
END_TEST

/* A plugin built against a newer one: what we do not know is left out. */
START_TEST(newer_table)
{
	struct {
		struct scorpio_backend b;
		void *more[8];
	} newer = { .b = table("newer", "newer") };

	newer.b.struct_size = sizeof(newer);
	newer.b.abi = SCORPIO_ABI + 5; /* minor */
	ck_assert_int_eq(registry_add(&newer.b, "newer.so"), 0);
	ck_assert_uint_eq(registry_by_name("newer")->struct_size,
			  sizeof(struct scorpio_backend));
	ck_assert(registry_by_name("newer")->watch == do_watch);
}
END_TEST

static void ck_url(const char *url, const char *backend)
{
	const struct scorpio_backend *b = registry_by_url(url);

	ck_assert_msg(b ? backend && !strcmp(b->name, backend) : !backend,
		      "%s: %s", url, b ? b->name : "none");
}

START_TEST(urls)
{
	struct scorpio_backend git = table("git", "git+https git+http git ssh"),
			       dir = table("dir", "dir"),
			       mono = table("mono", "mono+http");
	char top[] = "/tmp/check_registry.XXXXXX", path[100];

	dir.flags = SCORPIO_BACKEND_DIRECTORY;
	ck_assert_int_eq(registry_add(&git, "built in"), 0);
	ck_assert_int_eq(registry_add(&dir, "built in"), 0);
	ck_assert_int_eq(registry_add(&mono, "mono.so"), 0);
	ck_url("git+https://h/x", "git");
	ck_url("GIT+HTTPS://h/x", "git");
	ck_url("https://h/x.git", "git"); /* newcomers */
	ck_url("ssh://h/x", "git");
	ck_url("git@h:x", "git");
	ck_url("h:some/path", "git");
	ck_url("mono+http://h/", "mono");
	ck_url("mono+ftp://h/", "mono"); /* to say what is wrong with it */
	ck_url("dir+/some/path", "dir");
	ck_url("svn+https://h/", NULL);
	ck_url("gopher://h/", NULL);
	ck_url("/no/such/path", NULL);
	ck_url("", NULL);

	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_url(top, "dir");
	snprintf(path, sizeof(path), "%s/work/.git", top);
	ck_assert_int_eq(path_make_dirs(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/work", top);
	ck_url(path, "git");
	snprintf(path, sizeof(path), "%s/bare/objects", top);
	ck_assert_int_eq(path_make_dirs(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/bare/refs", top);
	ck_assert_int_eq(path_make_dirs(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/bare", top);
	ck_url(path, "dir"); /* not yet */
	snprintf(path, sizeof(path), "%s/bare/HEAD", top);
	ck_assert_int_eq(path_write(path, "x", 1, 0644, false), 0);
	snprintf(path, sizeof(path), "%s/bare", top);
	ck_url(path, "git");
	path_empty_dir(top);
	rmdir(top);
}
END_TEST

static void count_them(void *ctx, const struct scorpio_backend *b,
		       const char *origin)
{
	ck_assert_str_eq(b->name, "one");
	ck_assert_str_eq(origin, "one.so");
	++*(int *)ctx;
}

START_TEST(each_and_reset)
{
	struct scorpio_backend b = table("one", NULL);
	int n = 0;

	ck_assert_int_eq(registry_add(&b, "one.so"), 0);
	registry_each(count_them, &n);
	ck_assert_int_eq(n, 1);
	ck_assert_str_eq(registry_schemes(), "");
	registry_reset();
	ck_assert_ptr_null(registry_by_name("one"));
}
END_TEST

/* -- host -- */

static const char *get(void *ctx, const char *key)
{
	static const char *const pairs[] = { "text", "t", "int",  "42",
					     "badint", "4x", "bool", "yes",
					     "badbool", "maybe" };
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(pairs); i += 2)
		if (!strcmp(pairs[i], key))
			return pairs[i + 1];
	return NULL;
}

static char top[64];

static struct scorpio_host *host(const char *name, bool in_init)
{
	struct host_options o = { .name = name, .get = get, .in_init = in_init,
				  .scratch_parent = *top ? top : NULL };

	return host_new(&o);
}

static void quiet(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	close(null);
}

START_TEST(host_basics)
{
	struct scorpio_host *h = host("one", false);
	const struct scorpio_config *c = host_config(h);
	bool cancel = false;
	struct call call;

	quiet();
	ck_assert_uint_eq(h->struct_size, sizeof(*h));
	ck_assert_uint_eq(h->abi, SCORPIO_ABI);
	ck_assert(SCORPIO_HAS(h, service_get));
	ck_assert_str_eq(h->config_string(c, "text", "d"), "t");
	ck_assert_str_eq(h->config_string(c, "none", "d"), "d");
	ck_assert_int_eq(h->config_int(c, "int", 1), 42);
	ck_assert_int_eq(h->config_int(c, "badint", 1), 1);
	ck_assert_int_eq(h->config_int(c, "none", 7), 7);
	ck_assert_int_eq(h->config_bool(c, "bool", 0), 1);
	ck_assert_int_eq(h->config_bool(c, "badbool", 1), 1);
	ck_assert_int_eq(h->fail(h, -EIO, "what %d", 5), -EIO);
	ck_assert_str_eq(error_text(-EIO), "what 5");
	h->log(h, SCORPIO_LOG_WARN, "said %s", "so");
	ck_assert(!h->cancelled(h));
	call_enter(&call, DEADLINE_NONE, &cancel);
	ck_assert(!h->cancelled(h));
	cancel = true;
	ck_assert(h->cancelled(h));
	call_leave(&call);
	host_free(h);
	host_free(NULL);
}
END_TEST

START_TEST(host_counts)
{
	struct scorpio_host *a = host("src \"a\"", false),
			    *b = host("b", false);
	struct buf text = BUF_INIT;

	a->count(a, "packs", 2);
	a->count(a, "packs", 3);
	b->count(b, "packs", 1);
	b->count(b, "Not a name!", 1);
	metrics_print(&text);
	ck_assert_ptr_nonnull(
		strstr(buf_str(&text),
		       "scorpio_backend_packs_total{source=\"b\"} 1\n"
		       "scorpio_backend_packs_total{source=\"src \\\"a\\\"\"} "
		       "5\n"));
	ck_assert_ptr_null(strstr(buf_str(&text), "Not"));
	buf_done(&text);
	host_free(a);
	host_free(b);
}
END_TEST

START_TEST(host_scratch)
{
	struct scorpio_host *h = host("no", false), *a, *b;
	char path[300], first[200];
	struct stat st;

	ck_assert_ptr_null(h->scratch(h));
	host_free(h);

	snprintf(top, sizeof(top), "/tmp/check_host.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(path, sizeof(path), "%s/https___h_x/old", top);
	ck_assert_int_eq(path_make_dirs(path, 0755), 0);
	a = host("https://h/x", false);
	b = host("https://h/x", false);
	snprintf(first, sizeof(first), "%s", a->scratch(a));
	ck_assert_str_eq(first + strlen(top), "/https___h_x");
	ck_assert_int_eq(access(path, F_OK), -1); /* emptied */
	ck_assert_str_eq(a->scratch(a), first);
	ck_assert_str_ne(b->scratch(b), first); /* never shared */
	ck_assert_int_eq(stat(b->scratch(b), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	snprintf(path, sizeof(path), "%s/f", first);
	ck_assert_int_eq(path_write(path, "x", 1, 0600, false), 0);
	host_free(a);
	ck_assert_int_eq(access(first, F_OK), -1);
	host_free(b);
	ck_assert_int_eq(rmdir(top), 0);
	/* a parent that cannot be: an error with a text */
	snprintf(top, sizeof(top), "/proc/nope");
	a = host("x", false);
	ck_assert_ptr_null(a->scratch(a));
	host_free(a);
}
END_TEST

static int on_output(void *ctx, const void *p, uint64_t n)
{
	buf_put(ctx, p, n);
	return 0;
}

/* Structs of plugins that are older (shorter) or newer (longer) than ours. */
START_TEST(host_struct_sizes)
{
	struct scorpio_host *h = host("x", false);
	static const char *const argv[] = { "sh", "-c", "echo hi; exit 3",
					    NULL };
	size_t n = offsetof(struct scorpio_spawn, error);
	struct scorpio_spawn full = { .struct_size = (uint32_t)n,
				      .argv = argv,
				      .on_output = on_output },
			     *old = malloc(n);
	struct {
		struct scorpio_http x;
		uint64_t more[4];
	} newer = { .x = { .struct_size = sizeof(newer),
			   .url = "nonsense" },
		    .more = { 1, 2, 3, 4 } };
	struct scorpio_http unset = { .url = "http://h/" };
	struct buf b = BUF_INIT;

	full.ctx = &b;
	memcpy(old, &full, n);
	ck_assert_int_eq(h->spawn(h, old), 0);
	memcpy(&full, old, n);
	ck_assert_int_eq(full.exit_status, 3);
	ck_assert_str_eq(buf_str(&b), "hi\n");
	free(old);
	buf_done(&b);
	ck_assert_int_eq(h->http(h, &newer.x), -EINVAL);
	ck_assert_uint_eq(newer.x.struct_size, sizeof(newer));
	ck_assert_uint_eq(newer.more[0], 1);
	ck_assert_int_eq(h->http(h, &unset), -EINVAL);
	ck_assert_str_eq(error_text(-EINVAL), "http: struct_size is not set");
	host_free(h);
}
END_TEST

START_TEST(host_services)
{
	static const uint64_t small = 1, big[4] = { 1, 2, 3, 4 };
	struct scorpio_host *init = host("plugin", true),
			    *later = host("source", false);

	ck_assert_int_eq(later->service_provide(later, "a/1", big, 32), -EPERM);
	ck_assert_int_eq(init->service_provide(init, "noversion", big, 32),
			 -EINVAL);
	ck_assert_int_eq(init->service_provide(init, "a/1", &small, 8), 0);
	ck_assert_int_eq(init->service_provide(init, "a/1", big, 32), -EEXIST);
	ck_assert_int_eq(init->service_provide(init, "a/2", big, 32), 0);
	ck_assert_ptr_eq(later->service_get(later, "a/1", 8), &small);
	ck_assert_ptr_null(later->service_get(later, "a/1", 9));
	host_freeze_services();
	ck_assert_ptr_eq(later->service_get(later, "a/2", 16), big);
	ck_assert_ptr_null(later->service_get(later, "a/3", 1));
	ck_assert_int_eq(init->service_provide(init, "b/1", big, 32), -EPERM);
	host_free(init);
	host_free(later);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("registry");
	TCase *t = tcase_create("registry");
	SRunner *r;
	int failed;

	tcase_add_test(t, refusals);
	tcase_add_test(t, older_table);
	tcase_add_test(t, newer_table);
	tcase_add_test(t, urls);
	tcase_add_test(t, each_and_reset);
	tcase_add_test(t, host_basics);
	tcase_add_test(t, host_counts);
	tcase_add_test(t, host_scratch);
	tcase_add_test(t, host_struct_sizes);
	tcase_add_test(t, host_services);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
