/* SPDX-License-Identifier: MIT */
/*
 * collate.c - tests of the collator. While a test runs its 1 and 2 are files or pipes of its own;
 * the teardown puts ours back.
 */
#include "tools/cli/collate.c"

#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/unit/running.h"

enum { KIB = 1024, SMALL_BUFFER = 64 * KIB, JOBS = 7, TEXT_MAX = 8 * 1024 * KIB, CEILING_S = 300 };

static struct {
	struct pcore_loop *lp;
	struct cli_collator *c;
	int saved[2], sinks[2]; /* what 1 and 2 were, and the files they are now */
	int failed_fd, failed_error, n_failed, n_room, n_resumed, n_writes;
	bool drop_on_failure;
	void *resumed; /* the last one */
	char notes[64];
} t;

static char text[TEXT_MAX];

/* ---- setting up ---- */

static void put_sinks(int out, int err)
{
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
}

static int before(void **state)
{
	fflush(NULL);
	support_before(state);
	alarm(CEILING_S);
	memset(&t, 0, sizeof(t));
	for (int i = 0; i < 2; i++) {
		t.saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 100);
		t.sinks[i] = memfd_create("sink", MFD_CLOEXEC);
		assert(t.saved[i] >= 0 && t.sinks[i] >= 0);
	}
	put_sinks(t.sinks[0], t.sinks[1]);
	return pcore_loop_new(&t.lp, wanted_backend());
}

static int after(void **state)
{
	put_sinks(t.saved[0], t.saved[1]);
	alarm(0);
	pcore_fault_set("");
	for (int i = 0; i < 2; i++) {
		close(t.saved[i]);
		close(t.sinks[i]);
	}
	if (t.c)
		return -1; /* the test has failed on its way */
	pcore_loop_free(t.lp);
	return support_after(state);
}

#define COLLATE_TEST(f) cmocka_unit_test_setup_teardown(f, before, after)

static void on_resume(void *ctx, void *owner)
{
	(void)ctx;
	t.n_resumed++;
	t.resumed = owner;
	if (owner)
		*(bool *)owner = false;
}

static void on_room(void *ctx)
{
	(void)ctx;
	t.n_room++;
}

static void on_failed(void *ctx, int fd, int error)
{
	(void)ctx;
	t.n_failed++;
	t.failed_fd = fd;
	t.failed_error = error;
	if (t.drop_on_failure)
		cli_collator_drop(t.c);
}

static void on_write(void *ctx)
{
	(void)ctx;
	t.n_writes++;
}

/* After the notes: how much of stdout there was. */
static void on_noted(void *ctx, const char *notes, size_t len)
{
	struct stat st;

	(void)ctx;
	assert_int_equal(fstat(t.sinks[0], &st), 0);
	(void)snprintf(t.notes + strlen(t.notes), sizeof(t.notes) - strlen(t.notes), "%.*s%jd ", (int)len, notes, (intmax_t)st.st_size);
}

static struct cli_collator_spec spec_of(enum cli_collate_mode mode)
{
	return (struct cli_collator_spec){
		.loop = t.lp,
		.mode = mode,
		.buffer = 1024 * KIB,
		.window = 64,
		.tmpdir = "/tmp",
		.resume = on_resume,
		.room = on_room,
		.failed = on_failed,
		.before_write = on_write,
		.noted = on_noted,
	};
}

static void make_with(const struct cli_collator_spec *spec)
{
	assert_int_equal(cli_collator_new(&t.c, spec), 0);
}

static void make(enum cli_collate_mode mode)
{
	struct cli_collator_spec spec = spec_of(mode);

	make_with(&spec);
}

static void run_loop(void)
{
	assert_int_equal(pcore_loop_run(t.lp), 0);
}

