/* SPDX-License-Identifier: MIT */
/*
 * channel.c - <pcore/channel.h> over libcore/ipc.
 */
#include <fcntl.h>

#include "libcore/api/api.h"
#include "libcore/ipc/ipc.h"

int pcore_channel_open(struct pcore_channel **ret, const char *path, int mode, int64_t timeout)
{
	if (!ret || !path || mode < PCORE_CHANNEL_DUPLEX || mode > PCORE_CHANNEL_RECV)
		return -EINVAL;
	return pcore_channel_open_at(ret, AT_FDCWD, path, (enum pcore_channel_mode)mode, pcore_deadline(timeout));
}

int pcore_channel_send(struct pcore_channel *c, const void *data, size_t size, int64_t timeout)
{
	return pcore_channel_send_until(c, data, size, NULL, 0, pcore_deadline(timeout));
}

int pcore_channel_send_fds(struct pcore_channel *c, const void *data, size_t size, const int *fds, size_t n, int64_t timeout)
{
	return pcore_channel_send_until(c, data, size, fds, n, pcore_deadline(timeout));
}

/* The message's bytes are the buffer's memory, which goes to the caller. */
static int receive(struct pcore_channel *c, struct pcore_channel_message *m, int64_t timeout)
{
	struct pcore_buf buf = { 0 };
	size_t n = m->max_fds;
	int r = pcore_channel_recv_until(
		c, &buf, m->max_bytes ? m->max_bytes : SIZE_MAX, m->fds, m->fds ? &n : NULL, pcore_deadline(timeout));

	if (r <= 0) {
		pcore_buf_done(&buf);
		return r;
	}
	assert(buf.cap > buf.len);
	buf.data[buf.len] = '\0';
	m->data = buf.data;
	m->data_size = buf.len;
	m->n_fds = m->fds ? n : 0;
	return r;
}

int pcore_channel_recv(struct pcore_channel *c, char **ret, size_t *ret_size, int64_t timeout)
{
	struct pcore_channel_message m = { .max_bytes = 0 };
	int r;

	if (!ret)
		return -EINVAL;
	r = receive(c, &m, timeout);
	if (r > 0) {
		*ret = m.data;
		if (ret_size)
			*ret_size = m.data_size;
	}
	return r;
}

/* Of a larger, later struct what is not known here is left alone: it is the answer's, or zero. */
int pcore_channel_recv_message(struct pcore_channel *c, struct pcore_channel_message *message, int64_t timeout)
{
	if (pcore_sized_out(message, sizeof(*message), NULL, 0) < 0)
		return -EINVAL;
	return receive(c, message, timeout);
}

int pcore_channel_poll(struct pcore_channel *c, int64_t timeout)
{
	return pcore_channel_poll_until(c, pcore_deadline(timeout));
}

int pcore_channel_join(struct pcore_channel *c, int64_t timeout)
{
	return pcore_channel_join_until(c, pcore_deadline(timeout));
}
