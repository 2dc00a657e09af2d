/* SPDX-License-Identifier: MIT */
/*
 * channel.h - a duplex channel: two processes send each other messages, and descriptors with them.
 *
 * A message has any length below 4 GiB and comes out whole, as it went in. Times are int64_t nanoseconds, counted from the
 * call: PCORE_FOREVER waits without a limit, 0 does not wait; a message that has begun is sent or received to its end.
 * One thread may send while another receives. pcore_channel(3) has the details.
 */
#ifndef PCORE_API_CHANNEL_H
#define PCORE_API_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PCORE_FOREVER INT64_MAX

struct pcore_channel;

enum pcore_channel_mode { PCORE_CHANNEL_DUPLEX, PCORE_CHANNEL_SEND, PCORE_CHANNEL_RECV };

enum { PCORE_CHANNEL_FDS_MAX = 4096 }; /* descriptors of one message */

/* Both ends, without a name: for a thread, or for a process that is made of this one. 0, -ENOMEM, -EMFILE, -ENFILE. */
int pcore_channel_pair(struct pcore_channel *ret[2]);

/* Open an end of the channel at path, and wait for who opens the other one. mode is an enum pcore_channel_mode. 0; -EBUSY: both
 * ends are taken; -EAGAIN (timeout 0), -ETIMEDOUT: nobody came; -EPERM: the file or the other end is another user's; -EINVAL;
 * -errno of open(2). */
int pcore_channel_open(struct pcore_channel **ret, const char *path, int mode, int64_t timeout);

/* Close our end. NULL is fine. */
void pcore_channel_free(struct pcore_channel *c);

/* Send a message. 0; -EPIPE: the other end is gone or only sends (SIGPIPE is not raised); -EPERM: this end only receives;
 * -EMSGSIZE: 4 GiB or more; -EAGAIN (timeout 0), -ETIMEDOUT: nothing was sent. */
int pcore_channel_send(struct pcore_channel *c, const void *data, size_t size, int64_t timeout);

/* The same with copies of n descriptors, which stay ours. -EBADF: one of them is not open (nothing was sent); -EMSGSIZE: more
 * than PCORE_CHANNEL_FDS_MAX. */
int pcore_channel_send_fds(struct pcore_channel *c, const void *data, size_t size, const int *fds, size_t n, int64_t timeout);

/* Receive a message. 1: *ret is its bytes (how many: *ret_size, or NULL), with a NUL behind them that is not counted, to be freed
 * with free(); 0: the other end has finished or closed, and all was received; -EBADMSG: it closed in the middle of a message;
 * -EPERM: this end only sends; -EMSGSIZE: there are descriptors with it: it is kept, see below; -EAGAIN (timeout 0), -ETIMEDOUT;
 * -ENOMEM. */
int pcore_channel_recv(struct pcore_channel *c, char **ret, size_t *ret_size, int64_t timeout);

/* A message with descriptors. */
struct pcore_channel_message {
	size_t size;	  /* sizeof(struct pcore_channel_message), set by the caller, as are the next three */
	size_t max_bytes; /* of the message; 0: no limit */
	int *fds;	  /* room for so many, or NULL */
	size_t max_fds;
	char *data; /* as pcore_channel_recv() has it */
	size_t data_size;
	size_t n_fds; /* that have come: close-on-exec, and ours */
};

/* As pcore_channel_recv(). -EMSGSIZE: the message is longer or has more descriptors than there is room for: it is kept. -EMFILE:
 * this process can have no more descriptors; the channel is of no further use. */
int pcore_channel_recv_message(struct pcore_channel *c, struct pcore_channel_message *m, int64_t timeout);

/* Wait until there is a message, or the end. 1, -EAGAIN (timeout 0), -ETIMEDOUT. */
int pcore_channel_poll(struct pcore_channel *c, int64_t timeout);

/* Nothing more will be sent: the other end sees the end when it has received all. 0 or -errno. */
int pcore_channel_finish(struct pcore_channel *c);

/* Wait until nothing can be sent in either direction: the other end is closed, or both have finished. 0, -EAGAIN (timeout 0),
 * -ETIMEDOUT. */
int pcore_channel_join(struct pcore_channel *c, int64_t timeout);

/* For poll(2): readable when pcore_channel_poll() would not wait. It stays the channel's. */
int pcore_channel_fd(const struct pcore_channel *c);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
