/* SPDX-License-Identifier: MIT */
/*
 * private.h - the parts that a store is made of: the format (pure), the files, the shared memory, the log.
 */
#ifndef PCORE_STORE_PRIVATE_H
#define PCORE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "libcore/store/store.h"

/* ---- format.c: bytes on disk, little-endian; pcore-wire(7) has the tables ---- */

enum {
	STORE_MAJOR = 1,
	STORE_MINOR = 0,
	SEGMENT_HEADER = 64,
	RECORD_HEADER = 32,
	RECORD_ALIGN = 8,
	LIST_HEADER = 48,
	LIST_ENTRY = 24,
	SEGMENTS_MAX = 65536,
	SEGMENT_NAME = 32,
};

#define SEGMENT_GAPS 1U /* flag: sequence numbers rise, but not by one */

struct store_header {
	uint8_t uuid[PCORE_STORE_UUID];
	uint64_t serial, first_seq;
	int64_t created_ns; /* CLOCK_REALTIME */
	uint32_t flags;
};

/* One segment of the log. */
struct store_segment {
	uint64_t serial;
	uint64_t first_seq;
	uint64_t end; /* of its records; 0: the last one, which grows */
};

/* What CURRENT says. The segments are owned. */
struct store_list {
	uint8_t uuid[PCORE_STORE_UUID];
	struct store_segment *seg;
	size_t n;
};

void store_header_encode(uint8_t out[static SEGMENT_HEADER], const struct store_header *h);
/* 0, -EBADMSG, -EPROTONOSUPPORT. */
int store_header_decode(const uint8_t in[static SEGMENT_HEADER], struct store_header *ret);

int store_list_encode(const struct store_list *l, struct pcore_buf *out);
int store_list_decode(const void *data, size_t len, struct store_list *ret); /* errors as for the header */
int store_list_add(struct store_list *l, struct store_segment seg);
void store_list_done(struct store_list *l);

/* What the checksum of a record starts with, so that no record of another store verifies. */
uint32_t store_seed(const uint8_t uuid[static PCORE_STORE_UUID]);

