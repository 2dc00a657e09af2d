/* SPDX-License-Identifier: MIT */
/*
 * frame.h - what clients and servers of one user say to each other over a Unix socket.
 *
 * A frame is a length (4 bytes, of what follows), a type (1 byte) and a body. Numbers are big-endian. Words are their length (4
 * bytes) and their bytes, each with a NUL at its end. Reading looks at no byte that is not there, and points into the body
 * instead of copying: cli_take_*() give zeroes once something was not there, and cli_frame_end() says whether all was.
 * Writing appends to a buffer: cli_frame_finish() fills in the length.
 */
#ifndef PCORE_CLI_FRAME_H
#define PCORE_CLI_FRAME_H

#include "libcore/base/base.h"

enum { CLI_FRAME_HEADER = 5, CLI_FRAME_MAX = 8 << 20 }; /* the greatest: type and body */

struct cli_frame {
	unsigned type;
	const char *body;
	size_t len;
};

struct cli_words {
	const char *data; /* each ends with a NUL */
	size_t len, n;
};

/* The next frame of the len bytes at data: 1 with *ret and *ret_used, 0 when it is not whole yet, -EPROTO. */
int cli_frame_next(const char *data, size_t len, struct cli_frame *ret, size_t *ret_used);

/* The next of w's words, or NULL: takes it off w. */
const char *cli_word(struct cli_words *w);

struct cli_cursor {
	const char *p;
	size_t left;
	bool bad;
};

struct cli_cursor cli_frame_read(const struct cli_frame *f);
const char *cli_take(struct cli_cursor *c, size_t n);
uint8_t cli_take_u8(struct cli_cursor *c);
uint32_t cli_take_u32(struct cli_cursor *c);
uint64_t cli_take_u64(struct cli_cursor *c);
int64_t cli_take_ns(struct cli_cursor *c);			  /* a time or a span: never negative */
uint8_t cli_take_flags(struct cli_cursor *c, uint8_t known); /* no other bits */
struct cli_words cli_take_words(struct cli_cursor *c);
const char *cli_take_rest(struct cli_cursor *c, size_t *ret_len);
int cli_frame_end(const struct cli_cursor *c); /* 0, or -EPROTO when it was too short, too long or wrong */

struct cli_writer {
	struct pcore_buf *b;
	size_t start;
	int error;
};

struct cli_writer cli_frame_start(struct pcore_buf *b, unsigned type);
void cli_put(struct cli_writer *w, const void *data, size_t n);
void cli_put_u8(struct cli_writer *w, uint8_t v);
void cli_put_u32(struct cli_writer *w, size_t v);
void cli_put_u64(struct cli_writer *w, uint64_t v);
void cli_put_words(struct cli_writer *w, char *const *words);
int cli_frame_finish(struct cli_writer *w); /* 0, -ENOMEM, or -EMSGSIZE for one that is too long (nothing is appended) */

/* The address of the socket `socket' in a directory, by way of /proc/self/fd, so that the length of a path is no limit. */
struct sockaddr_un;
void cli_socket_address(struct sockaddr_un *ret, int dfd);

/* Does the other end of a connection run as our own user? */
bool cli_peer_is_ours(int fd);

#endif
