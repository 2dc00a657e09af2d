# SPDX-License-Identifier: MIT
# install.bash - the library as its users have it: installed below $root, or, with PCORE_INSTALLED=1, in the system.
cd "$BATS_TEST_DIRNAME/../.." || exit
export LC_ALL=C
top=$PWD
root=$BATS_FILE_TMPDIR/root

# In setup_file: install it.
install_library() {
	[ -z "${PCORE_INSTALLED-}" ] || return 0
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s install BUILD="${PCORE_BUILD#"$top/"}" VARIANT=release DESTDIR="$root" PREFIX=/usr \
		LIBDIR=/usr/lib
}

# In setup: find it.
use_library() {
	CC=${CC:-gcc} CXX=${CXX:-g++} include=/usr/include/pcore lib=
	[ -z "${PCORE_INSTALLED-}" ] || return 0
	include=$root$include lib=$root/usr/lib
	export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root LD_LIBRARY_PATH=$lib
}

# which_library FILE: the libraries that a program uses, by the headers it includes
which_library() {
	if grep -q 'include <pcore/cluster' "$1"; then
		echo libpcore-cluster
	else
		echo libpcore
	fi
}

# compile FILE.c: to FILE, as a user would
compile() {
	# shellcheck disable=SC2046 # words
	"$CC" -O2 -Wall -Wextra -Werror -o "${1%.c}" "$1" $(pkg-config --cflags --libs "$(which_library "$1")") -pthread
}
