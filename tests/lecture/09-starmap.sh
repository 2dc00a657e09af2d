#!/bin/sh
# SPDX-License-Identifier: MIT
# Map a function of two arguments.
printf '%s\t%s\n' 1 2 7 -4 9 3 | ppool starmap sh -c 'echo $(($1 + $2))' sh
