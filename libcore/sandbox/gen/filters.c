/* SPDX-License-Identifier: MIT */
/*
 * filters - prints the system call filters as C arrays, for this architecture. It runs during the
 * build, so that no tool needs libseccomp.
 *
 * The default filter lets everything pass but a list. A strict one is that list, made longer, in
 * front of a second program that lets only a list pass: what the first would allow jumps to the
 * second. So what is known to be denied fails with EPERM, and what nobody here has heard of with
 * ENOSYS, as in an older kernel.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define LOW_32 0xffffffffu

struct program {
	struct sock_filter insns[BPF_MAXINSNS];
	size_t len;
};

/* Calls younger than the libseccomp of Debian 12, with the numbers they have everywhere. */
static const struct {
	const char *name;
	int nr;
} young[] = {
	{ "cachestat", 451 }, { "fchmodat2", 452 }, { "map_shadow_stack", 453 }, { "futex_wake", 454 },
	{ "futex_wait", 455 }, { "futex_requeue", 456 }, { "mseal", 462 }, { "setxattrat", 463 },
	{ "getxattrat", 464 }, { "listxattrat", 465 }, { "removexattrat", 466 },
	{ "open_tree_attr", 467 }, { "file_getattr", 468 },
};

static const char *const denied[] = {
	/* mounts and roots */
	"chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
	"open_tree", "open_tree_attr", "pivot_root", "umount", "umount2",
	/* modules, reboot, swap */
	"create_module", "delete_module", "finit_module", "get_kernel_syms", "init_module",
	"kexec_file_load", "kexec_load", "query_module", "reboot", "swapoff", "swapon",
	/* setting clocks */
	"adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64",
	"settimeofday", "stime",
	/* ports, foreign machines */
	"ioperm", "iopl", "modify_ldt", "pciconfig_iobase", "pciconfig_read", "pciconfig_write",
	"vm86", "vm86old",
	/* other processes, the kernel's inside */
	"bpf", "lookup_dcookie", "perf_event_open", "pidfd_getfd", "process_vm_readv",
	"process_vm_writev", "ptrace", "userfaultfd",
	/* keys */
	"add_key", "keyctl", "request_key",
	/* obsolete */
	"_sysctl", "afs_syscall", "bdflush", "break", "ftime", "getpmsg", "gtty", "idle", "lock",
	"mpx", "nfsservctl", "prof", "profil", "putpmsg", "security", "sgetmask", "ssetmask",
	"stty", "sysfs", "tuxcall", "ulimit", "uselib", "ustat", "vserver",
	/* around file permissions; namespaces; personalities */
	"fanotify_init", "open_by_handle_at", "personality", "setns", "unshare",
};

static const char *const io_uring[] = { "io_uring_enter", "io_uring_register", "io_uring_setup" };

/* What strict denies besides: owners, identities, shares of the machine. */
static const char *const denied_strict[] = {
	"chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32", "setfsgid",
	"setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32",
	"setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32",
	"setreuid", "setreuid32", "setuid", "setuid32", "ioprio_set", "mbind", "migrate_pages",
	"move_pages", "nice", "sched_setaffinity", "sched_setattr", "sched_setparam",
	"sched_setscheduler", "set_mempolicy", "set_mempolicy_home_node", "setpriority",
	"setrlimit",
};

