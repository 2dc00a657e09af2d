/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - tests of the scheduler's rules, one by one. What holds whatever happens is in scheduler_sim.c.
 */
#include "tests/unit/support.h"

#include "libcore/cluster/scheduler.h"

enum { MANY = 256 };

/* A scheduler, and what it said last. */
struct bed {
	struct pcore_sched *s;
	uint64_t client;
	int64_t now;
	struct act {
		uint64_t node;
		struct pcore_sched_action a;
		uint16_t ids[8];
	} acts[MANY];
	struct pcore_sched_news news[MANY];
	size_t n_acts, n_news;
};

static void listen(struct bed *b)
{
	struct pcore_sched_batch batch;

	pcore_sched_check(b->s);
	b->n_acts = b->n_news = 0;
	while (pcore_sched_next_batch(b->s, &batch)) {
		for (size_t i = 0; i < batch.n && b->n_acts < MANY; i++) {
			struct act *a = &b->acts[b->n_acts++];

			*a = (struct act){ .node = batch.node, .a = batch.actions[i] };
			assert_true(a->a.n_ids <= 8);
			if (a->a.n_ids)
				memcpy(a->ids, batch.ids + a->a.ids, a->a.n_ids * sizeof(*a->ids));
		}
	}
	while (b->n_news < MANY && pcore_sched_next_news(b->s, &b->news[b->n_news]))
		b->n_news++;
}

static void open_bed(struct bed *b, const struct pcore_sched_spec *spec)
{
	*b = (struct bed){ .now = 1 };
	assert_int_equal(pcore_sched_new(&b->s, spec), 0);
	assert_int_equal(pcore_sched_client_join(b->s, b->now, 0, 1, &b->client), 0);
}

static uint64_t join(struct bed *b, const char *name, uint32_t cpus)
{
	struct pcore_sched_node n = { .name = name, .instance = 1, .cpus = cpus, .memory = 1 << 20, .ahead_max = 64 };
	uint64_t node;

	assert_int_equal(pcore_sched_node_join(b->s, b->now, &n, NULL, 0, &node), 0);
	return node;
}

static uint64_t submit_by(struct bed *b, uint64_t client, struct pcore_sched_jobs jobs)
{
	uint64_t first;

	assert_int_equal(pcore_sched_submit(b->s, b->now, client, &jobs, &first), 0);
	return first;
}

static uint64_t submit(struct bed *b, uint32_t n, struct pcore_sched_jobs jobs)
{
	jobs.n = n;
	return submit_by(b, b->client, jobs);
}

/* The i-th start of what was said last. */
static const struct act *start_of(const struct bed *b, size_t i)
{
	for (size_t k = 0; k < b->n_acts; k++)
		if (b->acts[k].a.verb == PCORE_SCHED_START && i-- == 0)
			return &b->acts[k];
	fail_msg("it has not started so many");
	return NULL;
}

static size_t count(const struct bed *b, enum pcore_sched_verb verb)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n_acts; i++)
		n += b->acts[i].a.verb == verb;
	return n;
}

static int done_after(struct bed *b, uint64_t node, uint64_t job, uint32_t attempt, bool success, int64_t wall_ns)
{
	struct pcore_sched_result r = { .success = success, .status = !success, .wall_ns = wall_ns, .tag = job };
	int e = pcore_sched_done(b->s, b->now, node, job, attempt, &r);

	listen(b);
	return e;
}

static int done(struct bed *b, uint64_t node, uint64_t job, uint32_t attempt, bool success)
{
	return done_after(b, node, job, attempt, success, 0);
}

static struct pcore_sched_news *over(struct bed *b)
{
	for (size_t i = 0; i < b->n_news; i++)
		if (b->news[i].kind == PCORE_SCHED_OVER)
			return &b->news[i];
	fail_msg("nothing is over");
	return NULL;
}

/* ---- order ---- */

static void a_job_starts_with_the_event_that_makes_it_possible(void **state)
{
	struct bed b;
	uint64_t node, job;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	job = submit(&b, 1, (struct pcore_sched_jobs){ .cookie = 7, .time_limit_ns = 5, .priority = -3 });
	listen(&b);
	assert_int_equal(b.n_acts, 0);
	node = join(&b, "a", 1);
	listen(&b);
	assert_int_equal(b.n_acts, 1);
	assert_true(start_of(&b, 0)->node == node);
	assert_true(start_of(&b, 0)->a.job == job);
	assert_true(start_of(&b, 0)->a.cookie == 7);
	assert_true(start_of(&b, 0)->a.time_limit_ns == 5);
	assert_int_equal(start_of(&b, 0)->a.priority, -3);
	assert_int_equal(start_of(&b, 0)->a.attempt, 1);
	assert_int_equal(done(&b, node, job, 1, true), 1);
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_SUCCEEDED);
	assert_true(over(&b)->tag == job);
	assert_int_equal(count(&b, PCORE_SCHED_ACK), 1);
	pcore_sched_free(b.s);
}

static void lower_priorities_go_first_and_equal_ones_in_their_order(void **state)
{
	struct bed b;
	uint64_t node, jobs[4];

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	jobs[2] = submit(&b, 1, (struct pcore_sched_jobs){ .priority = 1 });
	jobs[3] = submit(&b, 1, (struct pcore_sched_jobs){ .priority = 1 });
	jobs[0] = submit(&b, 2, (struct pcore_sched_jobs){ .priority = -1 });
	jobs[1] = jobs[0] + 1;
	node = join(&b, "a", 1);
	listen(&b);
	for (size_t i = 0; i < 4; i++) {
		assert_true(start_of(&b, 0)->a.job == jobs[i]);
		done(&b, node, jobs[i], 1, true);
	}
	pcore_sched_free(b.s);
}

static void clients_take_turns_within_a_priority(void **state)
{
	static const unsigned expected[] = { 0, 1, 0, 1, 0, 0 };
	uint64_t clients[2] = { 0 }, first[2], node;
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pcore_sched_client_join(b.s, 1, 0, 1, &clients[i]), 0);
	first[0] = submit_by(&b, clients[0], (struct pcore_sched_jobs){ .n = 4 });
	first[1] = submit_by(&b, clients[1], (struct pcore_sched_jobs){ .n = 2 });
	node = join(&b, "a", 1);
	listen(&b);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		uint64_t job = start_of(&b, 0)->a.job;

		assert_int_equal(job >= first[1], expected[i]);
		done(&b, node, job, 1, true);
	}
	pcore_sched_free(b.s);
}

static void first_in_first_out_knows_no_clients(void **state)
{
	uint64_t other = 0, node;
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ .policy = PCORE_SCHED_FIFO });
	assert_int_equal(pcore_sched_client_join(b.s, 1, 0, 1, &other), 0);
	submit(&b, 3, (struct pcore_sched_jobs){ 0 });
	submit_by(&b, other, (struct pcore_sched_jobs){ .n = 2 });
	node = join(&b, "a", 1);
	listen(&b);
	for (uint64_t job = 1; job <= 5; job++) {
		assert_true(start_of(&b, 0)->a.job == job);
		done(&b, node, job, 1, true);
	}
	pcore_sched_free(b.s);
}

