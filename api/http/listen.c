/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/error.h"
#include "core/path.h"

#define LISTEN_BACKLOG 128

bool listen_split(const char *address, char *host, size_t cap, char *port,
		  size_t port_cap)
{
	const char *colon = strrchr(address, ':'), *start = address, *end;

	if (!colon || !colon[1] || strlen(colon + 1) >= port_cap ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strtoul(colon + 1, NULL, 10) > 65535)
		return false;
	end = colon;
	if (*start == '[') {
		start++;
		if (end == start || end[-1] != ']')
			return false;
		end--;
	} else if (memchr(start, ':', (size_t)(end - start))) {
		return false; /* IPv6 without brackets */
	}
	if ((size_t)(end - start) >= cap)
		return false;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	snprintf(port, port_cap, "%s", colon + 1);
	return true;
}

static bool is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)a;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	const struct sockaddr_in6 *in6 = (const void *)a;

	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static char *bound_address(int fd, struct sockaddr_storage *ss)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	socklen_t len = sizeof(*ss);

	if (getsockname(fd, (struct sockaddr *)ss, &len) ||
	    getnameinfo((struct sockaddr *)ss, len, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return xstrdup("?");
	return ss->ss_family == AF_INET6 ? xasprintf("[%s]:%s", host, port)
					 : xasprintf("%s:%s", host, port);
}

static int bind_tcp(const struct addrinfo *ai, const char *address)
{
	cleanup_fd int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC,
				   IPPROTO_TCP);
	int one = 1, r;

	if (fd < 0)
		return fail(-errno, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) ||
	    listen(fd, LISTEN_BACKLOG)) {
		r = -errno;
		return fail(r, "cannot listen on %s: %s", address,
			    r == -EADDRINUSE ? "another program uses this "
					       "address"
					     : strerror(-r));
	}
	r = fd;
	fd = -1;
	return r;
}

int listen_tcp(const char *address, bool allow_remote,
	       struct listen_result *ret)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	char host[256], port[8];
	struct sockaddr_storage ss;
	struct addrinfo *ai;
	int fd, e;

	if (!listen_split(address, host, sizeof(host), port, sizeof(port)))
		return fail(-EINVAL, "\"%s\" is not IP:PORT", address);
	e = getaddrinfo(*host ? host : NULL, port, &hints, &ai);
	if (e)
		return fail(-EINVAL, "\"%s\": %s", address, gai_strerror(e));
	ret->loopback = is_loopback(ai->ai_addr);
	fd = ret->loopback || allow_remote
		     ? bind_tcp(ai, address)
		     : fail(-EPERM, "%s can be reached from other machines",
			    address);
	freeaddrinfo(ai);
	if (fd < 0)
		return fd;
	ret->fd = fd;
	ret->address = bound_address(fd, &ss);
	return 0;
}

bool listen_adopt(int fd, struct listen_result *ret)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	int listens = 0;
	socklen_t n = sizeof(listens);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) ||
	    !listens || getsockname(fd, (struct sockaddr *)&ss, &len))
		return false;
	ret->fd = fd;
	if (ss.ss_family == AF_UNIX) {
		const struct sockaddr_un *sun = (const void *)&ss;

		ret->loopback = true;
		ret->address = xstrdup(sun->sun_path);
		return true;
	}
	ret->loopback = is_loopback((const struct sockaddr *)&ss);
	ret->address = bound_address(fd, &ss);
	return true;
}

int listen_refuse(const char *address, struct listen_result *got)
{
	close(got->fd);
	free(got->address);
	return fail(-EPERM, "%s can be reached from other machines", address);
}

static int unix_address(const char *path, struct sockaddr_un *sun)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sun->sun_path))
		return fail(-ENAMETOOLONG,
			    "the socket's path is longer than %zu bytes: %s",
			    sizeof(sun->sun_path) - 1, path);
	memcpy(sun->sun_path, path, strlen(path));
	return 0;
}

bool listen_answers_unix(const char *path)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sun;

	if (fd < 0 || unix_address(path, &sun))
		return false;
	return !connect(fd, (struct sockaddr *)&sun, sizeof(sun)) ||
	       errno == EAGAIN;
}

/* Make the directory ours, and remove the file of a dead socket. */
static int make_room(const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = NULL;
	struct stat st;
	int r;

	if (!slash)
		return fail(-EINVAL, "the socket's path must be absolute: %s",
			    path);
	dir = xstrndup(path, (size_t)(slash - path));
	if (*dir) {
		r = path_make_dirs(dir, 0700);
		if (r)
			return r;
	}
	if (lstat(path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return fail(-EEXIST, "%s is there and is not a socket", path);
	if (listen_answers_unix(path))
		return fail(-EADDRINUSE,
			    "another program listens on the socket %s", path);
	if (unlink(path))
		return fail(-errno, "cannot replace %s: %s", path,
			    strerror(errno));
	return 0;
}

int listen_unix(const char *path, struct listen_result *ret)
{
	cleanup_fd int fd = -1;
	struct sockaddr_un sun;
	int r = unix_address(path, &sun);

	if (!r)
		r = make_room(path);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* the mode of the socket is the mode of the file that bind makes */
	if (fd < 0 || fchmod(fd, 0600) ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) ||
	    chmod(path, 0600) || listen(fd, LISTEN_BACKLOG)) {
		r = -errno;
		return fail(r, "cannot listen on %s: %s", path, strerror(-r));
	}
	ret->fd = fd;
	fd = -1;
	ret->loopback = true;
	ret->address = xstrdup(path);
	return 0;
}
