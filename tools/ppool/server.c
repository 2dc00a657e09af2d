/* SPDX-License-Identifier: MIT */
/*
 * server.c - the server of a named pool: the jobs that run, and how long it lives.
 *
 * It ends when it was terminated and nothing runs any more; when it was closed, is drained, and every result was fetched or
 * somebody joined it; or when nobody had anything to do with it for its idle time. Its name is free again before those who
 * wait for the end are told.
 */
#include "tools/ppool/server.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/cli/detach.h"

#define END_GRACE_NS (2 * NS_PER_S) /* for readers that are slow when the server ends */
#define ACCEPT_AGAIN_NS (100 * NS_PER_MS)

enum { FDS_OURS = 32, FDS_A_JOB = 8, CONNS_MAX = 4096, CONNS_LEAST = 16, LOG_MAX = 64 * 1024 };

/* One job that the dispatcher has. */
struct running {
	struct pcore_job job;
	struct job *of;
	struct server *server;
};

void server_log(struct server *s, const char *fmt, ...)
{
	char text[512], time[PCORE_ISO8601_MAX];
	int len = snprintf(text, sizeof(text), "%s ", pcore_iso8601_utc(time, pcore_clock_ns(CLOCK_REALTIME)));
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text + len, sizeof(text) - (size_t)len - 1, fmt, ap);
	va_end(ap);
	strcat(text, "\n");
	if (s->log.fd >= 0)
		(void)cli_log_write(&s->log, text, strlen(text));
}

/* ---- jobs ---- */

static uint64_t record_size(const struct job *job)
{
	return sizeof(*job) + sizeof(struct result) + job->words_len;
}

void server_forget(struct server *s, struct job *job)
{
	s->keeping.bytes -= record_size(job);
	result_free(job->result);
	table_drop(&s->table, job);
	pcore_pool_kick(s->pool);
}

void server_room(struct server *s)
{
	if (!pcore_list_empty(&s->parked) && (s->closed || !table_is_full(&s->table)))
		conn_due(container_of(s->parked.next, struct conn, parked));
}

static int next(void *ctx, struct pcore_job **ret)
{
	struct server *s = ctx;
	struct running *r;
	struct job *job;

	if (s->paused || s->keeping.bytes >= s->keeping.max || pcore_list_empty(&s->table.queue))
		return 0;
	r = calloc(1, sizeof(*r));
	job = container_of(s->table.queue.next, struct job, queue);
	job->result = result_new(&s->keeping);
	if (!r || !job->result) {
		server_log(s, "out of memory: job %" PRIu64 " has to wait", job->id);
		result_free(job->result);
		job->result = NULL;
		free(r);
		return 0;
	}
	(void)table_next(&s->table);
	server_room(s);
	r->server = s;
	r->of = job;
	r->job.timeout = job->timeout;
	r->job.retries = job->retries == UINT64_MAX ? s->opts->job.retry : job->retries;
	job->run = &r->job;
	*ret = &r->job;
	return 1;
}

/* A pointer to each of the words, with room for more and a NULL behind them. */
static char **word_list(const char *data, size_t n, size_t more)
{
	char **list = calloc(n + more + 1, sizeof(*list));

	for (size_t i = 0; list && i < n; i++) {
		list[i] = (char *)data;
		data += strlen(data) + 1;
	}
	return list;
}

static bool is_ours(const char *var)
{
	return strncmp(var, "PCORE_SEQ=", 10) == 0 || strncmp(var, "PCORE_SLOT=", 11) == 0 || strncmp(var, "PCORE_ATTEMPT=", 14) == 0;
}

/* The client's environment, less what we say ourselves. */
static void make_env(struct server *s, const struct running *r)
{
	const struct shared *env = r->of->env;
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < env->len; i++)
		n += env->data[i] == '\0';
	s->envp = word_list(env->data, n, ENV_EXTRA);
	if (!s->envp)
		return;
	for (size_t i = 0; i < n; i++)
		if (!is_ours(s->envp[i]))
			s->envp[kept++] = s->envp[i];
	(void)snprintf(s->env_text[0], sizeof(s->env_text[0]), "PCORE_SEQ=%" PRIu64, r->of->id);
	(void)snprintf(s->env_text[1], sizeof(s->env_text[1]), "PCORE_SLOT=%u", r->job.slot);
	(void)snprintf(s->env_text[2], sizeof(s->env_text[2]), "PCORE_ATTEMPT=%u", r->job.attempt);
	for (size_t i = 0; i < ENV_EXTRA; i++)
		s->envp[kept++] = s->env_text[i];
	s->envp[kept] = NULL;
}

