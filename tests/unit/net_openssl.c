/* SPDX-License-Identifier: MIT */
/*
 * net_openssl.c - tests of how OpenSSL is opened: not before there is TLS, once for all threads, and whole.
 *
 * This program is not linked with it. The tests go on where the one before has stopped.
 */
#include "tests/unit/net_support.h"

#include <dlfcn.h>
#include <pthread.h>

#include "libcore/net/openssl.h"

static bool is_mapped(const char *library)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096];
	bool found = false;

	assert_non_null(maps);
	while (!found && fgets(line, sizeof(line), maps))
		found = strstr(line, library) != NULL;
	assert_int_equal(fclose(maps), 0);
	return found;
}

static void without_a_key_it_is_not_opened(void **state)
{
	const struct pcore_net_spec spec = { .role = PCORE_NET_NODE, .version_min = 1, .version_max = 1 };
	struct pcore_net *net;
	(void)state;

	assert_int_equal(pcore_loop_new(&lp, PCORE_LOOP_AUTO), 0);
	assert_int_equal(pcore_net_new(&net, lp, &spec, NULL), 0);
	assert_false(is_mapped("/libssl."));
	assert_false(is_mapped("/libcrypto."));
	pcore_net_free(net);
	pcore_loop_free(lp);
}

static void *load(void *arg)
{
	*(int *)arg = net_openssl_load(NULL);
	return NULL;
}

static void threads_may_open_it_at_once(void **state)
{
	pthread_t threads[8];
	int r[ARRAY_SIZE(threads)];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, load, &r[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(r[i], 0);
	}
	assert_true(is_mapped("/libssl."));
	assert_true(is_mapped("/libcrypto."));
}

static void each_function_has_its_own_place(void **state)
{
	void *lib = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
	(void)state;

	assert_non_null(lib);
#define IS_FOUND(name) assert_ptr_equal((void *)ossl.name, dlsym(lib, #name));
	NET_OPENSSL_FUNCTIONS(IS_FOUND)
#undef IS_FOUND
	assert_int_equal(dlclose(lib), 0);
}

static const struct CMUnitTest tests[] = {
	TEST(without_a_key_it_is_not_opened),
	TEST(threads_may_open_it_at_once),
	TEST(each_function_has_its_own_place),
};

int main(void)
{
	return RUN_TESTS(tests);
}