static void fair_shares_follow_the_weights(void **state)
{
	uint64_t clients[2] = { 0 };
	unsigned got[2] = { 0 };
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ .policy = PCORE_SCHED_FAIR });
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pcore_sched_client_join(b.s, 1, 0, i ? 3 : 1, &clients[i]), 0);
	/* the first has urgent ones, which counts only among its own */
	submit_by(&b, clients[0], (struct pcore_sched_jobs){ .n = 100, .priority = -9 });
	submit_by(&b, clients[1], (struct pcore_sched_jobs){ .n = 100 });
	join(&b, "a", 40);
	listen(&b);
	for (size_t i = 0; i < 40; i++)
		got[start_of(&b, i)->a.job > 100]++;
	assert_int_equal(got[0], 10);
	assert_int_equal(got[1], 30);
	pcore_sched_free(b.s);
}

/* ---- where ---- */

static void the_node_with_least_left_is_taken(void **state)
{
	struct bed b;
	uint64_t small;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	join(&b, "big", 8);
	small = join(&b, "small", 2);
	join(&b, "middle", 4);
	listen(&b);
	submit(&b, 1, (struct pcore_sched_jobs){ .request.cpus = 2 });
	listen(&b);
	assert_true(start_of(&b, 0)->node == small);
	pcore_sched_free(b.s);
}

static void what_a_request_takes_most_of_decides(void **state)
{
	struct pcore_sched_node n = { .instance = 1 };
	uint64_t lean, rich;
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	n.name = "rich", n.cpus = 2, n.memory = 1000;
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &rich), 0);
	n.name = "lean", n.cpus = 8, n.memory = 600;
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &lean), 0);
	submit(&b, 1, (struct pcore_sched_jobs){ .request = { .cpus = 1, .memory = 500 } });
	listen(&b);
	assert_true(start_of(&b, 0)->node == lean); /* memory: fewest CPUs would be the other one */
	submit(&b, 1, (struct pcore_sched_jobs){ .request = { .cpus = 2, .memory = 1 } });
	listen(&b);
	assert_true(start_of(&b, 0)->node == rich);
	pcore_sched_free(b.s);
}

static void numbered_resources_are_given_once(void **state)
{
	static const struct pcore_sched_resource gpus = { "gpu", 3, true };
	static const struct pcore_sched_need two = { "gpu", 2 }, one = { "gpu", 1 };
	struct pcore_sched_node n = { .name = "a", .instance = 1, .cpus = 8, .resources = &gpus, .n_resources = 1 };
	struct bed b;
	uint64_t node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &node), 0);
	submit(&b, 2, (struct pcore_sched_jobs){ .request = { .needs = &two, .n_needs = 1 } });
	submit(&b, 1, (struct pcore_sched_jobs){ .request = { .needs = &one, .n_needs = 1 } });
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 2); /* jobs 1 and 3 */
	assert_int_equal(start_of(&b, 0)->a.n_ids, 2);
	assert_int_equal(start_of(&b, 0)->ids[0], 0);
	assert_int_equal(start_of(&b, 0)->ids[1], 1);
	assert_int_equal(start_of(&b, 1)->ids[0], 2);
	done(&b, node, 3, 1, true);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0);
	done(&b, node, 1, 1, true);
	assert_true(start_of(&b, 0)->a.job == 2);
	assert_int_equal(start_of(&b, 0)->ids[0], 0);
	pcore_sched_free(b.s);
}

static void labels_and_names_bind_a_job_to_nodes(void **state)
{
	static const struct pcore_sched_label red = { "colour", "red", false }, not_red = { "colour", "red", true };
	struct pcore_sched_node n = { .name = "a", .instance = 1, .cpus = 8, .labels = &red, .n_labels = 1 };
	uint64_t a, plain;
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &a), 0);
	plain = join(&b, "plain", 8);
	submit(&b, 1, (struct pcore_sched_jobs){ .request = { .labels = &red, .n_labels = 1 } });
	listen(&b);
	assert_true(start_of(&b, 0)->node == a);
	submit(&b, 1, (struct pcore_sched_jobs){ .request = { .labels = &not_red, .n_labels = 1 } });
	listen(&b);
	assert_true(start_of(&b, 0)->node == plain);
	submit(&b, 1, (struct pcore_sched_jobs){ .request.node = "a" });
	listen(&b);
	assert_true(start_of(&b, 0)->node == a);
	pcore_sched_free(b.s);
}

static void a_big_job_is_passed_so_often_and_then_gets_a_node(void **state)
{
	struct bed b;
	uint64_t node, big;
	size_t n_passed = 0;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ .overtake_max = 5 });
	node = join(&b, "a", 4);
	submit(&b, 4, (struct pcore_sched_jobs){ 0 });
	listen(&b);
	big = submit(&b, 1, (struct pcore_sched_jobs){ .request.cpus = 4 });
	submit(&b, 100, (struct pcore_sched_jobs){ 0 });
	for (uint64_t job = 1; job <= 50; job++) {
		struct pcore_sched_why why;

		if (job == big)
			continue;
		done(&b, node, job, 1, true);
		if (count(&b, PCORE_SCHED_START) == 1 && start_of(&b, 0)->a.job == big)
			break;
		n_passed += count(&b, PCORE_SCHED_START);
		assert_int_equal(pcore_sched_explain(b.s, 105, &why), 0);
		assert_int_equal(why.reserved, n_passed == 5 && count(&b, PCORE_SCHED_START) == 0);
	}
	assert_int_equal(n_passed, 5);
	pcore_sched_free(b.s);
}

static void a_job_has_its_cookie_from_its_assignment_to_its_end(void **state)
{
	struct bed b;
	uint64_t node, first;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	first = submit(&b, 2, (struct pcore_sched_jobs){ .cookie = 7 });
	assert_int_equal(pcore_sched_cookie(b.s, first), 0);
	node = join(&b, "a", 1);
	listen(&b);
	assert_int_equal(pcore_sched_cookie(b.s, first), 7);
	assert_int_equal(pcore_sched_cookie(b.s, first + 1), 0);
	assert_int_equal(done(&b, node, first, 1, true), 1);
	assert_int_equal(pcore_sched_cookie(b.s, first), 0);
	assert_int_equal(pcore_sched_cookie(b.s, first + 1), 7);
	assert_int_equal(pcore_sched_cookie(b.s, first + 2), 0);
	pcore_sched_free(b.s);
}

/* ---- arrays ---- */

static void a_part_of_a_queued_array_can_be_cancelled(void **state)
{
	static const unsigned left[] = { 1, 5, 6, 7 };
	struct bed b;
	uint64_t first, node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	first = submit(&b, 10, (struct pcore_sched_jobs){ 0 });
	listen(&b);
	assert_int_equal(pcore_sched_cancel(b.s, 1, first + 3, 2, PCORE_SCHED_END), 2);
	assert_int_equal(pcore_sched_cancel(b.s, 1, first + 8, 100, PCORE_SCHED_END), 2);
	assert_int_equal(pcore_sched_cancel(b.s, 1, first, 1, PCORE_SCHED_END), 1);
	listen(&b);
	assert_int_equal(b.n_news, 3);
	assert_int_equal(b.news[0].n, 2);
	assert_int_equal(b.news[0].outcome, PCORE_SCHED_CANCELLED);
	assert_int_equal(pcore_sched_cancel(b.s, 1, first + 3, 1, PCORE_SCHED_END), -ENOENT);
	assert_int_equal(pcore_sched_cancel(b.s, 1, first + 2, 3, PCORE_SCHED_END), 1);
	node = join(&b, "a", 8);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), ARRAY_SIZE(left));
	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		assert_true(start_of(&b, i)->a.job == first + left[i]);
	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		assert_int_equal(done(&b, node, first + left[i], 1, true), 1);
	assert_int_equal(pcore_sched_counts(b.s).arrays, 0);
	assert_int_equal(pcore_sched_counts(b.s).over, 10);
	pcore_sched_free(b.s);
}