/* All has been written and nothing is held any more. */
static void end(void)
{
	struct stat st = { .st_size = 0 };

	run_loop();
	assert_true(cli_collator_empty(t.c));
	assert_int_equal(t.c->held, 0);
	assert_int_equal(t.c->spilled, 0);
	assert_true(pcore_list_empty(&t.c->paused));
	if (t.c->spill_fd >= 0)
		assert_int_equal(fstat(t.c->spill_fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	cli_collator_free(t.c);
	t.c = NULL;
}

static struct cli_output *output_new(const char *tag)
{
	struct cli_output *o = cli_output_new(t.c, NULL, tag);

	assert_non_null(o);
	return o;
}

static bool add(struct cli_output *o, int stream, const char *data)
{
	return cli_output_add(o, stream, data, strlen(data));
}

/* What has come to stdout (0) or stderr (1) since the last time, up to now. */
static const char *written_to(int i)
{
	ssize_t n;

	run_loop();
	n = pread(t.sinks[i], text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	assert(ftruncate(t.sinks[i], 0) == 0);
	lseek(t.sinks[i], 0, SEEK_SET);
	return text;
}

static void finish_with(struct cli_output *o, const char *note)
{
	assert_int_equal(cli_output_note(o, note, strlen(note)), 0);
	cli_output_finish(o);
}

/* ---- order ---- */

static void the_first_output_streams_through_and_others_wait(void **state)
{
	struct cli_output *a, *b;

	(void)state;
	make(CLI_ORDERED);
	a = output_new(NULL);
	b = output_new(NULL);
	assert_true(add(a, 0, "a1\n"));
	assert_true(add(b, 0, "b1\n"));
	assert_string_equal(written_to(0), "a1\n");
	assert_true(add(b, 0, "b2\n"));
	assert_true(add(a, 0, "a2\n"));
	assert_string_equal(written_to(0), "a2\n");
	cli_output_finish(b);
	assert_string_equal(written_to(0), "");
	assert_false(cli_collator_empty(t.c));
	assert_int_equal(t.n_room, 2); /* all that may be written yet is written, twice */
	cli_output_finish(a);
	assert_string_equal(written_to(0), "b1\nb2\n");
	assert_int_equal(t.n_room, 5); /* both have left, and all is written */
	assert_true(t.n_writes >= 3);
	end();
}

static struct {
	struct pcore_buf of[3];
	int error;
} sunk;

static int on_sink(void *ctx, int fd, const char *data, size_t len)
{
	(void)ctx;
	return sunk.error ? sunk.error : pcore_buf_add(&sunk.of[fd], data, len);
}

static void a_sink_gets_whole_lines_at_once_also_those_that_were_spilled(void **state)
{
	struct cli_collator_spec spec = spec_of(CLI_LIVE);
	struct cli_output *a, *b;

	(void)state;
	memset(&sunk, 0, sizeof(sunk));
	memset(text, 'x', 3 * SMALL_BUFFER);
	text[3 * SMALL_BUFFER] = '\0';
	spec.sink = on_sink;
	spec.buffer = SMALL_BUFFER;
	make_with(&spec);
	a = output_new(NULL);
	b = output_new(NULL);
	assert_true(add(a, 0, "a"));
	assert_true(add(b, 0, "b\n"));
	assert_int_equal(sunk.of[1].len, 2);
	assert_true(add(a, 1, "error\n"));
	assert_int_equal(sunk.of[2].len, 6);
	assert_true(add(a, 0, text)); /* more than fits */
	assert_true(t.c->spilled > 0);
	assert_true(add(b, 0, "b\n"));
	assert_int_equal(sunk.of[1].len, 4);
	assert_true(add(a, 0, "\n"));
	assert_int_equal(sunk.of[1].len, 4 + 1 + 3 * SMALL_BUFFER + 1);
	assert_memory_equal(sunk.of[1].data, "b\nb\naxxx", 8);
	cli_output_finish(a);
	sunk.error = -ENOSPC;
	assert_true(add(b, 0, "lost\n"));
	assert_int_equal(t.failed_error, -ENOSPC);
	assert_int_equal(t.failed_fd, 1);
	cli_output_finish(b);
	assert_string_equal(written_to(0), "");
	for (int i = 0; i < 3; i++)
		pcore_buf_done(&sunk.of[i]);
	end();
}

static void unordered_outputs_come_as_they_finish(void **state)
{
	struct cli_output *a, *b, *c;

	(void)state;
	make(CLI_UNORDERED);
	a = output_new(NULL);
	b = output_new(NULL);
	c = output_new(NULL);
	add(a, 0, "a\n");
	add(b, 0, "b1\n");
	add(c, 0, "c\n");
	assert_string_equal(written_to(0), "");
	cli_output_finish(c);
	add(b, 0, "b2\n");
	cli_output_finish(b);
	assert_string_equal(written_to(0), "c\nb1\nb2\n");
	cli_output_finish(a);
	assert_string_equal(written_to(0), "a\n");
	end();
}

static void stderr_comes_after_stdout_and_apart(void **state)
{
	struct cli_output *a, *b;

	(void)state;
	put_sinks(t.sinks[0], t.sinks[0]); /* to see the order */
	make(CLI_ORDERED);
	a = output_new(NULL);
	b = output_new(NULL);
	add(b, 1, "b err\n");
	add(b, 0, "b out\n");
	cli_output_finish(b);
	add(a, 1, "a err\n");
	add(a, 0, "a out\n");
	assert_string_equal(written_to(0), "a out\n");
	add(a, 0, "a out\n");
	cli_output_finish(a);
	assert_string_equal(written_to(0), "a out\na err\nb out\nb err\n");
	end();
}

static void each_stream_goes_to_its_own_descriptor(void **state)
{
	struct cli_output *a;

	(void)state;
	make(CLI_ORDERED);
	a = output_new(NULL);
	add(a, 1, "err\n");
	add(a, 0, "out"); /* no newline is added */
	cli_output_finish(a);
	assert_string_equal(written_to(0), "out");
	assert_string_equal(written_to(1), "err\n");
	end();
}

static void an_output_may_be_empty(void **state)
{
	struct cli_output *outputs[3];

	(void)state;
	for (enum cli_collate_mode mode = CLI_ORDERED; mode <= CLI_LIVE; mode++) {
		make(mode);
		for (int i = 0; i < 3; i++)
			outputs[i] = output_new("tag");
		for (int i = 2; i >= 0; i--)
			cli_output_finish(outputs[i]);
		assert_string_equal(written_to(0), "");
		end();
	}
}

/* ---- live ---- */

static void live_writes_whole_lines_as_they_come(void **state)
{
	struct cli_output *a, *b;

	(void)state;
	make(CLI_LIVE);
	a = output_new(NULL);
	b = output_new(NULL);
	add(a, 0, "a1 ");
	add(b, 0, "b1 ");
	assert_string_equal(written_to(0), "");
	add(b, 0, "b2\nb3");
	assert_string_equal(written_to(0), "b1 b2\n");
	add(a, 0, "a2\n");
	add(a, 1, "error");
	assert_string_equal(written_to(0), "a1 a2\n");
	assert_string_equal(written_to(1), "");
	cli_output_finish(b); /* the rest of a line is all there will be of it */
	cli_output_finish(a);
	assert_string_equal(written_to(0), "b3");
	assert_string_equal(written_to(1), "error");
	end();
}

static void live_spills_a_line_that_is_too_long_for_the_memory(void **state)
{
	static char chunk[8 * KIB];
	struct cli_collator_spec spec;
	struct cli_output *a;

	(void)state;
	memset(chunk, 'x', sizeof(chunk));
	spec = spec_of(CLI_LIVE);
	spec.buffer = SMALL_BUFFER;
	make_with(&spec);
	a = output_new(NULL);
	for (int i = 0; i < 32; i++)
		assert_true(cli_output_add(a, 0, chunk, sizeof(chunk)));
	assert_true(t.c->spill_fd >= 0);
	assert_string_equal(written_to(0), "");
	add(a, 0, "\n");
	assert_int_equal(strlen(written_to(0)), 32 * sizeof(chunk) + 1);
	cli_output_finish(a);
	end();
}

static void live_lets_a_part_of_a_line_go_when_it_cannot_be_kept(void **state)
{
	struct cli_collator_spec spec = spec_of(CLI_LIVE);
	static char chunk[16 * KIB];
	struct cli_output *a;
	bool paused = false;
	size_t n = 0;

	(void)state;
	memset(chunk, 'x', sizeof(chunk));
	spec.buffer = SMALL_BUFFER;
	spec.tmpdir = "/nonexistent";
	make_with(&spec);
	a = cli_output_new(t.c, &paused, NULL);
	for (int i = 0; i < 32; i++) {
		paused = !cli_output_add(a, 0, chunk, sizeof(chunk));
		if (paused)
			run_loop();
		assert_false(paused);
	}
	cli_output_finish(a);
	n = strlen(written_to(0));
	assert_int_equal(n, 32 * sizeof(chunk));
	end();
}

/* ---- tags ---- */

static void a_tag_stands_before_each_line(void **state)
{
	struct cli_output *a;

	(void)state;
	make(CLI_ORDERED);
	a = output_new("it\\n");
	add(a, 0, "one");
	add(a, 0, " more\n\ntwo\nth");
	add(a, 0, "ree\n");
	add(a, 0, "last");
	add(a, 1, "error\n");
	cli_output_finish(a);
	assert_string_equal(
		written_to(0), "it\\n\tone more\nit\\n\t\nit\\n\ttwo\nit\\n\tthree\nit\\n\tlast");
	assert_string_equal(written_to(1), "it\\n\terror\n");
	end();
}

static void a_tag_may_be_empty_and_live_lines_have_one(void **state)
{
	struct cli_output *a, *b;

	(void)state;
	make(CLI_LIVE);
	a = output_new("");
	b = output_new("b");
	add(a, 0, "x\n");
	add(b, 0, "y");
	add(b, 0, "z\n");
	assert_string_equal(written_to(0), "\tx\nb\tyz\n");
	cli_output_finish(a);
	cli_output_finish(b);
	end();
}

/* ---- forget ---- */

static void an_output_is_noted_when_it_is_written(void **state)
{
	struct cli_output *a, *b, *silent;

	(void)state;
	make(CLI_ORDERED);
	a = output_new(NULL);
	b = output_new(NULL);
	silent = output_new(NULL);
	add(b, 0, "two\n");
	add(b, 1, "error\n");
	finish_with(b, "b");
	finish_with(silent, "s");
	assert_string_equal(t.notes, "s0 ");
	add(a, 0, "one\n");
	run_loop();
	assert_string_equal(t.notes, "s0 ");
	finish_with(a, "a");
	assert_string_equal(t.notes, "s0 a4 ");
	end();
	assert_string_equal(t.notes, "s0 a4 b8 ");
}

static void notes_come_in_every_mode_and_count_as_held(void **state)
{
	static const enum cli_collate_mode modes[] = { CLI_UNORDERED, CLI_LIVE, CLI_THROUGH };
	struct cli_output *a, *b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		uint64_t held;

		t.notes[0] = '\0';
		make(modes[i]);
		a = output_new(NULL);
		b = output_new(NULL);
		held = t.c->held;
		assert_int_equal(cli_output_note(a, "a", 1), 0);
		assert_int_equal(t.c->held, held + 1);
		add(b, 0, "two\n");
		finish_with(b, "b");
		assert_string_equal(t.notes, "");
		run_loop();
		assert_string_equal(t.notes, "b4 ");
		add(a, 0, "half a line");
		cli_output_finish(a);
		end();
		assert_string_equal(t.notes, "b4 a15 ");
		assert_int_equal(ftruncate(t.sinks[0], 0), 0);
		lseek(t.sinks[0], 0, SEEK_SET);
	}
}

static void what_could_not_be_written_is_not_noted(void **state)
{
	struct cli_output *a, *b, *silent;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	put_sinks(full, t.sinks[1]);
	close(full);
	make(CLI_ORDERED);
	a = output_new(NULL);
	b = output_new(NULL);
	silent = output_new(NULL);
	add(a, 0, "one\n");
	finish_with(a, "a");
	add(b, 0, "two\n");
	finish_with(b, "b");
	finish_with(silent, "s");
	end();
	assert_string_equal(t.notes, "s0 ");
	assert_int_equal(t.failed_error, -ENOSPC);
}

static void what_is_held_can_be_forgotten(void **state)
{
	struct cli_collator_spec spec = spec_of(CLI_ORDERED);
	struct cli_output *a, *b;

	(void)state;
	spec.hold = true;
	make_with(&spec);
	a = output_new("a");
	b = output_new(NULL);
	add(a, 0, "bad");
	add(a, 1, "bad error\n");
	assert_string_equal(written_to(0), ""); /* it may yet be forgotten */
	cli_output_forget(a);
	add(a, 0, "good\n");
	add(b, 0, "b");
	cli_output_forget(b);
	cli_output_forget(b);
	cli_output_finish(a);
	cli_output_finish(b);
	assert_string_equal(written_to(0), "a\tgood\n");
	assert_string_equal(written_to(1), "");
	end();
}

static void what_is_written_already_cannot_be_forgotten_but_the_rest_can(void **state)
{
	struct cli_output *a;

	(void)state;
	make(CLI_ORDERED);
	a = output_new(NULL);
	add(a, 0, "written\n");
	add(a, 1, "not written\n");
	assert_string_equal(written_to(0), "written\n");
	cli_output_forget(a);
	cli_output_finish(a);
	assert_string_equal(written_to(0), "");
	assert_string_equal(written_to(1), "");
	end();
}

static void what_is_spilled_can_be_forgotten(void **state)
{
	static char chunk[16 * KIB];
	struct cli_collator_spec spec = spec_of(CLI_ORDERED);
	struct cli_output *a;

	(void)state;
	spec.hold = true;
	spec.buffer = SMALL_BUFFER;
	make_with(&spec);
	a = output_new(NULL);
	for (int attempt = 0; attempt < 3; attempt++) {
		for (int i = 0; i < 16; i++)
			assert_true(cli_output_add(a, attempt & 1, chunk, sizeof(chunk)));
		assert_true(t.c->spilled > 0);
		cli_output_forget(a);
		assert_int_equal(t.c->spilled, 0);
		assert_int_equal(t.c->spill_end, 0);
	}
	add(a, 0, "good\n");
	cli_output_finish(a);
	assert_string_equal(written_to(0), "good\n");
	end();
}

/* ---- much output ---- */

struct job {
	struct cli_output *o;
	size_t size, sent[2];
	bool paused, finished;
};

struct play {
	struct cli_collator_spec spec;
	size_t size;       /* of a job's stdout; its stderr is a quarter of that */
	uint64_t held_max; /* seen */
};

static char byte_of(size_t job, int stream, size_t i)
{
	return (char)(job * 131 + (size_t)stream * 17 + i * 7 + (i >> 9));
}

static size_t size_of(const struct play *p, size_t job, int stream)
{
	return (p->size + job * 1000) / (stream ? 4 : 1);
}

static bool step_job(const struct play *p, struct job *j, size_t n, size_t chunk)
{
	char data[8 * KIB];

	if (j->finished || j->paused)
		return false;
	for (int stream = 1; stream >= 0 && !j->paused; stream--) {
		size_t left = size_of(p, n, stream) - j->sent[stream],
		       len = left < chunk ? left : chunk;

		for (size_t i = 0; i < len; i++)
			data[i] = byte_of(n, stream, j->sent[stream] + i);
		if (len > 0)
			j->paused = !cli_output_add(j->o, stream, data, len);
		j->sent[stream] += len;
	}
	j->finished = j->sent[0] == size_of(p, n, 0) && j->sent[1] == size_of(p, n, 1);
	if (j->finished)
		cli_output_finish(j->o);
	return true;
}

/* Jobs write in turn, unequal pieces, and those that are refused wait until they are resumed. */
static void play(struct play *p)
{
	static struct job jobs[JOBS];
	size_t n_finished = 0;

	memset(jobs, 0, sizeof(jobs));
	make_with(&p->spec);
	for (size_t n = 0; n < JOBS; n++)
		jobs[n].o = cli_output_new(t.c, &jobs[n].paused, NULL);
	while (n_finished < JOBS) {
		bool moved = false;

		for (size_t n = JOBS; n-- > 0;)
			moved |= step_job(p, &jobs[n], n, 1000 + 1000 * n);
		p->held_max = t.c->held > p->held_max ? t.c->held : p->held_max;
		assert_true(pcore_loop_turn(t.lp, !moved) > 0 || moved);
		n_finished = 0;
		for (size_t n = 0; n < JOBS; n++)
			n_finished += jobs[n].finished;
	}
	end();
}

static void expect_played_in_order(const struct play *p, int stream)
{
	size_t at = 0;
	ssize_t n = pread(t.sinks[stream], text, sizeof(text), 0);

	for (size_t job = 0; job < JOBS; job++) {
		for (size_t i = 0; i < size_of(p, job, stream); i++, at++)
			if (at < (size_t)n && text[at] != byte_of(job, stream, i))
				fail_msg("stream %d differs at %zu, in job %zu", stream, at, job);
	}
	assert_int_equal(n, at);
}

static void much_output_is_spilled_and_comes_byte_for_byte(void **state)
{
	struct play p = { .size = 300 * KIB };

	(void)state;
	p.spec = spec_of(CLI_ORDERED);
	p.spec.buffer = SMALL_BUFFER;
	play(&p);
	expect_played_in_order(&p, 0);
	expect_played_in_order(&p, 1);
	assert_int_equal(t.n_failed, 0);
	assert_true(p.held_max < 2 * 1024 * KIB);
}

static void held_output_is_spilled_and_comes_byte_for_byte(void **state)
{
	struct play p = { .size = 200 * KIB };

	(void)state;
	p.spec = spec_of(CLI_ORDERED);
	p.spec.buffer = SMALL_BUFFER;
	p.spec.hold = true;
	play(&p);
	expect_played_in_order(&p, 0);
	expect_played_in_order(&p, 1);
}

static void short_writes_and_short_reads_change_nothing(void **state)
{
	struct play p = { .size = 20 * KIB };

	(void)state;
	p.spec = spec_of(CLI_ORDERED);
	p.spec.buffer = 8 * KIB;
	pcore_fault_set("write:1+:short=777");
	play(&p);
	expect_played_in_order(&p, 0);
	expect_played_in_order(&p, 1);
}

/* In any order, each job's bytes in one piece. */
static void expect_played_in_some_order(const struct play *p, int stream)
{
	size_t at = 0, seen = 0;
	ssize_t n = pread(t.sinks[stream], text, sizeof(text), 0);

	for (int round = 0; round < JOBS; round++) {
		for (size_t job = 0; job < JOBS; job++) {
			size_t i = 0, size = size_of(p, job, stream);

			if (seen & (size_t)1 << job || at + size > (size_t)n)
				continue;
			while (i < size && text[at + i] == byte_of(job, stream, i))
				i++;
			if (i < size)
				continue;
			seen |= (size_t)1 << job;
			at += size;
		}
	}
	assert_int_equal(seen, ((size_t)1 << JOBS) - 1);
	assert_int_equal(at, n);
}

static void unordered_output_is_spilled_and_comes_byte_for_byte(void **state)
{
	struct play p = { .size = 200 * KIB };

	(void)state;
	p.spec = spec_of(CLI_UNORDERED);
	p.spec.buffer = SMALL_BUFFER;
	play(&p);
	expect_played_in_some_order(&p, 0);
	expect_played_in_some_order(&p, 1);
}

/* ---- when it cannot be spilled ---- */

/* The one warning that is on stderr before the jobs' own. */
static void take_warning(void)
{
	static char rest[TEXT_MAX];
	ssize_t n = pread(t.sinks[1], rest, sizeof(rest) - 1, 0);
	char *line;

	assert_true(n > 0);
	rest[n] = '\0';
	line = memmem(rest, (size_t)n, "pcore: cannot hold output in", 28);
	assert_non_null(line);
	assert_null(memmem(
		line + 1, (size_t)(n - (line + 1 - rest)), "pcore: cannot hold output in", 28));
	n -= (char *)memchr(line, '\n', (size_t)(n - (line - rest))) + 1 - line;
	memmove(line, strchr(line, '\n') + 1, (size_t)(n - (line - rest)));
	assert_int_equal(ftruncate(t.sinks[1], 0), 0);
	assert_int_equal(pwrite(t.sinks[1], rest, (size_t)n, 0), n);
}

static void without_a_place_to_spill_jobs_wait_for_their_turn(void **state)
{
	struct play p = { .size = 300 * KIB };

	(void)state;
	p.spec = spec_of(CLI_ORDERED);
	p.spec.buffer = SMALL_BUFFER;
	p.spec.tmpdir = "/nonexistent";
	play(&p);
	take_warning();
	expect_played_in_order(&p, 0);
	expect_played_in_order(&p, 1);
	assert_true(t.n_resumed > 0);
	assert_true(p.held_max < 2 * 1024 * KIB);
}

static void a_spill_that_fails_half_way_loses_nothing(void **state)
{
	struct play p = { .size = 300 * KIB };

	(void)state;
	p.spec = spec_of(CLI_ORDERED);
	p.spec.buffer = SMALL_BUFFER;
	pcore_fault_set("spill:20:ENOSPC");
	play(&p);
	take_warning();
	expect_played_in_order(&p, 0);
	expect_played_in_order(&p, 1);
}

static void without_a_place_to_spill_held_output_is_let_go(void **state)
{
	struct play p = { .size = 200 * KIB };

	(void)state;
	p.spec = spec_of(CLI_ORDERED);
	p.spec.buffer = SMALL_BUFFER;
	p.spec.hold = true;
	p.spec.tmpdir = "/nonexistent";
	play(&p);
	take_warning();
	expect_played_in_order(&p, 0);
	expect_played_in_order(&p, 1);
}

static void without_a_place_to_spill_unordered_output_still_comes_whole(void **state)
{
	struct play p = { .size = 200 * KIB };

	(void)state;
	p.spec = spec_of(CLI_UNORDERED);
	p.spec.buffer = SMALL_BUFFER;
	p.spec.tmpdir = "/nonexistent";
	play(&p);
	take_warning();
	expect_played_in_some_order(&p, 0);
	expect_played_in_some_order(&p, 1);
}

/* ---- a reader that is slow ---- */

static int use_pipe(int flags)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | flags), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	put_sinks(ends[1], t.sinks[1]);
	close(ends[1]);
	return ends[0];
}

