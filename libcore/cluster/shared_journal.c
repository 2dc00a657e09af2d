/* SPDX-License-Identifier: MIT */
/*
 * shared_journal.c - what a shared scheduler has in its store: how it comes there, and how it is read.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "libcore/cluster/shared_private.h"

#define RETRY_NS (500 * NS_PER_MS)
#define GROWTH (UINT64_C(64) << 20)

/* ---- writing ---- */

int shared_journal_add(struct pcore_shared *s, enum shared_record type, const void *head, size_t head_len, const void *data, size_t len, bool sync)
{
	struct shared_journal *j = &s->journal;
	int r = pcore_buf_reserve(&j->data, head_len + len);

	if (r < 0)
		return r;
	if (j->n == j->cap) {
		size_t cap = j->cap ? 2 * j->cap : 64;
		struct shared_entry *larger = reallocarray(j->entries, cap, sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		j->entries = larger;
		j->cap = cap;
	}
	j->entries[j->n++] = (struct shared_entry){ .offset = j->data.len, .len = head_len + len, .type = (uint8_t)type };
	(void)pcore_buf_add(&j->data, head, head_len);
	if (len > 0)
		(void)pcore_buf_add(&j->data, data, len);
	j->sync = j->sync || sync;
	return 0;
}

void shared_journal_about(struct pcore_shared *s, struct shared_part *p, uint32_t index, uint32_t piece)
{
	struct shared_entry *e = &s->journal.entries[s->journal.n - 1];

	e->part = p;
	e->index = index;
	e->piece = piece;
}

void shared_journal_drop_last(struct pcore_shared *s)
{
	struct shared_journal *j = &s->journal;

	j->n--;
	j->data.len = j->entries[j->n].offset;
}

/* Where it is in the store now. */
static void note_place(struct shared_part *p, uint8_t type, uint32_t index, uint32_t piece, uint64_t at)
{
	struct shared_result *r = &p->results[index];

	if (type == SHARED_RESULT)
		r->at = at;
	else if (r->stored && piece < r->stored->n)
		r->stored->pieces[piece].at = at;
}

static int append(struct pcore_shared *s, uint64_t keep, uint64_t *seq)
{
	struct shared_journal *j = &s->journal;
	struct pcore_record *recs = calloc(j->n, sizeof(*recs));
	int r;

	if (!recs)
		return -ENOMEM;
	for (size_t i = 0; i < j->n; i++) {
		const struct shared_entry *e = &j->entries[i];

		recs[i] = (struct pcore_record){ .data = j->data.data + e->offset, .len = e->len, .type = e->type, .flags = e->flags };
	}
	r = pcore_store_begin(j->store);
	if (r == 0) {
		r = pcore_store_append(j->store, recs, j->n, keep);
		pcore_store_end(j->store);
	}
	for (size_t i = 0; i < j->n && r == 0; i++) {
		const struct shared_entry *e = &j->entries[i];

		*seq = recs[i].seq;
		if (e->part)
			note_place(e->part, e->type, e->index, e->piece, recs[i].at);
		if (e->flags & SHARED_SNAPSHOT)
			j->snapshot = recs[i].seq;
	}
	free(recs);
	return r;
}

static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EFBIG || r == -ENOMEM;
}

static void retry_due(struct pcore_op *op, int res)
{
	struct pcore_shared *s = container_of(op, struct pcore_shared, journal.retry);

	(void)res;
	if (!s->stopping)
		shared_pump_soon(s);
	else
		shared_check_idle(s);
}

static void block(struct pcore_shared *s, int r)
{
	struct shared_journal *j = &s->journal;

	if (!j->blocked)
		shared_log(s, "the state cannot be kept: %s; nothing goes on until it can", strerror(-r));
	j->blocked = true;
	if (!pcore_op_live(&j->retry) && !s->stopping)
		(void)pcore_op_timer(s->host.loop, &j->retry, PCORE_CLOCK_MONOTONIC, pcore_ns_add(pcore_now_ns(), RETRY_NS));
}

