/* SPDX-License-Identifier: MIT */
#include <pcore/process.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	static const char text[] = "echo $((6 * 7))\necho bye\nexit 5\n";
	char *argv[] = { "sh", NULL };
	struct pcore_process_spec spec = {
		.size = sizeof(spec), .argv = argv, .in = { .how = PCORE_PROCESS_PIPE }, .out = { .how = PCORE_PROCESS_PIPE } };
	struct pcore_process_result result = { .size = sizeof(result) };
	struct pcore_process *sh;

	if (pcore_process_spawn(&sh, &spec, NULL) < 0)
		return 1;
	if (pcore_process_communicate(sh, text, strlen(text), PCORE_FOREVER, &result) == 0)
		printf("%sit returned %d\n", result.out, result.status);
	pcore_process_result_done(&result);
	pcore_process_free(sh);
	return 0;
}
