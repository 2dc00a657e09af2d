#!/bin/sh
# SPDX-License-Identifier: MIT
# Four add to a number at the same time: updates are lost, unless each holds a lock.
add='n=$(cat number); sleep 0.01; echo $((n + 1)) >number'; echo 0 >number; seq 40 | ppool map -j 4 sh -c "$add" sh; [ "$(cat number)" -lt 40 ] && echo 'some were lost'; echo 0 >number; seq 40 | ppool map -j 4 prun --lock number sh -c "$add" sh; cat number