static void a_cancel_reaches_a_job_in_every_state(void **state)
{
	struct bed b;
	uint64_t running, queued, backoff, waiting, node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 1);
	backoff = submit(&b, 1, (struct pcore_sched_jobs){ .restarts = 1, .backoff_ns = 100 });
	listen(&b);
	done(&b, node, backoff, 1, false);
	running = submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	queued = submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	waiting = submit(&b, 1, (struct pcore_sched_jobs){ .after = &queued, .n_after = 1 });
	listen(&b);
	assert_int_equal(pcore_sched_started(b.s, 1, node, running, 1), 1);
	assert_int_equal(pcore_sched_cancel(b.s, 1, backoff, 1, PCORE_SCHED_END), 1);
	assert_int_equal(pcore_sched_cancel(b.s, 1, waiting, 1, PCORE_SCHED_END), 1);
	assert_int_equal(pcore_sched_cancel(b.s, 1, queued, 1, PCORE_SCHED_END), 1);
	assert_int_equal(pcore_sched_cancel(b.s, 1, running, 1, PCORE_SCHED_END), 1);
	listen(&b);
	assert_int_equal(b.n_news, 3);
	assert_int_equal(b.n_acts, 1);
	assert_int_equal(b.acts[0].a.verb, PCORE_SCHED_CANCEL);
	assert_int_equal(b.acts[0].a.how, PCORE_SCHED_END);
	assert_int_equal(pcore_sched_cancel(b.s, 1, running, 1, PCORE_SCHED_END), 1); /* nothing new */
	listen(&b);
	assert_int_equal(b.n_acts, 0);
	assert_int_equal(pcore_sched_cancel(b.s, 1, running, 1, PCORE_SCHED_KILL), 1);
	listen(&b);
	assert_int_equal(b.acts[0].a.how, PCORE_SCHED_KILL);
	done(&b, node, running, 1, false);
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_CANCELLED);
	assert_int_equal(pcore_sched_cancel(b.s, 1, running, 1, PCORE_SCHED_KILL), -ENOENT);
	assert_int_equal(pcore_sched_next_ns(b.s), INT64_MAX);
	pcore_sched_free(b.s);
}

static void a_full_queue_refuses_and_says_when_there_is_room(void **state)
{
	struct pcore_sched_jobs jobs = { 0 };
	struct bed b;
	uint64_t first, node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ .entries_max = 4 });
	for (size_t i = 0; i < 4; i++)
		submit(&b, 1, jobs);
	assert_int_equal(pcore_sched_submit(b.s, 1, b.client, &jobs, &first), -EAGAIN);
	node = join(&b, "a", 4);
	listen(&b);
	assert_int_equal(done(&b, node, 1, 1, true), 1);
	assert_int_equal(b.n_news, 1);
	assert_int_equal(done(&b, node, 2, 1, true), 1);
	assert_int_equal(b.n_news, 2);
	assert_int_equal(b.news[1].kind, PCORE_SCHED_ROOM);
	assert_true(b.news[1].client == b.client);
	assert_int_equal(done(&b, node, 3, 1, true), 1);
	assert_int_equal(b.n_news, 1); /* it is said once */
	pcore_sched_free(b.s);
}

/* ---- dependencies ---- */

static void a_dependent_waits_for_all_it_is_after(void **state)
{
	struct bed b;
	uint64_t after[2], node, job;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 8);
	after[0] = submit(&b, 2, (struct pcore_sched_jobs){ 0 });
	after[1] = submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	job = submit(&b, 1, (struct pcore_sched_jobs){ .after = after, .n_after = 2 });
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 3);
	done(&b, node, after[0], 1, true);
	done(&b, node, after[1], 1, true);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0);
	done(&b, node, after[0] + 1, 1, true);
	assert_true(start_of(&b, 0)->a.job == job);
	pcore_sched_free(b.s);
}

static void what_waits_for_a_failure_is_set_aside_and_so_on(void **state)
{
	struct pcore_sched_jobs late = { 0 };
	struct bed b;
	uint64_t first, second, node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 8);
	first = submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	second = submit(&b, 1000, (struct pcore_sched_jobs){ .after = &first, .n_after = 1 });
	submit(&b, 1, (struct pcore_sched_jobs){ .after = &second, .n_after = 1 });
	listen(&b);
	done(&b, node, first, 1, false);
	assert_int_equal(b.n_news, 3);
	assert_int_equal(b.news[0].outcome, PCORE_SCHED_FAILED);
	assert_int_equal(b.news[1].outcome, PCORE_SCHED_DEPENDENCY);
	assert_int_equal(b.news[1].n, 1000);
	assert_int_equal(b.news[2].outcome, PCORE_SCHED_DEPENDENCY);
	assert_int_equal(pcore_sched_counts(b.s).arrays, 0);
	first = 1;
	late.after = &first;
	late.n_after = 1;
	assert_int_equal(pcore_sched_submit(b.s, 1, b.client, &late, &second), -ENOENT);
	pcore_sched_free(b.s);
}

/* ---- failures ---- */

static void a_failed_job_is_restarted_here_and_then_elsewhere_later_and_later(void **state)
{
	struct bed b;
	uint64_t a, other, job;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	a = join(&b, "a", 1);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .restarts = 1, .reschedules = 1, .backoff_ns = 100 });
	listen(&b);
	other = join(&b, "b", 1);
	done(&b, a, job, 1, false);
	assert_int_equal(b.news[0].kind, PCORE_SCHED_AGAIN);
	assert_int_equal(pcore_sched_next_ns(b.s), b.now + 100);
	b.now += 100;
	assert_int_equal(pcore_sched_tick(b.s, b.now), 0);
	listen(&b);
	assert_true(start_of(&b, 0)->node == a);
	assert_int_equal(start_of(&b, 0)->a.attempt, 2);
	done(&b, a, job, 2, false);
	assert_int_equal(pcore_sched_next_ns(b.s), b.now + 200);
	b.now += 200;
	assert_int_equal(pcore_sched_tick(b.s, b.now), 0);
	listen(&b);
	assert_true(start_of(&b, 0)->node == other);
	done(&b, other, job, 3, false);
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_FAILED);
	assert_int_equal(over(&b)->attempt, 3);
	pcore_sched_free(b.s);
}

static void a_job_is_not_kept_waiting_for_a_node_it_cannot_restart_on(void **state)
{
	struct bed b;
	uint64_t a, other, job;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	a = join(&b, "a", 1);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .restarts = 1 });
	submit(&b, 1, (struct pcore_sched_jobs){ .priority = -1 });
	listen(&b);
	done(&b, a, job, 1, false); /* the urgent one is on a now, and job waits for it */
	other = join(&b, "b", 1);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0);
	assert_int_equal(pcore_sched_node_drain(b.s, 1, a, PCORE_SCHED_DRAIN), 0);
	listen(&b);
	assert_true(start_of(&b, 0)->node == other);
	pcore_sched_free(b.s);
}

