#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# prun_sandbox.bats - what prun --sandbox keeps a command from, and what it lets it do.

load support

# Where probes live: below /tmp, so that a strict sandbox sees them through --ro only.
setup() {
	common_setup
	user_setup
	install -m 755 "$PCORE_BUILD"/helpers/probe "$PCORE_BUILD"/helpers/refuse "$scratch/"
	mkdir "$scratch/in" "$scratch/other"
	echo secret >"$scratch/other/secret"
	chmod 777 "$scratch/in" "$scratch/other"
}

teardown() { common_teardown; }

need_landlock() {
	prun --sandbox strict --ro "$scratch" "$scratch/probe" unknown >/dev/null 2>&1 || skip "needs Landlock and namespaces"
}

need_userns() { "${as_user[@]}" unshare --user true 2>/dev/null || skip "needs user namespaces"; }

# What each probe meets: name, by default, strict, strict as root where that differs. `-`: whatever the kernel says.
expected() {
	cat <<-'TABLE'
	tiocgwinsz EBADF EBADF
	clone3 ENOSYS ENOSYS
	socket_route ok EPERM
	socket_inet ok EPERM
	socket_unix ok EPERM
	fchown EBADF EPERM
	fchownat EFAULT EPERM
	setgroups EPERM EPERM
	setuid EINVAL EPERM
	setresgid ok EPERM
	mbind - EPERM
	setpriority EINVAL EPERM
	sched_setaffinity - EPERM
	acct - ENOSYS
	quotactl - ENOSYS
	seccomp EINVAL ENOSYS
	pkey_alloc - ENOSYS
	unknown ENOSYS ENOSYS
	open_read ok ok
	open_write - EACCES EROFS
	open_proc ok ok
	open_sysctl - EACCES EROFS
	open_null ok ok
	open_var ok EACCES
	open_tmp ok ok
	open_shm - ok
	truncate EINVAL EINVAL
	chmod - EROFS
	TABLE
}

# meets COLUMN FILE: does what the probes printed agree with the table? What it does not list has to be EPERM.
meets() {
	expected | awk -v column="$1" '
		NR == FNR { want[$1] = $(column <= NF ? column : 3); next }
		{
			n++
			if (!($1 in want))
				want[$1] = "EPERM"
			if (want[$1] != "-" && want[$1] != $2) {
				print $1 " is " $2 ", not " want[$1]
				bad = 1
			}
		}
		END { exit bad || n < 70 }' - "$2"
}

@test "--sandbox default denies its list, as root" {
	need_root
	prun --sandbox default "$scratch/probe" >"$scratch/out"
	meets 2 "$scratch/out"
}

@test "--sandbox default denies its list, as an ordinary user" {
	"${as_user[@]}" prun --sandbox default "$scratch/probe" >"$scratch/out"
	meets 2 "$scratch/out"
}

@test "--sandbox strict denies all but its list, as root" {
	need_root
	need_landlock
	prun --sandbox strict --ro "$scratch" "$scratch/probe" >"$scratch/out"
	meets 4 "$scratch/out"
}

@test "--sandbox strict denies all but its list, as an ordinary user" {
	need_userns
	need_landlock
	"${as_user[@]}" prun --sandbox strict --ro "$scratch" "$scratch/probe" >"$scratch/out"
	meets 3 "$scratch/out"
}

# As an ordinary user in a user namespace where no further one may be made.
without_userns() {
	mkfifo "$scratch/go"
	# shellcheck disable=SC2016
	unshare --user sh -c '
		read -r _ <"$1/go"
		shift
		exec sh -c "echo 0 >/proc/sys/user/max_user_namespaces || exit 99
			exec setpriv --reuid=65534 --regid=65534 --clear-groups \"\$@\"" sh "$@"' sh "$scratch" "$@" 3>&- &
	wait_for 5 other_namespace $!
	echo '0 0 65536' >/proc/$!/uid_map
	echo '0 0 65536' >/proc/$!/gid_map
	echo >"$scratch/go"
	wait $!
}

other_namespace() { [ "$(readlink "/proc/$1/ns/user")" != "$(readlink /proc/self/ns/user)" ]; }

