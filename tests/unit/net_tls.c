/* SPDX-License-Identifier: MIT */
/*
 * net_tls.c - tests of TLS: who gets in, who does not, and what OpenSSL would let happen by default. The other side is one of
 * ours, or plain OpenSSL that does what ours never would.
 */
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

#include "tests/unit/net_relay.h"

static const char handshake_failed[] = "authentication failed";

/* ---- a peer made of plain OpenSSL ---- */

struct raw {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	const char *identity; /* of the key that it offers or takes; NULL: none */
	unsigned char secret[32];
	unsigned key_updates, tickets;
	unsigned char suites[64], kex_modes[8];
	size_t n_suites, n_kex_modes;
};

/* The key for kid and role, as RFC 5869 has it; the derivation is written out once more on purpose. */
static void derive(unsigned char ret[static 32], unsigned char first, const char *kid, const char *role)
{
	unsigned char key[32], salt[32] = { 0 }, prk[32], info[128];
	int len = snprintf((char *)info, sizeof(info), "pcore v1 %s%s\1", kid, role);

	for (unsigned i = 0; i < 32; i++)
		key[i] = (unsigned char)(first + i);
	assert_non_null(HMAC(EVP_sha256(), salt, sizeof(salt), key, sizeof(key), prk, NULL));
	assert_non_null(HMAC(EVP_sha256(), prk, sizeof(prk), info, (size_t)len, ret, NULL));
}

static SSL_SESSION *raw_session(struct raw *r)
{
	static const unsigned char aes128[] = { 0x13, 0x01 };
	SSL_SESSION *s = SSL_SESSION_new();

	assert_int_equal(SSL_SESSION_set1_master_key(s, r->secret, 32), 1);
	assert_int_equal(SSL_SESSION_set_cipher(s, SSL_CIPHER_find(r->ssl, aes128)), 1);
	assert_int_equal(SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION), 1);
	return s;
}

static int raw_use(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len, SSL_SESSION **ret)
{
	struct raw *r = SSL_get_app_data(ssl);

	(void)md;
	*id = (const unsigned char *)r->identity;
	*len = r->identity ? strlen(r->identity) : 0;
	*ret = r->identity ? raw_session(r) : NULL;
	return 1;
}

static void raw_message(int write, int version, int type, const void *buf, size_t len, SSL *ssl, void *arg)
{
	struct raw *r = arg;

	(void)version;
	(void)ssl;
	if (type != SSL3_RT_HANDSHAKE || len == 0 || write)
		return;
	r->key_updates += ((const unsigned char *)buf)[0] == SSL3_MT_KEY_UPDATE;
	r->tickets += ((const unsigned char *)buf)[0] == SSL3_MT_NEWSESSION_TICKET;
}

static int raw_hello(SSL *ssl, int *alert, void *arg)
{
	struct raw *r = arg;
	const unsigned char *p;

	(void)alert;
	r->n_suites = SSL_client_hello_get0_ciphers(ssl, &p);
	assert_true(r->n_suites <= sizeof(r->suites));
	memcpy(r->suites, p, r->n_suites);
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk_kex_modes, &p, &r->n_kex_modes) == 1)
		memcpy(r->kex_modes, p, r->n_kex_modes < sizeof(r->kex_modes) ? r->n_kex_modes : sizeof(r->kex_modes));
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int raw_alpn(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *in, unsigned in_len, void *arg)
{
	(void)ssl;
	(void)arg;
	(void)in_len;
	*out = in + 1;
	*len = in[0];
	return SSL_TLSEXT_ERR_OK;
}

