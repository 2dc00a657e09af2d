/* SPDX-License-Identifier: MIT */
/*
 * openssl.c - a program that uses each function which pcore loads of OpenSSL: dpkg-shlibdeps reads from it what to depend on.
 */
#include "libcore/net/openssl.h"

#define ADDRESS(name) name,
struct net_openssl linked = { NET_OPENSSL_FUNCTIONS(ADDRESS) };

int main(void)
{
	return linked.SSL_new == NULL;
}
