/* SPDX-License-Identifier: MIT */
/*
 * collate.c - the outputs of jobs, held, spilled and written in order.
 *
 * A stream is a list of segments, in memory or in the spill file. The head is the output whose turn it is: it is never
 * spilled, only held back when the reader is slow. Everything leaves through pump(), which starts one write at a time:
 * a large segment from where it is, small ones gathered in one buffer, from as many outputs as fit.
 */
#include "tools/cli/collate.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/cli.h"

enum { SEGMENT_FIRST = 128, SEGMENT = 64 * 1024, SEGMENT_LARGE = 16 * 1024, IO_SIZE = 128 * 1024 };
enum { STREAM_HIGH = 1024 * 1024, STREAM_LOW = 256 * 1024 };

struct segment {
	struct pcore_list link;
	bool in_file;
	off_t offset; /* in the file */
	size_t done, len, cap;
	char data[];
};

struct stream {
	struct pcore_list segments;
	uint64_t bytes; /* not written yet */
	uint64_t taken; /* bytes that were: they are written, or gathered for that */
	bool mid_line;	/* the last byte added was no newline */
};

struct cli_output {
	struct cli_collator *c;
	void *owner;
	struct stream streams[2];
	struct pcore_list order;  /* in c->order when its turn is known */
	struct pcore_list paused; /* in c->paused when it was refused */
	bool finished;
	bool committed; /* held output that had to be let go all the same */
	bool any;	/* something was added */
	char *note;	/* malloc'd, or NULL */
	size_t note_len;
	uint64_t ends[2]; /* live mode, finished: where it ends in the common streams */
	size_t tag_len;
	char tag[];
};

struct cli_collator {
	struct cli_collator_spec spec;
	struct pcore_list order, paused;
	struct stream live[2];
	size_t n_outputs;
	uint64_t held; /* bytes of memory */

	int spill_fd;
	off_t spill_end;
	uint64_t spilled; /* bytes in it that are still wanted */
	bool spill_failed, spill_told;

	struct pcore_op op; /* the write, or the wait for a descriptor that is not ready */
	bool waiting, dropped;
	bool broken[2];
	int fd;
	struct stream *writing;	       /* NULL: what was gathered */
	struct cli_output *writing_of; /* NULL in live mode */
	char *io_buf;
	size_t n_gathered, gathered_done;
	struct pcore_buf tagged;
	struct pcore_buf notes; /* of outputs that are taken whole, to be told when that is written */
	uint64_t note_bytes;	/* of those that wait for their turn */
};

static void pump(struct cli_collator *c);

/* Is what comes written without waiting for anybody's turn? */
static bool is_live(const struct cli_collator *c)
{
	return c->spec.mode == CLI_LIVE || c->spec.mode == CLI_THROUGH;
}

/* ---- segments ---- */

static void stream_init(struct stream *s)
{
	pcore_list_init(&s->segments);
	s->bytes = s->taken = 0;
	s->mid_line = false;
}

static struct segment *first_segment(struct stream *s)
{
	return pcore_list_empty(&s->segments) ? NULL : container_of(s->segments.next, struct segment, link);
}

static struct segment *last_segment(struct stream *s)
{
	return pcore_list_empty(&s->segments) ? NULL : container_of(s->segments.prev, struct segment, link);
}

static struct segment *segment_new(struct cli_collator *c, struct stream *s, size_t cap)
{
	struct segment *g = malloc(sizeof(*g) + cap);

	if (!g)
		return NULL;

	*g = (struct segment){ .cap = cap };
	pcore_list_init(&g->link);
	pcore_list_add_tail(&s->segments, &g->link);
	c->held += sizeof(*g) + cap;
	return g;
}

static void segment_free(struct cli_collator *c, struct segment *g)
{
	pcore_list_del(&g->link);
	c->held -= sizeof(*g) + g->cap;
	if (g->in_file) {
		c->spilled -= g->len;
		/* Give the room back at once, or all of it when nothing is left. */
		if (c->spilled == 0 && ftruncate(c->spill_fd, 0) == 0)
			c->spill_end = 0;
		else
			(void)fallocate(c->spill_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, g->offset, (off_t)g->len);
		c->spill_failed = false;
	}
	free(g);
}

