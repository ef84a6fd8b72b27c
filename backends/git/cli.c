/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.c - servers that only the git program can talk to: ssh, git daemons and
 * HTTP servers without protocol version 2.
 *
 * Every request is a `git fetch` into an empty repository of its own in the
 * scratch directory, so that requests run side by side without locks, nothing
 * piles up and no maintenance ever starts. The wanted ids go in by --stdin,
 * all in one request: never one object at a time.
 */
#include "answer.h"
#include "http.h"
#include "object.h"
#include "remote.h"

#include <scorpio/bytes.h>

#define PROGRAM_MS (24u * 3600 * 1000) /* the call's deadline comes first */
#define OUTPUT_MAX (64u << 20)
#define ENV_MAX 8

/* -- the environment: who we are ------------------------------------------- */

struct environment {
	const char *v[ENV_MAX + 1];
	unsigned n;
	char *header, *key, *ssh; /* owned */
};

static void environment_done(struct environment *e)
{
	if (e->header)
		explicit_bzero(e->header, strlen(e->header));
	free(e->header);
	free(e->key);
	free(e->ssh);
}

/* A secret header goes by the environment: the command line can be read by
 * everybody. It is bound to our origin. */
static int add_header(struct gitsource *s, struct environment *e)
{
	struct gitbase *base = gitremote_base(s->remote);
	struct gitauth_use use;
	char *header;
	int rc = gitauth_first(s, gitbase_auth(base), s->url.text, &use);

	if (rc < 0)
		return rc;
	header = gitauth_header(&use);
	gitauth_release(&use);
	if (!header)
		return 0;
	if (asprintf(&e->header, "GIT_CONFIG_VALUE_0=%s", header) < 0)
		e->header = NULL;
	explicit_bzero(header, strlen(header));
	free(header);
	if (asprintf(&e->key, "GIT_CONFIG_KEY_0=http.%s/.extraHeader",
		     s->url.origin) < 0)
		e->key = NULL;
	if (!e->header || !e->key)
		return gitfail(s, -ENOMEM, "out of memory");
	e->v[e->n++] = "GIT_CONFIG_COUNT=1";
	e->v[e->n++] = e->key;
	e->v[e->n++] = e->header;
	return 0;
}

static int environment(struct gitsource *s, struct environment *e)
{
	const char *ssh = s->host->config_string(s->config, "ssh_command",
						 NULL);

	memset(e, 0, sizeof(*e));
	e->v[e->n++] = "GIT_TERMINAL_PROMPT=0";
	e->v[e->n++] = "GIT_ASKPASS=";
	e->v[e->n++] = "SSH_ASKPASS=";
	/* texts are matched below */
	e->v[e->n++] = "LC_ALL=C";
	if (!ssh || !*ssh)
		ssh = getenv("GIT_SSH_COMMAND");
	if (asprintf(&e->ssh, "GIT_SSH_COMMAND=%s",
		     ssh && *ssh ? ssh : "ssh -oBatchMode=yes") < 0) {
		e->ssh = NULL;
		return gitfail(s, -ENOMEM, "out of memory");
	}
	e->v[e->n++] = e->ssh;
	return gitremote_base(s->remote) ? add_header(s, e) : 0;
}

/* -- running it ------------------------------------------------------------ */

struct meaning {
	const char *text;
	int code;
};

static int error_code(const char *text)
{
	static const struct meaning known[] = {
		{ "filter '", GITPULL_NO_FILTER },
		{ "not our ref", -ESTALE },
		{ "unadvertised object", GITPULL_NO_OBJECTS },
		{ "uthentication failed", -EACCES },
		{ "ermission denied", -EACCES },
		{ "could not read Username", -EACCES },
		{ "could not read Password", -EACCES },
		{ "returned error: 403", -EACCES },
		{ "ost key verification failed", -EACCES },
		{ "not found", -ENOENT },
		{ "does not appear to be a git repository", -ENOENT },
		{ "does not exist", -ENOENT },
		{ "access denied or repository not exported", -ENOENT },
		{ "returned error: 429", -EAGAIN },
		{ "No space left", -ENOSPC },
		{ "Could not resolve host", -EIO },
	};

	for (size_t i = sizeof(known) / sizeof(*known); i-- > 0;)
		if (strstr(text, known[i].text) &&
		    (known[i].code != -ENOENT ||
		     !strstr(text, "command not found")))
			return known[i].code;
	return -EIO;
}

