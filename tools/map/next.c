/* SPDX-License-Identifier: MIT */
/*
 * next.c - what map runs next: a job of what the source or the feed has, unless the log of the run that is resumed
 * has it already. A dry run prints them here.
 */
#include "tools/map/run.h"

enum { TAG_MAX = 4096 };

int map_expand(struct map *m, const struct map_job *j, uint64_t seq, unsigned slot)
{
	struct cli_template_args args = { .items = j->items, .n_items = j->n_items, .seq = seq, .slot = slot };
	int r;

	free(m->argv);
	m->argv = NULL;
	r = source_columns(&m->source, j->items, j->n_items, &args);
	return r < 0 ? r : cli_template_expand(m->template, &args, &m->argv);
}

void map_job_free(struct map *m, struct map_job *j)
{
	record_job_done(&j->record);
	if (m->opts->feed.pipe)
		feed_forget(&m->feed, &j->feed);
	free(j->call.block);
	free(j->items);
	pcore_spare_free(&m->spare, j);
}

/* The items, safe to print, for --tag. */
static const char *make_tag(const struct map_job *j, char tag[static TAG_MAX])
{
	size_t len = 0;

	tag[0] = '\0';
	for (size_t i = 0; i < j->n_items && len + 2 < TAG_MAX; i++) {
		if (i > 0)
			tag[len++] = ' ';
		len += pcore_escape(tag + len, TAG_MAX - len, j->items[i].data, j->items[i].len);
	}
	return tag;
}

/* A worker reads a combination of words as one line. They lie one behind the other, each with its NUL. */
static size_t join_items(struct cli_item *items, size_t n)
{
	char *text = (char *)(items + n);

	for (size_t i = 0; i + 1 < n; i++)
		text[items[i].data + items[i].len - text] = ' ';
	items[0].len = (size_t)(items[n - 1].data + items[n - 1].len - items[0].data);
	return 1;
}

static int job_new(struct map *m, struct map_job **ret)
{
	struct map_job *j = pcore_spare_new(&m->spare);
	int r;

	if (!j)
		return -ENOMEM;

	*j = (struct map_job){ .n_items = 0 };
	if (m->opts->feed.pipe)
		r = feed_next(&m->feed, &j->feed, &j->job);
	else if (m->call.batched)
		r = call_next(&m->call, &m->source, &j->call);
	else
		r = source_next(&m->source, &j->items, &j->n_items);
	if (r <= 0) {
		pcore_spare_free(&m->spare, j);
		return r;
	}
	if ((m->opts->workers.worker || m->opts->call.call) && j->n_items > 0)
		j->n_items = join_items(j->items, j->n_items);
	j->job.seq = ++m->seq;
	record_job_init(&j->record, j->items, j->n_items);
	*ret = j;
	return 1;
}

/* The job is going to run: its output has its place from now on. Frees it on failure. */
static int give_output(struct map *m, struct map_job *j)
{
	char tag[TAG_MAX];

	if ((m->opts->raw && !m->opts->dry_run) || m->opts->record.results)
		return 1;
	j->output = cli_output_new(m->collator, j, m->opts->tag ? make_tag(j, tag) : NULL);
	if (j->output)
		return 1;
	map_job_free(m, j);
	return -ENOMEM;
}

static int out_of_memory(struct map *m)
{
	m->failed = true;
	(void)cli_error("out of memory; no more jobs are started");
	return -ENODATA;
}

/* Print what would be run. */
static int dry_run(struct map *m)
{
	_cleanup_(pcore_buf_done) struct pcore_buf line = PCORE_BUF_INIT(0);
	struct map_job *j = NULL;
	int r = 1;

	while (cli_collator_has_room(m->collator) && (r = job_new(m, &j)) > 0 && (r = give_output(m, j)) > 0) {
		pcore_buf_clear(&line);
		r = map_expand(m, j, j->job.seq, 1);
		if (r == 0)
			r = cli_shell_words(&line, m->argv);
		if (r == 0)
			r = pcore_buf_addc(&line, '\n');
		if (r == 0)
			(void)cli_output_add(j->output, 0, line.data, line.len);
		cli_output_finish(j->output);
		map_job_free(m, j);
		if (r < 0)
			return out_of_memory(m);
	}
	return r > 0 ? 0 : r;
}

static int refuse_to_resume(struct map *m)
{
	m->failed = true;
	return -ENODATA;
}

/* A resumed run: every job that the log has is checked before the first one starts, and what is to run is held until then.
 * 1 when that is done, or as map_next(). */
static int look_ahead(struct map *m)
{
	struct map_job *j = NULL;
	int r;

	while (m->seq < record_last(m->record)) {
		r = job_new(m, &j);
		if (r == -ENODATA && !m->source.error)
			record_ends_early(m->record, m->seq);
		if (r == -ENODATA)
			return refuse_to_resume(m);
		if (r <= 0)
			return r;
		r = record_admit(m->record, &j->job);
		if (r <= 0) {
			map_job_free(m, j);
			m->skipped++;
		}
		if (r < 0)
			return refuse_to_resume(m);
		if (r == 0)
			continue;
		pcore_list_init(&j->job.link);
		pcore_list_add_tail(&m->held, &j->job.link);
		for (size_t i = 0; i < j->n_items; i++)
			m->held_bytes += sizeof(j->items[i]) + j->items[i].len;
		m->held_bytes += sizeof(*j);
		if (m->held_bytes > m->opts->buffer) {
			(void)cli_error("cannot resume: the jobs to be run, up to the last one of the log, do not fit in --buffer");
			return refuse_to_resume(m);
		}
	}
	return 1;
}

/* The next job that a resumed run has not done yet. */
static int next_to_run(struct map *m, struct map_job **ret)
{
	struct pcore_list *node = pcore_list_pop(&m->held);
	int r;

	if (node) {
		*ret = container_of(container_of(node, struct pcore_job, link), struct map_job, job);
		return 1;
	}
	while ((r = job_new(m, ret)) > 0) {
		int admitted = m->seq > record_last(m->record) ? 1 : record_admit(m->record, &(*ret)->job);

		if (admitted > 0)
			return 1;
		map_job_free(m, *ret);
		m->skipped++;
		if (admitted < 0)
			return refuse_to_resume(m);
	}
	return r;
}

static int next_in_turn(struct map *m, struct map_job **ret)
{
	/* Blocks all have the same command: the first one checks them all. */
	bool look = m->seq < record_last(m->record) && !m->opts->feed.pipe;
	int r = look ? look_ahead(m) : 1;

	if (r > 0)
		r = next_to_run(m, ret);
	return r > 0 ? give_output(m, *ret) : r;
}

int map_next(void *ctx, struct pcore_job **ret)
{
	struct map *m = ctx;
	struct map_job *j = NULL;
	int r;

	if (m->opts->dry_run)
		return dry_run(m);
	if (!cli_collator_has_room(m->collator) || !record_has_room(m->record))
		return 0;
	r = next_in_turn(m, &j);
	if (r < 0 && r != -ENODATA)
		return out_of_memory(m);
	if (r > 0)
		*ret = &j->job;
	return r;
}
