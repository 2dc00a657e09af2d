/* SPDX-License-Identifier: MIT */
#include <pcore/thread.h>
#include <stdio.h>
#include <unistd.h>
static volatile int number;
static int64_t add(void *mutex)
{
	for (int i = 0, old; i < 10; i++, mutex ? pcore_mutex_unlock(mutex) : 0) {
		old = (mutex ? pcore_mutex_lock(mutex, PCORE_FOREVER) : 0, number);
		usleep(1000);
		number = old + 1;
	}
	return 0;
}
int main(void)
{
	struct pcore_threads_spec spec = { .size = sizeof(spec), .threads = 4 };
	struct pcore_mutex *mutex[2] = { NULL, NULL }; /* none at first, then one */
	struct pcore_threads *pool;
	for (int turn = pcore_mutex_new(&mutex[1], 0); turn < 2 && pcore_threads_new(&pool, &spec) == 0; turn++) {
		for (int i = number = 0; i < 4; i++)
			pcore_threads_submit(pool, add, mutex[turn], PCORE_FOREVER, NULL);
		pcore_threads_free(pool);
		printf(turn == 0 && number < 40 ? "some were lost\n" : "%d\n", number);
	}
}
