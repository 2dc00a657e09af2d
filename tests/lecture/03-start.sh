#!/bin/sh
# SPDX-License-Identifier: MIT
# Start a command, go on, and wait for it.
prun sh -c 'exit 4' & echo "started"; wait $!; echo "it returned $?"
