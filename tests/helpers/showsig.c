/* SPDX-License-Identifier: MIT */
/*
 * showsig - prints how it was started, one `name value` a line: the signals that are blocked,
 * ignored and caught (the kernel's hexadecimal masks), and its pid, ppid, pgrp, sid and the
 * terminal's foreground group (-1: no terminal).
 */
#include <fcntl.h>

#include "tests/helpers/helper.h"

static int foreground_group(void)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC), pgrp;

	if (fd < 0)
		return -1;
	pgrp = tcgetpgrp(fd);
	close(fd);
	return pgrp;
}

int main(void)
{
	char line[256], name[16], mask[32];
	FILE *f = fopen("/proc/self/status", "re");

	if (!f)
		die("/proc/self/status");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%15[A-Za-z]: %31s", name, mask) != 2)
			continue;
		if (!strcmp(name, "SigBlk") || !strcmp(name, "SigIgn") || !strcmp(name, "SigCgt"))
			printf("%s %s\n", name, mask);
	}
	fclose(f);
	printf("pid %d\nppid %d\npgrp %d\nsid %d\n", getpid(), getppid(), getpgrp(), getsid(0));
	printf("tpgid %d\n", foreground_group());
	return fflush(stdout) ? 1 : 0;
}