static inline uint64_t store_record_size(size_t len)
{
	return ((uint64_t)len + RECORD_HEADER + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

/* Append the record as it is on disk to out. synced: the log is on disk up to this number. */
int store_record_encode(struct pcore_buf *out, uint32_t seed, const struct pcore_record *rec, uint64_t synced);

/*
 * Look at the record at the beginning of avail bytes. 0: it is whole, rec (not its at) and synced are filled in, rec->data
 * points into data; -EBADMSG: it is none; -EAGAIN: it takes *ret_need bytes to say.
 */
int store_record_decode(const void *data, size_t avail, uint32_t seed, struct pcore_record *rec, uint64_t *ret_synced,
	size_t *ret_need);

/* Where a record is, in one number: segments up to 2^28, each up to 512 GiB. */
static inline uint64_t store_at(uint64_t serial, uint64_t offset)
{
	return serial << 36 | offset / RECORD_ALIGN;
}

static inline uint64_t store_at_serial(uint64_t at)
{
	return at >> 36;
}

static inline uint64_t store_at_offset(uint64_t at)
{
	return (at & ((UINT64_C(1) << 36) - 1)) * RECORD_ALIGN;
}

/* ---- file.c: every I/O, through the fault seam ---- */

enum { LIST_FILE_MAX = LIST_HEADER + SEGMENTS_MAX * LIST_ENTRY };

void store_segment_name(char name[static SEGMENT_NAME], uint64_t serial);
int store_file_open(int dfd, const char *name, int flags); /* the descriptor or -errno */
int store_file_read(int fd, void *buf, size_t len, uint64_t offset); /* all of it; -ENODATA when the file ends before */
ssize_t store_file_read_some(int fd, void *buf, size_t len, uint64_t offset); /* how much of it there is */
int store_file_write(int fd, const void *buf, size_t len, uint64_t offset); /* -EFBIG rather than SIGXFSZ */
int store_file_sync(int fd, bool data_only);
int store_file_allocate(int fd, uint64_t from, uint64_t to);
int store_file_cut(int fd, uint64_t len);
int store_file_size(int fd, uint64_t *ret);
int store_find_zeros(int fd, uint64_t from, uint64_t to, uint64_t *ret); /* where what is not 0 ends; from if all is */
int store_file_remove(int dfd, const char *name);
int store_list_load(int dfd, struct store_list *ret);
int store_list_store(int dfd, const struct store_list *l);

/* A new segment under a serial drawn from *next, with its header, allocated up to size, synced but for its name in the
 * directory. */
int store_segment_create(int dfd, const struct store_header *h, uint64_t size, _Atomic uint64_t *next, uint64_t *ret_serial,
	int *ret_fd);

/* Open a segment and check its header against what is expected of it. */
int store_segment_open(int dfd, const uint8_t uuid[static PCORE_STORE_UUID], uint64_t serial, int flags,
	struct store_header *ret, int *ret_fd);

/* Reads the records of one segment, one after the other. */
struct store_scan {
	int fd; /* borrowed */
	uint32_t seed;
	uint64_t serial, offset, end;
	uint64_t last_seq;
	bool gaps; /* sequence numbers need not follow each other */
	struct pcore_buf window; /* of the file, from offset window_at on */
	uint64_t window_at;
	uint64_t synced; /* of the last record */
};

/* 1: rec is the next record, scan->offset behind it; 0: the end; -EBADMSG: there is none at scan->offset; -errno. */
int store_scan_next(struct store_scan *c, struct pcore_record *rec);
/* Move to the next place from `offset' on and before `limit' where a whole record with a number above last_seq begins. 1, or 0:
 * there is none. */
int store_scan_find(struct store_scan *c, uint64_t limit, struct pcore_record *rec);
void store_scan_done(struct store_scan *c);

/* ---- control.c: what the users of a store share ---- */

struct store_control {
	char magic[8];
	uint32_t version, size;
	pthread_mutex_t lock; /* robust: guards the log's end and CURRENT */
	pthread_mutex_t sync; /* robust: held by the one that syncs */
	uint64_t session; /* never changes */
	_Atomic uint64_t generation;
	_Atomic uint64_t lists; /* how often CURRENT was replaced */
	_Atomic uint64_t last_seq, durable_seq;
	_Atomic uint64_t tail; /* the serial of the last segment */
	_Atomic uint64_t end;  /* of its records */
	_Atomic uint64_t next_serial; /* of a new segment; none is used twice while the store is open */
	_Atomic int64_t synced_ns;    /* when, CLOCK_MONOTONIC */
	uint64_t allocated;	      /* of the last segment */
	_Atomic uint32_t epoch;	      /* a futex: another sync has ended */
	_Atomic int poison;
};

struct pcore_store {
	int dfd, lock_fd;
	struct store_control *c;
	struct pcore_store_spec spec;
	struct store_list list; /* CURRENT as it was at the number lists */
	uint64_t lists;
	uint32_t seed;
	bool held;	     /* between begin and end */
	int tail_fd, read_fd; /* segments tail_serial and read_serial, or -EBADF */
	uint64_t tail_serial, read_serial;
	struct pcore_buf buf; /* records on their way out */
	struct pcore_buf window; /* of a segment, from window_at on: what was read last and does not change */
	uint64_t window_at, read_next; /* as pcore_record.at; read_next: behind what was read last */
};

enum store_lock_byte { LOCK_OPENING, LOCK_USERS, LOCK_COMPACTION };

int store_lock_byte(int fd, enum store_lock_byte byte, short type, bool wait);
int store_control_new(struct pcore_store *s); /* throws an old one away */
int store_control_map(struct pcore_store *s);
/* Does the memory that nobody uses any more say so? And if not, how far the log was on disk by it. */
bool store_was_poisoned(int dfd, uint64_t *ret_durable);
void store_control_ready(struct pcore_store *s); /* its magic: from now on others may use it */
int store_fail(struct pcore_store *s, int code); /* poison it; returns code */
void store_durable(struct pcore_store *s, uint64_t seq); /* the log up to seq is on disk */
int store_sound(const struct pcore_store *s); /* 0 or -ENOTRECOVERABLE */

/* ---- store.c: the log; open.c: opened and closed ---- */

/* With the lock (or before anybody else can have it): find the end of the log anew. */
int store_derive(struct pcore_store *s, struct pcore_store_found *found);
int store_list_refresh(struct pcore_store *s);
int store_list_switch(struct pcore_store *s, struct store_list *list); /* takes the segments on success */
int store_tail(struct pcore_store *s); /* a descriptor of the last segment, or -errno */
int store_roll(struct pcore_store *s, uint64_t room);
int store_each_of(struct pcore_store *s, const struct store_segment *seg, uint64_t end, uint64_t from, pcore_store_fn *fn,
	void *arg, struct pcore_store_found *found);
/* Call fn with the name of each segment file of the directory until it returns anything but 0. */
int store_each_file(int dfd, int (*fn)(int dfd, const char *name, void *arg), void *arg);
int store_uuid(uint8_t uuid[static PCORE_STORE_UUID]);
/* Make the last segment, empty, of a log whose other segments are in list, and CURRENT. Adds it to list. */
int store_make(int dfd, struct store_list *list, _Atomic uint64_t *next_serial, uint64_t first_seq);

#endif
