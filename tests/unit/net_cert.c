/* SPDX-License-Identifier: MIT */
/*
 * net_cert.c - tests of TLS with certificates instead of a key. The authorities and certificates are made here.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "tests/unit/net_support.h"

static char dir[] = "/tmp/pcore-net_cert.XXXXXX";

/* What is in the directory: NAME.pem, NAME.key. */
enum { N_FILES = 16 };
static char files[N_FILES][64];
static size_t n_files;

static const char *new_file(const char *name, const char *suffix)
{
	assert_true(n_files < N_FILES);
	snprintf(files[n_files], sizeof(files[0]), "%s/%s.%s", dir, name, suffix);
	return files[n_files++];
}

static FILE *create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fdopen(fd, "w");
}

struct authority {
	EVP_PKEY *key;
	X509 *cert;
};

static X509 *new_cert(EVP_PKEY *key, const char *name, const struct authority *issuer, const char *san)
{
	X509 *cert = X509_new();
	X509_EXTENSION *ext;
	X509V3_CTX x;

	assert_int_equal(X509_set_version(cert, 2), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 7);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer->cert : cert));
	X509V3_set_ctx(&x, issuer ? issuer->cert : cert, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &x, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	if (san) {
		ext = X509V3_EXT_conf_nid(NULL, &x, NID_subject_alt_name, san);
		assert_non_null(ext);
		X509_add_ext(cert, ext, -1);
		X509_EXTENSION_free(ext);
	}
	assert_true(X509_sign(cert, issuer ? issuer->key : key, NULL) > 0);
	return cert;
}

static struct authority new_authority(const char *name)
{
	struct authority a = { .key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
	FILE *f = create(new_file(name, "pem"));

	assert_non_null(a.key);
	a.cert = new_cert(a.key, name, NULL, NULL);
	assert_int_equal(PEM_write_X509(f, a.cert), 1);
	fclose(f);
	return a;
}

/* NAME.pem and NAME.key. */
static void issue(const char *name, const struct authority *by, const char *san)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *cert = new_cert(key, name, by, san);
	FILE *f = create(new_file(name, "pem"));

	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	f = create(new_file(name, "key"));
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static int make_files(void **state)
{
	struct authority ours, other;

	(void)state;
	assert_non_null(mkdtemp(dir));
	ours = new_authority("ca");
	other = new_authority("otherca");
	issue("node", &ours, "URI:pnode:node:alpha,DNS:alpha");
	issue("scheduler", &ours, "DNS:beta,URI:http://beta/,URI:pnode:scheduler:beta");
	issue("stranger", &other, "URI:pnode:node:mallory");
	issue("norole", &ours, "DNS:gamma");
	issue("badrole", &ours, "URI:pnode:root:gamma,URI:pnode:node:,URI:pnode:node,URI:Pnode:node:x");
	X509_free(ours.cert);
	X509_free(other.cert);
	EVP_PKEY_free(ours.key);
	EVP_PKEY_free(other.key);
	ERR_clear_error();
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_files; i++)
		if (unlink(files[i]) < 0)
			return -1;
	return rmdir(dir);
}

static char *in_dir(const char *name, const char *suffix)
{
	static char paths[8][64];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s.%s", dir, name, suffix);
	return path;
}

static struct side side_cert(enum pcore_net_role role, const char *name, const char *ca)
{
	return side_with(NULL, &(struct pcore_net_spec){ .role = role, .tls_cert = in_dir(name, "pem"), .tls_key = in_dir(name, "key"),
				       .tls_ca = in_dir(ca, "pem") });
}

static void certificates_let_in_and_name_the_peer(void **state)
{
	struct side s = side_cert(PCORE_NET_SCHEDULER, "scheduler", "ca"), c = side_cert(PCORE_NET_NODE, "node", "ca");
	struct end a = { 0 }, b = { 0 };
	uint8_t x[PCORE_NET_EXPORT], y[PCORE_NET_EXPORT];

	(void)state;
	join_open(&c, &a, &s, &b, true);
	assert_int_equal(a.peer.role, PCORE_NET_SCHEDULER);
	assert_string_equal(a.peer.name, "beta");
	assert_int_equal(b.peer.role, PCORE_NET_NODE);
	assert_string_equal(b.peer.name, "alpha");
	assert_int_equal(pcore_net_export(a.c, x), 0);
	assert_int_equal(pcore_net_export(b.c, y), 0);
	assert_memory_equal(x, y, sizeof(x));
	ends_done(&a, &b);
	assert_int_equal(a.error.code, 0);
	side_done(&c);
	side_done(&s);
}

