/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel may ask: the input becomes FUSE requests on the fd of a mount
 * without a kernel. Each is well-formed as the kernel makes them (names end,
 * sizes fit), with any numbers in it, for inodes that exist, existed or never
 * did. Each must be answered, with a reply of a valid shape, and the mount must
 * come down clean. The first byte chooses a plain view or a workspace.
 *
 * libfuse is given one end of a socket in place of /dev/fuse: the functions of
 * it that mount are defined here.
 */
#include "tests/fuzz/fuzz.h"

#include "backends/builtin.h"

#define BASE_ALLOW_BANNED /* the kernel's header has fields of such names */
#include "core/buf.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/path.h"
#include "core/registry.h"
#include "fs/mount.h"

#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define REQUESTS_MAX 64
#define BODY_MAX 4096
#define KNOWN_MAX 32
#define ANSWER_MS 20000
#define SIZE_CAP MiB /* of one allocation or copy: the disk is a real one */
#define INIT_UNIQUE 2

static struct store *store;
static struct fs *fs;
static char top[64];
static int ours = -1, theirs = -1; /* the two ends */
static uint64_t known[KNOWN_MAX];  /* inodes the kernel would know */
static unsigned known_count;
static unsigned interrupts; /* that were sent */

/* -- in place of libfuse's ------------------------------------------------- */

int fuse_session_mount(struct fuse_session *se, const char *dir);
void fuse_session_unmount(struct fuse_session *se);
int fuse_session_fd(struct fuse_session *se);

static void send_init(void)
{
	struct {
		struct fuse_in_header in;
		struct fuse_init_in init;
	} q = { .in = { .len = sizeof(q), .opcode = FUSE_INIT,
			.unique = INIT_UNIQUE },
		.init = { .major = 7, .minor = 45, .max_readahead = MiB,
			  .flags = ~(uint32_t)FUSE_INIT_EXT } };

	if (write(ours, &q, sizeof(q)) != sizeof(q))
		abort();
}

int fuse_session_mount(struct fuse_session *se, const char *dir)
{
	int pair[2];

	(void)se;
	(void)dir;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		abort();
	ours = pair[0];
	theirs = pair[1];
	send_init();
	return 0;
}

void fuse_session_unmount(struct fuse_session *se)
{
	(void)se;
}

int fuse_session_fd(struct fuse_session *se)
{
	(void)se;
	return theirs;
}

/* -- once ------------------------------------------------------------------ */

static void must(int rc)
{
	if (!rc)
		return;
	fprintf(stderr, "fuzz_request: %s\n", error_text(rc));
	abort();
}

static void end(void)
{
	fs_free(fs);
	store_close(store);
	path_empty_dir(top);
	rmdir(top);
}

static void say_nothing(enum fuse_log_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
}

