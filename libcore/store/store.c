/* SPDX-License-Identifier: MIT */
/*
 * store.c - the log: opened and verified, appended to, read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libcore/store/private.h"

#define AHEAD (UINT64_C(256) << 10) /* allocated at a time */

/* ---- where the log ends ---- */

static int bad(struct pcore_store_found *found, const char *file, uint64_t offset)
{
	if (found) {
		(void)snprintf(found->bad_file, sizeof(found->bad_file), "%s", file);
		found->bad_offset = offset;
	}
	return -EBADMSG;
}

static int bad_segment(struct pcore_store_found *found, uint64_t serial, uint64_t offset)
{
	char name[SEGMENT_NAME];

	store_segment_name(name, serial);
	return bad(found, name, offset);
}

/*
 * No record at `end' of the last segment. What nobody knew to be on disk may be missing or torn after a crash, in any order;
 * it is damage when a record follows that was written when that place was on disk already.
 */
static int judge_rest(struct store_scan *c, uint64_t end, struct pcore_store_found *found, uint64_t *ret_end)
{
	struct pcore_record rec;
	uint64_t lost = c->last_seq + 1, rest;
	int r = store_find_zeros(c->fd, end, c->end, &rest);

	if (r < 0)
		return r;
	while ((r = store_scan_find(c, rest, &rec)) == 1) {
		if (c->synced >= lost)
			return bad_segment(found, c->serial, end);
		if (found)
			found->cut_records++;
		c->offset += store_record_size(rec.len);
	}
	if (r == 0)
		*ret_end = rest;
	return r;
}

/* Find the end of the last segment, and cut what is behind it. */
static int settle(struct pcore_store *s, const struct store_header *h, int fd, struct pcore_store_found *found)
{
	struct store_scan c = { .fd = fd, .seed = s->seed, .serial = h->serial, .offset = SEGMENT_HEADER,
		.last_seq = h->first_seq - 1, .window = PCORE_BUF_INIT(0) };
	struct pcore_record rec;
	uint64_t end, torn_end, last;
	int r = store_file_size(fd, &c.end);

	while (r == 0 && (r = store_scan_next(&c, &rec)) == 1)
		r = 0;
	end = torn_end = c.offset;
	last = c.last_seq;
	if (r == -EBADMSG)
		r = judge_rest(&c, end, found, &torn_end);
	if (r == 0 && torn_end > end) {
		if (found)
			found->cut_bytes = torn_end - end;
		r = store_file_cut(fd, end);
		c.end = end;
	}
	store_scan_done(&c);
	if (r < 0)
		return r;
	s->c->allocated = c.end;
	atomic_store(&s->c->end, end);
	atomic_store(&s->c->last_seq, last);
	return 0;
}

static void set_tail_fd(struct pcore_store *s, int fd, uint64_t serial)
{
	fd_closep(&s->tail_fd);
	s->tail_fd = fd;
	s->tail_serial = serial;
}

int store_derive(struct pcore_store *s, struct pcore_store_found *found)
{
	const struct store_segment *last;
	struct store_list list = { 0 };
	struct store_header h = { 0 };
	int fd = -EBADF, r = store_list_load(s->dfd, &list);

	if (r < 0)
		return r == -EBADMSG || r == -ENOENT ? bad(found, "CURRENT", 0) : r;
	store_list_done(&s->list);
	s->list = list;
	s->seed = store_seed(list.uuid);
	last = &list.seg[list.n - 1];
	r = store_segment_open(s->dfd, list.uuid, last->serial, O_RDWR, &h, &fd);
	if (r < 0)
		return r == -EBADMSG || r == -ENOENT ? bad_segment(found, last->serial, 0) : r;
	set_tail_fd(s, fd, last->serial);
	if (h.first_seq != last->first_seq)
		return bad_segment(found, last->serial, 0);
	r = settle(s, &h, fd, found);
	if (r < 0)
		return r;

	atomic_store(&s->c->tail, last->serial);
	store_durable(s, last->first_seq - 1);
	for (size_t i = 0; i < list.n; i++)
		if (atomic_load(&s->c->next_serial) <= list.seg[i].serial)
			atomic_store(&s->c->next_serial, list.seg[i].serial + 1);
	s->lists = atomic_fetch_add(&s->c->lists, 1) + 1;
	return 0;
}

int store_list_refresh(struct pcore_store *s)
{
	uint64_t lists = atomic_load(&s->c->lists);
	struct store_list list = { 0 };
	int r;

	if (s->lists == lists)
		return 0;
	r = store_list_load(s->dfd, &list);
	if (r < 0)
		return r;
	store_list_done(&s->list);
	s->list = list;
	s->lists = lists;
	return 0;
}

