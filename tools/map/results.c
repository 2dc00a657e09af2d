/* SPDX-License-Identifier: MIT */
/*
 * results.c - what jobs write, kept in files.
 */
#include "tools/map/results.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/cli/collate.h"

enum { CHUNK = 64 * 1024, PATH_SIZE = 40 };

static const char *const stream_names[] = { "stdout", "stderr" };
static const char csv_header[] = "seq,item,exit,signal,stdout,stderr\r\n";

struct results {
	const char *where;
	const char *tmpdir;
	enum { RESULTS_DIR, RESULTS_JSON, RESULTS_CSV } kind;
	int fd; /* of the directory or the file */
	struct pcore_buf line;
	char chunk[CHUNK];
};

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len > n && strcmp(s + len - n, end) == 0;
}

bool results_is_file(const char *where)
{
	return ends_with(where, ".json") || ends_with(where, ".csv");
}

/* ---- opening ---- */

int results_cut_torn(int fd, bool csv, int64_t *ret_size)
{
	char chunk[4096];
	int64_t whole = 0, size = 0;
	bool quoted = false;
	ssize_t n;

	while ((n = pread(fd, chunk, sizeof(chunk), size)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (csv && chunk[i] == '"')
				quoted = !quoted;
			else if (chunk[i] == '\n' && !quoted)
				whole = size + i + 1;
		}
		size += n;
	}
	if (n < 0 && errno == ESPIPE) { /* nothing is kept in a pipe */
		*ret_size = 0;
		return 0;
	}
	if (n < 0 || (whole < size && ftruncate(fd, whole) < 0))
		return -errno;
	*ret_size = whole;
	return 0;
}

