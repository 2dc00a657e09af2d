/* SPDX-License-Identifier: MIT */
/*
 * rewrite.c - records copied into new segments: those that are worth keeping, or those that can still be read.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/store/private.h"

enum { FLUSH = 1 << 20 };

/* Writes sealed segments, one after the other. Sequence numbers only have to rise. */
struct copier {
	int dfd;
	_Atomic uint64_t *next_serial;
	uint64_t segment_max;
	uint32_t seed;
	struct store_list list; /* what has been written: the last one is open while fd is one */
	int fd;			/* or -EBADF */
	uint64_t end;		/* of what is on file */
	struct pcore_buf buf;	/* what comes after that */
};

static int copier_flush(struct copier *c)
{
	int r = c->buf.len == 0 ? 0 : store_file_write(c->fd, c->buf.data, c->buf.len, c->end);

	if (r == 0)
		c->end += c->buf.len;
	pcore_buf_clear(&c->buf);
	return r;
}

/* On disk, all but its name. */
static int copier_seal(struct copier *c)
{
	int r;

	if (c->fd < 0)
		return 0;
	r = copier_flush(c);
	if (r == 0)
		r = store_file_sync(c->fd, false);
	c->list.seg[c->list.n - 1].end = c->end;
	fd_closep(&c->fd);
	return r;
}

static int copier_open(struct copier *c, uint64_t first_seq)
{
	struct store_header h = { .first_seq = first_seq, .flags = SEGMENT_GAPS };
	uint64_t serial;
	int r;

	memcpy(h.uuid, c->list.uuid, sizeof(h.uuid));
	r = store_segment_create(c->dfd, &h, SEGMENT_HEADER, c->next_serial, &serial, &c->fd);
	if (r < 0)
		return r;
	c->end = SEGMENT_HEADER;
	r = store_list_add(&c->list, (struct store_segment){ .serial = serial, .first_seq = first_seq });
	if (r < 0) {
		char name[SEGMENT_NAME];

		store_segment_name(name, serial);
		(void)unlinkat(c->dfd, name, 0);
		fd_closep(&c->fd);
	}
	return r;
}

static int copier_add(struct copier *c, const struct pcore_record *rec)
{
	int r = 0;

	if (c->fd >= 0 && c->end + c->buf.len + store_record_size(rec->len) > c->segment_max)
		r = copier_seal(c);
	if (r == 0 && c->fd < 0)
		r = copier_open(c, rec->seq);
	if (r == 0)
		r = store_record_encode(&c->buf, c->seed, rec, 0);
	if (r == 0 && c->buf.len >= FLUSH)
		r = copier_flush(c);
	return r;
}

/* undo: nothing of it came into use. */
static void copier_done(struct copier *c, bool undo)
{
	fd_closep(&c->fd);
	pcore_buf_done(&c->buf);
	for (size_t i = 0; undo && i < c->list.n; i++) {
		char name[SEGMENT_NAME];

		store_segment_name(name, c->list.seg[i].serial);
		(void)unlinkat(c->dfd, name, 0);
	}
	store_list_done(&c->list);
}

/* ---- compaction ---- */

struct compaction {
	const struct pcore_store_compact *how;
	struct copier out;
};

static int copy_kept(void *arg, const struct pcore_record *rec)
{
	struct compaction *c = arg;
	int r = c->how->keep(c->how->arg, rec);

	return r <= 0 ? r : copier_add(&c->out, rec);
}

static int tell_moved(void *arg, const struct pcore_record *rec)
{
	const struct pcore_store_compact *how = arg;

	how->moved(how->arg, rec);
	return 0;
}

/* With the lock: the new segments instead of the first n_old. The old ones are removed when nobody can need them. */
static int switch_over(struct pcore_store *s, struct compaction *c, size_t n_old)
{
	struct store_list list = { 0 }, old = { 0 };
	struct copier *out = &c->out;
	int r = 0;

	memcpy(list.uuid, s->list.uuid, sizeof(list.uuid));
	for (size_t i = 0; r == 0 && i < out->list.n; i++)
		r = store_list_add(&list, out->list.seg[i]);
	for (size_t i = n_old; r == 0 && i < s->list.n; i++)
		r = store_list_add(&list, s->list.seg[i]);
	for (size_t i = 0; r == 0 && i < n_old; i++)
		r = store_list_add(&old, s->list.seg[i]);
	if (r == 0)
		r = store_list_switch(s, &list);
	for (size_t i = 0; r == 0 && i < out->list.n && c->how->moved; i++)
		r = store_each_of(s, &out->list.seg[i], out->list.seg[i].end, 0, tell_moved, (void *)(uintptr_t)c->how, NULL);
	if (r < 0 && list.n == 0 && store_sound(s) == 0)
		r = store_fail(s, r); /* switched, but what moved is not known */
	for (size_t i = 0; r == 0 && i < old.n; i++) {
		char name[SEGMENT_NAME];

		store_segment_name(name, old.seg[i].serial);
		(void)store_file_remove(s->dfd, name); /* otherwise who opens the store first removes it */
	}
	store_list_done(&old);
	store_list_done(&list);
	return r;
}

