/* SPDX-License-Identifier: MIT */
/*
 * get.c - items out of a queue: taken, leased, looked at, and leases ended.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/pqueue/pqueue.h"

enum { BATCH_BYTES = 1 << 16 };

struct get {
	const struct pqueue_opts *o;
	struct pcore_queue *queue;
	struct pqueue_output out;
	struct pcore_buf buf;
	struct pcore_item items[PCORE_RING_TAKE_MAX];
};

/* Nothing more is to be had, for a reason. The answer no is no failure, and needs no words. */
static int end_of_get(const struct get *g, int error)
{
	switch (error) {
	case -EAGAIN:
		return g->o->all ? CLI_OK : CLI_NO;
	case -ETIMEDOUT:
		return CLI_TIMEOUT;
	case -ESHUTDOWN:
		return g->o->all || g->o->follow ? CLI_OK : CLI_DRAINED;
	case -ENOMEM:
		return cli_error("out of memory");
	default:
		return pqueue_error("get from", g->o->name, error);
	}
}

/* Take items until `left' are printed: CLI_GO, or the status. */
static int take(struct get *g, uint64_t left)
{
	const struct pqueue_opts *o = g->o;
	struct pcore_take how = { .lease = o->lease > 0, .lease_ns = o->lease, .bytes_max = BATCH_BYTES };
	int r = CLI_GO;

	while (left > 0 && r == CLI_GO) {
		size_t want = left < PCORE_RING_TAKE_MAX ? (size_t)left : PCORE_RING_TAKE_MAX;
		int n;

		pcore_buf_clear(&g->buf);
		n = pcore_queue_get_until(g->queue, g->items, want, &how, &g->buf,
			o->nowait || o->all ? 0 : pcore_queue_deadline(o->timeout));
		if (n < 0)
			return end_of_get(g, n);
		left -= o->follow ? 0 : (uint64_t)n;
		r = pqueue_output_items(&g->out, &g->buf, 0, g->items, (size_t)n, how.lease);
	}
	return r;
}

/* As many as are ready now; what is put meanwhile is none of them. */
static int how_many(const struct get *g, uint64_t *ret)
{
	struct pcore_queue_state stat;
	int error;

	*ret = g->o->count;
	if (!g->o->all)
		return CLI_GO;
	error = pcore_queue_state(g->queue, &stat);
	*ret = stat.ready;
	return error < 0 ? pqueue_error("look at", g->o->name, error) : CLI_GO;
}

int pqueue_get(struct pqueue_opts *o)
{
	struct get *g = calloc(1, sizeof(*g));
	uint64_t n = 0;
	int r;

	if (!g)
		return cli_error("out of memory");

	g->o = o;
	pqueue_output_init(&g->out, o);
	r = pqueue_open(o, o->follow, &g->queue);
	if (r == CLI_GO)
		r = how_many(g, &n);
	if (r == CLI_GO)
		r = take(g, n);
	pcore_queue_free(g->queue);
	pqueue_output_done(&g->out);
	pcore_buf_done(&g->buf);
	free(g);
	return r == CLI_GO ? CLI_OK : r;
}

int pqueue_peek(struct pqueue_opts *o)
{
	struct pcore_queue *q = NULL;
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pqueue_output out;
	struct pcore_item item;
	int r = pqueue_open(o, false, &q), n;

	pqueue_output_init(&out, o);
	if (r == CLI_GO) {
		n = pcore_queue_peek_into(q, &item, &buf);
		if (n > 0)
			r = pqueue_output_items(&out, &buf, 0, &item, 1, false);
		else
			r = n == -EAGAIN ? CLI_NO : n == -ESHUTDOWN ? CLI_DRAINED : pqueue_error("look at", o->name, n);
	}
	pcore_queue_free(q);
	pqueue_output_done(&out);
	pcore_buf_done(&buf);
	return r == CLI_GO ? CLI_OK : r;
}

/* ---- leases ---- */

typedef int end_fn(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t ns);

static int end_by_ack(struct pcore_queue *q, uint64_t id, uint32_t attempt, int64_t ns)
{
	(void)ns;
	return pcore_queue_ack(q, id, attempt);
}

/* ID.ATTEMPT, as get printed it */
static bool parse_lease(const char *word, uint64_t *ret_id, uint32_t *ret_attempt)
{
	const char *dot = strchr(word, '.');
	char id[24];
	uint64_t attempt;

	if (!dot || (size_t)(dot - word) >= sizeof(id))
		return false;
	memcpy(id, word, (size_t)(dot - word));
	id[dot - word] = '\0';
	if (pcore_parse_u64(id, 1, UINT64_MAX, ret_id) < 0 || pcore_parse_u64(dot + 1, 1, UINT32_MAX, &attempt) < 0)
		return false;
	*ret_attempt = (uint32_t)attempt;
	return true;
}

/* All the words are leases, or nothing is done. Each is tried. */
static int end_leases(const struct pqueue_opts *o, end_fn *end, int64_t ns)
{
	struct pcore_queue *q = NULL;
	uint32_t attempt;
	uint64_t id;
	int r = CLI_OK, opened;

	for (size_t i = 0; i < o->n_words; i++)
		if (!parse_lease(o->words[i], &id, &attempt))
			return cli_usage("'%s' is no lease: must be as 'pqueue get --lease' prints it, like 17.1", o->words[i]);
	opened = pqueue_open(o, false, &q);
	if (opened != CLI_GO)
		return opened;
	for (size_t i = 0; i < o->n_words; i++) {
		int error;

		(void)parse_lease(o->words[i], &id, &attempt);
		error = end(q, id, attempt, ns);
		if (error == -ENOENT || error == -ESTALE) {
			(void)cli_error(error == -ENOENT ? "the queue '%s' knows no lease '%s' (any more)" :
							   "the queue '%s' has given the item of lease '%s' to somebody else",
				o->name, o->words[i]);
			r = r == CLI_OK ? CLI_NO : r;
		} else if (error < 0) {
			r = pqueue_error("use", o->name, error);
		}
	}
	pcore_queue_free(q);
	return r;
}

int pqueue_ack(struct pqueue_opts *o)
{
	return end_leases(o, end_by_ack, 0);
}

int pqueue_nack(struct pqueue_opts *o)
{
	return end_leases(o, pcore_queue_nack, o->delay);
}

int pqueue_touch(struct pqueue_opts *o)
{
	return end_leases(o, pcore_queue_touch, o->lease);
}
