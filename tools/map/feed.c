/* SPDX-License-Identifier: MIT */
/*
 * feed.c - map --pipe: the input is cut into blocks, which the jobs read from their standard input.
 */
#include "tools/map/feed.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/cli/items.h"

#define AT(member) offsetof(struct feed_opts, member)

enum { BLOCK_DEFAULT = 1 << 20, PIPE_USUAL = 1 << 16, PIPE_LARGE = 1 << 20, BLOCKS_AHEAD = 2 };

const struct cli_opt feed_table[] = {
	{ .name = "Blocks", .kind = CLI_OPT_HEADING },
	{ .name = "pipe", .kind = CLI_OPT_FLAG, .offset = AT(pipe), .help = "cut the input into blocks for the jobs' standard input" },
	{ .name = "block", .kind = CLI_OPT_SIZE, .arg = "SIZE", .offset = AT(block), .min = 1, .max = UINT64_C(1) << 50, .help = "up to SIZE bytes of whole records a block (1M)" },
	{ .name = "records", .kind = CLI_OPT_U64, .arg = "N", .offset = AT(records), .min = 1, .help = "up to N records a block" },
	{ .name = "recend", .kind = CLI_OPT_STRING, .arg = "TEXT", .offset = AT(recend), .help = "a record ends with TEXT (\\n)" },
	{ .name = "recstart", .kind = CLI_OPT_STRING, .arg = "TEXT", .offset = AT(recstart), .help = "and the next begins with TEXT" },
	{ .name = "regex", .kind = CLI_OPT_FLAG, .offset = AT(regex), .help = "these two are extended regular expressions" },
	{ .name = "csv-header", .kind = CLI_OPT_FLAG, .offset = AT(csv_header), .help = "begin each block with the first record" },
	{ .name = "round-robin", .kind = CLI_OPT_FLAG, .offset = AT(round_robin), .help = "start the jobs once, and feed them in turns" },
	{ .name = NULL },
};

/* ---- options ---- */

static const char *needs_pipe(const struct feed_opts *o)
{
	const char *names[] = {
		o->block ? "--block" : NULL,
		o->records ? "--records" : NULL,
		o->recend ? "--recend" : NULL,
		o->recstart ? "--recstart" : NULL,
		o->regex ? "--regex" : NULL,
		o->csv_header ? "--csv-header" : NULL,
		o->round_robin ? "--round-robin" : NULL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i])
			return names[i];
	return NULL;
}

int feed_check(const struct feed_opts *o, const char *delimiter)
{
	const char *name = needs_pipe(o);

	if (!o->pipe)
		return name ? cli_usage("%s needs --pipe", name) : CLI_GO;
	if (o->recend && delimiter)
		return cli_usage("--recend, --null and --delimiter exclude each other");
	if (o->csv && (o->recend || o->recstart || o->regex || delimiter))
		return cli_usage("--csv says where records end: no --recend, --recstart, --regex, --null or --delimiter");
	if (o->regex && !o->recend && !o->recstart)
		return cli_usage("--regex needs --recend or --recstart");
	if (o->recend && !*o->recend && !(o->recstart && *o->recstart))
		return cli_opt_bad("recend", o->recend, "may be empty only with a --recstart");
	return CLI_GO;
}

static int set_records(struct feed *f, const struct feed_opts *o, const char *delimiter)
{
	const char *end = o->recend ? o->recend : delimiter ? delimiter : "\\n";
	const char *start = o->recstart ? o->recstart : "";
	unsigned char separator = ',';
	int r = 0;

	if (delimiter && strcmp(delimiter, "\\") == 0)
		end = "\\\\";
	if (o->csv && o->colsep && (cli_items_parse_delim(o->colsep, &separator) < 0 || strchr("\"\r\n", separator)))
		return cli_opt_bad("colsep", o->colsep, "must be one byte with --csv, and no quote and no end of a line");
	if (o->csv)
		records_init_csv(&f->records, (char)separator);
	else if (o->regex)
		r = records_init_pattern(&f->records, end, start);
	else
		r = records_init_text(&f->records, end, start);
	if (r == -ENOMEM)
		return cli_error("out of memory");
	if (r < 0)
		return cli_usage("invalid --recend '%s' or --recstart '%s': must be %s", end, start,
			o->regex ? "extended regular expressions" : "texts with the escapes \\n \\t \\r \\0 \\\\ \\xHH");
	return CLI_GO;
}

