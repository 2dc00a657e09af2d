/* SPDX-License-Identifier: MIT */
/*
 * writer - writes MIB MiB of 75-byte lines to stdout as fast as the reader takes them.
 * Usage: writer MIB [IGNORED...]. The job of the collation bench; the last line may be cut.
 */
#include "tests/bench/bench.h"

enum { LINE = 75, CHUNK = 64 * 1024, SLACK = 2 * LINE };

static void write_all(const char *p, size_t n)
{
	while (n) {
		ssize_t r = write(STDOUT_FILENO, p, n);

		if (r < 0)
			die("writer");
		p += r;
		n -= (size_t)r;
	}
}

int main(int argc, char **argv)
{
	static char buf[CHUNK + SLACK];
	size_t left;

	if (argc < 2)
		return 125;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = i % LINE == LINE - 1 ? '\n' : (char)('a' + i % 26);
	left = (size_t)number(argv[1], 1024) << 20;
	for (size_t pos = 0; left;) {
		size_t n = left < CHUNK ? left : CHUNK;

		write_all(buf + pos, n);
		pos = (pos + n) % LINE;
		left -= n;
	}
	return 0;
}
