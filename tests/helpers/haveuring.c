/* SPDX-License-Identifier: MIT */
/*
 * haveuring - exits 0 when the kernel grants this process an io_uring, 1 with the reason when not.
 */
#include <linux/io_uring.h>
#include <sys/syscall.h>

#include "tests/helpers/helper.h"

int main(void)
{
	struct io_uring_params params = { 0 };

	if (syscall(SYS_io_uring_setup, 1, &params) >= 0)
		return 0;
	fprintf(stderr, "haveuring: %s\n", strerror(errno));
	return 1;
}
