/* SPDX-License-Identifier: MIT */
#include <pcore/process.h>
#include <stdio.h>

static void run(char *command, char *word, int how, const char *path)
{
	char *argv[] = { command, word, NULL };
	struct pcore_process_spec spec = { .size = sizeof(spec), .argv = argv, .out = { .how = how, .path = path } };
	struct pcore_process_result result = { .size = sizeof(result) };

	if (pcore_process_run(&spec, &result, NULL) == 0 && how == PCORE_PROCESS_PIPE)
		for (size_t i = 0; i < result.out_size; i++)
			putchar(result.out[i] >= 'a' && result.out[i] <= 'z' ? result.out[i] - 'a' + 'A' : result.out[i]);
	pcore_process_result_done(&result);
}

int main(void)
{
	run("echo", "nowhere", PCORE_PROCESS_NULL, NULL);
	run("echo", "to a file", PCORE_PROCESS_FILE, "out.txt");
	run("cat", "out.txt", PCORE_PROCESS_INHERIT, NULL);
	run("echo", "to a pipe", PCORE_PROCESS_PIPE, NULL);
	return 0;
}
