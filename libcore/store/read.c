/* SPDX-License-Identifier: MIT */
/*
 * read.c - single records of a log, wherever they are.
 */
#include <fcntl.h>

#include "libcore/store/private.h"

enum { READ_LEAST = 4096, READ_AHEAD = 1 << 16 };

static int read_fd(struct pcore_store *s, uint64_t serial)
{
	struct store_header h;
	int fd, r;

	if (s->read_fd >= 0 && s->read_serial == serial)
		return s->read_fd;
	r = store_segment_open(s->dfd, s->list.uuid, serial, O_RDONLY, &h, &fd);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	fd_closep(&s->read_fd);
	s->read_fd = fd;
	s->read_serial = serial;
	return fd;
}

/* How much of a segment from offset on does not change any more. */
static uint64_t settled(const struct pcore_store *s, uint64_t serial, uint64_t offset)
{
	for (;;) {
		uint64_t tail = atomic_load(&s->c->tail), end = atomic_load(&s->c->end);

		if (tail != serial)
			return UINT64_MAX; /* as much as there is */
		if (atomic_load(&s->c->tail) == tail)
			return offset < end ? end - offset : 0;
	}
}

/* Read from offset on, and more than is asked for when what was read last came shortly before. */
static int look_ahead(struct pcore_store *s, int fd, uint64_t at, size_t need)
{
	uint64_t offset = store_at_offset(at), most = settled(s, store_at_serial(at), offset);
	bool goes_on = at >= s->read_next && at - s->read_next < READ_AHEAD / RECORD_ALIGN;
	size_t want = goes_on ? READ_AHEAD : READ_LEAST;
	ssize_t n;
	int r;

	want = need > want ? need : want;
	want = want > most ? (size_t)most : want;
	pcore_buf_clear(&s->window);
	r = pcore_buf_reserve(&s->window, want);
	if (r < 0)
		return r;
	n = store_file_read_some(fd, s->window.data, want, offset);
	if (n < 0)
		return (int)n;
	s->window.len = (size_t)n;
	s->window_at = at;
	return 0;
}

/* What the window has from there on. */
static size_t seen(const struct pcore_store *s, uint64_t at, const char **ret)
{
	uint64_t skip = (at - s->window_at) * RECORD_ALIGN;

	if (at < s->window_at || store_at_serial(at) != store_at_serial(s->window_at) || skip >= s->window.len)
		return 0;
	*ret = s->window.data + skip;
	return s->window.len - (size_t)skip;
}

/* A record that does not fit into the window: the file says whether its length can be true. */
static int read_large(struct pcore_store *s, int fd, uint64_t at, size_t need, struct pcore_buf *buf, struct pcore_record *rec)
{
	uint64_t size, synced, offset = store_at_offset(at);
	int r = store_file_size(fd, &size);

	if (r == 0 && (offset > size || need > size - offset))
		r = -EBADMSG;
	if (r == 0)
		r = pcore_buf_reserve(buf, need);
	if (r == 0)
		r = store_file_read(fd, buf->data, need, offset);
	if (r == 0)
		r = store_record_decode(buf->data, need, s->seed, rec, &synced, &need);
	if (r == 0)
		buf->len = need;
	return r;
}

static int read_small(struct pcore_buf *buf, struct pcore_record *rec, const char *p, size_t size)
{
	int r = pcore_buf_add(buf, p, size);

	rec->data = buf->data + RECORD_HEADER;
	return r;
}

int pcore_store_read(struct pcore_store *s, uint64_t at, struct pcore_buf *buf, struct pcore_record *rec)
{
	int fd = read_fd(s, store_at_serial(at)), r = -EAGAIN;
	size_t need = RECORD_HEADER;
	const char *p = NULL;
	uint64_t synced;

	if (fd < 0)
		return fd;
	pcore_buf_clear(buf);
	for (unsigned i = 0; i < 3 && r == -EAGAIN && need <= READ_AHEAD; i++) { /* as it is, the header, all of it */
		size_t have = seen(s, at, &p);

		if (i > 0 || have < need) {
			r = look_ahead(s, fd, at, need);
			if (r < 0)
				return r;
			have = seen(s, at, &p);
		}
		r = store_record_decode(p, have, s->seed, rec, &synced, &need);
	}
	if (r == 0)
		r = read_small(buf, rec, p, need);
	else if (r == -EAGAIN)
		r = read_large(s, fd, at, need, buf, rec);
	if (r < 0)
		return r == -ENODATA || r == -EAGAIN ? -EBADMSG : r;
	rec->at = at;
	s->read_next = at + need / RECORD_ALIGN;
	return 0;
}
