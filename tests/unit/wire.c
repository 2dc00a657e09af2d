/* SPDX-License-Identifier: MIT */
/*
 * wire.c - tests of the frames between a named pool and its clients: what is put is got, and what is torn, cut or bent in
 * any bit is refused or is at least whole.
 */
#include "tools/ppool/wire.c"

#include "tests/unit/support.h"

static char *const words[] = { (char *)"sh", (char *)"", (char *)"a b\n", NULL };
static char *const env[] = { (char *)"A=1", (char *)"B=", NULL };
static char *const no_words[] = { NULL };
static const uint64_t ids[] = { 1, UINT64_MAX, 7 };

static struct cli_frame only_frame(const struct pcore_buf *b)
{
	struct cli_frame f;
	size_t used;

	assert_int_equal(cli_frame_next(b->data, b->len, &f, &used), 1);
	assert_int_equal(used, b->len);
	return f;
}

static struct cli_words to_words(const char *data, size_t len, size_t n)
{
	return (struct cli_words){ .data = data, .len = len, .n = n };
}

/* ---- one of each ---- */

static void put_one(struct pcore_buf *b, unsigned type)
{
	struct wire_submit s = { .flags = WIRE_SUBMIT_NOWAIT, .timeout = 5, .retries = UINT64_MAX };
	struct wire_ended e = { .id = 9, .status = 127, .error = ENOENT, .step = "exec", .subject = "x" };
	struct wire_job j = { .id = 3, .state = WIRE_FAILED, .flags = WIRE_JOB_ENDED, .exit = 4, .attempts = 2, .start_ns = 1,
		.wall_ns = 2, .argv = to_words("ls\0-l", 6, 2) };
	struct wire_pool p = { .pid = 1, .jobs = 2, .flags = WIRE_POOL_CLOSED, .queued = 3, .running = 4, .finished = 5, .kept = 6 };
	int r = -1;

	switch (type) {
	case WIRE_HELLO: r = wire_put_hello(b, WIRE_VERSION); break;
	case WIRE_SETUP: r = wire_put_setup(b, 022, "/tmp", env); break;
	case WIRE_SUBMIT: r = wire_put_submit(b, &s, ids, 3, words); break;
	case WIRE_GET:
	case WIRE_DROP:
	case WIRE_READY:
	case WIRE_CANCEL: r = wire_put_ref(b, type, WIRE_REF_FLAG, 8); break;
	case WIRE_WAIT: r = wire_put_wait(b, WIRE_WAIT_ANY, ids, 3); break;
	case WIRE_RESIZE: r = wire_put_resize(b, 12); break;
	case WIRE_ANSWER: r = wire_put_answer(b, 75, 4, "full"); break;
	case WIRE_OUTPUT: r = wire_put_output(b, 1, "text", 4); break;
	case WIRE_ENDED: r = wire_put_ended(b, &e); break;
	case WIRE_FINISHED: r = wire_put_finished(b, 77); break;
	case WIRE_JOB: r = wire_put_job(b, &j); break;
	case WIRE_POOL: r = wire_put_pool(b, &p); break;
	default: r = wire_put(b, type); break;
	}
	assert_int_equal(r, 0);
}

static volatile size_t seen;

static void look_at(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		seen += (unsigned char)data[i];
}

static void look_at_words(struct cli_words w)
{
	const char *word;

	while ((word = cli_word(&w)))
		seen += strlen(word);
	assert_int_equal(w.len, 0);
}

static void look_at_ids(const struct wire_ids *list)
{
	for (size_t i = 0; i < list->n; i++)
		seen += wire_id(list, i);
}

static int get_from_client(const struct cli_frame *f)
{
	struct wire_setup setup;
	struct wire_submit submit;
	struct wire_wait wait;
	uint32_t n;
	int r;

	switch (f->type) {
	case WIRE_HELLO: return wire_get_hello(f, &n);
	case WIRE_RESIZE: return wire_get_resize(f, &n);
	case WIRE_SETUP:
		r = wire_get_setup(f, &setup);
		if (r == 0) {
			look_at(setup.dir, strlen(setup.dir));
			look_at_words(setup.env);
		}
		return r;
	case WIRE_SUBMIT:
		r = wire_get_submit(f, &submit);
		if (r == 0) {
			look_at_ids(&submit.after);
			look_at_words(submit.argv);
		}
		return r;
	case WIRE_WAIT:
		r = wire_get_wait(f, &wait);
		if (r == 0)
			look_at_ids(&wait.ids);
		return r;
	default: return wire_get_nothing(f);
	}
}

