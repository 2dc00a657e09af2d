/* SPDX-License-Identifier: MIT */
/*
 * storecut - what the tests of power cuts and full disks do to a store.
 *
 *   storecut put DIR always|none|last N
 *                                    put N records; prints how many were acknowledged, into a file all the while, and fails when
 *                                    not all were. last: they are synced at the end only
 *   storecut replace FILE OLD NEW    FILE, in the current directory, is OLD and then replaced by NEW
 *   storecut fill DIR                put records until there is no room, then a hundred small ones in the room kept for them;
 *                                    prints how many of the first there are
 *   storecut read DIR                prints how many records there are; each must be whole and in its place
 *   storecut cut DIR                 cut the power of the ext4 file system that DIR is on: nothing more gets to its disk
 */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "libcore/store/store.h"
#include "tests/helpers/helper.h"

enum { LEN = 1000, KEEP = 16384, ACKS = 100 };

#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define SHUTDOWN_WITHOUT_LOG 2

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	errno = -r;
	die(what);
}

static struct pcore_store *open_store(const char *path, const struct pcore_store_spec *spec)
{
	struct pcore_store *s = NULL;

	must(pcore_store_open(&s, AT_FDCWD, path, spec, NULL), "open");
	return s;
}

static void fill(unsigned char *p, uint64_t seq)
{
	for (size_t i = 0; i < LEN; i++)
		p[i] = (unsigned char)(seq * 37 + i);
}

/* The number never gets shorter. */
static void tell(unsigned acked)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u\n", acked);

	if (pwrite(STDOUT_FILENO, text, (size_t)len, 0) < 0 && errno != ESPIPE)
		die("stdout");
}

static int put(const char *path, const char *sync, unsigned n)
{
	bool always = strcmp(sync, "always") == 0;
	struct pcore_store_spec spec = { .create = true, .sync = always ? PCORE_STORE_ALWAYS : PCORE_STORE_NONE, .segment_max = 1 << 20 };
	struct pcore_store *s = open_store(path, &spec);
	unsigned char bytes[LEN];
	struct pcore_record rec = { .type = 1, .data = bytes, .len = LEN };
	unsigned acked = 0;
	int r = 0;

	for (; acked < n; acked++) {
		fill(bytes, acked + 1);
		r = pcore_store_put(s, &rec, 1);
		if (r < 0)
			break;
		tell(acked + 1);
	}
	if (r == 0 && strcmp(sync, "last") == 0)
		r = pcore_store_sync(s, UINT64_MAX);
	printf("%u\n", acked);
	if (r < 0)
		fprintf(stderr, "storecut: put: %s\n", strerror(-r));
	if (pcore_store_close(s) < 0)
		r = -EIO;
	return r < 0;
}

static int replace(const char *name, const char *old, const char *fresh)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(fd < 0 ? -errno : fd, "open");
	must(pcore_store_replace(fd, name, old, strlen(old)), "replace");
	must(pcore_store_replace(fd, name, fresh, strlen(fresh)), "replace");
	close(fd);
	return 0;
}

static int fill_up(const char *path)
{
	struct pcore_store_spec spec = { .create = true };
	struct pcore_store *s = open_store(path, &spec);
	unsigned char bytes[LEN];
	struct pcore_record rec = { .type = 1, .data = bytes, .len = LEN }, ack = { .type = 2 };
	unsigned acked = 0;
	int r;

	must(pcore_store_begin(s), "begin");
	for (;; acked++) {
		fill(bytes, acked + 1);
		r = pcore_store_append(s, &rec, 1, KEEP);
		if (r < 0)
			break;
	}
	printf("%u %s\n", acked, strerrorname_np(-r));
	for (int i = 0; i < ACKS; i++)
		must(pcore_store_append(s, &ack, 1, 0), "a record that room was kept for");
	pcore_store_end(s);
	must(pcore_store_sync(s, UINT64_MAX), "sync");
	must(pcore_store_close(s), "close");
	return 0;
}

static int check(void *arg, const struct pcore_record *rec)
{
	unsigned char want[LEN];
	unsigned *n = arg;

	if (rec->type == 2)
		return 0;
	fill(want, rec->seq);
	if (rec->seq != ++*n || rec->len != LEN || memcmp(rec->data, want, LEN) != 0)
		return -EILSEQ;
	return 0;
}

static int read_all(const char *path)
{
	struct pcore_store *s = open_store(path, &(struct pcore_store_spec){ 0 });
	unsigned n = 0;

	must(pcore_store_each(s, 1, check, &n, NULL), "read");
	printf("%u\n", n);
	must(pcore_store_close(s), "close");
	return 0;
}

static int cut(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint32_t how = SHUTDOWN_WITHOUT_LOG;

	if (fd < 0 || ioctl(fd, EXT4_IOC_SHUTDOWN, &how) < 0)
		die("EXT4_IOC_SHUTDOWN");
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "put") == 0)
		return put(argv[2], argv[3], number(argv[4], 1, 100000000));
	if (argc == 5 && strcmp(argv[1], "replace") == 0)
		return replace(argv[2], argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "fill") == 0)
		return fill_up(argv[2]);
	if (argc == 3 && strcmp(argv[1], "read") == 0)
		return read_all(argv[2]);
	if (argc == 3 && strcmp(argv[1], "cut") == 0)
		return cut(argv[2]);
	return 125;
}
