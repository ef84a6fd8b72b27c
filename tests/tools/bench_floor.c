/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_floor.c - the least a FUSE file system can be: what the kernel's FUSE
 * costs when the daemon is never asked. For benches, beside scorpio in one run.
 *
 *	bench_floor SOURCE DIR     SOURCE's tree at DIR, read-only
 *
 * Names and attributes are read once, at the start; content comes from the file
 * at SOURCE. The session is like scorpio's: no OPEN, answers are good for ever.
 * In the foreground until it is unmounted or told to end.
 */
#define FUSE_USE_VERSION 312
#include "core/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/stat.h>

#define FOR_EVER 1e9

struct item {
	char *name; /* in paths[] */
	char *path;
	uint32_t parent, first, count; /* children lie together, by name */
	struct stat st;
};

static struct item *items; /* items[i] is inode i + 1 */
static size_t n_items, cap_items;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void add(uint32_t parent, char *path /* takes */)
{
	struct item *i;

	if (n_items == cap_items) {
		cap_items = cap_items * 2 + 1024;
		items = xrealloc(items, cap_items * sizeof(*items));
	}
	i = &items[n_items++];
	*i = (struct item){ .path = path, .parent = parent };
	i->name = strrchr(path, '/') + 1;
	if (lstat(path, &i->st) != 0)
		die(path);
	i->st.st_ino = n_items;
}

static void load_children(uint32_t dir)
{
	struct dirent **list;
	int n = scandir(items[dir].path, &list, NULL, alphasort);

	if (n < 0)
		die(items[dir].path);
	items[dir].first = (uint32_t)n_items;
	for (int i = 0; i < n; i++) {
		if (strcmp(list[i]->d_name, ".") != 0 &&
		    strcmp(list[i]->d_name, "..") != 0)
			add(dir, xasprintf("%s/%s", items[dir].path,
					   list[i]->d_name));
		free(list[i]);
	}
	free(list);
	items[dir].count = (uint32_t)n_items - items[dir].first;
}

static struct fuse_entry_param entry(uint32_t i)
{
	return (struct fuse_entry_param){
		.ino = i + 1,
		.attr = items[i].st,
		.attr_timeout = FOR_EVER,
		.entry_timeout = FOR_EVER,
	};
}

static void on_init(void *user, struct fuse_conn_info *c)
{
	(void)user;
	c->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			       FUSE_CAP_SPLICE_MOVE | FUSE_CAP_AUTO_INVAL_DATA |
			       FUSE_CAP_READDIRPLUS_AUTO);
	c->want |= c->capable &
		   (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
		    FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_READDIRPLUS |
		    FUSE_CAP_EXPLICIT_INVAL_DATA);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .entry_timeout = FOR_EVER };
	const struct item *dir = &items[parent - 1];

	for (uint32_t i = dir->first; i < dir->first + dir->count; i++) {
		if (strcmp(items[i].name, name) != 0)
			continue;
		e = entry(i);
		break;
	}
	fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)fi;
	fuse_reply_attr(req, &items[ino - 1].st, FOR_EVER);
}

static void on_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[4097];
	ssize_t n = readlink(items[ino - 1].path, target, sizeof(target) - 1);

	if (n < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

static void no_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	int fd = open(items[ino - 1].path, O_RDONLY | O_CLOEXEC);
	char *buf = xmalloc(size);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, size, off);

	(void)fi;
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, buf, (size_t)n);
	free(buf);
	if (fd >= 0)
		close(fd);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	const struct item *dir = &items[ino - 1];
	char *buf = xmalloc(size);
	size_t len = 0;

	(void)fi;
	for (uint32_t i = (uint32_t)off; i < dir->count; i++) {
		struct fuse_entry_param e = entry(dir->first + i);
		size_t n = fuse_add_direntry_plus(req, buf + len, size - len,
						  items[dir->first + i].name,
						  &e, i + 1);

		if (n > size - len)
			break;
		len += n;
	}
	fuse_reply_buf(req, buf, len);
	free(buf);
}

static const struct fuse_lowlevel_ops ops = {
	.init = on_init,
	.lookup = on_lookup,
	.getattr = on_getattr,
	.readlink = on_readlink,
	.open = no_open,
	.opendir = no_open,
	.flush = no_open,
	.read = on_read,
	.readdirplus = on_readdirplus,
};

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *s;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "bench_floor SOURCE DIR (see its source)\n");
		return 2;
	}
	add(0, xasprintf("%s/.", argv[1]));
	for (uint32_t i = 0; i < n_items; i++)
		if (S_ISDIR(items[i].st.st_mode))
			load_children(i);
	fuse_opt_add_arg(&args, argv[0]);
	fuse_opt_add_arg(&args, "-oro,default_permissions,fsname=floor");
	s = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!s || fuse_set_signal_handlers(s) != 0 ||
	    fuse_session_mount(s, argv[2]) != 0)
		return 1;
	rc = fuse_session_loop(s);
	fuse_session_unmount(s);
	fuse_remove_signal_handlers(s);
	fuse_session_destroy(s);
	fuse_opt_free_args(&args);
	for (size_t i = 0; i < n_items; i++)
		free(items[i].path);
	free(items);
	return rc < 0;
}
