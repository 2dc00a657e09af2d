/* SPDX-License-Identifier: MIT */
/*
 * json.c - tests of the JSON writer.
 */
#include "tests/unit/support.h"

#include "libcore/base/base.h"

static void assert_written(struct pcore_buf *b, const char *expected)
{
	assert_int_equal(pcore_buf_terminate(b), 0);
	assert_string_equal(b->data, expected);
	pcore_buf_clear(b);
}

static void assert_bytes(const char *data, size_t len, const char *expected)
{
	struct pcore_buf b = { 0 };
	struct pcore_json j = PCORE_JSON_INIT(&b);

	pcore_json_bytes(&j, data, len);
	assert_int_equal(j.error, 0);
	assert_written(&b, expected);
	pcore_buf_done(&b);
}

#define ASSERT_STRING(literal, expected) assert_bytes(literal, sizeof(literal) - 1, expected)

static void commas_stand_where_they_belong(void **state)
{
	struct pcore_buf b = { 0 };
	struct pcore_json j = PCORE_JSON_INIT(&b);

	(void)state;
	pcore_json_object(&j);
	pcore_json_key(&j, "argv");
	pcore_json_array(&j);
	pcore_json_str(&j, "a");
	pcore_json_str(&j, "b");
	pcore_json_object(&j);
	pcore_json_object_end(&j);
	pcore_json_array_end(&j);
	pcore_json_key(&j, "none");
	pcore_json_array(&j);
	pcore_json_array_end(&j);
	pcore_json_key(&j, "signal");
	pcore_json_str(&j, NULL);
	pcore_json_key(&j, "core");
	pcore_json_bool(&j, false);
	pcore_json_object_end(&j);
	assert_int_equal(j.error, 0);
	assert_int_equal(j.depth, 0);
	assert_written(
		&b, "{\"argv\":[\"a\",\"b\",{}],\"none\":[],\"signal\":null,\"core\":false}");
	pcore_buf_done(&b);
}

static void numbers_are_exact(void **state)
{
	struct pcore_buf b = { 0 };
	struct pcore_json j = PCORE_JSON_INIT(&b);

	(void)state;
	pcore_json_array(&j);
	pcore_json_i64(&j, INT64_MIN);
	pcore_json_u64(&j, UINT64_MAX);
	pcore_json_seconds(&j, 1250000000);
	pcore_json_seconds(&j, 999);
	pcore_json_seconds(&j, -1500000000);
	pcore_json_seconds(&j, INT64_MIN);
	pcore_json_bool(&j, true);
	pcore_json_null(&j);
	pcore_json_array_end(&j);
	assert_written(&b, "[-9223372036854775808,18446744073709551615,1.250000,0.000000,"
			   "-1.500000,-9223372036.854775,true,null]");
	pcore_buf_done(&b);
}

static void control_characters_are_escaped(void **state)
{
	(void)state;
	ASSERT_STRING("", "\"\"");
	ASSERT_STRING("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
	ASSERT_STRING("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"");
	ASSERT_STRING("\x1b[1m\x7f", "\"\\u001b[1m\\u007f\"");
	ASSERT_STRING("a\0b", "\"a\\u0000b\"");
	ASSERT_STRING("\xc2\x9b", "\"\\u009b\"");
}

static void valid_utf8_passes(void **state)
{
	(void)state;
	ASSERT_STRING("Gr\xc3\xbc\xc3\x9f"
		      "e",
		"\"Gr\xc3\xbc\xc3\x9f"
		"e\"");
	ASSERT_STRING("\xe2\x82\xac", "\"\xe2\x82\xac\"");
	ASSERT_STRING("\xf0\x9f\x90\xa7", "\"\xf0\x9f\x90\xa7\"");
	ASSERT_STRING("\xed\x9f\xbf", "\"\xed\x9f\xbf\"");
	ASSERT_STRING("\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\"");
	ASSERT_STRING("\xc2\xa0", "\"\xc2\xa0\"");
}

static void other_bytes_become_lone_surrogates(void **state)
{
	(void)state;
	ASSERT_STRING("\xff", "\"\\udcff\"");
	ASSERT_STRING("\x80z", "\"\\udc80z\"");
	ASSERT_STRING("\xc3", "\"\\udcc3\"");
	ASSERT_STRING("\xc3(", "\"\\udcc3(\"");
	ASSERT_STRING("\xe2\x82", "\"\\udce2\\udc82\"");
	ASSERT_STRING("\xe2\x82z", "\"\\udce2\\udc82z\"");
}

static void a_string_may_come_in_pieces(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(0);
	struct pcore_json j = PCORE_JSON_INIT(&b);

	(void)state;
	pcore_json_array(&j);
	pcore_json_text(&j);
	pcore_json_text_add(&j, "a\n", 2);
	pcore_json_text_add(&j, "\xff", 1);
	pcore_json_text_end(&j);
	pcore_json_text(&j);
	pcore_json_text_end(&j);
	pcore_json_array_end(&j);
	assert_int_equal(j.error, 0);
	assert_int_equal(pcore_buf_terminate(&b), 0);
	assert_string_equal(b.data, "[\"a\\n\\udcff\",\"\"]");
	pcore_buf_done(&b);
}

static void overlong_surrogate_and_too_large_codes_are_not_utf8(void **state)
{
	(void)state;
	ASSERT_STRING("\xc0\xaf", "\"\\udcc0\\udcaf\"");
	ASSERT_STRING("\xe0\x9f\xbf", "\"\\udce0\\udc9f\\udcbf\"");
	ASSERT_STRING("\xed\xa0\x80", "\"\\udced\\udca0\\udc80\"");
	ASSERT_STRING("\xf0\x8f\xbf\xbf", "\"\\udcf0\\udc8f\\udcbf\\udcbf\"");
	ASSERT_STRING("\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\"");
	ASSERT_STRING("\xf5\x80\x80\x80", "\"\\udcf5\\udc80\\udc80\\udc80\"");
}

static void the_first_error_sticks(void **state)
{
	struct pcore_buf b = PCORE_BUF_INIT(8);
	struct pcore_json j = PCORE_JSON_INIT(&b);

	(void)state;
	pcore_json_array(&j);
	pcore_json_str(&j, "much too long");
	assert_int_equal(j.error, -ENOBUFS);
	pcore_json_i64(&j, 1);
	pcore_json_array_end(&j);
	assert_int_equal(j.error, -ENOBUFS);
	assert_written(&b, "[\"");
	pcore_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(commas_stand_where_they_belong),
		TEST(numbers_are_exact),
		TEST(control_characters_are_escaped),
		TEST(valid_utf8_passes),
		TEST(other_bytes_become_lone_surrogates),
		TEST(a_string_may_come_in_pieces),
		TEST(overlong_surrogate_and_too_large_codes_are_not_utf8),
		TEST(the_first_error_sticks),
	};

	return RUN_TESTS(tests);
}
