/* SPDX-License-Identifier: MIT */
/*
 * file.c - the files of a store: every I/O, through the fault seam.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/store/private.h"

enum { WINDOW = 1 << 18, SERIAL_TRIES = 4096 };

void store_segment_name(char name[static SEGMENT_NAME], uint64_t serial)
{
	(void)snprintf(name, SEGMENT_NAME, "seg-%016" PRIx64 ".log", serial);
}

int store_file_open(int dfd, const char *name, int flags)
{
	int fd, r = pcore_fault("store-open", NULL);

	if (r < 0)
		return r;
	do
		fd = openat(dfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

ssize_t store_file_read_some(int fd, void *buf, size_t len, uint64_t offset)
{
	size_t done = 0;

	while (done < len) {
		size_t n = len - done;
		ssize_t got;
		int r = pcore_fault("store-read", &n);

		if (r < 0)
			return r;
		got = pread(fd, (char *)buf + done, n, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int store_file_read(int fd, void *buf, size_t len, uint64_t offset)
{
	ssize_t n = store_file_read_some(fd, buf, len, offset);

	return n < 0 ? (int)n : (size_t)n < len ? -ENODATA : 0;
}

/* The kernel does not only refuse what goes beyond the limit, it kills for it. */
static int within_file_limit(uint64_t end)
{
	struct rlimit lim;

	if (end > INT64_MAX)
		return -EFBIG;
	if (getrlimit(RLIMIT_FSIZE, &lim) < 0)
		return -errno;
	return lim.rlim_cur != RLIM_INFINITY && end > lim.rlim_cur ? -EFBIG : 0;
}

int store_file_write(int fd, const void *buf, size_t len, uint64_t offset)
{
	int r = within_file_limit(offset + len);

	if (r < 0)
		return r;
	for (size_t done = 0; done < len;) {
		size_t n = len - done;
		ssize_t put;

		r = pcore_fault("store-write", &n);
		if (r < 0)
			return r;
		put = pwrite(fd, (const char *)buf + done, n, (off_t)(offset + done));
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		if (put == 0)
			return -EIO;
		done += (size_t)put;
	}
	return 0;
}

