/* SPDX-License-Identifier: MIT */
/*
 * proc_feeder.c - tests of what a feeder writes: pieces that come one by one, and ranges of files.
 */
#include "tests/unit/running.h"

#include <sys/mman.h>

enum { PIECES_MAX = 8, FILE_SIZE = 3 << 20 };

static struct run the;
static struct pcore_piece pieces[PIECES_MAX];
static unsigned n_pieces, given;
static bool hold; /* there are none now */

static int next_piece(struct pcore_feeder *f, struct pcore_piece *ret)
{
	(void)f;
	if (given == n_pieces)
		return -ENODATA;
	if (hold)
		return 0;
	*ret = pieces[given++];
	return 1;
}

static void start(const char *command, const struct pcore_piece *list, unsigned n)
{
	run_init(&the, command);
	run_fd(&the, 0, PCORE_FD_PIPE_IN, -1);
	run_captured(&the);
	run_start(&the);
	memcpy(pieces, list, n * sizeof(*list));
	n_pieces = n;
	given = 0;
	hold = false;
	the.feeder.next = next_piece;
	assert_int_equal(pcore_feeder_start(&the.feeder, world.lp, the.fds[0].fd, NULL, 0), 0);
	assert_int_equal(the.fed, 0);
}

static struct pcore_piece text(const char *s)
{
	return (struct pcore_piece){ .data = s, .len = strlen(s) };
}

/* A file with bytes that differ, and the sum of those in from..to. */
static int make_file(size_t from, size_t to, uint64_t *ret_sum)
{
	char *data = malloc(FILE_SIZE);
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_non_null(data);
	assert_true(fd >= 0);
	*ret_sum = 0;
	for (size_t i = 0; i < FILE_SIZE; i++) {
		data[i] = (char)(i * 31 >> 4);
		if (i >= from && i < to)
			*ret_sum += (unsigned char)data[i];
	}
	assert_int_equal(write(fd, data, FILE_SIZE), FILE_SIZE);
	free(data);
	return fd;
}

static void pieces_are_written_one_after_the_other(void **state)
{
	(void)state;
	start("cat", (struct pcore_piece[]){ text("one "), text(""), text("two "), text("three\n") }, 4);
	run_finish(&the);
	assert_int_equal(the.fed, 1);
	assert_int_equal(the.feed_result, 0);
	assert_string_equal(the.out[0].text, "one two three\n");
}

static void no_piece_at_all_is_the_end_of_file(void **state)
{
	(void)state;
	start("wc -c", pieces, 0);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "0\n");
}

static void a_feeder_waits_until_there_is_another_piece(void **state)
{
	(void)state;
	start("read x; echo $x; cat", (struct pcore_piece[]){ text("a\n"), text("b\n") }, 2);
	pcore_feeder_go_on(&the.feeder); /* it does not wait: nothing happens */
	turn_until(given == 1);
	hold = true;
	turn_until(the.out[0].len == 2);
	turn_until(the.feeder.waiting);
	pcore_feeder_go_on(&the.feeder);
	assert_true(the.feeder.waiting);
	hold = false;
	pcore_feeder_go_on(&the.feeder);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "a\nb\n");
	assert_int_equal(the.fed, 1);
}

static void a_feeder_that_waits_can_be_stopped(void **state)
{
	(void)state;
	start("cat", (struct pcore_piece[]){ text("a\n"), text("b\n") }, 2);
	turn_until(given == 1);
	hold = true;
	turn_until(the.feeder.waiting);
	pcore_feeder_stop(&the.feeder);
	assert_int_equal(the.fed, 1);
	run_finish(&the);
	assert_string_equal(the.out[0].text, "a\n");
}

static void a_stop_counts_even_if_a_result_has_arrived(void **state)
{
	(void)state;
	start("cat", (struct pcore_piece[]){ text("a"), text("b"), text("c") }, 3);
	turn_until(given == 1);
	pcore_feeder_stop(&the.feeder);
	run_finish(&the);
	assert_int_equal(the.fed, 1);
	assert_true(given < 3);
}

