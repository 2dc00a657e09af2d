/* SPDX-License-Identifier: MIT */
/*
 * cpus - how many CPUs two busy threads really get: 2 is perfect, 1 means that they shared one.
 * Usage: cpus [MILLISECONDS]. Prints the speed-up of two threads over one, each doing the same
 * fixed work.
 */
#include <pthread.h>

#include "tests/bench/bench.h"

static uint64_t spins = 20000000;

static void *spin(void *arg)
{
	for (uint64_t i = 0; i < spins; i++)
		__asm__ volatile("");
	return arg;
}

static int64_t spin_ns(void)
{
	int64_t t0 = now_ns();

	spin(NULL);
	return now_ns() - t0;
}

static int64_t spin_twice_ns(void)
{
	int64_t t0 = now_ns();
	pthread_t t;

	errno = pthread_create(&t, NULL, spin, NULL);
	if (errno)
		die("pthread_create");
	spin(NULL);
	pthread_join(t, NULL);
	return now_ns() - t0;
}

int main(int argc, char **argv)
{
	unsigned ms = argc > 1 ? number(argv[1], 10000) : 200;
	int64_t one;

	spins = (uint64_t)((double)spins * ms * 1e6 / (double)spin_ns());
	one = spin_ns();
	printf("%.2f\n", 2.0 * (double)one / (double)spin_twice_ns());
	return 0;
}
