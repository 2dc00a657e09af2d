/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the floor programs share: a clock, numbers from the command line, clone3 and
 * medians.
 *
 * Each program prints one bare figure a line, so that the script `run` can take medians and ratios.
 */
#ifndef PCORE_BENCH_H
#define PCORE_BENCH_H

#include <errno.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_STACK = 65536 };

_Noreturn static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(125);
}

static inline int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline unsigned number(const char *s, unsigned max)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno || end == s || *end || v == 0 || v > max) {
		errno = EINVAL;
		die(s);
	}
	return (unsigned)v;
}

static inline int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Sorts v. */
static inline int64_t median(int64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* clone3 into fn(arg), which must not return, on the stack that args names. The pid, or -errno. */
static inline long clone3_into(struct clone_args *args, void (*fn)(void *), void *arg)
{
#if defined(__x86_64__)
	register void (*f)(void *) __asm__("r8") = fn;
	register void *p __asm__("r9") = arg;
	long ret;

	__asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\tmov %%r9, %%rdi\n\tcall *%%r8\n\thlt\n1:"
			 : "=a"(ret)
			 : "a"(SYS_clone3), "D"(args), "S"(sizeof(*args)), "r"(f), "r"(p)
			 : "rcx", "r11", "cc", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x0 __asm__("x0") = (long)args;
	register size_t x1 __asm__("x1") = sizeof(*args);
	register long x8 __asm__("x8") = SYS_clone3;
	register void (*f)(void *) __asm__("x2") = fn;
	register void *p __asm__("x3") = arg;

	__asm__ volatile(
		"svc #0\n\tcbnz x0, 1f\n\tmov x29, xzr\n\tmov x0, x3\n\tblr x2\n\tbrk #1\n1:"
		: "+r"(x0)
		: "r"(x1), "r"(x8), "r"(f), "r"(p)
		: "x30", "cc", "memory");
	return x0;
#else
#error "no clone3 for this architecture"
#endif
}

/* A child that shares our memory until it execs in fn(arg). Dies when there is none. */
static inline pid_t vspawn(void (*fn)(void *), void *arg, char *stack, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
		.pidfd = (uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = BENCH_STACK,
	};
	long r = clone3_into(&args, fn, arg);

	if (r < 0) {
		errno = (int)-r;
		die("clone3");
	}
	return (pid_t)r;
}

/* Two ends of a TCP connection on loopback. */
static inline void tcp_pair(int fds[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof(at);

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&at, len) < 0 || listen(listener, 1) < 0 ||
		getsockname(listener, (struct sockaddr *)&at, &len) < 0 || connect(fds[0], (struct sockaddr *)&at, len) < 0)
		die("socket");
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	for (int i = 0; i < 2; i++)
		(void)setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

#endif
