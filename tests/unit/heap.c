/* SPDX-License-Identifier: MIT */
/*
 * heap.c - tests of the intrusive heap and the intrusive list.
 */
#include "tests/unit/support.h"

#include "libcore/base/base.h"

enum { MANY = 2000 };

/* A small generator of our own, so that a failure repeats. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void an_empty_heap_has_no_top(void **state)
{
	struct pcore_heap h = { 0 };

	(void)state;
	assert_null(pcore_heap_top(&h));
	pcore_heap_done(&h);
	pcore_heap_done(NULL);
}

static void elements_come_out_by_key(void **state)
{
	static struct pcore_heap_node nodes[MANY];
	struct pcore_heap h = { 0 };
	int64_t last = INT64_MIN;
	uint32_t seed = 1;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		nodes[i] = (struct pcore_heap_node){ .key = (int64_t)next_random(&seed) - 8000000 };
		assert_int_equal(pcore_heap_insert(&h, &nodes[i]), 0);
		assert_true(pcore_heap_linked(&nodes[i]));
	}
	for (size_t i = 0; i < MANY; i++) {
		struct pcore_heap_node *top = pcore_heap_top(&h);
		assert_non_null(top);
		assert_true(top->key >= last);
		last = top->key;
		pcore_heap_remove(&h, top);
		assert_false(pcore_heap_linked(top));
	}
	assert_null(pcore_heap_top(&h));
	pcore_heap_done(&h);
}

static void equal_keys_come_out_in_the_order_they_went_in(void **state)
{
	struct pcore_heap_node nodes[100] = { 0 };
	struct pcore_heap h = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		nodes[i].key = (int64_t)(i % 3);
		assert_int_equal(pcore_heap_insert(&h, &nodes[i]), 0);
	}
	for (size_t key = 0; key < 3; key++) {
		for (size_t i = key; i < ARRAY_SIZE(nodes); i += 3) {
			assert_ptr_equal(pcore_heap_top(&h), &nodes[i]);
			pcore_heap_remove(&h, &nodes[i]);
		}
	}
	pcore_heap_done(&h);
}

static void any_element_can_be_removed(void **state)
{
	static struct pcore_heap_node nodes[MANY];
	struct pcore_heap h = { 0 };
	int64_t last = INT64_MIN;
	uint32_t seed = 7;
	size_t left = 0;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		nodes[i] = (struct pcore_heap_node){ .key = next_random(&seed) % 500 };
		assert_int_equal(pcore_heap_insert(&h, &nodes[i]), 0);
	}
	for (size_t i = 0; i < MANY; i++)
		if (next_random(&seed) % 2)
			pcore_heap_remove(&h, &nodes[i]);
	for (size_t i = 0; i < h.len; i++)
		assert_int_equal(h.slots[i].node->index, i + 1);
	for (size_t i = 0; i < MANY; i++)
		left += pcore_heap_linked(&nodes[i]);
	assert_int_equal(left, h.len);
	for (struct pcore_heap_node *top = pcore_heap_top(&h); top; top = pcore_heap_top(&h)) {
		assert_true(top->key >= last);
		last = top->key;
		pcore_heap_remove(&h, top);
	}
	pcore_heap_done(&h);
}

static void removing_twice_does_nothing(void **state)
{
	struct pcore_heap_node a = { .key = 1 }, b = { .key = 2 };
	struct pcore_heap h = { 0 };

	(void)state;
	assert_int_equal(pcore_heap_insert(&h, &a), 0);
	assert_int_equal(pcore_heap_insert(&h, &b), 0);
	pcore_heap_remove(&h, &a);
	pcore_heap_remove(&h, &a);
	assert_ptr_equal(pcore_heap_top(&h), &b);
	assert_int_equal(h.len, 1);
	pcore_heap_done(&h);
}

static void an_element_can_be_put_back_with_another_key(void **state)
{
	struct pcore_heap_node a = { .key = 1 }, b = { .key = 2 };
	struct pcore_heap h = { 0 };

	(void)state;
	assert_int_equal(pcore_heap_insert(&h, &a), 0);
	assert_int_equal(pcore_heap_insert(&h, &b), 0);
	pcore_heap_remove(&h, &a);
	a.key = 3;
	assert_int_equal(pcore_heap_insert(&h, &a), 0);
	assert_ptr_equal(pcore_heap_top(&h), &b);
	pcore_heap_done(&h);
}

static void equal_keys_come_out_by_rank_where_they_have_one(void **state)
{
	struct pcore_heap_node nodes[5] = { 0 };
	const uint64_t ranks[5] = { 7, UINT64_MAX, 0, 7, 3 };
	struct pcore_heap h = { 0 };
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		nodes[i].key = 1;
		assert_int_equal(pcore_heap_insert_ranked(&h, &nodes[i], ranks[i]), 0);
	}
	for (int i = 0; i < 5; i++) {
		struct pcore_heap_node *top = pcore_heap_top(&h);

		assert_true(ranks[top - nodes] >= last);
		last = ranks[top - nodes];
		pcore_heap_remove(&h, top);
	}
	assert_true(last == UINT64_MAX);
	pcore_heap_done(&h);
}

struct word {
	int n;
	struct pcore_list link;
};

static void a_list_gives_back_in_order_and_splices(void **state)
{
	struct pcore_list one = PCORE_LIST_INIT(one), two = PCORE_LIST_INIT(two);
	struct word words[6];
	int expected = 0;

	(void)state;
	for (int i = 0; i < 6; i++) {
		words[i].n = i;
		pcore_list_init(&words[i].link);
		pcore_list_add_tail(i < 3 ? &one : &two, &words[i].link);
	}
	pcore_list_splice_tail(&one, &two);
	assert_true(pcore_list_empty(&two));
	pcore_list_splice_tail(&one, &two);
	PCORE_LIST_FOREACH_SAFE(node, &one)
	{
		assert_int_equal(container_of(node, struct word, link)->n, expected++);
		pcore_list_del(node);
		pcore_list_del(node);
	}
	assert_int_equal(expected, 6);
	assert_null(pcore_list_pop(&one));
	pcore_list_add_tail(&one, &words[0].link);
	assert_ptr_equal(pcore_list_pop(&one), &words[0].link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_heap_has_no_top),
		TEST(elements_come_out_by_key),
		TEST(equal_keys_come_out_in_the_order_they_went_in),
		TEST(any_element_can_be_removed),
		TEST(removing_twice_does_nothing),
		TEST(equal_keys_come_out_by_rank_where_they_have_one),
		TEST(an_element_can_be_put_back_with_another_key),
		TEST(a_list_gives_back_in_order_and_splices),
	};

	return RUN_TESTS(tests);
}