static struct raw *raw_new(bool server)
{
	struct raw *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->fd = -EBADF;
	r->ctx = SSL_CTX_new(TLS_method());
	assert_non_null(r->ctx);
	SSL_CTX_set_msg_callback(r->ctx, raw_message);
	SSL_CTX_set_msg_callback_arg(r->ctx, r);
	if (server) {
		SSL_CTX_set_client_hello_cb(r->ctx, raw_hello, r);
		SSL_CTX_set_alpn_select_cb(r->ctx, raw_alpn, NULL);
	} else {
		SSL_CTX_set_psk_use_session_callback(r->ctx, raw_use);
		assert_int_equal(SSL_CTX_set_alpn_protos(r->ctx, (const unsigned char *)"\7pcore/1", 8), 0);
	}
	return r;
}

/* Put the raw peer at the other end of e. */
static void raw_join(struct raw *r, bool raw_serves, struct side *ours, struct end *e)
{
	struct pcore_net_error error;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	r->fd = fds[0];
	assert_int_equal(fcntl(r->fd, F_SETFL, O_NONBLOCK), 0);
	r->ssl = SSL_new(r->ctx);
	SSL_set_app_data(r->ssl, r);
	assert_int_equal(SSL_set_fd(r->ssl, r->fd), 1);
	if (raw_serves)
		SSL_set_accept_state(r->ssl);
	else
		SSL_set_connect_state(r->ssl);
	assert_int_equal(pcore_net_adopt(&e->c, ours->net, fds[1], raw_serves ? PCORE_NET_TLS_CLIENT : PCORE_NET_TLS_SERVER, &end_ops, e, &error), 0);
}

/* Let both sides talk until the raw one is through with its handshake or has failed. */
static bool raw_handshake(struct raw *r, struct end *e)
{
	for (;;) {
		int n;

		ERR_clear_error();
		n = SSL_do_handshake(r->ssl);
		if (n == 1)
			return true;
		if (SSL_get_error(r->ssl, n) != SSL_ERROR_WANT_READ)
			return false;
		assert_true(pcore_loop_turn(lp, !e->closed) >= 0);
	}
}

static void raw_write(struct raw *r, const void *buf, size_t len)
{
	size_t n;

	ERR_clear_error();
	assert_int_equal(SSL_write_ex(r->ssl, buf, len, &n), 1);
}

/* Read until the peer has closed; what came is counted. */
static size_t raw_drain(struct raw *r, struct end *e)
{
	char buf[4096];
	size_t n, all = 0;

	for (;;) {
		ERR_clear_error();
		if (SSL_read_ex(r->ssl, buf, sizeof(buf), &n) == 1) {
			all += n;
			continue;
		}
		if (SSL_get_error(r->ssl, 0) != SSL_ERROR_WANT_READ || e->closed)
			return all;
		assert_true(pcore_loop_turn(lp, true) >= 0);
	}
}

static void raw_done(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->ctx);
	pcore_fd_close(r->fd);
	free(r);
	ERR_clear_error();
}

/* A certificate that nobody vouches for. */
static void raw_self_signed(struct raw *r)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	assert_non_null(key);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"rogue", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(r->ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(r->ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* The hello of a client with a role. */
static void raw_say_hello(struct raw *r, unsigned char role)
{
	unsigned char hello[16] = { 'P', 'C', 'O', 'R', 1, 0, 1, 0, role, 0, 0, 0, 1, 2, 3, 4 };

	raw_write(r, hello, sizeof(hello));
}

static void assert_begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)) != 0)
		print_error("# '%s'\n", text);
	assert_true(strncmp(text, with, strlen(with)) == 0);
}

/* ---- keys ---- */

/* Both ends fail with these, and neither has been open. */
static void expect_no_entry(const char *client_keys, const char *server_keys, int server_code, const char *server_why)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, server_keys), c = side_of(PCORE_NET_NODE, client_keys);
	struct end a = { 0 }, b = { 0 };

	join(&c, &a, &s, &b, true);
	UNTIL(a.closed && b.closed);
	assert_int_equal(a.opened, 0);
	assert_int_equal(b.opened, 0);
	assert_int_equal(a.error.code, -EKEYREJECTED);
	assert_begins(a.error.why, handshake_failed);
	assert_int_equal(b.error.code, server_code);
	assert_string_equal(b.error.why, server_why);
	side_done(&c);
	side_done(&s);
}

