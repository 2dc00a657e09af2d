/* SPDX-License-Identifier: MIT */
/*
 * cluster_wire.c - tests of the messages between nodes and schedulers: what is put is got, what is cut, bent or too much is
 * refused as a whole, and what a later version may add is passed over.
 */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/unit/cluster_any.h"
#include "tests/unit/cluster_one.h"

static struct pcore_wire_frame frame_of(const struct pcore_buf *b, enum pcore_wire_type type)
{
	return (struct pcore_wire_frame){ .type = type, .id = 1, .body = b->data, .len = b->len };
}

/* ---- all of them ---- */

static void each_message_is_read_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(any_types); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0), again = PCORE_BUF_INIT(0);

		put_one(&b, any_types[i]);
		assert_true(b.len > 0 || has_nothing(any_types[i]));
		assert_int_equal(any_again(any_types[i], 1, b.data, b.len, &again), 0);
		assert_int_equal(again.len, b.len);
		if (b.len > 0)
			assert_memory_equal(again.data, b.data, b.len);
		pcore_buf_done(&b);
		pcore_buf_done(&again);
	}
}

/* A prefix that is a smaller message: whole fields. What is required is among them, or it is refused after all. */
static bool whole_fields(const char *data, size_t len)
{
	size_t at = 0;

	while (at + 8 <= len) {
		uint32_t n;

		memcpy(&n, data + at + 4, sizeof(n));
		at += 8 + (n + 7) / 8 * 8;
	}
	return at == len;
}

static void a_message_that_is_cut_anywhere_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(any_types); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0), again = PCORE_BUF_INIT(0);

		put_one(&b, any_types[i]);
		for (size_t len = 0; len < b.len; len++) {
			bool may = is_chunk(any_types[i]) ? len >= 16 : !has_records(any_types[i]) && whole_fields(b.data, len);
			int r = any_again(any_types[i], 1, b.data, len, &again);

			assert_true(r == -EPROTO || (r == 0 && may));
			assert_true(r == 0 || !is_chunk(any_types[i]) || len < 16);
		}
		pcore_buf_done(&b);
		pcore_buf_done(&again);
	}
}

static void a_message_that_goes_on_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(any_types); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0), again = PCORE_BUF_INIT(0);

		put_one(&b, any_types[i]);
		for (size_t more = 1; more <= 16 && !is_chunk(any_types[i]); more++) {
			assert_int_equal(pcore_buf_addc(&b, '\0'), 0);
			assert_int_equal(any_again(any_types[i], 1, b.data, b.len, &again), -EPROTO);
		}
		pcore_buf_done(&b);
		pcore_buf_done(&again);
	}
}

static void no_flipped_bit_makes_a_reader_look_beyond(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(any_types); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0), again = PCORE_BUF_INIT(0);

		put_one(&b, any_types[i]);
		for (size_t bit = 0; bit < b.len * 8; bit++) {
			b.data[bit / 8] ^= (char)(1 << bit % 8);
			(void)any_again(any_types[i], 1, b.data, b.len, &again);
			b.data[bit / 8] ^= (char)(1 << bit % 8);
		}
		for (size_t j = 0; j < ARRAY_SIZE(any_types); j++)
			(void)any_again(any_types[j], 1, b.data, b.len, &again);
		pcore_buf_done(&b);
		pcore_buf_done(&again);
	}
}

static uint64_t random_state;

/* xorshift64: the same numbers in every run. */
static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* A few bytes become others that hurt: zeros, ones, small numbers, a piece of the message itself. */
static void mutate(struct pcore_buf *b)
{
	size_t at = draw() % b->len, from = draw() % b->len, n = 1 + draw() % 8;

	if (n > b->len - (at > from ? at : from))
		n = b->len - (at > from ? at : from);
	switch (draw() % 5) {
	case 0: b->data[at] = (char)draw(); break;
	case 1: memset(b->data + at, 0xff, n); break;
	case 2: memset(b->data + at, 0, n); break;
	case 3: memmove(b->data + at, b->data + from, n); break;
	default: b->len -= draw() % 2 ? n : 0; break;
	}
}

static void what_random_changes_leave_readable_reads_the_same_again(void **state)
{
	struct pcore_buf again = PCORE_BUF_INIT(0);
	unsigned read = 0;

	(void)state;
	random_state = 0x9e3779b97f4a7c15;
	for (unsigned round = 0; round < 20000; round++) {
		enum pcore_wire_type type = any_types[draw() % ARRAY_SIZE(any_types)];
		struct pcore_buf b = PCORE_BUF_INIT(0);

		put_one(&b, type);
		for (uint64_t n = 1 + draw() % 4; n > 0 && b.len > 0; n--)
			mutate(&b);
		read += any_again(type, draw() % 2 ? 1 : draw(), b.data, b.len, &again) == 0;
		pcore_buf_done(&b);
	}
	assert_true(read > 1000);  /* else they were none */
	assert_true(read < 19000); /* or harmless */
	pcore_buf_done(&again);
}

/* ---- fields ---- */