/* With the compaction lock. */
static int compact(struct pcore_store *s, struct compaction *c)
{
	struct store_list old = { 0 };
	bool undo = true;
	int r = pcore_store_begin(s);

	if (r < 0)
		return r;
	if (atomic_load(&s->c->end) > SEGMENT_HEADER)
		r = store_roll(s, 0);
	for (size_t i = 0; r == 0 && i + 1 < s->list.n; i++)
		r = store_list_add(&old, s->list.seg[i]);
	pcore_store_end(s);

	memcpy(c->out.list.uuid, s->list.uuid, sizeof(s->list.uuid));
	for (size_t i = 0; r == 0 && i < old.n; i++)
		r = store_each_of(s, &old.seg[i], old.seg[i].end, 0, copy_kept, c, NULL);
	if (r == 0)
		r = copier_seal(&c->out);
	if (r == 0)
		r = pcore_store_sync(s, UINT64_MAX); /* why records were dropped may be in the newest ones */
	if (r == 0)
		r = pcore_store_begin(s);
	if (r == 0) {
		r = switch_over(s, c, old.n);
		undo = r < 0 && store_sound(s) == 0;
		pcore_store_end(s);
	}
	copier_done(&c->out, undo);
	store_list_done(&old);
	return r;
}

int pcore_store_compact(struct pcore_store *s, const struct pcore_store_compact *how)
{
	struct compaction c = {
		.how = how,
		.out = { .dfd = s->dfd, .next_serial = &s->c->next_serial, .segment_max = s->spec.segment_max, .seed = s->seed,
			.fd = -EBADF, .buf = PCORE_BUF_INIT(0) },
	};
	int r;

	assert(!s->held);
	r = store_lock_byte(s->lock_fd, LOCK_COMPACTION, F_WRLCK, false);
	if (r < 0)
		return r == -EAGAIN ? -EBUSY : r;
	r = compact(s, &c);
	(void)store_lock_byte(s->lock_fd, LOCK_COMPACTION, F_UNLCK, false);
	return r;
}

/* ---- salvage ---- */

struct salvage {
	int dfd;		/* of the damaged store */
	struct store_list list; /* its segments in order, as far as can be said */
	struct copier out;
	_Atomic uint64_t next_serial;
	uint64_t last_seq;
	uint64_t expected; /* the number that comes next where none was dropped */
	bool plain;	   /* none was dropped from this segment */
	struct pcore_store_salvaged counts;
};

static int by_first_seq(const void *a, const void *b)
{
	const struct store_segment *x = a, *y = b;

	return (x->first_seq > y->first_seq) - (x->first_seq < y->first_seq);
}

static int note_segment(int dfd, const char *name, void *arg)
{
	struct store_list *list = arg;
	uint8_t bytes[SEGMENT_HEADER];
	struct store_header h;
	_cleanup_(fd_closep) int fd = store_file_open(dfd, name, O_RDONLY | O_NONBLOCK);

	if (fd < 0 || store_file_read(fd, bytes, sizeof(bytes), 0) < 0 || store_header_decode(bytes, &h) < 0)
		return 0;
	memcpy(list->uuid, h.uuid, sizeof(h.uuid));
	return store_list_add(list, (struct store_segment){ .serial = h.serial, .first_seq = h.first_seq });
}

/* Without CURRENT: every segment file that says it is one, in the order of their first numbers. */
static int find_segments(struct salvage *v)
{
	int r = store_list_load(v->dfd, &v->list);

	if (r != -EBADMSG && r != -ENOENT)
		return r;
	r = store_each_file(v->dfd, note_segment, &v->list);
	if (r == 0 && v->list.n == 0)
		r = -ENOENT;
	if (r == 0)
		qsort(v->list.seg, v->list.n, sizeof(*v->list.seg), by_first_seq);
	return r;
}

