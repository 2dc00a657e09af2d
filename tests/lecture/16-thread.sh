#!/bin/sh
# SPDX-License-Identifier: MIT
# Start, name and join what runs beside us.
prun --detach=worker-1 sh -c 'echo working' >/dev/null; prun --status worker-1 | grep -o worker-1; prun --join worker-1
