/* SPDX-License-Identifier: MIT */
/*
 * key.c - key files: read with all refusals, written anew, and found. No cryptography is here: a key is 32 bytes.
 *
 * Keys lie in a mapping of their own that no core dump has; every buffer that had one in it is wiped.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcore/net/private.h"

struct pcore_net_keys {
	size_t n;
	struct net_key key[NET_KEYS_MAX];
};

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char kid_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

/* ---- base64 ---- */

/* The number of bytes (as many as max are written), or -EINVAL. Padding is needed, and nothing else may stand there. */
static ssize_t base64_decode(const char *s, size_t len, uint8_t *ret, size_t max)
{
	size_t pad = len > 0 && s[len - 1] == '=' ? 1u + (len > 1 && s[len - 2] == '=') : 0, n = 0;
	uint32_t bits = 0;

	if (len % 4 != 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		const char *at = i < len - pad ? memchr(base64, s[i], 64) : base64;

		if (!at)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(at - base64);
		if (i % 4 != 3)
			continue;
		for (int shift = 16; shift >= 0; shift -= 8, n++)
			if (n < max)
				ret[n] = (uint8_t)(bits >> shift);
		bits = 0;
	}
	return (ssize_t)(n - pad);
}

static void base64_encode(char *ret, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i += 3) {
		uint32_t bits = (uint32_t)data[i] << 16;

		bits |= i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0;
		bits |= i + 2 < len ? data[i + 2] : 0;
		*ret++ = base64[bits >> 18];
		*ret++ = base64[bits >> 12 & 63];
		*ret++ = i + 1 < len ? base64[bits >> 6 & 63] : '=';
		*ret++ = i + 2 < len ? base64[bits & 63] : '=';
	}
	*ret = '\0';
}

/* ---- lines ---- */

static bool is_kid(const char *s, size_t len)
{
	return len >= 1 && len <= PCORE_NET_KID_MAX && strspn(s, kid_chars) >= len;
}

/* `all', or names of roles with commas between. The roles' bits, 0 for what is no such list. */
static unsigned roles_parse(char *list)
{
	unsigned roles = 0;
	char *name;

	if (strcmp(list, "all") == 0)
		return PCORE_NET_ANY_ROLE;
	while ((name = strsep(&list, ","))) {
		int role = pcore_net_role_parse(name);

		if (role < 0)
			return 0;
		roles |= PCORE_NET_ROLE_BIT(role);
	}
	return roles;
}

static int bad_line(struct pcore_net_error *err, size_t line, const char *why)
{
	return net_error(err, -EBADMSG, "line %zu: %s", line, why);
}

static int parse_line(struct pcore_net_keys *keys, char *text, size_t line, struct pcore_net_error *err)
{
	char *rest = text, *kid = strsep(&rest, ":"), *roles = strsep(&rest, ":"), *secret = rest;
	struct net_key *key = &keys->key[keys->n];
	ssize_t n;

	if (!secret)
		return bad_line(err, line, "it is not of the form kid:roles:base64");
	if (!is_kid(kid, strlen(kid)))
		return bad_line(err, line, "the key's name is not 1 to 32 letters, digits, '.', '_' or '-'");
	if (net_key_find(keys, kid))
		return bad_line(err, line, "a key of this name is there already");
	if (keys->n == NET_KEYS_MAX)
		return bad_line(err, line, "these are too many keys, 16 are allowed");
	strcpy(key->kid, kid);
	key->roles = roles_parse(roles);
	if (key->roles == 0)
		return bad_line(err, line, "the roles are not 'all' or some of client, node, scheduler and admin");
	n = base64_decode(secret, strlen(secret), key->secret, NET_SECRET);
	if (n < 0)
		return bad_line(err, line, "the key is not in base64");
	if (n != NET_SECRET)
		return net_error(err, -EBADMSG, "line %zu: the key has %zd bytes, not 32", line, n);
	keys->n++;
	return 0;
}

