/* SPDX-License-Identifier: MIT */
/*
 * store.h - an append-only log of records in a directory, shared by processes, that survives a crash.
 *
 * Many processes append to a store and none of them serves it. What pcore_store_sync() has returned for is on the disk. A
 * process killed at any instruction leaves the others working, and never a torn record. The format of the files is in
 * pcore-wire(7), "Store".
 *
 *   CURRENT   which segments the log consists of, in order; replaced by a rename, so it is the old or the new one
 *   seg-*.log the records. Only the last one grows. One that is full is synced, cut to its end and never written again
 *   LOCK      locked by everybody who has the store open, so that the first one knows that it is
 *   control   memory that the users share: locks, where the end is, what is on disk. It holds nothing that is not in the log:
 *             the first one to open the store makes it anew, and so does whoever finds that the holder of the lock has died
 *
 * Appending takes the lock (a robust mutex), writes behind the end and publishes the new end. Group commit: of those who
 * wait for their records to be on disk, one calls fdatasync(2) for all and publishes how far it came; the others sleep on a
 * futex. When it dies, another one takes over within 20 ms.
 *
 * A failed fsync poisons the store: the kernel may have dropped the pages, and a second try would report success for them
 * (the PostgreSQL developers' "fsyncgate"). The call that saw it returns its error, all later ones, in all processes, return
 * -ENOTRECOVERABLE. When all have closed it, it can be opened again: what is on disk is what counts then.
 *
 * Damage. In the last segment, what cannot be verified is a torn tail: it is cut off and counted. It is damage, and the store
 * is refused with -EBADMSG, when a whole record follows that was written after the damaged one had been synced (every record
 * says how far the log was on disk when it was written); and everywhere else. Nothing is ever repaired in place:
 * pcore_store_salvage() copies what is whole.
 *
 * Errors are -errno; of these every call may return -EIO and its like, -ENOMEM, and -ENOTRECOVERABLE. A handle is used by one
 * thread at a time, and by the process that opened it; two threads open the store twice. No call leaves the lock taken but
 * pcore_store_begin().
 *
 * Algorithms: CRC-32C is Castagnoli's polynomial as in RFC 3720. The list of files that is replaced by a rename is that of
 * LevelDB (CURRENT), after what every journalling file system promises.
 */
#ifndef PCORE_STORE_H
#define PCORE_STORE_H

#include "libcore/base/base.h"

struct pcore_store;

enum pcore_store_sync {
	PCORE_STORE_ALWAYS,   /* pcore_store_commit() waits until the record is on disk */
	PCORE_STORE_INTERVAL, /* it syncs when the last sync is interval_ns ago */
	PCORE_STORE_NONE,     /* it does nothing: a crash of the machine loses what the kernel has not written */
};

enum {
	PCORE_STORE_RECORD_LIMIT = 1 << 30, /* no record is larger, whatever record_max says */
	PCORE_STORE_UUID = 16,
};

#define PCORE_STORE_SEGMENT_DEFAULT (UINT64_C(64) << 20)

struct pcore_store_spec {
	bool create; /* make the directory (mode 0700) and the store when they are not there */
	enum pcore_store_sync sync;
	int64_t interval_ns;
	uint64_t segment_max; /* roll when a segment would grow larger; 0: 64 MiB */
	size_t record_max;    /* of the bytes of a record that is appended; 0: PCORE_STORE_RECORD_LIMIT */
};

/* What opening the store found. Filled in on -EBADMSG as well. */
struct pcore_store_found {
	bool first;		/* nobody else had it open: caches of the log have to be made anew */
	uint64_t cut_bytes;	/* of a torn tail, from its first to its last byte that is not 0 */
	uint64_t cut_records;	/* whole records among them, behind one that is not */
	char bad_file[32];	/* -EBADMSG: where, else "" */
	uint64_t bad_offset;
};

struct pcore_record {
	uint64_t seq;  /* 1, 2, 3 ... in the order of the log */
	uint64_t at;   /* where it is: for pcore_store_read() */
	const void *data; /* the caller's; when read, valid until the callback returns */
	size_t len;
	uint8_t type;  /* the caller's */
	uint8_t flags; /* the caller's */
};

/*
 * Open the store in the directory path below dfd. -ENOENT when there is none (and not create), -EBADMSG when it is damaged,
 * -EPROTONOSUPPORT when its format is a newer one, -EOPNOTSUPP on NFS, where neither the lock nor the memory is shared.
 * found may be NULL.
 */
int pcore_store_open(struct pcore_store **ret, int dfd, const char *path, const struct pcore_store_spec *spec,
	struct pcore_store_found *found);

/* Close it. Syncs first when sync is INTERVAL and something is due; the error of that is returned. NULL is fine. */
int pcore_store_close(struct pcore_store *s);

/*
 * Take the lock, for one or more pcore_store_append() and whatever the caller keeps under the same lock, and let it go.
 * When the last holder died the log is read anew here. The caller knows that from pcore_store_generation().
 */
int pcore_store_begin(struct pcore_store *s);
void pcore_store_end(struct pcore_store *s);

