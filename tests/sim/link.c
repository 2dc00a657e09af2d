/* SPDX-License-Identifier: MIT */
/*
 * link.c - messages between the scheduler and a node: late, in order, and gone when the connection is.
 */
#include "tests/sim/sim.h"

/* Each message takes its time, but does not overtake one before it; a node that hangs neither reads nor writes. */
static struct event *message(struct sim *w, unsigned i, const struct message *m, enum event_kind kind, int64_t *last)
{
	struct sim_node *n = &w->nodes[i];
	int64_t at = w->now + (100 + sim_draw(&n->random, sim_draw(&n->random, 8) ? 900 : 50000)) * NS_PER_US;
	struct event *e;

	at = at > n->hung_until ? at : n->hung_until;
	*last = at = at > *last ? at : *last;
	e = sim_event(w, at, kind, i);
	e->connection = n->connection;
	e->message = *m;
	return e;
}

void link_up(struct sim *w, unsigned i, const struct message *m)
{
	if (w->nodes[i].connection)
		message(w, i, m, EV_MESSAGE_UP, &w->nodes[i].last_up);
}

void link_down(struct sim *w, unsigned i, const struct message *m)
{
	if (w->nodes[i].connection)
		message(w, i, m, EV_MESSAGE_DOWN, &w->nodes[i].last_down);
}