/* ---- opening ---- */

static int cannot_read(struct feed *f, int error)
{
	f->error = error;
	if (f->name)
		return cli_error("cannot read '%s': %s", f->name, strerror(-error));
	return cli_error("cannot read standard input: %s", strerror(-error));
}

/* Can a range of the file be given to a pipe? Some file systems know no splice, some files no size. */
static bool can_splice(int fd, off_t at)
{
	int ends[2];
	loff_t offset = at;
	ssize_t n;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	n = splice(fd, &offset, ends[1], NULL, 1, SPLICE_F_NONBLOCK);
	(void)pcore_fd_close(ends[0]);
	(void)pcore_fd_close(ends[1]);
	return n == 1;
}

static int read_header(struct feed *f)
{
	uint64_t at = 0, len = 0;
	struct pcore_buf *header = &f->blocks.header;
	int r = ranges_record(&f->ranges, &at, &len);

	if (r == -ENODATA)
		return CLI_GO;
	if (r > 0)
		r = pcore_buf_reserve(header, len);
	while (r == 0 && header->len < len) {
		ssize_t n = pread(f->fd, header->data + header->len, len - header->len, (off_t)(at + header->len));

		if (n > 0)
			header->len += (size_t)n;
		else if (n == 0 || errno != EINTR)
			r = n < 0 ? -errno : -ESTALE;
	}
	f->blocks.header_alone = r == 0;
	return r < 0 ? cannot_read(f, r) : CLI_GO;
}

int feed_open(struct feed *f, const struct feed_opts *o, const char *delimiter, int fd, const char *name)
{
	uint64_t size = o->block || o->records ? o->block : BLOCK_DEFAULT;
	struct stat st;
	off_t at;
	int r;

	f->opts = o;
	f->fd = fd;
	f->name = name;
	pcore_list_init(&f->waiting);
	r = set_records(f, o, delimiter);
	if (r != CLI_GO)
		return r;

	blocks_init(&f->blocks, &f->records, size, o->records, o->csv_header);
	if (fstat(fd, &st) < 0)
		return CLI_GO; /* reading will tell */
	at = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
	f->by_range = at >= 0 && st.st_size > at && records_are_texts(&f->records) && !o->records && can_splice(fd, at);
	if (f->by_range && ranges_init(&f->ranges, &f->records, fd, (uint64_t)at, size) < 0)
		return cli_error("out of memory");
	if (f->by_range && o->csv_header)
		return read_header(f);
	if (S_ISFIFO(st.st_mode) && size > PIPE_USUAL && fcntl(fd, F_GETPIPE_SZ) < PIPE_LARGE)
		(void)fcntl(fd, F_SETPIPE_SZ, PIPE_LARGE);
	return CLI_GO;
}

static void drop_block(struct feed *f, struct feed_block *b)
{
	if (b->memory.chunk)
		block_done(&f->blocks, &b->memory);
	b->full = false;
}

void feed_done(struct feed *f)
{
	if (f->by_range) /* who shares our standard input goes on behind what was used */
		(void)lseek(f->fd, (off_t)f->ranges.at, SEEK_SET);
	if (f->fd > 0)
		f->fd = pcore_fd_close(f->fd);
	ranges_done(&f->ranges);
	while (f->n_returned > 0)
		drop_block(f, &f->returned[--f->n_returned]);
	blocks_done(&f->blocks);
	records_done(&f->records);
	free(f->returned);
}

/* ---- the input ---- */

static int look_ahead(struct feed *f);
static void feed_waiting(struct feed *f);

