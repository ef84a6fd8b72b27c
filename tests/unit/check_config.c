/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include "core/error.h"
#include "core/path.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>

static struct buf problems, warnings;
static const char *const no_env[] = { NULL };

/* Parse a text with this environment and these overrides. */
static int parse_with(const char *text, const char *const *env, const char *const *cli,
		      struct config **ret)
{
	struct config_options o = {
		.env = env,
		.overrides = cli,
		.problems = &problems,
		.warnings = &warnings,
	};

	buf_done(&problems);
	buf_done(&warnings);
	return config_parse(text, strlen(text), "t.toml", &o, ret);
}

static struct config *good(const char *text)
{
	struct config *c = NULL;
	int r = parse_with(text, no_env, NULL, &c);

	ck_assert_msg(!r, "%s", buf_str(&problems));
	return c;
}

/* Every line must be among the problems; and nothing else. */
static void bad(const char *text, const char *expected)
{
	struct config *c = (struct config *)8;

	ck_assert_int_eq(parse_with(text, no_env, NULL, &c), -EINVAL);
	ck_assert_ptr_eq(c, (struct config *)8); /* untouched */
	ck_assert_str_eq(buf_str(&problems), expected);
}

START_TEST(defaults)
{
	struct config *c = good("");

	ck_assert_str_eq(config_string(c, "server.http_addr"),
			 "127.0.0.1:2725");
	ck_assert_str_eq(config_string(c, "base_url"), "http://localhost:8000");
	ck_assert_int_eq(config_int(c, "cache.max_size"), 20ll << 30);
	ck_assert_int_eq(config_int(c, "fetch.stall_timeout"), 30000);
	ck_assert_int_eq(config_int(c, "fs.uid"), -1);
	ck_assert(config_bool(c, "dicfuse.readable"));
	ck_assert(!config_bool(c, "offline"));
	ck_assert_ptr_null(config_string(c, "git.ssh_command"));
	ck_assert(!config_is_set(c, "base_url"));
	ck_assert_str_eq(config_origin_text(c, "base_url"), "default");
	config_put(c);
}
END_TEST

START_TEST(precedence)
{
	static const char *const env[] = { "SCORPIO_LOAD_DIR_DEPTH=7",
			       "SCORPIO_SERVER_SOCKET=/run/s.sock",
			       "SCORPIO_FETCH_FILE_THREAD=  ",
			       "ANTARES_STAT_MODE=fast",
			       "ANTARES_UPPER_ROOT=/u1",
			       "SCORPIO_ANTARES_CL_ROOT=/c2",
			       "ANTARES_CL_ROOT=/c1",
			       "RUST_LOG=warn",
			       "SCORPIO_LOG_LEVEL=error",
			       NULL };
	static const char *const cli[] = { "http_addr=1.1.1.1:1", NULL };
	static const char *const full[] = { "server.http_addr=1.1.1.1:1",
					    "base_url=http://cli", NULL };
	struct config *c = NULL;

	/* short names without a flat form are not known */
	ck_assert_int_eq(parse_with("", env, cli, &c), -EINVAL);
	ck_assert_int_eq(
		parse_with("base_url = 'http://flat'\nload_dir_depth = 4\n"
			   "fetch_file_thread = 5\n[server]\n"
			   "log_level='debug'\n[dicfuse]\nload_dir_depth=5\n"
			   "[antares]\nupper_root='/f'\n",
			   env, full, &c), 0);
	ck_assert_str_eq(config_string(c, "server.base_url"), "http://cli");
	ck_assert_int_eq(config_origin(c, "base_url"), CONFIG_CLI);
	ck_assert_int_eq(config_int(c, "load_dir_depth"), 7);
	ck_assert_str_eq(config_origin_text(c, "dicfuse.load_dir_depth"),
			 "environment SCORPIO_LOAD_DIR_DEPTH");
	/* blanks in the environment leave the file's value */
	ck_assert_int_eq(config_int(c, "fetch_file_thread"), 5);
	ck_assert_str_eq(config_origin_text(c, "fetch_file_thread"),
			 "t.toml:3:1");
	ck_assert_str_eq(config_string(c, "server.socket"), "/run/s.sock");
	ck_assert_str_eq(config_string(c, "antares_upper_root"), "/u1");
	ck_assert_str_eq(config_string(c, "antares_cl_root"), "/c2");
	ck_assert_str_eq(config_string(c, "server.log_level"), "warn");
	config_put(c);
}
END_TEST

