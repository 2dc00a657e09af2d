#!/bin/sh
# SPDX-License-Identifier: MIT
# The same, all three at once, and fetched in order.
ppool open -j 3 cities >/dev/null; ids=$(for city in Lyon Nice Brest; do ppool async cities sh -c 'sleep "$1"; echo "$2: sunny"' sh "${LECTURE_WAIT:-1}" $city; done); echo "all launched"; for id in $ids; do ppool get cities "$id"; done; ppool close cities; ppool join cities
