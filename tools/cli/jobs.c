/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - the registry of what runs in the background.
 */
#include "tools/cli/jobs.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/cli/rundir.h"
#include "tools/cli/template.h"

enum { NAME_TRIES = 10000, FILE_MAX = 4 * 1024 * 1024, LOOK_AGAIN_MS = 10 };

static const struct {
	const char *dir;
	char letter; /* of names that are made up */
	const char *hint;
} kinds[] = {
	[CLI_JOB_COMMAND] = { "jobs", 'p', "prun --forget removes one that is done" },
	[CLI_JOB_TIMER] = { "timers", 't', "ptimer cancel ends it" },
	[CLI_JOB_NODE] = { "nodes", 'n', "pnode status tells more" },
};

const char *cli_job_state_name(enum cli_job_state s)
{
	switch (s) {
	case CLI_JOB_RUNNING:
		return "running";
	case CLI_JOB_DONE:
		return "done";
	case CLI_JOB_LOST:
		return "lost";
	}
	return NULL;
}

/* ---- files of a job ---- */

int cli_job_write(int dfd, const char *file, const char *data, size_t len)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	char tmp[64];
	int r;

	(void)snprintf(tmp, sizeof(tmp), ".%s.new", file);
	fd = openat(dfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = pcore_fd_write_all(fd, data, len);
	if (r == 0 && renameat(dfd, tmp, dfd, file) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dfd, tmp, 0);
	return r;
}

/* The file's bytes and a NUL, or NULL. */
static char *read_whole(int dfd, const char *file)
{
	_cleanup_(fd_closep) int fd = openat(dfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	char *data;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > FILE_MAX)
		return NULL;
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return NULL;
	n = read(fd, data, (size_t)st.st_size);
	data[n > 0 ? n : 0] = '\0';
	return data;
}

int cli_job_write_meta(int dfd, char *const *argv)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	_cleanup_(pcore_buf_done) struct pcore_buf words = PCORE_BUF_INIT(0);
	_cleanup_(freep) char *safe = NULL;
	struct pcore_json j = PCORE_JSON_INIT(&b);
	int r = pcore_buf_addf(&b, "supervisor %d\nstart %" PRId64 "\nargv ", getpid(), pcore_clock_ns(CLOCK_REALTIME));

	pcore_json_array(&j);
	for (; *argv; argv++) {
		pcore_json_str(&j, *argv);
		if (r == 0 && words.len > 0)
			r = pcore_buf_addc(&words, ' ');
		if (r == 0)
			r = pcore_buf_adds(&words, *argv);
	}
	pcore_json_array_end(&j);
	safe = malloc(4 * words.len + 1);
	if (!safe || r < 0 || j.error < 0)
		return -ENOMEM;
	(void)pcore_escape(safe, 4 * words.len + 1, words.data, words.len);
	r = pcore_buf_addf(&b, "\ncommand %s\n", safe);
	return r < 0 ? r : cli_job_write(dfd, "meta", b.data, b.len);
}

/* ---- making one ---- */

/* A lock of the open file description: children share it, and others can ask for it without taking it. */
static int lock_dir(int dfd)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = openat(dfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &all) < 0) {
		int r = -errno;

		(void)pcore_fd_close(fd);
		return r;
	}
	return fd;
}

static int create_in(int jobs, const char *name, int *ret_dfd, int *ret_lock)
{
	int dfd, lock;

	if (mkdirat(jobs, name, 0700) < 0)
		return -errno;
	dfd = openat(jobs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dfd < 0)
		return -errno;
	lock = lock_dir(dfd);
	if (lock < 0) {
		(void)pcore_fd_close(dfd);
		return lock;
	}
	*ret_dfd = dfd;
	*ret_lock = lock;
	return 0;
}

int cli_job_create(enum cli_job_kind kind, const char *name, char **ret_name, int *ret_dfd, int *ret_lock_fd)
{
	_cleanup_(fd_closep) int jobs = cli_rundir_open(kinds[kind].dir);
	char made[24];
	int r = -EEXIST;

	if (jobs < 0)
		return CLI_FAILURE;
	if (name) {
		r = create_in(jobs, name, ret_dfd, ret_lock_fd);
	} else {
		for (int i = 1; i < NAME_TRIES && r == -EEXIST; i++) {
			(void)snprintf(made, sizeof(made), "%c%d", kinds[kind].letter, i);
			r = create_in(jobs, made, ret_dfd, ret_lock_fd);
		}
		name = made;
	}
	if (r == -EEXIST) {
		(void)cli_error("there is a '%s' already (%s)", name, kinds[kind].hint);
		return CLI_BUSY;
	}
	if (r < 0)
		return cli_error("cannot make '%s/%s/%s': %s", cli_rundir_path(), kinds[kind].dir, name, strerror(-r));
	*ret_name = strdup(name);
	return *ret_name ? CLI_GO : cli_error("out of memory");
}