static void add_field(struct pcore_buf *b, unsigned tag, unsigned flags, uint32_t len, const void *data, size_t n)
{
	const char header[8] = { (char)tag, (char)(tag >> 8), (char)flags, (char)(flags >> 8), (char)len, (char)(len >> 8), (char)(len >> 16),
		(char)(len >> 24) };

	assert_int_equal(pcore_buf_add(b, header, sizeof(header)), 0);
	assert_int_equal(pcore_buf_add(b, data, n), 0);
}

/* An ANSWER of these fields: the first one is required. */
static int get_answer_of(struct pcore_buf *b)
{
	struct pcore_wire_answer m;
	struct pcore_wire_frame f = frame_of(b, PCORE_WIRE_ANSWER);
	int r = pcore_wire_get_answer(&f, &m);

	pcore_buf_done(b);
	return r;
}

static const char seven[8] = { 7 };

static void an_unknown_field_is_passed_over_only_if_it_is_optional(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	for (unsigned tag = 0; tag < 65536; tag = tag == 0 ? 3 : tag * 2) {
		add_field(&b, tag, 1, 8, seven, 8);
		add_field(&b, 1, 0, 8, seven, 8);
		add_field(&b, tag, 1, 0, NULL, 0);
		assert_int_equal(get_answer_of(&b), 0);
		add_field(&b, 1, 0, 8, seven, 8);
		add_field(&b, tag, 0, 8, seven, 8);
		assert_int_equal(get_answer_of(&b), -EPROTO);
	}
	add_field(&b, 1, 1, 8, seven, 8); /* a known one may say so, too */
	assert_int_equal(get_answer_of(&b), 0);
	add_field(&b, 1, 2, 8, seven, 8);
	assert_int_equal(get_answer_of(&b), -EPROTO);
	add_field(&b, 1, 0, 8, seven, 8);
	add_field(&b, 9, 3, 8, seven, 8);
	assert_int_equal(get_answer_of(&b), -EPROTO);
}

static void fields_come_in_any_order_and_once(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	add_field(&b, 2, 0, 1, "\0\0\0\0\0\0\0", 8);
	add_field(&b, 1, 0, 8, seven, 8);
	assert_int_equal(get_answer_of(&b), 0);
	add_field(&b, 1, 0, 8, seven, 8);
	add_field(&b, 1, 0, 8, seven, 8);
	assert_int_equal(get_answer_of(&b), -EPROTO);
	add_field(&b, 2, 0, 1, "\0\0\0\0\0\0\0", 8);
	assert_int_equal(get_answer_of(&b), -EPROTO); /* the required one is missing */
	assert_int_equal(get_answer_of(&b), -EPROTO);
}

static void a_length_beyond_the_body_is_refused(void **state)
{
	static const uint32_t lengths[] = { 9, 16, INT32_MAX, UINT32_MAX - 8, UINT32_MAX - 7, UINT32_MAX };
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		add_field(&b, 1, 0, lengths[i], seven, 8);
		assert_int_equal(get_answer_of(&b), -EPROTO);
		add_field(&b, 1, 0, 8, seven, 8);
		add_field(&b, 99, 1, lengths[i], seven, 8);
		assert_int_equal(get_answer_of(&b), -EPROTO);
	}
	add_field(&b, 1, 0, 8, seven, 8);
	add_field(&b, 99, 1, 4, seven, 4); /* without its zeros */
	assert_int_equal(get_answer_of(&b), -EPROTO);
}

static void a_number_has_8_bytes_and_its_range(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	for (uint32_t len = 0; len <= 16; len++) {
		add_field(&b, 1, 0, len, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", (len + 7) / 8 * 8);
		assert_int_equal(get_answer_of(&b), len == 8 ? 0 : -EPROTO);
	}
	add_field(&b, 1, 0, 8, "\377\0\0\0\0\0\0\0", 8);
	assert_int_equal(get_answer_of(&b), 0);
	add_field(&b, 1, 0, 8, "\0\1\0\0\0\0\0\0", 8);
	assert_int_equal(get_answer_of(&b), -EPROTO);
}

static void a_text_ends_with_its_only_NUL(void **state)
{
	static const char *const texts[] = { "", "a", "a\0b" };
	static const uint32_t lens[] = { 0, 1, 4 };
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char padded[8] = { 0 };

		memcpy(padded, texts[i], lens[i]);
		add_field(&b, 1, 0, 8, seven, 8);
		add_field(&b, 2, 0, lens[i], padded, (lens[i] + 7) / 8 * 8);
		assert_int_equal(get_answer_of(&b), -EPROTO);
	}
}

/* A body of NODE with these bytes as its resources. */
static int get_node_with(const char *list, size_t len)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_node m = { .has = 0, .name = "n" };
	struct pcore_wire_frame f;
	int r;

	assert_int_equal(pcore_wire_put_node(&b, &m), 0);
	add_field(&b, PCORE_WIRE_NODE_RESOURCES, 0, (uint32_t)len, list, len);
	f = frame_of(&b, PCORE_WIRE_NODE);
	r = pcore_wire_get_node(&f, &m);
	pcore_buf_done(&b);
	return r;
}

