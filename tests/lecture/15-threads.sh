#!/bin/sh
# SPDX-License-Identifier: MIT
# Map a function in a pool that stays: each worker answers many items.
seq 1 5 | ppool map --worker sh -c 'while read -r n; do echo $((n * n)); done'
