/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scorpio-check-backend - does a backend keep to the rules of backend.h?
 * Every sentence with "must" there is a case here.
 */
#include "tests/contract/suite.h"

#include "backends/builtin.h"
#include "core/error.h"
#include "core/log.h"
#include "core/registry.h"
#include "plugins/loader.h"

#include <getopt.h>
#include <signal.h>

#define CASE_S      120 /* a case that takes longer hangs */
#define CONFIGS_MAX 64

static const struct contract_case *const groups[] = {
	cases_life,
	cases_list,
	cases_fetch,
	cases_more,
};
static const char *running = "(none)";
static bool colours;

static const char usage[] =
	"usage: scorpio-check-backend [options] [PLUGIN.so] URL\n"
	"\n"
	"Runs the contract suite against a backend: the one of PLUGIN.so, or\n"
	"a built-in one. URL opens a source with at least a few files, e.g.\n"
	"  scorpio-check-backend ./hello.so hello+world\n"
	"\n"
	"  --rev REVISION   the revision to look at (default: the default one)\n"
	"  --config K=V     configuration of the source; may be repeated\n"
	"  --case NAME      only this case; may be repeated\n"
	"  --list           list the cases and what they check\n"
	"  --scratch DIR    parent of scratch directories\n"
	"  -v, --verbose    show the log of the backend\n"
	"\n"
	"Exit code: 0 all well, 1 a case failed, 2 wrong usage or no plugin.\n";

static void paint(const char *colour, const char *text)
{
	if (colours)
		printf("\033[%sm%s\033[0m", colour, text);
	else
		printf("%s", text);
}

/* -- a case that does not come back ---------------------------------------- */

static void write_all(const char *s)
{
	ssize_t n = write(STDOUT_FILENO, s, strlen(s));

	(void)n;
}

static void on_signal(int sig)
{
	write_all(running);
	if (sig == SIGALRM) {
		write_all(": FAIL the backend does not return\n");
		_exit(1);
	}
	write_all(": FAIL the backend crashed\n");
	signal(sig, SIG_DFL);
	raise(sig);
}

static void catch_signals(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_signal);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	for (i = 0; i < ARRAY_SIZE(fatal); i++)
		signal(fatal[i], on_signal);
#else
	(void)fatal;
	(void)i;
#endif
}

/* -- running --------------------------------------------------------------- */

static void run_case(struct suite *s, const struct contract_case *c)
{
	running = c->name;
	fflush(stdout);
	s->verdict = CASE_OK;
	s->reason[0] = '\0';
	alarm((unsigned)(CASE_S * s->slow));
	if (!setjmp(s->out))
		c->run(s);
	alarm(0);
	printf("%-20s ", c->name);
	if (s->verdict == CASE_OK)
		paint("32", "ok");
	else if (s->verdict == CASE_SKIPPED)
		paint("2", "-");
	else
		paint("31", "FAIL");
	printf("%s%s\n", s->reason[0] ? "  " : "", s->reason);
	if (s->verdict == CASE_FAILED)
		printf("%-20s       rule: %s\n", "", c->rule);
}

static bool chosen(const char *name, char *const *names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static int run_all(struct suite *s, char *const *names)
{
	unsigned ok = 0, failed = 0, skipped = 0;
	const struct contract_case *c;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		for (c = groups[i]; c->name; c++) {
			if (!chosen(c->name, names))
				continue;
			run_case(s, c);
			ok += s->verdict == CASE_OK;
			failed += s->verdict == CASE_FAILED;
			skipped += s->verdict == CASE_SKIPPED;
		}
	}
	suite_close(s);
	printf("%s %s: %u ok, %u failed, %u do not apply\n", s->ops->name,
	       s->url, ok, failed, skipped);
	return failed || !ok ? 1 : 0;
}

static int list_cases(void)
{
	const struct contract_case *c;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		for (c = groups[i]; c->name; c++)
			printf("%-20s %s\n", c->name, c->rule);
	return 0;
}

static int load(struct suite *s, const char *plugin)
{
	size_t i;
	int r = 0;

	if (plugin)
		r = loader_load(plugin, NULL);
	for (i = 0; !r && builtin_backends[i]; i++) {
		/* a plugin under test may bear a built-in one's name */
		if (!registry_by_name(builtin_backends[i]->name))
			r = registry_add(builtin_backends[i], "built in");
	}
	if (!r) {
		s->ops = registry_by_url(s->url);
		if (!s->ops)
			r = fail(-EINVAL,
				 "no backend takes \"%s\"; there "
				 "are: %s",
				 s->url, registry_schemes());
	}
	if (r)
		fprintf(stderr, "scorpio-check-backend: %s\n", error_text(r));
	return r;
}

static bool is_plugin(const char *arg)
{
	size_t n = strlen(arg);

	return n > 3 && !strcmp(arg + n - 3, ".so");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rev", 1, NULL, 'r' },     { "config", 1, NULL, 'c' },
		{ "case", 1, NULL, 'n' },    { "list", 0, NULL, 'l' },
		{ "scratch", 1, NULL, 's' }, { "verbose", 0, NULL, 'v' },
		{ "help", 0, NULL, 'h' },    { 0 },
	};
	const char *slow = getenv("SCORPIO_SLOW"), *plugin = NULL;
	static const char *config[CONFIGS_MAX + 1];
	static char *names[CONFIGS_MAX + 1];
	static struct suite s;
	int n_config = 0, n_names = 0, opt, r;

	s.rev = "";
	s.config = config;
	s.slow = slow && atof(slow) > 1 ? atof(slow) : 1;
	colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	log_set_level("error");
	while ((opt = getopt_long(argc, argv, "vh", options, NULL)) >= 0) {
		if (opt == 'r')
			s.rev = optarg;
		else if (opt == 'c' && n_config < CONFIGS_MAX)
			config[n_config++] = optarg;
		else if (opt == 'n' && n_names < CONFIGS_MAX)
			names[n_names++] = optarg;
		else if (opt == 's')
			setenv("SCORPIO_CHECK_SCRATCH", optarg, 1);
		else if (opt == 'v')
			log_set_level("debug");
		else if (opt == 'l')
			return list_cases();
		else {
			fputs(usage, opt == 'h' ? stdout : stderr);
			return opt == 'h' ? 0 : 2;
		}
	}
	if (optind < argc && is_plugin(argv[optind]))
		plugin = argv[optind++];
	if (optind + 1 != argc) {
		fputs(usage, stderr);
		return 2;
	}
	s.url = argv[optind];
	if (load(&s, plugin))
		return 2;
	catch_signals();
	r = run_all(&s, names);
	loader_fini();
	registry_reset();
	return r;
}
