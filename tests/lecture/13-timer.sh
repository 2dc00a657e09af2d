#!/bin/sh
# SPDX-License-Identifier: MIT
# A timer that fires while the program goes on.
ptimer after "${LECTURE_WAIT:-5.5}" -- echo 'the timer has fired' & echo 'the program goes on'; wait
