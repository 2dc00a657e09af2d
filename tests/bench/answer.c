/* SPDX-License-Identifier: MIT */
/*
 * answer - a worker that answers each line with the line. Usage: answer batch|each
 * batch writes the answers to all that it has read at once, each writes every answer by itself.
 */
#include "tests/bench/bench.h"

enum { SIZE = 1 << 16 };

static void put(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(1, data, len);

		if (n < 0)
			die("write");
		data += n;
		len -= (size_t)n;
	}
}

int main(int argc, char **argv)
{
	static char buf[SIZE];
	bool each = argc == 2 && strcmp(argv[1], "each") == 0;
	size_t len = 0;
	ssize_t n;

	while ((n = read(0, buf + len, SIZE - len)) > 0) {
		const char *p = buf, *end = buf + len + n, *nl;

		len += (size_t)n;
		nl = each ? memchr(p, '\n', (size_t)(end - p)) : memrchr(p, '\n', (size_t)(end - p));
		for (; nl; nl = memchr(p, '\n', (size_t)(end - p))) {
			put(p, (size_t)(nl + 1 - p));
			p = nl + 1;
		}
		len = (size_t)(end - p);
		memmove(buf, p, len);
	}
	return n < 0;
}