static struct pcore_net_keys *keys_new(void)
{
	void *p = mmap(NULL, sizeof(struct pcore_net_keys), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, sizeof(struct pcore_net_keys), MADV_DONTDUMP);
	return p;
}

static int parse_lines(struct pcore_net_keys *keys, char *text, size_t len, struct pcore_net_error *err)
{
	char *end = text + len;

	for (size_t line = 1; text < end; line++) {
		char *eol = memchr(text, '\n', (size_t)(end - text));
		int r = 0;

		if (!eol)
			eol = end; /* text has a NUL there */
		*eol = '\0';
		if (strlen(text) != (size_t)(eol - text))
			return bad_line(err, line, "there is a NUL in it");
		if (text[0] != '\0' && text[0] != '#')
			r = parse_line(keys, text, line, err);
		if (r < 0)
			return r;
		text = eol + 1;
	}
	return keys->n > 0 ? 0 : net_error(err, -ENODATA, "there is no key in it");
}

int pcore_net_keys_parse(struct pcore_net_keys **ret, char *text, size_t len, struct pcore_net_error *err)
{
	struct pcore_net_keys *keys = keys_new();
	_cleanup_(freep) char *copy = malloc(len + 1); /* the NUL */
	int r = keys && copy ? 0 : net_error(err, -ENOMEM, "%s", strerror(ENOMEM));

	if (r == 0) {
		memcpy(copy, text, len);
		copy[len] = '\0';
		r = parse_lines(keys, copy, len, err);
		explicit_bzero(copy, len);
	}
	explicit_bzero(text, len);
	if (r < 0)
		pcore_net_keys_free(keys);
	else
		*ret = keys;
	return r;
}

void pcore_net_keys_free(struct pcore_net_keys *keys)
{
	if (!keys)
		return;
	explicit_bzero(keys, sizeof(*keys));
	(void)munmap(keys, sizeof(*keys));
}

size_t pcore_net_keys_count(const struct pcore_net_keys *keys)
{
	return keys->n;
}

const struct net_key *net_key_for(const struct pcore_net_keys *keys, enum pcore_net_role role)
{
	for (size_t i = 0; i < keys->n; i++)
		if (keys->key[i].roles & PCORE_NET_ROLE_BIT(role))
			return &keys->key[i];
	return NULL;
}

const struct net_key *net_key_find(const struct pcore_net_keys *keys, const char *kid)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcmp(keys->key[i].kid, kid) == 0)
			return &keys->key[i];
	return NULL;
}

/* ---- identities ---- */

int net_identity_print(char ret[static NET_IDENTITY_MAX], const char *kid, enum pcore_net_role role)
{
	return snprintf(ret, NET_IDENTITY_MAX, "p1:%s:%s", kid, pcore_net_role_name(role));
}

int net_identity_parse(const void *text, size_t len, char ret_kid[static PCORE_NET_KID_MAX + 1], enum pcore_net_role *ret_role)
{
	char copy[NET_IDENTITY_MAX] = "", *rest = copy, *form, *kid;
	int role;

	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	form = strsep(&rest, ":");
	kid = strsep(&rest, ":");
	if (strlen(form) != 2 || memcmp(form, "p1", 2) != 0 || !kid || !rest || !is_kid(kid, strlen(kid)))
		return -EINVAL;
	if ((size_t)(rest - copy) + strlen(rest) != len)
		return -EINVAL;
	role = pcore_net_role_parse(rest);
	if (role < 0)
		return role;
	strcpy(ret_kid, kid);
	*ret_role = (enum pcore_net_role)role;
	return 0;
}

/* ---- files ---- */

