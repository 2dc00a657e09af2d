/* SPDX-License-Identifier: MIT */
/*
 * queue.c - tests of libcore/queue: what it adds to the ring, and a waiting get as part of a loop.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcore/queue/queue.h"
#include "tests/unit/support.h"

static char dir[] = "/tmp/pcore-queue.XXXXXX";
static int dfd;

static const struct pcore_queue_config any = { 0 };
static const struct pcore_take gone = { 0 };

static struct pcore_queue *open_queue(const char *name, const struct pcore_queue_config *spec)
{
	struct pcore_queue *q = NULL;

	assert_int_equal(pcore_queue_open_at(&q, dfd, name, spec), 0);
	return q;
}

static void put(struct pcore_queue *q, const char *s)
{
	struct pcore_item item = { .data = s, .len = strlen(s) };

	assert_int_equal(pcore_queue_put_until(q, &item, 1, false, 0), 1);
}

static int get(struct pcore_queue *q, const struct pcore_take *how, struct pcore_item *item, int64_t deadline)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	int n = pcore_queue_get_until(q, item, 1, how, &buf, deadline);

	pcore_buf_done(&buf);
	return n;
}

static struct pcore_loop *make_loop(void)
{
	const char *name = getenv("PCORE_LOOP");
	struct pcore_loop *lp = NULL;

	assert_int_equal(pcore_loop_new(&lp, name && strcmp(name, "epoll") == 0 ? PCORE_LOOP_EPOLL : PCORE_LOOP_AUTO), 0);
	return lp;
}

static void a_missing_queue_is_made_only_when_asked_for(void **state)
{
	struct pcore_queue *q = NULL, *again;

	(void)state;
	assert_int_equal(pcore_queue_open_at(&q, dfd, "q", NULL), -ENOENT);
	q = open_queue("q", &any);
	put(q, "a");
	again = open_queue("q", &any);
	assert_int_equal(pcore_queue_poll_until(again, 0), 0);
	assert_int_equal(pcore_queue_create(dfd, "q", &any), -EEXIST);
	pcore_queue_free(again);
	pcore_queue_free(q);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), -ENOENT);
}

static void a_removed_queue_is_over_for_its_users(void **state)
{
	struct pcore_queue *q = open_queue("q", &any);
	struct pcore_item item = { .data = "b", .len = 1 };

	(void)state;
	put(q, "a");
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
	assert_int_equal(get(q, &gone, &item, INT64_MAX), -ESHUTDOWN);
	item = (struct pcore_item){ .data = "b", .len = 1 };
	assert_int_equal(pcore_queue_put_until(q, &item, 1, false, INT64_MAX), -ESHUTDOWN);
	pcore_queue_free(q);
}

static void put_all_tells_how_many_are_in(void **state)
{
	struct pcore_queue *q = open_queue("q", &(struct pcore_queue_config){ .max_items = 3 });
	struct pcore_item items[5] = { { .len = 0 } };
	size_t done;

	(void)state;
	assert_int_equal(pcore_queue_put_all(q, items, 2, false, 0, &done), 0);
	assert_int_equal(done, 2);
	assert_int_equal(pcore_queue_put_all(q, items, 5, false, 0, &done), -EAGAIN);
	assert_int_equal(done, 1);
	assert_int_equal(pcore_queue_put_all(q, items, 5, false, NS_PER_MS, &done), -ETIMEDOUT);
	assert_int_equal(done, 0);
	pcore_queue_free(q);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
}

/* A child leases the only item and dies. */
static void lease_and_die(void)
{
	struct pcore_take how = { .lease = true, .lease_ns = INT64_MAX };
	struct pcore_item item;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct pcore_queue *q = open_queue("q", NULL);

		how.holder = pcore_ring_holder();
		_exit(how.holder != 0 && get(q, &how, &item, 0) == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_lease_ends_with_its_holder(void **state)
{
	struct pcore_queue *q = open_queue("q", &any);
	struct pcore_take how = { .lease = true, .lease_ns = INT64_MAX, .holder = pcore_ring_holder() };
	struct pcore_item item;

	(void)state;
	put(q, "a");
	lease_and_die();
	assert_int_equal(get(q, &how, &item, pcore_now_ns() + 10 * NS_PER_S), 1);
	assert_int_equal(item.attempt, 2);
	/* ours is kept: we live */
	assert_int_equal(get(q, &gone, &item, pcore_now_ns() + 1200 * NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(pcore_queue_ack(q, item.id, item.attempt), 0);
	assert_int_equal(pcore_queue_join_until(q, 0), 0);
	pcore_queue_free(q);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
}

struct source {
	struct pcore_queue_watch watch;
	struct pcore_queue *q;
	unsigned got, calls;
	bool over;
};

static void take_ready(struct pcore_queue_watch *w, int res)
{
	struct source *s = container_of(w, struct source, watch);
	struct pcore_item item;
	int n;

	assert_int_equal(res, 0);
	s->calls++;
	while ((n = get(s->q, &gone, &item, 0)) == 1)
		s->got++;
	s->over = n == -ESHUTDOWN;
	if (s->over)
		pcore_queue_watch_stop(w);
	else
		assert_int_equal(pcore_queue_watch_again(w), 0);
}

static void one_loop_waits_for_several_queues(void **state)
{
	struct pcore_loop *lp = make_loop();
	struct source s[3] = { { .got = 0 } };
	char name[8];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "q%zu", i);
		s[i].q = open_queue(name, &any);
		s[i].watch.ready = take_ready;
		assert_int_equal(pcore_queue_watch_start(&s[i].watch, lp, s[i].q), 0);
	}
	for (unsigned round = 1; round <= 20; round++)
		for (size_t i = 0; i < 3; i++) {
			put(s[i].q, "x");
			while (s[i].got < round)
				assert_true(pcore_loop_turn(lp, true) >= 0);
		}
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pcore_queue_close(s[i].q, false), 0);
	assert_int_equal(pcore_loop_run(lp), 0); /* until every watch has stopped */
	for (size_t i = 0; i < 3; i++) {
		assert_true(s[i].over);
		assert_int_equal(s[i].got, 20);
		pcore_queue_free(s[i].q);
		snprintf(name, sizeof(name), "q%zu", i);
		assert_int_equal(pcore_queue_remove_at(dfd, name), 0);
	}
	pcore_loop_free(lp);
}

/* A pipe, a socket, a process or a queue, and the descriptor that makes it ready. */
struct thing {
	struct pcore_op op;
	struct pcore_queue_watch watch;
	struct pcore_queue *q;
	struct pcore_exit exit;
	int fds[2];
	unsigned told;
};

static void thing_is_ready(struct pcore_op *op, int res)
{
	assert_true(res >= 0);
	container_of(op, struct thing, op)->told++;
}

static void thing_has_an_item(struct pcore_queue_watch *w, int res)
{
	assert_int_equal(res, 0);
	container_of(w, struct thing, watch)->told++;
	pcore_queue_watch_stop(w);
}

/* A process that ends when something comes through fds[1]; fds[0] stands for it. */
static void make_process(struct thing *t)
{
	int hold[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(read(hold[0], &c, 1) == 1 ? 0 : 1);
	close(hold[0]);
	t->fds[0] = (int)syscall(SYS_pidfd_open, pid, 0);
	t->fds[1] = hold[1];
	assert_true(t->fds[0] >= 0);
}

static void make_thing(struct pcore_loop *lp, struct thing *t, size_t i)
{
	char name[8];

	*t = (struct thing){ .op = { .done = thing_is_ready }, .watch = { .ready = thing_has_an_item }, .fds = { -EBADF, -EBADF } };
	snprintf(name, sizeof(name), "q%zu", i);
	switch (i % 4) {
	case 0:
		assert_int_equal(pipe2(t->fds, O_CLOEXEC), 0);
		assert_int_equal(pcore_op_poll(lp, &t->op, t->fds[0], POLLIN), 0);
		break;
	case 1:
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->fds), 0);
		assert_int_equal(pcore_op_poll(lp, &t->op, t->fds[0], POLLIN), 0);
		break;
	case 2:
		make_process(t);
		assert_int_equal(pcore_op_exit(lp, &t->op, t->fds[0], &t->exit, false), 0);
		break;
	default:
		t->q = open_queue(name, &any);
		assert_int_equal(pcore_queue_watch_start(&t->watch, lp, t->q), 0);
		break;
	}
}

