/* SPDX-License-Identifier: MIT */
/*
 * wire_client.c - what clients and a scheduler say to each other: the tables of its messages.
 */
#include "libcore/cluster/wire_private.h"

/* A body in a body. */
static bool is_body(const struct message *m, const struct pcore_wire_bytes *b)
{
	union fields any;

	return wire_read_fields(m, b->data, b->len, &any) == 0;
}

static bool check_submit(const void *m)
{
	const struct pcore_wire_submit *s = m;
	uint64_t whole = REQUIRED(PCORE_WIRE_SUBMIT_ENV, PCORE_WIRE_SUBMIT_AT_MOST_ONCE);
	uint64_t first = PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_ENV) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_TEMPLATE);

	if (s->args.n != s->count * s->words)
		return false;
	if (s->part > 0)
		return (s->has & whole) == 0;
	return (s->has & first) == first && is_body(&wire_env, &s->env) && is_body(&wire_template, &s->template);
}

#define AT(member) offsetof(struct pcore_wire_submit, member)
static const struct field submit_fields[] = {
	{ .offset = AT(token), .kind = BYTES, .min = PCORE_WIRE_TOKEN, .max = PCORE_WIRE_TOKEN, .unit = PCORE_WIRE_TOKEN },
	{ .offset = AT(part), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(more), .kind = NUMBER, .max = 1 },
	{ .offset = AT(count), .kind = NUMBER, .min = 1, .max = PCORE_WIRE_SUBMIT_MAX },
	{ .offset = AT(words), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(args), .kind = WORDS, .max = UINT32_MAX },
	{ .offset = AT(env), .kind = BYTES, .max = UINT32_MAX, .unit = 1 },
	{ .offset = AT(template), .kind = BYTES, .max = UINT32_MAX, .unit = 1 },
	{ .offset = AT(input), .kind = BYTES, .max = UINT32_MAX, .unit = 1 },
	{ .offset = AT(priority), .kind = SIGNED, .min = INT32_MIN, .max = INT32_MAX },
	{ .offset = AT(after), .kind = BYTES, .max = PCORE_WIRE_AFTER_MAX * sizeof(uint64_t), .unit = sizeof(uint64_t) },
	{ .offset = AT(retries), .kind = NUMBER, .max = 255 },
	{ .offset = AT(backoff), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(retry_lost), .kind = NUMBER, .max = 255 },
	{ .offset = AT(at_most_once), .kind = NUMBER, .max = 1 },
};
FIELDS(submit, PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_TOKEN) | PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_COUNT), check_submit);
#undef AT

static bool check_watch(const void *m)
{
	const struct pcore_wire_watch *w = m;

	return w->from <= w->to;
}

#define AT(member) offsetof(struct pcore_wire_watch, member)
static const struct field watch_fields[] = {
	{ .offset = AT(submission), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(from), .kind = NUMBER, .min = 1, .max = UINT64_MAX },
	{ .offset = AT(to), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(flags), .kind = NUMBER, .max = PCORE_WIRE_WATCH_ALL },
	{ .offset = AT(attempt), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(received[0]), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(received[1]), .kind = NUMBER, .max = UINT64_MAX },
};
FIELDS(watch, REQUIRED(1, 4), check_watch);
#undef AT

static bool check_cancel(const void *m)
{
	const struct pcore_wire_cancel *c = m;

	return c->from <= c->to;
}

#define AT(member) offsetof(struct pcore_wire_cancel, member)
static const struct field cancel_fields[] = {
	{ .offset = AT(submission), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(from), .kind = NUMBER, .min = 1, .max = UINT64_MAX },
	{ .offset = AT(to), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(how), .kind = NUMBER, .max = PCORE_WIRE_KILL_IT },
};
FIELDS(cancel, REQUIRED(1, 4), check_cancel);
#undef AT

#define AT(member) offsetof(struct pcore_wire_about, member)
static const struct field about_fields[] = {
	{ .offset = AT(submission), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(seq), .kind = NUMBER, .min = 1, .max = UINT64_MAX },
};
FIELDS(about, 0, NULL);
#undef AT