static void lists_are_looked_at_to_their_ground(void **state)
{
	struct pcore_buf good = PCORE_BUF_INIT(0), deep = PCORE_BUF_INIT(0);
	struct pcore_wire_list list;

	(void)state;
	put_resources(&good, &list);
	assert_int_equal(get_node_with(good.data, good.len), 0);
	assert_int_equal(get_node_with("", 0), 0);
	for (size_t len = 8; len < good.len; len += 8)
		assert_int_equal(get_node_with(good.data, len), whole_fields(good.data, len) ? 0 : -EPROTO);
	good.data[0] = 2; /* not an element */
	assert_int_equal(get_node_with(good.data, good.len), -EPROTO);
	good.data[0] = 1;
	for (int i = 0; i < 1000; i++) { /* elements in elements */
		pcore_buf_clear(&deep);
		add_field(&deep, 1, 0, (uint32_t)good.len, good.data, good.len);
		assert_int_equal(get_node_with(deep.data, deep.len), -EPROTO);
		pcore_buf_clear(&good);
		assert_int_equal(pcore_buf_add(&good, deep.data, deep.len), 0);
	}
	pcore_buf_done(&good);
	pcore_buf_done(&deep);
}

static void names_are_bounded_and_counts_agree(void **state)
{
	static char *const ids[] = { (char *)"0", NULL };
	char name[PCORE_WIRE_NAME_MAX + 2];
	struct pcore_wire_resource r = { .name = name, .count = 2 };
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	memset(name, 'x', sizeof(name));
	name[PCORE_WIRE_NAME_MAX + 1] = '\0';
	assert_int_equal(pcore_wire_add_resource(&b, &r), -EINVAL);
	name[PCORE_WIRE_NAME_MAX] = '\0';
	assert_int_equal(pcore_wire_add_resource(&b, &r), 0);
	r.has = PCORE_WIRE_HAS(PCORE_WIRE_RESOURCE_IDS);
	r.ids = words_of(ids);
	assert_int_equal(pcore_wire_add_resource(&b, &r), -EINVAL);
	name[0] = '\0';
	r.count = 1;
	assert_int_equal(pcore_wire_add_resource(&b, &r), -EINVAL);
	pcore_buf_done(&b);
}

static void what_makes_no_sense_is_not_put(void **state)
{
	static char *const no_pair[] = { (char *)"A=1", (char *)"=2", NULL };
	struct pcore_wire_env env = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ENV_VARS), .vars = words_of(no_pair) };
	struct pcore_wire_control control = { .what = PCORE_WIRE_CPUS };
	struct pcore_wire_worker worker = { .has = PCORE_WIRE_HAS(PCORE_WIRE_WORKER_CODE), .code = CLD_EXITED };
	struct pcore_wire_answer answer = { .status = 256 };
	struct pcore_wire_node node = { .has = 0 };
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(pcore_buf_adds(&b, "before"), 0);
	assert_int_equal(pcore_wire_put_env(&b, &env), -EINVAL);
	assert_int_equal(pcore_wire_put_control(&b, &control), -EINVAL);
	assert_int_equal(pcore_wire_put_worker(&b, &worker), -EINVAL);
	assert_int_equal(pcore_wire_put_answer(&b, &answer), -EINVAL);
	assert_int_equal(pcore_wire_put_node(&b, &node), -EINVAL); /* no name */
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.data, "before", 6);
	pcore_buf_done(&b);
}

/* ---- submits and what asks about them ---- */

#define TAGS(first, last) ((UINT64_C(2) << (last)) - (UINT64_C(1) << (first)))

static void a_submit_has_what_is_of_the_whole_in_its_first_part_alone(void **state)
{
	const uint64_t every = TAGS(PCORE_WIRE_SUBMIT_TOKEN, PCORE_WIRE_SUBMIT_ARGS), all = UINT64_MAX;
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(put_submit(&b, all, 0), 0);
	assert_int_equal(put_submit(&b, all & ~PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_ENV), 0), -EINVAL);
	assert_int_equal(put_submit(&b, all & ~PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_TEMPLATE), 0), -EINVAL);
	assert_int_equal(put_submit(&b, every, 1), 0);
	for (unsigned tag = PCORE_WIRE_SUBMIT_ENV; tag <= PCORE_WIRE_SUBMIT_AT_MOST_ONCE; tag++)
		assert_int_equal(put_submit(&b, every | PCORE_WIRE_HAS(tag), 1), -EINVAL);
	assert_int_equal(put_submit(&b, all & ~PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_ARGS), 0), -EINVAL); /* there are fewer than it says */
	pcore_buf_done(&b);
}