static void a_lost_job_runs_again_so_often(void **state)
{
	struct bed b;
	uint64_t job;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ .crash_max = 100 });
	job = submit(&b, 1, (struct pcore_sched_jobs){ .retry_lost = 2 });
	for (uint32_t attempt = 1; attempt <= 3; attempt++) {
		uint64_t node = join(&b, "a", 1);

		listen(&b);
		assert_int_equal(start_of(&b, 0)->a.attempt, attempt);
		assert_int_equal(pcore_sched_node_dead(b.s, 1, node), 0);
		assert_int_equal(pcore_sched_done(b.s, 1, node, job, attempt, &(struct pcore_sched_result){ 0 }), -ESTALE);
		listen(&b);
		assert_int_equal(b.news[0].kind, attempt < 3 ? PCORE_SCHED_AGAIN : PCORE_SCHED_OVER);
	}
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_LOST);
	pcore_sched_free(b.s);
}

static void a_job_that_may_run_once_is_reported_when_it_is_lost(void **state)
{
	struct bed b;
	uint64_t node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 1);
	submit(&b, 1, (struct pcore_sched_jobs){ .at_most_once = true, .retry_lost = 9 });
	listen(&b);
	assert_int_equal(pcore_sched_node_dead(b.s, 1, node), 0);
	listen(&b);
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_LOST);
	pcore_sched_free(b.s);
}

static void a_node_that_is_gone_may_be_told_to_be_dead(void **state)
{
	struct bed b;
	uint64_t node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 1);
	submit(&b, 1, (struct pcore_sched_jobs){ .at_most_once = true });
	listen(&b);
	assert_int_equal(pcore_sched_node_gone(b.s, 1, node), 0);
	assert_int_equal(pcore_sched_node_dead(b.s, 1, node), 0);
	listen(&b);
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_LOST);
	assert_int_equal(pcore_sched_node_dead(b.s, 1, node), -ESTALE);
	pcore_sched_free(b.s);
}

static void a_job_that_brings_nodes_down_is_set_aside(void **state)
{
	struct bed b;
	uint64_t job;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ .crash_max = 2 });
	job = submit(&b, 1, (struct pcore_sched_jobs){ .retry_lost = 9 });
	for (uint32_t attempt = 1; attempt <= 2; attempt++) {
		uint64_t node = join(&b, "a", 1);

		assert_int_equal(pcore_sched_started(b.s, 1, node, job, attempt), 1);
		assert_int_equal(pcore_sched_node_dead(b.s, 1, node), 0);
		listen(&b);
	}
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_CRASHED);
	pcore_sched_free(b.s);
}

static void results_of_other_attempts_are_dropped_and_counted(void **state)
{
	struct bed b;
	uint64_t node, job;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 1);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .restarts = 1 });
	listen(&b);
	done(&b, node, job, 1, false);
	assert_int_equal(done(&b, node, job, 1, true), 0);
	assert_int_equal(count(&b, PCORE_SCHED_ACK), 1); /* so that the node forgets it */
	assert_int_equal(b.n_news, 0);
	assert_int_equal(pcore_sched_started(b.s, 1, node, job, 3), 0);
	assert_int_equal(pcore_sched_retracted(b.s, 1, node, 99, 1, true), 0);
	assert_int_equal(pcore_sched_counts(b.s).stale, 3);
	assert_int_equal(done(&b, node, job, 2, true), 1);
	assert_int_equal(done(&b, node, job, 2, true), 0);
	pcore_sched_free(b.s);
}

/* ---- nodes ---- */

static void a_node_that_comes_back_keeps_what_it_has(void **state)
{
	struct pcore_sched_node n = { .name = "a", .instance = 1, .cpus = 3 };
	struct pcore_sched_claim claims[] = {
		{ 1, 1, true, false, NULL, 0 },
		{ 2, 1, true, true, NULL, 0 },
		{ 9, 7, true, false, NULL, 0 },
		{ 9, 8, true, true, NULL, 0 },
	};
	struct bed b;
	uint64_t node, back;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &node), 0);
	submit(&b, 3, (struct pcore_sched_jobs){ 0 });
	listen(&b);
	assert_int_equal(pcore_sched_node_gone(b.s, 1, node), 0);
	listen(&b);
	assert_int_equal(b.n_news, 0);
	assert_int_equal(pcore_sched_node_join(b.s, 2, &n, claims, 4, &back), 0);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_CANCEL), 1);
	assert_int_equal(count(&b, PCORE_SCHED_ACK), 1);
	assert_int_equal(count(&b, PCORE_SCHED_START), 1); /* job 3 had not arrived */
	assert_true(start_of(&b, 0)->a.job == 3);
	assert_int_equal(start_of(&b, 0)->a.attempt, 2);
	assert_int_equal(done(&b, back, 2, 1, true), 1);
	assert_int_equal(done(&b, back, 1, 1, true), 1);
	assert_int_equal(pcore_sched_started(b.s, 2, node, 3, 2), -ESTALE);
	pcore_sched_free(b.s);
}

static void a_node_that_stays_away_is_lost_and_its_late_claims_are_refused(void **state)
{
	struct pcore_sched_claim claim = { .job = 1, .attempt = 1, .begun = true };
	struct pcore_sched_node n = { .name = "a", .instance = 1, .cpus = 1 };
	struct bed b;
	uint64_t node, other;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ .lost_after_ns = 1000 });
	node = join(&b, "a", 1);
	submit(&b, 1, (struct pcore_sched_jobs){ .retry_lost = 1 });
	listen(&b);
	assert_int_equal(pcore_sched_node_gone(b.s, b.now, node), 0);
	assert_int_equal(pcore_sched_next_ns(b.s), b.now + 1000);
	other = join(&b, "b", 1);
	listen(&b);
	assert_int_equal(b.n_acts, 0);
	assert_int_equal(pcore_sched_tick(b.s, b.now += 1000), 0);
	listen(&b);
	assert_true(start_of(&b, 0)->node == other);
	assert_int_equal(start_of(&b, 0)->a.attempt, 2);
	assert_int_equal(pcore_sched_node_join(b.s, b.now, &n, &claim, 1, &node), 0);
	listen(&b);
	assert_int_equal(b.n_acts, 1);
	assert_int_equal(b.acts[0].a.verb, PCORE_SCHED_CANCEL);
	assert_int_equal(b.acts[0].a.attempt, 1);
	pcore_sched_free(b.s);
}

static void a_node_that_started_anew_has_lost_its_jobs(void **state)
{
	struct pcore_sched_node n = { .name = "a", .instance = 2, .cpus = 1 };
	struct bed b;
	uint64_t node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 1);
	submit(&b, 1, (struct pcore_sched_jobs){ .retry_lost = 1 });
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &node), -EEXIST);
	listen(&b);
	assert_int_equal(pcore_sched_node_gone(b.s, 1, node), 0);
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &node), 0);
	listen(&b);
	assert_int_equal(start_of(&b, 0)->a.attempt, 2);
	pcore_sched_free(b.s);
}

static void a_draining_node_ends_what_it_has_and_an_evicted_one_hands_it_on(void **state)
{
	struct bed b;
	uint64_t node, job;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 1);
	job = submit(&b, 2, (struct pcore_sched_jobs){ 0 });
	listen(&b);
	assert_int_equal(pcore_sched_node_drain(b.s, 1, node, PCORE_SCHED_DRAIN), 0);
	done(&b, node, job, 1, true);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0);
	assert_int_equal(b.news[b.n_news - 1].kind, PCORE_SCHED_DRAINED);
	assert_true(b.news[b.n_news - 1].node == node);
	assert_int_equal(pcore_sched_node_drain(b.s, 1, node, PCORE_SCHED_OPEN), 0);
	listen(&b);
	assert_true(start_of(&b, 0)->a.job == job + 1);
	assert_int_equal(pcore_sched_node_drain(b.s, 1, node, PCORE_SCHED_EVICT), 0);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_CANCEL), 1);
	assert_int_equal(pcore_sched_done(b.s, 1, node, job + 1, 1, &(struct pcore_sched_result){ .cancelled = true }), 1);
	node = join(&b, "b", 1);
	listen(&b);
	assert_true(start_of(&b, 0)->node == node);
	assert_int_equal(pcore_sched_counts(b.s).failed, 0);
	pcore_sched_free(b.s);
}

