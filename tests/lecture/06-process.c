/* SPDX-License-Identifier: MIT */
#include <pcore/process.h>
#include <stdio.h>

static int hello(void *arg)
{
	printf("hello from %s\n", (char *)arg);
	return 0;
}

int main(void)
{
	struct pcore_process *process;

	if (pcore_process_fork(&process, hello, "a process") < 0)
		return 1;
	pcore_process_wait(process, PCORE_FOREVER, NULL);
	pcore_process_free(process);
	return 0;
}
