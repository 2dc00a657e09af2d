/* SPDX-License-Identifier: MIT */
/*
 * timerwire.c - tests of the frames between named timers and those who ask.
 */
#include "tests/unit/support.h"

#include "tools/ptimer/wire.c"

static struct pcore_buf b;

static int before(void **state)
{
	b = PCORE_BUF_INIT(0);
	return support_before(state);
}

static int after(void **state)
{
	pcore_buf_done(&b);
	return support_after(state);
}

#define WIRE_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static struct cli_frame frame(unsigned type)
{
	struct cli_frame f;
	size_t used;

	assert_int_equal(cli_frame_next(b.data, b.len, &f, &used), 1);
	assert_int_equal(used, b.len);
	assert_int_equal(f.type, type);
	return f;
}

static void put_event(void)
{
	static char *const env[] = { (char *)"A=1", (char *)"B=", NULL }, *const argv[] = { (char *)"echo", (char *)"", (char *)"x y", NULL };
	const struct control_event e = { .delay_ns = 5 * NS_PER_S, .priority = -7, .umask = 027, .dir = "/tmp" };

	assert_int_equal(control_put_event(&b, &e, env, argv), 0);
}

static void an_event_arrives_as_it_was_sent(void **state)
{
	struct control_event e;
	struct cli_frame f;

	(void)state;
	put_event();
	f = frame(CONTROL_ENTER);
	assert_int_equal(control_get_event(&f, &e), 0);
	assert_int_equal(e.delay_ns, 5 * NS_PER_S);
	assert_int_equal(e.priority, -7);
	assert_int_equal(e.umask, 027);
	assert_string_equal(e.dir, "/tmp");
	assert_int_equal(e.env.n, 2);
	assert_string_equal(cli_word(&e.env), "A=1");
	assert_string_equal(cli_word(&e.env), "B=");
	assert_int_equal(e.argv.n, 3);
	assert_string_equal(cli_word(&e.argv), "echo");
	assert_string_equal(cli_word(&e.argv), "");
	assert_string_equal(cli_word(&e.argv), "x y");
	assert_null(cli_word(&e.argv));
}

static void an_event_that_is_cut_anywhere_is_refused(void **state)
{
	struct control_event e;
	struct cli_frame f;
	size_t len;

	(void)state;
	put_event();
	f = frame(CONTROL_ENTER);
	for (len = f.len; f.len > 0;) {
		f.len--;
		assert_int_equal(control_get_event(&f, &e), -EPROTO);
	}
	f.len = len + 1; /* and one that goes on */
	assert_int_equal(pcore_buf_addc(&b, 'x'), 0);
	f.body = b.data + CLI_FRAME_HEADER;
	assert_int_equal(control_get_event(&f, &e), -EPROTO);
}

static void an_event_needs_a_directory_and_a_command(void **state)
{
	static char *const none[] = { NULL }, *const empty[] = { (char *)"", NULL }, *const word[] = { (char *)"x", NULL };
	struct control_event e = { .dir = "relative" };
	struct cli_frame f;

	(void)state;
	for (int i = 0; i < 4; i++) {
		char *const *argv = i == 1 ? none : i == 2 ? empty : word;

		pcore_buf_clear(&b);
		e.dir = i == 0 ? "relative" : "/";
		e.umask = i == 3 ? 01000 : 0;
		assert_int_equal(control_put_event(&b, &e, none, argv), 0);
		f = frame(CONTROL_ENTER);
		assert_int_equal(control_get_event(&f, &e), -EPROTO);
	}
}

static void another_version_is_told_from_nonsense(void **state)
{
	struct control_event e;
	struct cli_frame f;
	const char *name;

	(void)state;
	assert_int_equal(control_put_name(&b, CONTROL_TRIGGER, "dump"), 0);
	f = frame(CONTROL_TRIGGER);
	assert_int_equal(control_get_name(&f, &name), 0);
	assert_string_equal(name, "dump");
	b.data[CLI_FRAME_HEADER + 3]++;
	assert_int_equal(control_get_name(&f, &name), -EPROTONOSUPPORT);
	assert_int_equal(control_get_event(&f, &e), -EPROTONOSUPPORT);
	f.len = 3;
	assert_int_equal(control_get_name(&f, &name), -EPROTO);
}

static void a_name_is_one_word(void **state)
{
	struct cli_frame f;
	const char *name;

	(void)state;
	assert_int_equal(control_put_name(&b, CONTROL_LIST, "a"), 0);
	f = frame(CONTROL_LIST);
	b.data[b.len - 2] = '\0'; /* two empty ones */
	assert_int_equal(control_get_name(&f, &name), -EPROTO);
	b.data[b.len - 1] = 'x'; /* no end */
	assert_int_equal(control_get_name(&f, &name), -EPROTO);
}

static void a_timer_arrives_as_it_was_sent(void **state)
{
	static char *const argv[] = { (char *)"./dump", (char *)"--all", NULL };
	const struct control_timer sent = { .name = "dump", .state = CONTROL_RUNNING, .next_ns = 12 * NS_PER_S, .offset_s = -3600, .runs = 4,
		.failures = 2, .has_run = true, .status = 137, .signal = 9 };
	struct control_timer got;
	struct cli_frame f;

	(void)state;
	assert_int_equal(control_put_timer(&b, &sent, argv), 0);
	f = frame(CONTROL_TIMER);
	assert_int_equal(control_get_timer(&f, &got), 0);
	assert_string_equal(got.name, "dump");
	assert_int_equal(got.state, CONTROL_RUNNING);
	assert_int_equal(got.next_ns, 12 * NS_PER_S);
	assert_int_equal(got.offset_s, -3600);
	assert_int_equal(got.runs, 4);
	assert_int_equal(got.failures, 2);
	assert_true(got.has_run);
	assert_int_equal(got.status, 137);
	assert_int_equal(got.signal, 9);
	assert_int_equal(got.argv.n, 2);
	while (f.len > 0) {
		f.len--;
		assert_int_equal(control_get_timer(&f, &got), -EPROTO);
	}
}

static void an_answer_has_a_status_and_one_text(void **state)
{
	struct control_answer a;
	struct cli_frame f;

	(void)state;
	assert_int_equal(control_put_answer(&b, 1, "there is no 'x'"), 0);
	f = frame(CONTROL_ANSWER);
	assert_int_equal(control_get_answer(&f, &a), 0);
	assert_int_equal(a.status, 1);
	assert_string_equal(a.text, "there is no 'x'");
	while (f.len > 0) {
		f.len--;
		assert_int_equal(control_get_answer(&f, &a), -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(an_event_arrives_as_it_was_sent),
		WIRE_TEST(an_event_that_is_cut_anywhere_is_refused),
		WIRE_TEST(an_event_needs_a_directory_and_a_command),
		WIRE_TEST(another_version_is_told_from_nonsense),
		WIRE_TEST(a_name_is_one_word),
		WIRE_TEST(a_timer_arrives_as_it_was_sent),
		WIRE_TEST(an_answer_has_a_status_and_one_text),
	};

	return RUN_TESTS(tests);
}
