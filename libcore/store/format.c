/* SPDX-License-Identifier: MIT */
/*
 * format.c - what a store's files consist of, as bytes: pure functions.
 */
#include <string.h>

#include "libcore/store/private.h"

static const char segment_magic[8] = "PCORELOG", list_magic[8] = "PCORECUR";

#define RECORD_MAGIC 0x4352504cU /* "LPRC" */
#define BYTE_ORDER_MARK 0x0a0b0c0dU

/* Both headers begin alike: magic, version, byte order, uuid. */
static void encode_start(uint8_t *out, const char magic[static 8], const uint8_t *uuid)
{
	memcpy(out, magic, 8);
	pcore_put16(out + 8, STORE_MAJOR);
	pcore_put16(out + 10, STORE_MINOR);
	pcore_put32(out + 12, BYTE_ORDER_MARK);
	memcpy(out + 16, uuid, PCORE_STORE_UUID);
}

/* A newer minor version only adds what an older reader may pass over. */
static int decode_start(const uint8_t *in, const char magic[static 8], uint8_t *ret_uuid)
{
	if (memcmp(in, magic, 8) != 0)
		return -EBADMSG;
	if (pcore_get16(in + 8) != STORE_MAJOR || pcore_get32(in + 12) != BYTE_ORDER_MARK)
		return -EPROTONOSUPPORT;
	memcpy(ret_uuid, in + 16, PCORE_STORE_UUID);
	return 0;
}

void store_header_encode(uint8_t out[static SEGMENT_HEADER], const struct store_header *h)
{
	encode_start(out, segment_magic, h->uuid);
	pcore_put64(out + 32, h->serial);
	pcore_put64(out + 40, h->first_seq);
	pcore_put64(out + 48, (uint64_t)h->created_ns);
	pcore_put32(out + 56, h->flags);
	pcore_put32(out + 60, pcore_crc32c(0, out, 60));
}

int store_header_decode(const uint8_t in[static SEGMENT_HEADER], struct store_header *ret)
{
	struct store_header h = { 0 };
	int r = decode_start(in, segment_magic, h.uuid);

	if (r < 0)
		return r;
	if (pcore_get32(in + 60) != pcore_crc32c(0, in, 60))
		return -EBADMSG;
	h.serial = pcore_get64(in + 32);
	h.first_seq = pcore_get64(in + 40);
	h.created_ns = (int64_t)pcore_get64(in + 48);
	h.flags = pcore_get32(in + 56);
	*ret = h;
	return 0;
}

void store_list_done(struct store_list *l)
{
	free(l->seg);
	l->seg = NULL;
	l->n = 0;
}

