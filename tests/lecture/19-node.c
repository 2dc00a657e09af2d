/* SPDX-License-Identifier: MIT */
/* Start a node of a cluster, and look at its status. */
#include <pcore/cluster.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	char *argv[] = { "sh", "-c", "exec pnode serve --name node-1 $LECTURE_NODE >node.log 2>&1", NULL }, address[256];
	struct pcore_process_spec spec = { .size = sizeof(spec), .argv = argv };
	struct pcore_cluster_status_spec whom = { .size = sizeof(whom), .address = address };
	struct pcore_cluster_status status = { .size = sizeof(status) };
	struct pcore_process *node;

	snprintf(address, sizeof(address), "unix:%s/nodes/node-1/socket", getenv("PCORE_RUNTIME_DIR"));
	if (pcore_process_spawn(&node, &spec, NULL) < 0)
		return 1;
	while (pcore_cluster_status(&whom, &status, NULL) < 0 && pcore_process_wait(node, 100000000, NULL) < 0)
		; /* it has not begun to listen */
	printf("%s is %s\n", status.name, status.state == PCORE_CLUSTER_SERVING ? "serving" : "not serving");
	pcore_process_signal(node, SIGTERM);
	pcore_process_wait(node, PCORE_FOREVER, NULL);
	pcore_process_free(node);
}