/* What the scheduler has changed becomes one record. */
int shared_journal_take_core(struct pcore_shared *s)
{
	struct pcore_buf *core = pcore_sched_records(s->host.sched);
	int r = 0;

	if (core->len > 0)
		r = shared_journal_add(s, SHARED_CORE, core->data, core->len, NULL, 0, s->n_at_most_once > 0);
	if (r == 0)
		pcore_buf_clear(core);
	return r;
}

int shared_journal_commit(struct pcore_shared *s, uint64_t keep)
{
	struct shared_journal *j = &s->journal;
	uint64_t seq = 0;
	int r = shared_journal_take_core(s);

	if (r == 0 && j->n > 0)
		r = append(s, keep, &seq);
	if (r == 0) {
		j->unsynced = seq > j->unsynced ? seq : j->unsynced;
		j->n = 0;
		pcore_buf_clear(&j->data);
		if (j->blocked)
			shared_log(s, "the state can be kept again");
		j->blocked = false;
		if (j->sync && keep == 0 && j->unsynced > 0) { /* of many submits in a turn the last one has it done */
			r = pcore_store_commit(j->store, j->unsynced);
			j->sync = false;
			j->unsynced = 0;
		}
	}
	if (r == 0 || s->failed_once)
		return r;
	if (is_full(r)) {
		if (keep == 0)
			block(s, r);
		return r;
	}
	s->failed_once = true;
	s->spec.failed(s->spec.ctx, r);
	return r;
}

/* ---- growing ---- */

struct compaction {
	struct pcore_shared *shared;
	uint64_t snapshot;
};

static struct shared_part *part_at(struct pcore_shared *s, uint64_t number, uint64_t seq, uint32_t *index)
{
	struct shared_submission *sub = shared_submission_find(s, number);

	return sub ? shared_part_of(sub, seq, index) : NULL;
}

/* The piece of output that this record is, or NULL: of an attempt that counts no more. */
static struct shared_piece *piece_of(struct pcore_shared *s, const struct shared_output_head *h)
{
	uint32_t index = 0;
	struct shared_part *p = part_at(s, h->number, h->seq, &index);
	struct shared_stored *o = p ? p->results[index].stored : NULL;

	for (size_t i = 0; o && o->attempt == h->attempt && i < o->n; i++)
		if (o->pieces[i].offset == h->offset && o->pieces[i].stream == h->stream)
			return &o->pieces[i];
	return NULL;
}

static int keep(void *arg, const struct pcore_record *rec)
{
	struct compaction *c = arg;
	uint64_t number;

	switch ((enum shared_record)rec->type) {
	case SHARED_CORE:
		return rec->seq >= c->snapshot;
	case SHARED_OUTPUT:
		return piece_of(c->shared, rec->data) != NULL;
	case SHARED_FORGET: /* the newest number is not given out again */
	case SHARED_SUBMIT:
	case SHARED_RESULT:
		memcpy(&number, rec->data, sizeof(number));
		if (rec->type == SHARED_FORGET && number + 1 == c->shared->next_submission)
			return 1;
		return shared_submission_find(c->shared, number) != NULL;
	case SHARED_META:
	case SHARED_NODE:
	case SHARED_CLIENT:
		break;
	}
	return 1;
}

static void moved(void *arg, const struct pcore_record *rec)
{
	struct compaction *c = arg;
	const struct shared_result_head *h = rec->data;
	struct shared_piece *piece;
	struct shared_part *p;
	uint32_t index = 0;

	if (rec->type == SHARED_OUTPUT) {
		piece = piece_of(c->shared, rec->data);
		if (piece)
			piece->at = rec->at;
	} else if (rec->type == SHARED_RESULT && rec->len > sizeof(*h)) {
		p = part_at(c->shared, h->number, h->seq, &index);
		if (p)
			p->results[index].at = rec->at;
	}
}