/* Read until n bytes have come, turning the loop meanwhile. */
static void read_pipe(int fd, size_t n)
{
	static char buf[64 * KIB];
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, buf, sizeof(buf) < n - got ? sizeof(buf) : n - got);

		for (ssize_t i = 0; i < r; i++)
			assert_int_equal(buf[i], byte_of(0, 0, got + (size_t)i));
		got += r > 0 ? (size_t)r : 0;
		pcore_loop_turn(t.lp, false);
	}
}

/* Add until it is refused or max bytes are in. How many are. */
static size_t fill(struct cli_output *o, size_t at, size_t max)
{
	char data[8 * KIB];
	bool more = true;

	while (more && at < max) {
		size_t len = max - at < sizeof(data) ? max - at : sizeof(data);

		for (size_t i = 0; i < len; i++)
			data[i] = byte_of(0, 0, at + i);
		more = cli_output_add(o, 0, data, len);
		at += len;
		pcore_loop_turn(t.lp, false);
	}
	return at;
}

static void a_slow_reader_holds_the_first_output_back(int flags)
{
	struct cli_collator_spec spec = spec_of(CLI_ORDERED);
	struct cli_output *a;
	bool paused = true;
	int fd = use_pipe(flags);
	size_t n, total = 4 * 1024 * KIB;

	spec.window = 2;
	make_with(&spec);
	a = cli_output_new(t.c, &paused, NULL);
	n = fill(a, 0, total);
	assert_true(n > STREAM_HIGH && n < total);
	assert_int_equal(t.n_resumed, 0);
	assert_true(t.c->held < STREAM_HIGH + 512 * KIB);
	read_pipe(fd, n - STREAM_LOW - 200 * KIB);
	assert_true(paused);
	close(fd); /* and now it leaves */
	t.drop_on_failure = true;
	run_loop();
	assert_int_equal(t.n_failed, 1);
	assert_int_equal(t.failed_error, -EPIPE);
	assert_false(paused);
	assert_true(add(a, 0, "x"));
	cli_output_finish(a);
	end();
}

