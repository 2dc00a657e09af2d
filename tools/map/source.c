/* SPDX-License-Identifier: MIT */
/*
 * source.c - where items come from.
 */
#include "tools/map/source.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/map/shuffle.h"

#define AT(member) offsetof(struct source_opts, member)

enum { READ_LEAST = 4096 };

/* ---- options ---- */

static int set_shuffle(void *opts, const char *name, const char *value)
{
	struct source_opts *o = opts;

	o->shuffle = true;
	if (!value && getrandom(&o->seed, sizeof(o->seed), 0) != sizeof(o->seed))
		return cli_error("cannot get a random number: %s", strerror(errno));
	if (value && pcore_parse_u64(value, 0, UINT64_MAX, &o->seed) < 0)
		return cli_opt_bad(name, value, "must be a whole number below 2^64");
	return 0;
}

const struct cli_opt source_table[] = {
	{ .name = "Items", .kind = CLI_OPT_HEADING },
	{ .name = "null", .letter = '0', .kind = CLI_OPT_FLAG, .offset = AT(null), .help = "items end with a NUL byte" },
	{ .name = "delimiter", .letter = 'd', .kind = CLI_OPT_STRING, .arg = "DELIM", .offset = AT(delimiter), .help = "items end with this byte (\\t, \\0, \\x1e)" },
	{ .name = "arg-file", .letter = 'a', .kind = CLI_OPT_STRING, .arg = "FILE", .offset = AT(file), .help = "read items from FILE" },
	{ .name = "max-args", .letter = 'n', .kind = CLI_OPT_U64, .arg = "N", .offset = AT(per_job), .min = 1, .max = 1000000, .help = "up to N items for each job (1)" },
	{ .name = "fill", .kind = CLI_OPT_FLAG, .offset = AT(fill), .help = "as many items for each job as the kernel takes" },
	{ .name = "skip-empty", .kind = CLI_OPT_FLAG, .offset = AT(skip_empty), .help = "leave empty items out" },
	{ .name = "skip-lines", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(skip_lines), .help = "leave out the first N lines" },
	{ .name = "shuffle", .kind = CLI_OPT_CALL, .arg = "[=SEED]", .set = set_shuffle, .help = "read all items first, then use them in random order" },
	{ .name = "max", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(max), .help = "use only the first N items" },
	{ .name = NULL },
};

const struct cli_opt columns_table[] = {
	{ .name = "Columns", .kind = CLI_OPT_HEADING },
	{ .name = "colsep", .kind = CLI_OPT_STRING, .arg = "SEP", .offset = AT(colsep), .help = "a byte, or a regular expression, ends a column (\\t)" },
	{ .name = "csv", .kind = CLI_OPT_FLAG, .offset = AT(csv), .help = "items are records of CSV" },
	{ .name = "header", .kind = CLI_OPT_FLAG, .offset = AT(header), .help = "the first line names the columns: {name}" },
	{ .name = NULL },
};

static size_t count_lists(const struct source_opts *o)
{
	size_t n = 0;

	for (char *const *word = o->args; word && *word; word++)
		n += product_separator(*word);
	return n;
}

/* Words are columns already, unless something says how to split them. */
static bool splits(const struct source_opts *o)
{
	return o->colsep || o->csv || (!o->args && (o->starmap || o->header));
}

bool source_opts_numbers(const struct source_opts *o)
{
	return o->starmap || o->header || splits(o) || o->per_job > 0 || count_lists(o) > 1;
}

int source_opts_check(const struct source_opts *o)
{
	bool columns = splits(o) || o->header;

	if (o->null && o->delimiter)
		return cli_usage("--null and --delimiter exclude each other");
	if (o->file && o->args)
		return cli_usage("--arg-file and ::: exclude each other");
	if (o->csv && (o->null || o->delimiter))
		return cli_usage("--csv and %s exclude each other: records end with a newline", o->null ? "--null" : "--delimiter");
	if (o->fill && o->per_job > 0)
		return cli_usage("--fill and --max-args exclude each other");
	if ((o->fill || o->per_job > 1) && (columns || count_lists(o) > 1))
		return cli_usage("%s: a job takes one item when items have columns", o->fill ? "--fill" : "--max-args above 1");
	return CLI_GO;
}