static void stream_clear(struct cli_collator *c, struct stream *s)
{
	while (first_segment(s))
		segment_free(c, first_segment(s));
	s->taken += s->bytes;
	s->bytes = 0;
	s->mid_line = false;
}

static bool store_in_memory(struct cli_collator *c, struct stream *s, const char *data, size_t len)
{
	struct segment *g = last_segment(s);

	while (len > 0) {
		size_t n;

		if (!g || g->in_file || g->len == g->cap) {
			size_t least = !g ? SEGMENT_FIRST : g->in_file || g->cap > SEGMENT / 4 ? SEGMENT : g->cap * 4;

			g = segment_new(c, s, len > SEGMENT ? SEGMENT : len > least ? len : least);
			if (!g)
				return false;
		}
		n = g->cap - g->len < len ? g->cap - g->len : len;
		memcpy(g->data + g->len, data, n);
		g->len += n;
		s->bytes += n;
		data += n;
		len -= n;
	}
	return true;
}

int cli_unnamed_file(const char *dir)
{
	char path[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return -errno;
	if ((size_t)snprintf(path, sizeof(path), "%s/pcore-XXXXXX", dir) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path);
	return fd;
}

static void spill_broke(struct cli_collator *c, int error)
{
	if (!c->spill_told)
		cli_warn("cannot hold output in '%s': %s; jobs have to wait for their turn", c->spec.tmpdir, strerror(-error));
	c->spill_told = c->spill_failed = true;
}

/* Write to the end of the file. How much went there. */
static size_t spill(struct cli_collator *c, struct stream *s, const char *data, size_t len)
{
	struct segment *g = last_segment(s);
	ssize_t n;

	if (c->spill_fd < 0) {
		int fd = cli_unnamed_file(c->spec.tmpdir);

		if (fd < 0) {
			spill_broke(c, fd);
			return 0;
		}
		c->spill_fd = fd;
	}
	n = pcore_fault("spill", NULL);
	if (n == 0) {
		n = pwrite(c->spill_fd, data, len, c->spill_end);
		n = n < 0 ? -errno : n;
	}
	if (n <= 0) {
		spill_broke(c, n < 0 ? (int)n : -ENOSPC);
		return 0;
	}
	if (!g || !g->in_file || g->offset + (off_t)g->len != c->spill_end) {
		g = segment_new(c, s, 0);
		if (!g) {
			spill_broke(c, -ENOMEM);
			return 0;
		}
		g->in_file = true;
		g->offset = c->spill_end;
	}
	g->len += (size_t)n;
	s->bytes += (size_t)n;
	c->spill_end += n;
	c->spilled += (uint64_t)n;
	return (size_t)n;
}

/* ---- outputs ---- */

static struct cli_output *head(const struct cli_collator *c)
{
	return pcore_list_empty(&c->order) ? NULL : container_of(c->order.next, struct cli_output, order);
}

/* Does it go straight to the writer, so that it is held back rather than stored? */
static bool streams_through(const struct cli_output *o)
{
	return head(o->c) == o && (!o->c->spec.hold || o->finished || o->committed);
}

static bool over_limit(const struct cli_collator *c)
{
	return c->held >= c->spec.buffer;
}

/* The head's stderr waits for the end of its stdout, unless there is no place left to keep it. */
static bool stderr_early(const struct cli_collator *c)
{
	return c->spill_failed && over_limit(c);
}

static bool must_wait(const struct cli_output *o)
{
	const struct cli_collator *c = o->c;

	if (c->dropped)
		return false;
	if (is_live(c) && c->live[0].bytes + c->live[1].bytes > STREAM_HIGH)
		return true;
	if (streams_through(o))
		return o->streams[0].bytes > STREAM_HIGH || (stderr_early(c) && o->streams[1].bytes > STREAM_HIGH);
	return over_limit(c) && c->spill_failed;
}

static bool may_go_on(const struct cli_output *o)
{
	const struct cli_collator *c = o->c;

	if (c->dropped)
		return true;
	if (is_live(c) && c->live[0].bytes + c->live[1].bytes > STREAM_LOW)
		return false;
	if (streams_through(o))
		return o->streams[0].bytes <= STREAM_LOW && (!stderr_early(c) || o->streams[1].bytes <= STREAM_LOW);
	return !over_limit(c) || !c->spill_failed;
}

/* What there is of an unfinished line goes as it is. */
static void flush_live(struct cli_output *o)
{
	for (int i = 0; i < 2; i++) {
		struct stream *live = &o->c->live[i];

		pcore_list_splice_tail(&live->segments, &o->streams[i].segments);
		live->bytes += o->streams[i].bytes;
		o->streams[i].bytes = 0;
	}
}

/* Nobody's turn has come and nothing can be stored: let the one that waits longest go ahead. */
static void break_deadlock(struct cli_collator *c)
{
	struct cli_output *o = head(c), *first;

	if (!c->spill_failed || !over_limit(c) || c->spec.mode == CLI_THROUGH || pcore_list_empty(&c->paused))
		return;
	first = container_of(c->paused.next, struct cli_output, paused);
	if (c->spec.mode == CLI_LIVE) {
		if (c->live[0].bytes + c->live[1].bytes == 0)
			flush_live(first);
		return;
	}
	if (!o) {
		o = first;
		pcore_list_add_tail(&c->order, &o->order);
	}
	if (!pcore_list_empty(&o->paused))
		o->committed = true;
}

static void resume_paused(struct cli_collator *c)
{
	break_deadlock(c);
	PCORE_LIST_FOREACH_SAFE(node, &c->paused) {
		struct cli_output *o = container_of(node, struct cli_output, paused);

		if (!may_go_on(o))
			continue;
		pcore_list_del(&o->paused);
		c->spec.resume(c->spec.ctx, o->owner);
	}
}

static bool store(struct cli_output *o, struct stream *s, const char *data, size_t len)
{
	struct cli_collator *c = o->c;
	bool through = streams_through(o) && s == &o->streams[0];
	bool to_file = !through && c->held + len > c->spec.buffer;

	while (to_file && len > 0 && !c->spill_failed) {
		size_t n = spill(c, s, data, len);

		data += n;
		len -= n;
	}
	return store_in_memory(c, s, data, len);
}

/* Live: what is complete now leaves the job's stream for the common one. */
static bool store_live(struct cli_output *o, int i, const char *data, size_t len)
{
	struct cli_collator *c = o->c;
	struct stream *part = &o->streams[i], *live = &c->live[i];
	const char *last = memrchr(data, '\n', len);
	size_t whole = last ? (size_t)(last - data) + 1 : 0;

	if (whole > 0) {
		pcore_list_splice_tail(&live->segments, &part->segments);
		live->bytes += part->bytes;
		part->bytes = 0;
		if (!store_in_memory(c, live, data, whole))
			return false;
	}
	return store(o, part, data + whole, len - whole);
}

static bool store_by_mode(struct cli_output *o, int i, const char *data, size_t len)
{
	switch (o->c->spec.mode) {
	case CLI_THROUGH:
		return store_in_memory(o->c, &o->c->live[i], data, len);
	case CLI_LIVE:
		return store_live(o, i, data, len);
	case CLI_ORDERED:
	case CLI_UNORDERED:
		break;
	}
	return store(o, &o->streams[i], data, len);
}

int cli_prefix_lines(struct pcore_buf *dst, bool *mid_line, const char *prefix, size_t prefix_len, const char *data, size_t len)
{
	const char *p = data, *end = data + len;
	int r = 0;

	while (p < end && r == 0) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *next = nl ? nl + 1 : end;

		if (!*mid_line)
			r = pcore_buf_add(dst, prefix, prefix_len);
		if (r == 0)
			r = pcore_buf_add(dst, p, (size_t)(next - p));
		*mid_line = !nl;
		p = next;
	}
	return r;
}

