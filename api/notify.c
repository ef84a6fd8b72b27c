/* SPDX-License-Identifier: Apache-2.0 */
#include "api/notify.h"

#include "fs/keeper.h"

#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct keeper *through; /* set before there are threads */

void notify_through(struct keeper *k)
{
	through = k;
}

/* Under a keeper only that is whom the service manager listens to. */
static const char *manager(void)
{
	return through ? NULL : getenv("NOTIFY_SOCKET");
}

void notify(const char *fmt, ...)
{
	const char *path = manager();
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup_fd int fd = -1;
	char text[512];
	va_list ap;
	size_t n;

	if (through) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		keeper_tell(through, text);
		return;
	}
	if (!path || (*path != '/' && *path != '@') ||
	    strlen(path) >= sizeof(a.sun_path))
		return;
	n = strlen(path);
	memcpy(a.sun_path, path, n);
	if (*path == '@') /* abstract */
		a.sun_path[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
	       (struct sockaddr *)&a,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

int64_t notify_watchdog_ms(void)
{
	const char *usec = through ? NULL : getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && atoll(pid) != getpid()))
		return 0;
	return atoll(usec) / 2000;
}