/* ---- opening and closing ---- */

static void read_done(struct pcore_op *op, int res);

static int open_columns(struct source *s, const struct source_opts *o)
{
	char why[CLI_COLUMNS_WHY];

	s->numbers = source_opts_numbers(o);
	s->split = splits(o);
	if (!s->split)
		return CLI_GO;
	if (cli_columns_init(&s->columns, o->colsep, o->csv, why) < 0)
		return cli_opt_bad("colsep", o->colsep, why);
	if (!o->csv && !o->args && !s->columns.pattern && (unsigned char)s->columns.sep == s->items.delim)
		return cli_usage("a column cannot end with the byte that ends an item: give --delimiter or --colsep another one");
	s->items.nul_ok = !o->csv && !s->columns.pattern && s->columns.sep == '\0';
	return CLI_GO;
}

/* Quotes that are not closed are found before anything runs. */
static int check_words(const struct source *s)
{
	for (size_t i = 0; s->columns.csv && i < s->words.n_lists; i++) {
		for (size_t k = 0; k < s->words.lists[i].n; k++) {
			const char *word = s->words.lists[i].words[k];

			if (!cli_columns_closed(&s->columns, (struct cli_item){ word, strlen(word) }))
				return cli_error("item '%s' has a quote that is not closed", word);
		}
	}
	return CLI_GO;
}

/* Give away the header: the columns of s->item. */
static int name_columns(struct source *s)
{
	struct cli_template_args args;
	int r = source_columns(s, s->item, s->n_parts, &args);

	s->header = false;
	return r < 0 ? r : s->named(s->ctx, args.columns, args.n_columns);
}

static int open_words(struct source *s, const struct source_opts *o)
{
	int r;

	if (product_init(&s->words, o->args) < 0)
		return cli_error("out of memory");
	product_skip(&s->words, s->skip_lines);
	r = check_words(s);
	if (r != CLI_GO)
		return r;
	if (product_count(&s->words, &s->n) < 0)
		return cli_error("there are too many combinations of items");
	if (!s->header || s->n == 0)
		return CLI_GO;

	product_get(&s->words, 0, s->item);
	r = name_columns(s);
	if (r < 0)
		return r == -ENOMEM ? cli_error("out of memory") : CLI_FAILURE;
	product_skip(&s->words, 1);
	return product_count(&s->words, &s->n) < 0 ? cli_error("there are too many combinations of items") : CLI_GO;
}

int source_open(struct source *s, struct pcore_loop *lp, const struct source_opts *o)
{
	unsigned char delim = o->null ? '\0' : '\n';
	int r;

	s->fd = o->args ? -EBADF : STDIN_FILENO;
	if (o->delimiter && cli_items_parse_delim(o->delimiter, &delim) < 0)
		return cli_opt_bad("delimiter", o->delimiter, "must be one byte, or \\n \\t \\r \\0 \\\\ \\xHH");
	if (o->file) {
		s->name = o->file;
		s->fd = open(o->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (s->fd < 0)
			return cli_error("cannot open '%s': %s", o->file, strerror(errno));
	}
	s->loop = lp;
	s->op.done = read_done;
	cli_items_init(&s->items, delim, CLI_ITEM_MAX);
	s->per_job = o->fill ? SIZE_MAX : o->per_job > 0 ? o->per_job : 1;
	s->skip_lines = o->skip_lines;
	s->skip_empty = o->skip_empty || (o->csv && o->args); /* an empty line is no record */
	s->header = o->header;
	s->shuffle = o->shuffle;
	s->seed = o->seed;
	s->max = o->max;
	s->items.mark = o->csv || o->header;
	s->n_parts = o->args ? count_lists(o) : 1;
	s->item = calloc(s->n_parts, sizeof(*s->item));
	if (!s->item)
		return cli_error("out of memory");

	r = open_columns(s, o);
	if (r != CLI_GO)
		return r;
	if (o->args)
		return open_words(s, o);
	if (o->csv && s->skip_lines == 0)
		cli_items_csv(&s->items, s->columns.sep);
	return CLI_GO;
}

void source_done(struct source *s)
{
	if (s->fd > 0)
		s->fd = pcore_fd_close(s->fd);
	cli_items_done(&s->items);
	cli_columns_done(&s->columns);
	product_done(&s->words);
	free(s->item);
	s->item = NULL;
	pcore_buf_done(&s->all);
	pcore_buf_done(&s->order);
	pcore_buf_done(&s->group);
	pcore_buf_done(&s->ends);
}

/* ---- reading ---- */

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
	space = cli_items_space(&s->items, s->read_least ? s->read_least : READ_LEAST, &room);
	if (!space)
		return -ENOMEM;
	return pcore_op_read(s->loop, &s->op, s->fd, space, room, -1);
}