static void begin(void)
{
	struct store_options so = { .max_bytes = 64 * MiB };
	struct fs_options fo = { .workers = 2 };
	cleanup_free char *state = NULL, *path = NULL;

	log_set_level("error");
	fuse_set_log_func(say_nothing);
	/* in memory where there is such a place: this mounts 1000 times */
	snprintf(top, sizeof(top), "%s/fuzz_request.XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(top))
		abort();
	path = xasprintf("%s/m", top);
	mkdir(path, 0755);
	free(path);
	path = xasprintf("%s/store", top);
	state = xasprintf("%s/workspaces", top);
	so.path = path;
	for (size_t i = 0; builtin_backends[i]; i++)
		must(registry_add(builtin_backends[i], "built in"));
	must(store_open(&so, &store));
	fo.store = store;
	fo.state_dir = state;
	must(fs_new(&fo, &fs));
	atexit(end);
}

/* -- requests -------------------------------------------------------------- */

struct input {
	const uint8_t *p;
	size_t n;
};

static uint8_t byte(struct input *in)
{
	uint8_t b = in->n ? *in->p : 0;

	in->p += !!in->n;
	in->n -= !!in->n;
	return b;
}

static uint64_t inode(uint8_t which)
{
	if (which < 64)
		return known[which % known_count];
	return which < 80 ? which : (uint64_t)which << 44 | which;
}

/* Fixed part of the body, and how many names follow it. */
static size_t shape(uint32_t op, unsigned *names)
{
	*names = 0;
	switch (op) {
	case FUSE_LOOKUP:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_REMOVEXATTR:
		*names = 1;
		return 0;
	case FUSE_SYMLINK:
		*names = 2;
		return 0;
	case FUSE_MKNOD:
		*names = 1;
		return sizeof(struct fuse_mknod_in);
	case FUSE_MKDIR:
		*names = 1;
		return sizeof(struct fuse_mkdir_in);
	case FUSE_LINK:
		*names = 1;
		return sizeof(struct fuse_link_in);
	case FUSE_RENAME:
		*names = 2;
		return sizeof(struct fuse_rename_in);
	case FUSE_RENAME2:
		*names = 2;
		return sizeof(struct fuse_rename2_in);
	case FUSE_GETXATTR:
		*names = 1;
		return sizeof(struct fuse_getxattr_in);
	case FUSE_SETXATTR:
		*names = 1;
		return FUSE_COMPAT_SETXATTR_IN_SIZE;
	case FUSE_CREATE:
		*names = 1;
		return sizeof(struct fuse_create_in);
	default:
		return 128; /* at least what any other has */
	}
}

/* Sizes in what follows a fixed part are those of what is there. */
static void fit_sizes(uint32_t op, struct buf *body, size_t fixed)
{
	void *p = body->data;
	size_t room = body->len - MIN(body->len, sizeof(struct fuse_write_in));

	if (op == FUSE_WRITE) {
		struct fuse_write_in *w = p;

		w->size = (uint32_t)MIN(w->size, room);
	} else if (op == FUSE_SETXATTR) {
		struct fuse_setxattr_in *x = p;
		size_t name = strlen((char *)p + fixed) + 1;

		room = body->len - fixed - MIN(body->len - fixed, name);
		x->size = (uint32_t)MIN(x->size, room);
	} else if (op == FUSE_BATCH_FORGET) {
		struct fuse_batch_forget_in *f = p;

		room = (body->len - sizeof(*f)) / sizeof(struct fuse_forget_one);
		f->count = (uint32_t)MIN(f->count, room);
	}
}

/* Nothing asks for more than the disk of a test has; other inodes exist. */
static void fit_numbers(uint32_t op, void *p)
{
	struct fuse_fallocate_in *f = p;
	struct fuse_copy_file_range_in *c = p;
	struct fuse_read_in *r = p;
	uint64_t other;

	switch (op) {
	case FUSE_FALLOCATE:
		f->length %= SIZE_CAP;
		break;
	case FUSE_COPY_FILE_RANGE:
		c->len %= SIZE_CAP;
		c->nodeid_out = inode((uint8_t)c->nodeid_out);
		break;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		r->size %= 128 * KiB + 1;
		break;
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK: /* it comes first in all three */
		other = inode(*(uint8_t *)p);
		memcpy(p, &other, sizeof(other));
		break;
	default:
		break;
	}
}

/* A body as the kernel would make it of these bytes. */
static void fit(uint32_t op, struct buf *body)
{
	unsigned names;
	size_t fixed = shape(op, &names);

	while (body->len < fixed)
		buf_putc(body, 0);
	for (unsigned i = 0; i < names + 1; i++)
		buf_putc(body, 0);
	fit_sizes(op, body, fixed);
	fit_numbers(op, body->data);
}

/* -- answers --------------------------------------------------------------- */

static void learn(uint32_t op, const uint8_t *p, size_t n)
{
	const struct fuse_entry_out *e = (const void *)p;

	if (op != FUSE_LOOKUP && op != FUSE_MKNOD && op != FUSE_MKDIR &&
	    op != FUSE_SYMLINK && op != FUSE_LINK)
		return;
	if (n < sizeof(*e))
		abort();
	if (e->nodeid)
		known[known_count < KNOWN_MAX ? known_count++ : 1] = e->nodeid;
}

static void check_answer(uint32_t op, uint32_t asked, const uint8_t *p, size_t n)
{
	const struct fuse_out_header *out = (const void *)p;

	if (out->len != n || out->error > 0 || out->error <= -512)
		abort();
	if (out->error && n != sizeof(*out))
		abort();
	n -= sizeof(*out);
	if (asked && n > asked)
		abort(); /* more than there is room for */
	if (!out->error)
		learn(op, p + sizeof(*out), n);
}

/* Read until the answer with this number; what the daemon says on its own is
 * skipped. */
static void await(uint64_t unique, uint32_t op, uint32_t asked)
{
	static uint8_t answer[MiB + 64 * KiB];
	int64_t deadline = deadline_in_ms(ANSWER_MS);
	const struct fuse_out_header *out = (const void *)answer;

	for (;;) {
		struct pollfd p = { .fd = ours, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, 100) == 1) {
			n = read(ours, answer, sizeof(answer));
			if (n < (ssize_t)sizeof(*out))
				abort(); /* the session ended */
			if (out->unique != unique)
				continue;
			check_answer(op, asked, answer, (size_t)n);
			return;
		}
		if (now_ns() > deadline) {
			fprintf(stderr, "no answer to operation %u\n", op);
			abort();
		}
	}
}

