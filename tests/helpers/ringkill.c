/* SPDX-License-Identifier: MIT */
/*
 * ringkill - kill users of a ring at random moments, many times, and see that nothing is torn, lost or stuck.
 * Usage: ringkill FILE KILLS fifo|lifo|priority MAX_ITEMS take|lease [SEED]
 *
 * Some processes put items, some take them (not with `lease'), some lease and acknowledge them, bury some and revive others;
 * one after the other is killed and replaced.
 * What a put has returned for must be taken once. A table in shared memory says what was put and what was taken:
 *
 *   torn        an item whose bytes are not what its first ones say, or a reason that nobody gave: never
 *   lost        put, and never seen again: at most one batch for each taker that died between its get and its note of it,
 *               and none with leases alone
 *   twice       seen again: only with leases, by one that died between its note and its ack
 *   stuck       nothing moves for ten seconds: never
 *
 * Prints one line of counts; exits 1 when one of these is broken.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/ipc/ipc.h"

enum { PUTTERS = 3, TAKERS = 2, LEASERS = 2, WORKERS = PUTTERS + TAKERS + LEASERS, PER_LIFE = 4096, BATCH = 8, LEN_MAX = 700 };

struct mark {
	uint32_t life, number, len;
};

struct table {
	_Atomic uint64_t moved;
	_Atomic uint32_t torn, wrong;
	_Atomic bool stop;
	_Atomic bool unsure[WORKERS];	 /* between a get and the note of it */
	_Atomic uint32_t put[1 << 16];	 /* so many of this life's items are in for sure */
	_Atomic unsigned char seen[];	 /* [life][number] */
};

static struct table *t;
static const char *file;
static char reason[PCORE_REASON_MAX];
static bool leases_only;
static uint64_t state; /* of the random numbers */

static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % n;
}

static void fail(const char *what)
{
	perror(what);
	_exit(125);
}

static struct pcore_ring *open_ring(void)
{
	struct pcore_ring *r = NULL;
	int e = pcore_ring_open(&r, AT_FDCWD, file);

	if (e < 0) {
		errno = -e;
		fail("open");
	}
	return r;
}

static void fill(unsigned char *data, struct mark m)
{
	memcpy(data, &m, sizeof(m));
	for (uint32_t i = sizeof(m); i < m.len; i++)
		data[i] = (unsigned char)(m.life * 7 + m.number * 13 + i);
}

static void put_items(uint32_t life)
{
	static unsigned char data[BATCH][LEN_MAX];
	struct pcore_ring *r = open_ring();
	struct pcore_item items[BATCH];
	char keys[BATCH][32];

	for (uint32_t next = 0; next < PER_LIFE && !atomic_load(&t->stop);) {
		uint32_t n = 1 + rnd(BATCH);
		int done;

		n = n < PER_LIFE - next ? n : PER_LIFE - next;
		for (uint32_t i = 0; i < n; i++) {
			struct mark m = { life, next + i, (uint32_t)sizeof(struct mark) + rnd(rnd(2) ? 40 : LEN_MAX - sizeof(struct mark)) };

			fill(data[i], m);
			items[i] = (struct pcore_item){ .data = data[i], .len = m.len, .priority = rnd(4), .delay_ns = rnd(20) ? 0 : NS_PER_MS };
			if (rnd(4) == 0) {
				items[i].key = keys[i];
				items[i].key_len = (size_t)snprintf(keys[i], sizeof(keys[i]), "%u.%u", life, next + i);
			}
		}
		done = pcore_ring_put(r, items, n, rnd(2), INT64_MAX);
		if (done < 1 && done != -ESHUTDOWN)
			atomic_fetch_add(&t->wrong, 1);
		if (done < 1)
			break;
		next += (uint32_t)done;
		atomic_store(&t->put[life], next);
	}
	_exit(0);
}