/* When it is not certain which of the two is there, nobody may write any more. */
int store_list_switch(struct pcore_store *s, struct store_list *list)
{
	int r = store_list_store(s->dfd, list);

	if (r < 0) {
		struct store_list there = { 0 };
		bool old = store_list_load(s->dfd, &there) == 0 && there.n == s->list.n &&
			memcmp(there.seg, s->list.seg, there.n * sizeof(*there.seg)) == 0;

		store_list_done(&there);
		return old ? r : store_fail(s, r);
	}
	store_list_done(&s->list);
	s->list = *list;
	*list = (struct store_list){ 0 };
	s->lists = atomic_fetch_add(&s->c->lists, 1) + 1;
	return 0;
}

/* ---- appending ---- */

int store_tail(struct pcore_store *s)
{
	for (;;) {
		uint64_t serial = atomic_load(&s->c->tail);
		struct store_header h;
		int fd, r;

		if (s->tail_fd >= 0 && s->tail_serial == serial)
			return s->tail_fd;
		r = store_segment_open(s->dfd, s->list.uuid, serial, O_RDWR, &h, &fd);
		if (r == 0)
			set_tail_fd(s, fd, serial);
		else if (r != -ENOENT || serial == atomic_load(&s->c->tail)) /* rolled, compacted and removed meanwhile */
			return r;
	}
}

/* Allocate the last segment up to `to', and some more when there is room. */
static int allocate(struct pcore_store *s, int fd, uint64_t to)
{
	struct store_control *c = s->c;
	uint64_t ahead = to + AHEAD;
	int r;

	if (to <= c->allocated)
		return 0;
	r = store_file_allocate(fd, c->allocated, ahead);
	if (r == -ENOSPC || r == -EFBIG || r == -EDQUOT) {
		ahead = to;
		r = store_file_allocate(fd, c->allocated, to);
	}
	if (r == 0)
		c->allocated = ahead;
	return r;
}

/* With the lock: leave the last segment, whole and on disk, and go on in a new one with room for so many bytes. */
int store_roll(struct pcore_store *s, uint64_t room)
{
	struct store_control *c = s->c;
	struct store_header h = { .first_seq = atomic_load(&c->last_seq) + 1 };
	struct store_list list = { .n = s->list.n };
	uint64_t serial = 0, end = atomic_load(&c->end);
	_cleanup_(fd_closep) int fd = -EBADF;
	int old = store_tail(s), r;

	if (old < 0)
		return old;
	memcpy(h.uuid, s->list.uuid, sizeof(h.uuid));
	memcpy(list.uuid, s->list.uuid, sizeof(list.uuid));
	list.seg = malloc((list.n + 1) * sizeof(*list.seg));
	if (!list.seg)
		return -ENOMEM;
	memcpy(list.seg, s->list.seg, list.n * sizeof(*list.seg));
	list.seg[list.n - 1].end = end;

	r = store_segment_create(s->dfd, &h, SEGMENT_HEADER + room, &c->next_serial, &serial, &fd);
	if (r == 0)
		r = store_list_add(&list, (struct store_segment){ .serial = serial, .first_seq = h.first_seq });
	if (r == 0 && (r = store_file_sync(old, true)) < 0)
		(void)store_fail(s, r);
	if (r == 0)
		r = store_list_switch(s, &list);
	store_list_done(&list);
	if (r < 0) {
		char name[SEGMENT_NAME];

		store_segment_name(name, serial);
		if (fd >= 0 && store_sound(s) == 0)
			(void)unlinkat(s->dfd, name, 0);
		return r;
	}
	store_durable(s, h.first_seq - 1);
	(void)store_file_cut(old, end); /* gives back what was allocated ahead; the end is in CURRENT */
	c->allocated = SEGMENT_HEADER + room;
	atomic_store(&c->end, SEGMENT_HEADER);
	atomic_store(&c->tail, serial);
	set_tail_fd(s, TAKE_FD(fd), serial);
	return 0;
}

/* Nothing of what was begun may stay behind the end. */
static int take_back(struct pcore_store *s, int fd, int code)
{
	uint64_t allocated = s->c->allocated, end = atomic_load(&s->c->end);

	if (store_file_cut(fd, end) < 0)
		return store_fail(s, code);
	s->c->allocated = end;
	if (store_file_allocate(fd, end, allocated) == 0) /* what is kept for later */
		s->c->allocated = allocated;
	return code;
}

static int encode(struct pcore_store *s, struct pcore_record *recs, size_t n)
{
	uint64_t seq = atomic_load(&s->c->last_seq), synced = atomic_load(&s->c->durable_seq);
	int r = 0;

	pcore_buf_clear(&s->buf);
	for (size_t i = 0; i < n && r == 0; i++) {
		recs[i].seq = ++seq;
		recs[i].at = store_at(atomic_load(&s->c->tail), atomic_load(&s->c->end) + s->buf.len);
		r = store_record_encode(&s->buf, s->seed, &recs[i], synced);
	}
	return r;
}

