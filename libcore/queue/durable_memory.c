/* SPDX-License-Identifier: MIT */
/*
 * durable_memory.c - the file `index' of a durable queue, which its users map.
 *
 * It is in the queue's directory and not in the system's shared memory, so that whoever sees the queue sees the same memory.
 * It only ever grows, by extents of whole chunks, each of one area. The header says which, and everybody maps in that order
 * what the others have added. What is there is allocated: a hole would end in SIGBUS when the disk is full.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/queue/durable.h"

enum { INDEX_VERSION = 2, GROW_SHARE = 32 };

#define HEADER_SIZE (((uint64_t)sizeof(struct dq_header) + DQ_CHUNK - 1) / DQ_CHUNK * DQ_CHUNK)

static const char index_magic[8] = "PCOREIDX";

/* The kernel does not only refuse what goes beyond the limit, it kills for it. */
static int allocate(int fd, uint64_t from, uint64_t to)
{
	struct rlimit lim;
	int r = pcore_fault("index-alloc", NULL);

	if (r < 0)
		return r;
	if (getrlimit(RLIMIT_FSIZE, &lim) < 0)
		return -errno;
	if (lim.rlim_cur != RLIM_INFINITY && to > lim.rlim_cur)
		return -EFBIG;
	do
		r = -posix_fallocate(fd, (off_t)from, (off_t)(to - from));
	while (r == -EINTR);
	return r;
}

/* fresh: all of it will be written to soon, and one call is quicker than a fault for each page. */
static int map(struct durable *d, uint64_t at, uint64_t len, bool fresh, char **ret)
{
	int r = pcore_fault("index-map", NULL);
	void *p;

	if (r < 0)
		return r;
	p = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED | (fresh ? MAP_POPULATE : 0), d->index_fd, (off_t)at);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static int map_header(struct durable *d)
{
	char *p = NULL;
	int r = map(d, 0, HEADER_SIZE, false, &p);

	if (r < 0)
		return r;
	d->h = (void *)p;
	d->mapped = HEADER_SIZE;
	return 0;
}

static int open_file(struct durable *d, int flags)
{
	int r = pcore_fault("index-open", NULL);

	if (r < 0)
		return r;
	d->index_fd = openat(d->dfd, "index", flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	return d->index_fd < 0 ? -errno : 0;
}

/* -ESTALE when it is not of this session. */
static int open_there(struct durable *d)
{
	struct stat st;
	int r = open_file(d, 0);

	if (r < 0)
		return r == -ENOENT || r == -ELOOP ? -ESTALE : r;
	if (fstat(d->index_fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < HEADER_SIZE)
		return -ESTALE;
	r = map_header(d);
	if (r < 0)
		return r;
	if (memcmp(d->h->magic, index_magic, sizeof(index_magic)) != 0 || d->h->session != pcore_store_session(d->log))
		return -ESTALE;
	if (d->h->version != INDEX_VERSION || d->h->size != sizeof(*d->h))
		return -EPROTONOSUPPORT;
	return 0;
}

/* The magic comes last: a file whose maker died is thrown away. */
static int make(struct durable *d)
{
	int r = unlinkat(d->dfd, "index", 0) < 0 && errno != ENOENT ? -errno : open_file(d, O_CREAT | O_EXCL);

	if (r == 0)
		r = allocate(d->index_fd, 0, HEADER_SIZE);
	if (r == 0)
		r = map_header(d);
	if (r < 0)
		return r;
	d->h->version = INDEX_VERSION;
	d->h->size = sizeof(*d->h);
	d->h->session = pcore_store_session(d->log);
	d->h->file_size = HEADER_SIZE;
	for (size_t i = 0; r == 0 && i < DQ_GATES; i++)
		r = pcore_gate_init(&d->h->gate[i]);
	if (r == 0)
		memcpy(d->h->magic, index_magic, sizeof(index_magic));
	return r;
}

int dq_memory_open(struct durable *d)
{
	int r = open_there(d);

	if (r == -ESTALE) {
		dq_memory_close(d);
		r = make(d);
	}
	return r;
}

/* The pieces that an extent was mapped as are those that the header says. */
void dq_memory_close(struct durable *d)
{
	uint32_t at[DQ_AREAS] = { 0 };

	for (uint32_t i = 0; i < d->n_extents; i++) {
		uint32_t area = d->h->extent[i] >> 28, n = d->h->extent[i] & ((1U << 28) - 1);

		(void)munmap(d->chunk[area][at[area]], (size_t)n * DQ_CHUNK);
		at[area] += n;
	}
	for (size_t i = 0; i < DQ_AREAS; i++) {
		free(d->chunk[i]);
		d->chunk[i] = NULL;
		d->n_chunks[i] = 0;
	}
	if (d->h)
		(void)munmap(d->h, HEADER_SIZE);
	d->h = NULL;
	d->n_extents = 0;
	d->mapped = 0;
	fd_closep(&d->index_fd);
}

static int map_extent(struct durable *d, enum dq_area area, uint32_t n, bool fresh)
{
	uint32_t have = d->n_chunks[area];
	char **more = realloc(d->chunk[area], ((size_t)have + n) * sizeof(*more));
	char *p = NULL;
	int r;

	if (!more)
		return -ENOMEM;
	d->chunk[area] = more;
	r = map(d, d->mapped, (uint64_t)n * DQ_CHUNK, fresh, &p);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++)
		more[have + i] = p + (size_t)i * DQ_CHUNK;
	d->n_chunks[area] += n;
	d->mapped += (uint64_t)n * DQ_CHUNK;
	d->n_extents++;
	return 0;
}

static int follow(struct durable *d, bool fresh)
{
	int r = 0;

	while (r == 0 && d->n_extents < d->h->n_extents) {
		uint32_t e = d->h->extent[d->n_extents];

		assert(e >> 28 < DQ_AREAS);
		r = map_extent(d, (enum dq_area)(e >> 28), e & ((1U << 28) - 1), fresh);
	}
	return r;
}

int dq_memory_follow(struct durable *d)
{
	return follow(d, false);
}

int dq_reserve(struct durable *d, enum dq_area area, uint64_t n, size_t size)
{
	struct dq_header *h = d->h;

	if (n > UINT32_MAX)
		return -ENOSPC;
	while (n * size > (uint64_t)d->n_chunks[area] * DQ_CHUNK) {
		uint32_t more = d->n_chunks[area] / GROW_SHARE + 1;
		int r = h->n_extents == DQ_EXTENTS ? -ENOSPC : allocate(d->index_fd, h->file_size, h->file_size + (uint64_t)more * DQ_CHUNK);

		if (r < 0)
			return r;
		h->file_size += (uint64_t)more * DQ_CHUNK;
		h->extent[h->n_extents++] = (uint32_t)area << 28 | more;
		r = follow(d, more > 1); /* the first ones are for queues that may stay small */
		if (r < 0)
			return r;
	}
	return 0;
}
