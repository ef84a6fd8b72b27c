/* SPDX-License-Identifier: Apache-2.0 */
/* special.c - fifos, sockets, devices, programs */
#include "tests/tools/posix_ops/posix_ops.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static void fifo_writer(void)
{
	int fd = open_ok("fifo", O_WRONLY);

	write_ok(fd, "through the pipe", 16);
}

static void fifo_use(void)
{
	char buf[32];
	pid_t pid;
	int fd;

	OK(mkfifo("fifo", 0640));
	SAME(stat_ok("fifo").st_mode, S_IFIFO | 0640);
	ERR(mkfifo("fifo", 0640), EEXIST);
	ERR(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	pid = child(fifo_writer);
	fd = open_ok("fifo", O_RDONLY);
	SAME(read(fd, buf, sizeof(buf)), 16);
	CHECK(memcmp(buf, "through the pipe", 16) == 0);
	SAME(read(fd, buf, sizeof(buf)), 0);
	join(pid);
	OK(rename("fifo", "moved"));
	OK(link("moved", "second"));
	SAME(stat_ok("second").st_nlink, 2);
	OK(unlink("moved"));
	CHECK(S_ISFIFO(stat_ok("second").st_mode));
}

static const struct sockaddr_un address = { AF_UNIX, "socket" };
#define ADDRESS (const struct sockaddr *)&address, sizeof(address)

static void socket_client(void)
{
	char buf[8];
	int s = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));

	OK(connect(s, ADDRESS));
	write_ok(s, "ping", 4);
	SAME(read(s, buf, sizeof(buf)), 4);
	CHECK(memcmp(buf, "pong", 4) == 0);
}

static void socket_use(void)
{
	char buf[8];
	int s = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0)), c;
	pid_t pid;

	OK(bind(s, ADDRESS));
	CHECK(S_ISSOCK(stat_ok("socket").st_mode));
	OK(listen(s, 1));
	ERR(open("socket", O_RDWR), ENXIO);
	pid = child(socket_client);
	c = (int)OK(accept(s, NULL, NULL));
	SAME(read(c, buf, sizeof(buf)), 4);
	CHECK(memcmp(buf, "ping", 4) == 0);
	write_ok(c, "pong", 4);
	join(pid);
	c = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	ERR(bind(c, ADDRESS), EADDRINUSE);
	close_ok(s);
	ERR(connect(c, ADDRESS), ECONNREFUSED);
	OK(unlink("socket"));
	ERR(connect(c, ADDRESS), ENOENT);
}

static void device_nodes(void)
{
	struct stat st;
	char buf[4] = "xxx";
	int fd;

	OK(mknod("null", S_IFCHR | 0666, makedev(1, 5)));
	OK(mknod("block", S_IFBLK | 0600, makedev(7, 250)));
	st = stat_ok("null");
	CHECK(S_ISCHR(st.st_mode));
	SAME(st.st_rdev, makedev(1, 5));
	st = stat_ok("block");
	CHECK(S_ISBLK(st.st_mode));
	SAME(st.st_rdev, makedev(7, 250));
	OK(rename("null", "zero"));
	SAME(stat_ok("zero").st_rdev, makedev(1, 5));
	fd = open("zero", O_RDONLY);
	see("open a device: %s", fd < 0 ? strerrorname_np(errno) : "0");
	if (fd >= 0) {
		SAME(read(fd, buf, 4), 4);
		SAME(buf[0], 0);
	}
}

static void mknod_file(void)
{
	OK(mknod("f", S_IFREG | 0640, 0));
	SAME(stat_ok("f").st_mode, S_IFREG | 0640);
	SAME(stat_ok("f").st_size, 0);
	put("f", "x");
	has("f", "x");
	ERR(mknod("d", S_IFDIR | 0755, 0), EPERM);
	ERR(mknod("f", S_IFREG | 0640, 0), EEXIST);
}

/* -- programs
 * ---------------------------------------------------------------------- */

static int run(const char *program)
{
	int status;
	pid_t pid = (pid_t)OK(fork());

	if (pid == 0) {
		execl(program, program, "arg", (char *)NULL);
		_exit(errno == EACCES ? 201 : errno == ENOEXEC ? 202 : 203);
	}
	OK(waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void exec_script(void)
{
	put("script",
	    "#!/bin/sh\n[ \"$1\" = arg ] && echo ran >out && exit 7\n");
	SAME(run("./script"), 201);
	OK(chmod("script", 0755));
	SAME(run("./script"), 7);
	has("out", "ran\n");
	OK(rename("script", "other"));
	SAME(run("./other"), 7);
	/* the change is seen at once */
	put("other", "#!/bin/sh\nexit 9\n");
	SAME(run("./other"), 9);
	OK(chmod("other", 0644));
	SAME(run("./other"), 201);
}

static void copy_program(const char *from, const char *to)
{
	char buf[65536];
	ssize_t n;
	int in = open_ok(from, O_RDONLY);
	int out = open_ok(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	while ((n = OK(read(in, buf, sizeof(buf)))) > 0)
		write_ok(out, buf, (size_t)n);
	close_ok(in);
	close_ok(out);
}

static void exec_elf(void)
{
	copy_program("/bin/true", "true");
	SAME(run("./true"), 0);
	OK(rename("true", "t2"));
	copy_program("/bin/false", "true");
	SAME(run("./t2"), 0);
	SAME(run("./true"), 1);
	/* replaced in place by a linker */
	OK(unlink("t2"));
	copy_program("/bin/false", "t2");
	SAME(run("./t2"), 1);
}

/* a running program cannot be written, an open one cannot be run */
static void exec_busy(void)
{
	int status, fd, p[2];
	pid_t pid;
	char c;

	copy_program("/bin/cat", "cat");
	fd = open_ok("cat", O_WRONLY);
	SAME(run("./cat"), 203);
	close_ok(fd);
	OK(pipe(p));
	pid = (pid_t)OK(fork());
	if (pid == 0) {
		int out = open("out", O_WRONLY | O_CREAT, 0644);

		dup2(p[0], 0);
		dup2(out, 1);
		close(p[1]);
		execl("./cat", "cat", (char *)NULL);
		_exit(99);
	}
	write_ok(p[1], "x", 1);
	do { /* until it runs and has copied the byte */
		tick();
		fd = open("out", O_RDONLY);
	} while (fd < 0 || (pread(fd, &c, 1, 0) < 1 && close(fd) == 0));
	ERR(open("cat", O_WRONLY), ETXTBSY);
	OK(unlink("cat")); /* but it can be removed */
	close_ok(p[1]);
	OK(waitpid(pid, &status, 0));
	SAME(status, 0);
}

const struct check checks_special[] = {
	{ "fifo_use", fifo_use, 0, NULL },
	{ "socket_use", socket_use, 0, NULL },
	{ "device_nodes", device_nodes, NEED_ROOT,
	  "mounts are nodev unless asked otherwise" },
	{ "mknod_file", mknod_file, 0, NULL },
	{ "exec_script", exec_script, 0, NULL },
	{ "exec_elf", exec_elf, 0, NULL },
	{ "exec_busy", exec_busy, 0, NULL },
	{ 0 },
};