static int add_tags(struct cli_output *o, struct stream *s, const char **data, size_t *len)
{
	struct pcore_buf *b = &o->c->tagged;
	int r;

	pcore_buf_clear(b);
	r = cli_prefix_lines(b, &s->mid_line, o->tag, o->tag_len, *data, *len);
	*data = b->data;
	*len = b->len;
	return r;
}

bool cli_output_add(struct cli_output *o, int stream, const char *data, size_t len)
{
	struct cli_collator *c = o->c;
	struct stream *s = &o->streams[stream];
	bool ok = true;

	assert(!o->finished);

	o->any = true;
	if (c->dropped || c->broken[stream])
		return true;
	if (o->tag_len > 0)
		ok = add_tags(o, s, &data, &len) == 0;
	if (ok)
		ok = store_by_mode(o, stream, data, len);
	if (!ok) {
		c->broken[stream] = true;
		c->spec.failed(c->spec.ctx, stream + 1, -ENOMEM);
		return true;
	}
	pump(c);
	if (!must_wait(o))
		return true;
	if (pcore_list_empty(&o->paused))
		pcore_list_add_tail(&c->paused, &o->paused);
	break_deadlock(c);
	pump(c);
	return false;
}

struct cli_output *cli_output_new(struct cli_collator *c, void *owner, const char *tag)
{
	size_t tag_len = tag ? strlen(tag) + 1 : 0;
	struct cli_output *o = calloc(1, sizeof(*o) + tag_len + 1);