static void a_wrong_key_is_rejected_by_name(void **state)
{
	(void)state;
	expect_no_entry(KEY_A, KEY_A_OTHER, -EKEYREJECTED, "authentication failed: the peer has another key 'a'");
}

static void an_unknown_key_is_rejected_by_name(void **state)
{
	(void)state;
	expect_no_entry(KEY_B, KEY_A, -EKEYREJECTED, "authentication failed: key 'b' is not known");
}

static void a_key_is_only_good_for_its_roles(void **state)
{
	(void)state;
	expect_no_entry(KEY_A, KEY_A_CLIENTS "\n" KEY_B, -EACCES, "authentication failed: key 'a' is not for the role node");
}

static void the_client_is_told_which_key_was_not_accepted(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A_OTHER), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 }, b = { 0 };

	(void)state;
	join(&c, &a, &s, &b, true);
	UNTIL(a.closed && b.closed);
	assert_string_equal(a.error.why, "authentication failed: the peer does not accept key 'a' for the role node");
	side_done(&c);
	side_done(&s);
}

static void any_key_of_the_file_lets_in(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_B "\n" KEY_A), c = side_of(PCORE_NET_NODE, i ? KEY_A : KEY_B);
		struct end a = { 0 }, b = { 0 };

		join_open(&c, &a, &s, &b, true);
		assert_string_equal(b.peer.name, i ? "a" : "b");
		ends_done(&a, &b);
		side_done(&c);
		side_done(&s);
	}
}

static void keys_can_be_changed_while_connections_stay(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 }, b = { 0 }, a2 = { 0 }, b2 = { 0 };
	struct pcore_net_keys *other = keys_of(KEY_B), *useless = keys_of(KEY_A_CLIENTS);

	(void)state;
	join_open(&c, &a, &s, &b, true);
	assert_int_equal(pcore_net_set_keys(s.net, other), 0);
	assert_int_equal(pcore_net_set_keys(c.net, useless), -ENOKEY);
	join(&c, &a2, &s, &b2, true);
	UNTIL(a2.closed && b2.closed);
	assert_int_equal(b2.error.code, -EKEYREJECTED);
	assert_int_equal(pcore_net_send(a.c, 256, 0, 1, "x", 1), 0);
	UNTIL(b.n_frames == 1);
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
	pcore_net_keys_free(other);
	pcore_net_keys_free(useless);
}

static void a_client_without_a_key_is_rejected(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	struct raw *r = raw_new(false);
	struct end e = { 0 };

	(void)state;
	raw_join(r, false, &s, &e);
	assert_false(raw_handshake(r, &e));
	r->fd = pcore_fd_close(r->fd);
	UNTIL(e.closed);
	assert_int_equal(e.opened, 0);
	assert_int_equal(e.error.code, -EKEYREJECTED);
	assert_string_equal(e.error.why, "authentication failed: the peer offers no key");
	raw_done(r);
	side_done(&s);
}

/* Known by its derivation: a client that is not ours gets in with the right key. */
static void the_key_of_a_role_is_derived_as_documented(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	struct raw *r = raw_new(false);
	struct end e = { 0 };

	(void)state;
	r->identity = "p1:a:node";
	derive(r->secret, 0, "a", "node");
	raw_join(r, false, &s, &e);
	assert_true(raw_handshake(r, &e));
	raw_say_hello(r, PCORE_NET_NODE);
	UNTIL(e.opened);
	assert_int_equal(e.peer.role, PCORE_NET_NODE);
	pcore_net_close(e.c);
	assert_int_equal(raw_drain(r, &e), 16 + 16 + 4); /* hello, BYE */
	r->fd = pcore_fd_close(r->fd);
	UNTIL(e.closed);
	raw_done(r);
	side_done(&s);
}

