/* SPDX-License-Identifier: MIT */
/*
 * source.c - where items come from.
 */
#include "tools/ppool/source.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/cli.h"

#define AT(member) offsetof(struct source_opts, member)

enum { READ_LEAST = 4096 };

const struct cli_opt source_table[] = {
	{ .name = "Items", .kind = CLI_OPT_HEADING },
	{ .name = "null", .letter = '0', .kind = CLI_OPT_FLAG, .offset = AT(null), .help = "items end with a NUL byte" },
	{ .name = "delimiter", .letter = 'd', .kind = CLI_OPT_STRING, .arg = "DELIM", .offset = AT(delimiter), .help = "items end with this byte (\\t, \\0, \\x1e)" },
	{ .name = "arg-file", .letter = 'a', .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(file), .help = "read items from FILE" },
	{ .name = "max-args", .letter = 'n', .kind = CLI_OPT_U64, .arg = "N", .offset = AT(per_job), .min = 1, .max = 1000000, .help = "up to N items for each job (1)" },
	{ .name = NULL },
};

int source_opts_check(const struct source_opts *o)
{
	if (o->null && o->delimiter)
		return cli_usage("--null and --delimiter exclude each other");
	if (o->file && o->args)
		return cli_usage("--arg-file and ::: exclude each other");
	return CLI_GO;
}

static void read_done(struct pcore_op *op, int res);

void source_init(struct source *s, struct pcore_loop *lp, unsigned char delim, size_t per_job)
{
	s->loop = lp;
	s->op.done = read_done;
	s->per_job = per_job;
	cli_items_init(&s->items, delim, CLI_ITEM_MAX);
}

int source_open(struct source *s, struct pcore_loop *lp, const struct source_opts *o)
{
	unsigned char delim = o->null ? '\0' : '\n';

	if (o->delimiter && cli_items_parse_delim(o->delimiter, &delim) < 0)
		return cli_opt_bad("delimiter", o->delimiter, "must be one byte, or \\n \\t \\r \\0 \\\\ \\xHH");
	s->fd = o->args ? -EBADF : STDIN_FILENO;
	s->words = o->args;
	s->n_words = o->n_args;
	if (o->file) {
		s->name = o->file;
		s->fd = open(o->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (s->fd < 0)
			return cli_error("cannot open '%s': %s", o->file, strerror(errno));
	}
	source_init(s, lp, delim, o->per_job);
	return CLI_GO;
}

void source_done(struct source *s)
{
	if (s->fd > 0)
		s->fd = pcore_fd_close(s->fd);
	cli_items_done(&s->items);
	pcore_buf_done(&s->group);
	pcore_buf_done(&s->ends);
}

static void end_early(struct source *s, int error)
{
	s->error = error;
	s->ended = true;
}

static void read_done(struct pcore_op *op, int res)
{
	struct source *s = container_of(op, struct source, op);

	if (s->ended)
		return;
	if (res > 0) {
		cli_items_filled(&s->items, (size_t)res);
	} else if (res == 0) {
		cli_items_eof(&s->items);
	} else {
		if (s->name)
			cli_warn("cannot read '%s': %s", s->name, strerror(-res));
		else
			cli_warn("cannot read standard input: %s", strerror(-res));
		s->error = res; /* whole items that came before are good, a part of one is not */
	}
	s->more(s->ctx);
}

static int read_more(struct source *s)
{
	size_t room = 0;
	char *space;

	if (pcore_op_live(&s->op))
		return 0;
	space = cli_items_space(&s->items, READ_LEAST, &room);
	if (!space)
		return -ENOMEM;
	return pcore_op_read(s->loop, &s->op, s->fd, space, room, -1);
}

/* One item: 1, 0, -ENODATA, or -errno. */
static int take(struct source *s, const char **ret, size_t *ret_len)
{
	if (s->fd < 0) {
		if (s->next_word == s->n_words)
			return -ENODATA;
		*ret = s->words[s->next_word++];
		*ret_len = strlen(*ret);
		return 1;
	}
	for (;;) {
		int r = cli_items_next(&s->items, ret, ret_len);

		if (r != -EBADMSG)
			return r;
		s->refused++;
		cli_warn("item %" PRIu64 " holds a NUL byte, which no argument can (items that end with NUL need -0)",
			s->items.count + 1);
	}
}

static int make_group(struct source *s, struct cli_item **ret, size_t *ret_n)
{
	size_t n = s->ends.len / sizeof(size_t), start = 0;
	const size_t *ends = (const size_t *)(const void *)s->ends.data;
	struct cli_item *items = malloc(n * sizeof(*items) + s->group.len);
	char *text;

	if (!items)
		return -ENOMEM;

	text = memcpy(items + n, s->group.data, s->group.len);
	for (size_t i = 0; i < n; i++) {
		items[i] = (struct cli_item){ text + start, ends[i] - start };
		start = ends[i] + 1;
	}
	pcore_buf_clear(&s->group);
	pcore_buf_clear(&s->ends);
	*ret = items;
	*ret_n = n;
	return 1;
}

static int add_to_group(struct source *s, const char *item, size_t len)
{
	size_t end = s->group.len + len;
	int r = pcore_buf_add(&s->group, item, len);

	if (r == 0)
		r = pcore_buf_addc(&s->group, '\0');
	return r < 0 ? r : pcore_buf_add(&s->ends, &end, sizeof(end));
}

int source_next(struct source *s, struct cli_item **ret, size_t *ret_n)
{
	const char *item;
	size_t len;

	while (!s->ended && s->ends.len < s->per_job * sizeof(size_t)) {
		int r = take(s, &item, &len);

		if (r == 0 && !s->error)
			return read_more(s);
		if (r == -E2BIG) {
			cli_warn("item %" PRIu64 " is longer than %d bytes; the input ends here", s->items.count + 1, CLI_ITEM_MAX);
			end_early(s, r);
		} else if (r == 0 || r == -ENODATA) {
			s->ended = true;
		} else if (r < 0 || (r = add_to_group(s, item, len)) < 0) {
			return r;
		}
	}
	return s->ends.len > 0 ? make_group(s, ret, ret_n) : -ENODATA;
}

void source_stop(struct source *s)
{
	s->ended = true;
	pcore_op_cancel(s->loop, &s->op);
}
