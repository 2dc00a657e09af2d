/* SPDX-License-Identifier: MIT */
#include <pcore/process.h>
#include <pcore/queue.h>
#include <stdio.h>

static int put(void *queue)
{
	for (int i = 1; i <= 3; i++)
		pcore_queue_put(queue, (char[]){ 'i', 't', 'e', 'm', ' ', (char)('0' + i) }, 6, PCORE_FOREVER);
	return pcore_queue_close(queue, false);
}

int main(void)
{
	struct pcore_queue_spec spec = { .size = sizeof(spec) };
	struct pcore_process *process;
	struct pcore_queue *queue;
	char *text;

	if (pcore_queue_open(&queue, "queue", &spec) < 0 || pcore_process_fork(&process, put, queue) < 0)
		return 1;
	while (pcore_queue_get(queue, &text, NULL, PCORE_FOREVER) == 0)
		puts(text); /* and free(text), in a program that goes on */
	pcore_process_wait(process, PCORE_FOREVER, NULL);
	return 0;
}
