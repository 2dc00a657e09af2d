/* SPDX-License-Identifier: MIT */
/*
 * tree.c - where commands run and how all that comes from them is found again: the keeper and its trees.
 *
 * With cgroups the keeper makes one directory below our own cgroup, pcore.PID.N, holds a flock on it and starts the
 * watchdog, which shares that lock; a directory whose lock can be taken belongs to nobody and is swept. A single tree is
 * that directory itself, several are the leaves 0, 1, ... in it. Otherwise each tree has a supervisor of its own.
 */
#include "libcore/proc/private.h"

#include <dirent.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { STACK_SIZE = 64 * 1024, SWEEP_MAX = 16, LEAVES_MAX = 4096, NAME_TRIES = 64 };
enum { MOUNTINFO_READ = 32 * 1024, MOUNTINFO_MAX = 16 * 1024 * 1024 };

struct pcore_keeper {
	enum pcore_tree_method method;
	bool single;
	bool no_clone3;
	unsigned n_trees; /* alive */
	char *stack;	  /* of the child before exec; one child at a time */
	int parent_pidfd; /* our own, for those who wait for our death */

	int base_fd; /* our cgroup */
	int run_fd;  /* pcore.PID.N in it, locked */
	char run_name[48];
	struct pcore_aside aside;
	struct raw_watchdog dog;
	char *dog_stack;
	int dog_pidfd;
};

struct pcore_tree {
	struct pcore_keeper *keeper;
	enum pcore_tree_method method;

	int dir_fd;	/* the leaf; the keeper's run_fd with a single tree */
	int events_fd;	/* its cgroup.events */
	unsigned index; /* its name */
	bool killed;	/* by cgroup.kill */
	bool no_placing;

	struct raw_sup *sup; /* NULL until the first command */
	char *sup_stack;
	int sup_pidfd;
	unsigned long sup_namespaces; /* what it has besides PID and mount */
};

