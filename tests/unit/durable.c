/* SPDX-License-Identifier: MIT */
/*
 * durable.c - tests of the durable queue: what survives, what is told, what fails and how.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libcore/queue/durable.h"
#include "tests/unit/support.h"

/* in memory where there is such a place: syncs are what takes the time */
static char shm[] = "/dev/shm/pcore-durable.XXXXXX", tmp[] = "/tmp/pcore-durable.XXXXXX";
static int dfd;
static struct pcore_queue *q;
static struct pcore_buf buf;

static const struct pcore_take gone = { 0 }, leased = { .lease = true, .lease_ns = INT64_MAX };
static const struct pcore_queue_config plain = { .durable = true };

#define FIRST "q/seg-0000000000000001.log"

static void remove_all(const char *name)
{
	int fd = openat(dfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		return;
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			assert_int_equal(unlinkat(fd, e->d_name, 0), 0);
	closedir(d);
	assert_int_equal(unlinkat(dfd, name, AT_REMOVEDIR), 0);
}

static void open_it(const struct pcore_queue_config *spec)
{
	q = NULL;
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", spec), 0);
}

static void close_it(void)
{
	pcore_queue_free(q);
	q = NULL;
}

static void again(void)
{
	close_it();
	open_it(NULL);
}

/* All that somebody would notice if the index were not what the log says. */
static void rebuild(void)
{
	atomic_store(&durable_of(q)->h->generation, 0);
}

static void end(void)
{
	pcore_buf_done(&buf);
	close_it();
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
}

static int put_item(struct pcore_item item, const char *s, bool replace)
{
	item.data = s;
	item.len = strlen(s);
	return pcore_queue_put_until(q, &item, 1, replace, 0);
}

static void put(const char *s)
{
	assert_int_equal(put_item((struct pcore_item){ 0 }, s, false), 1);
}

static const char *get(const struct pcore_take *how, struct pcore_item *ret)
{
	struct pcore_item item = { 0 };
	int r;

	buf.len = 0;
	r = pcore_queue_get_until(q, &item, 1, how, &buf, 0);
	if (r < 0)
		assert_true(r == -EAGAIN || r == -ESHUTDOWN);
	if (ret)
		*ret = item;
	return r == 1 ? item.data : "nothing";
}

static const char *take(void)
{
	return get(&gone, NULL);
}

static struct pcore_queue_state stat_now(void)
{
	struct pcore_queue_state s;

	assert_int_equal(pcore_queue_state(q, &s), 0);
	return s;
}

static void scribble(const char *name, off_t offset, const void *data, size_t len)
{
	int fd = openat(dfd, name, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, offset), len);
	close(fd);
}

static void items_survive_in_their_order(void **state)
{
	(void)state;
	for (enum pcore_order order = PCORE_FIFO; order <= PCORE_PRIORITY; order++) {
		open_it(&(struct pcore_queue_config){ .durable = true, .order = order });
		assert_int_equal(put_item((struct pcore_item){ .priority = 5 }, "a", false), 1);
		assert_int_equal(put_item((struct pcore_item){ .priority = 7 }, "b", false), 1);
		assert_int_equal(put_item((struct pcore_item){ .priority = 2 }, "c", false), 1);
		again();
		assert_int_equal(stat_now().spec.order, order);
		assert_string_equal(take(), order == PCORE_FIFO ? "a" : "c");
		again();
		assert_string_equal(take(), order == PCORE_FIFO ? "b" : order == PCORE_LIFO ? "b" : "a");
		put("d");
		again();
		assert_string_equal(take(), order == PCORE_FIFO ? "c" : "d");
		end();
	}
}

static void limits_and_promises_survive(void **state)
{
	struct pcore_queue_config spec = { .durable = true, .max_items = 2, .max_bytes = 100, .max_item = 50, .sync = PCORE_QUEUE_INTERVAL,
		.interval_ns = NS_PER_S };
	struct pcore_queue_state s;

	(void)state;
	open_it(&spec);
	put("a");
	again();
	s = stat_now();
	assert_int_equal(s.spec.max_items, 2);
	assert_int_equal(s.spec.max_bytes, 100);
	assert_int_equal(s.spec.max_item, 50);
	assert_int_equal(s.spec.interval_ns, NS_PER_S);
	assert_true(s.spec.durable);
	assert_string_equal(s.durability, "interval");
	assert_int_equal(s.bytes, 1);
	put("b");
	assert_int_equal(put_item((struct pcore_item){ 0 }, "c", false), -EAGAIN);
	end();
	open_it(&(struct pcore_queue_config){ .durable = true, .sync = PCORE_QUEUE_NONE });
	assert_string_equal(stat_now().durability, "unsynced");
	assert_int_equal(stat_now().spec.max_item, 64 << 20);
	end();
}

