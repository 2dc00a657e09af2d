/* SPDX-License-Identifier: MIT */
/*
 * fault.c - tests of the fault seam.
 */
#include "tests/unit/support.h"

#include "libcore/base/base.h"

static void without_rules_nothing_fails(void **state)
{
	size_t len = 10;

	(void)state;
	unsetenv("PCORE_FAULT");
	assert_int_equal(pcore_fault_set(NULL), 0);
	assert_int_equal(pcore_fault("write", &len), 0);
	assert_int_equal(len, 10);
}

static void only_the_nth_of_its_kind_fails(void **state)
{
	(void)state;
	assert_int_equal(pcore_fault_set("write:3:ENOSPC,fsync:1:EIO"), 0);
	assert_int_equal(pcore_fault("write", NULL), 0);
	assert_int_equal(pcore_fault("fsync", NULL), -EIO);
	assert_int_equal(pcore_fault("write", NULL), 0);
	assert_int_equal(pcore_fault("read", NULL), 0);
	assert_int_equal(pcore_fault("write", NULL), -ENOSPC);
	assert_int_equal(pcore_fault("write", NULL), 0);
	assert_int_equal(pcore_fault("fsync", NULL), 0);
}

static void with_a_plus_all_from_the_nth_on_fail(void **state)
{
	(void)state;
	assert_int_equal(pcore_fault_set("spawn:2+:EAGAIN"), 0);
	assert_int_equal(pcore_fault("spawn", NULL), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(pcore_fault("spawn", NULL), -EAGAIN);
}

static void a_short_one_lowers_the_length_and_never_raises_it(void **state)
{
	size_t len = 100;

	(void)state;
	assert_int_equal(pcore_fault_set("write:1+:short=7"), 0);
	assert_int_equal(pcore_fault("write", &len), 0);
	assert_int_equal(len, 7);
	len = 3;
	assert_int_equal(pcore_fault("write", &len), 0);
	assert_int_equal(len, 3);
	assert_int_equal(pcore_fault("write", NULL), 0);
}

static void the_rules_come_from_the_environment(void **state)
{
	(void)state;
	setenv("PCORE_FAULT", "read:1:EINTR", 1);
	assert_int_equal(pcore_fault_set(NULL), 0);
	assert_int_equal(pcore_fault("read", NULL), -EINTR);
	unsetenv("PCORE_FAULT");
}

static void a_rule_that_is_none_is_refused(void **state)
{
	static const char *const junk[] = { "write", "write:1", "write:0:EIO", "write:x:EIO",
		"write::EIO", "write:+:EIO", ":1:EIO", "write:1:ENOTHING",
		"write:1:short=", "write:1:short=x", "write:1:EIO,", ",", "write:1:EIO:more" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++) {
		assert_int_equal(pcore_fault_set(junk[i]), -EINVAL);
		assert_int_equal(pcore_fault("write", NULL), 0);
	}
	assert_int_equal(pcore_fault_set(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_rules_nothing_fails),
		TEST(only_the_nth_of_its_kind_fails),
		TEST(with_a_plus_all_from_the_nth_on_fail),
		TEST(a_short_one_lowers_the_length_and_never_raises_it),
		TEST(the_rules_come_from_the_environment),
		TEST(a_rule_that_is_none_is_refused),
	};

	return RUN_TESTS(tests);
}
