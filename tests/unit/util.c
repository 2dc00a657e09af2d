/* SPDX-License-Identifier: MIT */
/*
 * util.c - tests of descriptors closed, written and read whole.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/support.h"

#include "libcore/base/base.h"

static void closing_gives_back_ebadf_and_keeps_errno(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	errno = ENOENT;
	fd = pcore_fd_close(fd);
	assert_int_equal(fd, -EBADF);
	assert_int_equal(pcore_fd_close(fd), -EBADF);
	assert_int_equal(errno, ENOENT);
}

static int open_and_maybe_take(bool take, int *ret)
{
	_cleanup_(fd_closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *p = strdup("text");

	if (fd < 0 || !p)
		return -errno;
	*ret = fd;
	if (take)
		*ret = TAKE_FD(fd);
	return 0;
}

static void what_is_taken_is_not_cleaned_up(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(open_and_maybe_take(true, &fd), 0);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	pcore_fd_close(fd);
	assert_int_equal(open_and_maybe_take(false, &fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void a_file_is_read_whole_or_refused(void **state)
{
	char buf[8];
	int fd = memfd_create("file", MFD_CLOEXEC);
	char path[32];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(pcore_file_read(AT_FDCWD, path, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(pcore_fd_write_all(fd, "1234567", 7), 0);
	assert_int_equal(pcore_file_read(AT_FDCWD, path, buf, sizeof(buf)), 7);
	assert_string_equal(buf, "1234567");
	assert_int_equal(pcore_fd_write_all(fd, "8", 1), 0);
	assert_int_equal(pcore_file_read(AT_FDCWD, path, buf, sizeof(buf)), -E2BIG);
	assert_int_equal(pcore_file_read(AT_FDCWD, "/no/such", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(pcore_file_read(AT_FDCWD, "/", buf, sizeof(buf)), -EISDIR);
	pcore_fd_close(fd);
}

static void text_is_written_to_a_file_that_is_there(void **state)
{
	char buf[8], path[32];
	int fd = memfd_create("file", MFD_CLOEXEC);

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(pcore_file_write(AT_FDCWD, path, "1\n"), 0);
	assert_int_equal(pcore_file_read(AT_FDCWD, path, buf, sizeof(buf)), 2);
	assert_string_equal(buf, "1\n");
	assert_int_equal(pcore_file_write(AT_FDCWD, "/no/such", "1"), -ENOENT);
	assert_int_equal(pcore_file_write(AT_FDCWD, "/dev/full", "1"), -ENOSPC);
	pcore_fd_close(fd);
}

static void a_write_error_is_reported(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pcore_fd_write_all(fd, "x", 1), -ENOSPC);
	assert_int_equal(pcore_fd_write_all(fd, "x", 0), 0);
	pcore_fd_close(fd);
	assert_int_equal(pcore_fd_write_all(-EBADF, "x", 1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(closing_gives_back_ebadf_and_keeps_errno),
		TEST(what_is_taken_is_not_cleaned_up),
		TEST(a_file_is_read_whole_or_refused),
		TEST(text_is_written_to_a_file_that_is_there),
		TEST(a_write_error_is_reported),
	};

	return RUN_TESTS(tests);
}