static void describe(void *ctx, struct pcore_job *job, struct pcore_proc_spec *spec)
{
	static char *nothing[] = { (char *)"", NULL };
	struct server *s = ctx;
	struct running *r = container_of(job, struct running, job);

	free(s->argv);
	free(s->envp);
	s->argv = word_list(r->of->words, r->of->n_words, 0);
	make_env(s, r);
	cli_job_spec(&s->opts->job, spec);
	spec->argv = s->argv && s->envp ? s->argv : nothing; /* the start then fails */
	spec->envp = s->envp ? s->envp : nothing + 1;
	spec->chdir = r->of->dir->data;
	spec->set_umask = true;
	spec->umask = r->of->umask;
	spec->limits = s->limits;
	spec->n_limits = s->n_limits;
	spec->keep_ignored = 0;
}

static void started(void *ctx, struct pcore_job *job)
{
	struct result *r = container_of(job, struct running, job)->of->result;

	(void)ctx;
	r->attempts = job->attempt;
	r->start_ns = job->result.start_ns;
}

/* What an applied job writes goes to its client at once, unless a further try could take it back. */
static bool output(void *ctx, struct pcore_job *pool_job, enum pcore_job_stream stream, const char *data, size_t len)
{
	struct running *r = container_of(pool_job, struct running, job);
	struct job *job = r->of;
	struct conn *c = job->client;
	int error;

	(void)ctx;
	if (job->apply && r->job.retries == 0) {
		if (!c || c->dead)
			return true;
		request_job_output(c, (int)stream, data, len);
		return c->out.len < OUT_MAX;
	}
	error = result_add(job->result, (int)stream, data, len);
	if (error < 0 && !job->spoilt) {
		job->spoilt = error;
		server_log(r->server, "cannot keep the output of job %" PRIu64 ": %s", job->id, strerror(-error));
		pcore_pool_end(r->server->pool, pool_job);
	}
	return true;
}

static void again(void *ctx, struct pcore_job *job)
{
	(void)ctx;
	result_forget(container_of(job, struct running, job)->of->result);
}

static void note_end(struct job *job, const struct pcore_job *p)
{
	struct result *r = job->result;
	const struct pcore_err *err = &p->result.error;

	r->status = (uint8_t)pcore_job_status(p);
	r->signalled = p->result.exit.code != CLD_EXITED;
	r->timed_out = p->result.timed_out;
	r->exit = (uint8_t)p->result.exit.status;
	r->attempts = p->attempt;
	r->start_ns = p->result.start_ns;
	r->wall_ns = p->result.wall_ns;
	if (err->code < 0) {
		r->error = -err->code;
		r->step = err->step;
		r->subject = strdup(err->subject);
	}
	if (job->spoilt) {
		r->error = -job->spoilt;
		r->step = PCORE_STEP_READ;
		r->status = CLI_FAILURE;
	}
}

/* How the job ends for those who wait for it. */
static enum job_state outcome(const struct job *job, const struct pcore_job *p)
{
	if (p->state == PCORE_JOB_DONE && pcore_job_succeeded(p) && !job->spoilt)
		return JOB_DONE;
	return p->state != PCORE_JOB_DONE || job->cancelling ? JOB_CANCELLED : JOB_FAILED;
}

static void done(void *ctx, struct pcore_job *pool_job)
{
	struct server *s = ctx;
	struct running *r = container_of(pool_job, struct running, job);
	struct job *job = r->of;
	enum job_state how = outcome(job, pool_job);

	job->run = NULL;
	if (how == JOB_CANCELLED) {
		result_free(job->result);
		job->result = NULL;
		table_finish(&s->table, job, how);
	} else {
		note_end(job, pool_job);
		s->keeping.bytes += record_size(job);
		table_finish(&s->table, job, how);
		if (job->apply && !job->client)
			server_forget(s, job);
	}
	free(r);
	server_turn_soon(s);
}

