/* SPDX-License-Identifier: MIT */
/*
 * wire.c - the frames between named timers and those who ask.
 */
#include "tools/ptimer/control.h"

#include <string.h>

enum { UMASK_MAX = 0777, NO_RUN = 0, HAS_RUN = 1 };

static char *const *one_word(const char *word, char *words[static 2])
{
	words[0] = (char *)word;
	words[1] = NULL;
	return words;
}

static struct cli_writer start_request(struct pcore_buf *b, enum control_type type)
{
	struct cli_writer w = cli_frame_start(b, type);

	cli_put_u32(&w, CONTROL_VERSION);
	return w;
}

static int take_version(struct cli_cursor *c)
{
	return cli_take_u32(c) == CONTROL_VERSION ? 0 : c->bad ? -EPROTO : -EPROTONOSUPPORT;
}

static const char *take_word(struct cli_cursor *c)
{
	struct cli_words w = cli_take_words(c);

	if (w.n != 1)
		c->bad = true;
	return c->bad ? "" : w.data;
}

int control_put_name(struct pcore_buf *b, enum control_type type, const char *name)
{
	struct cli_writer w = start_request(b, type);
	char *words[2];

	cli_put_words(&w, one_word(name, words));
	return cli_frame_finish(&w);
}

int control_get_name(const struct cli_frame *f, const char **ret)
{
	struct cli_cursor c = cli_frame_read(f);
	int r = take_version(&c);

	if (r < 0)
		return r;
	*ret = take_word(&c);
	return cli_frame_end(&c);
}

int control_put_event(struct pcore_buf *b, const struct control_event *e, char *const *env, char *const *argv)
{
	struct cli_writer w = start_request(b, CONTROL_ENTER);
	char *words[2];

	cli_put_u64(&w, (uint64_t)e->delay_ns);
	cli_put_u32(&w, (uint32_t)e->priority);
	cli_put_u32(&w, e->umask);
	cli_put_words(&w, one_word(e->dir, words));
	cli_put_words(&w, env);
	cli_put_words(&w, argv);
	return cli_frame_finish(&w);
}

int control_get_event(const struct cli_frame *f, struct control_event *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct control_event e = { 0 };
	int r = take_version(&c);

	if (r < 0)
		return r;
	e.delay_ns = cli_take_ns(&c);
	e.priority = (int32_t)cli_take_u32(&c);
	e.umask = cli_take_u32(&c);
	e.dir = take_word(&c);
	e.env = cli_take_words(&c);
	e.argv = cli_take_words(&c);
	if (cli_frame_end(&c) < 0 || e.umask > UMASK_MAX || e.dir[0] != '/' || e.argv.n < 1 || !e.argv.data[0])
		return -EPROTO;
	*ret = e;
	return 0;
}

int control_put_timer(struct pcore_buf *b, const struct control_timer *t, char *const *argv)
{
	static char *const none[] = { NULL };
	struct cli_writer w = cli_frame_start(b, CONTROL_TIMER);
	char *words[2];

	cli_put_words(&w, one_word(t->name, words));
	cli_put_u8(&w, t->state);
	cli_put_u64(&w, (uint64_t)t->next_ns);
	cli_put_u32(&w, (uint32_t)t->offset_s);
	cli_put_u64(&w, t->runs);
	cli_put_u64(&w, t->failures);
	cli_put_u8(&w, t->has_run ? HAS_RUN : NO_RUN);
	cli_put_u8(&w, t->status);
	cli_put_u8(&w, t->signal);
	cli_put_words(&w, argv ? argv : none);
	return cli_frame_finish(&w);
}

int control_get_timer(const struct cli_frame *f, struct control_timer *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct control_timer t = { .name = take_word(&c) };

	t.state = cli_take_u8(&c);
	t.next_ns = cli_take_ns(&c);
	t.offset_s = (int32_t)cli_take_u32(&c);
	t.runs = cli_take_u64(&c);
	t.failures = cli_take_u64(&c);
	t.has_run = cli_take_flags(&c, HAS_RUN) == HAS_RUN;
	t.status = cli_take_u8(&c);
	t.signal = cli_take_u8(&c);
	t.argv = cli_take_words(&c);
	if (cli_frame_end(&c) < 0 || t.state >= CONTROL_STATES)
		return -EPROTO;
	*ret = t;
	return 0;
}

int control_put_answer(struct pcore_buf *b, uint8_t status, const char *text)
{
	struct cli_writer w = cli_frame_start(b, CONTROL_ANSWER);
	char *words[2];

	cli_put_u8(&w, status);
	cli_put_words(&w, one_word(text, words));
	return cli_frame_finish(&w);
}

int control_get_answer(const struct cli_frame *f, struct control_answer *ret)
{
	struct cli_cursor c = cli_frame_read(f);
	struct control_answer a = { .status = cli_take_u8(&c) };

	a.text = take_word(&c);
	if (cli_frame_end(&c) < 0)
		return -EPROTO;
	*ret = a;
	return 0;
}
