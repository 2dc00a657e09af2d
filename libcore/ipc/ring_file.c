/* SPDX-License-Identifier: MIT */
/*
 * ring_file.c - the file of a ring: made whole, checked before it is mapped.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/ipc/ring_private.h"

enum { PAGE = 4096, DEFAULT_MAX_BYTES = 8 << 20, DEFAULT_MAX_ITEM = 64 << 20, BYTES_AN_ITEM = 256, LEAST_ITEMS = 64 };

static const uint64_t max_cells = UINT32_MAX, max_bytes_limit = UINT64_C(1) << 48;

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What the limits mean when all is said. -EINVAL: one item that may be put would never fit; -EOVERFLOW: more than there can be. */
static int complete(const struct pcore_ring_spec *spec, struct pcore_ring_spec *ret)
{
	uint64_t items;

	*ret = *spec;
	if (!ret->max_bytes)
		ret->max_bytes = DEFAULT_MAX_BYTES;
	items = ret->max_bytes / BYTES_AN_ITEM;
	if (!ret->max_items)
		ret->max_items = items < LEAST_ITEMS ? LEAST_ITEMS : items;
	if (!ret->max_item)
		ret->max_item = least(DEFAULT_MAX_ITEM, ret->max_bytes);
	if (ret->max_item > ret->max_bytes || ret->max_item > RING_ITEM_LIMIT)
		return -EINVAL;
	return ret->max_bytes > max_bytes_limit ? -EOVERFLOW : 0;
}