START_TEST(both_forms)
{
	struct config *c = good("store_path = \"/a\"\nworkspace = \"/w\"\n"
				"[server]\nstore_path = \"/b\"\n"
				"git_author = \"  \"\n");

	ck_assert_str_eq(config_string(c, "store_path"), "/b");
	ck_assert_str_eq(config_string(c, "server.workspace"), "/w");
	ck_assert_str_eq(config_string(c, "git_author"), "MEGA"); /* blank */
	ck_assert_str_eq(buf_str(&warnings),
			 "t.toml:4:1: server.store_path and store_path are both"
			 " set; server.store_path is used\n");
	config_put(c);
}
END_TEST

START_TEST(strings_or_native)
{
	struct config *c = good("load_dir_depth = \"6\"\n"
				"dicfuse_readable = \"false\"\n"
				"dicfuse_open_buff_max_bytes = 1_000\n"
				"[server]\ngit_author = 42\n"
				"[fetch]\ntimeout = 5\nstall_timeout = \"1.5s\"\n"
				"[cache]\nmax_size = \"1.5GiB\"\n"
				"[plugins]\nload = [\"a\", \"b c\"]\n");
	const char *const *list;

	ck_assert_int_eq(config_int(c, "load_dir_depth"), 6);
	ck_assert(!config_bool(c, "dicfuse_readable"));
	ck_assert_int_eq(config_int(c, "dicfuse.open_buff_max_bytes"), 1000);
	ck_assert_str_eq(config_string(c, "git_author"), "42");
	ck_assert_int_eq(config_int(c, "fetch.timeout"), 5000);
	ck_assert_int_eq(config_int(c, "fetch.stall_timeout"), 1500);
	ck_assert_int_eq(config_int(c, "cache.max_size"), 3ll << 29);
	ck_assert_uint_eq(config_list(c, "plugins.load", &list), 2);
	ck_assert_str_eq(list[1], "b c");
	ck_assert_ptr_null(list[2]);
	ck_assert_str_eq(config_string(c, "plugins.load"), "a,b c");
	config_put(c);
}
END_TEST

START_TEST(a_url_names_a_host_and_a_problem_no_password)
{
	bad("base_url = \"http://me:secret@\"\n",
	    "t.toml:1:1: server.base_url: \"http://\" is not an http:// or "
	    "https:// URL\n");
}
END_TEST

START_TEST(problems_with_places)
{
	bad("load_dir_depth = 0\n"
	    "base_url = \"ftp://x\"\n"
	    "dicfuse_readable = [1]\n"
	    "\n"
	    "[server]\n"
	    "  log_format = \"xml\"\n"
	    "[cache]\n"
	    "max_size = \"20Gi\"\n"
	    "zstd_levl = 3\n"
	    "[fetch]\n"
	    "retries = 1979-05-27\n"
	    "timeout = \"forever\"\n"
	    "[[mount]]\n"
	    "source = \"x\"\n"
	    "rox = 1\n",
	    "t.toml:1:1: dicfuse.load_dir_depth: must be between 1 and 256\n"
	    "t.toml:2:1: server.base_url: \"ftp://x\" is not an http:// or "
	    "https:// URL\n"
	    "t.toml:3:1: dicfuse.readable: a list where one value is expected\n"
	    "t.toml:6:3: server.log_format: \"xml\" is not one of text|json\n"
	    "t.toml:8:1: cache.max_size: \"20Gi\" is not a size such as 20GiB,"
	    " 512M or 4096\n"
	    "t.toml:9:1: unknown key zstd_levl in [cache]; did you mean "
	    "zstd_level?\n"
	    "t.toml:11:1: fetch.retries: a date or time where one value is "
	    "expected\n"
	    "t.toml:12:1: fetch.timeout: \"forever\" is not a duration such as"
	    " 500ms, 30s or 5m\n"
	    "t.toml:15:1: unknown key rox in [[mount]]; it takes source, dir, "
	    "rev, subdir and ro\n"
	    "t.toml:13:1: [[mount]] without dir\n");
	ck_assert_str_eq(error_text(-EINVAL),
			 "t.toml:1:1: dicfuse.load_dir_depth: must be between 1"
			 " and 256 (and 9 more)");
}
END_TEST

