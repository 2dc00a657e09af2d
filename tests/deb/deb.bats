#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# deb.bats - the packages in $DEBS: what is in them, that they are made the same again, and what a bare Debian in a directory is like
# before, with and after them. As root; each test goes on where the one before it has stopped.

bats_require_minimum_version 1.5.0

setup_file() {
	export root=$BATS_FILE_TMPDIR/root
	mkdir "$root"
	chmod 755 "$root"
	"$BATS_TEST_DIRNAME/chroot" make "$root"
	mkdir "$root/debs"
	cp "$DEBS"/*_all.deb "$DEBS"/*_"$(dpkg --print-architecture)".deb "$root/debs/"
	rm -f "$root"/debs/*-dbgsym_*
	state before
}

setup() {
	bats_require_minimum_version 1.5.0
}

in_root() { "$BATS_TEST_DIRNAME/chroot" run "$root" "$@"; }

# state NAME: what is in the root, less what dpkg, ldconfig and programs at work keep for themselves
state() {
	(
		cd "$root" || exit
		find . \( -path './debs*' -o -path ./proc -o -path ./tmp -o -path ./var/lib/dpkg -o -path ./var/log -o \
			-path ./var/cache -o -path './etc/*-' -o -path ./etc/.pwd.lock -o -path ./etc/ld.so.cache -o -name __pycache__ \) -prune -o \
			! -type d -printf '%p %y %m %U:%G %l\n' -o -printf '%p/ %m %U:%G\n'
		cat etc/passwd etc/group
	) | LC_ALL=C sort >"$BATS_FILE_TMPDIR/$1"
}

# install_all SUFFIX: every package, of the version as it is or with the suffix
install_all() {
	local suffix=$1 deb tree=$BATS_TEST_TMPDIR/tree
	if [ -n "$suffix" ]; then
		mkdir -p "$root/debs$suffix"
		for deb in "$root"/debs/*.deb; do
			rm -rf "$tree"
			dpkg-deb -R "$deb" "$tree"
			sed -i "s/^Version: .*/&$suffix/; s/(= [0-9.]*/&$suffix/g" "$tree/DEBIAN/control"
			dpkg-deb --root-owner-group -b "$tree" "$root/debs$suffix/"
		done
	fi
	in_root sh -ec "dpkg -i /debs$suffix/*.deb"
}

not_enabled() {
	[ ! -e "$root/etc/systemd/system/multi-user.target.wants/pnode.service" ]
	! find "$root/etc/systemd" -name '*pnode*' | grep .
}

@test "the packages are made bit for bit the same elsewhere, later, and in another language and zone" {
	local there=$BATS_TEST_TMPDIR/an/other/place deb
	mkdir -p "$there"
	tar -c --exclude=./build --exclude=./.git . | tar -xm -C "$there"
	echo 34560000 >"$BATS_TEST_TMPDIR/shift"
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL TZ=Pacific/Auckland LC_ALL=C.UTF-8 LD_PRELOAD="$PCORE_BUILD/helpers/shiftclock.so" \
		SHIFTCLOCK="$BATS_TEST_TMPDIR/shift" DEB_BUILD_OPTIONS=nocheck make -C "$there" deb LINTIAN=true
	for deb in "$DEBS"/*.deb "$DEBS"/*.dsc "$DEBS"/*.tar.xz; do
		cmp "$deb" "$there/build/deb/${deb##*/}"
	done
}

@test "they install, and nothing is enabled or started" {
	install_all ''
	not_enabled
	in_root sh -ec 'for tool in prun ppool pqueue ptimer pnode psubmit; do $tool --version; done; ! pgrep pnode'
}

@test "what they depend on is what their programs use" {
	local deb
	in_root sh -ec 'for file in /usr/bin/prun /usr/bin/ppool /usr/bin/pnode /usr/lib/*/libpcore*.so.0; do ! ldd $file | grep "not found"; done'
	[ "$(dpkg-deb -f "$root"/debs/pcore_*.deb Depends | grep -c liburing)" = 0 ]
	[[ $(dpkg-deb -f "$root"/debs/libpcore0_*.deb Depends) != *ssl* ]]
	for deb in pcore libpcore-cluster0; do
		[[ $(dpkg-deb -f "$root"/debs/${deb}_*.deb Depends) == *libssl3*'(>= 3.'* ]]
	done
}

@test "an upgrade keeps the configuration and enables nothing" {
	echo '# mine' >>"$root/etc/default/pcore-node"
	install_all +1
	grep -qx '# mine' "$root/etc/default/pcore-node"
	not_enabled
	in_root sh -ec 'ppool map echo ::: again'
}

@test "removed, they leave the configuration, and reinstalled they find it" {
	in_root sh -ec 'dpkg -r $(dpkg-query -W -f "\${source:Package} \${Package}\n" | sed -n "s/^pcore //p")'
	[ ! -e "$root/usr/bin/prun" ]
	grep -qx '# mine' "$root/etc/default/pcore-node"
	install_all ''
	grep -qx '# mine' "$root/etc/default/pcore-node"
	not_enabled
}

@test "purged, they leave nothing, also after a node has worked" {
	echo key >"$root/etc/pcore/node.key"
	mkdir "$root/var/lib/pnode/job"
	in_root sh -ec 'dpkg -P $(dpkg-query -W -f "\${source:Package} \${Package}\n" | sed -n "s/^pcore //p")'
	state after
	diff "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after"
}

@test "purged and installed again, they work, and leave nothing once more" {
	install_all ''
	in_root sh -ec 'ppool map echo ::: again'
	in_root sh -ec 'dpkg -P $(dpkg-query -W -f "\${source:Package} \${Package}\n" | sed -n "s/^pcore //p")'
	state after
	diff "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after"
}

# As an ordinary user. The test of the service is skipped: it needs systemd at work, and make check-vm runs it.
@test "their own tests pass, with what they say they depend on and no more" {
	local source=$BATS_TEST_TMPDIR/source summary=$BATS_TEST_TMPDIR/summary name
	mkdir "$source"
	tar -c --exclude=./build --exclude=./.git . | tar -x -C "$source"
	run env -u TMPDIR "$BATS_TEST_DIRNAME/chroot" beside "$root" autopkgtest --no-built-binaries --summary-file="$summary" \
		--env="SUITES=$SUITES" --copy=/etc/resolv.conf:/etc/resolv.conf --setup-commands='apt-get -qq update; useradd -m tester' \
		--user=tester "$root"/debs/*.deb "$source/" -- chroot "$root"
	echo "$output"
	[ "$status" = 0 ] || [ "$status" = 2 ] # 2: one was skipped
	for name in smoke build commands; do
		grep -q "^$name  *PASS" "$summary"
	done
}