static uint32_t room_for(uint32_t op, const uint8_t *body)
{
	const struct fuse_read_in *r = (const void *)body;

	return op == FUSE_READ || op == FUSE_READDIR || op == FUSE_READDIRPLUS
		       ? MAX(r->size, 1u)
		       : 0;
}

static bool is_sent(uint32_t op)
{
	switch (op) {
	case FUSE_INIT: /* once */
	case FUSE_DESTROY:
	case FUSE_NOTIFY_REPLY:
	case CUSE_INIT:
	case FUSE_SETLKW: /* locks stay in the kernel */
		return false;
	default:
		return true;
	}
}

static void ask(struct fuse_in_header *head, const struct buf *body)
{
	cleanup_buf struct buf message = BUF_INIT;

	head->len = (uint32_t)(sizeof(*head) + body->len);
	buf_put(&message, head, sizeof(*head));
	buf_put(&message, body->data, body->len);
	if (write(ours, message.data, message.len) != (ssize_t)message.len)
		abort();
	interrupts += head->opcode == FUSE_INTERRUPT;
	if (head->opcode != FUSE_FORGET && head->opcode != FUSE_BATCH_FORGET &&
	    head->opcode != FUSE_INTERRUPT)
		await(head->unique, head->opcode,
		      room_for(head->opcode, body->data));
}

static void one(struct input *in, uint64_t unique)
{
	cleanup_buf struct buf body = BUF_INIT;
	struct fuse_in_header head = { .opcode = byte(in) % 56,
				       .unique = unique, .uid = 1, .gid = 1 };
	size_t n;

	head.nodeid = inode(byte(in));
	n = byte(in);
	n = MIN(n == 255 ? BODY_MAX : n, in->n);
	buf_put(&body, in->p, n);
	in->p += n;
	in->n -= n;
	fit(head.opcode, &body);
	if (is_sent(head.opcode))
		ask(&head, &body);
}

/* An interrupt of nothing is kept by libfuse until a request comes, one for each;
 * what is left of them at its end it never frees. */
static void drain(uint64_t unique)
{
	struct buf none = BUF_INIT;

	for (; interrupts; interrupts--, unique += 2) {
		struct fuse_in_header head = { .opcode = FUSE_STATFS,
					       .nodeid = 1, .unique = unique };

		ask(&head, &none);
	}
}

static int still_there(void *ctx, const struct fs_mount_info *i)
{
	(void)i;
	*(bool *)ctx = true;
	return 1;
}

/* The kernel lets go, as after umount. */
static void hang_up(void)
{
	int64_t deadline = deadline_in_ms(ANSWER_MS);
	bool there;

	close(ours);
	for (;;) {
		there = false;
		fs_each(fs, still_there, &there);
		if (!there)
			return;
		if (now_ns() > deadline)
			abort(); /* it does not come down */
		poll(NULL, 0, 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	cleanup_free char *dir = NULL;
	struct fs_mount_request r = {
		.source = "mem+demo", .uid = -1, .gid = -1, .transient = true,
		.read_only = byte(&in) & 1, .deadline = deadline_in_ms(10000),
	};

	if (!fs) {
		begin();
		/* libcrypto keeps something for the thread that began it */
		hash_free(hash_new(HASH_SHA1));
	}
	dir = xasprintf("%s/m", top);
	r.dir = dir;
	must(fs_mount(fs, &r, NULL));
	known[0] = 1;
	known_count = 1;
	await(INIT_UNIQUE, FUSE_INIT, 0);
	for (uint64_t i = 0; i < REQUESTS_MAX && in.n; i++)
		one(&in, 4 + 2 * i);
	drain(4 + 2 * REQUESTS_MAX);
	hang_up();
	return 0;
}