static int salvage_record(struct salvage *v, const struct pcore_record *rec)
{
	if (v->plain && rec->seq > v->expected)
		v->counts.missing += rec->seq - v->expected;
	v->expected = rec->seq + 1;
	v->last_seq = rec->seq;
	v->counts.records++;
	return copier_add(&v->out, rec);
}

/* Skip from what is no record to the next that is one. */
static int salvage_gap(struct salvage *v, struct store_scan *c)
{
	struct pcore_record rec;
	uint64_t from = c->offset, rest, to;
	int r = store_find_zeros(c->fd, from, c->end, &rest);

	if (r == 0)
		r = store_scan_find(c, rest, &rec);
	if (r < 0)
		return r;
	to = r == 1 ? c->offset : rest;
	if (r == 0)
		c->offset = c->end;
	if (to > from) {
		v->counts.bad_places++;
		v->counts.bad_bytes += to - from;
	}
	return 0;
}

/* What its header says, or would have said. */
static void enter_segment(struct salvage *v, int fd, const struct store_segment *seg)
{
	uint8_t bytes[SEGMENT_HEADER];
	struct store_header h = { 0 };
	bool plain;

	if (store_file_read(fd, bytes, sizeof(bytes), 0) < 0 || store_header_decode(bytes, &h) < 0) {
		v->counts.bad_places++;
		v->counts.bad_bytes += SEGMENT_HEADER;
	}
	plain = (h.flags & SEGMENT_GAPS) == 0;
	if (!v->plain || v->last_seq == 0)
		v->expected = seg->first_seq;
	v->plain = plain;
}

static int salvage_segment(struct salvage *v, const struct store_segment *seg)
{
	struct store_scan c = { .seed = store_seed(v->list.uuid), .serial = seg->serial, .offset = SEGMENT_HEADER,
		.last_seq = v->last_seq, .gaps = true, .window = PCORE_BUF_INIT(0) };
	_cleanup_(fd_closep) int fd = -EBADF;
	char name[SEGMENT_NAME];
	struct pcore_record rec;
	int r;

	store_segment_name(name, seg->serial);
	fd = store_file_open(v->dfd, name, O_RDONLY | O_NONBLOCK);
	if (fd == -ENOENT)
		v->counts.bad_places++;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	c.fd = fd;
	enter_segment(v, fd, seg);
	r = store_file_size(fd, &c.end);
	while (r == 0 && c.offset < c.end) {
		r = store_scan_next(&c, &rec);
		if (r == 1)
			r = salvage_record(v, &rec);
		else if (r == -EBADMSG)
			r = salvage_gap(v, &c);
	}
	store_scan_done(&c);
	return r;
}

static int salvage_into(struct salvage *v, int to_dfd, const char *to)
{
	int r = find_segments(v);

	if (r < 0)
		return r;
	if (mkdirat(to_dfd, to, 0700) < 0)
		return -errno;
	v->out.dfd = openat(to_dfd, to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->out.dfd < 0)
		return -errno;
	r = store_uuid(v->out.list.uuid);
	v->out.seed = store_seed(v->out.list.uuid);
	for (size_t i = 0; r == 0 && i < v->list.n; i++)
		r = salvage_segment(v, &v->list.seg[i]);
	if (r == 0)
		r = copier_seal(&v->out);
	if (r == 0)
		r = store_make(v->out.dfd, &v->out.list, &v->next_serial, v->last_seq + 1);
	return r;
}

int pcore_store_salvage(int from_dfd, const char *from, int to_dfd, const char *to, struct pcore_store_salvaged *ret)
{
	struct salvage v = {
		.out = { .dfd = -EBADF, .fd = -EBADF, .segment_max = PCORE_STORE_SEGMENT_DEFAULT, .buf = PCORE_BUF_INIT(0) },
		.next_serial = 1,
	};
	int r;

	v.out.next_serial = &v.next_serial;
	v.dfd = openat(from_dfd, from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = v.dfd < 0 ? -errno : salvage_into(&v, to_dfd, to);
	if (r == 0)
		r = pcore_store_sync_name(v.out.dfd);
	copier_done(&v.out, r < 0 && v.out.dfd >= 0);
	if (r < 0 && v.out.dfd >= 0) {
		(void)unlinkat(v.out.dfd, "CURRENT", 0);
		(void)unlinkat(to_dfd, to, AT_REMOVEDIR);
	}
	fd_closep(&v.out.dfd);
	fd_closep(&v.dfd);
	store_list_done(&v.list);
	if (r == 0)
		*ret = v.counts;
	return r;
}
