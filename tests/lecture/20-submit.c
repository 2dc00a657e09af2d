/* SPDX-License-Identifier: MIT */
/* Submit ten jobs to a cluster, and print what they say in order. */
#include <pcore/cluster.h>
#include <stdio.h>

static int print(void *ctx, size_t i, struct pcore_cluster_client_result *r)
{
	(void)ctx, (void)i;
	return fputs(r->out, stdout) < 0;
}

int main(void)
{
	char *command[] = { "sh", "-c", "echo \"job $1 says $(($1 * $1))\"", "sh", NULL }, text[10][4], *words[10][2] = { 0 };
	char *const *args[10];
	struct pcore_cluster_client_spec spec = { .size = sizeof(spec), .local_cpus = 2 };
	struct pcore_cluster_client_map map = { .size = sizeof(map), .argv = command, .args = args, .n = 10, .done = print };
	struct pcore_cluster_client *cluster;
	for (int i = 0; i < 10; i++) {
		snprintf(text[i], sizeof(text[i]), "%hhu", (unsigned char)(i + 1));
		words[i][0] = text[i];
		args[i] = words[i];
	}
	if (pcore_cluster_client_open(&cluster, &spec, NULL) == 0 && pcore_cluster_client_map(cluster, &map) == 0)
		pcore_cluster_client_close(cluster);
}