/* "Receiving objects:  12% (3/25)\r", "remote: Counting objects: 7, done.\n" */
static bool is_progress(const char *line, size_t n, char end)
{
	static const char word[] = ", done.";
	size_t len = sizeof(word) - 1;

	while (n && line[n - 1] == ' ')
		n--;
	return end == '\r' || strncmp(line, "remote: Total ", 14) == 0 ||
	       (n >= len && memcmp(line + n - len, word, len) == 0);
}

static void drop_progress(char *text)
{
	char *out = text, *p = text;
	size_t n;

	while (*p) {
		n = strcspn(p, "\r\n");
		if (!is_progress(p, n, p[n])) {
			memmove(out, p, n);
			out += n;
			if (p[n])
				*out++ = '\n';
		}
		p += n + !!p[n];
	}
	*out = 0;
}

static int program_failed(struct gitsource *s, struct scorpio_spawn *x)
{
	char text[400];

	drop_progress(x->error);
	gitanswer_text(text, sizeof(text), x->error, strlen(x->error));
	return gitfail(s, error_code(x->error), "%s: git says: %s",
		       s->url.text, *text ? text : "nothing");
}

static int run(struct gitsource *s, const char *const *argv, const char *input,
	       size_t input_len, struct scorpio_bytes *out, struct scorpio_spawn *x)
{
	struct environment env;
	int rc = environment(s, &env);

	memset(x, 0, sizeof(*x));
	x->struct_size = sizeof(*x);
	x->argv = argv;
	x->env = env.v;
	x->input = input;
	x->input_len = input_len;
	x->on_output = scorpio_bytes_take;
	x->ctx = out;
	x->timeout_ms = PROGRAM_MS;
	s->host->count(s->host, "programs", 1);
	if (rc == 0)
		rc = s->host->spawn(s->host, x);
	environment_done(&env);
	if (rc == -ENOENT)
		return gitfail(s, -EIO, "%s can only be reached by the program "
			       "'git', which is not installed", s->url.text);
	return rc;
}

/* -- references ------------------------------------------------------------ */

static bool wanted(const char *name, const char *const *prefixes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return n == 0;
}

/* "<id>\t<name>", "<id>\t<name>^{}", "ref: <target>\t<name>" */
static int parse_line(struct gitsource *s, char *line, struct gitrefs *refs,
		      char **symref)
{
	struct gitref ref = { .name = strchr(line, '\t') };
	struct gitref *last = refs->n ? &refs->v[refs->n - 1] : NULL;
	size_t n;
	int rc;

	if (!ref.name)
		return gitfail(s, -EBADMSG, "git ls-remote: a malformed line");
	*ref.name++ = 0;
	if (strncmp(line, "ref: ", 5) == 0) {
		*symref = line + 5; /* its id is on the next line */
		return 0;
	}
	if (strlen(line) == 64)
		return gitfail(s, -ENOTSUP, "%s is a SHA-256 repository, which "
			       "libgit2 1.5 cannot read", s->url.text);
	if (strlen(line) != GIT_HEX || !githex_decode(line, ref.oid.id))
		return gitfail(s, -EBADMSG, "git ls-remote: a malformed line");
	n = strlen(ref.name);
	if (n > 3 && strcmp(ref.name + n - 3, "^{}") == 0) {
		if (last && strlen(last->name) == n - 3 &&
		    strncmp(last->name, ref.name, n - 3) == 0)
			last->peeled = ref.oid;
		return 0;
	}
	ref.symref = *symref;
	*symref = NULL;
	rc = gitrefs_add(refs, &ref);
	return rc ? gitfail(s, rc, "the server has too many references") : 0;
}

static int parse_refs(struct gitsource *s, char *text,
		      const char *const *prefixes, size_t n,
		      struct gitrefs *ret)
{
	char *symref = NULL;
	int rc = 0;

	for (char *p = text; rc == 0 && *p;) {
		size_t len = strcspn(p, "\n");
		char *next = p + len + (p[len] == '\n');
		const char *name;

		p[len] = 0;
		name = strchr(p, '\t');
		if (name && wanted(name + 1, prefixes, n))
			rc = parse_line(s, p, ret, &symref);
		p = next;
	}
	return rc;
}

int gitcli_refs(struct gitsource *s, const char *const *prefixes, size_t n,
		struct gitrefs *ret)
{
	const char *argv[] = { "git", "-c", "protocol.version=2", "ls-remote",
			       "--symref", "--", s->url.text, NULL };
	struct scorpio_bytes out = { .max = OUTPUT_MAX };
	struct scorpio_spawn x;
	int rc = run(s, argv, NULL, 0, &out, &x);