static void read_done(struct pcore_op *op, int res)
{
	struct feed *f = container_of(op, struct feed, op);

	if (f->ended)
		return;
	if (res > 0) {
		blocks_filled(&f->blocks, (size_t)res);
	} else {
		if (res < 0)
			(void)cannot_read(f, res);
		blocks_eof(&f->blocks, res < 0); /* whole records that came before are good */
	}
	if (look_ahead(f) != 0) {
		f->more(f->ctx);
		feed_waiting(f);
	}
}

static int end_early(struct feed *f, int error)
{
	f->error = error;
	f->ended = true;
	if (error == -EBADMSG)
		(void)cli_error("the input ends within quotes; the last record is not used");
	else
		(void)cli_error("cannot hold the next block: %s; the input ends here", strerror(-error));
	return -ENODATA;
}

static int read_more(struct feed *f)
{
	size_t room = 0;
	char *space = blocks_space(&f->blocks, &room);
	int r = space ? pcore_op_read(f->loop, &f->op, f->fd, space, room, -1) : -ENOMEM;

	return r < 0 ? end_early(f, r) : 0;
}

static int next_block(struct feed *f)
{
	struct feed_block b = { .full = true };
	int r;

	if (pcore_op_live(&f->op))
		return 0;
	r = blocks_next(&f->blocks, &b.memory);
	if (r == 0)
		return read_more(f);
	if (r == -ENODATA)
		f->ended = true;
	else if (r < 0)
		return end_early(f, r);
	if (r < 0)
		return r;
	b.len = b.memory.len;
	f->ahead = b;
	return 1;
}

static int next_range(struct feed *f)
{
	struct feed_block b = { .full = true };
	int r = ranges_next(&f->ranges, &b.at, &b.len);

	if (r == -ENODATA && f->blocks.header_alone)
		r = 1;
	f->ended = r < 0;
	if (r < 0 && r != -ENODATA)
		(void)cannot_read(f, r);
	if (r < 0)
		return -ENODATA;
	f->blocks.header_alone = false;
	f->ahead = b;
	return 1;
}

/* See to it that there is a block: 1; 0: there will be, or its end; -ENODATA. */
static int look_ahead(struct feed *f)
{
	if (f->ahead.full)
		return 1;
	if (f->ended)
		return -ENODATA;
	return f->by_range ? next_range(f) : next_block(f);
}

static int take(struct feed *f, struct feed_block *ret)
{
	int r;

	if (f->stopped)
		return -ENODATA;
	if (f->n_returned > 0) {
		*ret = f->returned[--f->n_returned];
		return 1;
	}
	r = look_ahead(f);
	if (r <= 0)
		return r;
	*ret = f->ahead;
	f->ahead = (struct feed_block){ .full = false };
	if (!f->by_range)
		(void)look_ahead(f); /* read on while the jobs are at work */
	return 1;
}

/* ---- jobs ---- */

unsigned feed_pipe_size(const struct feed_opts *o)
{
	uint64_t size = o->block || o->records ? o->block : BLOCK_DEFAULT;

	return size == 0 || size > PIPE_USUAL ? PIPE_LARGE : 0;
}

int feed_begin(struct feed *f, struct pcore_loop *lp, unsigned jobs, bool keep)
{
	f->loop = lp;
	f->op.done = read_done;
	f->jobs = jobs;
	f->keep = keep;
	f->returned = calloc(jobs, sizeof(*f->returned));
	return f->returned ? 0 : -ENOMEM;
}

int feed_next(struct feed *f, struct feed_job *j, struct pcore_job *job)
{
	int r;

	if (f->opts->round_robin && f->consumers >= f->jobs)
		return -ENODATA;
	if (!f->opts->round_robin && f->held >= f->jobs + BLOCKS_AHEAD)
		return 0;
	r = take(f, &j->block);
	if (r > 0) {
		j->job = job;
		pcore_list_init(&j->waiting);
		f->consumers++;
		f->held += !f->opts->round_robin;
	}
	feed_waiting(f); /* all of them are there now, or the input is over */
	return r;
}

