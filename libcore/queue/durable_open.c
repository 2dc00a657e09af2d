/* SPDX-License-Identifier: MIT */
/*
 * durable_open.c - durable queues made, opened, removed and saved from damage.
 */
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/queue/durable.h"

#define DEFAULT_MAX_ITEM (UINT64_C(64) << 20)
#define COMPACT_MIN (UINT64_C(64) << 20)

/* ---- open ---- */

static int is_meta(void *arg, const struct pcore_record *rec)
{
	struct dq_meta *ret = arg;
	int r = rec->type == DQ_META ? dq_decode_meta(rec, ret) : 0;

	return r < 0 ? r : rec->type == DQ_META;
}

/* What the queue is. This is the first record, but in a log that was salvaged. With the lock. */
static int read_meta(struct durable *d)
{
	struct pcore_store_found bad = { 0 };
	int r = pcore_store_each(d->log, 1, is_meta, &d->meta, &bad);

	if (r == -EBADMSG && bad.bad_file[0]) {
		memcpy(d->found.bad_file, bad.bad_file, sizeof(bad.bad_file));
		d->found.bad_offset = bad.bad_offset;
	}
	return r < 0 ? r : r == 1 ? 0 : -EBADMSG; /* a store, but no queue */
}

static int open_index(struct durable *d)
{
	int r = dq_lock(d);

	if (r < 0)
		return r;
	r = read_meta(d);
	if (r == 0)
		r = dq_memory_open(d);
	dq_unlock(d);
	if (r < 0)
		return r;
	r = dq_lock(d); /* makes the index if nobody has */
	if (r == 0)
		dq_unlock(d);
	return r;
}

static int open_sync(struct durable *d)
{
	static const enum pcore_store_sync sync[] = { [PCORE_QUEUE_ALWAYS] = PCORE_STORE_ALWAYS,
		[PCORE_QUEUE_INTERVAL] = PCORE_STORE_INTERVAL, [PCORE_QUEUE_NONE] = PCORE_STORE_NONE };
	struct pcore_store_spec spec = { .sync = sync[d->meta.spec.sync], .interval_ns = d->meta.spec.interval_ns };

	return pcore_store_open(&d->sync, d->dfd, ".", &spec, NULL);
}

