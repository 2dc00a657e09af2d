/* SPDX-License-Identifier: MIT */
/*
 * session.c - a verb that speaks with a scheduler.
 */
#include "tools/psubmit/session.h"

#include <string.h>
#include <unistd.h>

enum { PRINT_HIGH = 1 << 20 };

/* ---- what is printed ---- */

static bool all_written(const struct session *s)
{
	for (int i = 0; i < 2; i++)
		if (pcore_op_live(&s->out[i].op) || s->out[i].gathers.len > 0)
			return false;
	return true;
}

static void write_failed(struct session_out *o, int error)
{
	struct session *s = o->session;

	if (o->fd == STDOUT_FILENO && error == -EPIPE)
		s->fatal = CLI_SIGNALLED + SIGPIPE;
	else if (o->fd == STDOUT_FILENO)
		s->fatal = cli_error("cannot write to standard output: %s", strerror(-error));
	session_over(s, CLI_FAILURE);
}

static void take(struct session_out *o, size_t n)
{
	if (o->of[1])
		pcore_watch_took(o->of[1], n);
}

static void write_on(struct session_out *o)
{
	struct session *s = o->session;
	int r;

	if (pcore_op_live(&o->op))
		return;
	if (o->gone == o->goes.len) {
		struct pcore_buf empty = o->goes;

		pcore_buf_clear(&empty);
		o->goes = o->gathers;
		o->gathers = empty;
		o->of[1] = o->of[0];
		o->gone = 0;
	}
	if (o->gone == o->goes.len)
		return;
	r = pcore_op_write(s->loop, &o->op, o->fd, o->goes.data + o->gone, o->goes.len - o->gone, -1);
	if (r < 0)
		write_failed(o, r);
}

static void written(struct pcore_op *op, int res)
{
	struct session_out *o = container_of(op, struct session_out, op);
	size_t n = res > 0 ? (size_t)res : 0;

	if (res < 0 && res != -EINTR && res != -EAGAIN && res != -ECANCELED) {
		n = o->goes.len - o->gone; /* dropped */
		write_failed(o, res);
	}
	o->gone += n;
	take(o, n);
	if (o->gathers.len + o->goes.len - o->gone < PRINT_HIGH / 2 && o->session->ask)
		pcore_ask_resume(o->session->ask);
	if (res != -ECANCELED)
		write_on(o);
}

void session_print(struct session *s, enum pcore_wire_stream stream, struct pcore_watch *w, const char *data, size_t len)
{
	struct session_out *o = &s->out[stream == PCORE_WIRE_STDERR];

	if (s->fatal != CLI_GO || pcore_buf_add(&o->gathers, data, len) < 0) {
		if (s->fatal == CLI_GO)
			s->fatal = cli_error("out of memory");
		session_over(s, CLI_FAILURE);
		return;
	}
	o->of[0] = w;
	if (!w && o->gathers.len > PRINT_HIGH)
		pcore_ask_pause(s->ask);
	write_on(o);
}

void session_flush(struct session *s, struct pcore_buf *b)
{
	if (b->len > 0)
		session_print(s, PCORE_WIRE_STDOUT, NULL, b->data, b->len);
	pcore_buf_clear(b);
}

/* ---- the connection ---- */

static void lost(void *ctx, const struct pcore_net_error *e)
{
	(void)ctx;
	cli_warn("cannot reach the scheduler '%s': %s; trying again", psubmit_opts.scheduler, e->why);
}

static void failed(void *ctx, const struct pcore_net_error *e)
{
	struct session *s = ctx;

	if (e->code == -EPROTONOSUPPORT)
		s->fatal = CLI_VERSION;
	else if (e->code == -EKEYREJECTED || e->code == -EACCES || e->code == -ENOKEY)
		s->fatal = CLI_AUTH;
	else
		s->fatal = CLI_FAILURE;
	if (s->fatal != CLI_FAILURE || e->code == -EPROTO || e->code == -ECONNABORTED || e->code == -ELOOP)
		(void)cli_error("the scheduler '%s' is of no use: %s", psubmit_opts.scheduler, e->why);
	else
		(void)cli_error("no scheduler can be reached: %s", e->why);
	session_over(s, s->fatal);
}

