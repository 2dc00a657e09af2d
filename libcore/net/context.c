/* SPDX-License-Identifier: MIT */
/*
 * context.c - what all TLS sessions of a program have in common: TLS 1.3 and nothing older, the key or the certificate.
 *
 * A key is a TLS pre-shared key with (elliptic-curve) Diffie-Hellman: the identity is `p1:<kid>:<role>', the secret
 * HKDF-SHA256(key, "pcore v1 " kid role). One that is not known gets a random secret, so that a peer that guesses learns nothing from how
 * it fails. Tickets, early data, and key exchange without Diffie-Hellman are off.
 */
#include "libcore/net/tls.h"

#include <string.h>

/* Keys of TLS are bound to one hash, SHA-256: TLS_AES_256_GCM_SHA384 would not take ours. */
static const char suites[] = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
static const unsigned char psk_suite[2] = { 0x13, 0x01 };
static const unsigned char session_context[] = "pcore";
static const char san_prefix[] = "pnode:";

const char net_tls_alpn[8] = "\7pcore/1";

/* ---- pre-shared keys ---- */

static int derive(const struct net_key *key, enum pcore_net_role role, uint8_t ret[static NET_SECRET])
{
	EVP_KDF *kdf = ossl.EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *x = kdf ? ossl.EVP_KDF_CTX_new(kdf) : NULL;
	char info[NET_IDENTITY_MAX], digest[] = "SHA256";
	OSSL_PARAM params[4];
	int len, ok;

	len = snprintf(info, sizeof(info), "pcore v1 %s%s", key->kid, pcore_net_role_name(role));
	params[0] = ossl.OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	params[1] = ossl.OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key->secret, NET_SECRET);
	params[2] = ossl.OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, (size_t)len);
	params[3] = ossl.OSSL_PARAM_construct_end();
	ok = x && ossl.EVP_KDF_derive(x, ret, NET_SECRET, params) == 1;
	ossl.EVP_KDF_CTX_free(x);
	ossl.EVP_KDF_free(kdf);
	return ok ? 0 : -EIO;
}

/* The session that TLS 1.3 wants a key in. Its context has to be the one that the SSL has, or a server that verifies fails. */
static SSL_SESSION *session_new(SSL *ssl, const uint8_t secret[static NET_SECRET])
{
	SSL_SESSION *s = ossl.SSL_SESSION_new();

	if (s && ossl.SSL_SESSION_set1_master_key(s, secret, NET_SECRET) == 1 &&
		ossl.SSL_SESSION_set_cipher(s, ossl.SSL_CIPHER_find(ssl, psk_suite)) == 1 &&
		ossl.SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION) == 1 &&
		ossl.SSL_SESSION_set1_id_context(s, session_context, sizeof(session_context) - 1) == 1)
		return s;
	ossl.SSL_SESSION_free(s);
	return NULL;
}

static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len, SSL_SESSION **ret)
{
	struct net_tls *t = SSL_get_app_data(ssl);
	const struct net_key *key = net_key_for(t->ctx->keys, t->ctx->role);
	uint8_t secret[NET_SECRET];

	*ret = NULL;
	*id = NULL;
	*id_len = 0;
	if (!key || (md && !ossl.EVP_MD_is_a(md, "SHA256")) || derive(key, t->ctx->role, secret) < 0)
		return key == NULL;
	strcpy(t->peer.name, key->kid);
	*ret = session_new(ssl, secret);
	explicit_bzero(secret, sizeof(secret));
	*id_len = (size_t)net_identity_print(t->identity, key->kid, t->ctx->role);
	*id = (const unsigned char *)t->identity;
	return *ret != NULL;
}

static int find_session(SSL *ssl, const unsigned char *id, size_t id_len, SSL_SESSION **ret)
{
	struct net_tls *t = SSL_get_app_data(ssl);
	const struct net_key *key = NULL;
	enum pcore_net_role role;
	uint8_t secret[NET_SECRET];
	int r;

	*ret = NULL;
	t->note = NET_TLS_UNKNOWN_KEY;
	if (net_identity_parse(id, id_len, t->peer.name, &role) == 0) {
		t->peer.role = role;
		key = net_key_find(t->ctx->keys, t->peer.name);
	}
	if (key)
		t->note = key->roles & PCORE_NET_ROLE_BIT(role) ? NET_TLS_KNOWN_KEY : NET_TLS_WRONG_ROLE;
	if (t->note == NET_TLS_KNOWN_KEY)
		r = derive(key, role, secret);
	else
		r = net_random(secret, sizeof(secret));
	if (r == 0)
		*ret = session_new(ssl, secret);
	explicit_bzero(secret, sizeof(secret));
	return *ret != NULL;
}

/* ---- certificates ---- */

static int bad_file(struct pcore_net_error *err, const char *what, const char *path)
{
	unsigned long e = ossl.ERR_peek_last_error();
	const char *reason = e ? ossl.ERR_reason_error_string(e) : NULL;
	char name[PCORE_NET_WHY_MAX / 2];

	(void)pcore_escape(name, sizeof(name), path, strlen(path));
	return net_error(err, -EBADMSG, "cannot use the %s '%s': %s", what, name, reason ? reason : "it cannot be read");
}

static int use_private_key(SSL_CTX *ssl, const char *path, struct pcore_net_error *err)
{
	_cleanup_(freep) char *text = NULL;
	struct pcore_net_error why;
	char name[PCORE_NET_WHY_MAX / 3];
	EVP_PKEY *key;
	size_t len;
	BIO *bio;
	int r = net_secret_read(path, &text, &len, &why);
	bool ok;

	(void)pcore_escape(name, sizeof(name), path, strlen(path));
	if (r < 0)
		return net_error(err, r, "cannot use the private key '%s': %.*s", name, PCORE_NET_WHY_MAX / 2, why.why);
	bio = ossl.BIO_new_mem_buf(text, (int)len);
	key = bio ? ossl.PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	ok = key && ossl.SSL_CTX_use_PrivateKey(ssl, key) == 1;
	ossl.EVP_PKEY_free(key);
	ossl.BIO_free(bio);
	explicit_bzero(text, len);
	return ok ? 0 : bad_file(err, "private key", path);
}

