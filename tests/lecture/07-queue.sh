#!/bin/sh
# SPDX-License-Identifier: MIT
# A queue between two processes.
pqueue create ./queue; seq 3 | sed 's/^/item /' | pqueue put --close ./queue & pqueue get --follow ./queue
