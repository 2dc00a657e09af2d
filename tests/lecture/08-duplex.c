/* SPDX-License-Identifier: MIT */
#include <pcore/channel.h>
#include <pcore/process.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static int shout(void *arg)
{
	char *text;
	for (size_t n; pcore_channel_recv(arg, &text, &n, PCORE_FOREVER) == 1; pcore_channel_send(arg, text, n, PCORE_FOREVER))
		for (size_t i = 0; i < n; i++)
			text[i] = (char)toupper(text[i]);
	return 0;
}
int main(void)
{
	struct pcore_channel *ends[2];
	struct pcore_process *process;
	char *text, *words[] = { "hello", "world" };
	if (pcore_channel_pair(ends) < 0 || pcore_process_fork(&process, shout, ends[1]) < 0)
		return 1;
	for (int i = 0; i < 2 && pcore_channel_send(ends[0], words[i], strlen(words[i]), PCORE_FOREVER) == 0; i++)
		puts(pcore_channel_recv(ends[0], &text, NULL, PCORE_FOREVER) == 1 ? text : "none");
	return pcore_channel_finish(ends[0]) | pcore_process_wait(process, PCORE_FOREVER, NULL);
}