static void specifications_that_make_no_sense_are_refused(void **state)
{
	static const struct pcore_queue_config bad[] = {
		{ .durable = true, .max_item = 11, .max_bytes = 10 },
		{ .durable = true, .max_item = DQ_ITEM_LIMIT },
		{ .durable = true, .sync = PCORE_QUEUE_INTERVAL },
		{ .durable = true, .interval_ns = 5 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pcore_queue_create(dfd, "q", &bad[i]), -EINVAL);
	assert_int_equal(faccessat(dfd, "q", F_OK, 0), -1);
}

static void a_lease_outlives_those_who_have_the_queue_open(void **state)
{
	struct pcore_item item;

	(void)state;
	open_it(&plain);
	put("a");
	put("b");
	assert_string_equal(get(&leased, &item), "a");
	again();
	assert_int_equal(stat_now().leased, 1);
	assert_string_equal(take(), "b");
	assert_string_equal(take(), "nothing");
	assert_int_equal(pcore_queue_touch(q, item.id, 1, NS_PER_S), 0);
	again();
	assert_int_equal(pcore_queue_ack(q, item.id, 1), 0);
	again();
	assert_int_equal(stat_now().ready + stat_now().leased, 0);
	end();
}

/* What is written from here on is from before a reboot, to who opens the queue anew. */
static void before_a_reboot(void)
{
	durable_of(q)->boot ^= 1;
}

static void a_lease_is_ready_again_with_its_attempts_after_a_reboot(void **state)
{
	struct pcore_item item;

	(void)state;
	open_it(&plain);
	put("a");
	put("b");
	for (uint32_t i = 1; i <= 3; i++) {
		before_a_reboot();
		assert_string_equal(get(&leased, &item), "a");
		assert_int_equal(item.attempt, i);
		again();
		assert_int_equal(stat_now().ready, 2);
		assert_int_equal(pcore_queue_ack(q, item.id, item.attempt), -ENOENT);
	}
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(pcore_queue_nack(q, item.id, 4, 0), 0);
	again();
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(item.attempt, 5);
	assert_int_equal(pcore_queue_ack(q, item.id, 5), 0);
	again();
	assert_string_equal(get(&leased, &item), "b");
	end();
}

static void delays_survive(void **state)
{
	struct pcore_item item;

	(void)state;
	open_it(&plain);
	assert_int_equal(put_item((struct pcore_item){ .delay_ns = 3600 * NS_PER_S }, "an hour", false), 1);
	assert_int_equal(put_item((struct pcore_item){ .delay_ns = INT64_MAX }, "never", false), 1);
	assert_int_equal(put_item((struct pcore_item){ .delay_ns = NS_PER_S }, "soon", false), 1);
	put("given back");
	assert_string_equal(get(&leased, &item), "given back");
	assert_int_equal(pcore_queue_nack(q, item.id, 1, 3600 * NS_PER_S), 0);
	again();
	assert_int_equal(stat_now().ready + stat_now().delayed, 4);
	buf.len = 0;
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, pcore_now_ns() + 10 * NS_PER_S), 1);
	assert_string_equal(item.data, "soon");
	assert_int_equal(stat_now().delayed, 3);
	assert_true(dq_timed(durable_of(q), 0)->due_ns > pcore_now_ns() + 3500 * NS_PER_S);
	assert_true(dq_timed(durable_of(q), 0)->due_ns < pcore_now_ns() + 3700 * NS_PER_S);
	end();
}

static void keys_and_replacements_survive(void **state)
{
	struct pcore_item k = { .key = "k", .key_len = 1 };

	(void)state;
	open_it(&plain);
	assert_int_equal(put_item(k, "1", false), 1);
	assert_int_equal(put_item(k, "2", true), 1);
	again();
	assert_int_equal(put_item(k, "3", false), -EEXIST);
	assert_int_equal(stat_now().ready, 1);
	assert_int_equal(put_item(k, "4", true), 1);
	again();
	assert_string_equal(take(), "4");
	again();
	assert_int_equal(put_item(k, "5", false), 1);
	end();
}

static void the_dead_survive(void **state)
{
	struct pcore_dead dead;
	struct pcore_item item;

	(void)state;
	open_it(&plain);
	for (const char *s = "abc"; *s; s++) {
		char text[2] = { *s };

		put(text);
		assert_string_equal(get(&leased, &item), text);
		assert_int_equal(pcore_queue_bury(q, item.id, 1, "the reason", 10), 0);
	}
	again();
	assert_int_equal(stat_now().dead, 3);
	assert_int_equal(pcore_queue_revive(q, 1), 0);
	assert_int_equal(pcore_queue_discard(q, 3), 0);
	again();
	assert_int_equal(stat_now().dead, 1);
	buf.len = 0;
	assert_int_equal(pcore_queue_dead_into(q, 0, &dead, &buf), 1);
	assert_string_equal(dead.item.data, "b");
	assert_string_equal(dead.reason, "the reason");
	assert_int_equal(dead.item.attempt, 1);
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(item.attempt, 2);
	assert_int_equal(item.tries, 1);
	end();
}

static void what_a_revived_item_is_forgiven_survives(void **state)
{
	struct pcore_dead dead;
	struct pcore_item item;

	(void)state;
	open_it(&plain);
	put("a");
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(pcore_queue_bury(q, 1, 1, "why", 3), 0);
	assert_int_equal(pcore_queue_revive(q, 1), 0);
	for (uint32_t attempt = 2; attempt < 5; attempt++) {
		again();
		assert_int_equal(dq_compact(durable_of(q)), 0);
		again();
		assert_string_equal(get(&leased, &item), "a"); /* what is ready */
		assert_int_equal(item.attempt, attempt);
		assert_int_equal(item.tries, attempt - 1);
		assert_int_equal(dq_compact(durable_of(q)), 0);
		again();
		assert_int_equal(pcore_queue_touch(q, 1, attempt, 0), 0); /* what is leased */
		again();
		assert_int_equal(pcore_queue_nack(q, 1, attempt, 0), 0);
	}
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(pcore_queue_bury(q, 1, 5, "why", 3), 0);
	again();
	pcore_buf_clear(&buf);
	assert_int_equal(pcore_queue_dead_into(q, 0, &dead, &buf), 1); /* what is dead */
	assert_int_equal(dead.item.attempt, 5);
	assert_int_equal(dead.item.tries, 4);
	end();
}

static void the_attempts_of_a_revived_item_begin_again_before_they_run_out(void **state)
{
	struct pcore_item item = { 0 };

	(void)state;
	open_it(&plain);
	put("a");
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(dq_lock(durable_of(q)), 0);
	assert_int_equal(dq_set_attempts(durable_of(q), dq_find(durable_of(q), 1), DQ_ATTEMPT_MAX, 0), 0);
	dq_unlock(durable_of(q));
	assert_int_equal(pcore_queue_nack(q, 1, DQ_ATTEMPT_MAX, 0), 0);
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(item.attempt, DQ_ATTEMPT_MAX);
	assert_int_equal(pcore_queue_bury(q, 1, DQ_ATTEMPT_MAX, "why", 3), 0);
	assert_int_equal(pcore_queue_revive(q, 1), 0);
	again();
	assert_string_equal(get(&leased, &item), "a");
	assert_int_equal(item.attempt, 1);
	assert_int_equal(item.tries, 1);
	end();
}

