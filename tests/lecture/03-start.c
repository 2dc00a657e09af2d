/* SPDX-License-Identifier: MIT */
#include <pcore/process.h>
#include <stdio.h>

int main(void)
{
	char *argv[] = { "sh", "-c", "exit 4", NULL };
	struct pcore_process_spec spec = { .size = sizeof(spec), .argv = argv };
	struct pcore_process_result result = { .size = sizeof(result) };
	struct pcore_process *process;

	if (pcore_process_spawn(&process, &spec, NULL) < 0)
		return 1;
	puts("started");
	pcore_process_wait(process, PCORE_FOREVER, &result);
	printf("it returned %d\n", result.status);
	pcore_process_free(process);
	return 0;
}
