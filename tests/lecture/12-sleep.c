/* SPDX-License-Identifier: MIT */
#include <pcore/thread.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	double wait = getenv("LECTURE_WAIT") ? atof(getenv("LECTURE_WAIT")) : 1.5;
	struct pcore_event *never;

	printf("wait... ");
	fflush(stdout);
	if (pcore_event_new(&never) < 0)
		return 1;
	pcore_event_wait(never, (int64_t)(wait * 1e9));
	pcore_event_free(never);
	puts("done");
	return 0;
}
