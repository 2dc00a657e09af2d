# SPDX-License-Identifier: MIT
# support.bash - what the command tests share: a clean place, ceilings on waits, and the proof that nothing is left.
# shellcheck shell=bash disable=SC2034

bats_require_minimum_version 1.5.0

# Every process that a test starts carries PCORE_TEST_ID in its environment: that is how leftovers are found.
common_setup() {
	export LC_ALL=C
	unset "${!PCORE_OPTIONS_@}" PCORE_SEQ PCORE_SLOT PCORE_ATTEMPT NO_COLOR
	export PCORE_BUILD="${PCORE_BUILD:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build}"
	export PCORE_TEST_ID="t$$.$RANDOM.${BATS_TEST_NUMBER:-0}"
	PATH="$PCORE_BUILD:$PATH"
	cd "$BATS_TEST_TMPDIR" || return 1
	as_user=(env)
	find_leaves
	leaves_before=${leaves[*]}
	scratch=
}

common_teardown() {
	[ -z "$scratch" ] || rm -rf "$scratch"
	if ! wait_for 5 nothing_left; then
		echo "processes left behind:"
		ps -o pid,ppid,stat,args -p "${left[*]}"
		kill -KILL "${left[@]}"
		return 1
	fi
	wait_for 5 no_new_leaf || { echo "control groups left behind: ${leaves[*]}"; return 1; }
}

# These run for every test, so they start as few programs as they can and answer in variables.

# left: the pids of what carries our PCORE_TEST_ID. The program that looks must not carry it itself, not for a moment.
find_leftovers() {
	mapfile -t left < <(
		id=$PCORE_TEST_ID
		unset PCORE_TEST_ID
		exec grep -lzx "PCORE_TEST_ID=$id" /proc/[0-9]*/environ 2>/dev/null
	)
	left=("${left[@]//[!0-9]/}")
}

nothing_left() {
	find_leftovers
	[ "${#left[@]}" = 0 ]
}

# Nothing is left right now.
leaves_nothing() {
	nothing_left || { ps -o pid,ppid,stat,etimes,args -p "${left[*]}"; return 1; }
}