int store_list_add(struct store_list *l, struct store_segment seg)
{
	struct store_segment *more;

	if (l->n == SEGMENTS_MAX)
		return -ENOSPC;
	more = realloc(l->seg, (l->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->seg = more;
	l->seg[l->n++] = seg;
	return 0;
}

int store_list_encode(const struct store_list *l, struct pcore_buf *out)
{
	size_t size = LIST_HEADER + l->n * LIST_ENTRY;
	uint8_t *p;
	int r;

	pcore_buf_clear(out);
	r = pcore_buf_reserve(out, size);
	if (r < 0)
		return r;
	p = (uint8_t *)out->data;
	encode_start(p, list_magic, l->uuid);
	pcore_put64(p + 32, l->n);
	pcore_put32(p + 40, 0);
	for (size_t i = 0; i < l->n; i++) {
		uint8_t *entry = p + LIST_HEADER + i * LIST_ENTRY;

		pcore_put64(entry, l->seg[i].serial);
		pcore_put64(entry + 8, l->seg[i].first_seq);
		pcore_put64(entry + 16, l->seg[i].end);
	}
	pcore_put32(p + 44, 0);
	pcore_put32(p + 44, pcore_crc32c(0, p, size));
	out->len = size;
	return 0;
}

/* Only the last segment has no end, and numbers rise. */
static bool list_makes_sense(const struct store_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if ((l->seg[i].end == 0) != (i + 1 == l->n) || l->seg[i].first_seq == 0)
			return false;
		if (l->seg[i].end != 0 && (l->seg[i].end < SEGMENT_HEADER || l->seg[i].end % RECORD_ALIGN != 0))
			return false;
		if (i > 0 && l->seg[i].first_seq <= l->seg[i - 1].first_seq)
			return false;
	}
	return l->n > 0;
}

int store_list_decode(const void *data, size_t len, struct store_list *ret)
{
	const uint8_t *p = data;
	static const uint8_t zero[4];
	struct store_list l = { 0 };
	uint64_t n;
	uint32_t crc;
	int r;

	if (len < LIST_HEADER)
		return -EBADMSG;
	r = decode_start(p, list_magic, l.uuid);
	if (r < 0)
		return r;
	n = pcore_get64(p + 32);
	if (n > SEGMENTS_MAX || len != LIST_HEADER + n * LIST_ENTRY)
		return -EBADMSG;
	crc = pcore_crc32c(0, p, 44);
	crc = pcore_crc32c(crc, zero, sizeof(zero));
	if (pcore_crc32c(crc, p + 48, len - 48) != pcore_get32(p + 44))
		return -EBADMSG;

	l.seg = calloc(n ? n : 1, sizeof(*l.seg));
	if (!l.seg)
		return -ENOMEM;
	l.n = n;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *entry = p + LIST_HEADER + i * LIST_ENTRY;

		l.seg[i] = (struct store_segment){ pcore_get64(entry), pcore_get64(entry + 8), pcore_get64(entry + 16) };
	}
	if (!list_makes_sense(&l)) {
		store_list_done(&l);
		return -EBADMSG;
	}
	*ret = l;
	return 0;
}

uint32_t store_seed(const uint8_t uuid[static PCORE_STORE_UUID])
{
	return pcore_crc32c(0, uuid, PCORE_STORE_UUID);
}

int store_record_encode(struct pcore_buf *out, uint32_t seed, const struct pcore_record *rec, uint64_t synced)
{
	size_t size = (size_t)store_record_size(rec->len);
	uint8_t *p;
	int r = pcore_buf_reserve(out, size);

	if (r < 0)
		return r;
	p = (uint8_t *)out->data + out->len;
	pcore_put32(p, RECORD_MAGIC);
	pcore_put32(p + 4, (uint32_t)rec->len);
	pcore_put64(p + 8, rec->seq);
	pcore_put64(p + 16, synced);
	p[24] = rec->type;
	p[25] = rec->flags;
	pcore_put16(p + 26, RECORD_HEADER);
	pcore_put32(p + 28, 0);
	if (rec->len > 0)
		memcpy(p + RECORD_HEADER, rec->data, rec->len);
	memset(p + RECORD_HEADER + rec->len, 0, size - RECORD_HEADER - rec->len);
	pcore_put32(p + 28, pcore_crc32c(seed, p, size));
	out->len += size;
	return 0;
}

int store_record_decode(const void *data, size_t avail, uint32_t seed, struct pcore_record *rec, uint64_t *ret_synced,
	size_t *ret_need)
{
	const uint8_t *p = data;
	static const uint8_t zero[4];
	uint32_t len, crc;
	size_t size;

	*ret_need = RECORD_HEADER;
	if (avail < RECORD_HEADER)
		return -EAGAIN;
	len = pcore_get32(p + 4);
	if (pcore_get32(p) != RECORD_MAGIC || pcore_get16(p + 26) != RECORD_HEADER || len > PCORE_STORE_RECORD_LIMIT)
		return -EBADMSG;
	size = (size_t)store_record_size(len);
	*ret_need = size;
	if (avail < size)
		return -EAGAIN;
	crc = pcore_crc32c(seed, p, 28);
	crc = pcore_crc32c(crc, zero, sizeof(zero));
	if (pcore_crc32c(crc, p + RECORD_HEADER, size - RECORD_HEADER) != pcore_get32(p + 28))
		return -EBADMSG;

	*rec = (struct pcore_record){
		.seq = pcore_get64(p + 8),
		.type = p[24],
		.flags = p[25],
		.data = p + RECORD_HEADER,
		.len = len,
	};
	*ret_synced = pcore_get64(p + 16);
	return 0;
}
