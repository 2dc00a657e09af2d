/* SPDX-License-Identifier: MIT */
/*
 * state.c - tests of the file that says what ptimer has dealt with.
 */
#include "tests/unit/support.h"

#include <signal.h>
#include <sys/resource.h>

#include "tools/ptimer/state.c"

static char dir[] = "/tmp/pcore-state.XXXXXX", path[64];
static struct pcore_loop *loop;
static struct state st;

static int before(void **state)
{
	(void)support_before(state);
	strcpy(dir, "/tmp/pcore-state.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	return pcore_loop_new(&loop, PCORE_LOOP_AUTO);
}

static int after(void **state)
{
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0); /* nothing else is left in it */
	pcore_loop_free(loop);
	return support_after(state);
}

struct waiter {
	struct state_wait wait;
	unsigned told;
	int error;
};

static void told(void *ctx, struct state_wait *w, int error)
{
	struct waiter *x = container_of(w, struct waiter, wait);

	(void)ctx;
	x->told++;
	x->error = error;
}

static void open_it(void)
{
	assert_int_equal(state_open(&st, path), 0);
	st.recorded = told;
	state_start(&st, loop);
}

static void close_it(void)
{
	state_stop(&st);
	assert_int_equal(pcore_loop_run(loop), 0);
	state_done(&st);
}

static size_t slurp(char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, size - 1, f);
	fclose(f);
	buf[n] = '\0';
	return n;
}

static void spill(const char *text, size_t len)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static void expect_time(const char *key, int64_t expected)
{
	int64_t time = 0;

	assert_true(state_find(&st, key, &time));
	assert_int_equal(time, expected);
}

/* A file with three timers, one of which was recorded twice. Returns its length. */
static size_t make_file(char *text, size_t size)
{
	open_it();
	assert_int_equal(state_add(&st, "backup", 5, NULL), 0);
	assert_int_equal(state_add(&st, "on Mon..Fri 08:00", -7, NULL), 0);
	assert_int_equal(state_add(&st, "backup", 12345678901234567, NULL), 0);
	assert_int_equal(state_add(&st, "x", INT64_MIN, NULL), 0);
	close_it();
	return slurp(text, size);
}

static void what_is_recorded_is_found_by_the_next_process(void **state)
{
	struct waiter w = { 0 };
	int64_t time;

	(void)state;
	open_it();
	assert_false(state_find(&st, "backup", &time));
	assert_int_equal(state_add(&st, "backup", 42, &w.wait), 0);
	assert_int_equal(w.told, 0); /* not from within */
	assert_int_equal(pcore_loop_run(loop), 0);
	assert_int_equal(w.told, 1);
	assert_int_equal(w.error, 0);
	expect_time("backup", 42);
	close_it();
	open_it();
	expect_time("backup", 42);
	assert_false(state_find(&st, "back", &time));
	close_it();
}

static void the_last_of_several_counts(void **state)
{
	char text[512];

	(void)state;
	make_file(text, sizeof(text));
	for (int i = 0; i < 2; i++) { /* as it was added to, and as it was replaced */
		open_it();
		expect_time("backup", 12345678901234567);
		expect_time("on Mon..Fri 08:00", -7);
		expect_time("x", INT64_MIN);
		close_it();
	}
	slurp(text, sizeof(text));
	assert_string_equal(text, HEADER "d87015a4 12345678901234567 backup\n"
				  "d4ddaba2 -7 on Mon..Fri 08:00\n"
				  "9fdacd2f -9223372036854775808 x\n");
}

static void a_failed_sync_is_told(void **state)
{
	struct waiter w = { 0 };

	(void)state;
	open_it();
	pcore_fault_set("fsync:1:EIO");
	assert_int_equal(state_add(&st, "a", 1, &w.wait), 0);
	assert_int_equal(pcore_loop_run(loop), 0);
	pcore_fault_set("");
	assert_int_equal(w.told, 1);
	assert_int_equal(w.error, -EIO);
	close_it();
}

static void records_that_come_together_are_synced_together(void **state)
{
	struct waiter w[100];
	char key[24];

	(void)state;
	open_it();
	pcore_fault_set("fsync:3:EIO"); /* the first one, and one for all others */
	for (int i = 0; i < 100; i++) {
		w[i] = (struct waiter){ 0 };
		snprintf(key, sizeof(key), "timer-%d", i);
		assert_int_equal(state_add(&st, key, i, &w[i].wait), 0);
	}
	assert_int_equal(pcore_loop_run(loop), 0);
	pcore_fault_set("");
	for (int i = 0; i < 100; i++)
		assert_true(w[i].told == 1 && w[i].error == 0);
	close_it();
}

static void nobody_is_told_after_the_end(void **state)
{
	struct waiter w = { 0 };

	(void)state;
	open_it();
	assert_int_equal(state_add(&st, "a", 1, &w.wait), 0);
	close_it();
	assert_int_equal(w.told, 0);
}

