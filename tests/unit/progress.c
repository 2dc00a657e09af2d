/* SPDX-License-Identifier: MIT */
/*
 * progress.c - tests of the progress line.
 */
#include "tools/cli/progress.h"

#include <pty.h>

#include "tests/unit/capture.h"
#include "tests/unit/support.h"

static struct cli_progress_state now;

static struct cli_progress_state state_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void expect_text(
	struct cli_progress_state s, int64_t elapsed_ns, enum cli_progress_style style, const char *expected)
{
	char text[320];

	cli_progress_text(text, sizeof(text), &s, elapsed_ns, style);
	assert_string_equal(text, expected);
}

static void the_line_tells_how_far_it_is(void **state)
{
	(void)state;
	expect_text(
		(struct cli_progress_state){ .done = 12, .failed = 1, .total = 40, .total_known = true, .running = 2 },
		3 * NS_PER_S, CLI_PROGRESS_LINE, "12/40 done, 2 running, 1 failed, 4.0/s, 7s left");
	expect_text((struct cli_progress_state){ .done = 7, .running = 3 }, 2 * NS_PER_S, CLI_PROGRESS_LINE,
		"7 done, 3 running, 0 failed, 3.5/s");
	expect_text((struct cli_progress_state){ .total = 9, .total_known = true, .running = 1 }, 0, CLI_PROGRESS_LINE,
		"0/9 done, 1 running, 0 failed, 0.0/s");
	expect_text((struct cli_progress_state){ .done = 9, .total = 9, .total_known = true }, NS_PER_S, CLI_PROGRESS_LINE,
		"9/9 done, 0 running, 0 failed, 9.0/s, 0s left");
}

static void the_time_left_has_a_fitting_unit(void **state)
{
	(void)state;
	expect_text((struct cli_progress_state){ .done = 1, .total = 76, .total_known = true }, NS_PER_S, CLI_PROGRESS_LINE,
		"1/76 done, 0 running, 0 failed, 1.0/s, 1m15s left");
	expect_text((struct cli_progress_state){ .done = 1, .total = 7262, .total_known = true }, NS_PER_S, CLI_PROGRESS_LINE,
		"1/7262 done, 0 running, 0 failed, 1.0/s, 2h01m left");
}

static void the_bar_is_as_full_as_the_run_is_far(void **state)
{
	(void)state;
	expect_text((struct cli_progress_state){ .total = 4, .total_known = true }, 0, CLI_PROGRESS_BAR,
		"[....................] 0/4 done, 0 running, 0 failed, 0.0/s");
	expect_text((struct cli_progress_state){ .done = 1, .total = 4, .total_known = true }, NS_PER_S, CLI_PROGRESS_BAR,
		"[#####...............] 1/4 done, 0 running, 0 failed, 1.0/s, 3s left");
	expect_text((struct cli_progress_state){ .done = 4, .total = 4, .total_known = true }, NS_PER_S, CLI_PROGRESS_BAR,
		"[####################] 4/4 done, 0 running, 0 failed, 4.0/s, 0s left");
	expect_text((struct cli_progress_state){ .done = 4 }, NS_PER_S, CLI_PROGRESS_BAR,
		"4 done, 0 running, 0 failed, 4.0/s"); /* of how many? */
}

static void a_line_of_json_has_every_field_each_time(void **state)
{
	(void)state;
	expect_text((struct cli_progress_state){ .done = 12, .failed = 1, .total = 40, .total_known = true, .running = 2 },
		3 * NS_PER_S, CLI_PROGRESS_JSON,
		"{\"done\":12,\"failed\":1,\"running\":2,\"total\":40,\"rate\":4.000,\"eta_s\":7.000,\"elapsed_s\":3.000000}");
	expect_text((struct cli_progress_state){ .done = 1, .running = 2 }, 3 * NS_PER_S / 2, CLI_PROGRESS_JSON,
		"{\"done\":1,\"failed\":0,\"running\":2,\"total\":null,\"rate\":0.667,\"eta_s\":null,\"elapsed_s\":1.500000}");
	expect_text((struct cli_progress_state){ .total_known = true }, 0, CLI_PROGRESS_JSON,
		"{\"done\":0,\"failed\":0,\"running\":0,\"total\":0,\"rate\":0.000,\"eta_s\":null,\"elapsed_s\":0.000000}");
}

