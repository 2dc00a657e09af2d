/* SPDX-License-Identifier: MIT */
/*
 * probe - tries what a sandbox denies and prints `name ERRNO` (`name ok`) for each.
 * Usage: probe [NAME...]; without a name all but i386 and x32, which end the program where they are
 * denied. It is linked statically. Arguments are such that nothing happens where the operation is
 * let through.
 */
#include <fcntl.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "tests/helpers/helper.h"

#define CALL(name, ...) { #name, SYS_##name, { __VA_ARGS__ } }
#define ADDRESS(s) (long)(s)
#define HIGH (1L << 32) /* the kernel does not look there */

static const struct {
	const char *name;
	long nr;
	long args[6];
} calls[] = {
	CALL(chroot), CALL(fsconfig, -1), CALL(fsmount, -1), CALL(fsopen), CALL(fspick, -1),
	CALL(mount),
	CALL(mount_setattr, -1), CALL(move_mount, -1, 0, -1), CALL(open_tree, -1), { "open_tree_attr", 467, { -1 } },
	CALL(pivot_root), CALL(umount2), CALL(delete_module), CALL(finit_module, -1),
	CALL(init_module), CALL(kexec_load, 0, 17), CALL(reboot), CALL(swapoff), CALL(swapon),
	CALL(adjtimex), CALL(clock_adjtime, -1), CALL(clock_settime, -1), CALL(settimeofday, 1),
#ifdef __x86_64__
	CALL(ioperm, -1), CALL(iopl, 9), CALL(modify_ldt, 99), CALL(sysfs, 99), CALL(_sysctl),
	CALL(uselib), CALL(ustat),
#endif
	CALL(bpf, -1), CALL(perf_event_open), CALL(pidfd_getfd, -1),
	CALL(process_vm_readv, 1, 0, 0, 0, 0, 1), CALL(process_vm_writev, 1, 0, 0, 0, 0, 1),
	CALL(ptrace, -1), CALL(userfaultfd, -1), CALL(add_key), CALL(keyctl, -1), CALL(request_key),
	CALL(fanotify_init, -1), CALL(open_by_handle_at, -1), CALL(personality, 0xffffffff),
	CALL(setns, -1), CALL(unshare, 1), CALL(io_uring_setup), CALL(io_uring_enter, -1),
	CALL(io_uring_register, -1), CALL(clone3),
	{ "clone_newuser", SYS_clone, { CLONE_NEWUSER | CLONE_FS } },
	{ "clone_newns", SYS_clone, { CLONE_NEWNS | CLONE_FS } },
	{ "clone_newpid", SYS_clone, { CLONE_NEWPID | CLONE_THREAD } },
	{ "tiocsti", SYS_ioctl, { -1, TIOCSTI } },
	{ "tiocsti_high", SYS_ioctl, { -1, HIGH | TIOCSTI } },
	{ "tioclinux", SYS_ioctl, { -1, TIOCLINUX } },
	{ "tiocgwinsz", SYS_ioctl, { -1, TIOCGWINSZ } },
	{ "socket_alg", SYS_socket, { AF_ALG, -1 } },
	{ "socket_vsock", SYS_socket, { AF_VSOCK, -1 } },
	{ "socket_packet", SYS_socket, { AF_PACKET, -1 } },
	{ "socket_packet_high", SYS_socket, { HIGH | AF_PACKET, -1 } },
	{ "socket_audit", SYS_socket, { AF_NETLINK, SOCK_RAW, NETLINK_AUDIT } },
	{ "socket_route", SYS_socket, { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE } },
	{ "socket_inet", SYS_socket, { AF_INET, SOCK_STREAM } },
	{ "socket_unix", SYS_socket, { AF_UNIX, SOCK_STREAM } },
	CALL(fchown, -1), CALL(fchownat, -1), CALL(setgroups, -1), CALL(setuid, -1),
	CALL(setresgid, -1, -1, -1), CALL(mbind, 1), CALL(setpriority, -1), CALL(sched_setaffinity),
	CALL(acct, 1), CALL(quotactl, -1), CALL(seccomp, -1), CALL(pkey_alloc, -1), { "unknown", 1000, { 0 } },
	{ "open_read", SYS_openat, { AT_FDCWD, ADDRESS("/etc/passwd"), O_RDONLY } },
	{ "open_write", SYS_openat, { AT_FDCWD, ADDRESS("/etc/passwd"), O_WRONLY } },
	{ "open_proc", SYS_openat, { AT_FDCWD, ADDRESS("/proc/self/status"), O_RDONLY } },
	{ "open_sysctl", SYS_openat, { AT_FDCWD, ADDRESS("/proc/sys/kernel/core_pattern"), O_WRONLY } },
	{ "open_null", SYS_openat, { AT_FDCWD, ADDRESS("/dev/null"), O_RDWR } },
	{ "open_var", SYS_openat, { AT_FDCWD, ADDRESS("/var/lib"), O_RDONLY } },
	{ "open_tmp", SYS_openat, { AT_FDCWD, ADDRESS("/tmp"), O_TMPFILE | O_RDWR, 0600 } },
	{ "open_shm", SYS_openat, { AT_FDCWD, ADDRESS("/dev/shm"), O_TMPFILE | O_RDWR, 0600 } },
	{ "truncate", SYS_truncate, { ADDRESS("/etc/passwd"), -1 } },
	{ "chmod", SYS_fchmodat, { AT_FDCWD, ADDRESS("/etc"), 0755 } },
};

enum { CALLS_MAX = sizeof(calls) / sizeof(calls[0]) };

static void try(size_t i)
{
	const long *a = calls[i].args;
	long r = syscall((int)calls[i].nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	printf("%s %s\n", calls[i].name, r < 0 ? strerrorname_np(errno) : "ok");
}

/* The same kernel by the doors of other architectures. */
static void foreign(const char *name)
{
	long r = -1;

#ifdef __x86_64__
	if (!strcmp(name, "i386"))
		__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory"); /* getpid */
	if (!strcmp(name, "x32"))
		r = syscall(0x40000000 | SYS_getpid);
#endif
	printf("%s %s\n", name, r < 0 ? "ENOSYS" : "ok");
}

int main(int argc, char **argv)
{
	for (int arg = 1; arg < argc; arg++) {
		bool known = false;

		for (size_t i = 0; i < CALLS_MAX; i++)
			if (!strcmp(argv[arg], calls[i].name)) {
				try(i);
				known = true;
			}
		if (!known)
			foreign(argv[arg]);
	}
	for (size_t i = 0; i < CALLS_MAX && argc == 1; i++)
		try(i);
	return fflush(stdout) ? 1 : 0;
}
