# SPDX-License-Identifier: MIT
# queues.bash - what the tests of queues share.
# shellcheck shell=bash

# started VAR COMMAND...: run it in the background; its pid goes to VAR
started() {
	local -n ret=$1
	shift
	"$@" <&0 & # without <&0 it would get /dev/null
	ret=$!
}

# Does the process sleep in a futex? That is where gets and puts wait.
waits() { grep -q -e futex -e rt_mutex "/proc/$1/wchan" 2>/dev/null || [ "$(cut -d' ' -f1 "/proc/$1/syscall" 2>/dev/null)" = 202 ]; }

len_is() { [ "$(pqueue len "$1")" = "$2" ]; }
field() { pqueue stat --json "$1" | jq -r ".$2"; }

stat_is() { [ "$(field "$1" "$2")" = "$3" ]; }

# Plain names are queues in memory, or, in a suite whose name ends in _durable, durable ones, whoever makes them.
choose_kind() {
	durability=none many=1000000
	case $BATS_TEST_FILENAME in *_durable.bats) ;; *) return ;; esac
	durability=always many=200000
	mkdir "$BATS_TEST_TMPDIR/durable"
	cat >durable/pqueue <<-'SCRIPT'
	#!/bin/sh
	real=$PCORE_BUILD/pqueue verb=$1 makes=no name='' value=no
	case $verb in create) shift; exec "$real" create --durable "$@" ;; put | work) makes=yes ;; esac
	for a; do
		case $verb$a in get--follow) makes=yes ;; put--no-create) makes=no ;; esac
	done
	shift
	for a; do
		[ $value = no ] || { value=no; continue; }
		case $a in
		-d | -n | -j | --delimiter | --count | --priority | --delay | --key | --timeout | --lease | --jobs | --attempts | --backoff | \
			--retry | --retry-delay | --chdir | --env | --limit | --umask) value=yes ;;
		-*) ;;
		*) name=$a; break ;;
		esac
	done
	case $name in
	'' | */*) ;;
	*) [ $makes = no ] || [ -e "$PCORE_RUNTIME_DIR/queues/$name" ] || "$real" create --durable "$name" 2>/dev/null ;;
	esac
	exec "$real" "$verb" "$@"
	SCRIPT
	chmod +x durable/pqueue
	PATH="$PWD/durable:$PATH"
}