#define AT(member) offsetof(struct pcore_wire_submitted, member)
static const struct field submitted_fields[] = {
	{ .offset = AT(submission), .kind = NUMBER, .min = 1, .max = UINT64_MAX },
	{ .offset = AT(count), .kind = NUMBER, .max = PCORE_WIRE_SUBMIT_MAX },
};
FIELDS(submitted, REQUIRED(1, 2), NULL);
#undef AT

#define AT(member) offsetof(struct pcore_wire_submission, member)
static const struct field submission_fields[] = {
	{ .offset = AT(number), .kind = NUMBER, .min = 1, .max = UINT64_MAX },
	{ .offset = AT(count), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(waiting), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(queued), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(running), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(succeeded), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(failed), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(cancelled), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(lost), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(submit_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(priority), .kind = SIGNED, .min = INT32_MIN, .max = INT32_MAX },
	{ .offset = AT(owner), .kind = TEXT, .max = UINT32_MAX },
	{ .offset = AT(argv), .kind = WORDS, .max = UINT32_MAX },
	{ .offset = AT(start_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(end_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
};
FIELDS(submission, REQUIRED(1, 12), NULL);
#undef AT

static bool check_member(const void *m)
{
	return wire_are_pairs(((const struct pcore_wire_member *)m)->labels);
}

#define AT(member) offsetof(struct pcore_wire_member, member)
static const struct field member_fields[] = {
	{ .offset = AT(name), .kind = TEXT, .min = 1, .max = PCORE_WIRE_NAME_MAX + 1 },
	{ .offset = AT(address), .kind = TEXT, .max = UINT32_MAX },
	{ .offset = AT(state), .kind = NUMBER, .max = PCORE_WIRE_STATES },
	{ .offset = AT(cpus), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(memory), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(running), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(jobs), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(job_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(sent), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(received), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(software), .kind = TEXT, .max = UINT32_MAX },
	{ .offset = AT(labels), .kind = WORDS, .max = UINT32_MAX },
	{ .offset = AT(resources), .kind = LIST, .element = &wire_resource },
};
FIELDS(member, REQUIRED(1, 10), check_member);
#undef AT

#define AT(member) offsetof(struct pcore_wire_total, member)
static const struct field total_fields[] = {
	{ .offset = AT(name), .kind = TEXT, .min = 1, .max = PCORE_WIRE_NAME_MAX + 1 },
	{ .offset = AT(software), .kind = TEXT, .max = UINT32_MAX },
	{ .offset = AT(start_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(policy), .kind = NUMBER, .max = 2 },
	{ .offset = AT(clients), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(submissions), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(waiting), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(queued), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(running), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(succeeded), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(failed), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(busy_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
};
FIELDS(total, REQUIRED(1, 12), NULL);
#undef AT

#define AT(member) offsetof(struct pcore_wire_why, member)
static const struct field why_fields[] = {
	{ .offset = AT(state), .kind = NUMBER, .max = 6 },
	{ .offset = AT(nodes), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(gone), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(draining), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(pinned), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(labels), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(cpus), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(memory), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(resources), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(avoided), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(reserved), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(busy), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(room), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(cancelled), .kind = NUMBER, .max = 1 },
	{ .offset = AT(node), .kind = TEXT, .min = 1, .max = PCORE_WIRE_NAME_MAX + 1 },
	{ .offset = AT(after), .kind = NUMBER, .max = UINT64_MAX },
	{ .offset = AT(until_ns), .kind = NUMBER, .max = WIRE_TIME_MAX },
	{ .offset = AT(exclusive), .kind = NUMBER, .max = UINT32_MAX },
	{ .offset = AT(stopped), .kind = NUMBER, .max = 1 },
};
FIELDS(why, REQUIRED(1, 14), NULL);
#undef AT

#define AT(member) offsetof(struct pcore_wire_number, member)
static const struct field number_fields[] = {
	{ .offset = AT(name), .kind = TEXT, .min = 1, .max = PCORE_WIRE_NAME_MAX + 1 },
};
FIELDS(number, REQUIRED(1, 1), NULL);
#undef AT

/* What of the fields a message about a submission needs. */
static uint64_t about_what(enum pcore_wire_type type)
{
	switch ((unsigned)type) {
	case PCORE_WIRE_EXPLAIN: return REQUIRED(PCORE_WIRE_ABOUT_SUBMISSION, PCORE_WIRE_ABOUT_SEQ);
	case PCORE_WIRE_FORGET: return PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION);
	default: return 0;
	}
}

int pcore_wire_put_about(struct pcore_buf *b, enum pcore_wire_type type, const struct pcore_wire_about *m)
{
	assert(type == PCORE_WIRE_LIST || type == PCORE_WIRE_EXPLAIN || type == PCORE_WIRE_FORGET);

	if ((m->has & about_what(type)) != about_what(type))
		return -EINVAL;
	return wire_put(b, type, &about, m);
}

int pcore_wire_get_about(const struct pcore_wire_frame *f, struct pcore_wire_about *ret)
{
	struct pcore_wire_about m;

	if (wire_get(&about, f, &m, sizeof(m)) < 0 || (m.has & about_what(f->type)) != about_what(f->type))
		return -EPROTO;
	*ret = m;
	return 0;
}

int pcore_wire_put_submit(struct pcore_buf *b, const struct pcore_wire_submit *m)
{
	return wire_put(b, PCORE_WIRE_SUBMIT, &submit, m);
}

int pcore_wire_put_watch(struct pcore_buf *b, const struct pcore_wire_watch *m)
{
	return wire_put(b, PCORE_WIRE_WATCH, &watch, m);
}

int pcore_wire_put_cancel(struct pcore_buf *b, const struct pcore_wire_cancel *m)
{
	return wire_put(b, PCORE_WIRE_CANCEL, &cancel, m);
}

int pcore_wire_put_submitted(struct pcore_buf *b, const struct pcore_wire_submitted *m)
{
	return wire_put(b, PCORE_WIRE_SUBMITTED, &submitted, m);
}

int pcore_wire_put_submission(struct pcore_buf *b, const struct pcore_wire_submission *m)
{
	return wire_put(b, PCORE_WIRE_SUBMISSION, &submission, m);
}

int pcore_wire_put_member(struct pcore_buf *b, const struct pcore_wire_member *m)
{
	return wire_put(b, PCORE_WIRE_MEMBER, &member, m);
}

int pcore_wire_put_total(struct pcore_buf *b, const struct pcore_wire_total *m)
{
	return wire_put(b, PCORE_WIRE_TOTAL, &total, m);
}

int pcore_wire_put_why(struct pcore_buf *b, const struct pcore_wire_why *m)
{
	return wire_put(b, PCORE_WIRE_WHY, &why, m);
}

int pcore_wire_put_number(struct pcore_buf *b, const struct pcore_wire_number *m)
{
	return wire_put(b, PCORE_WIRE_NODE_NUMBER, &number, m);
}

int pcore_wire_get_submit(const struct pcore_wire_frame *f, struct pcore_wire_submit *ret)
{
	return wire_get(&submit, f, ret, sizeof(*ret));
}

int pcore_wire_get_watch(const struct pcore_wire_frame *f, struct pcore_wire_watch *ret)
{
	return wire_get(&watch, f, ret, sizeof(*ret));
}

int pcore_wire_get_cancel(const struct pcore_wire_frame *f, struct pcore_wire_cancel *ret)
{
	return wire_get(&cancel, f, ret, sizeof(*ret));
}

int pcore_wire_get_submitted(const struct pcore_wire_frame *f, struct pcore_wire_submitted *ret)
{
	return wire_get(&submitted, f, ret, sizeof(*ret));
}

int pcore_wire_get_submission(const struct pcore_wire_frame *f, struct pcore_wire_submission *ret)
{
	return wire_get(&submission, f, ret, sizeof(*ret));
}

int pcore_wire_get_member(const struct pcore_wire_frame *f, struct pcore_wire_member *ret)
{
	return wire_get(&member, f, ret, sizeof(*ret));
}

int pcore_wire_get_total(const struct pcore_wire_frame *f, struct pcore_wire_total *ret)
{
	return wire_get(&total, f, ret, sizeof(*ret));
}

int pcore_wire_get_why(const struct pcore_wire_frame *f, struct pcore_wire_why *ret)
{
	return wire_get(&why, f, ret, sizeof(*ret));
}

int pcore_wire_get_number(const struct pcore_wire_frame *f, struct pcore_wire_number *ret)
{
	return f->id > 0 && f->id <= UINT32_MAX ? wire_get(&number, f, ret, sizeof(*ret)) : -EPROTO;
}
