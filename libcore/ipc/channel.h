/* SPDX-License-Identifier: MIT */
/*
 * channel.h - a named duplex channel: two programs open one end each and send each other messages.
 *
 * The first to open a name waits for the second; a third is refused while either of the two has its end open. A message has
 * any length and comes out as it went in, with the descriptors that were sent along. An end is closed by its death too.
 *
 * The name is a file whose bytes are locked (0: the first end, 1: the second, 2: somebody is opening), so that the kernel
 * knows who is there; the first end listens on a socket beside it until the second has come. What goes through the
 * connection is, for each message: its length and the number of its descriptors (4 bytes each, lowest first), a byte for
 * every 253 descriptors, which carries them, and the bytes.
 *
 * Calls block until deadline_ns (CLOCK_MONOTONIC; 0: do not wait, INT64_MAX: for ever); a message that has begun is sent or
 * received to its end. One thread may send while another receives.
 */
#ifndef PCORE_IPC_CHANNEL_H
#define PCORE_IPC_CHANNEL_H

#include <pcore/channel.h>

#include "libcore/base/base.h"

/* What programs outside have is <pcore/channel.h>, with time-outs. pair, free, finish and fd are declared there alone. */

/* Open an end and wait for the other one. -EBUSY: both ends are taken; -EAGAIN (deadline 0), -ETIMEDOUT: nobody came;
 * -EPERM: the file or the other end is another user's; -errno. */
int pcore_channel_open_at(struct pcore_channel **ret, int dfd, const char *name, enum pcore_channel_mode mode, int64_t deadline_ns);

/* Send a message, and descriptors, which stay ours. 0; -EPERM: this end only receives; -EPIPE: the other end is gone or
 * only sends; -EBADF: one of the descriptors is not open (nothing was sent); -EMSGSIZE: 4 GiB or more, or too many
 * descriptors; -EAGAIN, -ETIMEDOUT. */
int pcore_channel_send_until(struct pcore_channel *c, const void *data, size_t len, const int *fds, size_t n_fds, int64_t deadline_ns);

/* Append a message to buf. 1: there is one; 0: the other end is closed and all was received; -EBADMSG: it closed in the
 * middle of a message; -EMSGSIZE: the message is longer than max or has more descriptors than *n_fds: it is kept, and comes
 * again; -EPERM: this end only sends; -EAGAIN, -ETIMEDOUT, -ENOMEM, -errno. fds: room for *n_fds descriptors (NULL: none),
 * close-on-exec and ours from now on; *n_fds becomes their number. */
int pcore_channel_recv_until(struct pcore_channel *c, struct pcore_buf *buf, size_t max, int *fds, size_t *n_fds, int64_t deadline_ns);

/* 1 when a message or the end can be received; -EAGAIN, -ETIMEDOUT. */
int pcore_channel_poll_until(struct pcore_channel *c, int64_t deadline_ns);

/* Wait until nothing can be sent in either direction: the other end is closed, or both ends have finished. 0, -EAGAIN,
 * -ETIMEDOUT. */
int pcore_channel_join_until(struct pcore_channel *c, int64_t deadline_ns);

#endif
