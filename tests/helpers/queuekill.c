/* SPDX-License-Identifier: MIT */
/*
 * queuekill - kill users of a durable queue at random moments, many times, and see that nothing is torn, lost, stuck or done twice.
 * Usage: queuekill DIR KILLS fifo|lifo|priority take|lease [SEED]. DIR must not exist; it is removed.
 *
 * Some processes put items, some take them (not with `lease'), some lease them and acknowledge, give back, bury or revive
 * them; those compact, too. One after the other is killed and replaced, and now and then all are, so that the next one opens the queue as
 * after a crash. A table in shared memory says what was put, seen and acknowledged:
 *
 *   torn    an item whose bytes are not what its first ones say: never
 *   lost    put, and never seen: at most one batch for each taker that died between its get and its note of it, and none
 *           with leases alone
 *   twice   handed out by a get that was called when its ack, or a get without lease, had returned: never
 *   stuck   nothing moves for ten seconds: never
 *
 * Prints one line of counts; exits 1 when one of these is broken.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "libcore/queue/durable.h"
#include "tests/helpers/helper.h"

enum { PUTTERS = 2, TAKERS = 1, LEASERS = 3, WORKERS = PUTTERS + TAKERS + LEASERS };
enum { PER_LIFE = 1024, BATCH = 8, LEN_MAX = 700, KILLS_A_ROUND = 15, LIVES_MAX = 1 << 16 };

struct mark {
	uint32_t life, number, len;
};

struct history {
	_Atomic uint32_t seen;
	_Atomic uint32_t done_at; /* by the clock; 0: not yet */
};

struct table {
	_Atomic uint64_t moved;
	_Atomic uint32_t clock, lives;
	_Atomic uint32_t torn, twice, wrong;
	_Atomic bool unsure[WORKERS];	  /* between a get and the note of it */
	_Atomic uint32_t put[LIVES_MAX];  /* so many of this life's items are in for sure */
	struct history items[];		  /* [life][number] */
};

static struct table *t;
static bool leases_only;
static const char *path;
static struct pcore_queue_config spec = { .durable = true, .max_items = 300, .sync = PCORE_QUEUE_ALWAYS };
static uint64_t state; /* of the random numbers */

static uint32_t rnd(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) % below);
}

static struct pcore_queue *open_queue(void)
{
	struct pcore_queue *q = NULL;
	int r = pcore_queue_open_at(&q, AT_FDCWD, path, &spec);

	if (r < 0) {
		atomic_fetch_add(&t->wrong, 1);
		errno = -r;
		die("open");
	}
	container_of(q, struct durable, queue)->compact_min = 100000;
	return q;
}

/* An answer that nobody expects. */
static void wrong(const char *what, int r)
{
	fprintf(stderr, "queuekill: %s: %s\n", what, strerror(-r));
	atomic_fetch_add(&t->wrong, 1);
}

static void fill(unsigned char *data, struct mark m)
{
	memcpy(data, &m, sizeof(m));
	for (uint32_t i = sizeof(m); i < m.len; i++)
		data[i] = (unsigned char)(m.life * 7 + m.number * 13 + i);
}

/* The items of one life. 0, or what ended it. */
static int put_a_life(struct pcore_queue *q, uint32_t life)
{
	static unsigned char data[BATCH][LEN_MAX];
	struct pcore_item items[BATCH];
	char keys[BATCH][32];

	for (uint32_t next = 0; next < PER_LIFE;) {
		uint32_t n = 1 + rnd(BATCH);
		int r;

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
		r = pcore_queue_put_until(q, items, n, rnd(2), INT64_MAX);
		if (r < 1)
			return r;
		next += (uint32_t)r;
		atomic_store(&t->put[life], next);
		atomic_fetch_add(&t->moved, 1);
	}
	return 0;
}

/* Until it is killed. */
static void put_items(void)
{
	struct pcore_queue *q = open_queue();
	uint32_t life = atomic_fetch_add(&t->lives, 1);
	int r = 0;

	for (; r == 0 && life < LIVES_MAX; life = atomic_fetch_add(&t->lives, 1))
		r = put_a_life(q, life);
	wrong("put", r);
}

