#!/bin/sh
# SPDX-License-Identifier: MIT
# Map a function over a list in a pool of processes.
ppool map sh -c 'echo $(($1 * $1))' sh ::: 1 7 8 -2