static void the_end_survives(void **state)
{
	struct pcore_item item = { .data = "b", .len = 1 };

	(void)state;
	open_it(&plain);
	put("a");
	assert_int_equal(pcore_queue_close(q, false), 0);
	again();
	assert_true(stat_now().closed);
	assert_int_equal(pcore_queue_put_until(q, &item, 1, false, 0), -ESHUTDOWN);
	assert_string_equal(take(), "a");
	assert_int_equal(pcore_queue_close(q, false), 0);
	end();
	open_it(&plain);
	put("a");
	assert_int_equal(pcore_queue_close(q, true), 0);
	again();
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, INT64_MAX), -ESHUTDOWN);
	end();
}

/* ---- compaction ---- */

static off_t log_size(void)
{
	struct pcore_store_stat s;

	assert_int_equal(pcore_store_stat(durable_of(q)->log, &s), 0);
	return (off_t)s.bytes;
}

static void compaction_keeps_what_matters(void **state)
{
	struct pcore_item item, held;
	struct pcore_dead dead;
	off_t before;

	(void)state;
	open_it(&plain);
	for (int i = 0; i < 200; i++) {
		put("one that is taken and gone for good");
		assert_string_equal(get(&leased, &item), "one that is taken and gone for good");
		assert_int_equal(pcore_queue_ack(q, item.id, 1), 0);
	}
	put("dead");
	assert_string_equal(get(&leased, &item), "dead");
	assert_int_equal(pcore_queue_bury(q, item.id, 1, "why", 3), 0);
	put("held");
	assert_string_equal(get(&leased, &held), "held");
	assert_int_equal(put_item((struct pcore_item){ .key = "k", .key_len = 1 }, "tried", false), 1);
	assert_string_equal(get(&leased, &item), "tried");
	assert_int_equal(pcore_queue_nack(q, item.id, 1, 0), 0);
	assert_int_equal(put_item((struct pcore_item){ .delay_ns = INT64_MAX }, "late", false), 1);
	before = log_size();
	for (int i = 0; i < 3; i++) { /* and what was kept is kept again */
		assert_int_equal(dq_compact(durable_of(q)), 0);
		assert_true(log_size() < before / 10);
		rebuild();
		assert_int_equal(stat_now().leased, 1);
		assert_int_equal(stat_now().puts, 204);
		assert_int_equal(stat_now().acks, 200);
		assert_int_equal(stat_now().gets, 203);
	}
	assert_int_equal(pcore_queue_touch(q, held.id, 1, 0), 0);
	assert_int_equal(pcore_queue_ack(q, held.id, 1), 0);
	again();
	assert_int_equal(stat_now().dead, 1);
	assert_int_equal(stat_now().delayed, 1);
	assert_int_equal(put_item((struct pcore_item){ .key = "k", .key_len = 1 }, "x", false), -EEXIST);
	assert_string_equal(get(&leased, &item), "tried");
	assert_int_equal(item.attempt, 2);
	buf.len = 0;
	assert_int_equal(pcore_queue_dead_into(q, 0, &dead, &buf), 1);
	assert_string_equal(dead.reason, "why");
	put("next");
	assert_string_equal(get(&leased, &item), "next");
	assert_int_equal(item.id, 205);
	end();
}

static void ids_go_on_when_nothing_is_left(void **state)
{
	struct pcore_item item;

	(void)state;
	open_it(&plain);
	put("a");
	put("b");
	assert_string_equal(take(), "a");
	assert_string_equal(take(), "b");
	assert_int_equal(dq_compact(durable_of(q)), 0);
	again();
	assert_int_equal(stat_now().puts, 2);
	assert_int_equal(stat_now().gets, 2);
	put("c");
	assert_string_equal(get(&gone, &item), "c");
	assert_int_equal(item.id, 3);
	end();
}

static void whoever_takes_compacts_when_it_is_worth_it(void **state)
{
	static char text[1000];
	struct pcore_item item;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	open_it(&plain);
	durable_of(q)->compact_min = 20000;
	for (int i = 0; i < 200; i++) {
		put(text);
		if (i % 2)
			take();
		else if (strcmp(get(&leased, &item), "nothing") != 0)
			assert_int_equal(pcore_queue_ack(q, item.id, item.attempt), 0);
		assert_true(log_size() < 45000);
	}
	assert_int_equal(stat_now().puts, 200);
	end();
}

/* ---- deaths ---- */

static void die_with_the_lock(void)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct durable *d;

		if (dq_open(&d, dfd, "q") < 0 || dq_lock(d) < 0)
			_exit(1);
		d->h->n_items = 1234; /* in the middle of something */
		d->h->first = 77;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_death_with_the_lock_leaves_the_leases_of_others(void **state)
{
	struct pcore_take how = { .lease = true, .lease_ns = 3600 * NS_PER_S };
	struct pcore_item a, b, c;

	(void)state;
	open_it(&plain);
	put("a");
	put("b");
	put("c");
	assert_string_equal(get(&leased, &a), "a");
	assert_string_equal(get(&how, &b), "b");
	assert_string_equal(get(&leased, &c), "c");
	assert_int_equal(pcore_queue_nack(q, c.id, 1, 0), 0);
	assert_int_equal(pcore_queue_touch(q, b.id, 1, INT64_MAX), 0);
	die_with_the_lock();
	assert_int_equal(stat_now().leased, 2);
	assert_int_equal(stat_now().ready, 1);
	assert_int_equal(stat_now().recoveries, 1);
	assert_int_equal(stat_now().puts, 3);
	assert_int_equal(pcore_queue_ack(q, a.id, 1), 0);
	assert_int_equal(pcore_queue_touch(q, b.id, 1, 0), 0);
	assert_int_equal(pcore_queue_ack(q, b.id, 1), 0);
	assert_string_equal(take(), "c");
	assert_int_equal(pcore_queue_join_until(q, 0), 0);
	end();
}

