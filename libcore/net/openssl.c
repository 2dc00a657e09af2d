/* SPDX-License-Identifier: MIT */
/*
 * openssl.c - opens OpenSSL. The table is what all users of this library within one process share, as they share OpenSSL.
 */
#include "libcore/net/openssl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define SONAME "libssl.so.3" /* libcrypto comes with it */

/* For those who read from a program's notes what it may open, as packagers do. */
#define NOTE "[{\"soname\":[\"" SONAME "\"],\"feature\":\"tls\",\"description\":\"TLS over TCP\",\"priority\":\"recommended\"}]"

static const struct {
	uint32_t name_size, text_size, type;
	char name[4];
	_Alignas(4) char text[sizeof(NOTE)];
} note __attribute__((used, aligned(4), section(".note.dlopen"))) = { 4, sizeof(NOTE), 0x407c0c0a, "FDO", NOTE };

struct net_openssl ossl;

static bool find_all(void *lib, struct net_openssl *ret)
{
#define NAME(name) #name,
	static const char *const names[] = { NET_OPENSSL_FUNCTIONS(NAME) };
#undef NAME
	void *function;

	_Static_assert(sizeof(*ret) == ARRAY_SIZE(names) * sizeof(function), "a pointer for each name");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		function = dlsym(lib, names[i]);
		if (!function)
			return false;
		memcpy((char *)ret + i * sizeof(function), &function, sizeof(function));
	}
	return true;
}

static int cannot_load(struct pcore_net_error *err)
{
	static const char known[] = SONAME ": ";
	const char *why = dlerror();

	if (strncmp(why, known, sizeof(known) - 1) == 0)
		why += sizeof(known) - 1;
	return net_error(err, -ELIBACC, "cannot load '" SONAME "': %s", why);
}

int net_openssl_load(struct pcore_net_error *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool loaded;
	struct net_openssl found;
	void *lib;
	int r = 0;

	(void)pthread_mutex_lock(&lock);
	if (!loaded) {
		lib = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
		loaded = lib && find_all(lib, &found);
		if (loaded)
			ossl = found;
		else
			r = cannot_load(err);
	}
	(void)pthread_mutex_unlock(&lock);
	return r;
}
