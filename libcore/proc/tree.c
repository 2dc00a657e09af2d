/* SPDX-License-Identifier: MIT */
/*
 * tree.c - a tree: where a command runs, and how all that comes from it is found again.
 *
 * With cgroups a single tree is the keeper's directory itself, several are the leaves 0, 1, ... in it. Otherwise each tree has
 * a supervisor of its own.
 */
#include "libcore/proc/tree.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int leaf_open(struct pcore_tree *t)
{
	struct pcore_keeper *k = t->keeper;
	char name[16];

	if (k->single) {
		t->dir_fd = k->run_fd;
	} else {
		(void)snprintf(name, sizeof(name), "%u", t->index);
		if (mkdirat(k->run_fd, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		t->dir_fd = openat(k->run_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (t->dir_fd < 0)
			return -errno;
	}
	t->events_fd = openat(t->dir_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	return t->events_fd < 0 ? -errno : 0;
}

static void leaf_close(struct pcore_tree *t)
{
	char name[16];

	t->events_fd = pcore_fd_close(t->events_fd);
	if (t->keeper->single) {
		t->dir_fd = -EBADF;
		return;
	}
	t->dir_fd = pcore_fd_close(t->dir_fd);
	(void)snprintf(name, sizeof(name), "%u", t->index);
	(void)pcore_cgroup_remove(t->keeper->run_fd, name, 1000);
}

int pcore_tree_new(struct pcore_tree **ret, struct pcore_keeper *k, struct pcore_err *err)
{
	struct pcore_tree *t = calloc(1, sizeof(*t));

	if (!t)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_SUPERVISOR, "");

	assert(!k->single || k->n_trees == 0);

	t->keeper = k;
	t->method = k->method;
	t->dir_fd = t->events_fd = t->sup_pidfd = -EBADF;
	if (t->method == PCORE_TREE_CGROUP) {
		int r;

		t->index = k->dog.n_leaves;
		r = leaf_open(t);
		if (r < 0) {
			leaf_close(t);
			free(t);
			return pcore_err_set(err, r, PCORE_STEP_CGROUP, k->run_name);
		}
		__atomic_add_fetch(&k->dog.n_leaves, k->single ? 0 : 1, __ATOMIC_SEQ_CST);
	}
	k->n_trees++;
	*ret = t;
	return 0;
}

void pcore_tree_free(struct pcore_tree *t)
{
	if (!t)
		return;

	pcore_sup_free(t);
	if (t->method == PCORE_TREE_CGROUP)
		leaf_close(t);
	t->keeper->n_trees--;
	free(t);
}

const char *pcore_tree_method_name(const struct pcore_tree *t)
{
	switch (t->method) {
	case PCORE_TREE_CGROUP:
		return "cgroup";
	case PCORE_TREE_PIDNS:
		return "pid-namespace";
	case PCORE_TREE_SUPERVISOR:
		return "supervisor";
	}
	return NULL;
}

bool pcore_tree_own_child(const struct pcore_tree *t)
{
	return t->method == PCORE_TREE_CGROUP;
}

/* The cgroup turned out to be no place for a command (threaded, not delegated, removed by somebody). */
static bool cgroup_refused(const struct raw_child *c)
{
	switch (c->code) {
	case -EACCES:
	case -EPERM:
	case -EBUSY:
	case -EOPNOTSUPP:
	case -ENODEV:
	case -ENOENT:
		return c->step == PCORE_STEP_CLONE || c->step == PCORE_STEP_CGROUP;
	default:
		return c->step == PCORE_STEP_CGROUP;
	}
}

/* A leaf that was killed once kills what is placed in it (see raw_child.c): make it anew. */
static void leaf_renew(struct pcore_tree *t)
{
	if (!t->killed || t->keeper->single)
		return;

	t->killed = false;
	t->no_placing = false;
	leaf_close(t);
	if (leaf_open(t) < 0) {
		leaf_close(t);
		t->method = PCORE_TREE_SUPERVISOR;
	}
}

static int leaf_spawn(struct pcore_tree *t, struct raw_spawn *s)
{
	uint64_t mask = pcore_signals_block();
	int r;

	s->cgroup_fd = t->dir_fd;
	s->no_placing = t->no_placing;
	r = raw_spawn(s);
	pcore_signals_restore(mask);
	t->no_placing = s->no_placing;
	t->keeper->no_clone3 = s->no_clone3;
	return r;
}

int pcore_tree_spawn(struct pcore_tree *t, struct raw_spawn *s)
{
	struct pcore_keeper *k = t->keeper;
	int r;

	assert(!s->child->sandbox || !s->child->sandbox->tree_namespaces || t->method == PCORE_TREE_PIDNS);

	s->stack = k->stack;
	s->stack_size = PCORE_STACK_SIZE;
	s->no_clone3 = k->no_clone3;
	if (t->method == PCORE_TREE_CGROUP)
		leaf_renew(t);
	if (t->method == PCORE_TREE_CGROUP) {
		r = leaf_spawn(t, s);
		if (r == 0 || !cgroup_refused(s->child))
			return r;
		leaf_close(t);
		t->method = PCORE_TREE_SUPERVISOR;
		s->cgroup_fd = -1;
	}
	r = pcore_sup_spawn(t, s);
	k->no_clone3 = s->no_clone3;
	return r;
}

int pcore_tree_reap(struct pcore_tree *t, struct pcore_exit *ret)
{
	long r;

	if (!t->sup)
		return -ECHILD;

	r = pcore_sup_call(t, RAW_SUP_REAP);
	if (r == -ESRCH)
		return -ECHILD;
	if (r < 0)
		return (int)r;

	ret->code = t->sup->info.si_code;
	ret->status = t->sup->info.si_status;
	ret->usage = t->sup->usage;
	return 0;
}

/* ---- signalling a cgroup ---- */

static bool in_cgroup(pid_t pid, const char *run_name)
{
	char path[48], buf[8192];

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return pcore_file_read(AT_FDCWD, path, buf, sizeof(buf)) > 0 && strstr(buf, run_name);
}

/* A pid from the list may be dead and have been given away: hold it, look again, then signal. */
static void signal_member(struct pcore_tree *t, pid_t pid, int sig)
{
	_cleanup_(fd_closep) int pidfd = (int)raw2(SYS_pidfd_open, pid, 0);

	if (pidfd >= 0 && in_cgroup(pid, t->keeper->run_name))
		(void)raw4(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

static void move_member(struct pcore_tree *t, pid_t pid, int sig)
{
	const struct pcore_keeper *k = t->keeper;
	char text[16];

	(void)sig;
	(void)snprintf(text, sizeof(text), "%d", pid);
	(void)pcore_file_write(k->aside.fd < 0 ? k->base_fd : k->aside.fd, "cgroup.procs", text);
}

/* Call fn (may be NULL) for each process of the leaf; how many there are. */
static unsigned each_member(struct pcore_tree *t, void (*fn)(struct pcore_tree *, pid_t, int), int sig)
{
	FILE *f;
	int fd = openat(t->dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	unsigned n = 0;
	pid_t pid;

	if (fd < 0)
		return 0;
	f = fdopen(fd, "r");
	if (!f) {
		(void)pcore_fd_close(fd);
		return 0;
	}
	while (fscanf(f, "%d", &pid) == 1) {
		n++;
		if (fn && pid > 0) /* 0: a process of another PID namespace */
			fn(t, pid, sig);
	}
	(void)fclose(f);
	return n;
}

int pcore_tree_signal(struct pcore_tree *t, int sig)
{
	if (t->method == PCORE_TREE_CGROUP) {
		(void)each_member(t, signal_member, sig);
		return 0;
	}
	if (!t->sup)
		return -ESRCH;

	t->sup->sig = sig;
	return (int)pcore_sup_call(t, RAW_SUP_SIGNAL);
}

int pcore_tree_kill(struct pcore_tree *t)
{
	if (t->method == PCORE_TREE_CGROUP) {
		t->killed = true;
		return pcore_file_write(t->dir_fd, "cgroup.kill", "1");
	}
	return t->sup ? (int)pcore_sup_call(t, RAW_SUP_KILL) : -ESRCH;
}

unsigned pcore_tree_count(struct pcore_tree *t)
{
	long n;

	if (t->method == PCORE_TREE_CGROUP)
		return each_member(t, NULL, 0);

	n = t->sup ? pcore_sup_call(t, RAW_SUP_COUNT) : 0;
	return n > 0 ? (unsigned)n : 0;
}

bool pcore_tree_empty(struct pcore_tree *t)
{
	char buf[128];
	ssize_t n;

	if (t->method != PCORE_TREE_CGROUP)
		return !t->sup || pcore_sup_call(t, RAW_SUP_EMPTY) != 0; /* < 0: the supervisor is dead */

	n = pread(t->events_fd, buf, sizeof(buf) - 1, 0);
	if (n < 0)
		return true;
	buf[n] = '\0';
	return strstr(buf, "populated 0") != NULL;
}

void pcore_tree_release(struct pcore_tree *t)
{
	if (t->method != PCORE_TREE_CGROUP) {
		pcore_sup_free(t); /* they become children of whoever reaps orphans here */
		return;
	}
	for (int i = 0; i < 100 && each_member(t, move_member, 0) > 0; i++)
		;
}

/* Of "memory.max", the children of our cgroup get the controller "memory". */
static void switch_on(const struct pcore_tree *t, const char *file)
{
	struct pcore_keeper *k = t->keeper;
	char word[24];

	(void)snprintf(word, sizeof(word), "+%.*s", (int)strcspn(file, "."), file);
	k->aside.base_fd = k->base_fd;
	(void)snprintf(k->aside.name, sizeof(k->aside.name), "%s.self", k->run_name);
	pcore_aside_enable(&k->aside, pcore_pidfd_pid(k->dog_pidfd), word + 1);
	if (!k->single)
		(void)pcore_file_write(k->run_fd, "cgroup.subtree_control", word);
}

int pcore_tree_limit(struct pcore_tree *t, const char *file, const char *value)
{
	int r;

	if (t->method != PCORE_TREE_CGROUP)
		return -EOPNOTSUPP;
	if (faccessat(t->dir_fd, file, F_OK, 0) < 0)
		switch_on(t, file);
	r = pcore_file_write(t->dir_fd, file, value);
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

uint64_t pcore_tree_oom_kills(struct pcore_tree *t)
{
	char buf[512];
	const char *line;

	if (t->method != PCORE_TREE_CGROUP || pcore_file_read(t->dir_fd, "memory.events", buf, sizeof(buf)) < 0)
		return 0;
	line = strstr(buf, "oom_kill ");
	return line ? strtoull(line + 9, NULL, 10) : 0;
}

int pcore_tree_watch(struct pcore_tree *t, unsigned *ret_events)
{
	uint64_t count;

	if (t->method == PCORE_TREE_CGROUP) {
		*ret_events = POLLPRI;
		return t->events_fd;
	}
	if (!t->sup)
		return -ESRCH;

	if (read(t->sup->empty_fd, &count, sizeof(count)) > 0)
		count = 0; /* an old word */
	*ret_events = POLLIN;
	return pcore_sup_call(t, RAW_SUP_WATCH) < 0 ? -ESRCH : t->sup->empty_fd;
}