static uint64_t page_up(uint64_t n)
{
	return (n + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/*
 * So many cells that whatever is within the limits fits. An item of n bytes takes 1 + (n - 64) / 128 cells, rounded up, if n is
 * over 64: at most 1 + n / 65, and at most 1.5 + n / 128.
 */
static uint64_t cells_for(const struct pcore_ring_spec *s)
{
	return 2 + least(s->max_items + s->max_bytes / 65, s->max_items + s->max_items / 2 + s->max_bytes / RING_CELL + 1);
}

static int lay_out(const struct pcore_ring_spec *s, struct ring_layout *l)
{
	uint64_t at = page_up(sizeof(struct ring_header));

	if (s->max_items == 0 || s->max_items >= max_cells || s->max_bytes > max_bytes_limit || cells_for(s) > max_cells)
		return -EOVERFLOW;

	*l = (struct ring_layout){ .n_cells = cells_for(s), .n_buckets = 16 };
	while (l->n_buckets < s->max_items / 2)
		l->n_buckets *= 2;
	at += l->n_cells * sizeof(uint64_t);
	l->links = at;
	at += l->n_cells * sizeof(uint32_t);
	l->ready = at;
	at += s->max_items * sizeof(uint32_t);
	l->due = at;
	at += s->max_items * sizeof(uint32_t);
	l->keys = at;
	at += l->n_buckets * sizeof(uint32_t);
	l->ids = at;
	at += l->n_buckets * sizeof(uint32_t);
	l->cells = page_up(at);
	l->size = page_up(l->cells + l->n_cells * RING_CELL);
	return 0;
}

/* Empty where it cannot be known. */
static void read_boot_id(char id[static 40])
{
	if (pcore_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", id, 40) < 0)
		id[0] = '\0';
}

static int write_header(struct ring_header *h, const struct pcore_ring_spec *s, const struct ring_layout *l)
{
	memcpy(h->magic, RING_MAGIC, sizeof(h->magic));
	h->version = RING_VERSION;
	h->header_size = sizeof(*h);
	h->file_size = l->size;
	h->order = s->order;
	h->max_items = s->max_items;
	h->max_bytes = s->max_bytes;
	h->max_item = s->max_item;
	h->created_ns = pcore_now_ns();
	read_boot_id(h->boot_id);
	h->next_id = 1;
	h->fresh = 1;
	return ring_locks_init(h);
}

/* Sparse memory would be missing when it is written to, and kill whoever writes. */
static int fill(int fd, const struct pcore_ring_spec *s, const struct ring_layout *l)
{
	struct ring_header *h;
	int r = pcore_fault("fallocate", NULL);

	if (r == 0)
		r = -posix_fallocate(fd, 0, (off_t)l->size);
	if (r < 0)
		return r;

	h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return -errno;
	r = write_header(h, s, l);
	(void)munmap(h, sizeof(*h));
	return r;
}

/* Fill a file that has no name yet and give it its name: nobody sees it half made, and nothing stays of one that never
 * was done. */
static int make_unnamed(int dfd, const char *name, const struct pcore_ring_spec *s, const struct ring_layout *l)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	char dir[4096], self[40];
	const char *slash = strrchr(name, '/');
	int r;

	if (snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - name) + 1 : 1, slash ? name : ".") >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	fd = openat(dfd, dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;

	r = fill(fd, s, l);
	if (r < 0)
		return r;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, dfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* Where files without a name are not to be had. */
static int make_named(int dfd, const char *name, const struct pcore_ring_spec *s, const struct ring_layout *l)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	char temp[4096];
	int r;

	if (snprintf(temp, sizeof(temp), "%s.new.%d", name, (int)getpid()) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	fd = openat(dfd, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;

	r = fill(fd, s, l);
	if (r == 0 && linkat(dfd, temp, dfd, name, 0) < 0)
		r = -errno;
	(void)unlinkat(dfd, temp, 0);
	return r;
}

int pcore_ring_create(int dfd, const char *name, const struct pcore_ring_spec *spec)
{
	struct pcore_ring_spec s;
	struct ring_layout l;
	struct stat st;
	int r = complete(spec, &s);

	if (r == 0)
		r = lay_out(&s, &l);
	if (r < 0)
		return r;
	if (fstatat(dfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST; /* do not fill megabytes first */

	r = make_unnamed(dfd, name, &s, &l);
	return r == -EOPNOTSUPP || r == -EISDIR ? make_named(dfd, name, &s, &l) : r;
}

/* Does the header describe a ring of this size that we can use? */
static int check_header(const struct ring_header *h, uint64_t file_size, struct pcore_ring *r)
{
	struct pcore_ring_spec s = { .max_items = h->max_items, .max_bytes = h->max_bytes };
	char boot_id[sizeof(h->boot_id)];

	if (memcmp(h->magic, RING_MAGIC, sizeof(h->magic)) != 0)
		return -EBADMSG;
	if (h->version != RING_VERSION || h->header_size != sizeof(*h))
		return -EPROTONOSUPPORT;
	if (h->order > PCORE_PRIORITY || h->max_item == 0 || h->max_item > RING_ITEM_LIMIT || h->max_item > h->max_bytes)
		return -EBADMSG;
	if (lay_out(&s, &r->layout) < 0 || r->layout.size != file_size || h->file_size != file_size)
		return -EBADMSG;
	read_boot_id(boot_id);
	if (strncmp(boot_id, h->boot_id, sizeof(boot_id)) != 0)
		return -ESTALE;
	r->order = (enum pcore_order)h->order;
	r->max_items = h->max_items;
	r->max_bytes = h->max_bytes;
	r->max_item = h->max_item;
	return 0;
}

static int check_file(int fd, struct pcore_ring *r)
{
	struct ring_header h;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	if (st.st_uid != geteuid())
		return -EPERM;
	n = pread(fd, &h, sizeof(h), 0);
	if (n < 0)
		return -errno;
	if (n != (ssize_t)sizeof(h) || (uint64_t)st.st_blocks * 512 < (uint64_t)st.st_size)
		return -EBADMSG;
	return check_header(&h, (uint64_t)st.st_size, r);
}

static int map(int fd, struct pcore_ring *r)
{
	const struct ring_layout *l = &r->layout;
	char *base = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;

	r->h = (void *)base;
	r->state = (void *)(base + page_up(sizeof(struct ring_header)));
	r->link = (void *)(base + l->links);
	r->ready = (void *)(base + l->ready);
	r->due = (void *)(base + l->due);
	r->keys = (void *)(base + l->keys);
	r->ids = (void *)(base + l->ids);
	r->cell = (void *)(base + l->cells);
	r->n_cells = (uint32_t)l->n_cells;
	r->bucket_mask = (uint32_t)l->n_buckets - 1;
	return 0;
}

int pcore_ring_open(struct pcore_ring **ret, int dfd, const char *name)
{
	_cleanup_(fd_closep) int fd = openat(dfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	_cleanup_(freep) struct pcore_ring *r = NULL;
	cpu_set_t cpus;
	int e;

	if (fd < 0)
		return errno == ELOOP || errno == EISDIR ? -EBADMSG : -errno;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;

	e = check_file(fd, r);
	if (e == 0)
		e = map(fd, r);
	if (e < 0)
		return e;
	r->one_cpu = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) == 1;
	r->spin[0] = r->spin[1] = 500;
	*ret = TAKE_PTR(r);
	return 0;
}

void pcore_ring_free(struct pcore_ring *r)
{
	if (!r)
		return;

	(void)munmap(r->h, r->layout.size);
	free(r);
}
