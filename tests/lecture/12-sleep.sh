#!/bin/sh
# SPDX-License-Identifier: MIT
# Sleep; what was printed before is seen meanwhile.
printf 'wait... '; ptimer sleep "${LECTURE_WAIT:-1.5}"; echo 'done'
