/* SPDX-License-Identifier: MIT */
/*
 * durable_record.c - the records of a durable queue as bytes: pure functions. pcore-wire(7) has the tables.
 */
#include "libcore/queue/durable.h"

static const char meta_magic[8] = "PCOREQUE";

enum { META_MAJOR = 1, META_MINOR = 0 };

/* n more bytes at the end of out, zeroed. */
static int extend(struct pcore_buf *out, size_t n, uint8_t **ret)
{
	int r = pcore_buf_reserve(out, n);

	if (r < 0)
		return r;
	*ret = (uint8_t *)out->data + out->len;
	memset(*ret, 0, n);
	out->len += n;
	return 0;
}

int dq_encode_meta(struct pcore_buf *out, const struct dq_meta *m)
{
	uint8_t *p;
	int r = extend(out, DQ_META_SIZE, &p);

	if (r < 0)
		return r;
	memcpy(p, meta_magic, sizeof(meta_magic));
	pcore_put16(p + 8, META_MAJOR);
	pcore_put16(p + 10, META_MINOR);
	p[12] = (uint8_t)m->spec.order;
	p[13] = (uint8_t)m->spec.sync;
	pcore_put64(p + 16, m->spec.max_items);
	pcore_put64(p + 24, m->spec.max_bytes);
	pcore_put64(p + 32, m->spec.max_item);
	pcore_put64(p + 40, (uint64_t)m->spec.interval_ns);
	pcore_put64(p + 48, (uint64_t)m->created_ns);
	return 0;
}

int dq_decode_meta(const struct pcore_record *rec, struct dq_meta *ret)
{
	const uint8_t *p = rec->data;

	if (rec->type != DQ_META || rec->len < DQ_META_SIZE || memcmp(p, meta_magic, sizeof(meta_magic)) != 0)
		return -EBADMSG;
	if (pcore_get16(p + 8) != META_MAJOR)
		return -EPROTONOSUPPORT;
	if (p[12] > PCORE_PRIORITY || p[13] > PCORE_QUEUE_NONE)
		return -EBADMSG;
	*ret = (struct dq_meta){
		.spec = {
			.order = (enum pcore_order)p[12],
			.durable = true,
			.sync = (enum pcore_queue_sync)p[13],
			.max_items = pcore_get64(p + 16),
			.max_bytes = pcore_get64(p + 24),
			.max_item = pcore_get64(p + 32),
			.interval_ns = (int64_t)pcore_get64(p + 40),
		},
		.created_ns = (int64_t)pcore_get64(p + 48),
	};
	if (ret->spec.max_item == 0 || ret->spec.max_item > DQ_ITEM_LIMIT - PCORE_KEY_MAX || ret->spec.interval_ns < 0)
		return -EBADMSG;
	return 0;
}

int dq_encode_put(struct pcore_buf *out, const struct dq_put *put)
{
	uint8_t *p;
	int r = extend(out, DQ_PUT_SIZE + put->key_len + put->len, &p);

	if (r < 0)
		return r;
	pcore_put64(p, put->id);
	pcore_put64(p + 8, put->replaces);
	pcore_put64(p + 16, (uint64_t)put->due_ns);
	pcore_put32(p + 24, put->priority);
	pcore_put16(p + 28, (uint16_t)put->key_len);
	if (put->key_len > 0)
		memcpy(p + DQ_PUT_SIZE, put->key, put->key_len);
	if (put->len > 0)
		memcpy(p + DQ_PUT_SIZE + put->key_len, put->data, put->len);
	return 0;
}

int dq_decode_put(const struct pcore_record *rec, struct dq_put *ret)
{
	const char *p = rec->data;
	size_t key_len;

	if (rec->type != DQ_PUT || rec->len < DQ_PUT_SIZE)
		return -EBADMSG;
	key_len = pcore_get16(p + 28);
	if (key_len > PCORE_KEY_MAX || key_len > rec->len - DQ_PUT_SIZE || rec->len - DQ_PUT_SIZE > DQ_ITEM_LIMIT)
		return -EBADMSG;
	*ret = (struct dq_put){
		.id = pcore_get64(p),
		.replaces = pcore_get64(p + 8),
		.due_ns = (int64_t)pcore_get64(p + 16),
		.priority = pcore_get32(p + 24),
		.key = p + DQ_PUT_SIZE,
		.key_len = key_len,
		.data = p + DQ_PUT_SIZE + key_len,
		.len = rec->len - DQ_PUT_SIZE - key_len,
	};
	return ret->id == 0 || ret->id > DQ_ID_MASK || ret->due_ns < 0 ? -EBADMSG : 0;
}

int dq_encode_id(struct pcore_buf *out, uint64_t id)
{
	uint8_t *p;
	int r = extend(out, sizeof(id), &p);

	if (r == 0)
		pcore_put64(p, id);
	return r;
}

int dq_decode_ids(const struct pcore_record *rec, size_t *ret_n)
{
	if (rec->len % sizeof(uint64_t) != 0 || rec->len == 0 || (rec->type == DQ_REVIVE && rec->len != sizeof(uint64_t)))
		return -EBADMSG;
	*ret_n = rec->len / sizeof(uint64_t);
	return 0;
}

uint64_t dq_decode_id(const struct pcore_record *rec, size_t i)
{
	return pcore_get64((const char *)rec->data + i * sizeof(uint64_t));
}

