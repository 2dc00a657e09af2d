#!/bin/sh
# SPDX-License-Identifier: MIT
# A slow function, for three cities one after the other.
ppool open -j 3 cities >/dev/null; for city in Lyon Nice Brest; do ppool apply cities sh -c 'sleep "$1"; echo "$2: sunny"' sh "${LECTURE_WAIT:-1}" $city; done; ppool close cities; ppool join cities