static void the_lease_of_a_dead_holder_ends(void **state)
{
	struct pcore_item item;
	int status;
	pid_t pid;

	(void)state;
	open_it(&plain);
	put("a");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct pcore_take how = { .lease = true, .lease_ns = INT64_MAX, .holder = pcore_ring_holder() };
		struct pcore_queue *mine = NULL;

		_exit(how.holder != 0 && pcore_queue_open_at(&mine, dfd, "q", NULL) == 0 &&
				pcore_queue_get_until(mine, &item, 1, &how, &buf, 0) == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	rebuild(); /* the log says who held it, too */
	buf.len = 0;
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &leased, &buf, pcore_now_ns() + 10 * NS_PER_S), 1);
	assert_int_equal(item.attempt, 2);
	end();
}

/* ---- the same as the memory queue, whatever happens ---- */

static uint64_t random_state = 88172645463325252U;

static uint32_t rnd(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)((random_state >> 32) % below);
}

static void same_put(struct pcore_queue *two[2])
{
	char text[4][24], key[4][8];
	struct pcore_item items[2][4] = { { { .len = 0 } } };
	size_t n = 1 + rnd(4), done[2];
	bool replace = rnd(2);
	int r[2];

	for (size_t i = 0; i < n; i++) {
		struct pcore_item *item = &items[0][i];

		snprintf(text[i], sizeof(text[i]), "%u", rnd(1000000));
		*item = (struct pcore_item){ .data = text[i], .len = strlen(text[i]), .priority = rnd(3),
			.delay_ns = rnd(10) == 0 ? INT64_MAX : 0 };
		if (rnd(3) == 0) {
			item->key = key[i];
			item->key_len = (size_t)snprintf(key[i], sizeof(key[i]), "%u", rnd(40));
		}
		items[1][i] = *item;
	}
	for (size_t k = 0; k < 2; k++)
		r[k] = pcore_queue_put_all(two[k], items[k], n, replace, 0, &done[k]);
	assert_int_equal(r[0], r[1]);
	assert_int_equal(done[0], done[1]);
}

struct same_lease {
	uint64_t id;
	uint32_t attempt;
};

static void same_get(struct pcore_queue *two[2], struct same_lease *held, size_t *n_held)
{
	const struct pcore_take *how = *n_held < 50 && rnd(2) ? &leased : &gone;
	struct pcore_buf b[2] = { PCORE_BUF_INIT(0), PCORE_BUF_INIT(0) };
	struct pcore_item items[2][4];
	size_t n = 1 + rnd(4);
	int r[2];

	for (size_t k = 0; k < 2; k++)
		r[k] = pcore_queue_get_until(two[k], items[k], n, how, &b[k], 0);
	assert_int_equal(r[0], r[1]);
	for (int i = 0; i < r[0]; i++) {
		assert_string_equal(items[0][i].data, items[1][i].data);
		assert_int_equal(items[0][i].attempt, items[1][i].attempt);
		if (how == &leased)
			held[(*n_held)++] = (struct same_lease){ items[0][i].id, items[0][i].attempt };
		assert_int_equal(items[0][i].id, items[1][i].id);
	}
	for (size_t k = 0; k < 2; k++)
		pcore_buf_done(&b[k]);
}

static void same_end_of_lease(struct pcore_queue *two[2], struct same_lease *held, size_t *n_held)
{
	size_t i = *n_held ? rnd((uint32_t)*n_held) : 0;
	struct same_lease l = *n_held ? held[i] : (struct same_lease){ 1, 1 };
	uint32_t what = rnd(4);
	int r[2];

	for (size_t k = 0; k < 2; k++) {
		if (what == 0)
			r[k] = pcore_queue_ack(two[k], l.id, l.attempt);
		else if (what == 1)
			r[k] = pcore_queue_nack(two[k], l.id, l.attempt, 0);
		else if (what == 2)
			r[k] = pcore_queue_nack(two[k], l.id, l.attempt, INT64_MAX);
		else
			r[k] = pcore_queue_touch(two[k], l.id, l.attempt, 0);
	}
	assert_int_equal(r[0], r[1]);
	if (*n_held && (what != 3 || r[0] < 0))
		held[i] = held[--*n_held];
}

static void both_kinds_do_the_same(void **state)
{
	struct pcore_queue *two[2] = { NULL };
	struct pcore_queue_state s[2];

	(void)state;
	for (enum pcore_order order = PCORE_FIFO; order <= PCORE_PRIORITY; order++) {
		struct pcore_queue_config spec = { .order = order, .max_items = 3000, .max_bytes = 60000, .max_item = 1000 };
		struct same_lease held[64];
		size_t n_held = 0;

		assert_int_equal(pcore_queue_open_at(&two[0], dfd, "m", &spec), 0);
		spec.durable = true;
		spec.sync = PCORE_QUEUE_NONE;
		assert_int_equal(pcore_queue_open_at(&two[1], dfd, "q", &spec), 0);
		q = two[1];
		for (uint32_t i = 0; i < 20000; i++) {
			uint32_t what = rnd(10);

			if (what < 4 + (i / 1000) % 3)
				same_put(two);
			else if (what < 8)
				same_get(two, held, &n_held);
			else
				same_end_of_lease(two, held, &n_held);
			if (rnd(1500) == 0)
				rebuild();
			if (rnd(1500) == 0)
				assert_int_equal(dq_compact(durable_of(q)), 0);
			if (i % 100 > 0)
				continue;
			for (size_t k = 0; k < 2; k++)
				assert_int_equal(pcore_queue_state(two[k], &s[k]), 0);
			assert_int_equal(s[0].ready, s[1].ready);
			assert_int_equal(s[0].leased, s[1].leased);
			assert_int_equal(s[0].delayed, s[1].delayed);
			assert_int_equal(s[0].bytes, s[1].bytes);
			assert_int_equal(s[0].puts, s[1].puts);
			assert_int_equal(s[0].acks, s[1].acks);
		}
		pcore_queue_free(two[0]);
		assert_int_equal(pcore_queue_remove_at(dfd, "m"), 0);
		end();
	}
}