static void a_reader_that_is_slow_is_waited_for(void **state)
{
	(void)state;
	a_slow_reader_holds_the_first_output_back(0);
}

static void a_reader_of_a_nonblocking_pipe_is_waited_for_as_well(void **state)
{
	(void)state;
	a_slow_reader_holds_the_first_output_back(O_NONBLOCK);
}

static void a_nonblocking_pipe_gets_every_byte(void **state)
{
	struct cli_output *a;
	bool paused = false;
	int fd = use_pipe(O_NONBLOCK);
	size_t n;

	(void)state;
	make(CLI_ORDERED);
	a = cli_output_new(t.c, &paused, NULL);
	n = fill(a, 0, 700 * KIB);
	assert_int_equal(n, 700 * KIB);
	cli_output_finish(a);
	read_pipe(fd, n);
	end();
	close(fd);
	assert_int_equal(t.n_failed, 0);
}

static void there_is_room_until_the_reader_is_slow_and_enough_waits(void **state)
{
	struct cli_collator_spec spec = spec_of(CLI_ORDERED);
	struct cli_output *outputs[4];
	int fd = use_pipe(0);

	(void)state;
	spec.window = 2;
	make_with(&spec);
	for (int i = 0; i < 4; i++)
		outputs[i] = output_new(NULL);
	assert_true(cli_collator_has_room(t.c)); /* nothing is being written: run ahead */
	fill(outputs[0], 0, 300 * KIB);
	assert_false(cli_collator_has_room(t.c));
	cli_output_finish(outputs[0]);
	read_pipe(fd, 300 * KIB);
	run_loop();
	assert_true(cli_collator_has_room(t.c));
	for (int i = 1; i < 4; i++)
		cli_output_finish(outputs[i]);
	end();
	close(fd);
}