int pcore_store_append(struct pcore_store *s, struct pcore_record *recs, size_t n, uint64_t keep)
{
	struct store_control *c = s->c;
	uint64_t size = 0, end = atomic_load(&c->end);
	int fd, r = store_sound(s);

	for (size_t i = 0; i < n; i++) {
		if (recs[i].len > s->spec.record_max)
			return -EMSGSIZE;
		size += store_record_size(recs[i].len);
	}
	if (r < 0 || n == 0)
		return r;
	if (end > SEGMENT_HEADER && end + size > s->spec.segment_max) {
		r = store_roll(s, size + keep);
		/* what was allocated for this record is in the segment that is full */
		if (r < 0 && (store_sound(s) < 0 || end + size + keep > c->allocated))
			return r;
	}
	fd = store_tail(s);
	if (fd < 0)
		return fd;
	end = atomic_load(&c->end);
	r = allocate(s, fd, end + size + keep);
	if (r == 0)
		r = encode(s, recs, n);
	if (r < 0)
		return r;
	r = store_file_write(fd, s->buf.data, s->buf.len, end);
	if (r < 0)
		return take_back(s, fd, r);
	atomic_store(&c->end, end + size);
	atomic_store(&c->last_seq, recs[n - 1].seq);
	return 0;
}

int pcore_store_put(struct pcore_store *s, struct pcore_record *recs, size_t n)
{
	int r = pcore_store_begin(s);

	if (r < 0)
		return r;
	r = pcore_store_append(s, recs, n, 0);
	pcore_store_end(s);
	return r < 0 || n == 0 ? r : pcore_store_commit(s, recs[n - 1].seq);
}

/* ---- reading ---- */

int store_each_of(struct pcore_store *s, const struct store_segment *seg, uint64_t end, uint64_t from, pcore_store_fn *fn,
	void *arg, struct pcore_store_found *found)
{
	struct store_scan c = { .seed = s->seed, .serial = seg->serial, .offset = SEGMENT_HEADER, .end = end,
		.last_seq = seg->first_seq - 1, .window = PCORE_BUF_INIT(0) };
	_cleanup_(fd_closep) int fd = -EBADF;
	struct store_header h = { 0 };
	struct pcore_record rec;
	int r = store_segment_open(s->dfd, s->list.uuid, seg->serial, O_RDONLY, &h, &fd), stop = 0;

	if (r == -ENOENT && s->lists != atomic_load(&s->c->lists))
		return -ESTALE; /* compacted meanwhile */
	if (r == -EBADMSG || r == -ENOENT || (r == 0 && h.first_seq != seg->first_seq))
		return bad_segment(found, seg->serial, 0);
	c.fd = fd;
	c.gaps = (h.flags & SEGMENT_GAPS) != 0;
	while (r == 0 && stop == 0 && (r = store_scan_next(&c, &rec)) == 1) {
		stop = rec.seq >= from ? fn(arg, &rec) : 0;
		r = 0;
	}
	if (r == -EBADMSG)
		r = bad_segment(found, seg->serial, c.offset);
	store_scan_done(&c);
	return r < 0 ? r : stop;
}

/* A copy of the list as it is now, with the end of the last segment. */
static int list_now(struct pcore_store *s, struct store_list *ret)
{
	bool held = s->held;
	int r = held ? 0 : pcore_store_begin(s);

	if (r < 0)
		return r;
	ret->seg = malloc(s->list.n * sizeof(*ret->seg));
	if (ret->seg) {
		ret->n = s->list.n;
		memcpy(ret->seg, s->list.seg, ret->n * sizeof(*ret->seg));
		ret->seg[ret->n - 1].end = atomic_load(&s->c->end);
	}
	if (!held)
		pcore_store_end(s);
	return ret->seg ? 0 : -ENOMEM;
}

int pcore_store_each(struct pcore_store *s, uint64_t from, pcore_store_fn *fn, void *arg, struct pcore_store_found *found)
{
	struct store_list list = { 0 };
	int r = list_now(s, &list);

	for (size_t i = 0; r == 0 && i < list.n; i++)
		if (i + 1 == list.n || list.seg[i + 1].first_seq > from)
			r = store_each_of(s, &list.seg[i], list.seg[i].end, from, fn, arg, found);
	store_list_done(&list);
	return r;
}

int pcore_store_stat(struct pcore_store *s, struct pcore_store_stat *ret)
{
	struct pcore_store_stat st = { .poison = atomic_load(&s->c->poison) };
	struct store_list list = { 0 };
	int r = st.poison ? 0 : list_now(s, &list);

	if (r < 0)
		return r;
	st.last_seq = atomic_load(&s->c->last_seq);
	st.durable_seq = atomic_load(&s->c->durable_seq);
	st.segments = list.n;
	for (size_t i = 0; i < list.n; i++)
		st.bytes += list.seg[i].end;
	store_list_done(&list);
	*ret = st;
	return 0;
}