/* ---- crashes and damage ---- */

static void a_torn_tail_is_cut_and_told(void **state)
{
	static const unsigned char torn[20] = "LPRC\x05\0\0\0torn";
	struct pcore_queue_found found;

	(void)state;
	open_it(&plain);
	put("alpha");
	put("beta");
	pcore_queue_found(q, &found);
	assert_int_equal(found.cut_bytes, 0);
	scribble(FIRST, (off_t)log_size(), torn, sizeof(torn));
	again();
	pcore_queue_found(q, &found);
	assert_int_equal(found.cut_bytes, 12); /* up to the last byte that is not 0 */
	assert_int_equal(found.cut_records, 0);
	assert_string_equal(take(), "alpha");
	assert_string_equal(take(), "beta");
	again();
	pcore_queue_found(q, &found);
	assert_int_equal(found.cut_bytes, 0);
	end();
}

enum { META_AT = 64, ALPHA_AT = META_AT + 32 + DQ_META_SIZE, BETA_AT = ALPHA_AT + 72 };

static void make_three(void)
{
	open_it(&plain);
	put("alpha");
	put("beta");
	put("gamma");
	close_it();
}

static void damage_is_refused_and_repaired_into_a_copy(void **state)
{
	struct pcore_queue_repaired rep;
	struct pcore_queue_state s;

	(void)state;
	make_three();
	scribble(FIRST, BETA_AT + 40, "XX", 2);
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", NULL), -EBADMSG);
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", &plain), -EBADMSG);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), -EBADMSG);
	assert_int_equal(pcore_queue_repair(dfd, "q", dfd, "r", &rep), 0);
	assert_int_equal(rep.items, 2);
	assert_int_equal(rep.records, 3);
	assert_int_equal(rep.missing, 1);
	assert_int_equal(rep.bad_places, 1);
	assert_int_equal(rep.bad_bytes, 72);
	assert_int_equal(pcore_queue_repair(dfd, "q", dfd, "r", &rep), -EEXIST);
	remove_all("q");
	assert_int_equal(renameat(dfd, "r", dfd, "q"), 0);
	open_it(NULL);
	assert_string_equal(take(), "alpha");
	assert_string_equal(take(), "gamma");
	end();

	/* what says what the queue is has gone */
	open_it(&(struct pcore_queue_config){ .durable = true, .order = PCORE_LIFO });
	put("alpha");
	put("beta");
	close_it();
	scribble(FIRST, META_AT + 40, "XX", 2);
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", NULL), -EBADMSG);
	assert_int_equal(pcore_queue_repair(dfd, "q", dfd, "r", &rep), 0);
	assert_int_equal(rep.items, 2);
	remove_all("q");
	assert_int_equal(renameat(dfd, "r", dfd, "q"), 0);
	open_it(NULL);
	s = stat_now();
	assert_int_equal(s.spec.order, PCORE_FIFO);
	assert_string_equal(take(), "alpha");
	end();
}

static void records_that_make_no_sense_are_damage(void **state)
{
	static const struct {
		enum dq_type type;
		size_t len;
	} bad[] = { { DQ_PUT, 31 }, { DQ_PUT, 32 }, { DQ_GONE, 7 }, { DQ_GONE, 0 }, { DQ_LEASE, 40 }, { DQ_NACK, 23 }, { DQ_BURY, 23 },
		{ DQ_BURY, 24 + 256 }, { DQ_REVIVE, 16 }, { DQ_STATE, 39 }, { DQ_STATE, 40 } };
	static const char zeros[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct pcore_record rec = { .type = (uint8_t)bad[i].type, .data = zeros, .len = bad[i].len };

		open_it(&plain);
		assert_int_equal(pcore_store_put(durable_of(q)->log, &rec, 1), 0);
		close_it();
		assert_int_equal(pcore_queue_open_at(&q, dfd, "q", NULL), -EBADMSG);
		remove_all("q");
	}
}

static void records_of_a_newer_minor_version_are_passed_over(void **state)
{
	struct pcore_record rec = { .type = 200, .data = "?", .len = 1 };

	(void)state;
	open_it(&plain);
	put("a");
	assert_int_equal(pcore_store_put(durable_of(q)->log, &rec, 1), 0);
	put("b");
	again();
	assert_int_equal(dq_compact(durable_of(q)), 0);
	again();
	assert_string_equal(take(), "a");
	assert_string_equal(take(), "b");
	end();
}

static void what_is_no_queue_is_refused_and_stays(void **state)
{
	struct pcore_store *s = NULL;

	(void)state;
	assert_int_equal(mkdirat(dfd, "q", 0700), 0);
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", NULL), -EBADMSG);
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", &plain), -EBADMSG);
	assert_int_equal(pcore_queue_create(dfd, "q", &plain), -EEXIST);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), -EBADMSG);
	assert_int_equal(unlinkat(dfd, "q", AT_REMOVEDIR), 0);
	assert_int_equal(pcore_store_open(&s, dfd, "q", &(struct pcore_store_spec){ .create = true }, NULL), 0);
	assert_int_equal(pcore_store_close(s), 0);
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", NULL), -EBADMSG); /* a log of something else */
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), -EBADMSG);
	remove_all("q");
	open_it(&plain);
	put("a");
	close_it();
	close(openat(dfd, "q/precious", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), -ENOTEMPTY);
	open_it(NULL);
	assert_string_equal(take(), "a");
	close_it();
	assert_int_equal(unlinkat(dfd, "q/precious", 0), 0);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", NULL), -ENOENT);
	pcore_buf_done(&buf);
}