static void a_submit_is_looked_at_to_its_ground(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0), env = PCORE_BUF_INIT(0), template = PCORE_BUF_INIT(0);
	struct pcore_wire_submit m = { .has = TAGS(PCORE_WIRE_SUBMIT_ENV, PCORE_WIRE_SUBMIT_TEMPLATE), .token = { "0123456789abcdef", 16 },
		.count = 1 };

	(void)state;
	assert_int_equal(put_env(&env), 0);
	assert_int_equal(put_template(&template), 0);
	m.env = bytes_of(&env);
	m.template = bytes_of(&template);
	assert_int_equal(pcore_wire_put_submit(&b, &m), 0);
	m.env = m.template;
	assert_int_equal(pcore_wire_put_submit(&b, &m), -EINVAL);
	m.env = m.template = bytes_of(&env);
	assert_int_equal(pcore_wire_put_submit(&b, &m), -EINVAL);
	m.template = bytes_of(&template);
	m.token.len = 15;
	assert_int_equal(pcore_wire_put_submit(&b, &m), -EINVAL);
	m.token.len = 16;
	m.count = 0;
	assert_int_equal(pcore_wire_put_submit(&b, &m), -EINVAL);
	m.has |= PCORE_WIRE_HAS(PCORE_WIRE_SUBMIT_WORDS);
	m.count = PCORE_WIRE_SUBMIT_MAX;
	m.words = UINT32_MAX;
	assert_int_equal(pcore_wire_put_submit(&b, &m), -EINVAL);
	pcore_buf_done(&b);
	pcore_buf_done(&env);
	pcore_buf_done(&template);
}

static void what_is_asked_about_needs_its_number(void **state)
{
	struct pcore_wire_watch watch = { .submission = 1, .from = 3, .to = 2 };
	struct pcore_wire_cancel cancel = { .submission = 1, .from = 0, .to = 2 };
	struct pcore_wire_about none_at_all = { .has = 0 }, one = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ABOUT_SUBMISSION), .submission = 1 };
	const struct pcore_wire_number number = { .name = "n" };
	struct pcore_wire_number got;
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_frame f;

	(void)state;
	assert_int_equal(pcore_wire_put_watch(&b, &watch), -EINVAL);
	assert_int_equal(pcore_wire_put_cancel(&b, &cancel), -EINVAL);
	assert_int_equal(pcore_wire_put_about(&b, PCORE_WIRE_FORGET, &none_at_all), -EINVAL);
	assert_int_equal(pcore_wire_put_about(&b, PCORE_WIRE_EXPLAIN, &one), -EINVAL);
	assert_int_equal(pcore_wire_put_about(&b, PCORE_WIRE_LIST, &none_at_all), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(pcore_wire_put_number(&b, &number), 0);
	f = frame_of(&b, PCORE_WIRE_NODE_NUMBER);
	assert_int_equal(pcore_wire_get_number(&f, &got), 0);
	f.id = 0;
	assert_int_equal(pcore_wire_get_number(&f, &got), -EPROTO);
	f.id = UINT64_C(1) << 32;
	assert_int_equal(pcore_wire_get_number(&f, &got), -EPROTO);
	pcore_buf_done(&b);
}

/* ---- templates ---- */

/* A template that has only these pieces, and what else m says. */
static int put_template_of(const struct pcore_buf *argv, struct pcore_wire_template m)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	int r;

	m.argv = (struct pcore_wire_argv){ argv->data, argv->len };
	r = pcore_wire_put_template(&b, &m);
	pcore_buf_done(&b);
	return r;
}

static void the_labels_of_a_template_are_conditions(void **state)
{
	static const char *const bad[] = { "", "disk", "=ssd", "!=ssd" }, *const good[] = { "a=", "a!=", "a=b!=c", "!a=b" };
	struct pcore_wire_template m = { .has = PCORE_WIRE_HAS(PCORE_WIRE_T_LABELS) };
	struct pcore_buf argv = PCORE_BUF_INIT(0);

	(void)state;
	add_text(&argv, "true");
	add_piece(&argv, PCORE_WIRE_END, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		m.node_labels = words_of((char *const[]){ (char *)bad[i], NULL });
		assert_int_equal(put_template_of(&argv, m), -EINVAL);
		m.node_labels = words_of((char *const[]){ (char *)good[i], NULL });
		assert_int_equal(put_template_of(&argv, m), 0);
	}
	pcore_buf_done(&argv);
}

static void a_command_has_whole_words(void **state)
{
	const struct pcore_wire_template plain = { .has = 0 };
	struct pcore_buf argv = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(put_template_of(&argv, plain), -EINVAL); /* not one */
	add_text(&argv, "true");
	assert_int_equal(put_template_of(&argv, plain), -EINVAL); /* does not end */
	add_piece(&argv, PCORE_WIRE_END, 0);
	assert_int_equal(put_template_of(&argv, plain), 0);
	add_piece(&argv, PCORE_WIRE_SPREAD, 0);
	add_piece(&argv, PCORE_WIRE_END, 0);
	assert_int_equal(put_template_of(&argv, plain), 0);
	add_text(&argv, "x");
	add_piece(&argv, PCORE_WIRE_SPREAD, 0); /* not alone */
	add_piece(&argv, PCORE_WIRE_END, 0);
	assert_int_equal(put_template_of(&argv, plain), -EINVAL);
	pcore_buf_clear(&argv);
	assert_int_equal(pcore_wire_add_piece(&argv, &(struct pcore_wire_piece){ PCORE_WIRE_TEXT, 3, "a\0b" }), 0);
	add_piece(&argv, PCORE_WIRE_END, 0);
	assert_int_equal(put_template_of(&argv, plain), -EINVAL);
	argv.data[0] = PCORE_WIRE_PIECES;
	assert_int_equal(put_template_of(&argv, plain), -EINVAL);
	pcore_buf_done(&argv);
}

