/* SPDX-License-Identifier: MIT */
/*
 * append - records of 128 bytes a second that get to the disk, one at a time. Usage: append floor|store|queue PROCESSES MILLISECONDS
 *
 *   floor  one file each, write(2) and fdatasync(2) for every record
 *   store  one store for all, syncing always
 *   queue  one durable queue for all, syncing always
 *
 * In the current directory; what it makes there it removes. 128 bytes are what a record takes on disk, header included.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "libcore/queue/queue.h"
#include "libcore/store/store.h"
#include "tests/bench/bench.h"

enum { RECORD = 128, HEADER = 32, PUT = 32, PROCESSES_MAX = 64 };

static char dir[] = "append.XXXXXX";
static unsigned char record[RECORD];
static _Atomic uint64_t *total;

static uint64_t append_floor(unsigned me, int64_t until)
{
	char name[64];
	uint64_t n = 0;
	int fd;

	snprintf(name, sizeof(name), "%s/floor.%u", dir, me);
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die(name);
	for (; now_ns() < until; n++)
		if (write(fd, record, RECORD) != RECORD || fdatasync(fd) < 0)
			die("write");
	return n;
}

static uint64_t append_store(int64_t until)
{
	struct pcore_record rec = { .type = 1, .data = record, .len = RECORD - HEADER };
	struct pcore_store *s = NULL;
	uint64_t n = 0;
	int r = pcore_store_open(&s, AT_FDCWD, dir, &(struct pcore_store_spec){ .create = true }, NULL);

	for (; r == 0 && now_ns() < until; n++)
		r = pcore_store_put(s, &rec, 1);
	if (r < 0) {
		errno = -r;
		die("store");
	}
	(void)pcore_store_close(s);
	return n;
}

static uint64_t append_queue(int64_t until)
{
	const struct pcore_queue_config spec = { .durable = true, .sync = PCORE_QUEUE_ALWAYS };
	struct pcore_queue *q = NULL;
	uint64_t n = 0;
	int r = pcore_queue_open_at(&q, AT_FDCWD, dir, &spec);

	for (; r >= 0 && now_ns() < until; n++) {
		struct pcore_item item = { .data = record, .len = RECORD - HEADER - PUT };

		r = pcore_queue_put_until(q, &item, 1, false, 0);
	}
	if (r < 0) {
		errno = -r;
		die("queue");
	}
	pcore_queue_free(q);
	return n;
}

static uint64_t append(const char *how, unsigned me, int64_t until)
{
	if (strcmp(how, "floor") == 0)
		return append_floor(me, until);
	return strcmp(how, "queue") == 0 ? append_queue(until) : append_store(until);
}

static void clean_up(void)
{
	DIR *d = opendir(dir);

	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

int main(int argc, char **argv)
{
	int64_t until, start;
	unsigned n;
	int status, failed = 0;

	if (argc != 4)
		die("usage: append floor|store|queue PROCESSES MILLISECONDS");
	n = number(argv[2], PROCESSES_MAX);
	memset(record, 'r', sizeof(record));
	total = mmap(NULL, sizeof(*total), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (total == MAP_FAILED || !mkdtemp(dir))
		die(dir);
	start = now_ns();
	until = start + (int64_t)number(argv[3], 600000) * 1000000;
	if (strcmp(argv[1], "queue") == 0 && rmdir(dir) < 0) /* the first one makes it, as a queue */
		die(dir);
	for (unsigned i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid > 0)
			continue;
		atomic_fetch_add(total, append(argv[1], i, until));
		_exit(0);
	}
	while (wait(&status) > 0)
		failed |= status;
	printf("%.0f\n", (double)atomic_load(total) * 1e9 / (double)(now_ns() - start));
	clean_up();
	return failed ? 1 : 0;
}