static void a_removed_queue_is_over_for_its_users(void **state)
{
	struct pcore_item item = { .data = "b", .len = 1 };

	(void)state;
	open_it(&plain);
	put("a");
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, INT64_MAX), -ESHUTDOWN);
	item = (struct pcore_item){ .data = "b", .len = 1 };
	assert_int_equal(pcore_queue_put_until(q, &item, 1, false, INT64_MAX), -ESHUTDOWN);
	pcore_buf_done(&buf);
	close_it();
}

static void what_a_killed_maker_left_is_in_nobodys_way(void **state)
{
	char name[32];

	(void)state;
	for (const char *what = "new"; what; what = what[0] == 'n' ? "gone" : NULL) {
		open_it(&(struct pcore_queue_config){ .durable = true, .order = PCORE_LIFO });
		put("of another one");
		close_it();
		snprintf(name, sizeof(name), "q.%s.%d", what, (int)gettid());
		assert_int_equal(renameat(dfd, "q", dfd, name), 0);
		open_it(&plain);
		assert_int_equal(stat_now().spec.order, PCORE_FIFO);
		assert_int_equal(stat_now().ready, 0);
		end();
		assert_int_equal(faccessat(dfd, name, F_OK, 0), -1);
	}
}

static void a_newer_major_version_is_refused(void **state)
{
	struct pcore_record rec = { .type = DQ_META, .len = DQ_META_SIZE };
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_store *s = NULL;

	(void)state;
	assert_int_equal(dq_encode_meta(&b, &(struct dq_meta){ .spec = { .max_item = 1 } }), 0);
	b.data[8]++;
	rec.data = b.data;
	assert_int_equal(pcore_store_open(&s, dfd, "q", &(struct pcore_store_spec){ .create = true }, NULL), 0);
	assert_int_equal(pcore_store_put(s, &rec, 1), 0);
	assert_int_equal(pcore_store_close(s), 0);
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", NULL), -EPROTONOSUPPORT);
	remove_all("q");
	pcore_buf_done(&b);
}

/* ---- failures ---- */

enum { ITEMS = 8 };

/* What was acknowledged, and what may have been done. */
struct story {
	uint64_t id[ITEMS]; /* 0: its put failed, so nobody knows */
	bool gone[ITEMS], going[ITEMS];
	int r; /* the first failure */
};

static int note(struct story *t, int r)
{
	if (t->r == 0 && r < 0 && r != -EAGAIN)
		t->r = r;
	return r;
}

static void end_one(struct story *t, int how)
{
	struct pcore_item item = { 0 };
	size_t i;

	buf.len = 0;
	if (note(t, pcore_queue_get_until(q, &item, 1, how == 0 ? &gone : &leased, &buf, 0)) != 1) {
		for (i = 0; how == 0 && i < ITEMS; i++)
			t->going[i] = true; /* one of them may be */
		return;
	}
	i = (size_t)(item.data ? ((const char *)item.data)[0] - '0' : 0);
	assert_true(i < ITEMS);
	t->going[i] = how < 2;
	t->gone[i] = how == 0;
	if (how == 1)
		t->gone[i] = note(t, pcore_queue_ack(q, item.id, item.attempt)) == 0;
	else if (how == 2)
		note(t, pcore_queue_nack(q, item.id, item.attempt, INT64_MAX));
	else if (how == 3)
		note(t, pcore_queue_bury(q, item.id, item.attempt, "why", 3));
	else if (how == 4)
		note(t, pcore_queue_touch(q, item.id, item.attempt, 0));
}

/* Everything a queue does once. */
static struct story work(void)
{
	struct story t = { .r = 0 };
	char text[2] = "0";

	q = NULL;
	if (note(&t, pcore_queue_open_at(&q, dfd, "q", &plain)) < 0)
		return t;
	for (size_t i = 0; i < ITEMS; i++, text[0]++) {
		struct pcore_item item = { .data = text, .len = 1, .key = text, .key_len = i % 2 };

		if (note(&t, pcore_queue_put_until(q, &item, 1, true, 0)) == 1)
			t.id[i] = item.id;
	}
	for (int how = 0; how < 5; how++)
		end_one(&t, how);
	note(&t, dq_compact(durable_of(q)));
	rebuild();
	end_one(&t, 1);
	note(&t, pcore_queue_revive(q, 4));
	close_it();
	return t;
}

