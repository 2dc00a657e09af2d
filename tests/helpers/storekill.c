/* SPDX-License-Identifier: MIT */
/*
 * storekill - processes that append to a store, roll and compact it, killed at random moments, all the time.
 * Usage: storekill DIR KILLS [SEED]. DIR must not exist; it is removed.
 *
 * One of four writers is killed and another takes its place; now and then all are. Then the store is read as whoever opens it
 * first reads it: what was acknowledged must be there, once, whole and in order. Exits 1 when it is not, or when somebody
 * waits for ever.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "libcore/base/base.h"
#include "libcore/store/store.h"
#include "tests/helpers/helper.h"

enum { WRITERS = 4, LIVES_MAX = 1 << 16, BATCH = 4, LEN_MAX = 3000, FILLER = 2, KILLS_A_ROUND = 20 };

struct mark {
	uint32_t life, number, len;
};

struct table {
	_Atomic uint64_t moved;
	_Atomic uint32_t wrong;
	_Atomic uint32_t acked[LIVES_MAX];
};

struct outcome {
	uint64_t records, lost, torn, cut, recoveries;
	uint32_t next[LIVES_MAX];
};

static struct table *t;
static struct outcome o;
static const char *path;
static uint64_t state;

static uint32_t rnd(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) % below);
}

static const struct pcore_store_spec spec = { .create = true, .segment_max = 40000 };

static struct pcore_store *open_store(struct pcore_store_found *found)
{
	struct pcore_store *s = NULL;
	int r = pcore_store_open(&s, AT_FDCWD, path, &spec, found);

	if (r < 0) {
		errno = -r;
		die("cannot open the store");
	}
	return s;
}

static void fill(unsigned char *p, struct mark m)
{
	memcpy(p, &m, sizeof(m));
	for (uint32_t i = sizeof(m); i < m.len; i++)
		p[i] = (unsigned char)(m.life * 31 + m.number * 7 + i);
}

static int keep_all_but_filler(void *arg, const struct pcore_record *rec)
{
	(void)arg;
	return rec->type != FILLER;
}

_Noreturn static void write_records(uint32_t life)
{
	static unsigned char data[BATCH][LEN_MAX];
	struct pcore_store *s = open_store(NULL);
	struct pcore_record recs[BATCH];
	int r = 0;

	for (uint32_t next = 0; r == 0;) {
		size_t n = 1 + rnd(BATCH);

		for (size_t i = 0; i < n; i++) {
			struct mark m = { life, next, (uint32_t)sizeof(struct mark) + rnd(rnd(4) ? 60 : LEN_MAX - sizeof(struct mark)) };

			recs[i] = (struct pcore_record){ .type = i > 0 && rnd(2) ? FILLER : 1, .data = data[i], .len = m.len };
			next += recs[i].type != FILLER;
			fill(data[i], m);
		}
		r = pcore_store_put(s, recs, n);
		if (r == 0) {
			atomic_store(&t->acked[life], next);
			atomic_fetch_add(&t->moved, 1);
		}
		if (r == 0 && rnd(100) == 0) {
			r = pcore_store_compact(s, &(struct pcore_store_compact){ .keep = keep_all_but_filler });
			r = r == -EBUSY ? 0 : r;
		}
	}
	fprintf(stderr, "storekill: a writer failed: %s\n", strerror(-r));
	atomic_fetch_add(&t->wrong, 1);
	_exit(1);
}

static pid_t start(uint32_t life)
{
	uint64_t seed = (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX) | 1;
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	state = seed;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	write_records(life);
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static int check_record(void *arg, const struct pcore_record *rec)
{
	static unsigned char want[LEN_MAX];
	struct mark m = { 0 };

	(void)arg;
	if (rec->len >= sizeof(m))
		memcpy(&m, rec->data, sizeof(m));
	if (m.len != rec->len || m.len > LEN_MAX || m.life >= LIVES_MAX) {
		o.torn++;
		return 0;
	}
	fill(want, m);
	o.torn += memcmp(want, rec->data, m.len) != 0;
	if (rec->type == FILLER)
		return 0;
	o.records++;
	o.torn += m.number != o.next[m.life]++; /* twice, missing, or out of order */
	return 0;
}

static void check(uint32_t lives)
{
	struct pcore_store_found found;
	struct pcore_store *s = open_store(&found);
	int r;

	memset(o.next, 0, sizeof(o.next));
	o.records = 0;
	if (!found.first)
		atomic_fetch_add(&t->wrong, 1);
	o.cut += found.cut_bytes > 0;
	r = pcore_store_each(s, 1, check_record, NULL, NULL);
	if (r < 0) {
		errno = -r;
		die("cannot read the store");
	}
	for (uint32_t i = 0; i < lives; i++)
		o.lost += o.next[i] < t->acked[i] ? t->acked[i] - o.next[i] : 0;
	(void)pcore_store_close(s);
}

static uint32_t kill_them(uint32_t kills)
{
	uint32_t lives = 0, stuck = 0;

	for (uint32_t k = 0; k < kills && lives + WRITERS < LIVES_MAX;) {
		uint64_t moved = atomic_load(&t->moved);
		int64_t last = pcore_now_ns();
		struct pcore_store *s = open_store(NULL); /* to count */
		uint64_t generation = pcore_store_generation(s);
		pid_t pids[WRITERS];

		for (unsigned i = 0; i < WRITERS; i++)
			pids[i] = start(lives++);
		for (unsigned n = 0; n < KILLS_A_ROUND && k < kills && lives < LIVES_MAX; n++, k++) {
			unsigned victim = rnd(WRITERS);

			(void)nanosleep(&(struct timespec){ .tv_nsec = (long)rnd(4000) * 1000 }, NULL);
			end(pids[victim]);
			pids[victim] = start(lives++);
			/* no more deaths until something has moved */
			while (atomic_load(&t->moved) == moved && pcore_now_ns() - last < 10 * NS_PER_S && !atomic_load(&t->wrong))
				(void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
			stuck += atomic_load(&t->moved) == moved;
			moved = atomic_load(&t->moved);
			last = pcore_now_ns();
		}
		for (unsigned i = 0; i < WRITERS; i++)
			end(pids[i]);
		o.recoveries += pcore_store_generation(s) - generation;
		(void)pcore_store_close(s);
		check(lives);
		if (o.lost || o.torn || stuck || atomic_load(&t->wrong))
			break;
	}
	return stuck;
}

static void remove_store(void)
{
	DIR *dir = opendir(path);

	for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		(void)closedir(dir);
	(void)rmdir(path);
}

int main(int argc, char **argv)
{
	uint64_t kills, seed = (uint64_t)getpid();
	uint32_t stuck;
	bool failed;

	if (argc < 3 || pcore_parse_u64(argv[2], 1, LIVES_MAX / 2, &kills) < 0 ||
		(argv[3] && pcore_parse_u64(argv[3], 1, UINT64_MAX, &seed) < 0))
		return 125;
	path = argv[1];
	state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED)
		die("mmap");
	stuck = kill_them((uint32_t)kills);
	failed = o.lost || o.torn || stuck || t->wrong;
	printf("%" PRIu64 " kills, %" PRIu64 " of them with the lock, %" PRIu64 " puts, %" PRIu64 " records; torn %" PRIu64 ", lost %" PRIu64 ", stuck %u, wrong %u; tail cut %" PRIu64
	       " times; seed %" PRIu64 "\n",
		kills, o.recoveries, atomic_load(&t->moved), o.records, o.torn, o.lost, stuck, t->wrong, o.cut, seed);
	if (!failed)
		remove_store();
	return failed;
}