static void over(void *ctx, struct job *job)
{
	request_job_over(ctx, job);
}

static void limited(void *ctx, unsigned jobs, int error)
{
	server_log(ctx, "cannot start another job: %s; running %u at a time", strerror(-error), jobs);
}

static void idle(void *ctx)
{
	struct server *s = ctx;

	s->pool_idle = true;
	server_turn_soon(s);
}

/* ---- the end ---- */

/* Give the name back; mark: leave word that the pool was closed. */
static void leave_dir(struct server *s, bool mark)
{
	struct pool_dir *dir = s->dir;
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	cli_log_close(&s->log);
	(void)unlinkat(dir->dfd, "socket", 0);
	if (mark)
		(void)pcore_fd_close(openat(dir->dfd, "closed", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
	else
		pool_dir_remove(dir);
	(void)fcntl(dir->lock, F_OFD_SETLK, &all); /* whoever has a copy of the descriptor */
	dir->lock = pcore_fd_close(dir->lock);
}

static void end_due(struct pcore_op *op, int res)
{
	struct server *s = container_of(op, struct server, end_op);

	if (res != -ETIME)
		return;
	PCORE_LIST_FOREACH_SAFE(node, &s->conns)
		conn_drop(container_of(node, struct conn, link));
	server_turn(s);
}

static void end(struct server *s, bool mark)
{
	s->ending = true;
	leave_dir(s, mark);
	pcore_pool_stop(s->pool, PCORE_POOL_DRAIN);
	cli_signals_stop(&s->signals);
	pcore_op_cancel(s->loop, &s->accept_op);
	pcore_op_cancel(s->loop, &s->accept_again_op);
	pcore_op_cancel(s->loop, &s->idle_op);
	request_end_all(s);
	(void)pcore_op_timer(s->loop, &s->end_op, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), END_GRACE_NS));
}

void server_terminate(struct server *s)
{
	if (s->terminating)
		return;
	s->terminating = s->closed = true;
	table_cancel_all(&s->table);
	pcore_pool_stop(s->pool, PCORE_POOL_END);
	server_turn_soon(s);
}

static bool some_failed(const struct server *s)
{
	for (struct pcore_list *node = s->table.all.next; node != &s->table.all; node = node->next)
		if (container_of(node, struct job, all)->state == JOB_FAILED)
			return true;
	return false;
}

static bool somebody_joins(const struct server *s)
{
	for (struct pcore_list *node = s->conns.next; node != &s->conns; node = node->next) {
		const struct conn *c = container_of(node, struct conn, link);

		if (!c->dead && c->state == CONN_JOINING)
			return true;
	}
	return false;
}

static bool nothing_to_do(const struct server *s)
{
	return s->n_conns == 0 && s->table.n_waiting == 0 && s->table.n_running == 0;
}

static void idle_due(struct pcore_op *op, int res)
{
	struct server *s = container_of(op, struct server, idle_op);

	if (res == -ETIME && nothing_to_do(s) && !s->ending)
		end(s, s->closed);
	server_turn(s);
}

static void watch_idle(struct server *s)
{
	bool live = pcore_op_live(&s->idle_op);

	if (s->opts->idle_timeout == INT64_MAX || s->ending || nothing_to_do(s) == live)
		return;
	if (live)
		pcore_op_cancel(s->loop, &s->idle_op); /* comes home with another turn */
	else
		(void)pcore_op_timer(s->loop, &s->idle_op, PCORE_CLOCK_MONOTONIC,
			pcore_ns_add(pcore_now_ns(), s->opts->idle_timeout));
}

/* Is it time to end? */
static void look_at_end(struct server *s)
{
	bool drained = s->table.n_waiting == 0 && s->table.n_running == 0;

	if (s->ending) {
		return;
	} else if (s->terminating) {
		if (s->pool_idle)
			end(s, false);
	} else if (s->closed && drained && s->table.n_over == 0) {
		bool joined = somebody_joins(s);

		request_answer_joiners(s, false);
		end(s, !joined);
	} else if (s->closed && drained && s->n_fetching == 0 && somebody_joins(s)) {
		request_answer_joiners(s, some_failed(s));
		end(s, false);
	}
}