@test "--sandbox default needs no user namespace" {
	need_root
	run -0 without_userns prun --sandbox default "$scratch/probe" mount socket_inet
	[ "${lines[*]}" = "mount EPERM socket_inet ok" ]
}

@test "--sandbox strict and --private-tmp refuse to run without user namespaces" {
	need_root
	run -125 without_userns prun --sandbox strict touch "$scratch/in/ran"
	[[ "$output" == "prun: cannot make a namespace: "* ]]
	rm "$scratch/go"
	run -125 without_userns prun --private-tmp touch "$scratch/in/ran"
	[[ "$output" == "prun: cannot make a namespace: "* ]]
	[ ! -e "$scratch/in/ran" ]
}

@test "what the kernel refuses to set up is an error, and the command does not run" {
	need_root
	need_landlock
	local call
	for call in landlock_create_ruleset landlock_restrict_self mount mount_setattr capset seccomp; do
		run -125 "$scratch/refuse" "$call" -- prun --sandbox strict --rw "$scratch/in" touch "$scratch/in/ran"
		[[ "$output" == "prun: cannot "*": Function not implemented" ]]
		[ ! -e "$scratch/in/ran" ]
	done
	for call in capset seccomp prctl; do
		run -125 "$scratch/refuse" "$call" -- prun --sandbox default touch "$scratch/in/ran"
		[[ "$output" == "prun: cannot "*": Function not implemented" ]]
		[ ! -e "$scratch/in/ran" ]
	done
	run -125 "$scratch/refuse" move_mount -- prun --sandbox strict --rw "$scratch/in" touch "$scratch/in/ran"
	[ "$output" = "prun: cannot mount what the sandbox needs at '$scratch/in': Function not implemented" ]
}

@test "a sandbox step that fails is in the report" {
	need_root
	run -125 "$scratch/refuse" seccomp -- prun --sandbox default --report r true
	jq -e '.setup_error.step == "seccomp" and .setup_error.errno == "ENOSYS"' r
}

@test "system calls of another architecture end the command" {
	case $(uname -m) in x86_64) ;; *) skip "needs x86-64" ;; esac
	run -159 prun --sandbox default "$scratch/probe" x32
	if "$scratch/probe" i386; then
		run -159 prun --sandbox default "$scratch/probe" i386
	fi
}

@test "--allow-io-uring lets rings through, nothing else" {
	run -0 prun --sandbox default --allow-io-uring "$scratch/probe" io_uring_setup mount
	[[ "${lines[*]}" == "io_uring_setup "*" mount EPERM" ]]
	[ "${lines[0]}" = "$("$scratch/probe" io_uring_setup)" ]
}

@test "threads and processes can be made in every sandbox" {
	command -v python3 >/dev/null || skip "needs python3"
	local level
	for level in default strict; do
		[ $level = default ] || need_landlock
		run -0 prun --sandbox $level /usr/bin/env python3 -c '
import subprocess, threading
t = threading.Thread(target=lambda: None); t.start(); t.join()
print(subprocess.run(["echo", "ok"], capture_output=True).stdout)'
		[ "$output" = "b'ok\n'" ]
	done
}

@test "our own tools work in a default sandbox" {
	# LeakSanitizer needs ptrace
	export ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0"
	run -3 env -u PCORE_LOOP prun --sandbox default prun --timeout 5 sh -c 'exit 3'
	run -0 env -u PCORE_LOOP prun --sandbox default prun --sandbox default echo twice
	[ "$output" = twice ]
}

@test "there are no capabilities, no core dumps and no new privileges in a sandbox" {
	# shellcheck disable=SC2016
	run -0 prun --sandbox default sh -c 'sed -n "s/^\(Cap...\|NoNewPrivs\):\t//p" /proc/self/status; ulimit -c'
	[ "$(id -u)" != 0 ] || [ "${lines[3]}" = 0000000000000000 ]
	[ "${lines[1]}" = 0000000000000000 ]
	[ "${lines[2]}" = 0000000000000000 ]
	[ "${lines[5]}" = 1 ]
	[ "${lines[6]}" = 0 ]
	run -0 prun --sandbox default --limit core=5K sh -c 'ulimit -c'
	[ "$output" != 0 ]
}