static void a_node_that_connects_says_whether_it_drains(void **state)
{
	struct pcore_sched_node n = { .name = "a", .instance = 1, .cpus = 1, .draining = true };
	struct bed b;
	uint64_t node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &node), 0);
	listen(&b);
	assert_int_equal(b.n_acts, 0);
	assert_int_equal(b.news[b.n_news - 1].kind, PCORE_SCHED_DRAINED);
	assert_int_equal(pcore_sched_node_gone(b.s, 1, node), 0);
	n.draining = false; /* somebody has said so there meanwhile */
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &node), 0);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 1);
	pcore_sched_free(b.s);
}

static void more_cpus_take_more_and_fewer_end_nothing(void **state)
{
	struct bed b;
	uint64_t node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 2);
	submit(&b, 9, (struct pcore_sched_jobs){ 0 });
	listen(&b);
	assert_int_equal(pcore_sched_node_cpus(b.s, 1, node, 4), 0);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 2);
	assert_int_equal(pcore_sched_node_cpus(b.s, 1, node, 1), 0);
	listen(&b);
	assert_int_equal(b.n_acts, 0);
	for (uint64_t job = 1; job <= 3; job++) {
		done(&b, node, job, 1, true);
		assert_int_equal(count(&b, PCORE_SCHED_START), 0);
	}
	done(&b, node, 4, 1, true);
	assert_int_equal(count(&b, PCORE_SCHED_START), 1);
	pcore_sched_free(b.s);
}

/* ---- ahead ---- */

/* One node that has two CPUs and short jobs, of which it has some ahead. */
static uint64_t open_ahead(struct bed *b, uint32_t n_jobs)
{
	uint64_t node;

	open_bed(b, &(struct pcore_sched_spec){ 0 });
	node = join(b, "a", 2);
	assert_int_equal(pcore_sched_node_rtt(b->s, node, NS_PER_MS), 0);
	submit(b, n_jobs, (struct pcore_sched_jobs){ 0 });
	listen(b);
	assert_int_equal(count(b, PCORE_SCHED_START), 2);
	done_after(b, node, 1, 1, true, NS_PER_MS);
	return node;
}

static void short_jobs_are_sent_ahead_and_promoted_in_their_order(void **state)
{
	struct bed b;
	uint64_t node = open_ahead(&b, 20);

	(void)state;
	/* one is started, and ahead are as many as two slots end in two round trips, which last one job each */
	assert_int_equal(count(&b, PCORE_SCHED_START), 5);
	assert_false(start_of(&b, 0)->a.ahead);
	assert_true(start_of(&b, 1)->a.ahead);
	assert_int_equal(pcore_sched_counts(b.s).ahead, 4);
	done_after(&b, node, 2, 1, true, NS_PER_MS);
	assert_int_equal(pcore_sched_counts(b.s).ahead, 4);
	assert_int_equal(pcore_sched_counts(b.s).held, 2);
	assert_int_equal(pcore_sched_started(b.s, 1, node, 4, 1), 1);
	pcore_sched_free(b.s);
}

static void long_jobs_are_not_sent_ahead(void **state)
{
	struct bed b;
	uint64_t node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 2);
	assert_int_equal(pcore_sched_node_rtt(b.s, node, NS_PER_MS), 0);
	submit(&b, 9, (struct pcore_sched_jobs){ 0 });
	listen(&b);
	done_after(&b, node, 1, 1, true, 200 * NS_PER_MS);
	assert_int_equal(count(&b, PCORE_SCHED_START), 1);
	assert_int_equal(pcore_sched_counts(b.s).ahead, 0);
	pcore_sched_free(b.s);
}

static void more_is_sent_ahead_when_a_node_may_have_more(void **state)
{
	struct bed b;
	uint64_t node = open_ahead(&b, 100);

	(void)state;
	assert_int_equal(pcore_sched_node_rtt(b.s, node, 40 * NS_PER_MS), 0);
	done_after(&b, node, 2, 1, true, NS_PER_MS);
	assert_int_equal(pcore_sched_counts(b.s).ahead, 64);
	assert_int_equal(pcore_sched_node_ahead(b.s, 1, node, 70), 0);
	assert_int_equal(pcore_sched_counts(b.s).ahead, 70);
	assert_int_equal(pcore_sched_node_ahead(b.s, 1, node, 60), 0);
	assert_int_equal(pcore_sched_counts(b.s).ahead, 70);
	assert_int_equal(pcore_sched_node_ahead(b.s, 1, node + 1, 60), -ESTALE);
	pcore_sched_free(b.s);
}

static void what_is_ahead_is_taken_back_for_an_idle_node(void **state)
{
	struct bed b;
	uint64_t node = open_ahead(&b, 7), idle = join(&b, "b", 1), job;

	(void)state;
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_RETRACT), 1);
	job = b.acts[0].a.job;
	assert_true(job == 7); /* the last one it has */
	assert_int_equal(pcore_sched_retracted(b.s, 1, node, job, 1, true), 1);
	listen(&b);
	assert_true(start_of(&b, 0)->node == idle);
	assert_true(start_of(&b, 0)->a.job == job);
	assert_int_equal(start_of(&b, 0)->a.attempt, 2);
	done(&b, idle, job, 2, true);
	assert_int_equal(count(&b, PCORE_SCHED_RETRACT), 1);
	assert_int_equal(pcore_sched_retracted(b.s, 1, node, b.acts[1].a.job, 1, false), 1); /* it has begun */
	pcore_sched_free(b.s);
}

static void what_is_ahead_makes_way_for_the_urgent(void **state)
{
	struct bed b;
	uint64_t node = open_ahead(&b, 7), urgent;

	(void)state;
	urgent = submit(&b, 1, (struct pcore_sched_jobs){ .priority = -1 });
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_RETRACT), 4);
	for (uint64_t job = 4; job <= 7; job++)
		assert_int_equal(pcore_sched_retracted(b.s, 1, node, job, 1, true), 1);
	listen(&b);
	assert_true(start_of(&b, 0)->a.job == urgent); /* ahead of all others */
	assert_true(start_of(&b, 0)->a.ahead);
	pcore_sched_free(b.s);
}

/* ---- clients ---- */

static void the_jobs_of_a_private_client_end_with_it(void **state)
{
	uint64_t private = 0, node;
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	assert_int_equal(pcore_sched_client_join(b.s, 1, PCORE_SCHED_PRIVATE, 1, &private), 0);
	node = join(&b, "a", 2);
	submit_by(&b, private, (struct pcore_sched_jobs){ .n = 1000 });
	listen(&b);
	assert_int_equal(pcore_sched_client_gone(b.s, 1, private), 0);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_CANCEL), 2);
	assert_int_equal(b.acts[0].a.how, PCORE_SCHED_KILL);
	assert_int_equal(b.n_news, 0);
	done(&b, node, 1, 1, false);
	assert_int_equal(pcore_sched_counts(b.s).clients, 2);
	done(&b, node, 2, 1, false);
	assert_int_equal(b.n_news, 0);
	assert_int_equal(pcore_sched_counts(b.s).clients, 1);
	assert_int_equal(pcore_sched_client_join(b.s, 1, PCORE_SCHED_PRIVATE, 1, &private), -ENOENT);
	pcore_sched_free(b.s);
}