int dq_encode_lease(struct pcore_buf *out, const struct dq_lease *l)
{
	uint8_t *p;
	int r = extend(out, DQ_LEASE_SIZE, &p);

	if (r < 0)
		return r;
	pcore_put64(p, l->boot);
	pcore_put64(p + 8, (uint64_t)l->due_ns);
	pcore_put64(p + 16, (uint64_t)l->lease_ns);
	pcore_put64(p + 24, l->holder);
	return 0;
}

int dq_encode_leased(struct pcore_buf *out, const struct dq_leased *l)
{
	uint8_t *p;
	int r = extend(out, DQ_LEASE_EACH, &p);

	if (r < 0)
		return r;
	pcore_put64(p, l->id);
	pcore_put32(p + 8, l->attempt);
	pcore_put32(p + 12, l->forgiven);
	return 0;
}

int dq_decode_lease(const struct pcore_record *rec, struct dq_lease *ret)
{
	const uint8_t *p = rec->data;

	if (rec->len < DQ_LEASE_SIZE || (rec->len - DQ_LEASE_SIZE) % DQ_LEASE_EACH != 0)
		return -EBADMSG;
	*ret = (struct dq_lease){
		.boot = pcore_get64(p),
		.due_ns = (int64_t)pcore_get64(p + 8),
		.lease_ns = (int64_t)pcore_get64(p + 16),
		.holder = pcore_get64(p + 24),
		.n = (rec->len - DQ_LEASE_SIZE) / DQ_LEASE_EACH,
		.each = p + DQ_LEASE_SIZE,
	};
	return ret->due_ns < 0 || ret->lease_ns < 0 ? -EBADMSG : 0;
}

/* Attempts, and how many of them are forgiven. */
static void get_attempts(const uint8_t *p, uint32_t *ret_attempt, uint32_t *ret_forgiven)
{
	uint32_t forgiven = pcore_get32(p + 4);

	*ret_attempt = pcore_get32(p) & DQ_ATTEMPT_MAX;
	*ret_forgiven = forgiven <= *ret_attempt ? forgiven : *ret_attempt;
}

struct dq_leased dq_decode_leased(const struct dq_lease *l, size_t i)
{
	const uint8_t *p = l->each + i * DQ_LEASE_EACH;
	struct dq_leased leased = { .id = pcore_get64(p) };

	get_attempts(p + 8, &leased.attempt, &leased.forgiven);
	return leased;
}

int dq_encode_nack(struct pcore_buf *out, const struct dq_nack *n)
{
	uint8_t *p;
	int r = extend(out, DQ_NACK_SIZE, &p);

	if (r < 0)
		return r;
	pcore_put64(p, n->id);
	pcore_put64(p + 8, (uint64_t)n->due_ns);
	pcore_put32(p + 16, n->attempt);
	pcore_put32(p + 20, n->forgiven);
	return 0;
}

int dq_decode_nack(const struct pcore_record *rec, struct dq_nack *ret)
{
	const uint8_t *p = rec->data;

	if (rec->len != DQ_NACK_SIZE)
		return -EBADMSG;
	*ret = (struct dq_nack){ .id = pcore_get64(p), .due_ns = (int64_t)pcore_get64(p + 8) };
	get_attempts(p + 16, &ret->attempt, &ret->forgiven);
	return ret->due_ns < 0 ? -EBADMSG : 0;
}

int dq_encode_bury(struct pcore_buf *out, const struct dq_bury *b)
{
	uint8_t *p;
	int r = extend(out, DQ_BURY_SIZE + b->reason_len, &p);

	if (r < 0)
		return r;
	pcore_put64(p, b->id);
	pcore_put64(p + 8, (uint64_t)b->died_ns);
	pcore_put32(p + 16, b->attempt);
	pcore_put32(p + 20, b->forgiven);
	if (b->reason_len > 0)
		memcpy(p + DQ_BURY_SIZE, b->reason, b->reason_len);
	return 0;
}

int dq_decode_bury(const struct pcore_record *rec, struct dq_bury *ret)
{
	const char *p = rec->data;

	if (rec->type != DQ_BURY || rec->len < DQ_BURY_SIZE || rec->len > DQ_BURY_SIZE + PCORE_REASON_MAX)
		return -EBADMSG;
	*ret = (struct dq_bury){
		.id = pcore_get64(p),
		.died_ns = (int64_t)pcore_get64(p + 8),
		.reason = p + DQ_BURY_SIZE,
		.reason_len = rec->len - DQ_BURY_SIZE,
	};
	get_attempts(rec->data + 16, &ret->attempt, &ret->forgiven);
	return 0;
}

int dq_encode_state(struct pcore_buf *out, const struct dq_state *s)
{
	uint8_t *p;
	int r = extend(out, DQ_STATE_SIZE, &p);

	if (r < 0)
		return r;
	pcore_put64(p, s->next_id);
	pcore_put64(p + 8, s->counts.puts);
	pcore_put64(p + 16, s->counts.gets);
	pcore_put64(p + 24, s->counts.acks);
	pcore_put64(p + 32, s->counts.returns);
	return 0;
}

int dq_decode_state(const struct pcore_record *rec, struct dq_state *ret)
{
	const uint8_t *p = rec->data;

	if (rec->len < DQ_STATE_SIZE)
		return -EBADMSG;
	*ret = (struct dq_state){
		.next_id = pcore_get64(p),
		.counts = { pcore_get64(p + 8), pcore_get64(p + 16), pcore_get64(p + 24), pcore_get64(p + 32), 0 },
	};
	return ret->next_id == 0 || ret->next_id > DQ_ID_MASK ? -EBADMSG : 0;
}
