/* SPDX-License-Identifier: MIT */
/*
 * open.c - a store made, opened and closed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "libcore/store/private.h"

#define FIRST_ROOM (UINT64_C(64) << 10) /* allocated for the first segment: most stores stay small */

int store_each_file(int dfd, int (*fn)(int dfd, const char *name, void *arg), void *arg)
{
	_cleanup_(fd_closep) int fd = store_file_open(dfd, ".", O_RDONLY | O_DIRECTORY);
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	TAKE_FD(fd);
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (strlen(entry->d_name) == strlen("seg-0123456789abcdef.log") && strncmp(entry->d_name, "seg-", 4) == 0)
			r = fn(dfd, entry->d_name, arg);
	(void)closedir(dir);
	return r;
}

/* ---- a new store ---- */

int store_make(int dfd, struct store_list *list, _Atomic uint64_t *next_serial, uint64_t first_seq)
{
	struct store_header h = { .first_seq = first_seq };
	uint64_t serial;
	int fd, r;

	memcpy(h.uuid, list->uuid, sizeof(h.uuid));
	r = store_segment_create(dfd, &h, FIRST_ROOM, next_serial, &serial, &fd);
	if (r < 0)
		return r;
	(void)pcore_fd_close(fd);
	r = store_list_add(list, (struct store_segment){ .serial = serial, .first_seq = first_seq });
	return r < 0 ? r : store_list_store(dfd, list);
}

int store_uuid(uint8_t uuid[static PCORE_STORE_UUID])
{
	return getrandom(uuid, PCORE_STORE_UUID, 0) == PCORE_STORE_UUID ? 0 : -EIO;
}

/* Without CURRENT there may be what is left of a store whose making was cut short: a segment without a record. */
static int remove_unborn(int dfd, const char *name, void *arg)
{
	_cleanup_(fd_closep) int fd = store_file_open(dfd, name, O_RDONLY | O_NONBLOCK);
	uint64_t size, begun = 0;
	int r;

	(void)arg;
	if (fd < 0)
		return fd;
	r = store_file_size(fd, &size);
	if (r < 0)
		return r;
	if (size >= SEGMENT_HEADER + sizeof(begun))
		r = store_file_read(fd, &begun, sizeof(begun), SEGMENT_HEADER);
	if (r < 0)
		return r;
	return begun != 0 ? -EBADMSG : store_file_remove(dfd, name);
}

static int create(struct pcore_store *s)
{
	struct store_list list = { 0 };
	_Atomic uint64_t next_serial = 1;
	int r = store_each_file(s->dfd, remove_unborn, NULL);

	if (r == 0)
		r = store_uuid(list.uuid);
	if (r == 0)
		r = store_make(s->dfd, &list, &next_serial, 1);
	store_list_done(&list);
	return r;
}

/* ---- open ---- */

/* A segment that is not in CURRENT: one who died was about to add it, or to remove it. */
static int remove_unlisted(int dfd, const char *name, void *arg)
{
	const struct store_list *list = arg;

	for (size_t i = 0; i < list->n; i++) {
		char listed[SEGMENT_NAME];

		store_segment_name(listed, list->seg[i].serial);
		if (strcmp(name, listed) == 0)
			return 0;
	}
	return store_file_remove(dfd, name);
}

/* After a failed sync the kernel may hold pages that never reached the disk, and call them clean. Read the disk instead. */
static int forget_pages(struct pcore_store *s)
{
	struct store_list list = { 0 };
	struct store_header h;
	int fd = -EBADF, r = store_list_load(s->dfd, &list);

	if (r < 0)
		return r;
	r = store_segment_open(s->dfd, list.uuid, list.seg[list.n - 1].serial, O_RDWR, &h, &fd);
	store_list_done(&list);
	if (r < 0)
		return r;
	r = store_file_sync(fd, false);
	if (r == 0)
		r = -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)pcore_fd_close(fd);
	return r;
}