static void refuse(struct source *s)
{
	s->refused++;
	cli_warn("item %" PRIu64 " holds a NUL byte, which no argument can (items that end with NUL need -0)", s->items.count + 1);
}

static int end_early(struct source *s, int error)
{
	s->error = error;
	return -ENODATA;
}

/* After an item, or what is none for its NUL: is it among the lines to skip? */
static bool skipped(struct source *s)
{
	if (s->skip_lines == 0)
		return false;
	s->skip_lines--;
	if (s->skip_lines == 0 && s->columns.csv)
		cli_items_csv(&s->items, s->columns.sep);
	return true;
}

/* The next item that was read, into s->item: 1, 0 when more has to come, -ENODATA, -ENOMEM. */
static int take_read(struct source *s)
{
	for (;;) {
		int r = cli_items_next(&s->items, &s->item->data, &s->item->len);

		if (r == 0)
			return s->error ? -ENODATA : read_more(s);
		if (r == -E2BIG) {
			cli_warn("item %" PRIu64 " is longer than %d bytes; the input ends here", s->items.count + 1, CLI_ITEM_MAX);
			return end_early(s, r);
		}
		if (r == -EILSEQ) {
			cli_warn("item %" PRIu64 " has a quote that is not closed", s->items.count + 1);
			return end_early(s, r);
		}
		if (r == -ENODATA)
			return r;
		if (skipped(s))
			continue;
		if (r == -EBADMSG) {
			refuse(s);
			continue;
		}
		if (s->item->len == 0 && s->skip_empty)
			continue;
		if (!s->header)
			return 1;
		r = name_columns(s);
		if (r < 0)
			return r == -ENOMEM ? r : end_early(s, r);
	}
}

/* ---- shuffling ---- */

static int add_number(struct pcore_buf *b, uint64_t n)
{
	return pcore_buf_add(b, &n, sizeof(n));
}

static int keep(struct source *s)
{
	int r = add_number(&s->order, s->all.len);

	if (r == 0)
		r = pcore_buf_add(&s->all, &s->item->len, sizeof(s->item->len));
	return r < 0 ? r : pcore_buf_add(&s->all, s->item->data, s->item->len);
}

/* All combinations of words. Room for too many is refused at once, instead of filling the memory with some. */
static int number_words(struct source *s)
{
	size_t size;
	int r;

	if (__builtin_mul_overflow(s->n, sizeof(s->n), &size))
		return -ENOMEM;
	r = pcore_buf_reserve(&s->order, size);
	for (uint64_t i = 0; r == 0 && i < s->n; i++)
		r = add_number(&s->order, i);
	return r;
}

/* 1 when all items are there and in random order, else as take_read(). */
static int shuffle_all(struct source *s)
{
	int r = 1;

	while (s->fd >= 0 && (r = take_read(s)) > 0) {
		r = keep(s);
		if (r < 0)
			return r;
	}
	if (r <= 0 && r != -ENODATA)
		return r;
	if (s->fd < 0 && (r = number_words(s)) < 0)
		return r;
	s->n = s->order.len / sizeof(uint64_t);
	s->next = 0;
	shuffle((uint64_t *)(void *)s->order.data, s->n, s->seed);
	s->shuffled = true;
	return 1;
}

/* ---- items and groups ---- */

static bool is_empty(const struct source *s)
{
	for (size_t i = 0; i < s->n_parts; i++)
		if (s->item[i].len > 0)
			return false;
	return true;
}