static void the_jobs_of_a_shared_client_go_on_without_it(void **state)
{
	struct bed b;
	uint64_t node, id;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 1);
	submit(&b, 2, (struct pcore_sched_jobs){ 0 });
	assert_int_equal(pcore_sched_client_gone(b.s, 1, b.client), 0);
	listen(&b);
	done(&b, node, 1, 1, true);
	assert_true(over(&b)->client == b.client);
	assert_int_equal(pcore_sched_submit(b.s, 1, b.client, &(struct pcore_sched_jobs){ 0 }, &id), -ENOENT);
	id = b.client;
	assert_int_equal(pcore_sched_client_join(b.s, 1, 0, 1, &id), 0);
	done(&b, node, 2, 1, true);
	assert_int_equal(pcore_sched_counts(b.s).clients, 1);
	pcore_sched_free(b.s);
}

static uint64_t join_exclusive(struct bed *b, unsigned flags)
{
	uint64_t id = 0;

	assert_int_equal(pcore_sched_client_join(b->s, 1, PCORE_SCHED_EXCLUSIVE | flags, 1, &id), 0);
	return id;
}

static struct pcore_sched_why why_of(const struct bed *b, uint64_t job)
{
	struct pcore_sched_why why;

	assert_int_equal(pcore_sched_explain(b->s, job, &why), 0);
	return why;
}

static void an_exclusive_client_waits_for_what_runs_and_has_the_nodes_then(void **state)
{
	uint64_t alone, first, other, node;
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	alone = join_exclusive(&b, 0);
	node = join(&b, "a", 2);
	submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	listen(&b);
	first = submit_by(&b, alone, (struct pcore_sched_jobs){ .n = 2, .priority = 9 });
	other = submit(&b, 1, (struct pcore_sched_jobs){ .priority = -9 });
	listen(&b);
	assert_int_equal(b.n_acts, 0);
	assert_int_equal(why_of(&b, first).busy, 1);
	assert_int_equal(why_of(&b, other).exclusive, 1);
	done(&b, node, 1, 1, true);
	assert_int_equal(count(&b, PCORE_SCHED_START), 2);
	assert_true(start_of(&b, 0)->a.job == first);
	done(&b, node, first, 1, true);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0);
	done(&b, node, first + 1, 1, true);
	assert_true(start_of(&b, 0)->a.job == other);
	pcore_sched_free(b.s);
}

static void exclusive_clients_have_the_nodes_one_after_the_other(void **state)
{
	uint64_t clients[2], first[2], other, node;
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ .policy = PCORE_SCHED_FAIR });
	clients[0] = join_exclusive(&b, 0);
	clients[1] = join_exclusive(&b, PCORE_SCHED_PRIVATE);
	for (size_t i = 2; i-- > 0;)
		first[i] = submit_by(&b, clients[i], (struct pcore_sched_jobs){ .n = 1 });
	other = submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	node = join(&b, "a", 4);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 1);
	assert_true(start_of(&b, 0)->a.job == first[1]);
	done(&b, node, first[1], 1, true);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0); /* it may have more before it goes */
	assert_int_equal(pcore_sched_client_gone(b.s, 1, clients[1]), 0);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 1);
	assert_true(start_of(&b, 0)->a.job == first[0]);
	done(&b, node, first[0], 1, true);
	assert_true(start_of(&b, 0)->a.job == other);
	pcore_sched_free(b.s);
}

static void an_exclusive_client_that_cannot_run_anything_lets_others_pass(void **state)
{
	uint64_t alone, big, waits, node, node_2, job;
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	alone = join_exclusive(&b, PCORE_SCHED_PRIVATE);
	node = join(&b, "a", 1);
	job = submit(&b, 2, (struct pcore_sched_jobs){ 0 });
	waits = submit_by(&b, alone, (struct pcore_sched_jobs){ .after = &job, .n_after = 1 });
	listen(&b);
	done(&b, node, job, 1, true);
	assert_true(start_of(&b, 0)->a.job == job + 1); /* what waits for it does not keep it out */
	big = submit_by(&b, alone, (struct pcore_sched_jobs){ .request.cpus = 2 });
	done(&b, node, job + 1, 1, true);
	assert_true(start_of(&b, 0)->a.job == waits);
	job = submit(&b, 2, (struct pcore_sched_jobs){ 0 });
	done(&b, node, waits, 1, true);
	assert_true(start_of(&b, 0)->a.job == job); /* there is no node for the big one */
	node_2 = join(&b, "b", 2);
	listen(&b);
	assert_true(start_of(&b, 0)->node == node_2);
	assert_true(start_of(&b, 0)->a.job == big);
	done(&b, node, job, 1, true);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0);
	pcore_sched_free(b.s);
}

static void what_is_ahead_makes_way_for_an_exclusive_client(void **state)
{
	struct bed b;
	uint64_t node = open_ahead(&b, 7), alone = join_exclusive(&b, 0), first;

	(void)state;
	first = submit_by(&b, alone, (struct pcore_sched_jobs){ .n = 1 });
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_RETRACT), 4);
	for (uint64_t job = 4; job <= 7; job++)
		assert_int_equal(pcore_sched_retracted(b.s, 1, node, job, 1, true), 1);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0); /* some are still running */
	assert_int_equal(why_of(&b, 4).exclusive, 1);
	assert_int_equal(why_of(&b, first).busy, 1);
	pcore_sched_free(b.s);
}

static void an_exclusive_client_is_one_after_a_restart(void **state)
{
	struct pcore_sched_spec spec = { .persist = true };
	uint64_t alone, first, other;
	struct pcore_buf *records;
	struct bed b, c = { .now = 1 };

	(void)state;
	open_bed(&b, &spec);
	alone = join_exclusive(&b, 0);
	first = submit_by(&b, alone, (struct pcore_sched_jobs){ .n = 1 });
	other = submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	records = pcore_sched_records(b.s);
	assert_int_equal(pcore_sched_new(&c.s, &spec), 0);
	assert_int_equal(pcore_sched_restore(c.s, 1, records->data, records->len), 0);
	assert_int_equal(pcore_sched_restored(c.s, 1), 0);
	join(&c, "a", 4);
	listen(&c);
	assert_int_equal(count(&c, PCORE_SCHED_START), 1);
	assert_true(start_of(&c, 0)->a.job == first);
	assert_int_equal(why_of(&c, other).exclusive, 1);
	pcore_sched_free(c.s);
	pcore_sched_free(b.s);
}

static void when_all_is_stopped_nothing_begins_and_what_runs_goes_on(void **state)
{
	struct bed b;
	uint64_t node = open_ahead(&b, 7), job;

	(void)state;
	pcore_sched_stop(b.s, 1, true);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_RETRACT), 4);
	for (job = 4; job <= 7; job++)
		assert_int_equal(pcore_sched_retracted(b.s, 1, node, job, 1, true), 1);
	listen(&b);
	done(&b, node, 3, 1, true);
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_SUCCEEDED);
	job = submit(&b, 1, (struct pcore_sched_jobs){ 0 });
	join(&b, "b", 1);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 0);
	assert_true(why_of(&b, job).stopped);
	assert_int_equal(why_of(&b, job).room, 0);
	pcore_sched_stop(b.s, 1, false);
	listen(&b);
	assert_true(count(&b, PCORE_SCHED_START) >= 2);
	assert_false(why_of(&b, job).stopped);
	pcore_sched_free(b.s);
}