static void outputs_without_bytes_are_bounded_too(void **state)
{
	struct cli_collator_spec spec = spec_of(CLI_ORDERED);
	struct cli_output *outputs[200];
	int n = 0;

	(void)state;
	spec.window = 8;
	spec.buffer = 16 * sizeof(struct cli_output);
	make_with(&spec);
	for (; n < 200 && cli_collator_has_room(t.c); n++)
		outputs[n] = output_new(NULL);
	assert_int_equal(n, 16);
	while (n-- > 0)
		cli_output_finish(outputs[n]);
	end();
}

/* ---- errors ---- */

static void use_full_disk(int fd)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_true(full >= 0);
	dup2(full, fd);
	close(full);
}

static void a_full_disk_is_told_once_and_the_rest_is_dropped(void **state)
{
	struct cli_output *a, *b;

	(void)state;
	use_full_disk(STDOUT_FILENO);
	make(CLI_ORDERED);
	a = output_new(NULL);
	b = output_new(NULL);
	add(b, 0, "waiting\n");
	add(a, 0, "first\n");
	add(a, 1, "error\n");
	run_loop();
	assert_int_equal(t.n_failed, 1);
	assert_int_equal(t.failed_fd, 1);
	assert_int_equal(t.failed_error, -ENOSPC);
	assert_true(add(a, 0, "second\n"));
	cli_output_finish(a);
	cli_output_finish(b);
	assert_string_equal(written_to(1), "error\n"); /* that one goes on */
	end();
	assert_int_equal(t.n_failed, 1);
}