/* Its history, or NULL when it is torn. */
static struct history *look_at(const struct pcore_item *item)
{
	static unsigned char want[LEN_MAX];
	struct mark m = { 0 };

	if (item->len >= sizeof(m))
		memcpy(&m, item->data, sizeof(m));
	if (m.len == item->len && m.len >= sizeof(m) && m.len <= LEN_MAX && m.number < PER_LIFE && m.life < LIVES_MAX) {
		fill(want, m);
		if (memcmp(want, item->data, m.len) == 0)
			return &t->items[(size_t)m.life * PER_LIFE + m.number];
	}
	atomic_fetch_add(&t->torn, 1);
	return NULL;
}

static void end_lease(struct pcore_queue *q, const struct pcore_item *item, struct history *h)
{
	uint32_t what = rnd(32);
	int r;

	if (what == 0 || what == 2)
		r = pcore_queue_nack(q, item->id, item->attempt, rnd(2) ? NS_PER_MS : 0);
	else if (what == 1)
		r = pcore_queue_bury(q, item->id, item->attempt, "so it is", 8);
	else
		r = pcore_queue_ack(q, item->id, item->attempt);
	if (what > 2 && r == 0)
		atomic_store(&h->done_at, atomic_fetch_add(&t->clock, 1));
	if (r < 0 && r != -ENOENT && r != -ESTALE) /* its time may have been up */
		wrong("the end of a lease", r);
}

static void revive_one(struct pcore_queue *q, struct pcore_buf *buf)
{
	struct pcore_dead dead;
	int r;

	pcore_buf_clear(buf);
	r = pcore_queue_dead_into(q, 0, &dead, buf);
	if (r == 1 && (dead.reason_len != 8 || memcmp(dead.reason, "so it is", 8) != 0))
		atomic_fetch_add(&t->torn, 1);
	if (r == 1)
		r = pcore_queue_revive(q, dead.item.id);
	if (r < 0 && r != -ENOENT)
		wrong("revive", r);
}

static void note(struct pcore_queue *q, const struct pcore_item *item, bool lease, uint32_t asked_at)
{
	struct history *h = look_at(item);
	uint32_t done_at = h ? atomic_load(&h->done_at) : 0;

	if (!h)
		return;
	atomic_fetch_add(&t->moved, 1);
	atomic_store(&h->seen, 1);
	if (done_at && done_at < asked_at)
		atomic_fetch_add(&t->twice, 1);
	if (lease)
		end_lease(q, item, h);
	else
		atomic_store(&h->done_at, atomic_fetch_add(&t->clock, 1));
}

static void take_until_over(unsigned worker, bool lease)
{
	struct pcore_take how = { .lease = lease, .lease_ns = rnd(2) ? 20 * NS_PER_MS : INT64_MAX, .holder = pcore_ring_holder() };
	struct pcore_queue *q = open_queue();
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_item items[BATCH];
	uint32_t asked_at;
	int n;

	for (;;) {
		pcore_buf_clear(&buf);
		asked_at = atomic_fetch_add(&t->clock, 1);
		atomic_store(&t->unsure[worker], !lease);
		n = pcore_queue_get_until(q, items, 1 + rnd(BATCH), &how, &buf, INT64_MAX);
		for (int i = 0; i < n; i++)
			note(q, &items[i], lease, asked_at);
		atomic_store(&t->unsure[worker], false);
		if (n < 0)
			break;
		if (lease)
			revive_one(q, &buf); /* more than are buried, or the queue would be full of them */
		if (rnd(100) == 0)
			(void)dq_compact(container_of(q, struct durable, queue));
	}
	if (n != -ESHUTDOWN)
		wrong("get", n);
	pcore_buf_done(&buf);
	pcore_queue_free(q);
}

static pid_t start(unsigned worker)
{
	uint64_t seed = (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX) | 1;
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		state = seed;
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		if (worker < PUTTERS)
			put_items();
		else
			take_until_over(worker, leases_only || worker >= PUTTERS + TAKERS);
		_exit(0);
	}
	return pid;
}