static int use_certificates(SSL_CTX *ssl, const struct pcore_net_spec *spec, struct pcore_net_error *err)
{
	int r;

	if (ossl.SSL_CTX_use_certificate_chain_file(ssl, spec->tls_cert) != 1)
		return bad_file(err, "certificate", spec->tls_cert);
	r = use_private_key(ssl, spec->tls_key, err);
	if (r < 0)
		return r;
	if (ossl.SSL_CTX_load_verify_file(ssl, spec->tls_ca) != 1)
		return bad_file(err, "authority's certificate", spec->tls_ca);
	return 0;
}

/* `pnode:ROLE:NAME' */
static bool parse_san(const char *uri, size_t len, struct net_tls_peer *ret)
{
	char copy[sizeof(san_prefix) + 16 + PCORE_NET_NAME_MAX] = "", *name, *role = copy + sizeof(san_prefix) - 1;
	int number;

	if (len >= sizeof(copy) || memchr(uri, '\0', len))
		return false;
	memcpy(copy, uri, len);
	name = strchr(role, ':');
	if (strncmp(copy, san_prefix, sizeof(san_prefix) - 1) != 0 || !name)
		return false;
	*name++ = '\0';
	number = pcore_net_role_parse(role);
	if (number < 0 || name[0] == '\0' || strlen(name) > PCORE_NET_NAME_MAX)
		return false;
	ret->role = (enum pcore_net_role)number;
	(void)pcore_escape(ret->name, sizeof(ret->name), name, strlen(name));
	return true;
}

/* Within the handshake, so that OpenSSL tells a peer whose certificate names no role that it will not do. */
int net_tls_verify(int ok, X509_STORE_CTX *x)
{
	SSL *ssl = ossl.X509_STORE_CTX_get_ex_data(x, ossl.SSL_get_ex_data_X509_STORE_CTX_idx());
	struct net_tls *t = SSL_get_app_data(ssl);
	GENERAL_NAMES *names;
	bool found = false;

	if (!ok || ossl.X509_STORE_CTX_get_error_depth(x) > 0)
		return ok;
	names = ossl.X509_get_ext_d2i(ossl.X509_STORE_CTX_get_current_cert(x), NID_subject_alt_name, NULL, NULL);
	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_URI)
			found = parse_san((const char *)ossl.ASN1_STRING_get0_data(name->d.ia5),
				(size_t)ossl.ASN1_STRING_length(name->d.ia5), &t->peer);
	}
	ossl.GENERAL_NAMES_free(names);
	if (!found)
		ossl.X509_STORE_CTX_set_error(x, X509_V_ERR_APPLICATION_VERIFICATION);
	return found;
}

/* ---- the context ---- */

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned int in_len, void *arg)
{
	unsigned char *chosen;
	(void)ssl;
	(void)arg;

	if (ossl.SSL_select_next_proto(&chosen, out_len, (const unsigned char *)net_tls_alpn, sizeof(net_tls_alpn), in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool set_up(SSL_CTX *ssl)
{
	ossl.SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	ossl.SSL_CTX_set_alpn_select_cb(ssl, select_alpn, NULL);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 && SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	       ossl.SSL_CTX_set_ciphersuites(ssl, suites) == 1 && SSL_CTX_set1_groups_list(ssl, "X25519:P-256") == 1 &&
	       ossl.SSL_CTX_set_num_tickets(ssl, 0) == 1 && ossl.SSL_CTX_set_max_early_data(ssl, 0) == 1 &&
	       ossl.SSL_CTX_set_session_id_context(ssl, session_context, sizeof(session_context) - 1) == 1 &&
	       ossl.SSL_CTX_set_alpn_protos(ssl, (const unsigned char *)net_tls_alpn, sizeof(net_tls_alpn)) == 0;
}

int net_tls_ctx_new(struct net_tls_ctx **ret, const struct pcore_net_spec *spec, struct pcore_net_error *err)
{
	struct net_tls_ctx *x;
	int r = net_openssl_load(err);

	if (r < 0)
		return r;
	ossl.ERR_clear_error();
	x = calloc(1, sizeof(*x));
	if (x) {
		x->keys = spec->keys;
		x->role = spec->role;
		x->ssl = ossl.SSL_CTX_new(ossl.TLS_method());
		x->bio = net_tls_bio();
	}
	if (!x || !x->ssl || !x->bio || !set_up(x->ssl))
		r = net_error(err, -ENOMEM, "cannot set TLS up");
	else if (!spec->keys)
		r = use_certificates(x->ssl, spec, err);
	if (r < 0) {
		net_tls_ctx_free(x);
		return r;
	}
	if (spec->keys) {
		ossl.SSL_CTX_set_psk_use_session_callback(x->ssl, use_session);
		ossl.SSL_CTX_set_psk_find_session_callback(x->ssl, find_session);
	}
	*ret = x;
	return 0;
}

void net_tls_ctx_free(struct net_tls_ctx *x)
{
	if (!x)
		return;
	ossl.SSL_CTX_free(x->ssl);
	ossl.BIO_meth_free(x->bio);
	free(x);
}

int net_tls_ctx_set_keys(struct net_tls_ctx *x, const struct pcore_net_keys *keys)
{
	if (!x->keys)
		return -EINVAL; /* certificates */
	x->keys = keys;
	return 0;
}