/* The state of the scheduler as it is, in place of all that led to it. Nothing waits to be appended. */
static int snapshot(struct pcore_shared *s)
{
	_cleanup_(pcore_buf_done) struct pcore_buf core = PCORE_BUF_INIT(0);
	int r = pcore_sched_snapshot(s->host.sched, &core);

	if (r == 0)
		r = shared_journal_add(s, SHARED_CORE, core.data, core.len, NULL, 0, true);
	if (r < 0)
		return r;
	s->journal.entries[s->journal.n - 1].flags = SHARED_SNAPSHOT;
	return shared_journal_commit(s, 0);
}

void shared_journal_compact(struct pcore_shared *s)
{
	struct compaction c = { .shared = s };
	const struct pcore_store_compact how = { .keep = keep, .moved = moved, .arg = &c };
	struct shared_journal *j = &s->journal;
	struct pcore_store_stat stat;
	int r = pcore_store_stat(j->store, &stat);

	if (r < 0 || stat.bytes < j->size_next)
		return;
	j->size_next = stat.bytes + GROWTH; /* if it does not work out now */
	r = snapshot(s);
	c.snapshot = j->snapshot;
	if (r == 0)
		r = pcore_store_compact(j->store, &how);
	if (r == 0)
		r = pcore_store_stat(j->store, &stat);
	if (r == 0)
		j->size_next = 2 * stat.bytes + GROWTH;
	else
		shared_log(s, "the state cannot be made smaller: %s", strerror(-r));
}

/* ---- reading ---- */

static int restore_core(struct pcore_shared *s, const struct pcore_record *rec)
{
	if (rec->flags & SHARED_SNAPSHOT) {
		pcore_sched_free(s->host.sched);
		s->host.sched = NULL;
		int r = pcore_sched_new(&s->host.sched, &s->sched_spec);

		if (r < 0)
			return r;
		s->journal.snapshot = rec->seq;
	}
	return pcore_sched_restore(s->host.sched, pcore_now_ns(), rec->data, rec->len);
}

static int restore_output(struct pcore_shared *s, const struct pcore_record *rec)
{
	const struct shared_output_head *h = rec->data;
	uint32_t index = 0;
	struct shared_part *p;
	struct shared_piece piece;
	int r;

	if (rec->len < sizeof(*h) || h->stream > 1)
		return -EBADMSG;
	p = part_at(s, h->number, h->seq, &index);
	if (!p) /* forgotten later on */
		return 0;
	piece = (struct shared_piece){ rec->at, h->offset, (uint32_t)(rec->len - sizeof(*h)), (uint8_t)h->stream };
	r = shared_note_piece(p, index, h->attempt, &piece);
	return r < 0 ? r : 0;
}

static int restore_result(struct pcore_shared *s, const struct pcore_record *rec)
{
	const struct shared_result_head *h = rec->data;
	struct pcore_wire_frame f = { .type = PCORE_WIRE_DONE_N };
	struct pcore_wire_done d;
	struct pcore_wire_in in;
	uint32_t index = 0;
	struct shared_part *p;

	if (rec->len < sizeof(*h))
		return -EBADMSG;
	p = part_at(s, h->number, h->seq, &index);
	if (!p)
		return 0;
	if (h->n > p->n - index || h->outcome > PCORE_SCHED_DEPENDENCY)
		return -EBADMSG;
	if (p->results[index].at)
		return 0; /* said again by a node, and not acknowledged the first time */
	shared_note_result(p, index, h->n, (enum pcore_sched_outcome)h->outcome, h->end_ns);
	if (rec->len == sizeof(*h))
		return 0;
	p->results[index].at = rec->at;
	f.body = (const char *)(h + 1);
	f.len = rec->len - sizeof(*h);
	if (pcore_wire_open(&f, &in) < 0 || !pcore_wire_next_done(&in, &d))
		return -EBADMSG;
	shared_note_start(p->sub, d.start_ns);
	return 0;
}

