/* SPDX-License-Identifier: MIT */
/*
 * argv - prints its arguments as `argc:[a][b]`, each byte for byte.
 */
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("%d:", argc - 1);
	for (int i = 1; i < argc; i++)
		printf("[%s]", argv[i]);
	putchar('\n');
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
