/* SPDX-License-Identifier: MIT */
/*
 * json.h - a JSON writer that appends to a pcore_buf.
 *
 * The caller states the structure and the writer puts the commas. Output is one line of ASCII-safe UTF-8: control
 * characters are escaped, valid UTF-8 passes as it is, and each byte that is no part of valid UTF-8 becomes the lone
 * surrogate escape \udc80..\udcff, which is what Python's "surrogateescape" reads back into the same byte.
 * The first error (-ENOMEM, -ENOBUFS) sticks in `error`; the calls after it do nothing, so it is checked once at the end.
 */
#ifndef PCORE_BASE_JSON_H
#define PCORE_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcore/base/buf.h"

struct pcore_json {
	struct pcore_buf *out; /* not owned */
	int error;
	int depth;
	bool comma; /* a value stands before the next one */
};

#define PCORE_JSON_INIT(buf) ((struct pcore_json){ .out = (buf) })

void pcore_json_object(struct pcore_json *j);	  /* { */
void pcore_json_object_end(struct pcore_json *j); /* } */
void pcore_json_array(struct pcore_json *j);
void pcore_json_array_end(struct pcore_json *j);
void pcore_json_key(struct pcore_json *j, const char *key);
void pcore_json_bytes(struct pcore_json *j, const void *data, size_t len);
/* A string in pieces, none of which may end inside a character. */
void pcore_json_text(struct pcore_json *j);
void pcore_json_text_add(struct pcore_json *j, const void *data, size_t len);
void pcore_json_text_end(struct pcore_json *j);
void pcore_json_str(struct pcore_json *j, const char *s); /* NULL writes null */
void pcore_json_i64(struct pcore_json *j, int64_t v);
void pcore_json_u64(struct pcore_json *j, uint64_t v);
void pcore_json_bool(struct pcore_json *j, bool v);
void pcore_json_null(struct pcore_json *j);
/* Nanoseconds as seconds with six decimals ("1.250000"). */
void pcore_json_seconds(struct pcore_json *j, int64_t ns);

#endif
