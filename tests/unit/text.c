/* SPDX-License-Identifier: MIT */
/*
 * text.c - tests of signal names and of escaping.
 */
#include <signal.h>

#include "tests/unit/support.h"

#include "libcore/base/base.h"

static void assert_name(int sig, const char *expected)
{
	char name[PCORE_SIGNAL_NAME_MAX];

	assert_string_equal(pcore_signal_name(sig, name), expected);
}

static void signals_have_names(void **state)
{
	(void)state;
	assert_name(SIGTERM, "SIGTERM");
	assert_name(SIGCHLD, "SIGCHLD");
	assert_name(SIGRTMIN, "SIGRTMIN");
	assert_name(SIGRTMIN + 1, "SIGRTMIN+1");
	assert_name(SIGRTMAX, "SIGRTMIN+30");
	assert_name(32, "SIG32");
	assert_name(0, "SIG0");
	assert_name(-5, "SIG-5");
	assert_name(INT32_MIN, "SIG-2147483648");
}

static void signals_are_read_as_users_write_them(void **state)
{
	static const struct {
		const char *text;
		int sig;
	} good[] = {
		{ "TERM", SIGTERM },
		{ "SIGTERM", SIGTERM },
		{ "term", SIGTERM },
		{ "SigKill", SIGKILL },
		{ "15", 15 },
		{ "CLD", SIGCHLD },
		{ "IOT", SIGABRT },
		{ "IO", SIGIO },
		{ "POLL", SIGIO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(pcore_signal_parse(good[i].text), good[i].sig);
	assert_int_equal(pcore_signal_parse("RTMIN"), SIGRTMIN);
	assert_int_equal(pcore_signal_parse("SIGRTMIN+1"), SIGRTMIN + 1);
	assert_int_equal(pcore_signal_parse("rtmax-2"), SIGRTMAX - 2);
	assert_int_equal(pcore_signal_parse("RTMIN+30"), SIGRTMAX);
}

static void what_is_no_signal_is_refused(void **state)
{
	static const char *const junk[] = { "", "0", "-1", "65", "TER", "TERMX", " TERM", "SIG",
		"SIG15", "SIGSIGTERM", "RTMIN+", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMAX-31",
		"RTMIN+x", "EXIT" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++)
		assert_int_equal(pcore_signal_parse(junk[i]), -EINVAL);
}

static void every_signal_reads_back_from_its_name(void **state)
{
	char name[PCORE_SIGNAL_NAME_MAX];

	(void)state;
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sig < 32 || sig >= SIGRTMIN)
			assert_int_equal(pcore_signal_parse(pcore_signal_name(sig, name)), sig);
}

static void foreign_bytes_cannot_drive_a_terminal(void **state)
{
	static const char src[] = "a\n\t\r\\\x1b[2J\x7f\0\xc3\xbc";
	char dst[64];

	(void)state;
	assert_int_equal(pcore_escape(dst, sizeof(dst), src, sizeof(src) - 1), 26);
	assert_string_equal(dst, "a\\n\\t\\r\\\\\\x1b[2J\\x7f\\x00\xc3\xbc");
}

static void what_does_not_fit_is_cut_at_a_whole_escape(void **state)
{
	char dst[8];

	(void)state;
	assert_int_equal(pcore_escape(dst, 1, "abc", 3), 0);
	assert_string_equal(dst, "");
	assert_int_equal(pcore_escape(dst, sizeof(dst), "1234567", 7), 7);
	assert_string_equal(dst, "1234567");
	assert_int_equal(pcore_escape(dst, sizeof(dst), "1234\x01z", 6), 4);
	assert_string_equal(dst, "1234");
	assert_int_equal(pcore_escape(dst, sizeof(dst), "123456\nz", 8), 6);
	assert_string_equal(dst, "123456");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(signals_have_names),
		TEST(signals_are_read_as_users_write_them),
		TEST(what_is_no_signal_is_refused),
		TEST(every_signal_reads_back_from_its_name),
		TEST(foreign_bytes_cannot_drive_a_terminal),
		TEST(what_does_not_fit_is_cut_at_a_whole_escape),
	};

	return RUN_TESTS(tests);
}