/* Two sides that do not come together, each with its reason (NULL: any). */
static void expect_no_entry(struct side c, struct side s, int client_code, const char *client_why, int server_code, const char *server_why)
{
	struct end a = { 0 }, b = { 0 };

	join(&c, &a, &s, &b, true);
	UNTIL(a.closed && b.closed);
	assert_int_equal(b.opened, 0);
	assert_int_equal(a.error.code, client_code);
	assert_int_equal(b.error.code, server_code);
	if (client_why)
		assert_string_equal(a.error.why, client_why);
	if (server_why)
		assert_string_equal(b.error.why, server_why);
	side_done(&c);
	side_done(&s);
}

static void a_client_of_another_authority_is_rejected(void **state)
{
	struct side c = side_cert(PCORE_NET_NODE, "stranger", "ca"), s = side_cert(PCORE_NET_SCHEDULER, "scheduler", "ca");

	(void)state;
	expect_no_entry(c, s, -EKEYREJECTED, NULL, -EKEYREJECTED,
		"authentication failed: the peer's certificate: unable to get local issuer certificate");
}

static void a_server_of_another_authority_is_rejected(void **state)
{
	struct side c = side_cert(PCORE_NET_NODE, "node", "ca"), s = side_cert(PCORE_NET_SCHEDULER, "stranger", "ca");

	(void)state;
	expect_no_entry(c, s, -EKEYREJECTED, "authentication failed: the peer's certificate: unable to get local issuer certificate",
		-EKEYREJECTED, NULL);
}

static void a_role_other_than_the_certificates_is_refused(void **state)
{
	struct side c = side_cert(PCORE_NET_ADMIN, "node", "ca"), s = side_cert(PCORE_NET_SCHEDULER, "scheduler", "ca");

	(void)state;
	expect_no_entry(c, s, -EACCES, "the peer refuses: a peer says that its role is admin, but has proven to be node", -EACCES,
		"a peer says that its role is admin, but has proven to be node");
}

static void a_server_must_have_the_role_that_it_says(void **state)
{
	struct side c = side_cert(PCORE_NET_NODE, "node", "ca"), s = side_cert(PCORE_NET_SCHEDULER, "node", "ca");
	struct end a = { 0 }, b = { 0 };

	(void)state;
	join(&c, &a, &s, &b, true);
	UNTIL(a.closed && b.closed);
	assert_int_equal(a.opened, 0);
	assert_int_equal(a.error.code, -EACCES);
	side_done(&c);
	side_done(&s);
}

static void certificates_without_a_role_are_rejected(void **state)
{
	static const char *const bad[] = { "norole", "badrole" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct side c = side_cert(PCORE_NET_NODE, bad[i], "ca"), s = side_cert(PCORE_NET_SCHEDULER, "scheduler", "ca");
		struct end a = { 0 }, b = { 0 };

		join(&c, &a, &s, &b, true);
		UNTIL(a.closed && b.closed);
		assert_int_equal(b.opened, 0);
		assert_int_equal(a.error.code, -EKEYREJECTED); /* and does not try again */
		assert_int_equal(b.error.code, -EKEYREJECTED);
		assert_string_equal(b.error.why, "the peer's certificate names no role (a SAN of URI:pnode:ROLE:NAME)");
		ends_done(&a, &b);
		side_done(&c);
		side_done(&s);
	}
}

static void a_key_does_not_open_what_wants_a_certificate(void **state)
{
	struct side c = side_of(PCORE_NET_NODE, KEY_A), s = side_cert(PCORE_NET_SCHEDULER, "scheduler", "ca");

	(void)state;
	expect_no_entry(c, s, -EKEYREJECTED, NULL, -EKEYREJECTED, NULL);
	c = side_cert(PCORE_NET_NODE, "node", "ca");
	s = side_of(PCORE_NET_SCHEDULER, KEY_A);
	expect_no_entry(c, s, -EKEYREJECTED, NULL, -EKEYREJECTED, "authentication failed: the peer offers no key");
}

