/* SPDX-License-Identifier: MIT */
/*
 * shared_control.c - admins: how a shared scheduler is, and to stop it, start it again, and drain it.
 *
 *   stopped    nothing begins; submits are taken
 *   draining   no submit is taken, and clients whose jobs end with them are told so, as by a node; what is there goes on to its
 *              end and is told to whoever waits for it, and then the scheduler ends
 */
#include "libcore/cluster/shared_private.h"

enum pcore_wire_state shared_state(const struct pcore_shared *s)
{
	return s->draining ? PCORE_WIRE_DRAINING : s->stopped ? PCORE_WIRE_STOPPED : PCORE_WIRE_SERVING;
}

static void tell_clients(struct pcore_shared *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->clients) {
		struct shared_client *c = container_of(node, struct shared_client, link);

		if (c->conn && !c->admin)
			shared_say_node(c);
	}
}

static void act_on(struct pcore_shared *s, enum pcore_wire_control_what what)
{
	switch (what) {
	case PCORE_WIRE_START:
		s->stopped = s->draining = false;
		break;
	case PCORE_WIRE_STOP:
		s->stopped = true;
		break;
	case PCORE_WIRE_DRAIN_IT:
		s->draining = true;
		break;
	case PCORE_WIRE_CPUS:
		return;
	case PCORE_WIRE_QUIT:
		s->spec.quit(s->spec.ctx);
		return;
	}
	pcore_sched_stop(s->host.sched, shared_now(s), s->stopped);
	tell_clients(s);
	shared_pump_soon(s);
}

/* Somebody waits for what has ended. */
static bool is_awaited(struct pcore_shared *s)
{
	PCORE_LIST_FOREACH_SAFE(node, &s->clients) {
		const struct shared_client *c = container_of(node, struct shared_client, link);

		if (c->jobs.len > 0 || !pcore_list_empty(&c->watches) || c->answers.len > 0)
			return true;
	}
	return false;
}

void shared_check_drained(struct pcore_shared *s)
{
	if (!s->draining || s->stopping || s->journal.blocked || pcore_sched_counts(s->host.sched).arrays > 0 || is_awaited(s))
		return;
	shared_log(s, "drained");
	s->spec.quit(s->spec.ctx);
}

static int status(struct shared_client *c, const struct pcore_wire_frame *f)
{
	const struct pcore_shared *s = c->shared;
	struct pcore_sched_counts n = pcore_sched_counts(s->host.sched);
	struct pcore_wire_status m = {
		.name = s->spec.name,
		.software = s->spec.software,
		.state = shared_state(s),
		.start_ns = s->start_ns,
		.cpus = s->cpus,
		.cpus_here = s->cpus,
		.queued = n.waiting + n.backoff + n.queued + n.held + n.ahead,
		.running = n.running,
		.succeeded = s->succeeded,
		.failed = s->failed,
	};
	int r = pcore_wire_get_nothing(f);

	PCORE_LIST_FOREACH_SAFE(node, (struct pcore_list *)&s->nodes)
		m.cpu_ns += container_of(node, struct shared_node, link)->job_ns;
	pcore_buf_clear(&c->buf);
	if (r == 0)
		r = pcore_wire_put_status(&c->buf, &m);
	if (r == 0)
		shared_say(c, PCORE_WIRE_STATUS, f->id, &c->buf);
	return r;
}

int shared_control(struct shared_client *c, const struct pcore_wire_frame *f)
{
	struct pcore_wire_control m;
	int r;

	if (f->type == PCORE_WIRE_STATUS_GET)
		return status(c, f);
	r = pcore_wire_get_control(f, &m);
	if (r < 0)
		return r;
	if (m.what == PCORE_WIRE_CPUS)
		shared_say_answer(c, f->id, 125, "this is a scheduler: ask its nodes");
	else
		shared_say_answer(c, f->id, 0, NULL);
	act_on(c->shared, (enum pcore_wire_control_what)m.what);
	return 0;
}