/* Read a frame as what it says it is, and look at all that it points to. */
static int get_any(const struct cli_frame *f)
{
	struct wire_ref ref;
	struct wire_answer answer = { .text_len = 0 };
	struct wire_output output = { .len = 0 };
	struct wire_ended ended;
	struct wire_job job;
	struct wire_pool p;
	uint64_t id;
	int r;

	switch (f->type) {
	case WIRE_GET:
	case WIRE_DROP:
	case WIRE_READY:
	case WIRE_CANCEL: return wire_get_ref(f, &ref);
	case WIRE_FINISHED: return wire_get_finished(f, &id);
	case WIRE_POOL: return wire_get_pool(f, &p);
	case WIRE_ANSWER:
		r = wire_get_answer(f, &answer);
		look_at(answer.text, answer.text_len);
		return r;
	case WIRE_OUTPUT:
		r = wire_get_output(f, &output);
		look_at(output.data, output.len);
		return r;
	case WIRE_ENDED:
		r = wire_get_ended(f, &ended);
		if (r == 0)
			seen += strlen(ended.step) + strlen(ended.subject);
		return r;
	case WIRE_JOB:
		r = wire_get_job(f, &job);
		if (r == 0)
			look_at_words(job.argv);
		return r;
	default: return get_from_client(f);
	}
}

static const unsigned types[] = { WIRE_HELLO, WIRE_SETUP, WIRE_SUBMIT, WIRE_END, WIRE_GET, WIRE_DROP, WIRE_READY, WIRE_WAIT,
	WIRE_LIST, WIRE_CANCEL, WIRE_RESIZE, WIRE_PAUSE, WIRE_RESUME, WIRE_CLOSE, WIRE_TERMINATE, WIRE_JOIN, WIRE_INFO, WIRE_ANSWER,
	WIRE_OUTPUT, WIRE_ENDED, WIRE_FINISHED, WIRE_JOB, WIRE_POOL };

/* Texts and output may be of any length: a part of one is one too. */
static bool ends_openly(unsigned type)
{
	return type == WIRE_ANSWER || type == WIRE_OUTPUT;
}

/* The bytes in a block of their own, so that a sanitizer sees a look beyond. */
static int get_copy(unsigned type, const char *body, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct cli_frame f = { type, copy, len };
	int r;

	assert_non_null(copy);
	memcpy(copy, body, len);
	r = get_any(&f);
	free(copy);
	return r;
}

static void each_message_is_read_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0);
		struct cli_frame f;

		put_one(&b, types[i]);
		f = only_frame(&b);
		assert_int_equal(f.type, types[i]);
		assert_int_equal(get_any(&f), 0);
		pcore_buf_done(&b);
	}
}

static void a_message_that_is_cut_or_goes_on_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0);
		struct cli_frame f;

		put_one(&b, types[i]);
		f = only_frame(&b);
		for (size_t len = 0; len < f.len; len++) {
			int r = get_copy(f.type, f.body, len);

			assert_true(r == -EPROTO || ends_openly(f.type));
		}
		assert_int_equal(pcore_buf_addc(&b, 'x'), 0);
		if (!ends_openly(types[i]))
			assert_int_equal(get_copy(types[i], b.data + CLI_FRAME_HEADER, b.len - CLI_FRAME_HEADER), -EPROTO);
		pcore_buf_done(&b);
	}
}

static void no_flipped_bit_makes_a_reader_look_beyond(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0);

		put_one(&b, types[i]);
		for (size_t bit = CLI_FRAME_HEADER * 8; bit < b.len * 8; bit++) {
			b.data[bit / 8] ^= (char)(1 << bit % 8);
			(void)get_copy(types[i], b.data + CLI_FRAME_HEADER, b.len - CLI_FRAME_HEADER);
			for (size_t j = 0; j < ARRAY_SIZE(types); j++)
				(void)get_copy(types[j], b.data + CLI_FRAME_HEADER, b.len - CLI_FRAME_HEADER);
			b.data[bit / 8] ^= (char)(1 << bit % 8);
		}
		pcore_buf_done(&b);
	}
}

static void a_frame_is_taken_when_it_is_whole(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct cli_frame f;
	size_t used, first;

	(void)state;
	put_one(&b, WIRE_ANSWER);
	first = b.len;
	put_one(&b, WIRE_LIST);
	for (size_t len = 0; len < first; len++)
		assert_int_equal(cli_frame_next(b.data, len, &f, &used), 0);
	assert_int_equal(cli_frame_next(b.data, b.len, &f, &used), 1);
	assert_int_equal(used, first);
	assert_int_equal(cli_frame_next(b.data + first, b.len - first, &f, &used), 1);
	assert_int_equal(f.type, WIRE_LIST);
	pcore_buf_done(&b);
}