static int with_limits(const struct pcore_buf *argv, const struct pcore_wire_limit *limits, size_t n)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_template m = { .has = PCORE_WIRE_HAS(PCORE_WIRE_T_LIMITS) };
	int r;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(pcore_wire_add_limit(&b, &limits[i]), 0);
	m.limits = bytes_of(&b);
	r = put_template_of(argv, m);
	pcore_buf_done(&b);
	return r;
}

static void what_a_template_says_is_in_range(void **state)
{
	const struct pcore_wire_limit soft_above = { RLIMIT_CPU, 2, 1 }, unknown = { 16, 1, 1 }, negative = { -1, 1, 1 };
	const struct pcore_wire_limit twice[2] = { { RLIMIT_CPU, 1, 1 }, { RLIMIT_CPU, 2, 2 } };
	struct pcore_wire_template m = { .has = PCORE_WIRE_HAS(PCORE_WIRE_T_DIR), .dir = "tmp" };
	struct pcore_buf argv = PCORE_BUF_INIT(0);

	(void)state;
	add_text(&argv, "true");
	add_piece(&argv, PCORE_WIRE_END, 0);
	assert_int_equal(with_limits(&argv, twice, 1), 0);
	assert_int_equal(with_limits(&argv, twice, 2), -EINVAL);
	assert_int_equal(with_limits(&argv, &soft_above, 1), -EINVAL);
	assert_int_equal(with_limits(&argv, &unknown, 1), -EINVAL);
	assert_int_equal(with_limits(&argv, &negative, 1), -EINVAL);
	assert_int_equal(put_template_of(&argv, m), -EINVAL); /* a directory of where? */
	m = (struct pcore_wire_template){ .has = PCORE_WIRE_HAS(PCORE_WIRE_T_SCHED_POLICY) };
	assert_int_equal(put_template_of(&argv, m), -EINVAL); /* without a priority */
	m = (struct pcore_wire_template){ .has = PCORE_WIRE_HAS(PCORE_WIRE_T_FORM) };
	assert_int_equal(put_template_of(&argv, m), -EINVAL); /* without a window */
	m = (struct pcore_wire_template){ .has = PCORE_WIRE_HAS(PCORE_WIRE_T_SIGNAL), .signal = 65 };
	assert_int_equal(put_template_of(&argv, m), -EINVAL);
	m = (struct pcore_wire_template){ .has = PCORE_WIRE_HAS(PCORE_WIRE_T_TIMEOUT), .timeout = -1 };
	assert_int_equal(put_template_of(&argv, m), -EINVAL);
	m = (struct pcore_wire_template){ .has = PCORE_WIRE_HAS(PCORE_WIRE_T_NICE), .nice = -41 };
	assert_int_equal(put_template_of(&argv, m), -EINVAL);
	pcore_buf_done(&argv);
}

static void numbers_of_templates_have_32_bits(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0), again = PCORE_BUF_INIT(0);

	(void)state;
	put_one(&b, PCORE_WIRE_TEMPLATE);
	assert_int_equal(any_again(PCORE_WIRE_TEMPLATE, UINT32_MAX, b.data, b.len, &again), 0);
	assert_int_equal(any_again(PCORE_WIRE_TEMPLATE, UINT64_C(1) << 32, b.data, b.len, &again), -EPROTO);
	pcore_buf_clear(&b);
	put_one(&b, PCORE_WIRE_ENV);
	assert_int_equal(any_again(PCORE_WIRE_ENV, UINT64_C(1) << 32, b.data, b.len, &again), -EPROTO);
	pcore_buf_done(&b);
	pcore_buf_done(&again);
}

/* ---- records ---- */

static int open_records(const struct pcore_buf *b, enum pcore_wire_type type)
{
	struct pcore_wire_frame f = frame_of(b, type);
	struct pcore_wire_in in;

	return pcore_wire_open(&f, &in);
}

static void a_count_or_a_size_beyond_the_body_is_refused(void **state)
{
	static const uint32_t counts[] = { 2, 4, INT32_MAX, UINT32_MAX };
	static const uint16_t sizes[] = { 0, 8, 15, 17, 24, 32, 65528, 65535 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(any_types); i++) {
		struct pcore_buf b = PCORE_BUF_INIT(0);

		if (!has_records(any_types[i]))
			continue;
		put_one(&b, any_types[i]);
		for (size_t j = 0; j < ARRAY_SIZE(counts); j++) {
			memcpy(b.data, &counts[j], sizeof(counts[j]));
			assert_int_equal(open_records(&b, any_types[i]), -EPROTO);
		}
		memcpy(b.data, "\3\0\0", 4);
		assert_int_equal(open_records(&b, any_types[i]), 0);
		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
			if (memcmp(b.data + 4, &sizes[j], 2) == 0)
				continue;
			struct pcore_buf bent = PCORE_BUF_INIT(0);

			assert_int_equal(pcore_buf_add(&bent, b.data, b.len), 0);
			memcpy(bent.data + 4, &sizes[j], sizeof(sizes[j]));
			assert_int_equal(open_records(&bent, any_types[i]), -EPROTO);
			pcore_buf_done(&bent);
		}
		b.data[6] ^= 2; /* a flag that there is not */
		assert_int_equal(open_records(&b, any_types[i]), -EPROTO);
		pcore_buf_done(&b);
	}
}

