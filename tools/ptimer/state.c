/* SPDX-License-Identifier: MIT */
/*
 * state.c - what is dealt with, recorded in a file.
 */
#include "tools/ptimer/state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/store/store.h"

#define HEADER "ptimer-state 1\n"

enum { OPEN_TRIES = 16, COMPACT_MIN = 64 << 10 };

struct entry {
	struct pcore_map_node node;
	struct pcore_list link;
	int64_t time;
	char key[];
};

bool state_is_key(const char *key)
{
	size_t len = 0;

	for (; key[len]; len++)
		if ((unsigned char)key[len] < ' ' || key[len] == '\x7f' || len == STATE_KEY_MAX)
			return false;
	return len > 0;
}

static struct entry *find(const struct state *s, const char *key)
{
	struct pcore_map_node *node = pcore_map_find(&s->entries, key, strlen(key));

	return node ? container_of(node, struct entry, node) : NULL;
}

bool state_find(const struct state *s, const char *key, int64_t *ret_time)
{
	const struct entry *e = find(s, key);

	if (e)
		*ret_time = e->time;
	return e;
}

static int set(struct state *s, const char *key, int64_t time)
{
	struct entry *e = find(s, key);
	size_t len = strlen(key);
	int r;

	if (!e) {
		e = calloc(1, sizeof(*e) + len + 1);
		if (!e)
			return -ENOMEM;
		memcpy(e->key, key, len);
		r = pcore_map_insert(&s->entries, &e->node, e->key, len);
		if (r < 0) {
			free(e);
			return r;
		}
		pcore_list_init(&e->link);
		pcore_list_add_tail(&s->all, &e->link);
	}
	e->time = time;
	return 0;
}

/* ---- the text ---- */

static int add_line(struct pcore_buf *b, const char *key, int64_t time)
{
	char text[STATE_KEY_MAX + 32];
	int len = snprintf(text, sizeof(text), "%" PRId64 " %s", time, key);

	assert(len > 0);
	assert((size_t)len < sizeof(text));

	return pcore_buf_addf(b, "%08" PRIx32 " %s\n", pcore_crc32c(0, text, (size_t)len), text);
}

/* A line without its newline, which is a NUL. 0, -EBADMSG, -ENOMEM. */
static int read_line(struct state *s, char *line, size_t len)
{
	char *time_text, *key, crc[9];
	int64_t time;

	if (strlen(line) != len || len < 9)
		return -EBADMSG;
	time_text = line + 9;
	key = strchr(time_text, ' ');
	if (!key)
		return -EBADMSG;
	(void)snprintf(crc, sizeof(crc), "%08" PRIx32, pcore_crc32c(0, time_text, strlen(time_text)));
	if (memcmp(line, crc, 8) != 0 || line[8] != ' ')
		return -EBADMSG;
	*key++ = '\0';
	if (pcore_parse_i64(time_text, INT64_MIN, INT64_MAX, &time) < 0 || !state_is_key(key))
		return -EBADMSG;
	return set(s, key, time);
}

/* Text of len bytes. *ret_used: those of whole lines. */
static int read_text(struct state *s, char *text, size_t len, size_t *ret_used)
{
	size_t at = strlen(HEADER);
	char *end;
	int r = 0;

	*ret_used = 0;
	s->bad_line = 1;
	if (len == 0)
		return 0;
	if (len < at || memcmp(text, HEADER, at) != 0)
		return -EBADMSG;
	while (r == 0 && (end = memchr(text + at, '\n', len - at))) {
		*end = '\0';
		s->bad_line++;
		r = read_line(s, text + at, (size_t)(end - text) - at);
		at = (size_t)(end - text) + 1;
	}
	*ret_used = at;
	return r;
}

/* ---- the file ---- */

static int write_all(const struct state *s, struct pcore_buf *b)
{
	int r = pcore_buf_adds(b, HEADER);

	PCORE_LIST_FOREACH_SAFE(node, &s->all) {
		const struct entry *e = container_of(node, struct entry, link);

		if (r == 0)
			r = add_line(b, e->key, e->time);
	}
	return r;
}

/* Replace the file by one with only what counts. That waits for the disk: at the start, and after thousands of ticks. */
static int compact(struct state *s)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	int fd = -EBADF, r = write_all(s, &b);

	if (r == 0)
		r = pcore_store_replace_locked(s->dfd, s->name, b.data, b.len, &fd);
	if (r < 0)
		return r == -EWOULDBLOCK ? -EBUSY : r;
	pcore_fd_close(s->fd);
	s->fd = fd;
	s->size = b.len;
	s->compact_at = COMPACT_MIN + 4 * b.len;
	return 0;
}

