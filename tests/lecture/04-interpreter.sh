#!/bin/sh
# SPDX-License-Identifier: MIT
# Talk to an interpreter over its standard input and output.
printf '%s\n' 'echo $((6 * 7))' 'echo bye' 'exit 5' | prun sh; echo "it returned $?"