/* ---- turns ---- */

static void run_due(struct server *s, struct pcore_list *ran)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(&s->due))) {
		struct conn *c = container_of(node, struct conn, due);

		c->again = false;
		while (!c->dead && c->out.len < OUT_MAX && request_advance(c))
			;
		if (!c->dead && pcore_list_empty(&c->due)) /* else it is due again */
			pcore_list_add_tail(ran, &c->due);
	}
}

/* What is there to be sent goes out, and whoever was held back by that goes on. */
static void flush_ran(struct server *s, struct pcore_list *ran)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(ran))) {
		struct conn *c = container_of(node, struct conn, due);
		bool held_back = c->out.len >= OUT_MAX;
		bool sent = conn_flush(c);

		if (c->dead)
			continue;
		if (sent && c->state == CONN_CLOSING)
			conn_drop(c);
		else if (c->again || (sent && held_back))
			pcore_list_add_tail(&s->due, &c->due);
		else
			conn_watch(c);
		if (c->out.len < OUT_MAX && c->state == CONN_APPLYING && c->job->run)
			pcore_pool_resume(s->pool, c->job->run);
	}
}

void server_turn(struct server *s)
{
	struct pcore_list ran = PCORE_LIST_INIT(ran);

	do {
		run_due(s, &ran);
		conn_free_dead(s);
		look_at_end(s); /* before anybody is told: then the name is free */
		run_due(s, &ran);
		flush_ran(s, &ran);
	} while (!pcore_list_empty(&s->due));
	conn_free_dead(s);
	watch_idle(s);
	if (s->ending && s->n_conns == 0)
		pcore_op_cancel(s->loop, &s->end_op);
}

static void turn_due(struct pcore_op *op, int res)
{
	(void)res;
	server_turn(container_of(op, struct server, turn_op));
}

void server_turn_soon(struct server *s)
{
	if (!pcore_op_live(&s->turn_op))
		(void)pcore_op_timer(s->loop, &s->turn_op, PCORE_CLOCK_MONOTONIC, 0);
}

static void accepted(struct pcore_op *op, int res)
{
	struct server *s = container_of(op, struct server, accept_op);

	if (res >= 0 && s->ending)
		(void)pcore_fd_close(res);
	else if (res >= 0)
		(void)conn_new(s, res);
	else if (res != -ECANCELED && res != -ECONNABORTED && res != -EINTR) /* short of descriptors or memory */
		(void)pcore_op_timer(s->loop, &s->accept_again_op, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), ACCEPT_AGAIN_NS));
	server_accept(s);
	server_turn(s);
}

static void accept_again(struct pcore_op *op, int res)
{
	(void)res;
	server_accept(container_of(op, struct server, accept_again_op));
}

void server_accept(struct server *s)
{
	if (!s->ending && !pcore_op_live(&s->accept_op) && !pcore_op_live(&s->accept_again_op) && s->n_conns < s->conns_max)
		(void)pcore_op_accept(s->loop, &s->accept_op, s->listen_fd);
}

static void received(struct cli_signals *signals, int sig, bool by_process)
{
	struct server *s = container_of(signals, struct server, signals);

	(void)by_process;
	server_log(s, "terminated by signal %d", sig);
	server_terminate(s);
}

/* ---- setting up ---- */

static int listen_there(struct server *s)
{
	struct sockaddr_un addr;

	cli_socket_address(&addr, s->dir->dfd);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0 || bind(s->listen_fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		listen(s->listen_fd, SOMAXCONN) < 0)
		return cli_error("cannot make the socket of the pool '%s': %s", s->opts->name, strerror(errno));
	return CLI_GO;
}

/* Have as many descriptors as we may; the jobs keep the limit that open was started with. */
static void fit_limits(struct server *s)
{
	struct rlimit fds;
	uint64_t used = FDS_OURS + (uint64_t)s->jobs * FDS_A_JOB;

	s->n_limits = cli_job_limits(&s->opts->job, s->limits);
	s->conns_max = CONNS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &fds) < 0)
		return;
	cli_limits_default(s->limits, &s->n_limits, RLIMIT_NOFILE, fds);
	fds.rlim_cur = fds.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &fds);
	if (fds.rlim_cur != RLIM_INFINITY && used + CONNS_MAX > fds.rlim_cur)
		s->conns_max = used + CONNS_LEAST < fds.rlim_cur ? (unsigned)(fds.rlim_cur - used) : CONNS_LEAST;
}

