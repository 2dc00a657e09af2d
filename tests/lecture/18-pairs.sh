#!/bin/sh
# SPDX-License-Identifier: MIT
# Map a function over pairs, results in order.
printf '%s\t%s\n' 2 5 3 2 10 3 | ppool starmap -j 2 sh -c 'echo "$1 * $2 = $(($1 * $2))"' sh