/* Never tried again: after a failure the kernel may hold the pages for clean. EINTR is a failure, too. */
int store_file_sync(int fd, bool data_only)
{
	int r = pcore_fault("store-sync", NULL);

	if (r < 0)
		return r;
	return (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
}

/* Where the file system cannot allocate ahead, a write may find the disk full. */
int store_file_allocate(int fd, uint64_t from, uint64_t to)
{
	int r = within_file_limit(to);

	if (r == 0)
		r = pcore_fault("store-alloc", NULL);
	if (r < 0)
		return r;
	do
		r = fallocate(fd, 0, (off_t)from, (off_t)(to - from)) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r == -EOPNOTSUPP ? 0 : r;
}

int store_file_cut(int fd, uint64_t len)
{
	int r = pcore_fault("store-cut", NULL);

	if (r < 0)
		return r;
	return ftruncate(fd, (off_t)len) < 0 ? -errno : 0;
}

int store_file_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int store_find_zeros(int fd, uint64_t from, uint64_t to, uint64_t *ret)
{
	char chunk[16384];
	uint64_t end = from;

	for (uint64_t at = from; at < to;) {
		size_t n = to - at < sizeof(chunk) ? (size_t)(to - at) : sizeof(chunk);
		int r = store_file_read(fd, chunk, n, at);

		if (r < 0)
			return r;
		for (size_t i = n; i > 0 && (chunk[0] != 0 || memcmp(chunk, chunk + 1, i - 1) != 0); i--) {
			if (chunk[i - 1] == 0)
				continue;
			end = at + i;
			break;
		}
		at += n;
	}
	*ret = end;
	return 0;
}

static int file_load(int dfd, const char *name, size_t max, struct pcore_buf *out)
{
	_cleanup_(fd_closep) int fd = store_file_open(dfd, name, O_RDONLY | O_NONBLOCK);
	uint64_t size = 0;
	int r;

	if (fd < 0)
		return fd;
	r = store_file_size(fd, &size);
	if (r < 0)
		return r;
	if (size > max)
		return -EBADMSG;
	pcore_buf_clear(out);
	r = pcore_buf_reserve(out, (size_t)size + 1);
	if (r == 0)
		r = store_file_read(fd, out->data, (size_t)size, 0);
	if (r == 0)
		out->len = (size_t)size;
	return r;
}

int store_file_remove(int dfd, const char *name)
{
	int r = pcore_fault("store-remove", NULL);

	if (r < 0)
		return r;
	return unlinkat(dfd, name, 0) < 0 ? -errno : 0;
}

/* fd is NAME.new, and gets the name. */
static int replace_with(int dfd, const char *name, const char *fresh, int fd, const void *data, size_t len)
{
	int r = ftruncate(fd, 0) < 0 ? -errno : 0;

	if (r == 0)
		r = store_file_write(fd, data, len, 0);
	if (r == 0)
		r = store_file_sync(fd, false);
	if (r == 0)
		r = pcore_fault("store-rename", NULL);
	if (r == 0 && renameat(dfd, fresh, dfd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dfd, fresh, 0);
		return r;
	}
	return store_file_sync(dfd, false);
}

static int replace(int dfd, const char *name, const void *data, size_t len, bool lock, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	char fresh[NAME_MAX + 1];
	int r;

	if (snprintf(fresh, sizeof(fresh), "%s.new", name) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	fd = store_file_open(dfd, fresh, O_RDWR | O_CREAT);
	if (fd < 0)
		return fd;
	if (lock && flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	r = replace_with(dfd, name, fresh, fd, data, len);
	if (r == 0 && lock && fcntl(fd, F_SETFL, O_APPEND) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

int pcore_store_replace_locked(int dfd, const char *name, const void *data, size_t len, int *ret_fd)
{
	return replace(dfd, name, data, len, true, ret_fd);
}

int pcore_store_replace(int dfd, const char *name, const void *data, size_t len)
{
	_cleanup_(fd_closep) int fd = -EBADF;

	return replace(dfd, name, data, len, false, &fd);
}

int store_list_load(int dfd, struct store_list *ret)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	int r = file_load(dfd, "CURRENT", LIST_FILE_MAX, &buf);

	if (r == 0)
		r = store_list_decode(buf.data, buf.len, ret);
	pcore_buf_done(&buf);
	return r;
}

int store_list_store(int dfd, const struct store_list *l)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	int r = store_list_encode(l, &buf);

	if (r == 0)
		r = pcore_store_replace(dfd, "CURRENT", buf.data, buf.len);
	pcore_buf_done(&buf);
	return r;
}

/* A serial is taken when one who died left a file behind that never got into CURRENT. */
int store_segment_create(int dfd, const struct store_header *h, uint64_t size, _Atomic uint64_t *next, uint64_t *ret_serial,
	int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -EEXIST;
	struct store_header header = *h;
	uint8_t bytes[SEGMENT_HEADER];
	char name[SEGMENT_NAME];
	int r;

	header.created_ns = pcore_clock_ns(CLOCK_REALTIME);
	for (unsigned i = 0; fd == -EEXIST && i < SERIAL_TRIES; i++) {
		header.serial = atomic_fetch_add(next, 1);
		store_segment_name(name, header.serial);
		fd = store_file_open(dfd, name, O_RDWR | O_CREAT | O_EXCL);
	}
	if (fd < 0)
		return fd;
	store_header_encode(bytes, &header);
	r = store_file_allocate(fd, 0, size);
	if (r == 0)
		r = store_file_write(fd, bytes, sizeof(bytes), 0);
	if (r == 0)
		r = store_file_sync(fd, false);
	if (r < 0) {
		(void)unlinkat(dfd, name, 0);
		return r;
	}
	*ret_serial = header.serial;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int store_segment_open(int dfd, const uint8_t uuid[static PCORE_STORE_UUID], uint64_t serial, int flags,
	struct store_header *ret, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	uint8_t bytes[SEGMENT_HEADER];
	char name[SEGMENT_NAME];
	int r;

	store_segment_name(name, serial);
	fd = store_file_open(dfd, name, flags | O_NONBLOCK); /* it may have become a FIFO */
	if (fd < 0)
		return fd;
	r = store_file_read(fd, bytes, sizeof(bytes), 0);
	if (r == 0)
		r = store_header_decode(bytes, ret);
	if (r == -ENODATA || (r == 0 && (ret->serial != serial || memcmp(ret->uuid, uuid, PCORE_STORE_UUID) != 0)))
		r = -EBADMSG;
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* ---- reading one record after the other ---- */

/* Have need bytes from c->offset on in the window. -EBADMSG when the segment ends before. */
static int see(struct store_scan *c, size_t need, const char **ret)
{
	uint64_t left = c->end - c->offset;
	size_t want = need > WINDOW ? need : WINDOW;
	int r;

	if (left < need)
		return -EBADMSG;
	if (c->offset < c->window_at || c->offset + need > c->window_at + c->window.len) {
		if (want > left)
			want = (size_t)left;
		pcore_buf_clear(&c->window);
		r = pcore_buf_reserve(&c->window, want);
		if (r == 0)
			r = store_file_read(c->fd, c->window.data, want, c->offset);
		if (r < 0)
			return r == -ENODATA ? -EBADMSG : r;
		c->window.len = want;
		c->window_at = c->offset;
	}
	*ret = c->window.data + (c->offset - c->window_at);
	return 0;
}

static int decode_here(struct store_scan *c, struct pcore_record *rec)
{
	size_t need = RECORD_HEADER;
	const char *p;
	int r;

	do {
		r = see(c, need, &p);
		if (r == 0)
			r = store_record_decode(p, c->window.len - (size_t)(p - c->window.data), c->seed, rec, &c->synced, &need);
	} while (r == -EAGAIN);
	if (r == 0)
		rec->at = store_at(c->serial, c->offset);
	return r;
}

int store_scan_next(struct store_scan *c, struct pcore_record *rec)
{
	int r;

	if (c->offset >= c->end)
		return 0;
	r = decode_here(c, rec);
	if (r < 0)
		return r;
	if (rec->seq <= c->last_seq || (!c->gaps && rec->seq != c->last_seq + 1))
		return -EBADMSG;
	c->last_seq = rec->seq;
	c->offset += store_record_size(rec->len);
	return 1;
}

int store_scan_find(struct store_scan *c, uint64_t limit, struct pcore_record *rec)
{
	for (; c->offset < limit; c->offset += RECORD_ALIGN) {
		int r = decode_here(c, rec);

		if (r == 0 && rec->seq > c->last_seq)
			return 1;
		if (r < 0 && r != -EBADMSG)
			return r;
	}
	return 0;
}

void store_scan_done(struct store_scan *c)
{
	pcore_buf_done(&c->window);
}