static const char *const allowed[] = {
	/* the process itself */
	"arch_prctl", "brk", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork",
	"get_robust_list", "get_thread_area", "getcpu", "getegid", "getegid32", "geteuid",
	"geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getpgid", "getpgrp",
	"getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid",
	"getresuid32", "getrlimit", "getrusage", "getsid", "gettid", "getuid", "getuid32",
	"ioprio_get", "kcmp", "kill", "membarrier", "pidfd_open", "pidfd_send_signal", "prctl",
	"prlimit64", "restart_syscall", "riscv_flush_icache", "rseq", "sched_get_priority_max",
	"sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
	"sched_getscheduler", "sched_rr_get_interval", "sched_yield", "set_robust_list",
	"set_thread_area", "set_tid_address", "set_tls", "setpgid", "setsid", "swapcontext",
	"sysinfo", "tgkill", "times", "tkill", "ugetrlimit", "umask", "uname", "vfork", "wait4",
	"waitid", "waitpid",
	/* memory */
	"cacheflush", "get_mempolicy", "madvise", "map_shadow_stack", "memfd_create", "mincore",
	"mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal", "munlock",
	"munlockall", "munmap", "process_madvise", "remap_file_pages",
	/* clocks and timers */
	"alarm", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64",
	"clock_nanosleep", "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep",
	"setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime",
	"timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
	"timerfd_gettime64", "timerfd_settime", "timerfd_settime64",
	/* signals */
	"pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
	"rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
	"rt_tgsigqueueinfo", "sigaction", "sigaltstack", "signal", "signalfd", "signalfd4",
	"sigpending", "sigprocmask", "sigreturn", "sigsuspend",
	/* descriptors, waiting */
	"_llseek", "_newselect", "close", "close_range", "copy_file_range", "dup", "dup2", "dup3",
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
	"epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "fcntl", "fcntl64",
	"ioctl", "lseek", "pipe", "pipe2", "poll", "ppoll", "ppoll_time64", "pread64", "preadv",
	"preadv2", "pselect6", "pselect6_time64", "pwrite64", "pwritev", "pwritev2", "read",
	"readv", "select", "sendfile", "sendfile64", "splice", "tee", "vmsplice", "write", "writev",
	/* files */
	"access", "arm_fadvise64_64", "cachestat", "chdir", "chmod", "creat", "faccessat",
	"faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fchdir", "fchmod", "fchmodat",
	"fchmodat2", "fdatasync", "fgetxattr", "file_getattr", "flistxattr", "flock",
	"fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64",
	"fsync", "ftruncate", "ftruncate64", "futimesat", "getcwd", "getdents", "getdents64",
	"getxattr", "getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1",
	"inotify_rm_watch", "lgetxattr", "link", "linkat", "listxattr", "listxattrat", "llistxattr",
	"lremovexattr", "lsetxattr", "lstat", "lstat64", "mkdir", "mkdirat", "mknod", "mknodat",
	"msync", "name_to_handle_at", "newfstatat", "oldfstat", "oldlstat", "oldolduname",
	"oldstat", "olduname", "open", "openat", "openat2", "readahead", "readdir", "readlink",
	"readlinkat", "removexattr", "removexattrat", "rename", "renameat", "renameat2", "rmdir",
	"setxattr", "setxattrat", "stat", "stat64", "statfs", "statfs64", "statx", "symlink",
	"symlinkat", "sync", "sync_file_range", "sync_file_range2", "syncfs", "truncate",
	"truncate64", "unlink", "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes",
	/* between processes */
	"futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake",
	"io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64",
	"io_setup", "io_submit", "ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
	"mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "msgctl",
	"msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop",
	"semtimedop_time64", "shmat", "shmctl", "shmdt", "shmget",
	/* sockets */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
	"listen", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg",
	"sendmsg", "sendto", "setsockopt", "shutdown", "socketpair",
	/* their arguments are looked at by the deny list */
	"clone",
};

static _Noreturn void die(const char *what, const char *name, int error)
{
	fprintf(stderr, "filters: %s '%s': %s\n", what, name, strerror(error));
	exit(1);
}

static int number_of(const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	for (size_t i = 0; i < SIZE(young) && nr == __NR_SCMP_ERROR; i++)
		if (strcmp(young[i].name, name) == 0)
			nr = young[i].nr;
	if (nr == __NR_SCMP_ERROR)
		die("no such call", name, EINVAL);
	return nr;
}

/* Calls that this architecture does not have get negative numbers, which libseccomp passes over. */
static void rule(scmp_filter_ctx f, uint32_t action, const char *name, unsigned n,
	const struct scmp_arg_cmp *cmp)
{
	int r = seccomp_rule_add_array(f, action, number_of(name), n, cmp);

	if (r < 0 && r != -EDOM)
		die("cannot add", name, -r);
}

static void rules(scmp_filter_ctx f, uint32_t action, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rule(f, action, names[i], 0, NULL);
}

