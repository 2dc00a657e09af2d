/* SPDX-License-Identifier: MIT */
/*
 * put.c - items into a queue.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/pqueue/pqueue.h"

struct put {
	const struct pqueue_opts *o;
	struct pcore_queue *queue;
	uint64_t max_item;
	struct pcore_item items[PCORE_RING_TAKE_MAX];
	struct pcore_buf ids;
};

static int put_error(const struct put *p, int error)
{
	const char *name = p->o->name;

	switch (error) {
	case -EAGAIN:
		(void)cli_error("the queue '%s' is full", name);
		return CLI_BUSY;
	case -EEXIST:
		(void)cli_error("the queue '%s' holds an item with the key '%s' already", name, p->o->key);
		return CLI_BUSY;
	case -ETIMEDOUT:
		(void)cli_error("the queue '%s' is still full", name);
		return CLI_TIMEOUT;
	case -ESHUTDOWN:
		(void)cli_error("the queue '%s' is closed", name);
		return CLI_DRAINED;
	case -EMSGSIZE:
		(void)cli_error("an item is too large for the queue '%s': it takes %" PRIu64 " bytes", name, p->max_item);
		return CLI_NO;
	default:
		return pqueue_error("put into", name, error);
	}
}

static int print_ids(struct put *p, size_t n)
{
	int r = 0;

	pcore_buf_clear(&p->ids);
	for (size_t i = 0; i < n && r == 0; i++)
		r = pcore_buf_addf(&p->ids, "%" PRIu64 "\n", p->items[i].id);
	return r < 0 ? cli_error("out of memory") : pqueue_output_bytes(STDOUT_FILENO, p->ids.data, p->ids.len);
}

/* Put p->items. */
static int put_items(struct put *p, size_t n)
{
	const struct pqueue_opts *o = p->o;
	size_t done;
	int error, r = CLI_GO;

	for (size_t i = 0; i < n; i++) {
		p->items[i].priority = (uint32_t)o->priority;
		p->items[i].delay_ns = o->delay;
		p->items[i].key = o->key;
		p->items[i].key_len = o->key ? strlen(o->key) : 0;
	}
	error = pcore_queue_put_all(p->queue, p->items, n, o->replace, o->nowait ? 0 : o->timeout, &done);
	if (o->ids && done > 0)
		r = print_ids(p, done);
	return error < 0 ? put_error(p, error) : r;
}

static int put_words(struct put *p)
{
	int r = CLI_GO;

	for (size_t at = 0; at < p->o->n_words && r == CLI_GO;) {
		size_t n = 0;

		for (; n < PCORE_RING_TAKE_MAX && at < p->o->n_words; n++, at++)
			p->items[n] = (struct pcore_item){ .data = p->o->words[at], .len = strlen(p->o->words[at]) };
		r = put_items(p, n);
	}
	return r;
}

static int input_error(const struct put *p, const struct pqueue_input *in, int error)
{
	switch (error) {
	case -EMSGSIZE:
		(void)cli_error("item %" PRIu64 " is too large for the queue '%s': it takes %" PRIu64 " bytes", in->count + 1, p->o->name,
			p->max_item);
		return CLI_NO;
	case -EBADMSG:
		(void)cli_error("standard input ends inside item %" PRIu64, in->count + 1);
		return CLI_CORRUPT;
	default:
		return cli_error("cannot read standard input: %s", strerror(-error));
	}
}

static int put_input(struct put *p)
{
	struct pqueue_input in;
	ssize_t n = 0;
	int r = CLI_GO;

	pqueue_input_init(&in, p->o, STDIN_FILENO, p->max_item);
	while (r == CLI_GO && (n = pqueue_input_next(&in, p->items, PCORE_RING_TAKE_MAX)) > 0)
		r = put_items(p, (size_t)n);
	if (r == CLI_GO && n < 0)
		r = input_error(p, &in, (int)n);
	pqueue_input_done(&in);
	return r;
}

int pqueue_put(struct pqueue_opts *o)
{
	struct pcore_queue_state stat;
	struct put *p = calloc(1, sizeof(*p));
	int r, error;

	if (!p)
		return cli_error("out of memory");

	p->o = o;
	r = pqueue_open(o, !o->no_create, &p->queue);
	if (r == CLI_GO) {
		error = pcore_queue_state(p->queue, &stat);
		p->max_item = stat.spec.max_item;
		r = error < 0 ? pqueue_error("look at", o->name, error) : CLI_GO;
	}
	if (r == CLI_GO)
		r = o->n_words > 0 ? put_words(p) : put_input(p);
	if (r == CLI_GO && o->close) {
		error = pcore_queue_close(p->queue, false);
		r = error < 0 ? pqueue_error("close", o->name, error) : CLI_GO;
	}
	pcore_queue_free(p->queue);
	pcore_buf_done(&p->ids);
	free(p);
	return r == CLI_GO ? CLI_OK : r;
}