START_TEST(syntax)
{
	struct config *c;

	ck_assert_int_eq(parse_with("a = 1\na = 2\n", no_env, NULL, &c),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(buf_str(&problems), "t.toml:2:"));
	ck_assert_int_eq(parse_with("\n\nx = \"abc\n", no_env, NULL, &c),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(buf_str(&problems), "t.toml:3:"));
	ck_assert_int_eq(parse_with("x = \"a\\u0000b\"\n", no_env, NULL, &c),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(buf_str(&problems), "NUL"));
}
END_TEST

START_TEST(bad_environment_and_cli)
{
	static const char *const env[] = { "SCORPIO_FETCH_THREADS=many", NULL };
	static const char *const cli[] = { "nope=1", "fetch.retries=x", NULL };
	struct config *c;

	ck_assert_int_eq(parse_with("", env, cli, &c), -EINVAL);
	ck_assert_str_eq(buf_str(&problems),
			 "environment SCORPIO_FETCH_THREADS: fetch.threads: "
			 "\"many\" is not a whole number\n"
			 "command line: nope: no such key; write KEY=VALUE\n"
			 "command line: fetch.retries: \"x\" is not a whole "
			 "number\n");
}
END_TEST

START_TEST(unknown_keys)
{
	struct config *c = good("something = 1\n[server]\nhttp_adr = \"x\"\n"
				"[hello]\ngreeting = \"hi\"\n");
	struct config_view v = { c, NULL, "hello" };

	ck_assert_str_eq(buf_str(&warnings),
			 "t.toml:1:1: unknown key something is ignored\n"
			 "t.toml:3:1: unknown key server.http_adr is ignored; "
			 "did you mean http_addr?\n"
			 "t.toml:4:2: section [hello] is none of the daemon's; "
			 "kept for a backend or plugin of that name\n");
	ck_assert_str_eq(config_view_get(&v, "greeting"), "hi");
	ck_assert_ptr_null(config_view_get(&v, "other"));
	config_put(c);
}
END_TEST

START_TEST(sources)
{
	struct config *c = good(
		"[git]\nheader = \"A: b\"\n"
		"[source.all]\nurl = \"https://h/\"\ntoken = \"t1\"\n"
		"[source.deep]\nurl = \"git+https://h/g\"\ntoken = \"t2\"\n"
		"depth = 3\nlist = [\"a\", \"b\"]\n");
	const struct config_source *s;
	struct config_view v = { c, NULL, "git" };

	s = config_source_by_url(c, "git+https://h/g/p.git");
	ck_assert_str_eq(config_source_name(s), "deep");
	s = config_source_by_url(c, "https://h/g/p.git");
	ck_assert_str_eq(config_source_name(s), "all");
	s = config_source_by_url(c, "git+https://h/gg");
	ck_assert_str_eq(config_source_name(s), "all");
	ck_assert_ptr_null(config_source_by_url(c, "https://hh/g"));
	ck_assert_ptr_null(config_source_by_name(c, "none"));
	v.source = config_source_by_name(c, "deep");
	ck_assert_str_eq(config_source_url(v.source), "git+https://h/g");
	ck_assert_str_eq(config_view_get(&v, "token"), "t2");
	ck_assert_str_eq(config_view_get(&v, "depth"), "3");
	ck_assert_str_eq(config_view_get(&v, "list"), "a,b");
	ck_assert_str_eq(config_view_get(&v, "header"), "A: b"); /* git. */
	ck_assert_str_eq(config_view_get(&v, "credential_helper"), "true");
	ck_assert_str_eq(config_view_get(&v, "fetch.batch"), "1000");
	ck_assert_ptr_null(config_view_get(&v, "url"));
	config_put(c);
}
END_TEST