static char *stack_new(void)
{
	char *p = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void stack_free(char *p)
{
	if (p)
		(void)munmap(p, STACK_SIZE);
}

static void sleep_ms(long ms)
{
	struct timespec ts = { .tv_nsec = ms * NS_PER_MS };

	(void)nanosleep(&ts, NULL);
}

/* Start a helper process that shares our memory. Its pidfd or -errno. */
static int start_helper(unsigned long flags, char *stack, void (*fn)(void *), void *arg)
{
	int pidfd = -EBADF;
	uint64_t mask = pcore_signals_block();
	long r = pcore_clone(flags | CLONE_VM | CLONE_PIDFD, stack + STACK_SIZE, &pidfd, fn, arg);

	pcore_signals_restore(mask);
	return r < 0 ? (int)r : pidfd;
}

static int wait_helper(int pidfd)
{
	int r;

	do
		r = (int)raw5(SYS_waitid, P_PIDFD, pidfd, NULL, WEXITED | __WALL, NULL);
	while (r == -EINTR);
	return r;
}

/* ---- finding our cgroup ---- */

/* Undo mountinfo's \ooo in place. */
static void unescape_octal(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 ROOT MOUNTPOINT options ... - cgroup2 source superoptions": the directory of cgroup path, if it is in there. */
static bool cgroup_dir_of_mount(char *line, const char *path, char *dst, size_t size)
{
	char *field[5], *save = NULL, *type = strstr(line, " - ");
	size_t root_len;

	if (!type || strncmp(type, " - cgroup2 ", 11) != 0)
		return false;
	for (size_t i = 0; i < 5; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	unescape_octal(field[3]);
	unescape_octal(field[4]);
	root_len = strcmp(field[3], "/") == 0 ? 0 : strlen(field[3]);
	if (strncmp(path, field[3], root_len) != 0 || (path[root_len] && path[root_len] != '/'))
		return false;
	return (size_t)snprintf(dst, size, "%s%s", field[4], path + root_len) < size;
}

static int own_cgroup_path(char *buf, size_t size)
{
	char *line;
	ssize_t n = pcore_file_read(AT_FDCWD, "/proc/self/cgroup", buf, size);

	if (n < 0)
		return (int)n;
	for (line = buf; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line += 3;
		line[strcspn(line, "\n")] = '\0';
		memmove(buf, line, strlen(line) + 1);
		return 0;
	}
	return -ENOENT;
}

/* All of /proc/self/mountinfo; malloc'd. The kernel writes it anew for each read, so it is read in large pieces. */
static char *read_mountinfo(void)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(MOUNTINFO_MAX);
	_cleanup_(fd_closep) int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	while (fd >= 0 && pcore_buf_reserve(&b, MOUNTINFO_READ) == 0 && (n = read(fd, b.data + b.len, MOUNTINFO_READ)) > 0)
		b.len += (size_t)n;
	return n == 0 && pcore_buf_terminate(&b) == 0 ? TAKE_PTR(b.data) : NULL;
}

int pcore_cgroup_open(void)
{
	char path[4096], dir[8192];
	_cleanup_(freep) char *mounts = NULL;
	char *save = NULL;
	int r = own_cgroup_path(path, sizeof(path));

	if (r < 0)
		return r;

	mounts = read_mountinfo();
	if (!mounts)
		return -ENOMEM;
	for (char *line = strtok_r(mounts, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!cgroup_dir_of_mount(line, path, dir, sizeof(dir)))
			continue;
		r = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return r < 0 ? -errno : r;
	}
	return -ENOENT;
}

/* ---- the keeper's cgroup ---- */

/* Remove a leaf that is about to be empty: the last process may still be on its way out. */
static int remove_cgroup(int dfd, const char *name, int tries)
{
	for (int i = 0; i < tries; i++) {
		if (unlinkat(dfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		if (i > 2)
			sleep_ms(1);
	}
	return -EBUSY;
}

/* Call fn for the directories below dir_fd whose names begin with prefix, at most left of them. */
static void each_child(int dir_fd, const char *prefix, int left, void (*fn)(int dir_fd, const char *name))
{
	char buf[4096] __attribute__((aligned(8)));
	_cleanup_(fd_closep) int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = getdents64(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *d = (const void *)(buf + at);

			if (d->d_type == DT_DIR && d->d_name[0] != '.' && strncmp(d->d_name, prefix, strlen(prefix)) == 0 && left-- > 0)
				fn(dir_fd, d->d_name);
			at += d->d_reclen;
		}
	}
}

static void remove_leaf(int run_fd, const char *name)
{
	(void)remove_cgroup(run_fd, name, 20);
}

static void sweep_one(int base_fd, const char *name)
{
	_cleanup_(fd_closep) int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;

	(void)pcore_file_write(fd, "cgroup.kill", "1");
	each_child(fd, "", LEAVES_MAX, remove_leaf);
	(void)remove_cgroup(base_fd, name, 20);
}

static void sweep(int base_fd)
{
	struct stat st;

	if (fstat(base_fd, &st) == 0 && st.st_nlink == 2)
		return; /* no cgroup below ours at all */
	each_child(base_fd, "pcore.", SWEEP_MAX, sweep_one);
}

/* Make and lock pcore.PID.N. A sweeper may take it between the two: then the next name does. */
static int make_run_dir(struct pcore_keeper *k)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		(void)snprintf(k->run_name, sizeof(k->run_name), "pcore.%d.%d", getpid(), i);
		if (mkdirat(k->base_fd, k->run_name, 0755) < 0) {
			if (errno == EEXIST)
				continue;
			return -errno;
		}
		k->run_fd = openat(k->base_fd, k->run_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (k->run_fd >= 0 && flock(k->run_fd, LOCK_EX | LOCK_NB) == 0 &&
			faccessat(k->run_fd, "cgroup.kill", W_OK, 0) == 0)
			return 0;
		k->run_fd = pcore_fd_close(k->run_fd);
		(void)unlinkat(k->base_fd, k->run_name, AT_REMOVEDIR);
	}
	return -EEXIST;
}

static int compare_int(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int start_watchdog(struct pcore_keeper *k)
{
	k->dog = (struct raw_watchdog){
		.fds = { k->parent_pidfd, k->base_fd, k->run_fd },
		.parent_pidfd = k->parent_pidfd,
		.base_fd = k->base_fd,
		.run_fd = k->run_fd,
		.run_name = k->run_name,
	};
	qsort(k->dog.fds, 3, sizeof(int), compare_int);
	k->dog_stack = stack_new();
	if (!k->dog_stack)
		return -ENOMEM;

	k->dog_pidfd = start_helper(0, k->dog_stack, raw_watchdog, &k->dog);
	return k->dog_pidfd < 0 ? k->dog_pidfd : 0;
}

static void stop_watchdog(struct pcore_keeper *k)
{
	if (k->dog_pidfd >= 0) {
		(void)raw4(SYS_pidfd_send_signal, k->dog_pidfd, SIGKILL, NULL, 0);
		(void)wait_helper(k->dog_pidfd);
	}
	k->dog_pidfd = pcore_fd_close(k->dog_pidfd);
	stack_free(k->dog_stack);
	k->dog_stack = NULL;
}

static void close_cgroup(struct pcore_keeper *k)
{
	if (k->run_fd >= 0)
		(void)remove_cgroup(k->base_fd, k->run_name, 1000);
	pcore_aside_back(&k->aside);
	stop_watchdog(k);
	k->run_fd = pcore_fd_close(k->run_fd);
	k->base_fd = pcore_fd_close(k->base_fd);
}

static int open_cgroup(struct pcore_keeper *k)
{
	int r;

	k->base_fd = pcore_cgroup_open();
	if (k->base_fd < 0)
		return k->base_fd;

	r = faccessat(k->base_fd, "cgroup.procs", W_OK, 0) < 0 ? -errno : 0;
	if (r == 0) {
		sweep(k->base_fd);
		r = make_run_dir(k);
	}
	if (r == 0)
		r = start_watchdog(k);
	if (r < 0)
		close_cgroup(k);
	return r;
}

/* ---- the keeper ---- */

int pcore_keeper_new(struct pcore_keeper **ret, bool single, bool pid_namespace, struct pcore_err *err)
{
	static const char children[] = "/proc/thread-self/children"; /* without it a supervisor finds nobody */
	struct pcore_keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return pcore_err_set(err, -ENOMEM, PCORE_STEP_SUPERVISOR, "");

	k->single = single;
	k->base_fd = k->run_fd = k->dog_pidfd = k->aside.fd = -EBADF;
	k->parent_pidfd = (int)raw2(SYS_pidfd_open, getpid(), 0);
	k->stack = stack_new();
	if (k->parent_pidfd < 0 || !k->stack) {
		int r = k->parent_pidfd < 0 ? k->parent_pidfd : -ENOMEM;

		pcore_keeper_free(k);
		return pcore_err_set(err, r, PCORE_STEP_SUPERVISOR, "");
	}
	k->method = pid_namespace ? PCORE_TREE_PIDNS : PCORE_TREE_SUPERVISOR;
	if (!pid_namespace && open_cgroup(k) == 0)
		k->method = PCORE_TREE_CGROUP;
	if (k->method == PCORE_TREE_SUPERVISOR && access(children, R_OK) < 0) {
		int r = -errno;

		pcore_keeper_free(k);
		return pcore_err_set(err, r, PCORE_STEP_SUPERVISOR, children);
	}
	*ret = k;
	return 0;
}

void pcore_keeper_free(struct pcore_keeper *k)
{
	if (!k)
		return;

	assert(k->n_trees == 0);

	if (k->method == PCORE_TREE_CGROUP)
		close_cgroup(k);
	k->parent_pidfd = pcore_fd_close(k->parent_pidfd);
	stack_free(k->stack);
	free(k);
}

/* ---- supervisors ---- */

static bool sup_dead(const struct pcore_tree *t)
{
	siginfo_t si = { .si_pid = 0 };

	return raw5(SYS_waitid, P_PIDFD, t->sup_pidfd, &si, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) < 0 || si.si_pid != 0;
}

/* Ask and wait for the answer. -ESRCH when the supervisor has been killed. */
static long sup_call(struct pcore_tree *t, enum raw_sup_op op)
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

static void sup_free(struct pcore_tree *t)
{
	if (!t->sup)
		return;

	if (t->sup_pidfd >= 0) {
		if (!sup_dead(t))
			(void)sup_call(t, RAW_SUP_QUIT);
		(void)wait_helper(t->sup_pidfd);
	}
	t->sup_pidfd = pcore_fd_close(t->sup_pidfd);
	t->sup->signal_fd = pcore_fd_close(t->sup->signal_fd);
	t->sup->request_fd = pcore_fd_close(t->sup->request_fd);
	t->sup->empty_fd = pcore_fd_close(t->sup->empty_fd);
	(void)munmap(t->sup, sizeof(*t->sup));
	t->sup = NULL;
	stack_free(t->sup_stack);
	t->sup_stack = NULL;
}

/* In a new user namespace our ids map to themselves and to nothing else. */
static int map_ids(pid_t pid)
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

/* The pid of a pidfd as our /proc has it, or -errno. */
static pid_t pid_of(int pidfd)
{
	char path[48], buf[512];
	const char *p;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	n = pcore_file_read(AT_FDCWD, path, buf, sizeof(buf));
	if (n < 0)
		return (pid_t)n;

	p = strstr(buf, "\nPid:");
	return p ? (pid_t)strtol(p + 5, NULL, 10) : -ESRCH;
}

static int sup_enter_namespace(struct pcore_tree *t, bool new_user)
{
	int r = new_user ? map_ids(pid_of(t->sup_pidfd)) : 0;

	return r < 0 ? r : (int)sup_call(t, RAW_SUP_MOUNT);
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
	t->sup_stack = stack_new();
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
		r = t->sup_pidfd = start_helper(flags, t->sup_stack, raw_supervisor, t->sup);
		if (t->method == PCORE_TREE_PIDNS)
			c->step = PCORE_STEP_NAMESPACE;
	}
	if (r >= 0 && t->method == PCORE_TREE_PIDNS)
		r = sup_enter_namespace(t, new_user);
	if (r < 0)
		sup_free(t);
	return c->code = r < 0 ? r : 0;
}

static int sup_spawn(struct pcore_tree *t, struct raw_spawn *s)
{
	struct raw_child *c = s->child;
	unsigned long namespaces = c->sandbox ? c->sandbox->tree_namespaces : 0;
	int r;

	if (!t->sup || sup_dead(t) || t->sup_namespaces != namespaces) {
		sup_free(t);
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
	r = (int)sup_call(t, RAW_SUP_SPAWN);
	if (r == -ESRCH && c->code == 0) {
		c->step = PCORE_STEP_SUPERVISOR;
		c->code = r;
	}
	if (r == 0 && t->method == PCORE_TREE_PIDNS)
		s->pid = pid_of(s->pidfd);
	return r;
}

/* ---- trees ---- */

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
	(void)remove_cgroup(t->keeper->run_fd, name, 1000);
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

	sup_free(t);
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
	s->stack_size = STACK_SIZE;
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
	r = sup_spawn(t, s);
	k->no_clone3 = s->no_clone3;
	return r;
}

int pcore_tree_reap(struct pcore_tree *t, struct pcore_exit *ret)
{
	long r;

	if (!t->sup)
		return -ECHILD;

	r = sup_call(t, RAW_SUP_REAP);
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
	return (int)sup_call(t, RAW_SUP_SIGNAL);
}

int pcore_tree_kill(struct pcore_tree *t)
{
	if (t->method == PCORE_TREE_CGROUP) {
		t->killed = true;
		return pcore_file_write(t->dir_fd, "cgroup.kill", "1");
	}
	return t->sup ? (int)sup_call(t, RAW_SUP_KILL) : -ESRCH;
}

unsigned pcore_tree_count(struct pcore_tree *t)
{
	long n;

	if (t->method == PCORE_TREE_CGROUP)
		return each_member(t, NULL, 0);

	n = t->sup ? sup_call(t, RAW_SUP_COUNT) : 0;
	return n > 0 ? (unsigned)n : 0;
}

bool pcore_tree_empty(struct pcore_tree *t)
{
	char buf[128];
	ssize_t n;

	if (t->method != PCORE_TREE_CGROUP)
		return !t->sup || sup_call(t, RAW_SUP_EMPTY) != 0; /* < 0: the supervisor is dead */

	n = pread(t->events_fd, buf, sizeof(buf) - 1, 0);
	if (n < 0)
		return true;
	buf[n] = '\0';
	return strstr(buf, "populated 0") != NULL;
}

void pcore_tree_release(struct pcore_tree *t)
{
	if (t->method != PCORE_TREE_CGROUP) {
		sup_free(t); /* they become children of whoever reaps orphans here */
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
	pcore_aside_enable(&k->aside, pid_of(k->dog_pidfd), word + 1);
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
	return sup_call(t, RAW_SUP_WATCH) < 0 ? -ESRCH : t->sup->empty_fd;
}