/* Another number whenever shared memory was made anew: what is kept in shared memory beside the store has to be, too. */
uint64_t pcore_store_generation(const struct pcore_store *s);

/* The generation that the first one who opened the store began with: it stays until all have closed it. */
uint64_t pcore_store_session(const struct pcore_store *s);

/*
 * With the lock: append n records, all or none, and fill in seq and at of each. keep: so many bytes stay allocated behind
 * them, for later records with a keep of 0, which then cannot fail for want of space. -EMSGSIZE when one is larger than
 * record_max, -ENOSPC, -EDQUOT, -EFBIG: nothing was appended, and the store is as it was.
 */
int pcore_store_append(struct pcore_store *s, struct pcore_record *recs, size_t n, uint64_t keep);

/* Without the lock: wait until the log up to seq is on disk; everything for UINT64_MAX. */
int pcore_store_sync(struct pcore_store *s, uint64_t seq);

/* Without the lock: as much of that as the store's sync says. Of a handle that is used for nothing but sync, commit and due,
 * several threads may call these at once. */
int pcore_store_commit(struct pcore_store *s, uint64_t seq);

/* When pcore_store_sync() is due by the interval (CLOCK_MONOTONIC); INT64_MAX when nothing is. */
int64_t pcore_store_due_ns(const struct pcore_store *s);

/* begin, append, end, commit. */
int pcore_store_put(struct pcore_store *s, struct pcore_record *recs, size_t n);

/*
 * Call fn for every record from seq on (1: all), in order, each verified; anything but 0 from fn ends it and is returned.
 * With the lock it sees all there is; without, what was there when it was called, and -ESTALE when somebody compacts.
 * -EBADMSG as for opening; found (may be NULL) then says where.
 */
typedef int pcore_store_fn(void *arg, const struct pcore_record *rec);
int pcore_store_each(struct pcore_store *s, uint64_t from, pcore_store_fn *fn, void *arg, struct pcore_store_found *found);

/* Read the record at `at' into buf (cleared first), verified; rec->data is in buf. -ESTALE when it is no longer there,
 * -EBADMSG when it is damaged. */
int pcore_store_read(struct pcore_store *s, uint64_t at, struct pcore_buf *buf, struct pcore_record *rec);

/*
 * Without the lock: write the records that are worth keeping into new segments and drop the old ones. Others append all the
 * while; the lock is taken to roll at the beginning and to switch at the end. Records keep their seq.
 *   keep   0: drop the record, 1: keep it, < 0: give up. Called without the lock
 *   moved  the record is at rec->at now. Called with the lock, after the switch, for each that was kept; may be NULL
 * All that was in the log when keep was called for the last time is on disk before the switch, so that a record may be
 * dropped for a later one's sake.
 * -EBUSY when somebody else compacts. Until the switch, a failure leaves the store as it was.
 */
struct pcore_store_compact {
	int (*keep)(void *arg, const struct pcore_record *rec);
	void (*moved)(void *arg, const struct pcore_record *rec);
	void *arg;
};
int pcore_store_compact(struct pcore_store *s, const struct pcore_store_compact *how);

struct pcore_store_stat {
	uint64_t last_seq, durable_seq; /* of the log, of what is on disk */
	uint64_t segments, bytes;
	int poison; /* the -errno of the fsync that failed, or 0 */
};
int pcore_store_stat(struct pcore_store *s, struct pcore_store_stat *ret);

struct pcore_store_salvaged {
	uint64_t records;	/* copied */
	uint64_t missing;	/* sequence numbers that should be there and are not */
	uint64_t bad_bytes;	/* that belong to no whole record (not counting zeros at the end) */
	uint64_t bad_places;	/* so many pieces of them */
};

/* Copy every record of the damaged store from that can be verified to a new store (to must not exist), with the same seq.
 * Nobody may use `from', which is only read. */
int pcore_store_salvage(int from_dfd, const char *from, int to_dfd, const char *to, struct pcore_store_salvaged *ret);

/* Replace the file name in the directory dfd by one with these bytes (mode 0600), durably: a crash leaves the old or the new
 * one. name.new is used on the way. */
int pcore_store_replace(int dfd, const char *name, const void *data, size_t len);

/* The same, and *ret_fd is the new file, open for reading and appending. It is locked exclusively with flock(2) since before it
 * had its name: whoever opens, locks and then finds that name is another file by now has to open it again. -EWOULDBLOCK when
 * somebody else is replacing it. */
int pcore_store_replace_locked(int dfd, const char *name, const void *data, size_t len, int *ret_fd);

/* The name of the directory dfd, which has just been given to it, to disk. */
int pcore_store_sync_name(int dfd);

/* The CRC-32C of data behind what gave crc (0 at first). With the instruction where the CPU has it. */
uint32_t pcore_crc32c(uint32_t crc, const void *data, size_t len);

/* The same by table, for CPUs that have not and for tests. */
uint32_t pcore_crc32c_table(uint32_t crc, const void *data, size_t len);

#endif
