/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.c - the changes of a workspace as one patch. The old content comes from
 * the daemon into a private file, the new one is read in the mount; diff(1)
 * compares them, started without a shell.
 */
#include "api/cli/workspace.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/error.h"
#include "core/path.h"

struct diff {
	struct cli *cli;
	const struct workspace_at *at;
	char *temp; /* directory */
	char *old, *new; /* files in it */
};

/* As git quotes names in patches. */
static char *quoted(const char *prefix, const char *path)
{
	struct buf b = BUF_INIT;
	bool odd = false;

	for (const char *p = path; *p; p++)
		odd |= (unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f ||
		       *p == '"' || *p == '\\';
	buf_printf(&b, "%s%s", odd ? "\"" : "", prefix);
	for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_printf(&b, "\\%c", *p);
		else if (*p < ' ' || *p >= 0x7f)
			buf_printf(&b, "\\%03o", *p);
		else
			buf_putc(&b, (char)*p);
	}
	if (odd)
		buf_putc(&b, '"');
	return buf_steal(&b);
}

/* Compare two files; the labels name them. */
static int run_diff(const char *old, const char *new, const char *from,
		    const char *to)
{
	cleanup_free char *a = xasprintf("--label=%s", from);
	cleanup_free char *b = xasprintf("--label=%s", to);
	char *argv[] = { (char *)(uintptr_t) "diff", (char *)(uintptr_t) "-u",
			 a, b, (char *)(uintptr_t) "--",
			 (char *)(uintptr_t)old, (char *)(uintptr_t)new, NULL };
	extern char **environ;
	int status;
	pid_t pid;

	fflush(stdout);
	if (posix_spawnp(&pid, "diff", NULL, NULL, argv, environ))
		return cli_error(EXIT_INTERNAL, "there is no program diff",
				 "install diffutils", "cannot compare");
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return EXIT_INTERNAL;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) < 2)
		return 0;
	return cli_error(EXIT_INTERNAL, "diff(1) failed", NULL,
			 "cannot compare %s", to);
}

/* What a path was, into d->old. */
static int bring_old(struct diff *d, const char *path)
{
	cleanup_free char *url = workspace_url(d->at, "original", path);
	cleanup_buf struct buf text = BUF_INIT;
	const char *code;
	int r = cli_download(d->cli, url, &text, &code);

	if (!r)
		r = path_write(d->old, text.data, text.len, 0600, false);
	if (r && !strcmp(code, "TOO_LARGE")) {
		printf("File %s is too large to compare\n", path);
		return -1;
	}
	return r ? cli_call_failed(d->cli, r, code, "cannot read what %s was",
				   path)
		 : 0;
}

/* What it is now: a path for diff(1), or NULL if that is nothing to read. */
static char *now_at(struct diff *d, const char *path, uint32_t mode)
{
	char *full = xasprintf("%s/%s", d->at->dir, path);
	char target[4096];
	ssize_t n;

	if (S_ISREG(mode))
		return full;
	n = S_ISLNK(mode) ? readlink(full, target, sizeof(target)) : -1;
	free(full);
	if (n < 0 || path_write(d->new, target, (size_t)n, 0600, false))
		return NULL;
	return xstrdup(d->new);
}

static uint32_t old_mode(struct diff *d, const char *path)
{
	cleanup_free char *url = workspace_url(d->at, "original", path);
	cleanup_free char *asked = xasprintf("%s&info=1", url);
	uint32_t mode = 0;
	json_t *v;

	if (cli_call(d->cli, "GET", asked, NULL, &v, NULL))
		return 0;
	mode = (uint32_t)strtoul(cli_text(v, "mode"), NULL, 8);
	json_decref(v);
	return mode;
}

static bool has_text(uint32_t mode)
{
	return S_ISREG(mode) || S_ISLNK(mode);
}

