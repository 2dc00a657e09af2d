#!/bin/sh
# SPDX-License-Identifier: MIT
# Submit ten jobs to a cluster, and print what they say in order.
psubmit map sh -c 'echo "job $1 says $(($1 * $1))"' sh ::: $(seq 10)