static void a_role_that_was_not_proven_is_refused(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	struct raw *r = raw_new(false);
	struct end e = { 0 };

	(void)state;
	r->identity = "p1:a:client";
	derive(r->secret, 0, "a", "client");
	raw_join(r, false, &s, &e);
	assert_true(raw_handshake(r, &e));
	raw_say_hello(r, PCORE_NET_ADMIN);
	(void)raw_drain(r, &e);
	r->fd = pcore_fd_close(r->fd);
	UNTIL(e.closed);
	assert_int_equal(e.opened, 0);
	assert_int_equal(e.error.code, -EACCES);
	assert_string_equal(e.error.why, "a peer says that its role is admin, but has proven to be client");
	raw_done(r);
	side_done(&s);
}

/* The secret of another role does not do, although both come from the same key. */
static void one_role_cannot_prove_another(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	struct raw *r = raw_new(false);
	struct end e = { 0 };

	(void)state;
	r->identity = "p1:a:admin";
	derive(r->secret, 0, "a", "client");
	raw_join(r, false, &s, &e);
	assert_false(raw_handshake(r, &e));
	r->fd = pcore_fd_close(r->fd);
	UNTIL(e.closed);
	assert_int_equal(e.error.code, -EKEYREJECTED);
	raw_done(r);
	side_done(&s);
}

/* What a stranger sees must not tell him which names of keys are good. */
static void all_bad_keys_fail_alike(void **state)
{
	static const struct {
		const char *identity, *kid, *role;
	} bad[] = {
		{ "p1:a:node", "a", "client" }, /* a wrong secret */
		{ "p1:b:node", "b", "node" },	/* an unknown name */
		{ "p1:c:node", "c", "node" },	/* the right secret, but for clients only */
	};
	unsigned long seen[ARRAY_SIZE(bad)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A "\nc:client:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
		struct raw *r = raw_new(false);
		struct end e = { 0 };

		r->identity = bad[i].identity;
		derive(r->secret, 0, bad[i].kid, bad[i].role);
		raw_join(r, false, &s, &e);
		assert_false(raw_handshake(r, &e));
		seen[i] = ERR_peek_error();
		assert_int_equal(seen[i], seen[0]);
		assert_true(ERR_GET_REASON(seen[i]) > SSL_AD_REASON_OFFSET);
		r->fd = pcore_fd_close(r->fd);
		UNTIL(e.closed);
		raw_done(r);
		side_done(&s);
	}
}

static void identities_that_are_none_are_rejected(void **state)
{
	static const char *const bad[] = { "p1:a", "p1:a:nobody", "p1::node", "p2:a:node", "a", "p1:a:node:x",
		"p1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:node" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
		struct raw *r = raw_new(false);
		struct end e = { 0 };

		r->identity = bad[i];
		derive(r->secret, 0, "a", "node");
		raw_join(r, false, &s, &e);
		assert_false(raw_handshake(r, &e));
		r->fd = pcore_fd_close(r->fd);
		UNTIL(e.closed);
		assert_int_equal(e.error.code, -EKEYREJECTED);
		raw_done(r);
		side_done(&s);
	}
}

/* ---- servers ---- */

/* OpenSSL's default would take it: the client would have spoken to anybody. */
static void a_server_with_a_certificate_instead_of_the_key_is_rejected(void **state)
{
	struct side c = side_of(PCORE_NET_CLIENT, KEY_A);
	struct raw *r = raw_new(true);
	struct end e = { 0 };

	(void)state;
	raw_self_signed(r);
	raw_join(r, true, &c, &e);
	(void)raw_handshake(r, &e);
	r->fd = pcore_fd_close(r->fd);
	UNTIL(e.closed);
	assert_int_equal(e.opened, 0);
	assert_int_equal(e.error.code, -EKEYREJECTED);
	assert_begins(e.error.why, handshake_failed);
	raw_done(r);
	side_done(&c);
}

