/* SPDX-License-Identifier: MIT */
/*
 * result.c - the results of a named pool.
 */
#include "tools/ppool/result.h"

#include <string.h>
#include <unistd.h>

#include "tools/cli/collate.h"

struct result *result_new(struct keeping *k)
{
	struct result *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->keeping = k;
	r->streams[0].fd = r->streams[1].fd = -EBADF;
	return r;
}

void result_forget(struct result *r)
{
	for (int i = 0; i < 2; i++) {
		r->keeping->bytes -= result_size(r, i);
		r->keeping->memory -= r->streams[i].head.len;
		pcore_buf_done(&r->streams[i].head);
		r->streams[i].fd = pcore_fd_close(r->streams[i].fd);
		r->streams[i].rest = 0;
	}
}

void result_free(struct result *r)
{
	if (!r)
		return;
	result_forget(r);
	free(r->subject);
	free(r);
}

uint64_t result_size(const struct result *r, int stream)
{
	return r->streams[stream].head.len + r->streams[stream].rest;
}

static int add_to_file(struct result *r, int stream, const char *data, size_t len)
{
	const char *tmpdir = getenv("TMPDIR");

	if (r->streams[stream].fd < 0)
		r->streams[stream].fd = cli_unnamed_file(tmpdir && *tmpdir ? tmpdir : "/tmp");
	if (r->streams[stream].fd < 0)
		return r->streams[stream].fd;
	while (len > 0) {
		ssize_t n = pwrite(r->streams[stream].fd, data, len, (off_t)r->streams[stream].rest);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
		r->streams[stream].rest += (uint64_t)n;
		r->keeping->bytes += (uint64_t)n;
	}
	return 0;
}

int result_add(struct result *r, int stream, const char *data, size_t len)
{
	struct keeping *k = r->keeping;

	if (r->streams[stream].fd >= 0 || k->memory + len > k->max || pcore_buf_add(&r->streams[stream].head, data, len) < 0)
		return add_to_file(r, stream, data, len);
	k->memory += len;
	k->bytes += len;
	return 0;
}

ssize_t result_read(const struct result *r, int stream, uint64_t offset, char *buf, size_t size)
{
	size_t head = r->streams[stream].head.len;
	ssize_t n;

	if (offset < head) {
		size = size < head - offset ? size : head - offset;
		memcpy(buf, r->streams[stream].head.data + offset, size);
		return (ssize_t)size;
	}
	if (r->streams[stream].fd < 0)
		return 0;
	do
		n = pread(r->streams[stream].fd, buf, size, (off_t)(offset - head));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}