static void note(const struct pcore_item *item)
{
	static unsigned char want[LEN_MAX];
	struct mark m = { 0 };

	if (item->len >= sizeof(m))
		memcpy(&m, item->data, sizeof(m));
	if (m.len != item->len || m.len > LEN_MAX || m.number >= PER_LIFE) {
		atomic_fetch_add(&t->torn, 1);
		return;
	}
	fill(want, m);
	if (memcmp(want, item->data, m.len) != 0)
		atomic_fetch_add(&t->torn, 1);
	atomic_fetch_add(&t->seen[(size_t)m.life * PER_LIFE + m.number], 1);
	atomic_fetch_add(&t->moved, 1);
}

static bool read_dead(struct pcore_ring *r, struct pcore_dead *d, struct pcore_buf *buf)
{
	int n;

	pcore_buf_clear(buf);
	n = pcore_ring_dead(r, 0, d, buf);
	if (n < 0)
		atomic_fetch_add(&t->wrong, 1);
	for (size_t i = 0; n > 0 && i < d->reason_len; i++)
		if (d->reason[i] != reason[i])
			atomic_fetch_add(&t->torn, 1);
	return n > 0;
}

static void end_lease(struct pcore_ring *r, const struct pcore_item *item)
{
	switch (rnd(24)) {
	case 0:
		(void)pcore_ring_nack(r, item->id, item->attempt, 0);
		break;
	case 1:
		(void)pcore_ring_nack(r, item->id, item->attempt, NS_PER_MS);
		break;
	case 2:
		(void)pcore_ring_untake(r, item->id, item->attempt);
		break;
	case 3:
		(void)pcore_ring_bury(r, item->id, item->attempt, reason, rnd(sizeof(reason)));
		break;
	default:
		note(item);
		(void)pcore_ring_ack(r, item->id, item->attempt);
		break;
	}
}

static void revive_one(struct pcore_ring *r, struct pcore_buf *buf)
{
	struct pcore_dead d;

	if (read_dead(r, &d, buf))
		(void)pcore_ring_revive(r, d.item.id);
}

static void take_items(unsigned worker, bool lease)
{
	struct pcore_take how = { .lease = lease, .lease_ns = 20 * NS_PER_MS };
	struct pcore_ring *r = open_ring();
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_item items[BATCH];

	for (;;) {
		int n;

		if (lease)
			revive_one(r, &buf); /* first of all: who buried it may have been killed, and the ring be full of it */
		buf.len = 0;
		atomic_store(&t->unsure[worker], !lease);
		n = pcore_ring_get(r, items, 1 + rnd(BATCH), &how, &buf, INT64_MAX);
		if (n < 0) {
			if (n != -ESHUTDOWN)
				atomic_fetch_add(&t->wrong, 1);
			break;
		}
		for (int i = 0; i < n; i++)
			if (lease)
				end_lease(r, &items[i]);
			else
				note(&items[i]);
		atomic_store(&t->unsure[worker], false);
	}
	atomic_store(&t->unsure[worker], false);
	_exit(0);
}

static pid_t start(unsigned worker, uint32_t *life)
{
	uint64_t seed = (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX) | 1;
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		state = seed;
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		if (worker < PUTTERS)
			put_items(*life);
		take_items(worker, leases_only || worker >= PUTTERS + TAKERS);
	}
	if (worker < PUTTERS)
		++*life;
	return pid;
}

static void sleep_us(uint32_t us)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = (long)us * 1000 }, NULL);
}

/* Wait for the worker to end by itself, as long as anything moves. */
static bool reap(pid_t pid)
{
	uint64_t moved = atomic_load(&t->moved);
	int64_t last = pcore_now_ns();

	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (atomic_load(&t->moved) != moved) {
			moved = atomic_load(&t->moved);
			last = pcore_now_ns();
		}
		if (pcore_now_ns() - last > 10 * NS_PER_S) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
			return false;
		}
		sleep_us(500);
	}
	return true;
}

struct outcome {
	uint32_t lost_max, stuck, lives;
	uint64_t lost, twice;
};