/* ---- what there is to know ---- */

static void that_no_node_can_run_a_job_is_said_at_once_and_why(void **state)
{
	static const struct pcore_sched_need gpu = { "gpu", 1 };
	static const struct pcore_sched_label red = { "colour", "red", false };
	struct pcore_sched_why why;
	struct bed b;
	uint64_t job, node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	job = submit(&b, 1, (struct pcore_sched_jobs){ .request.cpus = 2 });
	listen(&b);
	assert_int_equal(b.n_news, 1);
	assert_int_equal(b.news[0].kind, PCORE_SCHED_NO_NODE);
	assert_int_equal(pcore_sched_explain(b.s, job, &why), 0);
	assert_int_equal(why.n_nodes, 0);
	join(&b, "a", 1);
	node = join(&b, "b", 4);
	join(&b, "c", 8);
	submit(&b, 1, (struct pcore_sched_jobs){ .request.cpus = 7 });
	listen(&b);
	assert_int_equal(pcore_sched_node_gone(b.s, 1, node), 0);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .request.cpus = 3 });
	assert_int_equal(pcore_sched_explain(b.s, job, &why), 0);
	assert_int_equal(why.state, PCORE_SCHED_QUEUED);
	assert_int_equal(why.n_nodes, 3);
	assert_int_equal(why.cpus, 1);
	assert_int_equal(why.gone, 1);
	assert_int_equal(why.busy, 1);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .request = { .memory = 1 << 21 } });
	assert_int_equal(pcore_sched_explain(b.s, job, &why), 0);
	assert_int_equal(why.memory, 2);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .request = { .needs = &gpu, .n_needs = 1 } });
	assert_int_equal(pcore_sched_explain(b.s, job, &why), 0);
	assert_int_equal(why.resources, 2);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .request = { .labels = &red, .n_labels = 1 } });
	assert_int_equal(pcore_sched_explain(b.s, job, &why), 0);
	assert_int_equal(why.labels, 2);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .request.node = "d" });
	assert_int_equal(pcore_sched_explain(b.s, job, &why), 0);
	assert_int_equal(why.pinned, 2);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .after = &job, .n_after = 1 });
	assert_int_equal(pcore_sched_explain(b.s, job, &why), 0);
	assert_int_equal(why.state, PCORE_SCHED_WAITING);
	assert_true(why.after == job - 1);
	assert_int_equal(pcore_sched_explain(b.s, job + 1, &why), -ENOENT);
	pcore_sched_free(b.s);
}

static void when_the_last_node_for_a_job_leaves_that_is_said(void **state)
{
	struct bed b;
	uint64_t node;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 1);
	submit(&b, 5, (struct pcore_sched_jobs){ .cookie = 4 });
	listen(&b);
	assert_int_equal(b.n_news, 0);
	assert_int_equal(pcore_sched_node_drain(b.s, 1, node, PCORE_SCHED_DRAIN), 0);
	listen(&b);
	assert_int_equal(b.n_news, 1);
	assert_int_equal(b.news[0].kind, PCORE_SCHED_NO_NODE);
	assert_true(b.news[0].cookie == 4);
	pcore_sched_free(b.s);
}

static void bad_requests_are_refused(void **state)
{
	static const struct pcore_sched_need twice[] = { { "gpu", 1 }, { "gpu", 2 } }, none = { "gpu", 0 }, nameless = { NULL, 1 };
	static const struct pcore_sched_resource same[] = { { "gpu", 1, false }, { "gpu", 2, true } }, many = { "gpu", 4096, true };
	const struct pcore_sched_jobs bad[] = {
		{ .request.cpus = PCORE_SCHED_CPUS_MAX + 1 },
		{ .request = { .needs = twice, .n_needs = 2 } },
		{ .request = { .needs = &none, .n_needs = 1 } },
		{ .request = { .needs = &nameless, .n_needs = 1 } },
		{ .request.memory = UINT64_MAX },
		{ .n = PCORE_SCHED_JOBS_MAX + 1 },
		{ .time_limit_ns = -1 },
	};
	struct pcore_sched_node n = { .instance = 1, .cpus = 1 };
	struct bed b;
	uint64_t id;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pcore_sched_submit(b.s, 1, b.client, &bad[i], &id), -EINVAL);
	assert_int_equal(pcore_sched_submit(b.s, 1, 99, &(struct pcore_sched_jobs){ 0 }, &id), -ENOENT);
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &id), -EINVAL);
	n.name = "a", n.resources = same, n.n_resources = 2;
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &id), -EINVAL);
	n.resources = &many, n.n_resources = 1;
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &id), -EINVAL);
	assert_int_equal(pcore_sched_node_dead(b.s, 1, 12345), -ESTALE);
	listen(&b);
	assert_int_equal(b.n_acts + b.n_news, 0);
	assert_int_equal(pcore_sched_counts(b.s).nodes, 0);
	pcore_sched_free(b.s);
}

static void a_node_that_stays_may_lose_a_job(void **state)
{
	struct bed b;
	uint64_t node, job, once;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	node = join(&b, "a", 2);
	job = submit(&b, 1, (struct pcore_sched_jobs){ .retry_lost = 1 });
	once = submit(&b, 1, (struct pcore_sched_jobs){ .at_most_once = true, .retry_lost = 9 });
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 2);
	assert_int_equal(pcore_sched_lost(b.s, b.now, node, job, 9), 0); /* another attempt */
	assert_int_equal(pcore_sched_lost(b.s, b.now, node + 1, job, 1), -ESTALE);
	assert_int_equal(pcore_sched_lost(b.s, b.now, node, once, 1), 1);
	listen(&b);
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_LOST);
	assert_int_equal(pcore_sched_lost(b.s, b.now, node, job, 1), 1);
	listen(&b);
	assert_int_equal(b.news[0].kind, PCORE_SCHED_AGAIN);
	assert_true(start_of(&b, 0)->a.job == job && start_of(&b, 0)->a.attempt == 2);
	assert_int_equal(pcore_sched_lost(b.s, b.now, node, job, 2), 1);
	listen(&b);
	assert_int_equal(over(&b)->outcome, PCORE_SCHED_LOST);
	pcore_sched_free(b.s);
}

static void requests_that_say_the_same_are_of_one_class(void **state)
{
	static const struct pcore_sched_need ab[] = { { "a", 1 }, { "b", 2 } }, ba[] = { { "b", 2 }, { "a", 1 } };
	static const struct pcore_sched_label kl[] = { { "k", "1", false }, { "l", "2", true } };
	static const struct pcore_sched_label lk[] = { { "l", "2", true }, { "k", "1", false } };
	struct bed b;

	(void)state;
	open_bed(&b, &(struct pcore_sched_spec){ 0 });
	submit(&b, 1, (struct pcore_sched_jobs){ .request = { .needs = ab, .n_needs = 2, .labels = kl, .n_labels = 2 } });
	submit(&b, 1, (struct pcore_sched_jobs){ .request = { .cpus = 1, .needs = ba, .n_needs = 2, .labels = lk, .n_labels = 2 } });
	assert_int_equal(pcore_sched_counts(b.s).classes, 1);
	submit(&b, 1, (struct pcore_sched_jobs){ .request = { .cpus = 2, .needs = ba, .n_needs = 2, .labels = lk, .n_labels = 2 } });
	assert_int_equal(pcore_sched_counts(b.s).classes, 2);
	assert_int_equal(pcore_sched_cancel(b.s, 1, 1, 1, PCORE_SCHED_END), 1);
	assert_int_equal(pcore_sched_cancel(b.s, 1, 2, 1, PCORE_SCHED_END), 1);
	assert_int_equal(pcore_sched_counts(b.s).classes, 1);
	pcore_sched_free(b.s);
}