static void check_after(const struct story *t, const char *spec)
{
	DIR *d = fdopendir(openat(dfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (e->d_name[0] != '.' && strcmp(e->d_name, "q") != 0)
			fail_msg("%s left %s", spec, e->d_name);
	closedir(d);
	if (t->id[0] == 0 && faccessat(dfd, "q", F_OK, 0) < 0)
		return;
	open_it(NULL);
	for (size_t i = 0; i < ITEMS; i++) {
		uint32_t slot = 0;
		struct dq_put put = { 0 };

		assert_int_equal(dq_lock(durable_of(q)), 0);
		slot = t->id[i] ? dq_find(durable_of(q), t->id[i]) : 0;
		if (slot)
			assert_int_equal(dq_read_put(durable_of(q), slot, &put), 0);
		dq_unlock(durable_of(q));
		if (t->id[i] && !t->going[i] && !slot)
			fail_msg("%s lost item %zu", spec, i);
		if (t->gone[i] && slot)
			fail_msg("%s brought item %zu back", spec, i);
		if (slot && (put.len != 1 || put.data[0] != (char)('0' + i)))
			fail_msg("%s tore item %zu", spec, i);
	}
	end();
}

static void whatever_fails_nothing_acknowledged_is_lost(void **state)
{
	static const char *const kinds[] = { "store-open", "store-read", "store-write", "store-sync", "store-alloc", "store-rename",
		"store-cut", "store-map", "store-remove", "store-lock", "index-alloc", "index-map", "index-open" };
	static const char *const how[] = { "", "+" };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (size_t h = 0; h < ARRAY_SIZE(how); h++)
			for (unsigned n = 1, unharmed = 0; unharmed < 12; n++) { /* some failures do no harm */
				char spec[64];
				struct story t;

				snprintf(spec, sizeof(spec), "%s:%u%s:%s", kinds[k], n, how[h], n % 2 ? "EIO" : "ENOSPC");
				pcore_fault_set(spec);
				t = work();
				pcore_fault_set("");
				check_after(&t, spec);
				unharmed = t.r == 0 ? unharmed + 1 : 0;
			}
}

static void join_until_it_fails(void)
{
	struct pcore_queue *mine = NULL;

	if (pcore_queue_open_at(&mine, dfd, "q", NULL) < 0)
		_exit(1);
	_exit(pcore_queue_join_until(mine, pcore_now_ns() + 20 * NS_PER_S) == -ENOTRECOVERABLE ? 0 : 2);
}

static void a_failed_sync_wakes_and_fails_everybody(void **state)
{
	struct pcore_item item = { .data = "b", .len = 1 };
	int64_t start = pcore_now_ns();
	int status;
	pid_t pid;

	(void)state;
	open_it(&plain);
	put("a");
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		join_until_it_fails();
	/* asleep, or about to be */
	while (!*(volatile uint32_t *)&durable_of(q)->h->gate[DQ_JOIN].waiting && pcore_now_ns() - start < 10 * NS_PER_S)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	pcore_fault_set("store-sync:1:EIO");
	assert_int_equal(pcore_queue_put_until(q, &item, 1, false, 0), -EIO);
	pcore_fault_set("");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(pcore_queue_put_until(q, &item, 1, false, INT64_MAX), -ENOTRECOVERABLE);
	assert_int_equal(pcore_queue_get_until(q, &item, 1, &gone, &buf, INT64_MAX), -ENOTRECOVERABLE);
	assert_int_equal(pcore_queue_ack(q, 1, 1), -ENOTRECOVERABLE);
	assert_int_equal(pcore_queue_poll_until(q, INT64_MAX), -ENOTRECOVERABLE);
	again();
	assert_string_equal(take(), "a");
	end();
}

static void a_full_disk_refuses_puts_and_takes_acks(void **state)
{
	static char text[100];
	struct pcore_item item;
	struct rlimit was;
	int n = 0, r;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	open_it(&plain);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1000000, was.rlim_max }), 0);
	for (;; n++) {
		item = (struct pcore_item){ .data = text, .len = sizeof(text) };
		r = pcore_queue_put_until(q, &item, 1, false, 0);
		if (r < 0)
			break;
	}
	assert_int_equal(r, -EFBIG);
	assert_true(n > 3000);
	assert_int_equal(stat_now().ready, n);
	for (int i = 0; i < n; i++) {
		buf.len = 0;
		assert_int_equal(pcore_queue_get_until(q, &item, 1, i % 2 ? &gone : &leased, &buf, 0), 1);
		if (i % 2)
			continue;
		if (i % 4)
			assert_int_equal(pcore_queue_nack(q, item.id, 1, 0), 0);
		if (i % 4)
			assert_int_equal(pcore_queue_get_until(q, &item, 1, &leased, &buf, 0), 1);
		assert_int_equal(pcore_queue_ack(q, item.id, item.attempt), 0);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	again();
	assert_string_equal(take(), "nothing");
	end();
}

static void wait_for_long(void)
{
	struct pcore_queue *mine = NULL;
	struct pcore_item item;

	if (pcore_queue_open_at(&mine, dfd, "q", NULL) < 0)
		_exit(1);
	(void)pcore_queue_get_until(mine, &item, 1, &gone, &buf, pcore_now_ns() + 20 * NS_PER_S);
	_exit(2);
}