/* ---- logs ---- */

static int open_log(int dfd, const char *name)
{
	int fd = openat(dfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

int cli_log_open(struct cli_log *l, int dfd, const char *name, uint64_t max)
{
	*l = (struct cli_log){ .dfd = dfd, .name = name, .max = max };
	l->fd = open_log(dfd, name);
	return l->fd < 0 ? l->fd : 0;
}

static int rotate(struct cli_log *l)
{
	char old[64];

	(void)snprintf(old, sizeof(old), "%s.old", l->name);
	if (renameat(l->dfd, l->name, l->dfd, old) < 0)
		return -errno;
	l->fd = pcore_fd_close(l->fd);
	l->size = 0;
	l->fd = open_log(l->dfd, l->name);
	return l->fd < 0 ? l->fd : 0;
}

int cli_log_write(struct cli_log *l, const char *data, size_t len)
{
	int r = 0;

	while (len > 0 && r == 0) {
		uint64_t room = l->max / 2 > l->size ? l->max / 2 - l->size : 0;
		size_t n = len < room ? len : (size_t)room;

		if (n == 0) {
			r = rotate(l);
			continue;
		}
		r = pcore_fd_write_all(l->fd, data, n);
		l->size += n;
		data += n;
		len -= n;
	}
	return r;
}

void cli_log_close(struct cli_log *l)
{
	l->fd = pcore_fd_close(l->fd);
}

static int copy_file(int dfd, const char *name, int to)
{
	_cleanup_(fd_closep) int fd = openat(dfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char buf[65536];
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (n = read(fd, buf, sizeof(buf))) != 0)
		r = n < 0 ? -errno : pcore_fd_write_all(to, buf, (size_t)n);
	return r;
}

int cli_log_copy(int dfd, const char *name, int fd)
{
	char old[64];
	int r;

	(void)snprintf(old, sizeof(old), "%s.old", name);
	r = copy_file(dfd, old, fd);
	return r < 0 ? r : copy_file(dfd, name, fd);
}

/* ---- looking ---- */

/* The value behind "key " at the beginning of a line; malloc'd. */
static char *meta_value(const char *meta, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = meta; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (strncmp(line, key, len) == 0 && line[len] == ' ')
			return strndup(line + len + 1, strcspn(line + len + 1, "\n"));
	return NULL;
}

static int64_t take_number(char *text, int64_t otherwise)
{
	int64_t v = text ? strtoll(text, NULL, 10) : otherwise;

	free(text);
	return v;
}

static bool is_locked(int dfd)
{
	_cleanup_(fd_closep) int fd = openat(dfd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK;
}

static void read_info(int dfd, struct cli_job_info *i)
{
	_cleanup_(freep) char *meta = NULL;
	bool locked = is_locked(dfd); /* first: what is written before the lock is let go is then there */

	meta = read_whole(dfd, "meta");
	i->supervisor = (pid_t)take_number(meta_value(meta, "supervisor"), 0);
	i->start_ns = take_number(meta_value(meta, "start"), 0);
	i->argv_json = meta_value(meta, "argv");
	i->command = meta_value(meta, "command");
	i->pid = (pid_t)take_number(read_whole(dfd, "pid"), 0);
	i->report = read_whole(dfd, "report");
	i->status = (int)take_number(read_whole(dfd, "status"), -1);
	i->state = locked ? CLI_JOB_RUNNING : i->status >= 0 ? CLI_JOB_DONE : CLI_JOB_LOST;
}

int cli_job_find(enum cli_job_kind kind, const char *name, struct cli_job_info *ret, int *ret_dfd)
{
	_cleanup_(fd_closep) int jobs = -EBADF;
	_cleanup_(fd_closep) int dfd = -EBADF;

	if (!cli_is_name(name))
		return cli_usage("invalid name '%s': letters, digits, and . _ - inside, at most 64", name);
	jobs = cli_rundir_open(kinds[kind].dir);
	if (jobs < 0)
		return CLI_FAILURE;
	dfd = openat(jobs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dfd < 0) {
		(void)cli_error("there is no '%s'", name);
		return CLI_NO;
	}
	*ret = (struct cli_job_info){ .kind = kind, .status = -1 };
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	read_info(dfd, ret);
	*ret_dfd = TAKE_FD(dfd);
	return CLI_GO;
}

void cli_job_info_done(struct cli_job_info *i)
{
	free(i->argv_json);
	free(i->command);
	free(i->report);
}

static int only_names(const struct dirent *d)
{
	return cli_is_name(d->d_name);
}

int cli_job_names(enum cli_job_kind kind, char ***ret)
{
	_cleanup_(fd_closep) int jobs = cli_rundir_open(kinds[kind].dir);
	struct dirent **list = NULL;
	char **names;
	int n;

	if (jobs < 0)
		return CLI_FAILURE;
	n = scandirat(jobs, ".", &list, only_names, versionsort);
	if (n < 0)
		return cli_error("cannot list '%s/%s': %s", cli_rundir_path(), kinds[kind].dir, strerror(errno));
	names = calloc((size_t)n + 1, sizeof(*names));
	for (int i = 0; i < n; i++) {
		if (names)
			names[i] = strdup(list[i]->d_name);
		free(list[i]);
	}
	free(list);
	*ret = names;
	return names ? CLI_GO : cli_error("out of memory");
}

void cli_job_names_free(char **names)
{
	for (char **n = names; n && *n; n++)
		free(*n);
	free(names);
}

/* Does nothing of the job run any more? Helpers of a supervisor that was killed may have its lock a little longer. */
static bool is_over(enum cli_job_kind kind, const char *name)
{
	_cleanup_(fd_closep) int jobs = cli_rundir_open(kinds[kind].dir);
	_cleanup_(fd_closep) int dfd = jobs < 0 ? -EBADF : openat(jobs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return dfd < 0 || !is_locked(dfd);
}

/* A pidfd of the job's supervisor, -ESRCH when there is none any more. */
static int supervisor_pidfd(enum cli_job_kind kind, const char *name)
{
	_cleanup_(fd_closep) int jobs = cli_rundir_open(kinds[kind].dir);
	_cleanup_(fd_closep) int dfd = jobs < 0 ? -EBADF : openat(jobs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(freep) char *meta = dfd < 0 ? NULL : read_whole(dfd, "meta");
	pid_t pid = (pid_t)take_number(meta_value(meta, "supervisor"), 0);
	_cleanup_(fd_closep) int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -EBADF;

	if (dfd < 0)
		return -ENOENT;
	return pidfd >= 0 && is_locked(dfd) ? TAKE_FD(pidfd) : -ESRCH; /* still locked: the pid is its own */
}

static int poll_left(int64_t deadline_ns)
{
	int64_t left = deadline_ns == INT64_MAX ? INT64_MAX : deadline_ns - pcore_now_ns();

	if (left == INT64_MAX)
		return -1;
	if (left <= 0)
		return 0;
	return left / NS_PER_MS >= INT32_MAX ? INT32_MAX : (int)(left / NS_PER_MS) + 1;
}

/* The first that is over, or -EAGAIN; *dying: a supervisor is dead but not all of its job. */
static int find_over(enum cli_job_kind kind, char *const *names, struct pollfd *fds, size_t n, bool *dying)
{
	*dying = false;
	for (size_t i = 0; i < n; i++) {
		if (fds[i].revents)
			fds[i].fd = pcore_fd_close(fds[i].fd);
		fds[i].revents = 0;
		if (fds[i].fd >= 0)
			continue;
		if (is_over(kind, names[i]))
			return (int)i;
		*dying = true;
	}
	return -EAGAIN;
}

int cli_job_wait_any(enum cli_job_kind kind, char *const *names, size_t n, int64_t deadline_ns)
{
	struct pollfd *fds = calloc(n, sizeof(*fds));
	int found = fds ? -EAGAIN : -ENOMEM;
	bool dying;

	for (size_t i = 0; fds && i < n; i++)
		fds[i] = (struct pollfd){ .fd = supervisor_pidfd(kind, names[i]), .events = POLLIN };
	while (found == -EAGAIN && (found = find_over(kind, names, fds, n, &dying)) == -EAGAIN) {
		int left = poll_left(deadline_ns);

		if (left == 0)
			found = -ETIMEDOUT;
		else if (poll(fds, n, dying && (left < 0 || left > LOOK_AGAIN_MS) ? LOOK_AGAIN_MS : left) < 0 && errno != EINTR)
			found = -errno;
	}
	for (size_t i = 0; fds && i < n; i++)
		(void)pcore_fd_close(fds[i].fd);
	free(fds);
	return found;
}

/* ---- following logs ---- */

static int print_to_end(int fd, int to)
{
	char buf[65536];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(fd, buf, sizeof(buf))) != 0)
		r = n < 0 ? -errno : pcore_fd_write_all(to, buf, (size_t)n);
	return r;
}

/* Has another file taken the log's name? */
static bool was_rotated(int dfd, const char *name, int fd)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && fstatat(dfd, name, &theirs, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino != theirs.st_ino;
}

/* Print what has been added to a log since last time. One that has been rotated away is read to its end first. */
static int print_more(int dfd, const char *name, int *fd, int to)
{
	for (;;) {
		bool rotated = was_rotated(dfd, name, *fd);
		int r = print_to_end(*fd, to), next;

		if (r < 0 || !rotated)
			return r;
		next = openat(dfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (next < 0)
			return errno == ENOENT ? 0 : -errno; /* the job was forgotten just now */
		(void)pcore_fd_close(*fd);
		*fd = next;
	}
}

/* The older half of a log, if it has one, else the log. */
static int open_oldest(int dfd, const char *name)
{
	char old[64];
	int fd;

	(void)snprintf(old, sizeof(old), "%s.old", name);
	fd = openat(dfd, old, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		fd = openat(dfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int follow(const struct cli_job_info *job, int dfd)
{
	static const char *const logs[] = { "stdout", "stderr" };
	char *const names[] = { (char *)job->name, NULL };
	int fds[2] = { -EBADF, -EBADF };
	int r = 0;
	bool over = false;

	for (int i = 0; i < 2 && r == 0; i++) {
		fds[i] = open_oldest(dfd, logs[i]);
		r = fds[i] < 0 ? fds[i] : 0;
	}
	while (r == 0 && !over) {
		over = cli_job_wait_any(job->kind, names, 1, pcore_now_ns() + 100 * NS_PER_MS) != -ETIMEDOUT;
		for (int i = 0; i < 2 && r == 0; i++)
			r = print_more(dfd, logs[i], &fds[i], i ? STDERR_FILENO : STDOUT_FILENO);
	}
	for (int i = 0; i < 2; i++)
		(void)pcore_fd_close(fds[i]);
	return r;
}

int cli_job_print_logs(const struct cli_job_info *i, int dfd, bool following)
{
	int r;

	if (following && i->state == CLI_JOB_RUNNING)
		return follow(i, dfd);
	r = cli_log_copy(dfd, "stdout", STDOUT_FILENO);
	return r < 0 ? r : cli_log_copy(dfd, "stderr", STDERR_FILENO);
}

/* ---- speaking to it ---- */

int cli_job_signal(const struct cli_job_info *i, int sig)
{
	_cleanup_(fd_closep) int pidfd = supervisor_pidfd(i->kind, i->name);
	siginfo_t info = { .si_signo = SIGRTMIN, .si_code = SI_QUEUE };

	if (pidfd < 0)
		return pidfd;
	if (sig == SIGTERM)
		return syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0 ? -errno : 0;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = sig;
	return syscall(SYS_pidfd_send_signal, pidfd, SIGRTMIN, &info, 0) < 0 ? -errno : 0;
}

/* The lock last: without it a job that is half removed would seem to run no more. */
static void remove_files(int dfd)
{
	struct dirent **list = NULL;
	int n = scandirat(dfd, ".", &list, NULL, NULL);

	for (int i = 0; i < n; i++) {
		if (strcmp(list[i]->d_name, "lock") != 0)
			(void)unlinkat(dfd, list[i]->d_name, 0);
		free(list[i]);
	}
	free(list);
	(void)unlinkat(dfd, "lock", 0);
}

int cli_job_forget(enum cli_job_kind kind, const char *name)
{
	_cleanup_(fd_closep) int jobs = cli_rundir_open(kinds[kind].dir);
	_cleanup_(fd_closep) int dfd = -EBADF;
	_cleanup_(fd_closep) int lock = -EBADF;

	if (jobs < 0)
		return jobs;
	dfd = openat(jobs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dfd < 0)
		return -errno;
	lock = lock_dir(dfd);
	if (lock < 0)
		return lock == -EAGAIN ? -EBUSY : lock;
	remove_files(dfd);
	return unlinkat(jobs, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
