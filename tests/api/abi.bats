#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sanitizers: no
# What `make abi` does, with a library of two functions.
bats_require_minimum_version 1.5.0

setup() {
	command -v abidw abidiff >/dev/null || skip "needs libabigail (Debian's abigail-tools)"
	top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_TEST_TMPDIR" || return
	library 'int stays(int n) { return n; }' 'int goes(int n) { return n; }'
}

# library FUNCTION...: liba.so.0
library() {
	printf '%s\n' "$@" >a.c
	"${CC:-gcc}" -g -shared -fPIC -o liba.so.0 a.c
}

abi() {
	run "$@" sh "$top/tests/abi/run" . stored liba
}

@test "before the first release there is nothing to compare with" {
	abi -0
	[ "$output" = "ok liba: there is no release to compare with, stored/liba.abi does not exist" ]
}

@test "a function may be added, but none may go or change" {
	mkdir stored
	abidw --out-file stored/liba.abi liba.so.0
	abi -0
	[ "$output" = "ok liba" ]
	library 'int stays(int n) { return n; }' 'int goes(int n) { return n; }' 'int comes(void) { return 1; }'
	abi -0
	library 'int stays(int n) { return n; }'
	abi -1
	[[ "$output" == *"1 Removed"*"int goes(int)"* ]]
	library 'int stays(int n) { return n; }' 'int goes(long n) { return (int)n; }'
	abi -1
	[[ "$output" == *"int goes(int)"*"'int'"*"'long int'"* ]]
}
