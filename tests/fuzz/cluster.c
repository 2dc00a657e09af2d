/* SPDX-License-Identifier: MIT */
/*
 * cluster.c - any bytes as a message of the cluster's: two bytes say which, one what its id is like, the rest is the body. What
 * can be read can be written, and reads the same again.
 */
#include "tests/unit/cluster_any.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t ids[] = { 0, 7, INT64_MAX, UINT64_MAX };
	struct pcore_buf again = PCORE_BUF_INIT(0);

	if (size < 3)
		return 0;
	(void)any_again(any_types[(size_t)(data[0] | data[1] << 8) % ARRAY_SIZE(any_types)], ids[data[2] % ARRAY_SIZE(ids)], data + 3,
		size - 3, &again);
	pcore_buf_done(&again);
	return 0;
}
