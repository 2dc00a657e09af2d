#!/bin/sh
# SPDX-License-Identifier: MIT
# Run a command, and look at its return code.
prun sh -c 'echo hello; exit 3'; echo "it returned $?"