static void make_ready(struct thing *t)
{
	if (t->q)
		put(t->q, "x");
	else
		assert_int_equal(write(t->fds[1], "x", 1), 1);
}

static void end_thing(struct thing *t, size_t i)
{
	char name[8];

	snprintf(name, sizeof(name), "q%zu", i);
	for (size_t k = 0; k < 2; k++)
		if (t->fds[k] >= 0)
			close(t->fds[k]);
	pcore_queue_free(t->q);
	if (t->q)
		assert_int_equal(pcore_queue_remove_at(dfd, name), 0);
}

static void one_loop_tells_which_of_many_things_are_ready(void **state)
{
	enum { THINGS = 64 };
	static struct thing things[THINGS];
	struct pcore_loop *lp = make_loop();
	unsigned told = 0;

	(void)state;
	for (size_t i = 0; i < THINGS; i++)
		make_thing(lp, &things[i], i);
	assert_int_equal(pcore_loop_turn(lp, false), 0);
	for (size_t n = 0; n < THINGS; n++) {
		size_t i = n * 37 % THINGS;

		make_ready(&things[i]);
		while (things[i].told == 0)
			assert_true(pcore_loop_turn(lp, true) >= 0);
		for (size_t k = told = 0; k < THINGS; k++)
			told += things[k].told;
		assert_int_equal(told, n + 1);
	}
	assert_int_equal(pcore_loop_run(lp), 0);
	for (size_t i = 0; i < THINGS; i++)
		end_thing(&things[i], i);
	pcore_loop_free(lp);
}

static void never(struct pcore_queue_watch *w, int res)
{
	(void)w;
	(void)res;
	fail();
}

static void a_watch_that_waits_can_be_stopped(void **state)
{
	struct pcore_queue_watch w = { .ready = never };
	struct pcore_queue *q = open_queue("q", &any);
	struct pcore_loop *lp = make_loop();

	(void)state;
	assert_int_equal(pcore_queue_watch_start(&w, lp, q), 0);
	pcore_queue_watch_stop(&w);
	assert_int_equal(pcore_loop_run(lp), 0);
	pcore_loop_free(lp);
	pcore_queue_free(q);
	assert_int_equal(pcore_queue_remove_at(dfd, "q"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_queue_is_made_only_when_asked_for),
		TEST(a_removed_queue_is_over_for_its_users),
		TEST(put_all_tells_how_many_are_in),
		TEST(a_lease_ends_with_its_holder),
		TEST(one_loop_waits_for_several_queues),
		TEST(one_loop_tells_which_of_many_things_are_ready),
		TEST(a_watch_that_waits_can_be_stopped),
	};
	int r;

	if (!mkdtemp(dir))
		return 1;
	dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = RUN_TESTS(tests);
	close(dfd);
	return rmdir(dir) < 0 ? 1 : r;
}