	if (!o)
		return NULL;

	o->c = c;
	o->owner = owner;
	o->tag_len = tag_len;
	if (tag) {
		memcpy(o->tag, tag, tag_len);
		o->tag[tag_len - 1] = '\t';
	}
	stream_init(&o->streams[0]);
	stream_init(&o->streams[1]);
	pcore_list_init(&o->order);
	pcore_list_init(&o->paused);
	c->n_outputs++;
	c->held += sizeof(*o) + tag_len;
	if (c->spec.mode == CLI_ORDERED)
		pcore_list_add_tail(&c->order, &o->order);
	return o;
}

static void forget_note(struct cli_output *o)
{
	if (!o->note)
		return;
	o->c->held -= o->note_len;
	o->c->note_bytes -= o->note_len;
	free(o->note);
	o->note = NULL;
}

static void output_free(struct cli_output *o)
{
	struct cli_collator *c = o->c;

	stream_clear(c, &o->streams[0]);
	stream_clear(c, &o->streams[1]);
	pcore_list_del(&o->order);
	pcore_list_del(&o->paused);
	c->n_outputs--;
	c->held -= sizeof(*o) + o->tag_len;
	forget_note(o);
	free(o);
}

int cli_output_note(struct cli_output *o, const char *note, size_t len)
{
	assert(!o->finished && !o->note);

	o->note = malloc(len);
	if (!o->note)
		return -ENOMEM;
	memcpy(o->note, note, len);
	o->note_len = len;
	o->c->held += len;
	o->c->note_bytes += len;
	return 0;
}

/* All of the output is taken. */
static void take_note(struct cli_output *o)
{
	struct cli_collator *c = o->c;

	if (o->note && !c->broken[0] && pcore_buf_add(&c->notes, o->note, o->note_len) < 0)
		c->spec.failed(c->spec.ctx, STDOUT_FILENO, -ENOMEM);
	forget_note(o);
}

/* What was taken is written. */
static void tell_notes(struct cli_collator *c)
{
	if (c->notes.len == 0 || c->n_gathered > 0 || pcore_op_live(&c->op))
		return;
	c->spec.noted(c->spec.ctx, c->notes.data, c->notes.len);
	pcore_buf_clear(&c->notes);
	c->spec.room(c->spec.ctx);
}

void cli_output_forget(struct cli_output *o)
{
	struct cli_collator *c = o->c;

	for (int i = 0; i < 2; i++)
		if (c->writing != &o->streams[i])
			stream_clear(c, &o->streams[i]);
	resume_paused(c);
}

static void finish_live(struct cli_output *o)
{
	struct cli_collator *c = o->c;

	flush_live(o);
	if (o->note) {
		for (int i = 0; i < 2; i++)
			o->ends[i] = c->live[i].taken + c->live[i].bytes;
		pcore_list_add_tail(&c->order, &o->order);
		return;
	}
	output_free(o);
	c->spec.room(c->spec.ctx);
}

void cli_output_finish(struct cli_output *o)
{
	struct cli_collator *c = o->c;

	assert(!o->finished);

	o->finished = true;
	pcore_list_del(&o->paused);
	if (o->note && !o->any) {
		c->spec.noted(c->spec.ctx, o->note, o->note_len);
		forget_note(o);
	}
	if (c->dropped && !(pcore_op_live(&c->op) && c->writing_of == o)) {
		output_free(o);
		return;
	}
	if (is_live(c)) {
		finish_live(o);
	} else if (pcore_list_empty(&o->order)) {
		pcore_list_add_tail(&c->order, &o->order);
	}
	pump(c);
}

/* ---- writing ---- */

