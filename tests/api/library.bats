#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sanitizers: no
# The installed libraries: what they export, their headers, and the examples of their manual pages.
# shellcheck disable=SC2046 # pkg-config prints words
bats_require_minimum_version 1.5.0
load install.bash

setup_file() {
	install_library
}

setup() {
	use_library
	cd "$BATS_TEST_TMPDIR" || return
}

# listed LIBRARY: what it is to export
listed() {
	grep -v '^#' "$top/libcore/$1.sym" || :
}

@test "the libraries export the names that are listed, and no others" {
	for l in libpcore libpcore-cluster; do
		listed $l | LC_ALL=C sort -cu
		so=${lib:-$(pkg-config --variable=libdir libpcore)}/$l.so.0
		nm -D --defined-only --with-symbol-versions "$so" | sed -n 's/.* [TDBRV] \(.*\)@@PCORE_0$/\1/p' | sort >exported
		diff <(listed $l) exported
		[ "$(nm -D --defined-only "$so" | grep -vc ' A ')" -eq "$(wc -l <exported)" ]
		nm -g --defined-only "${so%.so.0}.a" | sed -n 's/.* [A-Z] //p' | sort >exported
		diff <(listed $l) exported
		readelf -d "$so" | grep -q "SONAME.*\[$l.so.0\]"
	done
}

@test "the packages list the same names, each with the version that it came in" {
	for l in libpcore libpcore-cluster; do
		sed -nE 's/^ ([a-z0-9_]+)@PCORE_0 [0-9]+\.[0-9.]+$/\1/p' "$top/debian/${l}0.symbols" | diff <(listed $l) -
	done
}

@test "what the headers declare is what the libraries export" {
	for h in "$include"/*.h; do
		"$CC" -E -P -I"$include/.." "$h"
	done | tr '\n' ' ' | grep -oE '\bpcore_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u >declared
	sort -m <(listed libpcore) <(listed libpcore-cluster) >exported
	# what is only used or defined there (an inline function, a macro's attribute) is not missing
	comm -13 declared exported >undeclared
	[ ! -s undeclared ] || { cat undeclared; false; }
	for h in "$include"/*.h; do
		echo "#include <pcore/${h##*/}>"
	done >all.c
	echo 'void *all[] = {' >>all.c
	sed 's/.*/(void *)&,/; s/(void \*)\(.*\),/(void *)\&\1,/' declared >>all.c
	echo '}; int main(void) { return all[0] == 0; }' >>all.c
	[ ! -s declared ] || "$CC" -o all all.c $(pkg-config --cflags --libs libpcore-cluster libpcore)
}

@test "each header compiles by itself, as C and as C++, without a warning" {
	for h in "$include"/*.h; do
		[ -e "$h" ] || continue
		echo "#include <pcore/${h##*/}>" | tee one.c >one.cc
		"$CC" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Wstrict-prototypes -Werror $(pkg-config --cflags libpcore) -fsyntax-only one.c
		"$CXX" -std=c++11 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags libpcore) -fsyntax-only one.cc
	done
}

@test "each header has a manual page, with what it returns, its errors and an example that prints what it says" {
	for h in "$include"/*.h; do
		[ -e "$h" ] || continue
		h=${h##*/}
		page=$top/man/pcore_${h%.h}.3
		[ -e "$page" ] || page=$(grep -l "^\.In pcore/$h" "$top"/man/*.3)
		grep -q '^\.Sh RETURN VALUES' "$page" && grep -q '^\.Sh ERRORS' "$page"
		[ -n "$("$top/tests/api/extract" "$page")" ] || { echo "$page has no example"; false; }
	done
	for page in "$top"/man/*.3; do
		[ -e "$page" ] || continue
		for name in $("$top/tests/api/extract" "$page"); do
			echo "# ${page##*/} $name"
			mkdir -p "$name/run"
			"$top/tests/api/extract" "$page" "$name" >"$name/$name.c"
			"$top/tests/api/extract" "$page" "$name" output >"$name/expected"
			compile "$name/$name.c"
			(cd "$name/run" && timeout 60 "../$name") >"$name/output"
			diff "$name/expected" "$name/output"
		done
	done
}

@test "a program can be linked with the archives" {
	page=$(ls "$top"/man/*.3 2>/dev/null | head -n 1)
	[ -n "$page" ] || skip "no example yet"
	name=$("$top/tests/api/extract" "$page" | head -n 1)
	"$top/tests/api/extract" "$page" "$name" >one.c
	for l in libpcore libpcore-cluster; do
		libs=$(pkg-config --static --libs $l | sed 's/-lpcore\(-cluster\)*/-l:libpcore\1.a/g')
		"$CC" -o one one.c $(pkg-config --cflags $l) $libs
		! readelf -d one | grep 'NEEDED.*pcore'
		(mkdir $l && cd $l && timeout 60 ../one) >output
		diff <("$top/tests/api/extract" "$page" "$name" output) output
	done
}

@test "make uninstall leaves nothing but directories" {
	[ -z "${PCORE_INSTALLED-}" ] || skip "the package's own business"
	cp -a "$root" root
	cd "$top"
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s uninstall DESTDIR="$BATS_TEST_TMPDIR/root" PREFIX=/usr LIBDIR=/usr/lib
	[ -z "$(find "$BATS_TEST_TMPDIR/root" ! -type d)" ]
}
