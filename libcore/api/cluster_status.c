/* SPDX-License-Identifier: MIT */
/*
 * cluster_status.c - a node is asked what it is doing: one connection, one question, on a loop of its own.
 */
#include "libcore/api/cluster.h"

#include <limits.h>
#include <string.h>

#define TIMEOUT_NS (10 * NS_PER_S)

/* What a status has had from the beginning. */
#define STATUS_LEAST (offsetof(struct pcore_cluster_status, cpu_time) + sizeof(int64_t))

struct question {
	struct pcore_loop *loop;
	struct pcore_net_conn *conn;
	struct pcore_op limit;
	struct pcore_cluster_status status;
	int result; /* -EAGAIN: not known yet */
};

static void answered(struct question *q, int result)
{
	if (q->result == -EAGAIN)
		q->result = result;
}

static unsigned capped(uint64_t n)
{
	return n < UINT_MAX ? (unsigned)n : UINT_MAX;
}

static void take(struct pcore_cluster_status *s, const struct pcore_wire_status *m)
{
	(void)strncat(s->name, m->name, sizeof(s->name) - 1);
	(void)strncat(s->version, m->software, sizeof(s->version) - 1);
	s->state = (int)pcore_cc_state((enum pcore_wire_state)m->state);
	s->cpus = capped(m->cpus);
	s->cpus_here = capped(m->cpus_here);
	s->memory = m->memory;
	s->queued = m->queued;
	s->running = m->running;
	s->succeeded = m->succeeded;
	s->failed = m->failed;
	s->start = m->start_ns;
	s->cpu_time = m->cpu_ns;
}

static void opened(struct pcore_net_conn *conn, void *ctx)
{
	(void)ctx;
	(void)pcore_net_send(conn, PCORE_WIRE_STATUS_GET, 0, 1, NULL, 0);
}

static void heard(struct pcore_net_conn *conn, void *ctx, const struct pcore_net_frame *nf)
{
	const struct pcore_wire_frame f = { (enum pcore_wire_type)nf->type, nf->stream, nf->body, nf->len };
	struct question *q = ctx;
	struct pcore_wire_status m;

	if (nf->type != PCORE_WIRE_STATUS && nf->flags & PCORE_NET_OPTIONAL)
		return;
	if (nf->type == PCORE_WIRE_STATUS && pcore_wire_get_status(&f, &m) == 0 && m.state < PCORE_WIRE_STATES) {
		take(&q->status, &m);
		answered(q, 0);
	} else {
		answered(q, -EPROTO);
	}
	pcore_net_close(conn);
}

static void closed(struct pcore_net_conn *conn, void *ctx, const struct pcore_net_error *e)
{
	struct question *q = ctx;

	(void)conn;
	q->conn = NULL;
	answered(q, e->code < 0 ? e->code : -ECONNRESET);
	pcore_op_cancel(q->loop, &q->limit);
}

static void too_late(struct pcore_op *op, int res)
{
	struct question *q = container_of(op, struct question, limit);

	if (res != -ETIME || !q->conn)
		return;
	answered(q, -ETIMEDOUT);
	pcore_net_abort(q->conn);
}

static int ask(struct question *q, struct pcore_net *net, const struct pcore_net_addr *addr, int64_t deadline)
{
	static const struct pcore_net_ops ops = { .opened = opened, .frame = heard, .closed = closed };
	struct pcore_net_error err;
	int r = deadline == INT64_MAX ? 0 : pcore_op_timer(q->loop, &q->limit, PCORE_CLOCK_MONOTONIC, deadline);

	q->result = -EAGAIN;
	if (r == 0)
		r = pcore_net_connect(&q->conn, net, addr, &ops, q, &err);
	if (r < 0) {
		q->conn = NULL;
		pcore_op_cancel(q->loop, &q->limit);
	}
	while (pcore_loop_turn(q->loop, true) > 0)
		; /* until the connection and the time limit are over */
	return r < 0 ? r : q->result;
}

/* Its addresses, one after the other. */
static int ask_any(struct question *q, const struct pcore_cluster_status_spec *s, struct pcore_net *net, const struct cluster_proof *proof,
	struct pcore_error *error)
{
	int64_t deadline = pcore_ns_add(pcore_now_ns(), s->timeout ? s->timeout : TIMEOUT_NS);
	struct pcore_net_addr addrs[CLUSTER_ADDRS];
	int n = pcore_cc_addresses(addrs, ARRAY_SIZE(addrs), s->address, proof, "node", error), r = n;

	for (int i = 0; i < n && r != 0 && r != -ETIMEDOUT; i++)
		r = ask(q, net, &addrs[i], deadline);
	return r < 0 && n > 0 ? pcore_cc_say(error, r, "node", s->address) : r;
}

int pcore_cluster_status(const struct pcore_cluster_status_spec *spec, struct pcore_cluster_status *ret, struct pcore_error *error)
{
	struct question q = { .limit.done = too_late };
	struct pcore_cluster_status_spec s;
	struct cluster_proof proof = { .keys = NULL };
	struct pcore_error e = { .step = "" };
	struct pcore_net *net = NULL;
	int r = pcore_sized_in(&s, sizeof(s), spec);

	if (r == 0)
		r = !s.address || s.timeout < 0 ? -EINVAL : pcore_sized_out(ret, STATUS_LEAST, NULL, 0);
	if (r == 0) {
		proof = (struct cluster_proof){ s.key_file, s.tls_cert, s.tls_key, s.tls_ca, NULL };
		r = pcore_cc_proof_load(&proof, !pcore_cc_is_near(s.address), &e);
	}
	if (r == 0)
		r = pcore_loop_new(&q.loop, PCORE_LOOP_EPOLL);
	if (r == 0)
		r = pcore_cc_net_new(&net, q.loop, PCORE_NET_ADMIN, &proof, &e);
	if (r == 0)
		r = ask_any(&q, &s, net, &proof, &e);
	if (r == 0)
		(void)pcore_sized_out(ret, STATUS_LEAST, &q.status, sizeof(q.status));
	pcore_net_free(net);
	pcore_net_keys_free(proof.keys);
	pcore_loop_free(q.loop);
	return r < 0 ? pcore_cc_say(error, r, e.step, e.subject) : 0;
}