/* ---- restart ---- */

static void a_restart_knows_what_was_written_and_adopts_what_was_not(void **state)
{
	struct pcore_sched_node n = { .name = "a", .instance = 1, .cpus = 2 };
	struct pcore_sched_claim claims[] = { { 1, 1, true, false, NULL, 0 }, { 2, 1, true, false, NULL, 0 } };
	struct pcore_sched_spec spec = { .persist = true };
	struct pcore_buf *records;
	struct bed b, c;
	uint64_t node;
	size_t durable;

	(void)state;
	open_bed(&b, &spec);
	submit(&b, 4, (struct pcore_sched_jobs){ .retry_lost = 1 });
	records = pcore_sched_records(b.s);
	durable = records->len;
	assert_int_equal(pcore_sched_node_join(b.s, 1, &n, NULL, 0, &node), 0);
	listen(&b);
	assert_int_equal(count(&b, PCORE_SCHED_START), 2);
	assert_true(records->len > durable);

	/* the starts are lost, but the node knows */
	assert_int_equal(pcore_sched_new(&c.s, &spec), 0);
	c.now = 1;
	assert_int_equal(pcore_sched_restore(c.s, 1, records->data, durable), 0);
	assert_int_equal(pcore_sched_restored(c.s, 1), 0);
	assert_int_equal(pcore_sched_node_join(c.s, 1, &n, claims, 2, &node), 0);
	listen(&c);
	assert_int_equal(c.n_acts, 0);
	done(&c, node, 1, 1, true);
	assert_int_equal(over(&c)->outcome, PCORE_SCHED_SUCCEEDED);
	assert_true(over(&c)->durable);
	assert_true(start_of(&c, 0)->a.job == 3);
	assert_int_equal(start_of(&c, 0)->a.attempt, 1 << 16 | 1);
	pcore_sched_free(c.s);

	/* nothing is lost: the node is waited for */
	assert_int_equal(pcore_sched_new(&c.s, &spec), 0);
	assert_int_equal(pcore_sched_restore(c.s, 1, records->data, records->len), 0);
	assert_int_equal(pcore_sched_restored(c.s, 1), 0);
	assert_int_equal(pcore_sched_counts(c.s).held, 2);
	assert_int_equal(pcore_sched_counts(c.s).queued, 2);
	assert_int_equal(pcore_sched_tick(c.s, pcore_sched_next_ns(c.s)), 0);
	assert_int_equal(pcore_sched_counts(c.s).queued, 4);
	pcore_sched_free(c.s);
	pcore_sched_free(b.s);
}

static void damaged_records_are_refused(void **state)
{
	struct pcore_sched_spec spec = { .persist = true };
	const struct pcore_buf *records;
	struct bed b;

	(void)state;
	open_bed(&b, &spec);
	submit(&b, 4, (struct pcore_sched_jobs){ 0 });
	join(&b, "a", 2);
	records = pcore_sched_records(b.s);
	for (size_t len = 0; len < records->len; len++) {
		struct pcore_sched *s;
		char *copy = malloc(records->len);

		assert_non_null(copy);
		memcpy(copy, records->data, records->len);
		copy[len] = (char)(copy[len] ^ 0x55);
		assert_int_equal(pcore_sched_new(&s, &spec), 0);
		pcore_sched_restore(s, 1, copy, records->len); /* whatever it says, it lives */
		pcore_sched_free(s);
		free(copy);
	}
	for (size_t len = 1; len < 5; len++) {
		struct pcore_sched *s;

		assert_int_equal(pcore_sched_new(&s, &spec), 0);
		assert_int_equal(pcore_sched_restore(s, 1, records->data, records->len - len), -EBADMSG);
		pcore_sched_free(s);
	}
	pcore_sched_free(b.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_starts_with_the_event_that_makes_it_possible),
		TEST(lower_priorities_go_first_and_equal_ones_in_their_order),
		TEST(clients_take_turns_within_a_priority),
		TEST(first_in_first_out_knows_no_clients),
		TEST(fair_shares_follow_the_weights),
		TEST(the_node_with_least_left_is_taken),
		TEST(what_a_request_takes_most_of_decides),
		TEST(numbered_resources_are_given_once),
		TEST(labels_and_names_bind_a_job_to_nodes),
		TEST(a_big_job_is_passed_so_often_and_then_gets_a_node),
		TEST(a_job_has_its_cookie_from_its_assignment_to_its_end),
		TEST(a_part_of_a_queued_array_can_be_cancelled),
		TEST(a_cancel_reaches_a_job_in_every_state),
		TEST(a_full_queue_refuses_and_says_when_there_is_room),
		TEST(a_dependent_waits_for_all_it_is_after),
		TEST(what_waits_for_a_failure_is_set_aside_and_so_on),
		TEST(a_failed_job_is_restarted_here_and_then_elsewhere_later_and_later),
		TEST(a_job_is_not_kept_waiting_for_a_node_it_cannot_restart_on),
		TEST(a_lost_job_runs_again_so_often),
		TEST(a_job_that_may_run_once_is_reported_when_it_is_lost),
		TEST(a_node_that_is_gone_may_be_told_to_be_dead),
		TEST(a_job_that_brings_nodes_down_is_set_aside),
		TEST(results_of_other_attempts_are_dropped_and_counted),
		TEST(a_node_that_comes_back_keeps_what_it_has),
		TEST(a_node_that_stays_away_is_lost_and_its_late_claims_are_refused),
		TEST(a_node_that_started_anew_has_lost_its_jobs),
		TEST(a_draining_node_ends_what_it_has_and_an_evicted_one_hands_it_on),
		TEST(a_node_that_connects_says_whether_it_drains),
		TEST(more_cpus_take_more_and_fewer_end_nothing),
		TEST(short_jobs_are_sent_ahead_and_promoted_in_their_order),
		TEST(more_is_sent_ahead_when_a_node_may_have_more),
		TEST(long_jobs_are_not_sent_ahead),
		TEST(what_is_ahead_is_taken_back_for_an_idle_node),
		TEST(what_is_ahead_makes_way_for_the_urgent),
		TEST(the_jobs_of_a_private_client_end_with_it),
		TEST(the_jobs_of_a_shared_client_go_on_without_it),
		TEST(an_exclusive_client_waits_for_what_runs_and_has_the_nodes_then),
		TEST(exclusive_clients_have_the_nodes_one_after_the_other),
		TEST(an_exclusive_client_that_cannot_run_anything_lets_others_pass),
		TEST(what_is_ahead_makes_way_for_an_exclusive_client),
		TEST(an_exclusive_client_is_one_after_a_restart),
		TEST(when_all_is_stopped_nothing_begins_and_what_runs_goes_on),
		TEST(that_no_node_can_run_a_job_is_said_at_once_and_why),
		TEST(when_the_last_node_for_a_job_leaves_that_is_said),
		TEST(bad_requests_are_refused),
		TEST(a_node_that_stays_may_lose_a_job),
		TEST(requests_that_say_the_same_are_of_one_class),
		TEST(a_restart_knows_what_was_written_and_adopts_what_was_not),
		TEST(damaged_records_are_refused),
	};

	return RUN_TESTS(tests);
}
