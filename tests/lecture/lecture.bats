#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sanitizers: no
# The listings of a lecture on processes and threads, each as a pipeline of our tools (NAME.sh) and as a C program against the
# installed library (NAME.c). Both print what NAME.out says; for the time of day it has HH:MM:SS. Waits are cut short.
bats_require_minimum_version 1.5.0
load ../api/install.bash

setup_file() {
	install_library
}

# Where a node, which as root is nobody, can go too.
setup() {
	use_library
	umask 022
	scratch=$(mktemp -d /tmp/pcore-test.XXXXXX)
	chmod 755 "$scratch"
	cd "$scratch" || return
	mkdir -m 700 rt
	export PCORE_RUNTIME_DIR=$scratch/rt PCORE_KEY=$scratch/key LECTURE_WAIT=0.3 LECTURE_COUNT=3 LECTURE_NODE=
	[ "$(id -u)" -ne 0 ] || LECTURE_NODE='--user nobody'
	pnode keygen
}

teardown() {
	cd "$top" && { rm -rf "$scratch" || rm -rf "$scratch"; }
}

# prints NAME COMMAND...
prints() {
	local wait=$LECTURE_WAIT
	[ "$1" != 13-timer ] || wait=2 # the program has to be quicker than this
	mkdir "$1.d"
	(cd "$1.d" && LECTURE_WAIT=$wait timeout 60 "${@:2}" </dev/null 3>&-) | sed -E 's/[0-9]{2}:[0-9]{2}:[0-9]{2}/HH:MM:SS/g' >"$1.got"
	diff "$top/tests/lecture/$1.out" "$1.got" || { echo "$2"; return 1; }
}

@test "each listing of the lecture is a line for the shell" {
	for file in "$top"/tests/lecture/*.sh; do
		name=$(basename "$file" .sh)
		[ "$(grep -vc '^#' "$file")" -eq 1 ]
		prints "$name" sh "$file"
	done
}

@test "each listing of the lecture is a C program of at most 25 lines" {
	for file in "$top"/tests/lecture/*.c; do
		name=$(basename "$file" .c)
		[ "$(grep -vc SPDX "$file")" -le 25 ] || { echo "$name is too long"; false; }
		cp "$file" .
		compile "$name.c"
		prints "$name" "../$name"
	done
}

@test "each listing is there both ways" {
	for file in "$top"/tests/lecture/*.out; do
		name=$(basename "$file" .out)
		[ -e "${file%.out}.sh" ]
		[ -e "${file%.out}.c" ] || { echo "$name has no C twin"; false; }
	done
}