/* ---- what is refused beforehand ---- */

static void expect_bad(const struct pcore_net_spec *spec, int code, const char *begins)
{
	struct pcore_net_spec full = *spec;
	struct pcore_net_error e = { 0 };
	struct pcore_net *net = NULL;

	full.role = PCORE_NET_NODE;
	full.version_min = full.version_max = 1;
	assert_int_equal(pcore_net_new(&net, lp, &full, &e), code);
	assert_int_equal(e.code, code);
	if (strncmp(e.why, begins, strlen(begins)) != 0)
		print_error("# '%s'\n", e.why);
	assert_true(strncmp(e.why, begins, strlen(begins)) == 0);
}

static void files_that_do_not_do_are_named(void **state)
{
	const char *cert = in_dir("node", "pem"), *key = in_dir("node", "key"), *ca = in_dir("ca", "pem");
	char why[200];

	(void)state;
	expect_bad(&(struct pcore_net_spec){ .tls_cert = cert, .tls_key = key }, -EINVAL, "a certificate needs its private key");
	expect_bad(&(struct pcore_net_spec){ .tls_ca = ca }, -EINVAL, "a certificate needs its private key");
	snprintf(why, sizeof(why), "cannot use the certificate '%s': ", key);
	expect_bad(&(struct pcore_net_spec){ .tls_cert = key, .tls_key = key, .tls_ca = ca }, -EBADMSG, why);
	snprintf(why, sizeof(why), "cannot use the private key '%s': ", cert);
	expect_bad(&(struct pcore_net_spec){ .tls_cert = cert, .tls_key = cert, .tls_ca = ca }, -EBADMSG, why);
	snprintf(why, sizeof(why), "cannot use the private key '%s': ", in_dir("scheduler", "key")); /* of another certificate */
	expect_bad(&(struct pcore_net_spec){ .tls_cert = cert, .tls_key = in_dir("scheduler", "key"), .tls_ca = ca }, -EBADMSG, why);
	expect_bad(&(struct pcore_net_spec){ .tls_cert = cert, .tls_key = key, .tls_ca = "/nowhere" }, -EBADMSG,
		"cannot use the authority's certificate '/nowhere': ");
}

static void a_private_key_must_be_private(void **state)
{
	const char *key = in_dir("node", "key");
	char why[200];

	(void)state;
	assert_int_equal(chmod(key, 0640), 0);
	snprintf(why, sizeof(why), "cannot use the private key '%s': others can access it (mode 0640): chmod 600 '%s'", key, key);
	expect_bad(&(struct pcore_net_spec){ .tls_cert = in_dir("node", "pem"), .tls_key = key, .tls_ca = in_dir("ca", "pem") }, -EPERM, why);
	assert_int_equal(chmod(key, 0600), 0);
}

static void a_key_and_a_certificate_exclude_each_other(void **state)
{
	struct pcore_net_keys *keys = keys_of(KEY_A_CLIENTS);

	(void)state;
	expect_bad(&(struct pcore_net_spec){ .keys = keys, .tls_ca = "x" }, -EINVAL, "a key and a certificate cannot be used together");
	expect_bad(&(struct pcore_net_spec){ .keys = keys }, -ENOKEY, "there is no key for the role node");
	pcore_net_keys_free(keys);
}

static const struct CMUnitTest tests[] = {
	NET_TEST(certificates_let_in_and_name_the_peer),
	NET_TEST(a_client_of_another_authority_is_rejected),
	NET_TEST(a_server_of_another_authority_is_rejected),
	NET_TEST(a_role_other_than_the_certificates_is_refused),
	NET_TEST(a_server_must_have_the_role_that_it_says),
	NET_TEST(certificates_without_a_role_are_rejected),
	NET_TEST(a_key_does_not_open_what_wants_a_certificate),
	NET_TEST(files_that_do_not_do_are_named),
	NET_TEST(a_private_key_must_be_private),
	NET_TEST(a_key_and_a_certificate_exclude_each_other),
};

int main(void)
{
	return cmocka_run_group_tests_name(__FILE__, tests, make_files, remove_files);
}