@test "--rw is the only way to write, --ro the only way to read" {
	need_landlock
	local user file="$scratch/other/secret"
	for user in env "${as_user[*]}"; do
		read -ra user <<<"$user"
		run -0 "${user[@]}" prun --sandbox strict --rw "$scratch/in" sh -c "echo kept >$scratch/in/file; ls $scratch"
		[ "$output" = in ]
		[ "$(cat "$scratch/in/file")" = kept ]
		rm "$scratch/in/file"
		run "${user[@]}" prun --sandbox strict cat "$file"
		[ "$status" != 0 ]
		run -0 "${user[@]}" prun --sandbox strict --ro "$file" cat "$file"
		[ "$output" = secret ]
		run -2 "${user[@]}" prun --sandbox strict --ro "$scratch/other" sh -c "echo x >$file"
		run -1 "${user[@]}" prun --sandbox strict --ro "$scratch/other" rm "$file"
		run -1 "${user[@]}" prun --sandbox strict touch /var/tmp/pcore-ran
		run -2 "${user[@]}" prun --sandbox strict --rw "$scratch" --ro "$scratch/other" sh -c "echo x >$file"
		[ "$(cat "$file")" = secret ]
	done
	[ ! -e /var/tmp/pcore-ran ]
}

@test "/tmp and /dev/shm are private and new in a strict sandbox" {
	need_landlock
	local name=pcore-new.$$
	# each attempt gets new ones
	run -3 prun --sandbox strict --retry 1 --retry-delay 0 sh -c "ls -A /tmp /dev/shm; >/tmp/$name; >/dev/shm/$name; exit 3"
	[ "${lines[*]}" = "/dev/shm: /tmp: ${scratch#/tmp/} /dev/shm: /tmp: ${scratch#/tmp/}" ]
	[ ! -e "/tmp/$name" ]
	[ ! -e "/dev/shm/$name" ]
}

@test "a working directory below /tmp is there, and empty" {
	cd in
	touch there
	run -0 prun --private-tmp sh -c 'pwd; ls; >mine; ls'
	[ "${lines[*]}" = "$scratch/in mine" ]
	[ ! -e mine ]
	need_landlock
	run -0 prun --sandbox strict sh -c 'pwd; ls; >mine; ls'
	[ "${lines[*]}" = "$scratch/in mine" ]
	run -0 prun --sandbox strict --rw . sh -c 'ls; >mine'
	[ "$output" = there ]
	[ -e mine ]
}

@test "--private-tmp works by itself, as an ordinary user too" {
	need_userns
	local user
	for user in env "${as_user[*]}"; do
		read -ra user <<<"$user"
		run -0 "${user[@]}" prun --private-tmp --chdir / sh -c 'echo x >/tmp/x; ls -A /tmp | grep -v pcore-test; id -u'
		[ "${lines[*]}" = "x $("${user[@]}" id -u)" ]
		run -0 "${user[@]}" prun --sandbox default --private-tmp "$scratch/../../bin/true"
	done
}

@test "a strict sandbox has processes, names and a network of its own" {
	need_landlock
	# shellcheck disable=SC2016
	run -0 prun --sandbox strict sh -c 'ls -d /proc/[0-9]* | wc -l; readlink /proc/self/ns/ipc /proc/self/ns/net /proc/self/ns/uts'
	[ "${lines[0]}" -le 5 ]
	[ "${lines[1]}" != "$(readlink /proc/self/ns/ipc)" ]
	[ "${lines[2]}" != "$(readlink /proc/self/ns/net)" ]
	[ "${lines[3]}" != "$(readlink /proc/self/ns/uts)" ]
	run -0 prun --sandbox strict --allow-net --ro "$scratch" readlink /proc/self/ns/net
	[ "$output" = "$(readlink /proc/self/ns/net)" ]
	run -0 prun --sandbox strict --allow-net --ro "$scratch" "$scratch/probe" socket_inet socket_packet
	[ "${lines[*]}" = "socket_inet ok socket_packet EPERM" ]
	run prun --sandbox strict --allow-net ls /run
	[ "$status" != 0 ]
}

