/* SPDX-License-Identifier: MIT */
/*
 * node_dial.c - a node that connects to its scheduler, again and again, because the scheduler cannot connect to it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "libcore/cluster/node_private.h"

enum { DIAL_ADDRS = 8 };

struct node_dial {
	struct pcore_list link;
	struct pcore_node *node;
	struct pcore_net *net;
	struct pcore_net_conn *conn; /* that is not open yet */
	struct pcore_net_addr addrs[DIAL_ADDRS];
	size_t n_addrs, try;
	struct pcore_op retry;
	unsigned failures;
	bool told; /* that it cannot be reached */
	char text[];
};

static void again(struct node_dial *d)
{
	uint64_t random = 0;

	if (d->node->down) {
		node_check_idle(d->node);
		return;
	}
	if (getrandom(&random, sizeof(random), 0) < 0)
		random = (uint64_t)pcore_now_ns();
	d->try = (d->try + 1) % d->n_addrs;
	(void)pcore_op_timer(d->node->loop, &d->retry, PCORE_CLOCK_MONOTONIC,
		pcore_ns_add(pcore_now_ns(), d->failures == 0 ? 0 : pcore_net_backoff(d->failures, random)));
	d->failures++;
}

void node_dial_lost(struct node_dial *d, bool refused)
{
	d->failures = refused ? d->failures : 0;
	again(d);
}

static void opened(struct pcore_net_conn *c, void *ctx)
{
	struct node_dial *d = ctx;

	d->conn = NULL;
	if (!d->node->down)
		d->told = false;
	node_session_serve(d->node, c, d);
}

static void frame(struct pcore_net_conn *c, void *ctx, const struct pcore_net_frame *f)
{
	(void)c;
	(void)ctx;
	(void)f;
}

static void failed(struct node_dial *d, const struct pcore_net_error *e)
{
	char line[PCORE_NET_WHY_MAX + PCORE_NET_ADDR_MAX + 64];

	d->conn = NULL;
	if (!d->told && !d->node->down) {
		(void)snprintf(line, sizeof(line), "scheduler %s: %s; it is tried again", d->text, e->why);
		d->node->spec.log(d->node->spec.ctx, line);
	}
	d->told = true;
	again(d);
}

static void closed(struct pcore_net_conn *c, void *ctx, const struct pcore_net_error *e)
{
	(void)c;
	failed(ctx, e);
}

static void dial(struct node_dial *d)
{
	static const struct pcore_net_ops ops = { .opened = opened, .frame = frame, .closed = closed };
	struct pcore_net_error e;

	if (pcore_net_connect(&d->conn, d->net, &d->addrs[d->try], &ops, d, &e) < 0)
		failed(d, &e);
}

static void retry_due(struct pcore_op *op, int res)
{
	struct node_dial *d = container_of(op, struct node_dial, retry);

	if (res == -ETIME && !d->node->down)
		dial(d);
	else
		node_check_idle(d->node);
}

int pcore_node_connect(struct pcore_node *n, struct pcore_net *net, const char *text, const struct pcore_net_addr *addrs, size_t n_addrs)
{
	struct node_dial *d = calloc(1, sizeof(*d) + strlen(text) + 1);

	if (!d)
		return -ENOMEM;
	d->node = n;
	d->net = net;
	d->retry.done = retry_due;
	strcpy(d->text, text);
	d->n_addrs = n_addrs < DIAL_ADDRS ? n_addrs : DIAL_ADDRS;
	memcpy(d->addrs, addrs, d->n_addrs * sizeof(*addrs));
	pcore_list_init(&d->link);
	pcore_list_add_tail(&n->dials, &d->link);
	dial(d);
	return 0;
}

void node_dials_stop(struct pcore_node *n)
{
	PCORE_LIST_FOREACH_SAFE(node, &n->dials) {
		struct node_dial *d = container_of(node, struct node_dial, link);

		pcore_op_cancel(n->loop, &d->retry);
		if (d->conn)
			pcore_net_close(d->conn);
	}
}

bool node_dials_quiet(const struct pcore_node *n)
{
	for (const struct pcore_list *node = n->dials.next; node != &n->dials; node = node->next) {
		const struct node_dial *d = container_of(node, struct node_dial, link);

		if (d->conn || pcore_op_live(&d->retry))
			return false;
	}
	return true;
}

void node_dials_free(struct pcore_node *n)
{
	struct pcore_list *node;

	while ((node = pcore_list_pop(&n->dials)))
		free(container_of(node, struct node_dial, link));
}