static void two_processes_do_not_share_a_file(void **state)
{
	struct state other;

	(void)state;
	open_it();
	assert_int_equal(state_open(&other, path), -EBUSY);
	state_done(&other);
	close_it();
	assert_int_equal(state_open(&other, path), 0);
	state_done(&other);
}

static void a_long_file_is_replaced_and_stays_locked(void **state)
{
	struct waiter w = { 0 };
	struct state other;
	char text[512];

	(void)state;
	open_it();
	st.compact_at = 200;
	for (int i = 1; i <= 50; i++) {
		assert_int_equal(state_add(&st, "a", i, &w.wait), 0);
		assert_int_equal(pcore_loop_run(loop), 0);
		st.compact_at = 200;
		assert_int_equal(w.told, i);
		assert_int_equal(w.error, 0);
		assert_true(st.size <= 230);
		assert_int_equal(slurp(text, sizeof(text)), st.size);
		assert_int_equal(state_open(&other, path), -EBUSY);
		state_done(&other);
	}
	close_it();
	open_it();
	expect_time("a", 50);
	close_it();
}

static void what_a_crash_has_cut_is_left_out(void **state)
{
	char text[512];
	size_t len = make_file(text, sizeof(text));
	int64_t time;

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		spill(text, cut);
		if (cut > 0 && cut < strlen(HEADER)) {
			assert_int_equal(state_open(&st, path), -EBADMSG);
			state_done(&st);
			continue;
		}
		open_it();
		assert_int_equal(state_find(&st, "x", &time), cut == len);
		if (state_find(&st, "backup", &time))
			assert_true(time == 5 || time == 12345678901234567);
		close_it();
	}
}

static void damage_is_found_wherever_it_is(void **state)
{
	char text[512], got[512];
	size_t len = make_file(text, sizeof(text));

	(void)state;
	for (size_t i = 0; i + 1 < len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			text[i] = (char)(text[i] ^ 1 << bit);
			spill(text, len);
			assert_int_equal(state_open(&st, path), -EBADMSG);
			assert_true(st.bad_line >= 1 && st.bad_line <= 5);
			state_done(&st);
			assert_int_equal(slurp(got, sizeof(got)), len); /* it is left as it is */
			assert_memory_equal(got, text, len);
			text[i] = (char)(text[i] ^ 1 << bit);
		}
	}
}

static void what_is_no_such_file_is_refused(void **state)
{
	char other[80];

	(void)state;
	assert_int_equal(state_open(&st, dir), -EISDIR);
	state_done(&st);
	assert_int_equal(state_open(&st, "/nowhere/at/all"), -ENOENT);
	state_done(&st);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(state_open(&st, path), -EINVAL);
	state_done(&st);
	assert_int_equal(unlink(path), 0);
	snprintf(other, sizeof(other), "%s.other", path);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(state_open(&st, path), -ELOOP);
	state_done(&st);
}

static void a_record_that_cannot_be_written_leaves_the_file_whole(void **state)
{
	struct rlimit old, low;
	int64_t time;

	(void)state;
	open_it();
	assert_int_equal(state_add(&st, "a", 1, NULL), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = (struct rlimit){ st.size + 10, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(state_add(&st, "b", 2, NULL), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	assert_false(state_find(&st, "b", &time));
	assert_int_equal(state_add(&st, "c", 3, NULL), 0);
	close_it();
	open_it();
	expect_time("a", 1);
	expect_time("c", 3);
	close_it();
}

static void a_key_is_one_line(void **state)
{
	char key[STATE_KEY_MAX + 2];

	(void)state;
	memset(key, 'k', sizeof(key));
	key[STATE_KEY_MAX] = '\0';
	assert_true(state_is_key(key));
	key[STATE_KEY_MAX] = 'k';
	key[STATE_KEY_MAX + 1] = '\0';
	assert_false(state_is_key(key));
	assert_true(state_is_key("cron */5 * * * *"));
	assert_false(state_is_key(""));
	assert_false(state_is_key("a\nb"));
	assert_false(state_is_key("a\tb"));
}

#define STATE_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STATE_TEST(what_is_recorded_is_found_by_the_next_process),
		STATE_TEST(the_last_of_several_counts),
		STATE_TEST(a_failed_sync_is_told),
		STATE_TEST(records_that_come_together_are_synced_together),
		STATE_TEST(nobody_is_told_after_the_end),
		STATE_TEST(two_processes_do_not_share_a_file),
		STATE_TEST(a_long_file_is_replaced_and_stays_locked),
		STATE_TEST(what_a_crash_has_cut_is_left_out),
		STATE_TEST(damage_is_found_wherever_it_is),
		STATE_TEST(what_is_no_such_file_is_refused),
		STATE_TEST(a_record_that_cannot_be_written_leaves_the_file_whole),
		STATE_TEST(a_key_is_one_line),
	};

	return RUN_TESTS(tests);
}
