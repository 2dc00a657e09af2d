#!/bin/sh
# SPDX-License-Identifier: MIT
# Output to nowhere, to a file, and to a pipe.
prun --stdout /dev/null echo nowhere; prun --stdout out.txt echo to a file; cat out.txt; prun echo to a pipe | tr a-z A-Z