static int restore_name(struct pcore_shared *s, const struct pcore_record *rec)
{
	const char *p = rec->data;
	size_t n = rec->type == SHARED_NODE ? sizeof(uint32_t) : sizeof(uint64_t);
	struct shared_owner *o;
	uint32_t number;

	if (rec->len < n + 1 || p[rec->len - 1] != '\0')
		return -EBADMSG;
	if (rec->type == SHARED_NODE) {
		memcpy(&number, p, n);
		return number == 0 ? -EBADMSG : shared_node_find(s, p + n) || shared_node_make(s, p + n, number) ? 0 : -ENOMEM;
	}
	o = calloc(1, sizeof(*o) + strlen(p + n) + 1);
	if (!o)
		return -ENOMEM;
	memcpy(&o->id, p, n);
	strcpy(o->name, p + n);
	pcore_list_init(&o->link);
	pcore_list_add_tail(&s->owners, &o->link);
	return 0;
}

static int restore(void *arg, const struct pcore_record *rec)
{
	struct pcore_shared *s = arg;
	const struct shared_submit_head *h = rec->data;
	struct shared_submission *sub;
	const uint32_t *meta = rec->data;
	uint64_t number;

	switch ((enum shared_record)rec->type) {
	case SHARED_META:
		if (rec->len < 2 * sizeof(*meta))
			return -EBADMSG;
		s->instance = meta[1];
		return meta[0] == SHARED_VERSION ? 0 : -EPROTONOSUPPORT;
	case SHARED_CORE:
		return restore_core(s, rec);
	case SHARED_SUBMIT:
		return rec->len < sizeof(*h) ? -EBADMSG : shared_submit_restore(s, h, (const char *)(h + 1), rec->len - sizeof(*h));
	case SHARED_OUTPUT:
		return restore_output(s, rec);
	case SHARED_RESULT:
		return restore_result(s, rec);
	case SHARED_NODE:
	case SHARED_CLIENT:
		return restore_name(s, rec);
	case SHARED_FORGET:
		if (rec->len != sizeof(number))
			return -EBADMSG;
		memcpy(&number, rec->data, sizeof(number));
		s->next_submission = number < s->next_submission ? s->next_submission : number + 1;
		sub = shared_submission_find(s, number);
		if (sub)
			shared_submission_free(s, sub);
		return 0;
	}
	return -EBADMSG;
}

/* A new one begins with who we are, and with a state of the scheduler: the next start finds that there was one before. */
static int begin(struct pcore_shared *s)
{
	uint32_t meta[2] = { SHARED_VERSION };
	int r;

	while (meta[1] == 0)
		if (getrandom(&meta[1], sizeof(meta[1]), 0) < 0)
			return -errno;
	s->instance = meta[1];
	r = shared_journal_add(s, SHARED_META, meta, sizeof(meta), NULL, 0, true);
	return r < 0 ? r : snapshot(s);
}

int shared_journal_open(struct pcore_shared *s)
{
	const struct pcore_store_spec spec = { .create = true, .sync = s->spec.durable ? PCORE_STORE_ALWAYS : PCORE_STORE_NONE };
	struct shared_journal *j = &s->journal;
	struct pcore_store_found found;
	struct pcore_store_stat stat;
	int r;

	j->retry.done = retry_due;
	j->lock_fd = openat(s->spec.state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->lock_fd < 0)
		return -errno;
	if (flock(j->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	r = pcore_store_open(&j->store, s->spec.state_fd, "journal", &spec, &found);
	if (r == 0)
		r = pcore_store_each(j->store, 1, restore, s, &found);
	if (r < 0)
		return r;
	if (s->instance == 0)
		r = begin(s);
	else
		r = pcore_sched_restored(s->host.sched, pcore_now_ns());
	if (r == 0)
		r = shared_submit_check(s);
	if (r == 0)
		r = pcore_store_stat(j->store, &stat);
	j->size_next = r == 0 ? 2 * stat.bytes + GROWTH : GROWTH;
	j->sync = true; /* the epoch */
	return r == 0 ? shared_journal_commit(s, 0) : r;
}

void shared_journal_close(struct pcore_shared *s)
{
	struct shared_journal *j = &s->journal;

	(void)pcore_store_close(j->store);
	j->lock_fd = pcore_fd_close(j->lock_fd);
	pcore_buf_done(&j->data);
	free(j->entries);
}
