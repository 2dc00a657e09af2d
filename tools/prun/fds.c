/* SPDX-License-Identifier: MIT */
/*
 * fds.c - what the commands of a run get as descriptors.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tools/prun/run.h"

int run_notify_fd(const struct prun_opts *o)
{
	uint64_t fd;

	if (!o->notify_ready || pcore_parse_u64(o->notify_ready, 3, 1023, &fd) < 0)
		return -1;
	return (int)fd;
}

bool prun_reads_output(const struct prun_opts *o)
{
	return o->detach || o->pty || o->capture || o->quiet_success || o->timestamps || o->tee || o->max_output > 0 ||
	       (o->notify_ready && run_notify_fd(o) < 0);
}

/* Does another option than --pass-fd decide what the command's descriptor is? */
static bool is_taken(const struct prun_opts *o, int fd)
{
	switch (fd) {
	case STDIN_FILENO:
		return o->in || o->in_data || o->detach || o->pty || o->connect;
	case STDOUT_FILENO:
		return o->out || o->connect || prun_reads_output(o);
	case STDERR_FILENO:
		return o->error || prun_reads_output(o);
	}
	return fd == run_notify_fd(o);
}

int prun_check_fds(const struct prun_opts *o)
{
	for (size_t i = 0; i < o->n_pass_fds; i++)
		if (is_taken(o, o->pass_fds[i].theirs))
			return cli_usage("--pass-fd and another option both give the command its descriptor %d", o->pass_fds[i].theirs);
	return CLI_GO;
}

static void add(struct pcore_proc_fd *fds, size_t *n, struct pcore_proc_fd fd)
{
	fds[(*n)++] = fd;
}

static void add_file(struct pcore_proc_fd *fds, size_t *n, int target, const char *path, int flags)
{
	add(fds, n, (struct pcore_proc_fd){ .target = target, .source = PCORE_FD_FILE, .path = path, .flags = flags, .mode = 0666 });
}

static void add_input(const struct run *r, struct pcore_proc_fd *fds, size_t *n)
{
	const struct prun_opts *o = r->opts;

	if (o->in_data)
		add(fds, n, (struct pcore_proc_fd){ .target = 0, .source = PCORE_FD_PIPE_IN });
	else if (o->in && strcmp(o->in, "null") != 0)
		add_file(fds, n, 0, o->in, O_RDONLY);
	else if (o->in || r->background)
		add(fds, n, (struct pcore_proc_fd){ .target = 0, .source = PCORE_FD_NULL });
}

static void add_outputs(const struct run *r, struct pcore_proc_fd *fds, size_t *n)
{
	const struct prun_opts *o = r->opts;
	bool first = r->attempts.len <= sizeof(struct cli_attempt);
	int flags = O_WRONLY | O_CREAT | (o->append || !first ? O_APPEND : O_TRUNC);

	if (o->out)
		add_file(fds, n, 1, o->out, flags);
	else if (r->use_output)
		add(fds, n, (struct pcore_proc_fd){ .target = 1, .source = PCORE_FD_PIPE_OUT });
	if (o->error && (strcmp(o->error, "stdout") == 0 || (o->out && strcmp(o->error, o->out) == 0)))
		add(fds, n, (struct pcore_proc_fd){ .target = 2, .source = PCORE_FD_SAME, .fd = 1 });
	else if (o->error)
		add_file(fds, n, 2, o->error, flags);
	else if (r->use_output)
		add(fds, n, (struct pcore_proc_fd){ .target = 2, .source = PCORE_FD_PIPE_OUT });
}

void run_describe_fds(const struct run *r, const struct side *s, const int pipes[4], struct pcore_proc_fd *fds, size_t *ret_n)
{
	const struct prun_opts *o = r->opts;
	bool second = s == &r->sides[1];
	size_t n = 0;

	if (o->connect) { /* pipes[0..1] from the first to the second, [2..3] back */
		add(fds, &n, (struct pcore_proc_fd){ .target = 0, .source = PCORE_FD_OURS, .fd = pipes[second ? 0 : 2] });
		add(fds, &n, (struct pcore_proc_fd){ .target = 1, .source = PCORE_FD_OURS, .fd = pipes[second ? 3 : 1] });
		if (o->error)
			add_file(fds, &n, 2, o->error, O_WRONLY | O_CREAT | O_APPEND);
	} else if (o->pty) {
		for (int target = 0; target <= 2; target++)
			add(fds, &n, (struct pcore_proc_fd){ .target = target, .source = PCORE_FD_OURS, .fd = r->pty.slave });
	} else {
		add_input(r, fds, &n);
		add_outputs(r, fds, &n);
	}
	if (!second && run_notify_fd(o) >= 0)
		add(fds, &n, (struct pcore_proc_fd){ .target = run_notify_fd(o), .source = PCORE_FD_PIPE_OUT });
	for (size_t i = 0; !second && i < o->n_pass_fds; i++)
		add(fds, &n, (struct pcore_proc_fd){ .target = o->pass_fds[i].theirs, .source = PCORE_FD_OURS, .fd = o->pass_fds[i].ours });
	*ret_n = n;
}