static void who_waits_syncs_what_others_have_put(void **state)
{
	struct pcore_store_stat s;
	int64_t start;
	pid_t pid;

	(void)state;
	open_it(&(struct pcore_queue_config){ .durable = true, .sync = PCORE_QUEUE_INTERVAL, .interval_ns = 200 * NS_PER_MS });
	assert_int_equal(put_item((struct pcore_item){ .delay_ns = INT64_MAX }, "never", false), 1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		wait_for_long();
	start = pcore_now_ns();
	do
		assert_int_equal(pcore_store_stat(durable_of(q)->log, &s), 0);
	while (s.durable_seq < s.last_seq && pcore_now_ns() - start < 10 * NS_PER_S);
	assert_int_equal(s.durable_seq, s.last_seq);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	end();
}

/* ---- memory ---- */

static void an_item_takes_at_most_forty_bytes_of_memory(void **state)
{
	enum { N = 300000, AT_ONCE = 3000 };
	static struct pcore_item items[AT_ONCE];
	const struct dq_header *h;
	uint64_t touched = 0;

	(void)state;
	for (enum pcore_order order = PCORE_FIFO; order <= PCORE_PRIORITY; order += 2) {
		open_it(&(struct pcore_queue_config){ .durable = true, .order = order, .sync = PCORE_QUEUE_NONE });
		for (int i = 0; i < N; i += AT_ONCE) {
			size_t done;

			memset(items, 0, sizeof(items));
			assert_int_equal(pcore_queue_put_all(q, items, AT_ONCE, false, 0, &done), 0);
		}
		for (int round = 0; round < 2; round++) {
			h = durable_of(q)->h;
			assert_int_equal(h->n_items, N);
			touched = h->file_size - sizeof(*h);
			assert_true(touched <= 40 * (uint64_t)N + DQ_AREAS * DQ_CHUNK);
			again(); /* and the same when it is made from the log */
		}
		end();
	}
}

/* ---- the format ---- */

static void version_1_0_is_read(void **state)
{
	DIR *d = opendir("tests/fixtures/queue-1.0");
	unsigned char bytes[4096];
	struct pcore_queue_state s;
	struct pcore_item item;
	struct pcore_dead dead;
	char name[64];
	int fd;

	(void)state;
	assert_non_null(d);
	assert_int_equal(mkdirat(dfd, "q", 0700), 0);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (e->d_name[0] == '.')
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		snprintf(name, sizeof(name), "q/%.48s", e->d_name);
		close(openat(dfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		scribble(name, 0, bytes, (size_t)read(fd, bytes, sizeof(bytes)));
		close(fd);
	}
	closedir(d);
	open_it(NULL);
	s = stat_now();
	assert_int_equal(s.spec.order, PCORE_PRIORITY);
	assert_int_equal(s.spec.max_items, 100);
	assert_string_equal(s.durability, "always");
	assert_int_equal(s.puts, 7);
	assert_int_equal(s.gets, 6);
	assert_int_equal(s.acks, 1);
	assert_int_equal(s.delayed, 2); /* zeta and, given back, beta's successor */
	assert_int_equal(s.dead, 1);
	assert_true(s.closed);
	buf.len = 0;
	assert_int_equal(pcore_queue_dead_into(q, 0, &dead, &buf), 1);
	assert_string_equal(dead.item.data, "alpha");
	assert_string_equal(dead.reason, "exit 1");
	assert_string_equal(get(&leased, &item), "epsilon"); /* revived, and leased once since */
	assert_int_equal(item.id, 5);
	assert_int_equal(item.priority, 5);
	assert_int_equal(item.attempt, 2);
	assert_int_equal(pcore_queue_ack(q, 5, 2), 0);
	assert_string_equal(take(), "nothing");
	end();
}

static void records_have_the_bytes_of_the_manual(void **state)
{
	/* pcore-wire(7), "Durable queues" */
	static const unsigned char put_bytes[] = { 0x03, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x07, 0,
		0, 0, 0x01, 0, 0, 0, 'k', 'a', 'l', 'p', 'h', 'a' };
	static const unsigned char lease_bytes[] = { 0x01, 0, 0, 0, 0, 0, 0, 0, 0x00, 0xca, 0x9a, 0x3b, 0, 0, 0, 0, 0x00, 0xca, 0x9a,
		0x3b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0 };
	struct dq_put p = { .id = 3, .replaces = 2, .priority = 7, .key = "k", .key_len = 1, .data = "alpha", .len = 5 };
	struct dq_lease l = { .boot = 1, .due_ns = NS_PER_S, .lease_ns = NS_PER_S };
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(dq_encode_put(&b, &p), 0);
	assert_int_equal(b.len, sizeof(put_bytes));
	assert_memory_equal(b.data, put_bytes, sizeof(put_bytes));
	pcore_buf_clear(&b);
	assert_int_equal(dq_encode_lease(&b, &l), 0);
	assert_int_equal(dq_encode_leased(&b, &(struct dq_leased){ .id = 3, .attempt = 2 }), 0);
	assert_int_equal(b.len, sizeof(lease_bytes));
	assert_memory_equal(b.data, lease_bytes, sizeof(lease_bytes));
	pcore_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(items_survive_in_their_order),
		TEST(limits_and_promises_survive),
		TEST(specifications_that_make_no_sense_are_refused),
		TEST(a_lease_outlives_those_who_have_the_queue_open),
		TEST(a_lease_is_ready_again_with_its_attempts_after_a_reboot),
		TEST(delays_survive),
		TEST(keys_and_replacements_survive),
		TEST(the_dead_survive),
		TEST(what_a_revived_item_is_forgiven_survives),
		TEST(the_attempts_of_a_revived_item_begin_again_before_they_run_out),
		TEST(the_end_survives),
		TEST(compaction_keeps_what_matters),
		TEST(ids_go_on_when_nothing_is_left),
		TEST(whoever_takes_compacts_when_it_is_worth_it),
		TEST(a_death_with_the_lock_leaves_the_leases_of_others),
		TEST(the_lease_of_a_dead_holder_ends),
		TEST(both_kinds_do_the_same),
		TEST(a_torn_tail_is_cut_and_told),
		TEST(damage_is_refused_and_repaired_into_a_copy),
		TEST(records_that_make_no_sense_are_damage),
		TEST(records_of_a_newer_minor_version_are_passed_over),
		TEST(what_is_no_queue_is_refused_and_stays),
		TEST(a_removed_queue_is_over_for_its_users),
		TEST(what_a_killed_maker_left_is_in_nobodys_way),
		TEST(a_newer_major_version_is_refused),
		TEST(whatever_fails_nothing_acknowledged_is_lost),
		TEST(a_failed_sync_wakes_and_fails_everybody),
		TEST(a_full_disk_refuses_puts_and_takes_acks),
		TEST(who_waits_syncs_what_others_have_put),
		TEST(version_1_0_is_read),
		TEST(records_have_the_bytes_of_the_manual),
		TEST(an_item_takes_at_most_forty_bytes_of_memory),
	};
	char *dir = mkdtemp(shm) ? shm : mkdtemp(tmp);
	int r;

	if (!dir)
		return 1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = RUN_TESTS(tests);
	close(dfd);
	return rmdir(dir) < 0 ? 1 : r;
}