static void what_jobs_do_quietly_is_one_of_three(void **state)
{
	struct pcore_wire_ref ref = { .job = 7, .attempt = 2 }, back;
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_frame f;
	struct pcore_wire_out o;
	struct pcore_wire_in in;

	(void)state;
	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_QUIET_N), 0);
	for (ref.how = 0; ref.how < PCORE_WIRE_QUIETS; ref.how++)
		assert_int_equal(pcore_wire_add_ref(&o, &ref), 0);
	assert_int_not_equal(pcore_wire_add_ref(&o, &ref), 0);
	assert_int_equal(pcore_wire_end(&o, false), PCORE_WIRE_QUIETS);
	f = frame_of(&b, PCORE_WIRE_QUIET_N);
	assert_int_equal(pcore_wire_open(&f, &in), 0);
	for (unsigned how = 0; how < PCORE_WIRE_QUIETS; how++) {
		assert_true(pcore_wire_next_ref(&in, &back));
		assert_int_equal(back.job, 7);
		assert_int_equal(back.attempt, 2);
		assert_int_equal(back.how, how);
	}
	assert_false(pcore_wire_next_ref(&in, &back));
	pcore_buf_done(&b);
}

static void what_a_record_has_beyond_its_size_is_passed_over(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0), longer = PCORE_BUF_INIT(0);
	struct pcore_wire_frame f;
	struct pcore_wire_in in;
	struct pcore_wire_ref r;

	(void)state;
	put_one(&b, PCORE_WIRE_ACK_N);
	assert_int_equal(pcore_buf_add(&longer, "\3\0\0\0\30\0\0\0", 8), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(pcore_buf_add(&longer, b.data + 8 + 16 * i, 16), 0);
		assert_int_equal(pcore_buf_add(&longer, "\377later\377\377", 8), 0);
	}
	f = frame_of(&longer, PCORE_WIRE_ACK_N);
	assert_int_equal(pcore_wire_open(&f, &in), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_true(pcore_wire_next_ref(&in, &r));
		assert_int_equal(r.job, 1);
		assert_int_equal(r.attempt, 2);
	}
	assert_false(pcore_wire_next_ref(&in, &r));
	pcore_buf_done(&b);
	pcore_buf_done(&longer);
}

static void an_assignment_keeps_its_words_its_input_and_its_ids(void **state)
{
	static char *const args[] = { (char *)"a", (char *)"", (char *)"b c", NULL };
	struct pcore_wire_assign a = an_assign;
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_out o;
	struct pcore_wire_frame f;
	struct pcore_wire_in in;

	(void)state;
	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_ASSIGN_N), 0);
	assert_int_equal(pcore_wire_add_assign(&o, &a), 0);
	a.args = words_of(args);
	assert_int_equal(pcore_wire_add_assign(&o, &a), 0);
	assert_int_equal(pcore_wire_end(&o, false), 2);
	f = frame_of(&b, PCORE_WIRE_ASSIGN_N);
	assert_int_equal(pcore_wire_open(&f, &in), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(pcore_wire_next_assign(&in, &a));
		assert_true(a.job == INT64_MAX);
		assert_int_equal(a.priority, -5);
		assert_int_equal(a.timeout, 9);
		assert_int_equal(a.args.n, 3);
		assert_string_equal(pcore_wire_word(&a.args), "a");
		assert_string_equal(pcore_wire_word(&a.args), "");
		assert_string_equal(pcore_wire_word(&a.args), "b c");
		assert_null(pcore_wire_word(&a.args));
		assert_int_equal(a.input.len, 3);
		assert_memory_equal(a.input.data, "x\0y", 3);
		assert_int_equal(pcore_wire_u16s(&a.ids), 2);
		assert_int_equal(pcore_wire_u16(&a.ids, 0), 1);
		assert_int_equal(pcore_wire_u16(&a.ids, 1), 256);
	}
	assert_false(pcore_wire_next_assign(&in, &a));
	pcore_buf_done(&b);
}

static void a_body_that_is_full_takes_no_more(void **state)
{
	const struct pcore_wire_ref ref = { .job = 1, .attempt = 1 };
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_out o;
	uint32_t n = 0;
	int r;

	(void)state;
	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_ACK_N), 0);
	while ((r = pcore_wire_add_ref(&o, &ref)) == 0)
		n++;
	assert_int_equal(r, -EMSGSIZE);
	assert_int_equal(n, (PCORE_WIRE_CONTROL_MAX - 8) / 16);
	assert_int_equal(pcore_wire_end(&o, false), n);
	assert_true(b.len <= PCORE_WIRE_CONTROL_MAX);
	assert_int_equal(open_records(&b, PCORE_WIRE_ACK_N), 0);
	pcore_buf_done(&b);
}