static int make_pool(struct server *s)
{
	static const struct pcore_pool_owner owner = {
		.next = next,
		.started = started,
		.output = output,
		.again = again,
		.done = done,
		.limited = limited,
		.idle = idle,
	};
	struct pcore_pool_spec spec = {
		.jobs = s->jobs,
		.lingering = s->jobs + 16,
		.retry_delay = s->opts->job.retry_delay,
	};
	struct pcore_local_spec local = { .times = cli_job_times(&s->opts->job), .describe = describe, .ctx = s };
	int r = pcore_keeper_new(&s->keeper, false, false, &s->err);

	local.keeper = s->keeper;
	if (r == 0)
		r = pcore_local_new(&s->ex, s->loop, &local, &s->err);
	if (r < 0)
		return cli_spawn_error(&s->err, NULL);
	if (pcore_pool_new(&s->pool, s->loop, &spec, &owner, s, s->ex) < 0) {
		s->ex->ops->free(s->ex);
		return cli_error("out of memory");
	}
	return CLI_GO;
}

static int set_up(struct server *s)
{
	static const int caught[] = { SIGTERM, 0 };
	int r;

	if (chdir("/") < 0)
		return cli_error("cannot change directory to '/': %s", strerror(errno));
	(void)signal(SIGINT, SIG_IGN); /* none comes from a terminal; a job has its own anew */
	(void)signal(SIGQUIT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)umask(077);
	r = cli_log_open(&s->log, s->dir->dfd, "log", LOG_MAX);
	if (r < 0)
		return cli_error("cannot make the log of the pool '%s': %s", s->opts->name, strerror(-r));
	fit_limits(s);
	r = cli_loop_new(&s->loop, PCORE_LOOP_EPOLL);
	if (r == CLI_GO)
		r = make_pool(s);
	if (r == CLI_GO)
		r = listen_there(s);
	if (r != CLI_GO)
		return r;
	r = cli_signals_start(&s->signals, s->loop, caught);
	return r < 0 ? cli_error("cannot watch signals: %s", strerror(-r)) : CLI_GO;
}

static void tear_down(struct server *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->table.all)
		result_free(container_of(node, struct job, all)->result);
	table_done(&s->table);
	pcore_pool_free(s->pool);
	pcore_keeper_free(s->keeper);
	cli_signals_done(&s->signals);
	pcore_loop_free(s->loop);
	s->listen_fd = pcore_fd_close(s->listen_fd);
	cli_log_close(&s->log);
	free(s->argv);
	free(s->envp);
}

int server_run(const struct server_opts *opts, struct pool_dir *dir, int ready_fd)
{
	struct server s = {
		.opts = opts,
		.dir = dir,
		.jobs = (unsigned)opts->jobs,
		.keeping = { .max = opts->keep },
		.listen_fd = -EBADF,
		.log = { .fd = -EBADF },
		.signals = { .fd = -EBADF, .received = received },
		.accept_op = { .done = accepted },
		.accept_again_op = { .done = accept_again },
		.turn_op = { .done = turn_due },
		.idle_op = { .done = idle_due },
		.end_op = { .done = end_due },
	};
	int status;

	table_init(&s.table, opts->queue);
	s.table.ctx = &s;
	s.table.over = over;
	pcore_list_init(&s.conns);
	pcore_list_init(&s.due);
	pcore_list_init(&s.dead);
	pcore_list_init(&s.parked);
	status = set_up(&s);
	if (status == CLI_GO) {
		server_accept(&s);
		watch_idle(&s);
		cli_detach_let_go(s.log.fd, NULL, NULL);
	}
	cli_detach_tell(ready_fd, status);
	ready_fd = pcore_fd_close(ready_fd);
	if (status != CLI_GO) {
		leave_dir(&s, false);
	} else {
		status = pcore_loop_run(s.loop);
		if (status < 0)
			server_log(&s, "the event loop failed: %s", strerror(-status));
	}
	tear_down(&s);
	return status < 0 ? CLI_FAILURE : status;
}