static void a_client_offers_only_what_the_key_fits(void **state)
{
	struct side c = side_of(PCORE_NET_CLIENT, KEY_A);
	struct raw *r = raw_new(true);
	struct end e = { 0 };

	(void)state;
	raw_self_signed(r);
	raw_join(r, true, &c, &e);
	(void)raw_handshake(r, &e);
	/* TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256, and the mark that older servers look for */
	assert_true(r->n_suites == 4 || (r->n_suites == 6 && memcmp(r->suites + 4, "\0\377", 2) == 0));
	assert_memory_equal(r->suites, "\x13\x01\x13\x03", 4);
	assert_int_equal(r->n_kex_modes, 2);
	assert_memory_equal(r->kex_modes, "\1\1", 2); /* only with Diffie-Hellman */
	pcore_net_abort(e.c);
	UNTIL(e.closed);
	raw_done(r);
	side_done(&c);
}

static void no_forward_secrecy_is_given_up_and_no_ticket_is_sent(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	struct raw *r = raw_new(false);
	struct end e = { 0 };

	(void)state;
	SSL_CTX_set_options(r->ctx, SSL_OP_ALLOW_NO_DHE_KEX);
	r->identity = "p1:a:node";
	derive(r->secret, 0, "a", "node");
	raw_join(r, false, &s, &e);
	assert_true(raw_handshake(r, &e));
	assert_true(SSL_get_negotiated_group(r->ssl) > 0);
	raw_say_hello(r, PCORE_NET_NODE);
	UNTIL(e.opened);
	pcore_net_close(e.c);
	(void)raw_drain(r, &e);
	r->fd = pcore_fd_close(r->fd);
	UNTIL(e.closed);
	assert_int_equal(r->tickets, 0);
	assert_int_equal(SSL_SESSION_get_max_early_data(SSL_get_session(r->ssl)), 0);
	raw_done(r);
	side_done(&s);
}

/* ---- other versions and protocols ---- */

static void older_tls_is_named(void **state)
{
	(void)state;
	for (int serves = 0; serves < 2; serves++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
		struct raw *r = raw_new(serves);
		struct end e = { 0 };

		SSL_CTX_set_max_proto_version(r->ctx, TLS1_2_VERSION);
		raw_self_signed(r);
		raw_join(r, serves, &s, &e);
		assert_false(raw_handshake(r, &e));
		r->fd = pcore_fd_close(r->fd);
		UNTIL(e.closed);
		assert_int_equal(e.error.code, -EPROTONOSUPPORT);
		assert_string_equal(e.error.why, serves ? "the peer does not speak TLS 1.3" : "the peer speaks TLS 1.2 or older");
		raw_done(r);
		side_done(&s);
	}
}

static void another_application_protocol_is_refused(void **state)
{
	static const char *const protocols[] = { "\10http/1.1", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
		struct raw *r = raw_new(false);
		struct end e = { 0 };

		r->identity = "p1:a:node";
		derive(r->secret, 0, "a", "node");
		SSL_CTX_set_alpn_protos(r->ctx, (const unsigned char *)protocols[i], protocols[i] ? 9 : 0);
		raw_join(r, false, &s, &e);
		(void)raw_handshake(r, &e);
		r->fd = pcore_fd_close(r->fd);
		UNTIL(e.closed);
		assert_int_equal(e.opened, 0);
		assert_int_equal(e.error.code, -EPROTONOSUPPORT);
		assert_string_equal(e.error.why, "the peer does not speak pcore/1");
		raw_done(r);
		side_done(&s);
	}
}

/* Write bytes to one of our sides and close; it must say why it hung up. */
static void expect_garbage(const void *bytes, size_t len, enum pcore_net_mode mode, int code, const char *why)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	struct pcore_net_error error;
	struct end e = { 0 };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(pcore_net_adopt(&e.c, s.net, fds[1], mode, &end_ops, &e, &error), 0);
	assert_int_equal(write(fds[0], bytes, len), len);
	assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
	UNTIL(e.closed);
	assert_int_equal(e.opened, 0);
	if (why)
		assert_string_equal(e.error.why, why);
	if (code)
		assert_int_equal(e.error.code, code);
	assert_true(e.error.code < 0);
	pcore_fd_close(fds[0]);
	side_done(&s);
}

