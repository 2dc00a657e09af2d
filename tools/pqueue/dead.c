/* SPDX-License-Identifier: MIT */
/*
 * dead.c - the items that nobody gets any more: shown, made ready again, dropped.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "tools/pqueue/pqueue.h"

enum { PRINT_BYTES = 1 << 16 };

/* As one field of a line. */
static int add_escaped(struct pcore_buf *b, const char *data, size_t len)
{
	int r = pcore_buf_reserve(b, len * 4 + 1);

	if (r == 0)
		b->len += pcore_escape(b->data + b->len, len * 4 + 1, data, len);
	return r;
}

static int add_line(struct pcore_buf *b, const struct pcore_dead *d, bool item)
{
	char time[PCORE_ISO8601_MAX];
	int r = pcore_buf_addf(b, "%" PRIu64 "\t%" PRIu32 "\t%s\t", d->item.id, d->item.tries, pcore_iso8601_utc(time, d->died_ns));

	if (r == 0)
		r = add_escaped(b, d->reason, d->reason_len);
	if (r == 0 && item)
		r = pcore_buf_addc(b, '\t');
	if (r == 0 && item)
		r = add_escaped(b, d->item.data, d->item.len);
	return r == 0 ? pcore_buf_addc(b, '\n') : r;
}

static int add_object(struct pcore_buf *b, const struct pcore_dead *d)
{
	struct pcore_json j = PCORE_JSON_INIT(b);
	char time[PCORE_ISO8601_MAX];

	pcore_json_object(&j);
	pcore_json_key(&j, "id");
	pcore_json_u64(&j, d->item.id);
	pcore_json_key(&j, "attempt");
	pcore_json_u64(&j, d->item.tries);
	pcore_json_key(&j, "died");
	pcore_json_str(&j, pcore_iso8601_utc(time, d->died_ns));
	pcore_json_key(&j, "reason");
	pcore_json_bytes(&j, d->reason, d->reason_len);
	pcore_json_key(&j, "item");
	pcore_json_bytes(&j, d->item.data, d->item.len);
	pcore_json_object_end(&j);
	return j.error < 0 ? j.error : pcore_buf_addc(b, '\n');
}

static int list(const struct pqueue_opts *o, struct pcore_queue *q)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0), out = PCORE_BUF_INIT(0);
	struct pcore_dead d = { .item.id = 0 };
	int n, r = CLI_GO;

	while (r == CLI_GO && (n = pcore_queue_dead_into(q, d.item.id, &d, &buf)) != 0) {
		if (n > 0)
			n = o->json ? add_object(&out, &d) : add_line(&out, &d, o->items);
		if (n < 0)
			r = pqueue_error("read", o->name, n);
		else if (out.len >= PRINT_BYTES)
			r = pqueue_output_bytes(STDOUT_FILENO, out.data, out.len);
		if (out.len >= PRINT_BYTES)
			pcore_buf_clear(&out);
		pcore_buf_clear(&buf);
	}
	if (r == CLI_GO)
		r = pqueue_output_bytes(STDOUT_FILENO, out.data, out.len);
	pcore_buf_done(&buf);
	pcore_buf_done(&out);
	return r == CLI_GO ? CLI_OK : r;
}

typedef int change_fn(struct pcore_queue *q, uint64_t id);

/* Those that are dead now; what has been changed meanwhile by others is well, too. */
static int change_all(const struct pqueue_opts *o, struct pcore_queue *q, change_fn *change)
{
	struct pcore_buf buf = PCORE_BUF_INIT(0);
	struct pcore_dead d = { .item.id = 0 };
	int n;

	while ((n = pcore_queue_dead_into(q, d.item.id, &d, &buf)) > 0) {
		pcore_buf_clear(&buf);
		n = change(q, d.item.id);
		if (n < 0 && n != -ENOENT)
			break;
	}
	pcore_buf_done(&buf);
	return n < 0 ? pqueue_error("use", o->name, n) : CLI_OK;
}

static int change_some(const struct pqueue_opts *o, struct pcore_queue *q, change_fn *change)
{
	int r = CLI_OK;

	for (size_t i = 1; i < o->n_words; i++) {
		uint64_t id = 0;
		int error;

		(void)pcore_parse_u64(o->words[i], 1, UINT64_MAX, &id);
		error = change(q, id);
		if (error == -ENOENT) {
			(void)cli_error("the queue '%s' has no dead item %s", o->name, o->words[i]);
			r = r == CLI_OK ? CLI_NO : r;
		} else if (error < 0) {
			r = pqueue_error("use", o->name, error);
		}
	}
	return r;
}

/* The words are a name, and ids. */
static int check(const struct pqueue_opts *o, const char *action)
{
	bool listed = strcmp(action, "list") == 0;
	uint64_t id;

	if (!listed && strcmp(action, "retry") != 0 && strcmp(action, "drop") != 0)
		return cli_usage("unknown verb 'dead %s': must be list, retry or drop", action);
	if (listed && (o->n_words > 1 || o->all))
		return cli_usage("dead list shows all: it takes no ids");
	if (!listed && (o->items || o->json))
		return cli_usage("--items and --json are for dead list");
	if (!listed && o->all == (o->n_words > 1))
		return cli_usage("dead %s needs ids, or --all", action);
	for (size_t i = 1; i < o->n_words; i++)
		if (pcore_parse_u64(o->words[i], 1, UINT64_MAX, &id) < 0)
			return cli_usage("'%s' is no id: must be a number, as 'pqueue dead list' prints it", o->words[i]);
	return CLI_GO;
}

int pqueue_dead(struct pqueue_opts *o)
{
	const char *action = o->name;
	change_fn *change = action[0] == 'r' ? pcore_queue_revive : pcore_queue_discard;
	struct pcore_queue *q = NULL;
	int r = check(o, action);

	if (r != CLI_GO)
		return r;

	o->name = o->words[0];
	r = pqueue_open(o, false, &q);
	if (r != CLI_GO)
		return r;

	if (action[0] == 'l')
		r = list(o, q);
	else
		r = o->all ? change_all(o, q, change) : change_some(o, q, change);
	pcore_queue_free(q);
	return r;
}