@test "a strict sandbox hands on no more of the environment than it names" {
	need_landlock
	run -0 env LD_PRELOAD= BASH_ENV=/x SECRET=1 HOME=/h LC_TIME=C prun --sandbox strict --env MORE=1 env
	[[ "$output" != *SECRET* && "$output" != *LD_* && "$output" != *BASH_ENV* && "$output" != *PCORE_* ]]
	[[ "$output" == *HOME=/h* && "$output" == *LC_TIME=C* && "$output" == *MORE=1* && "$output" == *PATH=* ]]
}

@test "a strict sandbox is under control like everything else" {
	need_landlock
	run -7 prun --sandbox strict sh -c 'exit 7'
	run -124 prun --sandbox strict --timeout 0.2 sleep 60
	run -143 prun --sandbox strict sh -c 'kill -TERM $$'
	run -127 prun --sandbox strict no-such-command
	run -126 prun --sandbox strict /etc/passwd
	prun --sandbox strict --report r true
	[ "$(jq -r .method r)" = pid-namespace ]
	run -0 prun --sandbox strict --pass-fd 0=5 --capture sh -c 'cat <&5' <"$scratch/other/secret"
	[ "$output" = secret ]
}

@test "--drop-caps and --keep-caps set what is left" {
	need_root
	caps() { sed -n 's/^Cap.*:\t0*//p'; }
	[ "$(prun --drop-caps all cat /proc/self/status | caps | tr -d '\n')" = "" ]
	[ "$(prun --drop-caps all --keep-caps cap_chown,KILL cat /proc/self/status | caps | tr '\n' ' ')" = "21 21 21 21 21 " ]
	[ "$(prun --sandbox default --keep-caps chown cat /proc/self/status | caps | tr '\n' ' ')" = "1 1 1 1 1 " ]
	run -1 prun --drop-caps chown chown 1 in
	[ "$(stat -c %u in)" = 0 ]
}

@test "a capability that cannot be kept or dropped is an error" {
	run -125 "${as_user[@]}" prun --sandbox default --keep-caps net_raw touch ran
	[ "$output" = "prun: cannot set capability 'cap_net_raw': Operation not permitted" ]
	run -125 "${as_user[@]}" prun --drop-caps all touch ran
	[ "$output" = "prun: cannot set capability 'cap_setpcap': Operation not permitted" ]
	run -0 "${as_user[@]}" prun --drop-caps all --no-new-privs sed -n 's/^NoNewPrivs:\t//p' /proc/self/status
	[ "$output" = 1 ]
	[ ! -e ran ]
}

@test "--sandbox-report says what is in force" {
	run -0 --separate-stderr prun --sandbox default --sandbox-report
	[ "${lines[0]}" = "sandbox: default" ]
	[ "$stderr" = "" ]
	run -0 --separate-stderr prun --sandbox default --sandbox-report echo out
	[ "$output" = out ]
	[ "${stderr_lines[0]}" = "sandbox: default" ]
	prun --sandbox default --sandbox-report --json | jq -e '.sandbox == "default" and .no_new_privileges and .network'
	need_landlock
	prun --sandbox strict --rw in --sandbox-report --json |
		jq -e --arg in "$scratch/in" '.read_write == [$in] and (.network | not) and (.namespaces | index("pid"))'
}

@test "options that do not go together are usage errors" {
	refuses prun -- --sandbox loose ''
	refuses prun -- --drop-caps cap_none , chown,
	refuses prun -- --keep-caps all
	local words
	for words in '--ro /usr' '--sandbox default --rw /tmp' '--sandbox default --allow-net' --allow-io-uring \
		'--keep-caps chown' '--drop-caps chown --keep-caps chown' '--sandbox strict --leave'; do
		# shellcheck disable=SC2086
		run -125 prun $words touch ran
		[[ "${lines[1]}" == "try 'prun --help'" ]]
		[ ! -e ran ]
	done
	run -125 prun --sandbox strict --rw no-such touch ran
	[ "$output" = "prun: cannot open 'no-such': No such file or directory" ]
}