static void what_a_reader_left_is_told(void **state)
{
	static char big[3 << 20];

	(void)state;
	start("exec 0<&-; echo gone; sleep 0.2", (struct pcore_piece[]){ { .data = big, .len = sizeof(big) } }, 1);
	run_finish(&the);
	assert_int_equal(the.feed_result, 0);
	assert_true(the.feeder.piece.len > 0);
}

static void ranges_of_a_file_go_in_unchanged(void **state)
{
	uint64_t sum;
	int fd = make_file(1000, 2500000, &sum);

	(void)state;
	start("cat", (struct pcore_piece[]){ { .fd = fd, .offset = 1000, .len = 1000000 },
		{ .fd = fd, .offset = 1001000, .len = 1499000 } }, 2);
	run_finish(&the);
	assert_int_equal(the.feed_result, 0);
	assert_int_equal(the.out[0].len, 2499000);
	assert_int_equal(the.out[0].sum, sum);
	close(fd);
}

static void a_range_that_no_one_reads_is_no_error(void **state)
{
	uint64_t sum;
	int fd = make_file(0, 0, &sum);

	(void)state;
	start("head -c 1 >/dev/null", (struct pcore_piece[]){ { .fd = fd, .offset = 0, .len = FILE_SIZE } }, 1);
	run_finish(&the);
	assert_int_equal(the.fed, 1);
	assert_int_equal(the.feed_result, 0);
	assert_true(the.feeder.piece.len > 0);
	close(fd);
}

static void a_file_that_has_become_shorter_is_told(void **state)
{
	uint64_t sum;
	int fd = make_file(0, 100, &sum);

	(void)state;
	assert_int_equal(ftruncate(fd, 100), 0);
	start("cat", (struct pcore_piece[]){ { .fd = fd, .offset = 0, .len = FILE_SIZE } }, 1);
	run_finish(&the);
	assert_int_equal(the.feed_result, -ESTALE);
	assert_int_equal(the.out[0].len, 100);
	assert_int_equal(the.out[0].sum, sum);
	close(fd);
}

static void short_splices_lose_nothing_and_failed_ones_are_told(void **state)
{
	uint64_t sum;
	int fd = make_file(5, 3005, &sum);

	(void)state;
	pcore_fault_set("splice:1+:short=700");
	start("cat", (struct pcore_piece[]){ { .fd = fd, .offset = 5, .len = 3000 } }, 1);
	run_finish(&the);
	assert_int_equal(the.out[0].len, 3000);
	assert_int_equal(the.out[0].sum, sum);
	pcore_fault_set("splice:1:EIO");
	start("cat", (struct pcore_piece[]){ { .fd = fd, .offset = 5, .len = 3000 } }, 1);
	run_finish(&the);
	pcore_fault_set("");
	assert_int_equal(the.feed_result, -EIO);
	assert_int_equal(the.out[0].len, 0);
	close(fd);
}

static const struct CMUnitTest tests[] = {
	TREE_TEST(pieces_are_written_one_after_the_other),
	TREE_TEST(no_piece_at_all_is_the_end_of_file),
	TREE_TEST(a_feeder_waits_until_there_is_another_piece),
	TREE_TEST(a_feeder_that_waits_can_be_stopped),
	TREE_TEST(a_stop_counts_even_if_a_result_has_arrived),
	TREE_TEST(what_a_reader_left_is_told),
	TREE_TEST(ranges_of_a_file_go_in_unchanged),
	TREE_TEST(a_range_that_no_one_reads_is_no_error),
	TREE_TEST(a_file_that_has_become_shorter_is_told),
	TREE_TEST(short_splices_lose_nothing_and_failed_ones_are_told),
};

int main(void)
{
	return RUN_TESTS(tests);
}