static void stdout_goes_on_when_stderr_fails(void **state)
{
	struct cli_output *outputs[2];

	(void)state;
	use_full_disk(STDERR_FILENO);
	for (enum cli_collate_mode mode = CLI_ORDERED; mode <= CLI_LIVE; mode++) {
		make(mode);
		t.n_failed = 0;
		for (int i = 0; i < 2; i++)
			outputs[i] = output_new(NULL);
		for (int i = 0; i < 2; i++) {
			add(outputs[i], 1, "error\n");
			add(outputs[i], 0, "out\n");
			cli_output_finish(outputs[i]);
		}
		assert_string_equal(written_to(0), "out\nout\n");
		assert_int_equal(t.n_failed, 1);
		assert_int_equal(t.failed_fd, 2);
		end();
	}
}

static void a_closed_stdout_is_an_error(void **state)
{
	struct cli_output *a;

	(void)state;
	close(STDOUT_FILENO);
	make(CLI_ORDERED);
	a = output_new(NULL);
	add(a, 0, "x\n");
	cli_output_finish(a);
	end();
	dup2(t.sinks[0], STDOUT_FILENO);
	assert_int_equal(t.n_failed, 1);
	assert_int_equal(t.failed_error, -EBADF);
}

static void a_spill_file_that_cannot_be_read_is_an_error(void **state)
{
	static char chunk[32 * KIB];
	struct cli_collator_spec spec = spec_of(CLI_ORDERED);
	struct cli_output *a, *b;

	(void)state;
	spec.buffer = SMALL_BUFFER;
	make_with(&spec);
	a = output_new(NULL);
	b = output_new(NULL);
	for (int i = 0; i < 8; i++)
		cli_output_add(b, 0, chunk, sizeof(chunk));
	assert_int_equal(ftruncate(t.c->spill_fd, 0), 0); /* somebody else's doing */
	cli_output_finish(a);
	cli_output_finish(b);
	run_loop();
	assert_int_equal(t.n_failed, 1);
	assert_int_equal(t.failed_error, -EIO);
	end();
}

