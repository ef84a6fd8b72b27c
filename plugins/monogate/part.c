/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part.c - a directory of the repository as one of its own, as a Mono server
 * offers it: one commit without a parent, whose tree is that directory. Objects
 * are borrowed from the repository; the commit is the same for everyone who asks
 * for the same tree.
 */
#include "gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int trouble(struct gate *g, const char *what)
{
	return g->host->fail(g->host, -errno, "%s: %s", what,
			     strerror(errno));
}

/* A small file, whole or not at all. */
static int put(struct gate *g, const char *dir, const char *name,
	       const char *text)
{
	char path[4300];
	size_t n = strlen(text);
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return trouble(g, path);
	if (write(fd, text, n) != (ssize_t)n)
		rc = trouble(g, path);
	close(fd);
	return rc;
}

static int make_dirs(struct gate *g, const char *dir)
{
	static const char *const subs[] = { "", "/objects", "/objects/info",
					    "/refs", "/refs/heads" };
	char path[4200];

	for (size_t i = 0; i < sizeof(subs) / sizeof(*subs); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, subs[i]);
		if (mkdir(path, 0700) && errno != EEXIST)
			return trouble(g, path);
	}
	return 0;
}

/* The commit, in the new repository. */
static int make_commit(struct gate *g, const char *dir, const char *path,
		       const char *tree, int64_t seconds)
{
	char git_dir[4200], date[64], *id;
	const char *const argv[] = {
		"env", git_dir, date, date + 32, "GIT_AUTHOR_NAME=Mono",
		"GIT_AUTHOR_EMAIL=mono@localhost", "GIT_COMMITTER_NAME=Mono",
		"GIT_COMMITTER_EMAIL=mono@localhost", "git", "commit-tree",
		"-m", path, tree, NULL,
	};
	int rc;

	snprintf(git_dir, sizeof(git_dir), "GIT_DIR=%s", dir);
	snprintf(date, 32, "GIT_AUTHOR_DATE=@%lld", (long long)seconds);
	snprintf(date + 32, 32, "GIT_COMMITTER_DATE=@%lld", (long long)seconds);
	rc = gate_git(g, argv, &id, NULL);
	if (!rc) {
		rc = put(g, dir, "refs/heads/main", id);
		free(id);
	}
	return rc;
}

static int make(struct gate *g, const char *dir, const char *path,
		const char *tree, int64_t seconds)
{
	char text[4200];
	int rc = make_dirs(g, dir);

	snprintf(text, sizeof(text), "%s/objects\n", g->origin.at);
	if (!rc)
		rc = put(g, dir, "objects/info/alternates", text);
	if (!rc)
		rc = put(g, dir, "HEAD", "ref: refs/heads/main\n");
	if (!rc)
		rc = put(g, dir, "config", "[core]\n"
			 "\trepositoryformatversion = 0\n\tbare = true\n");
	return rc ? rc : make_commit(g, dir, path, tree, seconds);
}

static void drop(const char *dir)
{
	static const char *const parts[] = {
		"/objects/info/alternates", "/HEAD", "/config",
		"/refs/heads/main", "/objects/info", "/refs/heads", "/refs",
		"/objects", "",
	};
	char path[4200];

	/* the object of a commit stays, for the next start to take away */
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, parts[i]);
		remove(path);
	}
}

int gate_part(struct gate *g, const char *path, char *ret, size_t cap)
{
	char hex[2 * SCORPIO_ID_MAX + 1], full[GATE_PATH_MAX + 1], tmp[4100];
	struct gate_place at;
	struct stat st;
	int64_t seconds;
	bool known;
	int rc;

	snprintf(full, sizeof(full), "/%s", path);
	rc = gate_walk(g, full, "", &at, &known);
	if (rc)
		return rc;
	gate_hex(&at.dir.id, hex);
	seconds = at.rev.time_ns == SCORPIO_TIME_UNKNOWN ?
			  0 : at.rev.time_ns / 1000000000;
	snprintf(ret, cap, "%s/part-%s-%lld", g->scratch, hex,
		 (long long)seconds);
	if (!stat(ret, &st))
		return 0;
	snprintf(tmp, sizeof(tmp), "%s/new-XXXXXX", g->scratch);
	if (!mkdtemp(tmp))
		return trouble(g, tmp);
	rc = make(g, tmp, path, hex, seconds);
	/* somebody else may have been quicker */
	if (!rc && rename(tmp, ret) && errno != ENOTEMPTY && errno != EEXIST)
		rc = trouble(g, ret);
	drop(tmp);
	return rc;
}
