/* SPDX-License-Identifier: Apache-2.0 */
#include "core/confine.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif
#define X32_BIT 0x40000000u

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHECKED 1 /* their leak checker is a debugger */
#else
#define CHECKED 0
#endif

/* Nothing in a daemon does this. */
static const int never[] = {
	/* other processes' memory */
	SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
	/* the kernel's code */
	SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load,
	SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
	SYS_io_uring_enter, SYS_io_uring_register,
	/* the machine */
	SYS_reboot, SYS_swapon, SYS_swapoff, SYS_settimeofday,
	SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_acct,
	SYS_syslog, SYS_sethostname, SYS_setdomainname, SYS_quotactl,
	SYS_vhangup, SYS_chroot, SYS_pivot_root, SYS_open_by_handle_at,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
	SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_ustat,
#endif
};

/* Nor does a program that was started for a server's sake. */
static const int never_child[] = {
	SYS_ptrace, SYS_mount, SYS_umount2, SYS_unshare, SYS_setns,
	SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount,
	SYS_fspick, SYS_mount_setattr, SYS_personality,
};

static bool wanted = true;                       /* atomic */
static const char *state = "not asked for here"; /* atomic */

void confine_set(bool on)
{
	__atomic_store_n(&wanted, on, __ATOMIC_RELAXED);
}

const char *confine_state(void)
{
	return __atomic_load_n(&state, __ATOMIC_RELAXED);
}

#ifdef ARCH

#define LOAD(field)                        \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
		 (uint32_t)offsetof(struct seccomp_data, field))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)
#define REFUSE	     ANSWER(SECCOMP_RET_ERRNO | EPERM)

/* As unshare. clone3 names them in memory, where a filter cannot look: it is
 * told of as one that the kernel does not have, and clone is used instead. */
#define NAMESPACES                                                        \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |    \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

struct program {
	struct sock_filter code[2 * (ARRAY_SIZE(never) + ARRAY_SIZE(never_child)) +
				18];
	unsigned short n;
};

static void put(struct program *p, struct sock_filter f)
{
	assert(p->n < ARRAY_SIZE(p->code));
	p->code[p->n++] = f;
}

static void if_call(struct program *p, int call, uint8_t skip)
{
	put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
					    (uint32_t)call, 0, skip));
}

static void refuse(struct program *p, int call)
{
	if_call(p, call, 1);
	put(p, (struct sock_filter)REFUSE);
}

static void refuse_namespaces(struct program *p)
{
	if_call(p, SYS_clone3, 1);
	put(p, (struct sock_filter)ANSWER(SECCOMP_RET_ERRNO | ENOSYS));
	if_call(p, SYS_clone, 3);
	put(p, (struct sock_filter)LOAD(args)); /* the lower half of the first */
	put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
					    NAMESPACES, 0, 1));
	put(p, (struct sock_filter)REFUSE);
}

/* Refuse the calls, and all of other instruction sets, whose numbers differ. */
static void make_program(struct program *p, bool child)
{
	put(p, (struct sock_filter)LOAD(arch));
	put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1,
					    0));
	put(p, (struct sock_filter)REFUSE);
	put(p, (struct sock_filter)LOAD(nr));
	put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT,
					    0, 1));
	put(p, (struct sock_filter)REFUSE);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		refuse(p, never[i]);
	if (!CHECKED && !child)
		refuse(p, SYS_ptrace);
	for (size_t i = 0; child && i < ARRAY_SIZE(never_child); i++)
		refuse(p, never_child[i]);
	if (child)
		refuse_namespaces(p); /* last: it may load something else */
	put(p, (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW));
}

static int install(bool child)
{
	/* no cost for speculation: nothing here runs foreign code */
	unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	struct program p = { .n = 0 };
	struct sock_fprog prog;
	long r;

	make_program(&p, child);
	prog = (struct sock_fprog){ .len = p.n, .filter = p.code };
	if (!child)
		flags |= SECCOMP_FILTER_FLAG_TSYNC;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (r > 0)
		return -EBUSY; /* a thread with a filter of its own */
	if (r < 0)
		return errno == EACCES ? -EPERM : -errno;
	return 0;
}

#else

static int install(bool child UNUSED)
{
	return -ENOTSUP;
}

#endif

int confine_daemon(bool for_good)
{
	const char *how = for_good
		? "refused are calls that no daemon needs, and programs with "
		  "more rights than their caller"
		: "refused are calls that no daemon needs";
	int r = 1;

	if (!__atomic_load_n(&wanted, __ATOMIC_RELAXED))
		how = "off (server.confine)";
	else if (for_good && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		r = -errno;
	else
		r = install(false);
	if (r == -EPERM)
		how = "only of programs that are started for servers: the daemon "
		      "is not root, and needs fusermount3, which has more rights";
	else if (r < 0)
		how = "this kernel has no seccomp filters";
	__atomic_store_n(&state, how, __ATOMIC_RELAXED);
	return r;
}

int confine_thread(void)
{
	if (!__atomic_load_n(&wanted, __ATOMIC_RELAXED))
		return 1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return install(true);
}