static void what_is_too_long_is_not_put(void **state)
{
	char *big = calloc(1, PCORE_WIRE_DATA_MAX + 1);
	struct pcore_wire_assign a = { .job = 1 };
	struct pcore_wire_chunk c = { .stream = PCORE_WIRE_STDOUT, .data = big, .len = PCORE_WIRE_DATA_MAX - 15 };
	struct pcore_wire_answer answer = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ANSWER_TEXT), .text = big };
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_out o;

	(void)state;
	assert_non_null(big);
	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_ASSIGN_N), 0);
	a.input = (struct pcore_wire_bytes){ big, PCORE_WIRE_DATA_MAX - 63 };
	assert_int_equal(pcore_wire_add_assign(&o, &a), -EMSGSIZE);
	a.input.len = PCORE_WIRE_DATA_MAX - 64;
	assert_int_equal(pcore_wire_add_assign(&o, &a), 0);
	assert_int_equal(pcore_wire_end(&o, false), 1);
	pcore_buf_clear(&b);
	assert_int_equal(pcore_wire_put_chunk(&b, &c), -EMSGSIZE);
	c.len--;
	assert_int_equal(pcore_wire_put_chunk(&b, &c), 0);
	pcore_buf_clear(&b);
	memset(big, 'x', PCORE_WIRE_CONTROL_MAX);
	assert_int_equal(pcore_wire_put_answer(&b, &answer), -EMSGSIZE);
	assert_int_equal(b.len, 0);
	pcore_buf_done(&b);
	free(big);
}

/* One field of a good DONE becomes wrong. */
static int add_bad_done(void (*spoil)(struct pcore_wire_done *d))
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_wire_done d = a_done;
	struct pcore_wire_out o;
	int r;

	spoil(&d);
	assert_int_equal(pcore_wire_begin(&o, &b, PCORE_WIRE_DONE_N), 0);
	r = pcore_wire_add_done(&o, &d);
	pcore_buf_done(&b);
	return r;
}

static void spoil_signal(struct pcore_wire_done *d) { d->status = 65; }
static void spoil_code(struct pcore_wire_done *d) { d->code = CLD_DUMPED + 1; }
static void spoil_none(struct pcore_wire_done *d) { d->code = 0; }
static void spoil_sent(struct pcore_wire_done *d) { d->sent[1] = d->bytes[1] + 1; }
static void spoil_time(struct pcore_wire_done *d) { d->wall_ns = -1; }
static void spoil_flags(struct pcore_wire_done *d) { d->flags = 128; }
static void spoil_method(struct pcore_wire_done *d) { d->method = 4; }
static void spoil_error(struct pcore_wire_done *d) { d->error = 4096; }
static void spoil_job(struct pcore_wire_done *d) { d->job = UINT64_C(1) << 63; }
static void spoil_nothing(struct pcore_wire_done *d) { d->error = 0; }

static void a_result_that_cannot_be_is_refused(void **state)
{
	(void)state;
	assert_int_equal(add_bad_done(spoil_nothing), 0);
	assert_int_equal(add_bad_done(spoil_signal), -EINVAL);
	assert_int_equal(add_bad_done(spoil_code), -EINVAL);
	assert_int_equal(add_bad_done(spoil_none), -EINVAL);
	assert_int_equal(add_bad_done(spoil_sent), -EINVAL);
	assert_int_equal(add_bad_done(spoil_time), -EINVAL);
	assert_int_equal(add_bad_done(spoil_flags), -EINVAL);
	assert_int_equal(add_bad_done(spoil_method), -EINVAL);
	assert_int_equal(add_bad_done(spoil_error), -EINVAL);
	assert_int_equal(add_bad_done(spoil_job), -EINVAL);
}

static void a_worker_has_only_an_error_stream(void **state)
{
	const uint64_t worker = pcore_wire_worker_id(7, 3);
	struct pcore_wire_chunk c = { .stream = PCORE_WIRE_STDERR, .data = "x", .len = 1 };
	struct pcore_buf b = PCORE_BUF_INIT(0), again = PCORE_BUF_INIT(0);

	(void)state;
	assert_true(worker == ((UINT64_C(1) << 63) | (7 << 16) | 3));
	assert_int_equal(pcore_wire_put_chunk(&b, &c), 0);
	assert_int_equal(any_again(PCORE_WIRE_OUTPUT, worker, b.data, b.len, &again), 0);
	b.data[4] = PCORE_WIRE_STDOUT;
	assert_int_equal(any_again(PCORE_WIRE_OUTPUT, 7, b.data, b.len, &again), 0);
	assert_int_equal(any_again(PCORE_WIRE_OUTPUT, worker, b.data, b.len, &again), -EPROTO);
	b.data[4] = PCORE_WIRE_STDIN;
	assert_int_equal(any_again(PCORE_WIRE_INPUT, 7, b.data, b.len, &again), 0);
	assert_int_equal(any_again(PCORE_WIRE_OUTPUT, 7, b.data, b.len, &again), -EPROTO);
	assert_int_equal(any_again(PCORE_WIRE_INPUT, worker, b.data, b.len, &again), -EPROTO);
	pcore_buf_done(&b);
	pcore_buf_done(&again);
}

