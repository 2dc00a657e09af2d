/* SPDX-License-Identifier: MIT */
/*
 * store.c - any bytes as the last segment of a store, behind its header. When the first byte is odd, checksums are put right, so
 * that what lies behind them is reached. What opens can be read, appended to and opened again; what does not can be salvaged.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/store/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t uuid[PCORE_STORE_UUID] = "fuzz";
static const struct pcore_store_spec spec = { .sync = PCORE_STORE_NONE };

static char dir[] = "/dev/shm/pcore-fuzz.XXXXXX";
static int place_fd = -1;

static void remove_store(const char *name)
{
	static const char *const files[] = { "CURRENT", "LOCK", "control", "seg-0000000000000001.log", "seg-0000000000000002.log" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "%s/%s", name, files[i]);
		(void)unlinkat(place_fd, path, 0);
	}
	(void)unlinkat(place_fd, name, AT_REMOVEDIR);
}

static void clean_up(void)
{
	remove_store("s");
	remove_store("t");
	(void)rmdir(dir);
}

/* One directory for all inputs, in memory: syncs would be all that it does. */
static int place(void)
{
	if (place_fd >= 0)
		return place_fd;
	place_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (place_fd < 0 || mkdirat(place_fd, "s", 0700) < 0 || atexit(clean_up) != 0)
		abort();
	return place_fd;
}

static void spill(int dfd, const char *name, const void *data, size_t len)
{
	int fd = openat(dfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	close(fd);
}

static void put_right(uint8_t *p, size_t len)
{
	for (size_t at = 0; at + RECORD_HEADER <= len;) {
		uint32_t n, crc;
		size_t whole;

		memcpy(&n, p + at + 4, sizeof(n));
		whole = (size_t)store_record_size(n);
		if (memcmp(p + at, "LPRC", 4) != 0 || n > len || whole > len - at) {
			at += RECORD_ALIGN;
			continue;
		}
		memset(p + at + 28, 0, 4);
		crc = pcore_crc32c(store_seed(uuid), p + at, whole);
		memcpy(p + at + 28, &crc, sizeof(crc));
		at += whole;
	}
}

static int count(void *arg, const struct pcore_record *rec)
{
	uint64_t *n = arg;
	unsigned char sum = 0;

	for (size_t i = 0; i < rec->len; i++)
		sum ^= ((const unsigned char *)rec->data)[i];
	__asm__ volatile("" : : "r"(sum)); /* every byte has to be there */
	++*n;
	return 0;
}

static uint64_t count_all(struct pcore_store *s)
{
	uint64_t n = 0;
	int r = pcore_store_each(s, 1, count, &n, NULL);

	assert(r == 0);
	return n;
}

static void use(struct pcore_store *s, int dfd)
{
	struct pcore_record rec = { .data = "more", .len = 4 };
	struct pcore_store_found found;
	uint64_t n = count_all(s);
	int r = pcore_store_put(s, &rec, 1);

	assert(r == 0);
	r = pcore_store_close(s);
	assert(r == 0);
	r = pcore_store_open(&s, dfd, "s", &spec, &found);
	assert(r == 0);
	assert(found.cut_bytes == 0);
	assert(count_all(s) == n + 1);
	(void)pcore_store_close(s);
}

static void salvage(int dfd)
{
	struct pcore_store_salvaged got;
	struct pcore_store *s;
	int r;

	r = pcore_store_salvage(dfd, "s", dfd, "t", &got);
	assert(r == 0);
	assert(got.bad_places > 0 || got.missing > 0);
	r = pcore_store_open(&s, dfd, "t", &spec, NULL);
	assert(r == 0);
	assert(count_all(s) == got.records);
	(void)pcore_store_close(s);
	remove_store("t");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store_header h = { .serial = 1, .first_seq = 1 };
	struct store_segment seg = { .serial = 1, .first_seq = 1 };
	struct store_list list = { .seg = &seg, .n = 1 };
	struct pcore_buf current = PCORE_BUF_INIT(0);
	struct pcore_store *s = NULL;
	int dfd = place(), r;
	uint8_t *file;

	if (size < 1)
		return 0;
	file = malloc(SEGMENT_HEADER + size);
	memcpy(h.uuid, uuid, sizeof(uuid));
	memcpy(list.uuid, uuid, sizeof(uuid));
	if (!file || store_list_encode(&list, &current) < 0)
		abort();
	store_header_encode(file, &h);
	memcpy(file + SEGMENT_HEADER, data + 1, size - 1);
	if (data[0] % 2 == 1)
		put_right(file + SEGMENT_HEADER, size - 1);
	spill(dfd, "s/CURRENT", current.data, current.len);
	spill(dfd, "s/seg-0000000000000001.log", file, SEGMENT_HEADER + size - 1);
	r = pcore_store_open(&s, dfd, "s", &spec, NULL);
	assert(r == 0 || r == -EBADMSG);
	if (r == 0)
		use(s, dfd);
	else
		salvage(dfd);
	free(file);
	pcore_buf_done(&current);
	return 0;
}
