/* SPDX-License-Identifier: MIT */
/*
 * supervisor.c - our side of a tree's supervisor, the process that is its command's parent: start it, ask it, end it.
 *
 * What it does itself is in raw_supervisor.c. Both sides share struct raw_sup, and one question is asked at a time.
 */
#include "libcore/proc/tree.h"

#include <linux/futex.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static bool sup_dead(const struct pcore_tree *t)
{
	siginfo_t si = { .si_pid = 0 };

	return raw5(SYS_waitid, P_PIDFD, t->sup_pidfd, &si, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) < 0 || si.si_pid != 0;
}

long pcore_sup_call(struct pcore_tree *t, enum raw_sup_op op)
{
	static const uint64_t one = 1;
	const struct timespec second = { .tv_sec = 1 };
	struct raw_sup *s = t->sup;

	s->op = op;
	__atomic_store_n(&s->state, RAW_SUP_ASKED, __ATOMIC_SEQ_CST);
	(void)raw3(SYS_write, s->request_fd, &one, sizeof(one));
	while (__atomic_load_n(&s->state, __ATOMIC_SEQ_CST) == RAW_SUP_ASKED) {
		long r = raw6(SYS_futex, RAW_ARG(&s->state), FUTEX_WAIT_PRIVATE, RAW_SUP_ASKED, RAW_ARG(&second), 0, 0);

		if (r == -ETIMEDOUT && sup_dead(t))
			return -ESRCH;
	}
	return s->result;
}

void pcore_sup_free(struct pcore_tree *t)
{
	if (!t->sup)
		return;

	if (t->sup_pidfd >= 0) {
		if (!sup_dead(t))
			(void)pcore_sup_call(t, RAW_SUP_QUIT);
		(void)pcore_helper_wait(t->sup_pidfd);
	}
	t->sup_pidfd = pcore_fd_close(t->sup_pidfd);
	t->sup->signal_fd = pcore_fd_close(t->sup->signal_fd);
	t->sup->request_fd = pcore_fd_close(t->sup->request_fd);
	t->sup->empty_fd = pcore_fd_close(t->sup->empty_fd);
	(void)munmap(t->sup, sizeof(*t->sup));
	t->sup = NULL;
	pcore_stack_free(t->sup_stack);
	t->sup_stack = NULL;
}

static int write_maps(pid_t pid)
{
	char path[64], text[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
	r = pcore_file_write(AT_FDCWD, path, "deny");
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	(void)snprintf(text, sizeof(text), "%u %u 1", geteuid(), geteuid());
	r = pcore_file_write(AT_FDCWD, path, text);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	(void)snprintf(text, sizeof(text), "%u %u 1", getegid(), getegid());
	return pcore_file_write(AT_FDCWD, path, text);
}

/* In a new user namespace our ids map to themselves and to nothing else. Its files in /proc are root's as long as the memory that
 * it shares with us must not be dumped, which a node sees to: for the moment it may. */
static int map_ids(pid_t pid)
{
	bool dumpable = prctl(PR_GET_DUMPABLE) == 1;
	int r;

	if (!dumpable)
		(void)prctl(PR_SET_DUMPABLE, 1);
	r = write_maps(pid);
	if (!dumpable)
		(void)prctl(PR_SET_DUMPABLE, 0);
	return r;
}

static int sup_enter_namespace(struct pcore_tree *t, bool new_user)
{
	int r = new_user ? map_ids(pcore_pidfd_pid(t->sup_pidfd)) : 0;

	return r < 0 ? r : (int)pcore_sup_call(t, RAW_SUP_MOUNT);
}

static int sup_alloc(struct pcore_tree *t)
{
	struct raw_sup *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return -ENOMEM;

	t->sup = s;
	s->parent_pidfd = t->keeper->parent_pidfd;
	s->pid_namespace = t->method == PCORE_TREE_PIDNS;
	s->signal_fd = -EBADF;
	s->request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->empty_fd = s->request_fd < 0 ? -EBADF : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->empty_fd < 0) {
		int r = -errno;

		s->empty_fd = -EBADF;
		s->request_fd = s->request_fd < 0 ? -EBADF : s->request_fd;
		return r;
	}
	t->sup_stack = pcore_stack_new();
	return t->sup_stack ? 0 : -ENOMEM;
}

static int sup_start(struct pcore_tree *t, struct raw_child *c)
{
	bool new_user = t->method == PCORE_TREE_PIDNS && geteuid() != 0;
	unsigned long flags = CLONE_FILES;
	int r;

	if (t->method == PCORE_TREE_PIDNS)
		flags |= CLONE_NEWPID | CLONE_NEWNS | (new_user ? CLONE_NEWUSER : 0) | t->sup_namespaces;
	r = sup_alloc(t);
	c->step = PCORE_STEP_SUPERVISOR;
	if (r == 0) {
		r = t->sup_pidfd = pcore_helper_start(flags, t->sup_stack, raw_supervisor, t->sup);
		if (t->method == PCORE_TREE_PIDNS)
			c->step = PCORE_STEP_NAMESPACE;
	}
	if (r >= 0 && t->method == PCORE_TREE_PIDNS)
		r = sup_enter_namespace(t, new_user);
	if (r < 0)
		pcore_sup_free(t);
	return c->code = r < 0 ? r : 0;
}

int pcore_sup_spawn(struct pcore_tree *t, struct raw_spawn *s)
{
	struct raw_child *c = s->child;
	unsigned long namespaces = c->sandbox ? c->sandbox->tree_namespaces : 0;
	int r;

	if (!t->sup || sup_dead(t) || t->sup_namespaces != namespaces) {
		pcore_sup_free(t);
		t->sup_namespaces = namespaces;
		r = sup_start(t, c);
		if (r < 0)
			return r;
	}
	/* The supervisor has a process group of its own; the command belongs to ours. */
	if (t->method == PCORE_TREE_SUPERVISOR && !c->new_session && !c->set_pgroup) {
		c->set_pgroup = true;
		c->pgroup = getpgrp();
	}
	t->sup->spawn = s;
	r = (int)pcore_sup_call(t, RAW_SUP_SPAWN);
	if (r == -ESRCH && c->code == 0) {
		c->step = PCORE_STEP_SUPERVISOR;
		c->code = r;
	}
	if (r == 0 && t->method == PCORE_TREE_PIDNS)
		s->pid = pcore_pidfd_pid(s->pidfd);
	return r;
}