static void the_longest_line_of_json_is_whole(void **state)
{
	struct cli_progress_state s = {
		.done = UINT64_MAX / 2, .failed = UINT64_MAX, .total = UINT64_MAX, .total_known = true, .running = UINT32_MAX
	};
	char text[320];

	(void)state;
	cli_progress_text(text, sizeof(text), &s, 1, CLI_PROGRESS_JSON);
	assert_int_equal(text[strlen(text) - 1], '}');
	s.done = 1;
	cli_progress_text(text, sizeof(text), &s, INT64_MAX, CLI_PROGRESS_JSON);
	assert_int_equal(text[strlen(text) - 1], '}');
}

static void a_line_that_is_too_long_is_cut(void **state)
{
	struct cli_progress_state s = {
		.done = UINT64_MAX, .failed = UINT64_MAX, .total = UINT64_MAX, .total_known = true, .running = 4000000000
	};
	char text[64];

	(void)state;
	for (size_t size = 1; size < sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		cli_progress_text(text, size, &s, 1, (enum cli_progress_style)(size % 3));
		assert_true(strlen(text) < size);
		assert_int_equal(text[size], 'x');
	}
}

/* ---- on the screen ---- */

static struct pcore_loop *lp;
static struct cli_progress p;
static bool (*writing)(void *ctx);

static void start_as(enum cli_progress_style style)
{
	assert_int_equal(pcore_loop_new(&lp, PCORE_LOOP_AUTO), 0);
	now = (struct cli_progress_state){ .done = 1, .failed = 1, .total = 2, .total_known = true };
	p = (struct cli_progress){ .style = style, .state = state_now, .writing = writing };
	cli_progress_start(&p, lp);
}

static void start(void)
{
	start_as(CLI_PROGRESS_LINE);
}

static void stop(void)
{
	cli_progress_stop(&p);
	cli_progress_stop(&p);
	assert_int_equal(pcore_loop_run(lp), 0);
	pcore_loop_free(lp);
}

static void a_file_gets_whole_lines_and_a_last_one(void **state)
{
	const char *text;

	(void)state;
	capture_begin(STDERR_FILENO);
	start();
	assert(pcore_loop_turn(lp, true) > 0);
	cli_progress_clear(&p); /* there is nothing to clear */
	now.done = 2;
	stop();
	text = capture_end();
	assert_int_equal(strncmp(text, "1/2 done, 0 running, 1 failed, ", 31), 0);
	assert_non_null(strstr(text, "\n2/2 done, 0 running, 1 failed, "));
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_null(strchr(text, '\r'));
	assert_null(strchr(text, '\033'));
}

static size_t count(const char *in, const char *what)
{
	size_t n = 0;

	for (in = strstr(in, what); in; in = strstr(in + 1, what))
		n++;
	return n;
}

static void json_comes_every_half_second_and_at_the_end(void **state)
{
	int64_t from = pcore_now_ns();
	const char *text;

	(void)state;
	capture_begin(STDERR_FILENO);
	start_as(CLI_PROGRESS_JSON);
	assert(pcore_loop_turn(lp, true) > 0);
	assert_true(pcore_now_ns() - from >= NS_PER_S / 2);
	now.done = 2;
	stop();
	text = capture_end();
	assert_int_equal(strncmp(text, "{\"done\":1,", 10), 0);
	assert_int_equal(count(text, "\n"), 2);
	assert_non_null(strstr(text, "}\n{\"done\":2,"));
	assert_int_equal(text[strlen(text) - 1], '\n');
}

