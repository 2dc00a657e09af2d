/* SPDX-License-Identifier: MIT */
/*
 * caps.c - capabilities by name, and which sets a command gets.
 */
#include "libcore/sandbox/private.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const names[] = {
	[CAP_CHOWN] = "cap_chown",
	[CAP_DAC_OVERRIDE] = "cap_dac_override",
	[CAP_DAC_READ_SEARCH] = "cap_dac_read_search",
	[CAP_FOWNER] = "cap_fowner",
	[CAP_FSETID] = "cap_fsetid",
	[CAP_KILL] = "cap_kill",
	[CAP_SETGID] = "cap_setgid",
	[CAP_SETUID] = "cap_setuid",
	[CAP_SETPCAP] = "cap_setpcap",
	[CAP_LINUX_IMMUTABLE] = "cap_linux_immutable",
	[CAP_NET_BIND_SERVICE] = "cap_net_bind_service",
	[CAP_NET_BROADCAST] = "cap_net_broadcast",
	[CAP_NET_ADMIN] = "cap_net_admin",
	[CAP_NET_RAW] = "cap_net_raw",
	[CAP_IPC_LOCK] = "cap_ipc_lock",
	[CAP_IPC_OWNER] = "cap_ipc_owner",
	[CAP_SYS_MODULE] = "cap_sys_module",
	[CAP_SYS_RAWIO] = "cap_sys_rawio",
	[CAP_SYS_CHROOT] = "cap_sys_chroot",
	[CAP_SYS_PTRACE] = "cap_sys_ptrace",
	[CAP_SYS_PACCT] = "cap_sys_pacct",
	[CAP_SYS_ADMIN] = "cap_sys_admin",
	[CAP_SYS_BOOT] = "cap_sys_boot",
	[CAP_SYS_NICE] = "cap_sys_nice",
	[CAP_SYS_RESOURCE] = "cap_sys_resource",
	[CAP_SYS_TIME] = "cap_sys_time",
	[CAP_SYS_TTY_CONFIG] = "cap_sys_tty_config",
	[CAP_MKNOD] = "cap_mknod",
	[CAP_LEASE] = "cap_lease",
	[CAP_AUDIT_WRITE] = "cap_audit_write",
	[CAP_AUDIT_CONTROL] = "cap_audit_control",
	[CAP_SETFCAP] = "cap_setfcap",
	[CAP_MAC_OVERRIDE] = "cap_mac_override",
	[CAP_MAC_ADMIN] = "cap_mac_admin",
	[CAP_SYSLOG] = "cap_syslog",
	[CAP_WAKE_ALARM] = "cap_wake_alarm",
	[CAP_BLOCK_SUSPEND] = "cap_block_suspend",
	[CAP_AUDIT_READ] = "cap_audit_read",
	[CAP_PERFMON] = "cap_perfmon",
	[CAP_BPF] = "cap_bpf",
	[CAP_CHECKPOINT_RESTORE] = "cap_checkpoint_restore",
};

static const char prefix[] = "cap_";

struct cap_sets {
	uint64_t effective, permitted, inheritable, ambient, bounding;
	uint64_t all; /* that this kernel knows */
};

static uint64_t bit(unsigned cap)
{
	return UINT64_C(1) << cap;
}

const char *pcore_cap_name(unsigned cap)
{
	return cap < ARRAY_SIZE(names) ? names[cap] : NULL;
}

static int cap_by_name(const char *s, size_t len)
{
	size_t skip = strlen(prefix);

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		const char *name = names[i];

		if (len < skip || strncasecmp(s, prefix, skip) != 0)
			name += skip;
		if (strncasecmp(s, name, len) == 0 && name[len] == '\0')
			return (int)i;
	}
	return -EINVAL;
}

int pcore_caps_parse(const char *list, uint64_t *ret)
{
	uint64_t set = 0;

	assert(list);

	if (strcasecmp(list, "all") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	for (const char *p = list;; p++) {
		size_t len = strcspn(p, ",");
		int cap = cap_by_name(p, len);

		if (cap < 0)
			return cap;
		set |= bit((unsigned)cap);
		p += len;
		if (!*p)
			break;
	}
	*ret = set;
	return 0;
}

static int read_sets(struct cap_sets *ret)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	struct cap_sets s = { .all = 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	s.effective = data[0].effective | (uint64_t)data[1].effective << 32;
	s.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	s.inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	for (unsigned cap = 0; cap < 64; cap++) {
		int r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (r < 0)
			break;
		s.all |= bit(cap);
		s.bounding |= r ? bit(cap) : 0;
		s.ambient |=
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1 ? bit(cap) : 0;
	}
	*ret = s;
	return 0;
}

static int cap_error(uint64_t set, struct pcore_err *err)
{
	unsigned cap = (unsigned)__builtin_ctzll(set);
	char number[16];

	if (pcore_cap_name(cap))
		return pcore_err_set(err, -EPERM, PCORE_STEP_CAPS, pcore_cap_name(cap));
	(void)snprintf(number, sizeof(number), "%u", cap);
	return pcore_err_set(err, -EPERM, PCORE_STEP_CAPS, number);
}

int pcore_sandbox_set_caps(struct pcore_sandbox *b, const struct pcore_sandbox_spec *spec,
	bool new_user, struct pcore_err *err)
{
	struct cap_sets now = { .all = 0 };
	uint64_t drop;
	bool may_bound;
	int r;

	b->set_caps = spec->level != PCORE_SANDBOX_NONE || spec->drop_caps;
	if (!b->set_caps)
		return 0;

	r = read_sets(&now);
	if (r < 0)
		return pcore_err_set(err, r, PCORE_STEP_CAPS, "");

	if (new_user)
		now.effective = now.permitted = now.bounding = now.all;
	if (spec->keep_caps & ~(now.permitted & now.bounding))
		return cap_error(spec->keep_caps & ~(now.permitted & now.bounding), err);

	drop = (spec->level != PCORE_SANDBOX_NONE ? UINT64_MAX : spec->drop_caps) &
	       ~spec->keep_caps;
	b->keep_caps = now.permitted & ~drop;
	b->inherit_caps = (now.inheritable & ~drop) | spec->keep_caps;
	b->ambient_caps = (now.ambient & ~drop) | spec->keep_caps;
	b->drop_bounding = now.bounding & drop;
	may_bound = now.effective & bit(CAP_SETPCAP);
	/* Without the right to shrink the bounding set, only the lack of new privileges keeps it
	 * from mattering. */
	if (b->drop_bounding && !may_bound && !b->no_new_privs)
		return cap_error(bit(CAP_SETPCAP), err);
	if (!may_bound)
		b->drop_bounding = 0;
	b->bounding = now.bounding & ~b->drop_bounding;
	return 0;
}