static bool pick_live(struct cli_collator *c)
{
	struct cli_output *o;

	while ((o = head(c)) && o->ends[0] <= c->live[0].taken && o->ends[1] <= c->live[1].taken) {
		take_note(o);
		output_free(o);
	}
	for (int i = 0; i < 2; i++) {
		if (c->broken[i])
			stream_clear(c, &c->live[i]);
		if (c->live[i].bytes == 0)
			continue;
		c->fd = i + 1;
		c->writing = &c->live[i];
		c->writing_of = NULL;
		return true;
	}
	return false;
}

/* The next stream to write from; outputs that are written to their end are let go on the way. */
static bool pick(struct cli_collator *c)
{
	struct cli_output *o;

	if (is_live(c))
		return pick_live(c);
	while ((o = head(c)) && streams_through(o)) {
		for (int i = 0; i < 2; i++) {
			if (c->broken[i])
				stream_clear(c, &o->streams[i]);
			if (o->streams[i].bytes > 0) {
				c->fd = i + 1;
				c->writing = &o->streams[i];
				c->writing_of = o;
				return true;
			}
			if (!o->finished && !(i == 0 && stderr_early(c)))
				return false; /* more of stdout may come, and stderr has to wait for it */
		}
		take_note(o);
		output_free(o);
		resume_paused(c); /* another one's turn has come */
		c->spec.room(c->spec.ctx);
	}
	return false;
}

static void write_broke(struct cli_collator *c, int error)
{
	struct stream *s = c->writing;

	c->writing = NULL;
	c->n_gathered = 0;
	c->broken[c->fd - 1] = true;
	if (c->broken[0])
		pcore_buf_clear(&c->notes);
	if (s)
		stream_clear(c, s);
	c->spec.failed(c->spec.ctx, c->fd, error);
}

/* So many bytes of the stream are written or as good as written. */
static void advance(struct cli_collator *c, struct stream *s, size_t n)
{
	struct segment *g = first_segment(s);

	assert(g && n <= g->len - g->done);

	g->done += n;
	s->bytes -= n;
	s->taken += n;
	if (g->done == g->len)
		segment_free(c, g);
}

static void written(struct cli_collator *c, size_t n)
{
	if (c->writing) {
		advance(c, c->writing, n);
	} else {
		c->gathered_done += n;
		if (c->gathered_done == c->n_gathered)
			c->n_gathered = 0;
	}
	c->writing = NULL;
	resume_paused(c);
}

static void write_done(struct pcore_op *op, int res)
{
	struct cli_collator *c = container_of(op, struct cli_collator, op);
	bool waited = c->waiting;

	c->waiting = false;
	if (waited || (c->dropped && res < 0))
		c->writing = NULL; /* the descriptor is ready: write again; or it was called off */
	else if (res == -EAGAIN) {
		c->waiting = pcore_op_poll(c->spec.loop, op, c->fd, POLLOUT) == 0;
		if (c->waiting)
			return;
		write_broke(c, res);
	} else if (res < 0 && res != -EINTR)
		write_broke(c, res);
	else
		written(c, res < 0 ? 0 : (size_t)res);
	if (c->dropped)
		cli_collator_drop(c);
	else
		pump(c);
	if (!pcore_op_live(&c->op))
		c->spec.room(c->spec.ctx);
}

static bool is_large(const struct segment *g)
{
	return !g->in_file && g->len - g->done >= SEGMENT_LARGE;
}

/* Move what is next in the stream to the buffer. How much, or -errno. */
static ssize_t take(struct cli_collator *c)
{
	struct segment *g = first_segment(c->writing);
	char *to = c->io_buf + c->n_gathered;
	size_t len = g->len - g->done, room = IO_SIZE - c->n_gathered;
	ssize_t n;

	n = (ssize_t)(len < room ? len : room);
	if (g->in_file)
		n = pread(c->spill_fd, to, (size_t)n, g->offset + (off_t)g->done);
	else
		memcpy(to, g->data + g->done, (size_t)n);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	c->n_gathered += (size_t)n;
	advance(c, c->writing, (size_t)n);
	return n;
}