static void other_protocols_are_named(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", post[] = "POST /api HTTP/1.1\r\n\r\n", ssh[] = "SSH-2.0-OpenSSH_9.2\r\n";
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

	(void)state;
	expect_garbage(http, sizeof(http) - 1, PCORE_NET_TLS_SERVER, -EPROTO, "the peer speaks HTTP");
	expect_garbage(post, sizeof(post) - 1, PCORE_NET_TLS_SERVER, -EPROTO, "the peer speaks HTTP");
	expect_garbage(ssh, sizeof(ssh) - 1, PCORE_NET_TLS_SERVER, -EPROTO, "the peer speaks SSH");
	expect_garbage(answer, sizeof(answer) - 1, PCORE_NET_TLS_CLIENT, -EPROTO, "the peer speaks HTTP");
	expect_garbage(http, sizeof(http) - 1, PCORE_NET_PLAIN, -EPROTO, "the peer does not say hello");
}

static void random_bytes_end_a_connection(void **state)
{
	unsigned char bytes[512];
	unsigned x = 1;

	(void)state;
	for (int round = 0; round < 60; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			x = x * 1103515245 + 12345;
			bytes[i] = (unsigned char)(x >> 16);
		}
		if (round % 2) /* looks like a handshake for a while */
			memcpy(bytes, "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03", 11);
		expect_garbage(bytes, sizeof(bytes), (enum pcore_net_mode)(round / 2 % 3), 0, NULL);
	}
}

/* ---- on the way ---- */

static void a_flipped_bit_is_found(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		uint64_t handshake_len;

		for (int place = -1; place < 60; place += 3) {
			struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
			struct end a = { 0 }, b = { 0 };
			struct relay *r = relay_join(&c, &a, &s, &b, true);
			struct end *to = way ? &a : &b;

			UNTIL(a.opened && b.opened);
			handshake_len = r->way[way].passed;
			if (place >= 0)
				r->way[way].flip = handshake_len + 1 + (uint64_t)place;
			assert_int_equal(pcore_net_send(way ? b.c : a.c, 256, 0, 1, "twenty-four bytes, hello", 24), 0);
			UNTIL(to->n_frames > 0 || to->closed || (place >= 0 && r->way[way].passed >= handshake_len + 62));
			if (place < 0) {
				assert_int_equal(to->n_frames, 1);
				assert_int_equal(r->way[way].passed, handshake_len + 62);
			} else {
				pcore_net_abort(way ? b.c : a.c); /* a changed length would be waited for */
				UNTIL(to->closed);
				assert_int_equal(to->n_frames, 0);
				assert_true(to->error.code < 0);
			}
			ends_done(&a, &b);
			relay_done(r);
			side_done(&c);
			side_done(&s);
		}
	}
}

static void a_recorded_session_is_of_no_use(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 }, b = { 0 }, e = { 0 };
	struct relay *r = relay_join(&c, &a, &s, &b, true);
	struct pcore_net_error error;
	int fds[2];

	(void)state;
	UNTIL(a.opened && b.opened);
	assert_int_equal(pcore_net_send(a.c, 256, 0, 1, "do it", 5), 0);
	UNTIL(b.n_frames == 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(pcore_net_adopt(&e.c, s.net, fds[1], PCORE_NET_TLS_SERVER, &end_ops, &e, &error), 0);
	assert_int_equal(write(fds[0], r->way[0].kept, (size_t)r->way[0].passed), r->way[0].passed);
	assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
	UNTIL(e.closed);
	assert_int_equal(e.opened, 0);
	assert_int_equal(e.n_frames, 0);
	assert_true(e.error.code < 0);
	pcore_fd_close(fds[0]);
	ends_done(&a, &b);
	relay_done(r);
	side_done(&c);
	side_done(&s);
}