START_TEST(mounts)
{
	struct config *c = good("[[mount]]\nsource = \"git+https://h/x\"\n"
				"dir = \"/m/a\"\nrev = \"main\"\nro = true\n"
				"[[mount]]\nsource = \"/repo\"\n"
				"dir = \"/m//b/.\"\nro = \"false\"\n");
	const struct config_mount *m;

	ck_assert_uint_eq(config_mounts(c, &m), 2);
	ck_assert_str_eq(m[0].source, "git+https://h/x");
	ck_assert_str_eq(m[0].rev, "main");
	ck_assert(m[0].ro);
	ck_assert_uint_eq(m[0].line, 1);
	ck_assert_str_eq(m[1].dir, "/m/b");
	ck_assert_ptr_null(m[1].rev);
	ck_assert(!m[1].ro);
	config_put(c);
}
END_TEST

START_TEST(paths)
{
	static const char *const env[] = { "HOME=/home/x", "XDG_CACHE_HOME=/xdg", NULL };
	struct config *c = NULL;
	char *cwd = getcwd(NULL, 0), want[4200];

	ck_assert_int_eq(parse_with("store_path = \"~/s\"\n"
				    "workspace = \"rel/./x\"\n"
				    "[http]\nnetrc = \"none\"\n",
				    env, NULL, &c), 0);
	ck_assert_str_eq(config_string(c, "store_path"), "/home/x/s");
	snprintf(want, sizeof(want), "%s/rel/x", cwd);
	ck_assert_str_eq(config_string(c, "workspace"), want);
	ck_assert_str_eq(config_string(c, "http.netrc"), "none");
	ck_assert_ptr_null(strstr(config_string(c, "antares_cl_root"), "<"));
	config_put(c);
	ck_assert_int_eq(parse_with("", env, NULL, &c), 0);
	ck_assert_str_eq(config_string(c, "store_path"),
			 geteuid() ? "/xdg/scorpio/store" :
				     "/var/cache/scorpio/store");
	config_put(c);
	free(cwd);
}
END_TEST