/* The part of a patch about one entry: was nothing, or is nothing, or both. */
static int part(struct diff *d, const char *path, const char *from,
		uint32_t was, uint32_t is)
{
	cleanup_free char *a = quoted("a/", from), *b = quoted("b/", path);
	cleanup_free char *now = NULL;
	int r = 0;

	if (has_text(was))
		r = bring_old(d, path);
	if (r)
		return MAX(r, 0);
	if (has_text(is)) {
		now = now_at(d, path, is);
		if (!now)
			return 0;
	}
	if (!has_text(was) && !has_text(is))
		return 0;
	return run_diff(has_text(was) ? d->old : "/dev/null",
			now ? now : "/dev/null",
			has_text(was) ? a : "/dev/null",
			now ? b : "/dev/null");
}

static void print_modes(const char *kind, uint32_t was, uint32_t is)
{
	if (!was && is)
		printf("new file mode %06o\n", is);
	else if (was && !is)
		printf("deleted file mode %06o\n", was);
	else if (was != is && strcmp(kind, "type"))
		printf("old mode %06o\nnew mode %06o\n", was, is);
}

static int entry(struct diff *d, const json_t *v)
{
	const char *kind = cli_text(v, "kind");
	cleanup_free char *path = workspace_bytes(v, "path");
	cleanup_free char *from = workspace_bytes(v, "from");
	cleanup_free char *a = quoted("a/", *from ? from : path);
	cleanup_free char *b = quoted("b/", path);
	uint32_t is = (uint32_t)strtoul(cli_text(v, "mode"), NULL, 8), was = 0;
	bool same = !strcmp(kind, "mode") ||
		    (*from && !json_get_bool(v, "modified", false));
	int r;

	if (strcmp(kind, "added"))
		was = old_mode(d, path);
	printf("diff --git %s %s\n", a, b);
	if (!strcmp(kind, "type")) {
		printf("deleted file mode %06o\n", was);
		r = part(d, path, path, was, 0);
		if (r)
			return r;
		printf("diff --git %s %s\nnew file mode %06o\n", a, b, is);
		return part(d, path, path, 0, is);
	}
	print_modes(kind, was, is);
	if (*from)
		printf("rename from %s\nrename to %s\n", a + (*a == '"') + 2,
		       b + (*b == '"') + 2);
	return same ? 0 : part(d, path, *from ? from : path, was, is);
}

static int entries(struct diff *d, const json_t *list)
{
	json_t *v;
	size_t i;
	int r = 0;

	json_array_foreach(list, i, v) {
		r = entry(d, v);
		if (r || fflush(stdout))
			break;
	}
	return r;
}

static int compare(struct cli *c, const struct workspace_at *w, json_t *list)
{
	const char *tmp = getenv("TMPDIR");
	struct diff d = { .cli = c, .at = w };
	int r;

	d.temp = xasprintf("%s/scorpio-diff-XXXXXX",
			   tmp && *tmp == '/' ? tmp : "/tmp");
	if (!mkdtemp(d.temp)) {
		r = cli_error(EXIT_INTERNAL, strerror(errno), "set TMPDIR",
			      "cannot make %s", d.temp);
	} else {
		d.old = xasprintf("%s/old", d.temp);
		d.new = xasprintf("%s/new", d.temp);
		r = entries(&d, list);
		path_empty_dir(d.temp);
		rmdir(d.temp);
	}
	free(d.temp);
	free(d.old);
	free(d.new);
	return r;
}

static int diff_run(struct cli *c)
{
	struct workspace_at w;
	json_t *v;
	int r = workspace_find_path(c, &w);

	if (r)
		return r;
	r = workspace_changes(c, &w, &v);
	if (!r && c->json)
		cli_print_json(v);
	else if (!r)
		r = compare(c, &w, json_object_get(v, "changes"));
	if (!r)
		json_decref(v);
	workspace_at_done(&w);
	return r;
}

const struct cli_command cmd_diff = {
	.name = "diff",
	.args = "DIR [PATH]",
	.summary = "the changes of a workspace as a patch, or those at PATH",
	.help = "Text as unified diff, other files by name. A directory that "
		"was deleted or renamed is\none entry. With --json the list "
		"that status gives.",
	.min_args = 1,
	.max_args = 2,
	.run = diff_run,
};
