#!/bin/sh
# SPDX-License-Identifier: MIT
# A pipe that goes both ways.
pqueue pipe ./channel -- tr a-z A-Z & printf 'hello\nworld\n' | pqueue pipe ./channel