static void records_may_come_byte_by_byte(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 }, b = { 0 };
	struct relay *r = relay_join(&c, &a, &s, &b, true);
	static char body[5000];

	(void)state;
	r->way[0].slow = r->way[1].slow = true;
	UNTIL(a.opened && b.opened);
	memset(body, 'y', sizeof(body));
	assert_int_equal(pcore_net_send(b.c, 256, 0, 1, body, sizeof(body)), 0);
	UNTIL(a.n_frames == 1);
	assert_int_equal(a.frame[0].len, sizeof(body));
	ends_done(&a, &b);
	relay_done(r);
	side_done(&c);
	side_done(&s);
}

/* ---- ends ---- */

static void an_end_without_a_goodbye_is_a_cut(void **state)
{
	(void)state;
	for (int notify = 0; notify < 2; notify++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A);
		struct raw *r = raw_new(false);
		struct end e = { 0 };

		r->identity = "p1:a:node";
		derive(r->secret, 0, "a", "node");
		raw_join(r, false, &s, &e);
		assert_true(raw_handshake(r, &e));
		raw_say_hello(r, PCORE_NET_NODE);
		UNTIL(e.opened);
		if (notify)
			(void)SSL_shutdown(r->ssl);
		else
			r->fd = pcore_fd_close(r->fd);
		UNTIL(e.closed);
		assert_int_equal(e.error.code, -ECONNRESET);
		raw_done(r);
		side_done(&s);
	}
}

static void one_peers_errors_are_not_taken_for_anothers(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
	struct end a = { 0 }, b = { 0 };

	(void)state;
	join_open(&c, &a, &s, &b, true);
	for (unsigned i = 1; i <= 5; i++) {
		ERR_raise(ERR_LIB_SSL, SSL_R_BAD_PACKET); /* as a failed peer leaves behind */
		assert_int_equal(pcore_net_send(i % 2 ? a.c : b.c, 256, 0, i, "x", 1), 0);
		UNTIL(a.n_frames + b.n_frames == i);
	}
	ERR_raise(ERR_LIB_SSL, SSL_R_BAD_PACKET);
	ends_done(&a, &b);
	assert_int_equal(a.error.code, 0);
	assert_int_equal(b.error.code, 0);
	side_done(&c);
	side_done(&s);
}

/* ---- new keys, exported keys ---- */

static void keys_are_renewed_after_so_many_records(void **state)
{
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits.rekey_records = 4 });
	struct raw *r = raw_new(false);
	struct end e = { 0 };
	char buf[64];
	size_t n;

	(void)state;
	r->identity = "p1:a:node";
	derive(r->secret, 0, "a", "node");
	raw_join(r, false, &s, &e);
	assert_true(raw_handshake(r, &e));
	raw_say_hello(r, PCORE_NET_NODE);
	UNTIL(e.opened);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(pcore_net_send(e.c, 256, 0, 1, "x", 1), 0);
		UNTIL(pcore_net_queued(e.c) == 0);
		while (SSL_read_ex(r->ssl, buf, sizeof(buf), &n) == 1)
			;
		raw_write(r, "\1\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0y", 17); /* and the answering KeyUpdate with it */
		UNTIL(e.n_frames == i + 1);
	}
	assert_int_equal(r->key_updates, 3); /* the hello was a record too */
	pcore_net_abort(e.c);
	UNTIL(e.closed);
	raw_done(r);
	side_done(&s);
}

