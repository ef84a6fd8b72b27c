/* SPDX-License-Identifier: Apache-2.0 */
/* procs.c - several processes: locks, appends, races for a name */
#include "tests/tools/posix_ops/posix_ops.h"

#include <signal.h>
#include <sys/file.h>

static struct turn turn;

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type,
			       .l_whence = SEEK_SET,
			       .l_start = start,
			       .l_len = len };
}

static void busy(long r)
{
	if (r == 0)
		check_fail("a lock was given twice");
	if (errno != EAGAIN && errno != EACCES)
		check_fail("lock: %s", strerrorname_np(errno));
}

/* -- flock
 * ------------------------------------------------------------------------ */

static void flock_child(void)
{
	int fd = open_ok("f", O_RDWR);

	ERR(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	ERR(flock(fd, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	turn_send(turn.to_parent);
	OK(flock(fd, LOCK_EX)); /* waits */
	has("f", "unlocked");
	turn_send(turn.to_parent);
	turn_wait(turn.to_child);
	_exit(0); /* the lock goes with the process */
}

static void lock_flock(void)
{
	pid_t pid;
	int fd, other;

	turn_init(&turn);
	put("f", "x");
	fd = open_ok("f", O_RDWR);
	OK(flock(fd, LOCK_EX));
	other = open_ok("f", O_RDWR);
	ERR(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	pid = child(flock_child);
	turn_wait(turn.to_parent);
	put("f", "unlocked");
	OK(flock(fd, LOCK_UN));
	turn_wait(turn.to_parent);
	ERR(flock(fd, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	turn_send(turn.to_child);
	join(pid);
	OK(flock(fd, LOCK_SH | LOCK_NB));
	OK(flock(other, LOCK_SH | LOCK_NB));
	ERR(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	/* closing the last descriptor unlocks */
	close_ok(other);
	OK(flock(fd, LOCK_EX | LOCK_NB));
	turn_done(&turn);
}

/* -- POSIX and open file description locks
 * ------------------------------------------ */

static void posix_child(void)
{
	struct flock l = range(F_WRLCK, 0, 10);
	int fd = open_ok("f", O_RDWR);

	busy(fcntl(fd, F_SETLK, &l));
	OK(fcntl(fd, F_GETLK, &l));
	SAME(l.l_type, F_WRLCK);
	SAME(l.l_pid, getppid());
	SAME(l.l_start, 5);
	SAME(l.l_len, 10);
	l = range(F_WRLCK, 0, 5);
	OK(fcntl(fd, F_SETLK, &l));
	l = range(F_WRLCK, 15, 5);
	OK(fcntl(fd, F_SETLK, &l));
	turn_send(turn.to_parent);
	l = range(F_RDLCK, 5, 10);
	OK(fcntl(fd, F_SETLKW, &l)); /* waits */
	turn_send(turn.to_parent);
	turn_wait(turn.to_child);
}

static void lock_posix(void)
{
	struct flock l = range(F_WRLCK, 5, 10);
	pid_t pid;
	int fd;

	turn_init(&turn);
	fill("f", 100, 1);
	fd = open_ok("f", O_RDWR);
	OK(fcntl(fd, F_SETLK, &l));
	pid = child(posix_child);
	turn_wait(turn.to_parent);
	l = range(F_WRLCK, 0, 1);
	busy(fcntl(fd, F_SETLK, &l));
	l = range(F_UNLCK, 5, 10);
	OK(fcntl(fd, F_SETLK, &l));
	turn_wait(turn.to_parent);
	l = range(F_RDLCK, 5, 10);
	OK(fcntl(fd, F_SETLK, &l));
	l = range(F_WRLCK, 5, 10);
	busy(fcntl(fd, F_SETLK, &l));
	turn_send(turn.to_child);
	join(pid);
	OK(fcntl(fd, F_SETLK, &l));
	/* closing any descriptor of the file drops this process' locks */
	close_ok(open_ok("f", O_RDONLY));
	l = range(F_WRLCK, 5, 10);
	OK(fcntl(fd, F_GETLK, &l));
	SAME(l.l_type, F_UNLCK);
	turn_done(&turn);
}

static void lock_deadlock_child(void)
{
	struct flock l = range(F_WRLCK, 1, 1);
	int fd = open_ok("f", O_RDWR);

	OK(fcntl(fd, F_SETLK, &l));
	turn_send(turn.to_parent);
	l = range(F_WRLCK, 0, 1);
	OK(fcntl(fd, F_SETLKW, &l));
}

static void lock_deadlock(void)
{
	struct flock l = range(F_WRLCK, 0, 1);
	pid_t pid;
	int fd;

	turn_init(&turn);
	fill("f", 10, 1);
	fd = open_ok("f", O_RDWR);
	OK(fcntl(fd, F_SETLK, &l));
	pid = child(lock_deadlock_child);
	turn_wait(turn.to_parent);
	for (int i = 0; i < 200; i++) { /* until the child waits */
		l = range(F_WRLCK, 1, 1);
		if (fcntl(fd, F_SETLK, &l) == 0)
			check_fail("the child's lock was given away");
		tick();
		if (i == 20)
			break;
	}
	l = range(F_WRLCK, 1, 1);
	ERR(fcntl(fd, F_SETLKW, &l), EDEADLK);
	l = range(F_UNLCK, 0, 0);
	OK(fcntl(fd, F_SETLK, &l));
	join(pid);
	turn_done(&turn);
}

static void lock_ofd(void)
{
	struct flock l = range(F_WRLCK, 0, 0);
	int a, b;

	fill("f", 100, 1);
	a = open_ok("f", O_RDWR);
	b = open_ok("f", O_RDWR);
	OK(fcntl(a, F_OFD_SETLK, &l));
	l = range(F_WRLCK, 50, 1);
	busy(fcntl(b, F_OFD_SETLK, &l));
	OK(fcntl(b, F_OFD_GETLK, &l));
	SAME(l.l_type, F_WRLCK);
	/* another close does not matter here */
	close_ok(open_ok("f", O_RDONLY));
	l = range(F_WRLCK, 50, 1);
	busy(fcntl(b, F_OFD_SETLK, &l));
	l = range(F_UNLCK, 0, 60);
	OK(fcntl(a, F_OFD_SETLK, &l));
	l = range(F_WRLCK, 50, 1);
	OK(fcntl(b, F_OFD_SETLK, &l));
	close_ok(a);
	l = range(F_WRLCK, 0, 0);
	OK(fcntl(b, F_OFD_SETLK, &l));
}

/* a lock belongs to the file, not to its name */
static void lock_rename(void)
{
	int a, b;

	put("f", "x");
	a = open_ok("f", O_RDWR);
	OK(flock(a, LOCK_EX));
	OK(rename("f", "g"));
	put("f", "new");
	b = open_ok("f", O_RDWR);
	OK(flock(b, LOCK_EX | LOCK_NB));
	b = open_ok("g", O_RDWR);
	ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(link("g", "h"));
	b = open_ok("h", O_RDWR);
	ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
}

/* -- at the same time
 * ----------------------------------------------------------------- */

#define PROCS  4
#define ROUNDS 200

static int me;

static void each(void (*run)(void))
{
	pid_t pids[PROCS];

	for (me = 0; me < PROCS; me++)
		pids[me] = child(run);
	for (int i = 0; i < PROCS; i++)
		join(pids[i]);
}

static void count_up(void)
{
	int fd = open_ok("counter", O_RDWR);

	for (int i = 0; i < ROUNDS; i++) {
		struct flock l = range(F_WRLCK, 0, 0);
		char buf[16] = "";

		if (me % 2)
			OK(flock(fd, LOCK_EX));
		OK(fcntl(fd, me % 2 ? F_OFD_SETLKW : F_SETLKW, &l));
		OK(pread(fd, buf, 15, 0));
		snprintf(buf, sizeof(buf), "%d", atoi(buf) + 1);
		pwrite_ok(fd, buf, strlen(buf), 0);
		l.l_type = F_UNLCK;
		OK(fcntl(fd, me % 2 ? F_OFD_SETLK : F_SETLK, &l));
		if (me % 2)
			OK(flock(fd, LOCK_UN));
	}
}

static void lock_counter(void)
{
	char wanted[16];

	put("counter", "0");
	each(count_up);
	snprintf(wanted, sizeof(wanted), "%d", PROCS * ROUNDS);
	has("counter", wanted);
}

#define RECORD 64

static void append_records(void)
{
	char record[RECORD];
	int fd = open_ok("log", O_WRONLY | O_APPEND);

	memset(record, 'A' + me, RECORD);
	for (int i = 0; i < ROUNDS; i++)
		SAME(write(fd, record, RECORD), RECORD);
}

/* appends of several processes are whole and all there */
static void append_together(void)
{
	int count[PROCS] = { 0 };
	char record[RECORD];
	int fd;

	put("log", "");
	each(append_records);
	SAME(stat_ok("log").st_size, PROCS * ROUNDS * RECORD);
	fd = open_ok("log", O_RDONLY);
	for (int i = 0; i < PROCS * ROUNDS; i++) {
		pread_ok(fd, record, RECORD, (off_t)i * RECORD);
		for (int j = 1; j < RECORD; j++)
			SAME(record[j], record[0]);
		CHECK(record[0] >= 'A' && record[0] < 'A' + PROCS);
		count[record[0] - 'A']++;
	}
	for (int i = 0; i < PROCS; i++)
		SAME(count[i], ROUNDS);
}

static void win_names(void)
{
	char name[16], mine[2] = { (char)('A' + me), 0 };
	int won = 0;
	int out = open_ok("won", O_WRONLY | O_APPEND);

	for (int i = 0; i < ROUNDS; i++) {
		int fd;

		snprintf(name, sizeof(name), "n%d", i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0) {
			SAME(errno, EEXIST);
			continue;
		}
		write_ok(fd, mine, 1);
		close_ok(fd);
		won++;
	}
	for (; won > 0; won--)
		write_ok(out, mine, 1);
}

/* O_EXCL: each name has one winner */
static void race_create(void)
{
	put("won", "");
	each(win_names);
	SAME(stat_ok("won").st_size, ROUNDS);
	SAME(count_entries("."), ROUNDS + 1);
}

static void take_names(void)
{
	char from[16], to[32];
	int out = open_ok("won", O_WRONLY | O_APPEND);

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(from, sizeof(from), "n%d", i);
		snprintf(to, sizeof(to), "taken%d.%d", me, i);
		if (i % 2 ? rename(from, to) == 0 : unlink(from) == 0)
			write_ok(out, "x", 1);
		else
			SAME(errno, ENOENT);
	}
}

static void race_remove(void)
{
	char name[16];

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		put(name, "x");
	}
	put("won", "");
	each(take_names);
	SAME(stat_ok("won").st_size, ROUNDS);
	SAME(count_entries("."), ROUNDS / 2 + 1);
}

static void churn(void)
{
	char name[16];

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "d%d.%d", me, i % 7);
		OK(mkdir(name, 0755));
		OK(chdir(name));
		put("f", name);
		OK(rename("f", "g"));
		has("g", name);
		OK(unlink("g"));
		OK(chdir(".."));
		OK(rmdir(name));
	}
}

static void race_churn(void)
{
	each(churn);
	SAME(count_entries("."), 0);
}

static void mkdir_race(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (mkdir("shared", 0755) < 0)
			SAME(errno, EEXIST);
		if (rmdir("shared") < 0)
			CHECK(errno == ENOENT || errno == ENOTEMPTY);
	}
}

static void race_mkdir(void)
{
	each(mkdir_race);
	CHECK(count_entries(".") <= 1);
}

const struct check checks_procs[] = {
	{ "lock_flock", lock_flock, 0, NULL },
	{ "lock_posix", lock_posix, 0, NULL },
	{ "lock_deadlock", lock_deadlock, 0, NULL },
	{ "lock_ofd", lock_ofd, 0, NULL },
	{ "lock_rename", lock_rename, 0, NULL },
	{ "lock_counter", lock_counter, 0, NULL },
	{ "append_together", append_together, 0, NULL },
	{ "race_create", race_create, 0, NULL },
	{ "race_remove", race_remove, 0, NULL },
	{ "race_churn", race_churn, 0, NULL },
	{ "race_mkdir", race_mkdir, 0, NULL },
	{ 0 },
};