	if (rc == 0 && x.exit_status)
		rc = program_failed(s, &x);
	else if (rc == 0 && out.p)
		rc = parse_refs(s, out.p, prefixes, n, ret);
	free(out.p);
	return rc;
}

/* -- objects --------------------------------------------------------------- */

/* The repository of one fetch: where from, and that absent objects are meant
 * to be absent. */
static int write_config(struct gitsource *s, const char *gitdir)
{
	auto_free char *path = NULL;
	git_config *c = NULL;
	int rc;

	if (asprintf(&path, "%s/config", gitdir) < 0)
		return gitfail(s, -ENOMEM, "out of memory");
	rc = git_config_open_ondisk(&c, path);
	if (rc == 0)
		rc = git_config_set_int32(c, "core.repositoryformatversion", 1);
	if (rc == 0)
		rc = git_config_set_bool(c, "core.bare", 1);
	if (rc == 0)
		rc = git_config_set_string(c, "extensions.partialclone",
					   "origin");
	if (rc == 0)
		rc = git_config_set_bool(c, "remote.origin.promisor", 1);
	if (rc == 0)
		rc = git_config_set_string(c, "remote.origin.url",
					   s->url.text);
	git_config_free(c);
	return rc < 0 ? gitfail(s, -EIO, "cannot write to the scratch "
				"directory") : 0;
}

static char *id_lines(const struct gitpull *p, size_t *ret_len)
{
	char *text = malloc(p->n * (GIT_HEX + 1) + 1);

	for (size_t i = 0; text && i < p->n; i++) {
		git_oid_tostr(text + i * (GIT_HEX + 1), GIT_HEX + 1,
			      &p->wants[i]);
		text[i * (GIT_HEX + 1) + GIT_HEX] = '\n';
	}
	*ret_len = p->n * (GIT_HEX + 1);
	return text;
}

static int fetch_into(struct gitsource *s, struct gitpull *p,
		      const char *gitdir)
{
	auto_free char *dir = NULL, *filter = NULL, *ids = NULL;
	char depth[32];
	const char *argv[32] = {
		"git", NULL, "-c", "gc.auto=0", "-c", "maintenance.auto=false",
		"-c", "fetch.negotiationAlgorithm=noop", "-c",
		"fetch.unpackLimit=1", "-c", "protocol.version=2", "-c",
		"fetch.writeCommitGraph=false", "fetch", "--progress", "--no-tags",
		"--no-write-fetch-head", "--no-auto-maintenance",
		"--no-recurse-submodules", "--stdin",
	};
	unsigned n = 21;
	struct scorpio_bytes out = { .max = OUTPUT_MAX };
	struct scorpio_spawn x;
	size_t len;
	int rc;

	if (asprintf(&dir, "--git-dir=%s", gitdir) < 0 ||
	    (p->filter && asprintf(&filter, "--filter=%s", p->filter) < 0))
		return gitfail(s, -ENOMEM, "out of memory");
	argv[1] = dir;
	snprintf(depth, sizeof(depth), "--depth=%u", p->deepen);
	if (p->deepen)
		argv[n++] = depth;
	if (filter)
		argv[n++] = filter;
	argv[n++] = "origin";
	ids = id_lines(p, &len);
	if (!ids)
		return gitfail(s, -ENOMEM, "out of memory");
	rc = run(s, argv, ids, len, &out, &x);
	free(out.p);
	if (rc < 0)
		return rc;
	if (!x.exit_status)
		return 0;
	rc = program_failed(s, &x);
	if (rc == -ESTALE)
		return gitproto_refused(s, p, x.error);
	return rc;
}

int gitcli_pull(struct gitsource *s, struct gitpull *p, struct gitpack **ret)
{
	struct gitpack *pack;
	const char *dir;
	int rc = gitpack_new(s, &pack);

	if (rc < 0)
		return rc;
	p->missing_known = false;
	dir = gitpack_gitdir(pack);
	rc = dir ? write_config(s, dir) : -EIO;
	if (rc == 0)
		rc = fetch_into(s, p, dir);
	if (rc == 0)
		rc = gitpack_adopt(pack);
	if (rc < 0)
		gitpack_free(pack);
	else
		*ret = pack;
	return rc;
}