static void new_keys_both_ways_lose_nothing(void **state)
{
	struct pcore_net_limits often = { .rekey_bytes = 20000 }, soon = { .rekey_ns = 1 };
	struct side s = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_SCHEDULER, .limits = often });
	struct side c = side_with(KEY_A, &(struct pcore_net_spec){ .role = PCORE_NET_NODE, .limits = soon });
	static char body[100000];
	struct end a = { 0 }, b = { 0 };
	uint64_t sum = 0;

	(void)state;
	join_open(&c, &a, &s, &b, true);
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 7);
	for (unsigned round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(body); i++)
			sum = sum * 31 + (unsigned char)body[i];
		assert_true(pcore_net_send(a.c, 256, 0, round, body, sizeof(body)) >= 0);
		assert_true(pcore_net_send(b.c, 256, 0, round, body, sizeof(body)) >= 0);
		turn();
	}
	UNTIL(a.n_frames == 20 && b.n_frames == 20);
	assert_true(a.sum == sum);
	assert_true(b.sum == sum);
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
}

static void both_ends_export_the_same_and_each_session_something_else(void **state)
{
	uint8_t x[2][PCORE_NET_EXPORT], y[PCORE_NET_EXPORT];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct side s = side_of(PCORE_NET_SCHEDULER, KEY_A), c = side_of(PCORE_NET_NODE, KEY_A);
		struct end a = { 0 }, b = { 0 };

		join_open(&c, &a, &s, &b, true);
		assert_int_equal(pcore_net_export(a.c, x[i]), 0);
		assert_int_equal(pcore_net_export(b.c, y), 0);
		assert_memory_equal(x[i], y, sizeof(y));
		ends_done(&a, &b);
		side_done(&c);
		side_done(&s);
	}
	assert_memory_not_equal(x[0], x[1], sizeof(y));
}

static void there_is_nothing_to_export_without_tls(void **state)
{
	struct side s = side_of(PCORE_NET_SCHEDULER, NULL), c = side_of(PCORE_NET_NODE, NULL);
	struct end a = { 0 }, b = { 0 };
	uint8_t x[PCORE_NET_EXPORT];

	(void)state;
	join_open(&c, &a, &s, &b, false);
	assert_int_equal(pcore_net_export(a.c, x), -EOPNOTSUPP);
	ends_done(&a, &b);
	side_done(&c);
	side_done(&s);
}

static const struct CMUnitTest tests[] = {
	NET_TEST(a_wrong_key_is_rejected_by_name),
	NET_TEST(an_unknown_key_is_rejected_by_name),
	NET_TEST(a_key_is_only_good_for_its_roles),
	NET_TEST(the_client_is_told_which_key_was_not_accepted),
	NET_TEST(any_key_of_the_file_lets_in),
	NET_TEST(keys_can_be_changed_while_connections_stay),
	NET_TEST(a_client_without_a_key_is_rejected),
	NET_TEST(the_key_of_a_role_is_derived_as_documented),
	NET_TEST(a_role_that_was_not_proven_is_refused),
	NET_TEST(one_role_cannot_prove_another),
	NET_TEST(all_bad_keys_fail_alike),
	NET_TEST(identities_that_are_none_are_rejected),
	NET_TEST(a_server_with_a_certificate_instead_of_the_key_is_rejected),
	NET_TEST(a_client_offers_only_what_the_key_fits),
	NET_TEST(no_forward_secrecy_is_given_up_and_no_ticket_is_sent),
	NET_TEST(older_tls_is_named),
	NET_TEST(another_application_protocol_is_refused),
	NET_TEST(other_protocols_are_named),
	NET_TEST(random_bytes_end_a_connection),
	NET_TEST(a_flipped_bit_is_found),
	NET_TEST(a_recorded_session_is_of_no_use),
	NET_TEST(records_may_come_byte_by_byte),
	NET_TEST(an_end_without_a_goodbye_is_a_cut),
	NET_TEST(one_peers_errors_are_not_taken_for_anothers),
	NET_TEST(keys_are_renewed_after_so_many_records),
	NET_TEST(new_keys_both_ways_lose_nothing),
	NET_TEST(both_ends_export_the_same_and_each_session_something_else),
	NET_TEST(there_is_nothing_to_export_without_tls),
};

int main(void)
{
	return RUN_TESTS(tests);
}
