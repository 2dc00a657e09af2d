#!/bin/sh
# SPDX-License-Identifier: MIT
# Start a process, and join it.
prun --detach=child sh -c 'echo hello from a process' >/dev/null; prun --join child