/* What the line does on a terminal: drawn, cleared twice, drawn again, stopped. */
static const char *on_terminal(unsigned short columns)
{
	static char text[2048];
	struct winsize size = { .ws_row = 24, .ws_col = columns };
	int master, slave, saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
	size_t len = 0;
	ssize_t n;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	dup2(slave, STDERR_FILENO);
	start();
	assert(pcore_loop_turn(lp, true) > 0);
	cli_progress_clear(&p);
	cli_progress_clear(&p);
	assert(pcore_loop_turn(lp, true) > 0);
	stop();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(slave);
	while ((n = read(master, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(master);
	text[len] = '\0';
	return text;
}

static void a_terminal_has_one_line_that_goes_away(void **state)
{
	const char *text;

	(void)state;
	unsetenv("NO_COLOR");
	text = on_terminal(80);
	assert_int_equal(strncmp(text, "\r\033[31m1/2 done, ", 15), 0);
	assert_int_equal(count(text, "1/2 done"), 2);
	assert_int_equal(count(text, "\033[0m\033[K"), 2);
	assert_int_equal(count(text, "\r\033[K"), 2);
	assert_null(strchr(text, '\n'));
	assert_string_equal(text + strlen(text) - 4, "\r\033[K");
}

static bool in_flight;

static bool other_output(void *ctx)
{
	(void)ctx;
	return in_flight;
}

static void what_is_on_its_way_to_the_screen_goes_first(void **state)
{
	(void)state;
	assert_int_equal(count(on_terminal(80), "1/2 done"), 2);
	writing = other_output;
	in_flight = true;
	assert_string_equal(on_terminal(80), "");
	in_flight = false;
	assert_int_equal(count(on_terminal(80), "1/2 done"), 2);
	writing = NULL;
}

static void no_colour_is_used_where_none_is_wanted(void **state)
{
	const char *text;

	(void)state;
	setenv("NO_COLOR", "1", 1);
	text = on_terminal(80);
	unsetenv("NO_COLOR");
	assert_int_equal(strncmp(text, "\r1/2 done, ", 11), 0);
	assert_null(strstr(text, "\033[31m"));
}

static void a_narrow_terminal_gets_what_fits_into_a_line(void **state)
{
	const char *text;

	(void)state;
	setenv("NO_COLOR", "1", 1);
	text = on_terminal(20);
	assert_int_equal(strncmp(text, "\r1/2 done, 0 running\033[K", 23), 0);
	text = on_terminal(1);
	assert_int_equal(strncmp(text, "\r\033[K", 4), 0);
	text = on_terminal(0); /* nobody knows how wide it is */
	assert_non_null(strstr(text, " left\033[K"));
	unsetenv("NO_COLOR");
}

static void a_line_that_was_never_started_does_nothing(void **state)
{
	const char *text;

	(void)state;
	p = (struct cli_progress){ .state = state_now };
	capture_begin(STDERR_FILENO);
	cli_progress_clear(&p);
	cli_progress_stop(&p);
	text = capture_end();
	assert_string_equal(text, "");
}

static const struct CMUnitTest tests[] = {
	TEST(the_line_tells_how_far_it_is),
	TEST(the_time_left_has_a_fitting_unit),
	TEST(the_bar_is_as_full_as_the_run_is_far),
	TEST(a_line_of_json_has_every_field_each_time),
	TEST(the_longest_line_of_json_is_whole),
	TEST(a_line_that_is_too_long_is_cut),
	TEST(a_file_gets_whole_lines_and_a_last_one),
	TEST(json_comes_every_half_second_and_at_the_end),
	TEST(a_terminal_has_one_line_that_goes_away),
	TEST(what_is_on_its_way_to_the_screen_goes_first),
	TEST(no_colour_is_used_where_none_is_wanted),
	TEST(a_narrow_terminal_gets_what_fits_into_a_line),
	TEST(a_line_that_was_never_started_does_nothing),
};

int main(void)
{
	return RUN_TESTS(tests);
}