static int open_dir(struct results *r)
{
	if (mkdir(r->where, 0777) < 0 && errno != EEXIST)
		return -errno;
	r->fd = open(r->where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->fd < 0)
		return -errno;
	return faccessat(r->fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static int open_file(struct results *r, bool keep)
{
	int64_t size = 0;
	int error = 0;

	r->fd = open(r->where, (keep ? O_RDWR : O_WRONLY | O_TRUNC) | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	if (r->fd < 0)
		return -errno;
	if (keep)
		error = results_cut_torn(r->fd, r->kind == RESULTS_CSV, &size);
	if (error == 0 && r->kind == RESULTS_CSV && size == 0)
		error = pcore_fd_write_all(r->fd, csv_header, strlen(csv_header));
	return error;
}

int results_open(struct results **ret, const char *where, bool keep, const char *tmpdir)
{
	struct results *r = calloc(1, sizeof(*r));
	int error;

	if (!r)
		return cli_error("out of memory");

	r->where = where;
	r->tmpdir = tmpdir;
	r->fd = -EBADF;
	r->kind = ends_with(where, ".json") ? RESULTS_JSON : ends_with(where, ".csv") ? RESULTS_CSV : RESULTS_DIR;
	error = r->kind == RESULTS_DIR ? open_dir(r) : open_file(r, keep);
	if (error < 0) {
		results_close(r);
		return cli_error("cannot write results to '%s': %s", where, strerror(-error));
	}
	*ret = r;
	return CLI_GO;
}

void results_close(struct results *r)
{
	if (!r)
		return;

	r->fd = pcore_fd_close(r->fd);
	pcore_buf_done(&r->line);
	free(r);
}

/* ---- a job's files ---- */

void results_job_init(struct results_job *j)
{
	*j = (struct results_job){ .fds = { -EBADF, -EBADF } };
}

void results_job_done(struct results_job *j)
{
	for (int i = 0; i < 2; i++)
		j->fds[i] = pcore_fd_close(j->fds[i]);
}

static int add_items(struct pcore_buf *b, const struct cli_item *items, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (i > 0)
			r = pcore_buf_addc(b, '\n');
		if (r == 0)
			r = pcore_buf_add(b, items[i].data, items[i].len);
	}
	return r;
}

/* DIR/SEQ/name, or with name "" DIR/SEQ. */
static char *path_of(char path[static PATH_SIZE], uint64_t seq, const char *name)
{
	(void)snprintf(path, PATH_SIZE, "%" PRIu64 "/%s", seq, name);
	return path;
}

/* Beside its place, then into it: nobody sees half of it. */
static int put_file(const struct results *r, uint64_t seq, const char *name, const char *data, size_t len)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	char tmp[PATH_SIZE], path[PATH_SIZE];
	int error;

	(void)path_of(tmp, seq, ".new");
	fd = openat(r->fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	error = pcore_fd_write_all(fd, data, len);
	if (error < 0)
		return error;
	return renameat(r->fd, tmp, r->fd, path_of(path, seq, name)) < 0 ? -errno : 0;
}

/* An earlier run's status goes first: it must not be taken for that of the job which is about to start. */
static int begin_dir(struct results *r, struct results_job *j, uint64_t seq, const struct cli_item *items, size_t n_items)
{
	char path[PATH_SIZE];
	int error;

	if (mkdirat(r->fd, path_of(path, seq, ""), 0777) < 0 && errno != EEXIST)
		return -errno;
	if (unlinkat(r->fd, path_of(path, seq, "status"), 0) < 0 && errno != ENOENT)
		return -errno;
	for (int i = 0; i < 2; i++) {
		j->fds[i] = openat(r->fd, path_of(path, seq, stream_names[i]),
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0666);
		if (j->fds[i] < 0)
			return -errno;
	}
	pcore_buf_clear(&r->line);
	error = add_items(&r->line, items, n_items);
	return error < 0 ? error : put_file(r, seq, "item", r->line.data, r->line.len);
}

static int begin_file(struct results *r, struct results_job *j)
{
	for (int i = 0; i < 2; i++) {
		j->fds[i] = cli_unnamed_file(r->tmpdir);
		if (j->fds[i] < 0)
			return j->fds[i];
	}
	return 0;
}

int results_begin(struct results *r, struct results_job *j, uint64_t seq, const struct cli_item *items, size_t n_items)
{
	if (j->fds[1] >= 0)
		return 0;
	return r->kind == RESULTS_DIR ? begin_dir(r, j, seq, items, n_items) : begin_file(r, j);
}

int results_add(struct results_job *j, enum pcore_job_stream stream, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = pwrite(j->fds[stream], data, len, j->sizes[stream]);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		j->sizes[stream] += n;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int results_forget(struct results_job *j)
{
	for (int i = 0; i < 2; i++) {
		if (j->fds[i] >= 0 && ftruncate(j->fds[i], 0) < 0)
			return -errno;
		j->sizes[i] = 0;
	}
	return 0;
}

/* ---- a record ---- */

/* Write what has gathered, if it is much (or the last). */
static int flush(struct results *r, size_t much)
{
	int error = r->line.len >= much ? pcore_fd_write_all(r->fd, r->line.data, r->line.len) : 0;

	if (r->line.len >= much)
		pcore_buf_clear(&r->line);
	return error;
}

/* How much of a piece of text can be taken without cutting a character of UTF-8. */
static size_t whole_characters(const char *p, size_t n)
{
	for (size_t back = 1; back <= 3 && back < n; back++) {
		unsigned char c = (unsigned char)p[n - back];

		if ((c & 0xc0) != 0x80)
			return c >= 0xc0 ? n - back : n;
	}
	return n;
}

static int add_csv_text(struct pcore_buf *b, const char *data, size_t len)
{
	const char *end = data + len, *quote;
	int r = 0;

	if (len == 0)
		return 0;
	while (r == 0 && (quote = memchr(data, '"', (size_t)(end - data)))) {
		r = pcore_buf_add(b, data, (size_t)(quote - data) + 1);
		if (r == 0)
			r = pcore_buf_addc(b, '"');
		data = quote + 1;
	}
	return r < 0 ? r : pcore_buf_add(b, data, (size_t)(end - data));
}

/* All that a stream's file holds, as the inside of a string. */
static int add_stream(struct results *r, struct pcore_json *json, const struct results_job *j, int stream)
{
	int error = 0;

	for (off_t at = 0; error == 0 && at < j->sizes[stream];) {
		ssize_t n = pread(j->fds[stream], r->chunk, sizeof(r->chunk), at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		if (at + n < j->sizes[stream])
			n = (ssize_t)whole_characters(r->chunk, (size_t)n);
		if (json)
			pcore_json_text_add(json, r->chunk, (size_t)n);
		else
			error = add_csv_text(&r->line, r->chunk, (size_t)n);
		at += n;
		if (error == 0 && (!json || (error = json->error) == 0))
			error = flush(r, CHUNK);
	}
	return error;
}

/* A signal's name, or NULL with the exit status in *ret. */
static const char *outcome(const struct pcore_job *job, char name[static PCORE_SIGNAL_NAME_MAX], int *ret)
{
	const struct pcore_job_result *res = &job->result;

	*ret = res->error.code < 0 ? pcore_job_status(job) : res->exit.status;
	if (res->error.code < 0 || res->exit.code == CLD_EXITED)
		return NULL;
	return pcore_signal_name(res->exit.status, name);
}

static int add_json(struct results *r, const struct results_job *j, const struct pcore_job *job, const struct pcore_buf *item)
{
	struct pcore_json json = PCORE_JSON_INIT(&r->line);
	char name[PCORE_SIGNAL_NAME_MAX];
	int status = 0, error = 0;
	const char *sig = outcome(job, name, &status);

	pcore_json_object(&json);
	pcore_json_key(&json, "seq");
	pcore_json_u64(&json, job->seq);
	pcore_json_key(&json, "item");
	pcore_json_bytes(&json, item->data, item->len);
	pcore_json_key(&json, "exit");
	if (sig)
		pcore_json_null(&json);
	else
		pcore_json_i64(&json, status);
	pcore_json_key(&json, "signal");
	pcore_json_str(&json, sig);
	for (int i = 0; error == 0 && i < 2; i++) {
		pcore_json_key(&json, stream_names[i]);
		pcore_json_text(&json);
		error = add_stream(r, &json, j, i);
		pcore_json_text_end(&json);
	}
	pcore_json_object_end(&json);
	return error < 0 ? error : json.error < 0 ? json.error : pcore_buf_addc(&r->line, '\n');
}

static int add_csv(struct results *r, const struct results_job *j, const struct pcore_job *job, const struct pcore_buf *item)
{
	char name[PCORE_SIGNAL_NAME_MAX];
	int status = 0;
	const char *sig = outcome(job, name, &status);
	int error = pcore_buf_addf(&r->line, "%" PRIu64 ",\"", job->seq);

	if (error == 0)
		error = add_csv_text(&r->line, item->data, item->len);
	if (error == 0)
		error = sig ? pcore_buf_addf(&r->line, "\",,%s", sig) : pcore_buf_addf(&r->line, "\",%d,", status);
	for (int i = 0; error == 0 && i < 2; i++) {
		error = pcore_buf_adds(&r->line, i == 0 ? ",\"" : "\",\"");
		if (error == 0)
			error = add_stream(r, NULL, j, i);
	}
	return error < 0 ? error : pcore_buf_adds(&r->line, "\"\r\n");
}

int results_finish(struct results *r, const struct results_job *j, const struct pcore_job *job, const struct cli_item *items,
	size_t n_items)
{
	_cleanup_(pcore_buf_done) struct pcore_buf item = PCORE_BUF_INIT(0);
	int error;

	pcore_buf_clear(&r->line);
	if (r->kind == RESULTS_DIR) {
		error = pcore_buf_addf(&r->line, "%d\n", pcore_job_status(job));
		return error < 0 ? error : put_file(r, job->seq, "status", r->line.data, r->line.len);
	}
	error = add_items(&item, items, n_items);
	if (error == 0)
		error = r->kind == RESULTS_JSON ? add_json(r, j, job, &item) : add_csv(r, j, job, &item);
	return error < 0 ? error : flush(r, 0);
}