static int check_secret(const struct stat *st, const char *path, struct pcore_net_error *err)
{
	char name[PCORE_NET_WHY_MAX - 80];

	if (!S_ISREG(st->st_mode))
		return net_error(err, -EINVAL, "it is not a regular file");
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return net_error(err, -EPERM, "it belongs to user %u, neither to us nor to root", st->st_uid);
	(void)pcore_escape(name, sizeof(name), path, strlen(path));
	if (st->st_mode & 077)
		return net_error(err, -EPERM, "others can access it (mode %04o): chmod 600 '%s'", st->st_mode & 07777, name);
	if (st->st_size > NET_FILE_MAX)
		return net_error(err, -EFBIG, "it is longer than %d KiB", NET_FILE_MAX / 1024);
	return 0;
}

int net_secret_read(const char *path, char **ret, size_t *ret_len, struct pcore_net_error *err)
{
	_cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 && errno == ELOOP)
		return net_error(err, -ELOOP, "it is a symbolic link");
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		return net_error(err, r, "%s", strerror(-r));
	}
	r = check_secret(&st, path, err);
	if (r < 0)
		return r;
	text = malloc((size_t)st.st_size + 1);
	n = text ? read(fd, text, (size_t)st.st_size) : -1;
	if (n < 0) {
		r = text ? -errno : -ENOMEM;
		return net_error(err, r, "%s", strerror(-r));
	}
	*ret = TAKE_PTR(text);
	*ret_len = (size_t)n;
	return 0;
}

int pcore_net_keys_load(struct pcore_net_keys **ret, const char *path, struct pcore_net_error *err)
{
	_cleanup_(freep) char *text = NULL;
	size_t len;
	int r = net_secret_read(path, &text, &len, err);

	return r < 0 ? r : pcore_net_keys_parse(ret, text, len, err);
}

/* Make the directories of path that are missing. */
static int make_parents(const char *path)
{
	_cleanup_(freep) char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, geteuid() == 0 ? 0755 : 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int write_key(const char *path, const char *text)
{
	_cleanup_(fd_closep) int fd = -EBADF;
	int r = make_parents(path);

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, 0600) < 0 ? -errno : pcore_fd_write_all(fd, text, strlen(text));
	if (r < 0)
		(void)unlink(path);
	return r;
}

int net_random(void *p, size_t len)
{
	ssize_t n;

	do {
		n = getrandom(p, len, 0);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : -EIO;
}

int pcore_net_keys_generate(const char *path, const char *kid, struct pcore_net_error *err)
{
	char text[PCORE_NET_KID_MAX + 64], encoded[48], name[PCORE_NET_KID_MAX + 1];
	uint8_t secret[NET_SECRET];
	uint32_t number;
	int r;

	if (kid && !is_kid(kid, strlen(kid)))
		return net_error(err, -EINVAL, "the key's name is not 1 to 32 letters, digits, '.', '_' or '-'");
	r = net_random(secret, sizeof(secret));
	if (r == 0)
		r = net_random(&number, sizeof(number));
	if (r == 0) {
		(void)snprintf(name, sizeof(name), "k%08x", number);
		base64_encode(encoded, secret, sizeof(secret));
		(void)snprintf(text, sizeof(text), "%s:all:%s\n", kid ? kid : name, encoded);
		r = write_key(path, text);
	}
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(encoded, sizeof(encoded));
	explicit_bzero(text, sizeof(text));
	return r < 0 ? net_error(err, r, "%s", strerror(-r)) : 0;
}

int pcore_net_keys_path(char *ret, size_t size, const struct pcore_net_key_places *places)
{
	const char *xdg = places->xdg_config_home, *home = places->home;
	int n;

	if (places->env_key && places->env_key[0])
		n = snprintf(ret, size, "%s", places->env_key);
	else if (places->root)
		n = snprintf(ret, size, "/etc/pcore/cluster.key");
	else if (xdg && xdg[0] == '/')
		n = snprintf(ret, size, "%s/pcore/cluster.key", xdg);
	else if (home && home[0] == '/')
		n = snprintf(ret, size, "%s/.config/pcore/cluster.key", home);
	else
		return -ENOENT;
	return (size_t)n < size ? 0 : -ENAMETOOLONG;
}