START_TEST(socket_and_token)
{
	char dir[] = "/tmp/check_config.XXXXXX", longer[200], text[400], *s;
	struct config *c = good("store_path = \"/s\"\n");

	s = config_socket(c);
	ck_assert_str_eq(s, "/s/scorpio.sock");
	free(s);
	ck_assert_int_eq(config_token(c, &s), 0);
	ck_assert_ptr_null(s);
	config_put(c);

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	snprintf(text, sizeof(text), "store_path = \"/%s\"\n", longer);
	c = good(text);
	s = config_socket(c);
	ck_assert(!strncmp(s, "/tmp/scorpio-", 13));
	ck_assert_uint_lt(strlen(s), 108);
	free(s);
	config_put(c);

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(text, sizeof(text), "%s/token", dir);
	ck_assert_int_eq(path_write(text, "abc\n", 4, 0600, false), 0);
	snprintf(text, sizeof(text), "[server]\ntoken_file = \"%s/token\"\n",
		 dir);
	c = good(text);
	ck_assert_int_eq(config_token(c, &s), 0);
	ck_assert_str_eq(s, "abc");
	free(s);
	config_put(c);
	ck_assert_int_eq(path_empty_dir(dir), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(files)
{
	char dir[] = "/tmp/check_config.XXXXXX", one[64], two[64];
	const char *named[] = { one, two, NULL };
	static const char *const env[] = { "HOME=/nonexistent", NULL };
	struct config_options o = { .files = named, .env = env,
				    .warnings = &warnings,
				    .problems = &problems };
	static const char found[] = "offline = true\n[git]\n"
				    "ssh_command = \"evil\"\n"
				    "[source.x]\nssh_command = \"evil\"\n"
				    "[other]\na = 1\n";
	struct config *c = NULL;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	snprintf(one, sizeof(one), "%s/one.toml", dir);
	snprintf(two, sizeof(two), "%s/two.toml", dir);
	/* the last one is read and must exist */
	ck_assert_int_eq(path_write(one, "offline = true\n", 15, 0600, 0), 0);
	ck_assert_int_eq(config_load(&o, &c), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error_text(-ENOENT), two));
	ck_assert_int_eq(path_write(two, "load_dir_depth = 9\n", 19, 0600, 0),
			 0);
	ck_assert_int_eq(config_load(&o, &c), 0);
	ck_assert_int_eq(config_int(c, "load_dir_depth"), 9);
	ck_assert(!config_bool(c, "offline"));
	ck_assert_str_eq(config_path(c), two);
	config_put(c);

	/* none named: ./scorpio.toml, but not what starts programs */
	o.files = NULL;
	ck_assert_int_eq(path_write("scorpio.toml", found, strlen(found), 0600,
				    0), 0);
	buf_done(&warnings);
	ck_assert_int_eq(config_load(&o, &c), 0);
	ck_assert(config_bool(c, "offline"));
	ck_assert_ptr_null(config_string(c, "git.ssh_command"));
	ck_assert_ptr_nonnull(strstr(buf_str(&warnings), "scorpio.toml:3:1"));
	ck_assert_ptr_nonnull(strstr(buf_str(&warnings), "scorpio.toml:5:1"));
	config_put(c);

	/* one that anybody may write is not believed */
	ck_assert_int_eq(chmod("scorpio.toml", 0666), 0);
	ck_assert_int_eq(config_load(&o, &c), 0);
	ck_assert(!config_bool(c, "offline"));
	config_put(c);
	ck_assert_int_eq(path_empty_dir(dir), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(show)
{
	struct config *c = good(
		"base_url = \"https://u:pw@h/x\"\n[git]\n"
		"header = \"A: secret1\"\n[server]\ntoken = \"secret2\"\n"
		"git_author = \"a\\\"b\\\\c\\n\"\n"
		"[source.s]\nurl = \"https://me:secret3@h/\"\n"
		"token = \"secret4\"\n"
		"[[mount]]\nsource = \"https://me:secret5@h/\"\ndir = \"/m\"\n");
	struct config *again;
	struct buf b = BUF_INIT;

	config_show(c, true, &b);
	ck_assert_ptr_null(strstr(buf_str(&b), "secret"));
	ck_assert_ptr_null(strstr(buf_str(&b), "pw@"));
	ck_assert_ptr_nonnull(strstr(buf_str(&b), "base_url = \"https://h/x\""
						  " # t.toml:1:1\n"));
	again = good(buf_str(&b)); /* loads again */
	ck_assert_str_eq(config_string(again, "git_author"), "a\"b\\c\n");
	ck_assert_str_eq(config_string(again, "base_url"), "https://h/x");
	config_put(again);
	config_put(c);
	buf_done(&b);
}
END_TEST

static const char *root_of_tree(void)
{
	static char path[4200];
	char self[4096], *build;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(n, 0);
	self[n] = '\0';
	build = strstr(self, "/build/");
	ck_assert_ptr_nonnull(build);
	snprintf(path, sizeof(path), "%.*s", (int)(build - self), self);
	return path;
}

/* Take the "#" from every line of the form "#key = ...". */
static char *uncommented(const char *text)
{
	struct buf b = BUF_INIT;

	while (*text) {
		size_t n = strcspn(text, "\n") + 1;
		bool key = text[0] == '#' && text[1] >= 'a' && text[1] <= 'z';

		buf_put(&b, text + key, n - key);
		text += n;
	}
	return buf_steal(&b);
}

START_TEST(template)
{
	char path[4300], *text, *open;
	struct buf b = BUF_INIT;
	struct config *c, *dflt = good("");
	size_t i, n;

	snprintf(path, sizeof(path), "%s/scorpio.toml.template",
		 root_of_tree());
	ck_assert_int_eq(path_read(path, MiB, &text, &n), 0);
	config_template(&b);
	ck_assert_msg(!strcmp(text, buf_str(&b)),
		      "scorpio.toml.template is not what the table says; "
		      "write it anew: scorpio config init");
	config_put(good(text)); /* as it is: nothing set */
	open = uncommented(text);
	c = good(open);
	ck_assert_str_eq(buf_str(&warnings), "");
	for (i = 0; i < config_keys_count; i++) {
		const char *k = config_keys[i].name;
		const char *a = config_string(c, k), *d = config_string(dflt, k);

		ck_assert_str_eq(a ? a : "unset", d ? d : "unset");
		ck_assert_int_eq(config_int(c, k), config_int(dflt, k));
		/* every key with a default is really in the template */
		ck_assert_msg(config_is_set(c, k) == (d && *d), "%s", k);
	}
	config_put(c);
	config_put(dflt);
	buf_done(&b);
	free(open);
	free(text);
}
END_TEST

START_TEST(table)
{
	size_t i, j;

	for (i = 0; i < config_keys_count; i++) {
		const struct config_key *k = &config_keys[i];

		ck_assert_ptr_nonnull(k->doc);
		ck_assert_int_eq(config_find(k->name), (int)i);
		ck_assert(!k->flat || config_find(k->flat) == (int)i);
		ck_assert((k->type == CONFIG_ENUM) <= !!k->values);
		for (j = 0; j < i; j++)
			ck_assert_str_ne(k->name, config_keys[j].name);
	}
	ck_assert_int_eq(config_find("nope"), -1);
}
END_TEST

START_TEST(parsers)
{
	int64_t v;
	bool b;

	ck_assert(config_parse_size("0", &v) && v == 0);
	ck_assert(config_parse_size("4k", &v) && v == 4096);
	ck_assert(config_parse_size("2 MB", &v) && v == 2000000);
	ck_assert(!config_parse_size("-1", &v));
	ck_assert(!config_parse_size("", &v));
	ck_assert(!config_parse_size("1.", &v));
	ck_assert(!config_parse_size("9223372036854775808", &v));
	ck_assert(!config_parse_size("9223372036854775807K", &v));
	ck_assert(config_parse_duration("2d", NULL, &v) && v == 172800000);
	ck_assert(config_parse_duration("7", "ms", &v) && v == 7);
	ck_assert(!config_parse_duration("7w", NULL, &v));
	ck_assert(config_parse_bool("ON", &b) && b);
	ck_assert(config_parse_bool("0", &b) && !b);
	ck_assert(!config_parse_bool("maybe", &b));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("config");
	TCase *t = tcase_create("config");
	SRunner *r;
	int failed;

	tcase_add_test(t, defaults);
	tcase_add_test(t, precedence);
	tcase_add_test(t, both_forms);
	tcase_add_test(t, strings_or_native);
	tcase_add_test(t, a_url_names_a_host_and_a_problem_no_password);
	tcase_add_test(t, problems_with_places);
	tcase_add_test(t, syntax);
	tcase_add_test(t, bad_environment_and_cli);
	tcase_add_test(t, unknown_keys);
	tcase_add_test(t, sources);
	tcase_add_test(t, mounts);
	tcase_add_test(t, paths);
	tcase_add_test(t, socket_and_token);
	tcase_add_test(t, files);
	tcase_add_test(t, show);
	tcase_add_test(t, template);
	tcase_add_test(t, table);
	tcase_add_test(t, parsers);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