static uint64_t boot(void)
{
	char id[40];
	uint64_t n = 0;

	if (pcore_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", id, sizeof(id)) < 0)
		return 0;
	for (const char *p = id; *p && n >> 60 == 0; p++)
		if (*p >= '0' && *p <= '9')
			n = n << 4 | (uint64_t)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			n = n << 4 | (uint64_t)(*p - 'a' + 10);
	return n;
}

static int open_directory(struct durable *d, int dfd, const char *name)
{
	struct stat st;

	d->dfd = openat(dfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dfd < 0)
		return -errno;
	if (fstat(d->dfd, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() ? 0 : -EPERM;
}

int dq_open(struct durable **ret, int dfd, const char *name)
{
	struct durable *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->queue.ops = &dq_ops;
	d->dfd = d->index_fd = -EBADF;
	d->compact_min = COMPACT_MIN;
	d->boot = boot();
	(void)pthread_mutex_init(&d->mutex, NULL);
	r = open_directory(d, dfd, name);
	if (r == 0) {
		r = pcore_store_open(&d->log, d->dfd, ".", &(struct pcore_store_spec){ .sync = PCORE_STORE_NONE }, &d->found);
		r = r == -ENOENT ? -EBADMSG : r; /* a directory, but no store */
	}
	if (r == 0)
		r = open_index(d);
	if (r == 0)
		r = open_sync(d);
	if (r < 0) {
		dq_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

/* The handle that syncs goes first: it may have to. */
void dq_free(struct durable *d)
{
	if (!d)
		return;
	(void)pcore_store_close(d->sync);
	dq_memory_close(d);
	(void)pcore_store_close(d->log);
	pcore_buf_done(&d->in);
	pcore_buf_done(&d->out);
	free(d->recs);
	fd_closep(&d->dfd);
	(void)pthread_mutex_destroy(&d->mutex);
	free(d);
}

int pcore_queue_durable_open(struct pcore_queue **ret, int dfd, const char *name)
{
	struct durable *d;
	int r = dq_open(&d, dfd, name);

	if (r == 0)
		*ret = &d->queue;
	return r;
}

/* ---- create ---- */

/* What the limits mean when all is said. -EINVAL: they contradict each other. */
static int complete(const struct pcore_queue_config *spec, struct dq_meta *ret)
{
	struct pcore_queue_config *s = &ret->spec;

	*ret = (struct dq_meta){ .spec = *spec, .created_ns = pcore_clock_ns(CLOCK_REALTIME) };
	if (!s->max_item)
		s->max_item = s->max_bytes && s->max_bytes < DEFAULT_MAX_ITEM ? s->max_bytes : DEFAULT_MAX_ITEM;
	if (s->max_item > DQ_ITEM_LIMIT - PCORE_KEY_MAX || (s->max_bytes && s->max_item > s->max_bytes))
		return -EINVAL;
	if (s->sync == PCORE_QUEUE_INTERVAL ? s->interval_ns <= 0 : s->interval_ns != 0)
		return -EINVAL;
	return 0;
}

static int put_meta(struct pcore_store *s, const struct dq_meta *meta)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_record rec = { .type = DQ_META };
	int r = dq_encode_meta(&buf, meta);

	rec.data = buf.data;
	rec.len = buf.len;
	if (r == 0)
		r = pcore_store_put(s, &rec, 1);
	pcore_buf_done(&buf);
	return r;
}

static bool is_ours(const char *file)
{
	static const char *const names[] = { ".", "..", "CURRENT", "CURRENT.new", "LOCK", "control", "index", "seg-????????????????.log" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (fnmatch(names[i], file, 0) == 0)
			return true;
	return false;
}

/* Look at the files of a queue's directory, or remove them. -ENOTEMPTY when there is one that is not a queue's. */
static int each_file(int dfd, const char *name, bool remove)
{
	int fd = openat(dfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)pcore_fd_close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		if (!is_ours(entry->d_name))
			r = -ENOTEMPTY;
		else if (remove && entry->d_name[0] != '.' && unlinkat(fd, entry->d_name, 0) < 0)
			r = -errno;
	}
	(void)closedir(dir);
	return r;
}

static int remove_directory(int dfd, const char *name)
{
	int r = each_file(dfd, name, true);

	return r < 0 ? r : unlinkat(dfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* NAME.what.TID: where nobody looks for it. One who was killed may have left something there. */
static int beside(char path[static PATH_MAX], int dfd, const char *name, const char *what)
{
	size_t len = strlen(name);

	while (len > 1 && name[len - 1] == '/')
		len--;
	if (snprintf(path, PATH_MAX, "%.*s.%s.%d", (int)len, name, what, (int)gettid()) >= PATH_MAX)
		return -ENAMETOOLONG;
	(void)remove_directory(dfd, path);
	return 0;
}

static int make(int dfd, const char *path, const struct dq_meta *meta)
{
	struct pcore_store *s = NULL;
	int r = pcore_store_open(&s, dfd, path, &(struct pcore_store_spec){ .create = true, .sync = PCORE_STORE_ALWAYS }, NULL);

	if (r == 0)
		r = put_meta(s, meta);
	(void)pcore_store_close(s);
	return r;
}

static int sync_name(int dfd, const char *name)
{
	_cleanup_(fd_closep) int fd = openat(dfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : pcore_store_sync_name(fd);
}

/* Made under another name: nobody sees it half made. A rename replaces no directory that is not empty. */
int pcore_queue_durable_create(int dfd, const char *name, const struct pcore_queue_config *spec)
{
	char path[PATH_MAX];
	struct dq_meta meta;
	struct stat st;
	int r = complete(spec, &meta);

	if (r < 0)
		return r;
	if (fstatat(dfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	r = beside(path, dfd, name, "new");
	if (r < 0)
		return r;
	r = make(dfd, path, &meta);
	if (r == 0 && renameat(dfd, path, dfd, name) < 0)
		r = errno == ENOTEMPTY || errno == ENOTDIR ? -EEXIST : -errno;
	if (r == 0)
		return sync_name(dfd, name);
	(void)remove_directory(dfd, path);
	return r;
}

/* ---- remove, repair ---- */

/* The name goes first: who comes later makes a new queue, who is there already sees the end of this one. */
int pcore_queue_durable_remove(int dfd, const char *name)
{
	struct pcore_queue *q = NULL;
	char path[PATH_MAX];
	int r = pcore_queue_durable_open(&q, dfd, name);

	if (r < 0)
		return r;
	r = each_file(dfd, name, false);
	if (r == 0)
		r = beside(path, dfd, name, "gone");
	if (r == 0 && renameat(dfd, name, dfd, path) < 0)
		r = -errno;
	if (r == 0)
		(void)pcore_queue_close(q, true);
	pcore_queue_free(q);
	return r < 0 ? r : remove_directory(dfd, path);
}

static int is_any_meta(void *arg, const struct pcore_record *rec)
{
	return is_meta(arg, rec) == 1;
}

/* When the damage has taken what says what the queue is, it is one without limits, in the order of the puts. */
static int complete_salvaged(int dfd, const char *name)
{
	struct pcore_store *s = NULL;
	struct dq_meta meta;
	int r = pcore_store_open(&s, dfd, name, &(struct pcore_store_spec){ .sync = PCORE_STORE_ALWAYS }, NULL);

	if (r == 0)
		r = pcore_store_each(s, 1, is_any_meta, &meta, NULL);
	if (r == 0) {
		r = complete(&(struct pcore_queue_config){ .order = PCORE_FIFO }, &meta);
		assert(r == 0);
		r = put_meta(s, &meta);
	}
	(void)pcore_store_close(s);
	return r < 0 ? r : 0;
}

int pcore_queue_repair(int from_dfd, const char *from, int to_dfd, const char *to, struct pcore_queue_repaired *ret)
{
	struct pcore_store_salvaged s;
	struct pcore_queue_state stat;
	struct pcore_queue *q = NULL;
	int r = pcore_store_salvage(from_dfd, from, to_dfd, to, &s);

	if (r < 0)
		return r;
	r = complete_salvaged(to_dfd, to);
	if (r == 0)
		r = pcore_queue_durable_open(&q, to_dfd, to);
	if (r == 0)
		r = pcore_queue_state(q, &stat);
	pcore_queue_free(q);
	if (r < 0) {
		(void)remove_directory(to_dfd, to);
		return r;
	}
	*ret = (struct pcore_queue_repaired){
		.items = stat.ready + stat.leased + stat.delayed + stat.dead,
		.records = s.records,
		.missing = s.missing,
		.bad_bytes = s.bad_bytes,
		.bad_places = s.bad_places,
	};
	return 0;
}
