/* SPDX-License-Identifier: MIT */
/*
 * map.c - tests of the intrusive hash map.
 */
#include "tests/unit/support.h"

#include "libcore/base/base.h"

enum { MANY = 5000 };

struct entry {
	struct pcore_map_node node;
	char key[16];
};

static struct entry entries[MANY];

static void fill(struct pcore_map *m)
{
	for (size_t i = 0; i < MANY; i++) {
		struct entry *e = &entries[i];
		snprintf(e->key, sizeof(e->key), "key%zu", i);
		assert_int_equal(pcore_map_insert(m, &e->node, e->key, strlen(e->key)), 0);
	}
	assert_int_equal(m->len, MANY);
}

static void what_was_inserted_is_found(void **state)
{
	struct pcore_map m = { 0 };

	(void)state;
	assert_null(pcore_map_find(&m, "a", 1));
	fill(&m);
	for (size_t i = 0; i < MANY; i++) {
		const char *key = entries[i].key;
		assert_ptr_equal(pcore_map_find(&m, key, strlen(key)), &entries[i].node);
	}
	assert_null(pcore_map_find(&m, "key", 3));
	assert_null(pcore_map_find(&m, "key5000", 7));
	pcore_map_done(&m);
	assert_null(pcore_map_find(&m, "key1", 4));
}

static void a_key_can_be_there_only_once(void **state)
{
	struct pcore_map_node a, b;
	struct pcore_map m = { 0 };

	(void)state;
	assert_int_equal(pcore_map_insert(&m, &a, "same", 4), 0);
	assert_int_equal(pcore_map_insert(&m, &b, "same", 4), -EEXIST);
	assert_int_equal(m.len, 1);
	assert_ptr_equal(pcore_map_find(&m, "same", 4), &a);
	pcore_map_done(&m);
}

static void what_was_removed_is_gone_and_the_rest_is_there(void **state)
{
	struct pcore_map m = { 0 };

	(void)state;
	fill(&m);
	for (size_t i = 0; i < MANY; i += 2)
		pcore_map_remove(&m, &entries[i].node);
	assert_int_equal(m.len, MANY / 2);
	for (size_t i = 0; i < MANY; i++) {
		const char *key = entries[i].key;
		struct pcore_map_node *found = pcore_map_find(&m, key, strlen(key));
		assert_ptr_equal(found, i % 2 ? &entries[i].node : NULL);
	}
	assert_int_equal(pcore_map_insert(&m, &entries[0].node, "key0", 4), 0);
	assert_ptr_equal(pcore_map_find(&m, "key0", 4), &entries[0].node);
	pcore_map_done(&m);
}

static void keys_are_bytes_and_may_be_empty(void **state)
{
	struct pcore_map_node a, b, c;
	struct pcore_map m = { 0 };

	(void)state;
	assert_int_equal(pcore_map_insert(&m, &a, "x\0y", 3), 0);
	assert_int_equal(pcore_map_insert(&m, &b, "x\0z", 3), 0);
	assert_int_equal(pcore_map_insert(&m, &c, NULL, 0), 0);
	assert_ptr_equal(pcore_map_find(&m, "x\0y", 3), &a);
	assert_ptr_equal(pcore_map_find(&m, "x\0z", 3), &b);
	assert_ptr_equal(pcore_map_find(&m, "", 0), &c);
	assert_null(pcore_map_find(&m, "x", 1));
	pcore_map_done(&m);
}

static void two_maps_hash_with_different_seeds(void **state)
{
	struct pcore_map_node a, b;
	struct pcore_map one = { 0 }, two = { 0 };

	(void)state;
	assert_int_equal(pcore_map_insert(&one, &a, "key", 3), 0);
	assert_int_equal(pcore_map_insert(&two, &b, "key", 3), 0);
	assert_true(a.hash != b.hash);
	pcore_map_done(&one);
	pcore_map_done(&two);
}

static void the_hash_is_siphash_1_3(void **state)
{
	unsigned char key[16], message[15];
	struct pcore_map_node occupant, node;
	struct pcore_map m = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (unsigned char)i;
	/* The seed is drawn with the first insertion and is set to the reference's key after it. */
	assert_int_equal(pcore_map_insert(&m, &occupant, "occupant", 8), 0);
	memcpy(m.seed, key, sizeof(key));
	assert_int_equal(pcore_map_insert(&m, &node, message, sizeof(message)), 0);
	assert_true(node.hash == UINT64_C(0xd320d86d2a519956));
	pcore_map_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_inserted_is_found),
		TEST(a_key_can_be_there_only_once),
		TEST(what_was_removed_is_gone_and_the_rest_is_there),
		TEST(keys_are_bytes_and_may_be_empty),
		TEST(two_maps_hash_with_different_seeds),
		TEST(the_hash_is_siphash_1_3),
	};

	return RUN_TESTS(tests);
}
