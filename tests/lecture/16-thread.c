/* SPDX-License-Identifier: MIT */
#include <pcore/thread.h>
#include <stdio.h>

static int64_t work(void *arg)
{
	puts(arg);
	return 0;
}

int main(void)
{
	struct pcore_thread_spec spec = { .size = sizeof(spec), .fn = work, .arg = "working", .name = "worker-1" };
	struct pcore_thread *thread;

	if (pcore_thread_new(&thread, &spec) < 0)
		return 1;
	puts(pcore_thread_name(thread));
	pcore_thread_start(thread);
	pcore_thread_join(thread, PCORE_FOREVER, NULL);
	pcore_thread_free(thread);
	return 0;
}
