/* SPDX-License-Identifier: Apache-2.0 */
/* objects.c - where the objects of a workspace's repository come from. */
#include "api/gitwork/prepare.h"

#include "backends/git/url.h"
#include "core/error.h"

/* Whoever runs the daemon may read what he mounts; whose it is does not matter
 * to reading it. */
#define TRUSTED "-c", "safe.directory=*"

static int ask(struct gitprepare *p, const char *repo, const char *what,
	       struct buf *out)
{
	const char *argv[] = { "git", TRUSTED, "-C", repo, "rev-parse",
			       "--path-format=absolute", "--git-path", what,
			       NULL };
	int rc;

	out->len = 0;
	rc = gitrun(p->job, argv, out);
	return rc ? fail_prefix(rc, "%s", repo) : 0;
}

/* Branches of the source are those of origin; tags are tags. */
static void add_ref(struct buf *refs, const char *line, size_t n)
{
	static const char heads[] = " refs/heads/", tags[] = " refs/tags/";

	if (n > 41 + sizeof(heads) - 2 &&
	    !memcmp(line + 40, heads, sizeof(heads) - 1)) {
		buf_put(refs, line, 40);
		buf_puts(refs, " refs/remotes/origin/");
		buf_put(refs, line + 40 + sizeof(heads) - 1,
			n - 40 - (sizeof(heads) - 1));
		buf_putc(refs, '\n');
	} else if (n > 41 && !memcmp(line + 40, tags, sizeof(tags) - 1)) {
		buf_put(refs, line, n);
		buf_putc(refs, '\n');
	}
}

/* The branch it stands on, if that exists. */
static int local_head(struct gitprepare *p, const char *repo)
{
	const char *argv[] = { "git", TRUSTED, "-C", repo, "rev-parse",
			       "--symbolic-full-name", "HEAD", NULL };
	cleanup_buf struct buf out = BUF_INIT;
	int rc = gitrun(p->job, argv, &out);
	const char *s = buf_str(&out);

	if (rc == -EIO) /* an unborn one */
		return 0;
	if (!rc && !strncmp(s, "refs/heads/", 11))
		p->head = xstrdup(s + 11);
	return rc;
}

int gitobjects_refs(struct gitprepare *p, const char *repo)
{
	const char *argv[] = { "git", TRUSTED, "-C", repo, "for-each-ref",
			       "--format=%(objectname) %(refname)",
			       "refs/heads", "refs/tags", NULL };
	cleanup_buf struct buf out = BUF_INIT;
	int rc = gitrun(p->job, argv, &out);
	const char *s = buf_str(&out);

	while (!rc && *s) {
		size_t n = strcspn(s, "\n");

		if (n > 41 + 10)
			add_ref(&p->refs, s, n);
		s += n + (s[n] == '\n');
	}
	return rc ? rc : local_head(p, repo);
}

/* History may end somewhere there: then it does here. */
static int copy_shallow(struct gitprepare *p, const char *repo)
{
	cleanup_buf struct buf path = BUF_INIT, text = BUF_INIT;
	char part[4096];
	size_t n;
	int rc = ask(p, repo, "shallow", &path);

	if (rc)
		return rc;
	cleanup_file FILE *f = fopen(buf_str(&path), "re");

	while (f && (n = fread(part, 1, sizeof(part), f)) > 0)
		buf_put(&text, part, n);
	return text.len ? gitprepare_write(p->build, "shallow", text.data,
					   text.len)
			: 0;
}

static int refuse_partial(struct gitprepare *p, const char *repo)
{
	const char *argv[] = { "git", TRUSTED, "-C", repo, "config",
			       "--default", "", "extensions.partialClone",
			       NULL };
	cleanup_buf struct buf out = BUF_INIT;
	int rc = gitrun(p->job, argv, &out);

	if (!rc && out.len)
		return fail(-ENOTSUP, "%s is a partial clone, whose objects "
			    "cannot be shared: mount what it was cloned from",
			    repo);
	return rc;
}

static int local(struct gitprepare *p, const char *repo)
{
	cleanup_buf struct buf objects = BUF_INIT;
	int rc = refuse_partial(p, repo);

	if (!rc)
		rc = ask(p, repo, "objects", &objects);
	if (rc)
		return rc;
	buf_putc(&objects, '\n');
	rc = gitprepare_write(p->build, "objects/info/alternates",
			      objects.data, objects.len);
	if (!rc)
		rc = copy_shallow(p, repo);
	if (!rc)
		rc = gitobjects_refs(p, repo);
	p->url = xstrdup(repo);
	return rc;
}

int gitprepare_objects(struct gitprepare *p)
{
	struct giturl url;
	const char *why;
	int rc = giturl_parse(p->job->source, &url, &why);

	if (rc)
		return fail(rc, "%s", why);
	if (url.kind == GITURL_LOCAL)
		rc = local(p, url.text);
	else
		rc = gitserver_setup(p, url.text);
	giturl_done(&url);
	return rc;
}
