/* SPDX-License-Identifier: MIT */
/*
 * openssl.h - OpenSSL, which is opened when the first TLS context is made: loading it takes longer than all else that a short
 * program does, and on a Unix socket there is no TLS.
 *
 * No program is linked with it. Its functions are called through the table `ossl'; one that is called by its bare name does not
 * link, and belongs in the list. OpenSSL's macros are used as they are.
 */
#ifndef PCORE_NET_OPENSSL_H
#define PCORE_NET_OPENSSL_H

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "libcore/net/private.h"

/* clang-format off */
#define NET_OPENSSL_FUNCTIONS(X) \
	X(ASN1_STRING_get0_data) X(ASN1_STRING_length) X(BIO_clear_flags) X(BIO_free) X(BIO_get_data) X(BIO_meth_free) \
	X(BIO_meth_new) X(BIO_meth_set_ctrl) X(BIO_meth_set_read) X(BIO_meth_set_write) X(BIO_new) X(BIO_new_mem_buf) \
	X(BIO_set_data) X(BIO_set_flags) X(BIO_set_init) X(ERR_clear_error) X(ERR_peek_error) X(ERR_peek_last_error) \
	X(ERR_reason_error_string) X(EVP_KDF_CTX_free) X(EVP_KDF_CTX_new) X(EVP_KDF_derive) X(EVP_KDF_fetch) X(EVP_KDF_free) \
	X(EVP_MD_is_a) X(EVP_PKEY_free) X(GENERAL_NAMES_free) X(OPENSSL_sk_num) X(OPENSSL_sk_value) \
	X(OSSL_PARAM_construct_end) X(OSSL_PARAM_construct_octet_string) X(OSSL_PARAM_construct_utf8_string) \
	X(PEM_read_bio_PrivateKey) X(SSL_CIPHER_find) X(SSL_CTX_ctrl) X(SSL_CTX_free) X(SSL_CTX_load_verify_file) \
	X(SSL_CTX_new) X(SSL_CTX_set_alpn_protos) X(SSL_CTX_set_alpn_select_cb) X(SSL_CTX_set_ciphersuites) \
	X(SSL_CTX_set_max_early_data) X(SSL_CTX_set_num_tickets) X(SSL_CTX_set_options) \
	X(SSL_CTX_set_psk_find_session_callback) X(SSL_CTX_set_psk_use_session_callback) X(SSL_CTX_set_session_id_context) \
	X(SSL_CTX_use_PrivateKey) X(SSL_CTX_use_certificate_chain_file) X(SSL_SESSION_free) X(SSL_SESSION_new) \
	X(SSL_SESSION_set1_id_context) X(SSL_SESSION_set1_master_key) X(SSL_SESSION_set_cipher) \
	X(SSL_SESSION_set_protocol_version) X(SSL_alert_desc_string_long) X(SSL_do_handshake) X(SSL_export_keying_material) \
	X(SSL_free) X(SSL_get0_alpn_selected) X(SSL_get_error) X(SSL_get_ex_data) X(SSL_get_ex_data_X509_STORE_CTX_idx) \
	X(SSL_get_verify_result) X(SSL_key_update) X(SSL_new) X(SSL_read_ex) X(SSL_select_next_proto) X(SSL_session_reused) \
	X(SSL_set_accept_state) X(SSL_set_bio) X(SSL_set_connect_state) X(SSL_set_ex_data) X(SSL_set_verify) X(SSL_shutdown) \
	X(SSL_write_ex) X(TLS_method) X(X509_STORE_CTX_get_current_cert) X(X509_STORE_CTX_get_error_depth) \
	X(X509_STORE_CTX_get_ex_data) X(X509_STORE_CTX_set_error) X(X509_get_ext_d2i) X(X509_verify_cert_error_string)
/* clang-format on */

struct net_openssl {
#define NET_OPENSSL_MEMBER(name) typeof(name) *name;
	NET_OPENSSL_FUNCTIONS(NET_OPENSSL_MEMBER)
#undef NET_OPENSSL_MEMBER
};

/* Empty before net_openssl_load() has been successful, and never changed after that. */
extern struct net_openssl ossl;

/* Safe in any thread; once it is there, it stays to the end of the process. -ELIBACC: it is missing, or not complete. */
int net_openssl_load(struct pcore_net_error *err);

/* What macros of OpenSSL call. */
#define BIO_clear_flags(...) (ossl.BIO_clear_flags)(__VA_ARGS__)
#define BIO_set_flags(...) (ossl.BIO_set_flags)(__VA_ARGS__)
#define OPENSSL_sk_num(...) (ossl.OPENSSL_sk_num)(__VA_ARGS__)
#define OPENSSL_sk_value(...) (ossl.OPENSSL_sk_value)(__VA_ARGS__)
#define SSL_CTX_ctrl(...) (ossl.SSL_CTX_ctrl)(__VA_ARGS__)
#define SSL_get_ex_data(...) (ossl.SSL_get_ex_data)(__VA_ARGS__)
#define SSL_set_ex_data(...) (ossl.SSL_set_ex_data)(__VA_ARGS__)

#endif