static scmp_filter_ctx new_filter(uint32_t otherwise)
{
	scmp_filter_ctx f = seccomp_init(otherwise);

	if (!f || seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0 ||
		seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
		die("cannot begin", "filter", ENOMEM);
	return f;
}

/* The kernel looks at the low half of these arguments only. */
static void deny_arguments(scmp_filter_ctx f)
{
	static const unsigned namespaces[] = { CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS,
		CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET };
	static const unsigned ioctls[] = { TIOCSTI, TIOCLINUX };

	for (size_t i = 0; i < SIZE(namespaces); i++)
		rule(f, SCMP_ACT_ERRNO(EPERM), "clone", 1,
			&SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	for (size_t i = 0; i < SIZE(ioctls); i++)
		rule(f, SCMP_ACT_ERRNO(EPERM), "ioctl", 1,
			&SCMP_A1(SCMP_CMP_MASKED_EQ, LOW_32, ioctls[i]));
}

static void deny_sockets(scmp_filter_ctx f)
{
	static const unsigned families[] = { AF_ALG, AF_PACKET, AF_VSOCK };
	const struct scmp_arg_cmp netlink[] = { SCMP_A0(SCMP_CMP_MASKED_EQ, LOW_32, AF_NETLINK),
		SCMP_A2(SCMP_CMP_NE, NETLINK_ROUTE, 0) };

	for (size_t i = 0; i < SIZE(families); i++)
		rule(f, SCMP_ACT_ERRNO(EPERM), "socket", 1,
			&SCMP_A0(SCMP_CMP_MASKED_EQ, LOW_32, families[i]));
	rule(f, SCMP_ACT_ERRNO(EPERM), "socket", 2, netlink);
}

static void append(struct program *p, scmp_filter_ctx f)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	size_t room = (SIZE(p->insns) - p->len) * sizeof(p->insns[0]);
	ssize_t n;

	if (fd < 0 || seccomp_export_bpf(f, fd) < 0)
		die("cannot write", "filter", errno);
	n = pread(fd, &p->insns[p->len], room, 0);
	if (n <= 0 || (size_t)n == room)
		die("cannot read", "filter", E2BIG);
	p->len += (size_t)n / sizeof(p->insns[0]);
	close(fd);
	seccomp_release(f);
}

/* What is allowed so far goes on behind the end. */
static void chain(struct program *p)
{
	for (size_t i = 0; i < p->len; i++) {
		struct sock_filter *insn = &p->insns[i];

		if (insn->code == (BPF_RET | BPF_K) && insn->k == SCMP_ACT_ALLOW)
			*insn = (struct sock_filter)BPF_STMT(
				BPF_JMP | BPF_JA, (unsigned)(p->len - i - 1));
	}
}

static void append_denied(struct program *p, bool strict, bool net, bool uring)
{
	scmp_filter_ctx f = new_filter(SCMP_ACT_ALLOW);

	rules(f, SCMP_ACT_ERRNO(EPERM), denied, SIZE(denied));
	rule(f, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
	if (strict)
		rules(f, SCMP_ACT_ERRNO(EPERM), denied_strict, SIZE(denied_strict));
	if (!uring)
		rules(f, SCMP_ACT_ERRNO(EPERM), io_uring, SIZE(io_uring));
	deny_arguments(f);
	if (net)
		deny_sockets(f);
	else
		rule(f, SCMP_ACT_ERRNO(EPERM), "socket", 0, NULL);
	append(p, f);
}

static void append_allowed(struct program *p, bool net, bool uring)
{
	scmp_filter_ctx f = new_filter(SCMP_ACT_ERRNO(ENOSYS));

	rules(f, SCMP_ACT_ALLOW, allowed, SIZE(allowed));
	if (net)
		rule(f, SCMP_ACT_ALLOW, "socket", 0, NULL);
	if (uring)
		rules(f, SCMP_ACT_ALLOW, io_uring, SIZE(io_uring));
	append(p, f);
}

static void print(const char *name, const struct program *p)
{
	printf("static const struct sock_filter %s[] = {\n", name);
	for (size_t i = 0; i < p->len; i++)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", p->insns[i].code, p->insns[i].jt,
			p->insns[i].jf, p->insns[i].k);
	printf("};\n\n");
}

static void filter(const char *name, bool strict, bool net, bool uring)
{
	static struct program p;

	p.len = 0;
	append_denied(&p, strict, net, uring);
	if (strict) {
		chain(&p);
		append_allowed(&p, net, uring);
	}
	print(name, &p);
}

int main(void)
{
	filter("filter_default", false, true, false);
	filter("filter_default_uring", false, true, true);
	filter("filter_strict", true, false, false);
	filter("filter_strict_uring", true, false, true);
	filter("filter_strict_net", true, true, false);
	filter("filter_strict_net_uring", true, true, true);
	return fflush(stdout) || ferror(stdout);
}
