/* SPDX-License-Identifier: MIT */
/*
 * frame.c - frames between clients and servers.
 */
#include "tools/cli/frame.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- reading ---- */

struct cli_cursor cli_frame_read(const struct cli_frame *f)
{
	return (struct cli_cursor){ .p = f->body, .left = f->len };
}

const char *cli_take(struct cli_cursor *c, size_t n)
{
	const char *p = c->p;

	if (c->bad || n > c->left) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	c->left -= n;
	return p;
}

uint8_t cli_take_u8(struct cli_cursor *c)
{
	const char *p = cli_take(c, 1);

	return p ? (uint8_t)*p : 0;
}

uint32_t cli_take_u32(struct cli_cursor *c)
{
	const char *p = cli_take(c, sizeof(uint32_t));
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

uint64_t cli_take_u64(struct cli_cursor *c)
{
	const char *p = cli_take(c, sizeof(uint64_t));
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

int64_t cli_take_ns(struct cli_cursor *c)
{
	uint64_t v = cli_take_u64(c);

	if (v > INT64_MAX)
		c->bad = true;
	return c->bad ? 0 : (int64_t)v;
}

uint8_t cli_take_flags(struct cli_cursor *c, uint8_t known)
{
	uint8_t v = cli_take_u8(c);

	if (v & ~known)
		c->bad = true;
	return v;
}

struct cli_words cli_take_words(struct cli_cursor *c)
{
	struct cli_words w = { .len = cli_take_u32(c) };

	w.data = cli_take(c, w.len);
	if (!w.data || (w.len > 0 && w.data[w.len - 1] != '\0')) {
		c->bad = true;
		return (struct cli_words){ 0 };
	}
	for (size_t i = 0; i < w.len; i++)
		w.n += w.data[i] == '\0';
	return w;
}

const char *cli_take_rest(struct cli_cursor *c, size_t *ret_len)
{
	*ret_len = c->left;
	return cli_take(c, c->left);
}

int cli_frame_end(const struct cli_cursor *c)
{
	return c->bad || c->left > 0 ? -EPROTO : 0;
}

int cli_frame_next(const char *data, size_t len, struct cli_frame *ret, size_t *ret_used)
{
	uint32_t size;

	if (len < sizeof(size))
		return 0;
	memcpy(&size, data, sizeof(size));
	size = be32toh(size);
	if (size < 1 || size > CLI_FRAME_MAX)
		return -EPROTO;
	if (len - sizeof(size) < size)
		return 0;

	*ret = (struct cli_frame){ (unsigned char)data[sizeof(size)], data + CLI_FRAME_HEADER, size - 1 };
	*ret_used = sizeof(size) + size;
	return 1;
}

const char *cli_word(struct cli_words *w)
{
	const char *word = w->data;
	size_t size;

	if (w->n == 0)
		return NULL;
	size = strlen(word) + 1;
	w->data += size;
	w->len -= size;
	w->n--;
	return word;
}

/* ---- writing ---- */

void cli_put(struct cli_writer *w, const void *data, size_t n)
{
	if (w->error == 0)
		w->error = pcore_buf_add(w->b, data, n);
}

void cli_put_u8(struct cli_writer *w, uint8_t v)
{
	cli_put(w, &v, 1);
}

void cli_put_u32(struct cli_writer *w, size_t v)
{
	uint32_t be = htobe32((uint32_t)v);

	if (v > UINT32_MAX)
		w->error = -EMSGSIZE;
	cli_put(w, &be, sizeof(be));
}

void cli_put_u64(struct cli_writer *w, uint64_t v)
{
	uint64_t be = htobe64(v);

	cli_put(w, &be, sizeof(be));
}

void cli_put_words(struct cli_writer *w, char *const *words)
{
	size_t len = 0;

	for (size_t i = 0; words[i]; i++)
		len += strlen(words[i]) + 1;
	cli_put_u32(w, len);
	for (size_t i = 0; words[i]; i++)
		cli_put(w, words[i], strlen(words[i]) + 1);
}

struct cli_writer cli_frame_start(struct pcore_buf *b, unsigned type)
{
	struct cli_writer w = { .b = b, .start = b->len };

	cli_put_u32(&w, 0);
	cli_put_u8(&w, (uint8_t)type);
	return w;
}

int cli_frame_finish(struct cli_writer *w)
{
	size_t len = w->b->len - w->start;
	uint32_t be;

	if (w->error == 0 && len - sizeof(be) > CLI_FRAME_MAX)
		w->error = -EMSGSIZE;
	if (w->error < 0) {
		w->b->len = w->start;
		return w->error;
	}
	be = htobe32((uint32_t)(len - sizeof(be)));
	memcpy(w->b->data + w->start, &be, sizeof(be));
	return 0;
}

/* ---- sockets ---- */

void cli_socket_address(struct sockaddr_un *ret, int dfd)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/socket", dfd);
}

bool cli_peer_is_ours(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}
