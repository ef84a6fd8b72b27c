/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.c - what is wrong, and everything somebody else needs to help. */
#include <fcntl.h>
#include <sys/utsname.h>
#include <time.h>

#include "api/cli/commands.h"
#include "api/doctor.h"
#include "core/error.h"
#include "core/path.h"

#include <scorpio/version.h>

static json_t *check_json(const char *name, const char *result,
			  const char *text, const char *advice)
{
	return json_pack("{s:s,s:s,s:o,s:s?}", "name", name, "result", result,
			 "text", json_bytes(text, strlen(text)), "advice",
			 advice);
}

static void add_check(void *ctx, const struct doctor_check *c)
{
	json_array_append_new(ctx, check_json(c->name, doctor_word(c->result),
					      c->text, c->advice));
}

/* The daemon's checks hold the machine's too. */
static json_t *checks(struct cli *c)
{
	json_t *v = NULL, *list;
	const char *code;
	int r = cli_call(c, "GET", "/api/v1/doctor", NULL, &v, &code);

	if (!r)
		return v;
	list = json_array();
	doctor_machine(c->config, add_check, list);
	if (r == -ENOTCONN)
		json_array_append_new(list, check_json("daemon", "ok",
						       "none runs (scorpio "
						       "mount starts one)",
						       NULL));
	else
		json_array_append_new(list, check_json("daemon", "fail",
						       error_text(r),
						       "scorpio stop, then "
						       "scorpio serve"));
	return json_pack("{s:o}", "checks", list);
}

static const char *mark(const char *result)
{
	bool color = cli_color(stdout);

	if (!strcmp(result, "ok"))
		return color ? "\033[32mok  \033[0m" : "ok  ";
	if (!strcmp(result, "warn"))
		return color ? "\033[33mwarn\033[0m" : "warn";
	return color ? "\033[31mfail\033[0m" : "fail";
}

static int doctor_run(struct cli *c)
{
	json_t *v, *one;
	bool bad = false;
	size_t i;
	int r = cli_config(c);

	if (r)
		return r;
	v = checks(c);
	json_array_foreach(json_object_get(v, "checks"), i, one) {
		const char *result = cli_text(one, "result");

		bad = bad || !strcmp(result, "fail");
		if (c->json)
			continue;
		printf("%s  %-14s %s\n", mark(result), cli_text(one, "name"),
		       cli_text(one, "text"));
		if (*cli_text(one, "advice"))
			printf("%22s%s\n", "-> ", cli_text(one, "advice"));
	}
	if (c->json)
		cli_print_json(v);
	json_decref(v);
	return bad ? EXIT_INTERNAL : 0;
}

const struct cli_command cmd_doctor = {
	.name = "doctor",
	.summary = "check the machine, the configuration and the daemon",
	.run = doctor_run,
};

/* -- bugreport --------------------------------------------------------------------- */

static const char *output;

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0,
	  "where to (scorpio-bugreport-DATE.txt; - prints)", 0 },
	{ 0 },
};

static int option(struct cli *c UNUSED, int key, const char *v)
{
	if (key != 'o')
		return ARGP_ERR_UNKNOWN;
	output = v;
	return 0;
}

static void head(struct buf *out, const char *title)
{
	buf_printf(out, "\n==== %s\n", title);
}

static void ask(struct cli *c, struct buf *out, const char *path)
{
	const char *code;
	json_t *v;
	int r = cli_call(c, "GET", path, NULL, &v, &code);

	head(out, path);
	if (r) {
		buf_printf(out, "%s\n", error_text(r));
		return;
	}
	json_print_pretty(v, out);
	buf_putc(out, '\n');
	json_decref(v);
}

static void file(struct buf *out, const char *path)
{
	cleanup_free char *text = NULL;
	size_t n;

	head(out, path);
	if (path_read(path, 64 * KiB, &text, &n))
		buf_printf(out, "%s\n", strerror(errno));
	else
		buf_put(out, text, n);
}

static void log_lines(struct cli *c, struct buf *out)
{
	json_t *v, *one;
	const char *code;
	size_t i;

	head(out, "log");
	if (cli_call(c, "GET", "/api/v1/log?lines=500", NULL, &v, &code)) {
		buf_printf(out, "no daemon\n");
		return;
	}
	json_array_foreach(json_object_get(v, "lines"), i, one)
		buf_printf(out, "%s\n", json_string_value(one));
	json_decref(v);
}

static void collect(struct cli *c, struct buf *out)
{
	struct utsname u;
	json_t *v;

	buf_printf(out, "scorpio %s, plugin ABI %u.%u\n", SCORPIO_VERSION,
		   SCORPIO_ABI_MAJOR, SCORPIO_ABI_MINOR);
	if (!uname(&u))
		buf_printf(out, "%s %s %s\n", u.sysname, u.release, u.machine);
	file(out, "/etc/os-release");
	file(out, "/etc/fuse.conf");
	head(out, "configuration (secrets hidden)");
	config_show(c->config, true, out);
	head(out, "doctor");
	v = checks(c);
	json_print_pretty(v, out);
	json_decref(v);
	ask(c, out, "/api/v1/status");
	ask(c, out, "/api/v1/stats");
	ask(c, out, "/api/v1/cache");
	ask(c, out, "/api/v1/plugins");
	ask(c, out, "/api/v1/top");
	log_lines(c, out);
}

static int bugreport_run(struct cli *c)
{
	cleanup_buf struct buf text = BUF_INIT;
	cleanup_free char *name = NULL;
	time_t now = time(NULL);
	char date[32];
	struct tm tm;
	int r = cli_config(c);

	if (r)
		return r;
	collect(c, &text);
	if (output && !strcmp(output, "-")) {
		fwrite(text.data, 1, text.len, stdout);
		return 0;
	}
	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%d-%H%M%S", &tm);
	name = output ? xstrdup(output)
		      : xasprintf("scorpio-bugreport-%s.txt", date);
	r = path_write(name, text.data, text.len, 0600, false);
	if (r)
		return cli_errno(r, EXIT_INTERNAL, "-o FILE", "cannot write "
				 "the report");
	printf("%s is written; secrets are left out, names of files and "
	       "sources are in it:\nread it before you pass it on\n", name);
	return 0;
}

const struct cli_command cmd_bugreport = {
	.name = "bugreport",
	.summary = "one text file with what helps to find a fault",
	.options = options,
	.option = option,
	.run = bugreport_run,
};
