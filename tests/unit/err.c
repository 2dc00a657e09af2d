/* SPDX-License-Identifier: MIT */
/*
 * err.c - tests of errors that tell their step and subject.
 */
#include "tests/unit/support.h"

#include "libcore/base/base.h"

static void an_error_keeps_code_step_and_subject(void **state)
{
	struct pcore_err err;

	(void)state;
	assert_int_equal(pcore_err_set(&err, -ENOENT, PCORE_STEP_CHDIR, "/no/such"), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_int_equal(err.step, PCORE_STEP_CHDIR);
	assert_string_equal(err.subject, "/no/such");
}

static void a_subject_too_long_is_cut(void **state)
{
	char subject[PCORE_ERR_SUBJECT_MAX * 2];
	struct pcore_err err;

	(void)state;
	memset(subject, 'x', sizeof(subject) - 1);
	subject[sizeof(subject) - 1] = '\0';
	pcore_err_set(&err, -ENAMETOOLONG, PCORE_STEP_OPEN, subject);
	assert_int_equal(strlen(err.subject), PCORE_ERR_SUBJECT_MAX - 1);
}

static void no_subject_is_an_empty_one_and_no_error_is_fine(void **state)
{
	struct pcore_err err;

	(void)state;
	assert_int_equal(pcore_err_set(NULL, -EPERM, PCORE_STEP_CLONE, "x"), -EPERM);
	pcore_err_set(&err, -EPERM, PCORE_STEP_CLONE, NULL);
	assert_string_equal(err.subject, "");
}

static void every_step_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int a = 0; a < PCORE_STEP_COUNT; a++) {
		assert_non_null(pcore_step_name((enum pcore_step)a));
		for (int b = 0; b < a; b++)
			assert_string_not_equal(pcore_step_name((enum pcore_step)a),
				pcore_step_name((enum pcore_step)b));
	}
	assert_string_equal(pcore_step_name(PCORE_STEP_EXEC), "exec");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_error_keeps_code_step_and_subject),
		TEST(a_subject_too_long_is_cut),
		TEST(no_subject_is_an_empty_one_and_no_error_is_fine),
		TEST(every_step_has_a_name_of_its_own),
	};

	return RUN_TESTS(tests);
}