static void a_frame_without_a_type_or_beyond_the_limit_is_refused(void **state)
{
	struct cli_frame f;
	size_t used;

	(void)state;
	assert_int_equal(cli_frame_next("\0\0\0\0x", 5, &f, &used), -EPROTO);
	assert_int_equal(cli_frame_next("\xff\xff\xff\xff", 4, &f, &used), -EPROTO);
	assert_int_equal(cli_frame_next("\0\x80\0\1", 4, &f, &used), -EPROTO);
	assert_int_equal(cli_frame_next("\0\x80\0\0", 4, &f, &used), 0);
}

static void what_is_too_long_is_not_put(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	char *big = calloc(1, CLI_FRAME_MAX + 1);

	(void)state;
	assert_non_null(big);
	put_one(&b, WIRE_LIST);
	assert_int_equal(wire_put_output(&b, 0, big, CLI_FRAME_MAX), -EMSGSIZE);
	assert_int_equal(b.len, CLI_FRAME_HEADER);
	assert_int_equal(wire_put_output(&b, 0, big, CLI_FRAME_MAX - 2), 0);
	pcore_buf_done(&b);
	free(big);
}

static void words_keep_their_bytes_and_their_number(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct wire_submit s = { .flags = 0 };
	struct cli_frame f;

	(void)state;
	put_one(&b, WIRE_SUBMIT);
	f = only_frame(&b);
	assert_int_equal(wire_get_submit(&f, &s), 0);
	assert_int_equal(s.timeout, 5);
	assert_true(s.retries == UINT64_MAX);
	assert_int_equal(s.after.n, 3);
	assert_true(wire_id(&s.after, 1) == UINT64_MAX);
	assert_int_equal(s.argv.n, 3);
	assert_string_equal(cli_word(&s.argv), "sh");
	assert_string_equal(cli_word(&s.argv), "");
	assert_string_equal(cli_word(&s.argv), "a b\n");
	assert_null(cli_word(&s.argv));
	pcore_buf_done(&b);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct wire_submit s = { .flags = 0 };
	struct wire_setup setup;
	struct cli_frame f;

	(void)state;
	assert_int_equal(wire_put_submit(&b, &s, NULL, 0, no_words), 0); /* no command */
	f = only_frame(&b);
	assert_int_equal(wire_get_submit(&f, &s), -EPROTO);
	pcore_buf_clear(&b);
	assert_int_equal(wire_put_setup(&b, 022, "tmp", env), 0); /* no absolute path */
	f = only_frame(&b);
	assert_int_equal(wire_get_setup(&f, &setup), -EPROTO);
	pcore_buf_clear(&b);
	assert_int_equal(wire_put_setup(&b, 01000, "/tmp", env), 0);
	f = only_frame(&b);
	assert_int_equal(wire_get_setup(&f, &setup), -EPROTO);
	pcore_buf_clear(&b);
	assert_int_equal(wire_put_setup(&b, 0, "/", no_words), 0);
	f = only_frame(&b);
	assert_int_equal(wire_get_setup(&f, &setup), 0);
	assert_int_equal(setup.env.n, 0);
	pcore_buf_done(&b);
}

static void another_version_is_told_whatever_follows(void **state)
{
	struct cli_frame f = { WIRE_HELLO, "ppol\0\0\0\2later", 13 };
	uint32_t version = 0;

	(void)state;
	assert_int_equal(wire_get_hello(&f, &version), 0);
	assert_int_equal(version, 2);
	f.body = "ppol\0\0\0\1later";
	assert_int_equal(wire_get_hello(&f, &version), -EPROTO);
	f.body = "what\0\0\0\2later";
	assert_int_equal(wire_get_hello(&f, &version), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_message_is_read_back),
		TEST(a_message_that_is_cut_or_goes_on_is_refused),
		TEST(no_flipped_bit_makes_a_reader_look_beyond),
		TEST(a_frame_is_taken_when_it_is_whole),
		TEST(a_frame_without_a_type_or_beyond_the_limit_is_refused),
		TEST(what_is_too_long_is_not_put),
		TEST(words_keep_their_bytes_and_their_number),
		TEST(what_makes_no_sense_is_refused),
		TEST(another_version_is_told_whatever_follows),
	};

	return RUN_TESTS(tests);
}
