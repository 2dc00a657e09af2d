/* SPDX-License-Identifier: MIT */
/*
 * cluster_any.h - read any body as what it says it is, and write it again.
 */
#ifndef PCORE_TEST_CLUSTER_ANY_H
#define PCORE_TEST_CLUSTER_ANY_H

#include <string.h>

#include "libcore/cluster/cluster.h"

static const enum pcore_wire_type any_types[] = {
	PCORE_WIRE_NODE, PCORE_WIRE_ADOPT_N, PCORE_WIRE_STARTED_N, PCORE_WIRE_OUTPUT, PCORE_WIRE_DONE_N, PCORE_WIRE_RETRACTED_N,
	PCORE_WIRE_WORKER, PCORE_WIRE_STATUS, PCORE_WIRE_ANSWER, PCORE_WIRE_ENV, PCORE_WIRE_TEMPLATE, PCORE_WIRE_ENV_DROP,
	PCORE_WIRE_TEMPLATE_DROP, PCORE_WIRE_ASSIGN_N, PCORE_WIRE_INPUT, PCORE_WIRE_CANCEL_N, PCORE_WIRE_RETRACT_N, PCORE_WIRE_ACK_N,
	PCORE_WIRE_DRAIN, PCORE_WIRE_SHUTDOWN, PCORE_WIRE_CREDIT_N, PCORE_WIRE_STATUS_GET, PCORE_WIRE_CONTROL,
	PCORE_WIRE_SUBMIT, PCORE_WIRE_WATCH, PCORE_WIRE_CANCEL, PCORE_WIRE_LIST, PCORE_WIRE_NODES, PCORE_WIRE_EXPLAIN, PCORE_WIRE_FORGET,
	PCORE_WIRE_SUBMITTED, PCORE_WIRE_SUBMISSION, PCORE_WIRE_MEMBER, PCORE_WIRE_TOTAL, PCORE_WIRE_WHY, PCORE_WIRE_NODE_NUMBER,
};

