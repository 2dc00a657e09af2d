/* SPDX-License-Identifier: MIT */
/*
 * agenda.c - what is due next.
 */
#include "tools/ptimer/agenda.h"

int64_t agenda_now(enum agenda_clock clock)
{
	static const clockid_t ids[] = { [AGENDA_WALL] = CLOCK_REALTIME, [AGENDA_BOOTTIME] = CLOCK_BOOTTIME, [AGENDA_MONOTONIC] = CLOCK_MONOTONIC };

	return pcore_clock_ns(ids[clock]);
}

static void side_due(struct pcore_op *op, int res)
{
	struct agenda *a = container_of(op, struct agenda_side, op)->agenda;

	if (res == -ETIME || res == -ESTALE || res == -ECANCELED)
		a->due(a->ctx);
	else
		a->failed(a->ctx, res);
}

void agenda_init(struct agenda *a, struct pcore_loop *lp)
{
	a->loop = lp;
	for (size_t i = 0; i < AGENDA_CLOCKS; i++)
		a->sides[i] = (struct agenda_side){ .op = { .done = side_due }, .agenda = a };
}

void agenda_done(struct agenda *a)
{
	for (size_t i = 0; i < AGENDA_CLOCKS; i++)
		pcore_heap_done(&a->sides[i].heap);
}

int agenda_add(struct agenda *a, struct agenda_item *item, int64_t at)
{
	uint64_t rank = ((uint64_t)((int64_t)item->priority - INT32_MIN) << 32) | item->entry;

	item->node.key = at;
	return pcore_heap_insert_ranked(&a->sides[item->clock].heap, &item->node, rank);
}

void agenda_remove(struct agenda *a, struct agenda_item *item)
{
	pcore_heap_remove(&a->sides[item->clock].heap, &item->node);
}

struct agenda_item *agenda_take(struct agenda *a)
{
	struct pcore_heap_node *first = NULL;
	int64_t latest = -1;

	for (enum agenda_clock c = 0; c < AGENDA_CLOCKS; c++) {
		struct pcore_heap_node *top = pcore_heap_top(&a->sides[c].heap);
		int64_t late = -1;

		if (top && __builtin_sub_overflow(agenda_now(c), top->key, &late))
			late = INT64_MAX;
		if (late > latest) {
			first = top;
			latest = late;
		}
	}
	if (!first)
		return NULL;
	agenda_remove(a, container_of(first, struct agenda_item, node));
	return container_of(first, struct agenda_item, node);
}

static void wait_for(struct agenda *a, enum agenda_clock c)
{
	struct agenda_side *s = &a->sides[c];
	const struct pcore_heap_node *top = pcore_heap_top(&s->heap);
	int r = 0;

	if (pcore_op_live(&s->op)) {
		if (!top || top->key < s->armed)
			pcore_op_cancel(a->loop, &s->op); /* comes home and is set anew */
		return;
	}
	if (!top)
		return;
	s->armed = top->key;
	if (c == AGENDA_WALL)
		r = pcore_op_wall(a->loop, &s->op, top->key);
	else
		r = pcore_op_timer(a->loop, &s->op, c == AGENDA_BOOTTIME ? PCORE_CLOCK_BOOTTIME : PCORE_CLOCK_MONOTONIC, top->key);
	if (r < 0)
		a->failed(a->ctx, r);
}

void agenda_wait(struct agenda *a)
{
	for (enum agenda_clock c = 0; c < AGENDA_CLOCKS; c++)
		wait_for(a, c);
}

void agenda_stop(struct agenda *a)
{
	for (size_t i = 0; i < AGENDA_CLOCKS; i++)
		pcore_op_cancel(a->loop, &a->sides[i].op);
}
