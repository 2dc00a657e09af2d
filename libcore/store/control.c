/* SPDX-License-Identifier: MIT */
/*
 * control.c - what the users of a store share: locks, the end of the log, and how far it is on disk.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libcore/store/private.h"

enum { CONTROL_VERSION = 1, LOCK_SPIN = 50, YIELDS_MAX = 32 };

/* How long one sleeps before looking whether the one it waits for has died. */
#define LOOK_NS (20 * NS_PER_MS)

static const char control_magic[8] = "PCORECTL";

/* Open file description locks: a change from exclusive to shared lets nobody in between. */
int store_lock_byte(int fd, enum store_lock_byte byte, short type, bool wait)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1 };
	int r = pcore_fault("store-lock", NULL);

	if (r < 0)
		return r;
	do
		r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r == -EACCES ? -EAGAIN : r;
}

static int locks_init(struct store_control *c)
{
	int r = pcore_robust_mutex_init(&c->lock, false);

	return r < 0 ? r : pcore_robust_mutex_init(&c->sync, false);
}

static int map(int fd, struct store_control **ret)
{
	void *p;
	int r = pcore_fault("store-map", NULL);

	if (r < 0)
		return r;
	p = mmap(NULL, sizeof(**ret), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

bool store_was_poisoned(int dfd, uint64_t *ret_durable)
{
	_cleanup_(fd_closep) int fd = store_file_open(dfd, "control", O_RDONLY | O_NONBLOCK);
	struct store_control old;

	*ret_durable = 0;
	if (fd < 0 || store_file_read(fd, &old, sizeof(old), 0) < 0 || memcmp(old.magic, control_magic, sizeof(old.magic)) != 0 ||
		old.version != CONTROL_VERSION || old.size != sizeof(old))
		return false;
	if (old.poison == 0)
		*ret_durable = old.durable_seq;
	return old.poison != 0;
}

int store_control_new(struct pcore_store *s)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	int r = store_file_remove(s->dfd, "control");

	if (r < 0 && r != -ENOENT)
		return r;
	fd = store_file_open(s->dfd, "control", O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	r = store_file_allocate(fd, 0, sizeof(*s->c)); /* a hole would end in SIGBUS on a full disk */
	if (r < 0)
		return r;
	if (ftruncate(fd, sizeof(*s->c)) < 0)
		return -errno;
	r = map(fd, &s->c);
	if (r < 0)
		return r;
	s->c->version = CONTROL_VERSION;
	s->c->size = sizeof(*s->c);
	/* of the clock, so that it is not that of the memory before */
	s->c->session = (uint64_t)pcore_clock_ns(CLOCK_REALTIME);
	atomic_store(&s->c->generation, s->c->session);
	return locks_init(s->c);
}

int store_control_map(struct pcore_store *s)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	uint64_t size;
	int r;

	fd = store_file_open(s->dfd, "control", O_RDWR | O_NONBLOCK);
	if (fd < 0)
		return fd;
	r = store_file_size(fd, &size);
	if (r < 0)
		return r;
	if (size != sizeof(*s->c))
		return -EPROTONOSUPPORT;
	r = map(fd, &s->c);
	if (r < 0)
		return r;
	if (memcmp(s->c->magic, control_magic, sizeof(control_magic)) != 0 || s->c->version != CONTROL_VERSION || s->c->size != size)
		return -EPROTONOSUPPORT;
	return 0;
}

void store_control_ready(struct pcore_store *s)
{
	memcpy(s->c->magic, control_magic, sizeof(control_magic));
}

int store_sound(const struct pcore_store *s)
{
	return atomic_load(&s->c->poison) ? -ENOTRECOVERABLE : 0;
}

int store_fail(struct pcore_store *s, int code)
{
	int none = 0;

	assert(code < 0);
	(void)atomic_compare_exchange_strong(&s->c->poison, &none, code);
	return code;
}

void store_durable(struct pcore_store *s, uint64_t seq)
{
	uint64_t before = atomic_load(&s->c->durable_seq);

	while (before < seq && !atomic_compare_exchange_weak(&s->c->durable_seq, &before, seq))
		;
	atomic_store(&s->c->synced_ns, pcore_now_ns());
}

/* ---- the lock ---- */

/* An unlock wakes one waiter; when that one is killed before it takes the lock, nobody wakes the others. So they look. */
static int lock(pthread_mutex_t *lock)
{
	int e = pthread_mutex_trylock(lock);

	for (unsigned i = 0; e == EBUSY && i < LOCK_SPIN; i++)
		e = pthread_mutex_trylock(lock);
	while (e == EBUSY || e == ETIMEDOUT)
		e = pcore_mutex_lock_until(lock, pcore_now_ns() + LOOK_NS);
	return e;
}

/* Only when the log has been read anew does the lock become consistent: who dies in here leaves the work to the next one. */
int pcore_store_begin(struct pcore_store *s)
{
	int e, r = store_sound(s);

	if (r < 0)
		return r;
	e = lock(&s->c->lock);
	if (e == EOWNERDEAD) {
		r = store_derive(s, NULL);
		if (r < 0) { /* nobody can say where the log ends */
			(void)store_fail(s, r);
		} else {
			atomic_fetch_add(&s->c->generation, 1);
			(void)pthread_mutex_consistent(&s->c->lock);
		}
	} else if (e != 0) {
		return -e;
	} else {
		r = store_sound(s);
	}
	s->held = true;
	if (r == 0)
		r = store_list_refresh(s);
	if (r < 0)
		pcore_store_end(s);
	return r;
}

void pcore_store_end(struct pcore_store *s)
{
	assert(s->held);
	s->held = false;
	(void)pthread_mutex_unlock(&s->c->lock);
}

uint64_t pcore_store_generation(const struct pcore_store *s)
{
	return atomic_load(&s->c->generation);
}

uint64_t pcore_store_session(const struct pcore_store *s)
{
	return s->c->session;
}

/* ---- group commit ---- */

/* A sync takes as long as it takes to append a hundred records: let those go first that are about to, as long as there are any. */
static void let_others_append(struct store_control *c)
{
	uint64_t before = 0;

	for (unsigned i = 0; i < YIELDS_MAX && atomic_load(&c->last_seq) != before; i++) {
		before = atomic_load(&c->last_seq);
		(void)sched_yield();
	}
}

/* Whoever rolls syncs the segment that it leaves, so what was written before the end was read here is in the last segment, or
 * on disk. Read in this order. */
static int sync_for_all(struct pcore_store *s)
{
	uint64_t seq;
	int fd, r;

	let_others_append(s->c);
	seq = atomic_load(&s->c->last_seq);
	fd = store_tail(s);
	if (fd < 0)
		return fd;
	r = store_file_sync(fd, true);
	if (r < 0)
		return store_fail(s, r);
	store_durable(s, seq);
	return 0;
}

static void sleep_for_sync(struct store_control *c, uint32_t epoch)
{
	struct timespec ts = { .tv_nsec = LOOK_NS };

	(void)syscall(SYS_futex, &c->epoch, FUTEX_WAIT, epoch, &ts, NULL, 0);
}

/* The epoch changes after the unlock: who saw the lock taken reads the epoch before it. */
int pcore_store_sync(struct pcore_store *s, uint64_t seq)
{
	struct store_control *c = s->c;

	if (seq > atomic_load(&c->last_seq))
		seq = atomic_load(&c->last_seq);
	for (;;) {
		uint32_t epoch = atomic_load(&c->epoch);
		int e, r = store_sound(s);

		if (atomic_load(&c->durable_seq) >= seq || r < 0)
			return r;
		e = pthread_mutex_trylock(&c->sync);
		if (e == EOWNERDEAD) /* it guards nothing but itself */
			e = pthread_mutex_consistent(&c->sync);
		if (e == EBUSY) {
			sleep_for_sync(c, epoch);
			continue;
		}
		if (e != 0)
			return -e;
		r = atomic_load(&c->durable_seq) >= seq ? 0 : sync_for_all(s);
		(void)pthread_mutex_unlock(&c->sync);
		atomic_fetch_add(&c->epoch, 1);
		(void)syscall(SYS_futex, &c->epoch, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
		if (r < 0)
			return r;
	}
}

int64_t pcore_store_due_ns(const struct pcore_store *s)
{
	if (s->spec.sync != PCORE_STORE_INTERVAL || atomic_load(&s->c->durable_seq) >= atomic_load(&s->c->last_seq))
		return INT64_MAX;
	return pcore_ns_add(atomic_load(&s->c->synced_ns), s->spec.interval_ns);
}

int pcore_store_commit(struct pcore_store *s, uint64_t seq)
{
	if (s->spec.sync == PCORE_STORE_ALWAYS || pcore_store_due_ns(s) <= pcore_now_ns())
		return pcore_store_sync(s, seq);
	return store_sound(s);
}
