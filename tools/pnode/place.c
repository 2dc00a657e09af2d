/* SPDX-License-Identifier: MIT */
/*
 * place.c - the name of a node on this machine: a directory of the runtime directory, locked as long as the node lives.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/detach.h"
#include "tools/cli/rundir.h"
#include "tools/pnode/pnode.h"

/* It is in memory, where the runtime directory usually is. */
enum { LOG_MAX = 1 << 20 };

static void log_message(void *ctx, const char *line, size_t len)
{
	(void)cli_log_write(&((struct pnode_place *)ctx)->log, line, len);
}

/* A node that is over gives its name to the next. */
static void forget_over(const char *name)
{
	struct cli_job_info i;
	int nodes = cli_rundir_open("nodes"), dfd;

	if (nodes < 0)
		return;
	if (faccessat(nodes, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && cli_job_find(CLI_JOB_NODE, name, &i, &dfd) == CLI_GO) {
		if (i.state != CLI_JOB_RUNNING)
			(void)cli_job_forget(CLI_JOB_NODE, name);
		cli_job_info_done(&i);
		(void)pcore_fd_close(dfd);
	}
	(void)pcore_fd_close(nodes);
}

static void close_place(struct pnode_place *p)
{
	p->lock_fd = pcore_fd_close(p->lock_fd);
	p->dfd = pcore_fd_close(p->dfd);
	free(TAKE_PTR(p->socket));
	free(TAKE_PTR(p->name));
}

/* Whoever has a copy of the lock's descriptor has the lock no more. */
void pnode_place_leave(struct pnode_place *p)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (p->dfd < 0)
		return;
	if (p->log.name) {
		cli_messages_to(NULL, NULL);
		cli_log_close(&p->log);
	}
	(void)fcntl(p->lock_fd, F_OFD_SETLK, &all);
	if (!p->given)
		(void)cli_job_forget(CLI_JOB_NODE, p->name);
	close_place(p);
}

static int write_record(struct pnode_place *p, const struct pnode_opts *o)
{
	int r = cli_job_write_meta(p->dfd, o->argv);

	if (r == 0 && o->detach)
		r = cli_log_open(&p->log, p->dfd, "stderr", LOG_MAX);
	return r < 0 ? cli_error("cannot write the record of node '%s': %s", p->name, strerror(-r)) : CLI_GO;
}

/* In the caller. */
static int wait_for(struct pnode_place *p, pid_t pid)
{
	int status = cli_detach_wait(p->ready_fd);
	char line[80];

	p->ready_fd = pcore_fd_close(p->ready_fd);
	if (status == CLI_GO) {
		(void)snprintf(line, sizeof(line), "%s\n", p->name);
		close_place(p);
		return cli_print(line);
	}
	(void)waitpid(pid, NULL, 0);
	pnode_place_leave(p);
	return status == -ESRCH ? cli_error("the node died") : status;
}

int pnode_place_take(struct pnode_place *p, const struct pnode_opts *o)
{
	const char *name = o->name ? o->name : pnode_hostname();
	pid_t pid = 0;
	int status;

	*p = (struct pnode_place){ .dfd = -EBADF, .lock_fd = -EBADF, .ready_fd = -EBADF };
	forget_over(name);
	status = cli_job_create(CLI_JOB_NODE, name, &p->name, &p->dfd, &p->lock_fd);
	if (status != CLI_GO)
		return status;
	p->socket = pnode_socket(name);
	if (!p->socket)
		return CLI_FAILURE;
	if (o->detach)
		pid = cli_detach(&p->ready_fd);
	if (pid > 0)
		return wait_for(p, pid);
	if (pid < 0)
		return cli_error("cannot create a process: %s", strerror(-(int)pid));
	return write_record(p, o);
}

int pnode_place_give(struct pnode_place *p, uid_t uid, gid_t gid)
{
	static const char *const files[] = { ".", "lock", "meta", "stderr", "socket" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (fchownat(p->dfd, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
			return -errno;
	p->given = true;
	return 0;
}

void pnode_place_ready(struct pnode_place *p, int status)
{
	if (p->ready_fd < 0)
		return;
	if (status == CLI_GO) {
		cli_detach_let_go(-EBADF, NULL, NULL);
		cli_messages_to(log_message, p);
	}
	cli_detach_tell(p->ready_fd, status);
	p->ready_fd = pcore_fd_close(p->ready_fd);
}

int pnode_names(char ***ret)
{
	struct cli_job_info i;
	char **names;
	size_t n = 0;
	int dfd, r = cli_job_names(CLI_JOB_NODE, &names);

	if (r != CLI_GO)
		return r;
	for (size_t k = 0; names[k]; k++) {
		bool runs = cli_job_find(CLI_JOB_NODE, names[k], &i, &dfd) == CLI_GO;

		if (runs) {
			runs = i.state == CLI_JOB_RUNNING;
			cli_job_info_done(&i);
			(void)pcore_fd_close(dfd);
		}
		if (runs)
			names[n++] = names[k];
		else
			free(names[k]);
	}
	names[n] = NULL;
	*ret = names;
	return CLI_GO;
}