static void a_stream_does_not_go_beyond_its_end(void **state)
{
	struct pcore_wire_chunk c = { .stream = PCORE_WIRE_STDOUT, .offset = UINT64_MAX - 1, .data = "xy", .len = 2 };
	struct pcore_buf b = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(pcore_wire_put_chunk(&b, &c), -EINVAL);
	c.len = 1;
	assert_int_equal(pcore_wire_put_chunk(&b, &c), 0);
	c.last = true; /* an end is said of input only */
	assert_int_equal(pcore_wire_put_chunk(&b, &c), -EINVAL);
	pcore_buf_done(&b);
}

/* ---- the manual's example ---- */

static void add_header(struct pcore_buf *b, size_t len, enum pcore_wire_type type, uint64_t id)
{
	const unsigned char h[16] = { (unsigned char)len, (unsigned char)(len >> 8), 0, 0, (unsigned char)type, (unsigned char)(type >> 8), 2, 0,
		(unsigned char)id };

	assert_int_equal(pcore_buf_add(b, h, sizeof(h)), 0);
}

static void the_example_of_the_manual_is_what_is_sent(void **state)
{
	static const unsigned char expected[] = {
		0x20, 0x00, 0x00, 0x00, 0x00, 0x03, 0x02, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x01, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x03, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x41, 0x3d, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x50, 0x00, 0x00, 0x00, 0x01, 0x03, 0x02, 0x00, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x01, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x02, 0x00, 0x00, 0x00, 0x28, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00,
		0x65, 0x63, 0x68, 0x6f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x04, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x2f, 0x74, 0x6d, 0x70, 0x00, 0x00, 0x00, 0x00,
	};
	static char *const vars[] = { (char *)"A=1", NULL };
	struct pcore_wire_env env = { .has = PCORE_WIRE_HAS(PCORE_WIRE_ENV_VARS), .vars = words_of(vars) };
	struct pcore_wire_template t = { .has = PCORE_WIRE_HAS(PCORE_WIRE_T_DIR), .env = 1, .dir = "/tmp" };
	struct pcore_buf b = PCORE_BUF_INIT(0), body = PCORE_BUF_INIT(0), argv = PCORE_BUF_INIT(0);

	(void)state;
	assert_int_equal(pcore_wire_put_env(&body, &env), 0);
	add_header(&b, body.len, PCORE_WIRE_ENV, 1);
	assert_int_equal(pcore_buf_add(&b, body.data, body.len), 0);
	pcore_buf_clear(&body);
	add_text(&argv, "echo");
	add_piece(&argv, PCORE_WIRE_END, 0);
	add_piece(&argv, PCORE_WIRE_ARG, 0);
	add_piece(&argv, PCORE_WIRE_END, 0);
	t.argv = (struct pcore_wire_argv){ argv.data, argv.len };
	assert_int_equal(pcore_wire_put_template(&body, &t), 0);
	add_header(&b, body.len, PCORE_WIRE_TEMPLATE, 7);
	assert_int_equal(pcore_buf_add(&b, body.data, body.len), 0);
	assert_int_equal(b.len, sizeof(expected));
	assert_memory_equal(b.data, expected, sizeof(expected));
	pcore_buf_done(&b);
	pcore_buf_done(&body);
	pcore_buf_done(&argv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_message_is_read_back),
		TEST(a_message_that_is_cut_anywhere_is_refused),
		TEST(a_message_that_goes_on_is_refused),
		TEST(no_flipped_bit_makes_a_reader_look_beyond),
		TEST(what_random_changes_leave_readable_reads_the_same_again),
		TEST(an_unknown_field_is_passed_over_only_if_it_is_optional),
		TEST(fields_come_in_any_order_and_once),
		TEST(a_length_beyond_the_body_is_refused),
		TEST(a_number_has_8_bytes_and_its_range),
		TEST(a_text_ends_with_its_only_NUL),
		TEST(lists_are_looked_at_to_their_ground),
		TEST(names_are_bounded_and_counts_agree),
		TEST(what_makes_no_sense_is_not_put),
		TEST(a_submit_has_what_is_of_the_whole_in_its_first_part_alone),
		TEST(a_submit_is_looked_at_to_its_ground),
		TEST(what_is_asked_about_needs_its_number),
		TEST(the_labels_of_a_template_are_conditions),
		TEST(a_command_has_whole_words),
		TEST(what_a_template_says_is_in_range),
		TEST(numbers_of_templates_have_32_bits),
		TEST(a_count_or_a_size_beyond_the_body_is_refused),
		TEST(what_jobs_do_quietly_is_one_of_three),
		TEST(what_a_record_has_beyond_its_size_is_passed_over),
		TEST(an_assignment_keeps_its_words_its_input_and_its_ids),
		TEST(a_body_that_is_full_takes_no_more),
		TEST(what_is_too_long_is_not_put),
		TEST(a_result_that_cannot_be_is_refused),
		TEST(a_worker_has_only_an_error_stream),
		TEST(a_stream_does_not_go_beyond_its_end),
		TEST(the_example_of_the_manual_is_what_is_sent),
	};

	return RUN_TESTS(tests);
}