/* Take a list apart and put it together again. */
#define ANY_LIST(kind, list) \
	do { \
		struct pcore_buf list_parts = PCORE_BUF_INIT(0); \
		struct pcore_wire_##kind one; \
		size_t n = (list).n; \
		for (; pcore_wire_next_##kind(&(list), &one); n--) \
			assert(pcore_wire_add_##kind(&list_parts, &one) == 0); \
		assert(n == 0); \
		pcore_buf_done(&list_parts); \
	} while (0)

static inline void any_template(struct pcore_wire_template t)
{
	struct pcore_buf parts = PCORE_BUF_INIT(0);
	struct pcore_wire_piece p;

	while (pcore_wire_next_piece(&t.argv, &p))
		assert(pcore_wire_add_piece(&parts, &p) == 0);
	for (size_t i = 0; i < pcore_wire_limits(&t.limits); i++)
		assert(pcore_wire_limit(&t.limits, i).resource >= 0);
	ANY_LIST(resource, t.resources);
	pcore_buf_done(&parts);
}

#define ANY(kind)                                                        \
	do {                                                             \
		r = pcore_wire_get_##kind(f, &u.kind);                   \
		if (r == 0)                                              \
			assert(pcore_wire_put_##kind(again, &u.kind) == 0); \
		return r;                                                \
	} while (0)

/* Of those between a client and a scheduler. */
static inline int any_client_fields(const struct pcore_wire_frame *f, struct pcore_buf *again)
{
	union {
		struct pcore_wire_submit submit;
		struct pcore_wire_watch watch;
		struct pcore_wire_cancel cancel;
		struct pcore_wire_about about;
		struct pcore_wire_submitted submitted;
		struct pcore_wire_submission submission;
		struct pcore_wire_member member;
		struct pcore_wire_total total;
		struct pcore_wire_why why;
		struct pcore_wire_number number;
	} u;
	int r;

	switch ((int)f->type) {
	case PCORE_WIRE_SUBMIT: ANY(submit);
	case PCORE_WIRE_WATCH: ANY(watch);
	case PCORE_WIRE_CANCEL: ANY(cancel);
	case PCORE_WIRE_LIST:
	case PCORE_WIRE_EXPLAIN:
	case PCORE_WIRE_FORGET:
		r = pcore_wire_get_about(f, &u.about);
		if (r == 0)
			assert(pcore_wire_put_about(again, f->type, &u.about) == 0);
		return r;
	case PCORE_WIRE_SUBMITTED: ANY(submitted);
	case PCORE_WIRE_SUBMISSION: ANY(submission);
	case PCORE_WIRE_TOTAL: ANY(total);
	case PCORE_WIRE_WHY: ANY(why);
	case PCORE_WIRE_NODE_NUMBER: ANY(number);
	case PCORE_WIRE_MEMBER:
		r = pcore_wire_get_member(f, &u.member);
		if (r == 0) {
			assert(pcore_wire_put_member(again, &u.member) == 0);
			ANY_LIST(resource, u.member.resources);
		}
		return r;
	default: return pcore_wire_get_nothing(f);
	}
}

/* Read the body, and append to again what is written for what was read: 0, or -EPROTO. */
static inline int any_fields(const struct pcore_wire_frame *f, struct pcore_buf *again)
{
	union {
		struct pcore_wire_node node;
		struct pcore_wire_worker worker;
		struct pcore_wire_status status;
		struct pcore_wire_answer answer;
		struct pcore_wire_env env;
		struct pcore_wire_template template;
		struct pcore_wire_shutdown shutdown;
		struct pcore_wire_control control;
		struct pcore_wire_chunk chunk;
	} u;
	int r;

	switch ((int)f->type) {
	case PCORE_WIRE_NODE:
		r = pcore_wire_get_node(f, &u.node);
		if (r == 0) {
			assert(pcore_wire_put_node(again, &u.node) == 0);
			ANY_LIST(resource, u.node.resources);
		}
		return r;
	case PCORE_WIRE_STATUS:
		r = pcore_wire_get_status(f, &u.status);
		if (r == 0) {
			assert(pcore_wire_put_status(again, &u.status) == 0);
			ANY_LIST(job, u.status.jobs);
		}
		return r;
	case PCORE_WIRE_TEMPLATE:
		r = pcore_wire_get_template(f, &u.template);
		if (r == 0) {
			assert(pcore_wire_put_template(again, &u.template) == 0);
			any_template(u.template);
		}
		return r;
	case PCORE_WIRE_WORKER: ANY(worker);
	case PCORE_WIRE_ANSWER: ANY(answer);
	case PCORE_WIRE_ENV: ANY(env);
	case PCORE_WIRE_SHUTDOWN: ANY(shutdown);
	case PCORE_WIRE_CONTROL: ANY(control);
	case PCORE_WIRE_OUTPUT:
	case PCORE_WIRE_INPUT: ANY(chunk);
	default: return any_client_fields(f, again);
	}
}

static inline int any_read(const struct pcore_wire_frame *f, struct pcore_buf *again)
{
	struct pcore_wire_out out;
	struct pcore_wire_in in;
	size_t n;
	int r;

#define ANY_RECORDS(kind)                                                       \
	do {                                                                    \
		struct pcore_wire_##kind one;                                   \
		while (pcore_wire_next_##kind(&in, &one))                       \
			assert(pcore_wire_add_##kind(&out, &one) == 0);         \
	} while (0)

	switch ((int)f->type) {
	case PCORE_WIRE_ADOPT_N:
	case PCORE_WIRE_STARTED_N:
	case PCORE_WIRE_DONE_N:
	case PCORE_WIRE_RETRACTED_N:
	case PCORE_WIRE_ASSIGN_N:
	case PCORE_WIRE_CANCEL_N:
	case PCORE_WIRE_RETRACT_N:
	case PCORE_WIRE_ACK_N:
	case PCORE_WIRE_CREDIT_N: break;
	default: return any_fields(f, again);
	}
	r = pcore_wire_open(f, &in);
	if (r < 0)
		return r;
	n = in.n;
	assert(pcore_wire_begin(&out, again, f->type) == 0);
	if (f->type == PCORE_WIRE_ADOPT_N)
		ANY_RECORDS(adopt);
	else if (f->type == PCORE_WIRE_STARTED_N)
		ANY_RECORDS(started);
	else if (f->type == PCORE_WIRE_DONE_N)
		ANY_RECORDS(done);
	else if (f->type == PCORE_WIRE_ASSIGN_N)
		ANY_RECORDS(assign);
	else if (f->type == PCORE_WIRE_CREDIT_N)
		ANY_RECORDS(credit);
	else
		ANY_RECORDS(ref);
	assert(pcore_wire_end(&out, in.more) == n);
	return 0;
}

/* What can be read can be written, and reads the same again. The body is looked at in a block of its own, so that a sanitizer
 * sees a look beyond. 0, or -EPROTO. */
static inline int any_again(enum pcore_wire_type type, uint64_t id, const void *body, size_t len, struct pcore_buf *first)
{
	struct pcore_wire_frame f = { .type = type, .id = id, .len = len };
	struct pcore_buf second = PCORE_BUF_INIT(0);
	char *copy = malloc(len ? len : 1);
	int r;

	assert(copy);
	if (len > 0)
		memcpy(copy, body, len);
	f.body = copy;
	pcore_buf_clear(first);
	r = any_read(&f, first);
	if (r == 0) {
		f.body = first->data ? first->data : copy;
		f.len = first->len;
		assert(any_read(&f, &second) == 0);
		assert(second.len == first->len);
		assert(second.len == 0 || memcmp(second.data, first->data, first->len) == 0);
	}
	free(copy);
	pcore_buf_done(&second);
	return r;
}

#endif
