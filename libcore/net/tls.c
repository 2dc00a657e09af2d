/* SPDX-License-Identifier: MIT */
/*
 * tls.c - one TLS session over memory: ciphertext is fed in and queued out, and nothing here knows a socket.
 *
 * OpenSSL keeps one queue of errors for a thread: it is emptied before each call, or one peer's error would be taken for that
 * of the next.
 */
#include "libcore/net/tls.h"

#include <string.h>

static const char export_label[] = "EXPORTER-pcore";

enum { RECORD_MAX = 16 * 1024, OUT_MAX = 64 * 1024 * 1024 };

/* ---- the memory BIO ---- */

static int bio_read(BIO *bio, char *buf, int len)
{
	struct net_tls *t = ossl.BIO_get_data(bio);
	size_t n = (size_t)len < t->in_len ? (size_t)len : t->in_len;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio); /* nothing yet; the end is for the connection to tell */
		return -1;
	}
	memcpy(buf, t->in, n);
	t->in += n;
	t->in_len -= n;
	return (int)n;
}

static int bio_write(BIO *bio, const char *buf, int len)
{
	struct net_tls *t = ossl.BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	return pcore_buf_add(&t->out.buf, buf, (size_t)len) < 0 ? -1 : len;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

BIO_METHOD *net_tls_bio(void)
{
	BIO_METHOD *m = ossl.BIO_meth_new(BIO_TYPE_SOURCE_SINK, "pcore");

	if (m && ossl.BIO_meth_set_read(m, bio_read) == 1 && ossl.BIO_meth_set_write(m, bio_write) == 1 && ossl.BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		return m;
	ossl.BIO_meth_free(m);
	return NULL;
}

/* ---- sessions ---- */

int net_tls_new(struct net_tls **ret, struct net_tls_ctx *x, bool server, const struct pcore_net_limits *limits)
{
	struct net_tls *t = calloc(1, sizeof(*t));
	BIO *bio = NULL;

	if (t) {
		t->ssl = ossl.SSL_new(x->ssl);
		bio = ossl.BIO_new(x->bio);
	}
	if (!t || !t->ssl || !bio) {
		ossl.BIO_free(bio);
		net_tls_free(t);
		return -ENOMEM;
	}
	t->ctx = x;
	t->server = server;
	t->limits = limits;
	t->out.buf.max = OUT_MAX;
	ossl.BIO_set_data(bio, t);
	ossl.BIO_set_init(bio, 1);
	ossl.SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	/* A client that does not ask for a proof takes any server. A server asks for a certificate where it has an authority. */
	if (!server || !x->keys)
		ossl.SSL_set_verify(t->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, x->keys ? NULL : net_tls_verify);
	if (server)
		ossl.SSL_set_accept_state(t->ssl);
	else
		ossl.SSL_set_connect_state(t->ssl);
	*ret = t;
	return 0;
}

void net_tls_free(struct net_tls *t)
{
	if (!t)
		return;
	ossl.SSL_free(t->ssl);
	pcore_buf_done(&t->out.buf);
	free(t);
	ossl.ERR_clear_error();
}

void net_tls_feed(struct net_tls *t, const void *data, size_t len)
{
	size_t n = sizeof(t->first) - t->n_first;

	assert(t->in_len == 0);

	t->in = data;
	t->in_len = len;
	if (n > len)
		n = len;
	memcpy(t->first + t->n_first, data, n);
	t->n_first += n;
}

/* ---- what went wrong ---- */

static bool begins(const struct net_tls *t, const char *with)
{
	size_t len = strlen(with);

	return t->n_first >= len && memcmp(t->first, with, len) == 0;
}

/* Somebody who speaks another protocol? */
static const char *other_protocol(const struct net_tls *t)
{
	static const char *const http[] = { "GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ", "CONNECT ", "PRI * ", "HTTP/" };

	for (size_t i = 0; i < ARRAY_SIZE(http); i++)
		if (begins(t, http[i]))
			return "HTTP";
	return begins(t, "SSH-") ? "SSH" : NULL;
}

static int alert_error(const struct net_tls *t, int alert, struct pcore_net_error *err)
{
	switch (alert) {
	case SSL_AD_PROTOCOL_VERSION:
		return net_error(err, -EPROTONOSUPPORT, "the peer does not speak TLS 1.3");
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return net_error(err, -EPROTONOSUPPORT, "the peer does not speak pcore/1");
	case SSL_AD_BAD_RECORD_MAC:
	case SSL_AD_INTERNAL_ERROR:
		return net_error(err, -EBADMSG, "the peer gave up: %s", ossl.SSL_alert_desc_string_long(alert));
	default:
		break;
	}
	if (t->ctx->keys && !t->server)
		return net_error(err, -EKEYREJECTED, "authentication failed: the peer does not accept key '%s' for the role %s",
			t->peer.name, pcore_net_role_name(t->ctx->role));
	return net_error(err, -EKEYREJECTED, "authentication failed: the peer does not accept our %s (%s)",
		t->ctx->keys ? "key" : "certificate", ossl.SSL_alert_desc_string_long(alert));
}

static int key_error(const struct net_tls *t, struct pcore_net_error *err)
{
	switch (t->note) {
	case NET_TLS_NOTHING:
		break;
	case NET_TLS_UNKNOWN_KEY:
		return net_error(err, -EKEYREJECTED, "authentication failed: key '%s' is not known", t->peer.name);
	case NET_TLS_WRONG_ROLE:
		return net_error(err, -EACCES, "authentication failed: key '%s' is not for the role %s", t->peer.name,
			pcore_net_role_name(t->peer.role));
	case NET_TLS_KNOWN_KEY:
		return net_error(err, -EKEYREJECTED, "authentication failed: the peer has another key '%s'", t->peer.name);
	}
	return net_error(err, -EKEYREJECTED, "authentication failed: the peer offers no key");
}

static int cert_error(const struct net_tls *t, struct pcore_net_error *err)
{
	long why = ossl.SSL_get_verify_result(t->ssl);

	if (why == X509_V_ERR_APPLICATION_VERIFICATION)
		return net_error(err, -EKEYREJECTED, "the peer's certificate names no role (a SAN of URI:pnode:ROLE:NAME)");
	return net_error(err, -EKEYREJECTED, "authentication failed: the peer's certificate: %s", ossl.X509_verify_cert_error_string(why));
}

static int tls_error(const struct net_tls *t, struct pcore_net_error *err)
{
	unsigned long e = ossl.ERR_peek_error();
	int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
	const char *other = other_protocol(t), *text = e ? ossl.ERR_reason_error_string(e) : NULL;

	if (other && !t->done)
		return net_error(err, -EPROTO, "the peer speaks %s", other);
	if (reason > SSL_AD_REASON_OFFSET)
		return alert_error(t, reason - SSL_AD_REASON_OFFSET, err);
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
		return net_error(err, -EPROTONOSUPPORT, "the peer speaks TLS 1.2 or older");
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return net_error(err, -EPROTONOSUPPORT, "the peer does not speak pcore/1");
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return cert_error(t, err);
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return net_error(err, -EKEYREJECTED, "authentication failed: the peer has no certificate");
	case SSL_R_BINDER_DOES_NOT_VERIFY:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
		return t->ctx->keys && t->server ? key_error(t, err) : net_error(err, -EKEYREJECTED, "authentication failed: %s", text);
	default:
		return net_error(err, t->done ? -EBADMSG : -EPROTO, "%s: %s", t->done ? "a damaged record" : "no TLS handshake",
			text ? text : "out of memory");
	}
}

/* ---- the handshake ---- */

/* TLS is content; are we? */
static int check_peer(struct net_tls *t, struct pcore_net_error *err)
{
	const unsigned char *alpn = NULL;
	unsigned len = 0;

	ossl.SSL_get0_alpn_selected(t->ssl, &alpn, &len);
	if (len != sizeof(net_tls_alpn) - 1 || memcmp(alpn, net_tls_alpn + 1, len) != 0)
		return net_error(err, -EPROTONOSUPPORT, "the peer does not speak pcore/1");
	if (!t->ctx->keys)
		return 0; /* net_tls_verify() was */
	/* A server without the key can go on with a certificate instead; then the key was not used. */
	if (ossl.SSL_session_reused(t->ssl) != 1)
		return t->server ? key_error(t, err) : net_error(err, -EKEYREJECTED, "authentication failed: the peer has not used the key");
	return 0;
}

int net_tls_handshake(struct net_tls *t, struct pcore_net_error *err)
{
	int r, why;

	assert(!t->done);

	ossl.ERR_clear_error();
	r = ossl.SSL_do_handshake(t->ssl);
	if (r != 1) {
		why = ossl.SSL_get_error(t->ssl, r);
		return why == SSL_ERROR_WANT_READ ? 0 : tls_error(t, err);
	}
	r = check_peer(t, err);
	if (r < 0)
		return r;
	t->done = true;
	return 1;
}

/* ---- data ---- */

ssize_t net_tls_read(struct net_tls *t, void *buf, size_t len, struct pcore_net_error *err)
{
	size_t n;
	int r;

	ossl.ERR_clear_error();
	r = ossl.SSL_read_ex(t->ssl, buf, len, &n);
	if (r == 1)
		return (ssize_t)n;
	switch (ossl.SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return -ENODATA;
	default:
		return tls_error(t, err);
	}
}

static int rekey_if_due(struct net_tls *t, int64_t now)
{
	const struct pcore_net_limits *max = t->limits;

	if (t->keyed_at == 0)
		t->keyed_at = now;
	if (t->records < max->rekey_records && t->bytes < max->rekey_bytes && now - t->keyed_at < max->rekey_ns)
		return 0;
	ossl.ERR_clear_error();
	if (ossl.SSL_key_update(t->ssl, SSL_KEY_UPDATE_REQUESTED) != 1)
		return -EIO;
	t->records = t->bytes = 0;
	t->keyed_at = now;
	return 0;
}

int net_tls_write(struct net_tls *t, const void *buf, size_t len, int64_t now, struct pcore_net_error *err)
{
	const char *p = buf;
	size_t n;
	int r;

	for (; len > 0; p += n, len -= n) {
		r = rekey_if_due(t, now);
		if (r < 0)
			return tls_error(t, err);
		ossl.ERR_clear_error();
		if (ossl.SSL_write_ex(t->ssl, p, len < RECORD_MAX ? len : RECORD_MAX, &n) != 1)
			return tls_error(t, err);
		t->records++;
		t->bytes += n;
	}
	return 0;
}

void net_tls_close(struct net_tls *t)
{
	ossl.ERR_clear_error();
	if (t->done)
		(void)ossl.SSL_shutdown(t->ssl); /* the queue takes it, or there is no memory for it */
}

struct net_bytes *net_tls_queue(struct net_tls *t)
{
	return &t->out;
}

const struct net_tls_peer *net_tls_peer(const struct net_tls *t)
{
	return &t->peer;
}

int net_tls_export(struct net_tls *t, uint8_t ret[static PCORE_NET_EXPORT])
{
	ossl.ERR_clear_error();
	if (!t->done)
		return -ENOTCONN;
	return ossl.SSL_export_keying_material(t->ssl, ret, PCORE_NET_EXPORT, export_label, sizeof(export_label) - 1, NULL, 0, 0) == 1 ? 0 : -EIO;
}