/* ---- drop ---- */

static void nothing_is_held_or_refused_after_a_drop(void **state)
{
	struct cli_output *outputs[3];

	(void)state;
	for (enum cli_collate_mode mode = CLI_ORDERED; mode <= CLI_LIVE; mode++) {
		make(mode);
		for (int i = 0; i < 3; i++)
			outputs[i] = output_new(NULL);
		add(outputs[2], 0, "two");
		add(outputs[1], 1, "one");
		cli_output_finish(outputs[2]);
		run_loop();
		written_to(0);
		cli_collator_drop(t.c);
		assert_true(add(outputs[0], 0, "zero\n"));
		assert_true(add(outputs[1], 0, "more\n"));
		cli_output_finish(outputs[1]);
		cli_output_finish(
			outputs[0]); /* the last one that was not finished, with others behind it */
		assert_string_equal(written_to(0), "");
		assert_string_equal(written_to(1), "");
		end();
		assert_int_equal(t.n_failed, 0);
	}
}

static void drop_while_writing(int flags, bool finish_first, enum cli_collate_mode mode)
{
	struct cli_output *a, *b;
	bool paused = false;
	int fd = use_pipe(flags);

	make(mode);
	a = cli_output_new(t.c, &paused, NULL);
	b = output_new(NULL);
	add(b, 0, "waiting\n");
	cli_output_finish(b);
	fill(a, 0, 300 * KIB);
	if (mode != CLI_ORDERED) {
		add(a, 0, "\n");
		pcore_loop_turn(t.lp, false);
	}
	assert_true(mode == CLI_UNORDERED || pcore_op_live(&t.c->op));
	if (finish_first)
		cli_output_finish(a);
	cli_collator_drop(t.c);
	if (!finish_first)
		cli_output_finish(a);
	end();
	close(fd);
	assert_int_equal(t.n_failed, 0);
}

