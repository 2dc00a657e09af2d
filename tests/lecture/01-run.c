/* SPDX-License-Identifier: MIT */
#include <pcore/process.h>
#include <stdio.h>

int main(void)
{
	char *argv[] = { "sh", "-c", "echo hello; exit 3", NULL };
	struct pcore_process_spec spec = { .size = sizeof(spec), .argv = argv };
	struct pcore_process_result result = { .size = sizeof(result) };

	if (pcore_process_run(&spec, &result, NULL) < 0)
		return 1;
	printf("it returned %d\n", result.status);
	pcore_process_result_done(&result);
	return 0;
}