/* The next item into s->item: 1, 0, -ENODATA, -ENOMEM. */
static int take(struct source *s)
{
	int r;

	if (s->used == s->max)
		return -ENODATA;
	if (s->shuffle && !s->shuffled && (r = shuffle_all(s)) <= 0)
		return r;
	if (s->fd >= 0 && !s->shuffle)
		return take_read(s);
	while (s->next < s->n) {
		uint64_t n = s->next++;

		if (s->shuffle)
			n = ((const uint64_t *)(const void *)s->order.data)[n];
		if (s->fd < 0) {
			product_get(&s->words, n, s->item);
			if (s->skip_empty && is_empty(s))
				continue;
		} else {
			s->item->data = s->all.data + n + sizeof(s->item->len);
			memcpy(&s->item->len, s->all.data + n, sizeof(s->item->len));
		}
		return 1;
	}
	return -ENODATA;
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
	s->n_grouped = 0;
	s->full = false;
	*ret = items;
	*ret_n = n;
	return 1;
}

static int add_to_group(struct source *s)
{
	s->n_grouped++;
	for (size_t i = 0; i < s->n_parts; i++) {
		size_t end = s->group.len + s->item[i].len;
		int r = pcore_buf_add(&s->group, s->item[i].data, s->item[i].len);

		if (r == 0)
			r = pcore_buf_addc(&s->group, '\0');
		if (r == 0)
			r = pcore_buf_add(&s->ends, &end, sizeof(end));
		if (r < 0)
			return r;
	}
	return 0;
}

/* With --fill: put the item in the group, and hand out the one before when it does not fit there. One that does not fit
 * alone either is a group by itself: its job fails. As source_next(), or 0 when nothing is handed out. */
static int add_filling(struct source *s, struct cli_item **ret, size_t *ret_n)
{
	bool first = s->n_grouped == 0, fits = s->fits(s->ctx, *s->item, first);
	int r = 0, added;

	if (!fits && !first) {
		r = make_group(s, ret, ret_n);
		if (r < 0)
			return r;
		fits = s->fits(s->ctx, *s->item, true);
	}
	added = add_to_group(s);
	s->full = !fits;
	if (added < 0 && r > 0)
		free(*ret);
	return added < 0 ? added : r;
}

int source_next(struct source *s, struct cli_item **ret, size_t *ret_n)
{
	while (!s->ended && !s->full && s->n_grouped < s->per_job) {
		int r = take(s);

		if (r == 0)
			return 0;
		if (r == -ENODATA) {
			s->ended = true;
			break;
		}
		if (r < 0)
			return r;
		s->used++;
		r = s->fits ? add_filling(s, ret, ret_n) : add_to_group(s);
		if (r != 0)
			return r;
	}
	return s->ends.len > 0 ? make_group(s, ret, ret_n) : -ENODATA;
}

int source_block(struct source *s, size_t n_max, size_t len_max, char **ret, size_t *ret_len, size_t *ret_n)
{
	const char *data = NULL;
	size_t len = 0, n = 0;
	char *copy;
	int r = 1;

	if (s->ended)
		return -ENODATA;
	n = cli_items_block(&s->items, n_max, len_max, &data, &len);
	if (n == 0) {
		r = take_read(s);
		s->ended = r == -ENODATA;
		if (r <= 0)
			return r;
		data = s->item->data;
		len = s->item->len;
		n = 1;
	}
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	s->used += n;
	*ret = copy;
	*ret_len = len;
	*ret_n = n;
	return 1;
}

int source_columns(struct source *s, const struct cli_item *items, size_t n_items, struct cli_template_args *ret)
{
	int r = s->split ? cli_columns_split(&s->columns, items, n_items) : 0;

	ret->columns = s->split ? s->columns.list : s->numbers ? items : NULL;
	ret->n_columns = s->split ? s->columns.n : n_items;
	return r;
}

uint64_t source_jobs(const struct source *s)
{
	uint64_t items = s->n < s->max ? s->n : s->max;

	return s->fits || s->per_job == 0 ? 0 : items / s->per_job + (items % s->per_job > 0);
}

void source_stop(struct source *s)
{
	s->ended = true;
	pcore_op_cancel(s->loop, &s->op);
}