/* All that comes next for this descriptor, up to a large segment. */
static int gather(struct cli_collator *c)
{
	int fd = c->fd;
	ssize_t n;

	c->n_gathered = c->gathered_done = 0;
	do
		n = take(c);
	while (n > 0 && c->n_gathered < IO_SIZE && pick(c) && c->fd == fd && !is_large(first_segment(c->writing)));
	c->fd = fd;
	if (c->n_gathered == 0)
		return (int)n;
	c->writing = NULL;
	c->writing_of = NULL;
	return 0;
}

/* What is in the spill file is read in pieces. */
static int give_to_sink(struct cli_collator *c)
{
	const struct segment *g = first_segment(c->writing);
	const char *data = g->in_file ? c->io_buf : g->data + g->done;
	size_t n = g->len - g->done;
	int r = 0;

	if (g->in_file) {
		r = gather(c);
		n = c->n_gathered;
	}
	if (r == 0)
		r = c->spec.sink(c->spec.ctx, c->fd, data, n);
	if (r == 0)
		written(c, n);
	return r;
}

static int start_write(struct cli_collator *c)
{
	const struct segment *g;
	int r;

	if (c->spec.before_write)
		c->spec.before_write(c->spec.ctx);
	if (c->spec.sink)
		return give_to_sink(c);
	if (c->n_gathered == 0) {
		g = first_segment(c->writing);
		if (is_large(g))
			return pcore_op_write(c->spec.loop, &c->op, c->fd, g->data + g->done, g->len - g->done, -1);
		r = gather(c);
		if (r < 0)
			return r;
	}
	return pcore_op_write(c->spec.loop, &c->op, c->fd, c->io_buf + c->gathered_done, c->n_gathered - c->gathered_done, -1);
}

static void pump(struct cli_collator *c)
{
	while (!pcore_op_live(&c->op) && !c->writing && (c->n_gathered > 0 || pick(c))) {
		int r;

		tell_notes(c);
		r = start_write(c);
		if (r < 0)
			write_broke(c, r);
	}
	tell_notes(c);
}

/* ---- the whole ---- */

bool cli_collator_has_room(const struct cli_collator *c)
{
	uint64_t meta = c->n_outputs * sizeof(struct cli_output) + c->note_bytes;

	if (meta >= c->spec.buffer && c->n_outputs > c->spec.window)
		return false;
	/* Something is to be written and is not taken: the reader is slow, and running ahead helps nobody. */
	return !(pcore_op_live(&c->op) && (c->n_outputs > c->spec.window || over_limit(c)));
}

bool cli_collator_writing(const struct cli_collator *c)
{
	return pcore_op_live(&c->op);
}

bool cli_collator_empty(const struct cli_collator *c)
{
	return c->n_outputs == 0 && c->live[0].bytes == 0 && c->live[1].bytes == 0 && c->n_gathered == 0 && c->notes.len == 0 &&
		!pcore_op_live(&c->op);
}

void cli_collator_drop(struct cli_collator *c)
{
	c->dropped = true;
	pcore_buf_clear(&c->notes);
	if (pcore_op_live(&c->op)) {
		pcore_op_cancel(c->spec.loop, &c->op);
	} else {
		c->writing = NULL;
		c->n_gathered = 0;
		PCORE_LIST_FOREACH_SAFE(node, &c->order) {
			struct cli_output *o = container_of(node, struct cli_output, order);

			if (o->finished)
				output_free(o);
		}
		stream_clear(c, &c->live[0]);
		stream_clear(c, &c->live[1]);
	}
	resume_paused(c);
}

int cli_collator_new(struct cli_collator **ret, const struct cli_collator_spec *spec)
{
	struct cli_collator *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;

	c->io_buf = malloc(IO_SIZE);
	if (!c->io_buf) {
		free(c);
		return -ENOMEM;
	}
	c->spec = *spec;
	c->spill_fd = -EBADF;
	c->op.done = write_done;
	pcore_list_init(&c->order);
	pcore_list_init(&c->paused);
	stream_init(&c->live[0]);
	stream_init(&c->live[1]);
	*ret = c;
	return 0;
}

void cli_collator_free(struct cli_collator *c)
{
	if (!c)
		return;

	assert(!pcore_op_live(&c->op));
	assert(c->n_outputs == 0);

	stream_clear(c, &c->live[0]);
	stream_clear(c, &c->live[1]);
	c->spill_fd = pcore_fd_close(c->spill_fd);
	pcore_buf_done(&c->tagged);
	pcore_buf_done(&c->notes);
	free(c->io_buf);
	free(c);
}