# cgroup: the directory of our own control group in a cgroup2 mount, or nothing.
find_cgroup() {
	local line path='' fields
	cgroup=
	while read -r line; do
		[[ $line != 0::* ]] || path=${line#0::}
	done </proc/self/cgroup
	[ -n "$path" ] || return 0
	while read -r line; do
		[[ $line == *' - cgroup2 '* ]] || continue
		read -ra fields <<<"$line"
		cgroup=${fields[4]}$path
		break
	done </proc/self/mountinfo
}

# leaves: the leaves there are.
find_leaves() {
	find_cgroup
	leaves=()
	[ -z "$cgroup" ] || leaves=("${cgroup%/}"/pcore.*)
	[ "${#leaves[@]}" != 1 ] || [ -e "${leaves[0]}" ] || leaves=()
}

# leaves: none is left of those that were not there before and whose tool has ended (others may be somebody else's). The name
# holds the pid.
no_new_leaf() {
	local leaf pid new=()
	find_leaves
	for leaf in "${leaves[@]}"; do
		pid=${leaf##*/pcore.}
		[[ " $leaves_before " == *" $leaf "* ]] || [ -e "/proc/${pid%%.*}" ] || [ ! -e "$leaf" ] || new+=("$leaf")
	done
	leaves=("${new[@]}")
	[ "${#leaves[@]}" = 0 ]
}

# wait_for SECONDS COMMAND...: until the command succeeds, with a ceiling.
wait_for() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.02
	done
}

exists() { [ -e "$1" ]; }
nonempty() { [ -s "$1" ]; }
none_pending() { grep -q '^ShdPnd:[[:space:]]*0*$' "/proc/$1/status"; } # signals that come together count as one
gone() { # a zombie counts: whoever has to reap it may be late
	! kill -0 "$1" 2>/dev/null || state_is "$1" Z
}
state_is() { [ "$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)" = "$2" ]; }
lines_are() { [ "$(wc -l <"$1")" -ge "$2" ]; }

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# took FROM_MS MIN MAX: was it that many milliseconds?
took() {
	local ms=$(($(now_ms) - $1))
	((ms >= $2 && ms <= $3)) || { echo "took $ms ms, not $2 to $3"; return 1; }
}

# in_time TEXT COMMAND...: with LIMIT in its words for a time limit, it is ended with 124 and has said this. On a busy machine the
# first limit may be too short to get so far, so there are longer ones; $limit is that which was not.
in_time() {
	local text=$1
	shift
	for limit in 0.3 3 15; do
		run -124 "${@//LIMIT/$limit}"
		[ "$output" != "$text" ] || return 0
	done
	echo "said '$output', not '$text'"
	return 1
}

# ends STATUS PID: wait for a background command, which has to end with this status.
ends() {
	local got=0
	wait "$2" || got=$?
	[ "$got" = "$1" ] || { echo "ended with status $got, not $1"; return 1; }
}

# A program to wait for in commands: `await FILE`, at most ten seconds.
make_await() {
	cat >await <<-'SCRIPT'
	#!/bin/sh
	i=0
	while [ ! -e "$1" ] && [ $i -lt 500 ]; do sleep 0.02; i=$((i + 1)); done
	[ -e "$1" ]
	SCRIPT
	chmod +x await
	PATH="$PWD:$PATH"
}

# A program that prints its arguments: `2:[a][b c]`.
make_args() {
	cat >args <<-'SCRIPT'
	#!/bin/sh
	n=$#
	text=
	for a do text="$text[$a]"; done
	printf '%s:%s\n' $n "$text"
	SCRIPT
	chmod +x args
	PATH="$PWD:$PATH"
}

# A program that leaves three processes which are hard to catch and stays itself: `family FILE` writes FILE when all
# of them run.
make_family() {
	cat >"${1:-.}/family" <<-'SCRIPT'
	#!/bin/sh
	setsid sh -c 'echo setsid >>"$1"; exec sleep 77' sh "$1" &
	(sh -c 'echo orphan >>"$1"; exec sleep 77' sh "$1" &)
	(setsid sh -c '(echo both >>"$1"; exec sleep 77) &' sh "$1" &)
	[ -z "$2" ] || { while [ "$(wc -l <"$1")" -lt 3 ]; do sleep 0.02; done; exit "$2"; }
	exec sleep 77
	SCRIPT
	chmod +x "${1:-.}/family"
	case ${1:-.} in .) PATH="$PWD:$PATH" ;; esac
}

# The same tools as an ordinary user, who has no cgroup to write to: "${as_user[@]}" COMMAND...; files go to $scratch.
user_setup() {
	local tool
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chmod 755 "$scratch"
	for tool in "$PCORE_BUILD"/prun "$PCORE_BUILD"/ppool "$PCORE_BUILD"/pqueue "$PCORE_BUILD"/ptimer; do
		[ ! -x "$tool" ] || install -m 755 "$tool" "$scratch/"
	done
	make_family "$scratch"
	if [ "$(id -u)" = 0 ]; then
		chown 65534:65534 "$scratch"
		as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	fi
	cd "$scratch" || return 1
	PATH="$scratch:$PATH"
}

need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

need_cgroup() {
	need_root
	find_cgroup
	[ -w "${cgroup:-/none}/cgroup.procs" ] || skip "needs a writable cgroup2 mount"
}

need_pidns() { unshare --user --map-root-user --pid --fork true 2>/dev/null || skip "needs user and PID namespaces"; }

# refuses TOOL ARGS... -- OPTION VALUE...: each value of the option is a usage error that names both.
refuses() {
	local tool=("$1") option
	shift
	while [ "$1" != -- ]; do tool+=("$1"); shift; done
	shift
	option=$1
	shift
	for value; do
		run -125 --separate-stderr "${tool[@]}" "$option" "$value" touch ran </dev/null
		# shellcheck disable=SC2154
		[[ ${stderr_lines[0]} == *"$option"* ]] || { echo "$option '$value': $stderr"; return 1; }
		[[ ${stderr_lines[0]} == *"$value"* ]] || { echo "$option '$value': $stderr"; return 1; }
		[ -z "$output" ] || { echo "$option '$value' printed $output"; return 1; }
		[ ! -e ran ] || { echo "$option '$value' ran the command"; return 1; }
	done
}
