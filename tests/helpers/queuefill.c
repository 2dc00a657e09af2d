/* SPDX-License-Identifier: MIT */
/*
 * queuefill - fill a disk with a durable queue, and empty it again.
 * Usage: queuefill DIR. The queue DIR must not exist; it is removed.
 *
 * Puts items until there is no room, then leases and acknowledges every one of them, which must work. Prints how many there
 * were, and the error of the last put.
 */
#include <fcntl.h>

#include "libcore/queue/queue.h"
#include "tests/helpers/helper.h"

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	errno = -r;
	die(what);
}

int main(int argc, char **argv)
{
	static const struct pcore_queue_config spec = { .durable = true };
	static const struct pcore_take how = { .lease = true, .lease_ns = INT64_MAX };
	static const char bytes[100];
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_queue_state s;
	struct pcore_queue *q = NULL;
	struct pcore_item item;
	unsigned n = 0;
	int r;

	if (argc != 2)
		return 125;
	must(pcore_queue_open_at(&q, AT_FDCWD, argv[1], &spec), "open");
	do {
		item = (struct pcore_item){ .data = bytes, .len = sizeof(bytes) };
		r = pcore_queue_put_until(q, &item, 1, false, 0);
		n += r == 1;
	} while (r == 1);
	for (unsigned i = 0; i < n; i++) {
		pcore_buf_clear(&buf);
		must(pcore_queue_get_until(q, &item, 1, &how, &buf, 0), "get");
		must(pcore_queue_ack(q, item.id, item.attempt), "ack");
	}
	pcore_buf_done(&buf);
	pcore_queue_free(q);
	q = NULL;
	must(pcore_queue_open_at(&q, AT_FDCWD, argv[1], NULL), "open again");
	must(pcore_queue_state(q, &s), "stat");
	pcore_queue_free(q);
	if (s.ready > 0)
		return 1;
	must(pcore_queue_remove_at(AT_FDCWD, argv[1]), "remove");
	printf("%u %s\n", n, strerrorname_np(-r));
	return 0;
}