static void a_write_in_flight_is_called_off_by_a_drop(void **state)
{
	(void)state;
	for (int finish_first = 0; finish_first < 2; finish_first++) {
		drop_while_writing(0, finish_first, CLI_ORDERED);
		drop_while_writing(O_NONBLOCK, finish_first, CLI_ORDERED);
		drop_while_writing(0, finish_first, CLI_LIVE);
		drop_while_writing(O_NONBLOCK, finish_first, CLI_LIVE);
	}
}

static void a_reader_that_leaves_ends_it_all(void **state)
{
	struct cli_output *a, *b;
	int fd = use_pipe(0);

	(void)state;
	make(CLI_ORDERED);
	t.drop_on_failure = true;
	a = output_new(NULL);
	b = output_new(NULL);
	add(b, 0, "b\n");
	cli_output_finish(b);
	close(fd);
	add(a, 0, "a\n");
	run_loop();
	assert_int_equal(t.n_failed, 1);
	assert_int_equal(t.failed_fd, 1);
	assert_int_equal(t.failed_error, -EPIPE);
	assert_true(add(a, 0, "a\n"));
	cli_output_finish(a);
	end();
	assert_int_equal(t.n_failed, 1);
}

static const struct CMUnitTest tests[] = {
	COLLATE_TEST(the_first_output_streams_through_and_others_wait),
	COLLATE_TEST(a_sink_gets_whole_lines_at_once_also_those_that_were_spilled),
	COLLATE_TEST(unordered_outputs_come_as_they_finish),
	COLLATE_TEST(stderr_comes_after_stdout_and_apart),
	COLLATE_TEST(each_stream_goes_to_its_own_descriptor),
	COLLATE_TEST(an_output_may_be_empty),
	COLLATE_TEST(live_writes_whole_lines_as_they_come),
	COLLATE_TEST(live_spills_a_line_that_is_too_long_for_the_memory),
	COLLATE_TEST(live_lets_a_part_of_a_line_go_when_it_cannot_be_kept),
	COLLATE_TEST(a_tag_stands_before_each_line),
	COLLATE_TEST(a_tag_may_be_empty_and_live_lines_have_one),
	COLLATE_TEST(an_output_is_noted_when_it_is_written),
	COLLATE_TEST(notes_come_in_every_mode_and_count_as_held),
	COLLATE_TEST(what_could_not_be_written_is_not_noted),
	COLLATE_TEST(what_is_held_can_be_forgotten),
	COLLATE_TEST(what_is_written_already_cannot_be_forgotten_but_the_rest_can),
	COLLATE_TEST(what_is_spilled_can_be_forgotten),
	COLLATE_TEST(much_output_is_spilled_and_comes_byte_for_byte),
	COLLATE_TEST(held_output_is_spilled_and_comes_byte_for_byte),
	COLLATE_TEST(short_writes_and_short_reads_change_nothing),
	COLLATE_TEST(unordered_output_is_spilled_and_comes_byte_for_byte),
	COLLATE_TEST(without_a_place_to_spill_jobs_wait_for_their_turn),
	COLLATE_TEST(a_spill_that_fails_half_way_loses_nothing),
	COLLATE_TEST(without_a_place_to_spill_held_output_is_let_go),
	COLLATE_TEST(without_a_place_to_spill_unordered_output_still_comes_whole),
	COLLATE_TEST(a_reader_that_is_slow_is_waited_for),
	COLLATE_TEST(a_reader_of_a_nonblocking_pipe_is_waited_for_as_well),
	COLLATE_TEST(a_nonblocking_pipe_gets_every_byte),
	COLLATE_TEST(there_is_room_until_the_reader_is_slow_and_enough_waits),
	COLLATE_TEST(outputs_without_bytes_are_bounded_too),
	COLLATE_TEST(a_full_disk_is_told_once_and_the_rest_is_dropped),
	COLLATE_TEST(stdout_goes_on_when_stderr_fails),
	COLLATE_TEST(a_closed_stdout_is_an_error),
	COLLATE_TEST(a_spill_file_that_cannot_be_read_is_an_error),
	COLLATE_TEST(nothing_is_held_or_refused_after_a_drop),
	COLLATE_TEST(a_write_in_flight_is_called_off_by_a_drop),
	COLLATE_TEST(a_reader_that_leaves_ends_it_all),
};

int main(void)
{
	return RUN_TESTS(tests);
}