void feed_again(struct feed_job *j)
{
	j->step = FEED_HEADER;
}

/* Consumers that wait get what there is, once all of them have been started. */
static void feed_waiting(struct feed *f)
{
	while (!pcore_list_empty(&f->waiting)) {
		struct feed_job *j = container_of(f->waiting.next, struct feed_job, waiting);
		int r = f->consumers >= f->jobs ? take(f, &j->block) : look_ahead(f);

		if (r == 0 || (r > 0 && !j->block.full))
			return;
		pcore_list_del(&j->waiting);
		j->step = r > 0 ? FEED_BLOCK : FEED_END;
		f->go_on(j->job);
	}
}

static struct pcore_piece piece_of(const struct feed *f, const struct feed_block *b)
{
	return (struct pcore_piece){ .data = b->memory.data, .len = b->len, .fd = f->fd, .offset = (int64_t)b->at };
}

/* A consumer has taken its block. As long as some are to be started yet, the next block is not for it. */
static int another(struct feed *f, struct feed_job *j, struct pcore_piece *ret)
{
	bool all_there = f->consumers >= f->jobs;
	int r;

	drop_block(f, &j->block);
	r = all_there ? take(f, &j->block) : look_ahead(f);
	if (r > 0 && all_there)
		*ret = piece_of(f, &j->block);
	else if (r >= 0)
		pcore_list_add_tail(&f->waiting, &j->waiting);
	return all_there || r < 0 ? r : 0;
}

int feed_input(struct feed *f, struct feed_job *j, struct pcore_piece *ret)
{
	switch (j->step) {
	case FEED_HEADER:
		j->step = FEED_BLOCK;
		*ret = (struct pcore_piece){ .data = f->blocks.header.data, .len = f->blocks.header.len };
		return 1;
	case FEED_BLOCK:
		j->step = FEED_MORE;
		*ret = piece_of(f, &j->block);
		return 1;
	case FEED_MORE:
		return f->opts->round_robin ? another(f, j, ret) : -ENODATA;
	case FEED_END:
		break;
	}
	return -ENODATA;
}

void feed_input_over(struct feed *f, struct feed_job *j, uint64_t left)
{
	bool untouched = j->block.full && (j->step < FEED_MORE || left == j->block.len);

	pcore_list_del(&j->waiting);
	j->step = FEED_END;
	if (f->opts->round_robin && untouched && f->n_returned < f->jobs) {
		f->returned[f->n_returned++] = j->block;
		j->block = (struct feed_block){ .full = false };
		feed_waiting(f);
		f->more(f->ctx);
	}
	if (!f->keep)
		feed_forget(f, j);
}

void feed_forget(struct feed *f, struct feed_job *j)
{
	if (!j->block.full)
		return;
	drop_block(f, &j->block);
	if (f->opts->round_robin)
		return;
	assert(f->held > 0);
	f->held--;
	f->more(f->ctx);
}

void feed_limited(struct feed *f)
{
	if (!f->opts->round_robin || f->consumers == 0)
		return;
	f->jobs = f->consumers;
	feed_waiting(f);
}

void feed_resize(struct feed *f, unsigned jobs)
{
	bool all_there = f->opts->round_robin && f->consumers >= f->jobs; /* then no more are asked for */
	struct feed_block *returned;

	if (f->opts->round_robin && jobs < f->consumers)
		jobs = f->consumers;
	if (all_there)
		return;
	if (jobs > f->jobs) {
		returned = reallocarray(f->returned, jobs, sizeof(*returned));
		if (!returned)
			return;
		f->returned = returned;
	}
	f->jobs = jobs;
	feed_waiting(f);
	f->more(f->ctx);
}

void feed_end(struct feed *f)
{
	if (f->stopped)
		return;
	f->stopped = true;
	f->ended = true;
	pcore_op_cancel(f->loop, &f->op);
	drop_block(f, &f->ahead);
	feed_waiting(f);
}