static void late(struct pcore_op *op, int res)
{
	struct session *s = container_of(op, struct session, timer);

	if (res != -ETIME || s->over)
		return;
	(void)cli_error("%s", s->late);
	session_over(s, CLI_TIMEOUT);
}

void session_limit(struct session *s, int64_t timeout_ns)
{
	if (timeout_ns > 0)
		(void)pcore_op_timer(s->loop, &s->timer, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), timeout_ns));
}

int session_open(struct session *s)
{
	const struct psubmit_opts *o = &psubmit_opts;
	struct pcore_ask_spec spec = {
		.wait_ns = o->wait_nodes ? o->wait_nodes : INT64_MAX,
		.lost = lost,
		.failed = failed,
		.ctx = s,
	};
	int r;

	s->fatal = CLI_GO;
	s->status = CLI_OK;
	s->timer.done = late;
	for (int i = 0; i < 2; i++) {
		s->out[i].session = s;
		s->out[i].fd = i == 0 ? STDOUT_FILENO : STDERR_FILENO;
		s->out[i].op.done = written;
	}
	if (!o->scheduler)
		return cli_usage("no scheduler given: --scheduler ADDR, or PCORE_SCHEDULER");
	r = psubmit_scheduler(NULL);
	if (r == CLI_GO)
		r = psubmit_load_keys();
	if (r == CLI_GO)
		r = psubmit_scheduler(&s->addrs);
	if (r == CLI_GO)
		r = cli_loop_new(&s->loop, PCORE_LOOP_EPOLL);
	if (r == CLI_GO)
		r = psubmit_net(&s->net, s->loop, PCORE_NET_CLIENT, true);
	if (r != CLI_GO)
		return r;
	spec.net = s->net;
	spec.addrs = s->addrs.addrs;
	spec.n_addrs = s->addrs.n;
	return pcore_ask_new(&s->ask, s->loop, &spec) < 0 ? cli_error("out of memory") : CLI_GO;
}

void session_over(struct session *s, int status)
{
	if (s->over)
		return;
	s->over = true;
	s->status = status;
}

int session_run(struct session *s)
{
	while (!s->over || (s->fatal == CLI_GO && !all_written(s)))
		if (pcore_loop_turn(s->loop, true) < 0)
			return cli_error("the loop does not go on");
	return s->fatal != CLI_GO ? s->fatal : s->status;
}

void session_close(struct session *s)
{
	if (s->ask)
		pcore_ask_close(s->ask);
	if (s->loop) {
		pcore_op_cancel(s->loop, &s->timer);
		for (int i = 0; i < 2; i++)
			pcore_op_cancel(s->loop, &s->out[i].op);
		(void)pcore_loop_run(s->loop);
	}
	pcore_ask_free(s->ask);
	pcore_net_free(s->net);
	psubmit_free_keys();
	pcore_loop_free(s->loop);
	for (int i = 0; i < 2; i++) {
		pcore_buf_done(&s->out[i].gathers);
		pcore_buf_done(&s->out[i].goes);
	}
	if (s->fatal == CLI_SIGNALLED + SIGPIPE)
		cli_die_of(SIGPIPE);
}

/* ---- calls ---- */

int session_refused(const struct pcore_wire_answer *a, const char *id)
{
	const char *text = a->text && *a->text ? a->text : "the scheduler refuses";

	if (a->status != CLI_OK && id)
		(void)cli_error("%s: %s", id, text);
	else if (a->status != CLI_OK)
		(void)cli_error("%s", text);
	return (int)a->status;
}

static int call_heard(struct pcore_ask_call *call, const struct pcore_wire_frame *f)
{
	struct session_call *c = container_of(call, struct session_call, call);
	struct pcore_wire_answer a;

	if (f->type != PCORE_WIRE_ANSWER)
		return c->row ? c->row(c, f) : -EPROTO;
	if (pcore_wire_get_answer(f, &a) < 0)
		return -EPROTO;
	pcore_ask_end(call);
	c->over(c, &a);
	return 0;
}

void session_call(struct session *s, struct session_call *c, enum pcore_wire_type type)
{
	c->session = s;
	c->call.type = type;
	c->call.heard = call_heard;
	pcore_ask_begin(s->ask, &c->call);
}