/* Nobody else has the store open, and nobody can before this is over. */
static int open_first(struct pcore_store *s, struct pcore_store_found *found)
{
	int r = faccessat(s->dfd, "CURRENT", F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	uint64_t durable;

	found->first = true;
	if (r == -ENOENT && s->spec.create) {
		r = create(s);
		if (r == -EBADMSG)
			(void)snprintf(found->bad_file, sizeof(found->bad_file), "CURRENT");
	}
	if (store_was_poisoned(s->dfd, &durable) && r == 0) {
		r = forget_pages(s);
		if (r == -EBADMSG || r == -ENOENT)
			r = 0; /* found again below, and told */
	}
	if (r == 0)
		r = store_control_new(s);
	if (r == 0)
		r = store_derive(s, found);
	if (r == 0) { /* the records to come say so: damage before them is none that a crash may leave */
		uint64_t last = atomic_load(&s->c->last_seq);

		store_durable(s, durable < last ? durable : last);
	}
	if (r == 0)
		r = store_each_file(s->dfd, remove_unlisted, &s->list);
	if (r == 0)
		store_control_ready(s);
	return r;
}

static int open_next(struct pcore_store *s)
{
	int r = store_control_map(s);

	if (r < 0)
		return r;
	/* the lists before the file: a newer file is loaded again */
	s->lists = atomic_load(&s->c->lists);
	r = store_list_load(s->dfd, &s->list);
	if (r == 0)
		s->seed = store_seed(s->list.uuid);
	return r;
}

int pcore_store_sync_name(int dfd)
{
	_cleanup_(fd_closep) int parent = openat(dfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return parent < 0 ? -errno : store_file_sync(parent, false);
}

static int open_directory(int dfd, const char *path, bool make)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	struct statfs fs;
	bool made;
	int r;

	made = make && mkdirat(dfd, path, 0700) == 0;
	if (make && !made && errno != EEXIST)
		return -errno;
	fd = openat(dfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type == NFS_SUPER_MAGIC)
		return -EOPNOTSUPP;
	if (made) {
		r = pcore_store_sync_name(fd);
		if (r < 0)
			return r;
	}
	return TAKE_FD(fd);
}

static int open_locked(struct pcore_store *s, struct pcore_store_found *found)
{
	int r = store_lock_byte(s->lock_fd, LOCK_OPENING, F_WRLCK, true);

	if (r < 0)
		return r;
	r = store_lock_byte(s->lock_fd, LOCK_USERS, F_WRLCK, false);
	if (r == 0) {
		r = open_first(s, found);
		if (r == 0)
			r = store_lock_byte(s->lock_fd, LOCK_USERS, F_RDLCK, true);
	} else if (r == -EAGAIN) {
		r = store_lock_byte(s->lock_fd, LOCK_USERS, F_RDLCK, true);
		if (r == 0)
			r = open_next(s);
	}
	if (r == 0)
		r = store_lock_byte(s->lock_fd, LOCK_OPENING, F_UNLCK, false);
	return r;
}

static void store_free(struct pcore_store *s)
{
	if (s->c)
		(void)munmap(s->c, sizeof(*s->c));
	store_list_done(&s->list);
	pcore_buf_done(&s->buf);
	pcore_buf_done(&s->window);
	fd_closep(&s->tail_fd);
	fd_closep(&s->read_fd);
	fd_closep(&s->lock_fd); /* and with it the locks */
	fd_closep(&s->dfd);
	free(s);
}

int pcore_store_open(struct pcore_store **ret, int dfd, const char *path, const struct pcore_store_spec *spec,
	struct pcore_store_found *found)
{
	struct pcore_store_found unasked;
	struct pcore_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	found = found ? found : &unasked;
	*found = (struct pcore_store_found){ 0 };
	s->spec = *spec;
	if (s->spec.segment_max == 0)
		s->spec.segment_max = PCORE_STORE_SEGMENT_DEFAULT;
	if (s->spec.record_max == 0 || s->spec.record_max > PCORE_STORE_RECORD_LIMIT)
		s->spec.record_max = PCORE_STORE_RECORD_LIMIT;
	s->tail_fd = s->read_fd = s->lock_fd = -EBADF;
	s->dfd = r = open_directory(dfd, path, spec->create);
	if (r >= 0 && !spec->create && faccessat(s->dfd, "CURRENT", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r >= 0)
		s->lock_fd = r = store_file_open(s->dfd, "LOCK", O_RDWR | O_CREAT);
	if (r >= 0)
		r = open_locked(s, found);
	if (r < 0) {
		store_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int pcore_store_close(struct pcore_store *s)
{
	int r = 0;

	if (!s)
		return 0;
	assert(!s->held);
	if (pcore_store_due_ns(s) != INT64_MAX)
		r = pcore_store_sync(s, UINT64_MAX);
	store_free(s);
	return r;
}