static void kill_them(struct pcore_ring *r, uint32_t kills, struct outcome *o)
{
	pid_t pids[WORKERS];
	uint64_t moved = 0;
	int64_t last = pcore_now_ns();

	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = start(i, &o->lives);
	for (uint32_t k = 0; k < kills && o->lives < (1 << 16) - PUTTERS && !o->stuck; k++) {
		unsigned victim = rnd(WORKERS);

		sleep_us(rnd(1000));
		(void)kill(pids[victim], SIGKILL);
		(void)waitpid(pids[victim], NULL, 0);
		o->lost_max += atomic_exchange(&t->unsure[victim], false) ? BATCH : 0;
		pids[victim] = start(victim, &o->lives);
		if (atomic_load(&t->moved) != moved) {
			moved = atomic_load(&t->moved);
			last = pcore_now_ns();
		}
		o->stuck += pcore_now_ns() - last > 10 * NS_PER_S;
	}
	atomic_store(&t->stop, true);
	for (unsigned i = 0; i < PUTTERS; i++)
		o->stuck += !reap(pids[i]);
	if (pcore_ring_close(r, false) < 0)
		atomic_fetch_add(&t->wrong, 1);
	for (unsigned i = PUTTERS; i < WORKERS; i++)
		o->stuck += !reap(pids[i]);
}

/* The dead are the last to be seen. */
static void empty(struct pcore_ring *r)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_dead d;

	while (read_dead(r, &d, &buf)) {
		note(&d.item);
		if (pcore_ring_discard(r, d.item.id) < 0)
			atomic_fetch_add(&t->wrong, 1);
	}
	pcore_buf_done(&buf);
}

static void count(struct outcome *o)
{
	for (uint32_t life = 0; life < o->lives; life++)
		for (uint32_t n = 0; n < PER_LIFE; n++) {
			unsigned char seen = t->seen[(size_t)life * PER_LIFE + n];

			o->lost += n < t->put[life] && seen == 0;
			o->twice += seen > 1 ? seen - 1U : 0;
		}
}

int main(int argc, char **argv)
{
	struct pcore_ring_spec spec = { .max_bytes = 1 << 20 };
	uint64_t kills, items, seed = (uint64_t)getpid();
	struct pcore_ring_stat s = { 0 };
	struct outcome o = { 0 };
	struct pcore_ring *r;
	size_t size;
	int e;

	if (argc < 6 || pcore_parse_u64(argv[2], 1, 50000, &kills) < 0 || pcore_parse_u64(argv[4], 1, 4000, &items) < 0 ||
		(argv[6] && pcore_parse_u64(argv[6], 1, UINT64_MAX, &seed) < 0))
		return 125;
	file = argv[1];
	spec.order = argv[3][0] == 'f' ? PCORE_FIFO : argv[3][0] == 'l' ? PCORE_LIFO : PCORE_PRIORITY;
	leases_only = argv[5][0] == 'l';
	spec.max_items = items;
	state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	size = sizeof(*t) + (kills + WORKERS) * PER_LIFE;
	t = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	e = t == MAP_FAILED ? -errno : pcore_ring_create(AT_FDCWD, file, &spec);
	if (e < 0) {
		fprintf(stderr, "ringkill: %s\n", strerror(-e));
		return 125;
	}
	r = open_ring();
	for (size_t i = 0; i < sizeof(reason); i++)
		reason[i] = (char)('a' + i % 23);
	kill_them(r, (uint32_t)kills, &o);
	empty(r);
	count(&o);
	e = pcore_ring_stat(r, &s);
	pcore_ring_free(r);
	(void)unlink(file);
	printf("%" PRIu64 " kills, %" PRIu64 " of them with the lock, %" PRIu64 " items moved; torn %u, lost %" PRIu64
	       " (up to %u may be), twice %" PRIu64 ", stuck %u, wrong %u, left %" PRIu64 "; seed %" PRIu64 "\n",
		kills, s.recoveries, atomic_load(&t->moved), t->torn, o.lost, o.lost_max, o.twice, o.stuck, t->wrong,
		s.ready + s.leased + s.delayed + s.dead, seed);
	return e < 0 || t->torn || o.lost > o.lost_max || o.twice > kills * BATCH || o.stuck || t->wrong || s.ready + s.leased + s.delayed + s.dead > 0;
}