/* Open and lock the file that has the name. */
static int lock_file(struct state *s)
{
	struct stat ours, named;

	for (int i = 0; i < OPEN_TRIES; i++) {
		s->fd = openat(s->dfd, s->name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
		if (s->fd < 0)
			return -errno;
		if (fstat(s->fd, &ours) < 0)
			return -errno;
		if (!S_ISREG(ours.st_mode))
			return -EINVAL;
		if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (fstatat(s->dfd, s->name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == ours.st_ino && named.st_dev == ours.st_dev)
			return 0;
		s->fd = pcore_fd_close(s->fd); /* it was replaced meanwhile */
	}
	return -EBUSY;
}

static int read_file(const struct state *s, struct pcore_buf *b)
{
	ssize_t n;
	int r;

	for (;;) {
		r = pcore_buf_reserve(b, 4096);
		if (r < 0)
			return r == -ENOBUFS ? -EFBIG : r;
		n = read(s->fd, b->data + b->len, b->cap - b->len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		b->len += n > 0 ? (size_t)n : 0;
	}
}

static int open_directory(struct state *s, const char *path)
{
	_cleanup_(freep) char *dir = NULL;
	const char *slash = strrchr(path, '/');

	s->name = strdup(slash ? slash + 1 : path);
	dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!s->name || !dir)
		return -ENOMEM;
	s->dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->dfd < 0 ? -errno : 0;
}

int state_open(struct state *s, const char *path)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(STATE_FILE_MAX);
	size_t used = 0;
	int r;

	*s = (struct state){ .dfd = -EBADF, .fd = -EBADF };
	pcore_list_init(&s->all);
	pcore_list_init(&s->added);
	pcore_list_init(&s->syncing);
	r = open_directory(s, path);
	if (r == 0)
		r = lock_file(s);
	if (r == 0)
		r = read_file(s, &b);
	if (r == 0)
		r = read_text(s, b.data, b.len, &used);
	return r < 0 ? r : compact(s);
}

void state_done(struct state *s)
{
	struct pcore_list *node;

	if (!s || !s->name)
		return;
	assert(!pcore_op_live(&s->sync_op));

	while ((node = pcore_list_pop(&s->all)))
		free(container_of(node, struct entry, link));
	pcore_map_done(&s->entries);
	free(s->name);
	pcore_fd_close(s->fd);
	pcore_fd_close(s->dfd);
	*s = (struct state){ .dfd = -EBADF, .fd = -EBADF };
}

/* ---- recording ---- */

static void tell(struct state *s, int error)
{
	struct pcore_list told = PCORE_LIST_INIT(told), *node;

	pcore_list_splice_tail(&told, &s->syncing); /* who is told may add another */
	while ((node = pcore_list_pop(&told)))
		s->recorded(s->ctx, container_of(node, struct state_wait, link), error);
}

/* One sync for all that were added before it. */
static int sync_added(struct state *s)
{
	pcore_list_splice_tail(&s->syncing, &s->added);
	return pcore_op_fsync(s->loop, &s->sync_op, s->fd, true);
}

static void synced(struct pcore_op *op, int res)
{
	struct state *s = container_of(op, struct state, sync_op);
	int r;

	if (s->stopped)
		return;
	if (res == 0 && s->size > s->compact_at) {
		res = compact(s); /* which has all on the disk */
		pcore_list_splice_tail(&s->syncing, &s->added);
	}
	tell(s, res);
	if (s->stopped || pcore_op_live(op) || pcore_list_empty(&s->added))
		return;
	r = sync_added(s);
	if (r < 0)
		tell(s, r);
}

void state_start(struct state *s, struct pcore_loop *lp)
{
	s->loop = lp;
	s->sync_op = (struct pcore_op){ .done = synced };
	s->stopped = false;
}

void state_stop(struct state *s)
{
	s->stopped = true;
	if (s->loop)
		pcore_op_cancel(s->loop, &s->sync_op);
}

int state_add(struct state *s, const char *key, int64_t time, struct state_wait *w)
{
	_cleanup_(pcore_buf_done) struct pcore_buf b = PCORE_BUF_INIT(0);
	int r;

	assert(state_is_key(key));

	r = add_line(&b, key, time);
	if (r == 0)
		r = pcore_fd_write_all(s->fd, b.data, b.len);
	if (r == 0)
		r = set(s, key, time);
	if (r < 0) /* and nothing stays half written */
		return ftruncate(s->fd, (off_t)s->size) < 0 ? -errno : r;
	s->size += b.len;
	if (!w)
		return 0;
	pcore_list_init(&w->link);
	pcore_list_add_tail(&s->added, &w->link);
	if (pcore_op_live(&s->sync_op))
		return 0;
	r = sync_added(s);
	if (r < 0)
		pcore_list_del(&w->link);
	return r;
}