struct outcome {
	uint32_t lost_max, stuck;
	uint64_t lost, recoveries;
	struct pcore_queue_state stat;
};

static void end(pid_t pid, unsigned worker, struct outcome *o)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	o->lost_max += atomic_exchange(&t->unsure[worker], false) ? BATCH : 0;
}

/* No more deaths until something has moved. */
static bool wait_for_move(uint64_t *moved)
{
	int64_t start_ns = pcore_now_ns();

	while (atomic_load(&t->moved) == *moved && !atomic_load(&t->wrong)) {
		if (pcore_now_ns() - start_ns > 10 * NS_PER_S)
			return false;
		(void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
	*moved = atomic_load(&t->moved);
	return true;
}

static void kill_a_round(uint32_t *kills, struct outcome *o)
{
	uint64_t moved = atomic_load(&t->moved);
	pid_t pids[WORKERS];

	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = start(i);
	for (unsigned n = 0; n < KILLS_A_ROUND && *kills > 0 && !o->stuck; n++, --*kills) {
		unsigned victim = rnd(WORKERS);

		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)rnd(3000) * 1000 }, NULL);
		end(pids[victim], victim, o);
		pids[victim] = start(victim);
		o->stuck += !wait_for_move(&moved);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		end(pids[i], i, o);
}

/* What is left: the end of the queue, seen by one. */
static void drain(struct outcome *o)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_queue *q = open_queue();
	int r;

	r = pcore_queue_close(q, false);
	if (r < 0)
		wrong("close", r);
	(void)alarm(20); /* it must not take for ever */
	do {
		take_until_over(WORKERS - 1, true);
		revive_one(q, &buf);
		r = pcore_queue_state(q, &o->stat);
	} while (r == 0 && o->stat.ready + o->stat.leased + o->stat.delayed + o->stat.dead > 0);
	(void)alarm(0);
	if (r < 0)
		wrong("stat", r);
	o->recoveries = o->stat.recoveries;
	pcore_buf_done(&buf);
	pcore_queue_free(q);
}

static void count(struct outcome *o)
{
	for (uint32_t life = 0; life < t->lives && life < LIVES_MAX; life++)
		for (uint32_t n = 0; n < t->put[life]; n++)
			o->lost += t->items[(size_t)life * PER_LIFE + n].seen == 0;
}

int main(int argc, char **argv)
{
	uint64_t kills, seed = (uint64_t)getpid();
	struct outcome o = { 0 };
	uint32_t left;
	bool failed;
	size_t size;

	if (argc < 5 || pcore_parse_u64(argv[2], 1, 10000, &kills) < 0 || (argv[5] && pcore_parse_u64(argv[5], 1, UINT64_MAX, &seed) < 0))
		return 125;
	path = argv[1];
	spec.order = argv[3][0] == 'f' ? PCORE_FIFO : argv[3][0] == 'l' ? PCORE_LIFO : PCORE_PRIORITY;
	leases_only = argv[4][0] == 'l';
	state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	size = sizeof(*t) + (size_t)LIVES_MAX * PER_LIFE * sizeof(struct history);
	/* the clock starts at 1: 0 is never */
	t = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t == MAP_FAILED)
		die("mmap");
	t->clock = 1;
	for (left = (uint32_t)kills; left > 0 && !o.stuck && !t->wrong;)
		kill_a_round(&left, &o);
	drain(&o);
	count(&o);
	failed = t->torn || t->twice || t->wrong || o.stuck || o.lost > o.lost_max;
	printf("%" PRIu64 " kills, %" PRIu64 " items moved, %" PRIu64 " put, %" PRIu64 " acknowledged; torn %u, lost %" PRIu64
	       " (up to %u may be), twice %u, stuck %u, wrong %u; seed %" PRIu64 "\n",
		kills, atomic_load(&t->moved), o.stat.puts, o.stat.acks, t->torn, o.lost, o.lost_max, t->twice, o.stuck, t->wrong, seed);
	if (!failed && pcore_queue_remove_at(AT_FDCWD, path) < 0)
		die("remove");
	return failed;
}
